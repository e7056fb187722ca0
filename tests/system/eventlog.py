# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads TCG event logs for the checks: positions, types and data by this small parser, the replay by tpm2_eventlog.

Nothing of mkexec is used, so that its own parser and the kernel are judged by other people's word.
TCG PC Client Platform Firmware Profile 1.06, section 10.
"""

import hashlib
import re
import struct
import subprocess
import tempfile
from dataclasses import dataclass

ALGORITHMS = {0x4: "sha1", 0xb: "sha256", 0xc: "sha384", 0xd: "sha512", 0x12: "sm3_256",
              0x27: "sha3_256", 0x28: "sha3_384", 0x29: "sha3_512"}
TYPES = {0x3: "EV_NO_ACTION", 0x4: "EV_SEPARATOR", 0x6: "EV_EVENT_TAG", 0xd: "EV_IPL",
         0x80000003: "EV_EFI_BOOT_SERVICES_APPLICATION", 0x80000007: "EV_EFI_ACTION"}


@dataclass(frozen=True)
class Event:
    offset: int
    pcr: int
    type: str
    digests: dict
    data: bytes

    @property
    def told(self):
        """What the event says of a boot, the same for every boot alike."""
        return self.pcr, self.type, self.digests, masked(self.type, self.data)


def parse(log):
    """(banks of the header, events after the header). Raises ValueError or struct.error on anything odd."""
    pcr, kind, _, size = struct.unpack_from("<II20sI", log, 0)
    header = log[32:32 + size]
    if not header.startswith(b"Spec ID Event03\0"):
        raise ValueError("not a crypto-agile log")
    n_algorithms = struct.unpack_from("<I", header, 24)[0]
    sizes = dict(struct.unpack_from("<HH", header, 28 + 4 * i) for i in range(n_algorithms))
    events, at = [], 32 + size
    while at < len(log):
        start = at
        pcr, kind, n_digests = struct.unpack_from("<III", log, at)
        at += 12
        digests = {}
        for _ in range(n_digests):
            algorithm = struct.unpack_from("<H", log, at)[0]
            digests[ALGORITHMS[algorithm]] = log[at + 2:at + 2 + sizes[algorithm]].hex()
            at += 2 + sizes[algorithm]
        size = struct.unpack_from("<I", log, at)[0]
        data = log[at + 4:at + 4 + size]
        if len(data) != size:
            raise ValueError(f"event at {start} is cut")
        at += 4 + size
        events.append(Event(start, pcr, TYPES.get(kind, f"{kind:#x}"), digests, data))
    return [ALGORITHMS[a] for a in sizes], events


def replay(log):
    """{bank: {pcr: hex}} of the PCRs that the log explains, as tpm2_eventlog computes them."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(log)
        file.flush()
        done = subprocess.run(["tpm2_eventlog", file.name], capture_output=True, text=True, check=True)
    text = done.stdout[done.stdout.index("\npcrs:") + 7:]
    found, bank = {}, None
    for line in text.splitlines():
        if match := re.fullmatch(r"  (\w+):", line):
            bank = found.setdefault(match.group(1), {})
        elif match := re.fullmatch(r"    (\d+)\s*:\s*0x([0-9a-fA-F]+)", line):
            bank[int(match.group(1))] = match.group(2).lower()
    return found


def masked(kind, data):
    """Without ImageLocationInMemory, the first member of UEFI_IMAGE_LOAD_EVENT: where firmware found room."""
    return (data[8:] if kind == "EV_EFI_BOOT_SERVICES_APPLICATION" else data).hex()


def extend(bank, value, digest):
    return hashlib.new(bank, bytes.fromhex(value) + bytes.fromhex(digest)).hexdigest()

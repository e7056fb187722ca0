# SPDX-License-Identifier: LGPL-2.1-or-later
"""NV indices by plain commands to the TPM, past mkexec: to put a machine's tickets back, and to try what anybody might
who wants to read one. TPM 2.0 Library, part 3, sections 11, 23 and 31.
"""

import hashlib
import struct
from dataclasses import dataclass

from tpm import BANKS

BASE, END = 0x01a00000, 0x01b00000  # docs/tickets.md
OWNER, NOBODY = 0x40000001, 0x40000007
PASSWORD = struct.pack(">IHBH", 0x40000009, 0, 0, 0)  # an empty one
WRITELOCKED, READLOCKED, WRITTEN = 1 << 11, 1 << 28, 1 << 29
STATE_BITS = WRITELOCKED | READLOCKED | WRITTEN
CHUNK = 1024
FAILED_AS_IT_SHOULD = (0x14a, 0x148, 0x99d)  # NV_UNINITIALIZED, NV_LOCKED, POLICY_FAIL of session 1


@dataclass(frozen=True)
class Index:
    handle: int
    attributes: int
    policy: bytes
    size: int

    @property
    def pcrs(self):
        return [pcr for pcr in range(16) if self.handle >> pcr & 1]

    def __str__(self):
        words = [word for bit, word in ((WRITTEN, "written"), (WRITELOCKED, "write-locked"), (READLOCKED, "read-locked"))
                 if self.attributes & bit]
        return f"{self.handle:#x} ({', '.join(words) or 'not written'}, {self.size} bytes)"


def selection(pcrs):
    mask = sum(1 << pcr for pcr in pcrs)
    return struct.pack(">I", len(BANKS)) + b"".join(struct.pack(">HB", algorithm, 3) + mask.to_bytes(3, "little")
                                                    for algorithm in BANKS.values())


def policy_digest(values, pcrs):
    """PolicyPCR, part 3, section 23.7: of the values {bank: {pcr: hex}}."""
    digest = hashlib.sha256(b"".join(bytes.fromhex(values[bank][pcr]) for bank in BANKS for pcr in sorted(pcrs))).digest()
    return hashlib.sha256(bytes(32) + struct.pack(">I", 0x17f) + selection(pcrs) + digest).digest()


class Nv:
    def __init__(self, tpm):
        self.tpm = tpm

    def _authorized(self, code, handles, area, parameters=b""):
        body = b"".join(struct.pack(">I", handle) for handle in handles) + struct.pack(">I", len(area)) + area + parameters
        failed, answer = self.tpm.ask(code, body, tag=0x8002)
        return failed, answer[4:4 + struct.unpack_from(">I", answer)[0]] if answer else b""

    def _owner(self, code, handles, parameters=b""):
        failed, _ = self._authorized(code, (OWNER, *handles), PASSWORD, parameters)
        if failed:
            raise RuntimeError(f"TPM command {code:#x} on {handles}: {failed:#x}")

    def indices(self):
        """All in the range of tickets."""
        found = []
        for handle in self.tpm.handles(BASE):
            if handle < END:
                public = self.tpm.command(0x169, struct.pack(">I", handle))
                _, _, attributes, n = struct.unpack_from(">IHIH", public, 2)
                policy, size = public[14:14 + n], struct.unpack_from(">H", public, 14 + n)[0]
                found.append(Index(handle, attributes, policy, size))
        return found

    def undefine(self, handle):
        self._owner(0x122, (handle,))

    def make(self, index, contents):
        """An index in that very state."""
        public = struct.pack(">IHIH", index.handle, 0xb, index.attributes & ~STATE_BITS, len(index.policy)) + index.policy
        public += struct.pack(">H", index.size)
        self._owner(0x12a, (), struct.pack(">HH", 0, len(public)) + public)
        if index.attributes & WRITTEN:
            for at in range(0, index.size, CHUNK):
                part = contents[at:at + CHUNK]
                self._owner(0x137, (index.handle,), struct.pack(">H", len(part)) + part + struct.pack(">H", at))
        if index.attributes & WRITELOCKED:
            self._owner(0x138, (index.handle,))
        if index.attributes & READLOCKED and self._by_policy(index, 0x14f)[0]:
            raise RuntimeError(f"{index} can't be locked")

    def _by_policy(self, index, code, parameters=b""):
        """A command of whoever meets the policy over the PCRs in the handle."""
        start = struct.pack(">IIH", NOBODY, NOBODY, 16) + bytes(16) + struct.pack(">HBHH", 0, 1, 0x10, 0xb)
        session = self.tpm.command(0x176, start)[:4]
        try:
            self.tpm.command(0x17f, session + struct.pack(">H", 0) + selection(index.pcrs))
            return self._authorized(code, (index.handle, index.handle), session + struct.pack(">HBH", 0, 1, 0), parameters)
        finally:
            self.tpm.command(0x165, session)

    def steal(self, index):
        """What is in it, if the TPM gives it to whoever asks now; else None."""
        contents = b""
        while len(contents) < index.size:
            n = min(CHUNK, index.size - len(contents))
            failed, answer = self._by_policy(index, 0x14e, struct.pack(">HH", n, len(contents)))
            if failed:
                if failed not in FAILED_AS_IT_SHOULD:
                    raise RuntimeError(f"reading {index}: {failed:#x}")
                return None
            contents += answer[2:]
        return contents

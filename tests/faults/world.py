# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine made of files: /sys, /run and the ESP in a mount namespace of our own, a TPM, and the kernel that
inject.c pretends to be. mkexec runs in it as it is installed.

The state of the machine can be saved and put back; that is a few files, and what the TPM was extended with.
"""

import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass, field


import eventlog
from nv import Nv
from tpm import BANKS, SIZES, Tpm

PLACE = pathlib.Path("/run/machine")  # in the worker's own /run
RUN = pathlib.Path("/run/mkexec")
LOADED = pathlib.Path("/sys/kernel/kexec_loaded")
LOG = pathlib.Path("/sys/kernel/security/tpm0/binary_bios_measurements")
PAYLOAD = PLACE / "esp/EFI/payload.efi"
DEADLINE_SECONDS = 20
LOG_SLACK = 32  # zero bytes behind the log, see docs/architecture.md, "The log"
LOADER = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"


def put(path, data):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


# ---- the machine ----

def firmware_log():
    """A short log of firmware's, and what it says that was extended."""
    import hashlib
    header = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(BANKS))
    header += b"".join(struct.pack("<HH", BANKS[bank], SIZES[bank]) for bank in BANKS) + b"\0"
    log = struct.pack("<II20sI", 0, 3, bytes(20), len(header)) + header
    extends = []
    for pcr in range(8):
        digests = {bank: hashlib.new(bank, bytes(4)).hexdigest() for bank in BANKS}
        extends.append((pcr, digests))
        log += struct.pack("<III", pcr, 4, len(digests))
        log += b"".join(struct.pack("<H", BANKS[bank]) + bytes.fromhex(value) for bank, value in digests.items())
        log += struct.pack("<I", 4) + bytes(4)
    return log, extends


def make_sysfs(root=pathlib.Path("/sys")):
    """512 MB and an EFI with some variables."""
    rows = (("0x0", "0x9ffff", "System RAM"), ("0x100000", "0x1dffffff", "System RAM"),
            ("0x1e000000", "0x1e00ffff", "ACPI Non-volatile Storage"), ("0x1e010000", "0x1e01ffff", "Reserved"),
            ("0x1e020000", "0x1effffff", "System RAM"))
    for i, row in enumerate(rows):
        for name, text in zip(("start", "end", "type"), row):
            put(root / f"firmware/memmap/{i}/{name}", text + "\n")
    for i, row in enumerate((("0x6", "0x1e010000", "0x8", "0xfffffffefea10000"),
                             ("0x5", "0x1e018000", "0x8", "0xfffffffefe818000"))):
        for name, text in zip(("type", "phys_addr", "num_pages", "virt_addr", "attribute"), (*row, "0x800000000000000f")):
            put(root / f"firmware/efi/runtime-map/{i}/{name}", text + "\n")
    put(root / "firmware/efi/runtime", "0x1e010b98\n")
    put(root / "firmware/efi/systab", "ACPI20=0x1e001014\nACPI=0x1e001000\nSMBIOS3=0x1e002000\n")
    variables = {f"BootOrder-{GLOBAL}": b"\7\0\0\0\0\0", f"SecureBoot-{GLOBAL}": b"\6\0\0\0\0",
                 f"LoaderInfo-{LOADER}": b"\6\0\0\0" + "before".encode("utf-16-le") + b"\0\0"}
    for name, data in variables.items():
        put(root / f"firmware/efi/efivars/{name}", data)
    table = bytearray(76)
    table[:8] = b"TPM2" + struct.pack("<I", 76)
    table[64:76] = struct.pack("<IQ", 0x1000, 0x1e003000)
    put(root / "firmware/acpi/tables/TPM2", bytes(table))
    put(root / "firmware/acpi/tables/DSDT", b"DSDT")
    entry = b"_SM3_" + bytes(11) + struct.pack("<Q", 0x1e002020)
    put(root / "firmware/dmi/tables/smbios_entry_point", entry)
    put(root / "firmware/dmi/tables/DMI", bytes(64))
    page = bytearray(4096)
    page[0x1c0:0x1c4] = b"EL64"
    page[0x1ec] = 2
    page[0x210] = 0x21
    put(root / "kernel/boot_params/data", bytes(page))
    put(root / "kernel/security/lockdown", "[none] integrity confidentiality\n")
    put(LOADED, "0\n")


# ---- runs ----

@dataclass(frozen=True)
class Fault:
    """kind: call, kill (both: at = number of the system call), alloc, child, tpm (at = number). variant: of the
    call's answers, the allocation's call stack, or the TPM's mode. later: everything of that kind fails from there on."""
    kind: str
    at: int = 0
    variant: object = 0
    later: bool = False

    def __str__(self):
        return f"{self.kind}:{self.at}:{self.variant}" + (":later" if self.later else "")

    @classmethod
    def parse(cls, text):
        kind, at, variant, *later = text.split(":")
        return cls(kind, int(at), int(variant) if variant.isdigit() else variant, bool(later))


@dataclass
class Result:
    exit: int | None = None  # else it ended by a signal
    signal: int | None = None
    rebooted: bool = False
    ended: bool = False  # by the TPM's hanging
    late: bool = False   # by the deadline
    left: int = 0
    objects: int = 0     # and sessions, that the TPM still had
    hit: str = ""
    out: str = ""
    err: str = ""
    counts: tuple = (0, 0, 0)  # allocations, calls of the guest's set-up, faults among them
    asked: str = ""            # whose allocation failed
    trace: list = field(default_factory=list)
    stacks: list = field(default_factory=list)  # of allocations: (key, number of the first, whether mkexec itself asked)


@dataclass
class Snapshot:
    files: dict
    loaded: str
    log: bytes
    extends: list
    tickets: list = field(default_factory=list)  # of (index, contents)


class World:
    def __init__(self, mkexec, tools):
        self.mkexec, self.tools = mkexec, pathlib.Path(tools)
        PLACE.mkdir()
        self.kernel = PLACE / "kernel"
        self.kernel.mkdir()
        make_sysfs()
        put(PAYLOAD, (self.tools / "payload.efi").read_bytes())
        put(PLACE / "esp/EFI/extra", "a file beside the payload")
        (PLACE / "tpm").mkdir()
        self.tpm = Tpm(PLACE / "tpm")
        self.nv = Nv(self.tpm)
        log, extends = firmware_log()
        self.restore(Snapshot({}, "0\n", log, extends))

    # ---- state ----

    def save(self, extends, contents=b""):
        """extends: what the TPM got since its reset; contents: of every ticket. The world doesn't watch them."""
        files = {path: path.read_bytes() for folder in (RUN, self.kernel) if folder.exists()
                 for path in sorted(folder.iterdir())}
        tickets = [(index, contents) for index in self.nv.indices()]
        return Snapshot(files, LOADED.read_text(), LOG.read_bytes(), list(extends), tickets)

    def restore(self, snapshot):
        for folder in (RUN, self.kernel, PLACE / "out"):
            shutil.rmtree(folder, ignore_errors=True)
        self.kernel.mkdir()
        (PLACE / "out").mkdir()
        for path, data in snapshot.files.items():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o600)
        LOADED.write_text(snapshot.loaded)
        put(LOG, snapshot.log)
        self.tpm.reset()
        for pcr, digests in snapshot.extends:
            self.tpm.extend(pcr, digests)
        for index in self.nv.indices():
            self.nv.undefine(index.handle)
        for index, contents in snapshot.tickets:
            self.nv.make(index, contents)

    def files(self):
        """What mkexec and the kernel have, without what is another in each run: an image's number is drawn by lot. What
        counts is where that stands."""
        files = {path: path.read_bytes() for folder in (RUN, self.kernel) if folder.exists()
                 for path in sorted(folder.iterdir())}
        numbers = {number for data in files.values() if data.startswith(b"{")
                   for number in re.findall(rb'"image_id": (\d{10,})', data)}
        for n, number in enumerate(sorted(numbers)):
            for path, data in files.items():
                files[path] = data.replace(number, b"number %d" % n).replace(
                    int(number).to_bytes(8, "little"), b"number %d" % n)
        return files

    def new_boot(self, log):
        """What the hop's second kernel sees: its log, nothing loaded, an empty /run; the TPM goes on."""
        for folder in (RUN, self.kernel):
            shutil.rmtree(folder, ignore_errors=True)
        self.kernel.mkdir()
        LOADED.write_text("0\n")
        put(LOG, log)

    def log(self):
        """All of this boot's log, put together without mkexec."""
        aborted = RUN / "aborted.log"
        return LOG.read_bytes() + (aborted.read_bytes() if aborted.exists() else b"")

    # ---- mkexec ----

    def run(self, arguments, fault=None, trace=False, count=False, stdin=None, forks=False, seconds=DEADLINE_SECONDS):
        """forks: it has children that kexec; seconds: its deadline."""
        options, environment = ["--forks"] * forks, {"PATH": os.environ["PATH"], "TPM2TOOLS_TCTI": self.tpm.tcti}
        if fault and fault.kind in ("call", "kill"):
            options += ["--at", str(fault.at)]
            options += ["--kill"] if fault.kind == "kill" else ["--variant", str(fault.variant)]
            options += ["--from"] if fault.later else []
        if trace:
            options += ["--trace", str(PLACE / "trace")]
        if count or (fault and fault.kind in ("alloc", "child")):
            options += ["--preload", self.tools / "libpreload.so"]
            environment["MKEXEC_FAULT_COUNT"] = str(PLACE / "count")
        if count:
            environment["MKEXEC_FAULT_STACKS"] = str(PLACE / "stacks")
        if fault and fault.kind == "alloc":
            environment["MKEXEC_FAULT"] = f"stack {fault.variant} {fault.at}" if fault.variant else \
                f"alloc {fault.at}" + (" from" if fault.later else "")
        if fault and fault.kind == "child":
            environment["MKEXEC_FAULT"] = f"child {fault.at}" + (" kill" if fault.variant == "kill" else "")
        hung = threading.Event()
        process = subprocess.Popen(
            [self.tools / "inject", "--folder", self.kernel, "--loaded", LOADED, "--report", PLACE / "report", *options,
             self.mkexec, *map(str, arguments)], env=environment, stdin=stdin.open() if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")

        def on_hang():
            hung.set()
            process.send_signal(signal.SIGTERM)
        self.tpm.expect((fault.at, fault.variant, fault.later) if fault and fault.kind == "tpm" else None, on_hang)
        late = False
        try:
            out, err = process.communicate(timeout=12 if fault and fault.kind == "alloc" else seconds)
        except subprocess.TimeoutExpired:
            late = True
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"the injector failed with {process.returncode}: {err}")
        result = self._report(Result(out=out, err=err, ended=hung.is_set(), late=late))
        result.objects = self.tpm.settle()
        if self.tpm.hit:
            result.hit = f"{self.tpm.hit} {fault.variant}"
        if "MKEXEC_FAULT_COUNT" in environment:
            counts = (PLACE / "count").read_bytes()
            result.counts = struct.unpack_from("<QQQ", counts)
            result.asked, asserted = (counts[at:at + 64].split(b"\0")[0].decode() for at in (24, 88))
            result.hit += f" assertion of {asserted}" if asserted else ""
        if count:
            rows = struct.iter_unpack("<QQQQ", (PLACE / "stacks").read_bytes())
            result.stacks = sorted(((f"{key:#x}", first, bool(own)) for key, first, _, own in rows if key),
                                   key=lambda row: row[1])
        if trace:
            result.trace = [line.split(" ", 3) for line in (PLACE / "trace").read_text().splitlines()]
        return result

    @staticmethod
    def _report(result):
        for line in (PLACE / "report").read_text().splitlines():
            word, _, rest = line.partition(" ")
            if word in ("hit", "crash"):
                result.hit = f"{result.hit} {rest}".strip()
            elif word == "reboot":
                result.rebooted = True
            elif word in ("left", "exit", "signal"):
                setattr(result, word, int(rest))
        return result

    # ---- the kernel ----

    def loaded(self):
        """nothing, guard or real."""
        if LOADED.read_text() == "0\n":
            return "nothing"
        if (self.kernel / "command-line").exists():
            guard = "rdinit=/.mkexec/none" in (self.kernel / "command-line").read_text() and not \
                (self.kernel / "initrd").exists()
            return "guard" if guard else "real"
        rows = [list(map(int, line.split()[1:])) for line in (self.kernel / "image").read_text().splitlines()]
        page = (self.kernel / "segments").read_bytes()
        guard = len(rows) == 2 and rows[0] == rows[1][:1] and len(page) == 4096 and page.startswith(b"\xfa\x0f\x01") \
            and b"\x66\xba\xf9\x0c\xb0\x02\xee\xb0\x06\xee" in page and set(page[128:]) == {0xcc}
        return "guard" if guard else "real"

    def carried_log(self):
        """The event log that the second kernel will show, out of what is loaded."""
        if not (self.kernel / "command-line").exists():
            return self._log_in_segments()
        archive = (self.kernel / "initrd").read_bytes()
        at = archive.index(b"MKEXLOG1") + 8
        version, base = struct.unpack_from("<IQ", archive, at)
        size = struct.unpack_from("<I", archive, at + 12 + 32)[0]
        start = at + 12 + 32 + 4
        assert version == 2 and base == len(LOG.read_bytes()), "the archive continues another log"
        return LOG.read_bytes() + archive[start:start + size]

    def _log_in_segments(self):
        """struct linux_efi_tpm_eventlog: size, size of the final events, version; the log."""
        data, first = (self.kernel / "segments").read_bytes(), LOG.read_bytes()
        found = []
        for match in re.finditer(re.escape(first[:64]), data):
            at = match.start()
            size, _, version = struct.unpack_from("<IIB", data, at - 9)
            if version == 2 and len(first) < size < 1 << 20:
                found.append(data[at:at + size])
        assert len(found) == 1, f"{len(found)} event logs in the image"
        assert found[0].endswith(bytes(LOG_SLACK)), "the log's end isn't zeros"
        return found[0][:-LOG_SLACK]


def replay(log):
    """{bank: {pcr: hex}} by Python alone; judge.py compares with tpm2_eventlog."""
    banks, events = eventlog.parse(log)
    values = {bank: {pcr: "00" * SIZES[bank] for pcr in range(16)} for bank in banks}
    for event in events:
        if event.type != "EV_NO_ACTION":
            for bank in banks:
                values[bank][event.pcr] = eventlog.extend(bank, values[bank][event.pcr], event.digests[bank])
    return values

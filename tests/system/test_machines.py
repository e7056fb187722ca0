# SPDX-License-Identifier: LGPL-2.1-or-later
"""One hop on machines that aren't the usual one: another TPM interface, more memory and processors, graphics, other
paging modes, and first kernels whose firmware or ACPI tables lack something. Run by --full.
"""

import json
import pathlib
import re
import struct
from dataclasses import dataclass, field

import eventlog
import hop_checks
import log_twins
import results
import scene
import vm
from tally import expect, expect_equal

GIB, PAGE = 1 << 30, 4096
STANDARD = scene.Configuration("252", "6.1", ("sha256",))
# OVMF keeps these pages for S3 and has them in its memory map as ACPI NVS; on a machine that never sleeps nobody
# uses them, so an event log area can be there. The first page and the last are there to be left alone.
AREA_PAGE, AREA_PAGES = 0x81f, 8
AREA, PATTERN = (AREA_PAGE + 1) * PAGE, b"Z"
# QEMU's usual BIOS has the log area, 64 KiB, at the end of the memory below 4 GB and calls it reserved. /dev/mem reaches
# it only where more memory follows.
BIOS_SETUP = {"machine": ",max-ram-below-4g=256M"}
BIOS_AREA_PAGE, BIOS_AREA_PAGES = 0xfff0, 16
BIOS_AREA = (BIOS_AREA_PAGE + 1) * PAGE
# What lets a root shell write there and to ACPI tables through /dev/mem.
RELAXED = scene.Parts("iomem=relaxed", "iomem=relaxed")
# The ROM of QEMU's e1000, which has an EFI driver in it.
ROM = pathlib.Path("/usr/lib/ipxe/qemu/efi-e1000.rom")
SETUP_PCI, ROM_AT = "setup_data/0x3-", 48
# What `load` says where a source of facts is missing (guest/sources); a word "*" stands for an address.
LOST = "mkexec: warning: no /sys/firmware/efi/runtime-map: the second kernel won't reach the firmware's variables"
NO_PARAMS = "can't open /sys/kernel/boot_params/data: No such file or directory"
SOURCES = {
    "nothing": (0, ""), "iomem": (0, ""), "memmap": (0, ""), "efi": (0, LOST), "efi+memmap": (0, LOST),
    "memmap+boot_params": (2, f"mkexec: no memory map in /sys/firmware/memmap: {NO_PARAMS}"),
    "boot_params": (2, f"mkexec: {NO_PARAMS}"),
    "runtime-map": (2, "mkexec: /sys/firmware/efi/runtime: * is in no region of runtime-map"),
}


# Logs that don't fit a TPM with all banks of BANKS: the algorithms that the header declares (None: no header, a log of
# TPM 1.2), and what `load` says.
BANKS = ("sha1", "sha256", "sha384", "sha512")
SHA1, SHA256, SHA384, SHA512, SM3 = (4, 20), (0xb, 32), (0xc, 48), (0xd, 64), (0x12, 32)
MISFITS = {
    "tpm12": (None, "mkexec: the firmware's event log is a SHA-1 log and can't hold the TPM's banks"),
    "gap": ((SHA1, SHA256, SHA512), "mkexec: bank sha384 is active in the TPM but not in the event log's header: the second "
            "kernel's log couldn't prove it (--accept-log-gaps to go on)"),
    "foreign": ((SHA1, SHA256, SHA384, SHA512, SM3), "mkexec: the event log's header declares algorithm 0x0012, which is no "
                "active bank of the TPM: events can't be written into this log"),
}


@dataclass(frozen=True)
class Machine:
    """`lasa` and `laml`: log area that the first kernel's script writes into the ACPI TPM2 table; None leaves it.
    `table_bytes`: of that table; one that ends before the log area has none. `files`: on the payload disk, for
    guest/machine-first. `has_log`: the first kernel shows an event log. `wanted`: of the second kernel; whether its own
    KASLR chose an address that this machine is for. If not, the machine is started once more."""
    name: str
    what: str
    configuration: scene.Configuration = STANDARD
    parts: scene.Parts = scene.Parts()
    setup: dict = field(default_factory=dict)
    efi: bool = True
    lasa: int = None
    laml: int = 0
    table_bytes: int = 76
    files: dict = field(default_factory=dict)
    has_log: bool = True
    refused: str = ""
    wanted: object = None
    checks: dict = field(default_factory=dict)

    @property
    def area(self):
        """The first of the pages around the ACPI log area, and their number."""
        return (AREA_PAGE, AREA_PAGES) if self.efi else (BIOS_AREA_PAGE, BIOS_AREA_PAGES)


@dataclass
class Hop:
    machine: Machine
    scene: object
    outcome: object
    first: object
    second: object

    @property
    def prediction(self):
        return json.loads(self.first.files["predict.out"])

    @property
    def events(self):
        return [e for e in eventlog.parse(self.second.log)[1] if e.offset >= len(self.first.log)]


def tpm2_table(lasa, laml, size):
    """QEMU's table for tpm-tis with another log area. TCG ACPI Specification 1.2, table 7."""
    body = struct.pack("<HHQI12sIQ", 0, 0, 0, 6, b"", laml, lasa)[:size - 36]
    table = bytearray(struct.pack("<4sIBB6s8sI4sI", b"TPM2", 36 + len(body), 4, 0, b"BOCHS ", b"BXPC    ", 1, b"BXPC", 1) + body)
    table[9] = -sum(table) & 0xff
    return bytes(table)


def misfit_log(algorithms):
    """Two events. TCG PC Client Platform Firmware Profile, 10.2.1 and 10.4.5.1."""
    if algorithms is None:
        return struct.pack("<II20sI", 0, 8, b"", 4) + b"none" + struct.pack("<II20sI", 0, 4, b"", 4) + bytes(4)
    spec = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(algorithms))
    spec += b"".join(struct.pack("<HH", *algorithm) for algorithm in algorithms) + b"\0"
    digests = b"".join(struct.pack("<H", number) + bytes(size) for number, size in algorithms)
    return (struct.pack("<II20sI", 0, 3, b"", len(spec)) + spec
            + struct.pack("<III", 0, 8, len(algorithms)) + digests + struct.pack("<I", 4) + b"none")


# ---- what must be true on all of them ----

def hop_was_loaded(hop):
    for verb in ("predict", "load"):
        expect_equal(f"exit code of {verb} ({hop.first.text(verb + '.err')})", hop.first.text(f"{verb}.status"), "0")
    expect_equal("PCRs after load", results.parse_pcrs(hop.first.text("pcrs-loaded")), hop.first.pcrs)


def log_is_right(hop):
    expect(hop.first.log and hop.second.log.startswith(hop.first.log), "it does not begin with the first kernel's log")
    hop_checks.log_replays(hop.second)
    hop_checks.mkexec_accepts_log(hop.second, boots=2)


def log_begins_with_the_hop(hop):
    """Our own header, no event of firmware's, and nothing that passes this for a whole log: PCR 0 was extended, as by a
    firmware that measures and shows no log."""
    expect_equal("the first kernel's log", hop.first.log, b"")
    expect("has no TPM event log" in hop.first.text("load.err"), f"load said: {hop.first.text('load.err')}")
    banks, events = eventlog.parse(hop.second.log)
    expect_equal("banks of the header", sorted(banks), sorted(hop.second.pcrs))
    expect_equal("PCRs of the log", {e.pcr for e in events}, {hop_checks.HOP_REGISTER, *hop_checks.CLOSE_LIST})
    for bank, pcrs in eventlog.replay(hop.second.log).items():
        expect_equal(f"PCRs that the log replays, {bank}", pcrs, {i: hop.second.pcrs[bank][i] for i in pcrs})
    code, verdict = log_twins.judge(hop.second.log, hop.second.pcrs)
    expect_equal("what predict did without", hop.prediction["missing"], "")
    expect_equal("log check", (code, verdict["verdict"], verdict["first_boot_in_log"]), (1, "mismatch", False))
    expect("PCR 0," in verdict["reason"] and "no event of the first boot" in verdict["reason"], verdict["reason"])
    # had nobody extended PCR 0, the hop would be all that there is to tell
    silent = {bank: {**pcrs, 0: "0" * len(pcrs[0])} for bank, pcrs in hop.second.pcrs.items()}
    code, verdict = log_twins.judge(hop.second.log, silent)
    expect_equal("log check without PCR 0", (code, verdict["verdict"], verdict["first_boot_in_log"]), (0, "ok", False))
    status = json.loads(hop.second.files["status.out"])
    expect_equal("status", (status["verdict"], status["boots"], status["first_boot_in_log"]), ("mismatch", 2, False))
    return status["reason"]


def dmesg_is_clean(hop):
    hop_checks.dmesg_is_clean(hop.second, hop.first)


def another_hop_is_possible(hop):
    expect_equal(f"exit code of load --dry-run in B ({hop.second.text('again.err')})", hop.second.text("again.status"), "0")


def weak_is_said(hop):
    """A log whose only bank is SHA-1 proves little, and `status` says so; of others it doesn't."""
    status = json.loads(hop.second.files["status.out"])
    expect_equal("banks of the log", sorted(status["log_banks"]), sorted(hop.machine.configuration.banks))
    expect_equal("'weak' in status", status["weak"], hop.machine.configuration.banks == ("sha1",))


def variables_work(hop):
    expect_equal("a variable written and read back", hop.second.text("efivarfs"), "works")


CHECKS = {
    "load and predict agree to it, the TPM is only read": hop_was_loaded,
    "B came up with its own command line, initrd and kernel": hop_checks.came_up,
    "PCR 8 reads what predict said": hop_checks.prediction_holds,
    "all other PCRs are unchanged": hop_checks.other_pcrs_unchanged,
    "PCR 11 got the open event and nothing else": hop_checks.closed_pcrs_got_open_only,
    "dmesg has no trouble that A's hasn't": dmesg_is_clean,
    "status names the log's banks, and whether they are weak": weak_is_said,
    "another hop could follow": another_hop_is_possible,
}


LOG_CHECKS = {
    True: {"the second kernel's log goes on from the first's and replays": log_is_right},
    False: {"the second kernel's log begins with the hop, replays, and says what it lacks": log_begins_with_the_hop},
}


# ---- what must be true on one of them ----

def processors_are_there(hop):
    expect_equal("processors of first and second", [s.text("nproc") for s in (hop.first, hop.second)], ["2", "2"])


def tpm_is_crb(hop):
    table = hop.first.files["TPM2"]
    expect_equal("start method of the ACPI TPM2 table", struct.unpack_from("<I", table, 48)[0], 7)


def misfits_are_refused(hop):
    for name, (_, line) in MISFITS.items():
        said = [hop.first.text(f"log-{name}.{end}") for end in ("status", "err", "out")]
        expect_equal(f"load with the log '{name}'", said, ["1", line, ""])


def memory_is_kept(hop):
    total = hop.machine.setup.get("memory_mib", vm.Setup.memory_mib) * 1024
    before, after = (int(s.text("meminfo").split()[1]) for s in (hop.first, hop.second))
    expect(0.85 * total < before < total and abs(before - after) < 8192,
           f"of {total} kB the first kernel has {before}, the second {after}")
    return f"{total} kB, MemTotal {before} and {after}"


def kernel_address(state):
    found = re.search(r"^\s*([0-9a-f]+)-[0-9a-f]+ : Kernel code", state.text("iomem"), re.MULTILINE)
    expect(found, "no 'Kernel code' in /proc/iomem")
    return int(found.group(1), 16)


def is_high(second):
    return kernel_address(second) >= 4 * GIB


def kernel_is_high(hop):
    address = kernel_address(hop.second)
    expect(is_high(hop.second), f"the kernel is at {address:#x}, in two boots")
    return f"kernel at {address:#x}"


def paging(first, second):
    def check(hop):
        expect_equal("5-level paging in first and second kernel",
                     ["la57" in s.text("flags").split() for s in (hop.first, hop.second)], [first, second])
    return check


def framebuffer_is_carried(hop):
    expect_equal("/proc/fb of the first", hop.first.text("fb"), "0 EFI VGA")
    expect_equal("/proc/fb of the second", hop.second.text("fb"), hop.first.text("fb"))
    lines = [[m for m in hop_checks.messages(s) if m.startswith("efifb: ") and " at " in m or m.startswith("efifb: mode")]
             for s in (hop.first, hop.second)]
    expect(lines[0], "efifb says nothing in the first kernel")
    expect_equal("what efifb says", lines[1], lines[0])


def roms(state):
    return sorted(data for name, data in state.files.items() if name.startswith(SETUP_PCI))


def roms_are_carried(hop):
    """OVMF's PciIo had them, the first kernel's stub made SETUP_PCI of them."""
    found = [data for data in roms(hop.first) if data[ROM_AT:] == ROM.read_bytes()]
    expect(len(found) == 1 and struct.unpack_from("<HH", found[0]) == (0x8086, 0x100e), "the first kernel has not e1000's")
    expect_equal("ROMs in setup_data", [data.hex() for data in roms(hop.second)], [data.hex() for data in roms(hop.first)])
    expect(hop.first.text("roms"), "no ROM can be read from a device")
    expect_equal("ROMs that devices show", hop.second.text("roms"), hop.first.text("roms"))
    return f"{len(roms(hop.first))} ROMs, {sum(map(len, roms(hop.first)))} bytes"


def runtime_services_stay_off(hop):
    """What the second kernel shows comes from the overlay alone and can't be added to."""
    expect("runtime-map" not in hop.first.text("efi").split(), "the first kernel has runtime services")
    names = hop.second.text("efivars/names").split()
    expect(any(name.startswith("LoaderImageIdentifier-") for name in names), f"efivarfs has {names}")
    foreign = [name for name in names if not name.startswith(("Loader", "Stub", "Mkexec"))]
    expect(not foreign, f"efivarfs has {foreign}")
    expect("MkexecTest" not in hop.second.efivars and hop.second.text("efivarfs") != "works",
           "a variable could be written without firmware")


def smbios_is_there(hop):
    expect_equal("SMBIOS", hop.second.text("smbios"), hop.first.text("smbios"))
    expect_equal("system's vendor", hop.second.text("smbios").splitlines()[1:], ["QEMU"])


def efi_is_ours_alone(hop):
    """A BIOS leaves no EFI: nothing of it is missed, and the second kernel sees the emulated boot's."""
    expect_equal("/sys/firmware/efi of the first", hop.first.text("efi"), "")
    expect_equal("what predict did without", hop.prediction["missing"], "")
    runtime_services_stay_off(hop)
    expect("LoaderDevicePartUUID" in hop.second.efivars, f"B doesn't know its partition: {sorted(hop.second.efivars)}")


def status_is_true(hop):
    for state, boots in ((hop.first, 1), (hop.second, 2)):
        status = json.loads(state.files["status.out"])
        expect_equal(f"status in boot {boots}", (status["verdict"], status["boots"], status["first_boot_in_log"]),
                     ("ok", boots, True))


def area_is_reserved(hop):
    """In the first kernel's memory map; there the trampoline couldn't write it."""
    size, start = struct.unpack_from("<IQ", hop.first.files["TPM2"], 64)
    rows = [line.split(None, 2) for line in hop.first.text("memmap").splitlines()]
    expect(size and any(kind == "Reserved" and int(first, 16) <= start and start + size <= int(last, 16) + 1
                        for first, last, kind in rows), f"QEMU's BIOS has its log area elsewhere: {start:#x}, {rows}")


def area_is_nvs(hop):
    rows = [line.split(None, 2) for line in hop.first.text("memmap").splitlines()]
    expect(any(kind == "ACPI Non-volatile Storage" and int(start, 16) <= AREA_PAGE * PAGE
               and (AREA_PAGE + AREA_PAGES) * PAGE <= int(end, 16) + 1 for start, end, kind in rows),
           "OVMF has its S3 pages elsewhere")
    table = hop.second.files["TPM2"]
    expect_equal("log area in the ACPI TPM2 table", struct.unpack_from("<IQ", table, 64), (hop.machine.laml, hop.machine.lasa))


def log_is_in_the_area(hop):
    """All of the area was written, with the log and zeros, and not a byte beside it."""
    area_is_nvs(hop) if hop.machine.efi else area_is_reserved(hop)
    page, pages = hop.machine.area
    area, start = hop.second.files["area"], hop.machine.lasa - page * PAGE
    end = start + hop.machine.laml
    expect_equal("size of what was read", len(area), pages * PAGE)
    expect_equal("the area", area[start:end].hex(), hop.second.log.ljust(hop.machine.laml, b"\0").hex())
    expect(area[:start] == PATTERN * start, "bytes before the area were written")
    expect(area[end:] == PATTERN * (len(area) - end), "bytes behind the area were written")


def small_area_lost_its_header(hop):
    area_is_nvs(hop)
    area, start = hop.second.files["area"], hop.machine.lasa - AREA_PAGE * PAGE
    expect(len(hop.second.log) > hop.machine.laml, "the log would fit")
    expect(area[:start] == PATTERN * start, "bytes before the area were written")
    expect(not any(area[start:start + 64]), "the area's header is still there")
    expect(area[start + 64:] == PATTERN * (len(area) - start - 64), "bytes behind the header were written")


def log_comes_without_an_area(hop):
    table = hop.second.files["TPM2"]
    expect_equal("length of the ACPI TPM2 table", (len(table), struct.unpack_from("<I", table, 4)[0]), (64, 64))
    expect(any("TPMEventLog=0x" in line for line in hop_checks.messages(hop.second)), "the kernel saw no EFI table with a log")


def sources_are_missing(hop):
    """The dry runs: each works from another source or ends with its one line, and none predicts anything else."""
    for name, (status, line) in SOURCES.items():
        said = [hop.first.text(f"without-{name}.{end}") for end in ("status", "err")]
        expect_equal(f"load without {name}", [said[0], re.sub(r"0x[0-9a-f]+", "*", said[1])], [str(status), line])
        if status == 0:
            expect_equal(f"PCR 8 without {name}", hop.first.text(f"without-{name}.out"), hop.first.text("without-nothing.out"))
    expect(hop.first.text("without-nothing.out").startswith("sha"), "load --dry-run said nothing")


def sources_were_hidden(hop):
    expect_equal("/sys/firmware/memmap at the hop", hop.first.text("memmap-hidden"), "")
    expect(hop.first.text("iomem-hidden").startswith("00000000-00000000 : "), "/proc/iomem was readable")
    expect(hop.first.text("memmap") and hop.second.text("memmap"), "the kernels have no map themselves")


def small_pages_are_zero(hop):
    """A segment of kexec's is whole pages; so all of the area is zero, and not a byte beside it."""
    area_is_reserved(hop)
    area, start = hop.second.files["area"], hop.machine.lasa - BIOS_AREA_PAGE * PAGE
    expect(len(hop.second.log) > hop.machine.laml, "the log would fit")
    expect_equal("the area and what is around it", area.hex(),
                 (PATTERN * start + bytes(hop.machine.laml)).ljust(BIOS_AREA_PAGES * PAGE, PATTERN).hex())


# ---- machines that can't ----

def is_refused(outcome, machine):
    first = outcome.state("first")
    said = first.text("load.err").splitlines()
    expect_equal(f"exit code of load ({first.text('load.err')})", first.text("load.status"), "1")
    expect(said and said[-1].startswith("mkexec: ") and re.search(machine.refused, said[-1]), f"load said: {said}")
    expect_equal("/sys/kernel/kexec_loaded", first.text("load.loaded"), "0")
    left = set(first.text("load.left").split()) & {"image", "state.json", "journal"}
    expect(not left, f"load left {left}")
    expect_equal("PCRs after load", results.parse_pcrs(first.text("pcrs-loaded")), first.pcrs)
    expect("Out of memory: Killed" not in outcome.console, "the kernel ran out of memory")
    return said[-1]


def only(bank):
    return scene.Configuration("252", "6.1", (bank,))


# A BIOS that measures nothing and leaves the log area empty.
SILENT_BIOS = {"bios": "qboot.rom"}

CONFIGURATIONS = (
    Machine("crb-smp", "tpm-crb and two processors, 512 MB", scene.Configuration("252", "6.1", BANKS, "crb"),
            setup={"processors": 2, "memory_mib": 512},
            files={f"scripts/log-{name}": misfit_log(algorithms) for name, (algorithms, _) in MISFITS.items()},
            checks={"load refuses logs that don't fit the TPM's banks": misfits_are_refused,
                    "both processors run": processors_are_there, "the TPM is a CRB": tpm_is_crb,
                    "both have all of 512 MB": memory_is_kept}),
    # KASLR takes the address from all memory, so that a kernel below 4 GB is one of some thirty.
    Machine("high", "5 GB, all but 256 MB above 4 GB; LA57 to four levels", only("sha384"), parts=scene.Parts(words_b="no5lvl"),
            wanted=is_high,
            setup={"memory_mib": 5120, "machine": ",max-ram-below-4g=256M"},
            checks={"the kernel is above 4 GB": kernel_is_high, "both have all of 5 GB": memory_is_kept,
                    "variables work": variables_work, "B has four levels": paging(True, False)}),
    Machine("vga", "a framebuffer; PCI ROMs; four levels to LA57", parts=scene.Parts(words_a="no5lvl"),
            setup={"vga": "std", "devices": (f"e1000,romfile={ROM}",)},
            checks={"ROMs in setup_data are handed on": roms_are_carried,
                    "efifb stands on the same framebuffer": framebuffer_is_carried, "variables work": variables_work,
                    "B has five levels": paging(False, True)}),
    Machine("noruntime", "efi=noruntime in the first kernel", only("sha1"), parts=scene.Parts(words_a="efi=noruntime"),
            checks={"efivarfs shows B's boot and nothing else": runtime_services_stay_off}),
    Machine("acpi-small", "an ACPI log area that the log doesn't fit", only("sha512"), parts=RELAXED, lasa=AREA, laml=PAGE,
            checks={"the area lost its header and nothing else": small_area_lost_its_header}),
    Machine("acpi-unaligned", "an unaligned ACPI log area", parts=RELAXED, lasa=AREA + 0x345, laml=9001,
            checks={"the log is in the area, nothing beside it was written": log_is_in_the_area}),
    Machine("sources", "an ACPI table without log area; sources of facts are missing", parts=RELAXED, lasa=0, table_bytes=64,
            files={"scripts/hide-sources": b"yes\n"}, setup={"deadline_seconds": 2 * vm.DEADLINE_SECONDS},
            checks={"load does without a source or names it": sources_are_missing,
                    "memmap and iomem were hidden at the hop": sources_were_hidden,
                    "B has as much memory": memory_is_kept, "variables work": variables_work,
                    "the log comes by the EFI table": log_comes_without_an_area}),
    # QEMU's BIOS has the log area in memory that its map calls reserved: it becomes a segment of kexec's.
    Machine("bios", "a first kernel without EFI", efi=False,
            checks={"SMBIOS is there as before": smbios_is_there, "the log area is reserved memory": area_is_reserved,
                    "efivarfs shows B's boot and nothing else": efi_is_ours_alone,
                    "status says what is so in both kernels": status_is_true}),
    Machine("bios-area", "without EFI, a log area of some reserved pages", parts=RELAXED, setup=BIOS_SETUP, efi=False,
            lasa=BIOS_AREA, laml=3 * PAGE, checks={"the log is in the area, nothing beside it was written": log_is_in_the_area}),
    Machine("bios-small", "without EFI, a log area that the log doesn't fit", scene.Configuration("252", "6.1", BANKS),
            parts=RELAXED, setup=BIOS_SETUP, efi=False, lasa=BIOS_AREA, laml=PAGE,
            checks={"the area is zero and nothing else": small_pages_are_zero}),
    Machine("bios-unaligned", "without EFI, a log area that begins inside a reserved page", parts=RELAXED,
            setup=BIOS_SETUP, efi=False, lasa=BIOS_AREA + 0x80, laml=2 * PAGE, refused=r"log area .* whole pages"),
    Machine("bios-no-log", "without EFI and without an event log", setup=SILENT_BIOS, efi=False, has_log=False,
            files={"scripts/extend": b"0\n"},
            checks={"SMBIOS is there as before": smbios_is_there}),
    Machine("bios-no-log-extended", "the same, and somebody extended PCR 8", setup=SILENT_BIOS, efi=False, has_log=False,
            files={"scripts/extend": b"8\n"}, refused=r"PCR 8 \(sha256\) isn't what the event log says"),
    Machine("too-large", "512 MB and an initrd of 60 MB", parts=scene.Parts(filler_bytes=60 << 20),
            refused=r"B\.efi"),
)


def run(tally, folder, machine):
    title = f"{machine.name} ({machine.what}; {machine.configuration})"
    place = scene.Scene(folder, machine.configuration, "machine-first", "machine-second", tally.say, machine.parts)
    scripts = {"area": "{} {}\n".format(*machine.area)} if machine.lasa else {}
    table = tpm2_table(machine.lasa, machine.laml, machine.table_bytes) if machine.lasa is not None else b""
    payload = place.payload("payload", {"bin/mkexec": scene.program()}, scripts, {**machine.files, "scripts/TPM2": table})
    start = place.run if machine.efi else place.run_without_efi
    outcome = start("hop", payload, **machine.setup)
    if machine.wanted and not machine.wanted(outcome.state("second")):
        tally.say(f"{machine.name}: the second kernel's KASLR chose another place than this machine is for; once more")
        outcome = start("again", payload, **machine.setup)
    if machine.refused:
        tally.check(f"{title}: load is refused and leaves nothing", is_refused, outcome, machine)
        return
    hop = Hop(machine, place, outcome, outcome.state("first"), outcome.state("second"))
    for check, function in {**CHECKS, **LOG_CHECKS[machine.has_log], **machine.checks}.items():
        tally.check(f"{title}: {check}", function, hop)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""One hop on machines that aren't the usual one: another TPM interface, more memory and processors, graphics, other
paging modes, and first kernels whose firmware or ACPI tables lack something. Run by --full.
"""

import json
import re
import struct
from dataclasses import dataclass, field

import eventlog
import hop_checks
import results
import scene
from tally import expect, expect_equal

GIB, PAGE = 1 << 30, 4096
STANDARD = scene.Configuration("252", "6.1", ("sha256",))
# OVMF keeps these pages for S3 and has them in its memory map as ACPI NVS; on a machine that never sleeps nobody
# uses them, so an event log area can be there. The first page and the last are there to be left alone.
AREA_PAGE, AREA_PAGES = 0x81f, 8
AREA, PATTERN = (AREA_PAGE + 1) * PAGE, b"Z"
# What lets a root shell write there and to ACPI tables through /dev/mem.
RELAXED = scene.Parts("iomem=relaxed", "iomem=relaxed")


@dataclass(frozen=True)
class Machine:
    """`lasa` and `laml`: log area that the first kernel's script writes into the ACPI TPM2 table; None leaves it."""
    name: str
    what: str
    configuration: scene.Configuration = STANDARD
    parts: scene.Parts = scene.Parts()
    setup: dict = field(default_factory=dict)
    efi: bool = True
    lasa: int = None
    laml: int = 0
    refused: str = ""
    checks: dict = field(default_factory=dict)


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


def tpm2_table(lasa, laml):
    """QEMU's table for tpm-tis with another log area. TCG ACPI Specification 1.2, table 7."""
    body = struct.pack("<HHQI12sIQ", 0, 0, 0, 6, b"", laml, lasa)
    table = bytearray(struct.pack("<4sIBB6s8sI4sI", b"TPM2", 36 + len(body), 4, 0, b"BOCHS ", b"BXPC    ", 1, b"BXPC", 1) + body)
    table[9] = -sum(table) & 0xff
    return bytes(table)


# ---- what must be true on all of them ----

def hop_was_loaded(hop):
    for verb in ("predict", "load"):
        expect_equal(f"exit code of {verb} ({hop.first.text(verb + '.err')})", hop.first.text(f"{verb}.status"), "0")
    expect_equal("PCRs after load", results.parse_pcrs(hop.first.text("pcrs-loaded")), hop.first.pcrs)


def log_is_right(hop):
    expect(hop.first.log and hop.second.log.startswith(hop.first.log), "it does not begin with the first kernel's log")
    hop_checks.log_replays(hop.second)
    hop_checks.mkexec_accepts_log(hop.second, boots=2)


def dmesg_is_clean(hop):
    hop_checks.dmesg_is_clean(hop.second, hop.first)


def another_hop_is_possible(hop):
    expect_equal(f"exit code of load --dry-run in B ({hop.second.text('again.err')})", hop.second.text("again.status"), "0")


def variables_work(hop):
    expect_equal("a variable written and read back", hop.second.text("efivarfs"), "works")


CHECKS = {
    "load and predict agree to it, the TPM is only read": hop_was_loaded,
    "B came up with its own command line, initrd and kernel": hop_checks.came_up,
    "PCR 8 reads what predict said": hop_checks.prediction_holds,
    "all other PCRs are unchanged": hop_checks.other_pcrs_unchanged,
    "PCR 11 got the open event and nothing else": hop_checks.closed_pcrs_got_open_only,
    "the second kernel's log goes on from the first's and replays": log_is_right,
    "dmesg has no trouble that A's hasn't": dmesg_is_clean,
    "another hop could follow": another_hop_is_possible,
}


# ---- what must be true on one of them ----

def processors_are_there(hop):
    expect_equal("processors of first and second", [s.text("nproc") for s in (hop.first, hop.second)], ["2", "2"])


def tpm_is_crb(hop):
    table = hop.first.files["TPM2"]
    expect_equal("start method of the ACPI TPM2 table", struct.unpack_from("<I", table, 48)[0], 7)


def kernel_address(state):
    found = re.search(r"^\s*([0-9a-f]+)-[0-9a-f]+ : Kernel code", state.text("iomem"), re.MULTILINE)
    expect(found, "no 'Kernel code' in /proc/iomem")
    return int(found.group(1), 16)


def kernel_is_high(hop):
    address = kernel_address(hop.second)
    expect(address >= 4 * GIB, f"the kernel is at {address:#x}")
    before, after = (int(s.text("meminfo").split()[1]) for s in (hop.first, hop.second))
    expect(abs(before - after) < 8192, f"MemTotal was {before} kB and is {after} kB")
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


def runtime_services_stay_off(hop):
    """What the second kernel shows comes from the overlay alone and can't be added to."""
    expect("runtime-map" not in hop.first.text("efi").split(), "the first kernel has runtime services")
    names = hop.second.text("efivars/names").split()
    expect(any(name.startswith("LoaderImageIdentifier-") for name in names), f"efivarfs has {names}")
    foreign = [name for name in names if not name.startswith(("Loader", "Stub", "Mkexec"))]
    expect(not foreign, f"efivarfs has {foreign}")
    expect("MkexecTest" not in hop.second.efivars and hop.second.text("efivarfs") != "works",
           "a variable could be written without firmware")


def area_is_nvs(hop):
    rows = [line.split(None, 2) for line in hop.first.text("memmap").splitlines()]
    expect(any(kind == "ACPI Non-volatile Storage" and int(start, 16) <= AREA_PAGE * PAGE
               and (AREA_PAGE + AREA_PAGES) * PAGE <= int(end, 16) + 1 for start, end, kind in rows),
           "OVMF has its S3 pages elsewhere")
    table = hop.second.files["TPM2"]
    expect_equal("log area in the ACPI TPM2 table", struct.unpack_from("<IQ", table, 64), (hop.machine.laml, hop.machine.lasa))


def log_is_in_the_area(hop):
    """All of the area was written, with the log and zeros, and not a byte beside it."""
    area_is_nvs(hop)
    area, start = hop.second.files["area"], hop.machine.lasa - AREA_PAGE * PAGE
    end = start + hop.machine.laml
    expect_equal("size of what was read", len(area), AREA_PAGES * PAGE)
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


CONFIGURATIONS = (
    Machine("crb-smp", "tpm-crb and two processors", scene.Configuration("252", "6.1", ("sha256",), "crb"),
            setup={"processors": 2}, checks={"both processors run": processors_are_there, "the TPM is a CRB": tpm_is_crb}),
    Machine("high", "5 GB, all but 256 MB above 4 GB; LA57 to four levels", parts=scene.Parts(words_b="no5lvl"),
            setup={"memory_mib": 5120, "machine": ",max-ram-below-4g=256M"},
            checks={"the kernel is above 4 GB": kernel_is_high, "variables work": variables_work,
                    "B has four levels": paging(True, False)}),
    Machine("vga", "a framebuffer; four levels to LA57", parts=scene.Parts(words_a="no5lvl"), setup={"vga": "std"},
            checks={"efifb stands on the same framebuffer": framebuffer_is_carried, "variables work": variables_work,
                    "B has five levels": paging(False, True)}),
    Machine("noruntime", "efi=noruntime in the first kernel", parts=scene.Parts(words_a="efi=noruntime"),
            checks={"efivarfs shows B's boot and nothing else": runtime_services_stay_off}),
    Machine("acpi-small", "an ACPI log area that the log doesn't fit", parts=RELAXED, lasa=AREA, laml=PAGE,
            checks={"the area lost its header and nothing else": small_area_lost_its_header}),
    Machine("acpi-unaligned", "an unaligned ACPI log area", parts=RELAXED, lasa=AREA + 0x345, laml=9001,
            checks={"the log is in the area, nothing beside it was written": log_is_in_the_area}),
    # QEMU's BIOS has the log area in memory that its map calls reserved; kexec's page tables don't reach it.
    Machine("bios", "a first kernel without EFI", efi=False, refused=r"log area .* isn't in ACPI memory"),
    Machine("too-large", "512 MB and an initrd of 60 MB", parts=scene.Parts(filler_bytes=60 << 20),
            refused=r"B\.efi"),
)


def run(tally, folder, machine):
    title = f"{machine.name} ({machine.what}; {machine.configuration})"
    place = scene.Scene(folder, machine.configuration, "machine-first", "machine-second", tally.say, machine.parts)
    scripts = {"area": f"{AREA_PAGE} {AREA_PAGES}\n"} if machine.lasa else {}
    files = {"scripts/TPM2": tpm2_table(machine.lasa, machine.laml)} if machine.lasa is not None else {}
    payload = place.payload("payload", {"bin/mkexec": scene.program()}, scripts, files)
    start = place.run if machine.efi else place.run_without_efi
    outcome = start("hop", payload, **machine.setup)
    if machine.refused:
        tally.check(f"{title}: load is refused and leaves nothing", is_refused, outcome, machine)
        return
    hop = Hop(machine, place, outcome, outcome.state("first"), outcome.state("second"))
    for check, function in {**CHECKS, **machine.checks}.items():
        tally.check(f"{title}: {check}", function, hop)

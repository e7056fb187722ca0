# SPDX-License-Identifier: LGPL-2.1-or-later
"""Six boots of one machine: firmware starts the first, five measured hops in a row start kernels of other versions
by other stubs. Each link must look as if it were the only one, and the last log must tell of all.
"""

import json
import os
import pathlib
import re
import shlex
import struct
from dataclasses import dataclass, field

import chain_twins
import eventlog
import hop_checks
import initrd
import log_twins
import overlay_record
import payloads
import results
import scene
import systemd_logs
import uki
import vm
from tally import expect, expect_equal


@dataclass(frozen=True)
class Link:
    """A boot. `stub` "" is a bare kernel that gets its initrd and command line from mkexec's options."""
    stub: str
    kernel: str

    def __str__(self):
        return f"{self.stub or 'no stub'}/{self.kernel}"


@dataclass(frozen=True)
class Configuration:
    name: str
    links: tuple
    banks: tuple = ("sha256",)

    def __str__(self):
        return " > ".join(map(str, self.links))


CONFIGURATIONS = (Configuration("diagonal", (
    Link("252", "6.1"), Link("254", "5.10"), Link("257", "6.12"), Link("262", "7.2"), Link("", "6.1"), Link("252", "6.1"))),)
# For kernel 5.10, which has no PCRs in sysfs.
TPM2 = pathlib.Path("/usr/bin/tpm2")
PAGE = 4096
# What EFI stubs themselves keep differs from version to version: the first hop of the diagonal keeps 2 pages less than
# the later ones. An overlay alone has 20.
SLACK_PAGES = 4
# Of MemTotal: the kernel rounds what it reserves beside the pages counted here.
SLACK_KIB = 128
KEPT = (7, b"of boot 1")


@dataclass
class Payload:
    """What one link is started from: files on the ESP, and what `mkexec load` is given."""
    link: Link
    number: int
    stub: object
    kernel: object
    cmdline: str
    marker: str
    path: str
    files: dict = field(default_factory=dict)
    arguments: tuple = ()


@dataclass
class Boot:
    payload: Payload
    state: object

    def __str__(self):
        return f"boot {self.payload.number} ({self.payload.link})"


@dataclass
class Chain:
    boots: list
    outcome: object

    @property
    def hops(self):
        """(boot before, boot after) of each hop."""
        return list(zip(self.boots, self.boots[1:]))

    @property
    def last(self):
        return self.boots[-1].state


def make_payload(number, link):
    """Raises Unavailable if stub or kernel can't be had in this very version."""
    stub = payloads.stub(link.stub, exact=True) if link.stub else None
    kernel = payloads.kernel(link.kernel, exact=True)
    marker, cmdline = f"initrd {number}", f"{scene.COMMAND_LINE} run=chain link={number}"
    image, path = initrd.build(kernel, marker), f"{scene.FOLDER_B}{number}.efi"
    payload = Payload(link, number, stub, kernel, cmdline, marker, path)
    if stub:
        payload.files[path] = uki.build(stub.path.read_bytes(), kernel.image.read_bytes(), image, cmdline,
                                        uki.os_release(f"link {number}", os.urandom(16)), kernel.release)
        payload.arguments = (f"/efi/{path}",)
    else:
        beside = f"{scene.FOLDER_B}{number}.initrd"
        payload.files.update({path: kernel.image.read_bytes(), beside: image})
        payload.arguments = ("--cmdline", cmdline, "--initrd", f"/efi/{beside}", f"/efi/{path}")
    return payload


def make_payloads(tally, title, place, links):
    """A, then those that can be had, numbered without gaps."""
    made = [Payload(links[0], 1, place.stub, place.kernel, place.cmdline_a, "initrd of A", scene.PATH_A)]
    for link in links[1:]:
        try:
            made.append(make_payload(len(made) + 1, link))
        except payloads.Unavailable as reason:
            tally.skip(f"{title}: link {link}", f"a payload is not available: {reason}")
    return made


# ---- what must be true ----

def all_came_up(chain):
    for boot in chain.boots:
        state, payload = boot.state, boot.payload
        expect_equal(f"/proc/cmdline of {boot}", state.text("cmdline"), payload.cmdline)
        expect_equal(f"marker of the initrd of {boot}", state.text("marker"), payload.marker)
        expect_equal(f"kernel of {boot}", state.text("uname"), payload.kernel.release)
    expect_equal("end of the last script", chain.outcome.frames.get("exit-chain"), b"0\n")


def predictions_came_true(chain):
    """Of the closed PCRs and PCR 8; the others are where they were, and load only reads."""
    for before, after in chain.hops:
        for verb in ("predict", "load"):
            said = before.state.text(f"{verb}.err")
            expect_equal(f"exit code of {verb} in {before} ({said})", before.state.text(f"{verb}.status"), "0")
        expect_equal(f"PCRs after load in {before}", results.parse_pcrs(before.state.text("pcrs-loaded")), before.state.pcrs)
        registers = json.loads(before.state.files["predict.out"])["registers"]
        for bank, pcrs in after.state.pcrs.items():
            wanted = {**before.state.pcrs[bank], **{int(pcr): values[bank] for pcr, values in registers.items()}}
            for row in (wanted, pcrs):
                row.update(dict.fromkeys((hop_checks.IMA_PCR, *systemd_logs.PCRS), ""))
            expect_equal(f"PCRs of {after}, {bank}", pcrs, wanted)
            expect(pcrs[8] != before.state.pcrs[bank][8], f"PCR 8 didn't move on the way to {after}")


def log_only_grows(chain):
    for before, after in chain.hops:
        expect(before.state.log, f"{before} has no log")
        expect(after.state.log.startswith(before.state.log), f"the log of {after} doesn't begin with that of {before}")
        expect(len(after.state.log) > len(before.state.log), f"the log of {after} has nothing more")
    return f"bytes: {', '.join(str(len(boot.state.log)) for boot in chain.boots)}"


def logs_are_right(chain):
    for number, boot in enumerate(chain.boots, 1):
        state = systemd_logs.left_out(boot.state)
        hop_checks.log_replays(state, but=systemd_logs.PCRS)
        hop_checks.mkexec_accepts_log(state, number)


def hops_are_numbered(chain):
    """By the events themselves and by what status says in each boot."""
    opens = [e for e in eventlog.parse(chain.last.log)[1] if log_twins.tag(e) == log_twins.TAG_OPEN and e.pcr == 8]
    numbers = list(range(1, len(chain.boots)))
    expect_equal("numbers in the open events", [struct.unpack_from("<I", e.data, 12)[0] for e in opens], numbers)
    for number, boot in enumerate(chain.boots, 1):
        status = json.loads(boot.state.files["status.out"])
        found = (status["verdict"], status["boots"], [(h["hop"], h["aborted"]) for h in status["hops"]])
        expect_equal(f"status in {boot}", found, ("ok", number, [(n, False) for n in numbers[:number - 1]]))


def of_systemd(state):
    return {name: value for name, value in state.efivars.items() if name.startswith(("Loader", "Stub"))}


def text(variable):
    return variable[1].decode("utf-16-le").rstrip("\0")


def variables_stay_true(chain):
    """What systemd's variables say is of this boot; of an earlier one nothing is left."""
    first = chain.boots[0].state
    for boot in chain.boots[1:]:
        found = of_systemd(boot.state)
        if not boot.payload.stub:
            expect_equal(f"variables of {boot}, which set none", sorted(found), [])
            continue
        expect_equal(f"LoaderImageIdentifier of {boot}", text(found["LoaderImageIdentifier"]).lower(),
                     "\\" + boot.payload.path.replace("/", "\\").lower())
        expect_equal(f"StubInfo of {boot}", text(found["StubInfo"]), f"systemd-stub {boot.payload.stub.version}")
        untrue = [name for name in hop_checks.HIDDEN_VARIABLES if name in found]
        expect(not untrue, f"{untrue} of {boot} would say that it was measured into the real PCRs")
        if boot.payload.link == chain.boots[0].payload.link:
            wanted = {name: value for name, value in of_systemd(first).items() if name not in hop_checks.HIDDEN_VARIABLES}
            expect_equal(f"names of {boot}", sorted(found), sorted(wanted))
    return "; ".join(f"{len(of_systemd(boot.state))} in {boot}" for boot in chain.boots)


def firmware_variables_stay(chain):
    """A variable of boot 1 and all that aren't systemd's or ours: firmware's are seen through every overlay."""
    def others(state):
        return sorted(n for n in state.text("efivars/names").split() if not n.startswith(("Loader", "Stub", "Mkexec")))

    for boot in chain.boots:
        expect_equal(f"MkexecKept in {boot}", boot.state.efivars.get("MkexecKept"), KEPT)
        expect_equal(f"names in efivarfs of {boot}", others(boot.state), others(chain.boots[0].state))


def memmap_bytes(state, name):
    rows = [line.split(None, 2) for line in state.text("memmap").splitlines()]
    return sum(int(end, 16) + 1 - int(start, 16) for start, end, kind in rows if kind == name)


def reserved_bytes(state):
    """Top-level rows of /proc/iomem that firmware's map doesn't give to the kernel and that lie in the machine's RAM."""
    rows = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) : (?:Reserved|ACPI Tables|ACPI Non-volatile Storage)$", state.text("iomem"),
                      re.MULTILINE)
    return sum(int(end, 16) + 1 - int(start, 16) for start, end in rows if int(start, 16) < vm.Setup.memory_mib << 20)


def memory_kib(state):
    return int(state.text("meminfo").split()[1])


def nothing_stacks_up(chain):
    """Each kernel lacks, of the RAM that the first one had, the pages that its own overlay's record lists and not one
    more. These are as many after the last hop as after the first, but for what the logs have grown."""
    first, second = chain.boots[0].state, chain.boots[1].state
    (n_regions, n_pages), notes = totals(second), []
    for number, boot in enumerate(chain.boots[1:], 1):
        regions, pages = totals(boot.state)
        lost = memmap_bytes(first, "System RAM") - memmap_bytes(boot.state, "System RAM")
        expect_equal(f"bytes of RAM that {boot} has less than boot 1", lost, pages * PAGE)
        expect_equal(f"bytes that /proc/iomem of {boot} has reserved more than boot 1's",
                     reserved_bytes(boot.state) - reserved_bytes(first), pages * PAGE)
        grown = sum(-(-(now - before) // PAGE) for now, before in zip(sizes(boot.state), sizes(second)))
        expect(pages <= n_pages + grown + SLACK_PAGES, f"{boot} has {pages} pages, the first hop had {n_pages}; the log grew by {grown}")
        expect(regions <= n_regions + 1, f"{boot} has {regions} regions, the first hop had {n_regions}")
        notes.append(f"{boot}: {pages} pages in {regions} regions, log {len(boot.state.log)} bytes, "
                     f"MemTotal {memory_kib(boot.state)} kB")
    return "\n".join(notes)


def sizes(state):
    """Bytes of the event log, and of systemd's on the way."""
    return len(state.log), len(state.efivars["MkexecSystemdLogs"][1])


def totals(state):
    """(regions, pages) of the overlay"""
    regions, _ = overlay_record.parse(state)
    return len(regions), sum(n for _, n in regions)


def same_kernels_have_the_same_memory(chain):
    """MemTotal, from kernel to kernel of one version: what the kernel itself takes is then equal."""
    found = {}
    for boot in chain.boots:
        found.setdefault(boot.payload.kernel.version, []).append(boot)
    notes = []
    for boots in found.values():
        for before, after in zip(boots, boots[1:]):
            pages = totals(after.state)[1] - (totals(before.state)[1] if before.payload.number > 1 else 0)
            lost = memory_kib(before.state) - memory_kib(after.state)
            expect(lost <= pages * PAGE // 1024 + SLACK_KIB, f"{after} has {lost} kB less than {before}, its overlay {pages} pages more")
            notes.append(f"from {before} to {after}: {lost} kB less, {pages} pages more")
    expect(notes, "no kernel was started twice")
    return "\n".join(notes)


def one_runtime_region_more(chain):
    """The kernel's map of runtime services has firmware's regions and one overlay, the record's first region."""
    wanted = set(chain.boots[0].state.text("runtime-map").splitlines())
    for boot in chain.boots[1:]:
        rows = boot.state.text("runtime-map").splitlines()
        added = [row.split() for row in rows if row not in wanted]
        (start, pages), *_ = overlay_record.parse(boot.state)[0]
        expect_equal(f"runtime regions of {boot} that boot 1 hasn't", [(row[1], row[3]) for row in added], [(hex(start), hex(pages))])
        expect_equal(f"number of runtime regions of {boot}", len(rows), len(wanted) + 1)
        versions = [name for name in boot.state.text("efivars/names").split() if name.startswith("MkexecOverlay-")]
        expect_equal(f"MkexecOverlay variables of {boot}", len(versions), 1)


def overlay_hides_what_was_shown(chain):
    """The names that an overlay hides are those which systemd's stubs of the boots before it set, no more."""
    seen = set()
    for before, after in chain.hops:
        seen |= {name for name in of_systemd(before.state) if name != "LoaderPcrSMBIOS"}
        expect_equal(f"names hidden in {after}", sorted(overlay_record.parse(after.state)[1]), sorted(seen))
    return f"{len(seen)} names after the last hop"


def kernels_are_content(chain):
    for boot in chain.boots:
        hop_checks.dmesg_is_clean(boot.state, chain.boots[0].state)


CHECKS = {
    "each has its own command line, initrd and kernel": all_came_up,
    "each boot's prediction is what the next one's PCRs read": predictions_came_true,
    "each log begins with the log of the boot before": log_only_grows,
    "each log replays by tpm2_eventlog, checks and tells of its boots": logs_are_right,
    "hops are numbered 1, 2, 3 ..., and status counts them": hops_are_numbered,
    "systemd's EFI variables are those of each boot and of no earlier one": variables_stay_true,
    "firmware's EFI variables are seen in all": firmware_variables_stay,
    "overlays don't stack up: reserved pages": nothing_stacks_up,
    "overlays don't stack up: MemTotal": same_kernels_have_the_same_memory,
    "overlays don't stack up: runtime regions": one_runtime_region_more,
    "overlays don't stack up: hidden names": overlay_hides_what_was_shown,
    "dmesg of all has no trouble that a firmware boot hasn't": kernels_are_content,
}


def run(tally, folder, configuration):
    title = f"chain of {len(configuration.links)}"
    tally.say(f"{title}: {configuration}")
    first = configuration.links[0]
    place = scene.Scene(folder, scene.Configuration(first.stub, first.kernel, configuration.banks), "chain", "chain", tally.say)
    made = make_payloads(tally, title, place, configuration.links)
    place.esp_files = {path: data for payload in made for path, data in payload.files.items()}
    scripts = {f"next-{payload.number - 1}": shlex.join(payload.arguments) for payload in made[1:]}
    systemd, files = systemd_logs.available(tally, title)
    programs = {"bin/mkexec": scene.program(), "usr/bin/tpm2": TPM2, **systemd}
    outcome = place.run("chain", place.payload("payload", programs, scripts, files), deadline_seconds=1200)
    chain = Chain([Boot(payload, outcome.state(f"link-{payload.number}")) for payload in made], outcome)
    for check, function in CHECKS.items():
        tally.check(f"{title}: {check}", function, chain)
    for check, function in systemd_logs.CHECKS.items() if systemd else ():
        tally.check(f"{title}: {check}", function, chain)
    logs = [state.log for state in (chain.boots[0].state, chain.last)]
    for name in chain_twins.TWINS if len(made) >= 5 else ():
        tally.check(f"{title}: log check refuses: {name}", chain_twins.is_refused, logs, systemd_logs.left_out(chain.last).pcrs, name)

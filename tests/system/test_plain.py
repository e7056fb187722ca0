# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measured hops from kernels that a plain kexec started. Neither log nor PCR 8 knows of those; what mkexec says there
must not be more than it can know. Run by --full.
"""

import json
import re
from dataclasses import dataclass

import eventlog
import hop_checks
import log_twins
import overlay_record
import payloads
import results
import scene
from tally import expect, expect_equal

PAGE = 4096
HOP_PCRS = (8, 11)
PLAIN_SAYS = "started by a kexec that the event log doesn't tell of"


@dataclass(frozen=True)
class Configuration:
    """`turns`: what each boot does, see guest/plain."""
    name: str
    what: str
    turns: tuple
    kernel: scene.Configuration = scene.Configuration("252", "6.1", ("sha256",))


@dataclass
class Boot:
    """`by` is the turn that started it: "firmware", "kexec", "noefi" or "hop"."""
    number: int
    by: str
    turn: str
    state: object

    def __str__(self):
        return f"boot {self.number} (by {self.by})"

    @property
    def is_plain(self):
        return self.by in ("kexec", "noefi")

    @property
    def status(self):
        return json.loads(self.state.files["status.out"])


@dataclass
class Story:
    scene: object
    boots: list
    outcome: object

    def steps(self, *by):
        """(boot before, boot after) where the second was started so."""
        return [pair for pair in zip(self.boots, self.boots[1:]) if pair[1].by in by]


CONFIGURATIONS = (
    Configuration("efi", "kexec -c before and between hops, then one without EFI",
                  ("kexec", "hop", "kexec", "hop", "noefi", "hop", "end")),
    Configuration("noefi", "kexec -c without EFI and log, then a hop", ("noefi", "hop", "end")),
)


def without_ima(pcrs):
    return {bank: {**row, hop_checks.IMA_PCR: ""} for bank, row in pcrs.items()}


def all_came_up(story):
    for boot in story.boots:
        words = boot.state.text("cmdline").split()
        expect(boot.number == 1 or f"boot={boot.number}" in words, f"/proc/cmdline of {boot} is {' '.join(words)}")
        expect_equal(f"marker of {boot}", boot.state.text("marker"), f"initrd of {'B' if boot.by == 'hop' else 'A'}")
    expect_equal("end of the last script", story.outcome.frames.get("exit-plain"), b"0\n")


def plain_kexec_is_invisible(story):
    """So says the reference of what today's kexec does; only IMA's own PCR moves."""
    for before, after in story.steps("kexec", "noefi"):
        expect_equal(f"PCRs of {after}", without_ima(after.state.pcrs), without_ima(before.state.pcrs))
        for bank, row in after.state.pcrs.items():
            expect(row[hop_checks.IMA_PCR] != before.state.pcrs[bank][hop_checks.IMA_PCR], f"PCR 10 didn't move in {after}")


def mkexec_says_so(story):
    """status and load where a plain kexec started the kernel, and nowhere else."""
    notes = []
    for boot in story.boots:
        expect_equal(f"unlogged_kexec in {boot}", boot.status["unlogged_kexec"], boot.is_plain)
        expect_equal(f"whether 'status' says '{PLAIN_SAYS}' in {boot}", PLAIN_SAYS in boot.state.text("words.out"), boot.is_plain)
        if boot.turn == "hop":
            expect_equal(f"whether load warns in {boot}", PLAIN_SAYS in boot.state.text("load.err"), boot.is_plain)
            notes.append(boot.state.text("load.err"))
    return "\n".join(notes)


def predictions_came_true(story):
    for before, after in story.steps("hop"):
        for verb in ("predict", "load"):
            expect_equal(f"exit code of {verb} in {before} ({before.state.text(verb + '.err')})",
                         before.state.text(f"{verb}.status"), "0")
        expect_equal(f"PCRs after load in {before}", results.parse_pcrs(before.state.text("pcrs-loaded")), before.state.pcrs)
        registers = json.loads(before.state.files["predict.out"])["registers"]
        for bank, row in after.state.pcrs.items():
            wanted = {**before.state.pcrs[bank], **{pcr: registers[str(pcr)][bank] for pcr in HOP_PCRS}}
            expect_equal(f"PCRs of {after}", without_ima({bank: row}), without_ima({bank: wanted}))


def logs_go_on(story):
    """The log of each kernel is that of the one before; a hop adds itself."""
    n_boots = 1
    for before, after in zip(story.boots, story.boots[1:]):
        n_boots += after.by == "hop"
        expect(before.state.log, f"{before} has no log")
        if after.is_plain:
            expect_equal(f"log of {after}", after.state.log.hex(), before.state.log.hex())
        expect(after.state.log.startswith(before.state.log), f"the log of {after} doesn't begin with that of {before}")
        hop_checks.log_replays(after.state)
        hop_checks.mkexec_accepts_log(after.state, n_boots)
        expect_equal(f"status in {after}", (after.status["verdict"], after.status["boots"], len(after.status["hops"])),
                     ("ok", n_boots, n_boots - 1))


def of_systemd(boot):
    return {name: value for name, value in boot.state.efivars.items() if name.startswith(("Loader", "Stub"))}


def stale_variables_end_with_the_hop(story):
    """A plain kexec leaves the variables of the boot before it; the hop behind it has its own."""
    for before, after in story.steps("kexec"):
        expect_equal(f"systemd's variables in {after}", of_systemd(after), of_systemd(before))
    expect("StubPcrKernelImage" in of_systemd(story.boots[1]), "the first plain kexec shows no StubPcrKernelImage")
    for _, after in story.steps("hop"):
        found = of_systemd(after)
        untrue = [name for name in hop_checks.HIDDEN_VARIABLES if name in found]
        expect(not untrue, f"{untrue} in {after}")
        identifier = found["LoaderImageIdentifier"][1].decode("utf-16-le").rstrip("\0")
        expect_equal(f"LoaderImageIdentifier in {after}", identifier.lower(), "\\" + scene.PATH_B.replace("/", "\\").lower())


def ram_bytes(boot):
    """Above 1 MiB: kexec-tools lets the very first entry begin at 0x400."""
    rows = [line.split(None, 2) for line in boot.state.text("memmap").splitlines()]
    spans = [(int(start, 16), int(end, 16) + 1) for start, end, kind in rows if kind == "System RAM"]
    return sum(end - start for start, end in spans if start >= 1 << 20)


def nothing_stacks_up(story):
    """A kernel lacks the pages of its own overlay, of the RAM that the first one had. Where a kernel without EFI stood
    between, it couldn't tell of the overlay before it, so that one's pages stay reserved as well."""
    first, second, third = (after for _, after in story.steps("hop"))
    pages = [sum(n for _, n in overlay_record.parse(boot.state)[0]) for boot in (first, second, third)]
    lost = [ram_bytes(story.boots[0]) - ram_bytes(boot) for boot in (first, second, third)]
    expect_equal("bytes of RAM lost", lost, [pages[0] * PAGE, pages[1] * PAGE, (pages[1] + pages[2]) * PAGE])
    return f"pages of the three overlays: {pages}"


def kernels_are_content(story):
    for boot in story.boots[1:]:
        hop_checks.dmesg_is_clean(boot.state, story.boots[0].state)


def nothing_is_known_before_the_hop(story):
    """Of the kernel without EFI and log: no verdict, and load says what will be missing."""
    _, plain, _ = story.boots
    expect_equal("size of the log", len(plain.state.log), 0)
    expect_equal("verdict, boots", (plain.status["verdict"], plain.status["boots"]), ("unknown", None))
    said = plain.state.text("load.err")
    expect("no TPM event log" in said, f"load said: {said}")
    return said


def hop_has_a_log_of_its_own(story):
    """It explains PCR 8 and claims nothing of what firmware measured."""
    _, plain, last = story.boots
    banks, events = eventlog.parse(last.state.log)
    expect_equal("first event", (log_twins.tag(events[0]), events[0].pcr), (log_twins.TAG_OPEN, 8))
    expect_equal("banks of the header", banks, sorted(last.state.pcrs))
    replayed = eventlog.replay(last.state.log)
    for bank, row in last.state.pcrs.items():
        expect_equal(f"PCR 8, {bank}", replayed[bank][8], row[8])
    status, words = last.status, last.state.text("words.out")
    expect_equal("verdict, boots, first_boot_in_log", (status["verdict"], status["boots"], status["first_boot_in_log"]),
                 ("mismatch", 2, False))
    expect(re.search(r"\bPCR 0\b", status["reason"]), f"reason: {status['reason']}")
    expect("measured by firmware" not in words, f"status says: {words}")
    return words


COMMON = {
    "all came up": all_came_up,
    "a plain kexec moves no PCR but IMA's": plain_kexec_is_invisible,
    "status and load say that a plain kexec started the kernel": mkexec_says_so,
    "each hop's prediction is what the PCRs read": predictions_came_true,
    "dmesg of all has no trouble that a firmware boot hasn't": kernels_are_content,
}
CHECKS = {
    "efi": {
        **COMMON,
        "logs go on, replay, check and count no plain kexec": logs_go_on,
        "EFI variables of the boot before a plain kexec are gone behind the hop": stale_variables_end_with_the_hop,
        "overlays don't stack up": nothing_stacks_up,
    },
    "noefi": {
        **COMMON,
        "without a log there is no verdict, and load says so": nothing_is_known_before_the_hop,
        "the hop's log explains the hop, and status claims no more": hop_has_a_log_of_its_own,
    },
}


def run(tally, folder, configuration):
    title = f"plain kexec ({configuration.what})"
    place = scene.Scene(folder, configuration.kernel, "plain", "plain", tally.say)
    programs = {"bin/mkexec": scene.program(), "bin/kexec": payloads.kexec_tools()}
    files = {"plain/kernel": place.kernel.image.read_bytes(), "plain/initrd": place.initrd_a}
    turns = {f"turn-{number}": turn for number, turn in enumerate(configuration.turns, 1)}
    outcome = place.run("plain", place.payload("payload", programs, turns, files), deadline_seconds=1200)
    by = ("firmware", *configuration.turns)
    boots = [Boot(number, by[number - 1], turn, outcome.state(f"boot-{number}"))
             for number, turn in enumerate(configuration.turns, 1)]
    for check, function in CHECKS[configuration.name].items():
        tally.check(f"{title}: {check}", function, Story(place, boots, outcome))

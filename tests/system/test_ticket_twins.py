# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who else would like to have a ticket, in machines with the encrypted disk of test_ticket.py: kernels that are nearly the
one that it is for, the first kernel's root, whoever switches the machine off and on, another machine's TPM, the TPM's owner.
Whatever they try, the disk stays as it is.
"""

import functools
import json
import pathlib
from dataclasses import dataclass

import initrd
import payloads
import power_cut
import scene
import test_ticket
import uki
from attempts import is_refused, tickets, worked
from tally import expect, expect_equal
from test_ticket import NV_INDEX, sum_of

KERNEL = scene.Configuration("252", "6.1", ("sha256",))
PROFILE_STUB = "262"
CHECKSUM = 64  # in the PE optional header; the one field that neither Authenticode nor the stub measures
MARK_EXEC = 17
EXTENDS_DONE = 9
NO_FILE = "No such file"


@dataclass(frozen=True)
class Configuration:
    name: str
    what: str
    only_full: bool = False


@dataclass(frozen=True)
class Other:
    """A kernel that is nearly B: what `mkexec load` gets, and what shows in it that it runs (file of the state, word)."""
    name: str
    arguments: str
    shows: tuple = ()


@dataclass
class Story:
    scene: object
    outcome: object
    disk: pathlib.Path
    outcomes: dict

    def state(self, name):
        return self.outcome.state(name)

    @property
    def first(self):
        return next(o.state(name) for o in (self.outcome, *self.outcomes.values()) for name in ("first", "boot-1")
                    if name in o.frames)


CONFIGURATIONS = (
    Configuration("others", "kernels that are nearly B, and the TPM's owner"),
    Configuration("by-hand", "the first kernel's root"),
    Configuration("power", "a loss of power in exec, and another TPM"),
)
OTHERS = (
    Other("another command line", '--cmdline "{cmdline} own=1" /efi/EFI/Linux/B.efi', ("cmdline", "own=1")),
    Other("another initrd", "/efi/EFI/Linux/initrd.efi", ("marker", "initrd of nobody")),
    Other("one changed bit", "/efi/EFI/Linux/byte.efi"),
    Other("another profile", "--profile other /efi/EFI/Linux/B.efi"),
)


class OthersScene(scene.Scene):
    """B's stub is one that knows profiles."""

    def __init__(self, folder, say):
        self.stub_b = payloads.stub(PROFILE_STUB)
        super().__init__(folder, KERNEL, "ticket-others", "ticket-others", say)
        byte = bytearray(self.uki_b)
        byte[uki.Sections(byte).optional + CHECKSUM] ^= 1
        nobody = initrd.build(self.kernel, "initrd of nobody")
        self.esp_files = {f"{scene.FOLDER_B}initrd.efi": self.build("B", nobody, self.cmdline_b, self.os_release),
                          f"{scene.FOLDER_B}byte.efi": bytes(byte)}

    def build(self, name, initrd_image, cmdline, os_release=None):
        if name == "A":
            return super().build(name, initrd_image, cmdline)
        self.os_release = os_release or uki.os_release(name, scene.RANDOM_A)
        rows = ((".osrel", self.os_release), (".cmdline", cmdline.encode()), (".uname", self.kernel.release.encode()),
                (".initrd", initrd_image), (".linux", self.kernel.image.read_bytes()),
                (".profile", b"ID=main\n"), (".profile", b"ID=other\n"))
        return uki.append(self.stub_b.path.read_bytes(), rows)


# ---- checks of all ----

def the_disk_is_as_it_was(story):
    expect_equal("sum of the disk", sum_of(story.disk), story.first.text("disk").split()[0])


def no_file(state, name="got"):
    expect(NO_FILE in state.text(name), f"the get that failed left {state.text(name)}")


def states_of(state, name):
    return [(index, kind) for _, index, kind in tickets(state, name)]


# ---- others ----

def predicted(state, name):
    return state.text(f"{name}.out").split()[-1]


def is_shut(story, number, other):
    before, state = story.state(f"boot-{number}"), story.state(f"boot-{number + 1}")
    worked(before, "by-passphrase", "load", "load-twin")
    expect_equal("tickets beside the other load", tickets(before, "list-loaded"), [("root", NV_INDEX, "waiting")])
    expect(predicted(before, "load") != predicted(before, "load-twin"), "PCR 8 is predicted alike for both")
    expect_equal("PCR 8", state.pcrs["sha256"][8], predicted(before, "load-twin"))
    if other.shows:
        file, word = other.shows
        expect(word in state.text(file), f"{file} is {state.text(file)}")
    expect_equal("tickets", states_of(state, "list"), [(NV_INDEX, "other-pcrs")])
    no_file(state)
    return is_refused(state, "get", "1", "other PCR values", f"PCR 8, bank sha256 reads {state.pcrs['sha256'][8]}")


def b_opens_it(story):
    number = len(OTHERS) + 1
    before, state = story.state(f"boot-{number}"), story.state(f"boot-{number + 1}")
    worked(before, "load")
    expect_equal("PCR 8", state.pcrs["sha256"][8], predicted(before, "load"))
    worked(state, "get", "open")
    expect_equal("sum of the file on the disk", state.text("open.out"), story.first.text("make-disk.out").splitlines()[-1])


def last(story):
    return story.state(f"boot-{len(OTHERS) + 2}")


def exec_misses_what_was_swapped(story):
    before = story.state(f"boot-{len(OTHERS) + 1}")
    said = is_refused(before, "exec-swapped", "1", "ticket 'other-attributes' of what is loaded isn't as 'ticket put' leaves one",
                      "'mkexec load' again")
    status = json.loads(before.files["status-swapped.out"])
    expect_equal("what status says is missing", status["tickets_missing"], ["other-attributes", "unlocked", "never-written"])
    expect(status["exec_refused"] in said, f"status says that exec would refuse for: {status['exec_refused']}")
    worked(before, "load-elsewhere")
    return said


def what_the_owner_swapped_is_refused(story):
    said = [is_refused(last(story), f"get-{name}", "1", "0x01a10100", "isn't as 'ticket put' leaves one")
            for name in ("other-attributes", "unlocked", "never-written")]
    expect_equal("tickets", states_of(last(story), "list"), [
        (NV_INDEX, "ready"), (0x01a10100, "foreign"), (0x01a20100, "unfinished"), (0x01a30100, "empty"), (0x01a40100, "ready")])
    return said[0]


def the_same_index_with_other_contents_is_taken(story):
    """By nothing that the TPM tells: docs/tickets.md says so. The disk knows its key."""
    worked(last(story), "get-other-contents")
    expect_equal("what it has", last(story).text("other-contents"), "a key of the owner's")
    expect(last(story).text("open-wrong.status") != "0", "the disk opens with it")


def the_bus_has_ciphertext(story):
    """What the owner's tpm2_nvwrite sends is seen there; the disk's key isn't, which is put for each kernel and taken once."""
    bus = story.outcome.tpm.bus()
    expect(any(b"a key of the owner's" in data for data in bus), "the owner's key isn't on the bus: this check can't tell")
    expect(not any(story.first.files["key"] in data for data in bus), "the key was on the bus")


# ---- by hand ----

def something_else_was_extended(story):
    first = story.first
    worked(first, "load", "foreign")
    is_refused(first, "get-foreign", "1", "other PCR values", "it will read")
    said = is_refused(first, "exec-foreign", "1", "PCR 8", "load again")
    expect_equal("tickets after that exec", tickets(first, "list-foreign"), [])
    is_refused(first, "load-unexplained", "1", "--accept-log-gaps")
    return said


def all_but_one_are_not_enough(story):
    first = story.first
    worked(first, "load-hand", "all-but-last")
    expect(len(first.text("steps").splitlines()) > 10, f"events of the hop: {first.text('steps')}")
    no_file(first)
    return is_refused(first, "get-most", "1", "other PCR values", "PCR 8, bank sha256 reads", "PCR 14, bank sha256 reads",
                      "it will read")


def all_of_them_are(story):
    """The threat model's sentence: whoever may extend PCR 8 can read the ticket."""
    first = story.first
    worked(first, "last", "get-all", "open")
    expect_equal("what root got", first.files["got-all"], first.files["key"])
    expect_equal("sum of the file on the disk", first.text("open.out"), first.text("make-disk.out").splitlines()[-1])


def load_warns_of_pcrs(story):
    said = story.first.text("load-hand.err")
    expect("PCR 14" in said and "os-separator" in said, f"load said: {said}")


# ---- power ----

def it_was_in_the_middle(story):
    outcome = story.outcomes["off"]
    commands = outcome.commands[max(i for i, c in enumerate(outcome.commands)
                                    if c.name == "GetRandom" and c.random_bytes == MARK_EXEC):]
    extends = [c for c in commands if c.name == "PCR_Extend"]
    planned = len(story.state_after("on").text("steps").splitlines())
    expect_equal("extends that the TPM did", len(extends), EXTENDS_DONE)
    expect(planned > EXTENDS_DONE, f"the hop has {planned} events")
    expect_equal("tickets before", tickets(story.first, "list"), [("root", NV_INDEX, "waiting")])
    return f"after {EXTENDS_DONE} of {planned} extends"


@dataclass
class PowerStory(Story):
    def state_after(self, name):
        return self.outcomes[name].state("after")

    def memory(self, name):
        return self.outcomes[name].tpm.memory.read_bytes()


def it_counts_as_unwritten(story):
    after = story.state_after("on")
    expect_equal("tickets", states_of(after, "list"), [(NV_INDEX, "empty")])
    worked(after, "predict", "all-but-last", "last")
    wanted = json.loads(after.files["predict.out"])["registers"]["8"]["sha256"]
    expect_equal("PCR 8, by hand", [line for line in after.text("pcrs-extended").splitlines() if line.startswith("sha256 8 ")],
                 [f"sha256 8 {wanted}"])
    no_file(after)
    return is_refused(after, "get", "1", "another power cycle")


def what_is_left_goes(story):
    worked(story.state_after("on"), "drop")
    expect_equal("tickets after drop --left", tickets(story.state_after("on"), "list-dropped"), [])
    key = story.first.files["key"]
    expect(key in story.memory("off"), "the TPM's file hasn't the key while the ticket is there: this check can't tell")
    expect(key not in story.memory("on"), "the TPM's file still has the key")


def another_tpm_has_none(story):
    after = story.state_after("other")
    expect_equal("tickets", tickets(after, "list"), [])
    worked(after, "predict", "all-but-last", "last")
    no_file(after)
    return is_refused(after, "get", "2", "there is none at all")


CHECKS = {
    "others": {
        **{f"B with {other.name} doesn't get it": functools.partial(is_shut, number=number, other=other)
           for number, other in enumerate(OTHERS, 1)},
        "B itself does": b_opens_it,
        "what the owner put in a ticket's place isn't the ticket that exec wants": exec_misses_what_was_swapped,
        "what the owner put in a ticket's place is refused": what_the_owner_swapped_is_refused,
        "but for the same index with other contents, which the disk refuses": the_same_index_with_other_contents_is_taken,
        "no key went over the TPM's bus in the clear": the_bus_has_ciphertext,
    },
    "by-hand": {
        "after a foreign extend of PCR 8 neither get nor exec work, and the ticket goes": something_else_was_extended,
        "all events but the last aren't enough": all_but_one_are_not_enough,
        "with all events by hand root gets it, as the threat model says": all_of_them_are,
        "load warns of PCRs that move": load_warns_of_pcrs,
    },
    "power": {
        "the power went in the middle of exec": it_was_in_the_middle,
        "afterwards the ticket counts as unwritten, though PCR 8 reads as predicted": it_counts_as_unwritten,
        "its contents go with drop --left": what_is_left_goes,
        "another TPM has none": another_tpm_has_none,
    },
}


# ---- running ----

def run_others(place, disk, payload_of):
    arguments = [other.arguments.format(cmdline=place.cmdline_b) for other in OTHERS]
    turns = {f"turn-{n}": f"attempt load-twin elsewhere mkexec load --esp /efi {words}\n" for n, words in enumerate(arguments, 1)}
    turns[f"turn-{len(OTHERS) + 1}"] = "\n"
    return Story(place, place.run("ticket", payload_of(turns), disks=((disk, "luks"),), deadline_seconds=1500), disk, {})


def run_by_hand(place, disk, payload_of):
    return Story(place, place.run("ticket", payload_of(()), disks=((disk, "luks"),), deadline_seconds=1200), disk, {})


def run_power(place, disk, payload_of):
    payload, options = payload_of(()), {"disks": ((disk, "luks"),), "deadline_seconds": 480}
    off = place.run("off", payload, **options, power_cut=power_cut.PowerCut(MARK_EXEC, EXTENDS_DONE))
    place.first = "ticket-after"
    other = place.run("other", payload, **options)
    on = place.run("on", payload, shared=False, **options, tpm_before=off.tpm)
    return PowerStory(place, on, disk, {"off": off, "on": on, "other": other})


RUNS = {"others": run_others, "by-hand": run_by_hand, "power": run_power}


def make_scene(folder, configuration, say):
    if configuration.name == "others":
        return OthersScene(folder, say)
    return scene.Scene(folder, KERNEL, f"ticket-{configuration.name}", "ticket-second", say)


def run(tally, folder, configuration):
    title = f"ticket ({configuration.what})"
    place = make_scene(folder, configuration, tally.say)
    programs = test_ticket.programs("usr/bin/tpm2", "bin/cryptsetup")
    disk = test_ticket.new_disk(place)
    story = RUNS[configuration.name](
        place, disk, lambda scripts: place.payload("payload-ticket", programs, scripts, test_ticket.files(place.kernel)))
    for check, function in CHECKS[configuration.name].items():
        tally.check(f"{title}: {check}", function, story)
    tally.check(f"{title}: the disk is as it was", the_disk_is_as_it_was, story)

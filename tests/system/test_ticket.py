# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tickets in a machine with an encrypted disk. A opens it by a passphrase and leaves a key in a ticket, B opens it with
that and passes the key on, so does C. And one that nobody gets: B comes by a plain kexec, then the machine resets.
Who else would like to have one: test_ticket_twins.py.
"""

import hashlib
import mmap
import pathlib
from dataclasses import dataclass, field

import initrd
import payloads
import results
import scene
from attempts import is_refused, tickets, worked
from tally import expect, expect_equal

TPM2 = pathlib.Path("/usr/bin/tpm2")
CRYPTSETUP = pathlib.Path("/usr/sbin/cryptsetup")
MODULES = ("dm_crypt", "xts", "aesni_intel", "sha256_generic", "algif_skcipher")
DISK_MIB = 20
NV_INDEX = 0x01a00100
# A copy in memory may be torn.
PIECE_BYTES = 16
BEFORE, AFTER = "ticket-second: before get", "ticket-second: after get"


@dataclass(frozen=True)
class Configuration:
    name: str
    what: str
    first: str
    second: str
    kernel: scene.Configuration


CONFIGURATIONS = (
    Configuration("luks", "an encrypted disk over two hops", "ticket-first", "ticket-second",
                  scene.Configuration("252", "6.1", ("sha256", "sha384"))),
    Configuration("lost", "a plain kexec, then a reset", "ticket-lost", "ticket-lost",
                  scene.Configuration("252", "6.1", ("sha256",))),
)


@dataclass
class Memory:
    """Where the key of the disk is in the machine's RAM, at the moments when the second kernel asks."""
    found: dict = field(default_factory=dict)

    def look(self, machine, moment):
        sent = results.frames((machine.folder / "ttyS1").read_bytes())
        key = results.State(sent["first"]).files["key"]
        path = machine.memory()
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            places = (memory.find(key[at:at + PIECE_BYTES]) for at in range(0, len(key), PIECE_BYTES))
            self.found[moment] = len(memory), [place for place in places if place >= 0]
        path.unlink()
        return "done"

    def asked(self):
        return {moment: lambda machine, moment=moment: self.look(machine, moment) for moment in (BEFORE, AFTER)}


@dataclass
class Story:
    scene: object
    outcome: object
    disk: pathlib.Path
    memory: Memory

    def state(self, name):
        return self.outcome.state(name)

    @property
    def key(self):
        return self.state("first").files["key"]


def first_kernel_cannot_read_it(story):
    first = story.state("first")
    worked(first, "make-disk", "load")
    expect_equal("tickets after load", tickets(first, "list"), [("root", NV_INDEX, "waiting")])
    expect("root" in first.text("list-words.out"), "'ticket list' doesn't name it")
    expect("No such file" in first.text("early"), "a file was left by the get that failed")
    return is_refused(first, "get-early", "1", "other PCR values", "PCR 8, bank sha256 reads", "it will read")


def a_ticket_goes_with_its_load(story):
    first = story.state("first")
    is_refused(first, "put-before-load", "1", "nothing is loaded")
    worked(first, "unload", "load-abort")
    expect_equal("tickets after unload", tickets(first, "list-unloaded"), [])
    is_refused(first, "failing-exec", "1", "abort")
    expect_equal("tickets after an exec that failed", tickets(first, "list-aborted"), [])


def a_secret_too_long_is_refused(story):
    first = story.state("first")
    said = is_refused(first, "long", "1", "3000 bytes", "put a key", "nothing is loaded")
    expect_equal("tickets after that", tickets(first, "list-long"), [])
    expect_equal("/sys/kernel/kexec_loaded after that", first.text("long.loaded"), "0")
    return said


def put_after_load(story):
    first = story.state("first")
    worked(first, "load-again", "put", "put-pcr")
    expect("PCR 7" in first.text("put-pcr.err") and "os-separator" in first.text("put-pcr.err"),
           f"no warning of PCR 7: {first.text('put-pcr.err')}")
    expect_equal("tickets", sorted(tickets(first, "list-again")),
                 [("other", 0x01a04180, "waiting"), ("root", NV_INDEX, "waiting")])


def key_is_nowhere_else(story):
    """Before get: not in what is staged, nor anywhere the first kernel can write; after it not in the TPM, nor ever on a disk."""
    holders = story.state("first").text("holders").split()
    expect_equal("files in the first kernel that have the key", holders, ["/out/first/key"])
    for path in (story.disk, story.scene.folder / "ticket.esp"):
        data = path.read_bytes()
        expect(len(data) > 2**20 and story.key not in data, f"{path} has the key")
    states = [path for path in (story.scene.folder / "ticket").rglob("tpm2-*permall")]
    expect(states, "swtpm left no state file")
    for path in states:
        expect(story.key not in path.read_bytes(), f"{path} has the key")


def key_is_not_in_memory(story):
    """All that the second kernel was handed is in its memory, the segments of the kexec, too. The first kernel overwrote
    what it had left itself."""
    size, places = story.memory.found[BEFORE]
    expect_equal("bytes of memory", size, 512 << 20)
    expect_equal("pieces of the key in it before get", [hex(place) for place in places], [])
    expect(story.memory.found[AFTER][1], "after get it isn't there either: this check can't tell")


def second_kernel_opens_the_disk(story):
    first, second = story.state("first"), story.state("second")
    worked(second, "get", "open")
    expect_equal("mode and size of the key's file", second.text("mode"), "400 64")
    expect_equal("sum of the file on the disk", second.text("open.out"), first.text("make-disk.out").splitlines()[-1])
    expect_equal("tickets before", sorted(tickets(second, "list")), [("other", 0x01a04180, "ready"), ("root", NV_INDEX, "ready")])


def it_opens_once(story):
    second = story.state("second")
    is_refused(second, "get-again", "2", "no ticket 'root'", "1 of other names")
    worked(second, "get-other")
    expect_equal("the other ticket", second.text("get-other.out"), "another")
    is_refused(second, "get-nobody", "2", "there is none at all")
    expect_equal("tickets after both were used", tickets(second, "list-used"), [])


def third_kernel_opens_it_too(story):
    first, third = story.state("first"), story.state("third")
    worked(story.state("second"), "load")
    worked(third, "get", "open")
    expect_equal("sum of the file on the disk", third.text("open.out"), first.text("make-disk.out").splitlines()[-1])


def what_is_left_is_locked(story):
    third = story.state("third")
    worked(third, "lock")
    is_refused(third, "get-locked", "1", "already used")
    expect_equal("tickets", [row[2] for row in tickets(third, "list")], ["used"])
    worked(third, "drop")
    expect_equal("tickets after drop --left", tickets(third, "list-dropped"), [])


def a_plain_kexec_gets_nothing(story):
    worked(story.state("boot-1"), "load")
    for name in ("boot-1", "boot-2"):
        state = story.state(name)
        is_refused(state, "get", "1", "other PCR values")
    expect_equal("state in the second kernel", [row[2] for row in tickets(story.state("boot-2"), "list")], ["other-pcrs"])
    return is_refused(story.state("boot-2"), "get", "1", "PCR 8, bank sha256 reads 0000")


def sum_of(disk):
    return hashlib.sha256(disk.read_bytes()).hexdigest()


def the_disk_is_as_it_was(story):
    expect_equal("sum of the disk", sum_of(story.disk), story.state("boot-1").text("disk").split()[0])


def a_reset_ends_it(story):
    state = story.state("boot-3")
    expect_equal("state after the reset", [row[2] for row in tickets(state, "list")], ["empty"])
    said = is_refused(state, "get", "1", "another power cycle")
    worked(state, "drop")
    expect_equal("tickets after drop --left", tickets(state, "list-dropped"), [])
    return said


CHECKS = {
    "luks": {
        "the first kernel can't read it, and is told what PCR 8 reads and will read": first_kernel_cannot_read_it,
        "a ticket goes with its load: unload, an exec that failed": a_ticket_goes_with_its_load,
        "a secret that is too long is refused, and nothing is loaded": a_secret_too_long_is_refused,
        "tickets can be put after load, and bound to more PCRs": put_after_load,
        "the key is in no file of the first kernel, on no disk, and not left in the TPM": key_is_nowhere_else,
        "the key is nowhere in the second kernel's memory before get": key_is_not_in_memory,
        "the second kernel opens the disk with it": second_kernel_opens_the_disk,
        "it opens once": it_opens_once,
        "a key passed on opens the disk in the third kernel": third_kernel_opens_it_too,
        "what is left is locked, and given up": what_is_left_is_locked,
    },
    "lost": {
        "a second kernel by a plain kexec gets nothing": a_plain_kexec_gets_nothing,
        "a reset ends it": a_reset_ends_it,
        "the disk is as it was": the_disk_is_as_it_was,
    },
}


def files(kernel):
    modules = initrd.modules(kernel, MODULES)
    return {**{f"ticket/{name}": data for name, data in modules},
            "ticket/order": "".join(name + "\n" for name, _ in modules).encode()}


def programs(*paths):
    """mkexec and more of what the scripts call, by their paths in the guest."""
    known = {"usr/bin/tpm2": TPM2, "bin/cryptsetup": CRYPTSETUP}
    if not CRYPTSETUP.exists():
        raise payloads.Unavailable("cryptsetup isn't installed (package cryptsetup-bin)")
    return {"bin/mkexec": scene.program(), **{path: known[path] for path in paths}}


def new_disk(place):
    """An empty one; what is on it later no boot of firmware's reads."""
    disk = place.folder / "luks.img"
    with open(disk, "wb") as file:
        file.truncate(DISK_MIB << 20)
    return disk


def run(tally, folder, configuration):
    title = f"ticket ({configuration.what})"
    place = scene.Scene(folder, configuration.kernel, configuration.first, configuration.second, tally.say)
    found = programs("usr/bin/tpm2", "bin/cryptsetup")
    if configuration.name == "lost":
        found["bin/kexec"] = payloads.kexec_tools()
    extra = {**files(place.kernel), "plain/kernel": place.kernel.image.read_bytes(), "plain/initrd": place.initrd_a}
    disk, memory = new_disk(place), Memory()
    outcome = place.run("ticket", place.payload("payload-ticket", found, files=extra), disks=((disk, "luks"),),
                        reboots=configuration.name == "lost", asked=memory.asked(), deadline_seconds=1200)
    story = Story(place, outcome, disk, memory)
    for check, function in CHECKS[configuration.name].items():
        tally.check(f"{title}: {check}", function, story)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""A chain of four boots in one machine: A by firmware, B by an exec whose last step fails, B by a good one, and B once
more with another command line, register map and close list. What is refused, unloaded or aborted on the way must leave what it should and no more.
"""

import json
import re
import struct
from dataclasses import dataclass

import eventlog
import hop_checks
import log_twins
import overlay_record
import results
import scene
import swtpm
import uki
from tally import expect, expect_equal

CONFIGURATIONS = (scene.Configuration("252", "6.1", ("sha256",)),)
MARK_EXEC, MARK_ABORTED = 17, 18
PAGE = 4096
# Register map and close list of the last hop; what isn't named goes to PCR 8.
MAP = {11: 15, 12: 12}
CLOSED = (7, 11)
STAGED = ("image", "state.json", "journal")
# Calls that must be refused with one line: exit codes and a word that the line must have.
REFUSED = {
    "not-pe": ("2", r"/etc/marker.*\bPE\b"),
    "outside-esp": ("2", r"/etc/marker.*--esp /efi"),
    "no-file": ("2", r"none\.efi"),
    "other-machine": ("2", r"arm\.efi.*(machine|x86|processor)"),
    "no-tpm": ("1", r"/dev/nonexistent"),
    "no-root": ("1", r"\broot\b"),
    "nothing-loaded": ("1", r"load"),
}


@dataclass
class Chain:
    scene: object
    outcome: object
    first: object
    second: object
    third: object

    def pcrs(self, name):
        """The PCRs that the first kernel's script collected under this name."""
        return results.parse_pcrs(self.first.text(name))

    @property
    def aborted(self):
        """Events of the hop that was aborted, abort included."""
        events = added(self.first, self.second)
        ends = [i for i, e in enumerate(events) if log_twins.tag(e) == log_twins.TAG_ABORT]
        expect(len(ends) == 1, f"the second kernel's log has {len(ends)} abort events")
        return events[:ends[0] + 1]

    @property
    def good(self):
        return added(self.first, self.second)[len(self.aborted):]


def added(before, after):
    """Events that the later state's log has more."""
    expect(after.log.startswith(before.log), "the log doesn't begin with that of the kernel before")
    return [e for e in eventlog.parse(after.log)[1] if e.offset >= len(before.log)]


def one_line(state, name, code, pattern):
    said = state.text(f"{name}.err").splitlines()
    expect_equal(f"exit code of {name} ({' | '.join(said)})", state.text(f"{name}.status"), code)
    expect(len(said) == 1 and said[0].startswith("mkexec: "), f"{name} said {said}")
    expect(re.search(pattern, said[0]), f"{name} said: {said[0]}")
    return said[0]


def nothing_staged(state, name, loaded):
    left = set(state.text(f"{name}.left").split())
    expect(not left & set(STAGED) and not [n for n in left if n.endswith(".new")], f"{name} left {sorted(left)}")
    expect_equal(f"/sys/kernel/kexec_loaded after {name}", state.text(f"{name}.loaded"), loaded)


def is_refused(chain, name):
    line = one_line(chain.first, name, *REFUSED[name])
    nothing_staged(chain.first, name, "0")
    expect_equal("PCRs after the calls that are refused", chain.pcrs("pcrs-refused"), chain.first.pcrs)
    return line


def load_can_be_undone(chain):
    first = chain.first
    expect_equal(f"exit code of unload with nothing loaded ({first.text('nothing-to-unload.err')})",
                 first.text("nothing-to-unload.status"), "0")
    for name, loaded in (("load-unload", "1"), ("unload", "0")):
        expect_equal(f"exit code of {name} ({first.text(name + '.err')})", first.text(f"{name}.status"), "0")
        expect_equal(f"/sys/kernel/kexec_loaded after {name}", first.text(f"{name}.loaded"), loaded)
    nothing_staged(first, "unload", "0")
    expect_equal("PCRs after unload", chain.pcrs("pcrs-unloaded"), first.pcrs)


def two_loads_end_cleanly(chain):
    first, refused = chain.first, 0
    for name in ("load-one", "load-two"):
        if first.text(f"{name}.status") != "0":
            one_line(first, name, "1", r"another mkexec \(process \d+\)")
            refused += 1
    expect(refused < 2, "neither of them loaded")
    status = json.loads(first.files["status-loaded.out"])
    expect(status["loaded"] is True and status["verdict"] == "ok" and status["hop"] == 1, f"status says {status}")
    expect_equal("PCRs after both", chain.pcrs("pcrs-loaded"), first.pcrs)
    left = first.text("status-loaded.left").split()
    expect({"image", "state.json"} <= set(left) and not [n for n in left if n.endswith(".new")], f"they left {left}")
    return f"{refused} of 2 was refused" if refused else "one waited for the other"


def exec_failed_and_was_aborted(chain):
    line = one_line(chain.first, "failing-exec", "1", r"abort")
    nothing_staged(chain.first, "failing-exec", "1")
    status = json.loads(chain.first.files["status-aborted.out"])
    expect_equal("exit code of status", chain.first.text("status-aborted.status"), "0")
    expect(status["loaded"] is False, "status says that something is loaded")
    expect_equal("verdict", (status["verdict"], status["reason"]), ("ok", ""))
    expect_equal("boots", status["boots"], 2)
    expect_equal("hops, and whether aborted", [(hop["hop"], hop["aborted"]) for hop in status["hops"]], [(1, True)])
    one_line(chain.first, "exec-again", "1", r"load")
    return line


def abort_is_in_the_tpm(chain):
    commands = swtpm.between(chain.outcome.commands, MARK_EXEC, MARK_ABORTED)
    expect(commands is not None, "the marks are not in swtpm's log")
    odd = [str(c) for c in commands if c.name not in (*swtpm.READS, "PCR_Extend")]
    expect(not odd, f"swtpm saw {odd}")
    extended = [c.handle for c in commands if c.name == "PCR_Extend"]
    expect_equal("PCRs extended, in order", extended, [e.pcr for e in chain.aborted])
    for bank, now in chain.pcrs("pcrs-aborted").items():
        wanted = dict(chain.first.pcrs[bank])
        for event in chain.aborted:
            wanted[event.pcr] = eventlog.extend(bank, wanted[event.pcr], event.digests[bank])
        expect_equal(f"PCRs after abort, {bank}", {**now, hop_checks.IMA_PCR: ""}, {**wanted, hop_checks.IMA_PCR: ""})


def prediction_knows_of_the_abort(chain):
    expect_equal(f"exit code of predict ({chain.first.text('predict.err')})", chain.first.text("predict.status"), "0")
    prediction = json.loads(chain.first.files["predict.out"])
    expect_equal("number of the hop", prediction["hop"], 2)
    expect_equal("what load printed", chain.first.text("load.out"),
                 "\n".join(f"{bank} 8 {value}" for bank, value in prediction["registers"]["8"].items()))


def prediction_came_true(before, after, touched=(8, 11)):
    """All PCRs that the hop touches, and no other one moved."""
    registers = json.loads(before.files["predict.out"])["registers"]
    expect_equal(f"exit code of load ({before.text('load.err')})", before.text("load.status"), "0")
    expect_equal("PCRs that are predicted", sorted(map(int, registers)), sorted(touched))
    for bank, pcrs in after.pcrs.items():
        for pcr in touched:
            expect_equal(f"PCR {pcr}, {bank}", pcrs[pcr], registers[str(pcr)].get(bank, "(not predicted)"))


def map_is_obeyed(chain):
    """Each event of the last hop in the PCR that map and close list say, by the kernel's log and the TPM."""
    events = added(chain.second, chain.third)
    registers = sorted({8, *MAP.values()})
    recorded = json.loads(chain.second.files["predict.out"])["events"]
    payload = [(MAP.get(e["payload_pcr"], 8), e["type"], e["digests"]) for e in recorded if e["payload_pcr"] is not None]
    expect_equal("PCRs with an open event", sorted(e.pcr for e in events if log_twins.tag(e) == log_twins.TAG_OPEN),
                 sorted({*registers, *CLOSED}))
    expect_equal("PCRs with a close event", sorted(e.pcr for e in events if log_twins.tag(e) == log_twins.TAG_CLOSE), registers)
    expect_equal("the payload's events", [(e.pcr, e.type, e.digests) for e in events if log_twins.tag(e) is None], payload)
    expect({12, 15} <= {pcr for pcr, *_ in payload}, "the payload measured nothing into register 12 or 15")
    for bank, before in chain.second.pcrs.items():
        wanted = dict(before)
        for event in events:
            wanted[event.pcr] = eventlog.extend(bank, wanted[event.pcr], event.digests[bank])
        now = chain.third.pcrs[bank]
        expect_equal(f"PCRs, {bank}", {**now, hop_checks.IMA_PCR: ""}, {**wanted, hop_checks.IMA_PCR: ""})


def log_tells_of_both(chain):
    """The aborted hop, whole up to its abort, then the good one; both opened B."""
    opens = [e for e in added(chain.first, chain.second) if log_twins.tag(e) == log_twins.TAG_OPEN and e.pcr == 8]
    expect_equal("numbers of the hops", [struct.unpack_from("<I", e.data, 12)[0] for e in opens], [1, 2])
    expect_equal("open of the good hop, but for its number", opens[1].data[16:], opens[0].data[16:])
    expect_equal("extends that abort counts", struct.unpack_from("<I", chain.aborted[-1].data, 16)[0], len(chain.aborted) - 1)
    expect_equal("events of the two hops between open and end",
                 [e.told for e in chain.good if log_twins.tag(e) is None],
                 [e.told for e in chain.aborted if log_twins.tag(e) is None])
    expect_equal("end of the good hop", log_twins.tag(chain.good[-1]), log_twins.TAG_CLOSE)


def log_is_right(state, boots):
    hop_checks.log_replays(state)
    hop_checks.mkexec_accepts_log(state, boots)


def third_has_its_command_line(chain):
    cmdline = chain.scene.cmdline_b
    expect_equal("/proc/cmdline of the second", chain.second.text("cmdline"), cmdline)
    expect_equal("/proc/cmdline of the third", chain.third.text("cmdline"), f"{cmdline} stage=3")
    expect_equal("end of the script", chain.outcome.frames.get("exit-abort-second"), b"0\n")
    predictions = [json.loads(state.files["predict.out"])["events"] for state in (chain.first, chain.second)]
    texts = [[bytes.fromhex(e["data"]).decode("utf-16-le").rstrip("\0") for e in events if e["payload_pcr"] == 12]
             for events in predictions]
    expect_equal("events of payload PCR 12", texts, [[], [f"{cmdline} stage=3"]])


def variables_stay_true(chain):
    second, third = chain.second.efivars, chain.third.efivars
    for name in hop_checks.SAME_VARIABLES:
        expect_equal(f"variable {name} of the third", third.get(name), second.get(name))
    # Payload PCR 12 is PCR 12 in the last hop, so the stub's word for it is true there; that for PCR 11 isn't.
    own = ("StubPcrKernelParameters",)
    shown = [name for name in hop_checks.HIDDEN_VARIABLES if name in second or (name in third and name not in own)]
    expect(not shown, f"{shown} would say that B was measured into the real PCRs")
    expect_equal("StubPcrKernelParameters of the third", third.get(own[0], (0, b""))[1].decode("utf-16-le").rstrip("\0"), "12")
    names = [[name[:-37] for name in state.text("efivars/names").split()] for state in (chain.second, chain.third)]
    expect_equal("names in efivarfs", sorted(names[1]), sorted([*names[0], *own]))
    identifier = third["LoaderImageIdentifier"][1].decode("utf-16-le").rstrip("\0")
    expect_equal("LoaderImageIdentifier", identifier.lower(), "\\" + scene.PATH_B.replace("/", "\\").lower())


def ram_bytes(state):
    rows = [line.split(None, 2) for line in state.text("memmap").splitlines()]
    return sum(int(end, 16) + 1 - int(start, 16) for start, end, kind in rows if kind == "System RAM")


def nothing_stacks_up(chain):
    """The overlay of a hop takes the place of the one before; firmware's memory map has the RAM back."""
    (regions, names), (later, later_names) = overlay_record.parse(chain.second), overlay_record.parse(chain.third)
    expect_equal("number of the overlay's regions", len(later), len(regions))
    pages, later_pages = sum(n for _, n in regions), sum(n for _, n in later)
    expect(later_pages <= pages + 1, f"the overlay has {later_pages} pages, before it had {pages}")
    expect_equal("names that the overlay hides", sorted(later_names), sorted(names))
    ram = [ram_bytes(state) for state in (chain.first, chain.second, chain.third)]
    expect(ram[1] - ram[2] <= PAGE, f"the third kernel has {ram[1] - ram[2]} bytes of RAM less than the second")
    return f"RAM in the memory map: {', '.join(map(str, ram))} bytes; the overlay has {later_pages} pages in {len(later)} regions"


def kexec_disabled(chain):
    line = one_line(chain.third, "disabled", "1", r"kexec_load_disabled")
    expect_equal("PCRs after it", results.parse_pcrs(chain.third.text("pcrs-last")), chain.third.pcrs)
    return line


def kernels_are_content(chain):
    for state in (chain.second, chain.third):
        hop_checks.dmesg_is_clean(state, chain.first)


CHECKS = {
    "load and unload leave nothing": load_can_be_undone,
    "two loads at once both end cleanly": two_loads_end_cleanly,
    "an exec whose last step fails ends in abort, with the guard in the kernel": exec_failed_and_was_aborted,
    "the TPM got the hop's extends and one for abort": abort_is_in_the_tpm,
    "predict starts from the TPM's values and knows the hop's number": prediction_knows_of_the_abort,
    "the second kernel's log has the aborted hop and the good one": log_tells_of_both,
    "PCRs 8 and 11 of the second kernel are what the first predicted": lambda c: prediction_came_true(c.first, c.second),
    "the second kernel's log replays, checks and tells of 3 boots": lambda c: log_is_right(c.second, 3),
    "--cmdline is the third kernel's command line, in payload PCR 12": third_has_its_command_line,
    "--map and --close: registers and closed PCRs of the third kernel are what the second predicted":
        lambda c: prediction_came_true(c.second, c.third, {8, *MAP.values(), *CLOSED}),
    "--map and --close: each event went into its register, open into the closed PCRs": map_is_obeyed,
    "the third kernel's log goes on from the second's": lambda c: expect(added(c.second, c.third), "nothing was added"),
    "the third kernel's log replays, checks and tells of 4 boots": lambda c: log_is_right(c.third, 4),
    "EFI variables tell of B's boot in the third kernel, too": variables_stay_true,
    "overlays don't stack up": nothing_stacks_up,
    "dmesg of both has no trouble that A's hasn't": kernels_are_content,
    "load says that kexec is switched off": kexec_disabled,
}


def run(tally, folder, configuration):
    title = f"abort ({configuration})"
    place = scene.Scene(folder, configuration, "abort-first", "abort-second", tally.say)
    scripts = {"machine-offset": str(uki.machine_offset(place.uki_b)),
               "map": "".join(f"{pcr} {register}\n" for pcr, register in MAP.items())}
    payload = place.payload("payload", {"bin/mkexec": scene.program()}, scripts)
    outcome = place.run("chain", payload, deadline_seconds=1200)
    chain = Chain(place, outcome, *(outcome.state(name) for name in ("first", "second", "third")))
    for name in REFUSED:
        tally.check(f"{title}: refused: {name}", is_refused, chain, name)
    for check, function in CHECKS.items():
        tally.check(f"{title}: {check}", function, chain)

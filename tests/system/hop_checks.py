# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must be true after a hop: one function a statement, over what came out of the machines.

`hop.first` and `hop.second` are the states of the two kernels, `hop.firmware` that of B started by firmware in
a machine of its own. Expected values come from the kernel, OVMF, swtpm and tpm2_eventlog.
"""

import hashlib
import json
import re
import subprocess
import tempfile
from dataclasses import dataclass

import eventlog
import log_twins
import results
import scene
import swtpm
from tally import Wrong, expect, expect_equal

HOP_REGISTER = 8
CLOSE_LIST = (11,)
IMA_PCR = 10
COMPARED_PCRS = (4, 9, 11, 12)
MARK_LOAD, MARK_LOADED, MARK_EXEC = 17, 18, 19
TROUBLE = re.compile(r"WARNING|\bBUG\b|\bOops\b|Call Trace|Firmware Bug|general protection|double fault|Kernel panic"
                     r"|exec format|efi:.*(?:fail|invalid|error)", re.IGNORECASE)
# Variables that say of a boot what doesn't change from one to the next of the same UKI from the same disk.
SAME_VARIABLES = ("StubInfo", "StubImageIdentifier", "StubDevicePartUUID", "LoaderImageIdentifier",
                  "LoaderDevicePartUUID", "StubProfile", "LoaderTpm2ActivePcrBanks")
HIDDEN_VARIABLES = ("StubPcrKernelImage", "StubPcrKernelParameters", "StubPcrInitRDSysExts", "StubPcrInitRDConfExts")


@dataclass
class Hop:
    scene: object
    outcome: object
    first: object
    second: object
    firmware: object

    @property
    def prediction(self):
        return json.loads(self.first.files["predict.json"])

    @property
    def events(self):
        """The events of the second kernel's log that the first doesn't have."""
        return [e for e in eventlog.parse(self.second.log)[1] if e.offset >= len(self.first.log)]


def came_up(hop):
    expect_equal("/proc/cmdline", hop.second.text("cmdline"), hop.scene.cmdline_b)
    expect_equal("marker of the initrd", hop.second.text("marker"), "initrd of B")
    expect_equal("kernel", hop.second.text("uname"), hop.scene.kernel.release)
    expect_equal("end of the script", hop.outcome.frames.get(f"exit-{hop.scene.second}"), b"0\n")


def only_read_by_load(hop):
    expect_equal("exit code of load", hop.first.text("load.status"), "0")
    expect_equal("PCRs after load", results.parse_pcrs(hop.first.text("pcrs-loaded")), hop.first.pcrs)
    commands = swtpm.between(hop.outcome.commands, MARK_LOAD, MARK_LOADED)
    expect(commands is not None, "the marks are not in swtpm's log")
    odd = [str(c) for c in commands if c.name not in swtpm.READS]
    expect(not odd, f"swtpm saw {odd}")
    status = json.loads(hop.first.files["status.json"])
    expect(status["loaded"] is True, f"status says {status}")
    expect_equal("/sys/kernel/kexec_loaded", hop.first.text("kexec_loaded-loaded"), "1")


def prediction_holds(hop):
    for bank, pcrs in hop.second.pcrs.items():
        expect_equal(f"PCR {HOP_REGISTER} of the first kernel, {bank}", int(hop.first.pcrs[bank][HOP_REGISTER], 16), 0)
        expect_equal(f"PCR {HOP_REGISTER}, {bank}", pcrs[HOP_REGISTER],
                     hop.prediction["registers"][str(HOP_REGISTER)].get(bank, "(not predicted)"))


def other_pcrs_unchanged(hop):
    expect_equal("banks", sorted(hop.second.pcrs), sorted(hop.first.pcrs))
    moved = [f"{bank}:{index}" for bank, pcrs in hop.first.pcrs.items() for index, value in pcrs.items()
             if index not in (HOP_REGISTER, IMA_PCR, *CLOSE_LIST) and hop.second.pcrs[bank][index] != value]
    expect(not moved, f"changed: {moved}")


def closed_pcrs_got_open_only(hop):
    for pcr in CLOSE_LIST:
        events = [e for e in hop.events if e.pcr == pcr]
        expect(len(events) == 1, f"the hop has {len(events)} events in PCR {pcr}")
        expect_equal(f"type of the event in PCR {pcr}", events[0].type, "EV_EVENT_TAG")
        opening = next(e for e in hop.events if e.pcr == HOP_REGISTER)
        expect_equal("data of the event", events[0].data, opening.data)
        for bank, pcrs in hop.second.pcrs.items():
            expect_equal(f"PCR {pcr}, {bank}", pcrs[pcr],
                         eventlog.extend(bank, hop.first.pcrs[bank][pcr], events[0].digests[bank]))


def log_goes_on_from_the_first(hop):
    expect(len(hop.first.log) > 0, "the first kernel has no log")
    expect(hop.second.log.startswith(hop.first.log), "it does not begin with the first kernel's log")
    expect(len(hop.second.log) > len(hop.first.log), "nothing was added")
    expect({e.pcr for e in hop.events} <= {HOP_REGISTER, *CLOSE_LIST}, "the hop has events in other PCRs")


def log_replays(state, but=()):
    """All PCRs that the state has values of, `but` those that it hasn't."""
    replayed = eventlog.replay(state.log)
    expect_equal("banks of the log", sorted(replayed), sorted(state.pcrs))
    wrong = [f"{bank}:{index} is {state.pcrs[bank][index]}, the log says {value}"
             for bank, pcrs in replayed.items() for index, value in pcrs.items()
             if index not in (IMA_PCR, *but) and state.pcrs[bank][index] != value]
    expect(not wrong, "\n".join(wrong))
    # What has no event must never have been extended.
    for bank, pcrs in state.pcrs.items():
        silent = [i for i, value in pcrs.items() if i < 16 and i not in (*replayed[bank], IMA_PCR) and int(value, 16)]
        expect(not silent, f"{bank}: PCRs {silent} were extended without an event")


def log_replays_with_mkexec(hop):
    mkexec_accepts_log(hop.second, boots=2)


def mkexec_accepts_log(state, boots):
    with tempfile.NamedTemporaryFile() as log:
        log.write(state.log)
        log.flush()
        found = json.loads(run_here("log", "replay", "--json", log.name))["pcrs"]
    theirs = {bank: {str(i): v for i, v in values.items()} for bank, values in eventlog.replay(state.log).items()}
    expect_equal("replay", found, theirs)
    code, verdict = log_twins.judge(state.log, state.pcrs)
    expect(code == 0 and verdict["verdict"] == "ok", f"log check: {code}, {verdict['verdict']}: {verdict['reason']}")
    expect_equal("boots that the log tells of", verdict["boots"], boots)


def run_here(*arguments):
    done = subprocess.run([str(scene.program()), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Wrong(f"mkexec {' '.join(arguments[:2])}: exit code {done.returncode}: {done.stderr}{done.stdout[:400]}")
    return done.stdout


def boot_aggregate_agrees(hop):
    first = hop.second.text("ima").splitlines()[0]
    found = re.search(r"sha256:([0-9a-f]{64}) boot_aggregate", first)
    expect(found, f"IMA's list begins with {first!r}")
    values = b"".join(bytes.fromhex(hop.second.pcrs["sha256"][i]) for i in range(10))
    expect_equal("boot_aggregate", found.group(1), hashlib.sha256(values).hexdigest())


def events_are_the_firmwares(hop, compared=COMPARED_PCRS):
    """Our record of each payload PCR against OVMF's log of the same UKI started by firmware."""
    theirs = eventlog.parse(hop.firmware.log)[1]
    for pcr in compared:
        ours = [(e["type"], e["digests"], eventlog.masked(e["type"], bytes.fromhex(e["data"])))
                for e in hop.prediction["events"] if e["payload_pcr"] == pcr]
        wanted = [(e.type, e.digests, eventlog.masked(e.type, e.data)) for e in theirs if e.pcr == pcr
                  and e.type not in ("EV_SEPARATOR", "EV_EFI_ACTION")]
        expect_equal(f"number of events of PCR {pcr}", len(ours), len(wanted))
        for index, (our, their) in enumerate(zip(ours, wanted)):
            for what, is_, should in zip(("type", "digests", "data"), our, their):
                expect_equal(f"{what} of event {index} of PCR {pcr}", is_, should)


def boot_services_end_is_the_firmwares(hop):
    ours = [(e["type"], bytes.fromhex(e["data"]), e["digests"]) for e in hop.prediction["events"] if e["payload_pcr"] == 5]
    theirs = [(e.type, e.data, e.digests) for e in eventlog.parse(hop.firmware.log)[1]
              if e.pcr == 5 and e.type == "EV_EFI_ACTION"]
    expect_equal("events of PCR 5", ours, theirs)


def payload_view_is_the_firmwares(hop, compared=(9, 11, 12)):
    for pcr in compared:
        for bank, pcrs in hop.firmware.pcrs.items():
            expect_equal(f"payload view of PCR {pcr}, {bank}",
                         hop.prediction["payload_view"].get(str(pcr), {}).get(bank, "0" * len(pcrs[pcr])), pcrs[pcr])


def machine_works(hop):
    expect_equal("a variable written and read back", hop.second.text("efivarfs"), "works")
    expect_equal("ACPI tables", hop.second.text("acpi"), hop.first.text("acpi"))
    expect_equal("SMBIOS", hop.second.text("smbios"), hop.first.text("smbios"))
    expect(len(hop.second.text("acpi").splitlines()) > 3, "hardly any ACPI table")
    expect_equal("names in /.extra", hop.second.text("extra"), hop.firmware.text("extra"))
    expect_equal("boot_params.secure_boot", hop.second.files["boot_params"][0x1ec], hop.firmware.files["boot_params"][0x1ec])
    expect(re.fullmatch(r"[0-9a-f]{16}", hop.second.text("getrandom")), f"tpm2_getrandom: {hop.second.text('getrandom')}")


def kernel_is_content(hop):
    dmesg_is_clean(hop.second, hop.firmware)


def dmesg_is_clean(state, usual):
    """No line of trouble that the kernel doesn't also print in `usual`."""
    known = set(messages(usual))
    odd = [line for line in messages(state) if TROUBLE.search(line) and line not in known]
    expect(messages(state), "dmesg is empty")
    expect(not odd, "\n".join(odd[:10]))


def messages(state):
    return [re.sub(r"^\[[^\]]*\] ", "", line) for line in state.text("dmesg").splitlines()]


def secret_stays_shut(hop):
    expect_equal("the secret in the first kernel", hop.first.text("unseal"), "opened by PCR 11")
    expect(hop.second.text("unseal.status") != "0", "the secret of A's PCR 11 opens in B")
    expect("policy" in hop.second.text("unseal"), f"tpm2_unseal failed for another reason: {hop.second.text('unseal')}")


def variables_tell_of_this_boot(hop):
    ours, theirs = hop.second.efivars, hop.firmware.efivars
    for name in SAME_VARIABLES:
        expect_equal(f"variable {name}", ours.get(name), theirs.get(name))
    shown = [name for name in HIDDEN_VARIABLES if name in ours]
    expect(not shown, f"{shown} would say that B was measured into the real PCRs")
    expect_equal("variable SecureBoot", ours.get("SecureBoot"), theirs.get("SecureBoot"))


def only_extends_by_exec(hop):
    commands = swtpm.between(hop.outcome.commands, MARK_EXEC, "Shutdown")
    expect(commands is not None, "the mark is not in swtpm's log")
    odd = [str(c) for c in commands if c.name not in (*swtpm.READS, "PCR_Extend")]
    expect(not odd, f"swtpm saw {odd}")
    extended = [c.handle for c in commands if c.name == "PCR_Extend"]
    expect(extended, "nothing was extended")
    expect_equal("PCRs extended, in order", extended, [e.pcr for e in hop.events])


CHECKS = {
    "B came up with its own command line, initrd and kernel": came_up,
    "load only reads the TPM": only_read_by_load,
    "PCR 8 reads what predict said, in every bank": prediction_holds,
    "all other PCRs are unchanged": other_pcrs_unchanged,
    "PCR 11 got the open event and nothing else": closed_pcrs_got_open_only,
    "the second kernel's log is the first's, then the hop": log_goes_on_from_the_first,
    "tpm2_eventlog replays the second kernel's log to its PCRs": lambda hop: log_replays(hop.second),
    "mkexec log replays and checks the second kernel's log": log_replays_with_mkexec,
    "IMA's boot_aggregate agrees": boot_aggregate_agrees,
    "events of payload PCR 4, 9, 11, 12 are those that OVMF logs for B": events_are_the_firmwares,
    "ExitBootServices is recorded as OVMF does": boot_services_end_is_the_firmwares,
    "the payload view is what the PCRs read after a firmware boot of B": payload_view_is_the_firmwares,
    "efivarfs, ACPI, SMBIOS, /.extra and the TPM work": machine_works,
    "dmesg has no trouble that a firmware boot hasn't": kernel_is_content,
    "a secret sealed to A's PCR 11 does not open in B": secret_stays_shut,
    "EFI variables tell of B's boot": variables_tell_of_this_boot,
    "exec sends reads and one PCR_Extend an event": only_extends_by_exec,
}
# What today's kexec can't do: these must fail when it stands where mkexec stands (guest/pretender).
CHECKS_THAT_PLAIN_KEXEC_FAILS = (
    "PCR 8 reads what predict said, in every bank",
    "PCR 11 got the open event and nothing else",
    "the second kernel's log is the first's, then the hop",
    "events of payload PCR 4, 9, 11, 12 are those that OVMF logs for B",
    "the payload view is what the PCRs read after a firmware boot of B",
    "a secret sealed to A's PCR 11 does not open in B",
    "EFI variables tell of B's boot",
)
# What it can, so that the machine is seen to work without mkexec.
CHECKS_THAT_PLAIN_KEXEC_PASSES = (
    "B came up with its own command line, initrd and kernel",
    "all other PCRs are unchanged",
    "tpm2_eventlog replays the second kernel's log to its PCRs",
    "IMA's boot_aggregate agrees",
    "dmesg has no trouble that a firmware boot hasn't",
)
# What can be said of one machine alone, without a second that firmware started B on.
CHECKS_WITHOUT_FIRMWARE_BOOT = (
    "B came up with its own command line, initrd and kernel",
    "load only reads the TPM",
    "PCR 8 reads what predict said, in every bank",
    "all other PCRs are unchanged",
    "PCR 11 got the open event and nothing else",
    "the second kernel's log is the first's, then the hop",
    "tpm2_eventlog replays the second kernel's log to its PCRs",
    "IMA's boot_aggregate agrees",
    "a secret sealed to A's PCR 11 does not open in B",
    "exec sends reads and one PCR_Extend an event",
)

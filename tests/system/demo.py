# SPDX-License-Identifier: LGPL-2.1-or-later
"""One measured kexec, told step by step: ./demo runs this after it has built mkexec.

Firmware starts UKI A, A starts UKI B with mkexec; what the story claims is checked at the end by tpm2_pcrread,
which ran in the machine, and by tpm2_eventlog, which runs here.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import eventlog
import hop_checks
import log_twins
import payloads
import results
import scene
import tally
import vm

CONFIGURATION = scene.Configuration("252", "6.1", ("sha256",))
BANK = CONFIGURATION.banks[0]
TPM2 = pathlib.Path("/usr/bin/tpm2")
STARTED = time.monotonic()
SHOWN_PCRS = 16
# What a line of the machine's console means to the story.
STORY = (
    (r"BdsDxe: starting", "the firmware (OVMF) has measured itself and UKI A into the TPM and starts A"),
    (r"init: run hop-first", "the first kernel is up and has a shell; a UKI B lies on its disk"),
    (r"hop-first: predict", "$ mkexec predict B.efi\nwhat will PCR 8 read after the kexec? The TPM is only read"),
    (r"hop-first: seal", "$ tpm2 create ... --policy-pcr sha256:11\n"
                         "A seals a secret to its own PCR 11, as systemd-cryptenroll would: B must not get it"),
    (r"hop-first: load", "$ mkexec load B.efi\nB's EFI code runs in a process with no more than guest RAM; what it "
                         "measures is recorded, its kernel is staged.\nThe TPM is still only read; the kernel gets a guard "
                         "image that does nothing but reset the machine"),
    (r"hop-first: exec", "$ mkexec exec --now\nthe point of no return: the real image is loaded, what was recorded is "
                         "extended into the TPM, then the jump"),
    (r"init: run hop-second", "the second kernel is up, with B's command line and initrd; no firmware ran in between"),
    (r"init: end of hop-second", "it has told what it sees and switches the machine off"),
)


def say(text):
    first, *others = text.splitlines()
    print(f"{time.monotonic() - STARTED:6.1f} s  {first}", *(f"          {line}" for line in others), sep="\n", flush=True)


def watch(line):
    for pattern, meaning in STORY:
        if re.search(pattern, line):
            say(meaning)
    # The times are those of an emulated processor.
    if found := re.search(r"(mkexec: .*)", line):
        print(f"            | {found.group(1)[:120]}", flush=True)


def show(title, text, n_lines=40):
    print(f"\n{title}")
    for line in text.splitlines()[:n_lines]:
        print(f"    {shortened(line, 140)}")


def pcrread(text):
    """{bank: {index: hex}} from the output of tpm2_pcrread"""
    rows, bank = [], None
    for line in text.splitlines():
        if match := re.match(r"\s*(\w+):\s*$", line):
            bank = match.group(1)
        elif match := re.match(r"\s*(\d+)\s*:\s*0x([0-9A-Fa-f]+)", line):
            rows.append(f"{bank} {match.group(1)} {match.group(2)}")
    return results.parse_pcrs("\n".join(rows))


def recorded_rows(prediction):
    yield "payload PCR  goes to  type                              what"
    for e in prediction["events"]:
        payload_pcr = "-" if e["payload_pcr"] is None else e["payload_pcr"]
        yield f"{payload_pcr:>11}  {e['register']:>7}  {e['type']:<34}{shortened(e['text'], 70)}"


def shortened(text, n):
    return text if len(text) <= n else text[:n] + ".."


def pcr_rows(first, seen, replayed):
    notes = {8: "the hop: open, what B measured, close", 10: "IMA's own list explains it, not this log",
             11: "A's measurements, and that the hop was opened"}
    yield f"PCR  {'in A':<14}  {'in B':<14}  {'B: log says':<14}"
    for index in range(SHOWN_PCRS):
        before, after, log = first.pcrs[BANK][index], seen[BANK][index], replayed[BANK].get(index)
        moved = "" if before == after else notes.get(index, "changed")
        yield f"{index:>3}  {before[:12]}..  {after[:12]}..  {log[:12] + '..' if log else '(no event)':<14}  {moved}".rstrip()


def last_event(log):
    """The end of the log as tpm2_eventlog prints it."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(log)
        file.flush()
        text = subprocess.run(["tpm2_eventlog", file.name], capture_output=True, text=True, check=True).stdout
    events = text[:text.index("\npcrs:")]
    return events[events.rindex("- EventNum"):]


def tell(first, second, hop):
    prediction, seen, replayed = hop.prediction, pcrread(second.text("pcrread")), eventlog.replay(second.log)
    verdict = log_twins.judge(second.log, second.pcrs)[1]
    refusal = next((line for line in second.text("unseal").splitlines() if "policy" in line), second.text("unseal"))
    n_first, n_second = (len(eventlog.parse(state.log)[1]) for state in (first, second))
    print("\n" + "-" * 100)
    show("What is recorded of B. 'payload PCR' is the one that B asked for, as it would on a firmware boot; the events went to\n"
         "PCR 8, and the real PCR 4, 9, 11 and 12 never claim a boot that wasn't:", "\n".join(recorded_rows(prediction)))
    show(f"PCR 8, bank {BANK}, from three sides:",
         f"mkexec predict, in the first kernel       {prediction['registers']['8'][BANK]}\n"
         f"tpm2_pcrread, in the second kernel        {seen[BANK][8]}\n"
         f"tpm2_eventlog over the second one's log   {replayed[BANK].get(8)}")
    show(f"All PCRs, bank {BANK} (tpm2_pcrread in the second kernel; tpm2_eventlog):", "\n".join(pcr_rows(first, seen, replayed)))
    show(f"The second kernel's event log: the first one's {n_first} events, byte for byte, then {n_second - n_first} of the hop.\n"
         "The last, as tpm2_eventlog prints it, is mkexec's close:", last_event(second.log))
    show("mkexec log check:", f"{verdict['verdict']}, the log tells of {verdict['boots']} boots")
    show("The secret that A sealed to its PCR 11:", f"in A   {first.text('unseal')}\nin B   {refusal}")
    show("Command line of the second kernel:", second.text("cmdline"))
    return seen


def tpm2_pcrread_agrees(hop, seen):
    for bank, pcrs in eventlog.replay(hop.second.log).items():
        for index, value in pcrs.items():
            if index != hop_checks.IMA_PCR:
                tally.expect_equal(f"PCR {index}, {bank}", seen[bank][index], value)


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mkexec.", dir="/tmp"))
    try:
        place = scene.Scene(folder / "demo", CONFIGURATION, "hop-first", "hop-second", say)
        say(f"two UKIs, A and B, are built: systemd-stub {place.stub.version}, Linux {place.kernel.version},\n"
            "each with an initrd and a command line of its own")
        payload = place.payload("payload", {"bin/mkexec": scene.program(), "usr/bin/tpm2": TPM2})
        say("a virtual machine with UEFI firmware and a TPM 2.0 (swtpm) is switched on; its disk has A and B")
        outcome = place.run("machine", payload, watch=watch)
        first, second = outcome.state("first"), outcome.state("second")
    except (payloads.Unavailable, vm.Died) as reason:
        say(f"the demo can't go on: {reason}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    hop = hop_checks.Hop(place, outcome, first, second, second)
    seen = tell(first, second, hop)
    print("\nChecked:")
    counts = tally.Tally()
    for title in hop_checks.CHECKS_WITHOUT_FIRMWARE_BOOT:
        counts.check(title, hop_checks.CHECKS[title], hop)
    counts.check("mkexec log check takes the log", log_twins.true_log_passes, hop)
    counts.check("... and refuses it with the hop cut out", log_twins.twin_is_refused, hop, log_twins.hop_cut_out)
    counts.check("tpm2_pcrread in the second kernel and tpm2_eventlog agree on every PCR", tpm2_pcrread_agrees, hop, seen)
    print()
    say(f"done: {counts.passed} checks passed, {counts.failed} failed")
    return 1 if counts.failed else 0


if __name__ == "__main__":
    sys.exit(main())

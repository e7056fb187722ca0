# SPDX-License-Identifier: LGPL-2.1-or-later
"""One measured kexec, told step by step: ./demo runs this after it has built mkexec.

Firmware starts UKI A, A starts UKI B with mkexec; what the story claims is checked at the end by tpm2_pcrread,
which ran in the machine, and by tpm2_eventlog, which runs here.
"""

import pathlib
import re
import shutil
import sys
import tempfile
import time

import eventlog
import hop_checks
import payloads
import results
import scene
import tally
import vm

CONFIGURATION = scene.Configuration("252", "6.1", ("sha256",))
TPM2 = pathlib.Path("/usr/bin/tpm2")
STARTED = time.monotonic()
# What a line of the machine's console means to the story.
STORY = (
    (r"BdsDxe: starting", "OVMF has measured UKI A and starts it"),
    (r"init: run hop-first", "the first kernel is up: its init predicts, loads B with mkexec and seals a secret to PCR 11"),
    (r"hop-first: exec", "mkexec exec --now: the recorded events are extended, then the kernel jumps"),
    (r"init: run hop-second", "the second kernel is up, with B's command line and initrd"),
    (r"init: end of hop-second", "the second kernel has told what it sees and switches the machine off"),
)


def say(text):
    print(f"{time.monotonic() - STARTED:6.1f} s  {text}", flush=True)


def show(title, text, n_lines=40):
    print(f"\n{title}")
    for line in text.splitlines()[:n_lines]:
        print(f"    {line[:160]}")


def watch(line):
    for pattern, meaning in STORY:
        if re.search(pattern, line):
            say(meaning)


def pcrread(text):
    """{bank: {index: hex}} from the output of tpm2_pcrread"""
    rows, bank = [], None
    for line in text.splitlines():
        if match := re.match(r"\s*(\w+):\s*$", line):
            bank = match.group(1)
        elif match := re.match(r"\s*(\d+)\s*:\s*0x([0-9A-Fa-f]+)", line):
            rows.append(f"{bank} {match.group(1)} {match.group(2)}")
    return results.parse_pcrs("\n".join(rows))


def tell(first, second, hop):
    prediction, seen = hop.prediction, pcrread(second.text("pcrread"))
    show("What mkexec said while it loaded B, in the first kernel:", first.text("load.err") or first.text("load.out"))
    show("Command line of the second kernel:", second.text("cmdline"))
    show("What was recorded for B (payload PCR -> register, type, text):", "\n".join(
        f"{e['payload_pcr'] if e['payload_pcr'] is not None else '-':>3} -> {e['register']}  {e['type']:<34} {e['text']}"
        for e in prediction["events"]))
    bank = CONFIGURATION.banks[0]
    show(f"PCR 8, {bank}:", f"predicted in the first kernel  {prediction['registers']['8'][bank]}\n"
         f"tpm2_pcrread in the second     {seen[bank][8]}\n"
         f"tpm2_eventlog over its log     {eventlog.replay(second.log)[bank].get(8)}")
    show("The secret that A sealed to its PCR 11:", f"in A  {first.text('unseal')}\nin B  {second.text('unseal').splitlines()[-1]}")
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
        say(f"UKI A and UKI B: systemd-stub {place.stub.version}, Linux {place.kernel.version}, "
            "each with an initrd and a command line of its own")
        payload = place.payload("payload", {"bin/mkexec": scene.program(), "usr/bin/tpm2": TPM2})
        say("a machine with OVMF and a software TPM is switched on")
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
    counts.check("tpm2_pcrread in the second kernel and tpm2_eventlog agree on every PCR", tpm2_pcrread_agrees, hop, seen)
    print()
    say(f"done: {counts.passed} checks passed, {counts.failed} failed")
    return 1 if counts.failed else 0


if __name__ == "__main__":
    sys.exit(main())

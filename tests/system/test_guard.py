# SPDX-License-Identifier: LGPL-2.1-or-later
"""What lies in the kernel between `load` and `exec`, or after an `exec` that failed, starts nothing: the ordinary
`kexec -e` resets the machine."""

import eventlog
import payloads
import scene
from tally import expect, expect_equal

CONFIGURATIONS = (scene.Configuration("252", "6.1", ("sha256",)),)


def kexec_took_it(outcome, name, verb, code):
    state = outcome.state(name)
    expect_equal(f"exit code of {verb} ({state.text(f'{verb}.err')})", state.text(f"{verb}.status"), code)
    expect_equal("/sys/kernel/kexec_loaded", state.text(f"{verb}.loaded"), "1")


def abort_was_extended(outcome):
    state = outcome.state("round-2")
    expect("abort" in state.text("exec.err"), f"exec said: {state.text('exec.err')}")
    last = dict(tuple(line.rsplit(" ", 1)) for line in state.text("pcrs-last").splitlines())
    expect(int(last["sha256 8"], 16) != 0, "PCR 8 is zero, so exec failed before its last step")


def second_kernel_never_ran(outcome):
    expect("came back" not in outcome.console, "kexec -e came back")
    expect_equal("times that kexec -e was reached", outcome.console.count("guard-first: kexec -e"), 2)
    expect("init: run firmware-boot" not in outcome.console, "B came up by a plain kexec -e")
    expect("state" not in outcome.frames, "B sent a result")


def machine_was_reset(outcome):
    first = outcome.state("round-1")
    for name in ("round-2", "round-3"):
        after = outcome.state(name)
        expect_equal("marker of the initrd that came up", after.text("marker"), "initrd of A")
        expect_equal("PCRs after the reset", after.pcrs, first.pcrs)
        told = [[event.told for event in eventlog.parse(state.log)[1]] for state in (after, first)]
        expect_equal("number of events after the reset", *map(len, told))
        for index, (event, wanted) in enumerate(zip(*told)):
            expect_equal(f"event {index} of the log after the reset", event, wanted)
    # Firmware starts a TPM that was reset; a kernel started by kexec doesn't.
    starts = [c for c in outcome.commands if c.name == "Startup"]
    expect(len(starts) >= 3, f"the TPM saw TPM2_Startup {len(starts)} times")


def run(tally, folder, configuration):
    title = f"guard ({configuration})"
    place = scene.Scene(folder, configuration, "guard-first", "firmware-boot", tally.say)
    programs = {"bin/mkexec": scene.program(), "bin/kexec": payloads.kexec_tools()}
    outcome = place.run("kexec-e", place.payload("payload", programs), reboots=True, deadline_seconds=1200)
    tally.check(f"{title}: load left an image, kexec -e took it", kexec_took_it, outcome, "round-1", "load", "0")
    tally.check(f"{title}: an exec that failed left an image, kexec -e took it", kexec_took_it, outcome, "round-2", "exec", "1")
    tally.check(f"{title}: the exec that failed came to its last step", abort_was_extended, outcome)
    tally.check(f"{title}: B never ran", second_kernel_never_ran, outcome)
    tally.check(f"{title}: firmware started A again with a fresh TPM", machine_was_reset, outcome)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""What lies loaded between `load` and `exec` starts nothing: the ordinary `kexec -e` resets the machine."""

import payloads
import scene
from tally import expect, expect_equal

CONFIGURATIONS = (scene.Configuration("252", "6.1", ("sha256",)),)


def was_loaded(outcome):
    before = outcome.state("before")
    expect_equal("exit code of load", before.text("load.status"), "0")
    expect_equal("/sys/kernel/kexec_loaded", before.text("kexec_loaded-loaded"), "1")
    expect("guard-first: kexec -e" in outcome.console, "kexec -e was not reached")
    expect("came back" not in outcome.console, "kexec -e came back")


def second_kernel_never_ran(outcome):
    expect("init: run firmware-boot" not in outcome.console, "B came up by a plain kexec -e")
    expect("state" not in outcome.frames, "B sent a result")


def machine_was_reset(outcome):
    before, after = outcome.state("before"), outcome.state("after")
    expect_equal("marker of the initrd that came up after", after.text("marker"), "initrd of A")
    expect_equal("PCRs after the reset", after.pcrs, before.pcrs)
    expect_equal("log after the reset", after.log, before.log)
    starts = [c for c in outcome.commands if c.name == "Startup"]
    expect(len(starts) >= 2, f"the TPM saw TPM2_Startup {len(starts)} times")


def run(tally, folder, configuration):
    title = f"guard ({configuration})"
    place = scene.Scene(folder, configuration, "guard-first", "firmware-boot", tally.say)
    programs = {"bin/mkexec": scene.program(), "bin/kexec": payloads.kexec_tools()}
    outcome = place.run("kexec-e", place.payload("payload", programs), reboots=True)
    tally.check(f"{title}: load left an image, kexec -e took it", was_loaded, outcome)
    tally.check(f"{title}: B never ran", second_kernel_never_ran, outcome)
    tally.check(f"{title}: firmware started A again with a fresh TPM", machine_was_reset, outcome)

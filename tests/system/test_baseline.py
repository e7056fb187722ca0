# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machines without mkexec: firmware boots A and B and their logs replay; plain kexec is not taken for a hop."""

import pathlib

import hop_checks
import payloads
import scene
from tally import Wrong, expect_equal

CONFIGURATIONS = (scene.Configuration("252", "6.1", ("sha256",)),)
TPM2 = pathlib.Path("/usr/bin/tpm2")


def run(tally, folder, configuration):
    """A hop by today's kexec, judged by the checks of a hop."""
    title = f"baseline ({configuration})"
    place = scene.Scene(folder, configuration, "hop-first", "hop-second", tally.say)
    files = {"pretender/kernel": place.kernel.image.read_bytes(), "pretender/initrd": place.initrd_b,
             "pretender/cmdline": place.cmdline_b.encode()}
    programs = {"usr/bin/tpm2": TPM2, "bin/mkexec": scene.HERE / "guest/pretender", "bin/kexec": payloads.kexec_tools()}
    firmware = place.run_b("firmware", place.payload("payload-firmware", {"usr/bin/tpm2": TPM2})).state("second")
    outcome = place.run("hop", place.payload("payload-hop", programs, files=files))
    hop = hop_checks.Hop(place, outcome, outcome.state("first"), outcome.state("second"), firmware)
    for name, state in (("A", hop.first), ("B", firmware)):
        tally.check(f"{title}: firmware boots {name} and its log replays", hop_checks.log_replays, state)
        tally.check(f"{title}: {name} has its own initrd", expect_equal, "marker", state.text("marker"), f"initrd of {name}")
    for check in hop_checks.CHECKS_THAT_PLAIN_KEXEC_PASSES:
        tally.check(f"{title}: plain kexec: {check}", hop_checks.CHECKS[check], hop)
    for check in hop_checks.CHECKS_THAT_PLAIN_KEXEC_FAILS:
        tally.check(f"{title}: plain kexec is refused by: {check}", refused, hop_checks.CHECKS[check], hop)


def refused(check, hop):
    try:
        check(hop)
    except (Wrong, KeyError, StopIteration) as reason:
        return str(reason)
    raise Wrong("the check takes a plain kexec for a hop")

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hops by kexec_load and by kexec_file_load in a row: what one hands over the other goes on from, and the last log tells
of all. A bare kernel with an initrd of its own is among them."""

import json
import shlex
from dataclasses import dataclass

import scene
import systemd_logs
import test_chain
import test_file_mode
from tally import expect_equal


@dataclass(frozen=True)
class Configuration:
    """`modes`: by which call each link after the first is started."""
    name: str
    links: tuple
    modes: tuple
    banks: tuple = ("sha256",)
    only_full: bool = True


Link = test_chain.Link
CONFIGURATIONS = (Configuration("both", (Link("252", "6.1"), Link("262", "7.2"), Link("257", "6.12"), Link("", "6.1"), Link("252", "6.1")),
                                ("file", "load", "file", "load")),)


def logs_come_as_they_can(chain, modes):
    """By kexec_load the kernel shows all of the log; by kexec_file_load what the kernel before showed, and the rest came in
    the initrd."""
    for (before, after), mode in zip(chain.hops, modes):
        parts = json.loads(after.state.files["status.out"])["log_bytes"]
        shown, before_shown = len(after.state.files["kernel-log"]), len(before.state.files["kernel-log"])
        expect_equal(f"bytes that the kernel of {after} shows, by {mode}", shown,
                     before_shown if mode == "file" else len(after.state.log))
        expect_equal(f"bytes from the kernel, and from the initrd, of {after}", (parts["kernel"], parts["carried"]),
                     (shown, len(after.state.log) - shown))


def firmware_is_reached(chain):
    for boot in chain.boots:
        expect_equal(f"MkexecKept in {boot}", boot.state.efivars.get("MkexecKept"), test_chain.KEPT)


CHECKS = {
    "each has its own command line, initrd and kernel": test_chain.all_came_up,
    "each boot's prediction is what the next one's PCRs read": test_chain.predictions_came_true,
    "each joined log begins with that of the boot before": test_chain.log_only_grows,
    "each joined log replays by tpm2_eventlog, checks and tells of its boots": test_chain.logs_are_right,
    "hops are numbered 1, 2, 3 ..., and status counts them": test_chain.hops_are_numbered,
    "firmware's variables are seen in all": firmware_is_reached,
    "dmesg of all has no trouble that a firmware boot hasn't": test_chain.kernels_are_content,
}


def run(tally, folder, configuration):
    title = f"mixed ({', '.join(configuration.modes)})"
    first = configuration.links[0]
    place = scene.Scene(folder, scene.Configuration(first.stub, first.kernel, configuration.banks), "chain", "chain", tally.say)
    made = test_chain.make_payloads(tally, title, place, configuration.links)
    place.esp_files = {path: data for payload in made for path, data in payload.files.items()}
    scripts = {f"next-{payload.number - 1}": shlex.join((f"--handover={mode}", *payload.arguments))
               for payload, mode in zip(made[1:], configuration.modes)}
    systemd, files = systemd_logs.available(tally, title)
    programs = {"bin/mkexec": scene.program(), "usr/bin/tpm2": test_chain.TPM2, **systemd}
    outcome = place.run("machine", place.payload("payload", programs, scripts, files), deadline_seconds=1200)
    states = [test_file_mode.with_joined_log(outcome.state(f"link-{payload.number}")) for payload in made]
    chain = test_chain.Chain([test_chain.Boot(*row) for row in zip(made, states)], outcome)
    for check, function in CHECKS.items():
        tally.check(f"{title}: {check}", function, chain)
    tally.check(f"{title}: each kernel shows what of the log it can, the initrd has the rest", logs_come_as_they_can, chain,
                configuration.modes)
    for check, function in systemd_logs.CHECKS.items() if systemd else ():
        tally.check(f"{title}: {check}", function, chain)
    if systemd:
        tally.check(f"{title}: status names what an edited record of systemd's breaks", systemd_logs.status_notices, chain)

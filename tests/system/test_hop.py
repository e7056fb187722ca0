# SPDX-License-Identifier: LGPL-2.1-or-later
"""A measured kexec from UKI A to UKI B, and the twins of B that must be predicted differently."""

import json
import pathlib

import elsewhere
import hop_checks
import log_twins
import references
import scene
import uki
from tally import expect, expect_equal

CONFIGURATIONS = (
    scene.Configuration("252", "6.1", ("sha256",)),
    scene.Configuration("262", "7.2", ("sha1", "sha256", "sha384", "sha512")),
)
TPM2 = pathlib.Path("/usr/bin/tpm2")
# A byte of the section, counted from its start, that may differ: of the time stamp in the initrd's gzip header,
# of a word of the command line, of the random part of the os-release.
TWINS = {"byte": (".osrel", -8), "cmdline": (".cmdline", -1), "initrd": (".initrd", 4)}


def twins(image):
    """For guest/hop-first: name, offset in the file, the twin's byte and B's own, in octal."""
    rows = []
    for name, (section, index) in TWINS.items():
        start, size = uki.place(image, section)
        offset = start + index % size
        rows.append(f"{name} {offset} {image[offset] ^ 1:03o} {image[offset]:03o}\n")
    return "".join(rows)


def twin_differs(hop, name):
    expect(hop.first.text(f"twin-{name}.status") == "0", f"predict: {hop.first.text(f'twin-{name}.err')}")
    other = json.loads(hop.first.files[f"twin-{name}.json"])["registers"]["8"]
    own = hop.prediction["registers"]["8"]
    expect(sorted(own) == sorted(hop.first.pcrs), f"predicted only in {sorted(own)}")
    for bank, value in own.items():
        expect(len(other[bank]) == len(value) and other[bank] != value, f"predicted PCR 8 is the same in {bank}")


def gave_up_rights(hop):
    """All of them: Debian's kernels have Landlock, too."""
    expect_equal("times that it was said", hop.outcome.console.count("mkexec: gave up the rights that aren't needed ("), 2)


def run(tally, folder, configuration):
    title = f"hop ({configuration})"
    place = scene.Scene(folder, configuration, "hop-first", "hop-second", tally.say)
    programs = {"bin/mkexec": scene.program(), "usr/bin/tpm2": TPM2}
    # The twins cost a prediction each under emulation; one configuration has them.
    with_twins = configuration is CONFIGURATIONS[0]
    scripts = {"twins": twins(place.uki_b)} if with_twins else {}
    firmware = place.run_b("firmware", place.payload("payload-firmware", {"usr/bin/tpm2": TPM2}))
    outcome = place.run("hop", place.payload("payload-hop", programs, scripts))
    hop = hop_checks.Hop(place, outcome, outcome.state("first"), outcome.state("second"), firmware.state("second"))
    for check, function in hop_checks.CHECKS.items():
        tally.check(f"{title}: {check}", function, hop)
    tally.check(f"{title}: load and exec give up the rights that they don't need", gave_up_rights, hop)
    for name in TWINS if with_twins else ():
        tally.check(f"{title}: B with another {name} is predicted differently", twin_differs, hop, name)
    for check, function in elsewhere.CHECKS.items():
        tally.check(f"{title}: {check}", function, hop)
    for check, function in references.CHECKS.items():
        tally.check(f"{title}: {check}", function, hop)
    tally.check(f"{title}: log check takes the second kernel's log", log_twins.true_log_passes, hop)
    for name, make in log_twins.TWINS.items():
        tally.check(f"{title}: log check refuses: {name}", log_twins.twin_is_refused, hop, make)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""`mkexec predict --firmware` on this machine, judged by a machine that firmware started B on: its PCRs and OVMF's log.
Called by test_hop.
"""

import json
import pathlib
import subprocess
import tempfile

import eventlog
import scene
import uki
from tally import expect, expect_equal

PCRS = (4, 9, 11, 12, 13)


def predict(image, *options):
    """What this machine says of a UKI that lies where firmware finds B."""
    with tempfile.TemporaryDirectory() as place:
        esp = pathlib.Path(place)
        path = esp / scene.PATH_B
        path.parent.mkdir(parents=True)
        path.write_bytes(image)
        done = subprocess.run([str(scene.program()), "predict", "--firmware", *options, "--esp", str(esp), str(path)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
    expect(done.returncode == 0, f"predict --firmware: {done.stderr}")
    return done.stdout


def pcrs_are_the_firmwares(hop):
    found = json.loads(predict(hop.scene.uki_b, "--json"))["pcrs"]
    expect_equal("PCRs", sorted(found), sorted(map(str, PCRS)))
    expect(len(hop.firmware.pcrs) > 0, "the machine told no PCRs")
    for bank, pcrs in hop.firmware.pcrs.items():
        for pcr in PCRS:
            expect_equal(f"PCR {pcr}, {bank}", found[str(pcr)][bank], pcrs[pcr])


def lines_say_the_same(hop):
    """Without --json: lines as mkexec and tpm2_pcrread's users know them."""
    found = {}
    for line in predict(hop.scene.uki_b).splitlines():
        bank, pcr, value = line.split()
        found.setdefault(bank, {})[int(pcr)] = value
    for bank, pcrs in hop.firmware.pcrs.items():
        expect_equal(bank, found[bank], {pcr: pcrs[pcr] for pcr in PCRS})


def events_are_ovmfs(hop):
    """Also what stands before the payload in PCR 4, in OVMF's own order."""
    found = json.loads(predict(hop.scene.uki_b, "--json"))["events"]
    for pcr in PCRS:
        ours = [(e["type"], e["digests"]["sha256"]) for e in found if e["payload_pcr"] == pcr]
        theirs = [(e.type, e.digests["sha256"]) for e in eventlog.parse(hop.firmware.log)[1] if e.pcr == pcr]
        expect_equal(f"events of PCR {pcr}", ours, theirs)


def one_byte_gives_other_pcrs(hop):
    image = bytearray(hop.scene.uki_b)
    start, _ = uki.place(image, ".cmdline")
    image[start] ^= 1
    found = json.loads(predict(bytes(image), "--json"))["pcrs"]
    for bank, pcrs in hop.firmware.pcrs.items():
        for pcr in (4, 11):
            expect(found[str(pcr)][bank] != pcrs[pcr], f"PCR {pcr} is the same in {bank}")


def other_firmware_gives_another_pcr_4(hop):
    for words in ("separator", "none", "separator,action"):
        found = json.loads(predict(hop.scene.uki_b, "--json", "--firmware-events", words))["pcrs"]
        for bank, pcrs in hop.firmware.pcrs.items():
            expect(found["4"][bank] != pcrs[4], f"PCR 4 is the same in {bank} with {words}")
            expect_equal(f"PCR 11 with {words}, {bank}", found["11"][bank], pcrs[11])


CHECKS = {
    "predict --firmware says elsewhere what the PCRs read after a firmware boot of B": pcrs_are_the_firmwares,
    "predict --firmware says the same in lines": lines_say_the_same,
    "predict --firmware has the events that OVMF logs": events_are_ovmfs,
    "predict --firmware: one byte gives other PCRs": one_byte_gives_other_pcrs,
    "predict --firmware: other events of firmware's give another PCR 4 only": other_firmware_gives_another_pcr_4,
}

# SPDX-License-Identifier: LGPL-2.1-or-later
"""`mkexec predict --machine` on this machine, with the facts that the first kernel of a hop wrote down: it must
foretell what that kernel foretold, and other facts must give other values. Called by test_hop.
"""

import copy
import json
import subprocess
import tempfile
import pathlib

import scene
from tally import expect, expect_equal

MEMBERS = ("hop", "registers", "payload_view", "events")


def facts(hop):
    expect_equal(f"exit code of status --machine ({hop.first.text('machine.err')})", hop.first.text("machine.status"), "0")
    return json.loads(hop.first.files["machine.json"])


def predict(hop, machine):
    """What this machine foretells of B on `machine`. Its ESP is a plain folder with the same file at the same place."""
    with tempfile.TemporaryDirectory() as place:
        esp, file = pathlib.Path(place) / "esp", pathlib.Path(place) / "machine.json"
        uki = esp / scene.PATH_B
        uki.parent.mkdir(parents=True)
        uki.write_bytes(hop.scene.uki_b)
        file.write_text(json.dumps(machine))
        done = subprocess.run([str(scene.program()), "predict", "--json", "--machine", str(file), "--esp", str(esp), str(uki)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
    expect(done.returncode == 0, f"predict --machine: {done.stderr}")
    return json.loads(done.stdout)


def same_as_there(hop):
    here, there = predict(hop, facts(hop)), hop.prediction
    expect({"8", "11"} <= set(there["registers"]), f"registers are {sorted(there['registers'])}")
    expect_equal("banks of PCR 8", sorted(there["registers"]["8"]), sorted(hop.first.pcrs))
    for member in MEMBERS:
        expect_equal(f"'{member}' of the prediction", here[member], there[member])


def registers_differ(hop, machine, wanted):
    """Of PCR 8 and 11, `wanted` and no other read otherwise than foretold there, in every bank."""
    here, there = predict(hop, machine)["registers"], hop.prediction["registers"]
    for pcr in ("8", "11"):
        for bank, value in there[pcr].items():
            expect((here[pcr][bank] != value) == (pcr in wanted), f"PCR {pcr}, {bank} is {here[pcr][bank]}, there {value}")


def other_register(hop):
    for pcr in ("8", "11"):
        machine = copy.deepcopy(facts(hop))
        for bank, value in machine["registers"][pcr].items():
            machine["registers"][pcr][bank] = value[:-1] + f"{int(value[-1], 16) ^ 1:x}"
        registers_differ(hop, machine, (pcr,))


def other_hop(hop):
    machine = facts(hop)
    machine["hop"] += 1
    registers_differ(hop, machine, ("8", "11"))


CHECKS = {
    "predict --machine says elsewhere what predict said there": same_as_there,
    "predict --machine: another value of PCR 8 or 11 gives another value of it": other_register,
    "predict --machine: another hop number gives other values": other_hop,
}

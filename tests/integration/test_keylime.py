#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""dist/keylime/mkexec_measured_boot.py on logs with hops and on their forged twins, as Keylime's verifier gives them to a
policy: through tpm2_eventlog and YAML. Keylime isn't a package of Debian 12, so what the policy needs of it (a registry of
policies, a class) stands here; docs/attestation.md says with which Keylime it was tried. Prints TAP.

Usage: test_keylime.py
"""

import importlib
import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
HOPS = TOP / "tests" / "corpus" / "hop"

POLICIES = '''
class Policy:
    def evaluate(self, refstate, eventlog):
        return self.refstate_to_test(refstate).why_not({}, eventlog)
_registry = {}
def register(name, policy):
    _registry[name] = policy
def get_policy(name):
    return _registry.get(name)
def get_policy_names():
    return list(_registry)
'''
TESTS = "class Test:\n    pass\n"
# A first boot is fine if its events are these, by type; it relies on PCR 9, too.
EXAMPLE = '''
from . import policies, tests
class Types(tests.Test):
    def __init__(self, refstate):
        self.types = refstate["types"]
    def why_not(self, globs, subject):
        return "" if [event["EventType"] for event in subject["events"]] == self.types else "has other events in its first boot"
class Example(policies.Policy):
    def get_relevant_pcrs(self):
        return frozenset((0, 4, 9))
    def refstate_to_test(self, refstate):
        return Types(refstate)
policies.register("example", Example())
'''

# What only a replay or the digests of data show: not a policy's business, Keylime compares the log's PCRs with the quote.
ACCEPTED = {
    "honest.bin": "",
    "pristine.bin": "no hop",
    "event-data-changed.bin": "data that isn't a digest's; the digests are the known ones",
    "foreign-event-unexplained.bin": "of the first boot: for its own policy",
    "foreign-event-without-a-bank.bin": "of the first boot: for its own policy",
}


def load_policy(folder):
    for name, text in {"policies": POLICIES, "tests": TESTS, "example": EXAMPLE}.items():
        path = folder / "keylime" / "mba" / "elchecking" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    sys.path[:0] = [str(folder), str(TOP / "dist" / "keylime")]
    importlib.import_module("mkexec_measured_boot")
    return importlib.import_module("keylime.mba.elchecking.policies")


def as_keylime_reads_it(log):
    import yaml
    with tempfile.NamedTemporaryFile() as file:
        file.write(log)
        file.flush()
        done = subprocess.run(["tpm2_eventlog", "--eventlog-version=2", file.name], capture_output=True)
    if done.returncode != 0:
        raise ValueError(done.stderr.decode(errors="replace"))
    try:
        parsed = yaml.safe_load(done.stdout)
    except yaml.YAMLError as reason:
        raise ValueError(f"tpm2_eventlog's YAML: {reason}") from reason
    parsed["pcrs"] = {bank: {str(pcr): value for pcr, value in row.items()} for bank, row in parsed["pcrs"].items()}
    return parsed


def documents(events):
    """As `mkexec predict --json` has it, of both hops of honest.bin, which have the same events."""
    opened = [i for i, event in enumerate(events) if "f4b573df" in str(event.get("Event"))[:8]]
    rows = list(zip((None, 4, 11, 11, 9, 5), (events[opened[0]], *events[opened[2] + 1:opened[2] + 6])))
    return [{"version": 1, "events": [{"payload_pcr": pcr, "type": event["EventType"],
                                       "digests": {row["AlgorithmId"]: row["Digest"] for row in event["Digests"]}}
                                      for pcr, event in rows]}]


def main():
    missing = [name for name in ("tpm2_eventlog",) if not shutil.which(name)] + \
        [name for name in ("yaml",) if not importlib.util.find_spec(name)]
    if missing:
        print(f"1..0 # SKIP needs {', '.join(missing)}")
        return 0
    spec = importlib.util.spec_from_file_location("attest", TOP / "tests" / "integration" / "test_attest.py")
    attest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(attest)
    checks = []

    def check(name, ok, note=""):
        checks.append(ok)
        print(f"{'' if ok else 'not '}ok {len(checks)} - {name}" + "".join(f"\n# {line}" for line in str(note).splitlines()), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        policy = load_policy(pathlib.Path(folder)).get_policy("mkexec-example")
        honest = as_keylime_reads_it(attest.hop_log("honest.bin"))
        kernels = documents(honest["events"])
        start = next(i for i, event in enumerate(honest["events"]) if event["EventType"] == "EV_EVENT_TAG")
        first = {"types": [event["EventType"] for event in honest["events"][:start]]}
        refstate = {"first_boot": first, "kernels": kernels, "hops": 2}
        check("relevant PCRs are the first policy's and PCR 8", policy.get_relevant_pcrs() == {0, 4, 8, 9})
        check("two hops of a known kernel are accepted", policy.evaluate(refstate, honest) == "", policy.evaluate(refstate, honest))
        twins = {"one hop only": {"hops": 1}, "no kernel": {"kernels": []}, "another first boot": {"first_boot": {"types": []}}}
        other = json.loads(json.dumps(kernels))
        other[0]["events"][3]["digests"] = {bank: "00" + value[2:] for bank, value in other[0]["events"][3]["digests"].items()}
        twins["a kernel with one digest changed"] = {"kernels": other}
        other = json.loads(json.dumps(kernels))
        other[0]["events"][2]["payload_pcr"] = 12
        twins["a kernel with one payload PCR changed"] = {"kernels": other}
        for name, change in twins.items():
            said = policy.evaluate({**refstate, **change}, honest)
            check(f"refused: {name}", said != "", said)
        for path in sorted(HOPS.glob("*.bin")):
            try:
                log = as_keylime_reads_it(attest.hop_log(path.name))
            except (ValueError, KeyError) as reason:
                check(f"refused: {path.name}: Keylime can't read it", path.name not in ACCEPTED, str(reason)[:200])
                continue
            said = policy.evaluate(refstate, log)
            if path.name in ACCEPTED:
                check(f"accepted: {path.name} ({ACCEPTED[path.name]})", said == "" or "first boot" in said, said)
            else:
                check(f"refused: {path.name}", said != "", said)
    print(f"1..{len(checks)}")
    return not all(checks)


if __name__ == "__main__":
    sys.exit(main())

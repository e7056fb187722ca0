# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine attests in each of its boots: firmware starts A, measured hops start B and C, a plain kexec starts B again.
Keys, nonces and references are the host's, which judges each boot's evidence by `mkexec verify`, without that machine.
"""

import base64
import copy
import hashlib
import json
import os
import pathlib
import subprocess
from dataclasses import dataclass, field

import initrd
import payloads
import scene
import systemd_logs
import uki
from tally import expect, expect_equal

BOOTS = {1: "A", 2: "B", 3: "C"}
LAST_MEASURED, PLAIN = 3, 4


@dataclass(frozen=True)
class Configuration:
    name: str
    stub: str
    kernel: str
    banks: tuple


CONFIGURATIONS = (Configuration("252-6.1", "252", "6.1", ("sha256",)),)


@dataclass
class Story:
    place: object
    folder: pathlib.Path
    states: dict      # by boot
    nonces: dict
    ukis: dict        # by name
    cmdlines: dict
    outcome: object
    with_systemd: bool
    references: pathlib.Path = None
    documents: dict = field(default_factory=dict)

    @property
    def key(self):
        path = self.folder / "ak.pub"
        path.write_bytes(self.states[1].files["ak.pub"])
        return path


def verify(story, document, nonce, *options, references=None, key=None):
    """(exit code, verdict)"""
    path = story.folder / "evidence.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    done = subprocess.run([str(scene.program()), "verify", str(path), "--nonce", nonce, "--reference",
                           str(references or story.references), "--ak", str(key or story.key), "--json", *options],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    expect(done.stdout, f"verify said: {done.stderr}")
    verdict = json.loads(done.stdout)
    expect_equal("exit code", done.returncode, {"trusted": 0, "not trusted": 1, "malformed": 2}[verdict["verdict"]])
    return verdict


def of_boot(story, number, *options, **others):
    return verify(story, story.documents[number], story.nonces[number], *options, **others)


def refused(verdict, *wanted):
    expect(verdict["verdict"] != "trusted", "it was trusted")
    expect(verdict["reason"]["word"] in wanted, f"refused with: {verdict['reason']}")
    return f"{verdict['reason']['word']}: {verdict['reason']['text']}"


# ---- what must be true ----

def all_attested(story):
    for number, state in story.states.items():
        words = state.text("cmdline").split()
        expect(number == 1 or f"link={number}" in words, f"/proc/cmdline of boot {number} is {' '.join(words)}")
        expect_equal(f"exit code of attest in boot {number} ({state.text('evidence.err')})", state.text("evidence.status"), "0")
        story.documents[number] = json.loads(state.files["evidence.json"])
        expect_equal(f"what attest said in boot {number}", state.text("evidence.err"), "")
    expect_equal("end of the last script", story.outcome.frames.get("exit-attest"), b"0\n")
    return ", ".join(f"boot {n}: {len(state.files['evidence.json'])} bytes" for n, state in story.states.items())


def evidence_is_the_machines(story):
    """PCR values are sysfs' own, but for IMA's; the log is the kernel's."""
    for number, document in story.documents.items():
        state = story.states[number]
        expect_equal(f"banks of boot {number}", sorted(document["pcrs"]), sorted(state.pcrs))
        for bank, values in document["pcrs"].items():
            for pcr, value in values.items():
                expect(value == state.pcrs[bank][int(pcr)], f"PCR {pcr} of boot {number}, {bank}: {value}")
        log = base64.b64decode(document["logs"]["firmware"])
        expect(log == state.log, f"the log in the evidence of boot {number} isn't the kernel's")
        expect("ima" in document["logs"], f"boot {number} has no list of IMA's")
        if story.with_systemd and number > 1:
            boots = [row["boot"] for row in document["logs"]["systemd"] if row["log"]]
            expect_equal(f"boots with a log of systemd's in the evidence of boot {number}", boots, [1, 2][:min(number, 2)])


def make_references(story):
    """On this machine, from the UKIs alone: A as firmware starts it, B and C as kexec does."""
    story.references = story.folder / "references"
    story.references.mkdir()
    for name, image in story.ukis.items():
        esp = story.folder / f"esp-{name}"
        path = esp / (scene.PATH_A if name == "A" else f"{scene.FOLDER_B}{name}.efi")
        path.parent.mkdir(parents=True)
        path.write_bytes(image)
        how = ("--firmware",) if name == "A" else ()
        done = subprocess.run([str(scene.program()), "predict", "--json", *how, "--esp", str(esp), str(path)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        expect_equal(f"exit code of predict for {name} ({done.stderr})", done.returncode, 0)
        (story.references / f"{name}.json").write_text(done.stdout)


def each_boot_is_trusted(story):
    notes = []
    for number in range(1, LAST_MEASURED + 1):
        verdict = of_boot(story, number)
        expect_equal(f"verdict of boot {number} ({verdict['reason']})", verdict["verdict"], "trusted")
        boots = verdict["boots"]
        expect_equal(f"boots that the evidence of boot {number} tells of", [boot["boot"] for boot in boots], list(range(1, number + 1)))
        for boot in boots:
            name = BOOTS[boot["boot"]]
            expect(boot["trusted"] and boot["known"], f"boot {boot['boot']} in the evidence of {number}: {boot}")
            expect_equal(f"command line of {name}", boot["command_line"], story.cmdlines[name])
            by = "firmware" if name == "A" else f"boot {boot['boot'] - 1}"
            found = boot["measured_by"] if name == "A" else f"boot {boot['reported_by']}"
            expect_equal(f"who measured {name}", found, by)
        notes.append(f"boot {number}: {verdict['plain_kexec']['is']}: {verdict['plain_kexec']['text']}")
    return "\n".join(notes)


def without_ima(document):
    changed = copy.deepcopy(document)
    del changed["logs"]["ima"]
    return changed


def plain_kexec_is_excluded_by_the_list_alone(story):
    notes = []
    for number in range(1, LAST_MEASURED + 1):
        verdict = of_boot(story, number)
        expect_equal(f"plain_kexec in boot {number} ({verdict['plain_kexec']['text']})", verdict["plain_kexec"]["is"], "excluded")
        verdict = verify(story, without_ima(story.documents[number]), story.nonces[number])
        expect_equal(f"plain_kexec in boot {number} without the list ({verdict['plain_kexec']['text']})",
                     verdict["plain_kexec"]["is"], "possible")
        expect_equal(f"verdict without the list ({verdict['reason']})", verdict["verdict"], "trusted")
        notes.append(f"without: {verdict['plain_kexec']['text']}")
    return "\n".join(notes)


def demands(story, document, number, **members):
    """With a policy that has these members."""
    policy = story.folder / "policy.json"
    policy.write_text(json.dumps({"version": 1, "kind": "mkexec-policy", **members}))
    return verify(story, document, story.nonces[number], "--policy", str(policy))


def policies_decide(story):
    """Each with evidence that meets it, and evidence that doesn't."""
    last, first = story.documents[LAST_MEASURED], story.documents[1]
    payload = {name: hashlib.sha256(image).hexdigest() for name, image in story.ukis.items()}
    name = story.states[1].text("key.err").split()[-1]
    rows = (({"plain_kexec": "excluded"}, last, without_ima(last)),
            ({"kexec": False}, first, last),
            ({"most_hops": 1}, story.documents[2], last),
            ({"kernels": list(payload.values())}, last, None),
            ({"kernels": [payload["A"], payload["B"]]}, story.documents[2], last),
            ({"ak_names": [name]}, last, None),
            ({"ak_names": [name[:-2] + ("00" if name[-2:] != "00" else "01")]}, None, last),
            ({"pcrs": {"sha256": {"7": [last["pcrs"]["sha256"]["7"]]}}}, last, None),
            ({"pcrs": {"sha256": {"7": ["00" * 32]}}}, None, last))
    for members, meets, fails in rows:
        for document, wanted in ((meets, "trusted"), (fails, "not trusted")):
            if document is None:
                continue
            number = next(n for n, known in story.documents.items() if known["quote"] == document["quote"])
            verdict = demands(story, document, number, **members)
            expect_equal(f"verdict with {members} ({verdict['reason']})", verdict["verdict"], wanted)


def plain_kexec_is_seen_by_the_list(story):
    """The log tells of three boots; what runs is a fourth."""
    verdict = of_boot(story, PLAIN)
    said = refused(verdict, "plain-kexec", "ima")
    expect_equal("plain_kexec", verdict["plain_kexec"]["is"], "seen")
    expect_equal("boots", len(verdict["boots"]), LAST_MEASURED)
    verdict = verify(story, without_ima(story.documents[PLAIN]), story.nonces[PLAIN])
    expect(verdict["plain_kexec"]["is"] != "excluded", "it is excluded without the list")
    return f"{said}\nwithout the list: {verdict['verdict']}, {verdict['plain_kexec']['is']}: {verdict['plain_kexec']['text']}"


CHECKS = {
    "each boot makes evidence": all_attested,
    "evidence has the machine's PCRs and logs": evidence_is_the_machines,
    "predict makes references on the host": make_references,
    "each boot is trusted, with who measured it": each_boot_is_trusted,
    "plain kexec is excluded by IMA's list, and not without it": plain_kexec_is_excluded_by_the_list_alone,
    "a plain kexec is seen by IMA's list": plain_kexec_is_seen_by_the_list,
    "policies decide": policies_decide,
}


# ---- twins ----

def changed_log(story, change):
    document = copy.deepcopy(story.documents[LAST_MEASURED])
    log = base64.b64decode(document["logs"]["firmware"])
    document["logs"]["firmware"] = base64.b64encode(change(log)).decode()
    return verify(story, document, story.nonces[LAST_MEASURED])


def with_parts_of(story, number, *members):
    document = copy.deepcopy(story.documents[LAST_MEASURED])
    for member in members:
        document[member] = copy.deepcopy(story.documents[number][member])
    return document


def only_these_references(story, *names):
    folder = story.folder / f"only-{'-'.join(names)}"
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.json").write_bytes((story.references / f"{name}.json").read_bytes())
    return of_boot(story, LAST_MEASURED, references=folder)


def other_key(story):
    other = story.folder / "other.pub"
    data = bytearray(story.states[1].files["ak.pub"])
    data[-1] ^= 1
    other.write_bytes(data)
    return of_boot(story, LAST_MEASURED, key=other)


TWINS = {
    "the nonce of the boot before": (lambda s: verify(s, s.documents[3], s.nonces[2]), ("nonce",)),
    "another key": (other_key, ("trust",)),
    "the log of the boot before: the last hop is missing": (
        lambda s: verify(s, with_parts_of(s, 2, "logs"), s.nonces[3]), ("pcr",)),
    "the log of boot 1: both hops are missing": (lambda s: verify(s, with_parts_of(s, 1, "logs"), s.nonces[3]), ("pcr",)),
    "the PCR values of the boot before": (lambda s: verify(s, with_parts_of(s, 2, "pcrs"), s.nonces[3]), ("values",)),
    "the quote of the boot before": (lambda s: verify(s, with_parts_of(s, 2, "quote"), s.nonces[3]), ("nonce",)),
    "quote and values of the boot before, with its nonce": (
        lambda s: verify(s, with_parts_of(s, 2, "quote", "pcrs"), s.nonces[2]), ("pcr",)),
    "a log cut within the last hop": (lambda s: changed_log(s, lambda log: log[:-200]), ("log", "hop", "pcr")),
    "no reference for C": (lambda s: only_these_references(s, "A", "B"), ("policy",)),
    "no reference for B, in the middle": (lambda s: only_these_references(s, "A", "C"), ("policy",)),
    "no reference for A": (lambda s: only_these_references(s, "B", "C"), ("policy",)),
}


def run(tally, folder, configuration):
    title = f"attest {configuration.name}"
    place = scene.Scene(folder, scene.Configuration(configuration.stub, configuration.kernel, configuration.banks), "attest",
                        "attest", tally.say)
    ukis, cmdlines = {"A": place.uki_a}, {"A": place.cmdline_a}
    for number, name in ((2, "B"), (3, "C")):
        cmdlines[name] = f"{scene.COMMAND_LINE} run=attest link={number}"
        image = initrd.build(place.kernel, f"initrd of {name}")
        ukis[name] = place.build(name, image, cmdlines[name])
        place.esp_files = {**place.esp_files, f"{scene.FOLDER_B}{name}.efi": ukis[name]}
    systemd, files = systemd_logs.available(tally, title)
    programs = {"bin/mkexec": scene.program(), "bin/kexec": payloads.kexec_tools(), **systemd}
    nonces = {number: os.urandom(20).hex() for number in range(1, PLAIN + 1)}
    scripts = {"next-1": "/efi/EFI/Linux/B.efi", "next-2": "/efi/EFI/Linux/C.efi", "next-3": "plain",
               **{f"nonce-{number}": nonce for number, nonce in nonces.items()}}
    files = {**files, "plain/kernel": place.kernel.image.read_bytes(), "plain/initrd": initrd.build(place.kernel, "initrd of B")}
    outcome = place.run("attest", place.payload("payload", programs, scripts, files), deadline_seconds=1500)
    states = {number: outcome.state(f"link-{number}") for number in range(1, PLAIN + 1)}
    story = Story(place, folder, states, nonces, ukis, cmdlines, outcome, bool(systemd))
    for check, function in CHECKS.items():
        tally.check(f"{title}: {check}", function, story)
    for name, (function, words) in TWINS.items():
        tally.check(f"{title}: refused: {name}", lambda function=function, words=words: refused(function(story), *words))

# SPDX-License-Identifier: LGPL-2.1-or-later
"""A UKI with all that its stub takes, started by firmware in one machine and by a hop in another: command line, files in
the initrd, EFI variables and events must be the same, and each file beside the UKI must count.

What is expected is computed twice without mkexec: by OVMF, and by tests/integration/expected.py from the parts.
"""

import copy
import dataclasses
import hashlib
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

import eventlog
import extras
import hop_checks
import initrd
import results
import scene
import uki
from tally import Wrong, expect, expect_equal

sys.path.insert(0, str(scene.REPOSITORY / "tests/integration"))
import expected  # noqa: E402

COMPARED_PCRS = (4, 9, 11, 12, 13)
BESIDE = "a.cred"
OEM_STRINGS = ("vendor words", "io.systemd.stub.kernel-cmdline-extra=smbios.word=here",
               "io.systemd.boot.kernel-cmdline-extra=not.for.a.stub", "io.systemd.credential:word=here")
# Variables that may differ: who the firmware is, and PCRs that the hop doesn't touch (docs/architecture.md).
OWN_VARIABLES = ("LoaderFirmwareInfo", "LoaderFirmwareType")
# Stubs since 261 make a secret of variables that only they can read; with a source of randomness they do in OVMF, too.
BOOT_SECRET_SINCE, RANDOMNESS = 261, ("virtio-rng-pci",)


@dataclasses.dataclass(frozen=True)
class Payload(scene.Configuration):
    """`file` is B's name in EFI/Linux. `load_options` what firmware gives B, `options` what mkexec gets for the same."""
    file: str = "B.efi"
    load_options: str | None = None
    options: str = ""
    only_full: bool = True


CONFIGURATIONS = (
    Payload("252", "6.1", ("sha256",), only_full=False),
    Payload("254", "6.12", ("sha256",), file="B+3.efi", load_options="{cmdline} own=1", options='--cmdline "{cmdline} own=1"'),
    Payload("257", "6.1", ("sha256",), load_options="@1", options="--profile rescue"),
    Payload("262", "7.2", ("sha1", "sha256"), file="B+3-1.efi", load_options="@2 {cmdline} own=1",
            options='--profile 2 --cmdline "{cmdline} own=1"'),
)


# ---- what B is made of ----

def small_initrd(name, contents):
    cpio = initrd.Cpio()
    cpio.add(name, initrd.FILE | 0o640, contents)
    return cpio.close()


def hardware_sections(version):
    """Device trees, and since 258 firmware, of which the last is this machine's."""
    nobody, machine = extras.hardware_id("nobody"), extras.hardware_id()
    rows = [(extras.DEVICE_TREE, nobody, b"other", b"other,board"), (extras.DEVICE_TREE, machine, b"tests", b"tests,board")]
    rows += [(extras.UEFI_FIRMWARE, machine, b"tests", b"own firmware")] if version >= 258 else []
    sections = [(".hwids", extras.hwids(*rows)), (".dtbauto", extras.device_tree(b"other,board")),
                (".dtbauto", extras.device_tree(b"tests,board"))]
    return sections + [(".efifw", extras.firmware(name, b"code")) for name in (b"other firmware", b"own firmware")
                       if version >= 258]


def profiles(cmdline, version):
    """What follows a .profile belongs to it."""
    if version < 257:
        return []
    return [(".profile", b"ID=main\nTITLE=Main\n"),
            (".profile", b"ID=rescue\nTITLE=Rescue\n"), (".cmdline", f"{cmdline} profile=rescue".encode()),
            (".profile", b"ID=other\n"), (".pcrsig", b'{"sha256":[{"other":1}]}')]


def beside(stub, release):
    """Files of <B>.extra.d, loader/addons, loader/credentials and loader/extensions; more than the older stubs read."""
    def addon(**sections):
        return extras.addon(stub, **sections)
    extra = {BESIDE: os.urandom(31), "b.cred": b"B" * 5, "UPPER.CRE": b"no", ".hidden.cred": b"no",
             "one.raw": os.urandom(70_001), "SHORT.RAW": b"upper case", "two.sysext.raw": os.urandom(4096),
             "three.confext.raw": os.urandom(513),
             "own.addon.efi": addon(cmdline=b"own.addon=1", uname=release.encode()),
             "other.addon.efi": addon(cmdline=b"other.kernel=1", uname=b"5.0.0-other"),
             "parts.addon.efi": addon(initrd=small_initrd("from-addon", os.urandom(99)),
                                      ucode=extras.microcode(b"of the add-on"), dtb=extras.device_tree())}
    addons = {"all.addon.efi": addon(cmdline=b"global.addon=1"), "more.addon.efi": addon(cmdline=b"global.addon=2")}
    credentials = {"global.cred": os.urandom(17), "README": b"not one"}
    extensions = {"global.raw": os.urandom(5001), "global.confext.raw": os.urandom(77)}
    return {"extra": extra, "addons": addons, "credentials": credentials, "extensions": extensions}


class PayloadScene(scene.Scene):
    """`boot` knows what lies where and computes what must come of it."""

    def __init__(self, folder, configuration, say):
        super().__init__(folder, configuration, "payloads-first", "payloads-second", say)
        files = self.boot.files()
        self.path_b = f"EFI/Linux/{configuration.file}"
        self.esp_files = {path: data for path, data in files.items() if path != self.path_b}
        self.esp_files["loader/random-seed"] = os.urandom(32)
        self.beside = next(path for path in files if path.endswith("/" + BESIDE))

    def text(self, template):
        return template and template.format(cmdline=self.cmdline_b)

    def build(self, name, initrd_image, cmdline):
        if name == "A":
            return super().build(name, initrd_image, cmdline)
        version, stub = int(self.configuration.stub), self.stub.path.read_bytes()
        ucode = extras.microcode(b"of the UKI")
        # Before .ucode was known, microcode was put in front of the initrd.
        initrd_image = initrd_image if version >= 256 else ucode + initrd_image
        rows = [(".osrel", uki.os_release(name, os.urandom(16))), (".cmdline", cmdline.encode()),
                (".uname", self.kernel.release.encode()), (".splash", extras.BMP), (".dtb", extras.device_tree()),
                (".pcrpkey", b"-----BEGIN PUBLIC KEY-----\n" + os.urandom(16).hex().encode()),
                (".pcrsig", b'{"sha256":[]}'), (".initrd", initrd_image)]
        rows += [(".ucode", ucode), *hardware_sections(version)] if version >= 256 else []
        rows += [(".linux", self.kernel.image.read_bytes())]
        self.boot = self.describe(version, stub, rows, profiles(cmdline, version))
        return self.boot.uki

    def describe(self, version, stub, rows, profile_rows):
        options = self.text(self.configuration.load_options)
        number = int(options[1]) if options and options.startswith("@") else 0
        sections = {**dict(rows), ".sbat": expected.section_of(stub, ".sbat")}
        at = -1
        for name, data in profile_rows:
            at += name == ".profile"
            if at == number:
                sections[name] = data
        strings = struct.pack("<BBHB", 11, 5, 0, len(OEM_STRINGS)) + b"\0".join(s.encode() for s in OEM_STRINGS)
        return expected.Boot(version, tuple(map(int, self.configuration.kernel.split("."))),
                             uki.append(stub, rows + profile_rows), sections, name=self.configuration.file,
                             load_options=options, profile=number, smbios=strings, **beside(stub, self.kernel.release))


@dataclasses.dataclass
class Hop(hop_checks.Hop):
    @property
    def prediction(self):
        return json.loads(self.first.files["predict.out"])

    @property
    def firmware_boot(self):
        """What firmware made of B: beside what a hop makes of it, a secret that nobody could know before."""
        secret = self.firmware.files.get("boot-secret", b"")
        expect_equal("size of /.extra/boot-secret after firmware", len(secret),
                     32 if self.scene.boot.stub >= BOOT_SECRET_SINCE else 0)
        return dataclasses.replace(self.scene.boot, boot_secret=secret)


# ---- the checks ----

def command_line_is_the_firmwares(hop):
    expect_equal("/proc/cmdline after firmware", hop.firmware.text("cmdline"), hop.scene.boot.command_line().strip())
    expect_equal("/proc/cmdline", hop.second.text("cmdline"), hop.firmware.text("cmdline"))
    return hop.second.text("cmdline")


def unpacked(archives):
    """Path to (mode, digest) of what the kernel makes of archives in a row (newc, padded with zeros between)."""
    found, at = {}, 0
    while at < len(archives):
        if archives[at:at + 6] != b"070701":
            expect(not any(archives[at:at + 4]), f"no archive at {at}")
            at += 4
            continue
        mode, size, n_name = (int(archives[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in (1, 6, 11))
        name = archives[at + 110:at + 109 + n_name].decode()
        start = at + 110 + n_name
        start += -start % 4
        data = archives[start:start + size]
        at = start + size + -size % 4
        if name != "TRAILER!!!":
            found[name] = (f"{mode & 0o7777:o}", "-" if mode & 0o40000 else hashlib.sha256(data).hexdigest())
    return found


def tree(state):
    rows = (line.split(None, 3) for line in state.text("tree").splitlines())
    return {name: (mode, owner, digest) for mode, owner, digest, name in rows}


def due_tree(hop, boot):
    sections = {name: data for name, data in boot.sections.items() if name != ".initrd"}
    due = unpacked(dataclasses.replace(boot, sections=sections).initrd())
    due = {name: (mode, "0:0", digest) for name, (mode, digest) in due.items() if name.startswith((".extra", "kernel"))}
    if boot.stub < 256:
        due.update((name, row) for name, row in tree(hop.firmware).items() if name.startswith("kernel"))
    expect(".extra/credentials/a.cred" in due, f"expected are {sorted(due)}")
    return due


def initrd_is_the_firmwares(hop):
    boot = hop.firmware_boot
    expect_equal("/.extra and microcode after firmware", tree(hop.firmware), due_tree(hop, boot))
    kept = {name: row for name, row in tree(hop.firmware).items() if name != ".extra/boot-secret"}
    expect_equal("/.extra and microcode", tree(hop.second), kept)
    return f"{len(kept)} files and folders{', after firmware a boot secret, too' if boot.boot_secret else ''}"


def microcode_comes_first(hop):
    """The kernel's microcode loader looks at the front of the initrd, whose digest says that it is the computed one."""
    first = b"of the add-on" if hop.scene.boot.stub >= 257 else b"of the UKI"
    for who, boot, state in (("OVMF", hop.firmware_boot, hop.firmware), ("mkexec", hop.scene.boot, hop.second)):
        whole = boot.initrd()
        expect(whole.startswith(b"070701") and first in whole[:1024], "the computed initrd doesn't begin with microcode")
        size = struct.unpack_from("<I", state.files["boot_params"], 0x21c)[0]
        expect_equal(f"size of the initrd in boot_params, {who}", size, len(whole))
        digests = {bank: hashlib.new(bank, whole).hexdigest() for bank in hop.second.pcrs}
        expect((9, digests) in [(event.pcr, event.digests) for event in EVENTS[who](hop)],
               f"{who} has no event of that initrd in PCR 9")


def firmware_events(hop):
    return [e for e in eventlog.parse(hop.firmware.log)[1] if e.type not in ("EV_SEPARATOR", "EV_EFI_ACTION")]


def own_events(hop):
    return [eventlog.Event(0, e["payload_pcr"], e["type"], e["digests"], bytes.fromhex(e["data"]))
            for e in hop.prediction["events"] if e["kind"] == "payload"]


EVENTS = {"OVMF": firmware_events, "mkexec": own_events}


def events_are_the_firmwares(hop):
    """A boot secret is in the digest of the initrd: then the computed digests are what to compare PCR 9 with."""
    compared = [pcr for pcr in COMPARED_PCRS if pcr != 9 or not hop.firmware_boot.boot_secret]
    hop_checks.events_are_the_firmwares(hop, compared)
    events_are_computed(own_events(hop), hop.scene.boot)


def firmwares_events_are_the_computed(hop):
    """OVMF's log against the parts: what the host's matrix of payloads takes for true."""
    events_are_computed(firmware_events(hop), hop.firmware_boot)


def events_are_computed(events, boot):
    for pcr, due in boot.events().items():
        found = [e for e in events if e.pcr == pcr]
        expect_equal(f"number of events of PCR {pcr}", len(found), len(due))
        for index, (event, wanted) in enumerate(zip(found, due)):
            expect_equal(f"type of event {index} of PCR {pcr}", event.type, wanted.type)
            if wanted.data is not None:
                expect_equal(f"data of event {index} of PCR {pcr}", event.data, wanted.data)
            for bank, digest in event.digests.items():
                expect_equal(f"{bank} of event {index} of PCR {pcr}", digest, wanted.digests()[bank])


def payload_view_is_the_firmwares(hop):
    hop_checks.payload_view_is_the_firmwares(hop, (11, 12, 13) if hop.firmware_boot.boot_secret else (9, 11, 12, 13))


def variables_are_the_firmwares(hop):
    """All Loader* and Stub* variables, with the attributes, but those that may differ."""
    ours, theirs = ({name: value for name, value in state.efivars.items() if name.startswith(("Loader", "Stub"))}
                    for state in (hop.second, hop.firmware))
    hidden = [name for name in theirs if name.startswith("StubPcr")]
    expect(hidden and not [name for name in ours if name.startswith("StubPcr")],
           f"StubPcr* variables: {hidden} after firmware, {sorted(ours)} here")
    expect(not (name := set(hop_checks.HIDDEN_VARIABLES) & set(ours)), f"{name} shown")
    expect_equal("variables", {n: v for n, v in ours.items() if n not in OWN_VARIABLES},
                 {n: v for n, v in theirs.items() if n not in (*OWN_VARIABLES, *hidden)})
    return " ".join(sorted(ours))


def smbios_is_there(hop):
    for state in (hop.firmware, hop.second):
        lost = [string for string in OEM_STRINGS if string.encode() + b"\0" not in state.files["DMI"]]
        expect(not lost, f"SMBIOS hasn't {lost}")
    expect_equal("SMBIOS", hop.second.text("smbios"), hop.first.text("smbios"))


def loaded_as_predicted(hop):
    for verb in ("predict", "load"):
        expect_equal(f"exit code of {verb} ({hop.first.text(verb + '.err')})", hop.first.text(f"{verb}.status"), "0")
    expect_equal("PCRs after load", results.parse_pcrs(hop.first.text("pcrs-loaded")), hop.first.pcrs)
    expect("./loader/random-seed" in hop.first.text("esp-before"), f"the ESP has {hop.first.text('esp-before')}")
    expect_equal("files of the ESP", hop.first.text("esp-after"), hop.first.text("esp-before"))
    registers = json.loads(hop.first.files["load.out"])["registers"]
    expect_equal("registers that load names", registers, hop.prediction["registers"])


def registers_differ(there, here):
    for bank, value in there["registers"]["8"].items():
        expect(here["registers"]["8"][bank] != value, f"PCR 8, {bank} is the same")


def change_after_predict_counts(hop):
    for name in ("changed", "missing"):
        expect_equal(f"exit code ({hop.first.text(name + '.err')})", hop.first.text(f"{name}.status"), "0")
        registers_differ(hop.prediction, json.loads(hop.first.files[f"{name}.out"]))


# ---- what each file counts for, foretold on this machine with the facts of that one ----

def predict_here(hop, files):
    with tempfile.TemporaryDirectory() as place:
        esp, machine = pathlib.Path(place) / "esp", pathlib.Path(place) / "machine.json"
        machine.write_bytes(hop.first.files["machine.out"])
        for path, data in files.items():
            (esp / path).parent.mkdir(parents=True, exist_ok=True)
            (esp / path).write_bytes(data)
        command = f'exec "$0" predict --json --machine "$1" --esp "$2" {hop.scene.text(hop.scene.configuration.options)} "$3"'
        done = subprocess.run(["sh", "-c", command, scene.program(), machine, esp, esp / hop.scene.path_b],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
    expect(done.returncode == 0, f"predict --machine: {done.stderr}")
    return json.loads(done.stdout)


def each_file_counts(hop):
    """A byte more of each file that the stub reads gives other registers, and so does its absence; others don't count."""
    boot, files = hop.scene.boot, hop.scene.boot.files()
    expect_equal("registers foretold here", predict_here(hop, files)["registers"], hop.prediction["registers"])
    counted = []
    for folder in ("extra", "addons", "credentials", "extensions"):
        for name, data in getattr(boot, folder).items():
            twin = data[:-1] + bytes([data[-1] ^ 1])
            without = {other: kept for other, kept in getattr(boot, folder).items() if other != name}
            for what in ({**without, name: twin}, without):
                changed = dataclasses.replace(boot, **{folder: what})
                here = predict_here(hop, changed.files())
                matters = changed.events() != boot.events()
                expect((here["registers"] != hop.prediction["registers"]) == matters,
                       f"{folder}/{name} {'does not count' if matters else 'counts'}")
            counted += [name] if matters else []
    return f"{len(counted)} count: {' '.join(counted)}"


CHECKS = {
    "load and predict agree, TPM and ESP are only read": loaded_as_predicted,
    "B's command line is as after firmware": command_line_is_the_firmwares,
    "/.extra and microcode are as after firmware": initrd_is_the_firmwares,
    "the initrd begins with microcode": microcode_comes_first,
    "SMBIOS strings are there": smbios_is_there,
    "EFI variables are as after firmware": variables_are_the_firmwares,
    "events of payload PCR 4, 9, 11, 12, 13 are those that OVMF logs for B": events_are_the_firmwares,
    "OVMF's events are those computed from B's parts": firmwares_events_are_the_computed,
    "the payload view is what the PCRs read after a firmware boot of B": payload_view_is_the_firmwares,
    "PCR 8 reads what predict said": hop_checks.prediction_holds,
    "all other PCRs are unchanged": hop_checks.other_pcrs_unchanged,
    "the second kernel's log replays and is a hop's": hop_checks.log_replays_with_mkexec,
    "dmesg has no trouble that a firmware boot hasn't": hop_checks.kernel_is_content,
    "a change between predict and load gives other registers": change_after_predict_counts,
    "each file beside B counts as its stub reads it": each_file_counts,
}


# ---- results that must be refused ----

def swap(old, new):
    def change(data):
        expect(old in data, f"{old!r} isn't there to be changed")
        return data.replace(old, new, 1)
    return change


def other_digest(pcr):
    def change(data):
        prediction = json.loads(data)
        event = next(e for e in prediction["events"] if e["payload_pcr"] == pcr)
        event["digests"] = {bank: digest[:-1] + f"{int(digest[-1], 16) ^ 1:x}" for bank, digest in event["digests"].items()}
        return json.dumps(prediction).encode()
    return change


# What is forged: the check that must refuse it, the state and its file (as it begins), and how.
TWINS = {
    "another command line": (command_line_is_the_firmwares, "second", "cmdline", swap(b"word=here", b"word=gone")),
    "another mode in /.extra": (initrd_is_the_firmwares, "second", "tree", swap(b"\n400 0:0", b"\n444 0:0")),
    "a file less in /.extra": (initrd_is_the_firmwares, "second", "tree", lambda data: data[:data.rstrip().rindex(b"\n")]),
    "another StubInfo": (variables_are_the_firmwares, "second", "efivars/StubInfo-", lambda data: data[:-2]),
    **{f"another digest in PCR {pcr}": (events_are_the_firmwares, "first", "predict.out", other_digest(pcr))
       for pcr in COMPARED_PCRS},
}


def twin_is_refused(hop, check, which, path, change):
    state = copy.copy(getattr(hop, which))
    name = next(name for name in state.files if name.startswith(path))
    state.files = {**state.files, name: change(state.files[name])}
    try:
        check(dataclasses.replace(hop, **{which: state}))
    except Wrong as reason:
        return str(reason).splitlines()[0]
    raise Wrong("it is taken for true")


def run(tally, folder, configuration):
    title = f"payloads ({configuration})"
    place = PayloadScene(folder, configuration, tally.say)
    setting = f"uki=/efi/{place.path_b}\nbeside=/efi/{place.beside}\nset -- {place.text(configuration.options)}\n"
    smbios = extras.smbios_options(*OEM_STRINGS)
    firmware = place.run_b("firmware", place.payload("payload-firmware", {}), place.text(configuration.load_options),
                           smbios=smbios, devices=RANDOMNESS)
    outcome = place.run("hop", place.payload("payload-hop", {"bin/mkexec": scene.program()}, {"setting": setting}),
                        shared=False, smbios=smbios, devices=RANDOMNESS)
    hop = Hop(place, outcome, outcome.state("first"), outcome.state("second"), firmware.state("second"))
    for check, function in CHECKS.items():
        tally.check(f"{title}: {check}", function, hop)
    for name, twin in TWINS.items():
        tally.check(f"{title}: refused: {name}", twin_is_refused, hop, *twin)

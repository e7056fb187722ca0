# SPDX-License-Identifier: LGPL-2.1-or-later
"""A measured kexec with Secure Boot on, from a kernel that is locked down to one that is locked down again; and what must
be refused there: unsigned, tampered and revoked images, and kexec_load.

Keys of the test's own: a platform and an exchange key, the vendor's, which signs UKIs, and the kernel's, which signs the kernels in
them, both in db; and the hash of a UKI in dbx.
"""

import json
import pathlib

import hop_checks
import payloads
import scene
import signing
import swtpm
import test_file_mode
import uki
import vm
from tally import expect, expect_equal

# 252 answers for its kernel itself (Security2), 262 has a loader of its own.
CONFIGURATIONS = (scene.Configuration("262", "6.1", ("sha256",), only_full=True), scene.Configuration("252", "6.1", ("sha256",)))
MARK_STRAY = 21
# In the real-mode part of a kernel's image, which nobody runs here: signed, and not missed.
INNER_BYTE = 0x1000


class SecureScene(scene.Scene):
    """A and B, signed, and B's inner kernel, too; `esp_files` are the twins."""
    esp_mib = 240

    def __init__(self, folder, configuration, say):
        self.place = pathlib.Path(f"{folder}.keys")
        self.place.mkdir()
        self.platform, self.exchange, self.vendor, self.own = (
            signing.Key(self.place, name) for name in ("platform", "exchange", "vendor", "kernel"))
        self.n = 0
        super().__init__(folder, configuration, "secure-first", "secure-second", say)
        self.esp_files = {f"{scene.FOLDER_B}{name}.efi": data for name, data in self.twins().items()}

    def file(self, data):
        self.n += 1
        path = self.place / f"image{self.n}"
        path.write_bytes(data)
        return path

    def sign(self, key, data):
        path = self.file(data)
        return signing.sbsign(key, path, path.with_suffix(".signed")).read_bytes()

    def unsigned_kernel(self):
        """Debian's, without Debian's signature."""
        path = self.file(self.kernel.image.read_bytes())
        signing.run("sbattach", "--remove", path)
        return path.read_bytes()

    def build(self, name, initrd_image, cmdline):
        inner = self.kernel.image.read_bytes() if name == "A" else self.sign(self.own, self.unsigned_kernel())
        return self.sign(self.vendor, self.around(inner, name, initrd_image, cmdline))

    def around(self, inner, name, initrd_image, cmdline):
        random_bytes = scene.RANDOM_A if name == "A" else scene.os.urandom(scene.RANDOM_BYTES)
        return uki.build(self.stub.path.read_bytes(), inner, initrd_image, cmdline, uki.os_release(name, random_bytes),
                         self.kernel.release)

    def with_inner(self, name, inner):
        return self.around(inner, name, self.initrd_b, self.cmdline_b)

    def twins(self):
        bare = self.unsigned_kernel()
        signed = self.sign(self.own, bare)
        broken, tampered = bytearray(signed), bytearray(self.uki_b)
        broken[INNER_BYTE] ^= 1
        start, size = uki.place(self.uki_b, ".initrd")
        tampered[start + size // 2] ^= 1
        self.revoked = self.sign(self.vendor, self.with_inner("revoked", signed))
        return {
            "unsigned": self.with_inner("unsigned", signed),
            "inner-unsigned": self.sign(self.vendor, self.with_inner("inner-unsigned", bare)),
            "inner-stranger": self.sign(self.vendor, self.with_inner("inner-stranger", self.kernel.image.read_bytes())),
            "inner-tampered": self.sign(self.vendor, self.with_inner("inner-tampered", bytes(broken))),
            "tampered": bytes(tampered),
            "revoked": self.revoked,
        }

    def variables(self):
        revoked = signing.signature_list(signing.SHA256, signing.signed_hash(self.file(self.revoked)))
        return scene.nvram.enrolled(vm.VARIABLES.read_bytes(), signing.trusted(self.platform), signing.trusted(self.exchange),
                                    signing.trusted(self.vendor) + signing.trusted(self.own), revoked)


def is_locked_down(state):
    expect("[integrity]" in state.text("lockdown") or "[confidentiality]" in state.text("lockdown"), state.text("lockdown"))
    expect("secureboot: Secure boot enabled" in state.text("dmesg"), "dmesg doesn't say that Secure Boot is enabled")
    expect_equal("boot_params.secure_boot", state.files["boot_params"][0x1ec], 3)


# What mkexec says of each twin: by its own verification, as firmware would, or by the running kernel's.
REFUSALS = {
    "unsigned": "refused: not signed",
    "inner-unsigned": "kexec_file_load (ENODATA): the inner kernel isn't signed",
    "inner-stranger": "kexec_file_load (ENOKEY): the running kernel has no certificate",
    "inner-tampered": "kexec_file_load (EKEYREJECTED)",
    "tampered": "the file was changed",
    "revoked": "is in dbx",
}


def signer_is_named(first):
    """Of the kernel that Debian signed, by openssl's word on the package's file."""
    text = first.text("inner-stranger.err")
    expect("signed by 'CN=Debian Secure Boot Signer" in text, text)


def twin_is_refused(first, name):
    expect_equal(f"exit code ({first.text(f'{name}.err')})", first.text(f"{name}.status"), "1")
    expect(REFUSALS[name] in first.text(f"{name}.err"), f"for another reason: {first.text(f'{name}.err')}")
    expect_equal("loaded", first.text(f"{name}.loaded"), "0")
    expect_equal("left in /run/mkexec", first.text(f"{name}.left"), "lock")
    return first.text(f"{name}.err").splitlines()[-1]


def kexec_load_is_refused(state):
    expect_equal("exit code", state.text("load-mode.status"), "1")
    expect("kexec_load: refused by an IMA or security module policy" in state.text("load-mode.err"), state.text("load-mode.err"))


def without_ima(pcrs):
    """Under Secure Boot IMA measures each kernel that kexec_file_load gets, the guard's as well (its arch policy)."""
    return {bank: {index: value for index, value in values.items() if index != hop_checks.IMA_PCR}
            for bank, values in pcrs.items()}


def only_ima_extends_at_load(hop):
    commands = swtpm.between(hop.outcome.commands, hop_checks.MARK_LOAD, hop_checks.MARK_LOADED)
    expect(commands is not None, "the marks are not in swtpm's log")
    odd = [str(c) for c in commands if c.name not in swtpm.READS
           and not (c.name == "PCR_Extend" and c.handle == hop_checks.IMA_PCR)]
    expect(not odd, f"swtpm saw {odd}")
    expect_equal("status says loaded", json.loads(hop.first.files["status.json"])["loaded"], True)


def refusals_leave_nothing(first):
    for name in ("pcrs-refused", "pcrs-last"):
        expect_equal(name, without_ima(hop_checks.results.parse_pcrs(first.text(name))), without_ima(first.pcrs))
    test_file_mode.succeeded(first, "unload", "load")
    expect_equal("after unload", first.text("unload.loaded"), "0")


def another_initrd_is_refused(first):
    expect_equal("exit code of exec", first.text("exec-initrd.status"), "1")
    expect("the staged initrd isn't the one of the staged plan" in first.text("exec-initrd.err"), first.text("exec-initrd.err"))


def auto_takes_file_mode(first):
    expect("handing over by kexec_file_load instead" in first.text("load.err"), first.text("load.err"))
    expect_equal("handover", json.loads(first.files["status.json"])["handover"], "file")


def stray_kexec_resets(outcome, before, after):
    console = outcome.console
    expect_equal("times that kexec -e was reached", console.count("secure-first: kexec -e\n"), 1)
    expect("came back with" not in console.split("secure-first: exec\n")[0], "kexec -e came back")
    commands = swtpm.between(outcome.commands, MARK_STRAY, "Startup")
    expect(commands is not None, "the TPM wasn't started again")
    expect_equal("PCRs extended by the guard", {c.handle for c in commands if c.name == "PCR_Extend"}, {hop_checks.IMA_PCR})
    expect_equal("PCRs after the reset", after.pcrs, before.pcrs)


def log_explains_all(second):
    status = json.loads(second.files["status.out"])
    expect_equal("verdict", (status["verdict"], status["reason"], status["boots"]), ("ok", "", 2))
    test_file_mode.succeeded(second, "check", "again")
    expect(second.log.startswith(second.files["kernel-log"]), "it doesn't begin with the kernel's own")


LOAD_READS = "load only reads the TPM"
HOP_CHECKS = tuple(name for name in hop_checks.CHECKS_WITHOUT_FIRMWARE_BOOT
                   if name != LOAD_READS and not name.startswith("a secret"))


def run(tally, folder, configuration):
    title = f"Secure Boot ({configuration})"
    place = SecureScene(folder, configuration, tally.say)
    programs = {"bin/mkexec": scene.program(), "bin/kexec": payloads.kexec_tools()}
    outcome = place.run("machine", place.payload("payload", programs), shared=False, variables=place.variables(),
                        secure_boot=True, reboots=True, deadline_seconds=1200)
    round_1, first = outcome.state("round-1"), outcome.state("first")
    second = test_file_mode.with_joined_log(outcome.state("second"))
    tally.check(f"{title}: the first kernel is locked down", is_locked_down, first)
    for name in REFUSALS:
        tally.check(f"{title}: load refuses a twin: {name}", twin_is_refused, round_1, name)
    tally.check(f"{title}: who signed a kernel that isn't taken is named", signer_is_named, round_1)
    tally.check(f"{title}: --handover=load is refused with the reason", kexec_load_is_refused, round_1)
    tally.check(f"{title}: exec refuses another initrd than the one measured", another_initrd_is_refused, round_1)
    tally.check(f"{title}: refusals and unload leave nothing", refusals_leave_nothing, round_1)
    tally.check(f"{title}: a stray kexec -e ends in a reset", stray_kexec_resets, outcome, round_1, first)
    tally.check(f"{title}: auto takes kexec_file_load", auto_takes_file_mode, first)
    hop = hop_checks.Hop(place, outcome, first, second, None)
    tally.check(f"{title}: {LOAD_READS}, and IMA extends PCR 10", only_ima_extends_at_load, hop)
    for check in HOP_CHECKS:
        tally.check(f"{title}: {check}", hop_checks.CHECKS[check], hop)
    tally.check(f"{title}: mkexec checks the joined log", hop_checks.log_replays_with_mkexec, hop)
    tally.check(f"{title}: the joined log explains the TPM, and a next hop may follow", log_explains_all, second)
    tally.check(f"{title}: the second kernel is locked down again", is_locked_down, second)
    tally.check(f"{title}: kexec_load is refused there, too", kexec_load_is_refused, second)

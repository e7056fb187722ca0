#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""mkexec's judgement of signed, unsigned, revoked and damaged images, and other people's. Prints TAP.

A program of ours runs under `mkexec predict` and calls LoadImage on each image; sbverify and osslsigncode look at the same
files. They check signatures but know neither dbx nor lists of hashes: where they may differ stands below with the reason. What
firmware says of the same images is tests/system/test_images.py. Usage: test_secure_boot.py MKEXEC JUDGE.EFI CHILD.EFI HOOK.EFI
"""

import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
import signed_images  # noqa: E402
import signing  # noqa: E402
import tap  # noqa: E402

# What a program says that was accepted, started, and came back: it is no kernel.
STARTED = "gave up and returned EFI_SUCCESS"
NO_DBX = ("revoked-leaf", "revoked-middle", "tbs-revoked-leaf", "tbs-384-revoked-leaf", "tbs-revoked-later", "tbs-revoked-root",
          "tbs-revoked-middle", "two-signatures-first-revoked", "two-signatures-second-revoked", "hash-in-dbx-signed")
NO_HASHES = ("hash-in-db", "hash-in-db-wrong-key")
PURPOSE = ("for-servers", "for-modules")
OTHER_ENTRIES = ("guid-certificate", "other-guid-first", "other-type-first")
# tool: images about which it may say something else than mkexec, and why
MAY_DIFFER = {
    "sbverify": {
        "it knows no dbx": NO_DBX,
        "it knows no hashes in db": NO_HASHES,
        "it wants certificates for signing code": PURPOSE,
        "its trust ends with a certificate that signed itself": ("leaf-in-db",),
        "it doesn't read what follows the first entry": ("appended-and-counted", "length-beyond", "unpadded"),
        "it takes entries of PKCS#7 only": OTHER_ENTRIES,
        "it takes SHA-256 only": ("sha384", "sha512", "sha1-and-sha256"),
    },
    "osslsigncode": {
        "it knows no dbx": NO_DBX,
        "it knows no hashes in db": NO_HASHES,
        "it wants certificates for signing code": PURPOSE,
        "its trust ends with a certificate that signed itself": ("chain-to-middle", "leaf-in-db"),
        "it looks at the clock": ("expired", "expired-leaf", "not-yet-valid"),
        "it reads one signature": ("two-signatures-first-good", "two-signatures-second-good", "sha1-and-sha256"),
        "it takes entries of PKCS#7 only": OTHER_ENTRIES,
        "it takes SHA-1": ("sha1",),
    },
}


class Case:
    def __init__(self, mkexec, judge, hook, images):
        self.mkexec, self.images = mkexec, images
        self.place = images.folder / "esp"
        (self.place / "EFI/BOOT").mkdir(parents=True)
        shutil.copytree(images.image_folder, self.place / "images")
        self.judge = self.place / "EFI/BOOT/BOOTX64.EFI"
        self.judge.write_bytes(images.signed("judge", "vendor", path=judge))
        self.hook = self.place / "EFI/BOOT/hook.efi"
        self.hook.write_bytes(images.signed("hook", "vendor", path=hook))
        self.db, self.dbx = images.write_lists()
        self.config = images.folder / "etc"
        self.config.mkdir()
        self.roots = [key.certificate for key in images.keys.values() if signing.trusted(key) in images.db]
        self.bundle = images.folder / "roots.pem"
        self.bundle.write_text("".join(path.read_text() for path in self.roots))

    def predict(self, *arguments, policy=None):
        path = self.config / "policy.conf"
        path.unlink(missing_ok=True)
        if policy is not None:
            path.write_text(policy)
        return subprocess.run([self.mkexec, "predict", "--esp", self.place, "--cmdline", "return", *map(str, arguments)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=300, env={**os.environ, "MKEXEC_CONFIG_DIR": str(self.config)})

    def trace(self, *arguments):
        done = self.predict("--trace", "--db", self.db, "--dbx", self.dbx, *arguments)
        return done.stderr

    def by_mkexec(self):
        """{image: (accepted, the reason that the trace has)}"""
        reason, found = "", {}
        for line in self.trace(self.judge).splitlines():
            if line.startswith("trace:   not loaded: "):
                reason = line.removeprefix("trace:   not loaded: ")
            if line.startswith("payload: JUDGE "):
                status, name = line.split()[2:]
                found[name.removesuffix(".efi")] = (int(status, 16), reason if int(status, 16) else "")
        return found

    def by_tool(self, tool, name):
        path = self.images.image_folder / f"{name}.efi"
        if tool == "sbverify":
            commands = [["sbverify", "--cert", root, path] for root in self.roots]
        else:
            commands = [["osslsigncode", "verify", "-CAfile", self.bundle, "-TSA-CAfile", self.bundle, "-in", path]]
        return any(subprocess.run(command, capture_output=True).returncode == 0 for command in commands)


def judged(case, image, ours):
    status, reason = ours[image.name]
    wanted = signed_images.ACCEPTED if image.accepted else signed_images.DENIED
    assert status == wanted, f"status {status:#x}, not {wanted:#x} ({reason})"
    assert image.reason in reason, f"'{reason}' doesn't say '{image.reason}'"


def agreed(case, tool):
    """Each tool sees most of it as mkexec does, and all that it says otherwise is known."""
    known = {name for names in MAY_DIFFER[tool].values() for name in names}
    differs = [image.name for image in case.images.images if case.by_tool(tool, image.name) != image.accepted]
    unknown = sorted(set(differs) - known)
    assert not unknown, f"it differs about {', '.join(unknown)}"
    assert len(case.images.images) - len(differs) >= 20, f"it agrees about few: {differs}"
    return f"{len(case.images.images) - len(differs)} of {len(case.images.images)} alike"


def refusals_in_words(case):
    """The payload itself: one line with file, signer and list, exit code 1."""
    for name, words in (("unsigned", "unsigned.efi: refused: not signed, and neither db nor MokList has its hash"),
                        ("wrong-key", "wrong-key.efi: refused: signed by 'CN=stranger', which no certificate in db"),
                        ("revoked-middle", "signed by 'CN=leaf-of-revoked', and the certificate of 'CN=revoked-middle' is in dbx"),
                        ("hash-in-both", "hash-in-both.efi: refused: its sha256 hash is in dbx")):
        done = case.predict("--db", case.db, "--dbx", case.dbx, case.place / f"images/{name}.efi")
        assert done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1, (done.returncode, done.stderr)


def unsigned_where_nobody_asks(case):
    done = case.predict(case.place / "images/unsigned.efi")
    assert STARTED in done.stderr, done.stderr


def policy_file(case):
    image = case.place / "images/wrong-key.efi"
    for policy, words, code in (
            ("require-signature = yes\n", "signatures are demanded, but this machine has no key", 1),
            (f"db = {case.db}\n", "refused: signed by 'CN=stranger'", 1),
            (f"require-signature = no\ndb = {case.db}\n", "refused: signed by 'CN=stranger'", 1),
            (f"db = {case.images.key_folder}/stranger/certificate.pem\n", STARTED, 1),
            ("require-signature = no\n", STARTED, 1),
            ("require_signature = yes\n", "policy.conf:1: unknown key 'require_signature'", 2),
            ("db = relative\n", "db and dbx are absolute paths", 2)):
        done = case.predict(image, policy=policy)
        assert words in done.stderr and done.returncode == code, (policy, done.stderr)
    done = case.predict("--db", case.db, image, policy=f"db = {case.db}\n")
    assert done.returncode == 2 and "names the keys" in done.stderr, done.stderr


def machine_file(case, **values):
    zero = "0" * 64
    guids = {"SecureBoot": "8be4df61-93ca-11d2-aa0d-00e098032b8c", "SetupMode": "8be4df61-93ca-11d2-aa0d-00e098032b8c",
             "db": "d719b2cb-3d3a-4596-a3bc-dad00e67656f", "dbx": "d719b2cb-3d3a-4596-a3bc-dad00e67656f"}
    facts = {"version": 1, "banks": ["sha256"], "registers": {str(pcr): {"sha256": zero} for pcr in range(16)}, "hop": 1,
             "esp_device_path": "7fff0400", "smbios_address": 0, "smbios_entry": "", "smbios_tables": "",
             "variables": [{"name": name, "guid": guids.get(name, "605dab50-e046-4300-abb6-3dd810dd8b23"), "attributes": 6,
                            "data": data.hex()} for name, data in values.items()]}
    path = case.images.folder / "machine.json"
    path.write_text(json.dumps(facts))
    return path


def secure_boot_of_a_machine(case):
    """Firmware's and shim's variables, as `status --machine` brings them."""
    images = case.images
    vendor = signing.trusted(images.keys["vendor"])
    stranger = signing.trusted(images.keys["stranger"])
    image = case.place / "images/wrong-key.efi"
    sbat = b"sbat,1,2026010100\n"
    for values, words in (
            ({"SecureBoot": b"\1", "db": vendor}, "refused: signed by 'CN=stranger'"),
            ({"SecureBoot": b"\0", "db": vendor}, None),
            ({"SecureBoot": b"\1", "SetupMode": b"\1", "db": vendor}, None),
            ({"SecureBoot": b"\1", "db": vendor, "MokListRT": stranger}, None),
            ({"SecureBoot": b"\1", "db": vendor, "MokListRT": vendor, "MokListRT1": stranger}, None),
            ({"SecureBoot": b"\1", "db": stranger}, None),
            ({"SecureBoot": b"\1", "db": stranger, "dbx": stranger}, "the certificate of 'CN=stranger' is in dbx"),
            ({"SecureBoot": b"\1", "db": stranger, "MokListXRT": stranger}, "the certificate of 'CN=stranger' is in MokListX"),
            ({"SecureBoot": b"\1", "db": vendor, "MokListRT": stranger, "MokListTrustedRT": b"\0"}, None),
            ({"SecureBoot": b"\1", "db": vendor, "MokSBStateRT": b"\1"}, None),
            ({"SecureBoot": b"\1", "db": stranger, "SbatLevelRT": sbat}, None),
            ({"SecureBoot": b"\1", "db": stranger, "SbatLevelRT": b"sbat"}, "row 1 of SbatLevel"),
            ({"SecureBoot": b"\1", "db": stranger[:-1]}, "db can't be read"),
            ({"SecureBoot": b"\1"}, "this machine has no key")):
        done = case.predict("--machine", machine_file(case, **values), image)
        if words is None:
            assert STARTED in done.stderr, (list(values), done.stderr)
        else:
            assert words in done.stderr and done.returncode == 1, (list(values), done.stderr)
    done = case.predict("--machine", machine_file(case), "--db", case.db, image)
    assert done.returncode == 2 and "exclude each other" in done.stderr, done.stderr


def payloads_that_answer_themselves(case):
    """What stands in for firmware's check at LoadImage; where Secure Boot is off nothing can."""
    vendor = signing.trusted(case.images.keys["vendor"])
    done = case.predict("--trace", "--machine", machine_file(case, SecureBoot=b"\1", db=vendor), case.hook)
    lines = [line.removeprefix("payload: ") for line in done.stderr.splitlines() if line.startswith("payload: ")]
    assert len(lines) == 5 and all(line.startswith("ok ") for line in lines), done.stderr[-2000:]
    # itself, and the signed image three times; what was let through unasked isn't measured, as under firmware
    assert done.stderr.count("payload PCR 4 EV_EFI_BOOT_SERVICES_APPLICATION") == 4, done.stderr[-2000:]
    assert done.stderr.count("and not measured") == 3, done.stderr[-2000:]
    done = case.predict("--db", case.db, case.hook)
    assert "not ok protocols" in done.stderr or "page fault" in done.stderr, done.stderr


def sbat_of_an_image(case):
    """A generation below SbatLevel, by the section that objcopy puts into the program."""
    folder, images = case.images.folder, case.images
    text = folder / "sbat.csv"
    text.write_text("sbat,1,SBAT Version,sbat,1,https://example.org\nprogram.test,2,Test,program,2,https://example.org\n")
    image = folder / "sbat.plain"
    subprocess.run(["objcopy", "--add-section", f".sbat={text}", "--set-section-flags", ".sbat=data,readonly,contents,alloc,load",
                    "--change-section-address", ".sbat=0x480000", images.plain, image], check=True)
    signed = case.place / "images/sbat.efi"
    signed.write_bytes(images.signed("sbat", "vendor", path=image))
    vendor = signing.trusted(images.keys["vendor"])
    for level, words in (("program.test,2", None), ("program.test,3", "SBAT generation 2 of 'program.test' is revoked"),
                         ("program,9", None)):
        facts = machine_file(case, SecureBoot=b"\1", db=vendor, SbatLevelRT=f"sbat,1,2026010100\n{level}\n".encode())
        done = case.predict("--machine", facts, signed)
        assert (words or STARTED) in done.stderr, (level, done.stderr)
    signed.unlink()


def tests(case):
    ours = case.by_mkexec()
    for image in case.images.images:
        yield f"mkexec: {image.name}", judged, (image, ours)
    for tool in MAY_DIFFER:
        yield f"{tool} agrees, but for what it doesn't know", agreed, (tool,)
    for function in (refusals_in_words, unsigned_where_nobody_asks, policy_file, secure_boot_of_a_machine,
                     payloads_that_answer_themselves, sbat_of_an_image):
        yield function.__name__.replace("_", " "), function, ()


def main():
    mkexec, judge, child, hook = sys.argv[1:]
    missing = [tool for tool in ("openssl", "sbsign", "sbverify", "osslsigncode", "objcopy") if not shutil.which(tool)]
    if missing:
        print(f"1..0 # SKIP no {', '.join(missing)}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        case = Case(mkexec, pathlib.Path(judge), pathlib.Path(hook), signed_images.Images(pathlib.Path(folder) / "made", child))
        return tap.run((name, functools.partial(function, case, *arguments)) for name, function, arguments in tests(case))


if __name__ == "__main__":
    sys.exit(main())

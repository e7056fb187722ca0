#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`mkexec predict` on this machine, on real UKIs, judged by systemd-measure. Prints TAP.

No virtual machine, no TPM, no root: the payload really runs, up to the point where it would be handed over.
Usage: test_predict.py MKEXEC
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
import payloads  # noqa: E402
import tap  # noqa: E402
import uki  # noqa: E402

MEASURE = pathlib.Path("/usr/lib/systemd/systemd-measure")
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


class Case:
    def __init__(self, mkexec, folder):
        self.mkexec, self.folder = mkexec, folder
        self.parts = {}

    def build(self, name, stub="252", kernel="6.1", **changes):
        """A UKI of real parts; its sections' contents stay at hand for systemd-measure."""
        try:
            stub_bytes = payloads.stub(stub).path.read_bytes()
            kernel_bytes = payloads.kernel(kernel).image.read_bytes()
        except payloads.Unavailable as reason:
            raise tap.Skip(str(reason)) from None
        parts = {"stub": stub_bytes, "kernel": kernel_bytes, "initrd": b"\x1f\x8b" + os.urandom(200_001),
                 "cmdline": "quiet stage=2", "osrel": uki.os_release("test", b"random"), "uname": "6.1.0-test"}
        parts.update(changes)
        path = self.folder / f"{name}.efi"
        path.write_bytes(uki.build(**parts))
        path.chmod(0o644)
        self.parts[name] = parts
        return path

    def run(self, *arguments, user=()):
        return subprocess.run([*user, self.mkexec, *map(str, arguments)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=300)

    def predict(self, path, *options, user=()):
        done = self.run("predict", "--json", *options, path, user=user)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def measured_by_systemd(parts, folder):
    """PCR 11 of a UKI's sections, as systemd-measure 252 computes it; its sections are those of stub 252."""
    if not MEASURE.exists():
        raise tap.Skip("no systemd-measure on this machine")
    options = []
    for section, key in (("linux", "kernel"), ("osrel", "osrel"), ("cmdline", "cmdline"), ("initrd", "initrd")):
        path = folder / section
        data = parts[key]
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        options.append(f"--{section}={path}")
    text = subprocess.run([MEASURE, "calculate", "--bank=sha1", "--bank=sha256", "--bank=sha384", "--bank=sha512",
                           "--phase=:", *options], capture_output=True, text=True, check=True).stdout
    return dict(line.removeprefix("11:").split("=") for line in text.split() if line.startswith("11:"))


def pcr11_is_what_systemd_measures(case):
    path = case.build("b")
    view = case.predict(path)["payload_view"]["11"]
    wanted = measured_by_systemd(case.parts["b"], case.folder)
    assert wanted, "systemd-measure printed nothing"
    for bank, value in wanted.items():
        assert view[bank] == value, f"{bank}: predicted {view[bank]}, systemd-measure says {value}"


def nobody_can_predict_too(case):
    if os.geteuid() != 0:
        raise tap.Skip("not root, so the other tests showed it already")
    path = case.build("b")
    assert case.predict(path)["registers"]["8"] == case.predict(path, user=NOBODY)["registers"]["8"]


def other_input_gives_other_registers(case):
    base = case.predict(case.build("b"))["registers"]["8"]
    initrd = case.parts["b"]["initrd"]
    keep = {key: case.parts["b"][key] for key in ("osrel", "uname")}
    same = case.predict(case.build("b", initrd=initrd, **keep))["registers"]["8"]
    assert same == base, "the same input gave another prediction"
    for change in ({"cmdline": "quiet stage=3"}, {"initrd": initrd[:-1] + bytes([initrd[-1] ^ 1])},
                   {"osrel": uki.os_release("test", b"randon")}):
        twin = case.predict(case.build("b", **{**keep, "initrd": initrd, **change}))["registers"]["8"]
        assert all(twin[bank] != base[bank] for bank in base), f"no difference with {list(change)}"
    options = case.predict(case.build("b", initrd=initrd, **keep), "--cmdline", "other")["registers"]["8"]
    assert all(options[bank] != base[bank] for bank in base), "LoadOptions make no difference"


def events_hash_to_their_digests(case):
    """The digests of .linux and of the command line, recomputed by Python; the replay of PCR 8, too."""
    path = case.build("b")
    prediction = case.predict(path)
    digests = {event["digests"]["sha256"] for event in prediction["events"]}
    parts = case.parts["b"]
    for name, data in ((".linux", parts["kernel"]), (".initrd", parts["initrd"]), (".cmdline", parts["cmdline"].encode())):
        assert hashlib.sha256(data).hexdigest() in digests, f"no event has the digest of {name}"
        assert hashlib.sha256(name.encode() + b"\0").hexdigest() in digests, f"no event has the digest of the name {name}"
    for bank in ("sha1", "sha256", "sha384", "sha512"):
        value = bytes(hashlib.new(bank).digest_size)
        for event in prediction["events"]:
            if event["register"] == 8:
                value = hashlib.new(bank, value + bytes.fromhex(event["digests"][bank])).digest()
        assert value.hex() == prediction["registers"]["8"][bank], f"{bank} doesn't replay"


def newer_stub_and_kernel(case):
    path = case.build("new", stub="262", kernel="7.2")
    view = case.predict(path)["payload_view"]
    assert {"4", "9", "11"} <= set(view), f"payload PCRs {sorted(view)}"


def firmware_boot_is_what_systemd_measures(case):
    """PCR 11 of it; PCR 4 has what firmware measures before, in front of the payload's own."""
    path = case.build("b")
    found = case.predict(path, "--firmware", user=NOBODY if os.geteuid() == 0 else ())
    assert found["kind"] == "firmware" and set(found["pcrs"]) == {"4", "9", "11", "12", "13"}, sorted(found)
    for bank, value in measured_by_systemd(case.parts["b"], case.folder).items():
        assert found["pcrs"]["11"][bank] == value, f"{bank}: {found['pcrs']['11'][bank]}, systemd-measure says {value}"
    images = [e["digests"]["sha256"] for e in case.predict(path)["events"] if e["payload_pcr"] == 4]
    value = bytes(32)
    for digest in (hashlib.sha256(b"Calling EFI Application from Boot Option").hexdigest(),
                   hashlib.sha256(bytes(4)).hexdigest(), *images):
        value = hashlib.sha256(value + bytes.fromhex(digest)).digest()
    assert value.hex() == found["pcrs"]["4"]["sha256"], "PCR 4 isn't action, separator, images"
    same = {key: case.parts["b"][key] for key in ("initrd", "osrel", "uname")}
    twin = case.build("twin", **same, cmdline="quiet stage=3")
    other = case.predict(twin, "--firmware")["pcrs"]
    assert all(other[pcr]["sha256"] != found["pcrs"][pcr]["sha256"] for pcr in ("4", "11")), "another command line, same PCRs"


def prediction_is_a_reference(case):
    """Its members, against the files and what Python reads in them."""
    path = case.build("b")
    found = case.predict(path, "--cmdline", "x")
    about = found["about"]
    assert found["kind"] == "kexec" and found["initrd_sha256"] == []
    assert found["payload_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["load_options_sha256"] == hashlib.sha256("x\0".encode("utf-16-le")).hexdigest()
    assert about["kernel"] == "6.1.0-test" and about["command_line"] == "quiet stage=2" and about["signer"] is None, about
    osrel = case.parts["b"]["osrel"]
    osrel = osrel if isinstance(osrel, str) else osrel.decode(errors="replace")
    names = [line.split("=", 1)[1].strip('"') for line in osrel.splitlines() if line.startswith("PRETTY_NAME=")]
    assert about["os"] == (names[-1] if names else None), (about, osrel)
    assert found["banks"] == list(found["registers"]["8"])
    initrd = case.folder / "more"
    initrd.write_bytes(b"\x1f\x8b" + os.urandom(101))
    bare = case.predict(payloads.kernel("6.1").image, "--initrd", initrd)
    assert bare["initrd_sha256"] == [hashlib.sha256(initrd.read_bytes()).hexdigest()]
    assert bare["about"]["kernel"].startswith("6.1") and bare["about"]["os"] is None, bare["about"]


def bare_kernel_with_initrd(case):
    try:
        image = payloads.kernel("6.1").image
    except payloads.Unavailable as reason:
        raise tap.Skip(str(reason)) from None
    initrd = case.folder / "initrd"
    initrd.write_bytes(b"\x1f\x8b" + os.urandom(5001))
    prediction = case.predict(image, "--cmdline", "console=ttyS0", "--initrd", initrd)
    data = {event["text"]: event for event in prediction["events"]}
    hashed = {event["digests"]["sha256"] for event in data.values()}
    options = "console=ttyS0".encode("utf-16-le") + b"\0\0"
    assert hashlib.sha256(options).hexdigest() in hashed, "LoadOptions weren't measured"
    padded = initrd.read_bytes() + bytes(-5003 % 4)
    assert hashlib.sha256(padded).hexdigest() in hashed, "the initrd wasn't measured"


def errors_are_one_line_and_exit_2(case):
    junk = case.folder / "junk.efi"
    junk.write_bytes(b"#!/bin/sh\n" * 100)
    empty = case.folder / "empty.efi"
    empty.write_bytes(b"")
    good = case.build("b")
    arm = bytearray(good.read_bytes())
    pe = int.from_bytes(arm[0x3c:0x40], "little")
    arm[pe + 4:pe + 6] = (0xaa64).to_bytes(2, "little")
    other = case.folder / "arm.efi"
    other.write_bytes(arm)
    bad_map = case.folder / "map"
    bad_map.write_text("11 10\n")
    for arguments, code, word in (((junk,), 2, "junk.efi"), ((empty,), 2, "empty.efi"), ((other,), 2, "arm.efi"),
                                  ((case.folder / "nothing.efi",), 2, "nothing.efi"),
                                  (("--map", bad_map, good), 2, "map:1"), (("--close", "10", good), 2, "10"),
                                  (("--initrd", case.folder / "absent", good), 2, "absent"),
                                  (("--timeout", "0", good), 2, "--timeout"), ((), 2, "payload"),
                                  (("--firmware", "--map", bad_map, good), 2, "--firmware"),
                                  (("--firmware", "--firmware-events", "separators", good), 2, "separators"),
                                  (("--firmware", "--firmware-events", "action,", good), 2, "action,"),
                                  (("--firmware-events", "action", good), 2, "--firmware-events"),
                                  (("--memory-limit", "8", good), 1, "b.efi")):
        done = case.run("predict", *arguments)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("payload:")]
        assert done.returncode == code, f"{arguments}: exit {done.returncode}, wanted {code}: {done.stderr}"
        assert len(lines) == 1 and lines[0].startswith("mkexec: "), f"{arguments}: {lines}"
        assert word in lines[0], f"{arguments}: '{word}' isn't in: {lines[0]}"
        assert not done.stdout, f"{arguments}: printed {done.stdout[:60]}"


def nothing_is_left_behind(case):
    before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    case.predict(case.build("b"))
    after = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    assert after <= before, f"left in /dev/shm: {after - before}"
    for task in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            parent = (task.parent / "status").read_text()
            assert "mkexec" not in task.read_text() or f"PPid:\t{os.getpid()}\n" not in parent, "a process is left"
        except (FileNotFoundError, ProcessLookupError):
            pass


CASES = (pcr11_is_what_systemd_measures, nobody_can_predict_too, other_input_gives_other_registers,
         events_hash_to_their_digests, firmware_boot_is_what_systemd_measures, prediction_is_a_reference,
         newer_stub_and_kernel, bare_kernel_with_initrd,
         errors_are_one_line_and_exit_2, nothing_is_left_behind)


def main():
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        folder.chmod(0o755)
        return tap.run(tap.each(CASES, lambda function: function(Case(sys.argv[1], folder))))


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""EFI programs that weren't written for mkexec, as payloads of `mkexec predict`. Prints TAP.

Each ends as the table of docs/programs.md says, word for word, and leaves no process, no file and no TPM behind
that is other than before. Programs come out of Debian's packages (tests/system/payloads.py); what can't be had is
skipped by name. Usage: test_programs.py MKEXEC [NAME...]
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
import payloads  # noqa: E402
import uki  # noqa: E402
import unchanged  # noqa: E402

TABLE = HERE.parent.parent / "docs/programs.md"
DEADLINE = 60  # seconds of processor time that a program may take

BOOT = "usr/lib/systemd/boot/efi/systemd-bootx64.efi"
STUB = "usr/lib/x86_64-linux-gnu/efibootguard/kernel-stubx64.efi"
GRUB = "usr/lib/grub/x86_64-efi"
EFITOOLS = "usr/lib/efitools/x86_64-linux-gnu/"
GNU_EFI = "usr/lib/x86_64-linux-gnu/gnuefi/apps/"
GRUB_MODULES = "memdisk tar normal linux boot echo ls configfile test tpm sleep chain gzio".split()
GRUB_MENU = """set timeout=5
set default=0
menuentry one {
  linux /vmlinuz console=ttyS0
  initrd /initrd
}
menuentry two { echo never chosen }
"""
ENTRY = "title Debian\nlinux /k/vmlinuz\ninitrd /k/initrd\noptions console=ttyS0\n"
XEN = "[global]\ndefault=a\n[a]\noptions=console=vga\nkernel=vmlinuz root=none\nramdisk=initrd\n"


# ---- what lies on the ESP: functions that give bytes ----

def program(package, series, path):
    def get(_):
        folder, _ = payloads.provide(package, package, lambda a, v, into: a.unpack(package, v, into), series,
                                     refresh=False, exact=True)
        return (folder / path).read_bytes()
    return get


def kernel(_):
    return payloads.kernel("6.1").image.read_bytes()


def initrd(_):
    return b"\x1f\x8b" + b"initrd" * 500


def text(words):
    return lambda _: words.encode()


def uki_of(cmdline):
    def get(parts):
        return uki.build(stub=payloads.stub("257").path.read_bytes(), kernel=kernel(parts), initrd=initrd(parts),
                         cmdline=cmdline, osrel=uki.os_release("test", b"programs"), uname="6.1.0-test")
    return get


def grub_image(series, disk):
    """As grub-mkstandalone makes it: GRUB, its modules and a disk (path to bytes) in one file."""
    tool = program("grub-common", "2.06", "usr/bin/grub-mkimage")(None)
    modules, _ = payloads.provide("grub-efi-amd64-bin", "grub-efi-amd64-bin",
                                  lambda a, v, into: a.unpack("grub-efi-amd64-bin", v, into), series,
                                  refresh=False, exact=True)
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        for path, data in disk.items():
            (place / "disk" / path).parent.mkdir(parents=True, exist_ok=True)
            (place / "disk" / path).write_bytes(data)
        subprocess.run(["tar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-C", place / "disk", "-cf",
                        place / "disk.tar", "."], check=True)
        (place / "mkimage").write_bytes(tool)
        (place / "mkimage").chmod(0o755)
        done = subprocess.run([place / "mkimage", "-O", "x86_64-efi", "-d", modules / GRUB, "-m", place / "disk.tar",
                               "-p", "(memdisk)/boot/grub", "-o", place / "grub.efi", *GRUB_MODULES],
                              capture_output=True, text=True)
        if done.returncode:
            raise payloads.Unavailable(f"grub-mkimage doesn't run here: {done.stderr.strip()[:200]}")
        return (place / "grub.efi").read_bytes()


def grub_with_kernel(series):
    return lambda parts: grub_image(series, {"vmlinuz": kernel(parts), "initrd": initrd(parts),
                                             "boot/grub/grub.cfg": GRUB_MENU.encode()})


def unified_by_efibootguard(parts):
    """bg_gen_unified_kernel, with section names of its own (kernel-stub/main.c)."""
    stub = program("efibootguard", "0.22", STUB)(parts)
    return uki.append(stub, ((".cmdline", "console=ttyS0\0".encode("utf-16-le")), (".kernel", kernel(parts)),
                             (".initrd", initrd(parts))))


# ---- the programs ----

@dataclass
class Row:
    name: str  # in the table of docs/programs.md
    path: str  # of the payload on the ESP
    files: dict  # path to function; the payload's own among them
    options: tuple = ()


def alone(name, package, series, path, *options):
    at = "EFI/BOOT/" + pathlib.PurePath(path).name.removesuffix(".signed")
    return Row(name, at, {at: program(package, series, path)}, options)


def boot_loaders():
    for series in ("252", "254", "257", "262"):
        boot = {"EFI/systemd/boot.efi": program("systemd-boot-efi", series, BOOT)}
        yield Row(f"systemd-boot {series}, no entry", "EFI/systemd/boot.efi", boot)
        yield Row(f"systemd-boot {series}, one of two UKIs", "EFI/systemd/boot.efi", {
            **boot, "EFI/Linux/a.efi": uki_of("first"), "EFI/Linux/b.efi": uki_of("second"),
            "loader/loader.conf": text("timeout 3\ndefault b.efi\n")})
        yield Row(f"systemd-boot {series}, kernel and initrd", "EFI/systemd/boot.efi", {
            **boot, "loader/entries/d.conf": text(ENTRY), "k/vmlinuz": kernel, "k/initrd": initrd})
    for series in ("15.8", "16.1"):
        shim = {"EFI/debian/shimx64.efi": program("shim-unsigned", series, "usr/lib/shim/shimx64.efi")}
        at, second = "EFI/debian/shimx64.efi", "EFI/debian/grubx64.efi"
        yield Row(f"shim {series}, nothing to start", at, shim)
        yield Row(f"shim {series}, UKI", at, {**shim, second: uki_of("quiet")})
        yield Row(f"shim {series}, UKI by load option", at, {**shim, "EFI/debian/b.efi": uki_of("quiet")},
                  ("--cmdline", "\\EFI\\debian\\b.efi"))
        yield Row(f"shim {series}, systemd-boot, UKI", at, {
            **shim, second: program("systemd-boot-efi", "257", BOOT), "EFI/Linux/b.efi": uki_of("quiet")})
        yield Row(f"shim {series}, GRUB 2.12, kernel", at, {**shim, second: grub_with_kernel("2.12")})
        yield alone(f"shim {series}, MokManager", "shim-unsigned", series, "usr/lib/shim/mmx64.efi")
        yield alone(f"shim {series}, fallback", "shim-unsigned", series, "usr/lib/shim/fbx64.efi")
    yield alone("shim, signed by Microsoft", "shim-signed", "1.51", "usr/lib/shim/shimx64.efi.signed")
    for series in ("2.06", "2.12", "2.14"):
        yield Row(f"GRUB {series} with kernel in one file", "EFI/BOOT/grub.efi",
                  {"EFI/BOOT/grub.efi": grub_with_kernel(series)})
    yield alone("GRUB 2.06, Debian's image", "grub-efi-amd64-bin", "2.06", GRUB + "/monolithic/grubx64.efi")
    for series in ("2.12", "2.14"):
        yield alone(f"GRUB {series}, Debian's image", "grub-efi-amd64-unsigned", series, GRUB + "/monolithic/grubx64.efi")
    for series in ("0.13", "0.14"):
        yield Row(f"rEFInd {series}, UKI", "EFI/refind/refind_x64.efi", {
            "EFI/refind/refind_x64.efi": program("refind", series, "usr/share/refind/refind/refind_x64.efi"),
            "EFI/refind/refind.conf": text("timeout 2\ntextonly true\n"), "EFI/Linux/b.efi": uki_of("quiet")})
    yield alone("EFI Boot Guard 0.22, no configuration", "efibootguard", "0.22", STUB.replace("kernel-stub", "efibootguard"))
    yield Row("EFI Boot Guard 0.22, unified kernel", "EFI/Linux/k.efi", {"EFI/Linux/k.efi": unified_by_efibootguard})
    yield alone("SYSLINUX 6.04", "syslinux-efi", "6.04~git20190206.bf6db5b4+dfsg1-3.2",
                "usr/lib/SYSLINUX.EFI/efi64/syslinux.efi")
    yield Row("Xen 4.20, kernel", "EFI/xen/xen.efi", {
        "EFI/xen/xen.efi": program("xen-hypervisor-4.20-amd64", "4.20.4+39", "boot/xen-4.20-amd64.efi"),
        "EFI/xen/xen.cfg": text(XEN), "EFI/xen/vmlinuz": kernel, "EFI/xen/initrd": initrd})


def tools():
    for series, path in (("6.10", "boot/memtest86+x64.efi"), ("7.20", "boot/memtest86+x64.efi"),
                         ("8.10", "boot/mt86+x64")):
        yield alone(f"memtest86+ {series}", "memtest86+", series, path)
    yield alone("memtest86+ 7.20 with options", "memtest86+", "7.20", "boot/memtest86+x64.efi", "--cmdline", "nosmp")
    for series in ("1.21.1", "2.0.0"):
        yield alone(f"iPXE {series}", "ipxe", series, "usr/lib/ipxe/ipxe-amd64.efi")
        yield alone(f"iPXE {series}, snponly", "ipxe", series, "usr/lib/ipxe/snponly.efi")
    for series in ("1.4", "1.9"):
        yield alone(f"fwupd-efi {series}", "fwupd-unsigned", series, "usr/libexec/fwupd/efi/fwupdx64.efi")
    for series in ("2025.02", "2026.08"):
        yield alone(f"EDK2 shell {series}", "efi-shell-x64", series, "usr/share/efi-shell-x64/shellx64.efi")
    for name in ("HashTool", "HelloWorld", "KeyTool", "Loader", "LockDown", "ReadVars", "SetNull", "ShimReplace",
                 "UpdateVars"):
        yield alone(f"efitools 1.9.2, {name}", "efitools", "1.9.2-3.5", f"{EFITOOLS}{name}.efi")
    for name in ("AllocPages", "FreePages", "bltgrid", "drv0", "drv0_use", "exit", "printenv", "route80h", "setjmp",
                 "t4", "t7", "tcc"):
        yield alone(f"gnu-efi 4.0, {name}", "gnu-efi", "4.0", f"{GNU_EFI}{name}.efi")
    for name in ("btrfs", "ext4", "iso9660"):
        yield alone(f"rEFInd 0.14, driver for {name}", "refind", "0.14",
                    f"usr/share/refind/refind/drivers_x64/{name}_x64.efi")
    yield alone("rEFInd 0.14, gptsync", "refind", "0.14", "usr/share/refind/refind/tools_x64/gptsync_x64.efi")


# ---- one run ----

@dataclass
class Run:
    mkexec: str
    esp: pathlib.Path
    tpm: unchanged.Tpm
    seconds: float = field(default=0.0)

    def lay_out(self, row):
        for path, get in row.files.items():
            place = self.esp / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(get(self))

    def start(self, row):
        began = time.monotonic()
        done = unchanged.run([self.mkexec, "predict", "--json", "--trace", "--timeout", str(DEADLINE), "--tcti",
                              self.tpm.tcti, "--esp", self.esp, *row.options, self.esp / row.path])
        self.seconds = time.monotonic() - began
        return done


def ends(code, out, err):
    """The end in the words of docs/programs.md."""
    lines = [line for line in err.splitlines() if line.startswith("mkexec: ") and "warning: " not in line]
    if code == 0:
        assert not lines, lines
        events = json.loads(out)["events"]
        images = sum(event["type"] == "EV_EFI_BOOT_SERVICES_APPLICATION" for event in events)
        pcrs = sorted({event["payload_pcr"] for event in events if event["payload_pcr"] is not None})
        at = re.search(r"trace: +(\S.*) at 0x[0-9a-f]+(?: \(.*\))?: hand-over$", err, re.MULTILINE)
        assert at, "no hand-over in the trace"
        return f"hand-over at {at.group(1)}; images: {images}; PCRs {' '.join(map(str, pcrs))}"
    assert code in (1, 2), f"exit {code}: {err[-300:]}"
    assert not out and len(lines) == 1, f"{out[:80]!r}, {lines}"
    line = re.sub(r"^mkexec: \S+?:? (?=\S)", "", lines[0]).removesuffix("; --trace shows why")
    line = re.sub(r"( \(rip)? 0x[0-9a-f]{5,}\)?", lambda m: "" if m.group(1) else " ADDRESS", line)
    return re.sub(r"(\S+)\+0x[0-9a-f]+", r"\1", line).replace("ADDRESS (", "(")


def check(run, row, wanted):
    run.lay_out(row)
    before = unchanged.tree(run.esp)
    end = ends(*run.start(row))
    assert unchanged.tree(run.esp) == before, "the ESP isn't as it was"
    assert not (changed := run.tpm.sent_besides_questions()), f"the TPM was sent {changed}"
    assert wanted == end, f"ended so:     {end}\nit should be: {wanted}"


def wanted_ends():
    """Name to end, from the page that users read."""
    rows = re.findall(r"^\| ([^|]+?) \| `([^`]+)` \|", TABLE.read_text(), re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a program stands twice in the table"
    return dict(rows)


def main():
    mkexec, names = sys.argv[1], sys.argv[2:]
    rows = [row for row in (*boot_loaders(), *tools()) if not names or any(n in row.name for n in names)]
    wanted = wanted_ends()
    print(f"1..{len(rows) + 1}")
    failed = False
    with tempfile.TemporaryDirectory() as place:
        tpm = unchanged.Tpm(pathlib.Path(place))
        try:
            for number, row in enumerate(rows, 1):
                with tempfile.TemporaryDirectory(dir=place) as esp:
                    run = Run(mkexec, pathlib.Path(esp), tpm)
                    try:
                        check(run, row, wanted.get(row.name))
                        print(f"ok {number} - {row.name}  # {run.seconds:.1f} s", flush=True)
                    except payloads.Unavailable as reason:
                        print(f"ok {number} - {row.name} # SKIP {reason}", flush=True)
                    except Exception as wrong:  # noqa: BLE001
                        failed = True
                        print("\n".join(f"# {line}" for line in (str(wrong) or repr(wrong)).splitlines()))
                        print(f"not ok {number} - {row.name}", flush=True)
        finally:
            tpm.stop()
    unknown = set() if names else set(wanted) - {row.name for row in rows}
    print(f"{'not ok' if unknown else 'ok'} {len(rows) + 1} - each program of docs/programs.md was run {unknown or ''}")
    return failed or bool(unknown)


if __name__ == "__main__":
    sys.exit(main())

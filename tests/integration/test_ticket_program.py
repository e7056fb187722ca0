#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""mkexec-ticket, the program for initrds: what it is linked with, that it opens nothing else, and its words on swtpm behind a device
file. The tickets are made by tpm2-tools as docs/tickets.md describes them. Arguments: mkexec-ticket, mkexec, and the folder dist in
the build folder. Prints TAP."""

import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile

import pty_tpm

PROGRAM, MKEXEC, DIST = (pathlib.Path(path).resolve() for path in sys.argv[1:4])
LIBRARIES = {"libc.so.6", "libcrypto.so.3", "libtss2-esys.so.0", "libtss2-mu.so.0", "libtss2-rc.so.0", "libtss2-sys.so.1",
             "libtss2-tcti-device.so.0"}
BASE = 0x01a00000
ATTRIBUTES = "ownerwrite|policyread|no_da|clear_stclear|read_stclear|write_stclear"
TESTS = []


def test(title):
    def keep(function):
        TESTS.append((title, function))
        return function
    return keep


class Case:
    def __init__(self, folder):
        self.folder, self.tpm = folder, pty_tpm.PtyTpm(folder)

    def tool(self, *argv, data=None):
        return subprocess.run(argv, check=True, env=self.tpm.environment, input=data, capture_output=True, cwd=self.folder).stdout

    def run(self, *argv, **environment):
        return subprocess.run([PROGRAM, *argv, "--tcti", self.tpm.tcti], capture_output=True, stdin=subprocess.DEVNULL,
                              env={**os.environ, "MKEXEC_CONFIG_DIR": f"{self.folder}/none", **environment})

    def put(self, name, secret, slot=0, locked=True):
        """A ticket for PCR 8 as it reads."""
        handle = f"{BASE + slot * 0x10000 + 0x100:#x}"
        contents = b"MKXT\1" + bytes([len(name)]) + len(secret).to_bytes(2, "big") + name.encode() + secret
        self.tool("tpm2_createpolicy", "-Q", "--policy-pcr", "-l", "sha256:8", "-L", "policy")
        self.tool("tpm2_flushcontext", "-l")
        self.tool("tpm2_nvdefine", "-Q", handle, "-C", "o", "-s", str(len(contents)), "-a", ATTRIBUTES, "-L", "policy")
        self.tool("tpm2_nvwrite", "-Q", handle, "-C", "o", "-i", "-", data=contents)
        if locked:
            self.tool("tpm2_nvwritelock", "-Q", handle, "-C", "o")
        return handle

    def handles(self):
        return re.findall(r"0x1A[0-9A-F]+", self.tool("tpm2_getcap", "handles-nv-index").decode(), re.I)


def same(what, got, wanted):
    if got != wanted:
        raise AssertionError(f"{what} is {got!r}, not {wanted!r}")


def linked(program):
    return {line.split()[0] for line in subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout.splitlines()
            if "=>" in line}


def loaded(argv, environment):
    """(libraries, those of them that weren't there from the start) as the loader itself tells."""
    said = subprocess.run(argv, env={**environment, "LD_DEBUG": "files"}, capture_output=True, stdin=subprocess.DEVNULL).stderr.decode(errors="replace")
    return (set(re.findall(r"calling init: \S*/([^/\s]+)", said)),
            set(re.findall(r"file=(\S+) \[0\];\s+dynamically loaded by \S*/mkexec", said)) |
            set(re.findall(r"file=(\S+) \[0\];\s+dynamically loaded by \S*/libtss2", said)))


@test("it is linked with libc, libcrypto and tpm2-tss, and nothing else")
def closure(case):
    same("what it is linked with", linked(PROGRAM), LIBRARIES)
    symbols = subprocess.run(["nm", "-D", "--undefined-only", PROGRAM], check=True, capture_output=True, text=True).stdout
    same("its own calls of dlopen", re.findall(r"dlopen|dlmopen", symbols), [])
    return f"{sum(1 for _ in LIBRARIES)} libraries"


@test("nothing is opened at run time; the loader's word for mkexec is another")
def no_dlopen(case):
    case.put("root", b"a key")
    libraries, later = loaded([PROGRAM, "get", "root", "--tcti", case.tpm.tcti], os.environ)
    same("libraries of a whole 'get'", {name for name in libraries if not name.startswith("ld-linux")}, LIBRARIES)
    same("libraries that were opened at run time", later, set())
    _, twin = loaded([MKEXEC, "ticket", "list", "--tcti", f"swtpm:path={case.tpm.socket}"], os.environ)
    if not any("tcti" in name for name in twin):
        raise AssertionError(f"of mkexec itself the loader tells no TCTI: {twin}")


@test("a ticket as the documentation describes it opens, once")
def get(case):
    case.put("root", b"a key")
    done = case.run("get", "root")
    same("the secret", (done.returncode, done.stdout, done.stderr), (0, b"a key", b""))
    same("what is left in the TPM", case.handles(), [])
    done = case.run("get", "root")
    same("once more", done.returncode, 2)
    same("what it says", b"there is none at all" in done.stderr, True)


@test("get --all writes key files, and one that can't be written doesn't keep the others away")
def get_all(case):
    keys = case.folder / "keys"
    for slot, name in enumerate(("root", "taken", "data")):
        case.put(name, name.encode() * 10, slot)
    keys.mkdir(mode=0o755)
    (keys / "taken.key").write_bytes(b"somebody else's")
    done = case.run("get", "--all", "--directory", keys)
    same("exit code", (done.returncode, b"taken.key is there already" in done.stderr), (1, True))
    for name in ("root", "data"):
        same(f"{name}.key", (keys / f"{name}.key").read_bytes(), name.encode() * 10)
        same("its mode", stat.S_IMODE((keys / f"{name}.key").stat().st_mode), 0o400)
    same("the other's file", (keys / "taken.key").read_bytes(), b"somebody else's")
    same("the list", (keys / ".mkexec-keys").read_text().split(), ["root", "data"])


@test("lock erases these files and no others, in place, and locks what is left")
def lock(case):
    keys = case.folder / "keys"
    case.put("root", b"a key of the disk")
    same("get --all", case.run("get", "--all", "--directory", keys).returncode, 0)
    same("mode of the folder", stat.S_IMODE(keys.stat().st_mode), 0o700)
    (keys / "other.key").write_bytes(b"somebody else's")
    case.put("late", b"too late")
    case.put("half", b"half-made", slot=1, locked=False)
    with open(keys / "root.key", "rb") as file:
        same("lock", case.run("lock", "--directory", keys).returncode, 0)
        same("the erased file's bytes", file.read(), bytes(len(b"a key of the disk")))
    same("files", [path.name for path in keys.iterdir()], ["other.key"])
    done = case.run("get", "late")
    same("get after lock", (done.returncode, b"already used" in done.stderr), (1, True))
    same("tickets", len(case.handles()), 2)
    same("drop --left", case.run("drop", "--left").returncode, 0)
    same("tickets after it", case.handles(), [])


@test("without tickets get --all and lock ask the TPM for next to nothing, and say nothing")
def nothing(case):
    keys = case.folder / "keys"
    for argv in (("get", "--all", "--directory", keys), ("lock", "--directory", keys), ("lock",), ("drop", "--left")):
        before = len(case.tpm.commands)
        done = case.run(*argv)
        same(f"{argv[0]}", (done.returncode, done.stdout, done.stderr), (0, b"", b""))
        # tpm2-tss tries with TPM2_GetRandom whether the device gives answers in parts; the rest is TPM2_GetCapability.
        same("commands", case.tpm.commands[before:], [0x17b] + [0x17a] * 3)
    same("a folder of keys", keys.exists(), False)


@test("a list of key files that was tampered with names nothing outside of the folder")
def forged_list(case):
    keys, outside = case.folder / "keys", case.folder / "outside.key"
    keys.mkdir()
    outside.write_bytes(b"stays")
    (keys / "link.key").symlink_to(outside)
    (keys / ".mkexec-keys").write_bytes(b"../outside\nlink\n\n" + b"x" * 300 + b"\n\0\n/etc/passwd\n")
    case.run("lock", "--directory", keys)
    same("the file outside", outside.read_bytes(), b"stays")
    same("the link", (keys / "link.key").is_symlink(), False)


@test("words and options that don't belong together are refused")
def usage(case):
    for argv in (("get",), ("get", "a", "b"), ("get", "--all"), ("get", "root", "--directory", "x"), ("get", "../root"), ("drop",),
                 ("drop", "root"), ("drop", "--all", "--left"), ("lock", "root"), ("put", "root"), ("list",), ("get", "x", "--wait", "-1"),
                 ("get", "x", "--wait", "9999")):
        same(f"exit code of {argv}", case.run(*argv).returncode, 2)
    done = subprocess.run([PROGRAM, "lock", "--tcti", f"swtpm:path={case.tpm.socket}"], capture_output=True)
    same("another TCTI", (done.returncode, b"only those of devices" in done.stderr), (2, True))


@test("the keyscript takes the ticket, else asks as cryptsetup does, with a word only where a ticket is for somebody else")
def keyscript(case):
    script, asked = case.folder / "keyscript", case.folder / "asked"
    askpass, ticket = case.folder / "askpass", case.folder / "mkexec-ticket"
    askpass.write_text(f'#!/bin/sh\necho "$@" >>{asked}\nprintf passphrase\n')
    ticket.write_text(f'#!/bin/sh\nexec {PROGRAM} "$@" --tcti {case.tpm.tcti}\n')
    text = (DIST / "initrd_keyscript").read_text()
    text = re.sub(r"/[^( ]+/mkexec-ticket get", f"{ticket} get", text).replace("/lib/cryptsetup/askpass", str(askpass))
    script.write_text(text)
    for path in (script, askpass, ticket):
        path.chmod(0o755)

    def run(name, key="none", tried="0"):
        done = subprocess.run([script, key], capture_output=True, stdin=subprocess.DEVNULL,
                              env={**os.environ, "CRYPTTAB_NAME": name, "CRYPTTAB_KEY": key, "CRYPTTAB_TRIED": tried})
        return done.returncode, done.stdout, done.stderr

    case.put("root", b"a\0key\n")
    case.put("named", b"another", slot=1)
    same("the volume's ticket", run("root"), (0, b"a\0key\n", b""))
    same("the ticket that crypttab names", run("data", "named"), (0, b"another", b""))
    same("who was asked", asked.exists(), False)
    same("none at all", run("root"), (0, b"passphrase", b""))
    same("the question", asked.read_text(), "Please unlock disk root: \n")
    case.put("root", b"wrong", slot=2)
    same("the second try", run("root", tried="1"), (0, b"passphrase", b""))
    case.tool("tpm2_pcrextend", f"8:sha256={'ab' * 32}")
    code, said, words = run("root")
    same("a ticket for another kernel", (code, said, b"is for other PCR values" in words), (0, b"passphrase", True))


def main():
    if not all(map(shutil.which, ("swtpm", "tpm2_nvdefine", "ldd", "nm"))):
        print("1..0 # SKIP needs swtpm and tpm2-tools")
        return 0
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, (title, function) in enumerate(TESTS, 1):
        with tempfile.TemporaryDirectory(dir="/tmp") as place:
            case = Case(pathlib.Path(place))
            case.tool("tpm2_pcrallocate", "-Q", "sha1:none+sha256:all+sha384:none+sha512:none")
            case.tool("tpm2_shutdown", "-c")
            case.tpm.stop()
            for name in ("sock", "sock.ctrl"):
                (case.folder / name).unlink(missing_ok=True)
            case.tpm.start()
            try:
                function(case)
                print(f"ok {number} - {title}", flush=True)
            except (AssertionError, subprocess.CalledProcessError) as reason:
                failed += 1
                text = f"{reason} {getattr(reason, 'stderr', b'') or b''}"
                print(f"not ok {number} - {title}\n# " + text.replace("\n", "\n# "), flush=True)
            finally:
                case.tpm.stop()
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())

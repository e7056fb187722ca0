#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The walls as they stand around a `mkexec predict` whose payload loops, seen from outside. Prints TAP.

What each wall keeps from is in tests/unit (test-sandbox.c, test-guest-*.c); here is that mkexec really puts them up.
Usage: test_sandbox.py MKEXEC
"""

import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

import tap

ROOT = os.geteuid() == 0
CAP_DAC_READ_SEARCH, CAP_KILL = 1 << 2, 1 << 5


def looping_program():
    """PE32+ with one section and no relocations to make: `jmp .`"""
    directories = [(0, 0)] * 16
    directories[5] = (0x2000, 12)
    optional = struct.pack("<HBBIIIIIQIIHHHHHHIIIIHHQQQQII", 0x20B, 0, 0, 512, 0, 0, 0x1000, 0x1000, 0x400000, 0x1000, 512,
                           0, 0, 0, 0, 0, 0, 0, 0x3000, 512, 0, 10, 0, 0, 0, 0, 0, 0, 16)
    optional += b"".join(struct.pack("<II", *entry) for entry in directories)
    coff = struct.pack("<HHIIIHH", 0x8664, 2, 0, 0, 0, len(optional), 0x22)
    text = struct.pack("<8sIIIIIIHHI", b".text", 2, 0x1000, 512, 512, 0, 0, 0, 0, 0x60000020)
    reloc = struct.pack("<8sIIIIIIHHI", b".reloc", 12, 0x2000, 512, 1024, 0, 0, 0, 0, 0x42000040)
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40) + b"PE\0\0" + coff + optional + text + reloc
    return head.ljust(512, b"\0") + b"\xeb\xfe".ljust(512, b"\0") + struct.pack("<IIHH", 0x1000, 12, 0, 0).ljust(512, b"\0")


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def child_of(pid):
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and status(entry)["PPid"] == str(pid):
                return int(entry)
        except (OSError, KeyError):
            pass
    return None


class Running:
    """A mkexec whose payload is in its loop: the guest has had a tenth of a second of processor time."""

    def __init__(self, mkexec, folder, *options):
        self.path = folder / "loop.efi"
        self.path.write_bytes(looping_program())
        self.process = subprocess.Popen([mkexec, "predict", *options, self.path], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                                        env={**os.environ, "MKEXEC_RUN_DIR": str(folder / "none")})
        self.pid = self.process.pid
        deadline = time.monotonic() + 60
        while not self.has_begun():
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < deadline, "no guest came into its loop"
            time.sleep(0.01)

    def has_begun(self):
        self.guest = child_of(self.pid)
        if self.guest is None:
            return False
        try:
            fields = pathlib.Path(f"/proc/{self.guest}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return False
        return int(fields[11]) + int(fields[12]) >= os.sysconf("SC_CLK_TCK") // 10

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def broker_has_given_up_its_rights(mkexec, folder):
    with Running(mkexec, folder) as run:
        seen = status(run.pid)
        kept = CAP_KILL | CAP_DAC_READ_SEARCH if ROOT else 0
        for key, wanted in ("CapPrm", kept), ("CapEff", kept), ("CapInh", 0), ("CapAmb", 0):
            assert int(seen[key], 16) & ~wanted == 0, f"{key} is {seen[key]}, not {wanted:x}"
        assert not ROOT or int(seen["CapBnd"], 16) == 0, seen["CapBnd"]
        assert seen["NoNewPrivs"] == "1" and seen["Seccomp"] == "2", seen
        assert os.stat(f"/proc/{run.pid}/maps").st_uid == 0, "it is dumpable"


def broker_has_few_descriptors(mkexec, folder):
    if not ROOT:
        raise tap.Skip("only root may look")
    with Running(mkexec, folder) as run:
        held = sorted(os.readlink(f"/proc/{run.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{run.pid}/fd"))
        # its own in and out; the payload's volume, once named and once the firmware's; guest RAM
        left = [name for name in held if name not in ("/dev/null", str(folder)) and
                not name.startswith(("pipe:", "/memfd:mkexec-ram"))]
        assert not left, left
        assert held.count(str(folder)) <= 2, held


def guest_has_no_rights(mkexec, folder):
    with Running(mkexec, folder) as run:
        seen = status(run.guest)
        for key in "CapPrm", "CapEff", "CapInh", "CapAmb":
            assert int(seen[key], 16) == 0, f"{key} is {seen[key]}"
        assert seen["NoNewPrivs"] == "1" and seen["Seccomp"] == "2" and seen["Threads"] == "1", seen
        if ROOT:
            assert set(seen["Uid"].split()) == {"65534"}, seen["Uid"]
            assert os.listdir(f"/proc/{run.guest}/fd") == []
            maps = pathlib.Path(f"/proc/{run.guest}/maps").read_text().splitlines()
            strange = [line for line in maps if not any(word in line for word in ("mkexec-ram", "mkexec-gate", "[vsyscall]"))]
            assert not strange, strange


def guest_dies_with_its_broker(mkexec, folder):
    with Running(mkexec, folder) as run:
        guest = run.guest
        run.process.kill()
        run.process.communicate()
        for _ in range(200):
            try:
                if status(guest)["State"].startswith("Z"):
                    return None
            except (OSError, KeyError):
                return None
            time.sleep(0.01)
        raise AssertionError(f"process {guest} goes on")


def deadline_ends_it(mkexec, folder):
    with Running(mkexec, folder, "--timeout", "1") as run:
        _, messages = run.process.communicate(timeout=60)
        assert run.process.returncode == 1 and "deadline" in messages, messages
        assert child_of(run.pid) is None


CASES = (broker_has_given_up_its_rights, broker_has_few_descriptors, guest_has_no_rights, guest_dies_with_its_broker,
         deadline_ends_it)


def main():
    def call(function):
        with tempfile.TemporaryDirectory() as place:
            return function(sys.argv[1], pathlib.Path(place))

    return tap.run(tap.each(CASES, call))


if __name__ == "__main__":
    sys.exit(main())

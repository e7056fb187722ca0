#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`mkexec exec --at-shutdown`, what systemd-shutdown's hook calls, on the machine made of files of tests/faults: with a TPM that
doesn't answer it gives up when its time is up, the guard stays, and the next boot is told, also where the TPM never answers again.

kexec and reboot never reach this kernel (tests/faults/inject.c). Prints TAP. Usage: test_orderly.py MKEXEC TOOLS; TOOLS is the
folder of what is built of tests/faults.
"""

import json
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "faults"), str(HERE.parent / "system")]

import tpm  # noqa: E402
import world  # noqa: E402
from namespaces import NAMESPACES, missing  # noqa: E402
from tickets import Wrong, expect  # noqa: E402

HOOK = ("exec", "--at-shutdown")
LAST_EXEC = pathlib.Path("/sys/firmware/efi/efivars/MkexecLastExec-06e3bda6-d6f8-4745-b7e1-bc4b29494859")
KMSG = world.PLACE / "kmsg"
STEPS_SECONDS = 30    # STEPS_DEADLINE_S in shim/orderly.c
SYSTEMD_SECONDS = 45  # the shortest that one comes across: DEFAULT_TIMEOUT_USEC as Fedora builds systemd-shutdown
TOO_LONG = "exec's steps took longer than 30 s"


class Case:
    def __init__(self, mkexec, tools):
        self.w = world.World(mkexec, tools)
        KMSG.write_text("")
        subprocess.run(["mount", "--bind", KMSG, "/dev/kmsg"], check=True)
        self.clean = self.w.save(world.firmware_log()[1])

    def load(self):
        self.w.restore(self.clean)
        LAST_EXEC.unlink(missing_ok=True)
        KMSG.write_text("")
        done = self.w.run(["load", "--json", "--esp", world.PLACE / "esp", world.PAYLOAD])
        expect(done.exit == 0 and self.w.loaded() == "guard", f"load: {done}")
        return json.loads(done.out)

    def hook(self, *words, fault=None, seconds=SYSTEMD_SECONDS):
        started = time.monotonic()
        done = self.w.run([*HOOK, *words], fault=fault, forks=True, seconds=seconds)
        return done, time.monotonic() - started

    def is_told(self, *words):
        told = LAST_EXEC.read_bytes()[4:].decode() if LAST_EXEC.exists() else "nothing"
        for word in words:
            expect(word in told, f"the next boot is told: {told}")
        expect(f"<3>mkexec: {told}; resetting\n" == KMSG.read_text(), f"on the console: {KMSG.read_text()!r}")

    def is_guarded(self, done):
        expect(not done.rebooted and self.w.loaded() == "guard", f"{self.w.loaded()} is loaded, reboot {done.rebooted}")

    def first_extend(self):
        """Number of its TPM command."""
        self.load()
        self.hook()
        return self.w.tpm.commands.index("PCR_Extend") + 1


def starts(case):
    """The control: with a TPM that answers it starts what is loaded."""
    registers = case.load()["registers"]
    done, seconds = case.hook()
    expect(done.rebooted and case.w.loaded() == "real", f"it didn't: {done}")
    now = case.w.tpm.read()
    wrong = [pcr for pcr, values in registers.items() for bank in values if now[bank][int(pcr)] != values[bank]]
    expect(not wrong, f"PCRs {wrong} aren't as predicted")
    expect(not LAST_EXEC.exists(), "the next boot is told of trouble")
    took = re.fullmatch(r"<5>mkexec: exec's steps took (\d+\.\d) s of 30 s; starting the second kernel\n", KMSG.read_text())
    expect(took and float(took.group(1)) <= seconds + 0.05, f"on the console: {KMSG.read_text()!r}")
    return f"{took.group(1)} s, {len(case.w.tpm.commands)} TPM commands, {case.w.tpm.commands.count('PCR_Extend')} of them extends"


def nothing_is_loaded(case):
    case.w.restore(case.clean)
    LAST_EXEC.unlink(missing_ok=True)
    done, _ = case.hook()
    expect(done.exit == 0 and not done.rebooted and not case.w.tpm.commands and not LAST_EXEC.exists(), f"{done}")


def is_not_armed(case):
    case.load()
    done, _ = case.hook("--only-armed")
    expect(done.exit == 1, f"{done}")
    case.is_guarded(done)
    case.is_told("was loaded, but this systemd makes kexecs of reboots")
    expect("PCR_Extend" not in case.w.tpm.commands, f"the TPM was extended: {case.w.tpm.commands}")


def one_command_is_silent(case):
    """In the middle of the extends: the hop is ended, and all of it explained."""
    at = case.first_extend() + 2
    case.load()
    done, seconds = case.hook(fault=world.Fault("tpm", at, tpm.SILENT))
    expect("PCR_Extend" in done.hit and done.exit == 1, f"{done}")
    expect(STEPS_SECONDS <= seconds < STEPS_SECONDS + 10, f"it took {seconds:.1f} s")
    case.is_told(TOO_LONG)
    case.is_guarded(done)
    status = json.loads(case.w.run(["status", "--json"]).out)
    expect(status["verdict"] == "ok" and [hop["aborted"] for hop in status["hops"]] == [True], f"{status}")
    return f"{seconds:.1f} s"


def all_are_silent(case):
    """From one of the extends on: it can't even end the hop. Who comes when time is up, as systemd does, finds the guard."""
    at = case.first_extend() + 2
    case.load()
    done, seconds = case.hook(fault=world.Fault("tpm", at, tpm.SILENT, True))
    expect(done.late and seconds >= SYSTEMD_SECONDS, f"it came back: {done}")
    case.is_told(TOO_LONG)
    case.is_guarded(done)


TESTS = {
    "it starts what is loaded": starts,
    "where nothing is loaded it does nothing": nothing_is_loaded,
    "a kexec that nobody armed is refused, and the next boot is told": is_not_armed,
    "a TPM that is silent once: time is up, the guard, an abort, and the next boot is told": one_command_is_silent,
    "a TPM that stays silent: time is up, the next boot is told, and the guard is there": all_are_silent,
}


def run_one(case, test):
    """(whether it was good, what is to be said)"""
    try:
        return True, test(case) or ""
    except (Wrong, OSError, ValueError) as wrong:
        return False, str(wrong)


def inside(mkexec, tools):
    """In the namespaces: the tests whose numbers come on standard input."""
    case = Case(mkexec, tools)
    tests = list(TESTS.values())
    for line in sys.stdin:
        print(json.dumps([int(line), *run_one(case, tests[int(line)])]), flush=True)
    case.w.tpm.stop()


def main():
    mkexec, tools, *where = sys.argv[1:]
    if where:
        return inside(mkexec, tools)
    reason = missing()
    print(f"1..{len(TESTS)}" if not reason else f"1..0 # SKIP {reason}")
    if reason:
        return 0
    # Those that wait do it side by side, each on a machine of its own.
    groups = [[str(n) for n in range(len(TESTS) - 1)], [str(len(TESTS) - 1)]]
    processes = [subprocess.Popen([*NAMESPACES, sys.executable, __file__, *sys.argv[1:], "inside"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True) for _ in groups]
    for process, numbers in zip(processes, groups):
        process.stdin.write("".join(f"{n}\n" for n in numbers))
        process.stdin.close()
    failed = False
    for process, numbers in zip(processes, groups):
        rows = [json.loads(line) for line in process.stdout]
        rows += [[int(n), False, "it ended before this"] for n in numbers[len(rows):]]
        process.wait()
        for number, good, note in rows:
            failed = failed or not good
            print(f"{'ok' if good else 'not ok'} {number + 1} - {list(TESTS)[number]}")
            if note:
                print("# " + note.replace("\n", "\n# "))
    return failed


if __name__ == "__main__":
    sys.exit(main())

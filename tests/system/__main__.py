# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the system tests: `python3 tests/system [--list] [--full] [NAME ...]`. Prints TAP; exit code 1 if a check failed.

A scenario whose payloads or whose program aren't there is skipped with its reason. Those that take longest begin, so that
nothing long is left over for one processor at the end; how long they take is learned (--learn) and written down in `seconds`.
With --within those that would take too long are skipped, too.
"""

import argparse
import concurrent.futures
import math
import pathlib
import resource
import shutil
import sys
import tempfile
import time
import traceback

import payloads
import scene
import snapshot
import tally
import test_abort
import test_attest
import test_baseline
import test_chain
import test_file_mode
import test_guard
import test_hop
import test_images
import test_initrd
import test_lockdown
import test_machines
import test_mixed
import test_package
import test_payloads
import test_plain
import test_systemd_os
import test_ticket
import test_ticket_twins
import vm

# (scenario, needs mkexec, only with --full or by its name). A configuration may say the latter of itself.
SCENARIOS = ((test_hop, True, False), (test_chain, True, False), (test_abort, True, False), (test_payloads, True, False),
             (test_guard, True, False), (test_file_mode, True, False), (test_lockdown, True, False),
             (test_baseline, False, False), (test_images, True, False), (test_mixed, True, False),
             (test_ticket, True, False), (test_ticket_twins, True, False), (test_attest, True, False),
             (test_initrd, True, False), (test_plain, True, True), (test_machines, True, True), (test_package, False, True),
             (test_systemd_os, True, True))
SECONDS = pathlib.Path(__file__).parent / "seconds"


def jobs(names, full):
    for module, needs_program, only_full in SCENARIOS:
        for configuration in module.CONFIGURATIONS:
            skipped = only_full or getattr(configuration, "only_full", False)
            name = f"{module.__name__.removeprefix('test_').removesuffix('_twins')}-{configuration.name}"
            if any(part in name for part in names) if names else full or not skipped:
                yield name, module, configuration, needs_program


def read_seconds():
    return {name: int(seconds) for seconds, name in (line.split() for line in SECONDS.read_text().splitlines())}


def write_seconds(measured):
    known = {**read_seconds(), **{name: round(seconds) for name, seconds in measured.items()}}
    rows = sorted(known.items(), key=lambda row: (-row[1], row[0]))
    SECONDS.write_text("".join(f"{seconds} {name}\n" for name, seconds in rows))


def longest_first(chosen):
    known = read_seconds()
    return sorted(chosen, key=lambda job: -known.get(job[0], math.inf))


class Limit:
    """Whether a scenario still fits into the time that there is: by the seconds that are written down, and by how much longer than
    those the others took here."""

    def __init__(self, within):
        self.within, self.started, self.known = within, time.monotonic(), read_seconds()

    def leaves_out(self, name, measured):
        """Its reason, or None."""
        both = [(seconds, self.known[other]) for other, seconds in list(measured.items()) if other in self.known]
        slower = sum(here for here, _ in both) / sum(there for _, there in both) if both else 1
        expected = self.known.get(name, 0) * slower
        past = time.monotonic() - self.started
        if self.within is None or past + expected <= self.within:
            return None
        return f"no time: it would take {expected:.0f} s, and {max(self.within - past, 0):.0f} of {self.within} s are left"


def run_job(counts, folder, keep, limit, measured, job):
    name, module, configuration, needs_program = job
    reason = limit.leaves_out(name, measured)
    if reason:
        counts.skip(name, reason)
        return
    if needs_program and not scene.program().exists():
        counts.skip(name, f"{scene.program()} is not built")
        return
    started = time.monotonic()
    try:
        module.run(counts, folder / name, configuration)
        measured[name] = time.monotonic() - started
        counts.say(f"{name} took {measured[name]:.0f} s")
    except payloads.Unavailable as reason:
        counts.skip(name, f"a payload is not available: {reason}")
    except vm.Died as reason:
        counts.wrong(f"{name} runs to its end", reason)
    except Exception:
        counts.wrong(f"{name} runs to its end", traceback.format_exc())
    finally:
        if not keep:
            shutil.rmtree(folder / name, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(prog="tests/system", description="tests in virtual machines")
    parser.add_argument("names", nargs="*", metavar="NAME", help="run only the scenarios whose name has this in it")
    parser.add_argument("--list", action="store_true", help="print the scenarios and stop")
    parser.add_argument("--full", action="store_true", help="also what takes its time: machines that aren't the usual one")
    parser.add_argument("--jobs", type=int, default=2, help="machines side by side (default 2)")
    parser.add_argument("--within", metavar="SECONDS", type=int, help="begin nothing that wouldn't be at its end by then")
    parser.add_argument("--keep", metavar="DIR", help="leave disks, consoles and results in this new directory")
    parser.add_argument("--no-snapshots", action="store_true", help="each machine boots by itself (tests/system/snapshot.py)")
    parser.add_argument("--learn", action="store_true", help="write down how long each scenario took, for the order of later runs")
    args = parser.parse_args()
    chosen = longest_first(jobs(args.names, args.full))
    if args.list:
        print("\n".join(name for name, *_ in chosen))
        return 0
    # A socket's path must be short, so the place is below /tmp whatever TMPDIR says.
    folder = pathlib.Path(args.keep) if args.keep else pathlib.Path(tempfile.mkdtemp(prefix="mkexec.", dir="/tmp"))
    folder.mkdir(exist_ok=True)
    if not args.no_snapshots:
        snapshot.store = snapshot.Store(folder)
    counts, limit, measured = tally.Tally(), Limit(args.within), {}
    try:
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(lambda job: run_job(counts, folder, args.keep, limit, measured, job), chosen))
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    # The machines' processor time says more than the clock where other things run, too.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    counts.say(f"{len(measured)} scenarios took {sum(measured.values()):.0f} s, {args.jobs} side by side "
               f"{time.monotonic() - limit.started:.0f} s; {used.ru_utime + used.ru_stime:.0f} s of processor time")
    if args.learn:
        write_seconds(measured)
    return counts.close()


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the system tests: `python3 tests/system [--list] [--full] [NAME ...]`. Prints TAP; exit code 1 if a check failed.

A scenario whose payloads or whose program aren't there is skipped with its reason.
"""

import argparse
import concurrent.futures
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

import payloads
import scene
import tally
import test_abort
import test_baseline
import test_chain
import test_guard
import test_hop
import test_machines
import test_payloads
import vm

# (scenario, needs mkexec, only with --full or by its name), the longest first. A configuration may say so of itself.
SCENARIOS = ((test_hop, True, False), (test_chain, True, False), (test_abort, True, False), (test_payloads, True, False),
             (test_guard, True, False), (test_baseline, False, False), (test_machines, True, True))


def jobs(names, full):
    for module, needs_program, only_full in SCENARIOS:
        for configuration in module.CONFIGURATIONS:
            skipped = only_full or getattr(configuration, "only_full", False)
            name = f"{module.__name__.removeprefix('test_')}-{configuration.name}"
            if any(part in name for part in names) if names else full or not skipped:
                yield name, module, configuration, needs_program


def run_job(counts, folder, job):
    name, module, configuration, needs_program = job
    if needs_program and not scene.program().exists():
        counts.skip(name, f"{scene.program()} is not built")
        return
    started = time.monotonic()
    try:
        module.run(counts, folder / name, configuration)
        counts.say(f"{name} took {time.monotonic() - started:.0f} s")
    except payloads.Unavailable as reason:
        counts.skip(name, f"a payload is not available: {reason}")
    except vm.Died as reason:
        counts.wrong(f"{name} runs to its end", reason)
    except Exception:
        counts.wrong(f"{name} runs to its end", traceback.format_exc())


def main():
    parser = argparse.ArgumentParser(prog="tests/system", description="tests in virtual machines")
    parser.add_argument("names", nargs="*", metavar="NAME", help="run only the scenarios whose name has this in it")
    parser.add_argument("--list", action="store_true", help="print the scenarios and stop")
    parser.add_argument("--full", action="store_true", help="also what takes its time: machines that aren't the usual one")
    parser.add_argument("--jobs", type=int, default=2, help="machines side by side (default 2)")
    parser.add_argument("--keep", metavar="DIR", help="leave disks, consoles and results in this new directory")
    args = parser.parse_args()
    chosen = list(jobs(args.names, args.full))
    if args.list:
        print("\n".join(name for name, *_ in chosen))
        return 0
    # A socket's path must be short, so the place is below /tmp whatever TMPDIR says.
    folder = pathlib.Path(args.keep) if args.keep else pathlib.Path(tempfile.mkdtemp(prefix="mkexec.", dir="/tmp"))
    folder.mkdir(exist_ok=True)
    counts = tally.Tally()
    try:
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(lambda job: run_job(counts, folder, job), chosen))
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return counts.close()


if __name__ == "__main__":
    sys.exit(main())

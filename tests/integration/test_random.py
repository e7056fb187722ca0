#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A payload that calls everything at random (tests/conformance/random.c), one run for each seed. Prints TAP.

Whatever it does, mkexec ends in a defined way with one line that says so, and processes, the ESP and the TPM are as
before. Usage: test_random.py MKEXEC RANDOM.EFI CHILD.EFI [--seeds N] [--first SEED]; an ordinary run takes a
handful of seeds, and those together must have called every function of docs/spec-map.md.
"""

import argparse
import pathlib
import re
import sys
import tempfile

import unchanged

SPEC_MAP = pathlib.Path(__file__).resolve().parent.parent.parent / "docs/spec-map.md"
SEEDS, CALLS = 24, 3000
ENDS = re.compile(r"mkexec: \S+ (was stopped: .+|gave up and returned .+|asked for a reset instead of starting a kernel)")
# There only under Secure Boot, or with --initrd of a bare kernel.
ABSENT = {"Security.FileAuthenticationState", "Security2.FileAuthentication", "LoadFile2.LoadFile"}


def functions():
    """All that docs/spec-map.md says may be called."""
    text = SPEC_MAP.read_text()
    rows = re.findall(r"^\| `([A-Z]\w+(?:\.\w+)?)` \| [\dTP]", text, re.MULTILINE)
    assert len(rows) > 100, f"only {len(rows)} rows in {SPEC_MAP}"
    return set(rows) - ABSENT


def state_of(tpm):
    handles = [tpm.ask("tpm2_getcap", f"handles-{kind}")
               for kind in ("transient", "loaded-session", "saved-session", "persistent", "nv-index")]
    return [tpm.ask("tpm2_pcrread"), *handles]


class Seed:
    def __init__(self, arguments, place, tpm):
        self.arguments, self.tpm = arguments, tpm
        self.esp = pathlib.Path(place) / "esp"
        self.esp.mkdir()
        self.random = self.esp / "random.efi"
        self.random.write_bytes(pathlib.Path(arguments.random).read_bytes())
        (self.esp / "child.efi").write_bytes(pathlib.Path(arguments.child).read_bytes())
        self.called = set()

    def run(self, seed):
        before = unchanged.tree(self.esp), state_of(self.tpm)
        code, out, err = unchanged.run([self.arguments.mkexec, "predict", "--trace", "--timeout", "20", "--memory-limit",
                                        "256", "--cmdline", f"{seed} {CALLS}", "--tcti", self.tpm.tcti, "--esp", self.esp,
                                        self.random])
        lines = [line for line in err.splitlines() if line.startswith("mkexec: ") and "warning: " not in line]
        handed_over = code == 0 and not lines and err.count(": hand-over\n") == 1
        refused = code == 1 and not out and len(lines) == 1 and ENDS.fullmatch(lines[0])
        assert handed_over or refused, f"exit {code}: {err[-500:]}"
        self.called.update(re.findall(r"^trace: +([A-Z]\w+(?:\.\w+)?)\(", err, re.MULTILINE))
        assert unchanged.tree(self.esp) == before[0], "the ESP isn't as it was"
        assert state_of(self.tpm) == before[1], "the TPM isn't as it was"
        return refused.group(1) if refused else "hand-over"


def main():
    parser = argparse.ArgumentParser()
    for name in ("mkexec", "random", "child"):
        parser.add_argument(name)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="run so many; for hours, some ten thousands")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    arguments = parser.parse_args()
    failed = 0
    print(f"1..{arguments.seeds + 1}")
    with tempfile.TemporaryDirectory() as place:
        tpm = unchanged.Tpm(pathlib.Path(place))
        try:
            runs = Seed(arguments, place, tpm)
            for number, seed in enumerate(range(arguments.first, arguments.first + arguments.seeds), 1):
                try:
                    print(f"ok {number} - seed {seed}: {runs.run(seed)[:100]!r}", flush=True)
                except Exception as wrong:  # noqa: BLE001
                    failed += 1
                    print("\n".join(f"# {line}" for line in (str(wrong) or repr(wrong)).splitlines()))
                    print(f"not ok {number} - seed {seed}", flush=True)
        finally:
            tpm.stop()
    missed = sorted(functions() - runs.called) if arguments.seeds >= SEEDS else []
    print(f"{'not ok' if missed else 'ok'} {arguments.seeds + 1} - all of docs/spec-map.md was called {missed or ''}")
    return bool(failed or missed)


if __name__ == "__main__":
    sys.exit(main())

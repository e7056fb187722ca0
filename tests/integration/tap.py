# SPDX-License-Identifier: LGPL-2.1-or-later
"""TAP for the tests of this folder: rows of a name and a function without arguments."""

import functools


class Skip(Exception):
    """What a test needs isn't here; the text says what."""


def each(functions, call):
    """A row for each function, under its own name; call(function) runs it."""
    return [(function.__name__.replace("_", " "), functools.partial(call, function)) for function in functions]


def run(rows):
    """Runs all of them, whatever some do. What a function returns is a note for people. Returns main's exit code."""
    rows = list(rows)
    failed = 0
    print(f"1..{len(rows)}", flush=True)
    for number, (name, function) in enumerate(rows, 1):
        try:
            note = function()
            print(f"ok {number} - {name}{f' ({note})' if note else ''}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except Exception as wrong:  # noqa: BLE001
            failed = 1
            print("\n".join(f"# {line}" for line in f"{type(wrong).__name__}: {wrong}"[:4000].splitlines()))
            print(f"not ok {number} - {name}", flush=True)
    return failed

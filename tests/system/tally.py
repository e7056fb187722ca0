# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts and prints the checks of the system tests, as TAP. Scenarios run side by side and share one tally."""

import threading


class Wrong(Exception):
    """A check that failed; the text says what is and what should be."""


class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.passed = self.failed = self.skipped = 0

    def line(self, word, title, note=""):
        number = self.passed + self.failed + self.skipped
        print(f"{word} {number} - {title}{note}", flush=True)

    def say(self, text):
        with self.lock:
            print("".join(f"# {line}\n" for line in text.splitlines() or [""]), end="", flush=True)

    def ok(self, title, note=None):
        with self.lock:
            self.passed += 1
            self.line("ok", title)
            self.comment(note)

    def wrong(self, title, reason):
        with self.lock:
            self.failed += 1
            self.line("not ok", title)
            self.comment(reason)

    @staticmethod
    def comment(text):
        print("".join(f"#   {line}\n" for line in str(text or "").splitlines()), end="", flush=True)

    def skip(self, title, reason):
        with self.lock:
            self.skipped += 1
            self.line("ok", title, f" # SKIP {reason}")

    def check(self, title, function, *arguments):
        """One check. Whatever it raises is its failure: a result that can't be read is a wrong result. What it
        returns, if anything, is printed with it."""
        try:
            note = function(*arguments)
        except Exception as reason:
            self.wrong(title, reason if isinstance(reason, Wrong) else f"{type(reason).__name__}: {reason}")
        else:
            self.ok(title, note)

    def close(self):
        print(f"1..{self.passed + self.failed + self.skipped}", flush=True)
        return 1 if self.failed else 0


def expect(condition, reason):
    if not condition:
        raise Wrong(reason)


def expect_equal(what, found, wanted):
    if found != wanted:
        raise Wrong(f"{what}:\n  is        {found}\n  should be {wanted}")

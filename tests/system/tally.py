# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts and prints the checks of the system tests, as TAP. Scenarios run side by side and share one tally."""

import threading

NOTE_LIMIT = 900
VALUE_LIMIT = 240


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
        lines = [line if len(line) <= 2 * VALUE_LIMIT else line[:2 * VALUE_LIMIT] + " ..."
                 for line in bounded(str(text or "")).splitlines()]
        print("".join(f"#   {line}\n" for line in lines), end="", flush=True)

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
        is_, should = differing_parts(found, wanted)
        raise Wrong(f"{what}:\n  is        {is_}\n  should be {should}")


def bounded(text):
    """The text; of a long one its beginning and its end, where an exception's own words stand."""
    if len(text) <= NOTE_LIMIT:
        return text
    return f"{text[:NOTE_LIMIT // 3]} ...\n... {text[-NOTE_LIMIT * 2 // 3:]}"


def differing_parts(found, wanted):
    """Both as text. Long ones only from a little before the first place where they differ; of dicts only the
    members that differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [key for key in (*wanted, *(k for k in found if k not in wanted))
                if found.get(key, ...) != wanted.get(key, ...)]
        if len(keys) == 1 and all(isinstance(side.get(keys[0]), dict) for side in (found, wanted)):
            return tuple(f"[{keys[0]!r}] {part}" for part in differing_parts(found[keys[0]], wanted[keys[0]]))
        found, wanted = ({key: side[key] for key in keys if key in side} for side in (found, wanted))
    texts = [value if isinstance(value, str) else repr(value) for value in (found, wanted)]
    if max(map(len, texts)) <= VALUE_LIMIT:
        return tuple(texts)
    same = next((i for i, pair in enumerate(zip(*texts)) if pair[0] != pair[1]), min(map(len, texts)))
    start = max(0, same - VALUE_LIMIT // 4)
    return tuple(("... " if start else "") + text[start:start + VALUE_LIMIT] + (" ..." if len(text) > start + VALUE_LIMIT else "")
                 for text in texts)

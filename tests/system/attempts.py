# SPDX-License-Identifier: LGPL-2.1-or-later
"""What guest/report's `attempt` keeps of a call in a machine: how it ended, and what it said."""

import json

from tally import expect, expect_equal


def ended(state, name, code):
    """Returns what it said on stderr."""
    said = state.text(f"{name}.err")
    expect_equal(f"exit code of {name} ({said})", state.text(f"{name}.status"), code)
    return said


def worked(state, *names):
    for name in names:
        ended(state, name, "0")


def is_refused(state, name, code, *words):
    said = ended(state, name, code)
    for word in words:
        expect(word in said, f"{name} said: {said}")
    return said


def tickets(state, name):
    """[(name, handle, state)] of a `ticket list --json`."""
    worked(state, name)
    return [(row["name"], row["nv_index"], row["state"]) for row in json.loads(state.files[f"{name}.out"])["tickets"]]

# SPDX-License-Identifier: LGPL-2.1-or-later
"""What test_systemd_os.py looks at in machines whose mkexec hook isn't left alone: how long systemd-shutdown's hooks have, and take,
by the kernel's time stamps; that their exit codes say nothing; what becomes of tickets. And the root of those with systemd 257.
"""

import json
import re

import initrd
import systemd_257
import systemd_disk
from tally import expect, expect_equal

MASKED = (*systemd_257.MASKED, "systemd-pcrmachine.service", "systemd-tpm2-setup-early.service", "systemd-tpm2-setup.service",
          "systemd-boot-random-seed.service", "systemd-sysusers.service", "dracut-shutdown.service")
MARK = 21  # guest/systemd-stop's
BEGAN, KEXEC = "beside: the hooks began", "kexec_core: Starting new kernel"
# Seconds from the first to the second: systemd-shutdown's limit where a hook hangs, unless mkexec's makes the kexec; mkexec's own where
# its steps do.
LIMITS = {"hangs": (88, 105), "stuck": (30, 55)}


class Modern(systemd_disk.Plain):
    """Debian 13 with as little of it as systemd-shutdown needs, so that a machine can go down often. What systemd 257 measures is
    systemd_257.py's subject."""
    suite, stub, kernel, variant = "trixie", "257", "6.12", "dracut"

    def prepare(self, tree):
        for unit in MASKED:
            tree.link(f"etc/systemd/system/{unit}", "/dev/null")

    def initrd(self, tree, kernel):
        """The harness's own comes up faster than dracut's."""
        return initrd.build(kernel, "initrd", "switch-root", (*initrd.MODULES, "ext4"))


def by_turn(story):
    """{turn: what the console said from there to the next}"""
    parts = re.split(r"init: run boot \d+, then: (\S+)", story.outcome.console)[1:]
    return dict(zip(parts[::2], parts[1::2]))


def resets(story):
    """Turns that systemd-shutdown came to the end of, and the guard behind it."""
    return [turn for turn, name in zip(story.configuration.turns, story.configuration.starts[1:]) if name == "A"]


def stamp(console, text):
    found = re.search(r"\[ *(\d+\.\d+)\] " + re.escape(text), console)
    expect(found, f"nothing says '{text}'")
    return float(found.group(1))


def commands_by_turn(story):
    """{turn: TPM commands from the stop of the last unit to the end}"""
    commands, found = story.outcome.commands, []
    for at, command in enumerate(commands):
        if command.name == "GetRandom" and command.random_bytes == MARK:
            rest = [other.name for other in commands[at + 1:]]
            found.append(rest[:rest.index("Shutdown")])
    return dict(zip(story.configuration.turns, found))


def they_took(story):
    lines, consoles, commands = [], by_turn(story), commands_by_turn(story)
    for turn in story.configuration.turns[:-1]:
        seconds = stamp(consoles[turn], KEXEC) - stamp(consoles[turn], BEGAN)
        least, most = LIMITS.get(turn, (0, 30))
        expect(least <= seconds < most, f"{turn}: {seconds:.1f} s")
        said = re.findall(r"mkexec: (exec's steps took .* of .*)", consoles[turn])
        expect_equal(f"lines on the console that tell how long the steps took ({turn})", len(said), int(turn not in resets(story)))
        lines.append(f"{turn}: {seconds:.1f} s from hooks to kexec, {len(commands[turn])} TPM commands; {' '.join(said)}")
    return "\n".join(lines)


def exit_codes_say_nothing(story):
    """In each turn a hook ends with 1. systemd-shutdown says so, and goes on; but where a signal or its time ends another one, it
    asks for no further exit code."""
    consoles = by_turn(story)
    for turn in [turn for turn in resets(story) if turn not in ("killed", "hangs")]:
        expect("system-shutdown/beside failed with exit status 1" in consoles[turn], f"{turn}: {consoles[turn][-2000:]}")


def tickets_are_lost(story):
    """What a load left for B can't be read after a reset."""
    for turn, before, after in zip(story.configuration.turns, story.boots, story.boots[1:]):
        expect_equal(f"tickets of what was loaded before {turn}", json.loads(before.files["loaded.out"])["tickets"], ["root"])
        if turn in resets(story):
            states = [row["state"] for row in json.loads(after.files["tickets"])["tickets"]]
            expect(set(states) <= {"empty"}, f"tickets after {turn}: {states}")


CHECKS = {"hooks have, and take, as long as the handbook says": they_took,
          "exit codes of hooks are told and ignored": exit_codes_say_nothing,
          "no ticket can be read after a reset": tickets_are_lost}

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Machines whose first boot is the same boot once: the first of them is saved when guest/init asks what to run, and goes on;
the others are restored from there. Called by vm.py.

What is saved was booted by firmware in this run, with its TPM; QEMU puts the TPM's state into the snapshot. Nothing that
differs between the machines has been read by then: no module that knows disks is loaded. A snapshot that can't be made is
one that nobody uses, and one that can't be restored is not tried again; then machines boot by themselves.
"""

import dataclasses
import json
import shlex
import socket
import threading
import time

# What may differ between machines that share a snapshot. The disks' contents are in Setup.shared, as far as they matter.
OF_EACH_MACHINE = ("esp", "payload", "script", "reboots", "deadline_seconds", "watch", "asked", "power_cut", "disks")
# So many files of 120 MB may lie there at a time.
LIMIT = 8
SECONDS = 60
POLL_SECONDS = 0.05
# Nobody waits for an answer while a machine is saved, so all may be copied in one go, as fast as it can.
AT_ONCE = {"max-bandwidth": 1 << 40, "downtime-limit": SECONDS * 1000}


class Failed(Exception):
    """QEMU didn't do it; the text is its reason."""


class Monitor:
    """QEMU's machine protocol: a line of JSON for each command and answer, and for events, which nobody here wants."""

    def __init__(self, path, process):
        until = time.monotonic() + SECONDS
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        while True:
            try:
                self.socket.connect(str(path))
                break
            except OSError as reason:
                if process.poll() is not None or time.monotonic() > until:
                    self.socket.close()
                    raise Failed("QEMU did not start") from reason
                time.sleep(POLL_SECONDS)
        self.lines = self.socket.makefile("r")
        self.ask("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.socket.close()

    def ask(self, command, **arguments):
        try:
            self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            for line in self.lines:
                answer = json.loads(line)
                if "error" in answer:
                    raise Failed(f"{command}: {answer['error']['desc']}")
                if "return" in answer:
                    return answer["return"]
        except OSError as reason:
            raise Failed(f"{command}: {reason}") from reason
        raise Failed(f"{command}: QEMU ended")

    def wait_until(self, command, wanted, unwanted=()):
        until = time.monotonic() + SECONDS
        while (status := self.ask(command).get("status")) != wanted:
            if status in unwanted or time.monotonic() > until:
                raise Failed(f"{command} says {status}")
            time.sleep(POLL_SECONDS)


class Snapshot:
    """`usable` while it is there, `used` when somebody came for it; `console`, `commands` and `maker` tell of the boot that it was taken of."""

    def __init__(self, file, maker):
        self.file, self.maker, self.usable, self.used, self.settled = file, maker, False, False, threading.Event()
        self.console, self.commands = "", []

    def take(self, monitor, console, commands):
        """Of a machine that waits for an answer, which is to be given after this."""
        monitor.ask("migrate-set-parameters", **AT_ONCE)
        monitor.ask("migrate", uri=f"exec:cat >{shlex.quote(str(self.file))}")
        try:
            monitor.wait_until("query-migrate", "completed", ("failed", "cancelled"))
            self.console, self.commands, self.usable = console, commands, True
        finally:
            # A machine that was saved is stopped. One that couldn't be is running, and this does nothing.
            monitor.ask("cont")
            self.settled.set()

    def arguments(self):
        """Of a QEMU that goes on from here."""
        return ["-incoming", f"exec:cat {shlex.quote(str(self.file))}"]

    def settle(self):
        """Nobody shall wait for it any longer."""
        self.settled.set()

    def spoil(self):
        self.usable = False
        self.file.unlink(missing_ok=True)


def shapes(disks):
    """What a machine that waits knows of them: no driver has read one."""
    return ((path.stat().st_size, serial) for path, serial in disks)


class Store:
    """The snapshots of one run, in a folder that the caller removes."""

    def __init__(self, folder):
        self.folder, self.lock, self.snapshots, self.n_made = folder, threading.Lock(), {}, 0

    def claim(self, setup, name):
        """(snapshot, whether the caller is the one to take it) for a machine like this. Waits while another takes it."""
        members = [f.name for f in dataclasses.fields(setup) if f.name not in OF_EACH_MACHINE]
        key = (*(repr(getattr(setup, name)) for name in members), *shapes(setup.disks))
        with self.lock:
            snapshot = self.snapshots.get(key)
            if snapshot is None:
                self.make_room()
                self.n_made += 1
                snapshot = self.snapshots[key] = Snapshot(self.folder / f"snapshot-{self.n_made}", name)
                return snapshot, True
            snapshot.used = True
        snapshot.settled.wait()
        return snapshot, False

    def make_room(self):
        """Forgets the oldest that nobody came for, if there are too many."""
        idle = [key for key, snapshot in self.snapshots.items() if snapshot.usable and not snapshot.used]
        if len(self.snapshots) >= LIMIT and idle:
            self.snapshots.pop(idle[0]).spoil()


# None: every machine boots by itself. tests/system has one for each run.
store = None

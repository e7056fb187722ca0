# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benches with a virtual machine share: an initrd that says when it starts, and moments at lines on the console."""

import contextlib
import os
import pathlib
import statistics
import time

import host
import initrd

SYSTEM = pathlib.Path(__file__).resolve().parent.parent / "system"


def bench_initrd(kernel):
    """The tests' initrd with an init that says so first: an archive behind it replaces the file."""
    head, text = (SYSTEM / "guest/init").read_text().split("\n", 1)
    cpio = initrd.Cpio()
    cpio.add("init", initrd.FILE | 0o755, f"{head}\n/bin/busybox echo 'bench: init'\n{text}".encode())
    return initrd.build(kernel, "bench") + cpio.close()


def children_seconds():
    """Processor time of QEMU and swtpm so far, all threads."""
    children = pathlib.Path(f"/proc/{os.getpid()}/task").glob("*/children")
    processes = [pid for path in children for pid in path.read_text().split()]
    tasks = [task for pid in processes for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
    nanoseconds = 0
    for task in tasks:
        with contextlib.suppress(OSError):
            nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


class Watch:
    """Called with each line of the console as it comes; `seen` are (mark, moment) of those that end with a text of `marks`."""

    def __init__(self, marks):
        self.marks, self.seen = marks, []

    def __call__(self, line):
        for text, mark in self.marks.items():
            if line.endswith(text):
                self.seen.append((mark, (children_seconds(), time.monotonic())))


def between(start, end):
    return host.Took(*(b - a for a, b in zip(start, end)))


def shown(values):
    return f"{min(values):7.2f} {statistics.median(values):6.2f} {max(values):6.2f}"

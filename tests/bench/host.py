#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long mkexec takes on this machine, and how much memory, against what the work itself costs. Prints text.

Each number stands beside a yardstick that was measured in the same run, turn by turn, so that the ratio holds though the
machine is busy or slow. Run by hand (docs/performance.md has the numbers); not a part of ./check. No virtual machine, no
TPM, no root. Usage: host.py MKEXEC [--turns N] [--events N] [--logs]
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import typing
from dataclasses import dataclass

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
import initrd  # noqa: E402
import payloads  # noqa: E402
import uki  # noqa: E402

BANKS = ("sha1", "sha256", "sha384", "sha512")
PAIRS = (("252", "6.1"), ("262", "7.2"))
# The installer's kernel is compressed with xz, and comes without modules.
XZ = ("252", "6.1 of the installer")
# First bytes of a compressed kernel (Linux, scripts/Makefile.lib; lz4 writes its legacy frame) and who unpacks it.
UNPACKERS = {b"\x02\x21\x4c\x18": "lz4", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz"}
MB = 1e6


@dataclass
class Payload:
    name: str
    kernel: bytes
    initrd: bytes
    path: pathlib.Path

    @property
    def image(self):
        return self.path.read_bytes()


# ---- what is measured ----

class Took(typing.NamedTuple):
    """Seconds of processor time, and by the clock."""
    processor: float
    clock: float

    def plus(self, other):
        return Took(self.processor + other.processor, self.clock + other.clock)


def processor_seconds():
    """Of this program and of all that it started and that has ended, their children included."""
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage,
                                                                (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def timed(function, *arguments):
    started, used = time.perf_counter(), processor_seconds()
    function(*arguments)
    return Took(processor_seconds() - used, time.perf_counter() - started)


def quiet(*argv):
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def turns(n, **functions):
    """{name: what each turn took}. All take their turn one after the other; a first round warms the caches."""
    seconds = {name: [] for name in functions}
    for turn in range(n + 1):
        for name, function in functions.items():
            took = timed(function)
            if turn:
                seconds[name].append(took)
    return seconds


def columns(took):
    """Shortest and median processor time, shortest and median by the clock."""
    return [of(column) for column in zip(*took) for of in (min, statistics.median)]


def row(name, took):
    processor, processor_median, clock, clock_median = (1e3 * seconds for seconds in columns(took))
    print(f"  {name:34} {processor:8.1f} {processor_median:8.1f} ms {clock:11.1f} {clock_median:8.1f} ms")


def ratio(name, over, under, goal=None):
    """Judged by the shortest processor times: nothing here does two things at once, so on an idle machine the clock says
    the same, and a neighbour's work adds to processor time least."""
    best, *others = (a / b for a, b in zip(columns(over), columns(under)))
    verdict = "" if goal is None else f"   goal {goal:.2f}: {'met' if best <= goal else 'MISSED'}"
    print(f"  {name:34} {best:8.2f} {others[0]:8.2f} x  {others[1]:11.2f} {others[2]:8.2f} x {verdict}")


# ---- start to hand-over ----

def make(folder, stub, series):
    """A UKI; with the xz kernel, whose modules aren't there, the initrd is of another kernel. None: can't be had."""
    try:
        whole = payloads.kernel("6.1" if series == XZ[1] else series)
        if series == XZ[1]:
            kernel = payloads.installer_kernel("6.1")[0].read_bytes()
        else:
            kernel = whole.image.read_bytes()
        archive = initrd.build(whole, "bench")
        image = uki.build(payloads.stub(stub).path.read_bytes(), kernel, archive, "quiet", uki.os_release("bench"),
                          whole.release)
    except payloads.Unavailable as reason:
        print(f"\nstub {stub}, kernel {series}: skipped: {reason}")
        return None
    path = folder / f"{stub}-{series.replace(' ', '-')}.efi"
    path.write_bytes(image)
    return Payload(f"stub {stub}, kernel {series}", kernel, archive, path)


def compressed(kernel):
    """(unpacker, compressed kernel) of a bzImage (Documentation/arch/x86/boot.rst: payload_offset, payload_length).

    Behind the data stand four bytes with the size of what it unpacks to.
    """
    setup_bytes = (kernel[0x1f1] + 1) * 512
    offset, size = struct.unpack_from("<II", kernel, 0x248)
    data = kernel[setup_bytes + offset:setup_bytes + offset + size]
    unpacker = next(name for magic, name in UNPACKERS.items() if data.startswith(magic))
    return unpacker, data[:-4], struct.unpack("<I", data[-4:])[0]


def measured(payload, events):
    """What the payload's events hash: large parts as often as an event has their digest, and each PE image.

    Which digest belongs to which bytes is found by hashing here; small events don't count. The order of the images is
    that of starting: the UKI, then the kernel in it.
    """
    parts = [payload.kernel, payload.initrd]
    hashed = [part for part in parts
              for event in events if event["digests"]["sha256"] == hashlib.sha256(part).hexdigest()]
    images = [event for event in events if event["type"] == "EV_EFI_BOOT_SERVICES_APPLICATION"]
    if len(images) > 2:
        raise SystemExit(f"{payload.name}: {len(images)} images were measured, wanted UKI and kernel")
    return hashed + [payload.image, payload.kernel][:len(images)]


def hash_all(pieces):
    for piece in pieces:
        for bank in BANKS:
            hashlib.new(bank, piece).digest()


def prediction(mkexec, payload):
    done = subprocess.run([mkexec, "predict", "--json", payload.path], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def start_to_hand_over(mkexec, payload, n_turns):
    told = prediction(mkexec, payload)
    pieces, image = measured(payload, told["events"]), payload.image
    unpacker, data, unpacked_bytes = compressed(payload.kernel)
    packed = payload.path.with_suffix(".packed")
    packed.write_bytes(data)
    size = sum(map(len, pieces))
    print(f"\n{payload.name}: {len(image) / MB:.1f} MB; {unpacker} kernel, {unpacked_bytes / MB:.1f} MB unpacked")
    print(f"  measured: {size / MB:.1f} MB in {len(pieces)} large parts, {len(BANKS)} banks each; "
          f"the file's SHA-256 for the open event besides")
    seconds = turns(
        n_turns,
        predict=lambda: quiet(mkexec, "predict", "--quiet", payload.path),
        traced=lambda: quiet(mkexec, "predict", "--quiet", "--trace", payload.path),
        hashing=lambda: (hash_all(pieces), hashlib.sha256(image).digest()),
        unpacking=lambda: quiet(unpacker, "-dcf", packed))
    floor = [a.plus(b) for a, b in zip(seconds["hashing"], seconds["unpacking"])]
    print(f"  {'':34} {'processor: best, median':>20} {'clock: best, median':>24}")
    row("hashing alone (hashlib, OpenSSL)", seconds["hashing"])
    row(f"unpacking alone ({unpacker} -d)", seconds["unpacking"])
    row("floor: both", floor)
    row("mkexec predict, start to exit", seconds["predict"])
    row("mkexec predict --trace", seconds["traced"])
    ratio("predict / floor", seconds["predict"], floor, goal=1.2)
    memory(mkexec, payload, unpacked_bytes)


# ---- memory ----

def own_share(pid):
    """Proportional share of the process's memory without what it shares with the guest."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    whole, shared = (int(re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE).group(1)) for name in ("Pss", "Pss_Shmem"))
    return (whole - shared) * 1024


def guest_memory(pid):
    """What the memfd that is the guest's RAM has allocated."""
    for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        if os.readlink(path).startswith("/memfd:mkexec-ram"):
            return os.stat(path).st_blocks * 512
    return 0


def sample(pid):
    """(sum, what of it isn't the guest's memory), in bytes; the guest process has nothing else. A sample in which the
    broker's own changed is none: the two wouldn't be of one moment."""
    try:
        before, guest, after = own_share(pid), guest_memory(pid), own_share(pid)
    except (OSError, AttributeError):
        return 0, 0
    return (before + guest, before) if abs(after - before) < MB else (0, 0)


def watch_memory(argv):
    """(peak of the sum, what of that isn't the guest's memory, peak of the guest's memory as it says itself), in bytes."""
    peak = (0, 0)
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
        while process.poll() is None:
            peak = max(peak, sample(process.pid))
            time.sleep(0.001)
        said.seek(0)
        text = said.read()
    if process.returncode:
        raise SystemExit(f"{argv[0]}: {text}")
    guest = re.search(r"hand-over:.*\(([0-9.]+) MB", text)
    return (*peak, float(guest.group(1)) * MB if guest else 0)


def memory_goals(image, kernel, unpacked_bytes, initrd_bytes):
    """(name, bytes): images, unpacked kernel, initrd and 16 MiB. The UKI is an image; the kernel in it becomes one, too,
    where the stub has it loaded by LoadImage or copies it."""
    least = image + unpacked_bytes + initrd_bytes + 16 * 2**20
    return (("the UKI as the only image", least), ("UKI and kernel as images", least + kernel))


def show_memory(peak, goals):
    for name, goal in goals:
        print(f"    goal with {name}: {goal / MB:.1f} MB: {'met' if peak <= goal else 'MISSED'}")


def memory(mkexec, payload, unpacked_bytes):
    rows = [watch_memory([mkexec, "predict", "--verbose", payload.path]) for _ in range(3)]
    peak, others, guest = max(rows)
    print(f"  memory: {peak / MB:.1f} MB in all processes, {others / MB:.1f} MB of it not the guest's; guest's peak "
          f"{guest / MB:.1f} MB")
    show_memory(peak, memory_goals(len(payload.image), len(payload.kernel), unpacked_bytes, len(payload.initrd)))


# ---- logs ----

TYPES = (0x80000007, 0xd, 0x5, 0x80000008)  # EV_EFI_ACTION, EV_IPL, EV_ACTION, EV_EFI_PLATFORM_FIRMWARE_BLOB
ALGORITHMS = {4: hashlib.sha1, 0xb: hashlib.sha256, 0xc: hashlib.sha384}


def make_log(path, n_events, banks=(0xb,)):
    """Crypto-agile, 60 bytes of data to each event, whose hash its digests are."""
    header = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(banks)) + b"".join(
        struct.pack("<HH", bank, ALGORITHMS[bank]().digest_size) for bank in banks) + b"\0"
    heads = [(struct.pack("<H", bank), ALGORITHMS[bank]) for bank in banks]
    with open(path, "wb", buffering=1 << 20) as file:
        file.write(struct.pack("<II20sI", 0, 3, bytes(20), len(header)) + header)
        for i in range(n_events):
            data = b"event %10d of a log that is there to be measured by bench.." % i
            file.write(struct.pack("<III", i % 8, TYPES[i % 4], len(banks))
                       + b"".join(head + function(data).digest() for head, function in heads)
                       + struct.pack("<I", len(data)) + data)
    return path


def replays(mkexec, path):
    """What both tools say of the log, as {pcr: hex}, to be sure that they do the same work."""
    own = subprocess.run([mkexec, "log", "replay", path], capture_output=True, text=True, check=True).stdout
    other = subprocess.run(["tpm2_eventlog", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                           check=True).stdout
    other = other[other.rindex("\npcrs:"):]
    return (dict(re.findall(r"^sha256 (\d+) ([0-9a-f]{64})$", own, re.MULTILINE)),
            dict(re.findall(r"^ +(\d+) *: 0x([0-9a-f]{64})$", other, re.MULTILINE)))


def peak_bytes(*argv):
    """Resident at most, mapped files included. Linux counts what a process was before it became the program, too: so a
    small one starts it."""
    start = "import resource as r, subprocess as s, sys; s.run(sys.argv[1:], stdout=s.DEVNULL, check=True); " \
            "print(r.getrusage(r.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([sys.executable, "-IS", "-c", start, *argv], capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024


def limit(name, value, goal, unit):
    print(f"  {name:34} {value:8.1f} {unit}   goal {goal:.1f}: {'met' if value <= goal else 'MISSED'}")


def one_log(mkexec, path, n_turns, banks, peer):
    """Times of what is done with a log of a million, against reading it, and memory against its size."""
    words = {"replay": ["log", "replay"], "check": ["log", "check"], "check --json": ["log", "check", "--json"],
             "show --json": ["log", "show", "--json"]}
    functions = {name: lambda argv=argv: quiet(mkexec, *argv, path) for name, argv in words.items()}
    functions["read"] = lambda: quiet("dd", f"if={path}", "of=/dev/null", "bs=1M")
    if peer:
        functions["peer"] = lambda: quiet("tpm2_eventlog", path)
    seconds = turns(n_turns, **functions)
    row("reading it (dd bs=1M)", seconds["read"])
    for name in words:
        row(f"mkexec log {name}", seconds[name])
    if peer:
        row("tpm2_eventlog (prints all events, too)", seconds["peer"])
        ratio("replay / tpm2_eventlog", seconds["replay"], seconds["peer"], goal=1 / 25)
    read, replay, check, show = (1e3 * min(took.processor for took in seconds[name])
                                 for name in ("read", "replay", "check --json", "show --json"))
    if banks == 1:
        limit("replay without reading, processor", replay - read, 200, "ms")
    else:
        limit("replay, processor", replay, 500, "ms")
    limit("check --json, processor", check, 2500, "ms")
    limit("show --json, processor", show, 2500, "ms")
    for name, argv in words.items():
        limit(f"peak memory of {name} beyond the file", (peak_bytes(mkexec, *argv, path) - path.stat().st_size) / MB, 8, "MB")


def linear(mkexec, folder, n_turns):
    """Nanoseconds of each event, for lengths from a thousand to ten million; starting the program is no part of it."""
    empty = make_log(folder / "log-1", 1)
    for n_events in (1_000, 10_000, 100_000, 1_000_000, 10_000_000):
        path = make_log(folder / "log", n_events)
        seconds = turns(n_turns if n_events < 10**7 else 3, log=lambda: quiet(mkexec, "log", "replay", path),
                        start=lambda: quiet(mkexec, "log", "replay", empty))
        took, start = (min(each.processor for each in seconds[name]) for name in ("log", "start"))
        print(f"  {n_events:10} events: {1e3 * took:8.1f} ms, {1e9 * (took - start) / n_events:6.0f} ns an event beyond starting")


def logs(mkexec, folder, n_events, n_turns):
    for banks in ((0xb,), (4, 0xb, 0xc)):
        path = make_log(folder / "log", n_events, banks)
        print(f"\nlog of {n_events} events in {len(banks)} banks, {path.stat().st_size / MB:.0f} MB")
        own, other = replays(mkexec, path)
        if not own or own != other:
            raise SystemExit("mkexec and tpm2_eventlog replay it differently")
        one_log(mkexec, path, n_turns, len(banks), peer=True)
    print("\nlog replay of logs of different lengths, one bank")
    linear(mkexec, folder, n_turns)


def main():
    parser = argparse.ArgumentParser(description="mkexec's time and memory on this machine")
    parser.add_argument("mkexec", type=pathlib.Path, help="the program, of a release build")
    parser.add_argument("--turns", type=int, default=9, help="how often each thing is measured (default 9)")
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the log (default a million)")
    parser.add_argument("--logs", action="store_true", help="logs alone")
    args = parser.parse_args()
    mkexec = args.mkexec.resolve()
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        for stub, series in () if args.logs else (*PAIRS, XZ):
            if payload := make(folder, stub, series):
                start_to_hand_over(mkexec, payload, args.turns)
        logs(mkexec, folder, args.events, args.turns)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long a hop takes in a virtual machine, against kexec-tools' `kexec -c` and against a reset. Prints text.

One run of one machine (OVMF, swtpm, QEMU without KVM, tests/system's modules): firmware starts A, A starts B's kernel by
kexec-tools or by mkexec, that resets the machine, firmware starts A, and so on in turn. All times are taken on the host, at
lines on the console: one clock for both kernels, that goes on in a reset and is the same for both tools. Processor time of
QEMU and swtpm stands beside the clock, because other work on the host stretches the clock only. Run by hand
(docs/performance.md has the numbers); not a part of ./check. Usage: vm.py MKEXEC [--turns N] [--banks ...] [--stub] [--kernel]
"""

import argparse
import pathlib
import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent
SYSTEM = HERE.parent / "system"
sys.dont_write_bytecode = True
sys.path.insert(0, str(SYSTEM))
import closure  # noqa: E402
import esp  # noqa: E402
import host  # noqa: E402
import machine  # noqa: E402
import payloads  # noqa: E402
import uki  # noqa: E402
import vm  # noqa: E402
from machine import between, shown  # noqa: E402

COMMAND_LINE = "console=ttyS0 quiet panic=-1 mitigations=off"
# What a round looks like on the console; the kernel's line comes after devices are shut down, just before the jump.
MARKS = {"bench: init": "init", "bench: load kexec": "kexec", "bench: load mkexec": "mkexec", "bench: loaded 0": "loaded",
         "bench: exec": "exec", "Starting new kernel": "jump", "bench: reset": "reset"}
# Linux copies and clears pages with `rep movsb` and `rep stosb` where the processor has ERMS. There it is the fastest way;
# QEMU without KVM does them a byte at a time. Without ERMS it is eight.
PROCESSOR = vm.PROCESSOR + ",-erms"
MB = 1e6


@dataclass
class Round:
    """Each step of one round, as host.Took."""
    tool: str
    load: host.Took
    to_jump: host.Took
    boot: host.Took
    full_reboot: host.Took

    @property
    def exec_and_boot(self):
        return self.to_jump.plus(self.boot)

    @property
    def in_all(self):
        return self.load.plus(self.exec_and_boot)


# ---- the machine ----

def build(folder, args):
    """(ESP, payload disk, UKI B)"""
    stub, kernel = payloads.stub(args.stub), payloads.kernel(args.kernel)
    image, archive = kernel.image.read_bytes(), machine.bench_initrd(kernel)

    def make(name, script):
        return uki.build(stub.path.read_bytes(), image, archive, f"{COMMAND_LINE} run={script}", uki.os_release(name),
                         kernel.release)
    b = make("B", "bench-back")
    disk = esp.build(folder / "esp", {
        "EFI/BOOT/BOOTX64.EFI": make("A", "bench"), "EFI/Linux/B.efi": b, "EFI/Linux/vmlinuz": image,
        "EFI/Linux/initrd": archive, "EFI/Linux/cmdline": f"{COMMAND_LINE} run=bench-back".encode()}, size_mib=120)
    scripts = {path.name: path.read_text() for path in (SYSTEM / "guest/report", *(HERE / "guest").iterdir())}
    scripts["rounds"] = f"{2 * args.turns}\n"
    programs = {"bin/mkexec": args.mkexec, "bin/kexec": payloads.kexec_tools()}
    print(f"stub {stub.version}, kernel {kernel.version}, banks {'+'.join(args.banks)}; UKI {len(b) / MB:.1f} MB; "
          f"processor {args.processor}")
    return disk, closure.build(folder / "payload.tar", scripts, programs, folder), b, image, archive


# ---- times ----

class Watch(machine.Watch):
    def rounds(self):
        """Every whole round: tool, loaded, exec, jump, init of the second kernel, reset, init of the first again."""
        for i, (mark, _) in enumerate(self.seen):
            part = self.seen[i:i + 7]
            if mark in ("kexec", "mkexec") and [m for m, _ in part[1:]] == ["loaded", "exec", "jump", "init", "reset", "init"]:
                load, loaded, exec_, jump, init, reset, again = (moment for _, moment in part)
                yield Round(mark, between(load, loaded), between(exec_, jump), between(jump, init), between(reset, again))


def compare(name, of, all_rounds, goal=None):
    """Judged by the shortest processor times, for the same reason as in host.ratio."""
    for column in host.Took._fields:
        kexec, mkexec = ([getattr(of(r), column) for r in all_rounds if r.tool == tool] for tool in ("kexec", "mkexec"))
        ratio, median = min(mkexec) / min(kexec), statistics.median(mkexec) / statistics.median(kexec)
        judged = goal is not None and column == "processor"
        verdict = f"   goal {goal:.2f}: {'met' if ratio <= goal else 'MISSED'}" if judged else ""
        print(f"  {name:26} {column:10} {shown(kexec)} {shown(mkexec)} {ratio:7.2f} {median:7.2f}{verdict}")


def times(watch, turns, console):
    all_rounds = list(watch.rounds())
    if len(all_rounds) != 2 * turns:
        raise SystemExit(f"{len(all_rounds)} rounds of {2 * turns} came to their end: {vm.last_words(console)}")
    print(f"\nseconds: shortest, median, longest of {turns}{'':8}kexec -c               mkexec   ratio: shortest, median")
    compare("load", lambda r: r.load, all_rounds, 1.8)
    compare("exec to the kernel's jump", lambda r: r.to_jump, all_rounds)
    compare("jump to second init", lambda r: r.boot, all_rounds, 0.75)
    compare("exec to second init", lambda r: r.exec_and_boot, all_rounds)
    compare("load + exec + boot", lambda r: r.in_all, all_rounds, 1.0)
    for column in host.Took._fields:
        full = [getattr(r.full_reboot, column) for r in all_rounds]
        shares = [statistics.median(getattr(of(r), column) for r in all_rounds if r.tool == "mkexec") / statistics.median(full)
                  for of in (lambda r: r.exec_and_boot, lambda r: r.in_all)]
        print(f"  {'reboot -f to init (OVMF)':26} {column:10} {shown(full)}   mkexec exec + boot is {shares[0]:.2f} of it, with "
              f"load {shares[1]:.2f}")


def stages(lines):
    """What mkexec says of its stages: {first words: seconds of each time}."""
    found = {}
    for _, line in lines:
        if stage := re.fullmatch(r"mkexec: (\w+ \w+ \w+).*[(,] ?([0-9.]+) s\)", line):
            found.setdefault(stage.group(1), []).append(float(stage.group(2)))
    return found


def show_stages(outcome):
    for first_words, seconds in stages(outcome.lines).items():
        print(f"    {first_words + ' ...':30} {shown(seconds)}")


# ---- the TPM, and memory ----

def count_commands(outcome):
    """Of the last exec by mkexec: from the script's mark to the Shutdown that the kernel sends."""
    marked = [i for i, c in enumerate(outcome.commands) if c.name == "GetRandom" and c.random_bytes == 19]
    for start in reversed(marked):
        rest = outcome.commands[start + 1:]
        names = [c.name for c in rest[:next(i for i, c in enumerate(rest) if c.name == "Shutdown")]]
        if names:
            break
    counts = {name: names.count(name) for name in sorted(set(names))}
    extends = counts.get("PCR_Extend", 0)
    verdict = "met" if len(names) <= extends + 6 else "MISSED"
    print(f"\nTPM commands in exec: {len(names)} for {extends} events ({counts}), events + {len(names) - extends}; goal "
          f"events + 6: {verdict}")


def memory(outcome, b, image, archive):
    state = outcome.state("memory")
    print("\npeak memory of load (cgroup: processes, memfd, tmpfs and the kernel's own for them)")
    peaks = {}
    for tool in ("kexec", "mkexec"):
        peaks[tool] = int(state.text(f"{tool}.peak"))
        stat = dict(line.split() for line in state.text(f"{tool}.stat").splitlines())
        print(f"  {tool:8} {peaks[tool] / MB:.1f} MB; what stays in /run: {int(stat['shmem']) / MB:.1f} MB")
        print("    " + " | ".join(line.strip() for line in state.text(f"{tool}.time").splitlines()
                                  if re.search("mkexec:|User|System|Minor|Voluntary|Exit", line)))
    host.show_memory(peaks["mkexec"], host.memory_goals(len(b), len(image), host.compressed(image)[2], len(archive)))


def main():
    parser = argparse.ArgumentParser(description="mkexec against kexec-tools in a virtual machine")
    parser.add_argument("mkexec", type=pathlib.Path, help="the program, of a release build")
    parser.add_argument("--turns", type=int, default=5, help="hops by each tool (default 5)")
    parser.add_argument("--stub", default="252")
    parser.add_argument("--kernel", default="6.1", help="series of Debian's cloud kernel (default 6.1)")
    parser.add_argument("--banks", default="sha256", type=lambda text: tuple(text.split("+")), help="sha1+sha256+...")
    parser.add_argument("--processor", default=PROCESSOR, help=f"QEMU's -cpu (default {PROCESSOR})")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="leave disks and console in this new directory")
    args = parser.parse_args()
    args.mkexec = args.mkexec.resolve()
    vm.PROCESSOR = args.processor
    # A socket's path must be short, so the place is below /tmp whatever TMPDIR says.
    with tempfile.TemporaryDirectory(prefix="mkexec.", dir="/tmp") as place:
        folder = args.keep or pathlib.Path(place)
        folder.mkdir(exist_ok=True)
        disk, payload, *parts = build(folder, args)
        watch = Watch(MARKS)
        outcome = vm.run(folder / "run", vm.Setup(esp=disk, payload=payload, banks=args.banks, memory_mib=1024, reboots=True,
                                                  deadline_seconds=240 + 180 * args.turns, watch=watch))
        times(watch, args.turns, outcome.console)
        print("\nmkexec's stages, load and exec")
        show_stages(outcome)
        count_commands(outcome)
        memory(outcome, *parts)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long a second kernel needs to open its disk with a ticket, against a key that systemd sealed to a PCR. Prints text.

One run of one machine (OVMF, swtpm, QEMU without KVM): firmware starts A, which makes a LUKS2 disk with one key for tickets and
one in a token of systemd-cryptenroll's, bound to PCR 7, and starts a chain of kernels by measured hops. Each of them opens the
disk in both ways, and who begins alternates, so that each has its turns right after init. Times are taken on the host, at lines
on the console, as in vm.py; commands are counted in swtpm's log. Run by hand (docs/performance.md has the numbers); not a part
of ./check. Usage: unlock.py MKEXEC [--turns N]
"""

import argparse
import collections
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SYSTEM = HERE.parent / "system"
sys.dont_write_bytecode = True
sys.path.insert(0, str(SYSTEM))
import closure  # noqa: E402
import esp  # noqa: E402
import host  # noqa: E402
import machine  # noqa: E402
import payloads  # noqa: E402
import test_ticket  # noqa: E402
import uki  # noqa: E402
import vm  # noqa: E402
from machine import between, shown  # noqa: E402

COMMAND_LINE = "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check"
MARKS = {"bench: init": "init", "unlock: ticket": "ticket", "unlock: systemd": "systemd", "unlock: opened 0": "opened"}
# What the guest's mark_tpm sends when one of them begins, and when the TPM has done its part.
COUNTED = {"ticket": 19, "systemd": 20}
ENDED = 21
WAYS = tuple(COUNTED)
# What the kernel's resource manager sends around the commands of programs, and a few of their own.
CONTEXTS = ("ContextLoad", "ContextSave", "FlushContext")
DISK_MIB = 20
SYSTEMD = {"bin/systemd-cryptenroll": "/usr/bin/systemd-cryptenroll", "bin/systemd-cryptsetup": "/lib/systemd/systemd-cryptsetup"}
# What libsystemd-shared and libcryptsetup load by name.
LIBRARIES = ("libtss2-rc.so.0", "libtss2-esys.so.0", "libtss2-mu.so.0", "libcryptsetup.so.12")
TOKEN = "lib/x86_64-linux-gnu/cryptsetup/libcryptsetup-token-systemd-tpm2.so"


def build(folder, args):
    """(ESP, payload disk)"""
    stub, kernel = payloads.stub(args.stub), payloads.kernel(args.kernel)
    archive = machine.bench_initrd(kernel)

    def make(name, script):
        return uki.build(stub.path.read_bytes(), kernel.image.read_bytes(), archive, f"{COMMAND_LINE} run={script}",
                         uki.os_release(name), kernel.release)
    disk = esp.build(folder / "esp", {"EFI/BOOT/BOOTX64.EFI": make("A", "unlock-first"), "EFI/Linux/B.efi": make("B", "unlock")})
    scripts = {path.name: path.read_text() for place in (SYSTEM, HERE) for path in (place / "guest").iterdir()
               if path.name in ("report", "ticket-disk") or path.name.startswith("unlock")}
    scripts["turns"] = f"{2 * args.turns}\n"
    programs = {"bin/mkexec": args.mkexec, "bin/cryptsetup": test_ticket.CRYPTSETUP,
                **{inside: pathlib.Path(path) for inside, path in SYSTEMD.items()},
                **{f"lib/x86_64-linux-gnu/{name}": closure.find_library(name, "systemd", folder) for name in LIBRARIES},
                TOKEN: pathlib.Path("/", TOKEN)}
    systemd = subprocess.run(["systemd-cryptenroll", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    print(f"{systemd}; stub {stub.version}, kernel {kernel.version}, bank {'+'.join(args.banks)}")
    return disk, closure.build(folder / "payload.tar", scripts, programs, folder, test_ticket.files(kernel))


def steps(watch):
    """({way: what each opening took}, {way: what it took from init on where this way began})"""
    opening, from_init = collections.defaultdict(list), collections.defaultdict(list)
    for (before, start), (mark, at), (after, end) in zip(watch.seen, watch.seen[1:], watch.seen[2:]):
        if mark in WAYS and after == "opened":
            opening[mark].append(between(at, end))
            if before == "init":
                from_init[mark].append(between(start, end))
    return opening, from_init


def compare(name, took):
    for column in host.Took._fields:
        ticket, systemd = ([getattr(t, column) for t in took[way]] for way in WAYS)
        print(f"  {name:26} {column:10} {shown(ticket)} {shown(systemd)} {min(ticket) / min(systemd):7.2f} "
              f"{statistics.median(ticket) / statistics.median(systemd):7.2f}")


def commands(outcome, way):
    """Those of the last time, as swtpm saw them."""
    last = collections.Counter()
    for i, command in enumerate(outcome.commands):
        if command.name == "GetRandom" and command.random_bytes == COUNTED[way]:
            rest = outcome.commands[i + 1:]
            end = next(j for j, c in enumerate(rest) if c.name == "GetRandom" and c.random_bytes == ENDED)
            last = collections.Counter(c.name for c in rest[:end])
    return last


def show_commands(outcome):
    counts = {way: commands(outcome, way) for way in WAYS}
    print(f"\n{'TPM commands':32} {'ticket':>8} {'systemd':>8}")
    for name in sorted(set().union(*counts.values())):
        print(f"  {name:30} {counts['ticket'][name]:8} {counts['systemd'][name]:8}")
    for name, left_out in (("in all", ()), ("without those of contexts", CONTEXTS)):
        sums = [sum(n for command, n in counts[way].items() if command not in left_out) for way in WAYS]
        print(f"  {name:30} {sums[0]:8} {sums[1]:8}   ratio {sums[0] / sums[1]:.2f}")


def main():
    parser = argparse.ArgumentParser(description="a disk opened by a ticket and by systemd, in a virtual machine")
    parser.add_argument("mkexec", type=pathlib.Path, help="the program, of a release build")
    parser.add_argument("--turns", type=int, default=3, help="kernels in which each way begins (default 3)")
    parser.add_argument("--stub", default="252")
    parser.add_argument("--kernel", default="6.1", help="series of Debian's cloud kernel (default 6.1)")
    parser.add_argument("--banks", default="sha256", type=lambda text: tuple(text.split("+")), help="sha1+sha256+...")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="leave disks and console in this new directory")
    args = parser.parse_args()
    args.mkexec = args.mkexec.resolve()
    # A socket's path must be short, so the place is below /tmp whatever TMPDIR says.
    with tempfile.TemporaryDirectory(prefix="mkexec.", dir="/tmp") as place:
        folder = args.keep or pathlib.Path(place)
        folder.mkdir(exist_ok=True)
        disk, payload = build(folder, args)
        luks = folder / "luks.img"
        with open(luks, "wb") as file:
            file.truncate(DISK_MIB << 20)
        watch = machine.Watch(MARKS)
        outcome = vm.run(folder / "run", vm.Setup(esp=disk, payload=payload, banks=args.banks, disks=((luks, "luks"),),
                                                  watch=watch, memory_mib=1024, deadline_seconds=240 + 600 * args.turns))
        opening, from_init = steps(watch)
        if any((len(opening[way]), len(from_init[way])) != (2 * args.turns, args.turns) for way in WAYS):
            raise SystemExit(f"{dict(opening)}: not all turns came to their end: {vm.last_words(outcome.console)}")
        # Whoever begins in a kernel also reads the libraries that both need.
        print(f"\nseconds: shortest, median, longest{'':13}ticket               systemd   ratio: shortest, median")
        compare("opening", opening)
        compare("init to opened", from_init)
        show_commands(outcome)


if __name__ == "__main__":
    main()

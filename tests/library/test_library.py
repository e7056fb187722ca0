#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""libmkexec-eventlog as others get it: installed into a folder, and a program built with nothing but that. What the library
needs and keeps; what the program says against what mkexec says; how often it allocates. Prints TAP.

Usage: test_library.py MKEXEC BUILD-FOLDER CC...
"""

import hashlib
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent

# Memory, strings, and libcrypto's hashes. snprintf and sscanf work on strings; madvise is about memory that we have.
ALLOWED = re.compile(r"""(EVP_(Digest|MD_)\w+ | SHA(1|256|384|512)_(Init|Update|Final)
    | malloc | calloc | realloc | reallocarray | free | madvise
    | mem\w+ | str(n?len|n?cmp|error|n?dup|chr|rchr|str|tou?ll?)
    | v?snprintf | (__isoc\d+_)?sscanf | qsort | bsearch | __ctype_b_loc | __errno_location
    | __stack_chk_fail | __popcount\wi2 | __\w+_chk)$""", re.VERBOSE)


def run(*argv, **more):
    return subprocess.run([str(a) for a in argv], capture_output=True, errors="surrogateescape", timeout=120, **more)


def undefined(archive):
    names = [line.split()[-1] for line in run("nm", "-u", archive).stdout.splitlines() if " U " in line]
    assert names, "nm says nothing"
    return sorted(name for name in names if not ALLOWED.match(name))


def writable(archive):
    """Sections whose bytes could change while a program runs. Tables that only the linker changes are .data.rel.ro."""
    told = run("size", "-A", archive).stdout
    assert ".rodata" in told, told
    return [line for line in told.splitlines()
            if re.match(r"\.(data|bss|tdata|tbss)(\.|\s)", line) and not line.startswith(".data.rel.ro")
            and int(line.split()[1])] + [line for line in run("nm", archive).stdout.splitlines() if re.search(r" [BbCDsSG] ", line)]


def exported(archive):
    return sorted(line.split()[2] for line in run("nm", "-g", "--defined-only", archive).stdout.splitlines()
                  if len(line.split()) == 3)


def make_log(path, n, data=lambda i: b"event %d" % i):
    header = b"Spec ID Event03\0" + struct.pack("<IBBBBIHHB", 0, 0, 2, 0, 2, 1, 0xb, 32, 0)
    types = (0x80000007, 0xd, 6, 0x80000008, 3)
    with open(path, "wb") as file:
        file.write(struct.pack("<II20sI", 0, 3, bytes(20), len(header)) + header)
        for i in range(n):
            file.write(struct.pack("<IIIH", i % 8, types[i % len(types)], 1, 0xb) + hashlib.sha256(data(i)).digest()
                       + struct.pack("<I", len(data(i))) + data(i))
    return path


class Case:
    def __init__(self, mkexec, build, cc, folder):
        self.mkexec, self.cc, self.folder = mkexec, cc, folder
        run("meson", "install", "-C", build, "--no-rebuild", "--destdir", folder / "root", "--tags", "devel", check=True)
        self.archive = next((folder / "root").rglob("libmkexec-eventlog.a"))
        self.logs = {n: make_log(folder / f"log-{n}", n) for n in (1000, 100_000)}

    def build(self):
        """The reader, and what building it said."""
        pc = next((self.folder / "root").rglob("mkexec-eventlog.pc"))
        # the system's own libcrypto.pc isn't below DESTDIR
        flags = run("pkg-config", "--cflags", "--libs", pc, check=True,
                    env={**os.environ, "PKG_CONFIG_PATH": str(pc.parent)}).stdout.split()
        prefix = run("pkg-config", "--variable=prefix", pc, check=True).stdout.strip()
        flags = [flag.replace(prefix, f"{self.folder}/root{prefix}") if prefix in flag else flag for flag in flags]
        if not any(flag.startswith("-I") for flag in flags):
            flags.insert(0, f"-I{self.folder}/root{prefix}/include")
        return run(*self.cc, "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-std=c11", "-o", self.folder / "reader",
                   HERE / "reader.c", *(f"-Wl,--wrap={name}" for name in ("malloc", "calloc", "realloc")), *flags, "-lcrypto")

    def reader(self, what, path):
        done = run(self.folder / "reader", what, path)
        counted = re.search(r"^(\d+) allocations$", done.stderr, re.MULTILINE)
        assert counted, f"{what}: {done.returncode} {done.stderr}"
        return done, int(counted.group(1))


def names_and_needs(case):
    assert not undefined(case.archive), undefined(case.archive)
    header = next((case.folder / "root").rglob("mkexec/eventlog.h")).read_text()
    declared = sorted(re.findall(r"^(?:int|void|bool) (mkexec_\w+)\(", header, re.MULTILINE))
    assert len(declared) >= 8 and exported(case.archive) == declared, (exported(case.archive), declared)


def nothing_writable(case):
    assert not writable(case.archive), writable(case.archive)


def twins(case):
    """What must not be there is seen where it is."""
    source, broken = case.folder / "broken.c", case.folder / "broken.a"
    for text, look in (("int counter = 1;", writable), ("static int calls; int count(void) { return ++calls; }", writable),
                       ("__thread int mine = 1;", writable),
                       ("#include <stdio.h>\nvoid *look(void) { return fopen(\"/etc/passwd\", \"r\"); }", undefined),
                       ("#include <unistd.h>\nlong take(void *p) { return read(0, p, 1); }", undefined),
                       ("int mkexec_other(void) { return 1; }", exported)):
        source.write_text(text)
        run(*case.cc, "-c", "-o", case.folder / "broken.o", source, check=True)
        shutil.copy(case.archive, broken)
        run("ar", "q", broken, case.folder / "broken.o", check=True)
        assert look(broken) != look(case.archive), text


def built_outside(case):
    done = case.build()
    assert done.returncode == 0, done.stderr
    header = run(*case.cc, "-xc++", "-fsyntax-only", "-Wall", "-Werror", next((case.folder / "root").rglob("mkexec/eventlog.h")))
    assert header.returncode == 0 or "cc1plus" in header.stderr, header.stderr  # no C++ compiler: not looked at


def says_what_mkexec_says(case):
    log = case.logs[1000]
    for what, argv in (("replay", ["replay"]), ("json", ["show", "--json"]), ("yaml", ["show", "--yaml"]), ("table", ["show"]),
                       ("cel-json", ["convert", "--to", "cel-json"]), ("cel-tlv", ["convert", "--to", "cel-tlv"])):
        own, _ = case.reader(what, log)
        other = run(case.mkexec, "log", *argv, log)
        assert own.returncode == other.returncode == 0 and own.stdout == other.stdout and own.stdout, what
    right, wrong = case.reader("right", log)[0], case.reader("wrong", log)[0]
    assert right.returncode == 0 and right.stdout.startswith("ok"), right.stdout
    assert wrong.returncode == 1 and "PCR 8, bank sha256" in wrong.stdout, wrong.stdout
    cut = case.folder / "cut"
    cut.write_bytes(log.read_bytes()[:-1])
    for what in ("parse", "replay", "json"):
        done, _ = case.reader(what, cut)
        assert done.returncode == 2 and "event 1000 at offset" in done.stderr, done.stderr
    assert case.reader("check", cut)[0].stdout.startswith("malformed: event 1000"), what


def allocates_as_often(case):
    for what in ("parse", "replay", "check", "right", "table", "json", "yaml", "cel-json", "cel-tlv"):
        few, many = (case.reader(what, log)[1] for log in case.logs.values())
        assert few == many and few < 64, f"{what}: {few} allocations for 1,000 events, {many} for 100,000"
    few, many = (case.reader("leak", log)[1] for log in case.logs.values())
    assert few >= 1000 and many >= 100_000, f"a program that allocates for each event counts {few} and {many}"


CASES = [
    ("it exports what its header declares, and needs no I/O", names_and_needs),
    ("it has no writable data", nothing_writable),
    ("a global, a call of stdio or of the system, and another name would be seen", twins),
    ("a program is built from what is installed", built_outside),
    ("it says what mkexec says", says_what_mkexec_says),
    ("it allocates as often for 1,000 as for 100,000 events", allocates_as_often),
]


def main():
    mkexec, build, *cc = sys.argv[1:]
    failed = 0
    with tempfile.TemporaryDirectory() as place:
        print(f"1..{len(CASES)}", flush=True)
        case = Case(mkexec, build, cc, pathlib.Path(place))
        for i, (name, function) in enumerate(CASES, 1):
            try:
                function(case)
                print(f"ok {i} - {name}", flush=True)
            except (AssertionError, subprocess.CalledProcessError, StopIteration) as reason:
                failed = 1
                print(f"not ok {i} - {name}", *(f"# {line}" for line in str(reason).splitlines()), sep="\n", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())

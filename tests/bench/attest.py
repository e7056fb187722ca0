#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How many pieces of evidence `mkexec verify --stream` judges in a second of one core, against what the signature alone costs
(`openssl speed`) and against a script of tpm2_checkquote and tpm2_eventlog; and all of them by GNU parallel. Prints text.

Yardsticks are measured in the same run, turn by turn. Run by hand (docs/performance.md has the numbers); not a part of
./check. Needs swtpm, tpm2-tools, openssl, GNU parallel; no root, no TPM. Usage: attest.py MKEXEC [--turns N] [--machines N]
[--each N] [--keep DIR]; with DIR from an earlier run nothing is made again.
"""

import argparse
import base64
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

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import evidence  # noqa: E402

KINDS = {"ecdsa-p256": "ecdsap256", "rsassa-2048": "rsa2048"}  # and openssl speed's name
SCRIPT_PIECES = 10


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def openssl_rate(name):
    """Verifications in a second of processor time, as openssl speed counts them."""
    done = subprocess.run(["openssl", "speed", "-seconds", "1", name], capture_output=True, text=True, check=True)
    return float(re.findall(r"[\d.]+", done.stdout.strip().splitlines()[-1])[-1])


def verify_words(mkexec, folder, *more):
    keys = [word for path in sorted((folder / "aks").iterdir()) for word in ("--ak", str(path))]
    return [str(mkexec), "verify", "--stream", "--reference", str(folder / "refs"), *keys, *more]


def judge(words, path):
    """Seconds of processor time; everything must be trusted."""
    before = children_seconds()
    with open(path, "rb") as stdin:
        done = subprocess.run(words, stdin=stdin, stdout=subprocess.PIPE, check=True)
    took = children_seconds() - before
    n = sum(1 for line in open(path, "rb"))
    assert done.stdout.count(b'"verdict":"trusted"') == n, "not all of it is trusted"
    return took


def first_lines(source, target, n):
    with open(source, "rb") as lines, open(target, "wb") as out:
        for _, line in zip(range(n), lines):
            out.write(line)


def fresh_logs(source, target):
    """The same quotes with logs that nobody has seen: a firmware volume's description, which isn't hashed, is another."""
    with open(source, encoding="ascii") as lines, open(target, "w", encoding="ascii") as out:
        for number, line in enumerate(lines):
            document = json.loads(line)
            log = bytearray(base64.b64decode(document["evidence"]["logs"]["firmware"]))
            at = log.index(b"\x04BIOS")
            log[at + 5 : at + 13] = number.to_bytes(8, "little")
            document["evidence"]["logs"]["firmware"] = base64.b64encode(log).decode()
            out.write(json.dumps(document, separators=(",", ":")) + "\n")


# ---- the script ----

SCRIPT = """set -e
for i in $(seq %d); do
    tpm2_checkquote -Q -u $i.pub -m $i.attest -s $i.signature -f $i.pcrs -q $(cat $i.nonce) >/dev/null
    tpm2_eventlog $i.log >/dev/null 2>&1
done
"""


def serialized(values):
    """PCR values as tpm2_checkquote wants them: its own structures of memory, eight values a list."""
    selection = struct.pack("<HB4sx", evidence.ALG, 3, b"\xff\xff\0\0")
    lists = [values[at : at + 8] for at in range(0, len(values), 8)]
    return struct.pack("<I128sI", 1, selection, len(lists)) + b"".join(
        struct.pack("<I", len(part)) + b"".join(struct.pack("<H64s", len(value), value) for value in part) for part in lists)


def script_folder(source, keys, folder):
    with open(source, encoding="ascii") as lines:
        for number, line in zip(range(1, SCRIPT_PIECES + 1), lines):
            document = json.loads(line)
            piece = document["evidence"]
            parts = {"attest": base64.b64decode(piece["quote"]["attest"]), "signature": base64.b64decode(piece["quote"]["signature"]),
                     "log": base64.b64decode(piece["logs"]["firmware"]), "nonce": document["nonce"].encode(),
                     "pcrs": serialized([bytes.fromhex(piece["pcrs"]["sha256"][str(pcr)]) for pcr in range(16)]),
                     "pub": (keys / f"{(number - 1) % len(list(keys.iterdir()))}.pub").read_bytes()}
            for name, data in parts.items():
                (folder / f"{number}.{name}").write_bytes(data)


def script(folder):
    """Seconds of processor time for one piece."""
    before = children_seconds()
    subprocess.run(["sh", "-c", SCRIPT % SCRIPT_PIECES], cwd=folder, check=True)
    return (children_seconds() - before) / SCRIPT_PIECES


# ---- rows ----

def rate_row(mkexec, kind, folder, work, turns):
    sample, fresh = work / "sample", work / "fresh"
    first_lines(folder / "evidence.ndjson", sample, 5000)
    fresh_logs(sample, fresh)
    n = sum(1 for line in open(sample, "rb"))
    tools = work / "script"
    tools.mkdir()
    script_folder(sample, folder / "aks", tools)
    words = verify_words(mkexec, folder)
    rows = {"openssl": [], "again": [], "first": [], "script": []}
    judge(words, sample)
    for _ in range(turns):
        rows["openssl"].append(openssl_rate(KINDS[kind]))
        rows["again"].append(n / judge(words, sample))
        rows["first"].append(n / judge(words, fresh))
        rows["script"].append(1 / script(tools))
    best = {name: max(values) for name, values in rows.items()}
    middle = {name: statistics.median(values) for name, values in rows.items()}
    print(f"{kind}: {n} pieces a turn, best (median) of {turns}, a second of one core")
    for name, title in (("openssl", "openssl speed, verify alone"), ("again", "machines that are asked again"),
                        ("first", "logs seen for the first time"), ("script", "tpm2_checkquote + tpm2_eventlog")):
        print(f"  {title:34} {best[name]:9.0f} ({middle[name]:.0f}), of openssl {best[name] / best['openssl']:.1%} "
              f"({statistics.median(a / b for a, b in zip(rows[name], rows['openssl'])):.1%}), "
              f"of the script {best[name] / best['script']:.0f}x "
              f"({statistics.median(a / b for a, b in zip(rows[name], rows['script'])):.0f}x)", flush=True)


def parallel_row(mkexec, folder, work):
    source, out = folder / "evidence.ndjson", work / "verdicts"
    n = sum(1 for line in open(source, "rb"))
    words = verify_words(mkexec, folder)
    for title, argv in (("one process", words), ("--jobs 2", [*words, "--jobs", "2"]),
                        ("parallel, 4 workers", ["parallel", "--will-cite", "--pipepart", "-a", str(source), "--block", "16M", "-k", "-j",
                                                 "4", *words])):
        started, used = time.perf_counter(), children_seconds()
        with open(source, "rb") as stdin, open(out, "wb") as stdout:
            subprocess.run(argv, stdin=stdin, stdout=stdout, check=True)
        seconds, processor = time.perf_counter() - started, children_seconds() - used
        with open(out, "rb") as verdicts:
            trusted = sum(b'"verdict":"trusted"' in line for line in verdicts)
        assert trusted == n, (title, trusted)
        print(f"  {title:20} {n} pieces, {source.stat().st_size / 1e9:.2f} GB: {seconds:.1f} s, {n / seconds:.0f} a second; "
              f"{processor:.1f} s of processors", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mkexec", type=pathlib.Path)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--machines", type=int, default=50)
    parser.add_argument("--each", type=int, default=2000)
    parser.add_argument("--keep", type=pathlib.Path)
    options = parser.parse_args()
    mkexec = options.mkexec.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        keep = options.keep or pathlib.Path(temporary)
        for kind in KINDS:
            folder, work = keep / kind, pathlib.Path(temporary) / f"work-{kind}"
            work.mkdir()
            if not (folder / "evidence.ndjson").exists():
                evidence.write(folder, kind, options.machines, options.each if kind == "ecdsa-p256" else 100)
            print(f"load average {os.getloadavg()[0]:.1f}")
            rate_row(mkexec, kind, folder, work, options.turns)
            if kind == "ecdsa-p256":
                parallel_row(mkexec, folder, work)


if __name__ == "__main__":
    main()

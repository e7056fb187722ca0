#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`mkexec verify` on evidence quoted by swtpm: verdicts and exit codes, each with a twin; streams in order, by one process and
by several, with lines that can't be read, without waiting for later lines, in bounded memory. Prints TAP.

Usage: test_verify.py MKEXEC
"""

import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "bench"))
import evidence  # noqa: E402
import tap  # noqa: E402

MACHINES, EACH = 3, 4
LINE_MAX = 64 * 1024 * 1024


class Case:
    def __init__(self, mkexec, folder):
        self.mkexec, self.folder = mkexec, folder
        self.lines = (folder / "evidence.ndjson").read_text().splitlines()
        self.keys = [word for number in range(MACHINES) for word in ("--ak", folder / "aks" / f"{number}.pub")]
        self.references = ["--reference", folder / "refs"]

    def run(self, *arguments, stdin=""):
        return subprocess.run([self.mkexec, "verify", *map(str, arguments)], capture_output=True, text=True, timeout=300,
                              input=stdin)

    def file(self, line, **changes):
        """One line's evidence as a file, with members of the evidence changed; and its nonce."""
        document = json.loads(line)
        document["evidence"].update(changes)
        path = self.folder / "one.json"
        path.write_text(json.dumps(document["evidence"]))
        return path, document["nonce"]

    def stream(self, text, *arguments):
        return self.run("--stream", *self.references, *self.keys, *arguments, stdin=text)


def verdicts(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def words(done):
    return [row["reason"]["word"] for row in verdicts(done)]


# ---- one piece ----

def one(case):
    path, nonce = case.file(case.lines[0])
    done = case.run(path, "--nonce", nonce, *case.references, *case.keys, "--json")
    assert done.returncode == 0 and not done.stderr, done
    document = json.loads(done.stdout)
    assert document["version"] == 1 and document["verdict"] == "trusted" and document["bank"] == "sha256"
    first, second = document["boots"]
    assert first["measured_by"] == "firmware" and first["known"] and first["trusted"] and first["in_log"]
    assert second["reported_by"] == 1 and second["reference"] == "0-kexec.json" and second["trusted"]
    assert second["command_lines"] == ["root=/dev/sda quiet"] and second["kernel"] == "6.1"
    assert document["pcrs"]["sha256"]["8"]["status"] == "proved" and document["ak"]["trusted_by"] == "public area given"
    assert document["plain_kexec"]["is"] == "possible"
    text = case.run("-", "--nonce", nonce, *case.references, *case.keys, stdin=path.read_text())
    assert text.returncode == 0 and text.stdout.startswith("verdict: trusted\n"), text
    assert "boot 2: reported by boot 1: trusted\n" in text.stdout and "known as: 0-kexec.json" in text.stdout


def refused(case):
    path, nonce = case.file(case.lines[0])
    other = json.loads(case.lines[1])["nonce"]

    def expect(word, code, *arguments):
        done = case.run(path, *arguments, "--json")
        document = json.loads(done.stdout)
        assert (document["reason"]["word"], done.returncode) == (word, code), (word, document["reason"], done)
        assert document["verdict"] == {1: "not trusted", 2: "malformed"}[code]

    expect("nonce", 1, "--nonce", other, *case.references, *case.keys)
    expect("trust", 1, "--nonce", nonce, *case.references, *case.keys[2:])
    expect("trust", 1, "--nonce", nonce, *case.references)
    expect("policy", 1, "--nonce", nonce, "--reference", case.folder / "refs" / "0-kexec.json", *case.keys)
    expect("policy", 1, "--nonce", nonce, "--reference", case.folder / "refs" / "0-firmware.json", *case.keys)
    path, _ = case.file(case.lines[0], pcrs=json.loads(case.lines[1])["evidence"]["pcrs"])
    expect("values", 1, "--nonce", nonce, *case.references, *case.keys)
    path, _ = case.file(case.lines[0], logs=json.loads(case.lines[1])["evidence"]["logs"])
    expect("pcr", 1, "--nonce", nonce, *case.references, *case.keys)
    path, _ = case.file(case.lines[0], logs={})
    expect("log", 1, "--nonce", nonce, *case.references, *case.keys)
    path, _ = case.file(case.lines[0], kind="other")
    expect("evidence", 2, "--nonce", nonce, *case.references, *case.keys)


def any_key(case):
    path, nonce = case.file(case.lines[0])
    done = case.run(path, "--nonce", nonce, *case.references, "--accept-any-ak", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0 and not document["ak"]["trusted"], done
    assert document["ak"]["trusted_by"] == "nothing: any key is accepted"


def usage(case):
    path, nonce = case.file(case.lines[0])
    for arguments in ([path], [path, "--nonce", nonce], [path, *case.references], [path, "--nonce", nonce[:14], *case.references],
                      [path, "--nonce", "0x" + nonce, *case.references], ["--nonce", nonce, *case.references],
                      [path, "--stream", *case.references], ["--stream", "--jobs", "0", *case.references],
                      [path, "--nonce", nonce, "--reference", case.folder / "tpm"],
                      [path, "--nonce", nonce, *case.references, "--ak", path],
                      [path, "--nonce", nonce, *case.references, "--ca", case.keys[1]],
                      [case.folder / "none.json", "--nonce", nonce, *case.references]):
        done = case.run(*arguments)
        assert done.returncode == 2 and done.stderr.startswith("mkexec: ") and not done.stdout, (arguments, done)
        assert done.stderr.count("\n") == 1, done.stderr


# ---- streams ----

def in_order(case):
    text = "\n".join(case.lines * 8) + "\n"
    alone = case.stream(text)
    rows = verdicts(alone)
    assert alone.returncode == 0 and [row["line"] for row in rows] == list(range(1, len(case.lines) * 8 + 1))
    assert all(row["verdict"] == "trusted" for row in rows)
    nonces = [json.loads(line)["nonce"] for line in case.lines] * 8
    assert [row["quote"]["nonce"] for row in rows] == nonces
    for jobs in (2, 5):
        done = case.stream(text, "--jobs", jobs)
        assert done.returncode == 0 and done.stdout == alone.stdout, (jobs, done.stderr)
    assert case.stream(text.rstrip("\n")).stdout == alone.stdout


def bad_lines(case):
    wrong = json.loads(case.lines[1])
    wrong["nonce"] = json.loads(case.lines[0])["nonce"]
    twice = case.lines[0][:-1] + ',"nonce":"00112233445566778899"}'
    good = json.dumps({"id": "host é \" 1", **json.loads(case.lines[0])})
    lines = [good, "", "{", json.dumps(wrong), case.lines[2], twice, json.dumps({"id": 1, **json.loads(case.lines[0])}),
             json.dumps(json.loads(case.lines[0])["evidence"]), "null", case.lines[3]]
    for jobs in (1, 3):
        done = case.stream("\n".join(lines), "--jobs", jobs)
        assert words(done) == ["", "evidence", "evidence", "nonce", "", "evidence", "evidence", "evidence", "evidence", ""], done
        assert done.returncode == 2 and verdicts(done)[0]["id"] == 'host é " 1'
        assert [row["line"] for row in verdicts(done)] == list(range(1, 11))
    assert case.stream("\n".join([good, json.dumps(wrong)])).returncode == 1
    nonce = json.loads(case.lines[0])["nonce"]
    done = case.stream("\n".join([json.dumps(json.loads(case.lines[0])["evidence"]), case.lines[0]]), "--nonce", nonce)
    assert words(done) == ["", "evidence"], done


def too_long(case):
    path = case.folder / "long"
    with open(path, "w", encoding="ascii") as out:
        out.write(case.lines[0] + "\n")
        out.write('{"nonce":"' + (LINE_MAX + 1000000) * "0" + '"}\n')
        out.write(case.lines[1] + "\n")
    for jobs in ("1", "2"):
        with open(path, "rb") as stdin:
            done = subprocess.run([case.mkexec, "verify", "--stream", "--jobs", jobs, *case.references, *case.keys], stdin=stdin,
                                  capture_output=True, text=True, timeout=300)
        assert words(done) == ["", "evidence", ""] and done.returncode == 2, done
        assert "more than" in verdicts(done)[1]["reason"]["text"]
    path.unlink()


def at_once(case):
    """Each verdict comes before the next line is there."""
    for jobs in ("1", "3"):
        process = subprocess.Popen([case.mkexec, "verify", "--stream", "--jobs", jobs, *case.references, *case.keys],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number, line in enumerate(case.lines, 1):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["line"] == number
        process.stdin.close()
        assert process.wait(60) == 0
        process.stdout.close()


def memory(case):
    """Of many lines as of a few: ten times as many take no more than a MB more. Its own peak, before it ends: what wait4
    tells has this program's in it."""
    peaks, verdicts_path = [], case.folder / "verdicts"
    for times in (60, 600):
        with open(verdicts_path, "wb") as stdout:
            process = subprocess.Popen([case.mkexec, "verify", "--stream", *case.references, *case.keys], stdin=subprocess.PIPE,
                                       stdout=stdout, text=True)
        for _ in range(times):
            process.stdin.write("\n".join(case.lines) + "\n")
        process.stdin.flush()
        deadline = time.monotonic() + 120
        while verdicts_path.read_bytes().count(b"\n") < times * len(case.lines):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        peaks.append(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")))
        process.stdin.close()
        assert process.wait(60) == 0
    verdicts_path.unlink()
    print(f"# peak of {MACHINES * EACH * 60} and {MACHINES * EACH * 600} lines: {peaks[0]} and {peaks[1]} KB")
    assert peaks[1] < peaks[0] + 1024, peaks


def no_rights(case):
    """No root, no TPM: an empty environment and another user."""
    path, nonce = case.file(case.lines[0])
    case.folder.chmod(0o755)
    words_ = [str(word) for word in (case.mkexec, "verify", path, "--nonce", nonce, *case.references, *case.keys)]
    if os.geteuid() == 0:
        words_ = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *words_]
    done = subprocess.run(words_, capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done


CASES = (
    ("evidence by swtpm, two boots, both known", one),
    ("twins, each with its word and exit code", refused),
    ("any key", any_key),
    ("usage: one line, exit code 2", usage),
    ("a stream in order, by one process and by several", in_order),
    ("lines that can't be read, another's nonce, ids", bad_lines),
    ("a line that is too long", too_long),
    ("a verdict before the next line comes", at_once),
    ("memory doesn't grow with lines", memory),
    ("without root, TPM and environment", no_rights),
)


def main():
    mkexec = pathlib.Path(sys.argv[1]).resolve()
    if not shutil.which("swtpm"):
        print("1..0 # SKIP needs swtpm")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        evidence.write(pathlib.Path(folder) / "made", "ecdsa-p256", MACHINES, EACH)
        case = Case(mkexec, pathlib.Path(folder) / "made")
        pathlib.Path(folder).chmod(0o755)
        return tap.run((name, functools.partial(run, case)) for name, run in CASES)


if __name__ == "__main__":
    sys.exit(main())

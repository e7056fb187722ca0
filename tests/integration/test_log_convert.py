#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`mkexec log convert` on our own logs and on the corpus of real ones: its JSON against that of systemd-pcrlock and jq, its
TLV against a reader that knows the specification's tables and nothing of ours, both against the PCR values that the log
replays to; where the result goes. Prints TAP.

The corpus isn't part of the project: $MKEXEC_CORPUS, or ../shared/corpus beside the source tree.
Usage: test_log_convert.py MKEXEC
"""

import hashlib
import json
import os
import pathlib
import pty
import shutil
import struct
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
CORPUS = pathlib.Path(os.environ.get("MKEXEC_CORPUS", TOP.parent / "shared" / "corpus"))
OWN = TOP / "tests" / "corpus" / "log-convert"
SYSTEMD = "cel/systemd257-swtpm-measure.log"

sys.path.insert(0, str(TOP / "tests" / "system"))
import payloads  # noqa: E402
import tap  # noqa: E402


def need_corpus():
    if not CORPUS.is_dir():
        raise tap.Skip("NO CORPUS: set MKEXEC_CORPUS to run this on real logs")


class Case:
    def __init__(self, mkexec, folder):
        self.mkexec, self.folder = mkexec, folder

    def log(self, *arguments, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        if "input" in more:
            del more["stdin"]
        return subprocess.run([self.mkexec, "log", *map(str, arguments)], capture_output=True, timeout=120, **more)

    def convert(self, *arguments, wanted=0, **more):
        done = self.log("convert", *arguments, **more)
        assert done.returncode == wanted, f"{arguments}: {done.returncode} {done.stderr.decode()}"
        return done.stdout

    def replay(self, path):
        """{bank: {pcr: hex}}, or None where the log can't be read to its end."""
        done = self.log("replay", "--json", path)
        return json.loads(done.stdout)["pcrs"] if done.returncode == 0 else None

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path


def firmware_logs():
    paths = [path for path in sorted(OWN.glob("*.bin")) if path.name != "locality-twice.bin"]
    if CORPUS.is_dir():
        paths += sorted((CORPUS / "tcg").glob("*.bin"))
    return paths


# ---- readers of the test's own ----

NAMES = {4: "sha1", 0xB: "sha256", 0xC: "sha384", 0xD: "sha512", 0x12: "sm3_256"}
EV_NO_ACTION = 3


def tlvs(data):
    while data:
        kind, size = data[0], int.from_bytes(data[1:5], "big")
        assert len(data) >= 5 + size, "cut off"
        yield kind, data[5:5 + size]
        data = data[5 + size:]


def tlv_records(data):
    """(record number, place, {bank: digest}, content type, content) of a CEL-TLV log."""
    rows = list(tlvs(data))
    assert len(rows) % 4 == 0
    for recnum, place, digests, content in zip(*[iter(rows)] * 4):
        assert recnum[0] == 0 and len(recnum[1]) == 8 and place[0] in (1, 2, 108) and digests[0] == 3
        yield (int.from_bytes(recnum[1], "big"), int.from_bytes(place[1], "big"),
               {NAMES[kind]: value.hex() for kind, value in tlvs(digests[1])}, content[0], dict(tlvs(content[1])))


def agile_events(data):
    """(pcr, type, {bank: digest}, data) of the events behind an agile log's header; None of others."""
    if data[32:48] != b"Spec ID Event03\0":
        return None
    size, = struct.unpack_from("<I", data, 28)
    n, = struct.unpack_from("<I", data, 56)
    sizes = dict(struct.unpack_from("<HH", data, 60 + 4 * i) for i in range(n))
    at, events = 32 + size, []
    while data[at:].strip(b"\0") and data[at:].strip(b"\xff"):
        pcr, kind, count = struct.unpack_from("<III", data, at)
        at, digests = at + 12, {}
        for _ in range(count):
            bank, = struct.unpack_from("<H", data, at)
            digests[NAMES[bank]] = data[at + 2:at + 2 + sizes[bank]].hex()
            at += 2 + sizes[bank]
        length, = struct.unpack_from("<I", data, at)
        events.append((pcr, kind, digests, data[at + 4:at + 4 + length]))
        at += 4 + length
    return events


def replay(records):
    """{bank: {pcr: hex}} of records (pcr, {bank: digest}, is it StartupLocality), all of them extended but for that."""
    values = {}
    for pcr, digests, locality in records:
        for bank, digest in digests.items():
            size = len(digest) // 2
            start = (b"\xff" if 17 <= pcr <= 22 else b"\0") * size
            if locality is not None:
                values.setdefault(bank, {})[0] = bytes(size - 1) + bytes([locality])
                continue
            old = values.setdefault(bank, {}).get(pcr, start)
            values[bank][pcr] = hashlib.new(bank, old + bytes.fromhex(digest)).digest()
    return {bank: {str(pcr): value.hex() for pcr, value in pcrs.items()} for bank, pcrs in values.items()}


# ---- the forms ----

def tlv_has_every_event(case):
    compared = 0
    for path in firmware_logs():
        events = None if case.log("convert", "--to=agile", path).returncode else agile_events(path.read_bytes())
        if events is None:
            continue
        records = list(tlv_records(case.convert("--to=cel-tlv", path)))
        assert [recnum for recnum, *_ in records] == list(range(len(records))), path
        mine = [(pcr, int.from_bytes(content[0], "big"), digests, content[1])
                for _, pcr, digests, kind, content in records if kind == 5]
        assert mine[0][1] == EV_NO_ACTION and mine[0][3].startswith(b"Spec ID Event03\0"), path
        assert mine[1:] == events, path
        compared += len(events)
    print(f"# {compared} events")
    assert compared > 15


def management_of_hops(case):
    records = list(tlv_records(case.convert("--to=cel-tlv", OWN / "hops.bin")))
    management = [(n, pcr, digests, content) for n, (_, pcr, digests, kind, content) in enumerate(records) if kind == 4]
    # firmware_end; state_trans (81) = kexec (2)
    assert [row[1:] for row in management] == [(0, {}, {2: b""}), (8, {}, {81: b"\2"}), (8, {}, {81: b"\2"})], management
    assert management[2][0] == len(records) - 1
    # Of its hops the first was aborted.
    aborted = [content for *_, kind, content in tlv_records(case.convert("--to=cel-tlv", OWN / "abort.bin")) if kind == 4]
    assert aborted == [{2: b""}, {81: b"\2"}], aborted


def json_replays_alike(case):
    """What hashlib makes of the JSON's digests is what `log replay` says of the log."""
    compared = 0
    for path in firmware_logs():
        wanted = case.replay(path)
        if wanted is None:
            continue
        rows = json.loads(case.convert(path))
        records = []
        for row in rows:
            if row["content_type"] == "cel":
                continue
            data = bytes.fromhex(row["content"]["event_data"])
            locality = data[16] if data.startswith(b"StartupLocality\0") else None
            if row["content"]["event_type"] != "EV_NO_ACTION" or (locality is not None and row["pcr"] == 0):
                digests = {digest["hashAlg"]: digest["digest"] for digest in row["digests"]}
                if locality is not None and not digests:
                    digests = {bank: "00" * (len(next(iter(pcrs.values()))) // 2) for bank, pcrs in wanted.items()}
                records.append((row.get("pcr", row.get("ccmr")), digests, locality))
        banks = {bank for bank in wanted if bank in hashlib.algorithms_available}
        got = replay([(pcr, {bank: digest for bank, digest in digests.items() if bank in banks}, locality)
                      for pcr, digests, locality in records])
        for bank in banks:
            for pcr, value in wanted[bank].items():
                # H-CRTM and DRTM events change start values, which this replay doesn't know
                if path.name not in ("hirs-TpmLog.bin",) and int(pcr) < 17 and value != got[bank][pcr]:
                    assert any(row["content"].get("event_type") == "EV_EFI_HCRTM_EVENT" for row in rows), (path, bank, pcr)
                compared += 1
    print(f"# {compared} PCR values")
    assert compared > 20


def every_log_comes_back(case):
    """Byte for byte through both forms, from a pipe, but for padding; with PCR values where it had been SHA-1."""
    same = 0
    for path in firmware_logs():
        done = case.log("convert", "--to=agile", path)
        if done.returncode:
            assert done.returncode == 2 and not done.stdout, path
            continue
        data = path.read_bytes()
        agile = agile_events(data) is not None
        assert not agile or done.stdout == data, path
        for form in ("cel-json", "cel-tlv"):
            back = case.convert("--to=agile", "-", input=case.convert(f"--to={form}", path))
            if agile:
                rest = data[len(back):]
                assert data.startswith(back) and (not rest.strip(b"\0") or not rest.strip(b"\xff")), (path, form)
                same += 1
            else:
                assert case.replay(case.write("back", back)) == case.replay(path), (path, form)
    print(f"# {same} times the same bytes")
    assert same > 10


# ---- other programs ----

def jq_reads_it(case):
    if not shutil.which("jq"):
        raise tap.Skip("NO jq")
    log = case.convert(OWN / "all.tlv")
    done = subprocess.run(["jq", "-r", '.[] | [.recnum, .content_type] | join(" ")'], input=log, capture_output=True, check=True)
    rows = done.stdout.decode().split("\n")[:-1]
    assert rows[0] == "1 pcclient_std" and rows[-1] == "14 ima_tlv" and len(rows) == 14, rows


def pcrlock_writes_the_same(case):
    """But for the order of digests, which pcrlock turns round, and one type that version 257 calls by another's name."""
    need_corpus()
    try:
        systemd = payloads.systemd()
    except payloads.Unavailable as reason:
        raise tap.Skip(f"NO systemd-pcrlock 257: {reason}") from None
    compared = refused = 0
    for path in sorted((CORPUS / "tcg").glob("*.bin")):
        try:
            done = subprocess.run([*systemd.command("systemd-pcrlock"), "cel", "--json=short"], capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                                  env={**os.environ, "SYSTEMD_MEASURE_LOG_FIRMWARE": str(path),
                                       "SYSTEMD_MEASURE_LOG_USERSPACE": str(CORPUS / SYSTEMD)})
        except subprocess.TimeoutExpired:
            done = None  # on a device path with a node of no length it doesn't end
        if done is None or done.returncode:
            refused += 1
            continue
        theirs = json.loads(done.stdout)
        ours = json.loads(case.convert("--measured-only", path, CORPUS / SYSTEMD))
        assert len(theirs) == len(ours) > 10, path
        for a, b in zip(theirs, ours):
            for row in (a, b):
                row["digests"].sort(key=lambda digest: digest["hashAlg"])
            if b["content"].get("event_type") == "EV_EFI_HANDOFF_TABLES2":
                a["content"]["event_type"] = a["content"]["event_type"].replace("TABLES", "TABLES2").replace("22", "2")
            assert a == b, f"{path}: {a} {b}"
        compared += 1
    print(f"# systemd-pcrlock {systemd.version}: {compared} logs alike, {refused} that it refuses")
    assert compared > 20


# ---- what goes in, and where it goes ----

def logs_of_all_boots(case):
    """Firmware's log with two hops, systemd's logs of three boots, IMA's list: one log, in the order of extends."""
    logs = [case.write(f"boot{n}", b"\x1e" + json.dumps({
        "pcr": 11, "digests": [{"hashAlg": "sha256", "digest": hashlib.sha256(b"%d" % n).hexdigest()}],
        "content_type": "systemd", "content": {"string": str(n), "eventType": "phase"}}).encode() + b"\n") for n in (1, 2, 3)]
    rows = json.loads(case.convert(logs[0], OWN / "ima-ng", OWN / "hops.bin", logs[1], logs[2]))
    assert [row["recnum"] for row in rows] == list(range(1, len(rows) + 1))
    shape = [row["content"].get("string") or row["content"].get("type") or row["content_type"] for row in rows]
    shape = "".join({"pcclient_std": "e", "firmware_end": "F", "state_trans": "K", "ima_template": "i"}.get(word, word)
                    for word in shape)
    assert shape.startswith("eeeeeeF1" + "e" * 10 + "K2" + "e" * 10 + "K3i"), shape
    done = case.log("convert", "--to=systemd", OWN / "hops.bin", *logs)
    assert done.returncode == 0 and b"of firmware's and mkexec's" in done.stderr
    assert [json.loads(row)["content"]["string"] for row in done.stdout.split(b"\x1e")[1:]] == ["1", "2", "3"]
    # A fourth boot that the firmware's log doesn't tell of.
    done = case.log("convert", OWN / "hops.bin", *logs, logs[0])
    assert done.returncode == 2 and not done.stdout and done.stderr, done


def replay_and_check_take_it(case):
    """As they take the logs that it was made of; a twin with another digest doesn't pass."""
    # digests of the text, so that their data explains them
    systemd = [case.write(f"boot{n}", b"\x1e" + json.dumps({
        "pcr": 12, "digests": [{"hashAlg": bank, "digest": hashlib.new(bank, b"%d" % n).hexdigest()}
                               for bank in ("sha1", "sha256")],
        "content_type": "systemd", "content": {"string": str(n), "eventType": "phase"}}).encode() + b"\n") for n in (1, 2, 3)]
    wanted = case.log("replay", OWN / "hops.bin", *systemd)
    values = case.write("values", wanted.stdout)
    assert wanted.returncode == 0 and case.log("check", "--pcrs", values, OWN / "hops.bin", *systemd).returncode == 0
    for form in ("cel-json", "cel-tlv"):
        whole = case.convert(f"--to={form}", OWN / "hops.bin", *systemd)
        cel = case.write("cel", whole)
        done = case.log("replay", cel)
        assert (done.returncode, done.stdout) == (0, wanted.stdout), (form, done)
        for boot in ("1", "2"):
            assert case.log("replay", "--boot", boot, cel).stdout == \
                case.log("replay", "--boot", boot, OWN / "hops.bin", *systemd).stdout, (form, boot)
        done = case.log("check", "--pcrs", values, cel)
        assert done.returncode == 0, (form, done)
        digest = hashlib.sha256(b"2").digest()
        old, new = (digest, digest[:-1] + b"\0") if form == "cel-tlv" else \
            (digest.hex().encode(), digest[:-1].hex().encode() + b"00")
        assert whole.count(old) == 1
        done = case.log("check", "--pcrs", values, case.write("twin", whole.replace(old, new)))
        assert done.returncode == 1, (form, done)


def where_it_goes(case):
    wanted = case.convert("--to=cel-tlv", OWN / "agile.bin")
    out = case.write("out", b"what was there")
    case.convert("--to=cel-tlv", "-o", out, OWN / "agile.bin")
    assert out.read_bytes() == wanted
    # What goes wrong leaves it as it is, and nothing beside it.
    before = sorted(case.folder.iterdir())
    case.convert("--output", out, OWN / "all-cut.tlv", wanted=2)
    case.convert("--to=systemd", "--output", out, OWN / "agile.bin", wanted=1)
    case.convert("--output", case.folder / "missing" / "out", OWN / "agile.bin", wanted=1)
    assert out.read_bytes() == wanted and sorted(case.folder.iterdir()) == before
    assert case.convert("--to=cel-tlv", "-o", "/dev/stdout", OWN / "agile.bin") == wanted
    full = case.log("convert", "-o", "/dev/full", OWN / "agile.bin")
    assert full.returncode == 1 and b"/dev/full" in full.stderr, full
    case.convert("--measured-only", "--to=agile", OWN / "agile.bin", wanted=2)
    case.convert("--to=xml", OWN / "agile.bin", wanted=2)


def no_binary_to_a_terminal(case):
    main, terminal = pty.openpty()
    for form, wanted in (("cel-tlv", 2), ("agile", 2), ("cel-json", 0), ("systemd", 0)):
        done = subprocess.run([case.mkexec, "log", "convert", f"--to={form}", OWN / "libcel.json"], stdin=subprocess.DEVNULL,
                              stdout=terminal, stderr=subprocess.PIPE, timeout=60)
        assert done.returncode == wanted, (form, done)
        assert wanted == 0 or b"terminal" in done.stderr
    os.close(terminal)
    os.close(main)


def cut_anywhere(case):
    """A log cut off within a record gives nothing."""
    for name in ("all.tlv", "pcrlock.json", "agile.bin"):
        whole = (OWN / name).read_bytes()
        for size in range(1, len(whole), 37):
            path = case.write("cut", whole[:size])
            done = case.log("convert", path)
            rows = json.loads(done.stdout) if done.returncode == 0 else None
            assert done.returncode in (0, 2) and (rows or not done.stdout), (name, size, done)
            assert rows is None or name != "pcrlock.json", size


CASES = (tlv_has_every_event, management_of_hops, json_replays_alike, every_log_comes_back, jq_reads_it, pcrlock_writes_the_same,
         logs_of_all_boots, replay_and_check_take_it, where_it_goes, no_binary_to_a_terminal, cut_anywhere)


def main():
    def call(function):
        with tempfile.TemporaryDirectory() as place:
            return function(Case(sys.argv[1], pathlib.Path(place)))

    return tap.run(tap.each(CASES, call))


if __name__ == "__main__":
    sys.exit(main())

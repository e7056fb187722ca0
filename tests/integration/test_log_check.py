#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`mkexec log check` and `log replay`: the rules on logs made here, values of PCRs computed here and of a TPM by swtpm,
hops, several kinds of logs together, and time and memory on a long log. Prints TAP.

Usage: test_log_check.py MKEXEC
"""

import hashlib
import importlib.util
import json
import os
import pathlib
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import tap

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
OWN = TOP / "tests" / "corpus"

spec = importlib.util.spec_from_file_location("logs", OWN / "make-log-check.py")
logs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(logs)

VERDICTS = {0: "ok", 1: "mismatch", 2: "malformed"}


class Case:
    def __init__(self, mkexec, folder):
        self.mkexec, self.folder = mkexec, folder

    def run(self, *arguments):
        return subprocess.run([self.mkexec, "log", *map(str, arguments)], capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL)

    def check(self, *arguments):
        done = self.run("check", "--json", *arguments)
        assert done.stdout, (arguments, done)
        document = json.loads(done.stdout)
        assert VERDICTS[done.returncode] == document["verdict"], (arguments, done.returncode, document["verdict"])
        assert bool(document["reason"]) == (document["verdict"] != "ok"), document["reason"]
        statuses = [row["status"] for row in document["events"]]
        assert {word: statuses.count(word) for word in document["counts"]} == document["counts"]
        text = self.run("check", *arguments)
        assert text.returncode == done.returncode
        assert text.stdout.splitlines()[0] == ": ".join(filter(None, (document["verdict"], document["reason"])))
        return document

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def values(self, pcrs):
        return self.write("values", "".join(f"{bank} {pcr} {value.hex()}\n" for bank, row in pcrs.items()
                                            for pcr, value in row.items()).encode())


# ---- a replay of our own ----

def start():
    return {bank: {pcr: bytes(hashlib.new(bank).digest_size) for pcr in range(16)} for bank in logs.BANKS}


def extend(pcrs, pcr, digests):
    for bank, digest in digests.items():
        pcrs[bank][pcr] = hashlib.new(bank, pcrs[bank][pcr] + digest).digest()


def events_of(log):
    """PCR, type and digests of the events of an agile log, but of those that aren't extended."""
    at = 32 + struct.unpack_from("<I", log, 28)[0]
    names = {number: bank for bank, number in logs.BANKS.items()}
    while at < len(log):
        pcr, kind, n = struct.unpack_from("<III", log, at)
        at, digests = at + 12, {}
        for _ in range(n):
            bank = names[struct.unpack_from("<H", log, at)[0]]
            size = hashlib.new(bank).digest_size
            digests[bank] = log[at + 2:at + 2 + size]
            at += 2 + size
        at += 4 + struct.unpack_from("<I", log, at)[0]
        if kind != logs.EV_NO_ACTION:
            yield pcr, kind, digests


def replay(log, pcrs):
    """Of a log without anything that sets start values."""
    for pcr, _, digests in events_of(log):
        extend(pcrs, pcr, digests)
    return pcrs


def words(pcrs, *texts):
    for text in texts:
        extend(pcrs, 11, {bank: hashlib.new(bank, text).digest() for bank in logs.BANKS})
    return pcrs


def measured_by_ima(pcrs, *records):
    for record in records:
        data = record[4 + 20 + 4 + 6 + 4:]
        violation = record[4:24] == bytes(20)
        extend(pcrs, 10, {bank: b"\xff" * hashlib.new(bank).digest_size if violation else hashlib.new(bank, data).digest()
                          for bank in logs.BANKS})
    return pcrs


IMA = [logs.ima_record("boot_aggregate"), logs.ima_record("/bin/a"), logs.ima_record("/bin/b", violation=True),
       logs.ima_record("/bin/c")]


# ---- rules ----

def each_rule_and_its_twins(case):
    for name, (log, verdict, word) in logs.RULES.items():
        document = case.check(case.write("rule.bin", log))
        remarks = [remark["word"] for remark in document["remarks"]]
        assert document["verdict"] == verdict, (name, document["verdict"], document["reason"])
        assert word in document["reason"] or word in remarks, (name, document["reason"], remarks)
        if verdict == "mismatch":
            wrong = [row for row in document["events"] if row["status"] == "mismatch"]
            assert wrong and f"event {wrong[0]['index']} at offset 0x{wrong[0]['offset']:x} (PCR {wrong[0]['pcr']})" \
                in document["reason"], (name, wrong, document["reason"])


def a_file_that_is_no_log_is_refused(case):
    for name, data in (("empty", b""), ("text", b"hello\n"), ("zeros", bytes(100))):
        done = case.run("check", case.write(name, data))
        assert done.returncode == 2, (name, done)
    assert case.run("check", case.folder / "absent").returncode == 2


# ---- PCRs ----

def values_are_proved_differ_or_are_opaque(case):
    log = case.write("boot.bin", logs.boot())
    pcrs = replay(logs.boot(), start())
    document = case.check("--pcrs", case.values(pcrs), log)
    assert document["verdict"] == "ok" and document["pristine"] and document["compared"], document["reason"]
    assert all(row["status"] == "proved" for bank in document["pcrs"].values() for row in bank.values())
    for pcr in (*range(10), 10, 15):
        changed = {bank: dict(row) for bank, row in pcrs.items()}
        changed["sha256"][pcr] = bytes([changed["sha256"][pcr][0] ^ 1]) + changed["sha256"][pcr][1:]
        document = case.check("--pcrs", case.values(changed), log)
        wanted = "opaque" if pcr >= 10 else "differs"
        assert document["pcrs"]["sha256"][str(pcr)]["status"] == wanted, (pcr, document["pcrs"]["sha256"])
        assert (document["verdict"] == "ok") == (wanted == "opaque"), pcr
        assert wanted == "opaque" or f"PCR {pcr}, bank sha256" in document["reason"], document["reason"]
    some = {bank: {pcr: row[pcr] for pcr in range(8)} for bank, row in pcrs.items()}
    document = case.check("--pcrs", case.values(some), log)
    assert document["verdict"] == "ok" and not document["pristine"]
    assert document["pcrs"]["sha1"]["8"]["status"] == "not_compared"


def logs_of_several_kinds_are_replayed_together(case):
    firmware, systemd = case.write("boot.bin", logs.boot()), case.write("systemd.log", logs.SYSTEMD)
    ima = case.write("ima.bin", b"".join(IMA))
    pcrs = words(replay(logs.boot(), start()), b"enter-initrd", b"leave-initrd")
    for n in range(len(IMA) + 1):  # the list may have grown since
        values = case.values(measured_by_ima(words(replay(logs.boot(), start()), b"enter-initrd", b"leave-initrd"), *IMA[:n]))
        document = case.check("--pcrs", values, firmware, systemd, ima)
        assert document["verdict"] == "ok", (n, document["reason"])
        later = [row for row in document["events"] if "ima-later" in row["notes"]]
        assert len(later) == len(IMA) - n, (n, later)
    assert [log["kind"] for log in document["logs"]] == ["tcg", "systemd", "ima"]
    assert [log["records"] for log in document["logs"]] == [logs.END + 1, 2, 4]
    assert {row["log"] for row in document["events"]} == {0, 1, 2}
    # Twins: a list that doesn't lead there, systemd's log missing, its words in another order.
    document = case.check("--pcrs", values, firmware, systemd, case.write("other.bin", b"".join(IMA[1:])))
    assert document["verdict"] == "mismatch" and "PCR 10, bank" in document["reason"], document["reason"]
    document = case.check("--pcrs", values, firmware, case.write("other.log", b"".join(
        logs.systemd_record(word) for word in ("leave-initrd", "enter-initrd"))), ima)
    assert document["verdict"] == "mismatch" and "PCR 11, bank" in document["reason"], document["reason"]
    document = case.check("--pcrs", values, firmware, ima)
    assert document["pcrs"]["sha256"]["11"]["status"] == "opaque", document["pcrs"]["sha256"]["11"]
    found = json.loads(case.run("replay", "--json", firmware, systemd).stdout)["pcrs"]
    assert {int(pcr): value for pcr, value in found["sha256"].items()} == \
        {pcr: value.hex() for pcr, value in pcrs["sha256"].items() if any(value)}
    assert case.run("check", firmware, firmware).returncode == 2


# ---- hops ----

def hops_are_judged_and_replayed(case):
    log = (OWN / "hop" / "honest.bin").read_bytes()
    path = case.write("hops.bin", log)
    pcrs = replay(log, start())
    document = case.check("--pcrs", case.values(pcrs), path)
    assert document["verdict"] == "ok" and document["boots"] == 3 and not document["pristine"], document["reason"]
    assert [hop["hop"] for hop in document["hops"]] == [1, 2]
    ends = []
    for boot in (1, 2, 3):
        done = json.loads(case.run("replay", "--json", "--boot", boot, path).stdout)
        assert (done["boot"], done["boots"]) == (boot, 3)
        ends.append(done["pcrs"])
    assert ends[2]["sha256"]["8"] == pcrs["sha256"][8].hex()
    assert len({end["sha256"]["8"] for end in ends}) == 3
    # What the log is up to the first open gives the end of boot 1.
    first = next(row["offset"] for row in document["events"] if row["type"] == "EV_EVENT_TAG" and row["pcr"] == 8)
    before = {pcr: value.hex() for pcr, value in replay(log[:first], start())["sha256"].items() if any(value)}
    assert {int(pcr): value for pcr, value in ends[0]["sha256"].items()} == before
    # The payload's view: from zero, under the PCRs that it named.
    views = [json.loads(case.run("replay", "--json", "--boot", boot, "--payload-view", path).stdout)["pcrs"] for boot in (2, 3)]
    for view in views:
        assert set(view["sha256"]) == {"4", "5", "9", "11"}, view
        exit_boot = hashlib.sha256(bytes(32) + hashlib.sha256(logs.INVOCATION).digest()).hexdigest()
        assert view["sha256"]["5"] == exit_boot
    for arguments, reason in ((("--boot", 4), "there is no boot 4"), (("--boot", 1, "--payload-view"), "by firmware"),
                              (("--boot", "x"), "--boot wants"), (("--boot", 0), "--boot wants")):
        done = case.run("replay", *arguments, path)
        assert done.returncode == 2 and reason in done.stderr and not done.stdout, done
    # systemd's log of each boot comes before the hop that ends it.
    systemd = [case.write(f"{word}.log", logs.systemd_record(word)) for word in ("one", "two", "three")]
    chained = json.loads(case.run("replay", "--json", "--boot", 1, path, *systemd).stdout)["pcrs"]["sha256"]["11"]
    alone = words(replay(log[:first], start()), b"one")["sha256"][11].hex()
    assert chained == alone
    # The twin: a byte of a hop's payload event.
    broken = bytearray(log)
    broken[document["events"][9]["offset"] + 100] ^= 1
    assert case.check(case.write("broken.bin", bytes(broken)))["verdict"] == "mismatch"


def registers_of_a_confidential_guest(case):
    log = logs.show.header(0xB, pcr=1) + logs.event(2, logs.EV_SEPARATOR, bytes(4), banks=("sha256",))
    path = case.write("cc.bin", log)
    done = case.run("replay", path)
    value = hashlib.sha256(bytes(32) + hashlib.sha256(bytes(4)).digest()).hexdigest()
    assert done.stdout.splitlines() == ["# measurement registers: 0 is MRTD, n + 1 is RTMR n", f"sha256 2 {value}"]
    (case.folder / "values").write_text(done.stdout)
    document = case.check("--pcrs", case.folder / "values", path)
    assert document["verdict"] == "ok" and document["measurement_registers"], document["reason"]
    assert document["pcrs"]["sha256"]["2"]["status"] == "proved"


# ---- a TPM ----

class Tpm:
    """swtpm, with the banks of our logs."""

    def __init__(self, folder):
        self.tcti = f"swtpm:path={folder}/sock"
        state = folder / "tpm"
        state.mkdir()
        self.environment = {**os.environ, "TPM2TOOLS_TCTI": self.tcti}
        self.process = subprocess.Popen(["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--server",
                                         f"type=unixio,path={folder}/sock", "--ctrl", f"type=unixio,path={folder}/sock.ctrl",
                                         "--flags", "not-need-init,startup-clear"], stderr=subprocess.DEVNULL)
        for _ in range(200):
            if (folder / "sock").exists():
                break
            time.sleep(0.05)

    def tool(self, *arguments):
        subprocess.run(arguments, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def extend(self, log):
        for pcr, _, digests in events_of(log):
            self.tool("tpm2_pcrextend", f"{pcr}:" + ",".join(f"{bank}={digest.hex()}" for bank, digest in digests.items()))


def a_tpm_is_compared(case):
    if not shutil.which("swtpm") or not shutil.which("tpm2_pcrextend"):
        raise tap.Skip("needs swtpm and tpm2-tools")
    tpm = Tpm(case.folder)
    try:
        log = logs.boot()
        tpm.extend(log)
        path, twin = case.write("boot.bin", log), case.write("twin.bin", logs.boot((1, None)))
        document = case.check("--tcti", tpm.tcti, path)
        assert document["verdict"] == "ok" and document["pristine"] and document["compared"], document["reason"]
        assert all(row["status"] == "proved" for bank in logs.BANKS for row in document["pcrs"][bank].values())
        assert all(row["status"] == "opaque" for row in document["pcrs"]["sha384"].values())  # active, and not in the log
        document = case.check("--tcti", tpm.tcti, twin)
        assert document["verdict"] == "mismatch" and "PCR 0, bank sha1" in document["reason"], document["reason"]
        tpm.tool("tpm2_pcrextend", "15:sha256=" + "11" * 32)
        document = case.check("--tcti", tpm.tcti, path)
        assert document["verdict"] == "ok" and document["pcrs"]["sha256"]["15"]["status"] == "opaque"
        tpm.tool("tpm2_pcrextend", "8:sha256=" + "11" * 32)
        document = case.check("--tcti", tpm.tcti, path)
        assert document["verdict"] == "mismatch" and "PCR 8, bank sha256" in document["reason"], document["reason"]
    finally:
        tpm.process.terminate()
        tpm.process.wait()
    done = case.run("check", "--tcti", tpm.tcti, path)
    assert done.returncode == 2 and not done.stdout and done.stderr, done


# ---- long logs ----

def peak(case, *arguments):
    """Seconds of processor and MiB of a run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = "import resource,subprocess,sys;r=subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL).returncode;" \
        "print(r,resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", code, case.mkexec, "log", *map(str, arguments)], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    status, kib = map(int, done.stdout.split())
    assert status == 0, done
    return after.ru_utime - before.ru_utime, kib / 1024


def memory_does_not_grow_with_the_log(case):
    one = logs.event(4, logs.show.ACTION, b"an action of sixty bytes, more or less, of no use to anybody")
    sizes = []
    for n in (1000, 100_000):
        path = case.write("long.bin", logs.show.header(*logs.BANKS.values()) + one * n)
        for word in (("replay",), ("check",), ("check", "--json")):
            seconds, mib = peak(case, *word, path)
            sizes.append((n, word, mib - path.stat().st_size / (1 << 20)))
            print(f"# {' '.join(word)}, {n} events: {seconds:.2f} s, {mib:.0f} MiB with {path.stat().st_size >> 20} MiB of log")
    assert all(mib < 32 for _, _, mib in sizes), sizes


TESTS = [each_rule_and_its_twins, a_file_that_is_no_log_is_refused, values_are_proved_differ_or_are_opaque,
         logs_of_several_kinds_are_replayed_together, hops_are_judged_and_replayed, registers_of_a_confidential_guest, a_tpm_is_compared,
         memory_does_not_grow_with_the_log]


def main():
    with tempfile.TemporaryDirectory() as folder:
        return tap.run(tap.each(TESTS, lambda test: test(Case(sys.argv[1], pathlib.Path(folder)))))


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs of systemd's own judge our logs, with a TPM made of swtpm: what `systemd-pcrextend` measured in two boots explains
the TPM together with the event log, and nothing else does; `systemd-pcrlock` makes of the second kernel's log what it makes of
the first's, or leaves PCRs out. And systemd's units: those that measure have a drop-in of ours.

recorded/: logs of the kernels of a hop in tests/system (OVMF, stubs 252 and 254, bank sha256). systemd is Debian's, unpacked and
not installed (tests/system/payloads.py). Prints TAP. Usage: test_systemd.py MKEXEC
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

import eventlog  # noqa: E402
import payloads  # noqa: E402
import systemd_logs  # noqa: E402

FIRST, SECOND = (HERE / "recorded" / f"{name}-kernel.log" for name in ("first", "second"))
WORDS = ("enter-initrd", "a \"quoted\" word of b\u00f6ot 1")


class Tpm:
    """swtpm with one bank, extended as a log says."""

    def __init__(self, folder):
        self.state, self.socket = folder / "state", folder / "sock"
        self.state.mkdir(parents=True)
        subprocess.run(["swtpm_setup", "--tpm2", "--tpmstate", str(self.state), "--pcr-banks", "sha256", "--overwrite"],
                       check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.state}", "--server", f"type=unixio,path={self.socket}",
             "--ctrl", f"type=unixio,path={self.socket}.ctrl", "--flags", "not-need-init,startup-clear"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            if self.socket.exists():
                break
            time.sleep(0.05)
        self.tcti = f"swtpm:path={self.socket}"

    def play(self, events):
        words = [f"{e.pcr}:sha256={e.digests['sha256']}" for e in events if e.type != "EV_NO_ACTION"]
        for at in range(0, len(words), 16):
            subprocess.run(["tpm2_pcrextend", "-T", self.tcti, *words[at:at + 16]], check=True)

    def pcrs(self):
        text = subprocess.run(["tpm2_pcrread", "-T", self.tcti, "sha256"], check=True, capture_output=True, text=True).stdout
        return {int(pcr): value.lower() for pcr, value in re.findall(r"(\d+) *: 0x([0-9A-F]+)", text)}

    def stop(self):
        self.process.kill()
        self.process.wait()


class Case:
    def __init__(self, mkexec, systemd, folder):
        self.mkexec, self.systemd, self.folder, self.tpm = mkexec, systemd, folder, None
        self.n_folders = 0

    def new(self, name):
        self.n_folders += 1
        place = self.folder / f"{self.n_folders}-{name}"
        place.mkdir()
        return place

    def environment(self, **more):
        return {**os.environ, "SYSTEMD_FORCE_MEASURE": "1", "SYSTEMD_TPM2_DEVICE": self.tpm.tcti, "SYSTEMD_LOG_LEVEL": "info",
                "TPM2TOOLS_TCTI": self.tpm.tcti, "SYSTEMD_COLORS": "0", "TSS2_LOG": "all+NONE",
                **{name: str(value) for name, value in more.items()}}

    def run_systemd(self, program, *arguments, **environment):
        return subprocess.run([*self.systemd.command(program), *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                              env=self.environment(**environment), timeout=120)

    def measure(self, log, *arguments):
        done = self.run_systemd("systemd-pcrextend", *arguments, SYSTEMD_MEASURE_LOG_USERSPACE=log)
        assert done.returncode == 0, f"systemd-pcrextend {arguments}: {done.stderr.decode()}"

    def ask(self, firmware, running, carried, *words):
        """What mkexec says of a machine with these logs and no IMA list."""
        run = self.new("run")
        run.chmod(0o700)
        if carried is not None:
            (run / "carried.log").write_bytes(carried_file(firmware.read_bytes(), carried))
        done = subprocess.run([self.mkexec, *map(str, words), "--json"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                              env=self.environment(SYSTEMD_MEASURE_LOG_FIRMWARE=firmware, MKEXEC_RUN_DIR=run, MKEXEC_IMA_LIST="/nonexistent",
                                                   SYSTEMD_MEASURE_LOG_USERSPACE=running))
        assert done.stdout, done.stderr.decode()
        return json.loads(done.stdout)

    def status(self, firmware, running, carried=None):
        """What `status` says, and which PCRs `log check` doesn't find proved (without any log of it a PCR is opaque there, and
        no mismatch)."""
        found, checked = (self.ask(firmware, running, carried, *words) for words in (["status"], ["log", "check"]))
        by_status = {}
        for pcr, row in checked["pcrs"]["sha256"].items():
            by_status.setdefault(row["status"], set()).add(int(pcr))
        equal(f"verdict of log check ({checked['reason']})", checked["verdict"], "mismatch" if "differs" in by_status else "ok")
        found["lacks"] = [log["lacks"] for log in checked["logs"] if log["lacks"]]
        found["not proved"] = {8, 11, 15} - by_status["proved"]
        return found


def logs_on_the_way(for_boot, boots):
    """docs/architecture.md, "systemd's logs on the way"; rows of (boot, flags, bytes left out, log)"""
    return struct.pack("<8s3I", b"MKEXSYS1", 1, for_boot, len(boots)) + b"".join(
        struct.pack("<IIQI", boot, flags, left_out, len(log)) + log for boot, flags, left_out, log in boots)


def carried_file(kernel, logs):
    """docs/architecture.md, "The log in file mode", with nothing to add to the kernel's log"""
    import hashlib
    return (struct.pack("<8sIQ", b"MKEXLOG1", 2, len(kernel)) + hashlib.sha256(kernel).digest() + struct.pack("<I", 0)
            + struct.pack("<I", len(logs)) + logs)


def equal(what, found, wanted):
    assert found == wanted, f"{what}: {found!r}, should be {wanted!r}"


def mismatch(what, status, pcr, lacks=""):
    assert status["verdict"] == "mismatch" and f"PCR {pcr}," in status["reason"], f"{what}: {status['verdict']}: {status['reason']}"
    assert pcr in status["not proved"] and 8 not in status["not proved"], f"{what}: not proved are {status['not proved']}"
    assert lacks in " ".join(status["lacks"]) and bool(lacks) == bool(status["lacks"]), f"{what}: {status['lacks']}"


# ---- systemd-pcrextend ----

def two_boots(case):
    """(log of boot 1, log of boot 2), measured by systemd-pcrextend before and after the recorded hop."""
    place = case.new("boots")
    first, second = place / "first", place / "second"
    events = eventlog.parse(SECOND.read_bytes())[1]
    n_first = len(eventlog.parse(FIRST.read_bytes())[1])
    case.tpm.play(events[:n_first])
    for word in WORDS:
        case.measure(first, word)
    case.measure(first, "--machine-id")
    equal("verdict in the first boot", case.status(FIRST, first)["verdict"], "ok")
    mismatch("the first boot without systemd's log", case.status(FIRST, place / "none"), 11)
    case.tpm.play(events[n_first:])
    case.measure(second, "enter-initrd")
    case.measure(second, "leave-initrd")
    return first, second


def records_explain_the_tpm(case):
    first, second = two_boots(case)
    log, running = first.read_bytes(), second.read_bytes()
    told = [string for _, _, string in systemd_logs.records(log)]
    assert told[0] == WORDS[0] and told[2].startswith("machine-id:") and len(told) == 3, told
    def status(boots, for_boot=2):
        return case.status(SECOND, second, logs_on_the_way(for_boot, boots))
    whole = status([(1, 0, 0, log)])
    equal("verdict", (whole["verdict"], whole["reason"], whole["boots"], whole["not proved"], whole["lacks"]), ("ok", "", 2, set(), []))

    # The same by another replay, and by tpm2_pcrread.
    values, pcrs = systemd_logs.replay(SECOND.read_bytes(), [log, running]), case.tpm.pcrs()
    wrong = [pcr for pcr, value in values["sha256"].items() if pcrs[pcr] != value]
    equal("PCRs that a replay by this test finds otherwise", wrong, [])
    # And by log replay, of files.
    replayed = case.ask(SECOND, second, None, "log", "replay", SECOND, first, second)
    equal("log replay of the three files", {int(pcr): value for pcr, value in replayed["pcrs"]["sha256"].items()},
          {pcr: pcrs[pcr] for pcr in values["sha256"]})

    first_rows = [b"\x1e" + row for row in log.split(b"\x1e")[1:]]
    digest = systemd_logs.records(log)[0][1]["sha256"].encode()
    twins = {
        "a record edited": (log.replace(digest, digest[::-1]), 11),
        "a record missing": (b"".join(first_rows[1:]), 11),
        "a record of PCR 15 missing": (b"".join(first_rows[:2]), 15),
        "two records in the other order": (first_rows[1] + first_rows[0] + first_rows[2], 11),
        "a record twice": (log + first_rows[0], 11),
        "the other boot's log": (running, 11),
        "no log": (b"", 11),
    }
    for name, (twin, pcr) in twins.items():
        mismatch(name, status([(1, 0, 0, twin)]), pcr)
    mismatch("its oldest record left out and marked so", status([(1, 0, len(first_rows[0]), b"".join(first_rows[1:]))]), 11, "oldest")
    mismatch("marked as lost", status([(1, 4, 0, b"")]), 11, "lacks all")
    mismatch("for another boot", status([(1, 0, 0, log)], 3), 11, "lacks all")
    unfinished = status([(1, 1, 0, log)])
    equal("verdict of a log that may lack a record, and doesn't", (unfinished["verdict"], len(unfinished["lacks"])), ("ok", 1))
    swapped = case.new("swapped") / "log"
    swapped.write_bytes(log)
    mismatch("the boots' logs exchanged", case.status(SECOND, swapped, logs_on_the_way(2, [(1, 0, 0, running)])), 11)
    return f"{len(twins) + 4} twins"


# ---- systemd-pcrlock ----

COMPONENTS = {"firmware-code": ("250-firmware-code-early", "550-firmware-code-late"),
              "firmware-config": ("250-firmware-config-early", "550-firmware-config-late")}
BOOT_LOADER_PCRS = (4, 5, 7, 9, 11)


def documents(text):
    """The JSON objects that lock-* writes to standard output: as server-sent events, in version 257."""
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.strip("\x1e ")]


def pcrlock(case, firmware, verb, *arguments):
    done = case.run_systemd("systemd-pcrlock", verb, "--no-pager", *arguments, SYSTEMD_MEASURE_LOG_FIRMWARE=firmware,
                            SYSTEMD_MEASURE_LOG_USERSPACE="/nonexistent")
    assert done.returncode == 0, f"systemd-pcrlock {verb}: {done.stderr.decode()}"
    return done.stdout.decode(), done.stderr.decode()


def components(case, firmware):
    """Those that pcrlock makes of a log by itself."""
    found = {}
    for verb, names in COMPONENTS.items():
        rows = documents(pcrlock(case, firmware, f"lock-{verb}", "--pcrlock=-")[0])
        equal(f"documents of lock-{verb}", len(rows), len(names))
        found.update(zip(names, rows))
    return found


def prediction(case, firmware, folder):
    """({pcr: {values}}, {pcr: why it is left out})"""
    out, said = pcrlock(case, firmware, "predict", "--json=short", f"--components={folder}")
    values = {row["pcr"]: set(row["values"]) for row in json.loads(out)["sha256"]}
    return values, {int(pcr): why for pcr, why in re.findall(r"PCR (\d+) \([a-z-]+\) ([^\n]*) Removing from", said)}


def put_components(case, found, events):
    """A folder with them, with systemd's own, and with what firmware started, as lock-pe and lock-uki would name it."""
    folder = case.new("components")
    shutil.copytree(case.systemd.folder / "usr/lib/pcrlock.d", folder, dirs_exist_ok=True)
    for phase in folder.glob("[789]*"):  # not measured in these boots
        if not phase.name.startswith("700"):
            phase.unlink() if phase.is_file() else shutil.rmtree(phase)
    for name, document in found.items():
        (folder / f"{name}.pcrlock").write_text(json.dumps(document))
    rows = [{"pcr": e.pcr, "digests": [{"hashAlg": "sha256", "digest": e.digests["sha256"]}]} for e in events]
    (folder / "650-first-kernel.pcrlock").write_text(json.dumps({"records": rows}))
    return folder


def started_by_firmware(events):
    """Events behind the last separator, but the actions of ExitBootServices, which systemd brings."""
    last = max(i for i, e in enumerate(events) if e.type == "EV_SEPARATOR")
    return [e for e in events[last + 1:] if e.pcr in BOOT_LOADER_PCRS and e.type != "EV_EFI_ACTION"]


def pcrlock_isn_t_misled(case):
    first_events, second_events = (eventlog.parse(log.read_bytes())[1] for log in (FIRST, SECOND))
    case.tpm.play(first_events)
    pcrs, found = case.tpm.pcrs(), components(case, FIRST)
    assert all(any(row["records"] for row in (found[name] for name in names)) for names in COMPONENTS.values()), found
    folder = put_components(case, found, started_by_firmware(first_events))
    before, left_out = prediction(case, FIRST, folder)
    for pcr in (0, 1, 2, 3, 4, 11):
        assert pcrs[pcr] in before.get(pcr, ()), f"PCR {pcr} isn't predicted from the first kernel's log: {left_out}"
    cel = json.loads(pcrlock(case, FIRST, "cel")[0])

    case.tpm.play(second_events[len(first_events):])
    equal("components of the second kernel's log", components(case, SECOND), found)
    after, left_out = prediction(case, SECOND, folder)
    for pcr, values in after.items():
        equal(f"values of PCR {pcr}, predicted from the second kernel's log", values, before[pcr])
    equal("PCRs that only the first kernel's log predicts", sorted(set(before) - set(after)), [11])
    assert "unrecognized" in left_out[11], left_out
    longer = json.loads(pcrlock(case, SECOND, "cel")[0])
    equal("records of the second kernel's CEL that the first one's has", longer[:len(cel)], cel)
    equal("PCRs of the others", sorted({row["pcr"] for row in longer[len(cel):]}), [8, 11])
    return f"{len(after)} PCRs predicted alike; PCR 11: {left_out[11]}"


def pcrlock_sees_a_hop_that_no_log_tells(case):
    """As after a hop by kexec_file_load: the kernel shows the first boot's log, the TPM has seen the hop."""
    first_events, second_events = (eventlog.parse(log.read_bytes())[1] for log in (FIRST, SECOND))
    case.tpm.play(first_events)
    found = components(case, FIRST)
    folder = put_components(case, found, started_by_firmware(first_events))
    before, _ = prediction(case, FIRST, folder)
    case.tpm.play(second_events[len(first_events):])
    equal("components", components(case, FIRST), found)
    after, left_out = prediction(case, FIRST, folder)
    for pcr, values in after.items():
        equal(f"values of PCR {pcr}", values, before[pcr])
    assert 11 not in after and 11 in left_out, f"{sorted(after)}, {left_out}"
    return f"PCR 11: {left_out[11]}"


# ---- units ----

def held_back(unit, names):
    """systemd.unit(5): a folder NAME-.service.d is for all units whose names begin so."""
    stem, kind = unit.rsplit(".", 1)
    return unit in names or any(f"{stem[:at + 1]}.{kind}" in names for at, sign in enumerate(stem) if sign == "-")


def every_measuring_unit_is_held_back(case):
    """mkexec ships a drop-in (dist/systemd/held-back*.conf) for each that asks whether systemd-stub has measured."""
    folder = case.systemd.folder / "usr/lib/systemd/system"
    asking = {path.name for path in folder.iterdir() if path.is_file() and "\nConditionSecurity=measured-" in path.read_text()}
    assert {"systemd-pcrphase-initrd.service", "systemd-pcrlock-make-policy.service", "systemd-pcrextend.socket"} <= asking, asking
    names = set(re.findall(r"'(systemd-[^'/]+)'", (HERE.parents[1] / "dist/meson.build").read_text()))
    equal("units without a drop-in", {unit for unit in asking if not held_back(unit, names)}, set())
    assert not held_back("systemd-logind.service", names) and not held_back("systemd-pcrnew.service", names), names
    return f"{len(asking)} units: {' '.join(sorted(asking))}"


TESTS = {
    "what systemd-pcrextend wrote in two boots explains the TPM, and edited, missing or moved records don't": records_explain_the_tpm,
    "systemd-pcrlock makes of the second kernel's log what it makes of the first's, and leaves PCR 11 out": pcrlock_isn_t_misled,
    "systemd-pcrlock leaves PCR 11 out where the kernel doesn't show the hop": pcrlock_sees_a_hop_that_no_log_tells,
    "each unit that asks whether systemd-stub has measured is held back by a drop-in": every_measuring_unit_is_held_back,
}


def why_not():
    missing = [name for name in ("swtpm", "swtpm_setup", "tpm2_pcrread") if not shutil.which(name)]
    if missing:
        return f"NO {' '.join(missing)}"
    return "" if os.geteuid() == 0 else "not root"


def main():
    reason, systemd = why_not(), None
    if not reason:
        try:
            systemd = payloads.systemd()
        except payloads.Unavailable as unavailable:
            reason = f"NO SYSTEMD: {unavailable}"
    print(f"1..{len(TESTS)}")
    failed = False
    for number, (name, test) in enumerate(TESTS.items(), 1):
        if reason:
            print(f"ok {number} - {name} # SKIP {reason}")
            continue
        with tempfile.TemporaryDirectory(prefix="mkexec-", dir="/tmp") as place:
            case = Case(sys.argv[1], systemd, pathlib.Path(place))
            case.tpm = Tpm(pathlib.Path(place) / "tpm")
            try:
                note = test(case)
                print(f"ok {number} - {name}" + (f"\n# {note}" if note else ""))
            except (AssertionError, subprocess.SubprocessError) as wrong:
                print(f"not ok {number} - {name}\n# " + str(wrong).replace("\n", "\n# ")[:2000])
                failed = True
            finally:
                case.tpm.stop()
    return failed


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: LGPL-2.1-or-later
"""systemd's own programs in a machine, what they measured in each boot, and all logs of a chain replayed together: by this
file, which shares nothing with mkexec but the formats' descriptions.
"""

import copy
import json
import re
import struct

import closure
import eventlog
import log_twins
import payloads
from tally import expect, expect_equal

# What the guest's `measure` extends.
PCRS = (11, 15)
RECORDS_AT_START, RECORDS_AT_EXEC = 2, 1
LOADED_BY_NAME = ("libtss2-esys.so.0", "libtss2-mu.so.0", "libtss2-rc.so.0", "libtss2-tcti-device.so.0")
GUEST = "systemd"
CARRIED_OVERHEAD = 8 + 4 + 8 + 32
FLAGS = INCOMPLETE, CONTINUED, LOST = 1, 2, 4


def parts(systemd):
    """({path in the guest: file here} of programs, {path: bytes} of files): systemd-pcrextend, as /systemd/pcrextend."""
    folders = [systemd.folder / place for place in systemd.LIBRARIES]
    program = systemd.folder / "usr/lib/systemd/systemd-pcrextend"
    queue, found = [program, *(find(folders, name) for name in LOADED_BY_NAME)], {}
    while queue:
        file = queue.pop()
        found[f"{GUEST}/{file.relative_to(systemd.folder)}"] = file.read_bytes()
        wanted = [find(folders, name) for name in closure.needed(file) if not name.startswith("ld-linux")]
        queue += [file for file in wanted if f"{GUEST}/{file.relative_to(systemd.folder)}" not in found]
    command = systemd.command("systemd-pcrextend", "/" + GUEST)
    found[f"{GUEST}/pcrextend"] = f"exec {' '.join(command)} --tpm2-device=device:/dev/tpmrm0 \"$@\"\n".encode()
    return {f"{GUEST}/{systemd.LOADER}": systemd.folder / systemd.LOADER}, found


def find(folders, name):
    return next(folder / name for folder in folders if (folder / name).exists())


def available(tally, title):
    """The parts, or none of them with a word that it is so."""
    try:
        return parts(payloads.systemd())
    except payloads.Unavailable as reason:
        tally.skip(f"{title}: systemd's own measurements", f"systemd is not available: {reason}")
        return {}, {}


def records(log):
    """[(pcr, {bank: digest}, string)] of a tpm2-measure.log; an NvPCR has the number of its index."""
    found = []
    for text in log.split(b"\x1e"):
        if text.strip():
            record = json.loads(text)
            place = record["nv_index"] if "nv_index" in record else record["pcr"]
            found.append((place, {row["hashAlg"]: row["digest"] for row in record["digests"]}, record["content"]["string"]))
    return found


def shown(boot, name):
    """[{property: value}] of each unit that `systemctl show` was asked for, the Id among them."""
    return [dict(line.split("=", 1) for line in block.splitlines() if line)
            for block in re.split("^(?=Id=)", boot.text(name), flags=re.MULTILINE) if block.strip()]


def measuring_units(boot):
    """{unit: (whether its conditions were met, its state)}"""
    return {unit["Id"]: (unit["ConditionResult"] == "yes", unit["ActiveState"]) for unit in shown(boot, "measuring")}


def parse(data):
    """(boot that they are for, {boot: (flags, bytes left out, log)}) of logs on the way"""
    magic, version, for_boot, n = struct.unpack_from("<8s3I", data)
    expect_equal("magic and version", (magic, version), (b"MKEXSYS1", 1))
    found, at = {}, 20
    for _ in range(n):
        boot, flags, left_out, size = struct.unpack_from("<IIQI", data, at)
        found[boot] = flags, left_out, data[at + 20:at + 20 + size]
        at += 20 + size
    expect_equal("bytes of the logs on the way", len(data), at)
    return for_boot, found


def handed_on(state):
    """The logs that the boot before handed on, from the initrd or from the variable."""
    if "carried" in state.files:
        data = state.files["carried"]
        (size,) = struct.unpack_from("<I", data, CARRIED_OVERHEAD)
        return parse(data[CARRIED_OVERHEAD + 4 + size + 4:])
    attributes, data = state.efivars["MkexecSystemdLogs"]
    expect_equal("attributes of the variable", attributes, 6)
    return parse(data)


def replay(firmware, logs):
    """PCRs of a chain: {bank: {pcr: hex}}. `logs`: systemd's of boot 1, 2 ..."""
    values, boot = {}, 0

    def extend(pcr, digests):
        for bank, digest in digests.items():
            old = values.setdefault(bank, {}).get(pcr, "00" * (len(digest) // 2))
            values[bank][pcr] = eventlog.extend(bank, old, digest)

    for event in eventlog.parse(firmware)[1]:
        if log_twins.tag(event) == log_twins.TAG_OPEN and event.pcr == 8:
            for pcr, digests, _ in records(logs[boot]):
                extend(pcr, digests)
            boot += 1
        if event.type != "EV_NO_ACTION":
            extend(event.pcr, event.digests)
    for pcr, digests, _ in records(logs[boot]):
        extend(pcr, digests)
    return values


def logs_of(boots, number):
    """systemd's logs of boot 1 to `number` as boot `number` has them."""
    state = boots[number - 1].state
    carried = handed_on(state)[1] if number > 1 else {}
    return [carried[boot][2] for boot in range(1, number)] + [state.files["systemd"]]


# ---- what must be true of a chain whose boots all measured ----

def they_are_carried(chain):
    """Each boot was handed the logs of all before it, byte for byte, with what was measured between load and exec."""
    notes = []
    for number, boot in enumerate(chain.boots[1:], 2):
        for_boot, found = handed_on(boot.state)
        expect_equal(f"boots in {boot}", (for_boot, sorted(found)), (number, list(range(1, number))))
        for before, (flags, left_out, log) in found.items():
            whole = chain.boots[before - 1].state.files["systemd"]
            expect_equal(f"marks of boot {before} in {boot}", (flags, left_out), (0, 0))
            expect(log.startswith(whole), f"the log of boot {before} in {boot} isn't what stood there before load")
            expect_equal(f"what boot {before} measured, in {boot}", [(pcr, string) for pcr, _, string in records(log)],
                         [(11, "enter-initrd"), (15, f"machine-id:{before:032x}"), (11, "shutdown")])
            expect_equal(f"banks of boot {before}", sorted(records(log)[0][1]), sorted(boot.state.pcrs))
        notes.append(f"{sum(len(log) for _, _, log in found.values())} bytes in {boot}")
    return "\n".join(notes)


def they_are_shown(chain):
    """log show has a log for each boot, in order, between firmware's and IMA's, and names it so."""
    for number, boot in enumerate(chain.boots, 1):
        expect_equal(f"log show in {boot} ({boot.state.text('show.err')})", boot.state.text("show.status"), "0")
        document = json.loads(boot.state.files["show.out"])
        found = [(log["kind"], log["boot"], log["lacks"]) for log in document["logs"]]
        ima = [("ima", None, "")] if boot.state.text("ima") else []  # Debian's 5.10 has none
        expect_equal(f"logs in {boot}", found, [("tcg", None, ""), *(("systemd", n, "") for n in range(1, number + 1)), *ima])
        names = [log["name"] for log in document["logs"][1:number + 1]]
        expect_equal(f"names in {boot}", names, [f"systemd's log of boot {n}, carried over the hop" for n in range(1, number)]
                     + [f"systemd's log of boot {number} (/run/log/systemd/tpm2-measure.log)"])
        for log, row in enumerate(document["logs"]):
            if row["kind"] == "systemd":
                wanted = [(pcr, string) for pcr, _, string in records(logs_of(chain.boots, number)[row["boot"] - 1])]
                shown = [(e["pcr"], bytes.fromhex(e["data"]).decode()) for e in document["events"] if e["log"] == log]
                expect_equal(f"records of boot {row['boot']} in {boot}", shown, wanted)


def they_explain_the_pcrs(chain):
    for number, boot in enumerate(chain.boots, 1):
        values = replay(boot.state.log, logs_of(chain.boots, number))
        for bank, pcrs in boot.state.pcrs.items():
            wrong = [pcr for pcr in values[bank] if pcr != 10 and values[bank][pcr] != pcrs[pcr]]
            expect(not wrong, f"{boot}: bank {bank}: PCRs {wrong} aren't what the logs give together")
            expect({8, *PCRS} <= {*values[bank]} or number == 1, f"{boot}: hardly a PCR")


def log_check_says_so(chain):
    for boot in chain.boots:
        checked = json.loads(boot.state.files["check.out"])
        expect_equal(f"verdict of log check in {boot} ({checked['reason']})", checked["verdict"], "ok")
        for bank, pcrs in checked["pcrs"].items():
            for pcr in (8, *PCRS) if boot is not chain.boots[0] else PCRS:
                expect_equal(f"PCR {pcr}, {bank}, in {boot}", pcrs[str(pcr)]["status"], "proved")


def nothing_else_does(chain):
    """Twins of the last boot's logs: each is another PCR 11."""
    number = len(chain.boots)
    logs, state = logs_of(chain.boots, number), chain.last
    first, rest = logs[0].split(b"\x1e")[1:], logs[1:]
    def sequence(rows):
        return b"".join(b"\x1e" + row for row in rows)
    digest = records(logs[0])[0][1]["sha256"].encode()
    twins = {
        "a record left out": [sequence(first[1:]), *rest],
        "two in the other order": [sequence([first[2], first[1], first[0]]), *rest],
        "one twice": [sequence([first[0], *first]), *rest],
        "one edited": [logs[0].replace(digest, digest[::-1]), *rest],
        "one in another PCR": [logs[0].replace(b'"pcr":11', b'"pcr":12', 1), *rest],
        "two boots exchanged": [sequence(first[:1]) + logs[1], sequence(first[1:]), *logs[2:]],
    }
    for name, twin in twins.items():
        values = replay(state.log, twin)
        expect(values["sha256"][11] != state.pcrs["sha256"][11], f"{name}: nobody would notice")
    return f"{len(twins)} twins"


def status_notices(chain):
    """In kernels that got the logs in the initrd: one byte of a record of the first boot changed."""
    found = [boot for boot in chain.boots if "status-twin.out" in boot.state.files]
    for boot in found:
        twin = json.loads(boot.state.files["status-twin.out"])
        expect_equal(f"verdict in {boot}", twin["verdict"], "mismatch")
        expect("PCR 11" in twin["reason"], f"{boot}: {twin['reason']}")
    expect(found, "no boot has such logs")
    return f"{len(found)} boots"


CHECKS = {
    "systemd's logs of all boots are carried to each": they_are_carried,
    "log show tells whose log each is": they_are_shown,
    "the event log and systemd's logs together give all PCRs": they_explain_the_pcrs,
    "log check proves what systemd extended in all boots": log_check_says_so,
    "a record edited, missing, moved or in another boot's log gives another PCR 11": nothing_else_does,
}


def left_out(state):
    """The state without the PCRs that systemd extends, for checks of the event log alone."""
    rest = copy.copy(state)
    lines = [line for line in state.text("pcrs").splitlines() if int(line.split()[1]) not in PCRS]
    rest.files = {**state.files, "pcrs": "\n".join(lines).encode()}
    return rest

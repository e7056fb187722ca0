#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`mkexec log show` on our own logs and on the corpus of real ones: its YAML against tpm2_eventlog's, its JSON against
the log's bytes, its text against what text would like to be. Prints TAP.

The corpus isn't part of the project: $MKEXEC_CORPUS, or ../shared/corpus beside the source tree.
Usage: test_log_show.py MKEXEC
"""

import hashlib
import importlib.util
import json
import os
import pathlib
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile

import tap

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
CORPUS = pathlib.Path(os.environ.get("MKEXEC_CORPUS", TOP.parent / "shared" / "corpus"))
OWN = TOP / "tests" / "corpus"

spec = importlib.util.spec_from_file_location("logs", OWN / "make-log-show.py")
logs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(logs)

try:
    import yaml
    LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
except ImportError:
    yaml = None


def need_corpus():
    if not CORPUS.is_dir():
        raise tap.Skip("NO CORPUS: set MKEXEC_CORPUS to run this on real logs")


def need_yaml():
    if yaml is None:
        raise tap.Skip("NO python3-yaml")
    if not shutil.which("tpm2_eventlog"):
        raise tap.Skip("NO tpm2_eventlog")


class Case:
    def __init__(self, mkexec, folder):
        self.mkexec, self.folder = mkexec, folder

    def show(self, *arguments, **more):
        return subprocess.run([self.mkexec, "log", "show", *map(str, arguments)], capture_output=True, timeout=120,
                              stdin=more.pop("stdin", subprocess.DEVNULL), **more)

    def json(self, path, wanted=(0,)):
        done = self.show("--json", path)
        assert done.returncode in wanted, f"{path}: {done.returncode} {done.stderr.decode()}"
        return json.loads(done.stdout.decode("utf-8", "strict"))

    def yaml(self, path, wanted=(0,)):
        done = self.show("--yaml", path)
        assert done.returncode in wanted, f"{path}: {done.returncode} {done.stderr.decode()}"
        return yaml.load(done.stdout, Loader=LOADER)

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path


# ---- YAML against tpm2_eventlog ----

def peer(path):
    """What tpm2_eventlog says, or None where it refuses, dies, or what it says isn't YAML. Events of SHA-1 logs, which
    it writes as one mapping, are made a list."""
    done = subprocess.run(["tpm2_eventlog", "--eventlog-version=2", str(path)], capture_output=True, timeout=60,
                          env={**os.environ, "LC_ALL": "C.UTF-8"})
    if done.returncode != 0:
        return None
    # Certificates that are all digits would be numbers, without their leading zeros.
    text = re.sub(rb"(SignatureData: )([0-9a-f]+)\n", rb'\1"\2"\n', done.stdout)
    if b"\n- EventNum: " not in text:
        text = text.replace(b"\n  PCRIndex:", b"\n- PCRIndex:")
    try:
        return yaml.load(text, Loader=LOADER)
    except (yaml.YAMLError, UnicodeDecodeError):
        return None


def differences(theirs, ours, place=()):
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in {**theirs, **ours}:
            if key not in theirs or key not in ours:
                yield (*place, key), theirs.get(key), ours.get(key)
            else:
                yield from differences(theirs[key], ours[key], (*place, key))
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for i, (a, b) in enumerate(zip(theirs, ours)):
            yield from differences(a, b, (*place, i))
    elif type(theirs) is not type(ours) or theirs != ours:
        yield place, theirs, ours


NAMED = {"EV_EFI_HCRTM_EVENT", "EV_POST_CODE2", "EV_EFI_GPT_EVENT2", "EV_EFI_SPDM_FIRMWARE_BLOB",
         "EV_EFI_SPDM_FIRMWARE_CONFIG", "EV_EFI_SPDM_DEVICE_POLICY", "EV_EFI_SPDM_DEVICE_AUTHORITY"}


def on_purpose(place, theirs, ours, document):
    """Why this difference is meant, or None. Each of them is in docs/architecture.md."""
    last = place[-1]
    if place[:1] == ("pcrs",) and last == 0 and len(place) == 3 and starts_elsewhere(document):
        return "StartupLocality, H-CRTM, or an event that isn't extended"
    if place[0] != "events" or len(place) < 3:
        return None
    event = document["events"][place[1]]
    if last == "EventNum" and theirs is None and ours == place[1]:
        return "SHA-1 log"
    if last == "EventType" and theirs == "Unknown event type" and ours in NAMED:
        return "name of a type"
    if last == "Event" and event["EventType"] == "EV_S_CRTM_CONTENTS" and isinstance(ours, str):
        data = bytes.fromhex(ours)
        return "text isn't addresses" if theirs == dict(zip(("BlobBase", "BlobLength"), struct.unpack("<QQ", data[:16]))) \
            else None
    if last == "Event" and isinstance(ours, str) and len(theirs) == 2048 < len(ours) and ours.startswith(theirs):
        return "data isn't cut"
    if last == "BlobDescription" and len(theirs) == len(ours) - 2 and ours.startswith(theirs):
        return "description isn't cut"
    if last == "PartitionName" and theirs in (None, "(null)"):
        return "partition name"
    if "UnicodeName" in place and theirs in (None, "(null)"):
        return "variable name"
    return None


def starts_elsewhere(document):
    return any(event["EventType"] in ("EV_EFI_HCRTM_EVENT", "EV_NO_ACTION") for event in document["events"][1:])


def compare(case, path):
    """(equal, on purpose) in numbers; raises where a difference isn't meant."""
    theirs = peer(path)
    if theirs is None:
        return 0, 0
    ours = case.yaml(path, wanted=(0, 2))
    if "Malformed" in ours:
        return 0, 0
    found = list(differences(theirs, ours))
    unmeant = [(place, a, b) for place, a, b in found if not on_purpose(place, a, b, ours)]
    assert not unmeant, f"{path}: " + "\n".join(
        f"{'/'.join(map(str, place))}: {str(a)[:200]!r}, ours {str(b)[:200]!r}" for place, a, b in unmeant[:5])
    return int(not found), int(bool(found))


def yaml_of_our_own_logs_is_tpm2_eventlogs(case):
    need_yaml()
    # What the tool has a bug for is in the corpus' test; these have to be equal but for names of types.
    plain = [each for each in logs.BODIES if each[1] not in (logs.BLOB2, logs.EV_NO_ACTION, *logs.NEWER) and b"\xe9\0" not in each[2]]
    equal, meant = compare(case, case.write("plain.bin", logs.log(plain)))
    assert (equal, meant) == (1, 0), (equal, meant)
    for banks in ((0xB,), (4, 0xB, 0xC, 0xD)):
        assert compare(case, case.write("banks.bin", logs.log(plain, banks))) == (1, 0)
    sha1 = b"".join(logs.event_sha1(*each[:3]) for each in plain)
    assert compare(case, case.write("sha1.bin", sha1)) == (0, 1)
    for name in ("four-banks", "one-bank"):
        assert sum(compare(case, OWN / "eventlog" / f"{name}.bin")) == 1, name
    # The twin: one byte of data changed is seen.
    changed = logs.log([(pcr, kind, data.replace(b"Calling", b"calling"), s) for pcr, kind, data, s in plain])
    theirs, ours = peer(case.write("plain.bin", logs.log(plain))), case.yaml(case.write("changed.bin", changed))
    places = [place[2] for place, a, b in differences(theirs, ours) if not on_purpose(place, a, b, ours)
              and place[0] == "events"]
    assert sorted(set(places)) == ["Digests", "Event"], places


def yaml_of_text_of_boot_loaders_has_the_values_of_5_4(case):
    need_yaml()
    texts = [b"\n", b"a\n", b"a\nb", b"a\n\nb\n", b"\r\na\r\n", b"\n\nx", b" a \n  b", b"\ta\n\tb", b"a\"b'c\\d\x07\x08\x0b\x0c\0",
             b"caf\xc3\xa9", b"a: #-", b"- x", logs.utf16("quiet\0")]
    assert compare(case, case.write("texts.bin", logs.log([(8, logs.EV_IPL, text) for text in texts]))) == (1, 0)


def yaml_of_the_corpus_is_tpm2_eventlogs_or_differs_on_purpose(case):
    need_yaml()
    need_corpus()
    equal = meant = 0
    for path in sorted((CORPUS / "tcg").iterdir()):
        a, b = compare(case, path)
        equal, meant = equal + a, meant + b
    print(f"# {equal} logs are equal, {meant} differ on purpose")
    assert equal >= 10 and equal + meant >= 35, (equal, meant)


def yaml_always_parses(case):
    need_yaml()
    paths = [path for folder in ("eventlog", "log-show", "hop") for path in sorted((OWN / folder).iterdir())]
    if CORPUS.is_dir():
        paths += [path for folder in ("tcg", "malformed", "ccel") for path in sorted((CORPUS / folder).glob("*.bin"))]
    n = 0
    for path in paths:
        done = case.show("--yaml", path)
        assert done.returncode in (0, 2), (path, done)
        if done.stdout:
            document = yaml.load(done.stdout, Loader=LOADER)
            rows = case.json(path, wanted=(0, 2))["events"]
            events = document["events"] or []
            assert [event["EventNum"] for event in events] == [row["index"] for row in rows], path
            assert [event["PCRIndex"] & 0xFFFFFFFF for event in events] == [row["pcr"] for row in rows], path
            n += 1
    assert n >= 60, n


# ---- JSON ----

def rows_of(data):
    """The records of an agile log by a reader of a few lines."""
    sizes, at = {}, 32 + struct.unpack_from("<I", data, 28)[0]
    for i in range(struct.unpack_from("<I", data, 32 + 24)[0]):
        alg, size = struct.unpack_from("<HH", data, 32 + 28 + 4 * i)
        sizes[alg] = size
    while at < len(data):
        start = at
        pcr, kind, n = struct.unpack_from("<III", data, at)
        at, digests = at + 12, {}
        for _ in range(n):
            alg = struct.unpack_from("<H", data, at)[0]
            digests[logs.NAMES[alg]] = data[at + 2:at + 2 + sizes[alg]].hex()
            at += 2 + sizes[alg]
        size = struct.unpack_from("<I", data, at)[0]
        yield {"pcr": pcr, "offset": start, "size": at + 4 + size - start, "digests": digests,
               "data": data[at + 4:at + 4 + size].hex()}
        at += 4 + size


def json_has_what_the_log_has(case):
    data = logs.log(logs.BODIES, (4, 0xB, 0xC))
    document = case.json(case.write("bodies.bin", data))
    assert document["version"] == 1
    assert [log["banks"] for log in document["logs"]] == [["sha1", "sha256", "sha384"]]
    assert document["logs"][0]["malformed"] == ""
    rows = document["events"]
    assert [row["index"] for row in rows] == list(range(len(logs.BODIES) + 1))
    assert rows[0]["body"]["kind"] == "spec_id" and rows[0]["digests"] == {}
    for row, wanted, body in zip(rows[1:], rows_of(data), logs.BODIES):
        assert wanted.items() <= row.items(), (row, wanted)
        assert row["malformed"] == "", row
        assert bytes.fromhex(row["data"]) == body[2]
    kinds = {row["body"]["kind"] for row in rows}
    assert kinds == {"spec_id", "startup_locality", "sp800_155", "no_action", "version", "firmware_blob", "text",
                     "handoff_tables", "variable", "separator", "action", "gpt", "image", "ipl", "uki_section", "tagged",
                     "opaque", "spdm", "nv_index_instance", "nv_index_dynamic"}, kinds


def bodies_say_what_was_put_into_them(case):
    rows = case.json(case.write("bodies.bin", logs.log(logs.BODIES)))["events"][1:]
    by_name = {row["body"]["name"]: row["body"] for row in rows if row["body"]["kind"] == "variable"}
    assert by_name["SecureBoot"]["enabled"] is True
    assert by_name["PK"]["signature_lists"] == []
    assert [entry["data"] for entry in by_name["dbx"]["signature_lists"][0]["entries"]] == ["00" * 32, "ff" * 32]
    assert by_name["KEK"]["signature_lists"][0]["type"] == str(logs.X509)
    assert by_name["BootOrder"]["boot_order"] == ["Boot0001", "Boot000A"]
    option = by_name["Boot0001"]["load_option"]
    assert option["description"] == "Linux" and option["optional_data"] == b"opt".hex()
    assert option["device_path"].endswith("\\EFI\\BOOT\\BOOTX64.EFI"), option
    assert by_name["SbatLevel"]["text"] == "sbat,1,2022052400\ngrub,2\n"
    assert by_name["Unknown\u00e9"]["data"] == "0001"
    gpt, = (row["body"] for row in rows if row["body"]["kind"] == "gpt")
    assert [part["name"] for part in gpt["partitions"]] == ["ESP", "root"] and gpt["disk"] == str(logs.OWNER)
    blob, two, chain, foreign = (row["body"] for row in rows if row["body"]["kind"] == "spdm")
    assert blob["version"] == 1 and blob["hash"] == "sha256" and blob["pci"]["vendor"] == "0x8086"
    assert blob["measurements"] == [{"index": 1, "specification": 1, "type": "mutable-firmware", "raw": False, "value": "aa" * 32}]
    assert [m["type"] for m in two["measurements"]] == ["mutable-firmware", "firmware-version"]
    assert two["measurements"][1]["raw"] is True and bytes.fromhex(two["measurements"][1]["value"]) == b"1.2.3"
    assert two["authentication"] == "success" and two["uid"] == "0x1122334455667788" and "BOOTX64.EFI" in two["device_path"]
    assert chain["authentication"] == "no-spdm" and chain["slot"] == 3 and bytes.fromhex(chain["certificate_chain"]) == b"0\x82chain"
    assert (foreign["sub_type"], foreign["sub_data"], foreign["device_type"]) == (0x80000000, "0102", 7)
    policy, authority = (row["body"] for row in rows if row["type"].startswith("EV_EFI_SPDM_DEVICE"))
    assert policy["signature_lists"][0]["type"] == str(logs.X509) and authority["signature"]["data"] == b"0\x82abc".hex()
    instance, nonce = (row["body"] for row in rows if row["body"]["kind"].startswith("nv_index"))
    assert bytes.fromhex(instance["device"]["certificate_chain"]) == b"0\x82" and nonce["data"] == "bb" * 32
    manifests = [row["body"] for row in rows if row["body"]["kind"] == "sp800_155"]
    assert [body["version"] for body in manifests] == [1, 2, 3]
    assert manifests[2]["firmware_version"] == "2.0" and manifests[2]["manifest_locator"]["text"] == "https://x.test/r"


DISK = "PciRoot(0x0)/Pci(0x3,0x0)/HD(1,GPT,11111111-2222-3333-4444-555555555555,0x800,0x100000)"
TEXTS = [
    "StartupLocality 3", "SP800-155 Event", "SP800-155 Event2", "SP800-155 Event3", "Something else", "1.23",
    "firmware blob of 4096 bytes at 0xfff00000", "ACPI DATA", "firmware blob of 917504 bytes at 0x820000",
    "firmware blob FV_MAIN of 12582912 bytes at 0x900000", "tables: Smbios at 0x7ffe0000",
    f"tables ACPI: {logs.OWNER} at 0x7ffd0000", "SecureBoot: on", "PK: empty", "KEK: 1 CertX509", "db: 2 CertX509",
    "dbx: 2 CertSha256", f"Unknown\u00e9-{logs.OWNER}: 0001", "BootOrder: 0001 000A",
    f"Boot0001: Linux, {DISK}/\\\\EFI\\\\BOOT\\\\BOOTX64.EFI", f"Boot000A: Other, {DISK}/\\\\a.efi", "separator",
    "separator, error: 01000000", "separator: WBCL", f"db: 5 bytes of owner {logs.OWNER}",
    "SbatLevel: sbat,1,2022052400\\x0agrub,2\\x0a", "MokListTrusted: on", "Calling EFI Application from Boot Option",
    f"GPT of disk {logs.OWNER}: ESP, root",
    f"image of 74565 bytes at 0x7e000000: {DISK}/\\\\EFI\\\\BOOT\\\\BOOTX64.EFI", "image of 74565 bytes at 0x7e000000",
    "grub_cmd: linux /vmlinuz 'a b' \"c\"", ".linux", "quiet splash", "Linux: load options: quiet",
    "tag 0x12345678: ff0001", "Entering ROM Based Setup", "010203", "text of an unknown type", "HCRTM",
    "PCI device 8086:1592: measurement 1 " + "aa" * 32,
    f"PCI device 8086:1592, authentication success, {DISK}/\\\\EFI\\\\BOOT\\\\BOOTX64.EFI: measurement 1 " + "aa" * 32,
    f"PCI device 8086:1592, authentication no-spdm, {DISK}/\\\\EFI\\\\BOOT\\\\BOOTX64.EFI: certificates of slot 3, 7 bytes", "device",
    "devdb: 1 CertX509", f"devdb: 5 bytes of owner {logs.OWNER}", "NvIndexInstance", "NvIndexDynamic "]


def lines_say_what_people_look_for(case):
    path = case.write("bodies.bin", logs.log(logs.BODIES))
    lines = case.show(path).stdout.decode().splitlines()[2:]
    assert [line.split(maxsplit=4)[4] for line in lines] == TEXTS
    assert [row["text"] for row in case.json(path)["events"][1:]] == TEXTS
    for i, (line, (pcr, kind, data, _)) in enumerate(zip(lines, logs.BODIES), 1):
        digest = "-" if kind == logs.EV_NO_ACTION else hashlib.sha1(data).hexdigest()[:12]
        place = [str(i), str(pcr) if pcr < 24 else "-"]
        assert line.split()[:2] == place and line.split()[3] == digest, line


def a_bad_body_is_named_and_the_log_goes_on(case):
    strict = [each for each in logs.BODIES if each[3]]
    for change in (lambda data: data[:-1], lambda data: data + b"\x01"):
        data = logs.log([(pcr, kind, change(body)) for pcr, kind, body, _ in strict])
        rows = case.json(case.write("changed.bin", data))["events"][1:]
        assert len(rows) == len(strict)
        good = [row for row in rows if not row["malformed"]]
        assert not good, good
        table = case.show(case.folder / "changed.bin")
        assert table.returncode == 0 and table.stdout.count(b"malformed body: ") == len(strict)


def json_of_everything_is_json(case):
    folders = [OWN / name for name in ("eventlog", "log-show", "hop", "ima-log", "systemd-log")]
    if CORPUS.is_dir():
        folders += [CORPUS / name for name in ("tcg", "malformed", "ccel", "ima", "cel")]
    else:
        print("# NO CORPUS: set MKEXEC_CORPUS to run this on real logs")
    n = 0
    for path in (path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()):
        document = case.json(path, wanted=(0, 2))
        broken = bool(document["logs"][0]["malformed"])
        assert case.show("--json", path).returncode == (2 if broken else 0), path
        n += 1
    assert n >= 90, n


# ---- text ----

def text_forges_nothing(case):
    for name, data in logs.logs():
        path = case.write(f"{name}.bin", data)
        outputs = [case.show(*form, path).stdout for form in ((), ("--json",), ("--yaml",))]
        for output in outputs:
            text = output.decode("utf-8", "strict")
            bad = [c for c in text if (ord(c) < 0x20 and c != "\n") or 0x7F <= ord(c) < 0xA0
                   or ord(c) in (0x2028, 0x2029, 0x202E, 0xFEFF)]
            assert not bad, (name, bad)
        rows = json.loads(outputs[1])["events"]
        assert outputs[0].count(b"\n") == 1 + len(rows), name
    rows = case.json(case.write("nasty.bin", logs.log(logs.NASTY_BODIES)))["events"]
    assert len(rows) == len(logs.NASTY_BODIES) + 1
    assert rows[5]["body"]["text"] == logs.NASTY
    assert rows[6]["body"]["text"] == "\ufffd" * 11
    assert rows[10]["body"] == {"kind": "ipl"}
    assert rows[-1]["body"]["name"] == "a\ufffdb\ufffd\n"
    assert rows[12]["body"]["name"] == logs.NASTY


def yaml_that_is_injected_stays_text(case):
    if yaml is None:
        raise tap.Skip("NO python3-yaml")
    document = case.yaml(case.write("nasty.bin", logs.log(logs.NASTY_BODIES)))
    assert [event["EventNum"] for event in document["events"]] == list(range(len(logs.NASTY_BODIES) + 1))
    assert [event["EventType"] for event in document["events"]].count("EV_EFI_VARIABLE_DRIVER_CONFIG") == 3
    assert document["events"][5]["Event"] == logs.NASTY.split("\0")[0]
    assert document["events"][13]["Event"]["UnicodeName"] == "SecureBoot\nx: y"
    need_corpus()
    for name in ("action", "postcode"):
        path = CORPUS / "malformed" / f"gen-yaml-inject-{name}.bin"
        events = case.yaml(path)["events"]
        assert len(events) == 3 and "- EventNum: 1" in events[1]["Event"], events


# ---- the program ----

def pcrs_and_banks_are_chosen(case):
    path = case.write("bodies.bin", logs.log(logs.BODIES))
    rows = case.json(path)["events"]
    chosen = json.loads(case.show("--json", "--pcr", "7,12", path).stdout)["events"]
    assert chosen == [row for row in rows if row["pcr"] in (7, 12)] and chosen
    table = case.show("--bank", "sha256", "--pcr", "5", path).stdout.decode().splitlines()
    gpt = next(body for _, kind, body, _ in logs.BODIES if kind == logs.GPT)
    assert len(table) == 2 and table[1].split()[3] == hashlib.sha256(gpt).hexdigest()[:12], table
    for wrong in (("--pcr", "24"), ("--pcr", ""), ("--pcr", "1,"), ("--pcr", "-1"), ("--bank", "md5"),
                  ("--json", "--yaml"), ("--yaml", path)):
        done = case.show(*wrong, path)
        assert done.returncode == 2 and not done.stdout, (wrong, done)


def several_logs_and_standard_input(case):
    tcg, ima = case.write("a.bin", logs.log(logs.BODIES)), OWN / "ima-log" / "ascii"
    with tcg.open("rb") as stdin:
        done = case.show("--json", "-", ima, OWN / "systemd-log" / "two", stdin=stdin)
    document = json.loads(done.stdout)
    assert [log["kind"] for log in document["logs"]] == ["tcg", "ima", "systemd"]
    assert sorted({row["log"] for row in document["events"]}) == [0, 1, 2]
    assert document["logs"][0]["name"] == "standard input"
    cut = case.write("cut.bin", logs.log(logs.BODIES)[:-1])
    done = case.show("--json", cut, ima)
    document = json.loads(done.stdout)
    assert done.returncode == 2 and b"cut.bin" in done.stderr
    assert len([row for row in document["events"] if row["log"] == 0]) == len(logs.BODIES)
    assert document["logs"][0]["malformed"] and not document["logs"][1]["malformed"]
    binary = case.show("--binary", tcg)
    assert binary.stdout == tcg.read_bytes()
    assert case.show("--binary", ima).returncode == 2


def on_a_terminal(case, command, **environment):
    """Standard output is a terminal; what comes out of it, and how the program ended."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE,
                          env={**os.environ, "TERM": "xterm", **environment}) as child:
        os.close(theirs)
        output = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            output += part
        os.close(ours)
        return output, child.wait(60), child.stderr.read()


def colours_and_a_pager_on_a_terminal_only(case):
    path = case.write("bodies.bin", logs.log(logs.BODIES * 40))
    command = [case.mkexec, "log", "show", str(path)]
    plain = case.show(path).stdout
    assert b"\x1b" not in plain
    output, code, _ = on_a_terminal(case, [*command, "--no-pager"])
    assert code == 0 and b"\x1b[" in output
    output, code, _ = on_a_terminal(case, [*command, "--no-pager"], NO_COLOR="1")
    assert code == 0 and output.replace(b"\r\n", b"\n") == plain
    output, code, _ = on_a_terminal(case, command, MKEXEC_PAGER="sed s/^/paged:/", NO_COLOR="1")
    assert code == 0 and output.count(b"paged:") == plain.count(b"\n")
    output, code, _ = on_a_terminal(case, command, MKEXEC_PAGER="", PAGER="false", NO_COLOR="1")
    assert code == 0 and output.replace(b"\r\n", b"\n") == plain
    # Whoever leaves the pager has seen enough; a log that breaks off is told of all the same.
    output, code, error = on_a_terminal(case, command, PAGER="head -n 3", NO_COLOR="1")
    assert code == 0 and output.count(b"\n") == 3 and not error, (code, output, error)
    cut = case.write("cut.bin", logs.log(logs.BODIES)[:-1])
    output, code, error = on_a_terminal(case, [*command[:3], str(cut)], PAGER="cat -", NO_COLOR="1")
    assert code == 2 and b"malformed: event" in output and b"cut.bin" in error


CASES = [yaml_of_our_own_logs_is_tpm2_eventlogs, yaml_of_text_of_boot_loaders_has_the_values_of_5_4,
         yaml_of_the_corpus_is_tpm2_eventlogs_or_differs_on_purpose, yaml_always_parses, json_has_what_the_log_has,
         bodies_say_what_was_put_into_them, lines_say_what_people_look_for, a_bad_body_is_named_and_the_log_goes_on, json_of_everything_is_json,
         text_forges_nothing, yaml_that_is_injected_stays_text, pcrs_and_banks_are_chosen,
         several_logs_and_standard_input, colours_and_a_pager_on_a_terminal_only]


def main():
    def call(function):
        with tempfile.TemporaryDirectory() as place:
            return function(Case(sys.argv[1], pathlib.Path(place)))

    return tap.run(tap.each(CASES, call))


if __name__ == "__main__":
    sys.exit(main())

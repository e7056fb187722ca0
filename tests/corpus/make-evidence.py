#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes tests/corpus/evidence: documents that are evidence by their shape, and those beside them that are not.
What is in them is no evidence of anything: policy/evidence looks at shape alone. Names beginning with "ok-" must be read,
the others refused (tests/fuzz/fuzz-evidence.c, tests/unit/test-evidence.c)."""
import base64
import copy
import json
import pathlib

FOLDER = pathlib.Path(__file__).parent / "evidence"


def b64(data):
    return base64.b64encode(data).decode()


MINIMAL = {
    "version": 1, "kind": "mkexec-evidence",
    "quote": {"attest": b64(b"\xffTCG\x80\x18"), "signature": b64(b"\x00\x14\x00\x0b")},
    "ak": {"public": b64(b"\x00\x01\x00\x0b")},
    "pcrs": {"sha256": {"0": "00" * 32, "8": "ab" * 32}},
    "logs": {},
}


def full():
    document = copy.deepcopy(MINIMAL)
    document["ak"]["certificates"] = [b64(b"0\x03\x02\x01\x01"), b64(b"0\x03\x02\x01\x02")]
    document["pcrs"]["sha1"] = {str(i): f"{i:02x}" * 20 for i in range(24)}
    document["logs"] = {
        "firmware": b64(bytes(range(256))),
        "systemd": [{"boot": 1, "incomplete": True, "log": b64(b"\x1e{}\n")}, {"boot": 3, "cut": True, "log": ""},
                    {"boot": 64, "lost": True, "log": ""}],
        "ima": b64(b"\x0a\x00\x00\x00"),
    }
    return document


def changed(path, value):
    """The full document with one member set; value None: taken away."""
    document = full()
    *way, last = path
    at = document
    for step in way:
        at = at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return document


def documents():
    yield "ok-minimal", MINIMAL
    yield "ok-full", full()
    yield "ok-certificate", changed(("ak", "certificates"), [b64(b"0\x00")])
    for path in (("version",), ("kind",), ("quote",), ("quote", "attest"), ("quote", "signature"), ("ak",), ("ak", "public"),
                 ("pcrs",), ("logs",), ("logs", "systemd", 0, "boot"), ("logs", "systemd", 0, "log")):
        yield "missing-" + "-".join(map(str, path)), changed(path, None)
    for path in (("more",), ("quote", "more"), ("ak", "more"), ("logs", "more"), ("logs", "systemd", 0, "more"), ("pcrs", "more")):
        yield "unknown-" + "-".join(map(str, path)), changed(path, "x")
    for path in (("quote", "attest"), ("quote", "signature"), ("ak", "public"), ("ak", "certificates"), ("logs", "firmware"),
                 ("logs", "systemd"), ("logs", "ima")):
        yield "empty-" + "-".join(path), changed(path, [] if path[-1] in ("certificates", "systemd") else "")
    for name, text in (("short", "AAA"), ("bits", "AB=="), ("newline", "AAAA\nAAAA"), ("url", "AA-_"), ("no-padding", "AA"),
                       ("escaped", "AA\\u003d")):
        yield "base64-" + name, changed(("logs", "firmware"), text)
    yield "version-2", changed(("version",), 2)
    yield "version-text", changed(("version",), "1")
    yield "version-fraction", changed(("version",), 1.0)
    yield "kind-other", changed(("kind",), "mkexec-verdict")
    yield "quote-array", changed(("quote",), [])
    yield "certificates-9", changed(("ak", "certificates"), [b64(b"0\x00")] * 9)
    yield "certificates-number", changed(("ak", "certificates"), [1])
    yield "pcrs-none", changed(("pcrs",), {})
    yield "pcrs-bank-none", changed(("pcrs", "sha384"), {})
    yield "pcrs-bank-text", changed(("pcrs", "sha384"), "00")
    for key in ("24", "00", "08", "-1", "1 ", "", "100", "0x1", "\u0661"):
        yield f"pcrs-key-{key.encode().hex()}", changed(("pcrs", "sha256", key), "00" * 32)
    yield "pcrs-short", changed(("pcrs", "sha256", "0"), "00" * 31)
    yield "pcrs-long", changed(("pcrs", "sha256", "0"), "00" * 33)
    yield "pcrs-upper", changed(("pcrs", "sha256", "0"), "AB" * 32)
    yield "pcrs-number", changed(("pcrs", "sha256", "0"), 0)
    yield "systemd-order", changed(("logs", "systemd", 1, "boot"), 1)
    yield "systemd-boot-0", changed(("logs", "systemd", 0, "boot"), 0)
    yield "systemd-boot-65", changed(("logs", "systemd", 2, "boot"), 65)
    yield "systemd-boot-huge", changed(("logs", "systemd", 2, "boot"), 2**64 + 64)
    yield "systemd-flag-false", changed(("logs", "systemd", 0, "incomplete"), False)
    yield "systemd-flag-number", changed(("logs", "systemd", 0, "cut"), 1)
    yield "systemd-lost-there", changed(("logs", "systemd", 0, "lost"), True)
    yield "systemd-65", changed(("logs", "systemd"), [{"boot": i + 1, "log": ""} for i in range(65)])


def texts():
    text = json.dumps(full(), separators=(",", ":"))
    yield "ok-blanks", json.dumps(full(), indent=4).replace("\n", "\r\n")
    yield "ok-escapes", json.dumps(full()).replace("/", "\\/").replace('"version"', '"\\u0076ersion"').replace("AAEC", "\\u0041AEC")
    for member in ("version", "kind", "quote", "attest", "signature", "ak", "public", "certificates", "pcrs", "sha256", "logs",
                   "firmware", "systemd", "boot", "log", "incomplete", "ima"):
        at = text.index(f'"{member}":')
        value = json.JSONDecoder().raw_decode(text[at + len(member) + 3:])[0]
        yield "twice-" + member, text[:at] + f'"{member}":' + json.dumps(value) + "," + text[at:]
    at = text.index('"8":')
    yield "twice-pcr", text[:at] + '"8":"' + "00" * 32 + '",' + text[at:]
    yield "twice-escaped", text.replace('"kind"', '"\\u006bind":"mkexec-evidence","kind"')
    yield "twice-all-banks", text.replace('"sha256":{', "".join(
        f'"{name}":{{"0":"00"}},' for name in ("sha384", "sha512", "sm3_256", "sha3_256", "sha3_384", "sha3_512")) + '"sha256":{')
    yield "two-documents", text + text
    yield "nothing", ""
    yield "truncated", text[:-1]
    yield "deep", text.replace('"logs":', '"deep":' + "[" * 1000 + "]" * 1000 + ',"logs":')
    yield "not-an-object", "[" + text + "]"


def main():
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    for name, document in documents():
        (FOLDER / f"{name}.json").write_text(json.dumps(document, separators=(",", ":")))
    for name, text in texts():
        (FOLDER / f"{name}.json").write_text(text, newline="")
    text = json.dumps(full(), separators=(",", ":")).encode()
    (FOLDER / "not-utf8.json").write_bytes(text.replace(b"kexec-", b"kexec\xff"))
    (FOLDER / "nul.json").write_bytes(text + b"\0")


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes Canonical Event Logs into tests/corpus/cel, in the words of each who writes them, and with one thing wrong; the
same and logs of other kinds into tests/corpus/log-convert. Run it after changing it; what it writes is in the tree."""

import hashlib
import importlib.util
import json
import pathlib
import struct

OWN = pathlib.Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("logs", OWN / "make-log-show.py")
logs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(logs)

BOOT_ID = "000102030405060708090a0b0c0d0e0f"
HEADER = logs.header(4, 0xB)[32:]
NUMBERS = {"sha1": 4, "sha256": 0xB}


def tlv(kind, value):
    return bytes([kind]) + struct.pack(">I", len(value)) + value


def number(kind, value, size):
    return tlv(kind, value.to_bytes(size, "big"))


def digests_of(data, names=("sha1", "sha256")):
    return [(name, hashlib.new(name, data).digest()) for name in names]


def record(recnum, place, digests, content, width=8):
    return (number(0, recnum, width) + place
            + tlv(3, b"".join(tlv(NUMBERS[name], digest) for name, digest in digests)) + content)


def pcr(n):
    return number(1, n, 1)


def pcclient(kind, data):
    return tlv(5, number(0, kind, 4) + tlv(1, data))


def binary():
    """Each content of the TLV form."""
    separator = digests_of(bytes(4))
    ima = bytes.fromhex("1a0000007368613235363a00") + bytes(14) + struct.pack("<I", 6) + b"/init\0"
    return [
        (pcr(0), [], pcclient(3, HEADER)),
        (pcr(0), [], pcclient(3, b"StartupLocality\0\3")),
        (number(1, 0xffffffff, 4), [], pcclient(3, b"anything")),
        (pcr(4), separator, pcclient(4, bytes(4))),
        (pcr(5), digests_of(b"x"), pcclient(0x80000007, b"x")),
        (pcr(1), [], tlv(4, tlv(1, number(0, 1, 2) + number(1, 0, 2)))),
        (pcr(1), [], tlv(4, tlv(2, b""))),
        (pcr(1), [], tlv(4, number(80, 1700000000, 8) + number(0x81, 0, 1))),
        (pcr(8), [], tlv(4, number(81, 2, 1))),
        (pcr(11), digests_of(b"ready"),
         tlv(11, number(0, 0, 1) + number(1, 12, 2) + tlv(2, bytes.fromhex(BOOT_ID)) + tlv(3, b"ready"))),
        (number(2, 0x1800002, 4), digests_of(b"x"), tlv(11, tlv(4, b"nvpcr-init") + tlv(3, b"a\\303\\251\xff"))),
        (pcr(10), digests_of(ima), tlv(7, tlv(0, b"ima-ng") + tlv(1, ima))),
        (pcr(10), [("sha1", b"\xff" * 20), ("sha256", b"\xff" * 32)], tlv(7, tlv(0, b"ima-ng") + tlv(1, b""))),
        (pcr(10), digests_of(b"y"), tlv(8, tlv(0, b"/init"))),
    ]


def text(where, digests, kind, content, recnum=None):
    row = {**where, **({} if recnum is None else {"recnum": recnum}),
           "digests": [{"hashAlg": name, "digest": digest.hex()} for name, digest in digests],
           "content_type": kind, "content": content}
    return json.dumps(row, separators=(",", ":"))


def systemd(word, kind="phase", **more):
    where = more.pop("where", {"pcr": 11})
    return text(where, digests_of(word.encode()), "systemd",
                {"string": word, "bootId": BOOT_ID, "timestamp": 17, "eventType": kind, **more})


def rows():
    sep = digests_of(bytes(4))
    return {
        "pcrlock.json": "[" + ",".join([
            text({"pcr": 4}, sep, "pcclient_std", {"event_type": "EV_SEPARATOR", "event_data": "00000000"}, 1),
            text({"pcr": 17}, digests_of(b"q"), "pcclient_std", {"event_type": "1038", "event_data": "71"}, 2),
            text({"pcr": 11}, digests_of(b"ready"), "systemd", {"string": "ready", "bootId": BOOT_ID, "timestamp": 3,
                                                               "eventType": "phase"}, 3)]) + "]\n",
        "libcel.json": "\n".join([
            text({"pcr": 4}, sep, "pcclient_std", {"event_type": "ev_separator", "event_data": "00000000"}, 0),
            text({"pcr": 4}, sep, 5, {"event_type": 4, "event_data": "00000000"}, 1),
            text({"pcr": 2}, digests_of(b"b"), "pcclient_std",
                 {"event_type": "ev_efi_platform_firmwate_blob2", "event_data": "62"}, 2),
            text({"pcr": 3}, [], "cel", [{"type": "firmware_end"}, {"type": "cel_timestamp", "data": 7},
                                         {"type": "state_trans", "data": "kexec"},
                                         {"type": "cel_version", "data": {"major": 1, "minor": 0}}], 3),
            text({"pcr": 3}, [], 4, {"type": 81, "data": 1}, 4),
            text({"pcr": 10}, digests_of(b"\xaa"), "ima_template", {"template_name": "ima-ng", "template_data": "aa"}, 5),
            text({"pcr": 11}, digests_of(b"x"), "systemd",
                 {"event_type": 3, "string": "x", "bootId": BOOT_ID, "timestamp": 1}, 6)]),
        "fapi.json": json.dumps([
            {"recnum": 0, "pcr": 16, "digests": [{"hashAlg": "SHA256", "digest": hashlib.sha256(b"e").hexdigest()}],
             "content_type": "tss2", "content": {"data": "65", "event": {"a": [1, "b"]}}},
            {"recnum": 1, "pcr": 2, "digests": [{"hashAlg": "sha1", "digest": hashlib.sha1(b"e").hexdigest()}],
             "content_type": "pcclient_std",
             "content": {"event_type": "EV_EFI_PLATFORM_FIRMWARE_BLOB", "event_data": {"BlobBase": 1}}}], indent=4),
        "header.json": "[" + ",".join([
            text({"pcr": 0}, [], "pcclient_std", {"event_type": "EV_NO_ACTION", "event_data": HEADER.hex()}, 1),
            text({"pcr": 4}, sep, "pcclient_std", {"event_type": "EV_SEPARATOR", "event_data": "00000000"}, 2)]) + "]",
        "ccmr.json": text({"ccmr": 2}, sep, "pcclient_std", {"event_type": "EV_SEPARATOR", "event_data": "00000000"}, 1),
        "nasty.json": "\x1e" + text({"pcr": 11}, digests_of(b"n"), "systemd",
                                    {"string": logs.NASTY, "eventType": logs.NASTY, "more": [logs.NASTY, {"a": None}]}, 1)
        + "\n\x1e" + text({"pcr": 12}, [], logs.NASTY, {logs.NASTY: logs.NASTY}, 2) + "\n",
        "twice.json": '{"recnum":1,"pcr":1,"\\u0070cr":2,"content_type":5,"content":{"event_type":4,"event_data":""}}',
        "recnum.json": "[" + ",".join([text({"pcr": 4}, sep, 5, {"event_type": 4, "event_data": ""}, n)
                                       for n in (2, 1)]) + "]",
        "open.json": "[" + text({"pcr": 4}, sep, 5, {"event_type": 4, "event_data": ""}, 1) + ",",
        "systemd-new": "\x1e" + systemd("a\\303\\251", "nvpcr-init", where={"nv_index": 0x1800002},
                                        nvIndexName="hardware") + "\n\x1e" + systemd("x", "product-id") + "\n",
    }


def main():
    files = {}
    content = binary()
    whole = b"".join(record(n, *row) for n, row in enumerate(content))
    files["all.tlv"] = whole
    files["all-cut.tlv"] = whole[:-1]
    files["narrow.tlv"] = b"".join(record(n, *row, width=1) for n, row in enumerate(content))
    files["cos.tlv"] = b"".join(
        number(0, n, 8) + number(108, 4, 1) + tlv(3, tlv(0xC, hashlib.sha384(b"%d" % n).digest()))
        + tlv(80, tlv(n, b"text of field %d" % n)) for n in range(3))
    files["unknown.tlv"] = record(0, pcr(4), [], tlv(200, b"bytes")) + \
        number(0, 1, 1) + pcr(4) + tlv(3, tlv(0xEE, b"?")) + pcclient(4, b"")
    files["digest-twice.tlv"] = record(0, pcr(4), digests_of(b"", ("sha1", "sha1")), pcclient(4, b""))
    files["digest-short.tlv"] = record(0, pcr(4), [("sha1", bytes(19))], pcclient(4, b""))
    files["recnum.tlv"] = record(1, pcr(4), [], pcclient(3, b"")) * 2
    files["field-twice.tlv"] = record(0, pcr(4), [], tlv(5, number(0, 4, 4) * 2))
    for name, log in rows().items():
        files[name] = log.encode()
    agile = logs.header(4, 0xB) + logs.event(0, 3, b"StartupLocality\0\3") + logs.event(4, 4, bytes(4)) + \
        logs.event(0xffffffff, 3, b"x") + logs.event(5, 0x80000007, b"y", (0xB,)) + logs.event(5, 0x80000007, b"y", (0xB, 4))
    others = {
        "agile.bin": agile,
        "agile-padded.bin": agile + bytes(40),
        "header-digest.bin": agile[:8] + bytes(range(20)) + agile[28:],
        "locality-twice.bin": agile + logs.event(0, 3, b"StartupLocality\0\3"),
        "cc.bin": logs.header(0xC, pcr=1) + logs.event(2, 4, bytes(4), (0xC,)),
        "sha1.bin": logs.event_sha1(0, 3, b"Spec ID Event02\0" + bytes(9)) + logs.event_sha1(4, 4, bytes(4)),
        "hops.bin": (OWN / "hop" / "honest.bin").read_bytes(),
        "abort.bin": (OWN / "hop" / "abort-9.bin").read_bytes(),
        "ima-ng": (OWN / "ima-log" / "ng").read_bytes(),
        "ima-violation": (OWN / "ima-log" / "violation").read_bytes(),
    }
    for folder, wanted in (("cel", files), ("log-convert", {**files, **others})):
        (OWN / folder).mkdir(exist_ok=True)
        for name, log in wanted.items():
            (OWN / folder / name).write_bytes(log)


if __name__ == "__main__":
    main()

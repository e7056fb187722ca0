#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes tests/corpus/references and tests/corpus/verify-policy: documents as `predict --json` and people write them, and
twins that must be refused. Their names begin with ok- or say what is wrong.
"""

import base64
import copy
import hashlib
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
VIEW = ("4", "9", "11", "12", "13")


def event(pcr, kind, data, hashed, banks):
    return {"payload_pcr": pcr, "register": 8, "kind": "payload", "type": kind, "data": data.hex(), "text": "some text",
            "digests": {bank: hashlib.new(bank, hashed).hexdigest() for bank in banks}}


def view(events, banks):
    values = {}
    for entry in events:
        if entry["kind"] not in ("payload", "firmware"):
            continue
        row = values.setdefault(str(entry["payload_pcr"]), {bank: bytes(hashlib.new(bank).digest_size) for bank in banks})
        for bank in banks:
            row[bank] = hashlib.new(bank, row[bank] + bytes.fromhex(entry["digests"][bank])).digest()
    return {pcr: {bank: value.hex() for bank, value in row.items()} for pcr, row in values.items()}


def reference(kind, banks=("sha256", "sha1")):
    events = [{**event(8, "EV_EVENT_TAG", b"open", b"open", banks), "kind": "open", "payload_pcr": None},
              event(4, "EV_EFI_BOOT_SERVICES_APPLICATION", b"where it lay", b"image", banks),
              event(11, "EV_IPL", ".linux\0".encode("utf-16-le"), b".linux\0", banks),
              event(11, "EV_IPL", ".linux\0".encode("utf-16-le"), b"kernel", banks),
              event(9, "0x0000000d", b"initrd", b"initrd", banks),
              event(12, "EV_IPL", b"", b"", banks)]
    if kind == "firmware":
        events[0] = {**event(4, "EV_EFI_ACTION", b"Calling", b"Calling", banks), "kind": "firmware"}
    return {"version": 1, "kind": kind, "missing": "", "payload_sha256": hashlib.sha256(b"file").hexdigest(),
            "load_options_sha256": hashlib.sha256(b"").hexdigest(), "initrd_sha256": [hashlib.sha256(b"i").hexdigest()],
            "about": {"kernel": "6.1", "os": "Debian", "command_line": "quiet", "signer": None}, "banks": list(banks),
            "events": events, "pcrs" if kind == "firmware" else "payload_view": view(events, banks)}


def changed(document, path, value):
    twin = copy.deepcopy(document)
    place = twin
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return twin


def references():
    good = reference("kexec")
    yield "ok-kexec", good
    yield "ok-firmware", reference("firmware")
    yield "ok-one-bank", reference("kexec", ("sha384",))
    yield "ok-no-about", changed(good, ("about",), None)
    yield "ok-unknown-member", {**good, "more": [{}]}
    for name in ("version", "kind", "payload_sha256", "load_options_sha256", "initrd_sha256", "banks", "events", "payload_view"):
        yield f"missing-{name}", changed(good, (name,), None)
        yield f"wrong-kind-{name}", changed(good, (name,), True)
    for name in ("payload_pcr", "type", "data", "digests"):
        yield f"missing-event-{name}", changed(good, ("events", 2, name), None)
        yield f"wrong-kind-event-{name}", changed(good, ("events", 2, name), True)
    yield "view-differs", changed(good, ("payload_view", "11", "sha256"), "00" * 32)
    yield "view-lacks-a-pcr", changed(good, ("payload_view", "11"), None)
    yield "view-lacks-a-bank", changed(good, ("payload_view", "11", "sha1"), None)
    yield "event-lacks-a-bank", changed(good, ("events", 2, "digests", "sha1"), None)
    yield "event-kind", changed(good, ("events", 2, "kind"), "else")
    yield "odd-hex", changed(good, ("events", 2, "data"), "abc")
    yield "initrds-17", changed(good, ("initrd_sha256",), good["initrd_sha256"] * 17)
    yield "events-5000", changed(good, ("events",), [{}] * 5000)


HEAD = {"version": 1, "kind": "mkexec-policy"}


def policies():
    digest = hashlib.sha256(b"x").hexdigest()
    members = {"kexec": False, "most_hops": 2, "aborted_hops": False, "unknown_kernels": True, "first_boot_pcrs": [11],
               "kernels": [digest], "ak_names": ["000b" + digest], "issuers": [base64.b64encode(b"der").decode()],
               "plain_kexec": "excluded", "pcrs": {"sha256": {"7": [digest]}}, "weak_banks": True, "unknown_banks": True,
               "unexplained_pcrs": [10, 15]}
    yield "ok-nothing", HEAD
    yield "ok-all", {**HEAD, **members}
    for name, value in members.items():
        yield f"ok-{name}", {**HEAD, name: value}
        yield f"wrong-kind-{name}", {**HEAD, name: None}
    yield "unknown", {**HEAD, "kexecs": False}
    yield "pcr-8-unexplained", {**HEAD, "unexplained_pcrs": [8]}
    yield "pcr-24", {**HEAD, "pcrs": {"sha256": {"24": [digest]}}}


def write(folder, documents):
    folder.mkdir(exist_ok=True)
    for name, document in documents:
        text = json.dumps(document)
        (folder / f"{name}.json").write_text(text)
        if name in ("ok-kexec", "ok-all"):
            (folder / "twice.json").write_text(text[:-1] + ', "\\u006bind": "kexec"}')
            (folder / "truncated.json").write_text(text[:len(text) // 2])


if __name__ == "__main__":
    write(HERE / "references", references())
    write(HERE / "verify-policy", policies())

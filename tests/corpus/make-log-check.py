#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes logs into tests/corpus/log-check: a boot that breaks no rule, a twin for each rule that it could break, and logs of
several kinds that belong together. Run it after changing it; what it writes is in the tree. tests/integration/test_log_check.py
takes its logs from here, too."""

import hashlib
import importlib.util
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("show", HERE / "make-log-show.py")
show = importlib.util.module_from_spec(spec)
spec.loader.exec_module(show)

SEPARATOR = b"\n==LOG==\n"
BANKS = {"sha1": 4, "sha256": 0xB}
EV_SEPARATOR, EV_IPL, EV_NO_ACTION, EV_S_CRTM_VERSION, EV_S_CRTM_CONTENTS = 4, 0xD, 3, 8, 7
HCRTM = 0x80000010
CALLING, INVOCATION = b"Calling EFI Application from Boot Option", b"Exit Boot Services Invocation"


def event(pcr, kind, data, hashed=None, banks=tuple(BANKS)):
    """One TCG_PCR_EVENT2 whose digests are of other bytes than its data, if wanted."""
    digests = b"".join(struct.pack("<H", BANKS[bank]) + hashlib.new(bank, data if hashed is None else hashed).digest()
                       for bank in banks)
    return struct.pack("<III", pcr, kind, len(banks)) + digests + struct.pack("<I", len(data)) + data


SECURE_BOOT = show.variable(show.GLOBAL, "SecureBoot", b"\x01")
SEPARATORS = [event(pcr, EV_SEPARATOR, bytes(4)) for pcr in range(8)]
BOOT = [
    event(0, EV_S_CRTM_VERSION, show.utf16("1.0\0")),
    event(0, show.BLOB, struct.pack("<QQ", 0x820000, 0xE0000), b"a firmware volume"),
    event(7, show.CONFIG, SECURE_BOOT),
    event(7, show.CONFIG, show.variable(show.GLOBAL, "PK", b"")),
    event(1, show.BOOT, show.variable(show.GLOBAL, "BootOrder", b"\x01\0\x0a\0"), b"\x01\0\x0a\0"),
    event(4, show.ACTION, CALLING),
    *SEPARATORS,
    event(4, show.APPLICATION, show.image(show.path()), b"Authenticode"),
    event(8, EV_IPL, b"grub_cmd: linux /vmlinuz\0", b"linux /vmlinuz"),
    event(9, EV_IPL, b"/vmlinuz\0", b"a kernel"),
    event(5, show.ACTION, INVOCATION),
]
END = len(BOOT)


def boot(*changes):
    """The boot with (place, event) put in, or (place, None) taken out."""
    events = list(BOOT)
    for place, what in sorted(changes, key=lambda change: -change[0]):
        events[place:place + (what is None)] = [] if what is None else [what]
    return show.header(*BANKS.values()) + b"".join(events)


def systemd_record(word, digest=None, pcr=11, kind="phase"):
    digests = [{"hashAlg": bank, "digest": hashlib.new(bank, (digest or word).encode()).hexdigest()} for bank in BANKS]
    return b"\x1e" + json.dumps({"pcr": pcr, "digests": digests, "content_type": "systemd",
                                 "content": {"string": word, "eventType": kind}}).encode() + b"\n"


def ima_record(name, violation=False):
    data = struct.pack("<I", 5 + 1 + 20) + b"sha1:\0" + bytes(20) + struct.pack("<I", len(name) + 1) + name.encode() + b"\0"
    digest = bytes(20) if violation else hashlib.sha1(data).digest()
    return struct.pack("<I", 10) + digest + struct.pack("<I", 6) + b"ima-ng" + struct.pack("<I", len(data)) + data


SYSTEMD = systemd_record("enter-initrd") + systemd_record("leave-initrd")
IMA = ima_record("boot_aggregate") + ima_record("/bin/a") + ima_record("/bin/b", violation=True) + ima_record("/bin/c")

# name: (log, verdict, a word of the remark or the reason's text)
RULES = {
    "boot": (boot(), "ok", ""),
    "digest-of-other-data": (boot((END, event(5, show.ACTION, b"text", b"other"))), "mismatch", "its sha1 digest"),
    "separator-5-bytes": (boot((END, event(12, EV_SEPARATOR, bytes(5)))), "mismatch", "hasn't 4 bytes"),
    "separator-error": (boot((END, event(12, EV_SEPARATOR, b"\1\0\0\0"))), "mismatch", "error separator"),
    "separator-unknown": (boot((END, event(12, EV_SEPARATOR, b"abcd"))), "mismatch", "no firmware writes"),
    "separator-wbcl": (boot((END, event(12, EV_SEPARATOR, b"WBCL"))), "ok", ""),
    "separator-again": (boot((END, SEPARATORS[7])), "mismatch", "second separator"),
    "separator-retyped": (boot((6 + 7, None), (6 + 7, event(7, EV_IPL, b"a menu", bytes(4))), (END, event(7, show.CONFIG, SECURE_BOOT))),
                          "mismatch", "its digest is that of a separator"),
    "separator-none": (boot((6 + 0, None)), "ok", "separator-none"),
    "action-retyped": (boot((END, event(5, EV_IPL, b"a menu", INVOCATION))), "mismatch", "action of firmware's"),
    "variable-late": (boot((END, event(7, show.CONFIG, SECURE_BOOT))), "mismatch", "behind the separator"),
    "variable-again": (boot((4, event(7, show.CONFIG, SECURE_BOOT))), "mismatch", "second time"),
    "version-of-other-text": (boot((0, None), (0, event(0, EV_S_CRTM_VERSION, b"1.0", b"2.0"))), "ok", "crtm-version"),
    "fit-of-zeros": (boot((2, event(0, EV_S_CRTM_CONTENTS, b"FIT Type 0x2D", bytes(4)))), "ok", "separator-like"),
    "no-action-digest": (boot((END, event(3, EV_NO_ACTION, b"something", b"x"))), "ok", "no-action-digest"),
    "locality-elsewhere": (boot((END, event(3, EV_NO_ACTION, b"StartupLocality\0\3", b"x"))), "ok", "locality-elsewhere"),
    "hcrtm-text": (boot((0, event(0, HCRTM, b"hcrtm", b"x"))), "ok", "hcrtm-text"),
    "debug-mode": (boot((4, event(7, show.ACTION, b"UEFI Debug Mode"))), "ok", "debug-mode"),
    "old-shim": (boot((END, event(7, show.AUTHORITY, show.variable(show.SHIM, "Shim", b"0\x82\0\3abc") + b"\xaf" * 6, b"x"))),
                 "ok", "shim-authority"),
    "not-old-shim": (boot((END, event(7, show.AUTHORITY, show.variable(show.SHIM, "Shim", b"0\x82\0\3abc") + b"\xaf" * 5, b"x"))),
                     "mismatch", "its sha1 digest"),
    "body-malformed": (boot((2, event(0, show.BLOB, b"12345678", b"x"))), "ok", ""),
    "bank-missing": (boot((END, event(11, EV_IPL, b"x", banks=("sha256",)))), "ok", "lacking"),
    "padding": (boot() + bytes(100), "ok", "padding"),
    "locality-late": (boot((2, event(0, EV_NO_ACTION, b"StartupLocality\0\3", b"x"))), "malformed", "after PCR 0 was measured"),
    "cut-off": (boot()[:-1], "malformed", "event 18 at offset"),
}


def logs():
    for name, (log, _, _) in RULES.items():
        yield name, log
    yield "three-kinds", SEPARATOR.join((boot(), SYSTEMD, IMA))
    yield "systemd-digest", SEPARATOR.join((boot(), systemd_record("enter-initrd", "leave-initrd")))
    yield "systemd-cut", SEPARATOR.join((boot(), SYSTEMD[:-30], IMA))
    yield "ima-cut", SEPARATOR.join((IMA[:-1], boot()[:-1]))
    yield "two-of-a-kind", SEPARATOR.join((boot(), boot()))
    yield "systemd-nvpcr", SYSTEMD + systemd_record("x").replace(b'"pcr": 11', b'"nv_index": 30000')
    yield "cc", show.header(0xB, pcr=1) + event(1, EV_SEPARATOR, bytes(4), banks=("sha256",)) * 2
    hop = next((HERE / "hop").glob("honest*"), None)
    if hop:
        yield "hops", SEPARATOR.join((hop.read_bytes(), SYSTEMD, SYSTEMD, SYSTEMD, IMA))


if __name__ == "__main__":
    folder = HERE / "log-check"
    folder.mkdir(exist_ok=True)
    for name, data in logs():
        (folder / f"{name}.bin").write_bytes(data)

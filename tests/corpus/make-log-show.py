#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes logs into tests/corpus/log-show: every kind of body, each cut off, each with bytes behind it, and text that
wants to be more than text. Run it after changing it; what it writes is in the tree. tests/integration/test_log_show.py
takes its logs from here, too."""

import hashlib
import pathlib
import struct
import uuid

GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
SECURITY = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
SHIM = uuid.UUID("605dab50-e046-4300-abb6-3dd810dd8b23")
X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
SHA256 = uuid.UUID("c1c41626-504c-4092-aca9-41f936934328")
OWNER = uuid.UUID("11111111-2222-3333-4444-555555555555")
DEVICES = uuid.UUID("b9c2b4f4-bf5f-462d-8adf-c5c70ac35dad")
ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")

EV_POST_CODE, EV_NO_ACTION, EV_SEPARATOR, EV_ACTION, EV_EVENT_TAG, EV_S_CRTM_CONTENTS, EV_S_CRTM_VERSION, EV_IPL = \
    1, 3, 4, 5, 6, 7, 8, 0xD
CONFIG, BOOT, APPLICATION, DRIVER, GPT, ACTION, BLOB, HANDOFF, BLOB2, HANDOFF2, BOOT2 = \
    0x80000001, 0x80000002, 0x80000003, 0x80000004, 0x80000006, 0x80000007, 0x80000008, 0x80000009, 0x8000000A, \
    0x8000000B, 0x8000000C
AUTHORITY, SPDM_BLOB, SPDM_CONFIG, DEVICE_POLICY, DEVICE_AUTHORITY = 0x800000E0, 0x800000E1, 0x800000E2, 0x800000E3, 0x800000E4
HCRTM = 0x80000010
NEWER = (HCRTM, SPDM_BLOB, SPDM_CONFIG, DEVICE_POLICY, DEVICE_AUTHORITY)  # types that tpm2_eventlog 5.4 doesn't know

# What text wants to be: the next event, the end of a string, a command for the terminal, text that runs backwards.
NASTY = 'x\n- EventNum: 1\n  PCRIndex: 7\n  Event: "Yes"\r\n\t"}],"events":[{"pcr":7\\\\"\\\x1b[2J\x07\x7f\x85\u2028\u202e\ufeff\x00y'


def header(*banks, pcr=0):
    sizes = {4: 20, 0xB: 32, 0xC: 48, 0xD: 64, 0x12: 32}
    data = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(banks))
    data += b"".join(struct.pack("<HH", bank, sizes[bank]) for bank in banks) + b"\x03abc"
    return struct.pack("<II", pcr, 3) + bytes(20) + struct.pack("<I", len(data)) + data


NAMES = {4: "sha1", 0xB: "sha256", 0xC: "sha384", 0xD: "sha512"}


def event(pcr, kind, data, banks=(4, 0xB)):
    digests = b"".join(struct.pack("<H", bank) + (
        bytes(hashlib.new(NAMES[bank]).digest_size) if kind == EV_NO_ACTION
        else hashlib.new(NAMES[bank], data).digest()) for bank in banks)
    return struct.pack("<III", pcr, kind, len(banks)) + digests + struct.pack("<I", len(data)) + data


def event_sha1(pcr, kind, data):
    digest = bytes(20) if kind == EV_NO_ACTION else hashlib.sha1(data).digest()
    return struct.pack("<II", pcr, kind) + digest + struct.pack("<I", len(data)) + data


def utf16(text):
    return text.encode("utf-16-le", "surrogatepass")


def variable(guid, name, data):
    return guid.bytes_le + struct.pack("<QQ", len(utf16(name)) // 2, len(data)) + utf16(name) + data


def signature_list(kind, *entries, head=b""):
    size = 16 + len(entries[0])
    return kind.bytes_le + struct.pack("<III", 28 + len(head) + size * len(entries), len(head), size) + head + \
        b"".join(OWNER.bytes_le + entry for entry in entries)


def node(kind, subtype, data):
    return struct.pack("<BBH", kind, subtype, 4 + len(data)) + data


def path(file="\\EFI\\BOOT\\BOOTX64.EFI"):
    disk = struct.pack("<IQQ", 1, 0x800, 0x100000) + OWNER.bytes_le + b"\x02\x02"
    return node(2, 1, struct.pack("<II", 0x0A0341D0, 0)) + node(1, 1, b"\0\x03") + node(4, 1, disk) + \
        node(4, 4, utf16(file + "\0")) + node(0x7F, 0xFF, b"")


def load_option(description, paths, optional=b"opt"):
    return struct.pack("<IH", 1, len(paths)) + utf16(description + "\0") + paths + optional


def image(paths):
    return struct.pack("<QQQQ", 0x7E000000, 0x12345, 0, len(paths)) + paths


def partition(name):
    return ESP.bytes_le + OWNER.bytes_le + struct.pack("<QQQ", 2048, 4095, 1) + utf16(name).ljust(72, b"\0")[:72]


def gpt(*names):
    head = b"EFI PART" + struct.pack("<IIIIQQQQ", 0x10000, 92, 0x1234, 0, 1, 9999, 34, 9966) + OWNER.bytes_le + \
        struct.pack("<QIII", 2, 128, 128, 0x5678)
    return head + struct.pack("<Q", len(names)) + b"".join(map(partition, names))


def tagged(tag, payload):
    return struct.pack("<II", tag, len(payload)) + payload


def counted(text):
    return bytes([len(text) + 1]) + text.encode() + b"\0"


def manifest(version):
    data = f"SP800-155 Event{version}".encode().ljust(16, b"\0")[:16] + struct.pack("<I", 0x1234) + OWNER.bytes_le
    data += b"".join(map(counted, ("maker", "model", "1.0", "firm"))) + struct.pack("<I", 7) + counted("2.0")
    if version == 3:
        data += struct.pack("<II", 1, 16) + b"https://x.test/r" + struct.pack("<II", 0, 4) + b"\xff\xfe\xfd\xfc"
    return data


def tables(*pairs):
    return struct.pack("<Q", len(pairs)) + b"".join(guid.bytes_le + struct.pack("<Q", at) for guid, at in pairs)


# SPDM (DMTF DSP0274): MeasurementHashAlgo, types of measurements, SPDM_MEASUREMENT_BLOCK
SPDM_SHA256, SPDM_FIRMWARE, SPDM_VERSION_OF_FIRMWARE_RAW = 2, 1, 0x86
PCI = struct.pack("<HHHHB3sHH", 0, 16, 0x8086, 0x1592, 2, b"\x00\x00\x02", 0x8086, 0x0001)


def measurement(index, kind, value):
    return struct.pack("<BBHBH", index, 1, 3 + len(value), kind, len(value)) + value


# DEVICE_SECURITY_EVENT_DATA and -DATA2 of PFP 1.06, as edk2's UefiTcgPlatform.h has them
def device_event(block, context=PCI):
    return b"SPDM Device Sec\0" + struct.pack("<HHII", 1, 28 + len(block) + len(context), SPDM_SHA256, 1) + block + context


def device_event2(sub_type, sub, context=PCI, device_type=1, auth_state=0, where=None):
    where = path() if where is None else where
    length = 20 + 8 + len(where) + len(sub) + len(context)
    return b"SPDM Device Sec2" + struct.pack("<HBBIIIIQQ", 2, auth_state, 0, length, device_type, sub_type, len(sub),
                                             0x1122334455667788, len(where)) + where + sub + context


def measurements(*blocks):
    return struct.pack("<HBBI", 0x12, len(blocks), 0, SPDM_SHA256) + b"".join(blocks)


def certificates(chain):
    return struct.pack("<HBBI", 0x12, 3, 0, 1) + chain


FIRMWARE = measurement(1, SPDM_FIRMWARE, b"\xaa" * 32)
NONCE = b"NvIndexDynamic \0" + struct.pack("<H6xQH", 1, 0x1122334455667788, 14) + b"SPDM CHALLENGE" + \
    struct.pack("<H", 32) + b"\xbb" * 32

# (PCR, type, data, whether bytes cut off its end, and bytes behind it, make it malformed)
BODIES = [
    (0, EV_NO_ACTION, b"StartupLocality\0\x03", True),
    (0xFFFFFFFF, EV_NO_ACTION, b"SP800-155 Event\0" + struct.pack("<I", 9) + OWNER.bytes_le, False),
    (0xFFFFFFFF, EV_NO_ACTION, manifest(2), False),
    (0xFFFFFFFF, EV_NO_ACTION, manifest(3), False),
    (0, EV_NO_ACTION, b"Something else\0\0\x01\x02", False),
    (0, EV_S_CRTM_VERSION, utf16("1.23\0"), False),
    (0, EV_S_CRTM_CONTENTS, struct.pack("<QQ", 0xFFF00000, 0x1000), False),
    (0, EV_POST_CODE, b"ACPI DATA", False),
    (0, BLOB, struct.pack("<QQ", 0x820000, 0xE0000), True),
    (0, BLOB2, b"\x08FV_MAIN\0" + struct.pack("<QQ", 0x900000, 0xC00000), True),
    (1, HANDOFF, tables((uuid.UUID("eb9d2d31-2d88-11d3-9a16-0090273fc14d"), 0x7FFE0000)), True),
    (1, HANDOFF2, b"\x05ACPI\0" + tables((OWNER, 0x7FFD0000)), True),
    (7, CONFIG, variable(GLOBAL, "SecureBoot", b"\x01"), True),
    (7, CONFIG, variable(GLOBAL, "PK", b""), False),
    (7, CONFIG, variable(GLOBAL, "KEK", signature_list(X509, b"0\x82certificate")), True),
    (7, CONFIG, variable(SECURITY, "db", signature_list(X509, b"0\x82abc") + signature_list(X509, b"0\x82de")), True),
    (7, CONFIG, variable(SECURITY, "dbx", signature_list(SHA256, bytes(32), b"\xff" * 32)), True),
    (7, CONFIG, variable(OWNER, "Unknown\u00e9", b"\x00\x01"), True),
    (1, BOOT, variable(GLOBAL, "BootOrder", b"\x01\0\x0a\0"), True),
    (1, BOOT, variable(GLOBAL, "Boot0001", load_option("Linux", path())), True),
    (1, BOOT2, variable(GLOBAL, "Boot000A", load_option("Other", path("\\a.efi"), b"")), True),
    (7, EV_SEPARATOR, bytes(4), True),
    (4, EV_SEPARATOR, b"\x01\0\0\0", True),
    (12, EV_SEPARATOR, b"WBCL", True),
    (7, AUTHORITY, variable(SECURITY, "db", OWNER.bytes_le + b"0\x82abc"), True),
    (7, AUTHORITY, variable(SHIM, "SbatLevel", b"sbat,1,2022052400\ngrub,2\n"), True),
    (14, AUTHORITY, variable(SHIM, "MokListTrusted", b"\x01"), True),
    (4, ACTION, b"Calling EFI Application from Boot Option", False),
    (5, GPT, gpt("ESP", "root"), True),
    (4, APPLICATION, image(path()), True),
    (2, DRIVER, image(b""), True),
    (8, EV_IPL, b"grub_cmd: linux /vmlinuz 'a b' \"c\"\0", False),
    (11, EV_IPL, utf16(".linux\0"), False),
    (12, EV_IPL, utf16("quiet splash\0"), False),
    (12, EV_EVENT_TAG, tagged(0x8F3B22ED, utf16("quiet\0")), True),
    (9, EV_EVENT_TAG, tagged(0x12345678, b"\xff\x00\x01"), True),
    (1, EV_ACTION, b"Entering ROM Based Setup", False),
    (1, 0x9, b"\x01\x02\x03", False),
    (0, 0x80001234, b"text of an unknown type", False),
    (0, HCRTM, b"HCRTM", False),
    (2, SPDM_BLOB, device_event(FIRMWARE), True),
    (2, SPDM_BLOB, device_event2(0, measurements(FIRMWARE, measurement(6, SPDM_VERSION_OF_FIRMWARE_RAW, b"1.2.3"))), True),
    (3, SPDM_CONFIG, device_event2(1, certificates(b"0\x82chain"), auth_state=0xFF), True),
    (3, SPDM_CONFIG, device_event2(0x80000000, b"\x01\x02", b"", device_type=7, auth_state=9, where=b""), False),
    (7, DEVICE_POLICY, variable(DEVICES, "devdb", signature_list(X509, b"0\x82abc")), True),
    (7, DEVICE_AUTHORITY, variable(DEVICES, "devdb", OWNER.bytes_le + b"0\x82abc"), True),
    (0x1C40200, EV_NO_ACTION, b"NvIndexInstance\0" + struct.pack("<H6x", 1) + device_event2(1, certificates(b"0\x82")), True),
    (0x1C40201, EV_NO_ACTION, NONCE, True),
]

NASTY_BODIES = [
    (0, EV_POST_CODE, NASTY.encode()),
    (0, EV_S_CRTM_VERSION, utf16(NASTY)),
    (0, EV_NO_ACTION, "\n\x1b[2J\"\\\u202eab".encode()[:16] + b"\0"),
    (0, BLOB2, b"\x10" + NASTY.encode()[:16] + struct.pack("<QQ", 1, 2)),
    (4, ACTION, NASTY.encode()),
    (4, ACTION, b"\xff\xfe\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80"),
    (8, EV_IPL, NASTY.encode()),
    (8, EV_IPL, ("grub_cmd: " + NASTY).encode()),
    (11, EV_IPL, utf16(NASTY + "\0")),
    (11, EV_IPL, utf16("a\ud800b\udc00\n\0")),
    (12, EV_EVENT_TAG, tagged(0x8F3B22ED, utf16(NASTY))),
    (7, CONFIG, variable(GLOBAL, NASTY, b"\x01")),
    (7, CONFIG, variable(GLOBAL, "SecureBoot\nx: y", b"\x01")),
    (7, AUTHORITY, variable(SHIM, "SbatLevel", NASTY.encode())),
    (1, BOOT, variable(GLOBAL, "Boot0001", load_option(NASTY.replace("\0", ""), path(NASTY.replace("\0", ""))))),
    (5, GPT, gpt("a\n\"\\\x1b[2J\u202e: b")),
    (4, APPLICATION, image(path("\\\n\"'\x1b]0;x\x07\u2029"))),
    (1, EV_SEPARATOR, b"\n\"\x1b\\"),
    (7, CONFIG, variable(GLOBAL, "a\ud800b\udc00\n", b"\x01")),
]


def log(events, banks=(4, 0xB)):
    return header(*banks) + b"".join(event(*each[:3], banks=banks) for each in events)


def logs():
    yield "bodies", log(BODIES)
    yield "bodies-sha1", b"".join(event_sha1(*each[:3]) for each in BODIES)
    yield "bodies-cut", log([(pcr, kind, data[:-1]) for pcr, kind, data, strict in BODIES if strict and data])
    yield "bodies-longer", log([(pcr, kind, data + b"\x01") for pcr, kind, data, strict in BODIES if strict])
    yield "bodies-empty", log([(pcr, kind, b"") for pcr, kind, _, _ in BODIES])
    yield "nasty", log(NASTY_BODIES)
    yield "nasty-sha1", b"".join(event_sha1(*each) for each in NASTY_BODIES)
    yield "nasty-systemd", b'\x1e{"pcr":11,"digests":[{"hashAlg":"sha256","digest":"' + b"00" * 32 + \
        b'"}],"content_type":"systemd","content":{"string":"a\\\\n\\n\\u001b[2J\\u202e\\"\\\\\\\\","eventType":' \
        b'"x\\n- EventNum: 9\\u001b","bootId":"\\u0085"}}\n'
    yield "nasty-ima", struct.pack("<I", 10) + bytes(20) + struct.pack("<I", 6) + b"ima-ng" + \
        struct.pack("<I", 4 + 26 + 4 + 11) + struct.pack("<I", 26) + b"sha1:\0" + bytes(20) + \
        struct.pack("<I", 11) + b"/a\n\x1b[2J\"\\b\0"


if __name__ == "__main__":
    folder = pathlib.Path(__file__).resolve().parent / "log-show"
    folder.mkdir(exist_ok=True)
    for name, data in logs():
        (folder / f"{name}.bin").write_bytes(data)

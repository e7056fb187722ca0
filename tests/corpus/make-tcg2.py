#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the corpora of fuzz-pe, fuzz-submit-command and fuzz-hash-log-extend: small files, one idea each.
Run it after changing it; what it writes is in the tree."""

import hashlib
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent


def write(corpus, name, data):
    (HERE / corpus).mkdir(exist_ok=True)
    (HERE / corpus / f"{name}.bin").write_bytes(data)


# ---- PE ----

PE_AT, OPTIONAL_AT = 0x40, 0x58


def pe(plus=True, sections=None, directories=16, size_of_headers=0x200, changes=(), tail=b""):
    if sections is None:
        sections = [(b".text", 0x1000, 0x180, 0x200, 0x200), (b".data", 0x2000, 0x800, 0x400, 0x200)]
    optional = bytearray(112 if plus else 96)
    struct.pack_into("<H", optional, 0, 0x20B if plus else 0x10B)
    struct.pack_into("<I", optional, 16, 0x1000)
    struct.pack_into("<II", optional, 32, 0x1000, 0x200)
    struct.pack_into("<H", optional, 44, 3)
    struct.pack_into("<II", optional, 56, 0x3000, size_of_headers)
    struct.pack_into("<HH", optional, 68, 10, 0x100)
    struct.pack_into("<I", optional, len(optional) - 4, directories)
    optional += bytes(8 * min(directories, 16))
    head = bytearray(b"MZ".ljust(PE_AT, b"\0"))
    struct.pack_into("<I", head, 0x3C, PE_AT)
    head += struct.pack("<4sHHIIIHH", b"PE\0\0", 0x8664, len(sections), 0, 0, 0, len(optional), 0x22)
    head += optional
    for name, address, size, offset, raw in sections:
        head += struct.pack("<8sIIIIIIHHI", name, size, address, raw, offset, 0, 0, 0, 0, 0x60000020)
    data = bytearray(head.ljust(0x200, b"\0"))
    data += bytes(i * 7 & 0xFF for i in range(0x400)) + tail
    for offset, value in changes:
        struct.pack_into("<I", data, offset, value)
    return bytes(data)


def make_pe():
    security = OPTIONAL_AT + 112 + 32
    table = OPTIONAL_AT + 112 + 128
    write("pe", "plain", pe())
    write("pe", "pe32", pe(plus=False))
    write("pe", "no-directories", pe(directories=0))
    write("pe", "directories-lie", pe(directories=0xFFFFFFFF))
    write("pe", "four-directories", pe(directories=4))
    write("pe", "five-directories", pe(directories=5))
    write("pe", "trailing-bytes", pe(tail=b"behind the sections"))
    write("pe", "certificates", pe(tail=b"certificate data", changes=[(security, 0x600), (security + 4, 16)]))
    write("pe", "certificates-over-section", pe(changes=[(security, 0x5F0), (security + 4, 0x10)]))
    write("pe", "certificates-beyond", pe(changes=[(security, 0x600), (security + 4, 1)]))
    write("pe", "overlap", pe(changes=[(table + 8, 0x1001)]))
    write("pe", "raw-overlap", pe(changes=[(table + 60, 0x200)]))
    write("pe", "raw-over-headers", pe(changes=[(table + 20, 0)]))
    write("pe", "raw-wraps", pe(changes=[(table + 20, 0xFFFFFE00)]))
    write("pe", "huge-section", pe(changes=[(table + 8, 0xFFFFFFFF)]))
    write("pe", "no-raw-data", pe(changes=[(table + 16, 0), (table + 56, 0)]))
    write("pe", "no-sections", pe(sections=[]))
    write("pe", "same-names", pe(sections=[(b".initrd!", 0x1000, 16, 0x200, 16), (b".initrd!", 0x2000, 0, 0x300, 16)]))
    write("pe", "headers-short", pe(size_of_headers=0x100))
    write("pe", "headers-long", pe(size_of_headers=0x10000))
    write("pe", "lfanew-end", pe(changes=[(0x3C, 0x600)]))
    write("pe", "lfanew-overlaps-dos", b"MZ" + bytes(58) + struct.pack("<I", 0) + bytes(200))
    write("pe", "cut", pe()[: OPTIONAL_AT + 60])
    write("pe", "te", b"VZ\x64\x86" + bytes(60))
    write("pe", "empty", b"")


# ---- SubmitCommand ----

PASSWORD = bytes.fromhex("00000009400000090000010000")
SUCCESS = bytes.fromhex("80010000000a00000000")


def command(code, rest=b"", tag=0x8001):
    return struct.pack(">HII", tag, 10 + len(rest), code) + rest


def opened(handle):
    return struct.pack(">HIII", 0x8001, 14, 0, handle)


def calls(*pairs):
    return b"".join(struct.pack("<H", len(x)) + x for pair in pairs for x in pair)


def digests(*algs):
    ids = {"sha1": 4, "sha256": 11, "sha384": 12}
    return struct.pack(">I", len(algs)) + b"".join(
        struct.pack(">H", ids[a]) + hashlib.new(a, b"abc").digest() for a in algs)


def make_submit():
    read = command(0x17E, bytes.fromhex("00000002000403ffffff000b03000800"))
    start = command(0x176, bytes.fromhex("4000000740000007") + struct.pack(">H", 16) + bytes(16) +
                    bytes.fromhex("0000010010000b"))
    policy = command(0x17F, bytes.fromhex("0300000000000000000100" "0b03000100"))
    extend = command(0x182, struct.pack(">I", 9) + PASSWORD + digests("sha256", "sha1", "sha384"), 0x8002)
    event = command(0x13C, struct.pack(">I", 9) + PASSWORD + b"\0\3abc", 0x8002)
    flush = command(0x165, bytes.fromhex("03000000"))
    write("submit-command", "pcr-read", calls((read, b"")))
    write("submit-command", "extend-and-read", calls((extend, b""), (read, b""), (event, b""), (read, b"")))
    write("submit-command", "extend-one-bank",
          calls((command(0x182, struct.pack(">I", 9) + PASSWORD + digests("sha1"), 0x8002), b"")))
    write("submit-command", "session", calls((start, opened(0x03000000)), (policy, SUCCESS), (flush, SUCCESS)))
    write("submit-command", "session-left-open", calls((start, opened(0x03000000)), (start, opened(0x03000001))))
    write("submit-command", "handle-twice", calls((start, opened(0x03000000)), (start, opened(0x03000000))))
    write("submit-command", "sequence",
          calls((command(0x186, bytes.fromhex("0000000b")), opened(0x80000000)),
                (command(0x13E, bytes.fromhex("80000000") + PASSWORD + bytes.fromhex("000040000007"), 0x8002), SUCCESS)))
    write("submit-command", "clear", calls((command(0x126, bytes.fromhex("4000000c") + PASSWORD, 0x8002), SUCCESS)))
    write("submit-command", "nv-write", calls((command(0x137, bytes.fromhex("0180000001800000") + PASSWORD, 0x8002), b"")))
    write("submit-command", "answer-cut", calls((command(0x17B, b"\0\x10"), SUCCESS[:9])))
    write("submit-command", "answer-empty", calls((command(0x17B, b"\0\x10"), b"")))
    write("submit-command", "answer-size-lies", calls((command(0x17B, b"\0\x10"), SUCCESS + b"x")))
    write("submit-command", "opened-without-handle", calls((start, SUCCESS), (flush, SUCCESS)))
    write("submit-command", "bad-tag", calls((command(0x181, tag=0x8003), b"")))
    write("submit-command", "size-lies", calls((command(0x181) + b"x", b"")))
    write("submit-command", "four-sessions",
          calls((command(0x17A, struct.pack(">I", 36) + PASSWORD[4:] * 4, 0x8002), SUCCESS)))
    write("submit-command", "policy-by-audit-session",
          calls((start, opened(0x03000000)), (start, opened(0x02000001)),
                (command(0x17F, bytes.fromhex("03000000" "00000009" "02000001" "0000" "41" "0000" "0000" "00000000"),
                         0x8002), SUCCESS)))


# ---- HashLogExtendEvent ----


def hlee(pcr, kind, data=b"abc", event=b"text", flags=0, how=0, adjust=0, header=14):
    return (struct.pack("<BBbBBI", flags, how, adjust, header, pcr, kind) + bytes([len(data)]) + data +
            bytes([len(event)]) + event)


def make_hlee():
    ipl = 0xD
    write("hash-log-extend", "plain", hlee(11, ipl) + hlee(12, ipl, b""))
    write("hash-log-extend", "extend-only", hlee(9, ipl, flags=1) + hlee(9, ipl, how=2))
    write("hash-log-extend", "no-action", hlee(0, 3, how=1) + hlee(24, 3) + hlee(0, 3, flags=16))
    write("hash-log-extend", "startup-locality", hlee(0, 3, event=b"StartupLocality\0\3") + hlee(0, 8))
    write("hash-log-extend", "no-action-only", hlee(0, 3, flags=1))
    write("hash-log-extend", "not-pe", hlee(4, 0x80000003, flags=16))
    write("hash-log-extend", "null-data", hlee(4, ipl, how=1))
    write("hash-log-extend", "pcr-24", hlee(24, ipl) + hlee(255, ipl))
    write("hash-log-extend", "size-short", hlee(9, ipl, event=b"", adjust=-1))
    write("hash-log-extend", "size-other", hlee(9, ipl, adjust=-1) + hlee(9, ipl, adjust=1))
    write("hash-log-extend", "header-size", hlee(9, ipl, header=0) + hlee(9, ipl, header=255))
    write("hash-log-extend", "drtm", hlee(17, 0x401) + hlee(0, 0x80000010) + hlee(23, ipl))
    write("hash-log-extend", "full", hlee(9, ipl, event=bytes(250)) * 9 + hlee(9, ipl, event=b""))
    write("hash-log-extend", "final-full", hlee(9, ipl, how=2, event=bytes(200)) * 4)
    write("hash-log-extend", "too-many", hlee(9, ipl, b"", b"") * 66)
    for name, tag in (("open", 0xDF73B5F4), ("close", 0xC9EBF0A6), ("abort", 0x9AE6C1F8)):
        write("hash-log-extend", f"imitates-{name}", hlee(9, 6, event=struct.pack("<II", tag, 0)) + hlee(9, ipl))


if __name__ == "__main__":
    make_pe()
    make_submit()
    make_hlee()

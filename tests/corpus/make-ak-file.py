#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes tests/corpus/ak-file: files of the "ASN.1 Specification for TPM 2.0 Key Files" as it allows them ("ok-"), and others.
Keys in them are no keys: tcg2/ak-file looks at the frame alone. real.pem is one that tpm2_encodeobject 5.4 wrote, of a key that
a swtpm made and that is gone with it; it stays as it is."""
import base64
import pathlib

FOLDER = pathlib.Path(__file__).parent / "ak-file"
LOADABLE = bytes.fromhex("6781050a0103")


def der(tag, value, long=0):
    size = len(value)
    if long:
        return bytes([tag, 0x80 | long]) + size.to_bytes(long, "big") + value
    if size < 0x80:
        return bytes([tag, size]) + value
    return bytes([tag, 0x81, size]) + value if size < 0x100 else bytes([tag, 0x82]) + size.to_bytes(2, "big") + value


def tpm2b(value):
    return len(value).to_bytes(2, "big") + value


def key(oid=LOADABLE, options=(der(0xa0, der(1, b"\xff")),), parent=b"\x40\x00\x00\x01", public=tpm2b(b"p" * 280), private=tpm2b(b"q" * 222),
        more=b"", long=0):
    return der(0x30, der(6, oid) + b"".join(options) + der(2, parent) + der(4, public) + der(4, private) + more, long)


def pem(data, label="TSS2 PRIVATE KEY", columns=64, end="\n"):
    text = base64.b64encode(data).decode()
    lines = [text[i:i + columns] for i in range(0, len(text), columns)]
    return end.join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def files():
    yield "ok-key.der", key()
    yield "ok-key.pem", pem(key())
    yield "ok-wide.pem", pem(key(), columns=76, end="\r\n")
    yield "ok-text-around.pem", b"this is a key\n" + pem(key()) + b"\nof somebody's\n"
    yield "ok-password.der", key(options=())
    yield "ok-password-said.der", key(options=(der(0xa0, der(1, b"\0")),))
    yield "ok-described.der", key(options=(der(0xa0, der(1, b"\xff")), der(0xa4, der(0x0c, b"mine"))))
    yield "ok-rsa-parent.der", key(options=(der(0xa5, der(1, b"\xff")),))
    yield "ok-persistent.der", key(parent=b"\0\x81\x01\x00\x01")
    yield "ok-persistent-negative.der", key(parent=b"\x81\x01\x00\x01")
    yield "ok-small.der", key(public=tpm2b(b"p"), private=tpm2b(b"q" * 120))
    yield "policy.der", key(options=(der(0xa1, der(0x30, b"")),))
    yield "importable.der", key(options=(der(0xa2, der(4, b"x")),))
    yield "policies.der", key(options=(der(0xa3, der(0x30, b"")),))
    yield "option-6.der", key(options=(der(0xa6, der(1, b"\xff")),))
    yield "option-twice.der", key(options=(der(0xa0, der(1, b"\xff")), der(0xa0, der(1, b"\xff"))))
    yield "options-order.der", key(options=(der(0xa5, der(1, b"\xff")), der(0xa0, der(1, b"\xff"))))
    yield "ok-boolean-1.der", key(options=(der(0xa0, der(1, b"\x01")),))
    yield "boolean-long.der", key(options=(der(0xa0, der(1, b"\xff\xff")),))
    yield "sealed.der", key(oid=LOADABLE[:-1] + b"\x05")
    yield "parent-long.der", key(parent=b"\x01\x40\x00\x00\x01")
    yield "parent-empty.der", key(parent=b"")
    yield "public-long.der", key(public=b"\x02\x00" + b"p" * 280)
    yield "public-empty.der", key(public=b"\0\0")
    yield "private-short.der", key(private=b"\x00\x01qq")
    yield "more.der", key(more=der(4, b"x"))
    yield "behind.der", key() + b"\0"
    yield "length-indefinite.der", b"\x30\x80" + key()[4:] + b"\0\0"
    yield "length-long.der", key(long=3)
    yield "length-spare.der", der(0x30, der(6, LOADABLE, 1))
    yield "nothing.der", b""
    yield "only-begin.pem", pem(key()).split(b"-----END")[0]
    yield "other-label.pem", pem(key(), label="EC PRIVATE KEY")
    yield "not-base64.pem", pem(key()).replace(b"MII", b"M*I", 1)
    for cut in (1, 3, 11, 30, 300, 500):
        yield f"cut-{cut}.der", key()[:cut]


def main():
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        if old.name != "real.pem":
            old.unlink()
    for name, data in files():
        (FOLDER / name).write_bytes(data)


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the corpora of fuzz-image-policy, fuzz-authenticode-signature, fuzz-signature-list, fuzz-sbat and fuzz-key-file:
small files, one idea each, signed with keys that are made for it and thrown away. Run it after changing it; what it writes is
in the tree. tests/unit/test-image-policy.c has the verdict of each file of image-policy/."""

import hashlib
import importlib.util
import pathlib
import shutil
import struct
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
import signing  # noqa: E402
import signed_images as images  # noqa: E402

SHA256_OID = bytes.fromhex("0609608648016503040201")
UNKNOWN_OID = SHA256_OID[:-1] + b"\x7f"
SBAT = "sbat,1,SBAT Version,sbat,1,https://example.org/sbat\nstub.test,2,Test,stub,2,https://example.org\n"


def tcg2_corpus():
    spec = importlib.util.spec_from_file_location("make_tcg2", HERE / "make-tcg2.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fresh(corpus):
    shutil.rmtree(HERE / corpus, ignore_errors=True)
    (HERE / corpus).mkdir()
    return HERE / corpus


def make_keys(folder):
    make = lambda name, issuer=None, **more: signing.Key(folder, name, issuer, algorithm=(  # noqa: E731
        "RSA", "rsa_keygen_bits:1024"), **more)
    root = make("root", ca=True)
    middle = make("middle", root, ca=True)
    return {"vendor": make("vendor"), "stranger": make("stranger"), "root": root, "middle": middle, "leaf": make("leaf", middle),
            "module": make("module", usage="1.3.6.1.4.1.2312.16.1.2")}


def make_image_policy(folder, keys, pe):
    out = fresh("image-policy")
    plain = folder / "plain.efi"
    plain.write_bytes(pe())
    with_sbat = folder / "sbat.efi"
    with_sbat.write_bytes(pe(sections=[(b".text", 0x1000, 0x200, 0x200, 0x200), (b".sbat", 0x2000, len(SBAT), 0x400, 0x200)])
                          [:0x400] + SBAT.encode().ljust(0x200, b"\0"))

    def put(name, data, db=b"", dbx=b"", mok=b"", mokx=b"", sbat=b""):
        lists = (db, dbx, mok, mokx, sbat)
        (out / f"{name}.bin").write_bytes(struct.pack("<5I", *map(len, lists)) + b"".join(lists) + data)

    def sign(key, path=plain, sign=signing.sbsign, *options):
        return sign(keys[key], path, folder / "signed", *options).read_bytes()

    trusted = {name: signing.trusted(key) for name, key in keys.items()}
    image_hash = signing.signature_list(signing.SHA256, signing.image_hash(plain))
    sha1 = signing.signature_list(signing.SHA1, hashlib.sha1(b"").digest())
    signed, chained = sign("vendor"), sign("leaf")
    both = with_second = images.with_table(signed, images.table_of(sign("stranger")) + images.table_of(signed))
    put("signed", signed, trusted["vendor"])
    put("signed-second", with_second, trusted["root"] + trusted["vendor"])
    put("wrong-key", sign("stranger"), trusted["vendor"])
    put("unsigned", plain.read_bytes(), trusted["vendor"])
    put("nothing-trusted", signed)
    put("chain", chained, trusted["root"])
    put("chain-to-middle", chained, trusted["middle"])
    put("leaf-itself", chained, trusted["leaf"])
    put("hash", plain.read_bytes(), image_hash)
    put("hash-of-signed", sign("stranger"), image_hash)
    put("hash-denied", signed, trusted["vendor"], image_hash)
    put("hash-allowed-and-denied", plain.read_bytes(), image_hash, image_hash)
    put("denied-leaf", chained, trusted["root"], trusted["leaf"])
    put("denied-middle", chained, trusted["root"], trusted["middle"])
    put("denied-by-hash", chained, trusted["root"], signing.tbs_revoked(keys["leaf"]))
    put("denied-middle-by-hash", chained, trusted["root"], signing.tbs_revoked(keys["middle"]))
    put("denied-middle-by-sha384", chained, trusted["root"], signing.tbs_revoked(keys["middle"], signing.X509_SHA384, "sha384"))
    put("denied-second", both, trusted["vendor"], trusted["stranger"])
    put("tampered", images.flip(signed, 0x300), trusted["vendor"])
    put("signature-tampered", images.flip(signed, len(signed) - 20), trusted["vendor"])
    put("appended", signed + bytes(8), trusted["vendor"])
    put("cut", signed[:-8], trusted["vendor"])
    put("garbage-with-dbx", images.with_table(signed, images.win_certificate(2, b"0\x03abc") + images.table_of(signed)),
        trusted["vendor"], sha1)
    put("garbage-without-dbx", images.with_table(signed, images.win_certificate(2, b"0\x03abc") + images.table_of(signed)),
        trusted["vendor"])
    put("table-damaged", images.with_table(signed, images.table_of(signed) + b"12345678"), trusted["vendor"])
    put("sha1", sign("vendor", plain, signing.osslsigncode, "sha1"), trusted["vendor"])
    put("sha384", sign("vendor", plain, signing.osslsigncode, "sha384"), trusted["vendor"])
    put("hash-of-sha384", sign("stranger", plain, signing.osslsigncode, "sha384"), mok=image_hash)
    put("mok", signed, mok=trusted["vendor"])
    put("mok-hash", plain.read_bytes(), mok=image_hash)
    put("mok-denied", signed, trusted["vendor"], mokx=trusted["vendor"])
    put("mok-hash-denied", signed, mok=trusted["vendor"], mokx=image_hash)
    put("module-key-in-db", sign("module"), trusted["module"])
    put("module-key-in-mok", sign("module"), mok=trusted["module"])
    put("sbat-good", sign("vendor", with_sbat), trusted["vendor"], sbat=b"sbat,1,2026010100\nstub.test,2\n")
    put("sbat-old", sign("vendor", with_sbat), trusted["vendor"], sbat=b"sbat,1,2026010100\nstub.test,3\n")
    put("sbat-absent", signed, trusted["vendor"], sbat=b"sbat,1,2026010100\nstub.test,3\n")
    put("sbat-level-damaged", signed, trusted["vendor"], sbat=b"sbat\n")
    put("db-damaged", signed, trusted["vendor"] + b"x")
    put("dbx-damaged", signed, trusted["vendor"], trusted["stranger"][:-1])
    put("no-pe", b"not a program", trusted["vendor"])

    out = fresh("authenticode-signature")
    for name, data in (("one", signed), ("chain", chained), ("sha384", sign("vendor", plain, signing.osslsigncode, "sha384")),
                       ("sha1", sign("vendor", plain, signing.osslsigncode, "sha1"))):
        table = images.table_of(data)
        (out / f"{name}.bin").write_bytes(table[8:struct.unpack_from("<I", table)[0]])
    one = (out / "one.bin").read_bytes()
    for name, data in (("empty", b""), ("cut", one[:200]), ("indefinite", b"\x30\x80" + one[4:]), ("certificate", keys["root"].der),
                       ("padded", one + bytes(8)), ("unknown-digest", one.replace(SHA256_OID, UNKNOWN_OID, 1)),
                       ("other-content", one.replace(bytes.fromhex("060a2b060104018237020104"),
                                                                                 bytes.fromhex("060a2b060104018237020105")))):
        (out / f"{name}.bin").write_bytes(data)
    return trusted


def make_lists(trusted, keys):
    out = fresh("signature-list")
    good = trusted["vendor"]
    sha = signing.signature_list(signing.SHA256, bytes(32))
    two = signing.SHA256.bytes_le + struct.pack("<III", 28 + 96, 0, 48) + bytes(96)
    for name, data in (("empty", b""), ("one", good), ("several", good + sha + two + signing.tbs_revoked(keys["root"])),
                       ("cut", good[:-1]), ("header-cut", good[:20]), ("list-of-nothing", signing.SHA256.bytes_le
                                                                       + struct.pack("<III", 28, 0, 48)),
                       ("size-of-zero", signing.SHA256.bytes_le + struct.pack("<III", 28 + 48, 0, 0) + bytes(48)),
                       ("size-below-owner", signing.X509.bytes_le + struct.pack("<III", 28 + 48, 0, 15) + bytes(48)),
                       ("list-below-header", signing.X509.bytes_le + struct.pack("<III", 27, 0, 16) + bytes(48)),
                       ("long-header", signing.X509.bytes_le + struct.pack("<III", 28 + 48, 0xffffffff, 48) + bytes(48)),
                       ("with-header", signing.X509.bytes_le + struct.pack("<III", 28 + 8 + 48, 8, 48) + bytes(56)),
                       ("rest", signing.X509.bytes_le + struct.pack("<III", 28 + 49, 0, 48) + bytes(49)),
                       ("hash-of-31", signing.signature_list(signing.SHA256, bytes(31))),
                       ("huge", signing.X509.bytes_le + struct.pack("<III", 0xffffffff, 0, 48) + bytes(48)),
                       ("unknown-type", signing.signature_list(signing.OWNER, b"anything"))):
        (out / f"{name}.bin").write_bytes(data)


def make_sbat():
    out = fresh("sbat")
    level = "sbat,1,2026010100\nstub.test,3\n"
    for name, first, second in (
            ("good", level.replace("3", "2"), SBAT), ("old", level, SBAT), ("empty", "", ""), ("no-level", "", SBAT),
            ("no-section", level, ""), ("crlf", level.replace("\n", "\r\n"), SBAT.replace("\n", "\r\n")),
            ("byte-order-mark", "\ufeff" + level, "\ufeff" + SBAT), ("no-number", "a,x\n", "a,1,v,p,1,u\n"),
            ("not-a-number", "a,1\n", "a,one,v,p,1,u\n"), ("huge-number", "a,99999999999999999999\n", "a,4294967296,v,p,1,u\n"),
            ("few-columns", level, "a,1,v,p,1\n"), ("empty-column", level, "a,1,,p,1,u\n"), ("many-columns", "a,1,2,3,4,5,6,7,8\n",
                                                                                      "a,1,v,p,1,u,x,y\n"),
            ("one-column", "sbat\n", SBAT), ("nul", level + "\0x,9\n", SBAT + "\0\0\0"), ("commas", ",,,,,,,,,", ",,,,,,,,,"),
            ("no-newline", "a,1", "a,1,v,p,1,u"), ("twice", "a,1\na,5\n", "a,4,v,p,1,u\n")):
        (out / f"{name}.bin").write_bytes(first.encode() + b"\n--\n" + second.encode())


def main():
    with tempfile.TemporaryDirectory() as folder:
        keys = make_keys(pathlib.Path(folder))
        trusted = make_image_policy(pathlib.Path(folder), keys, tcg2_corpus().pe)
        make_lists(trusted, keys)
        make_sbat()
        out = fresh("key-file")
        digest = hashlib.sha256(b"").hexdigest()
        for name, data in (("list.esl", trusted["root"]), ("certificate.pem", keys["root"].certificate.read_bytes()),
                           ("two.pem", keys["root"].certificate.read_bytes() + keys["leaf"].certificate.read_bytes()),
                           ("text-before.pem", b"CN=root\n" + keys["root"].certificate.read_bytes()),
                           ("cut.pem", keys["root"].certificate.read_bytes()[:-60]), ("other.pem", b"-----BEGIN NOTHING-----\nAAAA\n-----END NOTHING-----\n"),
                           ("certificate.der", keys["root"].der), ("certificate-cut.der", keys["root"].der[:-1]),
                           ("hash", digest.encode() + b"\n"), ("hashes", f"# two\n{digest}  a.efi\n\n{digest.upper()} *b.efi\n".encode()),
                           ("hash-short", digest[:-1].encode() + b"\n"), ("hash-384", hashlib.sha384().hexdigest().encode()),
                           ("comment-only", b"# nothing\n"), ("empty", b""), ("garbage", bytes(range(256)))):
            (out / name).write_bytes(data)


main()

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images that Secure Boot accepts or refuses, one idea each, with the keys and lists to judge them by.

Judged by mkexec, by sbverify and osslsigncode, and by OVMF with the same db and dbx. `Images(folder, program)` makes them
of one small EFI program.
"""

import dataclasses
import pathlib
import struct

import signing

# The answers of LoadImage. OVMF's policy is to deny, not to defer (which would be EFI_SECURITY_VIOLATION).
ACCEPTED, DENIED, MALFORMED = 0, 0x8000000000000000 | 15, 0x8000000000000000 | 1
PE_OFFSET = 0x3C
CERTIFICATE_PKCS, CERTIFICATE_GUID = 0x0002, 0x0EF1
PKCS7_GUID = bytes.fromhex("9dd2af4adf68ee498aa9347d375665a7")


@dataclasses.dataclass
class Image:
    name: str
    accepted: bool          # by mkexec
    reason: str = ""        # a part of its line
    edk2: bool = None       # None: the same
    why: str = ""           # of the difference


def security_entry(data):
    """Offset of the security directory entry in a PE32+ file."""
    return struct.unpack_from("<I", data, PE_OFFSET)[0] + 24 + 112 + 8 * 4


def table_of(data):
    address, size = struct.unpack_from("<II", data, security_entry(data))
    return data[address:address + size]


def with_table(data, table):
    """The same file with another certificate table, which no digest covers."""
    address, _ = struct.unpack_from("<II", data, security_entry(data))
    address = address or len(data)
    data = bytearray(data[:address])
    struct.pack_into("<II", data, security_entry(data), address, len(table))
    return bytes(data) + table


def win_certificate(kind, body, length=None):
    length = 8 + len(body) if length is None else length
    entry = struct.pack("<IHH", length, 0x0200, kind) + body
    return entry + bytes(-len(entry) % 8)


def flip(data, offset):
    data = bytearray(data)
    data[offset] ^= 1
    return bytes(data)


class Images:
    def __init__(self, folder, program):
        self.folder, self.images, self.keys = pathlib.Path(folder), [], {}
        self.key_folder = self.folder / "keys"
        self.image_folder = self.folder / "images"
        self.key_folder.mkdir(parents=True)
        self.image_folder.mkdir()
        data = pathlib.Path(program).read_bytes()
        self.plain = self.folder / "plain.efi"
        # A multiple of 8 bytes, so that signing pads nothing and all tools hash the same file.
        self.plain.write_bytes(data + bytes(-len(data) % 8))
        self.make_keys()
        self.db = b"".join(signing.trusted(self.keys[name]) for name in (
            "vendor", "root", "middle-alone", "leaf-alone", "expired", "future", "server", "module", "end-entity", "curve",
            "tbs-revoked-root"))
        self.dbx = b"".join((
            signing.trusted(self.keys["revoked-leaf"]), signing.trusted(self.keys["revoked-middle"]),
            signing.tbs_revoked(self.keys["tbs-revoked-leaf"]),
            signing.tbs_revoked(self.keys["tbs-384-leaf"], signing.X509_SHA384, "sha384"),
            signing.tbs_revoked(self.keys["tbs-later-leaf"], time=struct.pack("<H14x", 2039)),
            signing.tbs_revoked(self.keys["tbs-revoked-middle"]), signing.tbs_revoked(self.keys["tbs-revoked-root"])))
        self.make_images()

    def key(self, name, issuer=None, **more):
        self.keys[name] = signing.Key(self.key_folder, name, self.keys.get(issuer), **more)

    def make_keys(self):
        self.key("vendor")
        self.key("stranger")
        self.key("root", ca=True)
        self.key("middle", "root", ca=True)
        self.key("leaf", "middle")
        self.key("unknown-root", ca=True)
        self.key("middle-alone", "unknown-root", ca=True)
        self.key("leaf-of-middle-alone", "middle-alone")
        self.key("leaf-alone", "unknown-root")
        self.key("stranger-leaf", "unknown-root")
        self.key("expired", end="20210101000000Z")
        self.key("expired-leaf", "root", end="20210101000000Z")
        self.key("future", start="20390101000000Z")
        self.key("server", usage="serverAuth")
        self.key("module", usage="1.3.6.1.4.1.2312.16.1.2")
        self.key("end-entity")
        self.key("leaf-of-end-entity", "end-entity")
        self.key("curve", algorithm=("EC", "ec_paramgen_curve:P-256"))
        self.key("revoked-leaf", "root")
        self.key("revoked-middle", "root", ca=True)
        self.key("leaf-of-revoked", "revoked-middle")
        self.key("tbs-revoked-leaf", "root")
        self.key("tbs-384-leaf", "root")
        self.key("tbs-later-leaf", "root")
        self.key("tbs-revoked-middle", "root", ca=True)
        self.key("leaf-of-tbs-revoked", "tbs-revoked-middle")
        self.key("tbs-revoked-root", ca=True)
        self.key("leaf-of-tbs-root", "tbs-revoked-root")

    # ---- the images ----

    def put(self, name, data, accepted, reason="", edk2=None, why=""):
        (self.image_folder / f"{name}.efi").write_bytes(data)
        self.images.append(Image(name, accepted, reason, edk2, why))

    def unique(self, name):
        """The program with a tail of its own, so that a hash in a list means no other image."""
        path = self.folder / f"{name}.plain"
        path.write_bytes(self.plain.read_bytes() + name.encode().ljust(64, b"\0"))
        return path

    def signed(self, name, *signers, sign=signing.sbsign, path=None, options=()):
        """The program, signed by each of these keys; the bytes."""
        path = path or self.plain
        for i, signer in enumerate(signers):
            path = sign(self.keys[signer], path, self.folder / f"{name}.{i}", *options)
        return path.read_bytes()

    def sign(self, name, *signers, accepted=True, reason="", edk2=None, why="", **more):
        self.put(name, self.signed(name, *signers, **more), accepted, reason, edk2, why)

    def refuse(self, name, *signers, reason, **more):
        self.sign(name, *signers, accepted=False, reason=reason, **more)

    def make_images(self):
        self.make_signers()
        self.make_revoked()
        self.make_hashes()
        self.make_tampered()
        self.make_tables()
        self.make_algorithms()

    def make_signers(self):
        self.put("unsigned", self.plain.read_bytes(), False, "not signed")
        self.sign("signed", "vendor")
        self.refuse("wrong-key", "stranger", reason="no certificate in db or MokList vouches")
        self.sign("chain", "leaf")
        self.sign("chain-to-middle", "leaf-of-middle-alone")
        self.sign("leaf-in-db", "leaf-alone")
        self.refuse("chain-to-nowhere", "stranger-leaf", reason="no certificate in db or MokList vouches")
        self.sign("expired", "expired")
        self.sign("expired-leaf", "expired-leaf")
        self.sign("not-yet-valid", "future")
        self.sign("for-servers", "server")
        self.sign("for-modules", "module")
        self.refuse("issuer-is-no-ca", "leaf-of-end-entity", reason="no certificate in db or MokList vouches")
        self.sign("two-signatures-second-good", "stranger", "vendor")
        self.sign("two-signatures-first-good", "vendor", "stranger")
        self.refuse("two-signatures-none-good", "stranger", "stranger-leaf", reason="'CN=stranger-leaf'")

    def make_revoked(self):
        self.refuse("revoked-leaf", "revoked-leaf", reason="'CN=revoked-leaf' is in dbx")
        self.refuse("revoked-middle", "leaf-of-revoked", reason="'CN=revoked-middle' is in dbx")
        self.refuse("tbs-revoked-leaf", "tbs-revoked-leaf", reason="dbx denies by its hash")
        self.refuse("tbs-384-revoked-leaf", "tbs-384-leaf", reason="dbx denies by its hash")
        self.refuse("tbs-revoked-later", "tbs-later-leaf", reason="dbx denies by its hash")
        self.refuse("tbs-revoked-root", "leaf-of-tbs-root", reason="dbx denies a certificate")
        self.refuse("tbs-revoked-middle", "leaf-of-tbs-revoked", reason="dbx denies a certificate", edk2=True,
                    why="edk2 compares only the signer's and db's own certificate with hashes of certificates")
        self.refuse("two-signatures-second-revoked", "vendor", "revoked-leaf", reason="'CN=revoked-leaf' is in dbx")
        self.refuse("two-signatures-first-revoked", "revoked-leaf", "vendor", reason="'CN=revoked-leaf' is in dbx")

    def make_hashes(self):
        for name, listed in (("hash-in-db", "db"), ("hash-in-both", "both"), ("hash-in-dbx-signed", "dbx"),
                             ("hash-in-db-wrong-key", "db"), ("hash-in-db-tampered", "db")):
            path = self.unique(name)
            entry = signing.signature_list(signing.SHA256, signing.image_hash(path))
            self.db += entry if listed in ("db", "both") else b""
            self.dbx += entry if listed in ("dbx", "both") else b""
            data = path.read_bytes()
            if name == "hash-in-dbx-signed":
                data = self.signed(name, "vendor", path=path)
            if name == "hash-in-db-wrong-key":
                data = self.signed(name, "stranger", path=path)
            if name == "hash-in-db-tampered":
                data = flip(data, len(data) - 1)
            reason = {"db": "not signed", "both": "hash is in dbx", "dbx": "hash is in dbx"}[listed]
            good = name in ("hash-in-db", "hash-in-db-wrong-key")
            self.put(name, data, good, "" if good else reason)

    def make_tampered(self):
        data = self.signed("tampered", "vendor", path=self.unique("tampered"))
        pe = struct.unpack_from("<I", data, PE_OFFSET)[0]
        section = pe + 24 + struct.unpack_from("<H", data, pe + 20)[0]
        text = struct.unpack_from("<I", data, section + 20)[0]
        table = struct.unpack_from("<I", data, security_entry(data))[0]
        changed = "the file was changed"
        self.put("tampered-header", flip(data, pe + 8), False, changed)
        self.put("tampered-dos-stub", flip(data, 0x20), False, changed)
        self.put("tampered-section", flip(data, text + 3), False, changed)
        self.put("tampered-tail", flip(data, table - 1), False, changed)
        self.put("other-checksum", flip(data, pe + 24 + 64), True)  # no digest covers the CheckSum field
        self.put("tampered-signature", flip(data, len(data) - 40), False, changed)
        self.put("truncated-signature", data[:-64], False, "certificates lie outside")
        self.put("appended", data + bytes(64), False, "data was appended")
        self.put("appended-and-counted", with_table(data, table_of(data) + b"x" * 64), False, "certificate table is damaged")
        other = self.signed("other", "vendor", path=self.unique("other"))
        self.put("transplanted", with_table(data, table_of(other)), False, changed)

    def make_tables(self):
        data = self.signed("tables", "vendor", path=self.unique("tables"))
        table = table_of(data)
        length = struct.unpack_from("<I", table)[0]
        body = table[8:length]
        self.put("padded", with_table(data, win_certificate(CERTIFICATE_PKCS, body + bytes(-len(body) % 8 + 8))), True)
        self.put("guid-certificate", with_table(data, win_certificate(CERTIFICATE_GUID, PKCS7_GUID + body)), True)
        self.put("other-guid-first", with_table(data, win_certificate(CERTIFICATE_GUID, bytes(16) + body) + table), True)
        self.put("other-type-first", with_table(data, win_certificate(0x0EF0, bytes(24)) + table), True)
        self.put("only-other-type", with_table(data, win_certificate(0x0EF0, body)), False, "no signature")
        self.put("empty-entry", with_table(data, win_certificate(CERTIFICATE_PKCS, b"") + table), False, "empty entry")
        self.put("length-of-zero", with_table(data, win_certificate(CERTIFICATE_PKCS, bytes(8), 0) + table), False, "damaged")
        self.put("length-beyond", with_table(data, win_certificate(CERTIFICATE_PKCS, body, len(table) + 64)), False, "damaged")
        self.put("unpadded", with_table(data, struct.pack("<IHH", 8 + len(body) | 1, 0x0200, 2) + body + b"x"), False,
                 "damaged")
        garbage = bytes.fromhex("308203e8") + b"\xa5" * 1000
        self.put("garbage-first", with_table(data, win_certificate(CERTIFICATE_PKCS, garbage) + table), False, "dbx can't be asked",
                 True, "edk2 skips what doesn't name a digest where it looks for one; here dbx must have been asked about all")

    def make_algorithms(self):
        for name in ("sha384", "sha512"):
            self.put(name, signing.osslsigncode(self.keys["vendor"], self.plain, self.folder / f"{name}.0", name).read_bytes(), True)
        sha1 = signing.osslsigncode(self.keys["vendor"], self.plain, self.folder / "sha1.0", "sha1").read_bytes()
        self.put("sha1", sha1, False, "isn't SHA-256", True, "edk2 that is built with SHA-1 takes it")
        self.put("sha1-and-sha256", with_table(sha1, table_of(sha1) + table_of(self.signed("sha256", "vendor"))), True)
        self.sign("elliptic-curve", "curve", edk2=False, why="edk2 that is built without elliptic curves can't compute them")

    def write_lists(self):
        """db and dbx as files, for the program's --db and --dbx."""
        for name in ("db", "dbx"):
            (self.folder / f"{name}.esl").write_bytes(getattr(self, name))
        return self.folder / "db.esl", self.folder / "dbx.esl"


# ---- what judge.efi prints ----

def verdicts(console):
    """{name of the image: status}"""
    lines = (line.strip().split() for line in console.splitlines())
    return {words[2].removesuffix(".efi"): int(words[1], 16) for words in lines if len(words) == 3 and words[0] == "JUDGE"}


def event_log(console):
    """The log, without what was printed behind its last event."""
    lines = (line.strip().split() for line in console.splitlines())
    data = b"".join(bytes.fromhex(words[1]) for words in lines if len(words) == 2 and words[0] == "LOG")
    header = 32 + struct.unpack_from("<I", data, 28)[0]
    sizes = dict(struct.unpack_from("<HH", data, 32 + 28 + 4 * i) for i in range(struct.unpack_from("<I", data, 32 + 24)[0]))
    at = header
    while at + 12 <= len(data) and data[at:at + 4] != b"\xff" * 4:
        n = struct.unpack_from("<I", data, at + 8)[0]
        end = at + 12
        for _ in range(n):
            end += 2 + sizes[struct.unpack_from("<H", data, end)[0]]
        end += 4 + struct.unpack_from("<I", data, end)[0]
        if n == 0 or end > len(data):
            break
        at = end
    return data[:at]

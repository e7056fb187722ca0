# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keys, certificates and signature lists for Secure Boot, made with openssl; signatures by sbsign and osslsigncode.

UEFI 2.10, 32.4.1 describes EFI_SIGNATURE_LIST; no list here comes from mkexec's own code.
"""

import hashlib
import pathlib
import struct
import subprocess
import uuid

X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
SHA1 = uuid.UUID("826ca512-cf10-4ac9-b187-be01496631bd")
SHA256 = uuid.UUID("c1c41626-504c-4092-aca9-41f936934328")
X509_SHA256 = uuid.UUID("3bd2a492-96c0-4079-b420-fcf98ef103ed")
X509_SHA384 = uuid.UUID("7076876e-80c2-4ee6-aad2-28b349a6865b")
OWNER = uuid.UUID("5afee11a-0001-4000-8000-000000000001")

CONFIGURATION = """
[req]
distinguished_name = name
prompt = no
[name]
CN = %(cn)s
[ca]
default_ca = store
[store]
database = %(folder)s/index
new_certs_dir = %(folder)s
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
CN = supplied
[ca_extensions]
basicConstraints = critical,CA:TRUE
[leaf_extensions]
basicConstraints = critical,CA:FALSE
%(usage)s
"""


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr}{done.stdout}")
    return done.stdout


class Key:
    """A private key and its certificate, self-signed or by an issuer. start, end: YYYYMMDDHHMMSSZ."""

    def __init__(self, folder, name, issuer=None, ca=False, start="20200101000000Z", end="20400101000000Z", usage="",
                 algorithm=("RSA", "rsa_keygen_bits:2048")):
        self.name, self.folder, self.issuer = name, pathlib.Path(folder) / name, issuer
        self.folder.mkdir()
        (self.folder / "index").touch()
        configuration = self.folder / "openssl.conf"
        configuration.write_text(CONFIGURATION % {"cn": name, "folder": self.folder,
                                                  "usage": f"extendedKeyUsage = {usage}" if usage else ""})
        self.key, self.certificate = self.folder / "key.pem", self.folder / "certificate.pem"
        run("openssl", "genpkey", "-algorithm", algorithm[0], "-pkeyopt", algorithm[1], "-out", self.key)
        request = self.folder / "request.pem"
        run("openssl", "req", "-new", "-config", configuration, "-key", self.key, "-out", request)
        by = ["-selfsign", "-keyfile", self.key]
        if issuer:
            by = ["-cert", issuer.certificate, "-keyfile", issuer.key]
        run("openssl", "ca", "-batch", "-notext", "-config", configuration, *by, "-in", request, "-out", self.certificate,
            "-startdate", start, "-enddate", end, "-extensions", "ca_extensions" if ca else "leaf_extensions")
        self.der = subprocess.run(["openssl", "x509", "-in", self.certificate, "-outform", "DER"], capture_output=True,
                                  check=True).stdout

    def chain(self):
        """The issuers' certificates in one PEM file, nearest first."""
        path, text, issuer = self.folder / "chain.pem", "", self.issuer
        while issuer:
            text += issuer.certificate.read_text()
            issuer = issuer.issuer
        path.write_text(text)
        return path if text else None

    def tbs(self):
        """TBSCertificate, which openssl cuts out of the certificate: the second line that asn1parse prints."""
        text = run("openssl", "asn1parse", "-inform", "PEM", "-in", self.certificate).splitlines()[1]
        offset = int(text.split(":")[0])
        header, length = (int(part.split("=")[1]) for part in text.replace("= ", "=").split() if part[:2] in ("hl", "l="))
        return self.der[offset:offset + header + length]


def signature_list(kind, payload, owner=OWNER):
    entry = owner.bytes_le + payload
    return kind.bytes_le + struct.pack("<III", 28 + len(entry), 0, len(entry)) + entry


def trusted(key):
    return signature_list(X509, key.der)


def tbs_revoked(key, kind=X509_SHA256, algorithm="sha256", time=bytes(16)):
    return signature_list(kind, hashlib.new(algorithm, key.tbs()).digest() + time)


def image_hash(path):
    """The SHA-256 Authenticode digest, by osslsigncode's word."""
    text = run("osslsigncode", "extract-data", "-h", "sha256", "-in", path, "-out", f"{path}.spc")
    data = pathlib.Path(f"{path}.spc").read_bytes()
    pathlib.Path(f"{path}.spc").unlink()
    at = data.rindex(bytes([0x04, 32]))
    assert at, text
    return data[at + 2:at + 34]


def signed_hash(path):
    """The SHA-256 Authenticode digest that the image's signature has. sbsign hashes as firmware does; osslsigncode differs where
    there are gaps between sections, as in UKIs of stub 252 that were given room for more section headers."""
    data = pathlib.Path(path).read_bytes()
    digest_info = bytes.fromhex("0609608648016503040201 0500 0420")
    at = data.rindex(digest_info) + len(digest_info)  # behind those of a signed kernel within
    return data[at:at + 32]


def sbsign(key, path, output, *options):
    more = ["--addcert", key.chain()] if key.issuer else []
    run("sbsign", "--key", key.key, "--cert", key.certificate, *more, *options, "--output", output, path)
    return output


def osslsigncode(key, path, output, algorithm="sha256", *options):
    more = ["-ac", key.chain()] if key.issuer else []
    pathlib.Path(output).unlink(missing_ok=True)
    run("osslsigncode", "sign", "-h", algorithm, "-key", key.key, "-certs", key.certificate, *more, *options,
        "-in", path, "-out", output)
    return output

#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the corpus of fuzz-quote, which test-quote reads, too: quotes by swtpm and tpm2-tools, one kind of key each, and
forged ones. A file is u16, TPMS_ATTEST, u16, TPMT_SIGNATURE, TPMT_PUBLIC, big-endian. Keys are new each time; run it after
changing it (needs swtpm and tpm2-tools); what it writes is in the tree."""

import os
import pathlib
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent / "quote"
NONCE = "00112233445566778899aabbccddeeff"
PCRS = "sha256:0,1,2,3,4,5,6,7,8,9,11,12,13,14,15"
AK = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign"

KEYS = {
    "rsassa-2048": ("rsa2048:rsassa-sha256:null", AK),
    "rsassa-2048-sha384": ("rsa2048:rsassa-sha384:null", AK),
    "rsassa-3072-sha512": ("rsa3072:rsassa-sha512:null", AK),
    "rsapss-2048": ("rsa2048:rsapss-sha256:null", AK),
    "ecdsa-p256": ("ecc256:ecdsa-sha256:null", AK),
    "ecdsa-p384": ("ecc384:ecdsa-sha384:null", AK),
    "ecdsa-p521": ("ecc521:ecdsa-sha512:null", AK),
    "ecdsa-p256-sha1": ("ecc256:ecdsa-sha1:null", AK),
    "rsassa-1024": ("rsa1024:rsassa-sha256:null", AK),
    "unrestricted": ("ecc256:ecdsa-sha256:null", AK.replace("|restricted", "")),
    "not-fixed": ("ecc256:ecdsa-sha256:null", AK.replace("fixedtpm|fixedparent|", "")),
}


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def write(name, attest, signature, public):
    HERE.mkdir(exist_ok=True)
    framed = b"".join(len(part).to_bytes(2, "big") + part for part in (attest, signature))
    (HERE / f"{name}.bin").write_bytes(framed + public)


def quote(algorithm, attributes, pcrs=PCRS):
    """(TPMS_ATTEST, TPMT_SIGNATURE, TPMT_PUBLIC)"""
    run("tpm2_flushcontext", "-t")
    run("tpm2_createprimary", "-Q", "-C", "o", "-G", algorithm, "-a", attributes, "-c", "ak")
    run("tpm2_readpublic", "-Q", "-c", "ak", "-o", "public")
    run("tpm2_quote", "-Q", "-c", "ak", "--scheme", algorithm.split(":")[1].split("-")[0], "-g", algorithm.split("-")[-1].split(":")[0], "-l", pcrs, "-q", NONCE, "-m", "attest",
        "-s", "signature")
    attest, signature, public = (pathlib.Path(name).read_bytes() for name in ("attest", "signature", "public"))
    return attest, signature, public[2:]


def forge(attest, signature, public):
    """What only looks like a quote; of the signed ones the signature isn't one any more."""
    write("cut-attest", attest[:-1], signature, public)
    write("cut-signature", attest, signature[:-1], public)
    write("cut-public", attest, signature, public[:-1])
    write("more-attest", attest + b"\0", signature, public)
    write("not-generated", b"\xff\x54\x43\x48" + attest[4:], signature, public)
    write("of-a-key", attest[:4] + b"\x80\x17" + attest[6:], signature, public)
    write("hmac", attest, b"\0\x05\0\x0b" + bytes(32), public)
    at = attest.index(bytes.fromhex("00000001000b03"))
    write("no-bank", attest[:at] + bytes(4) + attest[at + 10 :], signature, public)
    write("bank-twice", attest[:at] + b"\0\0\0\2" + 2 * attest[at + 4 : at + 10] + attest[at + 10 :], signature, public)
    write("many-banks", attest[:at] + b"\xff\xff\xff\xff" + attest[at + 4 :], signature, public)
    write("pcr-24", attest[:at] + bytes.fromhex("00000001000b0400000001") + attest[at + 10 :], signature, public)
    write("foreign-bank", attest[:at] + bytes.fromhex("00000001009903010000") + attest[at + 10 :], signature, public)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.mkdir("state")
        tpm = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", "dir=state", "--server", "type=unixio,path=sock", "--ctrl",
             "type=unixio,path=sock.ctrl", "--flags", "not-need-init,startup-clear"],
            stderr=subprocess.DEVNULL)
        try:
            os.environ["TPM2TOOLS_TCTI"] = f"swtpm:path={folder}/sock"
            while not os.path.exists("sock"):
                time.sleep(0.05)
            run("tpm2_pcrextend", "8:sha256=" + 64 * "a", "0:sha256=" + 64 * "1")
            for name, (algorithm, attributes) in KEYS.items():
                try:
                    write(name, *quote(algorithm, attributes))
                except subprocess.CalledProcessError as error:
                    print(f"{name}: this TPM doesn't: {error}")
            forge(*quote(*KEYS["ecdsa-p256"]))
            write("two-banks", *quote(*KEYS["ecdsa-p256"], PCRS + "+sha1:0,8"))
            write("four-pcrs", *quote(*KEYS["ecdsa-p256"], "sha256:0,1,2,8"))
        finally:
            tpm.terminate()
            tpm.wait()


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`mkexec attest` on TPMs by swtpm, judged by tpm2-tools: keys in files and in the TPM, quotes of several banks, what is in the
evidence and what is left out, all of it taken out of the document by the commands of docs/attestation.md. Prints TAP.

Usage: test_attest.py MKEXEC
"""

import base64
import importlib.util
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import tap

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
OWN = TOP / "tests" / "corpus"
NONCE = "00112233445566778899aabbccddeeff"
NEEDED = ("swtpm", "tpm2_quote", "tpm2_checkquote", "tpm2_eventlog", "tpm2_createak", "tpm2_encodeobject", "jq", "xxd")

spec = importlib.util.spec_from_file_location("logs", OWN / "make-log-check.py")
logs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(logs)
spec = importlib.util.spec_from_file_location("log_check", TOP / "tests" / "integration" / "test_log_check.py")
log_check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(log_check)


def hop_log(name):
    """Of tests/corpus/hop, without its EV_NO_ACTION event of PCR -1, at which tpm2_eventlog 5.4 gives up."""
    log = (OWN / "hop" / name).read_bytes()
    at = log.index(struct.pack("<II", 0xffffffff, 3))
    n = struct.unpack_from("<I", log, at + 8)[0]
    end = at + 12
    for _ in range(n):
        end += 2 + {4: 20, 11: 32}[struct.unpack_from("<H", log, end)[0]]
    return log[:at] + log[end + 4 + struct.unpack_from("<I", log, end)[0]:]


class Tpm:
    """swtpm with four banks, all zero but for what is extended."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "tpm").mkdir(parents=True)
        self.tcti = f"swtpm:path={folder}/sock"
        self.environment = {**os.environ, "TPM2TOOLS_TCTI": self.tcti}
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.folder}/tpm", "--server", f"type=unixio,path={self.folder}/sock",
             "--ctrl", f"type=unixio,path={self.folder}/sock.ctrl", "--flags", "not-need-init,startup-clear"],
            stderr=subprocess.DEVNULL)
        for _ in range(200):
            if (self.folder / "sock").exists():
                return
            time.sleep(0.05)
        raise OSError("swtpm doesn't start")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        for name in ("sock", "sock.ctrl"):
            (self.folder / name).unlink(missing_ok=True)

    def reset(self):
        self.tool("tpm2_shutdown", "-c")
        self.stop()
        self.start()

    def tool(self, *arguments, code=0):
        """tpm2-tools leave objects behind where there is no resource manager."""
        done = subprocess.run(list(map(str, arguments)), env=self.environment, capture_output=True, text=True, cwd=self.folder)
        assert (done.returncode == 0) == (code == 0), (arguments, done)
        for what in ("-t", "-l"):
            subprocess.run(["tpm2_flushcontext", what], env=self.environment, stderr=subprocess.DEVNULL, check=False)
        return done.stdout

    def extend(self, log):
        self.tool("tpm2_pcrextend", *(f"{pcr}:" + ",".join(f"{bank}={digest.hex()}" for bank, digest in digests.items())
                                      for pcr, _, digests in log_check.events_of(log)))

    def read(self, bank):
        text = self.tool("tpm2_pcrread", f"{bank}:" + ",".join(map(str, range(16))))
        rows = [line.split(":") for line in text.splitlines() if "0x" in line]
        return {pcr.strip(): value.strip()[2:].lower() for pcr, value in rows}


class Case:
    def __init__(self, mkexec, folder):
        self.mkexec, self.folder, self.n = mkexec, folder, 0
        self.tpms = []
        self.hops = self.write("hops.bin", hop_log("honest.bin"))

    def tpm(self):
        self.n += 1
        tpm = Tpm(self.folder / f"tpm{self.n}")
        self.tpms.append(tpm)
        return tpm

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def attest(self, tpm, *arguments, code=0, firmware=None, systemd=None, ima=None):
        """Runs it with these logs for the machine's."""
        environment = {**tpm.environment, "SYSTEMD_MEASURE_LOG_FIRMWARE": str(firmware or self.folder / "absent"),
                       "SYSTEMD_MEASURE_LOG_USERSPACE": str(systemd or self.folder / "absent"),
                       "MKEXEC_IMA_LIST": str(ima or self.folder / "absent")}
        done = subprocess.run([self.mkexec, "attest", *map(str, arguments)], env=environment, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, cwd=tpm.folder, timeout=60)
        assert done.returncode == code, (arguments, done)
        assert code == 0 or done.stderr.startswith("mkexec: "), done
        return done

    def evidence(self, tpm, *arguments, **logs_of):
        done = self.attest(tpm, "--nonce", NONCE, *arguments, **logs_of)
        assert done.stdout.count("\n") == 1 and done.stdout.endswith("\n")
        return json.loads(done.stdout)


# ---- what docs/attestation.md says ----

def commands_of_page():
    """The block of commands that takes evidence apart, as a script."""
    page = (TOP / "docs" / "attestation.md").read_text()
    at = page.index("    bank=sha256")
    lines = page[at:].splitlines()
    block = lines[:next(i for i, line in enumerate(lines) if line and not line.startswith("    "))]
    return "set -e -o pipefail\n" + "\n".join(line[4:] for line in block)


def judge(case, document, public, nonce=NONCE, code=0, banks=None):
    """Runs them; returns the folder with what they took out."""
    case.n += 1
    folder = case.folder / f"judge{case.n}"
    folder.mkdir()
    (folder / "evidence.json").write_text(json.dumps(document))
    (folder / "ak.pub").write_bytes(pathlib.Path(public).read_bytes())
    script = commands_of_page()
    for bank in banks or ("sha256",):
        done = subprocess.run(["bash", "-c", script.replace("bank=sha256", f"bank={bank}").replace("NONCE", nonce)], cwd=folder,
                              capture_output=True, text=True)
        if (done.returncode == 0) != (code == 0):
            raise AssertionError((bank, done.stdout[-500:], done.stderr[-500:]))
    return folder


def quoted_alone(case, tpm, *arguments, bank, **logs_of):
    return case.evidence(tpm, "--bank", bank, *arguments, **logs_of)


# ---- keys ----

def a_key_in_a_file_and_one_in_the_tpm(case):
    tpm = case.tpm()
    for target, kind in (("rsa.pem", "rsa"), ("ecc.pem", "ecc"), ("0x81010010", "rsa"), ("0x81010011", "ecc")):
        public = tpm.folder / f"{target}.pub"
        made = case.attest(tpm, "--new-ak", target, "--key-type", kind, "--public", public)
        name = made.stderr.split()[-1]
        printed = tpm.tool("tpm2_print", "-t", "TPM2B_PUBLIC", public)
        assert "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign" in printed, printed
        assert ("rsassa" if kind == "rsa" else "ecdsa") in printed and ("bits: 2048" if kind == "rsa" else "NIST p256") in printed
        if target.startswith("0x"):
            tpm.tool("tpm2_readpublic", "-c", target, "-o", "theirs.pub", "-n", "theirs.name")
            assert (tpm.folder / "theirs.name").read_bytes().hex() == name
            assert (tpm.folder / "theirs.pub").read_bytes() == public.read_bytes()
        else:
            assert (tpm.folder / target).stat().st_mode & 0o777 == 0o600
        judge(case, quoted_alone(case, tpm, "--ak", target, bank="sha256"), public)
    tpm.reset()
    for target in ("rsa.pem", "ecc.pem", "0x81010010", "0x81010011"):
        judge(case, quoted_alone(case, tpm, "--ak", target, bank="sha256"), tpm.folder / f"{target}.pub")
    before = (tpm.folder / "rsa.pem").read_bytes()
    case.attest(tpm, "--new-ak", "rsa.pem", code=1)
    assert (tpm.folder / "rsa.pem").read_bytes() == before
    assert "already" in case.attest(tpm, "--new-ak", "0x81010010", code=1).stderr
    case.attest(tpm, "--ak", "0x81010012", "--nonce", NONCE, code=2)
    case.attest(tpm, "--ak", "absent.pem", "--nonce", NONCE, code=2)
    other = case.tpm()
    refused = case.attest(other, "--ak", tpm.folder / "rsa.pem", "--nonce", NONCE, code=2)
    assert "integrity" in refused.stderr and not refused.stdout, refused
    assert tpm.tool("tpm2_getcap", "handles-transient") == "" and tpm.tool("tpm2_getcap", "handles-loaded-session") == ""


def keys_of_other_tools(case):
    tpm = case.tpm()
    restricted = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign"
    storage = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt"
    tpm.tool("tpm2_createek", "-Q", "-c", "0x81010001", "-G", "rsa", "-u", "ek.pub")
    tpm.tool("tpm2_createak", "-Q", "-C", "0x81010001", "-c", "ak.ctx", "-G", "ecc", "-s", "ecdsa", "-u", "ak.pub")
    tpm.tool("tpm2_evictcontrol", "-Q", "-C", "o", "-c", "ak.ctx", "0x81010002")
    judge(case, quoted_alone(case, tpm, "--ak", "0x81010002", bank="sha256"), tpm.folder / "ak.pub")
    for algorithm, options in (("ecc", ()), ("rsa2048", ())):
        tpm.tool("tpm2_createprimary", "-Q", "-C", "o", "-G", algorithm, "-a", storage, "-c", "primary.ctx")
        tpm.tool("tpm2_create", "-Q", "-C", "primary.ctx", "-G", "rsa2048:rsassa-sha256:null", "-a", restricted, "-u", "key.pub",
                 "-r", "key.priv", "-p", "pass", *options)
        if algorithm == "ecc":
            parent = "0x40000001"
        else:
            tpm.tool("tpm2_evictcontrol", "-Q", "-C", "o", "-c", "primary.ctx", "0x81000001")
            parent = "0x81000001"
        tpm.tool("tpm2_encodeobject", "-Q", "-C", parent, "-u", "key.pub", "-r", "key.priv", "-o", f"{algorithm}.pem")
        password = case.write("password", b"pass\n")
        judge(case, quoted_alone(case, tpm, "--ak", f"{algorithm}.pem", "--ak-auth", password, bank="sha256"), tpm.folder / "key.pub")
        wrong = case.write("wrong", b"word")
        case.attest(tpm, "--ak", f"{algorithm}.pem", "--ak-auth", wrong, "--nonce", NONCE, code=2)


def a_new_key_can_be_enrolled(case):
    """What a registrar does: a secret that only the TPM with this EK and this AK can decrypt."""
    tpm = case.tpm()
    tpm.tool("tpm2_createek", "-Q", "-c", "0x81010001", "-G", "rsa", "-u", "ek.pub")
    name = case.attest(tpm, "--new-ak", "0x81010010").stderr.split()[-1]
    case.attest(tpm, "--new-ak", "0x81010011")
    secret = case.write("secret", b"0123456789abcdef")
    tpm.tool("tpm2_makecredential", "-Q", "-e", "ek.pub", "-s", secret, "-n", name, "-o", "credential")
    for handle, code in (("0x81010010", 0), ("0x81010011", 1)):
        subprocess.run(["tpm2_startauthsession", "--policy-session", "-S", "s"], env=tpm.environment, cwd=tpm.folder, check=True)
        subprocess.run(["tpm2_policysecret", "-Q", "-S", "s", "-c", "e"], env=tpm.environment, cwd=tpm.folder, check=True)
        tpm.tool("tpm2_activatecredential", "-Q", "-c", handle, "-C", "0x81010001", "-i", "credential", "-o", f"out{code}", "-P",
                 "session:s", code=code)
    assert (tpm.folder / "out0").read_bytes() == secret.read_bytes()


def the_owner_has_a_password(case):
    tpm = case.tpm()
    right, wrong = case.write("right", b"open sesame\n"), case.write("wrong", b"open barley")
    case.attest(tpm, "--new-ak", "key.pem", "--public", "key.pub")
    tpm.tool("tpm2_changeauth", "-c", "owner", "open sesame")
    for option in ((), ("--owner-auth", wrong)):
        case.attest(tpm, "--new-ak", "0x81010010", *option, code=2)
        case.attest(tpm, "--new-ak", "new.pem", *option, code=2)
        case.attest(tpm, "--ak", "key.pem", "--nonce", NONCE, *option, code=2)
    assert not (tpm.folder / "new.pem").exists() and tpm.tool("tpm2_getcap", "handles-persistent") == ""
    case.attest(tpm, "--new-ak", "0x81010010", "--owner-auth", right)
    judge(case, quoted_alone(case, tpm, "--ak", "key.pem", "--owner-auth", right, bank="sha256"), tpm.folder / "key.pub")
    case.evidence(tpm, "--ak", "0x81010010")  # needs the owner no more


def keys_that_are_none(case):
    """They quote, with a warning; a verifier refuses them."""
    tpm = case.tpm()
    for kind, attributes in (("sign", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"),):
        tpm.tool("tpm2_createprimary", "-Q", "-C", "o", "-G", "rsa2048:rsassa-sha256:null", "-a", attributes, "-c", "key.ctx")
        tpm.tool("tpm2_evictcontrol", "-Q", "-C", "o", "-c", "key.ctx", "0x81010020")
        done = case.attest(tpm, "--ak", "0x81010020", "--nonce", NONCE)
        assert "verifiers won't take this key" in done.stderr, (kind, done.stderr)
    tpm.tool("tpm2_createprimary", "-Q", "-C", "o", "-c", "storage.ctx")
    tpm.tool("tpm2_evictcontrol", "-Q", "-C", "o", "-c", "storage.ctx", "0x81010021")
    refused = case.attest(tpm, "--ak", "0x81010021", "--nonce", NONCE, code=2)
    assert not refused.stdout


# ---- evidence ----

def everything_is_in_it(case):
    """Firmware's log with hops, systemd's, IMA's; PCR values are those of tpm2_pcrread and of the log by tpm2_eventlog."""
    tpm = case.tpm()
    log = case.hops.read_bytes()
    tpm.extend(log)
    systemd = case.write("systemd.log", logs.systemd_record("enter-initrd"))
    ima = case.write("ima", b"".join(log_check.IMA))
    case.attest(tpm, "--new-ak", "0x81010010", "--public", "ak.pub")
    document = case.evidence(tpm, "--ak", "0x81010010", firmware=case.hops, systemd=systemd, ima=ima)
    assert list(document["pcrs"]) == ["sha256", "sha1"], list(document["pcrs"])  # what the log has
    for bank in ("sha1", "sha256"):
        assert document["pcrs"][bank] == tpm.read(bank), bank
    running = document["logs"]["systemd"][-1]
    assert base64.b64decode(running["log"]) == systemd.read_bytes() and running["boot"] == 3, running
    assert [(row["boot"], row.get("lost")) for row in document["logs"]["systemd"][:-1]] == [(1, True), (2, True)]
    assert base64.b64decode(document["logs"]["ima"]) == ima.read_bytes()
    alone = quoted_alone(case, tpm, "--ak", "0x81010010", bank="sha256", firmware=case.hops)
    folder = judge(case, alone, tpm.folder / "ak.pub")
    assert (folder / "log.bin").read_bytes() == log
    told = (folder / "log.yaml").read_text()
    for pcr, value in tpm.read("sha256").items():
        if int(pcr) in (0, 4, 8, 9, 11):
            assert f"{pcr.ljust(2)} : 0x{value}" in told, (pcr, value)
    # without what tpm2_eventlog knows of PCRs that the log doesn't touch, every value is the log's
    assert all(int(value, 16) == 0 for pcr, value in tpm.read("sha256").items() if int(pcr) not in (0, 4, 8, 9, 11))


def each_bank_and_several(case):
    tpm = case.tpm()
    tpm.extend(case.hops.read_bytes())
    for kind in ("rsa", "ecc"):
        case.attest(tpm, "--new-ak", f"{kind}.pem", "--key-type", kind, "--public", f"{kind}.pub")
        for bank in ("sha1", "sha256", "sha384", "sha512"):
            document = quoted_alone(case, tpm, "--ak", f"{kind}.pem", bank=bank, firmware=case.hops)
            assert list(document["pcrs"]) == [bank] and document["pcrs"][bank] == tpm.read(bank)
            judge(case, document, tpm.folder / f"{kind}.pub", banks=(bank,))
        document = case.evidence(tpm, "--ak", f"{kind}.pem", "--bank", "sha384", "--bank", "sha1")
        quoted_in_order(case, tpm, document, f"{kind}.pub", ("sha384", "sha1"))
        quoted_in_order(case, tpm, case.evidence(tpm, "--ak", f"{kind}.pem"), f"{kind}.pub", ("sha1", "sha256", "sha384", "sha512"))
    changed = case.evidence(tpm, "--ak", "ecc.pem", "--bank", "sha384", "--bank", "sha1")
    changed["pcrs"]["sha1"]["15"] = "01" * 20
    quoted_in_order(case, tpm, changed, "ecc.pub", ("sha384", "sha1"), code=1)
    assert "hasn't got it active" in case.attest(tpm, "--ak", "rsa.pem", "--nonce", NONCE, "--bank", "sm3_256", code=2).stderr


def serialized(pcrs):
    """PCR values in the file format of tpm2_quote -o: a TPML_PCR_SELECTION and TPML_DIGESTs of eight, as C structs."""
    algorithms = {"sha1": 4, "sha256": 11, "sha384": 12, "sha512": 13}
    rows = [struct.pack("<HB4sx", algorithms[bank], 3, sum(1 << int(pcr) for pcr in row).to_bytes(4, "little"))
            for bank, row in pcrs.items()]
    values = [bytes.fromhex(value) for row in pcrs.values() for value in row.values()]
    lists = [values[i:i + 8] for i in range(0, len(values), 8)]
    assert all(len(value) == len(part[0]) for part in lists for value in part)
    return struct.pack("<I128sI", len(rows), b"".join(rows), len(lists)) + b"".join(
        struct.pack("<I", len(part)) + b"".join(struct.pack("<H64s", len(value), value) for value in part).ljust(8 * 66, b"\0")
        for part in lists)


def quoted_in_order(case, tpm, document, public, banks, code=0):
    """tpm2_checkquote reads the values itself; several banks, too."""
    assert tuple(document["pcrs"]) == banks
    case.write("q.msg", base64.b64decode(document["quote"]["attest"]))
    case.write("q.sig", base64.b64decode(document["quote"]["signature"]))
    case.write("q.pcrs", serialized(document["pcrs"]))
    tpm.tool("tpm2_checkquote", "-u", public, "-m", case.folder / "q.msg", "-s", case.folder / "q.sig", "-q", NONCE, "-f",
             case.folder / "q.pcrs", code=code)


def tpm2_tools_refuse_the_twins(case):
    tpm = case.tpm()
    case.attest(tpm, "--new-ak", "a.pem", "--public", "a.pub")
    case.attest(tpm, "--new-ak", "b.pem", "--public", "b.pub")
    document = quoted_alone(case, tpm, "--ak", "a.pem", bank="sha256")
    judge(case, document, tpm.folder / "a.pub")
    judge(case, document, tpm.folder / "b.pub", code=1)
    judge(case, document, tpm.folder / "a.pub", nonce=NONCE[::-1], code=1)
    changed = json.loads(json.dumps(document))
    changed["pcrs"]["sha256"]["8"] = "01" + "00" * 31
    judge(case, changed, tpm.folder / "a.pub", code=1)
    changed = json.loads(json.dumps(document))
    message = bytearray(base64.b64decode(document["quote"]["attest"]))
    message[-1] ^= 1
    changed["quote"]["attest"] = base64.b64encode(message).decode()
    judge(case, changed, tpm.folder / "a.pub", code=1)


def nonces(case):
    tpm = case.tpm()
    case.attest(tpm, "--new-ak", "a.pem")
    for size in (8, 20, 32, 64):
        document = json.loads(case.attest(tpm, "--ak", "a.pem", "--nonce", "ab" * size).stdout)
        assert b"\xab" * size in base64.b64decode(document["quote"]["attest"])
    for bad in ("", "ab" * 7, "ab" * 65, "abc" * 9, "zz" * 16, "0x" + "ab" * 16, " " + NONCE):
        case.attest(tpm, "--ak", "a.pem", "--nonce", bad, code=2)
    case.attest(tpm, "--ak", "a.pem", code=2)
    case.attest(tpm, "--ak", "a.pem", "--new-ak", "b.pem", "--nonce", NONCE, code=2)
    case.attest(tpm, "--nonce", NONCE, code=2)


def what_is_missing_is_left_out(case):
    tpm = case.tpm()
    case.attest(tpm, "--new-ak", "a.pem", "--public", "a.pub")
    document = case.evidence(tpm, "--ak", "a.pem")
    assert document["logs"] == {} and list(document["pcrs"]) == ["sha1", "sha256", "sha384", "sha512"]
    done = case.attest(tpm, "--ak", "a.pem", "--nonce", NONCE, firmware=case.hops, ima=case.folder)
    assert "IMA's list is left out" in done.stderr and set(json.loads(done.stdout)["logs"]) == {"firmware", "systemd"}
    broken = case.write("broken", case.hops.read_bytes()[:700])
    done = case.attest(tpm, "--ak", "a.pem", "--nonce", NONCE, firmware=broken)
    logs_of = json.loads(done.stdout)["logs"]
    assert "firmware" not in logs_of and "event log is left out" in done.stderr, done.stderr


def an_aborted_hop_is_evidence(case):
    tpm = case.tpm()
    aborted = case.write("aborted.bin", hop_log("abort-5.bin"))
    tpm.extend(aborted.read_bytes())
    case.attest(tpm, "--new-ak", "a.pem", "--public", "a.pub")
    document = quoted_alone(case, tpm, "--ak", "a.pem", bank="sha256", firmware=aborted)
    assert base64.b64decode(document["logs"]["firmware"]) == aborted.read_bytes()
    judge(case, document, tpm.folder / "a.pub")


def certificates(case):
    tpm = case.tpm()
    case.attest(tpm, "--new-ak", "a.pem")
    for name in ("one", "two"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        os.devnull, "-subj", f"/CN={name}", "-out", f"{name}.pem"], cwd=case.folder, check=True, capture_output=True)
        subprocess.run(["openssl", "x509", "-in", f"{name}.pem", "-outform", "DER", "-out", f"{name}.der"], cwd=case.folder, check=True)
    one, two = ((case.folder / f"{name}.der").read_bytes() for name in ("one", "two"))
    both = case.write("both.pem", (case.folder / "one.pem").read_bytes() + (case.folder / "two.pem").read_bytes())
    for files, wanted in ((("both.pem",), [one, two]), (("two.der", "one.pem"), [two, one])):
        options = [word for name in files for word in ("--certificate", case.folder / name)]
        document = case.evidence(tpm, "--ak", "a.pem", *options)
        assert [base64.b64decode(row) for row in document["ak"]["certificates"]] == wanted
    damaged = case.write("damaged.pem", both.read_bytes().replace(b"MII", b"MIJ"))
    for bad in (damaged, case.write("none", b"hello\n"), case.folder / "absent", case.write("long.der", one + b"\0")):
        case.attest(tpm, "--ak", "a.pem", "--nonce", NONCE, "--certificate", bad, code=2)
    many = case.write("many.pem", both.read_bytes() * 5)
    case.attest(tpm, "--ak", "a.pem", "--nonce", NONCE, "--certificate", many, code=1)


# ---- and by mkexec verify ----

POLICY = {"version": 1, "kind": "mkexec-policy", "unknown_kernels": True, "first_boot_pcrs": []}


def verify(case, document, key, nonce=NONCE, **policy):
    """(verdict, word of the reason)"""
    path = case.write("verify.json", json.dumps(document).encode())
    rules = case.write("policy.json", json.dumps({**POLICY, **policy}).encode())
    done = subprocess.run([case.mkexec, "verify", path, "--nonce", nonce, "--ak", key, "--policy", rules, "--json"], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL)
    assert done.stdout, done
    verdict = json.loads(done.stdout)
    return verdict["verdict"], verdict["reason"]["word"], verdict


def ours_is_trusted(case):
    tpm = case.tpm()
    tpm.extend(case.hops.read_bytes())
    for kind in ("rsa", "ecc"):
        case.attest(tpm, "--new-ak", f"{kind}.pem", "--key-type", kind, "--public", f"{kind}.pub")
        document = case.evidence(tpm, "--ak", f"{kind}.pem", firmware=case.hops)
        verdict, _, all_of_it = verify(case, document, tpm.folder / f"{kind}.pub")
        assert verdict == "trusted" and len(all_of_it["boots"]) == 3, all_of_it["reason"]
        assert verify(case, document, tpm.folder / f"{kind}.pub", NONCE[::-1])[:2] == ("not trusted", "nonce")
    case.attest(tpm, "--new-ak", "other.pem", "--public", "other.pub")
    assert verify(case, document, tpm.folder / "other.pub")[:2] == ("not trusted", "trust")


def a_quote_of_tpm2_quote_is_trusted(case):
    """With the files that tpm2-tools write, put together as docs/attestation.md says."""
    tpm = case.tpm()
    tpm.extend(case.hops.read_bytes())
    tpm.tool("tpm2_createek", "-Q", "-c", "0x81010001", "-G", "rsa", "-u", "ek.pub")
    for kind, scheme in (("rsa", "rsassa"), ("rsa", "rsapss"), ("ecc", "ecdsa")):
        tpm.tool("tpm2_createak", "-Q", "-C", "0x81010001", "-c", "ak.ctx", "-G", kind, "-g", "sha256", "-s", scheme, "-u", "ak.pub")
        tpm.tool("tpm2_quote", "-Q", "-c", "ak.ctx", "-l", "sha256:" + ",".join(map(str, range(16))), "-q", NONCE, "-m", "m", "-s", "s",
                 "-g", "sha256", "--scheme", scheme)
        document = {"version": 1, "kind": "mkexec-evidence",
                    "quote": {"attest": as_base64(tpm.folder / "m"), "signature": as_base64(tpm.folder / "s")},
                    "ak": {"public": base64.b64encode((tpm.folder / "ak.pub").read_bytes()[2:]).decode()},
                    "pcrs": {"sha256": tpm.read("sha256")}, "logs": {"firmware": as_base64(case.hops)}}
        verdict, _, all_of_it = verify(case, document, tpm.folder / "ak.pub")
        assert verdict == "trusted", (scheme, all_of_it["reason"])
        document["pcrs"]["sha256"]["3"] = "01" * 32
        assert verify(case, document, tpm.folder / "ak.pub")[:2] == ("not trusted", "values")


def as_base64(path):
    return base64.b64encode(path.read_bytes()).decode()


def public_area(pem):
    """TPMT_PUBLIC of a restricted signing key with these numbers; the corpus has but the PEM."""
    text = subprocess.run(["openssl", "pkey", "-pubin", "-in", pem, "-outform", "DER"], capture_output=True, check=True).stdout
    attributes = 0x50072
    if len(text) > 200:  # the modulus of RSA 2048 stands before the exponent's five bytes
        modulus = text[-5 - 256:-5]
        return struct.pack(">HHIHHHHHI", 1, 11, attributes, 0, 0x10, 0x14, 11, 2048, 0) + struct.pack(">H", 256) + modulus
    x, y = text[-64:-32], text[-32:]
    return struct.pack(">HHIHHHHHH", 0x23, 11, attributes, 0, 0x10, 0x18, 11, 3, 0x10) + struct.pack(">H", 32) + x + struct.pack(">H", 32) + y


def the_corpus_evidence_is_trusted(case):
    """A quote by tpm2-tools of what a real firmware's log and systemd-pcrextend measured, put into a document."""
    corpus = pathlib.Path(os.environ.get("MKEXEC_CORPUS", TOP.parent / "shared" / "corpus"))
    folder = corpus / "evidence" / "chain1"
    if not folder.exists():
        raise tap.Skip("NO CORPUS: set MKEXEC_CORPUS to run this on real evidence")
    rows = [line.split() for line in (corpus / "expected" / "chain1.pcrs").read_text().splitlines() if not line.startswith("#")]
    quoted = {*range(10), 11, 14, 15}
    values = {pcr: value for bank, pcr, value in rows if bank == "sha256" and int(pcr) in quoted}
    for kind in ("rsa2048", "ecc"):
        document = {"version": 1, "kind": "mkexec-evidence",
                    "quote": {"attest": as_base64(folder / f"quote.{kind}.msg"), "signature": as_base64(folder / f"quote.{kind}.sig")},
                    "ak": {"public": base64.b64encode(public_area(folder / f"{kind}.pem")).decode()},
                    "pcrs": {"sha256": values},
                    "logs": {"firmware": as_base64(corpus / "tcg" / "gotpm-ubuntu-2404-amd-sevsnp.bin"),
                             "systemd": [{"boot": 1, "log": as_base64(corpus / "cel" / "chain1-measure.log")}]}}
        verdict, _, all_of_it = verify(case, document, folder / f"{kind}.pem")
        assert verdict == "trusted", (kind, all_of_it["reason"])
        proved = all_of_it["pcrs"]["sha256"]
        assert all(proved[pcr]["status"] == "proved" for pcr in ("0", "4", "7", "11", "15")), proved
        other = "ecc" if kind == "rsa2048" else "rsa2048"
        assert verify(case, document, folder / f"{other}.pem")[:2] == ("not trusted", "trust")
        twin = json.loads(json.dumps(document))
        del twin["logs"]["systemd"]
        assert verify(case, twin, folder / f"{kind}.pem")[0] == "not trusted"
        twin = json.loads(json.dumps(document))
        twin["pcrs"]["sha256"]["10"] = "00" * 32
        assert verify(case, twin, folder / f"{kind}.pem")[:2] == ("not trusted", "selection")
        assert verify(case, document, folder / f"{kind}.pem", "00" * 16)[:2] == ("not trusted", "nonce")


def while_pcrs_move(case):
    """Somebody extends PCR 12 all the time: every quote is of the values beside it."""
    tpm = case.tpm()
    case.attest(tpm, "--new-ak", "0x81010010", "--public", "ak.pub")
    script = "while :; do tpm2_pcrextend 12:sha256=" + "11" * 32 + "; done"
    mover = subprocess.Popen(["bash", "-c", script], env=tpm.environment, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        values, done = set(), 0
        for _ in range(12):
            environment_done = subprocess.run([case.mkexec, "attest", "--ak", "0x81010010", "--nonce", NONCE, "--bank", "sha256"],
                                              env={**tpm.environment, "SYSTEMD_MEASURE_LOG_FIRMWARE": str(case.hops)}, capture_output=True,
                                              text=True, timeout=60)
            if environment_done.returncode == 1 and "all the time" in environment_done.stderr:
                continue
            assert environment_done.returncode == 0, environment_done
            document = json.loads(environment_done.stdout)
            judge(case, document, tpm.folder / "ak.pub")
            values.add(document["pcrs"]["sha256"]["12"])
            done += 1
    finally:
        os.killpg(mover.pid, 15)
        mover.wait()
    assert done >= 4 and len(values) >= 3, (done, len(values))


CASES = (a_key_in_a_file_and_one_in_the_tpm, keys_of_other_tools, a_new_key_can_be_enrolled, the_owner_has_a_password,
         keys_that_are_none, everything_is_in_it, each_bank_and_several, tpm2_tools_refuse_the_twins, nonces,
         what_is_missing_is_left_out, an_aborted_hop_is_evidence, certificates, ours_is_trusted, a_quote_of_tpm2_quote_is_trusted,
         the_corpus_evidence_is_trusted, while_pcrs_move)


def main():
    mkexec = os.path.abspath(sys.argv[1])
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing:
        print(f"1..0 # SKIP needs {', '.join(missing)}")
        return 0

    def call(function):
        with tempfile.TemporaryDirectory() as folder:
            case = Case(mkexec, pathlib.Path(folder))
            try:
                return function(case)
            finally:
                for tpm in case.tpms:
                    tpm.stop()

    return tap.run(tap.each([case for case in CASES if not sys.argv[2:] or case.__name__ in sys.argv[2:]], call))


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Evidence of machines that don't exist, quoted by a TPM that does (swtpm): for attest.py. Each machine has its own key, its
own event log of 60 events (36 by firmware, a hop of 24), and its own PCR values; each piece of evidence its own nonce."""

import base64
import hashlib
import json
import pathlib
import socket
import struct
import subprocess
import time

BANK = "sha256"
QUOTED = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
ALG = 0x000B
AK_ATTRIBUTES = 0x00050072
OWNER, RETRY, NULL_AUTH = 0x40000001, 0x922, struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)

# mkexec's own events: docs/measurements.md
TAG_OPEN, TAG_CLOSE = 0xDF73B5F4, 0xC9EBF0A6
EV_NO_ACTION, EV_SEPARATOR, EV_ACTION, EV_EVENT_TAG, EV_S_CRTM_VERSION, EV_IPL = 3, 4, 5, 6, 8, 0x0D
EV_EFI_VARIABLE_DRIVER_CONFIG, EV_EFI_VARIABLE_BOOT, EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000001, 0x80000002, 0x80000003
EV_EFI_ACTION, EV_EFI_PLATFORM_FIRMWARE_BLOB2 = 0x80000007, 0x8000000A


def sha256(data):
    return hashlib.sha256(data).digest()


# ---- a TPM ----

class Tpm:
    """Commands as bytes: a program for each would take longer than the TPM."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--server", f"type=unixio,path={folder}/sock", "--ctrl",
             f"type=unixio,path={folder}/ctrl", "--flags", "not-need-init"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.socket = self._connect(folder / "sock")
        self.command(0x144, struct.pack(">H", 0))

    def _connect(self, path):
        connection = socket.socket(socket.AF_UNIX)
        for _ in range(1000):
            try:
                connection.connect(str(path))
                return connection
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("swtpm doesn't start")

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()

    def command(self, code, body, sessions=False):
        self.socket.sendall(struct.pack(">HII", 0x8002 if sessions else 0x8001, 10 + len(body), code) + body)
        head = self._read(10)
        _, size, result = struct.unpack(">HII", head)
        answer = self._read(size - 10)
        if result == RETRY:
            return self.command(code, body, sessions)
        if result:
            raise RuntimeError(f"the TPM answers {result:#x} to {code:#x}")
        return answer

    def _read(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise RuntimeError("the TPM is gone")
            data += more
        return data

    def extend(self, pcr, digest):
        self.command(0x182, struct.pack(">I", pcr) + NULL_AUTH + struct.pack(">IH", 1, ALG) + digest, True)

    def create_key(self, kind, unique):
        """(handle, TPMT_PUBLIC)"""
        if kind == "ecdsa-p256":
            area = struct.pack(">HHIH", 0x23, ALG, AK_ATTRIBUTES, 0) + struct.pack(">HHHHH", 0x10, 0x18, ALG, 3, 0x10)
            area += struct.pack(">H", len(unique)) + unique + struct.pack(">H", 0)
        else:
            area = struct.pack(">HHIH", 0x01, ALG, AK_ATTRIBUTES, 0) + struct.pack(">HHHHI", 0x10, 0x14, ALG, 2048, 0)
            area += struct.pack(">H", len(unique)) + unique
        sensitive = struct.pack(">HHH", 4, 0, 0)
        body = struct.pack(">I", OWNER) + NULL_AUTH + sensitive + struct.pack(">H", len(area)) + area + struct.pack(">HI", 0, 0)
        answer = self.command(0x131, body, True)
        handle, _, size = struct.unpack(">IIH", answer[:10])
        return handle, answer[10 : 10 + size]

    def flush(self, handle):
        self.command(0x165, struct.pack(">I", handle))

    def quote(self, handle, nonce):
        """(TPMS_ATTEST, TPMT_SIGNATURE)"""
        mask = sum(1 << pcr for pcr in QUOTED).to_bytes(3, "little")
        body = struct.pack(">I", handle) + NULL_AUTH + struct.pack(">H", len(nonce)) + nonce
        body += struct.pack(">HIHB", 0x10, 1, ALG, 3) + mask
        answer = self.command(0x158, body, True)
        parameters = struct.unpack(">I", answer[:4])[0]
        size = struct.unpack(">H", answer[4:6])[0]
        return answer[6 : 6 + size], answer[6 + size : 4 + parameters]


# ---- logs ----

def event(pcr, kind, data, hashed=None):
    return pcr, kind, data, sha256(data if hashed is None else hashed)


def variable(name, value):
    return bytes(16) + struct.pack("<QQ", len(name), len(value)) + name.encode("utf-16-le") + value


def tagged(tag, payload):
    return struct.pack("<II", tag, len(payload)) + payload


def firmware(seed):
    """36 events, of the sizes that OVMF's have with Secure Boot on."""
    fill = hashlib.shake_256(seed).digest
    rows = [event(0, EV_S_CRTM_VERSION, "1.0\0".encode("utf-16-le"))]
    rows += [event(0, EV_EFI_PLATFORM_FIRMWARE_BLOB2, b"\x04BIOS" + fill(16), fill(64 + i)) for i in range(2)]
    rows += [event(7, EV_EFI_VARIABLE_DRIVER_CONFIG, variable(name, fill(size)))
             for name, size in (("SecureBoot", 1), ("PK", 900), ("KEK", 2500), ("db", 3500), ("dbx", 76))]
    rows += [event(1, EV_EFI_VARIABLE_BOOT, variable(f"Boot{i:04}", fill(80 + i))) for i in range(6)]
    rows += [event(4, EV_EFI_ACTION, b"Calling EFI Application from Boot Option")]
    rows += [event(pcr, EV_SEPARATOR, bytes(4)) for pcr in range(8)]
    rows += [event(4, EV_EFI_BOOT_SERVICES_APPLICATION, fill(150), seed + b"image")]
    for name in (".linux", ".osrel", ".uname", ".initrd", ".cmdline"):
        text = (name + "\0").encode("utf-16-le")
        rows += [event(11, EV_IPL, text, (name + "\0").encode()), event(11, EV_IPL, text, seed + name.encode())]
    rows += [event(5, EV_EFI_ACTION, b"Exit Boot Services Invocation"),
             event(5, EV_EFI_ACTION, b"Exit Boot Services Returned with Success")]
    return rows


def payload(seed):
    """21 events of a hop: payload PCR, type, data, digest."""
    rows = [event(4, EV_EFI_BOOT_SERVICES_APPLICATION, b"image at its place".ljust(150), seed + b"second image")]
    for i in range(8):
        text = (f".section{i}\0").encode("utf-16-le")
        rows += [event(11, EV_IPL, text, f".section{i}\0".encode()), event(11, EV_IPL, text, seed + bytes([i]))]
    rows += [event(12, EV_IPL, "root=/dev/sda quiet\0".encode("utf-16-le"))]
    rows += [event(9, EV_EVENT_TAG, tagged(0x8F3B22EC, b"Linux initrd\0"), seed + b"initrd")]
    rows += [event(5, EV_EFI_ACTION, b"Exit Boot Services Invocation"),
             event(5, EV_EFI_ACTION, b"Exit Boot Services Returned with Success")]
    return rows


def hop(rows, file_sha256):
    """All to PCR 8, PCR 11 closed: 24 events with these."""
    head = struct.pack("<II", 1, 1) + bytes([8] * 24) + struct.pack("<I", 1 << 11)
    head += file_sha256 + sha256(b"") + struct.pack("<I", 0)
    ledger = b"".join(struct.pack("<II", pcr, kind) + sha256(data) for pcr, kind, data, _ in rows)
    opened = tagged(TAG_OPEN, head + struct.pack("<I", len(rows)) + ledger)
    closed = tagged(TAG_CLOSE, struct.pack("<III", 1, 1, len(rows)))
    return [event(8, EV_EVENT_TAG, opened), event(11, EV_EVENT_TAG, opened)] + [
        (8, kind, data, digest) for _, kind, data, digest in rows] + [event(8, EV_EVENT_TAG, closed)]


def write_log(rows):
    spec = b"Spec ID Event03\0" + struct.pack("<IBBBBIHHB", 0, 0, 2, 0, 2, 1, ALG, 32, 0)
    log = struct.pack("<II20sI", 0, EV_NO_ACTION, bytes(20), len(spec)) + spec
    for pcr, kind, data, digest in rows:
        log += struct.pack("<IIIH", pcr, kind, 1, ALG) + digest + struct.pack("<I", len(data)) + data
    return log


def replay(rows):
    values = {pcr: bytes(32) for pcr in QUOTED}
    for pcr, _, _, digest in rows:
        values[pcr] = sha256(values[pcr] + digest)
    return values


# ---- machines ----

class Machine:
    def __init__(self, number):
        self.seed = b"machine %d" % number
        self.file = sha256(self.seed + b"file")
        self.firmware, self.payload = firmware(self.seed), payload(self.seed)
        self.rows = self.firmware + hop(self.payload, self.file)
        self.log, self.values = write_log(self.rows), replay(self.rows)

    def evidence(self, attest, signature, public):
        text = {name: base64.b64encode(data).decode() for name, data in
                (("attest", attest), ("signature", signature), ("public", public), ("log", self.log))}
        return {"version": 1, "kind": "mkexec-evidence", "quote": {"attest": text["attest"], "signature": text["signature"]},
                "ak": {"public": text["public"]}, "pcrs": {BANK: {str(pcr): value.hex() for pcr, value in self.values.items()}},
                "logs": {"firmware": text["log"]}}

    def references(self):
        """As `mkexec predict --json` and `predict --firmware --json` would write them."""
        for kind, rows, view in (("firmware", self.firmware, "pcrs"), ("kexec", self.payload, "payload_view")):
            values = replay(rows)
            yield kind, {
                "version": 1, "kind": kind, "missing": "", "payload_sha256": self.file.hex(),
                "load_options_sha256": sha256(b"").hex(), "initrd_sha256": [], "banks": [BANK],
                "about": {"kernel": "6.1", "os": "Debian", "command_line": "quiet", "signer": None},
                "events": [{"payload_pcr": pcr, "register": 8, "kind": "firmware" if kind == "firmware" else "payload",
                            "type": f"0x{number:08x}", "digests": {BANK: digest.hex()}, "data": data.hex(), "text": ""}
                           for pcr, number, data, digest in rows if pcr in (4, 9, 11, 12, 13) or kind == "kexec"],
                view: {str(pcr): {BANK: value.hex()} for pcr, value in values.items() if any(values[pcr])}}


def quotes_of(machine, folder, kind, nonces):
    """Extends a TPM as the machine's log says; [(nonce, TPMS_ATTEST, TPMT_SIGNATURE)], and the key."""
    tpm = Tpm(folder)
    try:
        for pcr, _, _, digest in machine.rows:
            tpm.extend(pcr, digest)
        handle, public = tpm.create_key(kind, sha256(machine.seed))
        return [(nonce, *tpm.quote(handle, nonce)) for nonce in nonces], public
    finally:
        tpm.close()


def write(folder, kind, n_machines, n_each):
    """FOLDER/evidence.ndjson, machines taking turns, FOLDER/refs and FOLDER/aks; returns how many lines."""
    folder = pathlib.Path(folder)
    (folder / "refs").mkdir(parents=True)
    (folder / "aks").mkdir()
    machines = []
    for number in range(n_machines):
        machine = Machine(number)
        for name, document in machine.references():
            (folder / "refs" / f"{number}-{name}.json").write_text(json.dumps(document))
        nonces = [sha256(b"%d %d" % (number, i)) for i in range(n_each)]
        quotes, public = quotes_of(machine, folder / "tpm" / str(number), kind, nonces)
        (folder / "aks" / f"{number}.pub").write_bytes(struct.pack(">H", len(public)) + public)
        machines.append((machine, quotes, public))
    with open(folder / "evidence.ndjson", "w", encoding="ascii") as out:
        for turn in range(n_each):
            for machine, quotes, public in machines:
                nonce, attest, signature = quotes[turn]
                line = {"nonce": nonce.hex(), "evidence": machine.evidence(attest, signature, public)}
                out.write(json.dumps(line, separators=(",", ":")) + "\n")
    return n_machines * n_each

#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Misbehaving guests (liar.c), each run by the real program against a TPM made of swtpm. Prints TAP.

What has to come out of each lie is a row of LIES: either the lie was answered as the guest expects and the run went on to
its hand-over, then the plan has exactly these measurements; or the run ended, then with exactly this line and exit code 1.
After each: the TPM is as before, down to its handles, and was sent nothing but what reads; no process, file or kexec image
is left. Between them a real UKI has to get through, so that refusing everything fails.
Usage: test_lies.py MKEXEC FOLDER, where liar.efi and child.efi are in FOLDER.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "system"), str(ROOT / "integration")]
import expected  # noqa: E402
import payloads  # noqa: E402
import uki  # noqa: E402

BANKS = {"sha1": 4, "sha256": 11, "sha384": 12, "sha512": 13}
TYPES = {"EV_POST_CODE": 1, "EV_EVENT_TAG": 6, "EV_COMPACT_HASH": 12, "EV_IPL": 13,
         "EV_EFI_BOOT_SERVICES_APPLICATION": 0x80000003, "EV_EFI_BOOT_SERVICES_DRIVER": 0x80000004,
         "EV_EFI_ACTION": 0x80000007}
LEAVING = [b"Exit Boot Services Invocation", b"Exit Boot Services Returned with Success"]
FAILURE = b"Exit Boot Services Returned with Failure"
# What may reach the TPM at all: TPM 2.0 Library, part 2, 6.5.2. None of these changes a PCR or NV.
HARMLESS = {0x14e, 0x149, 0x151, 0x157, 0x15c, 0x13e, 0x15e, 0x160, 0x161, 0x162, 0x165, 0x167, 0x169, 0x16a, 0x16b, 0x16c,
            0x16d, 0x16e, 0x16f, 0x170, 0x171, 0x172, 0x173, 0x176, 0x177, 0x178, 0x17a, 0x17b, 0x17c, 0x17d, 0x17e,
            0x17f, 0x180, 0x181, 0x186, 0x187, 0x188, 0x189, 0x18a, 0x18c, 0x18f, 0x190, 0x192}
# What mkexec itself needs before the payload runs.
OWN = {0x17a, 0x17e}


# ---- the rows ----

@dataclass(frozen=True)
class Row:
    # (payload PCR, type, what is hashed) behind the payload's own image; None: images, as many as there are
    events: tuple = ()
    line: str = ""      # what mkexec says instead, behind the payload's name; 0x*: some address, *: some text
    failures: int = 0   # of ExitBootServices, before it succeeded
    options: tuple = ()
    commands: bool = False  # the payload's own commands may reach the TPM


def ipl(pcr, data):
    return pcr, "EV_IPL", data


def ends(text, *options):
    return Row(line=text, options=options)


IMITATED = ends(": the payload tried to record an event that imitates mkexec's own")
IMAGES = None
CHILD = (4, "EV_EFI_BOOT_SERVICES_APPLICATION", "child")
QUIET = Row()
PLANTED = ("planted-close", "planted-open")

LIES = {
    # TCG2: measuring
    "every-pcr": Row(tuple(ipl(pcr, b"anywhere") for pcr in range(24))),
    "pcr-range": QUIET,
    "extend-only": Row((ipl(9, b"shown"), ipl(9, b"hidden"))),
    "no-action": QUIET,
    "imitate-open": IMITATED,
    "imitate-close": IMITATED,
    "imitate-abort": IMITATED,
    "imitate-as-text": IMITATED,
    "imitate-hidden": IMITATED,
    "imitate-unmeasured": IMITATED,
    "imitate-tag-alone": IMITATED,
    "plant-digests": Row((ipl(12, "planted-close"), ipl(12, "planted-open"), ipl(12, b"after it"))),
    "event-sizes": Row((ipl(8, b"x"),) * 3),
    "event-at-the-edge": Row((ipl(8, b"x"),)),
    "data-ranges": QUIET,
    "overlapping-event": Row((ipl(9, struct.pack("<QIIHII", 0, 26, 14, 1, 9, 13) + b"itself.." + bytes(4062)),
                              ipl(9, struct.pack("<IIHII", 26, 14, 1, 9, 13) + b"itself.."))),
    "hash-the-log": Row(((9, "EV_POST_CODE", b"last"), ipl(9, b"\xff" * 64))),
    "change-afterwards": Row((ipl(9, b"original"),)),
    "full-log": Row((ipl(9, bytes(8192)),) * 8 + (ipl(9, b"x"), ipl(9, b"y"))),
    "too-many-events": ends(": the payload measures more than 4096 events"),
    "too-much-data": ends(": the payload's events have more than 4194304 bytes of data"),
    "not-pe": QUIET,
    "unknown-flags": Row((ipl(9, b"flags"),)),
    "wrong-this": QUIET,
    "wild-answers": QUIET,
    "set-banks": QUIET,
    "uninstall-tcg2": Row((ipl(9, b"still"),)),
    "overwrite-tcg2": Row((CHILD,)),
    "give-log-away": Row((ipl(9, b"nowhere"), CHILD)),
    "tcg2-after-exit": ends(" was stopped: TCG2.HashLogExtendEvent was called after ExitBootServices"),
    # TCG2: commands
    "every-code": Row(commands=True),
    "every-vendor-code": QUIET,
    "code-attributes": QUIET,
    "response-larger": Row(commands=True),
    "block-sizes": QUIET,
    "command-headers": QUIET,
    "session-areas": QUIET,
    "sessions-left-open": Row(commands=True),
    "objects-left-open": Row(commands=True),
    "foreign-handles": QUIET,
    "extend-by-command": Row(((12, "EV_COMPACT_HASH", 0x77),)),
    "imitate-by-command": IMITATED,
    "read-view": QUIET,
    "mimic-first-boot": Row((ipl(9, b"first boot"),), commands=True),
    "whole-commands": QUIET,
    # memory and ExitBootServices
    "double-free": QUIET,
    "free-foreign": QUIET,
    "address-over-live": QUIET,
    "page-counts": QUIET,
    "memory-types": QUIET,
    "wild-pointers": QUIET,
    "stale-key": Row(failures=4),
    "exit-twice": ends(" was stopped: ExitBootServices was called after ExitBootServices"),
    "allocate-after-exit": ends(" was stopped: AllocatePool was called after ExitBootServices"),
    "print-after-exit": ends(" was stopped: TextOut.OutputString was called after ExitBootServices"),
    "fault-after-exit": ends(" was stopped: invalid instruction (#UD) (rip 0x*), at liar.efi+0x*"),
    "exit-within-exit": QUIET,
    "change-on-exit": QUIET,
    "exhaust-memory": Row(options=("--memory-limit", "64")),
    "copy-outside": ends(" was stopped: CopyMem(0x*, 0x*, 0x10) leaves the memory that was allocated"),
    "set-outside": ends(" was stopped: SetMem(0x*, 0xffffffffffffffff) leaves the memory that was allocated"),
    "stack-outside": ends(" was stopped: no return address at rsp 0x7ffffffff000"),
    "overwrite-tables": QUIET,
    "call-null": ends(" was stopped: page fault (#PF) at 0x0 (rip 0x0)"),
    # images
    "tampered-images": Row(IMAGES),
    "images-cut-short": QUIET,
    "relocations-outside": Row(IMAGES),
    "no-sections": QUIET,
    "wild-sources": QUIET,
    "too-many-images": Row(IMAGES),
    "lying-loaded-image": Row((CHILD,)),
    "unload-within-unload": Row(((2, "EV_EFI_BOOT_SERVICES_DRIVER", "driver"),)),
    "wild-unload": ends(" was stopped: page fault (#PF) at 0x10 (rip 0x10), called by UnloadImage"),
    "without-protocols": ends(" was stopped: page fault (#PF) at 0x38 (rip 0x*), at image#7+0x*, called by StartImage"),
    "exit-of-others": Row((CHILD,)),
    "overwritten-code": ends(" was stopped: breakpoint (#BP) (rip 0x*), at image#7+0x*, called by StartImage"),
    # handles, protocols, events, callbacks
    "wild-handles": QUIET,
    "uninstall-in-use": QUIET,
    "uninstall-in-notify": QUIET,
    "endless-notify": QUIET,
    "recursive-wait": ends(" was stopped: deadline: the payload *", "--timeout", "1"),
    "close-in-notify": QUIET,
    "unbalanced-tpl": QUIET,
    "wild-notify": ends(" was stopped: page fault (#PF) at 0x10 (rip 0x10), called by SignalEvent"),
    "exit-out-of-notify": ends(" gave up and returned EFI_NOT_FOUND; --trace shows why"),
    "too-many-things": QUIET,
    "wild-device-paths": QUIET,
    "changed-device-path": QUIET,
    "recursive-load-file": QUIET,
    "lying-load-file": QUIET,
    "change-while-loaded": Row((CHILD,)),
    # variables
    "secure-boot-variables": QUIET,
    "odd-names": QUIET,
    "odd-sizes": QUIET,
    "odd-attributes": QUIET,
    "full-store": QUIET,
    "changing-list": QUIET,
    "own-variables": QUIET,
    "runtime-after-exit": QUIET,
    "reset": ends(" asked for a reset instead of starting a kernel"),
    # files
    "dots": QUIET,
    "links-and-devices": QUIET,
    "odd-paths": QUIET,
    "changing-directory": QUIET,
    "changed-by-us": QUIET,
    "wrong-files": QUIET,
    "odd-reads": QUIET,
    "too-much-written": QUIET,
    "write-to-the-disk": QUIET,
    "rename-outside": QUIET,
    "too-many-files": QUIET,
}


class Skip(Exception):
    pass


# ---- the TPM, with a wire that is listened to ----

def receive(connection, size):
    data = b""
    while len(data) < size:
        if connection.family == socket.AF_INET:  # the other side waits for the answer to each of its small packets
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        more = connection.recv(size - len(data))
        if not more:
            return b""
        data += more
    return data


def receive_message(connection):
    head = receive(connection, 10)
    return head and head + receive(connection, struct.unpack(">I", head[2:6])[0] - 10)


class Tpm:
    """swtpm, and a socket in front of it that notes which commands come. That one speaks the protocol of Microsoft's
    simulator: its TCTI connects once, as a device is opened once. The one for swtpm does for each command, which mkexec's
    sandbox doesn't let it."""

    def __init__(self, folder):
        state = folder / "tpm"
        state.mkdir()
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--server", f"type=unixio,path={state}/tpm",
             "--flags", "not-need-init,startup-clear"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            if (state / "tpm").exists():
                break
            time.sleep(0.02)
        self.back = socket.socket(socket.AF_UNIX)
        self.back.connect(str(state / "tpm"))
        self.lock, self.codes = threading.Lock(), []
        commands, platform, port = self.listen()
        threading.Thread(target=self.accept, args=(commands, self.serve), daemon=True).start()
        threading.Thread(target=self.accept, args=(platform, self.serve_platform), daemon=True).start()
        self.tcti = f"mssim:host=127.0.0.1,port={port}"

    @staticmethod
    def listen():
        """Two ports, one behind the other: for commands, and for switching the power on."""
        while True:
            first, second = socket.socket(), socket.socket()
            try:
                first.bind(("127.0.0.1", 0))
                port = first.getsockname()[1]
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            first.listen()
            second.listen()
            return first, second, port

    @staticmethod
    def accept(listening, serve):
        while True:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(ConnectionError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                serve(connection)

    def serve(self, connection):
        while head := receive(connection, 4):
            if head != struct.pack(">I", 8):  # TPM_SEND_COMMAND; TPM_SESSION_END
                return
            _, size = struct.unpack(">BI", receive(connection, 5))
            command = receive(connection, size)
            self.codes.append(struct.unpack(">I", command[6:10])[0])
            answer = self.send(command)
            connection.sendall(struct.pack(">I", len(answer)) + answer + bytes(4))

    @staticmethod
    def serve_platform(connection):
        while receive(connection, 4):
            connection.sendall(bytes(4))

    def send(self, command):
        with self.lock:
            self.back.sendall(command)
            return receive_message(self.back)

    def command(self, code, parameters, tag=0x8001):
        answer = self.send(struct.pack(">HII", tag, 10 + len(parameters), code) + parameters)
        code = struct.unpack(">I", answer[6:10])[0]
        assert code == 0, f"the TPM answers 0x{code:x} to the test itself"
        return answer[10:]

    def prepare(self):
        """Something in PCR 9, an object and a session of somebody else's."""
        digests = b"".join(struct.pack(">H", alg) + hashlib.new(name, b"first boot").digest() for name, alg in BANKS.items())
        password = struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)
        self.command(0x182, struct.pack(">I", 9) + password + struct.pack(">I", len(BANKS)) + digests, 0x8002)
        # an HMAC key in the null hierarchy, and a policy session
        template = struct.pack(">HHIHHHH", 8, 11, 0x00040472, 0, 5, 11, 0)
        public = struct.pack(">H", len(template)) + template
        created = self.command(0x131, struct.pack(">I", 0x40000007) + password + struct.pack(">HHH", 4, 0, 0) + public
                               + struct.pack(">HI", 0, 0), 0x8002)
        assert created[:4] == bytes.fromhex("80000000")
        started = self.command(0x176, struct.pack(">IIH", 0x40000007, 0x40000007, 16) + bytes(16)
                               + struct.pack(">HBHH", 0, 1, 0x10, 11))
        assert started[:4] == bytes.fromhex("03000000")

    def state(self):
        """Every PCR of every bank, every handle, and what counts failures."""
        found = []
        for alg in BANKS.values():
            for third in range(3):
                select = bytes(255 if i == third else 0 for i in range(3))
                found.append(self.command(0x17e, struct.pack(">IHB", 1, alg, 3) + select)[4:])
        for kind in (0x01, 0x02, 0x03, 0x80, 0x81):
            found.append(self.command(0x17a, struct.pack(">III", 1, kind << 24, 100)))
        found.append(self.command(0x17a, struct.pack(">III", 6, 0x200, 16)))
        return found

    def stop(self):
        self.process.terminate()
        self.process.wait()


# ---- a machine on which nothing may stay behind ----

class Case:
    def __init__(self, mkexec, programs, place):
        self.mkexec, self.place = mkexec, place
        self.folder = place / "esp"
        (self.folder / "changing").mkdir(parents=True)
        for name in ("liar.efi", "child.efi"):
            shutil.copy(programs / name, self.folder)
        self.furnish()
        self.here = place / "here"
        self.here.mkdir()
        self.driver = bytearray((self.folder / "child.efi").read_bytes())
        self.driver[struct.unpack_from("<I", self.driver, 60)[0] + 24 + 68] = 11
        self.tpm = Tpm(place)
        self.tpm.prepare()

    def furnish(self):
        """What doesn't belong into an ESP."""
        for name in PLANTED:
            (self.folder / name).write_bytes(b"not yet")
        (self.folder / "link").symlink_to("child.efi")
        (self.folder / "outside").symlink_to("/etc")
        (self.folder / "dangling").symlink_to("/nonexistent")
        os.mkfifo(self.folder / "pipe")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(self.folder / "socket"))
        with contextlib.suppress(PermissionError):
            os.mknod(self.folder / "null", 0o600 | 0o020000, os.makedev(1, 3))

    def surroundings(self):
        """What could be left behind, but for processes and the TPM."""
        files = {}
        for folder in (self.folder, self.here, pathlib.Path("/run/mkexec")):
            for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
                if "changing" in (path.name, path.parent.name):
                    continue
                info = path.lstat()
                files[str(path)] = (info.st_mode, info.st_size, info.st_mtime_ns)
        loaded = pathlib.Path("/sys/kernel/kexec_loaded")
        return files, loaded.read_text() if loaded.exists() else None

    def run(self, *arguments):
        # The sandbox lets no leak check at the end trace the process (docs/architecture.md).
        sanitizer = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "detect_leaks=0")))
        environment = dict(os.environ, TMPDIR=str(self.here), ASAN_OPTIONS=sanitizer)
        done = subprocess.run([self.mkexec, *map(str, arguments)], capture_output=True, text=True, cwd=self.here,
                              stdin=subprocess.DEVNULL, timeout=120, env=environment)
        # Orphans become ours: whatever is still there belongs to that run.
        with contextlib.suppress(ChildProcessError):
            while True:
                found, _ = os.waitpid(-1, os.WNOHANG)
                if found == self.tpm.process.pid:
                    raise AssertionError("the TPM has gone")
                if not found:
                    children = pathlib.Path(f"/proc/self/task/{threading.get_native_id()}/children")
                    left = set(children.read_text().split()) - {str(self.tpm.process.pid)} if children.exists() else ()
                    assert not left, f"processes are left: {left}"
                    break
        return done

    def predict(self, payload, *options):
        return self.run("predict", "--json", "--quiet", "--tcti", self.tpm.tcti, "--esp", self.folder, *options, payload)

    @contextlib.contextmanager
    def unchanged(self, codes):
        """Nothing is left behind, the TPM is as it was, and was sent nothing but these commands."""
        before, tpm = self.surroundings(), self.tpm.state()
        self.tpm.codes.clear()
        yield
        assert self.surroundings() == before, "files, or the kexec image, aren't as they were"
        assert self.tpm.state() == tpm, "the TPM isn't as it was"
        sent = set(self.tpm.codes)
        assert OWN <= sent, "the TPM wasn't even asked"
        assert sent <= codes, f"commands that reached the TPM: {[hex(code) for code in sent - codes]}"

    # ---- what was measured ----

    def digest(self, hashed, bank):
        if hashed == "child":
            return expected.authenticode((self.folder / "child.efi").read_bytes(), bank)
        if hashed == "driver":
            return expected.authenticode(bytes(self.driver), bank)
        if isinstance(hashed, int):
            return bytes([hashed] * hashlib.new(bank).digest_size).hex()
        data = (self.folder / hashed).read_bytes() if isinstance(hashed, str) else hashed
        return hashlib.new(bank, data).hexdigest()

    def check_events(self, row, plan):
        measured = [event for event in plan["events"] if event["payload_pcr"] is not None]
        image = (4, "EV_EFI_BOOT_SERVICES_APPLICATION", "liar.efi")
        wanted = [image, *(row.events or ())]
        wanted += [(5, "EV_EFI_ACTION", text) for text in [FAILURE] * row.failures + LEAVING]
        if row.events is None:
            first, last = measured[0], measured[-2:]
            assert len(measured) > 3 and all(event["payload_pcr"] in (4, 2) for event in measured[1:-2]), "other events than images"
            measured = [first, *last]
        assert len(measured) == len(wanted), f"{len(measured)} events instead of {len(wanted)}"
        for event, (pcr, kind, hashed) in zip(measured, wanted):
            assert (event["payload_pcr"], event["type"], event["register"]) == (pcr, kind, 8), f"{event}, wanted {pcr} {kind}"
            for bank in BANKS:
                digest = expected.authenticode((self.folder / hashed).read_bytes(), bank) if hashed == "liar.efi" \
                    else self.digest(hashed, bank)
                assert event["digests"][bank] == digest, f"the {bank} digest of {pcr} {kind} is of something else"

    # ---- the tests ----

    def lie(self, name):
        row = LIES[name]
        with self.unchanged(OWN | (HARMLESS if row.commands else {0x165})):
            done = self.predict(self.folder / "liar.efi", "--cmdline", name, *(row.options or ("--memory-limit", "256")))
            lines = done.stderr.splitlines()
            if row.line:
                pattern = re.escape(f"mkexec: {self.folder}/liar.efi{row.line}").replace(r"0x\*", "0x[0-9a-f]+").replace(r"\*", ".+")
                assert done.returncode == 1, f"exit code {done.returncode}: {done.stderr}{done.stdout[:80]}"
                assert len(lines) == 1 and re.fullmatch(pattern, lines[0]), f"instead of '{row.line}':\n{done.stderr}"
                assert not done.stdout, "a plan was printed"
                return
            assert done.returncode == 0, f"exit code {done.returncode}:\n{done.stderr}"
            assert [line for line in lines if line != f"payload: ok {name}"] == [], done.stderr
            self.check_events(row, json.loads(done.stdout))

    def changing_directory(self):
        """Files come and go while the guest lists them."""
        stop = threading.Event()

        def change():
            n = 0
            while not stop.is_set():
                for i in range(8):
                    path = self.folder / "changing" / f"file-{(n + i) % 32}"
                    path.unlink() if path.exists() else path.write_bytes(bytes(n % 9000))
                n += 1
        thread = threading.Thread(target=change)
        thread.start()
        try:
            self.lie("changing-directory")
        finally:
            stop.set()
            thread.join()

    def real_uki(self):
        """The same program, TPM and folder: what is honest gets through."""
        try:
            stub, kernel = payloads.stub("252").path.read_bytes(), payloads.kernel("6.1").image.read_bytes()
        except payloads.Unavailable as reason:
            raise Skip(str(reason)) from None
        path = self.folder / "b.efi"
        path.write_bytes(uki.build(stub=stub, kernel=kernel, initrd=b"\x1f\x8b" + bytes(5000), cmdline="quiet",
                                   osrel=uki.os_release("test", b"honest"), uname="6.1.0-test"))
        with self.unchanged(OWN | {0x165}):
            done = self.predict(path)
            assert done.returncode == 0, done.stderr
            digests = {event["digests"]["sha256"] for event in json.loads(done.stdout)["events"]}
            assert hashlib.sha256(kernel).hexdigest() in digests, "the kernel wasn't measured"
        path.unlink()

    def tampered_payloads(self):
        """The payload itself, before anything of it runs: exit code 2 and one line that says what is wrong."""
        good = (self.folder / "liar.efi").read_bytes()
        pe = struct.unpack_from("<I", good, 60)[0]
        sections = pe + 24 + struct.unpack_from("<H", good, pe + 20)[0]

        def changed(offset, format, value):
            data = bytearray(good)
            struct.pack_into(format, data, offset, value)
            return bytes(data)
        rows = {
            "TE image": changed(0, "<H", 0x5a56),
            "header outside": changed(60, "<I", 0xfffffff0),
            "no sections": changed(pe + 6, "<H", 0),
            "65535 sections": changed(pe + 6, "<H", 0xffff),
            "entry outside": changed(pe + 40, "<I", 0xffffff00),
            "other machine": changed(pe + 4, "<H", 0x01c2),
            "section of 4 GiB": changed(sections + 8, "<I", 0xffffffff),
            "section at a negative address": changed(sections + 12, "<I", 0xfffff000),
            "data outside the file": changed(sections + 20, "<I", 0xfffffff0),
            "headers of 4 GiB": changed(pe + 24 + 60, "<I", 0xfffff000),
            "relocations outside": changed(pe + 24 + 152, "<I", 0x00fff000),
            "half a file": good[:len(good) // 3],
            "nothing": b"",
        }
        path = self.folder / "tampered.efi"
        for name, data in rows.items():
            path.write_bytes(data)
            with self.unchanged(OWN | {0x165}):
                done = self.predict(path)
                lines = done.stderr.splitlines()
                assert done.returncode == 2, f"{name}: exit code {done.returncode}: {done.stderr}"
                assert len(lines) == 1 and lines[0].startswith(f"mkexec: {path}: "), f"{name}: {lines}"
        path.unlink()

    # ---- what can be made of planted bytes ----

    def log_of(self, events):
        """A log in the TCG's own format, with what a plan says was extended."""
        spec = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(BANKS))
        spec += b"".join(struct.pack("<HH", alg, hashlib.new(name).digest_size) for name, alg in BANKS.items()) + b"\0"
        log = struct.pack("<II20sI", 0, 3, bytes(20), len(spec)) + spec
        for event in events:
            log += struct.pack("<III", event["register"], TYPES[event["type"]], len(BANKS))
            log += b"".join(struct.pack("<H", alg) + bytes.fromhex(event["digests"][name]) for name, alg in BANKS.items())
            data = bytes.fromhex(event["data"])
            log += struct.pack("<I", len(data)) + data
        return log

    def verdict(self, events, pcrs=None):
        path, values = self.here / "log", self.here / "values"
        path.write_bytes(self.log_of(events))
        options = ()
        if pcrs:
            values.write_text("".join(f"{bank} {pcr} {value}\n" for pcr, banks in pcrs.items() for bank, value in banks.items()))
            options = ("--pcrs", values)
        done = self.run("log", "check", "--json", *options, path)
        path.unlink()
        values.unlink(missing_ok=True)
        return json.loads(done.stdout)["verdict"], done.returncode

    def plan_with_planted(self):
        done = self.predict(self.folder / "liar.efi", "--cmdline", "plant-digests")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def planted_digests(self):
        """A close and an open whose digests the payload got measured are in PCR 8, between the real ones. Whoever writes the
        log can put their bytes under these digests; the ledger that the real open committed to still stands."""
        plan = self.plan_with_planted()
        opened = bytes.fromhex(plan["events"][0]["data"])
        n = struct.unpack("<I", bytes.fromhex(plan["events"][-1]["data"])[16:20])[0]
        at = next(i for i, event in enumerate(plan["events"]) if event["data"] == b"innocent".hex())
        before = sum(event["payload_pcr"] is not None for event in plan["events"][:at])
        close = struct.pack("<IIIII", 0xc9ebf0a6, 12, 1, 1, before)
        (self.folder / PLANTED[0]).write_bytes(close)
        again = bytearray(opened)
        struct.pack_into("<I", again, 12, 2)  # hop 2, with the same ledger
        (self.folder / PLANTED[1]).write_bytes(again)
        plan = self.plan_with_planted()
        assert n == struct.unpack("<I", bytes.fromhex(plan["events"][-1]["data"])[16:20])[0]
        events = plan["events"]
        assert bytes.fromhex(events[0]["data"]) == opened, "the ledger knows of the planted bytes"
        pcrs = {pcr: plan["registers"][pcr] for pcr in ("8",)}
        assert self.verdict(events, pcrs) == ("ok", 0), "the honest log isn't taken"

        def retyped(i, data, kind="EV_EVENT_TAG"):
            assert hashlib.sha256(data).hexdigest() == events[i]["digests"]["sha256"]
            return dict(events[i], type=kind, data=bytes(data).hex())
        forged = {
            "close": events[:at] + [retyped(at, close)] + events[at + 1:],
            "close as text": events[:at] + [retyped(at, close, "EV_IPL")] + events[at + 1:],
            "open": events[:at + 1] + [retyped(at + 1, again)] + events[at + 2:],
            "both": events[:at] + [retyped(at, close), retyped(at + 1, again)] + events[at + 2:],
            "close, and nothing behind": events[:at] + [retyped(at, close)],
            "both, and the real close gone": events[:at] + [retyped(at, close), retyped(at + 1, again)] + events[at + 2:-1],
            "other data": events[:at] + [dict(events[at], data=b"harmless".hex())] + events[at + 1:],
            "other type": events[:at] + [dict(events[at], type="EV_POST_CODE")] + events[at + 1:],
            "one hidden": events[:at] + events[at + 1:],
            "two swapped": events[:at] + [events[at + 1], events[at]] + events[at + 2:],
        }
        for name, log in forged.items():
            result = self.verdict(log, pcrs)
            assert result[0] in ("mismatch", "malformed") and result[1] in (1, 2), f"{name}: {result}"
            # Without values a swap of two alike in the ledger is all that nobody could see.
            if name != "two swapped":
                assert self.verdict(log)[0] != "ok", f"{name} passes without values"


def cases(case):
    yield "a real UKI gets through", case.real_uki
    for name in LIES:
        if name == "changing-directory":
            yield f"lie: {name}", case.changing_directory
        else:
            yield f"lie: {name}", lambda name=name: case.lie(name)
    yield "tampered payloads", case.tampered_payloads
    yield "planted digests and what can be made of them", case.planted_digests
    yield "a real UKI still gets through", case.real_uki


def main():
    mkexec, programs = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    if not shutil.which("swtpm"):
        print("1..0 # SKIP needs swtpm")
        return 0
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    failed = n = 0
    chosen = sys.argv[3:]
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        case = Case(mkexec, programs, pathlib.Path(place))
        try:
            for name, function in cases(case):
                if chosen and not any(word in name for word in chosen):
                    continue
                n += 1
                began = time.monotonic()
                try:
                    function()
                    print(f"ok {n} - {name} # {1000 * (time.monotonic() - began):.0f} ms", flush=True)
                except Skip as reason:
                    print(f"ok {n} - {name} # SKIP {reason}", flush=True)
                except Exception as wrong:  # noqa: BLE001
                    failed = 1
                    print("\n".join(f"# {line}" for line in (str(wrong) or repr(wrong)).splitlines()))
                    print(f"not ok {n} - {name}", flush=True)
        finally:
            case.tpm.stop()
    print(f"1..{n}")
    return failed


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())

# SPDX-License-Identifier: LGPL-2.1-or-later
"""A swtpm, and sockets before it at which one command of mkexec's can go wrong.

They speak the protocol of Microsoft's simulator, for which tpm2-tss needs no further socket once it is connected, as
for a device; mkexec's own filter allows none. What is read and extended here for the tests goes past them.
TPM 2.0 Library, parts 1 to 3, and part 4 for the simulator.
"""

import pathlib
import random
import socket
import struct
import subprocess
import threading
import time

BANKS = {"sha256": 0xb, "sha384": 0xc}
SIZES = {"sha256": 32, "sha384": 48}
CODES = {0x144: "Startup", 0x17a: "GetCapability", 0x17e: "PCR_Read", 0x182: "PCR_Extend", 0x165: "FlushContext",
         0x122: "NV_UndefineSpace", 0x12a: "NV_DefineSpace", 0x131: "CreatePrimary", 0x137: "NV_Write", 0x138: "NV_WriteLock",
         0x14e: "NV_Read", 0x14f: "NV_ReadLock", 0x169: "NV_ReadPublic", 0x176: "StartAuthSession", 0x17f: "PolicyPCR"}
CMD_INIT = 2  # swtpm's control channel
SEND_COMMAND, SESSION_END = 8, 20  # the simulator's

# What can go wrong with one command. RETRY ... are the TPM's answers to a command that it hasn't carried out.
MODES = ("closed",      # the connection ends before it
         "lost",        # the connection ends after it was carried out
         "retry", "yielded", "testing", "lockout", "failure",
         "short",       # carried out, half of the answer, then the connection ends
         "garbage",     # carried out, an answer of random bytes
         "oversize",    # carried out, an answer that says it is 4 GB long
         "flip",        # carried out, one bit of the answer is another
         "hang",        # no answer; mkexec is killed
         "hang-done")   # carried out, no answer; mkexec is killed
# Not a point of this suite: no answer, and nobody is killed for it (tests/integration/test_orderly.py).
SILENT = "silent"
RESPONSE_CODES = {"retry": 0x922, "yielded": 0x908, "testing": 0x90a, "lockout": 0x921, "failure": 0x101}


def _receive(connection, size):
    data = b""
    while len(data) < size:
        if connection.family == socket.AF_INET:  # tpm2-tss sends a command in parts: each waits for the last one's
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _message(connection):
    head = _receive(connection, 10)
    return head + _receive(connection, struct.unpack(">I", head[2:6])[0] - 10)


class Tpm:
    def __init__(self, folder):
        folder = pathlib.Path(folder)
        state = folder / "state"
        state.mkdir()
        subprocess.run(["swtpm_setup", "--tpm2", "--tpmstate", str(state), "--pcr-banks", ",".join(BANKS), "--overwrite",
                        "--logfile", str(folder / "setup.log")], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)
        self.control = folder / "sock.ctrl"
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--server", f"type=unixio,path={folder}/real",
             "--ctrl", f"type=unixio,path={self.control}", "--flags", "not-need-init,startup-clear"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.lock, self.served = threading.Lock(), set()
        self.connection = self._connect(folder / "real")
        self.fault, self.on_hang, self.commands, self.hit = None, None, [], None
        listeners = self._listeners()
        for listener, serve in zip(listeners, (self._serve_commands, self._serve_platform)):
            threading.Thread(target=self._accept, args=(listener, serve), daemon=True).start()
        self.tcti = f"mssim:host=127.0.0.1,port={listeners[0].getsockname()[1]}"

    @staticmethod
    def _listeners():
        """Two ports in a row."""
        while True:
            pair = [socket.socket(), socket.socket()]
            try:
                pair[0].bind(("127.0.0.1", 0))
                pair[1].bind(("127.0.0.1", pair[0].getsockname()[1] + 1))
                for listener in pair:
                    listener.listen(8)
                return pair
            except (OSError, OverflowError):
                for listener in pair:
                    listener.close()

    @staticmethod
    def _connect(path):
        for _ in range(200):
            try:
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(str(path))
                return connection
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.02)
        raise RuntimeError("swtpm doesn't come up")

    def stop(self):
        self.process.kill()
        self.process.wait()

    # ---- for the tests ----

    def transmit(self, command):
        with self.lock:
            self.connection.sendall(command)
            return _message(self.connection)

    def ask(self, code, body, tag=0x8001):
        """The response code, and what follows it."""
        answer = self.transmit(struct.pack(">HII", tag, 10 + len(body), code) + body)
        return struct.unpack(">I", answer[6:10])[0], answer[10:]

    def command(self, code, body, tag=0x8001):
        failed, answer = self.ask(code, body, tag)
        if failed:
            raise RuntimeError(f"TPM command {code:#x}: {failed:#x}")
        return answer

    def handles(self, first):
        """Those that there are from first on, of its kind. Part 2, section 10.8.2 and 10.9."""
        answer = self.command(0x17a, struct.pack(">III", 1, first, 254))
        n = struct.unpack_from(">I", answer, 5)[0]
        return struct.unpack_from(f">{n}I", answer, 9)

    def settle(self):
        """The program is gone: what it has sent is carried out. Then as the kernel's resource manager: returns how many
        objects and sessions it left."""
        deadline = time.monotonic() + 5
        while self.served and time.monotonic() < deadline:
            time.sleep(0.001)
        left = [handle for first in (0x80000000, 0x02000000, 0x03000000) for handle in self.handles(first)]
        for handle in left:
            self.command(0x165, struct.pack(">I", handle))
        return len(left)

    def reset(self):
        """As a reset of the machine."""
        control = self._connect(self.control)
        control.sendall(struct.pack(">II", CMD_INIT, 0))
        if _receive(control, 4) != bytes(4):
            raise RuntimeError("swtpm can't be reset")
        control.close()
        self.command(0x144, struct.pack(">H", 0))

    def extend(self, pcr, digests):
        values = b"".join(struct.pack(">H", BANKS[bank]) + bytes.fromhex(digest) for bank, digest in digests.items())
        self.command(0x182, struct.pack(">II", pcr, 9) + struct.pack(">IHBH", 0x40000009, 0, 0, 0)
                     + struct.pack(">I", len(digests)) + values, tag=0x8002)

    def read(self):
        """{bank: {pcr: hex}} of PCR 0 to 15."""
        values = {}
        for bank, algorithm in BANKS.items():
            values[bank] = {}
            for select in (b"\xff\0\0", b"\0\xff\0"):
                answer = self.command(0x17e, struct.pack(">IHB", 1, algorithm, 3) + select)
                at = 4 + 4 + 6 + 4
                for _ in range(8):
                    size = struct.unpack_from(">H", answer, at)[0]
                    values[bank][len(values[bank])] = answer[at + 2:at + 2 + size].hex()
                    at += 2 + size
        return values

    # ---- for mkexec ----

    def expect(self, fault, on_hang):
        """Forgets what was sent; fault: (number of the command from 1, mode, whether all later ones fail, too)."""
        self.fault, self.on_hang, self.commands, self.hit = fault, on_hang, [], None

    def _accept(self, listener, serve):
        def guarded(connection):
            try:
                while serve(connection):
                    pass
            except (EOFError, OSError):
                pass
            connection.close()
            self.served.discard(connection)
        while True:
            connection = listener.accept()[0]
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.served.add(connection)
            threading.Thread(target=guarded, args=(connection,), daemon=True).start()

    @staticmethod
    def _serve_platform(connection):
        """Power and such: all is well."""
        if struct.unpack(">I", _receive(connection, 4))[0] == SESSION_END:
            return False
        connection.sendall(bytes(4))
        return True

    def _serve_commands(self, connection):
        if struct.unpack(">I", _receive(connection, 4))[0] != SEND_COMMAND:
            return False
        size = struct.unpack(">BI", _receive(connection, 5))[1]
        command = _receive(connection, size)
        self.commands.append(CODES.get(struct.unpack(">I", command[6:10])[0], "other"))
        number, mode, later = self.fault or (0, None, False)
        if not mode or (len(self.commands) != number and not (later and len(self.commands) > number)):
            return self._answer(connection, self.transmit(command))
        self.hit = self.commands[-1]
        return self._fail(connection, command, mode)

    @staticmethod
    def _answer(connection, answer):
        connection.sendall(struct.pack(">I", len(answer)) + answer + bytes(4))
        return True

    def _fail(self, connection, command, mode):
        if mode in RESPONSE_CODES:
            return self._answer(connection, struct.pack(">HII", 0x8001, 10, RESPONSE_CODES[mode]))
        if mode == SILENT:
            _receive(connection, 1)
        if mode not in ("closed", "hang"):
            answer = self.transmit(command)
        if mode in ("hang", "hang-done"):
            self.on_hang()
            _receive(connection, 1)  # until it is gone
        if mode == "short":
            connection.sendall(struct.pack(">I", len(answer)) + answer[:len(answer) // 2])
        if mode not in ("garbage", "oversize", "flip"):
            return False
        if mode == "garbage":
            answer = random.Random(len(answer)).randbytes(len(answer))
            answer = answer[:2] + struct.pack(">I", len(answer)) + answer[6:]
        if mode == "oversize":
            answer = answer[:2] + b"\xff\xff\xff\xff" + answer[6:]
        if mode == "flip":
            answer = answer[:-1] + bytes([answer[-1] ^ 1])
        return self._answer(connection, answer)

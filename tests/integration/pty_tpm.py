# SPDX-License-Identifier: LGPL-2.1-or-later
"""swtpm behind a device file, for programs that take no other TPM: a pseudo-terminal in raw mode, whose other end passes commands
on. A device gives one answer for one command in one read, and so does this. The kernel's own ways (CUSE, vtpm_proxy) need drivers
that not every kernel has."""

import os
import pathlib
import pty
import socket
import subprocess
import threading
import time
import tty

HEADER_BYTES = 10


class PtyTpm:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.socket = self.folder / "sock"
        self.commands = []
        (self.folder / "state").mkdir()
        self.start()
        self.ours, self.theirs = pty.openpty()
        tty.setraw(self.theirs)
        self.device = os.ttyname(self.theirs)
        threading.Thread(target=self.relay, daemon=True).start()

    def start(self):
        self.swtpm = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.folder}/state", "--server", f"type=unixio,path={self.socket}",
             "--ctrl", f"type=unixio,path={self.socket}.ctrl", "--flags", "not-need-init,startup-clear"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while not self.socket.exists() and time.monotonic() < until:
            time.sleep(0.05)

    def stop(self):
        self.swtpm.terminate()
        self.swtpm.wait()

    @property
    def tcti(self):
        return f"device:{self.device}"

    @property
    def environment(self):
        """For tpm2-tools, which go to swtpm without the detour."""
        return {**os.environ, "TPM2TOOLS_TCTI": f"swtpm:path={self.socket}"}

    def relay(self):
        while True:
            command = receive(lambda n: os.read(self.ours, n))
            self.commands.append(int.from_bytes(command[6:10], "big"))
            with socket.socket(socket.AF_UNIX) as tpm:
                tpm.connect(str(self.socket))
                tpm.sendall(command)
                os.write(self.ours, receive(tpm.recv))


def receive(read):
    """One command or answer, whose size stands in its header (Part 1, section 18)."""
    data = b""
    while len(data) < HEADER_BYTES or len(data) < int.from_bytes(data[2:6], "big"):
        data += read(4096)
    return data

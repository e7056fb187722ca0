# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stands between QEMU and swtpm and cuts the machine's power at one TPM command: behind a mark, so many PCR_Extends later.
Called by vm.py for machines that want it.

QEMU talks to swtpm over a control socket, through which it passes the descriptor of the one that commands go over (qemu,
backends/tpm/tpm_emulator.c). What comes is passed on as it is; of the commands only sizes, codes and the mark are read.
"""

import array
import selectors
import socket
import threading
from dataclasses import dataclass

import swtpm

CHUNK = 1 << 16
HEADER_BYTES = 10


@dataclass(frozen=True)
class PowerCut:
    """`mark`: the size of the TPM2_GetRandom (guest/report mark_tpm) behind which counting starts; `after`: how many extends the TPM
    still does. The command that follows them doesn't reach it."""
    mark: int
    after: int


class Wire(threading.Thread):
    """`cut` is called once, when the time has come; nothing is passed on after it."""

    def __init__(self, path, tpm, when, cut):
        super().__init__(daemon=True)
        self.tpm, self.when, self.cut = tpm, when, cut
        self.selector, self.pending, self.n_extends = selectors.DefaultSelector(), b"", None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()

    def run(self):
        control, _ = self.listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self.tpm))
        self.join_sockets(control, server, self.pass_control)
        try:
            while all(key.data(key.fileobj) for key, _ in self.selector.select()):
                pass
        except OSError:
            pass
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.listener.close()

    def join_sockets(self, client, server, to_server):
        self.selector.register(client, selectors.EVENT_READ, lambda _: to_server(client, server))
        self.selector.register(server, selectors.EVENT_READ, lambda _: pass_on(server, client))

    def pass_control(self, client, server):
        """The descriptor that comes with a command is kept, and swtpm gets the end of a socket of ours."""
        data, ancillary, *_ = client.recvmsg(CHUNK, socket.CMSG_SPACE(array.array("i").itemsize))
        if not ancillary:
            server.sendall(data)
            return bool(data)
        ours, theirs = socket.socketpair()
        socket.send_fds(server, [data], [theirs.fileno()])
        theirs.close()
        descriptors = array.array("i", ancillary[0][2])
        self.join_sockets(socket.socket(fileno=descriptors[0]), ours, self.pass_commands)
        return True

    def pass_commands(self, client, server):
        data = client.recv(CHUNK)
        self.pending += data
        while len(self.pending) >= HEADER_BYTES and len(self.pending) >= (size := int.from_bytes(self.pending[2:6], "big")):
            command, self.pending = self.pending[:size], self.pending[size:]
            if not self.look_at(swtpm.command_of(command)):
                self.cut()
                return False
            server.sendall(command)
        return bool(data)

    def look_at(self, command):
        """Whether it may pass."""
        if command.name == "GetRandom" and command.random_bytes == self.when.mark:
            self.n_extends = 0
        elif self.n_extends == self.when.after:
            return False
        elif self.n_extends is not None and command.name == "PCR_Extend":
            self.n_extends += 1
        return True


def pass_on(source, target):
    data = source.recv(CHUNK)
    target.sendall(data)
    return bool(data)

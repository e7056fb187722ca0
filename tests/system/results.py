# SPDX-License-Identifier: LGPL-2.1-or-later
"""What came out of a virtual machine: frames from its serial port, and the state of one kernel as dicts."""

import hashlib
import io
import re
import tarfile

FRAME = re.compile(rb"\n@@frame (\S+) (\d+) ([0-9a-f]{64})\n")


def frames(raw):
    """{name: bytes} of the complete frames. A frame that was cut or spoilt isn't there."""
    found, at = {}, 0
    while match := FRAME.search(raw, at):
        name, size, digest = match.group(1).decode(), int(match.group(2)), match.group(3).decode()
        data = raw[match.end():match.end() + size]
        if len(data) == size and hashlib.sha256(data).hexdigest() == digest:
            found[name] = data
            at = match.end() + size
        else:
            at = match.end()
    return found


class State:
    """What guest/report collected in one kernel, and what the script laid beside it."""

    def __init__(self, packed):
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
            self.files = {member.name.removeprefix("./"): archive.extractfile(member).read()
                          for member in archive.getmembers() if member.isfile()}

    def text(self, name):
        return self.files.get(name, b"").decode(errors="replace").strip()

    @property
    def log(self):
        return self.files.get("log", b"")

    @property
    def pcrs(self):
        return parse_pcrs(self.text("pcrs"))

    @property
    def efivars(self):
        """{name without GUID: (attributes, bytes)} of the variables that were collected"""
        found = {}
        for path, data in self.files.items():
            if path.startswith("efivars/") and path != "efivars/names":
                found[path.split("/")[1][:-37]] = (int.from_bytes(data[:4], "little"), data[4:])
        return found


def parse_pcrs(text):
    """Lines "bank index hex" -> {bank: {index: hex}}"""
    banks = {}
    for bank, index, value in (line.split() for line in text.splitlines()):
        banks.setdefault(bank, {})[int(index)] = value.lower()
    return banks

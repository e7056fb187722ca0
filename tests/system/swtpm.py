# SPDX-License-Identifier: LGPL-2.1-or-later
"""One software TPM in a process of its own, and the log of the commands that it was sent.

The command log is swtpm's, not ours: what it doesn't show didn't reach the TPM.
"""

import pathlib
import re
import shutil
import subprocess
from dataclasses import dataclass

# TPM 2.0 Library, part 2, 6.5.2; only what the tests speak of has a name
COMMANDS = {
    0x11f: "NV_UndefineSpaceSpecial", 0x120: "EvictControl", 0x122: "NV_UndefineSpace", 0x129: "HierarchyChangeAuth",
    0x12a: "NV_DefineSpace", 0x12b: "PCR_Allocate", 0x131: "CreatePrimary", 0x137: "NV_Write", 0x138: "NV_WriteLock", 0x13c: "PCR_Event",
    0x13d: "PCR_Reset", 0x13e: "SequenceComplete", 0x143: "SelfTest", 0x144: "Startup", 0x145: "Shutdown",
    0x14e: "NV_Read", 0x14f: "NV_ReadLock", 0x153: "Create", 0x157: "Load", 0x15e: "Unseal", 0x161: "ContextLoad",
    0x162: "ContextSave", 0x165: "FlushContext", 0x169: "NV_ReadPublic", 0x173: "ReadPublic",
    0x176: "StartAuthSession", 0x17a: "GetCapability", 0x17b: "GetRandom", 0x17c: "GetTestResult", 0x17d: "Hash",
    0x17e: "PCR_Read", 0x17f: "PolicyPCR", 0x182: "PCR_Extend", 0x185: "EventSequenceComplete",
    0x186: "HashSequenceStart", 0x189: "PolicyGetDigest",
}
MEMORY = "tpm2-00.permall"
READS = ("GetCapability", "GetRandom", "GetTestResult", "NV_ReadPublic", "PCR_Read", "ReadPublic", "SelfTest")


@dataclass(frozen=True)
class Command:
    name: str
    data: bytes

    @property
    def handle(self):
        """The first handle, which for PCR_Extend is the PCR."""
        return int.from_bytes(self.data[10:14], "big")

    @property
    def random_bytes(self):
        return int.from_bytes(self.data[10:12], "big")

    def __str__(self):
        return f"{self.name}({self.handle})" if self.name == "PCR_Extend" else self.name


def command_of(data):
    code = int.from_bytes(data[6:10], "big")
    return Command(COMMANDS.get(code, f"command {code:#x}"), data)


class Swtpm:
    def __init__(self, folder, banks=("sha256",), before=None):
        """A new one; or with the memory of one that was there `before`, which is switched on again."""
        self.state = pathlib.Path(folder) / "tpm"
        self.state.mkdir(parents=True)
        self.socket = self.state / "ctrl"
        self.log = pathlib.Path(folder) / "swtpm.log"
        self.process = None
        if before:
            shutil.copy(before.memory, self.state)
            return
        subprocess.run(["swtpm_setup", "--tpm2", "--tpmstate", str(self.state), "--pcr-banks", ",".join(banks),
                        "--overwrite", "--logfile", str(self.log) + ".setup"],
                       check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    @property
    def memory(self):
        """The file that has all that outlives a loss of power."""
        return self.state / MEMORY

    def start(self):
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.state}", "--ctrl", f"type=unixio,path={self.socket}",
             "--log", f"level=20,file={self.log}", "--terminate"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def stop(self):
        """With --terminate it ends by itself when the machine's connection closes; this only sees to it."""
        if self.process is None:
            return
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait(timeout=5)
        self.process = None

    def kill(self):
        """Its power is gone: what it hasn't written is lost."""
        self.process.kill()

    def commands(self):
        return parse_commands(self.log.read_text(errors="replace"))

    def bus(self):
        """All that went over it, in both directions."""
        return transfers(self.log.read_text(errors="replace"), "Read|Write")


def transfers(text, directions):
    """Level 20 of the log has a hex dump of each transfer under a line that names it."""
    block = rf"SWTPM_IO_(?:{directions}): length \d+\n((?:\s*[0-9A-F]{{2}}(?: [0-9A-F]{{2}})*\s*\n)+)"
    return [bytes.fromhex(found.group(1)) for found in re.finditer(block, text)]


def parse_commands(text):
    """The commands in order."""
    return [command_of(data) for data in transfers(text, "Read")]


def between(commands, first_mark, last_mark):
    """The commands between two marks (GetRandom of so many bytes, guest/report mark_tpm) or to the end."""
    marks = [i for i, c in enumerate(commands) if c.name == "GetRandom" and c.random_bytes == first_mark]
    if not marks:
        return None
    rest = commands[marks[-1] + 1:]
    last = next((i for i, c in enumerate(rest) if c.name == last_mark
                 or (c.name == "GetRandom" and c.random_bytes == last_mark)), len(rest))
    return rest[:last]

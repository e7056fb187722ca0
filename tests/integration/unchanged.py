# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a payload must leave as it was: processes, files, the TPM; called by the tests that run strange ones.

run() starts mkexec in a session of its own and sees that it ends and that nobody of that session is left.
"""

import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
import swtpm  # noqa: E402

PATIENCE = 300  # seconds after which a run hangs, on a machine that is busy with other things


class Tpm:
    """A software TPM; what it was sent stands in its own log."""

    def __init__(self, folder):
        self.log, sock = folder / "swtpm.log", folder / "sock"
        (folder / "tpm").mkdir()
        self.tcti = f"swtpm:path={sock}"
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder / 'tpm'}", "--server", f"type=unixio,path={sock}",
             "--ctrl", f"type=unixio,path={sock}.ctrl", "--flags", "not-need-init,startup-clear",
             "--log", f"level=20,file={self.log}"], stdin=subprocess.DEVNULL)
        for _ in range(200):
            if sock.exists():
                return
            time.sleep(0.05)
        raise OSError("swtpm doesn't start")

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def ask(self, *argv):
        return subprocess.run([*argv, "-T", self.tcti], capture_output=True, text=True, check=True).stdout

    def sent_besides_questions(self):
        """Since the last call."""
        commands = swtpm.parse_commands(self.log.read_text(errors="replace"))
        os.truncate(self.log, 0)
        assert commands, "the TPM was asked nothing: this check sees nothing"
        return [str(c) for c in commands if c.name not in swtpm.READS]


def tree(folder):
    return {str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.lstat().st_mode,
                                            hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"")
            for path in folder.rglob("*")}


def left_of(pid):
    """Processes that still belong to the session that a run began."""
    left = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == pid:
            left.append(stat.parent.name)
    return left


def run(argv):
    """(exit code, standard output, standard error)"""
    with tempfile.TemporaryFile("w+", errors="replace") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        process = subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                   start_new_session=True)
        try:
            process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"hangs: {PATIENCE} s") from None
        assert not (left := left_of(process.pid)), f"processes are left: {left}"
        for file in (out, err):
            file.seek(0)
        return process.returncode, out.read(), err.read()

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the machine made of files is: namespaces of mounts and processes, without the right to kexec."""

import os
import pathlib
import shutil
import subprocess

NAMESPACES = ["setpriv", "--bounding-set=-sys_boot", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
              "sh", "-c", 'mount -t tmpfs none /sys && mount -t tmpfs none /run && exec "$@"', "sh"]


def missing():
    """Why this can't run here, or None."""
    if os.geteuid() != 0:
        return "not root"
    for program in ("swtpm", "swtpm_setup", "tpm2_eventlog", "tpm2_pcrread", "unshare", "setpriv"):
        if not shutil.which(program):
            return f"no {program}"
    if pathlib.Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]:
        return "a user namespace around us"
    done = subprocess.run([*NAMESPACES, "unshare", "--user", "true"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    return f"no namespaces: {done.stderr.strip()}" if done.returncode else None

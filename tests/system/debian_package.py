# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian packages of a checkout: built once for all scenarios of a run, in a copy of the sources."""

import functools
import pathlib
import shutil
import subprocess
import tempfile
import threading

import payloads
import rootfs
import scene

NEEDS = ("dpkg-buildpackage", "dh")
LOCK = threading.Lock()


def build(folder):
    place = folder / "mkexec"
    names = subprocess.run(["git", "-C", scene.REPOSITORY, "ls-files", "-z"], capture_output=True, check=True).stdout
    for name in names.decode().split("\0"):
        if name and (scene.REPOSITORY / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(scene.REPOSITORY / name, place / name)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(folder),
                   "DEB_BUILD_OPTIONS": "nocheck parallel=2"}
    rootfs.call(["dpkg-buildpackage", "-us", "-uc", "-b"], cwd=place, env=environment)


class Packages:
    """What dpkg-buildpackage makes, in a folder that goes with this process."""

    def __init__(self):
        missing = [program for program in NEEDS if not shutil.which(program)]
        if missing:
            raise payloads.Unavailable(f"{', '.join(missing)} isn't installed")
        self.place = tempfile.TemporaryDirectory(prefix="mkexec-packages-")
        self.folder = pathlib.Path(self.place.name)
        build(self.folder)

    @property
    def all(self):
        return sorted(path for path in self.folder.glob("*.deb") if "dbgsym" not in path.name)

    @property
    def program(self):
        return next(path for path in self.all if path.name.startswith("mkexec_"))

    @property
    def changes(self):
        return next(self.folder.glob("*.changes"))


@functools.cache
def _built():
    return Packages()


def built():
    with LOCK:
        return _built()

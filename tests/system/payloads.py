# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stubs and kernels that the virtual machines boot, fetched as Debian packages and unpacked, never installed.

Called by the scenarios and, as a program, by ./demo and ./check to fill the cache ahead of the tests. The
mirror is the one this machine's own apt uses; apt runs on a state and cache of its own, so nothing of the
machine's package database is touched. What can't be had is an `Unavailable` with its reason, which the
scenarios report as skipped.
"""

import argparse
import contextlib
import fcntl
import functools
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass

# Where the versions named by the tests have been seen. A suite the mirror doesn't carry is left out.
SUITES = ("bookworm", "bookworm-backports", "trixie", "trixie-backports", "sid", "bullseye")
KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
STUB_PACKAGE = "systemd-boot-efi"
STUB_PATH = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
KERNEL_PACKAGE = "linux-image-cloud-amd64"
# From 6.17 on the image package is empty and its files are in these; before it holds everything.
KERNEL_PARTS = re.compile(r"linux-(?:image|binary|modules|base)-\d\S*cloud\S*")
# The installer's kernels come without modules and, in this suite, compressed with xz; they are a component apart.
INSTALLER_SUITE = "bookworm"
INSTALLER_KERNEL = re.compile(r"kernel-image-\d\S*-amd64-di")


# systemd's programs and what they need, unpacked with a C library of their own: they run on any Debian.
SYSTEMD_PACKAGE = "systemd"
SYSTEMD_LIBRARIES = (
    "libsystemd-shared", "libc6", "libacl1", "libblkid1", "libcap2", "libcrypt1", "libssl3t64", "libmount1", "libpam0g",
    "libseccomp2", "libselinux1", "libaudit1", "libcap-ng0", "libpcre2-8-0", "zlib1g", "libzstd1", "libtss2-esys-3.0.2-0t64",
    "libtss2-mu-4.0.1-0t64", "libtss2-sys1t64", "libtss2-rc0t64", "libtss2-tcti-device0t64", "libtss2-tcti-swtpm0t64")


class Unavailable(Exception):
    """A payload that can't be had on this machine; the text is the reason."""


@dataclass(frozen=True)
class Stub:
    wanted: str
    version: str
    path: pathlib.Path


@dataclass(frozen=True)
class Kernel:
    wanted: str
    version: str
    folder: pathlib.Path

    @property
    def image(self):
        return next(self.folder.glob("boot/vmlinuz-*"), None) or next(self.folder.glob("usr/lib/modules/*/vmlinuz"))

    @property
    def config(self):
        return next(self.folder.glob("boot/config-*"), None) or next(self.folder.glob("usr/lib/modules/*/config"))

    @property
    def release(self):
        return self.modules.name

    @property
    def modules(self):
        found = [p.parent for root in ("lib/modules", "usr/lib/modules")
                 for p in self.folder.glob(root + "/*/kernel") if p.is_dir()]
        if not found:
            raise Unavailable(f"kernel {self.version} came without modules")
        return found[0]


@dataclass(frozen=True)
class Systemd:
    version: str
    folder: pathlib.Path
    LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/systemd")
    LOADER = "usr/lib64/ld-linux-x86-64.so.2"

    def command(self, program, root=None):
        """argv of one of its programs, with its own libraries; `root` is where the folder is for who runs it."""
        root = root or self.folder
        return [f"{root}/{self.LOADER}", "--library-path", ":".join(f"{root}/{place}" for place in self.LIBRARIES),
                f"{root}/usr/lib/systemd/{program}"]


def cache_folder():
    place = os.environ.get("MKEXEC_CACHE")
    folder = pathlib.Path(place) if place else pathlib.Path.home() / ".cache/mkexec"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def matches(version, wanted):
    """Whether a package version belongs to the series that a test names: 252.39-1 to 252, 6.1.192-2 to 6.1."""
    return re.match(r"(\d+:)?" + re.escape(wanted) + r"(?![0-9])", version) is not None


def run(*argv, cwd=None):
    done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise Unavailable(f"{argv[0]} failed: {lines[-1]}")
    return done.stdout


class Archive:
    """The distribution's archive, seen through an apt state that belongs to the cache folder."""

    def __init__(self, folder):
        self.folder = folder
        self.trouble = ""
        self.options = [f"-o{key}={value}" for key, value in {
            "Dir::State": folder / "state", "Dir::State::status": "/dev/null", "Dir::Cache": folder / "archives",
            "Dir::Cache::pkgcache": "pkgcache.bin", "Dir::Cache::srcpkgcache": "",
            "Dir::Etc::sourcelist": folder / "sources.list", "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null", "Dir::Etc::preferencesparts": "/dev/null",
            "APT::Sandbox::User": "root", "Acquire::Languages": "none", "Acquire::Retries": "2"}.items()]

    def update(self):
        for part in ("state/lists/partial", "archives/archives/partial"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "sources.list").write_text("\n".join(self.sources()) + "\n")
        # A suite that is gone from the mirror must not hide the others: what counts is what can be found after.
        # "any" because apt-get otherwise takes a mirror that doesn't answer for a passing trouble and exits 0.
        try:
            run("apt-get", *self.options, "-oAPT::Update::Error-Mode=any", "update")
        except Unavailable as reason:
            self.trouble = f" ({reason})"

    @staticmethod
    def sources():
        signed = f"[arch=amd64 signed-by={KEYRING}]" if KEYRING.exists() else "[arch=amd64]"
        rows = run("apt-get", "indextargets", "--format", "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
                   "Created-By: Packages").split()
        own = [row.split("|")[1:3] for row in rows if re.fullmatch(r"Debian\|.*\|main", row)]
        if not own:
            # The origin is known only after an `apt-get update`; before, the suite's name has to do.
            own = [row.split("|")[1:3] for row in rows if row.split("|")[2].split("-")[0] in SUITES]
        if not own:
            raise Unavailable("no Debian mirror in this machine's apt configuration")
        mirror = next((uri for uri, suite in own if "-" not in suite), own[0][0])
        wanted = dict.fromkeys([*map(tuple, own), *((mirror, suite) for suite in SUITES)])
        return [f"deb {signed} {uri} {suite} main" + " main/debian-installer" * (suite == INSTALLER_SUITE)
                for uri, suite in wanted]

    def newest_named(self, pattern):
        """The package whose name has the highest numbers in it, or None."""
        names = [name for name in run("apt-cache", *self.options, "pkgnames").split() if pattern.fullmatch(name)]
        return max(names, key=lambda name: [int(number) for number in re.findall(r"\d+", name)], default=None)

    def versions(self, package):
        """All versions on offer, newest first."""
        rows = run("apt-cache", *self.options, "madison", package).splitlines()
        return list(dict.fromkeys(row.split("|")[1].strip() for row in rows if row.count("|") == 2))

    def suite(self, package, version):
        rows = [row.split("|") for row in run("apt-cache", *self.options, "madison", package).splitlines()]
        return next(row[2].split()[1].split("/")[0] for row in rows if len(row) == 3 and row[1].strip() == version)

    def depends(self, package, version):
        """(package, version) pairs that this version needs in exactly one version."""
        text = run("apt-cache", *self.options, "show", f"{package}={version}")
        line = next((row for row in text.splitlines() if row.startswith("Depends:")), "")
        return re.findall(r"([a-z0-9.+-]+) \(= ([^)]+)\)", line)

    def unpack(self, package, version, into, suite=None):
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            run("apt-get", *self.options, "download", f"{package}/{suite}" if suite else f"{package}={version}", cwd=place)
            for deb in pathlib.Path(place).glob("*deb"):
                run("dpkg", "-x", str(deb), str(into))


def unpack_stub(archive, version, into):
    archive.unpack(STUB_PACKAGE, version, into)


def unpack_kernel(archive, version, into):
    queue, done = [(KERNEL_PACKAGE, version)], set()
    while queue:
        package = queue.pop()
        for need in archive.depends(*package):
            if KERNEL_PARTS.fullmatch(need[0]) and need not in done:
                done.add(need)
                queue.append(need)
                archive.unpack(*need, into)


def unpack_systemd(archive, version, into):
    suite = archive.suite(SYSTEMD_PACKAGE, version)
    archive.unpack(SYSTEMD_PACKAGE, version, into)
    for library in SYSTEMD_LIBRARIES:
        archive.unpack(library, None, into, suite)


@contextlib.contextmanager
def locked(folder):
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.cache
def current_archive(folder):
    """Asked for its lists once in a run."""
    archive = Archive(folder)
    archive.update()
    return archive


def provide(kind, package, unpack, wanted, refresh, exact=False):
    """The folder of one payload and its version: from the cache if it has the series, else from the archive.

    If the archive hasn't the series either, the newest on offer has to do, unless `exact`.
    """
    cache = cache_folder()
    with locked(cache):
        kept = sorted(p for p in cache.glob(f"{kind}-*") if matches(p.name[len(kind) + 1:], wanted))
        if kept and not refresh:
            return kept[-1], kept[-1].name[len(kind) + 1:]
        archive = current_archive(cache / "apt")
        if isinstance(package, re.Pattern):
            package = archive.newest_named(package) or package.pattern
        offered = [version for version in archive.versions(package) if not exact or matches(version, wanted)]
        if not offered:
            series = f" of series {wanted}" if exact else ""
            raise Unavailable(f"the mirror offers no {package}{series}{archive.trouble}")
        version = next((v for v in offered if matches(v, wanted)), offered[0])
        folder = cache / f"{kind}-{version.split(':')[-1]}"
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache, prefix="new-") as place:
                unpack(archive, version, pathlib.Path(place) / "files")
                os.rename(pathlib.Path(place) / "files", folder)
        return folder, version


def stub(wanted, refresh=False, exact=False):
    installed = pathlib.Path("/") / STUB_PATH
    if installed.exists() and not refresh:
        version = subprocess.run(["dpkg-query", "-W", "-f${Version}", STUB_PACKAGE], capture_output=True, text=True)
        if matches(version.stdout, wanted):
            return Stub(wanted, version.stdout, installed)
    folder, version = provide("stub", STUB_PACKAGE, unpack_stub, wanted, refresh, exact)
    return Stub(wanted, version, folder / STUB_PATH)


def kexec_tools(wanted="2.0.25", refresh=False):
    """The ordinary kexec, unpacked because the package installs itself into the machine's shutdown."""
    folder, _ = provide("kexec-tools", "kexec-tools", lambda a, v, into: a.unpack("kexec-tools", v, into), wanted, refresh)
    return folder / "sbin/kexec" if (folder / "sbin/kexec").exists() else folder / "usr/sbin/kexec"


def systemd(wanted="257"):
    folder, version = provide("systemd", SYSTEMD_PACKAGE, unpack_systemd, wanted, refresh=False, exact=True)
    return Systemd(version, folder)


def kernel(wanted, refresh=False, exact=False):
    folder, version = provide("kernel", KERNEL_PACKAGE, unpack_kernel, wanted, refresh, exact)
    return Kernel(wanted, version, folder)


def installer_kernel(wanted):
    """(path, version) of the kernel that Debian's installer of that series boots."""
    def unpack(archive, version, into):
        archive.unpack(archive.newest_named(INSTALLER_KERNEL), version, into)
    folder, version = provide("installer", INSTALLER_KERNEL, unpack, wanted, refresh=False, exact=True)
    return folder / "boot/vmlinuz", version


def main():
    parser = argparse.ArgumentParser(description="fetch stubs and kernels for the system tests")
    parser.add_argument("--stub", action="append", default=[], metavar="SERIES", help="for example 252")
    parser.add_argument("--kernel", action="append", default=[], metavar="SERIES", help="for example 6.1")
    parser.add_argument("--refresh", action="store_true", help="ask the mirror even if the cache has the series")
    args = parser.parse_args()
    wanted = [("stub", stub, w) for w in args.stub] + [("kernel", kernel, w) for w in args.kernel]
    status = 0
    for kind, get, series in wanted:
        try:
            got = get(series, args.refresh)
        except Unavailable as reason:
            print(f"{kind} {series}: not available: {reason}", file=sys.stderr)
            status = 1
            continue
        note = "" if matches(got.version, series) else f" (the newest on offer; {series} was wanted)"
        print(f"{kind} {series}: {got.version}{note}: {got.path if kind == 'stub' else got.image}")
    return status


if __name__ == "__main__":
    sys.exit(main())

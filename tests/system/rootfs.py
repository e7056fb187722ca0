# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian root trees for virtual machines with systemd as init: made by mmdebstrap once, kept in the payload cache as an
archive, unpacked for whoever asks; programs run in them, initrds are made in them, and disks are made of them.

Called by the scenarios. Needs root (as chroot does) and no loop device or device-mapper: mke2fs fills the file system, and
qemu-img encrypts it.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import initrd
import payloads

BASE = ("usr-is-merged", "systemd", "systemd-sysv", "systemd-boot", "udev", "dbus", "kmod", "mount", "e2fsprogs", "cryptsetup")
# The libraries are those that mkexec is linked with: built on Debian 12 it runs with those of 13 and sid, too.
TRIXIE = (*BASE, "libtss2-esys-3.0.2-0t64", "libtss2-mu-4.0.1-0t64", "libtss2-rc0t64", "libtss2-tctildr0t64", "libtss2-tcti-device0t64",
          "libjson-c5", "libseccomp2", "libssl3t64", "systemd-cryptsetup", "systemd-boot-efi", "tpm2-tools")
SUITES = {
    "bookworm": (*BASE, "libtss2-esys-3.0.2-0", "libtss2-mu0", "libtss2-rc0", "libtss2-tctildr0", "libtss2-tcti-device0",
                 "libjson-c5", "libseccomp2", "libssl3"),
    "trixie": TRIXIE,
    "sid": (*TRIXIE, "systemd-tpm"),
}
# dracut and initramfs-tools exclude each other.
VARIANTS = {"initramfs-tools": ("initramfs-tools", "cryptsetup-initramfs", "busybox-static"), "dracut": ("dracut",)}
LEFT_OUT = ("doc", "man", "info", "locale", "lintian", "zoneinfo")
# The alternative to usr-is-merged brings all of perl.
MERGED = "/usr/share/mmdebstrap/hooks/merged-usr"
WITHOUT_USRMERGE = r'printf "Package: usrmerge\nPin: release *\nPin-Priority: -1\n" >"$1/etc/apt/preferences.d/usrmerge"'
# Where dpkg is told of LEFT_OUT. A test of what a package installs removes it.
DPKG_LEAVES_OUT = "etc/dpkg/dpkg.cfg.d/99mmdebstrap"
# What a machine of vm.py needs of Debian's cloud kernel, in its initrd and after.
MODULES = (*initrd.MODULES, "ext4", "dm_crypt", "xts", "aesni_intel", "algif_skcipher", "autofs4")
# Few iterations: the emulated processor is slow.
FAST_LUKS = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--batch-mode")
LUKS2_DATA = 16 << 20
SECTOR = 512
MIB = 1 << 20


class Failed(Exception):
    """A program in the tree, or one that makes something of it, went wrong; the text has its last lines."""


def call(argv, **options):
    done = subprocess.run(list(map(str, argv)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode:
        text = done.stdout.decode(errors="replace").strip().splitlines()
        raise Failed(f"{' '.join(map(str, argv))} ended with {done.returncode}: {' | '.join(text[-8:])}")
    return done.stdout


def recipe(variant, suite):
    """mmdebstrap's options: what the tree is made of."""
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT]
    return ["--variant=essential", '--aptopt=APT::Install-Recommends "false"', f"--hook-dir={MERGED}",
            f"--setup-hook={WITHOUT_USRMERGE}", *excluded, "--include=" + ",".join(SUITES[suite] + VARIANTS[variant])]


def bootstrap(variant, suite, into):
    """The tree's archive, from the mirror that this machine's apt uses."""
    sources = [line.replace(" main/debian-installer", "") for line in payloads.Archive.sources() if f" {suite} " in line]
    with tempfile.TemporaryDirectory() as place:
        wanted = pathlib.Path(place) / "sources.list"
        wanted.write_text("\n".join(sources) + "\n")
        # A mirror that stands still has lists of yesterday: taken where this machine's apt takes them.
        still = payloads.run("apt-config", "dump", "Acquire::Check-Valid-Until").strip().rstrip(";")
        payloads.run("mmdebstrap", "--quiet", "--mode=root", "--format=tar", *([f"--aptopt={still}"] if still else []),
                     *recipe(variant, suite), suite, str(into), str(wanted))


def archive(variant, suite):
    """The kept archive. Its name says what went into it: another recipe is another tree."""
    if os.geteuid() != 0:
        raise payloads.Unavailable("a root tree is made and used by root only")
    if not shutil.which("mmdebstrap"):
        raise payloads.Unavailable("mmdebstrap isn't installed")
    key = hashlib.sha256("\n".join(recipe(variant, suite)).encode()).hexdigest()[:12]
    # A folder of its own has a lock of its own: others needn't wait for minutes.
    folder = payloads.cache_folder() / "roots"
    folder.mkdir(exist_ok=True)
    path = folder / f"{suite}-{variant}-{key}.tar"
    with payloads.locked(folder):
        if not path.exists():
            new = folder / "new.tar"
            new.unlink(missing_ok=True)
            bootstrap(variant, suite, new)
            new.rename(path)
    return path


class Tree:
    """A root tree of one's own in `folder`, which must not exist. `variant` names what makes its initrds, `suite` the Debian."""

    def __init__(self, folder, variant="initramfs-tools", suite="bookworm"):
        self.folder, self.variant = pathlib.Path(folder), variant
        kept = archive(variant, suite)
        self.folder.mkdir(parents=True)
        call(["tar", "-x", "-f", kept, "-C", self.folder, "--numeric-owner"])
        self.write("etc/hostname", "machine\n")
        self.write("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        self.write("etc/fstab", "")

    def path(self, name):
        return self.folder / str(name).lstrip("/")

    def write(self, name, data, mode=0o644):
        """A file (text or bytes) with all folders above it."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        path.chmod(mode)

    def link(self, name, target):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def copy(self, source, name, mode=None):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        path.chmod(pathlib.Path(source).stat().st_mode & 0o777 if mode is None else mode)

    def run(self, *argv, **options):
        """A program in the tree, as root of namespaces of its own; returns what it said. Failed with its last lines."""
        script = ('cd "$1" && shift && mount -t proc proc proc && mount -t tmpfs tmpfs tmp && mount -t tmpfs tmpfs run && '
                  'mount -t tmpfs tmpfs dev && for node in null zero full random urandom; do '
                  'touch "dev/$node" && mount --bind "/dev/$node" "dev/$node" || exit 1; done && '
                  'ln -s /proc/self/fd dev/fd && exec chroot . "$@"')
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root",
                       "DEBIAN_FRONTEND": "noninteractive"}
        return call(["unshare", "--mount", "--pid", "--fork", "sh", "-c", script, "sh", self.folder, *argv],
                    env=environment, stdin=subprocess.DEVNULL, **options)

    def add_kernel(self, kernel, modules=MODULES):
        """Modules of one of payloads.kernel()'s, with what they depend on, for the root and for initrds. The tree has no
        kernel image."""
        place = f"usr/lib/modules/{kernel.release}"
        for name, data in initrd.modules(kernel, modules):
            self.write(f"{place}/kernel/{name}", data)
        for path in kernel.modules.glob("modules.builtin*"):
            self.copy(path, f"{place}/{path.name}")
        self.write(f"{place}/modules.order", "".join(f"kernel/{p.name}\n" for p in self.path(f"{place}/kernel").iterdir()))
        self.copy(kernel.config, f"boot/config-{kernel.release}")
        self.run("depmod", kernel.release)

    def modules(self, kernel):
        return sorted(path.stem for path in self.path(f"usr/lib/modules/{kernel.release}/kernel").iterdir())

    def initrd(self, kernel):
        """The bytes of an initrd that the tree's own mkinitramfs or dracut makes, with hooks and configuration of the tree."""
        out = self.path("var/initrd")
        if self.variant == "dracut":
            self.run("dracut", "--force", "--no-hostonly", "--no-early-microcode", "--reproducible", "--kver", kernel.release,
                     "--add-drivers", " ".join(self.modules(kernel)), "/var/initrd")
        else:
            self.write("etc/initramfs-tools/initramfs.conf", "MODULES=list\nBUSYBOX=auto\nCOMPRESS=gzip\nFSTYPE=ext4\n")
            self.write("etc/initramfs-tools/modules", "\n".join(self.modules(kernel)) + "\n")
            self.run("mkinitramfs", "-o", "/var/initrd", kernel.release)
        data = out.read_bytes()
        out.unlink()
        return data + bytes(-len(data) % 4)

    def image(self, path, free_mib=64, label="root"):
        """An ext4 file system of the whole tree in the file `path`; its label is for root=LABEL=."""
        path = pathlib.Path(path)
        path.unlink(missing_ok=True)
        used = int(call(["du", "-s", "-m", self.folder]).split()[0])
        size_mib = used * 11 // 10 + free_mib
        call(["mke2fs", "-q", "-F", "-t", "ext4", "-L", label, "-E", "lazy_itable_init=1", "-d", self.folder, path, f"{size_mib}M"])
        return path


def convert(arguments):
    """qemu-img, which measures how many iterations of PBKDF2 its own processor time allows, and gives up where that stood still."""
    for turn in range(20):
        try:
            return call(["qemu-img", "convert", *arguments])
        except Failed as trouble:
            if "accurate CPU usage" not in str(trouble) or turn == 19:
                raise


def encrypt(image, path, passphrase, more=()):
    """`image` as a LUKS2 disk in the file `path`. `passphrase` and the bytes in `more` open it: one keyslot each.

    Without device-mapper cryptsetup only writes headers. The data is encrypted by qemu-img, as LUKS1, and moved below a LUKS2
    header with the same key."""
    path = pathlib.Path(path)
    if not shutil.which("qemu-img"):
        raise payloads.Unavailable("qemu-img isn't installed (package qemu-utils)")
    with tempfile.TemporaryDirectory(dir=path.parent) as place:
        old, key, word = (pathlib.Path(place) / name for name in ("luks1", "key", "passphrase"))
        word.write_bytes(passphrase)
        convert(["--object", f"secret,id=word,file={word}", "-f", "raw", "-O", "luks", "-o", "key-secret=word,iter-time=10", image, old])
        call(["cryptsetup", "luksDump", "--batch-mode", "--dump-volume-key", "--volume-key-file", key, "--key-file", word, old])
        # LUKS1's header, big-endian: at 104 where the data begins, in sectors (LUKS On-Disk Format 1.2.3, figure 3)
        at = int.from_bytes(old.read_bytes()[104:108], "big") * SECTOR
        path.unlink(missing_ok=True)
        with open(path, "wb") as disk:
            disk.truncate(LUKS2_DATA + old.stat().st_size - at)
        call(["cryptsetup", "luksFormat", "--type", "luks2", "--sector-size", SECTOR, "--volume-key-file", key, "--key-size", 512,
              *FAST_LUKS, "--key-file", word, path])
        for number, other in enumerate(more):
            another = pathlib.Path(place) / f"other-{number}"
            another.write_bytes(other)
            call(["cryptsetup", "luksAddKey", *FAST_LUKS, "--key-file", word, path, another])
        call(["dd", f"if={old}", f"of={path}", "bs=1M", "iflag=skip_bytes", "oflag=seek_bytes", f"skip={at}",
              f"seek={LUKS2_DATA}", "conv=notrunc"])
    return path

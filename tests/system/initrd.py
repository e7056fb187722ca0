# SPDX-License-Identifier: LGPL-2.1-or-later
"""The initrd of nearly every test machine: busybox, the modules the harness needs, and guest/init.

The same init runs in the first and in the second kernel; the command line's `run=NAME` or who reads the console says
which script of the payload disk it starts. Called by the scenarios; writes the cpio archive itself ("newc", see the kernel's
Documentation/driver-api/early-userspace/buffer-format.rst), so building it needs no root.
"""

import gzip
import lzma
import os
import pathlib
import re

HERE = pathlib.Path(__file__).parent
BUSYBOX = pathlib.Path("/bin/busybox")
# What the harness needs and Debian's cloud kernels have as modules, or in some versions built in.
MODULES = ("efivarfs", "virtio_pci", "virtio_blk", "vfat", "nls_ascii", "nls_cp437", "nls_utf8", "tpm_tis", "tpm_crb")
DIRECTORIES = ("bin", "dev", "etc", "efi", "lib", "lib/modules", "proc", "run", "sys", "tmp")
FILE, DIRECTORY, LINK = 0o100000, 0o040000, 0o120000


class Cpio:
    def __init__(self):
        self.archive = bytearray()
        self.inode = 0

    def add(self, name, mode, data=b""):
        self.inode += 1
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name.encode()) + 1, 0)
        self.archive += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        self.archive += bytes(-len(self.archive) % 4) + data
        self.archive += bytes(-len(self.archive) % 4)

    def close(self):
        self.inode = -1
        self.add("TRAILER!!!", 0)
        return bytes(self.archive)


def read_module(path):
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".ko":
        return data
    raise ValueError(f"{path.name}: a module compressed like this can't be unpacked here")


def modules(kernel, names=MODULES):
    """(file name, contents) of the modules and what they depend on, in an order that insmod can take."""
    files = {re.sub(r"\.ko.*", "", p.name).replace("-", "_"): p for p in kernel.modules.rglob("*.ko*")}
    builtin = {pathlib.Path(line).name.removesuffix(".ko").replace("-", "_")
               for line in (kernel.modules / "modules.builtin").read_text().split()}
    ordered = {}

    def take(name):
        name = name.replace("-", "_")
        if name in ordered or name in builtin:
            return
        if name not in files:
            raise ValueError(f"kernel {kernel.version} has no module {name}")
        data = read_module(files[name])
        depends = re.search(rb"\0depends=([^\0]*)\0", b"\0" + data)
        for need in depends.group(1).decode().split(",") if depends and depends.group(1) else ():
            take(need)
        ordered[name] = data

    for name in names:
        take(name)
    return [(name + ".ko", data) for name, data in ordered.items()]


def build(kernel, marker, init="init", names=MODULES):
    """The compressed initrd; `marker` is a text that a script in it can show to prove that this initrd runs. `init`: which of guest/."""
    cpio = Cpio()
    for name in DIRECTORIES:
        cpio.add(name, DIRECTORY | 0o755)
    cpio.add("init", FILE | 0o755, (HERE / "guest" / init).read_bytes())
    cpio.add("bin/busybox", FILE | 0o755, BUSYBOX.read_bytes())
    cpio.add("bin/sh", LINK | 0o777, b"busybox")
    cpio.add("etc/marker", FILE | 0o644, marker.encode() + b"\n")
    found = modules(kernel, names)
    for name, data in found:
        cpio.add("lib/modules/" + name, FILE | 0o644, data)
    cpio.add("lib/modules/order", FILE | 0o644, "".join(name + "\n" for name, _ in found).encode())
    compressed = gzip.compress(cpio.close(), 6, mtime=0)
    return compressed + bytes(-len(compressed) % 4)


def filler(size_bytes):
    """An archive to put behind the compressed one, with a file of random bytes."""
    if size_bytes == 0:
        return b""
    cpio = Cpio()
    cpio.add("filler", FILE | 0o644, os.urandom(size_bytes))
    return cpio.close()

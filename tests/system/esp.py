# SPDX-License-Identifier: LGPL-2.1-or-later
"""The disk that firmware boots from: a GPT with one EFI system partition, made with mkfs.vfat and mtools."""

import binascii
import pathlib
import struct
import subprocess
import uuid

SECTOR = 512
FIRST = 2048
TYPE_ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
DISK = uuid.UUID("6d6b6578-6563-4469-8000-000000000001")
PARTITION = uuid.UUID("6d6b6578-6563-4469-8000-000000000002")


def gpt_header(entries_crc, this, other, entries_at, n_sectors):
    """UEFI specification, 5.3.2"""
    fields = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, this, other, 34, n_sectors - 34,
                         DISK.bytes_le, entries_at, 128, 128, entries_crc)
    return (fields[:16] + struct.pack("<I", binascii.crc32(fields)) + fields[20:]).ljust(SECTOR, b"\0")


def write_gpt(disk, n_sectors, n_partition):
    entry = TYPE_ESP.bytes_le + PARTITION.bytes_le + struct.pack("<QQQ", FIRST, FIRST + n_partition - 1, 0)
    entries = (entry + "EFI".encode("utf-16-le")).ljust(128 * 128, b"\0")
    crc = binascii.crc32(entries)
    protective = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xee, b"\xff" * 3, 1, n_sectors - 1)
    disk.seek(0)
    disk.write(bytes(446) + protective.ljust(64, b"\0") + b"\x55\xaa")
    disk.write(gpt_header(crc, 1, n_sectors - 1, 2, n_sectors) + entries)
    disk.seek((n_sectors - 33) * SECTOR)
    disk.write(entries + gpt_header(crc, n_sectors - 1, 1, n_sectors - 33, n_sectors))


def run(*argv):
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def build(path, files, size_mib=80):
    """A disk image with `files`, a dict of path on the partition ("EFI/BOOT/BOOTX64.EFI") to bytes."""
    path = pathlib.Path(path)
    n_partition = size_mib * 1024 * 1024 // SECTOR
    n_sectors = n_partition + FIRST + 34
    path.unlink(missing_ok=True)
    with open(path, "wb") as disk:
        disk.truncate(n_sectors * SECTOR)
        write_gpt(disk, n_sectors, n_partition)
    # mkfs.vfat counts the size in KiB and would take the rest of the disk for the file system otherwise
    run("mkfs.vfat", "-F32", "-s1", f"--offset={FIRST}", str(path), str(n_partition // 2))
    target = f"{path}@@{FIRST * SECTOR}"
    made = set()
    for name, data in files.items():
        for parent in reversed(pathlib.PurePosixPath(name).parents):
            if str(parent) not in (".", *made):
                made.add(str(parent))
                run("mmd", "-i", target, f"::{parent}")
        source = path.with_suffix(".file")
        source.write_bytes(data)
        run("mcopy", "-i", target, str(source), f"::{name}")
        source.unlink()
    return path

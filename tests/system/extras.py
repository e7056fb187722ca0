# SPDX-License-Identifier: LGPL-2.1-or-later
"""What lies in a UKI or beside it besides kernel and initrd: add-ons, pictures, device trees, hardware ids, microcode.

Called by test_payloads and by tests/integration/test_matrix.py. All of it is made here, of a few bytes.
"""

import hashlib
import struct
import uuid

import initrd
import uki

BMP = (struct.pack("<2sIHHI", b"BM", 58, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0)
       + b"\x10\x20\x30\0")
# fwupd's docs/hwids.md
CHID_NAMESPACE = uuid.UUID("70ffd812-4c7f-4c7d-0000-000000000000")
# What systemd looks a machine up by (src/fundamental/chid-fundamental.h), as QEMU's -smbios calls it.
BOARD = {"1.manufacturer": "mkexec", "1.family": "tests", "1.product": "machine", "1.sku": "one",
         "2.manufacturer": "board maker", "2.product": "board"}
DEVICE_TREE, UEFI_FIRMWARE = 1, 2


def addon(stub, **sections):
    """An add-on. Nobody runs its code, so the headers of any stub do."""
    return uki.append(stub, [("." + name, data) for name, data in sections.items()])


def device_tree(compatible=b""):
    """One node, without properties or with one (Devicetree specification, 5)."""
    strings = b"compatible\0\0" if compatible else b""
    value = compatible + b"\0" if compatible else b""
    row = struct.pack(">3I", 3, len(value), 0) + value + bytes(-len(value) % 4) if compatible else b""
    nodes = struct.pack(">2I", 1, 0) + row + struct.pack(">2I", 2, 9)
    header = struct.pack(">10I", 0xd00dfeed, 56 + len(nodes) + len(strings), 56, 56 + len(nodes), 40, 17, 16, 0,
                         len(strings), len(nodes))
    return header + bytes(16) + nodes + strings


def hardware_id(*fields):
    """A CHID: a name-based UUID of UTF-16 text; by default that of all of BOARD, the most exact one."""
    text = "&".join(fields or BOARD.values()).encode("utf-16-le")
    return uuid.UUID(bytes=hashlib.sha1(CHID_NAMESPACE.bytes + text).digest()[:16], version=5)


def hwids(*devices):
    """A .hwids section of (type, id, name, what it stands for); see systemd's src/boot/chid.h."""
    at, table, texts = 28 * (len(devices) + 1), b"", b""
    for kind, chid, name, value in devices:
        names = at + len(texts), at + len(texts) + len(name) + 1
        texts += name + b"\0" + value + b"\0"
        table += struct.pack("<I16sII", kind << 28 | 28, chid.bytes_le, *names)
    return table + bytes(28) + texts


def firmware(name, contents):
    """An .efifw section; see systemd's src/boot/efi-firmware.h."""
    return struct.pack("<4I", 0xfeeddead, 16, len(name) + 1, len(contents)) + name + b"\0" + contents


def microcode(contents):
    """An archive as the kernel's microcode loader looks for in front of everything else."""
    cpio = initrd.Cpio()
    for name in ("kernel", "kernel/x86", "kernel/x86/microcode"):
        cpio.add(name, initrd.DIRECTORY | 0o755)
    cpio.add("kernel/x86/microcode/GenuineIntel.bin", initrd.FILE | 0o644, contents)
    return cpio.close()


def smbios_options(*strings):
    """QEMU's -smbios for BOARD and for OEM strings. A comma in a value is doubled."""
    found = []
    for number in ("1", "2"):
        words = [f"{key[2:]}={value}" for key, value in BOARD.items() if key[0] == number]
        found.append(",".join([f"type={number}", *words]))
    values = [f"value={string.replace(',', ',,')}" for string in strings]
    return (*found, ",".join(["type=11", *values]))

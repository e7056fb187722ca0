# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds a UKI: appends a kernel, an initrd and their description to a systemd-stub as PE sections.

Called by the scenarios. It does what ukify does for an unsigned UKI, without needing a ukify that is newer
than the machine's own stub. It doesn't sign.
"""

import struct
from dataclasses import dataclass

SECTION_HEADER = struct.Struct("<8sIIIIIIHHI")
CNT_INITIALIZED_DATA_MEM_READ = 0x40000040
# Stub 252 was linked with 512-byte alignment; what is appended to it still starts at pages of its own.
PAGE = 4096


@dataclass
class Sections:
    """The parts of the PE headers that change when a section is added (PE/COFF specification, section 3)."""
    image: bytearray

    def __post_init__(self):
        pe = struct.unpack_from("<I", self.image, 0x3c)[0]
        if self.image[pe:pe + 4] != b"PE\0\0":
            raise ValueError("the stub is not a PE file")
        self.n_sections_at = pe + 6
        optional = pe + 24
        self.optional = optional
        self.table = optional + struct.unpack_from("<H", self.image, pe + 20)[0]

    def optional_u32(self, offset):
        return struct.unpack_from("<I", self.image, self.optional + offset)[0]

    @property
    def n_sections(self):
        return struct.unpack_from("<H", self.image, self.n_sections_at)[0]

    def header(self, index):
        return SECTION_HEADER.unpack_from(self.image, self.table + index * SECTION_HEADER.size)

    def widen_headers(self, name):
        """Room for more section headers, as objcopy makes it: the rest of the file moves back."""
        more, size = self.optional_u32(36), self.optional_u32(60)
        headers = [list(self.header(i)) for i in range(self.n_sections)]
        if size + more > min(header[2] for header in headers):
            raise ValueError(f"no room for the header of {name} in the stub")
        self.image[size:size] = bytes(more)
        for index, header in enumerate(headers):
            header[4] += more if header[4] else 0
            SECTION_HEADER.pack_into(self.image, self.table + index * SECTION_HEADER.size, *header)
        struct.pack_into("<I", self.image, self.optional + 60, size + more)

    def append(self, name, data):
        slot = self.table + self.n_sections * SECTION_HEADER.size
        if slot + SECTION_HEADER.size > self.optional_u32(60):
            self.widen_headers(name)
        headers = [self.header(i) for i in range(self.n_sections)]
        end = max(address + max(virtual_size, raw_size) for _, virtual_size, address, raw_size, *_ in headers)
        address = round_up(end, max(PAGE, self.optional_u32(32)))
        align = self.optional_u32(36)
        self.image += bytes(-len(self.image) % align)
        raw = len(self.image)
        self.image += data + bytes(-len(data) % align)
        SECTION_HEADER.pack_into(self.image, slot, name.encode(), len(data), address, len(self.image) - raw, raw,
                                 0, 0, 0, 0, CNT_INITIALIZED_DATA_MEM_READ)
        struct.pack_into("<H", self.image, self.n_sections_at, len(headers) + 1)
        # SizeOfInitializedData and SizeOfImage
        struct.pack_into("<I", self.image, self.optional + 8, self.optional_u32(8) + len(self.image) - raw)
        struct.pack_into("<I", self.image, self.optional + 56,
                         round_up(address + len(data), max(PAGE, self.optional_u32(32))))


def round_up(value, align):
    return (value + align - 1) // align * align


def os_release(name, extra=b""):
    """An .osrel section; `extra` are bytes that make this UKI's measurements unlike every other's."""
    text = f'ID=mkexec-test\nNAME="{name}"\nPRETTY_NAME="{name}"\nVERSION_ID=1\n'
    return text.encode() + (b"BUILD_ID=" + extra.hex().encode() + b"\n" if extra else b"")


def append(stub, rows):
    """The stub with sections behind its own, in the order of `rows` of (name, bytes); empty ones are left out.

    The same name may come several times: what follows a `.profile` belongs to that profile.
    """
    sections = Sections(bytearray(stub))
    for name, data in rows:
        if data:
            sections.append(name, data)
    return bytes(sections.image)


def build(stub, kernel, initrd, cmdline, osrel, uname, pcrpkey=b""):
    """The UKI as bytes. `stub` and `kernel` are bytes of files, `cmdline` and `uname` text."""
    return append(stub, ((".osrel", osrel), (".cmdline", cmdline.encode()), (".uname", uname.encode()),
                         (".pcrpkey", pcrpkey), (".initrd", initrd), (".linux", kernel)))


def place(image, name):
    """(offset in the file, size) of a section as the stub sees it: the virtual size, not the file's padding."""
    sections = Sections(bytearray(image))
    for index in range(sections.n_sections):
        found, virtual_size, _, _, raw, *_ = sections.header(index)
        if found.rstrip(b"\0") == name.encode():
            return raw, virtual_size
    raise KeyError(name)


def machine_offset(image):
    """Where the file says for which processors it is (PE/COFF specification, 3.3.1)."""
    return Sections(bytearray(image)).n_sections_at - 2

# SPDX-License-Identifier: LGPL-2.1-or-later
"""What systemd-stub and Linux's EFI stub measure of a payload, computed from the payload's parts alone.

Called by test_matrix.py, which compares it with what mkexec records. Nothing here comes from mkexec: sizes,
orders and texts are those of the projects' sources (their names are in the comments). It runs nothing.
"""

import functools
import hashlib
import re
import struct
import uuid
from dataclasses import dataclass, field

import uki

EV_EVENT_TAG, EV_IPL = "EV_EVENT_TAG", "EV_IPL"
EV_APPLICATION = "EV_EFI_BOOT_SERVICES_APPLICATION"
EV_CONFIG, EV_AUTHORITY = "EV_EFI_VARIABLE_DRIVER_CONFIG", "EV_EFI_VARIABLE_AUTHORITY"
GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
DATABASE = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
BANKS = ("sha1", "sha256", "sha384", "sha512")

# systemd src/fundamental/uki.c, in the order of measuring, and the first version that has each.
SECTIONS = ((".linux", 252), (".osrel", 252), (".cmdline", 252), (".initrd", 252), (".ucode", 256), (".splash", 252),
            (".dtb", 252), (".uname", 254), (".sbat", 254), (".pcrpkey", 252), (".profile", 257), (".dtbauto", 257),
            (".hwids", 257), (".efifw", 258))
TAG_PROFILE, TAG_INITRD_ADDON, TAG_DTB_ADDON, TAG_UCODE_ADDON = 0x13aed6db, 0x49dffe0f, 0x6c46f751, 0xdac08e1a
TAG_LOAD_OPTIONS, TAG_LINUX_INITRD = 0x8f3b22ed, 0x8f3b22ec
CMDLINE_EXTRA = b"io.systemd.stub.kernel-cmdline-extra="


@dataclass(frozen=True)
class Event:
    """`hashed` is what the digests are of; `data` what the log says of it, or None where only firmware knows."""
    pcr: int
    type: str
    hashed: bytes = field(repr=False)
    data: bytes | None
    pe: bool = False

    def digests(self):
        return digests_of(self.hashed, self.pe)


@functools.lru_cache(maxsize=256)
def digests_of(data, pe):
    return {bank: authenticode(data, bank) if pe else hashlib.new(bank, data).hexdigest() for bank in BANKS}


def utf16(text):
    return text.encode("utf-16-le") + b"\0\0"


def tagged(pcr, tag, hashed, data):
    """TCG_PCClientTaggedEvent"""
    return Event(pcr, EV_EVENT_TAG, hashed, struct.pack("<II", tag, len(data)) + data)


def ipl(pcr, hashed, text):
    return Event(pcr, EV_IPL, hashed, utf16(text))


def variable(type, name, vendor, value):
    """TCG PC Client Platform Firmware Profile 1.06, 10.2.6: UEFI_VARIABLE_DATA"""
    data = vendor.bytes_le + struct.pack("<QQ", len(name), len(value)) + name.encode("utf-16-le") + value
    return Event(7, type, data, data)


def secure_boot_events(variables, authorities):
    """edk2, Tcg2Dxe and DxeImageVerificationLib; authorities are entries of db."""
    rows = (("SecureBoot", GLOBAL), ("PK", GLOBAL), ("KEK", GLOBAL), ("db", DATABASE), ("dbx", DATABASE))
    yield from (variable(EV_CONFIG, name, vendor, variables.get(name, b"")) for name, vendor in rows)
    yield from (variable(EV_AUTHORITY, "db", DATABASE, entry) for entry in authorities)


def image(data):
    return Event(4, EV_APPLICATION, data, None, pe=True)


def authenticode(data, bank):
    """Windows Authenticode Portable Executable Signature Format, "Calculating the PE Image Hash"; PE32+."""
    optional = struct.unpack_from("<I", data, 0x3c)[0] + 24
    n_sections = struct.unpack_from("<H", data, optional - 18)[0]
    table = optional + struct.unpack_from("<H", data, optional - 4)[0]
    n_headers, security = struct.unpack_from("<I", data, optional + 60)[0], optional + 144
    n_directories = struct.unpack_from("<I", data, optional + 108)[0]
    signed = struct.unpack_from("<I", data, security + 4)[0] if n_directories > 4 else 0
    value = hashlib.new(bank, data[:optional + 64] + data[optional + 68:security] + data[security + 8:n_headers])
    sections = sorted(struct.unpack_from("<II", data, table + 40 * i + 16)[::-1] for i in range(n_sections))
    end = n_headers
    for start, size in sections:
        if size:
            value.update(data[start:start + size])
            end += size
    value.update(data[end:len(data) - signed])
    return value.hexdigest()


# ---- cpio archives that the stub makes (systemd src/boot/cpio.c) ----

def cpio_one(inode, mode, name, data=b""):
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % value for value in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


CPIO_END = b"070701" + b"0" * 32 + b"00000001" + b"0" * 48 + b"0000000B" + b"0" * 8 + b"TRAILER!!!" + bytes(4)


def cpio(folder, files, folder_mode=0o555, file_mode=0o444):
    """`files` of name to contents, below `folder`; all parents get entries of their own. Nothing: no archive."""
    if not files:
        return b""
    steps = folder.split("/")
    rows = [("/".join(steps[:n]), 0o40000 | (folder_mode if n == len(steps) else 0o555), b"")
            for n in range(1, len(steps) + 1)]
    rows += [(f"{folder}/{name}", 0o100000 | file_mode, data) for name, data in sorted(files.items())]
    return b"".join(cpio_one(i, mode, name, data) for i, (name, mode, data) in enumerate(rows, 1)) + CPIO_END


# ---- systemd-stub ----

@dataclass
class Boot:
    """One start of a UKI: what lies where, as the test laid it out."""
    stub: int
    kernel: tuple
    uki: bytes
    sections: dict  # what the selected profile holds; .sbat is the stub's own
    name: str = "b.efi"
    load_options: str | None = None
    profile: int = 0
    secure_boot: bool = False
    smbios: bytes = b""  # the structure of type 11
    boot_secret: bytes = b""  # what the stub derived from variables that only it can read (261)
    extra: dict = field(default_factory=dict)  # files of <uki>.extra.d
    credentials: dict = field(default_factory=dict)  # files of \loader\credentials
    extensions: dict = field(default_factory=dict)  # files of \loader\extensions
    addons: dict = field(default_factory=dict)  # files of \loader\addons

    def files(self):
        """Path on the ESP to contents."""
        path = f"EFI/Linux/{self.name}"
        # util.c, remove_boot_count
        own = path if self.stub < 254 else re.sub(r"^([^+]*)\+\d+(-\d+)?(?=\.|$)", r"\1", path)
        places = ((f"{own}.extra.d", self.extra), ("loader/credentials", self.credentials),
                  ("loader/extensions", self.extensions), ("loader/addons", self.addons))
        return {path: self.uki, **{f"{place}/{name}": data for place, files in places for name, data in files.items()}}

    def ends(self, folder, suffix, but=None):
        """What pack_cpio and load_addons take of a folder; the case of suffixes doesn't matter, names are sorted as they are."""
        return {name: data for name, data in sorted(folder.items()) if name.lower().endswith(suffix)
                and not name.startswith(".") and not (but and name.lower().endswith(but))}

    def addon_parts(self, section):
        """(file name, contents) of each add-on that has the section, first those of \\loader\\addons."""
        if self.stub < (254 if section == ".cmdline" else 257):
            return []
        found = []
        for folder in (self.addons, self.extra):
            for name, data in self.ends(folder, ".addon.efi").items():
                uname = section_of(data, ".uname")
                if uname not in (None, self.sections.get(".uname")):
                    continue
                if contents := section_of(data, section):
                    found.append((folder, name, contents))
        return found

    # -- command line

    def accepted_options(self):
        """stub.c, process_arguments: LoadOptions count unless Secure Boot protects a .cmdline."""
        text = self.load_options
        if text is not None and self.stub >= 257 and text.startswith("@"):
            text = text.partition(" ")[2]
        return None if not text or (self.secure_boot and ".cmdline" in self.sections) else text

    def command_line_parts(self):
        """What is measured into PCR 12 of the command line, one text per event."""
        parts = [self.accepted_options()] if self.accepted_options() else []
        found = self.addon_parts(".cmdline")
        groups = [[p.decode() for folder, _, p in found if folder is where] for where in (self.addons, self.extra)]
        groups = [groups[0] + groups[1]] if self.stub >= 255 else groups
        strings = self.smbios[5:].split(b"\0") if self.stub >= 254 else []
        extra = [s.removeprefix(CMDLINE_EXTRA).decode() for s in strings if s.startswith(CMDLINE_EXTRA)]
        return parts + [" ".join(group) for group in groups if group] + extra[:1]

    def command_line(self):
        base = [] if self.accepted_options() else [self.sections.get(".cmdline", b"").decode()]
        return " ".join(base + self.command_line_parts())

    # -- archives

    def archives(self):
        """(PCR, event text, archive) in the stub's order; empty ones are left out."""
        newer, newest = self.stub >= 256, self.stub >= 258
        confext = ".confext.raw" if newer else None
        rows = [(12, "Credentials initrd", cpio(".extra/credentials", self.ends(self.extra, ".cred"), 0o500, 0o400)),
                (12, "Global credentials initrd",
                 cpio(".extra/global_credentials", self.ends(self.credentials, ".cred"), 0o500, 0o400)),
                (13, "System extension initrd", cpio(".extra/sysext", self.ends(self.extra, ".raw", confext)))]
        if newest:
            rows += [(13, "Global system extension initrd",
                      cpio(".extra/global_sysext", self.ends(self.extensions, ".raw", confext)))]
        if newer:
            rows += [(12, "Configuration extension initrd",
                      cpio(".extra/confext", self.ends(self.extra, ".confext.raw")))]
        if newest:
            rows += [(12, "Global configuration extension initrd",
                      cpio(".extra/global_confext", self.ends(self.extensions, ".confext.raw")))]
        return [row for row in rows if row[2]]

    def initrd(self):
        """All initrds behind each other, each padded to 4 bytes (stub.c, enum of initrds)."""
        ucode = [data for _, _, data in reversed(self.addon_parts(".ucode"))]
        if self.stub >= 257:
            ucode += [self.sections.get(".ucode", b"")]
        literal = [(".pcrsig", "tpm2-pcr-signature.json"), (".pcrpkey", "tpm2-pcr-public-key.pem")]
        if self.stub >= 257:
            literal += [(".osrel", "os-release"), (".profile", "profile")]
        parts = [*ucode, self.sections.get(".initrd", b""), *(archive for _, _, archive in self.archives()),
                 *(cpio(".extra", {name: self.sections[section]}) for section, name in literal
                   if section in self.sections),
                 cpio(".extra", {"boot-secret": self.boot_secret} if self.boot_secret else {}, file_mode=0o400),
                 *(data for _, _, data in self.addon_parts(".initrd"))]
        parts = [part for part in parts if part]
        return parts[0] if len(parts) == 1 else b"".join(part + bytes(-len(part) % 4) for part in parts)

    # -- events

    def section_events(self):
        for name, since in SECTIONS:
            data = self.sections.get(name)
            if data and self.stub >= since:
                yield ipl(11, name.encode() + b"\0", name)
                yield ipl(11, data, name)

    def addon_images(self):
        """Firmware measures each image that LoadImage gets (edk2, DxeTpm2MeasureBootLib)."""
        if self.stub >= 254:
            for folder in (self.addons, self.extra):
                yield from (image(data) for data in self.ends(folder, ".addon.efi").values())

    def stub_events(self):
        if self.profile:
            yield tagged(12, TAG_PROFILE, utf16(str(self.profile)), utf16(str(self.profile)))
        yield from self.section_events()
        for text in self.command_line_parts():
            yield ipl(12, utf16(text), text)
        yield from self.addon_events(".dtb", TAG_DTB_ADDON)
        yield from (ipl(pcr, archive, text) for pcr, text, archive in self.archives())
        yield from self.addon_events(".ucode", TAG_UCODE_ADDON)
        yield from self.addon_events(".initrd", TAG_INITRD_ADDON)

    def addon_events(self, section, tag):
        return (tagged(12, tag, data, utf16(name)) for _, name, data in self.addon_parts(section))

    def events(self):
        """PCR to its events in order; the order between PCRs has no meaning for a TPM."""
        # Under Secure Boot older stubs answer for the kernel themselves (secure-boot.c, security_hook), and a firmware that
        # isn't asked doesn't measure (edk2, DxeSecurityStub); 258 and later load it by themselves.
        inner = [image(self.sections[".linux"])] if self.stub < 258 and not self.secure_boot else []
        events = [image(self.uki), *self.addon_images(), *inner, *self.stub_events(),
                  *linux_events(self.kernel, self.command_line(), self.initrd())]
        return by_pcr(events)


def by_pcr(events):
    found = {}
    for event in events:
        found.setdefault(event.pcr, []).append(event)
    return found


# ---- Linux ----

def linux_events(version, command_line, initrd):
    """drivers/firmware/efi/libstub/efi-stub-helper.c; it measures since 5.18."""
    if version >= (5, 18):
        if command_line:
            yield tagged(9, TAG_LOAD_OPTIONS, utf16(command_line), b"LOADED_IMAGE::LoadOptions\0")
        if initrd:
            yield tagged(9, TAG_LINUX_INITRD, initrd, b"Linux initrd\0")


# ---- reading a PE file ----

def section_of(data, name):
    """A section as it lies in memory: its virtual size, padded with zeros behind what the file has."""
    try:
        start, size = uki.place(data, name)
    except KeyError:
        return None
    return data[start:start + size].ljust(size, b"\0")

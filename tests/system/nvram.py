# SPDX-License-Identifier: LGPL-2.1-or-later
"""OVMF's variable store, written while the machine is off: which program the firmware boots next, and Secure Boot's keys.

edk2 MdeModulePkg/Include/Guid/VariableFormat.h describes the store, UEFI 3.1.3 the load option.
"""

import struct
import uuid

STORE = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")
GLOBAL_VARIABLE = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
IMAGE_SECURITY_DATABASE = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
NON_VOLATILE_BOOT_RUNTIME = 7
TIME_BASED_AUTHENTICATED = 0x20
VARIABLE_DATA, VAR_ADDED = 0x55aa, 0x3f
HEADER = struct.Struct("<HBBIQ16sIII16s")
LOAD_OPTION_ACTIVE = 1
BOOT_NUMBER = 0x0099


def file_option(path, text):
    """A load option of a file path alone; firmware expands it to the first disk that has the file (UEFI 3.1.2).
    `text` becomes the program's LoadOptions, or None."""
    name = (path + "\0").encode("utf-16-le")
    device_path = struct.pack("<BBH", 4, 4, 4 + len(name)) + name + struct.pack("<BBH", 0x7f, 0xff, 4)
    description = "test\0".encode("utf-16-le")
    optional = b"" if text is None else (text + "\0").encode("utf-16-le")
    return struct.pack("<IH", LOAD_OPTION_ACTIVE, len(device_path)) + description + device_path + optional


def variable(name, data, vendor=GLOBAL_VARIABLE, attributes=NON_VOLATILE_BOOT_RUNTIME):
    name = (name + "\0").encode("utf-16-le")
    header = HEADER.pack(VARIABLE_DATA, VAR_ADDED, 0, attributes, 0, bytes(16), 0, len(name), len(data),
                         vendor.bytes_le)
    record = header + name + data
    return record + b"\xff" * (-len(record) % 4)


def enrolled(template, platform_key, exchange_key, db, dbx):
    """The variable store with these signature lists: firmware that finds a PK is in user mode, and Secure Boot is on."""
    attributes = NON_VOLATILE_BOOT_RUNTIME | TIME_BASED_AUTHENTICATED
    rows = (("db", db, IMAGE_SECURITY_DATABASE), ("dbx", dbx, IMAGE_SECURITY_DATABASE), ("KEK", exchange_key, GLOBAL_VARIABLE),
            ("PK", platform_key, GLOBAL_VARIABLE))
    return added(template, b"".join(variable(name, data, vendor, attributes) for name, data, vendor in rows))


def boot_next(template, path, text=None):
    """The variable store `template` (bytes), changed so that the next boot starts the file at `path`, with the
    LoadOptions `text`."""
    return added(template, variable(f"Boot{BOOT_NUMBER:04X}", file_option(path, text))
                 + variable("BootNext", struct.pack("<H", BOOT_NUMBER)))


def added(template, records):
    start = struct.unpack_from("<H", template, 0x30)[0]
    if template[start:start + 16] != STORE.bytes_le:
        raise ValueError("not a store of authenticated variables")
    at = start + 28
    while struct.unpack_from("<H", template, at)[0] == VARIABLE_DATA:
        *_, name_size, data_size, _ = HEADER.unpack_from(template, at)
        at = at + HEADER.size + name_size + data_size
        at += -at % 4
    return template[:at] + records + template[at + len(records):]

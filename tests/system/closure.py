# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tar on the payload disk: scripts, and programs with the libraries they need at their usual places.

tpm2 is linked with libcurl for fetching certificates, kexec with libxenctrl for Xen: neither is used here, the
first would drag in 10 MB and the second a package. Empty libraries with the same symbols take their places.
"""

import io
import pathlib
import re
import subprocess
import tarfile

LIBRARIES = tuple(pathlib.Path(place, "x86_64-linux-gnu") for place in ("/lib", "/usr/lib"))
# systemd's programs find theirs here; in the guest it lies where the others do.
PRIVATE = pathlib.Path("/usr/lib/x86_64-linux-gnu/systemd")
LOADER = pathlib.Path("/lib64/ld-linux-x86-64.so.2")
# Libraries that are only replaced: soname -> how the names of their functions begin.
LEFT_OUT = {r"libcurl[a-z-]*\.so\.\d+": "curl_", r"libxenctrl\.so\.[\d.]+": "xc_"}
# What tpm2-tss and mkexec load by name at run time.
LOADED_BY_NAME = ("libtss2-tcti-device.so.0",)


def run(*argv):
    return subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout


def needed(binary):
    with open(binary, "rb") as file:
        if file.read(4) != b"\x7fELF":
            return []
    return re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", str(binary)))


def empty_library(soname, prefix, binary, folder):
    """A library that does nothing, with the symbols and symbol versions that the binary asks for."""
    # "U name@version" is a function; "address size B name@version" a variable that the binary keeps a copy of
    symbols = re.findall(rf"(?:([0-9a-f]+) )?[A-Z] ({prefix}\w+)@+([\w.]+)", run("nm", "-D", "-S", str(binary)))
    source, versions, library = folder / "empty.c", folder / "empty.map", folder / soname
    source.write_text("".join(f"char {name}[{int(size, 16)}];\n" if size else f"void *{name}(void) {{ return 0; }}\n"
                              for size, name, _ in symbols))
    versions.write_text("".join(f"{version} {{ global: {'; '.join(n for _, n, v in symbols if v == version)}; }};\n"
                                for version in {v for *_, v in symbols}))
    run("gcc", "-shared", "-fPIC", f"-Wl,-soname,{soname}", f"-Wl,--version-script={versions}", "-o", str(library),
        str(source))
    return library


def find_library(name, binary, folder):
    for pattern, prefix in LEFT_OUT.items():
        if re.fullmatch(pattern, name):
            return empty_library(name, prefix, binary, folder)
    path = next((f / name for f in (*LIBRARIES, PRIVATE) if (f / name).exists()), None)
    if path is None:
        raise FileNotFoundError(f"library {name} of {binary} is not on this machine")
    return path


def libraries(binaries, folder):
    """{soname: path} of everything the binaries need."""
    found, queue = {}, list(binaries)
    while queue:
        binary = queue.pop()
        for name in needed(binary):
            if name in found or name == LOADER.name:
                continue
            path = find_library(name, binary, folder)
            found[name] = path
            queue.append(path)
    return found


def build(path, scripts, programs, folder, files=None):
    """Writes the tar. `scripts`: {name: text} for /scripts; `programs`: {path in the guest: file here};
    `files`: {path in the guest: bytes}; `folder`: a place for what is made on the way."""
    by_name = [f / name for name in LOADED_BY_NAME for f in LIBRARIES[:1] if programs]
    found = libraries([*programs.values(), *by_name], folder)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in scripts.items():
            add(archive, f"scripts/{name}", text.encode())
        for name, data in (files or {}).items():
            add(archive, name, data)
        for name, file in programs.items():
            add(archive, name, pathlib.Path(file).read_bytes(), 0o755)
        for name, file in [*found.items(), *((f.name, f) for f in by_name)]:
            add(archive, f"lib/x86_64-linux-gnu/{name}", file.read_bytes(), 0o755)
        if programs:
            add(archive, str(LOADER)[1:], LOADER.read_bytes(), 0o755)
    return path


def add(archive, name, data, mode=0o644):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))

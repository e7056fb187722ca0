# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two UKIs on one disk: A, which firmware starts, and B, which A starts next. What every scenario begins with."""

import hashlib
import os
import pathlib
from dataclasses import dataclass

import closure
import esp
import initrd
import nvram
import payloads
import uki
import vm

HERE = pathlib.Path(__file__).parent
REPOSITORY = HERE.parent.parent
PATH_A, PATH_B = "EFI/BOOT/BOOTX64.EFI", "EFI/Linux/B.efi"
# A's boot reads nothing below this folder.
FOLDER_B = "EFI/Linux/"
# Room for every scenario's B. PCR 5 has the partition table, so one size is a part of one boot for all.
ESP_MIB = 160
# An emulator that gets no processor for a while fails the kernel's test of its timer, and the kernel then panics.
COMMAND_LINE = "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check"
# Random bytes in the os-release make the measurements of each run new to everybody. Those of A are the same for all
# scenarios of a run, so that they can share its boot.
RANDOM_BYTES = 16
RANDOM_A = os.urandom(RANDOM_BYTES)


@dataclass(frozen=True)
class Configuration:
    stub: str
    kernel: str
    banks: tuple
    tpm: str = "tis"
    only_full: bool = False  # see __main__.py

    @property
    def name(self):
        return f"{self.stub}-{self.kernel}"

    def __str__(self):
        return f"stub {self.stub}, kernel {self.kernel}, {'+'.join(self.banks)}, tpm-{self.tpm}"


def program():
    """The mkexec under test."""
    return pathlib.Path(os.environ.get("MKEXEC", REPOSITORY / "build/mkexec"))


@dataclass(frozen=True)
class Parts:
    """What a scenario puts into its UKIs besides the usual: words for the command lines, random bytes that make B's
    initrd large."""
    words_a: str = ""
    words_b: str = ""
    filler_bytes: int = 0


class Scene:
    """`first` and `second` name the scripts in guest/ that A and B run; A's init asks for it. `path_b` is where B lies,
    `esp_files` what lies on the ESP besides A and B, `esp_mib` its size, which A's boot depends on."""
    path_b = PATH_B
    esp_files = {}
    esp_mib = ESP_MIB

    def __init__(self, folder, configuration, first, second, say=print, parts=Parts()):
        self.folder, self.configuration, self.say, self.parts = pathlib.Path(folder), configuration, say, parts
        self.first, self.second = first, second
        self.folder.mkdir(parents=True)
        self.stub = payloads.stub(configuration.stub)
        self.kernel = payloads.kernel(configuration.kernel)
        for got in (self.stub, self.kernel):
            if not payloads.matches(got.version, got.wanted):
                say(f"{got.wanted} is not to be had, {got.version} takes its place")
        self.initrd_a = initrd.build(self.kernel, "initrd of A")
        self.initrd_b = initrd.build(self.kernel, "initrd of B") + initrd.filler(parts.filler_bytes)
        self.cmdline_a = " ".join(filter(None, (COMMAND_LINE, parts.words_a)))
        self.cmdline_b = " ".join(filter(None, (COMMAND_LINE, f"run={second} second.word=here", parts.words_b)))
        self.uki_a = self.build("A", self.initrd_a, self.cmdline_a)
        self.uki_b = self.build("B", self.initrd_b, self.cmdline_b)

    def build(self, name, initrd_image, cmdline):
        random_bytes = RANDOM_A if name == "A" else os.urandom(RANDOM_BYTES)
        return uki.build(self.stub.path.read_bytes(), self.kernel.image.read_bytes(), initrd_image, cmdline,
                         uki.os_release(name, random_bytes), self.kernel.release)

    def payload(self, name, programs, scripts=(), files=None):
        place = self.folder / name
        place.mkdir()
        texts = {path.name: path.read_text() for path in (HERE / "guest").iterdir() if path.name != "init"}
        return closure.build(place / "payload.tar", {**texts, **dict(scripts)}, programs, place, files)

    def run(self, name, payload, shared=True, **options):
        """Firmware starts A. Its boot may be `shared` with other scenarios that have the same A (snapshot.py)."""
        files = {PATH_A: self.uki_a, self.path_b: self.uki_b, **self.esp_files}
        disk = esp.build(self.folder / f"{name}.esp", files, self.esp_mib)
        setup = vm.Setup(disk, payload, self.configuration.banks, self.configuration.tpm, script=self.first,
                         shared=boot_of(files) if shared else "", **options)
        return vm.run(self.folder / name, setup, self.say)

    def run_b(self, name, payload, load_options=None, **options):
        """Firmware starts B, from the place where mkexec finds it."""
        variables = nvram.boot_next(vm.VARIABLES.read_bytes(), "\\" + self.path_b.replace("/", "\\"), load_options)
        return self.run(name, payload, shared=False, variables=variables, **options)

    def run_without_efi(self, name, payload, bios="", **options):
        """A BIOS starts A's kernel, initrd and command line."""
        image = self.folder / f"{name}.initrd"
        image.write_bytes(self.initrd_a)
        direct = vm.Direct(self.kernel.image, image, self.cmdline_a, bios)
        return self.run(name, payload, shared=False, direct=direct, **options)


def boot_of(files):
    """What A's boot reads from an ESP with these files, as a name for it."""
    digest = hashlib.sha256()
    for path, data in sorted(files.items()):
        if not path.startswith(FOLDER_B):
            digest.update(f"\n{path} {hashlib.sha256(data).hexdigest()}".encode())
    return digest.hexdigest()

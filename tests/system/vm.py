# SPDX-License-Identifier: LGPL-2.1-or-later
"""One virtual machine: QEMU without KVM, OVMF, a software TPM, no network. Runs until it powers itself off.

The console is read as it comes (a caller may watch the lines), results are taken from the second serial port
after the end (results.py). Only processes started here are ended here.
"""

import pathlib
import subprocess
import threading
import time
from dataclasses import dataclass, field

import results
import swtpm

FIRMWARE = pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
VARIABLES = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
# Without cx16: with it QEMU 7.2's TCG now and then corrupts EFLAGS right after a cmpxchg16b, and the kernel dies.
PROCESSOR = "max,-cx16"
DEADLINE_SECONDS = 240
# The marks of that emulator bug. A machine that shows one, or that never got to its first init, is started once more.
EMULATOR_DEATHS = ("PANIC: double fault", "double fault: 0000")


class Died(Exception):
    """The machine didn't get to its end; the text says how far it came."""


@dataclass
class Direct:
    """A kernel that QEMU's BIOS starts, without EFI."""
    kernel: pathlib.Path
    initrd: pathlib.Path
    cmdline: str


@dataclass
class Setup:
    """What a machine is made of. `variables` is OVMF's variable store, `reboots` lets a reset be one. `machine` are
    further properties of QEMU's machine type, `devices` further -device arguments, `smbios` values of the option of that
    name; with `direct` there is no OVMF."""
    esp: pathlib.Path
    payload: pathlib.Path
    banks: tuple = ("sha256",)
    tpm: str = "tis"
    variables: bytes = b""
    memory_mib: int = 512
    processors: int = 1
    vga: str = "none"
    devices: tuple = ()
    machine: str = ""
    smbios: tuple = ()
    direct: Direct = None
    reboots: bool = False
    deadline_seconds: float = DEADLINE_SECONDS
    watch: object = None


@dataclass
class Outcome:
    console: str
    frames: dict
    commands: list
    seconds: float
    lines: list = field(default_factory=list)

    def state(self, name):
        """The state that a script sent under this name (guest/report collect)."""
        if name not in self.frames:
            raise Died(f"no result '{name}' came from the machine; its console ends with: {last_words(self.console)}")
        return results.State(self.frames[name])


def firmware(folder, setup):
    if setup.direct:
        return ["-kernel", str(setup.direct.kernel), "-initrd", str(setup.direct.initrd), "-append", setup.direct.cmdline]
    return ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={FIRMWARE}",
            "-drive", f"if=pflash,format=raw,unit=1,file={folder}/variables"]


def command_line(folder, setup, socket):
    devices = {"tis": "tpm-tis", "crb": "tpm-crb"}
    return [
        "qemu-system-x86_64", "-machine", "q35,smm=off" + setup.machine, "-accel", "tcg,thread=multi", "-cpu", PROCESSOR,
        "-smp", str(setup.processors), "-m", str(setup.memory_mib), "-nodefaults", "-no-user-config", "-display", "none",
        "-vga", setup.vga, "-net", "none",
        *([] if setup.reboots else ["-no-reboot"]),
        *(argument for value in setup.smbios for argument in ("-smbios", value)),
        "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
        "-serial", f"file:{folder}/ttyS1",
        "-chardev", f"socket,id=chrtpm,path={socket}", "-tpmdev", "emulator,id=tpm0,chardev=chrtpm",
        "-device", f"{devices[setup.tpm]},tpmdev=tpm0",
        *firmware(folder, setup),
        "-drive", f"if=none,id=esp,format=raw,cache=unsafe,file={setup.esp}",
        "-device", "virtio-blk-pci,drive=esp,serial=esp" + ("" if setup.direct else ",bootindex=0"),
        "-drive", f"if=none,id=payload,format=raw,readonly=on,file={setup.payload}",
        "-device", "virtio-blk-pci,drive=payload,serial=payload",
        *(word for device in setup.devices for word in ("-device", device)),
    ]


def last_words(console):
    return " | ".join(line.strip() for line in console.splitlines()[-3:]) or "(nothing was said)"


def wait_for(path, process):
    """swtpm listens as soon as its socket is there."""
    until = time.monotonic() + 20
    while not path.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise Died("swtpm did not start")
        time.sleep(0.01)


def read_console(stream, lines, started, watch):
    for raw in stream:
        line = raw.decode(errors="replace").rstrip("\r\n")
        lines.append((time.monotonic() - started, line))
        if watch:
            watch(line)


def run_once(folder, setup):
    folder.mkdir(parents=True)
    (folder / "variables").write_bytes(setup.variables or VARIABLES.read_bytes())
    tpm = swtpm.Swtpm(folder, setup.banks)
    started, lines, machine = time.monotonic(), [], None
    try:
        tpm.start()
        wait_for(tpm.socket, tpm.process)
        machine = subprocess.Popen(command_line(folder, setup, tpm.socket), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        reader = threading.Thread(target=read_console, args=(machine.stdout, lines, started, setup.watch), daemon=True)
        reader.start()
        try:
            machine.wait(timeout=setup.deadline_seconds)
            ended = ""
        except subprocess.TimeoutExpired:
            ended = f"\n(ended after {setup.deadline_seconds:.0f} s)"
    finally:
        if machine and machine.poll() is None:
            machine.kill()
            machine.wait()
        tpm.stop()
    reader.join(timeout=10)
    console = "\n".join(line for _, line in lines) + ended
    (folder / "console").write_text(console)
    return Outcome(console, results.frames((folder / "ttyS1").read_bytes()), tpm.commands(),
                   time.monotonic() - started, lines)


def emulator_died(outcome):
    if "init: run" not in outcome.console:
        return "it never got to its first init"
    return next((f"'{mark}' on the console" for mark in EMULATOR_DEATHS if mark in outcome.console), None)


def run(folder, setup, say=print):
    """Runs the machine to its end. A death that is the emulator's is tried once more, and said."""
    folder = pathlib.Path(folder)
    outcome = run_once(folder / "try1", setup)
    reason = emulator_died(outcome)
    if reason is None:
        return outcome
    say(f"{folder.name}: {reason}; {last_words(outcome.console)}; started once more")
    return run_once(folder / "try2", setup)

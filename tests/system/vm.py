# SPDX-License-Identifier: LGPL-2.1-or-later
"""One virtual machine: QEMU without KVM, OVMF, a software TPM, no network. Runs until it powers itself off.

The console is read as it comes (a caller may watch the lines), and the first kernel's init asks there what to run;
results are taken from the second serial port after the end (results.py). A machine whose boot another one has done in
this run is restored from there (snapshot.py). Only processes started here are ended here.
"""

import codecs
import contextlib
import pathlib
import select
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, field

import results
import snapshot
import swtpm
from power_cut import PowerCut, Wire

FIRMWARE = pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
# The build that enforces Secure Boot, and keeps its variables where only SMM can write them.
SECURE_FIRMWARE = pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd")
VARIABLES = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
# Without cx16: with it QEMU 7.2's TCG now and then corrupts EFLAGS right after a cmpxchg16b, and the kernel dies.
PROCESSOR = "max,-cx16"
DEADLINE_SECONDS = 600
# The marks of that emulator bug, and of a TPM that a busy host kept waiting for longer than Linux has patience. A machine that
# shows one, or that never got to its first init, is started once more.
EMULATOR_DEATHS = ("PANIC: double fault", "double fault: 0000", "tpm tpm0: Operation Timed Out")
POWER_LOST = "(the machine lost its power)"
# What guest/init says on the console of a kernel whose command line has no run=NAME.
QUESTION = "init: what shall run?"
# Who asks may throw away what was typed before it asked.
ANSWER_SECONDS = 0.5
SILENT_SECONDS = 60


class Died(Exception):
    """The machine didn't get to its end; the text says how far it came."""


@dataclass
class Direct:
    """A kernel that a BIOS starts, without EFI: QEMU's usual one, or another of its `bios` images."""
    kernel: pathlib.Path
    initrd: pathlib.Path
    cmdline: str
    bios: str = ""


# QEMU keeps up to 1 GiB of code that it has translated, also of programs that are long gone, and a write to a page of such code
# looks at all of it that is there. A kernel that is started in memory where a whole Debian ran comes up in minutes, then.
FEW_TRANSLATIONS = ",tb-size=64"


@dataclass
class Setup:
    """What a machine is made of. `script` is the answer to init's question. `variables` is OVMF's variable store,
    `reboots` lets a reset be one. `machine` are further properties of QEMU's machine type, `devices` further -device
    arguments, `disks` (file, serial) of further disks that can be written, `smbios` values of the option of that name; with `direct` there is no OVMF.
    `asked` are lines on the console with which the guest asks, each with a function of the machine: what it returns is the answer.
    `tpm_before` is a TPM (Outcome.tpm) with whose memory this machine goes on; `power_cut` when it loses its power.

    `shared` names all that the first kernel's boot reads from the ESP: machines that agree in it and in what they are made
    of boot alike, and the first of them is saved for the others. Empty: this one boots by itself and is not saved.

    `answers` are pairs of what the console asks, in this order and not on a line of its own, and what is typed then.
    `translations` is FEW_TRANSLATIONS for machines that run many programs and then start another kernel."""
    esp: pathlib.Path
    payload: pathlib.Path
    banks: tuple = ("sha256",)
    tpm: str = "tis"
    variables: bytes = b""
    memory_mib: int = 512
    processors: int = 1
    vga: str = "none"
    devices: tuple = ()
    disks: tuple = ()
    machine: str = ""
    smbios: tuple = ()
    direct: Direct = None
    reboots: bool = False
    secure_boot: bool = False
    deadline_seconds: float = DEADLINE_SECONDS
    watch: object = None
    asked: dict = field(default_factory=dict)
    tpm_before: swtpm.Swtpm = None
    power_cut: PowerCut = None
    script: str = ""
    shared: str = ""
    answers: tuple = ()
    translations: str = ""


@dataclass
class Outcome:
    console: str
    frames: dict
    commands: list
    seconds: float
    lines: list = field(default_factory=list)
    trouble: str = ""
    tpm: swtpm.Swtpm = None

    def state(self, name):
        """The state that a script sent under this name (guest/report collect)."""
        if name not in self.frames:
            raise Died(f"no result '{name}' came from the machine; its console ends with: {last_words(self.console)}")
        return results.State(self.frames[name])


def firmware(folder, setup):
    if setup.direct:
        bios = ["-bios", setup.direct.bios] if setup.direct.bios else []
        return [*bios, "-kernel", str(setup.direct.kernel), "-initrd", str(setup.direct.initrd), "-append",
                setup.direct.cmdline]
    code = SECURE_FIRMWARE if setup.secure_boot else FIRMWARE
    protected = ["-global", "driver=cfi.pflash01,property=secure,value=on"] if setup.secure_boot else []
    return [*protected, "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}",
            "-drive", f"if=pflash,format=raw,unit=1,file={folder}/variables"]


def command_line(folder, setup, socket):
    devices = {"tis": "tpm-tis", "crb": "tpm-crb"}
    return [
        "qemu-system-x86_64", "-machine", f"q35,smm={'on' if setup.secure_boot else 'off'}{setup.machine}", "-accel", f"tcg,thread=multi{setup.translations}", "-cpu", PROCESSOR,
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
        *(word for number, (path, serial) in enumerate(setup.disks) for word in (
            "-drive", f"if=none,id=disk{number},format=raw,cache=unsafe,file={path}",
            "-device", f"virtio-blk-pci,drive=disk{number},serial={serial}")),
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


class Machine:
    """One QEMU with its TPM and the thread that reads and answers its console."""

    def __init__(self, folder, setup, make=None, use=None):
        """`make`: a snapshot to take when init asks for the first time; `use`: the one to go on from."""
        self.folder, self.setup, self.make, self.use = folder, setup, make, use
        self.lines, self.trouble, self.answers = [], "", list(setup.answers)
        self.tpm = swtpm.Swtpm(folder, setup.banks, setup.tpm_before)
        self.started, self.process, self.reader = time.monotonic(), None, None

    def start(self):
        self.tpm.start()
        wait_for(self.tpm.socket, self.tpm.process)
        monitored = self.make or self.use or self.setup.asked
        monitor = ["-qmp", f"unix:{self.folder}/qmp,server=on,wait=off"] if monitored else []
        arguments = command_line(self.folder, self.setup, self.tpm_socket()) + monitor + (self.use.arguments() if self.use else [])
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        if self.use:
            # Input that comes before the state is lost in it.
            with self.monitor() as monitor:
                monitor.wait_until("query-status", "running")
            self.answer()

    def tpm_socket(self):
        if not self.setup.power_cut:
            return self.tpm.socket
        path = self.tpm.state / "wire"
        Wire(path, self.tpm.socket, self.setup.power_cut, self.lose_power).start()
        return path

    def lose_power(self):
        self.tpm.kill()
        self.process.kill()
        self.lines.append((time.monotonic() - self.started, POWER_LOST))

    def monitor(self):
        return snapshot.Monitor(self.folder / "qmp", self.process)

    def read(self):
        """A question has no end of line, so this looks at what comes as it comes."""
        decoder, rest, asked, answer = codecs.getincrementaldecoder("utf-8")(errors="replace"), "", "", None
        while chunk := self.hear(answer):
            text, answer = decoder.decode(chunk), None
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                self.take(line.rstrip("\r"))
            asked = asked + text if self.answers else ""
            while self.answers and self.answers[0][0] in asked:
                question, answer = self.answers.pop(0)
                asked = asked.split(question, 1)[1]
                time.sleep(ANSWER_SECONDS)
                self.say(answer)
        if rest:
            self.take(rest)

    def hear(self, answer):
        """What comes next. Who asks may throw away what was typed before it listened, so an answer that nothing comes after, not
        even its echo, is typed again."""
        while answer and not select.select([self.process.stdout], [], [], SILENT_SECONDS)[0]:
            self.say(answer)
        return self.process.stdout.read1(65536)

    def take(self, line):
        self.lines.append((time.monotonic() - self.started, line))
        if self.setup.watch:
            self.setup.watch(line)
        if line == QUESTION:
            self.save()
            self.answer()
        elif line in self.setup.asked:
            self.say(self.setup.asked[line](self))

    def save(self):
        make, self.make = self.make, None
        if make is None:
            return
        try:
            with self.monitor() as monitor:
                make.take(monitor, self.text(), self.tpm.commands())
        except snapshot.Failed as reason:
            self.trouble = f"no snapshot was taken: {reason}"

    def answer(self):
        self.say(self.setup.script)

    def say(self, line):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def memory(self):
        """All of its RAM (below the hole for PCI) as it is now, in a new file."""
        path = self.folder / f"memory-{len(self.lines)}"
        with self.monitor() as monitor:
            monitor.ask("pmemsave", val=0, size=self.setup.memory_mib << 20, filename=str(path))
        return path

    def text(self):
        return "\n".join(line for _, line in self.lines)

    def end(self):
        """Whether it had to be ended."""
        try:
            self.process.wait(timeout=self.setup.deadline_seconds)
            return False
        except subprocess.TimeoutExpired:
            return True

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.tpm.stop()
        if self.reader:
            self.reader.join(timeout=10)


def run_once(folder, setup, make=None, use=None):
    folder.mkdir(parents=True)
    (folder / "variables").write_bytes(setup.variables or VARIABLES.read_bytes())
    machine = Machine(folder, setup, make, use)
    ended = ""
    try:
        machine.start()
        if machine.end():
            ended = f"\n(ended after {setup.deadline_seconds:.0f} s)"
    except snapshot.Failed as reason:
        machine.trouble = f"it was not restored: {reason}"
    finally:
        machine.stop()
    console, commands = machine.text() + ended, machine.tpm.commands()
    if use:
        console, commands = f"{use.console}\n{console}", use.commands + commands
    (folder / "console").write_text("".join(f"{when:7.1f}  {line}\n" for when, line in machine.lines) + ended)
    return Outcome(console, results.frames((folder / "ttyS1").read_bytes()), commands,
                   time.monotonic() - machine.started, machine.lines, machine.trouble, machine.tpm)


def emulator_died(outcome):
    if "init: run" not in outcome.console:
        return outcome.trouble or "it never got to its first init"
    return next((f"'{mark}' on the console" for mark in EMULATOR_DEATHS if mark in outcome.console), None)


def keep(folder, setup):
    """[(file, copy of it)] of what a machine with further disks writes to, so that another can start where this one did."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    for number, path in enumerate([setup.esp, *(path for path, _ in setup.disks)] if setup.disks else []):
        kept.append((path, folder / f"before-{number}"))
        subprocess.run(["cp", "--sparse=always", path, kept[-1][1]], check=True)
    return kept


def run(folder, setup, say=print):
    """Runs the machine to its end. A death that is the emulator's is tried once more, from the start, and said."""
    folder = pathlib.Path(folder)
    kept = keep(folder, setup)
    name = f"{folder.parent.name}/{folder.name}"
    shot, first = snapshot.store.claim(setup, name) if snapshot.store and setup.shared else (None, False)
    use = shot if shot and shot.usable else None
    try:
        outcome = run_once(folder / "try1", setup, shot if first else None, use)
    finally:
        if first:
            shot.settle()
    reason = emulator_died(outcome)
    for path, copy in kept:
        if reason:
            shutil.copyfile(copy, path)
        copy.unlink()
    if reason is None:
        if use or outcome.trouble:
            say(f"{name}: {outcome.trouble or f'went on from the boot of {use.maker}'}")
        return outcome
    if use and "init: run" not in outcome.console:
        use.spoil()
    say(f"{name}: {reason}; {last_words(outcome.console)}; started once more")
    return run_once(folder / "try2", setup)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tickets in initrds that distributions make: A leaves tickets, B's initrd opens an encrypted root with them and nobody there.

The initrds are Debian's: initramfs-tools with cryptsetup-initramfs and our keyscript; dracut with systemd. Both have what
`meson install` puts into share/mkexec, put into place as docs/tickets.md says. The real root is small: busybox, mkexec, and
guest/initrd-root as init.
"""

import gzip
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import threading
from dataclasses import dataclass, field

import initrd
import payloads
import rootfs
import scene
from attempts import is_refused, tickets, worked
from tally import expect, expect_equal

PASSPHRASE = "what a person types"
PREFIX = "usr/local"
SHARE = f"{PREFIX}/share/mkexec"
BUSYBOX = pathlib.Path("/bin/busybox")
WORDS = "rw init=/scripts/initrd-root"
FILESYSTEM_MIB = 24
ROOT_UUID = "0f0e0d0c-0b0a-4908-8706-050403020100"


@dataclass(frozen=True)
class Configuration:
    name: str
    what: str
    kind: str
    kernel: scene.Configuration = scene.Configuration("252", "6.1", ("sha256",))
    only_full: bool = False


KERNEL_OF_257 = scene.Configuration("257", "6.12", ("sha256",))
CONFIGURATIONS = (
    Configuration("initramfs-tools", "cryptsetup-initramfs", "InitramfsTools"),
    Configuration("initramfs-tools-bare", "cryptsetup-initramfs without the script in panic", "InitramfsToolsBare", only_full=True),
    Configuration("dracut", "dracut, systemd-cryptsetup 252", "Dracut"),
    Configuration("dracut-bare", "dracut, systemd-cryptsetup 252 without what is ours", "DracutBare", only_full=True),
    Configuration("dracut-alone", "dracut without systemd", "DracutAlone", only_full=True),
    Configuration("dracut-257", "Debian 13's dracut, systemd-cryptsetup 257", "Dracut257", KERNEL_OF_257, only_full=True),
    Configuration("dracut-257-bare", "Debian 13's dracut, systemd-cryptsetup 257 without the drop-in", "Dracut257Bare", KERNEL_OF_257,
                  only_full=True),
)


@dataclass(frozen=True)
class Machine:
    """One hop. `words` of B's command line, names of A's tickets, what is typed on the console, volumes that are asked for, {path:
    bytes} that lie over the initrd's own files."""
    name: str
    checks: dict
    tickets: tuple
    words: str = ""
    answers: tuple = ()
    asked: tuple = ()
    over: dict = field(default_factory=dict)


@dataclass
class Story:
    outcome: object
    marker: str
    asked: tuple
    key: str

    def state(self, name):
        return self.outcome.state(name)

    @property
    def console(self):
        return self.outcome.console


def boot_of(console):
    """What the console said while the second kernel's initrd ran."""
    return console.split("the registers read as predicted", 1)[1].split("init: this is b", 1)[0]


# ---- boots that fail ----

# What is typed as soon as there is a shell. What the console shows of it while it is typed has no digit there.
LOOK = (f'said=$(/{PREFIX}/sbin/mkexec-ticket get late 2>&1); echo "<$?|$said|" /run/cryptsetup-keys.d/* ">"; '
        "echo o >/proc/sysrq-trigger; sleep 99")
LOOKED = re.compile(r"<(\d+)\|(.*?)\| (.*?) >", re.DOTALL)
NO_FILES = "/run/cryptsetup-keys.d/*"


def shell_of(story):
    """Exit code and words of `get late` in the shell of the boot that failed, and the key files that were there."""
    worked(story.state("first"), "load")
    expect("init: this is b" not in story.console, "the boot didn't fail")
    found = LOOKED.search(boot_of(story.console))
    expect(found, f"nothing came of the shell; the console ends with: {story.console[-600:]}")
    return found.groups()


def shell_is_refused(code, words):
    def check(story):
        status, said, files = shell_of(story)
        expect_equal(f"exit code of get ({said})", status, code)
        expect(words in said, f"get said: {said}")
        expect_equal("key files", files, NO_FILES)
        return said
    return check


shell_finds_a_locked_ticket = shell_is_refused("1", "already used")
shell_finds_no_key = shell_is_refused("2", "there is none at all")  # the initrd made a file of the ticket, which nobody wanted


def shell_reads_the_ticket(story):
    status, said, _ = shell_of(story)
    expect_equal(f"exit code of get ({said})", status, "0")
    expect_equal("what get gave", said, story.key)


def shell_finds_the_key(story):
    """And those of volumes that weren't opened yet."""
    *_, files = shell_of(story)
    expect("/run/cryptsetup-keys.d/late.key" in files.split(), f"key files: {files}")


# ---- initramfs-tools ----

def opened_without_a_person(story):
    first, b = story.state("first"), story.state("b")
    worked(first, "load")
    expect_equal("the file on the root file system", b.text("marker"), story.marker)
    expect_equal("what is mounted at /", b.text("root"), "/dev/mapper/root")
    expect(not re.search(r"Please unlock disk|Password \(", boot_of(story.console)), "somebody was asked")


def the_rest_is_locked(story):
    b = story.state("b")
    expect_equal("tickets", [state for *_, state in tickets(b, "list")], ["used"])
    is_refused(b, "get-root", "1", "already used")
    return is_refused(b, "get-late", "1", "already used")


# Without panic= there is a shell and no reset.
NO_FILE_SYSTEM = "rootfstype=nothing panic="
IN_INITRAMFS = (("(initramfs) ", LOOK),)


class InitramfsTools:
    suite, variant, omitted = "bookworm", "initramfs-tools", ""
    root = f"root=/dev/mapper/root {WORDS}"
    more_disks = ()
    machines = (
        Machine("hop", {"the root is opened by its ticket, and nobody was asked": opened_without_a_person,
                        "a ticket that the initrd left is locked": the_rest_is_locked}, ("root", "late")),
        Machine("failed", {"a root that can't be mounted: in the shell that follows the ticket that is left is locked":
                           shell_finds_a_locked_ticket}, ("root", "late"), NO_FILE_SYSTEM, IN_INITRAMFS),
    )

    def prepare(self, tree, installed):
        for kind in ("hooks", "scripts/init-top", "scripts/init-bottom", "scripts/panic"):
            tree.copy(installed / SHARE / "initramfs-tools" / kind / "mkexec", f"etc/initramfs-tools/{kind}/mkexec")
        tree.write("etc/crypttab", f"root /dev/disk/by-id/virtio-root none "
                                   f"luks,initramfs,keyscript=/{PREFIX}/lib/mkexec/keyscript\n")

    def files(self, tree, kernel):
        return {}


class InitramfsToolsBare(InitramfsTools):
    machines = (
        Machine("failed", {"without our script the shell of a boot that failed reads the ticket": shell_reads_the_ticket},
                ("root", "late"), NO_FILE_SYSTEM, IN_INITRAMFS, over={"scripts/panic/ORDER": b""}),
    )


# ---- dracut with systemd ----

# How crypttab says that a volume is opened. Each disk has the passphrase and the ticket's key; what this TPM seals A adds.
VOLUMES = {"root": "none luks,tpm2-device=auto,x-initrd.attach", "pin": "none luks,tpm2-device=auto",
           "file": "/etc/keys/file.key luks", "plain": "none luks"}
QUESTION = "nter passphrase for disk"
QUESTIONS = re.compile(r"nter (?:passphrase for disk|LUKS2 token) (\w+)")
DROP_IN = "usr/lib/systemd/system/systemd-cryptsetup@.service.d/mkexec.conf"


def all_opened_without_a_person(story):
    first, b = story.state("first"), story.state("b")
    worked(first, "enroll-root", "enroll-pin", "load")
    expect_equal("the file on the root file system", b.text("marker"), story.marker)
    expect_equal("volumes that are open", sorted(line.split()[0] for line in b.text("volumes").splitlines()), sorted(VOLUMES))
    for line in b.text("volumes").splitlines():
        name, *start = line.split()
        expect(name == "root" or start == [f"{name}{story.marker}"], f"{name} begins with {start}")
    said = boot_of(story.console)
    expect(QUESTION not in said and "PIN" not in said, "somebody was asked")


def no_key_is_left(story):
    b = story.state("b")
    expect_equal("files in /run/cryptsetup-keys.d after the initrd", b.text("keys"), "")
    expect_equal("tickets", tickets(b, "list"), [])


def what_needs_the_drop_in(story):
    """systemd-cryptsetup by itself: a key in /run/cryptsetup-keys.d is taken for a sealed blob, or for what comes after a token's PIN,
    or isn't looked for."""
    b = story.state("b")
    worked(story.state("first"), "enroll-root", "enroll-pin", "load")
    said = boot_of(story.console)
    expect_equal("what was asked for", sorted(QUESTIONS.findall(said)), sorted(story.asked))
    expect_equal("volumes that are open", sorted(line.split()[0] for line in b.text("volumes").splitlines()), sorted(VOLUMES))
    expect_equal("files in /run/cryptsetup-keys.d after the initrd", b.text("keys"), "")
    return "\n".join(line.strip() for line in said.splitlines() if "systemd-cryptsetup[" in line or QUESTION in line)


def asks_as_always_then_locks(story):
    """The ticket stays in the TPM, as if it had come too late; of the volumes the root alone is opened."""
    worked(story.state("first"), "load")
    b = story.state("b")
    expect_equal("volumes that were asked for", re.findall(rf"{QUESTION} (\w+)", boot_of(story.console)), ["root"])
    expect_equal("the file on the root file system", b.text("marker"), story.marker)
    expect_equal("tickets after the initrd", [state for *_, state in tickets(b, "list")], ["used"])
    return is_refused(b, "get-root", "1", "already used")


OPENED = {"tpm2-device=auto, TPM2+PIN, a key file of crypttab, none: all are opened, and nobody was asked": all_opened_without_a_person,
          "after the initrd there is no key file, and no ticket": no_key_is_left}
# systemd gives up before dracut's initqueue does.
NO_DEVICE = "root=/dev/nothing rd.timeout=30"
IN_EMERGENCY = (("Press Enter for maintenance", ""), ("# ", LOOK))
HOOK = "usr/lib/dracut/hooks/emergency/01-mkexec-lock.sh"


class Dracut:
    suite, variant, omitted = "bookworm", "dracut", ""
    root = f"root=/dev/mapper/root {WORDS} rd.systemd.show_status=no"
    volumes, more_disks = VOLUMES, ("pin", "file", "plain")
    machines = (
        Machine("hop", OPENED, tuple(VOLUMES)),
        Machine("late", {"no key: the root is asked for as always, and the ticket that is left is locked": asks_as_always_then_locks},
                ("root",), "rd.systemd.mask=mkexec-tickets.service luks.crypttab=no rd.luks.options=tpm2-device=auto "
                f"rd.luks.name={ROOT_UUID}=root", ((QUESTION, PASSPHRASE),)),
        Machine("failed", {"no root device: in emergency.target's shell no key is left": shell_finds_no_key}, (*VOLUMES, "late"),
                NO_DEVICE, IN_EMERGENCY),
    )

    def prepare(self, tree, installed):
        for source, name in (("dracut/90mkexec/module-setup.sh", "usr/lib/dracut/modules.d/90mkexec/module-setup.sh"),
                             *((f"dracut/90mkexec/mkexec-{word}.sh", f"usr/lib/dracut/modules.d/90mkexec/mkexec-{word}.sh")
                               for word in ("get", "lock", "log"))):
            tree.copy(installed / SHARE / source, name)
        shutil.copytree(installed / SHARE, tree.path(SHARE))
        tree.write("etc/crypttab", "".join(f"{name} /dev/disk/by-id/virtio-{name} {how}\n" for name, how in self.volumes.items()))
        tree.write("etc/dracut.conf.d/test.conf", 'install_items+=" /etc/crypttab "\nadd_dracutmodules+=" crypt mkexec "\n'
                   f'omit_dracutmodules+=" {self.omitted} "\n'
                   'force_drivers+=" vfat nls_ascii nls_cp437 nls_utf8 efivarfs "\n')

    def files(self, tree, kernel):
        """What A enrolls the TPM with: systemd-cryptenroll and its libraries, and modules that libcryptsetup needs."""
        modules = initrd.modules(kernel, ("dm_crypt", "xts", "aesni_intel", "sha256_generic", "algif_skcipher"))
        libraries = tree.run("sh", "-c", "ldd /usr/bin/systemd-cryptenroll /lib/x86_64-linux-gnu/libtss2-esys.so.0 "
                             "/lib/x86_64-linux-gnu/libtss2-rc.so.0 /lib/x86_64-linux-gnu/libtss2-tcti-device.so.0 "
                             "/lib/x86_64-linux-gnu/libcryptsetup.so.12").decode()
        paths = {*re.findall(r"(/\S+) \(0x", libraries), *re.findall(r"(/\S+):", libraries)}
        return {"keys/enroll": ENROLL.encode(), "modules/order": "".join(name + "\n" for name, _ in modules).encode(),
                **{f"modules/{name}": data for name, data in modules},
                **{f"systemd/{pathlib.Path(path).name}": tree.path(path).read_bytes()
                   for path in paths}}


class DracutBare(Dracut):
    machines = (
        Machine("bare", {"by itself systemd-cryptsetup asks for volumes whose key is there": what_needs_the_drop_in}, tuple(VOLUMES),
                "systemd.journald.forward_to_console=1", ((QUESTION, PASSPHRASE),) * 3, ("file", "pin", "root"), {DROP_IN: b"[Service]\n"}),
        Machine("failed", {"without our unit and hook the key is there in emergency.target's shell": shell_finds_the_key},
                (*VOLUMES, "late"), f"{NO_DEVICE} rd.systemd.mask=mkexec-tickets-lock.service", IN_EMERGENCY, over={HOOK: b""}),
    )


class Dracut257(Dracut):
    suite = "trixie"
    machines = (Machine("hop", OPENED, tuple(VOLUMES)),)


class Dracut257Bare(Dracut257):
    machines = (
        Machine("bare", {"by itself systemd-cryptsetup asks for a token's PIN before it takes the key, and where crypttab names another":
                         what_needs_the_drop_in}, tuple(VOLUMES), "systemd.journald.forward_to_console=1",
                (("lease enter ", PASSPHRASE),) * 2, ("file", "PIN"), {DROP_IN: b"[Service]\n"}),
    )


class DracutAlone(Dracut):
    """Without systemd: dracut's own cryptroot-ask opens what rd.luks.uuid names, with the key file of crypttab."""
    omitted = "systemd systemd-initrd systemd-udevd dracut-systemd"
    root = f"root=/dev/mapper/root {WORDS} rd.luks.uuid={ROOT_UUID}"
    volumes, more_disks = {"root": "/run/cryptsetup-keys.d/root.key luks"}, ()
    machines = (
        Machine("hop", {"the root is opened by its ticket, and nobody was asked": opened_without_a_person,
                        "after the initrd there is no key file, and no ticket": no_key_is_left}, ("root", "late")),
    )

    def files(self, tree, kernel):
        return {}


ENROLL = f"""
chmod +x /systemd/ld-linux-x86-64.so.2
while read -r module; do insmod "/modules/$module" 2>/dev/null; done </modules/order
enroll() {{
    for serial in /sys/block/vd*/serial; do
        [ "$(cat "$serial")" = "$1" ] && disk=/dev/$(basename "$(dirname "$serial")")
    done
    shift
    PASSWORD='{PASSPHRASE}' NEWPIN=2468 /systemd/ld-linux-x86-64.so.2 --library-path /systemd /systemd/systemd-cryptenroll \\
        --tpm2-device=/dev/tpmrm0 --tpm2-pcrs=11 "$@" "$disk"
}}
attempt enroll-root enroll root
attempt enroll-pin enroll pin --tpm2-with-pin=yes
"""
KINDS = {kind.__name__: kind for kind in (InitramfsTools, InitramfsToolsBare, Dracut, DracutBare, DracutAlone, Dracut257, Dracut257Bare)}


def install(place):
    """`meson install` of the build under test."""
    subprocess.run(["meson", "install", "-C", str(scene.program().parent), "--no-rebuild", "--destdir", str(place)], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return place


def make_root(folder, payload, marker):
    """The real root's files: busybox, and what the payload disk has."""
    folder.mkdir()
    for name in ("bin", "dev", "etc", "proc", "run", "sys", "tmp", "usr/bin", "usr/lib", "mnt"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with tarfile.open(payload) as archive:
        archive.extractall(folder, filter="fully_trusted") if hasattr(tarfile, "data_filter") else archive.extractall(folder)
    shutil.copy(BUSYBOX, folder / "bin/busybox")
    for name in subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split():
        if not (folder / "bin" / name).exists():
            (folder / "bin" / name).symlink_to("busybox")
    (folder / "usr/lib/os-release").write_text("ID=mkexec-test\n")
    (folder / "etc/os-release").write_text("ID=mkexec-test\n")
    (folder / "scripts/initrd-root").chmod(0o755)
    (folder / "marker").write_text(marker + "\n")


def file_system(folder, path):
    rootfs.call(["mke2fs", "-q", "-F", "-t", "ext4", "-L", "root", "-E", "lazy_itable_init=1", "-d", folder, path,
                 f"{FILESYSTEM_MIB}M"])
    return path


def make_disks(folder, kind, key, marker):
    """{serial: file} of encrypted disks: the root, and others with a line of text."""
    plain = {"root": file_system(folder / "root", folder / "root.plain")}
    for name in kind.more_disks:
        plain[name] = folder / f"{name}.plain"
        plain[name].write_bytes(f"{name}{marker}".encode().ljust(1 << 20, b"\0"))
    disks = {name: rootfs.encrypt(path, folder / f"{name}.luks", PASSPHRASE.encode(), (key,)) for name, path in plain.items()}
    rootfs.call(["cryptsetup", "luksUUID", "--batch-mode", "--uuid", ROOT_UUID, disks["root"]])
    return disks


made, making = {}, threading.Lock()


def make_initrd(folder, kind, kernel):
    """(initrd, files for A) by the tree's own program, made once for all scenarios of a run that have the same."""
    with making:
        key = (kind.suite, kind.variant, kind.omitted)
        if key not in made:
            tree = rootfs.Tree(folder / "tree", kind.variant, kind.suite)
            tree.add_kernel(kernel)
            installed = install(folder / "installed")
            for path in ("sbin/mkexec-ticket", "lib/mkexec/keyscript", "lib/mkexec/cryptsetup-attach"):
                tree.copy(installed / PREFIX / path, f"{PREFIX}/{path}")
            kind.prepare(tree, installed)
            made[key] = tree.initrd(kernel), kind.files(tree, kernel)
        return made[key]


def lay_over(image, files):
    """The kernel unpacks archives one behind the other, and a later file takes the place of an earlier one."""
    cpio = initrd.Cpio()
    for folder in sorted({str(parent) for name in files for parent in pathlib.Path(name).parents} - {"."}):
        cpio.add(folder, initrd.DIRECTORY | 0o755)
    for name, data in files.items():
        cpio.add(name, initrd.FILE | (0o755 if data[:2] in (b"#!", b"\x7fE") else 0o644), data)
    image += gzip.compress(cpio.close(), 1) if files else b""
    return image + bytes(-len(image) % 4)


def run(tally, folder, configuration):
    kind = KINDS[configuration.kind]()
    place = scene.Scene(folder, configuration.kernel, "initrd-first", "", tally.say)
    image, files = make_initrd(folder, kind, place.kernel)
    key, marker, program = os.urandom(32).hex().encode(), os.urandom(8).hex(), {"bin/mkexec": scene.program()}
    make_root(folder / "root", place.payload("payload-root", program), marker)
    disks = make_disks(folder, kind, key, marker)
    for machine in kind.machines:
        place.uki_b = place.build("B", lay_over(image, machine.over), " ".join((scene.COMMAND_LINE, kind.root, machine.words)))
        payload = place.payload(f"payload-{machine.name}", program, files={
            **files, "keys/tickets": " ".join(machine.tickets).encode(), **{f"keys/{name}": key for name in machine.tickets}})
        outcome = place.run(machine.name, payload, shared=False, disks=tuple((path, name) for name, path in disks.items()),
                            answers=machine.answers, memory_mib=1024, deadline_seconds=1200)
        for check, function in machine.checks.items():
            tally.check(f"initrd ({configuration.what}): {check}", function, Story(outcome, marker, machine.asked, key.decode()))

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian with systemd as init, on a disk: firmware boots UKI A, `mkexec exec` shuts it down in order and starts B. And what
may go wrong between exec and the end of that shutdown: each must be a refusal or a real reset, and the next boot must tell.
"""

import json
import os
import pathlib
import re
import subprocess
from dataclasses import dataclass

import esp
import eventlog
import payloads
import rootfs
import scene
import systemd_logs
import uki
import vm
from tally import expect, expect_equal

HERE = pathlib.Path(__file__).parent
COMMAND_LINE = "root=LABEL=root ro console=ttyS0 quiet panic=-1 mitigations=off no_timer_check"
HOOK = "usr/lib/systemd/system-shutdown/mkexec"
# Of no use to a machine without a person or a network.
MASKED = ("getty.target", "e2scrub_reap.service", "apt-daily.timer", "apt-daily-upgrade.timer", "fstrim.timer", "dpkg-db-backup.timer",
          "systemd-tmpfiles-clean.timer", "e2scrub_all.timer", "systemd-hwdb-update.service", "ldconfig.service",
          "systemd-firstboot.service", "systemd-update-done.service", "modprobe@drm.service", "systemd-update-utmp.service")
UNITS = {
    "mkexec-test.service": "[Unit]\nAfter=mkexec-test-stop.service\n[Service]\nExecStart=/bin/sh /scripts/systemd-boot\n"
                           "StandardOutput=tty\nTTYPath=/dev/ttyS0\nStandardError=inherit\n",
    # Stopped late, after what the others do when they stop, while the disks are still mounted.
    "mkexec-test-stop.service": "[Unit]\nDefaultDependencies=no\nRequires=local-fs.target\nAfter=local-fs.target\nBefore=sysinit.target\n"
                                "Conflicts=shutdown.target\nBefore=shutdown.target\n[Service]\nType=oneshot\n"
                                "RemainAfterExit=yes\nExecStart=/bin/true\nExecStop=/bin/sh /scripts/systemd-stop\n",
}


@dataclass(frozen=True)
class Configuration:
    """`turns`: what each boot does, see guest/systemd-boot. `starts`: the UKI of each boot, "A" by firmware or "B" by a hop."""
    name: str
    what: str
    turns: tuple
    starts: str


CONFIGURATIONS = (
    Configuration("hop", "an orderly exec", ("hop", "end"), "AB"),
    Configuration("twins", "a hook that is missing, killed, or finds PCR 8 moved", ("missing", "killed", "pcr8", "end"), "AAAA"),
)
NOTHING_CAME_BACK = "nothing came back from its shutdown hook"
# What the boot after such a turn is told, a part of it; None: nothing.
TOLD = {"hop": None, "missing": NOTHING_CAME_BACK,
        "killed": f"{NOTHING_CAME_BACK}|exec was killed by signal 9", "pcr8": r"PCR 8 \(sha256\) was extended since load"}
PHASES = ["sysinit", "ready", "shutdown", "final"]
IMA_PCR, PHASE_PCR = 10, 11


@dataclass
class Story:
    configuration: object
    outcome: object
    boots: list
    cmdline_a: str
    cmdline_b: str
    disk: pathlib.Path


def installed_tree(folder):
    """A Debian root with mkexec installed by meson, as an administrator would."""
    build = scene.program().parent
    if not (build / "build.ninja").exists():
        raise payloads.Unavailable(f"{build} is no build folder to install from")
    tree = rootfs.Tree(folder)
    rootfs.call(["meson", "install", "-C", build, "--no-rebuild", "--destdir", tree.folder])
    return tree


def prepare(tree, kernel, configuration):
    tree.add_kernel(kernel)
    tree.write("etc/fstab", "LABEL=root / ext4 errors=remount-ro 0 1\n/dev/disk/by-id/virtio-esp-part1 /efi vfat umask=077,nofail 0 0\n")
    tree.write("etc/marker", "root\n")
    tree.write("etc/systemd/journald.conf.d/test.conf", "[Journal]\nStorage=persistent\n")
    for folder in ("efi", "state"):
        tree.path(folder).mkdir()
    for unit in MASKED:
        tree.link(f"etc/systemd/system/{unit}", "/dev/null")
    for unit, text in UNITS.items():
        tree.write(f"etc/systemd/system/{unit}", text)
    tree.link("etc/systemd/system/multi-user.target.wants/mkexec-test.service", "../mkexec-test.service")
    tree.link("etc/systemd/system/sysinit.target.wants/mkexec-test-stop.service", "../mkexec-test-stop.service")
    tree.link("etc/systemd/system/default.target", "/usr/lib/systemd/system/multi-user.target")
    for script in ("report", "systemd-boot", "systemd-stop", "killer"):
        tree.copy(HERE / "guest" / script, f"scripts/{script}", 0o755)
    tree.write("scripts/turns", "".join(f"{turn}\n" for turn in configuration.turns))
    tree.write("state/boot", "1\n")


def build_uki(name, kernel, initrd, cmdline):
    stub = payloads.stub("252")
    return uki.build(stub.path.read_bytes(), kernel.image.read_bytes(), initrd, cmdline,
                     uki.os_release(name, os.urandom(scene.RANDOM_BYTES)), kernel.release)


def run_machine(tally, folder, configuration):
    kernel = payloads.kernel("6.1")
    tree = installed_tree(folder / "root")
    prepare(tree, kernel, configuration)
    initrd = tree.initrd(kernel)
    cmdline_a, cmdline_b = f"{COMMAND_LINE} uki=A", f"{COMMAND_LINE} uki=B"
    files = {scene.PATH_A: build_uki("A", kernel, initrd, cmdline_a), scene.PATH_B: build_uki("B", kernel, initrd, cmdline_b)}
    disk = tree.image(folder / "root.img")
    nothing = folder / "payload"
    nothing.write_bytes(bytes(rootfs.MIB))
    setup = vm.Setup(esp.build(folder / "esp.img", files, scene.ESP_MIB), nothing, disks=((disk, "root"),), reboots=True,
                     memory_mib=1536, deadline_seconds=600 * len(configuration.turns), translations=vm.FEW_TRANSLATIONS)
    outcome = vm.run(folder / "machine", setup, tally.say)
    n_boots = 1 + max((int(name.removeprefix("boot-")) for name in outcome.frames if name.startswith("boot-")), default=0)
    boots = [outcome.state(f"boot-{n}") for n in range(1, n_boots)]
    return Story(configuration, outcome, boots, cmdline_a, cmdline_b, disk)


def run(tally, folder, configuration):
    folder.mkdir(parents=True)
    title = f"systemd {configuration.name} ({configuration.what})"
    story = run_machine(tally, folder, configuration)
    for check, function in CHECKS[configuration.name].items():
        tally.check(f"{title}: {check}", function, story)


def said(state, name):
    return json.loads(state.files[f"{name}.out"])


def worked(state, *names):
    for name in names:
        expect_equal(f"exit code of {name} ({state.text(f'{name}.err')})", state.text(f"{name}.status"), "0")


def boots_are_as_told(story):
    expect_equal("boots", "".join(re.search(r"uki=(\w)", boot.text("cmdline")).group(1) for boot in story.boots),
                 story.configuration.starts)


def run_is_too_small_at_first(story):
    first = story.boots[0]
    expect_equal("exit code", first.text("load-small.status"), "1")
    expect("can't hold the image of" in first.text("load-small.err"), first.text("load-small.err"))
    expect_equal("/sys/kernel/kexec_loaded", first.text("load-small.loaded"), "0")
    worked(first, "load")
    return first.text("load-small.err")


def refused_without_hook(story):
    first = story.boots[0]
    expect_equal("exit code", first.text("exec-without-hook.status"), "1")
    expect("isn't there to finish it" in first.text("exec-without-hook.err"), first.text("exec-without-hook.err"))
    expect("armed" not in first.text("exec-without-hook.left"), "it was armed all the same")


def services_were_stopped(story):
    for number, boot in enumerate(story.boots[1:], 2):
        expect("stopped" in boot.text("left").split(), f"before boot {number} services weren't stopped")


def disks_are_clean(story):
    for number, boot in enumerate(story.boots, 1):
        expect("root: clean" in boot.text("fsck"), f"boot {number}: {boot.text('fsck')}")
        odd = re.findall(r".*EXT4-fs.*(?:recover|orphan|error).*|.*FAT-fs.*not properly unmounted.*", boot.text("dmesg"))
        expect(not odd, f"boot {number}: {odd}")
    done = subprocess.run(["e2fsck", "-f", "-n", story.disk], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    expect_equal(f"e2fsck after the end ({done.stdout})", done.returncode, 0)


def every_log_checks(story):
    for number, boot in enumerate(story.boots, 1):
        status = said(boot, "status")
        expect_equal(f"verdict of status in boot {number} ({status['reason']})", status["verdict"], "ok")
        expect_equal(f"verdict of log check in boot {number}", said(boot, "check")["verdict"], "ok")
        by_hop = story.configuration.starts[number - 1] == "B"
        expect_equal(f"boots in the log of boot {number}", status["boots"], 2 if by_hop else 1)


def other_tools_agree(story):
    """PCR 10 is IMA's; PCR 11 has systemd's phases, which no firmware's log tells."""
    for number, boot in enumerate(story.boots, 1):
        replayed = eventlog.replay(boot.log)["sha256"]
        for pcr in (*range(10), *range(12, 16)):
            expect_equal(f"PCR {pcr} of boot {number}", boot.pcrs["sha256"][pcr], replayed.get(pcr, 64 * "0"))


def phases_came_along(story):
    """Those of the shutdown, too: they were measured between load and exec."""
    second = story.boots[1]
    _, logs = systemd_logs.handed_on(second)
    expect_equal("phases of the first boot", [string for _, _, string in systemd_logs.records(logs[1][2])], PHASES)
    rows = [row for row in said(second, "check")["events"] if row["pcr"] == PHASE_PCR and row["type"] == "phase"]
    expect_equal("what log check says of them", [row["status"] for row in rows], ["verified"] * len(PHASES))
    return ", ".join(PHASES)


def the_second_system_measures_nothing_untrue(story):
    """Only what the log tells: PCRs that nobody but the hop touched."""
    first, second = story.boots
    expect("active" in re.search(r"systemd-pcrphase.service +\S+ +(\S+)", first.text("units")).group(1), "no phases in boot 1")
    running = re.findall(r"(systemd-(?:pcr|tpm2|bless)\S+) +loaded +active", second.text("units"))
    expect_equal("measuring units in the second system", running, [])


def next_boot_is_told(story):
    for turn, boot in zip(story.configuration.turns, story.boots[1:]):
        told = said(boot, "status")["last_exec"]
        if TOLD[turn] is None:
            expect_equal(f"after {turn}", told, None)
        else:
            expect(told and re.search(TOLD[turn], told), f"after {turn}: {told}")
            expect(told in boot.text("words.out"), "mkexec status doesn't say it in words")
    return "\n".join(filter(None, (said(boot, "status")["last_exec"] for boot in story.boots)))


def each_was_a_real_reset(story):
    for number, boot in enumerate(story.boots, 1):
        if story.configuration.starts[number - 1] == "A":
            expect_equal(f"PCR 8 in boot {number}", boot.pcrs["sha256"][8], 64 * "0")


ALWAYS = {"the machine boots as often, and by whom, as it should": boots_are_as_told,
          "file systems were unmounted": disks_are_clean,
          "a unit was stopped in order": services_were_stopped,
          "status and log check are content in every boot": every_log_checks,
          "tpm2_eventlog replays the kernel's log to the PCRs": other_tools_agree,
          "the next boot is told": next_boot_is_told}
CHECKS = {
    "hop": {**ALWAYS,
            "/run is too small: the message says how to make room, and that works": run_is_too_small_at_first,
            "exec refuses without its hook": refused_without_hook,
            "phases of systemd 252, up to the end of the shutdown, are in the second kernel's log": phases_came_along,
            "units that measure don't run in the second system": the_second_system_measures_nothing_untrue},
    "twins": {**ALWAYS, "each was a real reset": each_was_a_real_reset},
}

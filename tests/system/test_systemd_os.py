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

import closure
import debian_package
import esp
import eventlog
import hooks
import payloads
import rootfs
import scene
import systemd_257
import systemd_262
import systemd_disk
import systemd_logs
import uki
import vm
from attempts import is_refused, worked
from tally import expect, expect_equal

HERE = pathlib.Path(__file__).parent
COMMAND_LINE = "ro console=ttyS0 quiet panic=-1 mitigations=off no_timer_check"
HOOK = "usr/lib/systemd/system-shutdown/mkexec"
PACKAGE = "scripts/mkexec.deb"
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
    """`turns`: what each boot does, see guest/systemd-boot. `starts`: the UKI of each boot, "A" by firmware, others by a hop. `root`:
    how the root is found, see systemd_disk.py. `package`: mkexec is installed as a Debian package, in the first boot, and purged in the
    last one."""
    name: str
    what: str
    turns: tuple
    starts: str
    root: type = systemd_disk.Plain
    package: bool = False


CONFIGURATIONS = (
    Configuration("hop", "an orderly exec", ("hop", "end"), "AB", package=True),
    Configuration("disk", "an encrypted root, opened by a passphrase, then by a ticket", ("changed", "kexec", "end"), "ACB",
                  systemd_disk.Encrypted),
    Configuration("others", "systemctl kexec with another image in the guard's place, and with PCR 8 moved; systemctl reboot",
                  ("foreign", "reboot", "pcr8", "end"), "ABAA", systemd_disk.Encrypted),
    Configuration("trixie", "systemd 257 of Debian 13, and all that it measures", ("file", "arm", "end"), "ACB",
                  systemd_257.Trixie),
    Configuration("sid", "systemd 262 of Debian sid, and all that it measures", ("file", "arm", "end"), "ACB", systemd_262.Sid),
    Configuration("twins", "a hook that is missing while another hangs, or killed", ("hangs", "killed", "end"), "AAA"),
    Configuration("unarmed", "systemd 257: kexecs that nobody armed, PCR 8 moved, another image loaded, and an exec",
                  ("bare", "foreign-reboot", "moved", "late", "end"), "AAAAB", hooks.Modern),
    Configuration("hooks", "systemd 257: a hook that is killed, missing, or stopped; others that fail and hang; and an exec",
                  ("killed", "hangs", "stuck", "crowd", "end"), "AAAAB", hooks.Modern),
)
# Turns with another image in the guard's place.
FOREIGN = {"foreign", "foreign-reboot", "late"}
NOTHING_CAME_BACK = "nothing came back from its shutdown hook"
NOT_ARMED = "was loaded, but this systemd makes kexecs of reboots: only 'mkexec exec' starts it"
PCR_8_MOVED = r"PCR 8 \(sha256\) was extended since load"
# What the boot after such a turn is told, a part of it; None: nothing.
TOLD = {"hop": None, "changed": None, "kexec": None, "reboot": None, "foreign": None, "arm": None, "file": None, "late": None,
        "crowd": None, "hangs": NOTHING_CAME_BACK, "stuck": "exec's steps took longer than 30 s",
        "bare": NOT_ARMED, "foreign-reboot": NOT_ARMED, "moved": PCR_8_MOVED, "pcr8": PCR_8_MOVED,
        "killed": f"{NOTHING_CAME_BACK}|exec was killed by signal 9"}
PHASE_PCR = 11
SHUTDOWN_PHASES = ("shutdown", "final")
BLESS_BOOT = "systemd-bless-boot.service"


@dataclass
class Story:
    configuration: object
    outcome: object
    boots: list
    disk: pathlib.Path
    root: object


def installed_tree(folder, root, package):
    """A Debian root with mkexec installed by meson, as an administrator would, or with the package to be installed."""
    if package:
        tree = rootfs.Tree(folder, root.variant, root.suite)
        tree.path(rootfs.DPKG_LEAVES_OUT).unlink()
        tree.copy(debian_package.built().program, PACKAGE)
        return tree
    build = scene.program().parent
    if not (build / "build.ninja").exists():
        raise payloads.Unavailable(f"{build} is no build folder to install from")
    tree = rootfs.Tree(folder, root.variant, root.suite)
    rootfs.call(["meson", "install", "-C", build, "--no-rebuild", "--destdir", tree.folder])
    return tree


def prepare(tree, kernel, configuration, root):
    tree.add_kernel(kernel, root.modules)
    tree.write("etc/fstab", f"{root.device} / ext4 {root.options} 0 1\n"
               f"/dev/disk/by-id/virtio-esp-part1 /efi vfat {root.esp_options} 0 0\n")
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
    for script in ("report", "systemd-boot", "systemd-nvpcr", "systemd-stop", "beside"):
        tree.copy(HERE / "guest" / script, f"scripts/{script}", 0o755)
    tree.write("scripts/turns", "".join(f"{turn}\n" for turn in configuration.turns))
    tree.write("state/boot", "1\n")
    tree.write("state/key", root.key, 0o600)
    root.prepare(tree)


def add_foreign(tree, kernel, initrd):
    """A kexec that goes its own way, and what it loads. It is linked with a library that nobody needs (closure.py)."""
    program = payloads.kexec_tools()
    tree.copy(program, "usr/sbin/kexec", 0o755)
    for name, path in closure.libraries([program], tree.path("var")).items():
        if not any(tree.path("usr/lib/x86_64-linux-gnu").glob(name)):
            tree.copy(path, f"usr/lib/x86_64-linux-gnu/{name}")
    tree.copy(kernel.image, "scripts/kernel")
    tree.write("scripts/initrd", initrd)


def build_uki(name, root, tree, kernel, initrd, cmdline):
    stub = payloads.stub(root.stub)
    return root.sign(tree, uki.build(stub.path.read_bytes(), kernel.image.read_bytes(), initrd, cmdline,
                                     uki.os_release(name, os.urandom(scene.RANDOM_BYTES)), kernel.release, root.pcr_key))


def run_machine(tally, folder, configuration):
    root = configuration.root()
    kernel = payloads.kernel(root.kernel)
    tree = installed_tree(folder / "root", root, configuration.package)
    prepare(tree, kernel, configuration, root)
    initrd = root.initrd(tree, kernel)
    if FOREIGN.intersection(configuration.turns):
        add_foreign(tree, kernel, initrd)
    ukis = {name: build_uki(name, root, tree, kernel, initrd, f"{root.words} {COMMAND_LINE} uki={name}")
            for name in sorted({*configuration.starts, "B"})}
    files = {f"EFI/Linux/{name}.efi": image for name, image in ukis.items() if name != "A"}
    files |= root.first(tree, ukis["A"])
    disk = root.disk(tree, folder)
    nothing = folder / "payload"
    nothing.write_bytes(bytes(rootfs.MIB))
    setup = vm.Setup(esp.build(folder / "esp.img", files, scene.ESP_MIB), nothing, disks=((disk, "root"),), reboots=True,
                     answers=root.answers, memory_mib=1536, deadline_seconds=600 * len(configuration.turns), translations=vm.FEW_TRANSLATIONS)
    outcome = vm.run(folder / "machine", setup, tally.say)
    n_boots = 1 + max((int(name.removeprefix("boot-")) for name in outcome.frames if name.startswith("boot-")), default=0)
    boots = [outcome.state(f"boot-{n}") for n in range(1, n_boots)]
    return Story(configuration, outcome, boots, disk, root)


def run(tally, folder, configuration):
    folder.mkdir(parents=True)
    title = f"systemd {configuration.name} ({configuration.what})"
    story = run_machine(tally, folder, configuration)
    for check, function in CHECKS[configuration.name].items():
        tally.check(f"{title}: {check}", function, story)


def said(state, name):
    return json.loads(state.files[f"{name}.out"])


def boots_are_as_told(story):
    expect_equal("boots", "".join(re.search(r"uki=(\w)", boot.text("cmdline")).group(1) for boot in story.boots),
                 story.configuration.starts)


def run_is_too_small_at_first(story):
    first = story.boots[0]
    why = is_refused(first, "load-small", "1", "can't hold the image of")
    expect_equal("/sys/kernel/kexec_loaded", first.text("load-small.loaded"), "0")
    worked(first, "load")
    return why


def refused_without_hook(story):
    first = story.boots[0]
    is_refused(first, "exec-without-hook", "1", "isn't there to finish it")
    expect("armed" not in first.text("exec-without-hook.left"), "it was armed all the same")


def services_were_stopped(story):
    for number, boot in enumerate(story.boots[1:], 2):
        expect("stopped" in boot.text("left").split(), f"before boot {number} services weren't stopped")


def disks_are_clean(story):
    for number, boot in enumerate(story.boots, 1):
        expect(re.search(r"root: clean", boot.text("fsck")), f"boot {number}: {boot.text('fsck')}")
        odd = re.findall(r".*EXT4-fs.*(?:recover|orphan|error).*|.*FAT-fs.*not properly unmounted.*", boot.text("dmesg"))
        expect(not odd, f"boot {number}: {odd}")
    if story.root.encrypted:
        return
    done = subprocess.run(["e2fsck", "-f", "-n", story.disk], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    expect_equal(f"e2fsck after the end ({done.stdout})", done.returncode, 0)


def every_log_checks(story):
    for number, boot in enumerate(story.boots, 1):
        status = said(boot, "status")
        expect_equal(f"verdict of status in boot {number} ({status['reason']})", status["verdict"], "ok")
        expect_equal(f"verdict of log check in boot {number}", said(boot, "check")["verdict"], "ok")
        since_reset = story.configuration.starts[:number].rsplit("A", 1)[1]
        expect_equal(f"boots in the log of boot {number}", status["boots"], 1 + len(since_reset))


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
    phases = story.root.phases
    expect_equal("phases of the first boot", tuple(string for _, _, string in systemd_logs.records(logs[1][2])), phases)
    rows = [row for row in said(second, "check")["events"] if row["pcr"] == PHASE_PCR and row["type"] == "phase"]
    expect_equal("what log check says of them", [row["status"] for row in rows], ["verified"] * len(phases))
    return ", ".join(phases)


def extended_by_systemd(boot):
    """What it says itself that it has measured so far."""
    return re.findall(r"Successfully extended PCR index (\d+) with '([^']*)'", boot.text("journal"))


def measures_nothing_untrue(story):
    """Systemd measures in boots by firmware, and after a hop not at all."""
    lines = []
    for number, boot in enumerate(story.boots, 1):
        by_firmware = story.configuration.starts[number - 1] == "A"
        units = systemd_logs.measuring_units(boot)
        # An entry that has become good isn't counted any more.
        wanted = [unit for unit in story.root.measuring if by_firmware and (number == 1 or unit != BLESS_BOOT)]
        expect_equal(f"measuring units of boot {number}", sorted(unit for unit, (met, _) in units.items() if met), sorted(wanted))
        expect_equal(f"what systemd extended in boot {number}", sorted(extended_by_systemd(boot)), sorted(
            (str(PHASE_PCR), word) for word in story.root.phases if by_firmware and word not in SHUTDOWN_PHASES))
        lines += [f"boot {number}, {'by firmware' if by_firmware else 'by a hop'}: {unit}: {'ran, ' * met}{state}"
                  for unit, (met, state) in units.items()]
    return "\n".join(lines)


def tells_of_the_boot_that_it_is(story):
    """The entry that systemd-boot started is good; after a hop nothing is said of it, nor of systemd-boot."""
    a, *others = story.boots
    expect_equal("systemd-bless-boot in A", systemd_logs.measuring_units(a)[BLESS_BOOT], (True, "active"))
    expect("Product: systemd-boot 252" in a.text("bootctl.out"), a.text("bootctl.out"))
    for boot in others:
        expect_equal("entries on the ESP", sorted(boot.text("entries").split()), ["B.efi", "C.efi", "a.efi"])
        expect("Product: systemd-boot" not in boot.text("bootctl.out"), boot.text("bootctl.out"))
        expect("Stub: systemd-stub 252" in boot.text("bootctl.out"), boot.text("bootctl.out"))
    return others[-1].text("bootctl.out")


def next_boot_is_told(story):
    for turn, boot in zip(story.configuration.turns, story.boots[1:]):
        told = said(boot, "status")["last_exec"]
        if TOLD[turn] is None:
            expect_equal(f"after {turn}", told, None)
        else:
            expect(told and re.search(TOLD[turn], told), f"after {turn}: {told}")
            expect(told in boot.text("words.out"), "mkexec status doesn't say it in words")
    return "\n".join(filter(None, (said(boot, "status")["last_exec"] for boot in story.boots)))


def package_was_installed(story):
    """By dpkg in the running system: its files are as they should be, and its units are enabled and find nothing to do."""
    first = story.boots[0]
    worked(first, "install", "verify")
    expect_equal("what dpkg --verify says", first.text("verify.out"), "")
    expect_equal("systemctl is-enabled of its units", first.text("enabled.out").split(), ["enabled", "enabled"])
    return first.text("install.out")


def package_is_purged(story):
    """In the system that it has started, which then powers off as usual."""
    last = story.boots[-1]
    worked(last, "purge")
    before, after = ({path for path in last.text(name).split() if "mkexec-test" not in path and not path.startswith("/scripts/")}
                     for name in ("ours", "ours-purged"))
    expect(len(before) > 20 and f"/{HOOK}" in before, f"only {sorted(before)} were there")
    expect_equal("left", sorted(after), [])
    expect_equal("units that systemd still knows", last.text("units-purged"), "")
    return f"{len(before)} files went"


def registers_read_as_predicted(story):
    """PCR 8 after each hop; PCR 11 is explained by firmware's, systemd's and the hop's events; 12 and 15 are nobody's."""
    for number, (before, after) in enumerate(zip(story.boots, story.boots[1:]), 2):
        if story.configuration.starts[number - 1] == "A":
            continue
        expect_equal(f"PCR 8 in boot {number}", after.pcrs["sha256"][8], said(before, "loaded")["predicted"]["8"]["sha256"])
        expect_equal(f"PCR 11 in boot {number}", said(after, "check")["pcrs"]["sha256"]["11"]["status"], "proved")
        for pcr in (12, 15):
            expect_equal(f"PCR {pcr} in boot {number}", after.pcrs["sha256"][pcr], before.pcrs["sha256"][pcr])


def status_takes_ten_lines(story):
    first = story.boots[0]
    worked(first, "loaded-words")
    expect(len(first.text("loaded-words.out").splitlines()) <= 10, first.text("loaded-words.out"))
    expect("\nexec: nothing stands in its way" in first.text("loaded-words.out"), first.text("loaded-words.out"))
    return f"{first.text('loaded-words.out')}\n{story.boots[-1].text('words.out')}"


def questions(story):
    """How often each boot asked for the passphrase of the root."""
    parts = re.split(r"init: run boot \d+", story.outcome.console)
    return [len(re.findall(f"{systemd_disk.QUESTION} root", part)) for part in parts[:len(story.boots)]]


def opened_by_the_ticket(story):
    """B is opened by its ticket; A and C want a passphrase."""
    for before in story.boots[:-1]:
        worked(before, "load")
    expect_equal("passphrases that each boot asked for", questions(story), [int(name != "B") for name in story.configuration.starts])
    for boot in story.boots:
        expect_equal("SHA-256 of a file on the root", boot.text("data"), story.root.sha256)
        expect(re.search(r" / / .* - ext4 /dev/mapper/root ", boot.text("mounts")), boot.text("mounts"))
        expect_equal("state of multi-user.target", re.search(r"multi-user.target +\S+ +(\S+)", boot.text("units")).group(1), "active")
        expect_equal("key files", [name for name in boot.text("keys").split() if name.endswith(".key")], [])
    b = story.boots[story.configuration.starts.index("B")]
    expect_equal("tickets in B", json.loads(b.files["tickets"])["tickets"], [])


def another_kernel_cannot_have_it(story):
    worked(story.boots[0], "load-changed")
    other = story.boots[1]
    (ticket,) = json.loads(other.files["tickets"])["tickets"]
    expect_equal("the ticket for B in C", ticket["state"], "other-pcrs")
    return is_refused(other, "get", "1", "is for other PCR values than these")


def each_was_a_real_reset(story):
    for number, boot in enumerate(story.boots, 1):
        if story.configuration.starts[number - 1] == "A":
            expect_equal(f"PCR 8 in boot {number}", boot.pcrs["sha256"][8], 64 * "0")


def reboots_leave_no_ticket(story):
    before, after = story.boots[1:3]
    worked(before, "load")
    expect_equal("tickets of what was loaded", said(before, "loaded")["tickets"], ["root"])
    expect_equal("tickets after the reboot", json.loads(after.files["tickets"])["tickets"], [])


def foreign_was_replaced(story):
    first, second = story.boots[:2]
    worked(first, "foreign")
    expect_equal("/sys/kernel/kexec_loaded after kexec -l", first.text("foreign.loaded"), "1")
    expect_equal("hops in the log of what came", len(said(second, "status")["hops"]), 1)


def others_were_loaded(story):
    """Before the shutdown and in it; F, what they would have started, isn't among the boots."""
    for boot, name in ((story.boots[1], "foreign"), (story.boots[-1], "late")):
        worked(boot, name)
        expect_equal(f"/sys/kernel/kexec_loaded after kexec -l ({name})", boot.text(f"{name}.loaded"), "1")


ALWAYS = {"the machine boots as often, and by whom, as it should": boots_are_as_told,
          "file systems were unmounted": disks_are_clean,
          "a unit was stopped in order": services_were_stopped,
          "status and log check are content in every boot": every_log_checks,
          "tpm2_eventlog replays the kernel's log to the PCRs": other_tools_agree,
          "the registers read as predicted": registers_read_as_predicted,
          "the next boot is told": next_boot_is_told}
# Where systemd, too, measures into PCRs that firmware's log tells of.
BUT_REPLAY = {what: check for what, check in ALWAYS.items() if check is not other_tools_agree}
CHECKS = {
    "trixie": {**BUT_REPLAY, **systemd_257.CHECKS},
    "sid": {**BUT_REPLAY, **systemd_262.CHECKS},
    "hop": {**ALWAYS,
            "/run is too small: the message says how to make room, and that works": run_is_too_small_at_first,
            "the Debian package is installed in the running system": package_was_installed,
            "exec refuses without its hook": refused_without_hook,
            "mkexec status has ten lines at most": status_takes_ten_lines,
            "phases of systemd 252, up to the end of the shutdown, are in the second kernel's log": phases_came_along,
            "units that measure don't run in the second system": measures_nothing_untrue,
            "the package is purged without a trace in the system that it has started": package_is_purged},
    "disk": {**ALWAYS,
             "B is up, its root opened by the ticket, and nobody was asked": opened_by_the_ticket,
             "a kernel with another command line doesn't get the ticket, and asks": another_kernel_cannot_have_it,
             "phases, the initrd's too, are in the second kernel's log": phases_came_along,
             "units that measure don't run in the second and third system": measures_nothing_untrue,
             "bless-boot and bootctl tell of the boot that it is": tells_of_the_boot_that_it_is},
    "twins": {**ALWAYS, **hooks.CHECKS, "each was a real reset": each_was_a_real_reset},
    "unarmed": {**ALWAYS, **hooks.CHECKS, "where A came it was a real reset": each_was_a_real_reset,
                "another image was loaded in the guard's place, twice, and never came": others_were_loaded},
    "hooks": {**ALWAYS, **hooks.CHECKS, "where A came it was a real reset": each_was_a_real_reset},
    "others": {**ALWAYS, "where A came it was a real reset": each_was_a_real_reset,
               "B's root is opened by the ticket, and nobody was asked": opened_by_the_ticket,
               "units that measure don't run in the second system": measures_nothing_untrue,
               "no ticket is left in the TPM by a reboot": reboots_leave_no_ticket,
               "the image in the guard's place was loaded, and isn't what came": foreign_was_replaced},
}

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian 13 with systemd 257 in test_systemd_os.py's machine: its root, and what must be true of what it measures. What differs in
a newer systemd is a member of its root (systemd_262.py).

Everything of systemd's that measures is asked for: boot phases, machine-id, file systems (x-systemd.pcrfs), the volume's key
(tpm2-measure-pcr=), the storage root key, and systemd-pcrlock's units, which Debian ships disabled. A is started by firmware, C by
a hop in file mode, where mkexec's drop-ins keep it from all that, B by a usual one, where systemd itself keeps from it.
"""

import json
import re
import shutil
import struct

import systemd_disk
import systemd_logs
from tally import expect, expect_equal

UNITS = "usr/lib/systemd/system"
LOCKS = ("file-system", "firmware-code", "firmware-config", "machine-id", "make-policy", "secureboot-authority", "secureboot-policy")
MEASURING = (*(f"systemd-pcrlock-{name}.service" for name in LOCKS), "systemd-pcrextend.socket", "systemd-pcrfs-root.service",
             "systemd-pcrlock.socket", "systemd-pcrmachine.service", "systemd-pcrphase-sysinit.service", "systemd-pcrphase.service",
             "systemd-tpm2-setup-early.service", "systemd-tpm2-setup.service")
# What is in PCR 15, and the unit whose work it is: on an emulated processor a TPM's answer may come too late for it.
OTHERS = {r"cryptsetup:root:\S+": None, r"machine-id:[0-9a-f]{32}": "systemd-pcrmachine.service",
          r"file-system:/:\S*": "systemd-pcrfs-root.service", r"file-system:/efi:\S*": None}
IMA_PCR = 10
OVERLAY = "MkexecOverlay-06e3bda6-d6f8-4745-b7e1-bc4b29494859"
# Of no use to this machine, and slow on an emulated processor.
OMITTED = "hwdb i18n terminfo resume virtfs virtiofs qemu nvdimm systemd-sysext systemd-pstore systemd-battery-check"
MASKED = ("modprobe@fuse.service", "modprobe@configfs.service", "modprobe@efi_pstore.service", "proc-sys-fs-binfmt_misc.automount",
          "systemd-journal-catalog-update.service", "systemd-hostnamed.socket", "dev-hugepages.mount", "dev-mqueue.mount")


class Trixie(systemd_disk.Encrypted):
    suite, stub, kernel = "trixie", "257", "6.12"
    # An emulated processor that waits for its turn may take longer than 90 seconds to find a disk.
    words = f"{systemd_disk.Encrypted.words} systemd.default_device_timeout_sec=900"
    options, esp_options = "errors=remount-ro,x-systemd.pcrfs", "umask=077,x-systemd.pcrfs"
    crypttab = "luks,x-initrd.attach,tpm2-measure-pcr=yes"
    phase_files = ()  # dracut 106 has a module for them
    # Units that a boot by firmware runs, and one by a hop doesn't; and of those that ask whether systemd-stub has measured, the one
    # that nobody holds back.
    measuring, not_held_back = MEASURING, ()
    # What A extends beside PCR 11 and 15: {PCR, or index of an NvPCR: patterns of its records}
    also_measured = {}

    def prepare(self, tree):
        super().prepare(tree)
        tree.write("etc/dracut.conf.d/small.conf", f'omit_dracutmodules+=" {OMITTED} "\n')
        for unit in MASKED:
            tree.link(f"etc/systemd/system/{unit}", "/dev/null")
        for name in LOCKS:
            tree.link(f"etc/systemd/system/sysinit.target.wants/systemd-pcrlock-{name}.service",
                      f"/{UNITS}/systemd-pcrlock-{name}.service")
        for folder in tree.path(f"{systemd_disk.SHARE}/systemd").glob("systemd-*.d"):
            shutil.copytree(folder, tree.path(f"etc/systemd/system/{folder.name}"), dirs_exist_ok=True)


def named(story, name):
    return story.boots[story.configuration.starts.index(name)]


def not_held_back(story, boot):
    found = systemd_logs.measuring_units(boot)
    return [name for name in story.root.measuring if found[name] != (False, "inactive")]


def own_log(boot):
    return boot.files.get("systemd", b"")


def handed_on(boot):
    """systemd's log of A, as a later boot was handed it. B and C, whose units measure nothing, have none."""
    for_boot, logs = systemd_logs.handed_on(boot)
    expect_equal("boots whose logs are on the way", sorted(logs), [1])
    expect_equal("marks of A's log", logs[1][:2], (0, 0))
    return logs[1][2]


def event_log(boot):
    """In file mode the kernel shows that of the boot by firmware, and the hops stand in the carried log."""
    if "carried" not in boot.files:
        return boot.log
    data, at = boot.files["carried"], systemd_logs.CARRIED_OVERHEAD
    (size,) = struct.unpack_from("<I", data, at)
    return boot.log + data[at + 4:at + 4 + size]


def a_measured_all(story):
    a, found, log = named(story, "A"), systemd_logs.measuring_units(named(story, "A")), handed_on(story.boots[1])
    expect_equal("ConditionSecurity=measured-uki in A", a.text("measured.status"), "0")
    expect_equal("units whose conditions held", [name for name in story.root.measuring if not found[name][0]], [])
    expect(own_log(a) and log.startswith(own_log(a)), "what the next boot was handed isn't what stood there before load")
    records = systemd_logs.records(log)
    expect_equal("phases of A", tuple(string for pcr, _, string in records if pcr == 11), story.root.phases)
    rest = [string for pcr, _, string in records if pcr == 15]
    for pattern, unit in OTHERS.items():
        late = unit is not None and found[unit][1] == "failed"
        expect_equal(f"{pattern} in {rest}", sum(re.fullmatch(pattern, string) is not None for string in rest), 1 - late)
    for pcr, patterns in story.root.also_measured.items():
        strings = [string for place, _, string in records if place == pcr]
        expect(len(strings) == len(patterns) and all(map(re.fullmatch, patterns, strings)), f"PCR {pcr:#x}: {strings}")
    expect_equal("PCRs in A's log", {pcr for pcr, _, _ in records}, {11, 15, *story.root.also_measured})
    return "\n".join(f"PCR {pcr if pcr < 24 else hex(pcr)}: {string}" for pcr, _, string in records)


def b_measures_nothing(story):
    """By systemd's own conditions: the variable is hidden."""
    a, b = named(story, "A"), named(story, "B")
    expect_equal("ConditionSecurity=measured-uki in B", b.text("measured.status"), "1")
    expect_equal("units that weren't held back", not_held_back(story, b), [])
    expect_equal("systemd's log in B", own_log(b), b"")
    expect(OVERLAY in b.text("efivars/names").split(), "the variable that holds systemd-pcrlock back isn't there")
    expect_equal("pcrlock's policy", b.text("pcrlock"), a.text("pcrlock"))


def c_is_held_back(story):
    """By mkexec's drop-ins: in file mode the variable is A's."""
    a, c = named(story, "A"), named(story, "C")
    expect("carried" in c.files, "C wasn't started in file mode")
    expect_equal("ConditionSecurity=measured-uki in C", c.text("measured.status"), "0")
    expect_equal("units that weren't held back", not_held_back(story, c), [])
    expect_equal("systemd's log in C", own_log(c), b"")
    expect("unmet condition check ConditionPathExists=!/run/mkexec/carried.log" in c.text("journal"), "the journal doesn't say why")
    expect_equal("pcrlock's policy", c.text("pcrlock"), a.text("pcrlock"))
    expect_equal("systemd-bless-boot in C", systemd_logs.measuring_units(c)["systemd-bless-boot.service"], (False, "inactive"))
    # The twin: without its drop-in one of them, which extends nothing, runs.
    expect_equal("systemd-tpm2-setup-early without its drop-in", c.text("not-held-back").split(),
                 ["ActiveState=active", "ConditionResult=yes"])


def all_units_have_one(story):
    """Each unit that asks whether systemd-stub has measured is one that mkexec holds back."""
    c = named(story, "C")
    asking = set(c.text("asking").split())
    expect({*story.root.measuring} <= asking, f"don't ask: {set(story.root.measuring) - asking}")
    drop_ins = {unit["Id"].replace("@x.", "@."): unit["DropInPaths"] for unit in systemd_logs.shown(c, "drop-ins")}
    expect_equal("units without a drop-in", [unit for unit, path in drop_ins.items() if "/mkexec.conf" not in path],
                 [*story.root.not_held_back])
    expect_equal("units", sorted(drop_ins), sorted(asking))


def all_logs_give_the_pcrs(story):
    for number, boot in enumerate(story.boots[:3]):
        logs = [handed_on(boot), *[b""] * (number - 1), own_log(boot)] if number else [own_log(boot)]
        for bank, values in systemd_logs.replay(event_log(boot), logs).items():
            zero = "0" * len(boot.pcrs[bank][0])
            wrong = [pcr for pcr in range(16) if pcr != IMA_PCR and values.get(pcr, zero) != boot.pcrs[bank][pcr]]
            expect(not wrong, f"{boot.text('cmdline')}: bank {bank}: PCRs {wrong} aren't what the logs give")
        if number == 0:
            continue
        for bank, pcrs in json.loads(boot.files["check.out"])["pcrs"].items():
            unproved = [pcr for pcr in range(16) if pcr != IMA_PCR and pcrs[str(pcr)]["status"] != "proved"]
            expect_equal(f"PCRs that log check doesn't prove ({bank})", unproved, [])


def another_log_does_not(story):
    """The twin: A's log without its first or its last record, or none."""
    b = named(story, "B")
    rows = [b"\x1e" + row for row in handed_on(b).split(b"\x1e")[1:]]
    for twin in (b"", b"".join(rows[:-1]), b"".join(rows[1:])):
        values = systemd_logs.replay(b.log, [twin, b"", b""])["sha256"]
        wrong = [pcr for pcr in range(16) if pcr != IMA_PCR and values.get(pcr, 64 * "0") != b.pcrs["sha256"][pcr]]
        expect(wrong, "nobody would notice")


def nobody_was_asked(story):
    """Once in each boot by firmware, and not after a hop."""
    parts = re.split(r"init: run boot \d+", story.outcome.console)
    asked = [len(re.findall(f"{systemd_disk.QUESTION} root", part)) for part in parts[:len(story.boots)]]
    expect_equal("passphrases asked for in each boot", asked, [1 if name == "A" else 0 for name in story.configuration.starts])
    for boot in story.boots:
        expect_equal("SHA-256 of a file on the root", boot.text("data"), story.root.sha256)


def boot_counting(story):
    """systemd-boot's entry was blessed in A; B and C weren't started by it, and say so."""
    a, b, c = (named(story, name) for name in "ABC")
    expect_equal("systemd-bless-boot in A", systemd_logs.measuring_units(a)["systemd-bless-boot.service"], (True, "active"))
    expect(f"Product: systemd-boot {story.root.stub}" in a.text("bootctl.out"), a.text("bootctl.out"))
    expect_equal("bless status in A", a.text("bless.out"), "good")
    expect_equal("systemd-bless-boot in B", systemd_logs.measuring_units(b)["systemd-bless-boot.service"][1], "inactive")
    for boot in (b, c):
        expect_equal("entries on the ESP", sorted(boot.text("entries").split()), ["B.efi", "C.efi", "a.efi"])
    expect("Product: systemd-boot" not in b.text("bootctl.out"), b.text("bootctl.out"))
    expect("Measured UKI: no" in b.text("bootctl.out"), b.text("bootctl.out"))
    return f"bless-boot in B: {b.text('bless.out')} {b.text('bless.err')}\n{b.text('bootctl.out')}"


CHECKS = {
    "A: all that systemd measures was measured, and its log came along": a_measured_all,
    "B: none of it runs, and systemd-pcrlock's policy stays": b_measures_nothing,
    "C, in file mode: mkexec's drop-ins hold it back, and without one it would measure": c_is_held_back,
    "each unit that asks whether the stub measured has a drop-in": all_units_have_one,
    "event log and systemd's log together give all PCRs": all_logs_give_the_pcrs,
    "a record less would be noticed": another_log_does_not,
    "the root of B and C is opened by its ticket, and nobody was asked": nobody_was_asked,
    "bless-boot and bootctl tell of the boot that it is": boot_counting,
}

# SPDX-License-Identifier: LGPL-2.1-or-later
"""A measured kexec by kexec_file_load, without Secure Boot: the same measurements as by kexec_load, a guard that is a
kernel, and a log that travels in the initrd; then a second such hop on top of it."""

import json
import struct

import eventlog
import hop_checks
import initrd
import log_twins
import payloads
import scene
import swtpm
from tally import expect, expect_equal

CONFIGURATIONS = (scene.Configuration("262", "6.1", ("sha256",)),
                  scene.Configuration("257", "7.2", ("sha1", "sha256"), only_full=True))
SSDT_PATH = "kernel/firmware/acpi/mkexec.aml"
HOOK = scene.REPOSITORY / "dist/initramfs-tools/scripts/init-top/mkexec"
MARK_STRAY = 21
SAME = ("registers", "payload_view", "events")


def early_archive():
    """What the kernel looks for before it unpacks the initrd, in the way in which it looks for microcode
    (find_cpio_data): an ACPI table that does nothing."""
    table = bytearray(struct.pack("<4sIBB6s8sI4sI", b"SSDT", 36, 2, 0, b"MKEXEC", b"EARLY   ", 1, b"MKEX", 1))
    table[9] = -sum(table) % 256
    archive = initrd.Cpio()
    archive.add(SSDT_PATH, initrd.FILE | 0o644, bytes(table))
    return archive.close()


def with_joined_log(state):
    """The state with the log that mkexec puts together where the kernel's own log stands."""
    expect(state.text("joined.status") == "0", f"log show --binary: {state.text('joined.err')}")
    state.files["kernel-log"], state.files["log"] = state.files["log"], state.files["joined.out"]
    return state


def succeeded(state, *names):
    for name in names:
        expect_equal(f"exit code of {name} ({state.text(f'{name}.err')})", state.text(f"{name}.status"), "0")


def modes_predict_the_same(first):
    succeeded(first, "predict-load", "predict-file", "load-auto", "load-file")
    found = {name: json.loads(first.files[f"{name}.out"]) for name in ("predict-load", "predict-file", "load-auto", "load-file")}
    for name in SAME:
        for who in ("predict-file", "load-auto", "load-file"):
            expect(found[who][name] == found["predict-load"][name], f"{name} of {who} differ from those of predict-load")
    expect(len(found["predict-load"]["events"]) > 8, "hardly an event")
    expect_equal("handover of load-auto", found["load-auto"]["handover"], "load")
    expect_equal("handover of load-file", found["load-file"]["handover"], "file")


def status_says_how(first):
    auto, file = json.loads(first.files["status-auto.out"]), json.loads(first.files["status-file.out"])
    expect_equal("handover after load in auto mode", auto["handover"], "load")
    expect_equal("handover after load in file mode", file["handover"], "file")
    listed = " ".join(file["not_handed_over"])
    for word in ("event log", "EFI variables", "configuration tables"):
        expect(word in listed and word in first.text("status-text.out"), f"status doesn't tell of the {word}")
    expect("event log" not in " ".join(auto["not_handed_over"]), "load mode hands the log over")


def guard_is_a_kernel_that_resets(outcome, before, after):
    console = outcome.console
    expect_equal("times that kexec -e was reached", console.count("file-first: kexec -e\n"), 1)
    expect("came back with" not in console.split("file-first: exec\n")[0], "kexec -e came back")
    # It was a kernel: IMA has measured it, as it does every kernel, and nothing else was extended.
    commands = swtpm.between(outcome.commands, MARK_STRAY, "Startup")
    expect(commands is not None, "the TPM wasn't started again")
    expect_equal("PCRs extended by the guard", [c.handle for c in commands if c.name == "PCR_Extend"], [hop_checks.IMA_PCR])
    expect_equal("init of A", console.count("init: run file-first"), 2)
    expect_equal("PCRs after the reset", after.pcrs, before.pcrs)
    told = [[event.told for event in eventlog.parse(state.log)[1]] for state in (after, before)]
    expect_equal("log after the reset", *told)
    starts = [c for c in outcome.commands if c.name == "Startup"]
    expect(len(starts) >= 2, f"the TPM saw TPM2_Startup {len(starts)} times")


def staged_files_are_bound(first):
    for name in ("exec-initrd", "exec-kernel"):
        expect_equal(f"exit code of {name}", first.text(f"{name}.status"), "1")
        expect("isn't the one of the staged plan" in first.text(f"{name}.err"), first.text(f"{name}.err"))
    expect_equal("PCRs after that", hop_checks.results.parse_pcrs(first.text("pcrs-refused")), first.pcrs)


def log_came_in_the_initrd(second):
    expect_equal("the kernel's own log ends where the first boot's does", second.files["kernel-log"],
                 second.files["log"][:len(second.files["kernel-log"])])
    status = json.loads(second.files["status.out"])
    expect_equal("verdict", (status["verdict"], status["reason"]), ("ok", ""))
    expect_equal("bytes from the boot before", status["log_bytes"]["carried"],
                 len(second.files["log"]) - len(second.files["kernel-log"]))
    names = [line.split()[-1] for line in second.text("carried-ls").splitlines() if line[:1] in "-dl"]
    expect_equal("what is in /.mkexec", sorted(names), [".", "..", "log"])
    expect("open" in second.text("show.out") and "close" in second.text("show.out"), "log show has no hop")


def early_archive_is_found(second):
    expect(f"[{SSDT_PATH}]" in second.text("dmesg"), "the kernel didn't find the ACPI table behind the log's archive")


def hook_keeps_the_log(second):
    expect("carried.log" in second.text("hook-ls"), second.text("hook-ls"))
    status = json.loads(second.files["status-hook.out"])
    expect_equal("verdict", (status["verdict"], status["reason"]), ("ok", ""))
    expect_equal("boots", status["boots"], 2)


def nothing_goes_on_without_the_log(second):
    expect_equal("verdict without the log", json.loads(second.files["status-without.out"])["verdict"], "mismatch")
    for name in ("load-without", "load-forged", "load-other"):
        expect_equal(f"exit code of {name}", second.text(f"{name}.status"), "1")
        expect("the event log doesn't explain" in second.text(f"{name}.err"), f"{name}: {second.text(f'{name}.err')}")
    expect("continues another log" in second.text("load-other.err"), second.text("load-other.err"))


def failed_exec_is_aborted(second):
    expect_equal("exit code of exec", second.text("exec-abort.status"), "1")
    expect("ended with abort" in second.text("exec-abort.err"), second.text("exec-abort.err"))
    expect_equal("the guard is back", second.text("exec-abort.loaded"), "1")
    expect_equal("left in /run/mkexec", second.text("exec-abort.left").split(), ["aborted.log", "carried.log", "lock", "systemd.logs"])
    status = json.loads(second.files["status-abort.out"])
    expect_equal("status", (status["loaded"], status["verdict"], status["boots"]), (False, "ok", 3))


def third_boot_tells_of_all(second, third):
    succeeded(second, "predict", "load")
    succeeded(third, "check", "status")
    wanted = json.loads(second.files["predict.out"])["registers"]["8"]
    for bank, pcrs in third.pcrs.items():
        expect_equal(f"PCR 8, {bank}", pcrs[8], wanted[bank])
    expect(third.log.startswith(second.log), "its log doesn't begin with the second kernel's")
    status = json.loads(third.files["status.out"])
    expect_equal("hops", [(hop["hop"], hop["aborted"]) for hop in status["hops"]], [(1, False), (2, True), (3, False)])
    hop_checks.log_replays(third)
    hop_checks.mkexec_accepts_log(third, boots=4)


def ima_is_understood(third):
    succeeded(third, "load-mode", "unload")
    expect("IMA's list of measurements stays behind" in third.text("load-mode.err"), third.text("load-mode.err"))
    expect_equal("the policy", third.text("ima-policy"), "")
    expect_equal("exit codes", (third.text("ima-load.status"), third.text("ima-auto.status")), ("1", "1"))
    expect("kexec_load: refused by an IMA" in third.text("ima-load.err"), third.text("ima-load.err"))
    expect("handing over by kexec_file_load instead" in third.text("ima-auto.err"), third.text("ima-auto.err"))
    expect("kexec_file_load (EACCES): refused by an IMA" in third.text("ima-auto.err"), third.text("ima-auto.err"))


HOP_CHECKS = tuple(name for name in hop_checks.CHECKS_WITHOUT_FIRMWARE_BOOT if not name.startswith("a secret"))


def run(tally, folder, configuration):
    title = f"file mode ({configuration})"
    place = scene.Scene(folder, configuration, "file-first", "file-second", tally.say)
    place.initrd_b = early_archive() + place.initrd_b
    place.uki_b = place.build("B", place.initrd_b, place.cmdline_b)
    programs = {"bin/mkexec": scene.program(), "bin/kexec": payloads.kexec_tools()}
    outcome = place.run("machine", place.payload("payload", programs, {"initramfs-hook": HOOK.read_text()}), reboots=True,
                        deadline_seconds=1200)
    round_1, first = outcome.state("round-1"), outcome.state("first")
    second, third = with_joined_log(outcome.state("second")), with_joined_log(outcome.state("third"))
    tally.check(f"{title}: both modes predict and load the same", modes_predict_the_same, round_1)
    tally.check(f"{title}: status names the mode and what isn't handed over", status_says_how, round_1)
    tally.check(f"{title}: a stray kexec -e ends in a reset", guard_is_a_kernel_that_resets, outcome, round_1, first)
    tally.check(f"{title}: exec refuses staged files that somebody changed", staged_files_are_bound, first)
    hop = hop_checks.Hop(place, outcome, first, second, None)
    for check in HOP_CHECKS:
        tally.check(f"{title}: {check}", hop_checks.CHECKS[check], hop)
    tally.check(f"{title}: mkexec checks the joined log", hop_checks.log_replays_with_mkexec, hop)
    for name, make in log_twins.TWINS.items():
        tally.check(f"{title}: log check refuses: {name}", log_twins.twin_is_refused, hop, make)
    tally.check(f"{title}: the log came in the initrd, in one file", log_came_in_the_initrd, second)
    tally.check(f"{title}: what the kernel looks for early is found behind it", early_archive_is_found, second)
    tally.check(f"{title}: the initramfs-tools script keeps the log", hook_keeps_the_log, second)
    tally.check(f"{title}: without the log, or with a forged one, load refuses", nothing_goes_on_without_the_log, second)
    tally.check(f"{title}: an exec that fails is aborted", failed_exec_is_aborted, second)
    tally.check(f"{title}: a second such hop tells of all boots", third_boot_tells_of_all, second, third)
    tally.check(f"{title}: a policy of IMA's against both calls is understood", ima_is_understood, third)

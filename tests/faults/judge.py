# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must hold of a machine after anything went wrong on it.

The TPM's word comes from swtpm past mkexec, the log is read by Python, and by tpm2_eventlog wherever it is a log
that wasn't seen yet; what is loaded is what the made-up kernel was given.
"""

import hashlib
import json
import os
import subprocess
import tempfile

import eventlog
import tickets
import world
from tickets import Wrong, expect

LOAD = ("load", "--json", "--esp", world.PLACE / "esp")
NOT_STARTED = 127  # the dynamic linker's


class Judge:
    def __init__(self, w, banks=tuple(world.BANKS)):
        self.w, self.banks = w, banks
        self.tickets = tickets.Tickets(w)
        self.replayed, self.foreign = {}, {}

    # ---- the log against the TPM ----

    def replay(self, log):
        key = hashlib.sha256(log).digest()
        if key not in self.replayed:
            mine, theirs = world.replay(log), eventlog.replay(log)
            for bank in self.banks:
                for pcr, value in theirs[bank].items():
                    expect(mine[bank][pcr] == value,
                           f"PCR {pcr} ({bank}) replays to {mine[bank][pcr]}, tpm2_eventlog says {value}")
            self.replayed[key] = mine
            self._pcrread()
        return self.replayed[key]

    def _pcrread(self):
        """Our own reading of the PCRs against tpm2_pcrread's, whenever a log is seen for the first time."""
        self.w.tpm.expect(None, None)
        selection = "+".join(f"{bank}:0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15" for bank in self.banks)
        with tempfile.NamedTemporaryFile() as out:
            subprocess.run(["tpm2_pcrread", "-Q", "-T", self.w.tpm.tcti, "-o", out.name, selection], check=True,
                           stdin=subprocess.DEVNULL, capture_output=True)
            theirs = open(out.name, "rb").read()
        mine = "".join(value for bank in self.w.tpm.read().values() for value in bank.values())
        expect(theirs.hex() == mine, "tpm2_pcrread reads other PCRs than this test")

    def log_explains_tpm(self, log, what):
        try:
            wanted = self.replay(log)
        except (ValueError, IndexError) as reason:
            raise Wrong(f"{what} can't be read: {reason}") from None
        now = self.w.tpm.read()
        for bank in self.banks:
            for pcr in range(16):
                expect(now[bank][pcr] == wanted[bank][pcr], f"PCR {pcr} ({bank}) isn't what {what} says")

    # ---- right after the fault ----

    @staticmethod
    def is_foreign(fault, result):
        """A library's own end for want of memory: json-c crashes, libseccomp makes filters that lack calls."""
        odd = result.signal or result.late or (result.exit and not result.err)
        return fault.kind == "alloc" and odd and (
            result.asked.startswith("lib") and not result.asked.startswith("libc.") or "libjson-c" in result.hit)

    @staticmethod
    def is_bridged(verb, fault, result):
        """Exec has a second connection to the TPM, and reads what became of an extend whose answer it hasn't got."""
        return (verb == "exec" and fault.kind == "tpm" and not fault.later and result.hit.startswith("PCR_Extend")
                and fault.variant in ("closed", "lost", "short", "garbage", "oversize"))

    def check_end(self, verb, fault, result):
        """How the program ended."""
        if self.is_foreign(fault, result):
            library = "libjson-c" if "libjson-c" in result.hit else result.asked
            self.foreign[library] = self.foreign.get(library, 0) + 1
            return  # as if we were killed: what must hold of the machine is asked all the same
        killed = fault.kind == "kill" or (fault.kind == "tpm" and fault.variant.startswith("hang"))
        expect(not result.late, "it hung")
        expect(result.left == 0, f"{result.left} processes were left")
        if result.rebooted:
            return
        if result.signal == 11 and "/ld-linux-" in result.hit:
            return  # mkexec's code has not begun yet
        if result.signal:
            expect(killed and result.signal == 9, f"it crashed with signal {result.signal}")
            return
        lines = result.err.splitlines()
        if result.exit == NOT_STARTED:
            return
        expect(not self.is_bridged(verb, fault, result), f"a connection that broke once ended exec: {result.err!r}")
        expect(result.exit in (0, 1, 2), f"exit code {result.exit}")
        if result.exit == 0:
            expect(verb != "exec", "exec said that all is well and came back")
            return
        if verb == "status" and result.out or " write " in f" {result.hit} ":
            return  # stderr may be what can't be written to
        expect(lines and lines[-1].startswith("mkexec: ") and len(lines[-1]) > 12, f"no message: {result.err!r}")

    def check_tickets(self, scenario, fault, result):
        killed = bool(result.signal) or result.exit == NOT_STARTED or self.is_foreign(fault, result)
        self.tickets.check(scenario, fault, result, killed)

    def check_kernel(self, scenario, fault, result):
        """Where mkexec came to its end by itself, nothing of the second kernel may be loaded any more."""
        loaded = self.w.loaded()
        if result.rebooted:
            expect(loaded == "real", f"rebooted into {loaded}")
            return
        if result.signal or result.exit == NOT_STARTED or self.is_foreign(fault, result) or (
                fault.later and "kexec" in result.hit):
            return
        # what a dead exec left may stay as it is, as long as the next call finds the journal
        unfinished = scenario.extended and result.exit != 0 and (world.RUN / "journal").exists()
        expect(loaded != "real" or unfinished, "the real image is loaded")
        if scenario.verb == "load" and result.exit == 0:
            expect(loaded == "guard", f"load succeeded, but what is loaded is {loaded}")
        if scenario.verb == "unload" and result.exit == 0:
            expect(loaded == "nothing", f"unload succeeded, but what is loaded is {loaded}")

    # ---- the next calls ----

    def status(self):
        result = self.w.run(["status", "--json"])
        expect(result.out, f"status afterwards: exit {result.exit}, signal {result.signal}: {result.err}")
        status = json.loads(result.out)
        expect(status["verdict"] == "ok" and result.exit == 0, f"status says {status['verdict']}: {status['reason']}")
        return status, result.err

    def after_reboot(self, predicted, secret=None):
        """The TPM is as predicted, the log in the image explains it, and the next kernel's mkexec thinks so, too. Its
        ticket gives it the secret, once."""
        now = self.w.tpm.read()
        for pcr, values in predicted.items():
            for bank in self.banks:
                expect(now[bank][int(pcr)] == values[bank], f"rebooted with PCR {pcr} ({bank}) not as predicted")
        try:
            log = self.w.carried_log()
        except (AssertionError, ValueError) as reason:
            raise Wrong(f"the log in the image: {reason}") from None
        expect(log.startswith(self.w.log()), "the log in the image isn't this boot's with the hop")
        self.log_explains_tpm(log, "the log in the image")
        before = len(json.loads(json.dumps(eventlog.parse(log)[0])))
        expect(before > 0, "the log has no banks")
        self.w.new_boot(log)
        status, _ = self.status()
        expect(not status["loaded"] and not status["hops"][-1]["aborted"], f"the second kernel's status: {status}")
        if secret:
            given = self.tickets.get()
            expect(given == secret, f"the second kernel's ticket gives {given and given[:40]!r}")
            expect(not self.tickets.states(), f"after get there are tickets {self.tickets.states()}")

    def load(self, scenario):
        """The next load, with a ticket if the scenario is about them. The predicted registers."""
        ticket = ["--ticket", f"{tickets.NAME}={tickets.NEW_FILE}"] if scenario.with_tickets else []
        result = self.w.run([*LOAD, *scenario.handover, *ticket, world.PAYLOAD])
        expect(result.exit == 0, f"the next load fails: {result.err}")
        expect(self.w.loaded() == "guard", f"after the next load {self.w.loaded()} is loaded")
        states = self.tickets.states()
        expect(states == (["whole"] if ticket else []), f"after the next load there are tickets {states}")
        return json.loads(result.out)["registers"]

    def is_refused(self):
        """What is loaded lacks a ticket that was asked for: exec leaves all as it is, and says what to do."""
        before = self.w.tpm.read()
        result = self.w.run(["exec", "--now"])
        expect(result.exit == 1 and "'mkexec load' again" in result.err, f"exec without a ticket: {result.exit}: {result.err}")
        expect(self.w.loaded() == "guard" and self.w.tpm.read() == before, "exec refuses, but something changed")

    def hop(self, status, scenario, load_first):
        """A whole hop works: load (if need be), exec, and what comes after."""
        predicted = status["predicted"]
        if status["tickets_missing"]:
            self.is_refused()
        if load_first or not status["loaded"] or status["tickets_missing"]:
            predicted = self.load(scenario)
        sizes = [index.size for index in self.w.nv.indices() if tickets.state_of(index) == "whole"]
        expect(len(sizes) < 2, f"{len(sizes)} tickets for one kernel")
        expect(len(sizes) >= len(status["tickets"] or ()), f"exec is to start it without tickets {status['tickets']}")
        result = self.w.run(["exec", "--now"])
        expect(result.rebooted, f"the next exec fails with {result.exit or result.signal}: {result.err}")
        expect(self.w.loaded() == "real", f"the next exec reboots into {self.w.loaded()}")
        self.after_reboot(predicted, tickets.secret_of(sizes[0]) if sizes else None)

    def after_tickets(self, scenario, number):
        """The kernel that has a ticket gets it, if it is still there; then one of the cleaners leaves nothing."""
        if scenario.second:
            self.tickets.get()
        if scenario.with_tickets and number % 4:
            self.tickets.clean(number % 4 - 1)

    def check_machine(self, start, scenario, number):
        """After the call that finishes what was begun, and then a hop."""
        status, _ = self.status()
        expect(self.w.loaded() != "real", "the real image is still loaded after the next call")
        expect(not status["loaded"] or self.w.loaded() == "guard", f"status says loaded, the kernel has {self.w.loaded()}")
        names = set(os.listdir(world.RUN))
        expect("journal" not in names, "the journal is still there after the next call")
        expect("unexplained" not in names, "the hop is unexplained")
        hidden = [name for name in names if name.startswith(".")]
        expect(not hidden, f"left in /run/mkexec: {hidden}")
        expect(status["loaded"] == ("state.json" in names), f"status says loaded={status['loaded']}, there is {sorted(names)}")
        expect(not status["loaded"] or "--ticket" not in scenario.words or status["tickets"] == [tickets.NAME],
               f"what is loaded asks for tickets {status['tickets']}")
        self.log_explains_tpm(self.w.log(), "this boot's log")
        if not scenario.second:
            self.tickets.none_is_readable()
        if self.w.tpm.read() != start:
            expect(status["hops"] and status["hops"][-1]["aborted"],
                   f"the TPM was extended, but no hop was aborted: {status['hops']}")
        self.after_tickets(scenario, number)
        if scenario.with_tickets:
            status, _ = self.status()
        self.hop(status, scenario, number % 2)

    def state(self):
        """Machines that are alike in this go on alike; mkexec's lock file has a process number in it."""
        files = {str(path): hashlib.sha256(data).hexdigest() for path, data in self.w.files().items()
                 if path.name != "lock"}
        return json.dumps([files, world.LOADED.read_text(), self.w.tpm.read(),
                           hashlib.sha256(world.LOG.read_bytes()).hexdigest(), self.tickets.key()], sort_keys=True)

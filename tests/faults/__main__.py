#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lets everything go wrong once that mkexec asks of kernel and TPM, and looks at the machine afterwards.

Real `mkexec load`, `exec`, `status`, `unload` and `ticket` against swtpm, on a machine made of files, in namespaces
without the right to kexec; kexec and reboot never reach this kernel (inject.c). docs/hacking.md says what is tried and
how many points there are. Prints TAP. --all: every point, which takes two hours; else a fixed choice of them, after
the judge was shown machines that are wrong (forgeries.py).
"""

import argparse
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

from namespaces import NAMESPACES, missing  # noqa: E402

FILE = ("--handover=file",)


@dataclasses.dataclass(frozen=True)
class Scenario:
    """arguments: the call that is disturbed. before: the calls that came before, each with its fault or None."""
    name: str
    verb: str
    handover: tuple = ()
    loaded: bool = False
    extended: int = 0     # extends of an exec that died after them
    ticket: bool = False  # what is loaded has a ticket
    kernel: str = ""      # the call is made in the next kernel, after a hop or a plain kexec
    words: tuple = ()     # of the call, behind its verb
    after: list = dataclasses.field(default_factory=list)  # how tickets are if all goes well

    @property
    def second(self):
        return self.kernel == "hop"

    @property
    def with_tickets(self):
        return self.ticket or self.verb == "ticket" or "--ticket" in self.words


TICKET = ("--ticket", "root=/run/machine/new")
SCENARIOS = (
    Scenario("load", "load"),
    Scenario("load over an earlier one", "load", loaded=True),
    Scenario("exec", "exec", loaded=True),
    Scenario("status after a dead exec", "status", loaded=True, extended=3),
    Scenario("load after a dead exec", "load", loaded=True, extended=2),
    Scenario("unload", "unload", loaded=True),
    Scenario("load (file mode)", "load", FILE),
    Scenario("exec (file mode)", "exec", FILE, loaded=True),
    Scenario("status after a dead exec (file mode)", "status", FILE, loaded=True, extended=3),
    Scenario("load with a ticket", "load", words=TICKET, after=["whole"]),
    Scenario("load with a ticket over an earlier one", "load", loaded=True, ticket=True, words=TICKET, after=["whole"]),
    Scenario("load over one with a ticket", "load", loaded=True, ticket=True),
    Scenario("exec with a ticket", "exec", loaded=True, ticket=True),
    Scenario("exec with a ticket (file mode)", "exec", FILE, loaded=True, ticket=True),
    Scenario("status after a dead exec with a ticket", "status", loaded=True, extended=3, ticket=True),
    Scenario("status after an exec that died at its end", "status", loaded=True, extended=9, ticket=True),
    Scenario("unload with a ticket", "unload", loaded=True, ticket=True),
    Scenario("ticket put", "ticket", loaded=True, words=("put", "root"), after=["whole"]),
    Scenario("ticket put over an earlier one", "ticket", loaded=True, ticket=True, words=("put", "root"), after=["whole"]),
    Scenario("ticket drop", "ticket", loaded=True, ticket=True, words=("drop", "root")),
    Scenario("ticket drop --left after a plain kexec", "ticket", loaded=True, ticket=True, kernel="plain",
             words=("drop", "--left")),
    Scenario("ticket get", "ticket", loaded=True, ticket=True, kernel="hop", words=("get", "root")),
    Scenario("ticket get into a file", "ticket", loaded=True, ticket=True, kernel="hop",
             words=("get", "root", "--output", "/run/machine/out/key")),
    Scenario("ticket lock", "ticket", loaded=True, ticket=True, kernel="hop", words=("lock",), after=["locked"]),
)

# What went wrong once is tried each time: calls on these files, and all like them from then on; no memory from the start.
FOUND = {("unload with a ticket", "openat", "journal"), ("unload with a ticket", "unlinkat", "image"),
         ("unload with a ticket", "no memory", "")}
AT_RANDOM = 40  # allocations of each call, beside the first of each call stack

# class of points: of how many one is taken by default, and with --all
CLASSES = {
    "TPM command": (13, 1), "kexec and reboot": (1, 1), "ptrace": (40, 1), "file": (23, 1), "memory": (17, 1),
    "other call": (23, 1), "from then on": (13, 1), "killed": (37, 1), "guest process": (11, 1), "allocation": (101, 1),
    "no allocation from then on": (53, 1), "allocation at random": (AT_RANDOM, 1), "found before": (1, 1),
}
THINNER = 8  # are the points of calls with tickets, a TPM's cryptography takes its time: but for these classes
THINNED = {"TPM command": 3, "killed": 3, "kexec and reboot": 3}
FILE_CALLS = {"read", "pread64", "write", "pwrite64", "open", "openat", "close", "stat", "fstat", "newfstatat", "statfs",
              "access", "faccessat", "faccessat2", "readlink", "getdents64", "lseek", "ftruncate", "fallocate", "fsync",
              "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "flock", "memfd_create"}
MEMORY_CALLS = {"mmap", "mprotect", "munmap", "mremap", "madvise", "brk"}
TRACE_CALLS = {"ptrace", "wait4", "process_vm_readv", "process_vm_writev"}
LATER = {"write", "pwrite64", "fsync", "renameat", "unlinkat", "openat", "kexec_load", "kexec_file_load", "fallocate", "mmap"}


def class_of(call):
    if "kexec" in call or call == "reboot":
        return "kexec and reboot"
    for names, title in ((FILE_CALLS, "file"), (MEMORY_CALLS, "memory"), (TRACE_CALLS, "ptrace")):
        if call in names:
            return title
    return "other call"


# ---- in the namespaces ----

class Seen:
    """Machines that were looked at, of all workers: digests one behind the other in a file."""
    def __init__(self, path):
        self.mine, self.all, self.digests = open(path, "ab", buffering=0), open(path, "rb", buffering=0), set()

    def __contains__(self, state):
        more = self.all.read()  # from where the last one ended
        self.digests |= {more[at:at + 32] for at in range(0, len(more), 32)}
        return self._digest(state) in self.digests

    def add(self, state):
        self.mine.write(self._digest(state))

    def clear(self):
        self.mine.truncate(0)
        self.all.seek(0)
        self.digests = set()

    @staticmethod
    def _digest(state):
        return hashlib.sha256(repr(state).encode()).digest()


class Worker:
    def __init__(self, mkexec, tools, seen):
        import judge
        import tickets
        import world
        self.world, self.judge_module, self.tickets = world, judge, tickets
        self.w = world.World(mkexec, tools)
        self.judge = judge.Judge(self.w)
        tickets.EARLIER_FILE.write_bytes(tickets.EARLIER)
        tickets.NEW_FILE.write_bytes(tickets.NEW)
        self.clean = self.w.save(world.firmware_log()[1])
        self.snapshots, self.good, self.first_extend = {}, Seen(seen), {}
        self.missed = 0  # points that the call didn't come to

    def arguments(self, scenario):
        if scenario.verb == "load":
            return [*self.judge_module.LOAD, *scenario.handover, *scenario.words, self.world.PAYLOAD]
        return {"exec": ["exec", "--now"], "status": ["status", "--json"], "unload": ["unload"],
                "ticket": ["ticket", *scenario.words]}[scenario.verb]

    def call(self, scenario, *fault, **how):
        put = scenario.words[:1] == ("put",)
        return self.w.run(self.arguments(scenario), *fault, stdin=self.tickets.NEW_FILE if put else None, **how)

    def snapshot(self, scenario):
        """The machine before the call, and the registers that were predicted."""
        key = (scenario.handover, scenario.loaded, scenario.extended, scenario.ticket, scenario.kernel)
        if key not in self.snapshots:
            self.w.restore(self.clean)
            extends, predicted = list(self.clean.extends), {}
            if scenario.loaded:
                ticket = ["--ticket", f"root={self.tickets.EARLIER_FILE}"] if scenario.ticket else []
                plan = self.must([*self.judge_module.LOAD, *scenario.handover, *ticket, self.world.PAYLOAD])
                predicted = plan["registers"]
            if scenario.extended:
                self.die_after(scenario.extended, scenario.ticket)
                extends += [(event["register"], event["digests"]) for event in plan["events"][:scenario.extended]]
            if scenario.kernel == "hop":
                if not self.w.run(["exec", "--now"]).rebooted:
                    raise RuntimeError("exec doesn't reboot")
                extends += [(event["register"], event["digests"]) for event in plan["events"]]
                self.w.new_boot(self.w.carried_log())
            elif scenario.kernel == "plain":
                self.w.new_boot(self.clean.log)
            contents = self.tickets.contents(self.tickets.EARLIER)
            self.snapshots[key] = self.w.save(extends, contents), predicted, self.w.tpm.read()
        return self.snapshots[key]

    def must(self, arguments):
        result = self.w.run(arguments)
        if result.exit != 0:
            raise RuntimeError(f"{arguments}: {result}")
        return json.loads(result.out)

    def die_after(self, n, ticket):
        """Ends an exec by a TPM that doesn't answer, when n extends are done."""
        if ticket not in self.first_extend:
            before = self.w.save(self.clean.extends, self.tickets.contents(self.tickets.EARLIER))
            self.w.run(["exec", "--now"])
            self.first_extend[ticket] = self.w.tpm.commands.index("PCR_Extend") + 1
            self.w.restore(before)
        self.w.run(["exec", "--now"], self.world.Fault("tpm", self.first_extend[ticket] + n - 1, "hang-done"))
        if self.w.loaded() != "real" or self.w.tpm.commands.count("PCR_Extend") != n:
            raise RuntimeError(f"no dead exec: {self.w.tpm.commands}, {self.w.loaded()} is loaded")

    def points(self, scenario):
        """All that can go wrong in this call: [(class, fault)], by what a run without faults does."""
        import tpm
        Fault = self.world.Fault
        self.w.restore(self.snapshot(scenario)[0])
        run = self.call(scenario, trace=True)
        if (run.exit != 0 and not run.rebooted) or run.objects:
            raise RuntimeError(f"{scenario.name} without a fault: {run}")
        commands = list(self.w.tpm.commands)
        self.w.restore(self.snapshot(scenario)[0])
        counted = self.call(scenario, count=True)  # what is preloaded makes calls of its own
        found = []
        if (scenario.name, "no memory", "") in FOUND:
            found.append(("found before", Fault("alloc", 1, 0, True)))
        for number, name, variants, *path in run.trace:
            at = int(number)
            if (scenario.name, name, *path) in FOUND:
                found += [("found before", Fault("call", at, 0, later)) for later in (False, True)]
            found += [(class_of(name), Fault("call", at, v)) for v in range(int(variants))]
            found.append(("killed", Fault("kill", at)))
            if name in LATER:
                found.append(("from then on", Fault("call", at, 0, True)))
        for at, name in enumerate(commands, 1):
            found += [("TPM command", Fault("tpm", at, mode)) for mode in tpm.MODES]
            found += [("from then on", Fault("tpm", at, mode, True)) for mode in ("failure", "retry", "lost")]
        for key, first, own in counted.stacks:
            found.append(("allocation", Fault("alloc", first, key)))
            if own:
                found.append(("no allocation from then on", Fault("alloc", first, 0, True)))
        allocations, child_calls, _ = counted.counts
        some = random.Random(scenario.name).sample(range(1, allocations + 1), min(AT_RANDOM, allocations))
        found += [("allocation at random", Fault("alloc", at)) for at in sorted(some)]
        for at in range(1, child_calls + 1):
            found += [("guest process", Fault("child", at, how)) for how in ("fails", "kill")]
        return found

    def try_point(self, number, scenario, fault):
        """None, or what is wrong."""
        self.w.restore(self.snapshot(scenario)[0])
        result = self.call(scenario, fault)
        self.missed += not result.hit and not result.counts[2]
        try:
            self.check(number, scenario, fault, result)
        except self.tickets.Wrong as wrong:
            hit = result.hit or (*result.counts, result.asked)
            return f"{wrong} [{hit}; exit {result.exit}, signal {result.signal}; {result.err.strip()[-300:]}]"
        return None

    def check(self, number, scenario, fault, result):
        """Raises Wrong. Machines that are alike, but for the number's last bits, are looked at once."""
        _, predicted, start = self.snapshot(scenario)
        self.judge.check_end(scenario.verb, fault, result)
        self.judge.check_kernel(scenario, fault, result)
        self.judge.check_tickets(scenario, fault, result)
        if result.rebooted:
            self.judge.after_reboot(predicted, self.tickets.EARLIER if scenario.ticket else None)
            return
        state = (self.judge.state(), scenario.with_tickets, number % (4 if scenario.with_tickets else 2))
        if state not in self.good:
            self.judge.check_machine(start if scenario.second else self.clean_pcrs(), scenario, number)
            self.good.add(state)

    def look(self, scenario, forge):
        """What is wrong with the machine after a call without a fault, and forge(world, result)."""
        self.w.restore(self.snapshot(scenario)[0])
        result = forge(self.w, self.call(scenario))
        self.good.clear()
        try:
            self.check(0, scenario, self.world.Fault("none"), result)
        except self.tickets.Wrong as wrong:
            return str(wrong)
        return None

    def clean_pcrs(self):
        if "pcrs" not in self.__dict__:
            self.pcrs = self.world.replay(self.clean.log)
        return self.pcrs


def work(options):
    """Answers requests, one JSON a line: ["points", scenario] or ["try", number, scenario, fault]."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(options.mkexec, options.tools, options.worker)
    import forgeries
    import world
    for line in sys.stdin:
        kind, *rest = json.loads(line)
        try:
            if kind == "points":
                answer = [(name, str(fault)) for name, fault in worker.points(SCENARIOS[rest[0]])]
            elif kind == "forgeries":
                answer = forgeries.try_all(worker, SCENARIOS)
            elif kind == "sum":
                answer = [worker.judge.foreign, worker.missed]
            else:
                answer = worker.try_point(rest[0], SCENARIOS[rest[1]], world.Fault.parse(rest[2]))
        except Exception as wrong:  # noqa: BLE001
            answer = f"the harness: {wrong!r}"
        print(json.dumps(answer), file=out, flush=True)
    worker.w.tpm.stop()


# ---- outside ----

def start_worker(options):
    return subprocess.Popen([*NAMESPACES, sys.executable, str(HERE), "--worker", options.seen, options.mkexec, options.tools],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(worker, *request):
    worker.stdin.write(json.dumps(request) + "\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError("a worker died")
    return json.loads(line)


def choose(points, options, scenario):
    """[(number, class, fault)]; the choice is the same each time."""
    chosen, seen = [], {}
    for number, (name, fault) in enumerate(points):
        nth = seen[name] = seen.get(name, -1) + 1
        stride = CLASSES[name][options.all] * options.stride
        if scenario.with_tickets and not options.all and name != "found before":
            stride *= THINNED.get(name, THINNER)
        if not re.search(options.only, f"{scenario.name}/{name}/{fault}") or nth % stride != stride // 2:
            continue
        chosen.append((number, name, fault))
    return chosen


class Log:
    """What was tried, a line of JSON each: a run that was cut off goes on from there."""
    def __init__(self, path):
        self.done = {}
        if path and os.path.exists(path):
            for line in open(path):
                scenario, fault, wrong = json.loads(line)
                self.done[scenario, fault] = wrong
        self.file = open(path or os.devnull, "a", buffering=1)

    def add(self, scenario, fault, wrong):
        self.file.write(json.dumps([scenario.name, fault, wrong]) + "\n")


def run_points(workers, index, chosen, failures, log):
    """Each worker has a thread that takes the next point."""
    import threading
    rest, lock = iter(chosen), threading.Lock()

    def serve(worker):
        while True:
            with lock:
                point = next(rest, None)
            if point is None:
                return
            number, name, fault = point
            known = (SCENARIOS[index].name, fault) in log.done
            wrong = log.done[SCENARIOS[index].name, fault] if known else ask(worker, "try", number, index, fault)
            with lock:
                if not known:
                    log.add(SCENARIOS[index], fault, wrong)
                if wrong:
                    failures.setdefault(name, []).append(f"{fault}: {wrong}")

    threads = [threading.Thread(target=serve, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    parser = argparse.ArgumentParser(prog="tests/faults")
    parser.add_argument("mkexec")
    parser.add_argument("tools", help="folder with inject, libpreload.so and payload.efi")
    parser.add_argument("--all", action="store_true", help="every point")
    parser.add_argument("--scenario", default="", help="those whose name matches this expression")
    parser.add_argument("--only", default="", help="points of which SCENARIO/CLASS/FAULT matches")
    parser.add_argument("--stride", type=int, default=1, help="take fewer points by this factor")
    parser.add_argument("--log", help="file that gets the result of each point; those that it has aren't tried again")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count()))
    parser.add_argument("--worker", metavar="SEEN", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(options)
    reason = missing()
    if reason:
        print(f"1..0 # SKIP {reason}")
        return 0
    options.mkexec, options.tools = os.path.realpath(options.mkexec), os.path.realpath(options.tools)
    log = Log(options.log)
    seen = tempfile.NamedTemporaryFile(prefix="mkexec-faults-")
    options.seen = seen.name
    workers = [start_worker(options) for _ in range(options.jobs)]
    tests, failed, sums = 0, 0, {}
    for title, good, wrong in [] if options.scenario or options.only else ask(workers[0], "forgeries"):
        tests, failed = tests + 1, failed + (not good)
        print(f"{'ok' if good else 'not ok'} {tests} - the judge: {title}", flush=True)
        if not good:
            print(f"# it says: {wrong}")
    for index, scenario in enumerate(SCENARIOS):
        if not re.search(options.scenario, scenario.name):
            continue
        points = ask(workers[0], "points", index)
        if isinstance(points, str):
            print(f"# {points}\nnot ok {tests + 1} - {scenario.name}", flush=True)
            tests, failed = tests + 1, failed + 1
            continue
        chosen, failures = choose(points, options, scenario), {}
        run_points(workers, index, chosen, failures, log)
        for name in CLASSES:
            n = sum(1 for _, c, _ in chosen if c == name)
            total = sum(1 for c, _ in points if c == name)
            if n == 0:
                continue
            tests += 1
            sums[name] = sums.get(name, 0) + n
            bad = failures.get(name, [])
            failed += bool(bad)
            for line in bad[:20]:
                print("# " + line.replace("\n", " | "))
            print(f"{'not ok' if bad else 'ok'} {tests} - {scenario.name}: {name}, {n} of {total} points"
                  + (f", {len(bad)} wrong" if bad else ""), flush=True)
    print("# " + ", ".join(f"{name} {n}" for name, n in sums.items()) + f": {sum(sums.values())} points")
    print(f"1..{tests}")
    ends = [ask(worker, "sum") for worker in workers]
    for library in sorted({name for found, _ in ends for name in found}):
        print(f"# {sum(found.get(library, 0) for found, _ in ends)} of them ended in {library}, which had no memory")
    print(f"# {sum(n for _, n in ends)} of them weren't reached; {os.path.getsize(options.seen) // 32} different machines")
    for worker in workers:
        worker.stdin.close()
        worker.wait()
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Forged twins of a real log of several hops: whole hops taken out, moved, doubled and renumbered.

Each twin is judged twice by `mkexec log check`: with the machine's own PCRs, which contradict whatever was done to
the log, and with PCRs that agree with the forgery, as on a TPM that had really been extended so. The second must
fail where the numbers of the hops tell it. Called by test_chain.
"""

import struct

import eventlog
import log_twins
from tally import expect

NUMBER_AT = 12  # of the hop, in the data of open and close: docs/measurements.md


class Twin(log_twins.Twin):
    """`hops` are the hops in order, each a list of indexes of pieces."""

    def __init__(self, log, pcrs, first_log):
        super().__init__(log, pcrs, first_log)
        self.hops = []
        for index, event in enumerate(self.events):
            if log_twins.tag(event) == log_twins.TAG_OPEN and event.pcr == log_twins.HOP_REGISTER:
                self.hops.append([])
            self.hops[-1].append(index)

    def order(self, numbers):
        """The log is made of these hops (from 1), in this order."""
        self.pieces = [self.pieces[index] for number in numbers for index in self.hops[number - 1]]
        self.events = [self.events[index] for number in numbers for index in self.hops[number - 1]]
        sizes = [len(self.hops[number - 1]) for number in numbers]
        self.hops = [list(range(sum(sizes[:i]), sum(sizes[:i + 1]))) for i in range(len(sizes))]

    def renumber(self, position, number, digests=True):
        """Open and close of the hop at this position (from 1) say another number."""
        for index in self.hops[position - 1]:
            event = self.events[index]
            if log_twins.tag(event) is None:
                continue
            data = bytearray(event.data)
            struct.pack_into("<I", data, NUMBER_AT, number)
            if digests:
                self.pieces[index] = self.encode(bytes(data), pcr=event.pcr)
            else:
                self.pieces[index][self.data_at(index):] = data

    def agree(self):
        """PCRs that the forged log gives, by tpm2_eventlog."""
        for bank, values in eventlog.replay(self.log).items():
            self.pcrs[bank].update({pcr: values[pcr] for pcr in {e.pcr for e in self.events} if pcr in values})


def cut_out(number):
    return lambda twin: twin.order([n for n in all_of(twin) if n != number])


def all_of(twin):
    return range(1, len(twin.hops) + 1)


def cut_out_and_closed_up(twin):
    """The hops behind move up by one, with digests that fit: only PCR 8 knows."""
    twin.order([n for n in all_of(twin) if n != 2])
    for position in list(all_of(twin))[1:]:
        twin.renumber(position, position)


def exchanged(twin):
    twin.order([1, 3, 2, *list(all_of(twin))[3:]])


def exchanged_and_renumbered(twin, digests=True):
    exchanged(twin)
    twin.renumber(2, 2, digests)
    twin.renumber(3, 3, digests)


def doubled(twin):
    twin.order([1, 2, 2, *list(all_of(twin))[2:]])


def renumbered(twin):
    twin.renumber(2, 7)


def two_of_a_number(twin):
    twin.renumber(3, 2)


def backwards(twin):
    twin.order(list(all_of(twin))[::-1])


def from_zero(twin):
    for position in all_of(twin):
        twin.renumber(position, position - 1)


def close_of_another(twin):
    """Closes of two hops exchanged: each hop still has an open, its events and a close."""
    a, b = twin.hops[1][-1], twin.hops[2][-1]
    twin.pieces[a], twin.pieces[b] = twin.pieces[b], twin.pieces[a]


# What is done, and what `log check` must say of it where the PCRs agree with it; None: such a log is a right one, of
# another history, and only PCR 8 can tell.
TWINS = {
    "the first hop cut out": (cut_out(1), "hop"),
    "a hop in the middle cut out": (cut_out(3), "hop"),
    "the last hop cut out": (lambda twin: twin.order(list(all_of(twin))[:-1]), None),
    "a hop cut out, the others renumbered": (cut_out_and_closed_up, None),
    "two hops exchanged": (exchanged, "hop"),
    "two hops exchanged and renumbered": (exchanged_and_renumbered, None),
    "all hops backwards": (backwards, "hop"),
    "a hop doubled": (doubled, "hop"),
    "a hop renumbered": (renumbered, "hop"),
    "two hops exchanged and renumbered, digests as they were":
        (lambda twin: exchanged_and_renumbered(twin, digests=False), "digest"),
    "two hops of one number": (two_of_a_number, "hop"),
    "hops numbered from 0": (from_zero, "hop"),
    "closes of two hops exchanged": (close_of_another, "close"),
}


def is_refused(logs, pcrs, name):
    """`logs`: of the boot by firmware and of the last one."""
    make, word = TWINS[name]
    twin = Twin(logs[1], pcrs, logs[0])
    expect(twin.log == logs[1] and len(twin.hops) >= 4, "the log can't be taken apart")
    make(twin)
    expect(twin.log != logs[1], "nothing was forged")
    reasons = [refusal(twin)]
    twin.agree()
    if word:
        reasons.append(refusal(twin))
        expect(word in reasons[1], f"with PCRs that agree: {reasons[1]}")
    else:
        code, verdict = log_twins.judge(twin.log, twin.pcrs)
        expect(code == 0, f"with PCRs that agree it would be a right log, but: {verdict['reason']}")
    return "\n".join(reasons)


def refusal(twin):
    code, verdict = log_twins.judge(twin.log, twin.pcrs)
    expect({1: "mismatch", 2: "malformed"}.get(code) == verdict["verdict"] and verdict["reason"],
           f"exit code {code}, verdict {verdict['verdict']}: {verdict['reason']}")
    return verdict["reason"]

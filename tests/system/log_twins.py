# SPDX-License-Identifier: LGPL-2.1-or-later
"""Forged twins of a real log with a hop, made here from the second kernel's, and `mkexec log check` as their judge.

A twin is the log and the PCR values that its forger could show with it: the machine's own, or with PCR 8 extended
further, which root can do. Called by test_hop.
"""

import hashlib
import json
import struct
import subprocess
import tempfile

import eventlog
import scene
from tally import expect

HOP_REGISTER = 8
IMA_PCR = 10
# docs/measurements.md, "mkexec's own events"
TAG_OPEN, TAG_CLOSE, TAG_ABORT = 0xdf73b5f4, 0xc9ebf0a6, 0x9ae6c1f8
VERSION = 1
IDS = {name: number for number, name in eventlog.ALGORITHMS.items()}
EV_EVENT_TAG, EV_IPL = 0x6, 0xd


def judge(log, pcrs):
    """(exit code, verdict) of `mkexec log check` over log and {bank: {pcr: hex}}."""
    with tempfile.NamedTemporaryFile() as file, tempfile.NamedTemporaryFile("w") as values:
        file.write(log)
        file.flush()
        values.write("".join(f"{bank} {index} {value}\n" for bank, row in pcrs.items() for index, value in row.items()
                             if index != IMA_PCR))
        values.flush()
        done = subprocess.run([str(scene.program()), "log", "check", "--json", "--pcrs", values.name, file.name],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
    expect(done.returncode in (0, 1, 2) and done.stdout, f"log check ended with {done.returncode}: {done.stderr}")
    return done.returncode, json.loads(done.stdout)


def tag(event):
    """The id of an event of mkexec's own, else None."""
    if event.type != "EV_EVENT_TAG" or len(event.data) < 8:
        return None
    found = struct.unpack_from("<I", event.data)[0]
    return found if found in (TAG_OPEN, TAG_CLOSE, TAG_ABORT) else None


class Twin:
    """The log in pieces that can be moved about: bytes that stay, then the events of the hop as bytes."""

    def __init__(self, log, pcrs, first_log):
        banks, events = eventlog.parse(log)
        self.banks, self.before = banks, log[:len(first_log)]
        self.events = [e for e in events if e.offset >= len(first_log)]
        ends = [e.offset for e in self.events[1:]] + [len(log)]
        self.pieces = [bytearray(log[e.offset:end]) for e, end in zip(self.events, ends)]
        self.pcrs = {bank: dict(row) for bank, row in pcrs.items()}

    @property
    def log(self):
        return bytes(self.before) + b"".join(self.pieces)

    @property
    def hop(self):
        """The number of the hop, as its open says."""
        return struct.unpack_from("<I", self.events[0].data, 12)[0]

    def indexes(self, wanted):
        return [i for i, e in enumerate(self.events) if tag(e) == wanted]

    @property
    def payload(self):
        """Indexes of the events between open and close."""
        return [i for i, e in enumerate(self.events) if tag(e) is None]

    def data_at(self, index):
        """Where an event's data start in its piece."""
        return len(self.pieces[index]) - len(self.events[index].data)

    def encode(self, data, kind=EV_EVENT_TAG, pcr=HOP_REGISTER):
        digests = b"".join(struct.pack("<H", IDS[bank]) + hashlib.new(bank, data).digest() for bank in self.banks)
        return bytearray(struct.pack("<III", pcr, kind, len(self.banks)) + digests + struct.pack("<I", len(data)) + data)

    def end(self, which, count):
        return struct.pack("<5I", which, 12, VERSION, self.hop, count)

    def append(self, data, kind=EV_EVENT_TAG):
        """What root can really do: an event more in the log and in PCR 8."""
        self.pieces.append(self.encode(data, kind))
        for bank in self.banks:
            digest = hashlib.new(bank, data).hexdigest()
            self.pcrs[bank][HOP_REGISTER] = eventlog.extend(bank, self.pcrs[bank][HOP_REGISTER], digest)


def hop_cut_out(twin):
    twin.pieces = []


def hop_cut_out_of_all(twin):
    """Nobody can take PCR 8 back, but a log without the hop must not pass for one whose PCR 8 wasn't given either."""
    twin.pieces = []
    for row in twin.pcrs.values():
        del row[HOP_REGISTER]


def payload_events_exchanged(twin):
    a, b = twin.payload[1:3]
    twin.pieces[a], twin.pieces[b] = twin.pieces[b], twin.pieces[a]


def payload_event_left_out(twin):
    del twin.pieces[twin.payload[1]]


def payload_event_doubled(twin):
    twin.pieces.insert(twin.payload[1], twin.pieces[twin.payload[1]])


def retype(twin, index, kind):
    struct.pack_into("<I", twin.pieces[index], 4, kind)


def payload_event_retyped(twin):
    index = next(i for i in twin.payload if twin.events[i].type == "EV_IPL")
    retype(twin, index, EV_EVENT_TAG)


def open_retyped(twin):
    """Its digest would be explained, as a foreign event of a boot loader."""
    for index in twin.indexes(TAG_OPEN):
        retype(twin, index, EV_IPL)


def moved_to_another_pcr(twin):
    struct.pack_into("<I", twin.pieces[twin.payload[0]], 0, 9)


def ledger_entry(twin):
    """Offset of the payload PCR of the ledger's first entry of PCR 11 in open's data, and how it is relabelled."""
    data = twin.events[0].data
    n_initrds = struct.unpack_from("<I", data, 108)[0]
    at = 116 + 32 * n_initrds
    while struct.unpack_from("<I", data, at)[0] != 11:
        at += 40
    return at


def relabelled(twin):
    for index in twin.indexes(TAG_OPEN):
        struct.pack_into("<I", twin.pieces[index], twin.data_at(index) + ledger_entry(twin), 12)


def relabelled_with_new_digests(twin):
    at = ledger_entry(twin)
    for index in twin.indexes(TAG_OPEN):
        data = bytearray(twin.events[index].data)
        struct.pack_into("<I", data, at, 12)
        twin.pieces[index] = twin.encode(bytes(data), pcr=twin.events[index].pcr)


def relabelled_later(twin):
    """A second open with the ledger that the forger would like, and a close to it, both really in PCR 8."""
    data = bytearray(twin.events[0].data)
    struct.pack_into("<I", data, ledger_entry(twin), 12)
    twin.append(bytes(data))
    twin.append(twin.end(TAG_CLOSE, len(twin.payload)))


def close_again(twin):
    twin.append(twin.end(TAG_CLOSE, len(twin.payload)))


def close_moved_up(twin):
    """A close for a hop of one event, where the second event stands, and the real one behind."""
    twin.pieces.insert(twin.payload[1], twin.encode(twin.end(TAG_CLOSE, 1)))


def close_dropped(twin):
    for index in reversed(twin.indexes(TAG_CLOSE)):
        del twin.pieces[index]


def close_made_an_abort(twin):
    for index in twin.indexes(TAG_CLOSE):
        twin.pieces[index] = twin.encode(twin.end(TAG_ABORT, index))


def open_changed(twin):
    """One byte of the payload's digest in open."""
    index = twin.indexes(TAG_OPEN)[0]
    twin.pieces[index][twin.data_at(index) + 44] ^= 1


def payload_data_changed(twin):
    twin.pieces[twin.payload[1]][-1] ^= 1


def digest_changed(twin):
    twin.pieces[twin.payload[1]][14] ^= 1


def cut_off(twin):
    del twin.pieces[-1][-3:]


def foreign_event_behind(twin):
    twin.append(b"somebody else's event", EV_IPL)


TWINS = {
    "the hop cut out": hop_cut_out,
    "the hop and the value of PCR 8 cut out": hop_cut_out_of_all,
    "two payload events exchanged": payload_events_exchanged,
    "a payload event left out": payload_event_left_out,
    "a payload event doubled": payload_event_doubled,
    "a payload event retyped": payload_event_retyped,
    "open retyped": open_retyped,
    "a payload event under another PCR": moved_to_another_pcr,
    "relabelled in the ledger": relabelled,
    "relabelled in the ledger with matching digests": relabelled_with_new_digests,
    "a relabelled open and its close appended to PCR 8": relabelled_later,
    "a forged close appended to PCR 8": close_again,
    "a forged close in the middle": close_moved_up,
    "close dropped": close_dropped,
    "close made an abort": close_made_an_abort,
    "a byte of open changed": open_changed,
    "a byte of a payload event's data changed": payload_data_changed,
    "a digest changed": digest_changed,
    "the log cut off": cut_off,
    "a foreign event appended to PCR 8": foreign_event_behind,
}


def true_log_passes(hop):
    code, verdict = judge(hop.second.log, hop.second.pcrs)
    expect(code == 0 and verdict["verdict"] == "ok", f"exit code {code}: {verdict['verdict']}: {verdict['reason']}")


def twin_is_refused(hop, make):
    twin = Twin(hop.second.log, hop.second.pcrs, hop.first.log)
    expect(twin.log == hop.second.log, "the log can't be put together again")
    make(twin)
    code, verdict = judge(twin.log, twin.pcrs)
    expect({1: "mismatch", 2: "malformed"}.get(code) == verdict["verdict"],
           f"exit code {code}, verdict {verdict['verdict']}: {verdict['reason']}")
    expect(verdict["reason"], "no reason is given")
    return verdict["reason"]

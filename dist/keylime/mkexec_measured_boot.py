# SPDX-License-Identifier: LGPL-2.1-or-later
"""A measured-boot policy for Keylime's verifier that understands mkexec's hops: docs/attestation.md, "Keylime".

Keylime gives it the event log as tpm2_eventlog tells it. The first boot's events go to another policy; the rest must be hops,
whole and in order, of kernels whose events `mkexec predict --json` foretold. Keylime itself compares the log with the quote.
"""

import hashlib
import struct

# example: so that it is there to be combined with, whatever the order of measured_boot_imports
from keylime.mba.elchecking import example, policies, tests  # noqa: F401

PCR = 8
OPEN, CLOSE, ABORT = 0xDF73B5F4, 0xC9EBF0A6, 0x9AE6C1F8
VERSION = 1
# TCG PC Client Platform Firmware Profile, table 12; what a ledger can have and predict names.
TYPES = {0x01: "EV_POST_CODE", 0x04: "EV_SEPARATOR", 0x05: "EV_ACTION", 0x06: "EV_EVENT_TAG", 0x0D: "EV_IPL",
         0x80000001: "EV_EFI_VARIABLE_DRIVER_CONFIG", 0x80000002: "EV_EFI_VARIABLE_BOOT",
         0x80000003: "EV_EFI_BOOT_SERVICES_APPLICATION", 0x80000004: "EV_EFI_BOOT_SERVICES_DRIVER", 0x80000006: "EV_EFI_GPT_EVENT",
         0x80000007: "EV_EFI_ACTION", 0x800000E0: "EV_EFI_VARIABLE_AUTHORITY"}


class Wrong(Exception):
    """Why a log is refused."""


def tagged(event):
    """(id, payload) of a tagged event, (0, b"") of any other."""
    if event["EventType"] != "EV_EVENT_TAG" or not isinstance(event.get("Event"), str):
        return 0, b""
    try:
        data = bytes.fromhex(event["Event"])
        number, size = struct.unpack_from("<II", data)
    except (ValueError, struct.error):
        return 0, b""
    return (number, data[8:]) if len(data) == 8 + size else (0, b"")


class Open:
    """The event that begins a hop: docs/measurements.md."""

    def __init__(self, payload):
        try:
            version, self.number, places, closed = struct.unpack_from("<II24sI", payload)
            self.places = list(places)
            self.payload = payload[36:68].hex()
            n_initrds, = struct.unpack_from("<I", payload, 100)
            at = 104 + 32 * n_initrds
            n, = struct.unpack_from("<I", payload, at)
            self.ledger = [struct.unpack_from("<II32s", payload, at + 4 + 40 * i)[:2] for i in range(n)]
        except struct.error as error:
            raise Wrong("an open event that is cut off") from error
        if version != VERSION or len(payload) != at + 4 + 40 * n:
            raise Wrong(f"an open event of another format than {VERSION}")
        self.registers = [pcr for pcr in sorted(set(self.places)) if pcr != PCR]
        self.opened = sorted({*self.registers, *(pcr for pcr in range(24) if closed >> pcr & 1)} - {PCR})


def digests(event):
    return {row["AlgorithmId"]: row["Digest"] for row in event["Digests"]}


def is_explained(event):
    """What is believed of an event's data is what was hashed, in each bank."""
    data, names, found = bytes.fromhex(event["Event"]), {"sm3_256": "sm3"}, digests(event)
    return found and all(hashlib.new(names.get(bank, bank), data).hexdigest() == value for bank, value in found.items())


def take(events, at, wanted):
    """These (PCR, event) one behind the other: the same type, data and digests."""
    for pcr, like in wanted:
        event = events[at] if at < len(events) else None
        same = event and all(event.get(name) == like.get(name) for name in ("EventType", "Event", "Digests"))
        if not same or event["PCRIndex"] != pcr:
            raise Wrong(f"event {at}: not the one that belongs into PCR {pcr}")
        at += 1
    return at


def is_abort(event, hop):
    kind, payload = tagged(event)
    mine = kind == ABORT and payload[:8] == struct.pack("<II", VERSION, hop.number)
    return mine and event["PCRIndex"] == PCR and is_explained(event)


def take_hop(events, at, number):
    """Returns (place behind it, hop, its events or None if it was aborted)."""
    kind, payload = tagged(events[at])
    if kind != OPEN or events[at]["PCRIndex"] != PCR:
        raise Wrong(f"event {at}: of no hop")
    hop, start = Open(payload), events[at]
    if not is_explained(start):
        raise Wrong(f"event {at}: its data isn't what was hashed")
    if hop.number != number:
        raise Wrong(f"event {at}: hop {hop.number} where hop {number} belongs")
    end = close = None
    for place in range(at + 1, len(events)):
        if events[place]["PCRIndex"] == PCR and tagged(events[place])[0] in (OPEN, CLOSE, ABORT):
            end, close = place, tagged(events[place])
            break
    if end is None or not is_explained(events[end]):
        raise Wrong(f"hop {number} isn't closed")
    if close[0] == ABORT and is_abort(events[end], hop):
        return end + 1, hop, None
    at = take(events, at + 1, [(pcr, start) for pcr in hop.opened])
    measured = events[at:end]
    wanted = [(hop.places[pcr], TYPES.get(kind, hex(kind))) for pcr, kind in hop.ledger]
    if [(event["PCRIndex"], event["EventType"]) for event in measured] != wanted:
        raise Wrong(f"the events of hop {number} aren't those of its ledger")
    if close != (CLOSE, struct.pack("<III", VERSION, number, len(measured))):
        raise Wrong(f"hop {number} isn't closed as its ledger says")
    at = take(events, end + 1, [(pcr, events[end]) for pcr in hop.registers])
    if at < len(events) and is_abort(events[at], hop):
        return at + 1, hop, None
    return at, hop, measured


class Kernel:
    """What `mkexec predict --json` said of it."""

    def __init__(self, document):
        self.events = [(row["payload_pcr"], row["type"], row["digests"]) for row in document["events"]
                       if row["payload_pcr"] is not None]  # the others are open and close
        if document.get("version") != 1 or not self.events:
            raise ValueError("a kernel is a document of 'mkexec predict --json'")

    def is_it(self, hop, measured, banks):
        """In each bank of the log: which of them was quoted isn't known here, and no other is bound."""
        ledger = [(pcr, TYPES.get(kind, hex(kind))) for pcr, kind in hop.ledger]
        return ledger == [row[:2] for row in self.events] and all(
            set(digests(event)) == banks and all(row[2].get(bank) == value for bank, value in digests(event).items())
            for event, row in zip(measured, self.events))


class Hops(tests.Test):
    def __init__(self, first, kernels, most, relevant):
        self.first, self.kernels, self.most, self.relevant = first, kernels, most, relevant

    def judge(self, events):
        at, hop, number = 0, None, 0
        while at < len(events):
            number += 1
            banks = set(digests(events[at]))
            at, hop, measured = take_hop(events, at, number)
            if not {PCR, *hop.registers} <= self.relevant:
                raise Wrong(f"hop {number} measures into PCRs {hop.registers}, which this policy doesn't compare with the quote")
            if measured is None:
                raise Wrong(f"hop {number} was aborted: what it opened counts as run")
            if not any(kernel.is_it(hop, measured, banks) for kernel in self.kernels):
                raise Wrong(f"hop {number} started a kernel that isn't known: payload sha256 {hop.payload}")
        if number > self.most:
            raise Wrong(f"{number} hops")

    def why_not(self, globs, subject):
        events = subject["events"]
        start = next((i for i, event in enumerate(events) if tagged(event)[0] in (OPEN, CLOSE, ABORT)), len(events))
        try:
            self.judge(events[start:])
        except (Wrong, KeyError, TypeError, ValueError) as reason:
            return f"{reason}"
        return self.first.why_not(globs, {**subject, "events": events[:start]})


class Policy(policies.Policy):
    """refstate: {"first_boot": what the other policy takes, "kernels": [documents of predict --json], "hops": at most}"""

    def __init__(self, first):
        self.first = first

    def get_relevant_pcrs(self):
        return frozenset(policies.get_policy(self.first).get_relevant_pcrs() | {PCR})

    def refstate_to_test(self, refstate):
        unknown = set(refstate) - {"first_boot", "kernels", "hops"}
        if unknown:
            raise ValueError(f"refstate has {sorted(unknown)}")
        first = policies.get_policy(self.first).refstate_to_test(refstate["first_boot"])
        return Hops(first, [Kernel(document) for document in refstate["kernels"]], int(refstate["hops"]), self.get_relevant_pcrs())


for name in policies.get_policy_names():
    policies.register(f"mkexec-{name}", Policy(name))

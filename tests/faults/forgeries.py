# SPDX-License-Identifier: LGPL-2.1-or-later
"""Machines that look wrong on purpose, after calls in which nothing failed: the judge must see each, else its word
about the others is worth nothing.
"""

import dataclasses
import hashlib
import json

import nv
import tickets
import world

A_DIGEST = {bank: hashlib.new(bank, b"stranger").hexdigest() for bank in world.BANKS}
HERE, ELSEWHERE = tickets.BASE_HANDLE, tickets.BASE_HANDLE + 0x10000


def _result(**changes):
    return lambda w, result: dataclasses.replace(result, **changes)


def _after(change):
    """A forgery of the machine."""
    def forge(w, result):
        change(w)
        return result
    return forge


def _real_image(w):
    (w.kernel / "segments").write_bytes(b"a kernel")


def _nothing_loaded(w):
    world.LOADED.write_text("0\n")


def _cut_log(w):
    world.LOG.write_bytes(world.LOG.read_bytes()[:-130])


def _ticket(attributes=None, handle=HERE, policy=None, secret=tickets.NEW):
    """One in place of that at handle; policy: a function of the machine."""
    def make(w):
        found = {index.handle: index for index in w.nv.indices()}
        like = found[HERE]
        if handle in found:
            w.nv.undefine(handle)
        w.nv.make(dataclasses.replace(like, handle=handle, policy=policy(w) if policy else like.policy,
                                      attributes=like.attributes if attributes is None else attributes),
                  tickets.contents(secret))
    return make


def _of_now(w):
    return nv.policy_digest(w.tpm.read(), [8])


def _forgotten(w, result):
    """As load left it that died between the image and its ticket, before the plan said what is wanted."""
    path = world.RUN / "state.json"
    state = json.loads(path.read_text())
    del state["tickets"]
    path.write_text(json.dumps(state))
    w.nv.undefine(HERE)
    return dataclasses.replace(result, exit=1, err="mkexec: it is late today")


def _half_output(w):
    data = tickets.OUTPUT.read_bytes()
    tickets.OUTPUT.chmod(0o600)
    tickets.OUTPUT.write_bytes(data[:len(data) // 2])
    tickets.OUTPUT.chmod(0o400)


def _readable_again(w):
    data = tickets.contents(tickets.EARLIER)
    w.nv.make(nv.Index(HERE, tickets.ATTRIBUTES | nv.WRITTEN | nv.WRITELOCKED, _of_now(w), len(data)), data)


def _put(path, data):
    return _after(lambda w: path.write_bytes(data))


# (scenario, what is wrong, forgery)
ROWS = (
    ("load with a ticket", "a real image is loaded", _after(_real_image)),
    ("load with a ticket", "nothing is loaded", _after(_nothing_loaded)),
    ("load with a ticket", "a process is left", _result(left=1)),
    ("load with a ticket", "a crash", _result(exit=None, signal=11)),
    ("load with a ticket", "a deadline passed", _result(late=True)),
    ("load with a ticket", "a failure without a word", _result(exit=1, err="")),
    ("load with a ticket", "an exit code that isn't one of mkexec's", _result(exit=3, err="mkexec: it is late today")),
    ("load with a ticket", "PCR 8 extended by somebody", _after(lambda w: w.tpm.extend(8, A_DIGEST))),
    ("load with a ticket", "PCR 0 extended by somebody", _after(lambda w: w.tpm.extend(0, A_DIGEST))),
    ("load with a ticket", "a log without its last event", _after(_cut_log)),
    ("load with a ticket", "a half-written file in /run/mkexec", _put(world.RUN / ".state.json.123", b"{")),
    ("load with a ticket", "a journal that nobody can read", _put(world.RUN / "journal", b"{")),
    ("load with a ticket", "a secret in /run/mkexec", _put(world.RUN / "note", tickets.NEW[40:80])),
    ("load with a ticket", "a secret in an error message", _result(err=f"mkexec: {tickets.NEW[-30:].decode()}\n")),
    ("load with a ticket", "no ticket", _after(lambda w: w.nv.undefine(HERE))),
    ("load with a ticket", "one ticket more", _after(_ticket(handle=ELSEWHERE))),
    ("load with a ticket", "a ticket that the first kernel can read", _after(_ticket(policy=_of_now))),
    ("load with a ticket", "a ticket that isn't write-locked", _after(_ticket(attributes=tickets.ATTRIBUTES | nv.WRITTEN))),
    ("load with a ticket", "a load that asks for no ticket", _forgotten),
    ("load with a ticket", "another secret in the ticket", _after(_ticket(secret=tickets.NEW[::-1]))),
    ("unload with a ticket", "a ticket that stays", _after(_readable_again)),
    ("ticket get into a file", "half of the secret in the file", _after(_half_output)),
    ("ticket get into a file", "a file that others can read", _after(lambda w: tickets.OUTPUT.chmod(0o444))),
    ("ticket get into a file", "another file beside it", _put(tickets.OUTPUT.parent / ".key.1", b"")),
    ("ticket get into a file", "no file at all", _after(lambda w: tickets.OUTPUT.unlink())),
    ("ticket get into a file", "a secret that can be read again", _after(_readable_again)),
    ("ticket get", "a secret that can be read again", _after(_readable_again)),
    ("ticket lock", "a ticket that can still be read", _after(lambda w: (w.nv.undefine(HERE), _readable_again(w)))),
    ("exec", "PCR 8 isn't as predicted", _after(lambda w: w.tpm.extend(8, A_DIGEST))),
    ("exec", "a reboot into nothing", _after(_nothing_loaded)),
)


def try_all(worker, scenarios):
    """[(what is wrong, whether the judge saw it)]; None stands for machines in which nothing is."""
    found = []
    for name in dict.fromkeys(name for name, *_ in ROWS):
        scenario = next(scenario for scenario in scenarios if scenario.name == name)
        wrong = worker.look(scenario, lambda w, result: result)
        found.append((f"{name}: nothing wrong is found where nothing is", wrong is None, wrong))
        for title, forge in ((title, forge) for other, title, forge in ROWS if other == name):
            wrong = worker.look(scenario, forge)
            found.append((f"{name}: {title}", wrong is not None, wrong))
    return found

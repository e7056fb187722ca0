# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must hold of tickets after anything went wrong: docs/hacking.md, "Fault injection", has it in words.

Nothing here is mkexec's word: indices are looked at, and tried to be read, by plain commands to the TPM.
"""

import hashlib
import os
import re
import stat

import nv
import world

NAME = "root"
EARLIER = hashlib.sha256(b"earlier").hexdigest().encode()
NEW = "".join(hashlib.sha256(b"new %d" % i).hexdigest() for i in range(20)).encode()  # more than one TPM2_NV_Read gives
PIECE, STEP = 8, 32  # what is looked for: so many characters from each place of the secret, of each 32nd in files
EARLIER_FILE, NEW_FILE = world.PLACE / "earlier", world.PLACE / "new"
BASE_HANDLE = nv.BASE + (1 << 8)  # of the first ticket for PCR 8
OUTPUT = world.PLACE / "out/key"

# OWNERWRITE, POLICYREAD, NO_DA, CLEAR_STCLEAR, READ_STCLEAR; WRITE_STCLEAR isn't there in the index of zeros that goes
# over one that is given up
ZEROS = 1 << 1 | 1 << 19 | 1 << 25 | 1 << 27 | 1 << 31
ATTRIBUTES = ZEROS | 1 << 14


class Wrong(Exception):
    pass


def expect(good, text):
    if not good:
        raise Wrong(text)


def contents(secret):
    """docs/tickets.md, "Life of a ticket"."""
    return b"MKXT\1" + bytes([len(NAME)]) + len(secret).to_bytes(2, "big") + NAME.encode() + secret


def secret_of(size):
    return {len(contents(secret)): secret for secret in (EARLIER, NEW)}.get(size)


def tells(data, secret, step=1):
    """Whether data has a piece of the secret."""
    return any(secret[at:at + PIECE] in data for at in range(0, len(secret) - PIECE + 1, step))


def state_of(index):
    """whole, locked (by a reader), half (put or drop died in it), empty; else it is none of mkexec's."""
    base = index.attributes & ~nv.STATE_BITS
    expect(base in (ATTRIBUTES, ZEROS) and secret_of(index.size), f"a strange NV index: {index}")
    if not index.attributes & nv.WRITTEN:
        return "empty"
    if not index.attributes & nv.WRITELOCKED:
        return "half"
    expect(base == ATTRIBUTES, f"locked, but not as a ticket is: {index}")
    return "locked" if index.attributes & nv.READLOCKED else "whole"


class Tickets:
    def __init__(self, w):
        self.w = w
        self.searched = set()

    def states(self):
        return sorted(state_of(index) for index in self.w.nv.indices())

    def key(self):
        """What makes machines alike, as far as it is about tickets."""
        return [[index.handle, index.attributes, index.policy.hex(), index.size] for index in self.w.nv.indices()]

    # ---- right after the fault ----

    def check(self, scenario, fault, result, killed):
        """killed: or its end was a library's. A TPM that leaves a ticket out of its list, with one bit of the answer
        changed, isn't found out: nothing protects that answer."""
        killed = killed or (fault.kind == "tpm" and fault.variant == "flip" and "GetCapability" in result.hit)
        self._nothing_leaks(scenario, result)
        if result.rebooted:
            return
        given = self._given(scenario, result, killed)
        readable = self.readable()
        if not (world.RUN / "journal").exists():  # else all may have been extended, and the abort is still to come
            expect(not readable or scenario.second, f"this kernel can read {', '.join(map(str, readable))}")
        expect(not (readable and given), f"the secret was handed out, and {', '.join(map(str, readable))} isn't locked")
        if not killed:
            self._own_end(scenario, result)

    def readable(self):
        """Those that give away a secret's bytes to whoever asks now."""
        found = []
        for index in self.w.nv.indices():
            data = self.w.nv.steal(index)
            if data and any(tells(data, secret) for secret in (EARLIER, NEW)):
                found.append(index)
        return found

    def none_is_readable(self):
        expect(not self.readable(), "after the next call the first kernel can still read its ticket")

    def _nothing_leaks(self, scenario, result):
        places = [("stderr", result.err.encode(), 1)]
        if scenario.words[:1] != ("get",):
            places.append(("stdout", result.out.encode(), 1))
        for place, data, step in places:
            self._expect_no_secret(place, data, step, data)
        for path, data in self.w.files().items() if scenario.with_tickets else ():
            self._expect_no_secret(path, path.read_bytes(), STEP, data)

    def _expect_no_secret(self, place, data, step, alike):
        """alike: data without what is another each time. Most is alike from point to point, and searched once."""
        key = (hashlib.sha256(alike).digest(), step)
        if key in self.searched:
            return
        for secret in (EARLIER, NEW):
            expect(not tells(data, secret, step), f"there is a secret in {place}")
        self.searched.add(key)

    def _given(self, scenario, result, killed):
        """What get gave away: a whole file or none; standard output has no such promise."""
        names = os.listdir(OUTPUT.parent)
        expect(set(names) <= {OUTPUT.name}, f"left beside the output: {names}")
        if scenario.words[:1] != ("get",):
            expect(not names, "there is output of another verb than get")
            return b""
        if not names:
            done = result.exit == 0 and not killed
            expect(not done or result.out.encode() == EARLIER, f"get gave {result.out[:40]!r}")
            return result.out.encode()
        data, mode = OUTPUT.read_bytes(), stat.S_IMODE(OUTPUT.stat().st_mode)
        expect(data == EARLIER, f"the output is {data[:40]!r}, of {len(data)} bytes")
        expect(mode == 0o400, f"the output's mode is {mode:#o}")
        expect(killed or result.exit == 0, "get failed, and left its output")
        return data

    def _own_end(self, scenario, result):
        """mkexec came to its end by itself."""
        states = self.states()
        mute = result.hit.count(" write ") > 1 or (not result.err and " write " in result.hit)  # that was stderr
        said = "in the TPM" in result.err or mute
        unsaid = re.search("no memory to print the result|can't write the result", result.err)
        if result.exit == 0 or unsaid:  # all is done, then
            may_stay = said and scenario.words[:1] in ((), ("get",))  # where that isn't what was asked for
            expect(states == scenario.after or may_stay, f"all is well, it says, but tickets are {states}")
            return
        if scenario.second or scenario.verb == "ticket":
            return  # which states those are is asked by what comes next
        if (world.RUN / "state.json").exists() and not (world.RUN / "journal").exists():
            wanted = ["whole"] if scenario.ticket else []
            expect(states == wanted or said, f"what is loaded had tickets {wanted}, now they are {states}")
        elif not (world.RUN / "journal").exists():
            expect(not states or said, f"nothing is loaded, but there are tickets {states}")

    # ---- the next calls ----

    def get(self):
        """A second kernel gets what there is for it, once."""
        found = [index for index in self.readable() if state_of(index) == "whole"]
        expect(len(found) < 2, f"two tickets for this kernel: {', '.join(map(str, found))}")
        OUTPUT.unlink(missing_ok=True)
        result = self.w.run(["ticket", "get", NAME, "--output", OUTPUT])
        if not found:
            expect(result.exit in (1, 2) and result.err.startswith("mkexec: no ticket 'root'"),
                   f"get of none: exit {result.exit}: {result.err}")
            expect(not OUTPUT.exists(), "get of none has an output")
            return None
        expect(result.exit == 0, f"get fails: {result.err}")
        expect(OUTPUT.read_bytes() == secret_of(found[0].size), "get gave something else than was put")
        expect(not self.readable(), "what was got can be read once more")
        OUTPUT.unlink()
        return secret_of(found[0].size)

    def clean(self, how):
        """The next load (without a ticket), unload, or 'ticket drop --left' leave nothing of what nobody can read."""
        import judge
        calls = {0: [*judge.LOAD, world.PAYLOAD], 1: ["unload"], 2: ["ticket", "drop", "--left"]}
        result = self.w.run(calls[how])
        expect(result.exit == 0, f"{calls[how][0]} afterwards fails: {result.err}")
        states = self.states()
        kept = how == 2 and (world.RUN / "state.json").exists() and states == ["whole"]
        expect(not states or kept, f"after {calls[how]} there are still tickets {states}")

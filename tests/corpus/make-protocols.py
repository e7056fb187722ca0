#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the corpus of fuzz-protocols: for each function a call that works and one that hurts. Run it after
changing it; what it writes is in the tree."""

import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent / "protocols"
TCG2, RNG, OUT, IN, IN_EX, IN_EX_MORE, TO_TEXT, LOAD_FILE2 = range(8)
NULL, BAD, WILD, THIS = 0x00, 0x01, 0x02, 0x05


def at(offset):
    """The argument that is this address of the payload's memory: low nibble 8 to 15."""
    choice = offset // 16 + 8
    assert offset % 16 == 0 and choice & 15 >= 8 and choice < 256, offset
    return choice


def small(n):
    return n << 4


def number(index):
    """One of the 16 numbers that stand in the payload's memory."""
    return index << 4 | 6


NUMBERS = {0xE0: struct.pack("<16H", 15, 20, 87, 4096, 16, 1024, *[0xFFFF] * 10)}
LENGTH, READ, EXTEND, ROOM, SIXTEEN, KIB = map(number, range(6))


def call(protocol, function, *arguments):
    return bytes([protocol, function, *arguments, *[NULL] * (6 - len(arguments))])


def event(pcr, type, data, size=None, header=14):
    return struct.pack("<IIHII", 18 + len(data) if size is None else size, header, 1, pcr, type) + data


def write(name, memory, *calls):
    """memory: offset to bytes"""
    contents = bytearray(max((offset + len(data) for offset, data in memory.items()), default=0))
    for offset, data in memory.items():
        contents[offset:offset + len(data)] = data
    HERE.mkdir(exist_ok=True)
    (HERE / f"{name}.bin").write_bytes(struct.pack("<H", len(contents)) + contents + b"".join(calls))


def make_tcg2():
    E, D, R = 0x00, 0x100, 0x200  # event, data, results
    data = {D: b"what is measured"}
    measure = call(TCG2, 2, THIS, NULL, at(D), small(15), at(E))
    write("tcg2-capability", {R: b"\x24"}, call(TCG2, 0, THIS, at(R)))
    write("tcg2-capability-1-0", {R: b"\x1c"}, call(TCG2, 0, THIS, at(R)))
    write("tcg2-capability-bad", {}, call(TCG2, 0, THIS, BAD), call(TCG2, 0, THIS, WILD), call(TCG2, 0, NULL, at(R)))
    write("tcg2-measure", {**data, E: event(9, 0xD, b"text")}, measure, measure)
    write("tcg2-measure-logs", {**data, E: event(12, 6, struct.pack("<II", 7, 2) + b"hi")}, measure,
          call(TCG2, 1, THIS, small(2), at(R), at(R + 0x10), at(R + 0x20)), measure,
          call(TCG2, 1, THIS, small(1), at(R), at(R + 0x10), at(R + 0x20)))
    write("tcg2-extend-only", {**data, E: event(9, 0xD, b"")}, call(TCG2, 2, THIS, small(1), at(D), small(15), at(E)))
    write("tcg2-no-action", {**data, E: event(30, 3, b"note")}, measure)
    write("tcg2-imitation", {**data, E: event(8, 6, bytes.fromhex("6b4d4b4d") + bytes(60))}, measure)
    write("tcg2-size-wraps", {**data, E: event(9, 0xD, b"x", size=0xFFFFFFFF)}, measure)
    write("tcg2-header-wraps", {**data, E: event(9, 0xD, b"x", header=0xFFFFFFFC)}, measure)
    write("tcg2-size-short", {**data, E: event(9, 0xD, b"x", size=3)}, measure)
    write("tcg2-not-pe", {**data, E: event(4, 0x80000003, b"x")}, call(TCG2, 2, THIS, 0x44, at(D), small(15), at(E)))
    from_pe = (HERE.parent / "pe/plain.bin").read_bytes()
    write("tcg2-pe", {0: event(4, 0x80000003, b"x"), **{0xE0: struct.pack("<H", len(from_pe))}, 0x200: from_pe},
          call(TCG2, 2, THIS, 0x44, at(0x200), number(0), at(0)))
    write("tcg2-data-bad", {E: event(9, 0xD, b"x")}, call(TCG2, 2, THIS, NULL, BAD, small(15), at(E)),
          call(TCG2, 2, THIS, NULL, at(D), WILD, at(E)))
    read = struct.pack(">HIIIHBBBB", 0x8001, 20, 0x17E, 1, 0xB, 3, 0xFF, 0xFF, 0xFF)
    write("tcg2-submit-pcr-read", {**NUMBERS, D: read}, call(TCG2, 3, THIS, READ, at(D), ROOM, at(R)))
    extend = (struct.pack(">HIIIIIHBH", 0x8002, 0, 0x182, 9, 9, 0x40000009, 0, 0, 0)
              + struct.pack(">IH", 2, 0xB) + bytes(32) + struct.pack(">H", 4) + bytes(20))
    extend = extend[:2] + struct.pack(">I", len(extend)) + extend[6:]
    write("tcg2-submit-extend", {**NUMBERS, D: extend}, call(TCG2, 3, THIS, EXTEND, at(D), ROOM, at(R)))
    write("tcg2-submit-bad", {**NUMBERS, D: read}, call(TCG2, 3, THIS, READ, BAD, ROOM, at(R)),
          call(TCG2, 3, THIS, READ, at(D), ROOM, BAD), call(TCG2, 3, THIS, WILD, at(D), WILD, at(R)),
          call(TCG2, 3, THIS, READ, at(D), small(4), at(R)), call(TCG2, 3, THIS, LENGTH, at(D), ROOM, at(R)))
    write("tcg2-banks", {}, call(TCG2, 4, THIS, at(R)), call(TCG2, 5, THIS, small(3)), call(TCG2, 5, THIS, small(8)),
          call(TCG2, 6, THIS, at(R), at(R + 0x10)), call(TCG2, 6, THIS, BAD, WILD), call(TCG2, 4, THIS, WILD))


def make_others():
    raw = bytes.fromhex("f1a61ee34ca2274cb3f1f2d35d3ae2ab")
    path = bytes([4, 4, 10, 0]) + "x/\0".encode("utf-16-le") + bytes([1, 4, 20, 0]) + raw + bytes([0x7F, 0xFF, 4, 0])
    text = "words\n\tand \x1b[2J more\r\b\0".encode("utf-16-le")
    write("rng", {0: b"\x10", 0x100: raw, **NUMBERS}, call(RNG, 0, THIS, at(0), at(0x200)), call(RNG, 1, THIS, NULL, KIB, at(0x300)),
          call(RNG, 1, THIS, at(0x100), SIXTEEN, at(0x300)), call(RNG, 1, THIS, at(0x110), WILD, at(0x300)),
          call(RNG, 1, THIS, NULL, SIXTEEN, BAD), call(RNG, 0, THIS, NULL, NULL))
    write("console", {0: text}, call(OUT, 1, THIS, at(0)), call(OUT, 2, THIS, at(0)),
          call(OUT, 3, THIS, NULL, at(0x100), at(0x300)), call(OUT, 4, THIS, NULL), call(OUT, 5, THIS, small(7)),
          call(OUT, 6, THIS), call(OUT, 7, THIS, small(9), small(9)), call(OUT, 8, THIS, small(1)), call(OUT, 0, THIS))
    write("console-bad", {}, call(OUT, 1, THIS, BAD), call(OUT, 1, THIS, 0x03), call(OUT, 3, THIS, NULL, BAD, WILD),
          call(OUT, 4, THIS, WILD), call(OUT, 5, THIS, WILD), call(OUT, 7, THIS, WILD, WILD), call(OUT, 0, WILD))
    write("console-endless", {0: b"x\0" * 2048}, *[call(OUT, 1, THIS, at(0))] * 3)
    write("keys", {}, call(IN, 0, THIS), call(IN, 1, THIS, at(0)), call(IN, 1, THIS, BAD), call(IN_EX, 1, THIS, at(0)),
          call(IN_EX_MORE, 0, THIS, at(0)), call(IN_EX_MORE, 1, THIS, at(0), at(0), at(0x100)))
    write("path-to-text", {0: path}, call(TO_TEXT, 0, at(0)), call(TO_TEXT, 1, at(0), small(1), small(1)))
    write("path-to-text-bad", {0: path[:-4] + bytes([4, 4, 3, 0])}, call(TO_TEXT, 1, at(0)), call(TO_TEXT, 0, BAD),
          call(TO_TEXT, 1, 0x03), call(TO_TEXT, 1, WILD))
    end = bytes([0x7F, 0xFF, 4, 0])
    write("load-file2", {0: end, 0x100: b"\xff"}, call(LOAD_FILE2, 0, THIS, at(0), NULL, at(0x100), at(0x300)),
          call(LOAD_FILE2, 0, THIS, at(0), NULL, at(0x100), NULL))
    write("load-file2-bad", {0: end, 0x100: b"\1"}, call(LOAD_FILE2, 0, THIS, at(0), NULL, at(0x100), BAD),
          call(LOAD_FILE2, 0, THIS, at(0), small(1), at(0x100), at(0x300)), call(LOAD_FILE2, 0, THIS, BAD, NULL, WILD, WILD))


make_tcg2()
make_others()

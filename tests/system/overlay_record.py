# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a hop leaves for the next one in the variable MkexecOverlay, read without mkexec's own parser.

The layout is that of shim/handover/overlay-record.c.
"""

import struct

from tally import expect_equal

MAGIC = 0x564f4b4d
MAX_REGIONS = 32


def parse(state):
    """(regions as (start, pages), the overlay first; names that it hides)."""
    record = state.efivars["MkexecOverlay"][1]
    magic, _, _, n_regions, _ = struct.unpack_from("<IIQII", record)
    expect_equal("magic of MkexecOverlay", magic, MAGIC)
    regions = [struct.unpack_from("<QQ", record, 24 + 16 * i) for i in range(n_regions)]
    names, at = [], 24 + 16 * MAX_REGIONS
    while at < len(record):
        size = struct.unpack_from("<H", record, at)[0]
        names.append(record[at + 2:at + 2 + size].decode())
        at += 2 + size
    return regions, names

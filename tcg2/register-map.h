/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which register (PCR of the TPM) takes the events of which payload PCR, and which PCRs are closed:
 * design page, "Words". For load and predict (from --map, --close) and for open, close and the
 * ledger. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "eventlog/hop.h"

#define CLOSE_LIST_DEFAULT (1u << 11)

struct register_map {
        uint8_t reg[PCR_COUNT]; /* register of payload PCR i: one of HOP_REGISTERS */
};

/* All to PCR 8. */
void register_map_dedicated(struct register_map *ret);

/* Text: lines `payload-pcr register`, `#` starts a comment, blank lines don't count. Payload PCRs
 * that aren't named go to PCR 8. -EINVAL, the text names name:line: bad number, payload PCR above
 * 23 or named twice, a register that isn't one of HOP_REGISTERS (10 is IMA's, 16-23 can be reset).
 */
int register_map_parse(
                struct span text, const char *name, struct register_map *ret, struct error *error);
int register_map_read_file(const char *path, struct register_map *ret, struct error *error);

/* The registers in use as a mask: always with PCR 8. */
uint32_t register_map_mask(const struct register_map *map);

/* "11,12" or "none" to a mask; NULL is the default (11). -EINVAL with the word that is wrong: PCR
 * 10 and 16-23 can't be closed. */
int close_list_parse(const char *text, uint32_t *ret, struct error *error);

/* A PCR that is both a register and on the close list is a register: it gets open once, like any
 * other. These are the PCRs that are closed only: hop_open.close_list. */
static inline uint32_t register_map_only_closed(const struct register_map *map, uint32_t close)
{
        return close & ~register_map_mask(map);
}

/* All PCRs that get the open event. */
static inline uint32_t register_map_opened(const struct register_map *map, uint32_t close)
{
        return close | register_map_mask(map);
}

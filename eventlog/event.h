/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One event of a TCG event log as the rest of mkexec sees it, and the names of event types. Doesn't
 * read or write logs (parse.h, append.h) and doesn't judge events (explain.h, hop.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alg.h"
#include "base/span.h"

/* EFI's types don't fit an int; GNU C then makes all of them unsigned. */
enum event_type {
#define EVENT_TYPE_ROW(name, value) name = (value),
#include "eventlog/event-types.def"
#undef EVENT_TYPE_ROW
};

#define PCR_COUNT 24 /* PC Client TPMs: 0-15 static, 16 and 23 resettable, 17-22 DRTM */

struct tcg_event {
        uint32_t pcr;  /* 0-23; anything on EV_NO_ACTION (Windows writes 0xffffffff) */
        uint32_t type; /* EV_*; not bound by the digest, so trust it no further than the ledger does
                        */
        struct digests digests; /* of known algorithms only, in the event's own order; none on the
                                   header */
        struct span data;       /* into the log's bytes */
        size_t index;  /* 0 is the first record of the log, which is the header if there is one */
        size_t offset; /* of the record in the log, bytes */
        size_t size;   /* of the record, bytes */
};

/* "EV_IPL", or NULL if the specification has no such type. */
const char *event_type_name(uint32_t type);
/* The name, or "0x000000ff" written to text, which the caller provides. */
#define EVENT_TYPE_TEXT_SIZE 11
const char *event_type_text(uint32_t type, char text[EVENT_TYPE_TEXT_SIZE]);

/* The type of a name as above (not of a hexadecimal number); false if there is none. */
bool event_type_by_name(const char *name, uint32_t *ret);

/* Whether data is a TCG_PCClientTaggedEvent (PFP 10.4.2.1): u32 id, u32 size, and exactly size
 * bytes. */
bool event_tagged(struct span data, uint32_t *ret_id, struct span *ret_payload);

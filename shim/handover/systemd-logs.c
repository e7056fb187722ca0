/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/systemd-logs.h"

#include <errno.h>
#include <string.h>

#define MAGIC            "MKEXSYS1"
#define VERSION          1u
#define HEADER_BYTES     (8u + 4 + 4 + 4)
#define BOOT_BYTES       (4u + 4 + 8 + 4)
#define RECORD_SEPARATOR 0x1e

enum { INCOMPLETE = 1, CONTINUED = 2, LOST = 4, ALL_FLAGS = 7 };

uint64_t systemd_logs_bytes(const struct systemd_logs *logs)
{
        uint64_t bytes = HEADER_BYTES;

        for (size_t i = 0; i < logs->n; i++)
                bytes += BOOT_BYTES + logs->boot[i].log.size;
        return bytes;
}

void systemd_logs_put(const struct systemd_logs *logs, struct buf *ret)
{
        buf_put(ret, MAGIC, 8);
        buf_put_u32(ret, VERSION);
        buf_put_u32(ret, logs->for_boot);
        buf_put_u32(ret, (uint32_t)logs->n);
        for (size_t i = 0; i < logs->n; i++) {
                const struct systemd_boot *b = &logs->boot[i];

                buf_put_u32(ret, b->boot);
                buf_put_u32(ret, (b->incomplete ? INCOMPLETE : 0u) |
                                                 (b->continued ? CONTINUED : 0u) |
                                                 (b->lost ? LOST : 0u));
                buf_put_u64(ret, b->left_out);
                buf_put_u32(ret, (uint32_t)b->log.size);
                buf_put_span(ret, b->log);
        }
}

static bool take_boot(struct cursor *c, uint32_t after, uint32_t for_boot, struct systemd_boot *ret)
{
        uint32_t flags, size;

        if (!cursor_u32(c, &ret->boot) || !cursor_u32(c, &flags) ||
                        !cursor_u64(c, &ret->left_out) || !cursor_u32(c, &size) ||
                        !cursor_take(c, size, &ret->log))
                return false;
        ret->incomplete = flags & INCOMPLETE;
        ret->continued = flags & CONTINUED;
        ret->lost = flags & LOST;
        return !(flags & ~(uint32_t)ALL_FLAGS) && ret->boot > after && ret->boot < for_boot &&
               ret->boot <= CHAIN_BOOTS_MAX && ret->left_out <= INT64_MAX &&
               !(ret->lost && (flags != LOST || size > 0 || ret->left_out > 0));
}

int systemd_logs_parse(struct span bytes, struct systemd_logs *ret, struct error *error)
{
        struct cursor c = CURSOR(bytes);
        struct systemd_logs logs = {0};
        uint32_t version, n, after = 0;
        struct span magic;

        if (!cursor_take(&c, 8, &magic) || memcmp(magic.data, MAGIC, 8) != 0 ||
                        !cursor_u32(&c, &version))
                return error_set(error, EBADMSG, "not logs of systemd that mkexec carried");
        if (version != VERSION)
                return error_set(error, EBADMSG,
                                "logs of systemd in version %u, which is another mkexec's",
                                version);
        if (!cursor_u32(&c, &logs.for_boot) || logs.for_boot < 2 || !cursor_u32(&c, &n) ||
                        n > CHAIN_BOOTS_MAX)
                return error_set(error, EBADMSG, "logs of systemd with a malformed header");
        for (; logs.n < n; logs.n++) {
                if (!take_boot(&c, after, logs.for_boot, &logs.boot[logs.n]))
                        return error_set(error, EBADMSG,
                                        "number %zu of the logs of systemd is malformed", logs.n);
                after = logs.boot[logs.n].boot;
        }
        if (cursor_left(&c) != 0)
                return error_set(error, EBADMSG, "something stands behind the logs of systemd");
        *ret = logs;
        return 0;
}

/* The end of the record that byte n - 1 is in: where what is left begins. */
static size_t next_record(struct span log, size_t n)
{
        bool sequence = log.data[0] == RECORD_SEPARATOR;
        size_t from = sequence ? n : n - 1;
        const uint8_t *found = from < log.size ? memchr(log.data + from,
                                                                 sequence ? RECORD_SEPARATOR : '\n',
                                                                 log.size - from)
                                               : NULL;

        return found ? (size_t)(found - log.data) + !sequence : log.size;
}

int systemd_logs_cut(struct systemd_logs *logs, uint64_t room, struct error *error)
{
        uint64_t bytes = systemd_logs_bytes(logs);

        for (size_t i = 0; i < logs->n && bytes > room; i++) {
                struct systemd_boot *b = &logs->boot[i];
                size_t drop = b->log.size;

                if (drop == 0)
                        continue;
                if (bytes - room < drop)
                        drop = next_record(b->log, (size_t)(bytes - room));
                b->log = SPAN(b->log.data + drop, b->log.size - drop);
                b->left_out += drop;
                bytes -= drop;
        }
        return bytes > room ? error_set(error, ENOSPC, "no room for the logs of systemd") : 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/carried-log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alg.h"
#include "base/cleanup.h"

#define PAGE          4096u
#define FILE_MAGIC    "MKEXLOG1"
#define FILE_VERSION  2u /* 1 had one log of systemd */
#define FILE_OVERHEAD (8u + 4 + 8 + 32 + 4 + 4)
/* "newc" headers (Documentation/driver-api/early-userspace/buffer-format.rst) with short names */
#define CPIO_OVERHEAD     (3u * (110 + 16))
#define CPIO_DIRECTORY    040700u
#define CPIO_REGULAR_FILE 0100400u

uint64_t carried_log_room(uint64_t log_bytes, uint64_t systemd_logs_bytes)
{
        uint64_t bytes = CPIO_OVERHEAD + FILE_OVERHEAD + log_bytes + systemd_logs_bytes + 4;

        return (bytes + PAGE - 1) / PAGE * PAGE;
}

static void pad(struct buf *b)
{
        buf_put_zeros(b, (4 - b->size % 4) % 4);
}

/* ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize,
 * check */
static void put_entry(
                struct buf *b, unsigned inode, unsigned mode, const char *name, struct span data)
{
        char header[111];

        snprintf(header, sizeof(header),
                        "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", inode, mode,
                        0u, 0u, 1u, 0u, (unsigned)data.size, 0u, 0u, 0u, 0u,
                        (unsigned)strlen(name) + 1, 0u);
        buf_put(b, header, 110);
        buf_put(b, name, strlen(name) + 1);
        pad(b);
        buf_put_span(b, data);
        pad(b);
}

int carried_log_put_archive(
                const struct carried_log *log, uint64_t room, struct buf *ret, struct error *error)
{
        _cleanup_buf_ struct buf file = {0};

        if (log->log.size > UINT32_MAX / 2 || log->systemd_logs.size > UINT32_MAX / 2)
                return error_set(error, EFBIG, "the event log is too long");
        buf_put(&file, FILE_MAGIC, 8);
        buf_put_u32(&file, FILE_VERSION);
        buf_put_u64(&file, log->base_bytes);
        buf_put(&file, log->base_sha256, 32);
        buf_put_u32(&file, (uint32_t)log->log.size);
        buf_put_span(&file, log->log);
        buf_put_u32(&file, (uint32_t)log->systemd_logs.size);
        buf_put_span(&file, log->systemd_logs);
        if (buf_failed(&file))
                return error_set(error, ENOMEM, "out of memory");
        put_entry(ret, 1, CPIO_DIRECTORY, ".mkexec", SPAN(NULL, 0));
        put_entry(ret, 2, CPIO_REGULAR_FILE, CARRIED_LOG_PATH + 1, buf_span(&file));
        put_entry(ret, 0, 0, "TRAILER!!!", SPAN(NULL, 0));
        if (buf_failed(ret))
                return error_set(error, ENOMEM, "out of memory");
        if (ret->size > room)
                return error_set(error, ENOSPC,
                                "the event log needs %zu bytes before the initrd, there is room "
                                "for %llu: load again",
                                ret->size, (unsigned long long)room);
        buf_put_zeros(ret, room - ret->size);
        return buf_failed(ret) ? error_set(error, ENOMEM, "out of memory") : 0;
}

int carried_log_parse(struct span file, struct carried_log *ret, struct error *error)
{
        struct cursor c = CURSOR(file);
        uint32_t version, log_bytes, systemd_bytes;
        struct span magic, sha256;
        struct carried_log log;

        if (!cursor_take(&c, 8, &magic) || memcmp(magic.data, FILE_MAGIC, 8) != 0 ||
                        !cursor_u32(&c, &version) || version != FILE_VERSION)
                return error_set(error, EBADMSG, "not a log that mkexec left there");
        if (!cursor_u64(&c, &log.base_bytes) || !cursor_take(&c, 32, &sha256) ||
                        !cursor_u32(&c, &log_bytes) || !cursor_take(&c, log_bytes, &log.log) ||
                        !cursor_u32(&c, &systemd_bytes) ||
                        !cursor_take(&c, systemd_bytes, &log.systemd_logs) || cursor_left(&c) != 0)
                return error_set(error, EBADMSG, "a log that isn't whole");
        memcpy(log.base_sha256, sha256.data, 32);
        *ret = log;
        return 0;
}

bool carried_log_continues(const struct carried_log *log, struct span base)
{
        uint8_t sha256[32];

        return log->base_bytes == base.size && hash_sha256(base, sha256) == 0 &&
               memcmp(sha256, log->base_sha256, 32) == 0;
}

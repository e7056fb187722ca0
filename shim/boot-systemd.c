/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/boot-systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/efi-types.h"
#include "shim/boot-phases.h"
#include "shim/handover/overlay.h"
#include "shim/progress.h"

#define LOG_PATH      "/run/log/systemd/tpm2-measure.log"
#define LOG_MAX_BYTES (16u * 1024 * 1024)
/* For what is measured between load and exec: 60 records of four banks each. */
#define ROOM_TO_GROW (64u * 1024)

void boot_systemd_release(struct boot_systemd *systemd)
{
        buf_release(&systemd->past);
        buf_release(&systemd->running);
        closep(&systemd->lock);
        *systemd = BOOT_SYSTEMD_NONE;
}

/* ---- what boots before handed on ---- */

struct places {
        const char *sysfs_root;
        const struct state_dir *state;
        struct span kernel_log;
};

static int read_state(const struct places *p, struct buf *ret, struct error *error)
{
        if (!p->state || !state_has(p->state, STATE_SYSTEMD))
                return -ENOENT;
        return state_read(p->state, STATE_SYSTEMD, 2 * SYSTEMD_LOGS_MAX_BYTES, ret, error);
}

static int read_initrd(const struct places *p, struct buf *ret, struct error *error)
{
        return boot_log_read_systemd_logs(p->state, p->kernel_log, ret, error);
}

void boot_systemd_variable(const char *sysfs_root, char ret[BOOT_SYSTEMD_VARIABLE_SIZE])
{
        char vendor[GUID_TEXT_SIZE];

        guid_to_text(&guid_mkexec, vendor);
        snprintf(ret, BOOT_SYSTEMD_VARIABLE_SIZE, "%s/firmware/efi/efivars/%s-%s", sysfs_root,
                        OVERLAY_SYSTEMD_VARIABLE, vendor);
}

/* The overlay's variables are volatile: any other is somebody's who wrote it into the firmware. */
static int read_variable(const struct places *p, struct buf *ret, struct error *error)
{
        _cleanup_buf_ struct buf file = {0};
        char path[BOOT_SYSTEMD_VARIABLE_SIZE];
        uint32_t attributes;
        struct cursor c;
        int r;

        boot_systemd_variable(p->sysfs_root, path);
        r = buf_read_file(path, 4 + SYSTEMD_LOGS_MAX_BYTES, &file, error);
        if (r < 0)
                return r == -ENOTDIR ? -ENOENT : r;
        c = CURSOR(buf_span(&file));
        if (!cursor_u32(&c, &attributes) || attributes & EFI_VARIABLE_NON_VOLATILE)
                return error_set(error, EBADMSG, "EFI variable %s isn't of mkexec's overlay",
                                OVERLAY_SYSTEMD_VARIABLE);
        buf_put(ret, file.data + 4, file.size - 4);
        return buf_failed(ret) ? error_set(error, ENOMEM, "out of memory") : 0;
}

static int take(const struct boot_systemd *systemd, struct span bytes, struct systemd_logs *ret,
                struct error *error)
{
        struct systemd_logs logs;
        int r = systemd_logs_parse(bytes, &logs, error);

        if (r < 0)
                return r;
        if (logs.for_boot != systemd->boot)
                return error_set(error, EBADMSG,
                                "they were handed to boot %u, and the event log says that this is "
                                "boot %u",
                                logs.for_boot, systemd->boot);
        *ret = logs;
        return 0;
}

static void mark_lost(struct boot_systemd *systemd)
{
        struct systemd_logs *logs = &systemd->logs;

        for (uint32_t boot = 1; boot < systemd->boot && boot <= CHAIN_BOOTS_MAX; boot++)
                logs->boot[logs->n++] = (struct systemd_boot){.boot = boot, .lost = true};
}

/* The first place that has those for this boot. After a hop by kexec_file_load the variable of an
 * earlier hop is still seen, and is another boot's. */
static int read_past(const struct places *p, struct boot_systemd *systemd, struct error *error)
{
        static int (*const readers[])(const struct places *p, struct buf *ret,
                        struct error *error) = {read_state, read_initrd, read_variable};
        struct error reason = {"the boot before left none"};

        if (systemd->boot == 1)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
                struct error why = {{0}};
                int r;

                buf_release(&systemd->past);
                r = readers[i](p, &systemd->past, &why);
                if (r == -ENOENT)
                        continue;
                if (r == -ENOMEM)
                        return error_set(error, ENOMEM, "out of memory");
                if (r == 0)
                        r = take(systemd, buf_span(&systemd->past), &systemd->logs, &why);
                if (r == 0)
                        return 0;
                reason = why;
        }
        buf_release(&systemd->past);
        progress_warn("systemd's logs of the boots before this one are lost: %s", reason.text);
        mark_lost(systemd);
        return 0;
}

/* ---- the running system's ---- */

/* How much of the file is the log of the boots just before this one: whose hops were aborted. */
static uint64_t bytes_of_past(const struct boot_systemd *systemd)
{
        const struct systemd_boot *boot = systemd->logs.boot + systemd->logs.n;
        uint64_t bytes = 0;

        for (uint32_t before = systemd->boot; boot > systemd->logs.boot; boot--) {
                if (!boot[-1].continued || boot[-1].boot != --before)
                        break;
                bytes += boot[-1].left_out + boot[-1].log.size;
        }
        return bytes;
}

static void add_running(struct boot_systemd *systemd, mode_t mode)
{
        uint64_t past = bytes_of_past(systemd), size = systemd->running.size;
        struct systemd_boot boot = {.boot = systemd->boot};

        /* set while systemd extends, so left behind by a writer that died (tpm2-util.c) */
        boot.incomplete = S_ISREG(mode) && (mode & S_ISVTX);
        if (!span_sub(buf_span(&systemd->running), past, past <= size ? size - past : 0,
                            &boot.log)) {
                boot.log = buf_span(&systemd->running);
                boot.incomplete = true; /* it became shorter: not the file that the past is from */
        }
        if (boot.log.size == 0 && !boot.incomplete)
                return;
        if (boot.boot > CHAIN_BOOTS_MAX)
                progress_warn("systemd's log of boot %u is one too many to be kept", boot.boot);
        else
                systemd->logs.boot[systemd->logs.n++] = boot;
}

const char *boot_systemd_path(void)
{
        const char *path = getenv("SYSTEMD_MEASURE_LOG_USERSPACE"); /* as systemd-pcrlock has it */

        return path && path[0] == '/' ? path : LOG_PATH;
}

/* systemd before 255 measured and wrote nothing down. What is found are only the records since an
 * aborted hop: there is no file of which the past would be a part. */
static int find_phases(struct boot_systemd *systemd, const char *sysfs_root, struct span log,
                struct error *error)
{
        struct systemd_logs *logs = &systemd->logs;
        struct chain chain;
        int r;

        boot_systemd_chain(systemd, log, &chain);
        r = boot_phases_find(sysfs_root, &chain, &systemd->running, error);
        if (r == 0 && systemd->running.size > 0 && systemd->boot <= CHAIN_BOOTS_MAX)
                logs->boot[logs->n++] = (struct systemd_boot){
                                .boot = systemd->boot, .log = buf_span(&systemd->running)};
        return r;
}

/* Writers hold the lock while they extend and append (systemd, tpm2-util.c). */
static int read_running(struct boot_systemd *systemd, const char *sysfs_root, struct span log,
                struct error *error)
{
        const char *path = boot_systemd_path();
        struct stat st;
        int r;

        systemd->lock = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (systemd->lock < 0 && errno == ENOENT)
                return find_phases(systemd, sysfs_root, log, error);
        if (systemd->lock < 0)
                return error_set(error, errno, "can't open %s: %m", path);
        if (flock(systemd->lock, LOCK_SH) < 0)
                return error_set(error, errno, "can't lock %s: %m", path);
        r = buf_read_fd(systemd->lock, LOG_MAX_BYTES, &systemd->running);
        if (r < 0)
                return error_set(error, -r, "can't read %s: %s", path, strerror(-r));
        if (fstat(systemd->lock, &st) < 0)
                return error_set(error, errno, "can't stat %s: %m", path);
        add_running(systemd, st.st_mode);
        return 0;
}

int boot_systemd_read(const char *sysfs_root, const struct state_dir *state, struct span log,
                const struct boot_log_parts *parts, struct boot_systemd *ret, struct error *error)
{
        _cleanup_(boot_systemd_release) struct boot_systemd systemd = BOOT_SYSTEMD_NONE;
        struct places places = {sysfs_root, state, SPAN(log.data, parts->kernel)};
        int r;

        systemd.boot = log.size > 0 ? (uint32_t)chain_boots(log) : 1;
        r = read_past(&places, &systemd, error);
        if (r == 0)
                r = read_running(&systemd, sysfs_root, log, error);
        if (r < 0)
                return r;
        systemd.logs.for_boot = systemd.boot + 1;
        *ret = systemd;
        systemd = BOOT_SYSTEMD_NONE;
        return 0;
}

void boot_systemd_chain(const struct boot_systemd *systemd, struct span firmware, struct chain *ret)
{
        *ret = (struct chain){.firmware = firmware};
        for (size_t i = 0; i < systemd->logs.n; i++) {
                const struct systemd_boot *boot = &systemd->logs.boot[i];

                ret->systemd[boot->boot - 1] = boot->log;
                ret->n_systemd = boot->boot;
        }
}

/* ---- handing on ---- */

uint32_t boot_systemd_room(const struct boot_systemd *systemd)
{
        uint64_t room = systemd_logs_bytes(&systemd->logs) + ROOM_TO_GROW;

        return room < SYSTEMD_LOGS_MAX_BYTES ? (uint32_t)room : SYSTEMD_LOGS_MAX_BYTES;
}

/* The record of this boot, without which nobody could tell what of the file was measured before the
 * hop. */
static struct systemd_boot *this_boot(struct boot_systemd *systemd)
{
        struct systemd_logs *logs = &systemd->logs;

        if (systemd->boot > CHAIN_BOOTS_MAX)
                return NULL;
        if (logs->n == 0 || logs->boot[logs->n - 1].boot != systemd->boot)
                logs->boot[logs->n++] = (struct systemd_boot){.boot = systemd->boot};
        return &logs->boot[logs->n - 1];
}

static int remember(const struct boot_systemd *systemd, const struct state_dir *state,
                struct error *error)
{
        struct boot_systemd copy = *systemd; /* its bytes stay the other's */
        struct systemd_boot *boot = this_boot(&copy);
        _cleanup_buf_ struct buf bytes = {0};

        if (!boot)
                return 0; /* nobody asks for so many boots' */
        boot->continued = true;
        systemd_logs_put(&copy.logs, &bytes);
        return buf_failed(&bytes) ? error_set(error, ENOMEM, "out of memory")
                                  : state_write(state, STATE_SYSTEMD_NEXT, buf_span(&bytes), error);
}

int boot_systemd_hand_on(struct boot_systemd *systemd, const struct state_dir *state, uint64_t room,
                struct buf *ret, struct error *error)
{
        uint64_t before[CHAIN_BOOTS_MAX];
        struct systemd_logs *logs = &systemd->logs;
        int r;

        for (size_t i = 0; i < logs->n; i++)
                before[i] = logs->boot[i].left_out;
        r = systemd_logs_cut(logs, room, error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < logs->n; i++)
                if (logs->boot[i].left_out > before[i])
                        progress_warn("the oldest %llu bytes of systemd's log of boot %u don't fit "
                                      "and stay behind: no log explains the PCRs of their records "
                                      "from here on",
                                        (unsigned long long)(logs->boot[i].left_out - before[i]),
                                        logs->boot[i].boot);
        systemd_logs_put(logs, ret);
        if (buf_failed(ret))
                return error_set(error, ENOMEM, "out of memory");
        return remember(systemd, state, error);
}

int boot_systemd_aborted(const struct state_dir *state, struct error *error)
{
        _cleanup_buf_ struct buf bytes = {0};
        int r;

        if (!state_has(state, STATE_SYSTEMD_NEXT))
                return 0;
        r = state_read(state, STATE_SYSTEMD_NEXT, 2 * SYSTEMD_LOGS_MAX_BYTES, &bytes, error);
        if (r == 0)
                r = state_write(state, STATE_SYSTEMD, buf_span(&bytes), error);
        return r < 0 ? r : state_remove(state, STATE_SYSTEMD_NEXT);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/boot-log.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "eventlog/append.h"
#include "eventlog/parse.h"
#include "shim/handover/boot-params.h"
#include "shim/handover/carried-log.h"
#include "shim/handover/sysfs.h"
#include "shim/progress.h"

#define SECURITYFS "/sys/kernel/security"
#define LOG_PATH   SECURITYFS "/tpm0/binary_bios_measurements"

const char *boot_log_path(void)
{
        /* as systemd-pcrlock has it; for tests and unusual mounts */
        const char *path = getenv("SYSTEMD_MEASURE_LOG_FIRMWARE");

        return path && path[0] == '/' ? path : LOG_PATH;
}

/* A kernel without a log doesn't even make the folder tpm0; that is no answer where securityfs,
 * which every kernel with a TPM driver has, isn't mounted. */
static int check_mounted(struct error *error)
{
        struct statfs fs;

        if (strcmp(boot_log_path(), LOG_PATH) != 0)
                return 0;
        if (statfs(SECURITYFS, &fs) == 0 && fs.f_type == SECURITYFS_MAGIC)
                return 0;
        return error_set(error, ENXIO,
                        "securityfs isn't mounted at " SECURITYFS
                        ": whether there is a TPM event log can't be seen");
}

/* ---- what the boot before left ---- */

/* /run/mkexec survives switch_root, the initrd's own folder doesn't. -ENOENT: neither is there;
 * -EACCES: only root can tell. */
static int read_carried(const struct state_dir *state, struct buf *ret, struct error *error)
{
        if (state && state_has(state, STATE_CARRIED))
                return state_read(state, STATE_CARRIED, BOOT_LOG_MAX_BYTES, ret, error);
        return buf_read_file(CARRIED_LOG_PATH, BOOT_LOG_MAX_BYTES, ret, error);
}

bool boot_log_is_carried(const struct state_dir *state)
{
        return (state && state_has(state, STATE_CARRIED)) || access(CARRIED_LOG_PATH, R_OK) == 0;
}

/* *ret points into *file. -EBADMSG: it isn't one of this log. */
static int take_carried(const struct state_dir *state, struct span kernel, struct buf *file,
                struct carried_log *ret, struct error *error)
{
        int r = read_carried(state, file, error);

        if (r == 0)
                r = carried_log_parse(buf_span(file), ret, error);
        if (r == 0 && !carried_log_continues(ret, kernel))
                r = error_set(error, EBADMSG, "it continues another log than this kernel's");
        return r;
}

int boot_log_read_systemd_logs(const struct state_dir *state, struct span kernel, struct buf *ret,
                struct error *error)
{
        _cleanup_buf_ struct buf file = {0};
        struct carried_log carried;
        int r = take_carried(state, kernel, &file, &carried, error);

        if (r < 0)
                return r;
        buf_put_span(ret, carried.systemd_logs);
        return buf_failed(ret) ? error_set(error, ENOMEM, "out of memory") : 0;
}

/* Appends the continuation, if the file is one of this log. */
static void put_carried(const struct state_dir *state, struct span kernel, struct buf *ret)
{
        _cleanup_buf_ struct buf file = {0};
        struct error error = {{0}};
        struct carried_log carried;
        int r = take_carried(state, kernel, &file, &carried, &error);

        if (r == -ENOENT || r == -EACCES)
                return;
        if (r < 0)
                progress_warn("the log that the boot before left is left out: %s", error.text);
        else
                buf_put_span(ret, carried.log);
}

static bool explains_registers(struct span log, struct tpm *tpm)
{
        _cleanup_hop_verdict_ struct hop_verdict verdict = {0};
        struct error ignored;
        struct banks banks;

        return tpm_active_banks(tpm, &banks, &ignored) == 0 &&
               boot_log_check(log, tpm, &banks, 0, &verdict, &ignored) == 0;
}

/* The log with the part between [from, to) taken out, if that explains the TPM and the whole one
 * doesn't: somebody else's file then, not this boot's. */
static void drop_carried(struct tpm *tpm, size_t from, size_t to, struct buf *log)
{
        _cleanup_buf_ struct buf without = {0};

        buf_put(&without, log->data, from);
        buf_put(&without, log->data + to, log->size - to);
        if (buf_failed(&without) || buf_failed(log) || explains_registers(buf_span(log), tpm) ||
                        !explains_registers(buf_span(&without), tpm))
                return;
        progress_warn("the log that the boot before left is left out: it tells of what PCR %d "
                      "hasn't seen",
                        HOP_PCR);
        buf_release(log);
        *log = without;
        without = (struct buf){0};
}

/* ---- all of it ---- */

static int put_kernel_log(struct buf *ret, struct error *error)
{
        _cleanup_buf_ struct buf firmware = {0};
        size_t used = 0;
        int r = buf_read_file(boot_log_path(), BOOT_LOG_MAX_BYTES, &firmware, error);

        if (r < 0)
                return r == -ENOENT ? check_mounted(error) : r;
        if (firmware.size > 0) {
                r = event_log_trim(buf_span(&firmware), &used, error);
                if (r < 0)
                        return error_prefix(error, r, "%s", boot_log_path());
        }
        buf_put(ret, firmware.data, used);
        return 0;
}

int boot_log_read(const struct state_dir *state, struct tpm *tpm, struct buf *ret,
                struct boot_log_parts *parts, struct error *error)
{
        _cleanup_buf_ struct buf log = {0}, aborted = {0};
        size_t kernel, joined;
        int r = put_kernel_log(&log, error);

        if (r < 0)
                return r;
        kernel = log.size;
        put_carried(state, buf_span(&log), &log);
        joined = log.size;
        if (state && state_has(state, STATE_ABORTED)) {
                r = state_read(state, STATE_ABORTED, BOOT_LOG_MAX_BYTES, &aborted, error);
                if (r < 0)
                        return r;
                buf_put_span(&log, buf_span(&aborted));
        }
        if (tpm && joined > kernel)
                drop_carried(tpm, kernel, joined, &log);
        if (parts)
                *parts = (struct boot_log_parts){
                                kernel, log.size - aborted.size - kernel, aborted.size};
        buf_put_span(ret, buf_span(&log));
        return buf_failed(&log) || buf_failed(ret) ? error_set(error, ENOMEM, "out of memory") : 0;
}

int boot_log_lacks_this_boot(const char *sysfs_root, const struct boot_log_parts *parts)
{
        _cleanup_buf_ struct buf page = {0};
        struct boot_params_host host;
        int r;

        if (parts->carried > 0)
                return 0; /* a hop by kexec_file_load */
        r = sysfs_read(&page, 2 * BOOT_PARAMS_SIZE, NULL, sysfs_root, "kernel/boot_params/data");
        if (r < 0)
                return r;
        boot_params_of_host(buf_span(&page), &host);
        return host.by_kexec;
}

int boot_log_check(struct span log, struct tpm *tpm, const struct banks *banks, uint32_t registers,
                struct hop_verdict *verdict, struct error *error)
{
        struct replay values;
        int r = tpm_pcr_read(tpm, banks, 0xffff, &values, error);

        if (r < 0)
                return r;
        r = hop_check(log, &values, verdict, error);
        if (r < 0)
                return r;
        if (!verdict->hops_ok) {
                *error = verdict->reason;
                return -EBADMSG;
        }
        for (size_t b = 0; b < verdict->replay.banks.n; b++) {
                uint32_t wrong = verdict->differs[b] &
                                 (verdict->registers | registers | 1u << HOP_PCR);

                if (!(verdict->compared[b] & 1u << HOP_PCR))
                        return error_set(error, EBADMSG,
                                        "bank %s of the event log can't be compared with the TPM",
                                        verdict->replay.banks.alg[b]->name);
                for (unsigned pcr = 0; pcr < 16; pcr++)
                        if (wrong & 1u << pcr)
                                return error_set(error, EBADMSG,
                                                "PCR %u (%s) isn't what the event log says: "
                                                "something "
                                                "outside of the log extended it",
                                                pcr, verdict->replay.banks.alg[b]->name);
        }
        return 0;
}

int boot_log_check_banks(struct span log, const struct banks *active, bool accept,
                struct banks *ret, struct error *left_out, struct error *error)
{
        struct event_log parsed;
        int r = event_log_open(&parsed, log, error);

        left_out->text[0] = '\0';
        if (r < 0)
                return r;
        if (!parsed.agile)
                return error_set(error, EPROTO,
                                "the firmware's event log is a SHA-1 log and can't hold the TPM's "
                                "banks");
        for (size_t i = 0; i < parsed.n_declared; i++)
                if (!banks_have(active, parsed.declared[i].id))
                        return error_set(error, EPROTO,
                                        "the event log's header declares algorithm 0x%04x, which "
                                        "is no active "
                                        "bank of the TPM: events can't be written into this log",
                                        parsed.declared[i].id);
        for (size_t b = 0; b < active->n; b++) {
                const char *name = active->alg[b]->name;

                if (banks_have(&parsed.banks, active->alg[b]->id))
                        continue;
                error_set(left_out, EPROTO,
                                "bank %s is active in the TPM but not in the event log's header",
                                name);
                if (!accept)
                        return error_set(error, EPROTO,
                                        "%s: the second kernel's log couldn't prove it "
                                        "(--accept-log-gaps to go on)",
                                        left_out->text);
        }
        *ret = parsed.banks;
        return 0;
}

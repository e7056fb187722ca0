/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/log-sources.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/boot-log.h"
#include "shim/boot-systemd.h"
#include "shim/mapped-file.h"
#include "shim/progress.h"

/* Files of people may be larger than what a kernel shows: ten million events are about a GiB. */
#define LOG_FILE_MAX_BYTES ((size_t)4 << 30)

void log_source_release(struct log_source *source)
{
        buf_release(&source->read);
        mapped_file_close(source->mapped);
        free(source->own_name);
        *source = (struct log_source){0};
}

const char *log_source_lacks(const struct log_source *source)
{
        if (source->lost)
                return "lacks all records: they didn't come along over a hop";
        if (source->cut)
                return "lacks its oldest records: they didn't fit at a hop";
        if (source->incomplete)
                return "may lack a record: whoever measured last didn't finish";
        return NULL;
}

void log_sources_release(struct log_sources *sources)
{
        for (size_t i = 0; i < sources->n; i++)
                log_source_release(&sources->source[i]);
        free(sources->source);
        *sources = (struct log_sources){0};
}

/* JSON isn't read from a mapping: its reader trusts what it has checked. */
static bool map_open(int fd, struct log_source *source)
{
        enum log_kind kind;

        if (!mapped_file_open(fd, source->name, &source->mapped))
                return false;
        kind = log_kind_of(source->mapped);
        if (kind != LOG_SYSTEMD && kind != LOG_CEL_JSON)
                return true;
        mapped_file_close(source->mapped);
        source->mapped = SPAN(NULL, 0);
        return false;
}

static int read_open(int fd, struct log_source *source, struct error *error)
{
        struct stat st;
        int r;

        if (map_open(fd, source)) {
                source->bytes = source->mapped;
        } else {
                r = buf_read_fd(fd, LOG_FILE_MAX_BYTES, &source->read);
                if (r < 0)
                        return error_set(
                                        error, -r, "can't read %s: %s", source->name, strerror(-r));
                source->bytes = buf_span(&source->read);
        }
        if (fstat(fd, &st) >= 0)
                source->incomplete = S_ISREG(st.st_mode) && (st.st_mode & S_ISVTX);
        return 0;
}

static int read_file(const char *path, struct log_source *source, struct error *error)
{
        bool standard = strcmp(path, "-") == 0;
        _cleanup_close_ int fd = standard ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        source->name = standard ? "standard input" : path;
        if (!standard && fd < 0)
                return error_set(error, errno, "can't open %s: %m", path);
        return read_open(standard ? STDIN_FILENO : fd, source, error);
}

static const char *place(const char *variable, const char *otherwise)
{
        const char *path = getenv(variable);

        return path && path[0] == '/' ? path : otherwise;
}

static int machine_firmware(const struct state_dir *state, struct tpm *tpm,
                struct log_source *source, struct boot_log_parts *parts, struct error *error)
{
        _cleanup_(tpm_freep) struct tpm *own = NULL;
        int r;

        source->name = "this boot's event log";
        if (!tpm && boot_log_is_carried(state) && tpm_esys_open(NULL, &own, error) < 0)
                progress_warn("the log that the boot before left can't be compared with the TPM: "
                              "%s",
                                error->text);
        r = boot_log_read(state, tpm ?: own, &source->read, parts, error);
        source->bytes = buf_span(&source->read);
        return r;
}

/* Which part of what, in words. */
static char *name_of_boot(const struct boot_systemd *systemd, const struct systemd_boot *boot)
{
        _cleanup_buf_ struct buf name = {0};

        buf_format(&name, "systemd's log of boot %u", boot->boot);
        if (boot->continued)
                buf_format(&name, ", until its hop was aborted");
        else if (boot->boot < systemd->boot)
                buf_format(&name, boot->lost ? ", lost on the way" : ", carried over the hop");
        else
                buf_format(&name, " (%s)", boot_systemd_path());
        buf_put_u8(&name, 0);
        return buf_failed(&name) ? NULL : strdup((const char *)name.data);
}

static int put_systemd(const struct boot_systemd *systemd, const struct systemd_boot *boot,
                struct log_source *source, struct error *error)
{
        source->own_name = name_of_boot(systemd, boot);
        source->name = source->own_name;
        source->kind = LOG_SYSTEMD;
        source->boot = boot->boot;
        source->incomplete = boot->incomplete;
        source->lost = boot->lost;
        source->cut = boot->left_out > 0;
        buf_put_span(&source->read, boot->log);
        source->bytes = buf_span(&source->read);
        return !source->name || buf_failed(&source->read)
                               ? error_set(error, ENOMEM, "out of memory")
                               : 0;
}

static int machine_systemd(const struct state_dir *state, struct span log,
                const struct boot_log_parts *parts, struct log_sources *sources,
                struct error *error)
{
        _cleanup_(boot_systemd_release) struct boot_systemd systemd = BOOT_SYSTEMD_NONE;
        int r = boot_systemd_read("/sys", state, log, parts, &systemd, error);

        for (size_t i = 0; r == 0 && i < systemd.logs.n; i++)
                r = put_systemd(&systemd, &systemd.logs.boot[i], &sources->source[sources->n++],
                                error);
        return r;
}

static int machine_ima(struct log_source *source, struct error *error)
{
        int r = read_file(place("MKEXEC_IMA_LIST",
                                          "/sys/kernel/security/ima/binary_runtime_measurements"),
                        source, error);

        return r == -ENOENT ? 0 : r;
}

/* Aborted hops of this boot are in /run/mkexec, which not everybody may read. */
static const struct state_dir *open_state(struct state_dir *dir)
{
        state_open_read(dir, NULL);
        return dir->fd >= 0 ? dir : NULL;
}

int log_source_read(const char *path, struct log_source *ret, struct error *error)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        int r = path ? read_file(path, ret, error)
                     : machine_firmware(open_state(&dir), NULL, ret, NULL, error);

        if (r < 0)
                return r;
        if (!path && ret->bytes.size == 0)
                return error_set(error, ENOENT, "this kernel has no TPM event log");
        ret->kind = log_kind_of(ret->bytes);
        return 0;
}

/* Firmware's, systemd's of each boot, IMA's. */
#define MACHINE_LOGS_MAX (1 + CHAIN_BOOTS_MAX + 1)

/* Takes away what there is none of. */
static void drop_empty(struct log_sources *sources, size_t i)
{
        if (sources->source[i].bytes.size > 0)
                return;
        log_source_release(&sources->source[i]);
        sources->n--;
        for (; i < sources->n; i++)
                sources->source[i] = sources->source[i + 1];
}

/* A part that can't be read, where that is no error. */
static int leave_out(struct log_source *source, int r, const char *name, const struct error *error)
{
        if (r == -ENOMEM || r >= 0)
                return r;
        if (source)
                log_source_release(source);
        progress_warn("%s is left out: %.400s", name, error->text);
        return 0;
}

/* tolerant: with a warning for each that can't be read, and no error if there is none. */
static int read_machine(
                struct log_sources *sources, struct tpm *tpm, bool tolerant, struct error *error)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        const struct state_dir *state = open_state(&dir);
        struct log_source *firmware = &sources->source[0], *ima;
        struct boot_log_parts parts = {0};
        int r = machine_firmware(state, tpm, firmware, &parts, error);

        sources->n = 1;
        if (tolerant)
                r = leave_out(firmware, r, "this boot's event log", error);
        if (r < 0)
                return r;
        r = machine_systemd(state, firmware->bytes, &parts, sources, error);
        if (tolerant)
                r = leave_out(NULL, r, "systemd's log", error);
        if (r < 0)
                return r;
        ima = &sources->source[sources->n++];
        r = machine_ima(ima, error);
        if (tolerant)
                r = leave_out(ima, r, "IMA's list", error);
        if (r < 0)
                return r;
        ima->kind = LOG_IMA;
        firmware->kind = log_kind_of(firmware->bytes);
        drop_empty(sources, sources->n - 1);
        drop_empty(sources, 0);
        return sources->n > 0 || tolerant
                               ? 0
                               : error_set(error, ENOENT,
                                                 "this kernel has no TPM event log, and there is "
                                                 "no other log");
}

int log_source_read_ima(struct log_source *ret, struct error *error)
{
        int r = machine_ima(ret, error);

        ret->kind = LOG_IMA;
        return r;
}

int log_sources_read_machine(struct tpm *tpm, struct log_sources *ret, struct error *error)
{
        _cleanup_log_sources_ struct log_sources sources = {0};
        int r;

        sources.source = calloc(MACHINE_LOGS_MAX, sizeof(*sources.source));
        if (!sources.source)
                return error_set(error, ENOMEM, "out of memory");
        r = read_machine(&sources, tpm, true, error);
        if (r < 0)
                return r;
        *ret = sources;
        sources = (struct log_sources){0};
        return 0;
}

static int read_files(char *const *paths, size_t n_paths, struct log_sources *sources,
                struct error *error)
{
        bool standard = false;

        for (size_t i = 0; i < n_paths; i++) {
                struct log_source *source = &sources->source[sources->n++];
                int r;

                if (strcmp(paths[i], "-") == 0 && standard)
                        return error_set(error, EINVAL, "standard input can be read once only");
                standard |= strcmp(paths[i], "-") == 0;
                r = log_source_read(paths[i], source, error);
                if (r < 0)
                        return r;
        }
        return 0;
}

int log_sources_read(
                char *const *paths, size_t n_paths, struct log_sources *ret, struct error *error)
{
        _cleanup_log_sources_ struct log_sources sources = {0};
        int r;

        sources.source = calloc(n_paths > 0 ? n_paths : MACHINE_LOGS_MAX, sizeof(*sources.source));
        if (!sources.source)
                return error_set(error, ENOMEM, "out of memory");
        r = n_paths > 0 ? read_files(paths, n_paths, &sources, error)
                        : read_machine(&sources, NULL, false, error);
        if (r < 0)
                return r;
        *ret = sources;
        sources = (struct log_sources){0};
        return 0;
}

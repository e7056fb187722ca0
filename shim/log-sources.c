/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/log-sources.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/boot-log.h"
#include "shim/mapped-file.h"
#include "shim/progress.h"

/* Files of people may be larger than what a kernel shows: ten million events are about a GiB. */
#define LOG_FILE_MAX_BYTES ((size_t)4 << 30)

void log_source_release(struct log_source *source)
{
        buf_release(&source->read);
        mapped_file_close(source->mapped);
        *source = (struct log_source){0};
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

/* Aborted hops of this boot are in /run/mkexec, which not everybody may read. */
static int machine_firmware(struct log_source *source, struct error *error)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        _cleanup_(tpm_freep) struct tpm *tpm = NULL;
        const struct state_dir *state;
        int r;

        source->name = "this boot's event log";
        state_open_read(&dir, NULL);
        state = dir.fd >= 0 ? &dir : NULL;
        if (boot_log_is_carried(state) && tpm_esys_open(NULL, &tpm, error) < 0)
                progress_warn("the log that the boot before left can't be compared with the TPM: "
                              "%s",
                                error->text);
        r = boot_log_read(state, tpm, &source->read, NULL, error);
        source->bytes = buf_span(&source->read);
        return r;
}

/* Writers hold the lock while they append (systemd, tpm2-util.c). */
static int machine_systemd(struct log_source *source, struct error *error)
{
        _cleanup_close_ int fd = -1;

        source->name = place("SYSTEMD_MEASURE_LOG_USERSPACE", "/run/log/systemd/tpm2-measure.log");
        fd = open(source->name, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0
                                       : error_set(error, errno, "can't open %s: %m", source->name);
        if (flock(fd, LOCK_SH) < 0)
                return error_set(error, errno, "can't lock %s: %m", source->name);
        return read_open(fd, source, error);
}

static int machine_ima(struct log_source *source, struct error *error)
{
        int r = read_file(place("MKEXEC_IMA_LIST",
                                          "/sys/kernel/security/ima/binary_runtime_measurements"),
                        source, error);

        return r == -ENOENT ? 0 : r;
}

int log_source_read(const char *path, struct log_source *ret, struct error *error)
{
        int r = path ? read_file(path, ret, error) : machine_firmware(ret, error);

        if (r < 0)
                return r;
        if (!path && ret->bytes.size == 0)
                return error_set(error, ENOENT, "this kernel has no TPM event log");
        ret->kind = log_kind_of(ret->bytes);
        return 0;
}

static const struct {
        enum log_kind kind;
        int (*read)(struct log_source *source, struct error *error);
} of_machine[] = {
                {LOG_TCG, machine_firmware},
                {LOG_SYSTEMD, machine_systemd},
                {LOG_IMA, machine_ima},
};

static int read_machine(struct log_sources *sources, struct error *error)
{
        for (size_t i = 0; i < ARRAY_SIZE(of_machine); i++) {
                struct log_source *source = &sources->source[sources->n++];
                int r = of_machine[i].read(source, error);

                if (r < 0)
                        return r;
                if (source->bytes.size > 0)
                        source->kind = of_machine[i].kind == LOG_TCG ? log_kind_of(source->bytes)
                                                                     : of_machine[i].kind;
                else
                        log_source_release(&sources->source[--sources->n]);
        }
        return sources->n > 0 ? 0
                              : error_set(error, ENOENT,
                                                "this kernel has no TPM event log, and there is no "
                                                "other log");
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

        sources.source = calloc(
                        n_paths > 0 ? n_paths : ARRAY_SIZE(of_machine), sizeof(*sources.source));
        if (!sources.source)
                return error_set(error, ENOMEM, "out of memory");
        r = n_paths > 0 ? read_files(paths, n_paths, &sources, error)
                        : read_machine(&sources, error);
        if (r < 0)
                return r;
        *ret = sources;
        sources = (struct log_sources){0};
        return 0;
}

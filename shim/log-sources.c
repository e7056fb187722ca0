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
#include "base/json.h"
#include "eventlog/ima-log.h"
#include "eventlog/parse.h"
#include "shim/boot-log.h"
#include "shim/mapped-file.h"
#include "shim/progress.h"

/* Files of people may be larger than what a kernel shows: ten million events are about a GiB. */
#define LOG_FILE_MAX_BYTES ((size_t)4 << 30)

#define RECORD_SEPARATOR 0x1e

static const struct {
        const char *word, *name;
} kinds[] = {
                [LOG_UNKNOWN] = {"unknown", "unknown"},
                [LOG_TCG] = {"tcg", "TCG event log"},
                [LOG_CC] = {"cc", "confidential-computing event log"},
                [LOG_SYSTEMD] = {"systemd", "systemd measurement log"},
                [LOG_IMA] = {"ima", "IMA measurement list"},
                [LOG_CEL_JSON] = {"cel-json", "CEL-JSON log"},
                [LOG_CEL_TLV] = {"cel-tlv", "CEL-TLV log"},
};

const char *log_kind_word(enum log_kind kind)
{
        return kinds[kind].word;
}

const char *log_kind_name(enum log_kind kind)
{
        return kinds[kind].name;
}

/* ---- kinds ---- */

/* Both are JSON sequences of the same records; systemd names itself in each. */
static enum log_kind kind_of_json(struct span bytes, size_t start)
{
        bool sequence = bytes.data[start] == RECORD_SEPARATOR;
        struct span first = SPAN(bytes.data + start + sequence, bytes.size - start - sequence);
        const uint8_t *end;
        struct json record, type;

        if (!sequence && bytes.data[start] == '[')
                return LOG_CEL_JSON;
        end = first.size > 0 ? memchr(first.data, sequence ? RECORD_SEPARATOR : '\n', first.size)
                             : NULL;
        if (end)
                first.size = (size_t)(end - first.data);
        if (json_parse(first, &record, NULL) < 0)
                return sequence ? LOG_SYSTEMD : LOG_CEL_JSON;
        return json_get(&record, "content_type", &type, NULL) > 0 && !json_is(&type, "systemd")
                               ? LOG_CEL_JSON
                               : LOG_SYSTEMD;
}

/* Record number, then the PCR or NV index (or 108, Google's register), then digests. */
static bool is_cel_tlv(struct span bytes)
{
        struct cursor c = CURSOR(bytes);
        uint32_t size;
        uint8_t type;

        return cursor_u8(&c, &type) && type == 0 && cursor_be32(&c, &size) && size > 0 &&
               size <= 8 && cursor_skip(&c, size) && cursor_u8(&c, &type) &&
               (type == 1 || type == 2 || type == 108) && cursor_be32(&c, &size) && size > 0 &&
               size <= 8 && cursor_skip(&c, size) && cursor_u8(&c, &type) && type == 3;
}

/* A log without a header looks like an IMA list: both begin with a PCR. Its first event then has a
 * type that exists, where the list has digest bytes. */
static bool is_sha1_log(const struct event_log *log)
{
        struct tcg_event event;
        size_t offset = 0, index = 0;

        return event_log_next(log, &offset, &index, &event, NULL) > 0 &&
               event_type_name(event.type);
}

enum log_kind log_kind_of(struct span bytes)
{
        size_t start = 0;
        struct event_log log;
        struct ima_log ima;
        bool opens;

        while (start < bytes.size && memchr(" \t\r\n", bytes.data[start], 4))
                start++;
        if (start < bytes.size && memchr("\x1e{[", bytes.data[start], 3))
                return kind_of_json(bytes, start);
        opens = event_log_open(&log, bytes, NULL) >= 0;
        if (opens && log.agile)
                return log.cc ? LOG_CC : LOG_TCG;
        if (is_cel_tlv(bytes))
                return LOG_CEL_TLV;
        if (opens && is_sha1_log(&log))
                return LOG_TCG;
        return ima_log_open(&ima, bytes, NULL) >= 0 ? LOG_IMA : LOG_UNKNOWN;
}

/* ---- bytes ---- */

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

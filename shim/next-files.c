/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hand-over by kexec_file_load: the inner kernel's file and the initrd in files of /run/mkexec. Not
 * in memfds: a file has a place that IMA and security modules can have rules about. */
#include "shim/next-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alg.h"
#include "base/cleanup.h"
#include "shim/handover/carried-log.h"
#include "shim/handover/kexec-file.h"
#include "shim/next-kernel.h"
#include "tcg2/authenticode-signature.h"

/* SHA-256 of the file from offset on. */
static int file_sha256(int fd, uint64_t offset, uint8_t ret[32], struct error *error)
{
        struct stat st;
        uint8_t *map;
        int r;

        if (fstat(fd, &st) < 0)
                return error_set(error, errno, "the staged file: %m");
        if (st.st_size == 0 || (uint64_t)st.st_size < offset)
                return error_set(error, ESTALE, "the staged file is cut");
        map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
                return error_set(error, errno, "the staged file: %m");
        r = hash_sha256(SPAN(map + offset, (size_t)st.st_size - offset), ret);
        munmap(map, (size_t)st.st_size);
        return r < 0 ? error_set(error, EIO, "can't compute SHA-256") : 0;
}

static int open_checked(const struct state_dir *dir, const char *name, uint64_t offset,
                const uint8_t sha256[32], int *ret_fd, struct error *error)
{
        uint8_t found[32];
        int r = state_open_file(dir, name, O_RDONLY, ret_fd, error);

        if (r == 0)
                r = file_sha256(*ret_fd, offset, found, error);
        if (r < 0)
                return r;
        if (memcmp(found, sha256, 32) != 0)
                return error_set(error, ESTALE,
                                "the staged %s isn't the one of the staged plan: load again", name);
        return 0;
}

static int load_guard(const struct state_dir *dir, const struct staged *staged, struct error *error)
{
        _cleanup_close_ int fd = -1;
        int r = open_checked(dir, STATE_KERNEL, 0, staged->kernel_sha256, &fd, error);

        return r == 0 ? kexec_file_load_guard(fd, error) : r;
}

static int open_files(const struct state_dir *dir, struct next_kernel *next, struct error *error)
{
        const struct staged *staged = next->staged;
        int r = open_checked(dir, STATE_KERNEL, 0, staged->kernel_sha256, &next->kernel_fd, error);

        if (r == 0)
                r = open_checked(dir, STATE_INITRD, staged->log_room, staged->initrd_sha256,
                                &next->initrd_fd, error);
        if (r == 0)
                next->systemd_logs_room = staged->systemd_logs_room;
        return r;
}

static int write_all(int fd, struct span bytes, uint64_t offset, struct error *error)
{
        while (bytes.size > 0) {
                ssize_t n = pwrite(fd, bytes.data, bytes.size, (off_t)offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return error_set(error, n < 0 ? errno : EIO,
                                        "can't write a staged file: %s",
                                        strerror(n < 0 ? errno : EIO));
                bytes = SPAN(bytes.data + n, bytes.size - (size_t)n);
                offset += (uint64_t)n;
        }
        return 0;
}

static int set_logs(const struct state_dir *dir, struct next_kernel *next,
                const struct next_logs *logs, struct error *error)
{
        struct carried_log carried = {
                        .base_bytes = logs->kernel_bytes,
                        .log = SPAN(logs->log.data + logs->kernel_bytes,
                                        logs->log.size - logs->kernel_bytes),
                        .systemd_logs = logs->systemd_logs,
        };
        _cleanup_buf_ struct buf archive = {0};
        _cleanup_close_ int fd = -1;
        int r;

        if (hash_sha256(SPAN(logs->log.data, logs->kernel_bytes), carried.base_sha256) < 0)
                return error_set(error, EIO, "can't compute SHA-256");
        r = carried_log_put_archive(&carried, next->staged->log_room, &archive, error);
        if (r == 0)
                r = state_open_file(dir, STATE_INITRD, O_WRONLY, &fd, error);
        return r == 0 ? write_all(fd, buf_span(&archive), 0, error) : r;
}

static int load(struct next_kernel *next, struct error *error)
{
        return kexec_file_load(next->kernel_fd, next->initrd_fd, next->staged->command_line, error);
}

static void release(struct next_kernel *next)
{
        closep(&next->kernel_fd);
        closep(&next->initrd_fd);
}

static const char *const not_handed_over[] = {
                "the event log through EFI (the kernel shows the first boot's; the hop is in the "
                "initrd, " CARRIED_LOG_PATH ")",
                "EFI variables of the payload (Loader*, Stub* stay those of the boot before)",
                "EFI configuration tables of the payload",
                NULL,
};

const struct next_kernel_ops next_files_ops = {
                load_guard, open_files, set_logs, load, release, not_handed_over};

/* ---- load ---- */

static int write_new(const struct state_dir *dir, const char *name, uint64_t offset,
                struct span bytes, uint8_t sha256[32], struct error *error)
{
        _cleanup_close_ int fd = -1;
        int r = state_create(dir, name, &fd, error);

        if (r == 0 && hash_sha256(bytes, sha256) < 0)
                r = error_set(error, EIO, "can't compute SHA-256");
        if (r == 0 && ftruncate(fd, (off_t)(offset + bytes.size)) < 0)
                r = error_set(error, errno, "can't write a staged file: %m");
        if (r == 0)
                r = write_all(fd, bytes, offset, error);
        return r == -ENOSPC ? error_prefix(error, r, "/run/mkexec can't hold %s of %zu MiB", name,
                                              bytes.size >> 20)
                            : r;
}

static void discard(const struct state_dir *dir)
{
        state_discard(dir, STATE_KERNEL);
        state_discard(dir, STATE_INITRD);
}

/* The first signer of the kernel, as the running kernel would look at it; "" if there is none. */
static void find_signer(struct span kernel, char *to, size_t size)
{
        struct authenticode_signature *signature;
        struct certificate_table table;
        struct span der;
        struct pe pe;

        to[0] = '\0';
        if (pe_parse(kernel, &pe, NULL) < 0 || certificate_table_open(&pe, &table, NULL) < 0 ||
                        certificate_table_next(&table, &der, NULL) <= 0 ||
                        authenticode_signature_new(der, &signature, NULL) < 0)
                return;
        snprintf(to, size, "%s", authenticode_signature_signer(signature));
        authenticode_signature_free(signature);
}

static int new_guard(const struct state_dir *dir, struct span kernel, struct error *error)
{
        _cleanup_close_ int fd = -1;
        char signer[128];
        int r = state_open_new(dir, STATE_KERNEL, &fd, error);

        if (r == 0)
                r = kexec_file_load_guard(fd, error);
        if (r < 0)
                find_signer(kernel, signer, sizeof(signer));
        if (r < 0 && signer[0])
                return error_prefix(error, r, "guard image, a kernel signed by '%s'", signer);
        return r < 0 ? error_prefix(error, r, "guard image") : 0;
}

int next_files_stage(const struct state_dir *dir, const struct file_handover *files,
                uint64_t log_room, struct staged *staged, struct error *error)
{
        int r;

        staged->handover = HANDOVER_FILE;
        staged->log_room = log_room;
        staged->command_line = strndup(
                        (const char *)files->command_line.data, files->command_line.size);
        if (!staged->command_line)
                return error_set(error, ENOMEM, "out of memory");
        r = write_new(dir, STATE_KERNEL, 0, files->kernel, staged->kernel_sha256, error);
        if (r == 0)
                r = write_new(dir, STATE_INITRD, log_room, files->initrd, staged->initrd_sha256,
                                error);
        if (r == 0)
                r = new_guard(dir, files->kernel, error);
        if (r < 0)
                discard(dir);
        return r;
}

int next_files_commit(const struct state_dir *dir, struct error *error)
{
        int r = state_commit(dir, STATE_KERNEL, error);

        return r == 0 ? state_commit(dir, STATE_INITRD, error) : r;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image between load and exec: contents by physical address, the logs that exec puts in, and
 * the staged file, which is read as untrusted input though its folder is root's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "shim/handover/handover-image.h"
#include "shim/handover/handover.h"
#include "shim/handover/host-memory.h"
#include "shim/handover/kexec.h"
#include "shim/handover/trampoline.h"

#define IMAGE_MAGIC       0x314d494358454b4dull /* "MKEXCIM1" */
#define IMAGE_VERSION     3u
#define IMAGE_HEADER_SIZE 4096u
#define IMAGE_MAX_BYTES   (16ull << 30)

void handover_image_release(struct handover_image *image)
{
        if (image->mapping)
                munmap(image->mapping, image->mapping_size);
        *image = (struct handover_image){0};
}

/* Writable contents at a physical address, all inside one segment; NULL if they aren't. */
static uint8_t *contents(const struct handover_image *image, uint64_t address, uint64_t size)
{
        for (size_t i = 0; i < image->segments.n; i++) {
                const struct segment *s = &image->segments.s[i];
                uint8_t *p;

                if (address < s->start || address >= s->end || size > s->end - address)
                        continue;
                if (image->mapping)
                        return image->mapping + image->offsets[i] + (address - s->start);
                return image->ram && ram_view_writable(image->ram, address, size, &p) ? p : NULL;
        }
        return NULL;
}

/* ---- logs ---- */

static void put_u32(uint8_t *to, uint32_t value)
{
        for (unsigned i = 0; i < 4; i++)
                to[i] = (uint8_t)(value >> (8 * i));
}

/* The kernel's own first look at a log (tpm_is_tpm2_log): an EV_NO_ACTION of PCR 0 with the Spec ID
 * signature. A log with nothing behind that event would count as empty there
 * (__calc_tpm2_event_size). */
static bool is_tpm2_log(struct span log)
{
        static const char signature[] = "Spec ID Event03";
        struct cursor c = CURSOR(log);
        uint32_t pcr, type, size;
        struct span event;

        return cursor_u32(&c, &pcr) && cursor_u32(&c, &type) && cursor_skip(&c, 20) &&
               cursor_u32(&c, &size) && cursor_take(&c, size, &event) && pcr == 0 && type == 3 &&
               event.size >= sizeof(signature) &&
               memcmp(event.data, signature, sizeof(signature)) == 0 && cursor_left(&c) > 0;
}

/* The segment that the ACPI area is; NULL: the trampoline writes it. */
static const struct segment *acpi_segment(const struct handover_image *image)
{
        const struct handover_place *area = &image->acpi_log;

        for (size_t i = 0; i < image->segments.n; i++) {
                const struct segment *s = &image->segments.s[i];

                if (s->start == area->address && s->end - s->start == area->capacity)
                        return s;
        }
        return NULL;
}

static bool fits_acpi_area(const struct handover_image *image, uint64_t log_size)
{
        return log_size + HANDOVER_LOG_SLACK <= image->acpi_log.capacity;
}

/* The ACPI area gets the whole log and zeros behind it, or loses its header if the log is longer:
 * then the kernel finds no valid log there and takes the EFI table's. */
static size_t acpi_jobs(const struct handover_image *image, uint64_t log_size,
                struct trampoline_job jobs[2])
{
        const struct handover_place *area = &image->acpi_log;

        if (area->address == 0 || acpi_segment(image))
                return 0;
        if (!fits_acpi_area(image, log_size)) {
                jobs[0] = (struct trampoline_job){
                                area->address, 0, area->capacity < 64 ? area->capacity : 64};
                return 1;
        }
        jobs[0] = (struct trampoline_job){
                        area->address, image->log.address + HANDOVER_LOG_HEADER, log_size};
        jobs[1] = (struct trampoline_job){area->address + log_size, 0, area->capacity - log_size};
        return 2;
}

/* The same for an area that is a segment. Before the image is mapped no memory is behind it. */
static void fill_acpi_segment(const struct handover_image *image, struct span log)
{
        const struct handover_place *area = &image->acpi_log;
        uint8_t *to = image->mapping ? contents(image, area->address, area->capacity) : NULL;

        if (!to)
                return;
        memset(to, 0, area->capacity);
        if (fits_acpi_area(image, log.size))
                memcpy(to, log.data, log.size);
}

int handover_set_log(struct handover_image *image, struct span log, struct error *error)
{
        uint64_t room = HANDOVER_LOG_HEADER + image->log.capacity + HANDOVER_LOG_SLACK;
        struct trampoline_job jobs[2];
        uint8_t *area, *page;
        size_t n_jobs;

        if (image->log.address == 0)
                return error_set(error, ENOENT, "the image has no place for an event log");
        if (!is_tpm2_log(log))
                return error_set(error, EINVAL, "not a complete TPM 2.0 event log");
        if (log.size > image->log.capacity)
                return error_set(error, ENOSPC,
                                "the event log has %zu bytes, the image has room for %llu: load "
                                "again",
                                log.size, (unsigned long long)image->log.capacity);
        area = contents(image, image->log.address, room);
        page = contents(image, image->entry, TRAMPOLINE_SIZE);
        n_jobs = acpi_jobs(image, log.size, jobs);
        if (!area || !page || !trampoline_set_jobs(page, jobs, n_jobs))
                return error_set(error, EINVAL, "the image's log area isn't in its segments");
        memset(area, 0, room);
        /* some zeros count as part of the log: read in one go, the kernel drops the last event of a
         * log that ends exactly at its end (drivers/char/tpm/eventlog/tpm2.c,
         * tpm2_bios_measurements_next) */
        put_u32(area, (uint32_t)(log.size + HANDOVER_LOG_SLACK));
        area[8] = HANDOVER_LOG_VERSION;
        memcpy(area + HANDOVER_LOG_HEADER, log.data, log.size);
        if (acpi_segment(image))
                fill_acpi_segment(image, log);
        return 0;
}

int handover_set_systemd_logs(struct handover_image *image, struct span log, struct error *error)
{
        uint8_t *size, *data;

        if (image->systemd_logs.address == 0)
                return error_set(error, ENOENT, "the image has no place for systemd's log");
        if (log.size > image->systemd_logs.capacity)
                return error_set(error, ENOSPC,
                                "systemd's log has %zu bytes, the image has room for %llu",
                                log.size, (unsigned long long)image->systemd_logs.capacity);
        data = contents(image, image->systemd_logs.address, image->systemd_logs.capacity);
        size = contents(image, image->systemd_logs_size, 4);
        if (!data || !size)
                return error_set(error, EINVAL,
                                "the image's room for systemd's log isn't in its segments");
        memset(data, 0, image->systemd_logs.capacity);
        if (log.size > 0)
                memcpy(data, log.data, log.size);
        put_u32(size, (uint32_t)log.size);
        return 0;
}

/* ---- staged file ---- */

static void put_place(struct buf *b, const struct handover_place *place)
{
        buf_put_u64(b, place->address);
        buf_put_u64(b, place->capacity);
}

static void put_header(struct buf *b, const struct handover_image *image, uint64_t file_size)
{
        uint64_t offset = IMAGE_HEADER_SIZE;

        buf_put_u64(b, IMAGE_MAGIC);
        buf_put_u32(b, IMAGE_VERSION);
        buf_put_u32(b, (uint32_t)image->segments.n);
        buf_put_u64(b, file_size);
        buf_put_u64(b, image->id);
        buf_put_u64(b, image->entry);
        buf_put_u64(b, image->boot_params);
        put_place(b, &image->log);
        put_place(b, &image->systemd_logs);
        buf_put_u64(b, image->systemd_logs_size);
        put_place(b, &image->acpi_log);
        for (size_t i = 0; i < image->segments.n; i++) {
                const struct segment *s = &image->segments.s[i];

                buf_put_u64(b, s->start);
                buf_put_u64(b, s->end);
                buf_put_u64(b, offset);
                offset += s->end - s->start;
        }
        buf_put_zeros(b, IMAGE_HEADER_SIZE - b->size);
}

static int write_all(
                int fd, const uint8_t *bytes, size_t size, uint64_t offset, struct error *error)
{
        while (size > 0) {
                ssize_t n = pwrite(fd, bytes, size, (off_t)offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return error_set(error, n < 0 ? errno : EIO, "writing the image: %s",
                                        strerror(n < 0 ? errno : EIO));
                bytes += n;
                size -= (size_t)n;
                offset += (uint64_t)n;
        }
        return 0;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
        return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

#define CHUNK         (256u * 1024)
#define RELEASE_BYTES (2u << 20) /* huge pages of the guest's go as a whole */

/* Guest RAM that is written goes at once: guest and file together are never more than one of them.
 * [*kept, end) is what is left of the segment; what can't be given back just stays. */
static void give_back(const struct handover_image *image, uint64_t end, uint64_t *kept)
{
        if (!image->mapping && end > *kept && ram_release(image->ram, *kept, end) == 0)
                *kept = end;
}

/* The bytes of a piece of a segment; copied together where a gap was filled between allocations. */
static const uint8_t *piece(const struct handover_image *image, size_t index, uint64_t at,
                size_t size, uint8_t chunk[])
{
        struct span view;

        if (image->mapping)
                return image->mapping + image->offsets[index] +
                       (at - image->segments.s[index].start);
        if (ram_view(image->ram, at, size, &view))
                return view.data;
        segments_read(image->ram, at, chunk, size);
        return chunk;
}

/* Chunks of zeros stay holes, which cost no memory in a tmpfs. */
static int write_segment(const struct handover_image *image, size_t index, uint64_t offset, int fd,
                uint8_t *chunk, struct error *error)
{
        const struct segment *s = &image->segments.s[index];
        uint64_t kept = s->start;

        for (uint64_t at = s->start; at < s->end; at += CHUNK) {
                size_t size = s->end - at < CHUNK ? (size_t)(s->end - at) : CHUNK;
                const uint8_t *from = piece(image, index, at, size, chunk);
                int r;

                r = is_zero(from, size)
                                    ? 0
                                    : write_all(fd, from, size, offset + (at - s->start), error);
                if (r < 0)
                        return r;
                give_back(image, (at + size) & ~(uint64_t)(RELEASE_BYTES - 1), &kept);
        }
        give_back(image, s->end, &kept);
        return 0;
}

int handover_image_write(const struct handover_image *image, int fd, struct error *error)
{
        _cleanup_buf_ struct buf header = {0};
        _cleanup_free_ uint8_t *chunk = malloc(CHUNK);
        uint64_t offset = IMAGE_HEADER_SIZE, size = offset + segments_bytes(&image->segments);
        int r;

        put_header(&header, image, size);
        if (!chunk || buf_failed(&header))
                return error_set(error, ENOMEM, "out of memory for the image");
        if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)size) < 0)
                return error_set(error, errno, "writing the image: %s", strerror(errno));
        r = write_all(fd, header.data, header.size, 0, error);
        for (size_t i = 0; r == 0 && i < image->segments.n; i++) {
                r = write_segment(image, i, offset, fd, chunk, error);
                offset += image->segments.s[i].end - image->segments.s[i].start;
        }
        return r;
}

static bool take_place(struct cursor *c, struct handover_place *ret)
{
        return cursor_u64(c, &ret->address) && cursor_u64(c, &ret->capacity);
}

/* Ascending, page-aligned, not overlapping, and one behind the other in the file. */
static bool take_segments(
                struct cursor *c, uint32_t n, uint64_t file_size, struct handover_image *image)
{
        uint64_t end = 0, next = IMAGE_HEADER_SIZE;

        if (n == 0 || n > SEGMENTS_MAX)
                return false;
        for (uint32_t i = 0; i < n; i++) {
                struct segment *s = &image->segments.s[i];

                if (!cursor_u64(c, &s->start) || !cursor_u64(c, &s->end) ||
                                !cursor_u64(c, &image->offsets[i]))
                        return false;
                if (s->start % EFI_PAGE_SIZE != 0 || s->end % EFI_PAGE_SIZE != 0 ||
                                s->start < end || s->end <= s->start ||
                                s->end > HOST_MEMORY_LIMIT || image->offsets[i] != next ||
                                s->end - s->start > file_size - next)
                        return false;
                end = s->end;
                next += s->end - s->start;
        }
        image->segments.n = n;
        return next == file_size;
}

static bool parse_header(struct span header, uint64_t file_size, struct handover_image *image)
{
        struct cursor c = CURSOR(header);
        uint64_t magic, size;
        uint32_t version, n;

        return cursor_u64(&c, &magic) && magic == IMAGE_MAGIC && cursor_u32(&c, &version) &&
               version == IMAGE_VERSION && cursor_u32(&c, &n) && cursor_u64(&c, &size) &&
               size == file_size && cursor_u64(&c, &image->id) && cursor_u64(&c, &image->entry) &&
               cursor_u64(&c, &image->boot_params) && take_place(&c, &image->log) &&
               take_place(&c, &image->systemd_logs) && cursor_u64(&c, &image->systemd_logs_size) &&
               take_place(&c, &image->acpi_log) && take_segments(&c, n, file_size, image);
}

static bool overlaps(const struct segment *s, uint64_t address, uint64_t size)
{
        return address < s->end && s->start < address + size;
}

/* The ACPI area is outside of all that is in memory at the hand-over, or a segment with nothing
 * else in it. */
static bool check_acpi_area(const struct handover_image *image)
{
        const struct handover_place *area = &image->acpi_log;
        const struct segment *own = acpi_segment(image);

        if (area->address >= HOST_MEMORY_LIMIT || area->capacity > UINT32_MAX) /* LAML: 32 bits */
                return false;
        if (own)
                return image->log.address != 0 && !overlaps(own, image->entry, TRAMPOLINE_SIZE) &&
                       !overlaps(own, image->log.address, image->log.capacity) &&
                       !overlaps(own, image->systemd_logs.address, image->systemd_logs.capacity) &&
                       !overlaps(own, image->systemd_logs_size, 4);
        for (size_t i = 0; i < image->segments.n; i++)
                if (overlaps(&image->segments.s[i], area->address, area->capacity))
                        return false;
        return true;
}

/* The places that exec will write to, and the page that it will enter, are in the contents. */
static bool check_places(const struct handover_image *image)
{
        const uint8_t *page = contents(image, image->entry, TRAMPOLINE_SIZE);

        if (!page || image->entry % EFI_PAGE_SIZE != 0 ||
                        !trampoline_is(SPAN(page, TRAMPOLINE_SIZE)))
                return false;
        if (image->log.address != 0 &&
                        (image->log.capacity > HANDOVER_MAX_LOG + EFI_PAGE_SIZE ||
                                        !contents(image, image->log.address,
                                                        HANDOVER_LOG_HEADER + image->log.capacity +
                                                                        HANDOVER_LOG_SLACK)))
                return false;
        if (image->systemd_logs.address != 0 &&
                        (image->systemd_logs.capacity > OVERLAY_MAX_BYTES ||
                                        !contents(image, image->systemd_logs.address,
                                                        image->systemd_logs.capacity) ||
                                        !contents(image, image->systemd_logs_size, 4)))
                return false;
        return check_acpi_area(image);
}

/* kexec_load reads every page, and to read a hole of a tmpfs is to give it memory. Anonymous memory
 * that is only read costs none: the same zeros. */
static int map_holes(struct handover_image *image, int fd)
{
        off_t end = (off_t)image->mapping_size;

        for (off_t data, hole = lseek(fd, 0, SEEK_HOLE); hole >= 0 && hole < end;
                        hole = lseek(fd, data, SEEK_HOLE)) {
                off_t from = (hole + (off_t)EFI_PAGE_SIZE - 1) & ~((off_t)EFI_PAGE_SIZE - 1), to;

                data = lseek(fd, hole, SEEK_DATA);
                if (data < 0 && errno != ENXIO)
                        return -errno;
                if (data < 0 || data > end)
                        data = end; /* ENXIO: a hole to the end */
                to = data & ~((off_t)EFI_PAGE_SIZE - 1);
                if (from < to && mmap(image->mapping + from, (size_t)(to - from),
                                                 PROT_READ | PROT_WRITE,
                                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
                                                                 MAP_FIXED,
                                                 -1, 0) == MAP_FAILED)
                        return -errno;
        }
        return 0;
}

int handover_image_map(int fd, struct handover_image *ret, struct error *error)
{
        _cleanup_(handover_image_release) struct handover_image image = {0};
        struct stat st;
        void *mapping;
        int r;

        if (fstat(fd, &st) < 0)
                return error_set(error, errno, "the staged image: %s", strerror(errno));
        if (!S_ISREG(st.st_mode) || st.st_size < (off_t)IMAGE_HEADER_SIZE ||
                        (uint64_t)st.st_size > IMAGE_MAX_BYTES)
                return error_set(error, EINVAL, "the staged image isn't one");
        mapping = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_NORESERVE, fd, 0);
        if (mapping == MAP_FAILED)
                return error_set(error, errno, "the staged image: %s", strerror(errno));
        image.mapping = mapping;
        image.mapping_size = (size_t)st.st_size;
        r = map_holes(&image, fd);
        if (r < 0)
                return error_set(error, -r, "the staged image: %s", strerror(-r));
        if (!parse_header(SPAN(image.mapping, IMAGE_HEADER_SIZE), image.mapping_size, &image) ||
                        !check_places(&image))
                return error_set(error, EINVAL,
                                "the staged image is damaged or another mkexec's: load again");
        *ret = image;
        image = (struct handover_image){0};
        return 0;
}

size_t handover_image_parts(
                const struct handover_image *image, struct kexec_part parts[SEGMENTS_MAX])
{
        if (!image->mapping)
                return 0;
        for (size_t i = 0; i < image->segments.n; i++) {
                uint64_t size = image->segments.s[i].end - image->segments.s[i].start;

                parts[i] = (struct kexec_part){image->mapping + image->offsets[i], size,
                                image->segments.s[i].start, size};
        }
        return image->segments.n;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The prepared image as it is staged and finished, and forged twins of the staged file. */
#include "tests/unit/handover-fixture.h"

static uint8_t log_bytes[0x4000];

/* The trampoline's page in the mapping. */
static uint64_t job(const struct handover_image *image, size_t field)
{
        struct kexec_part parts[SEGMENTS_MAX];
        size_t n = handover_image_parts(image, parts);
        uint64_t v = 0;

        for (size_t i = 0; i < n; i++)
                if (image->entry >= parts[i].address &&
                                image->entry < parts[i].address + parts[i].size) {
                        const uint8_t *page = (const uint8_t *)parts[i].bytes +
                                              (image->entry - parts[i].address);
                        struct vcpu_regs regs = {.r = {[VCPU_RAX] = 0x5a5a5a5a5a5a5a5a}};
                        uint8_t probe[TRAMPOLINE_SIZE];
                        const uint8_t *params;

                        trampoline_build(&regs, probe);
                        params = memmem(probe, sizeof(probe), "ZZZZZZZZ", 8);
                        memcpy(&v, page + (params - probe) + 18 * 8 + 8 * field, 8);
                }
        return v;
}

static const uint8_t *mapped(const struct handover_image *image, uint64_t address)
{
        struct kexec_part parts[SEGMENTS_MAX];
        size_t n = handover_image_parts(image, parts);

        for (size_t i = 0; i < n; i++)
                if (address >= parts[i].address && address < parts[i].address + parts[i].size)
                        return (const uint8_t *)parts[i].bytes + (address - parts[i].address);
        return NULL;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
        return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* The guest's memory as it is handed over. */
static void put_guest(struct world *w, struct buf *ret)
{
        for (size_t i = 0; i < w->image.segments.n; i++)
                for (uint64_t at = w->image.segments.s[i].start; at < w->image.segments.s[i].end;
                                at += 4096) {
                        struct span s;

                        REQUIRE(ram_view(w->fw.ram, at, 4096, &s));
                        buf_put_span(ret, s);
                }
}

static void staged_as_it_was(void)
{
        struct world w;
        struct handover_image image = {0};
        struct kexec_part parts[SEGMENTS_MAX];
        _cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
        _cleanup_buf_ struct buf guest = {0};
        struct stat before, after;
        size_t n;

        world_new(&w);
        CHECK_EQ(world_prepare(&w), 0);
        CHECK_EQ(handover_image_parts(&w.image, parts), 0); /* only a mapped one has them */
        put_guest(&w, &guest);
        CHECK_EQ(handover_image_write(&w.image, fd, &w.error), 0);
        for (size_t i = 0; i < w.image.segments.n; i++) { /* nothing is in memory twice */
                uint8_t byte;

                CHECK(!ram_get_u8(w.fw.ram, w.image.segments.s[i].start, &byte) &&
                                !ram_get_u8(w.fw.ram, w.image.segments.s[i].end - 1, &byte));
        }
        REQUIRE(fstat(fd, &before) == 0 && before.st_blocks * 512 < before.st_size);
        CHECK_EQ(handover_image_map(fd, &image, &w.error), 0);
        n = handover_image_parts(&image, parts);
        CHECK(n > 1 && n == w.image.segments.n);
        for (size_t i = 0, done = 0; i < n; done += parts[i++].size)
                CHECK(done + parts[i].size <= guest.size &&
                                memcmp(guest.data + done, parts[i].bytes, parts[i].size) == 0);
        /* that all of it was read gave no hole memory */
        CHECK(fstat(fd, &after) == 0 && after.st_blocks == before.st_blocks);
        CHECK(image.entry == w.image.entry && image.log.capacity >= 10000);
        handover_image_release(&image);
        world_free(&w);
}

static uint32_t u32_of(const uint8_t *bytes)
{
        uint32_t value;

        memcpy(&value, bytes, sizeof(value));
        return value;
}

static void finished_with_logs(void)
{
        struct world w;
        struct handover_image image = {0};
        _cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
        const uint8_t *area;

        world_new(&w);
        CHECK_EQ(world_prepare(&w), 0);
        CHECK_EQ(handover_image_write(&w.image, fd, &w.error), 0);
        CHECK_EQ(handover_image_map(fd, &image, &w.error), 0);
        /* a log that fits the ACPI area: copied there, and zeros behind it */
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, a_log(log_bytes, 3000)), &w.error), 0);
        area = mapped(&image, image.log.address);
        REQUIRE(area);
        CHECK_EQ(u32_of(area), 3000 + HANDOVER_LOG_SLACK);
        CHECK(area[4] == 0 && area[8] == 2 && memcmp(area + 9, log_bytes, 3000) == 0 &&
                        area[3009] == 0);
        CHECK_EQ(job(&image, 0), 2);
        CHECK_EQ(job(&image, 1), ACPI_LOG);
        CHECK_EQ(job(&image, 2), image.log.address + 9);
        CHECK_EQ(job(&image, 3), 3000);
        CHECK_EQ(job(&image, 4), ACPI_LOG + 3000);
        CHECK_EQ(job(&image, 5), 0);
        CHECK_EQ(job(&image, 6), 0x1000 - 3000);
        /* a longer one: the area's header goes */
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, a_log(log_bytes, 0x1000)), &w.error), 0);
        CHECK_EQ(job(&image, 0), 1);
        CHECK_EQ(job(&image, 1), ACPI_LOG);
        CHECK_EQ(job(&image, 2), 0);
        CHECK_EQ(job(&image, 3), 64);
        /* too long, not a log, nothing but a header: refused, and what was there stays */
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, a_log(log_bytes, image.log.capacity + 1)),
                                 &w.error),
                        -ENOSPC);
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, 65), &w.error), -EINVAL);
        log_bytes[32] = 'X';
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, 3000), &w.error), -EINVAL);
        CHECK_EQ(u32_of(area), 0x1000 + HANDOVER_LOG_SLACK);

        CHECK_EQ(handover_set_systemd_logs(&image, SPAN("{}\n", 3), &w.error), 0);
        CHECK_EQ(u32_of(mapped(&image, image.systemd_logs_size)), 3);
        CHECK(memcmp(mapped(&image, image.systemd_logs.address), "{}\n", 4) == 0);
        CHECK_EQ(handover_set_systemd_logs(&image, SPAN(log_bytes, 3001), &w.error), -ENOSPC);
        handover_image_release(&image);
        /* the file is as it was */
        CHECK_EQ(handover_image_map(fd, &image, &w.error), 0);
        CHECK(mapped(&image, image.log.address)[0] == 0);
        handover_image_release(&image);
        world_free(&w);
}

/* An ACPI area that only kexec can write: its pages are a segment, and the trampoline has nothing
 * to do. */
static void log_area_as_a_segment(void)
{
        struct world w;
        struct handover_image image = {0};
        _cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
        const uint8_t *area;
        uint8_t header[4096];
        uint64_t end = ACPI_PAGES + 0x3000, entry;

        world_new(&w);
        w.facts.acpi_log = (struct acpi_log){
                        .kind = ACPI_LOG_PAGES, .address = ACPI_PAGES, .n_bytes = 0x3000};
        w.setup.log_capacity = 0x3000;
        CHECK_EQ(world_prepare(&w), 0);
        CHECK_EQ(w.image.segments.s[w.image.segments.n - 1].start, ACPI_PAGES);
        CHECK_EQ(w.image.segments.s[w.image.segments.n - 1].end, end);
        /* as load does, before there is anything behind these pages */
        CHECK_EQ(handover_set_log(&w.image, SPAN(log_bytes, a_log(log_bytes, 3000)), &w.error), 0);
        CHECK_EQ(handover_image_write(&w.image, fd, &w.error), 0);
        CHECK_EQ(handover_image_map(fd, &image, &w.error), 0);
        area = mapped(&image, ACPI_PAGES);
        REQUIRE(area != NULL);
        CHECK(area == mapped(&image, end - 1) - 0x2fff && is_zero(area, 0x3000));

        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, a_log(log_bytes, 0x2fe0)), &w.error), 0);
        CHECK_EQ(job(&image, 0), 0);
        CHECK(memcmp(area, log_bytes, 0x2fe0) == 0 && is_zero(area + 0x2fe0, 0x20));
        CHECK(memcmp(mapped(&image, image.log.address) + 9, log_bytes, 0x2fe0) == 0);
        /* a shorter one leaves nothing of it, a longer one leaves no header */
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, a_log(log_bytes, 3000)), &w.error), 0);
        CHECK(memcmp(area, log_bytes, 3000) == 0 && is_zero(area + 3000, 0x3000 - 3000));
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, a_log(log_bytes, 0x2fe1)), &w.error), 0);
        CHECK(is_zero(area, 0x3000));
        CHECK_EQ(job(&image, 0), 0);
        /* one that is refused changes nothing */
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, a_log(log_bytes, 3000)), &w.error), 0);
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, 65), &w.error), -EINVAL);
        CHECK(memcmp(area, log_bytes, 3000) == 0);
        /* for a twin below: the trampoline's page, where it mustn't be */
        REQUIRE(pwrite(fd, mapped(&image, image.entry), TRAMPOLINE_SIZE,
                                lseek(fd, 0, SEEK_END) - 0x3000) == TRAMPOLINE_SIZE);
        handover_image_release(&image);

        /* twins: the area a page longer or shorter than its segment, an image of the version
         * before, the trampoline's page in it */
        REQUIRE(pread(fd, header, sizeof(header), 0) == sizeof(header));
        for (unsigned i = 0; i < 4; i++) {
                uint8_t forged[4096];

                memcpy(forged, header, sizeof(forged));
                entry = ACPI_PAGES;
                forged[96 + 1] += i == 0 ? 0x10 : i == 1 ? -0x10 : 0;
                forged[8] -= i == 2;
                if (i == 3)
                        memcpy(forged + 32, &entry, 8);
                REQUIRE(pwrite(fd, forged, sizeof(forged), 0) == sizeof(forged));
                CHECK_EQ(handover_image_map(fd, &image, &w.error), -EINVAL);
        }
        REQUIRE(pwrite(fd, header, sizeof(header), 0) == sizeof(header));
        CHECK_EQ(handover_image_map(fd, &image, &w.error), 0);
        handover_image_release(&image);
        world_free(&w);
}

static void without_a_log(void)
{
        struct world w;

        world_new(&w);
        w.setup.log_capacity = 0;
        w.setup.systemd_logs_capacity = 0;
        w.facts.acpi_log = (struct acpi_log){
                        .kind = ACPI_LOG_PAGES, .address = ACPI_PAGES, .n_bytes = 0x3000};
        CHECK_EQ(world_prepare(&w), 0);
        CHECK_EQ(u64_at(&w, system_table(&w) + 104), 2);
        CHECK(w.image.segments.s[w.image.segments.n - 1].end <= GUEST_END);
        CHECK_EQ(handover_set_log(&w.image, SPAN(log_bytes, a_log(log_bytes, 100)), &w.error),
                        -ENOENT);
        CHECK_EQ(handover_set_systemd_logs(&w.image, SPAN("", 0), &w.error), -ENOENT);
        world_free(&w);
}

static void forged_images(void)
{
        struct world w;
        struct handover_image image = {0};
        _cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
        uint8_t header[512];
        unsigned refused = 0;
        off_t size;

        world_new(&w);
        CHECK_EQ(world_prepare(&w), 0);
        CHECK_EQ(handover_image_write(&w.image, fd, &w.error), 0);
        REQUIRE(pread(fd, header, sizeof(header), 0) == sizeof(header));
        size = lseek(fd, 0, SEEK_END);
        /* every byte of the header, three ways: refused, or everything still inside (ASan watches)
         */
        for (size_t i = 0; i < 136 + 24 * w.image.segments.n; i++)
                for (unsigned way = 0; way < 3; way++) {
                        uint8_t b = way == 0   ? header[i] ^ 0xff
                                    : way == 1 ? header[i] + 1
                                               : header[i] ^ 0x80;

                        REQUIRE(pwrite(fd, &b, 1, (off_t)i) == 1);
                        if (handover_image_map(fd, &image, &w.error) == 0) {
                                (void)handover_set_log(&image,
                                                SPAN(log_bytes, a_log(log_bytes, 200)), NULL);
                                (void)handover_set_systemd_logs(&image, SPAN("x", 1), NULL);
                                handover_image_release(&image);
                        } else {
                                refused++;
                        }
                        REQUIRE(pwrite(fd, header + i, 1, (off_t)i) == 1);
                }
        CHECK(refused > 300);
        /* cut off, longer, empty */
        REQUIRE(ftruncate(fd, size - 1) == 0);
        CHECK_EQ(handover_image_map(fd, &image, &w.error), -EINVAL);
        REQUIRE(ftruncate(fd, size + 4096) == 0);
        CHECK_EQ(handover_image_map(fd, &image, &w.error), -EINVAL);
        REQUIRE(ftruncate(fd, 0) == 0);
        CHECK_EQ(handover_image_map(fd, &image, &w.error), -EINVAL);
        world_free(&w);
}

static const struct tap_test tests[] = {
                {"staged as it was in the guest", staged_as_it_was},
                {"finished with logs", finished_with_logs},
                {"an ACPI log area that is a segment", log_area_as_a_segment},
                {"without a TPM there is no log table", without_a_log},
                {"forged staged files", forged_images},
};
TAP_MAIN(tests)

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What kexec_file_load gets: only what the payload measured. Each way to start a kernel, and for
 * each the twin that was measured otherwise. */
#include "tests/unit/tap.h"

#include <errno.h>

#include "base/cleanup.h"
#include "eventlog/event.h"
#include "shim/handover/file-handover.h"
#include "shim/handover/handover.h"
#include "tcg2/authenticode.h"
#include "tests/unit/guest-page.h"
#include "tests/unit/tiny-pe.h"

#define INITRD_TAG "\xec\x22\x3b\x8f\x0d\0\0\0Linux initrd"

/* ---- a firmware after its run ---- */

struct firmware {
        struct ram *ram;
        struct fw_image_file files[2];
        size_t n;
};

struct ram *firmware_ram(struct firmware *fw)
{
        return fw->ram;
}

int firmware_image_files(const struct firmware *fw, struct fw_image_file **ret, size_t *n)
{
        *ret = malloc(sizeof(fw->files));
        memcpy(*ret, fw->files, sizeof(fw->files));
        *n = fw->n;
        return 0;
}

int handover_find_boot_params(struct firmware *fw, const struct firmware_end *end,
                uint8_t host_secure_boot, uint64_t *ret, struct error *error)
{
        *ret = GUEST_PARAMS;
        return 0;
}

/* ---- the world ---- */

struct world {
        struct firmware fw;
        struct firmware_end end;
        struct banks banks;
        struct record record;
        struct file_handover files;
        struct error error;
        uint8_t stub[TINY_BYTES], kernel[TINY_BYTES];
};

static void world_new(struct world *w)
{
        struct ram_range range = {GUEST_START, GUEST_END};

        memset(w, 0, sizeof(*w));
        if (ram_new(&range, 1, 64 << 20, &w->fw.ram, NULL) < 0 ||
                        ram_commit(w->fw.ram, 0x200000, 0x220000) < 0 ||
                        !guest_page_fill(w->fw.ram) ||
                        !ram_write(w->fw.ram, GUEST_INITRD, "070701", 6))
                abort();
        w->end.kind = FIRMWARE_HANDOVER;
        banks_add(&w->banks, alg_by_name("sha1"));
        banks_add(&w->banks, alg_by_name("sha256"));
        record_init(&w->record, &w->banks, (struct record_limits){0});
        tiny_pe(w->stub);
        tiny_pe(w->kernel);
        memcpy(w->kernel + 0x1fe, "\x55\xaa", 2);
        memcpy(w->kernel + 0x202, "HdrS", 4);
        w->fw.files[0] = (struct fw_image_file){.name = "b.efi", .is_payload = true};
        w->fw.files[0].file = SPAN(w->stub, TINY_BYTES);
        w->fw.files[1] = (struct fw_image_file){.name = "image#2", .ran_last = true};
        w->fw.files[1].file = SPAN(w->kernel, TINY_BYTES);
        w->fw.n = 2;
}

static void world_free(struct world *w)
{
        file_handover_release(&w->files);
        record_release(&w->record);
        ram_free(w->fw.ram);
}

static void measure(struct world *w, enum record_source source, uint32_t pcr, uint32_t type,
                const struct digests *digests, struct span data)
{
        struct recorded_event e = {pcr, type, source, *digests, data};

        CHECK_EQ(record_add(&w->record, &e, NULL), 0);
}

static void measure_image(struct world *w, const uint8_t *file, enum record_source source)
{
        struct digests digests;

        CHECK_EQ(authenticode_digest(SPAN(file, TINY_BYTES), &w->banks, &digests, NULL), 0);
        measure(w, source, 4, EV_EFI_BOOT_SERVICES_APPLICATION, &digests, SPAN("x", 1));
}

static void measure_bytes(
                struct world *w, uint32_t pcr, uint32_t type, struct span bytes, struct span data)
{
        struct digests digests;

        CHECK_EQ(hash_span(&w->banks, bytes, &digests), 0);
        measure(w, RECORD_PAYLOAD, pcr, type, &digests, data);
}

static void measure_initrd(struct world *w, char first)
{
        char initrd[GUEST_INITRD_SIZE] = "070701";

        initrd[0] = first;
        measure_bytes(w, 9, EV_EVENT_TAG, SPAN(initrd, sizeof(initrd)),
                        SPAN(INITRD_TAG, sizeof(INITRD_TAG)));
}

static int prepare(struct world *w)
{
        return file_handover_prepare(
                        &w->fw, &w->end, SECURE_BOOT_DISABLED, &w->record, &w->files, &w->error);
}

/* ---- tests ---- */

static void kernel_by_load_image(void)
{
        struct world w;

        world_new(&w);
        measure_image(&w, w.kernel, RECORD_FIRMWARE);
        measure_initrd(&w, '0');
        CHECK_EQ(prepare(&w), 0);
        CHECK(w.files.kernel.data == w.kernel && w.files.kernel.size == TINY_BYTES);
        CHECK_EQ(w.files.initrd.size, GUEST_INITRD_SIZE);
        CHECK(memcmp(w.files.initrd.data, "070701", 6) == 0);
        CHECK(span_equal(buf_span(&w.files.command_line), SPAN("root=/dev/vda quiet", 19)));
        world_free(&w);
}

/* A digest that the payload measured itself says nothing of what firmware loaded. */
static void kernel_that_was_not_measured(void)
{
        struct world w;

        world_new(&w);
        CHECK_EQ(prepare(&w), -ENOTSUP);
        measure_image(&w, w.kernel, RECORD_PAYLOAD);
        CHECK_EQ(prepare(&w), -ENOTSUP);
        w.kernel[TINY_TEXT_AT] ^= 1;
        measure_image(&w, w.kernel, RECORD_FIRMWARE);
        w.kernel[TINY_TEXT_AT] ^= 1;
        CHECK_EQ(prepare(&w), -ENOTSUP);
        CHECK(strstr(w.error.text, "isn't what was measured"));
        measure_image(&w, w.kernel, RECORD_FIRMWARE);
        w.fw.files[1].ran_last = false;
        CHECK_EQ(prepare(&w), -ENOTSUP);
        CHECK(strstr(w.error.text, "no image ran"));
        world_free(&w);
}

static void stub_with_section(struct world *w)
{
        w->fw.n = 1;
        w->fw.files[0].ran_last = true;
        tiny_section(w->stub, 1, ".linux", 0x2000, 0x1f3, TINY_DATA_AT, 0x200);
        measure_image(w, w->stub, RECORD_FIRMWARE);
        measure_initrd(w, '0');
}

static void kernel_by_section(void)
{
        struct world w;

        world_new(&w);
        stub_with_section(&w);
        CHECK_EQ(prepare(&w), -ENOTSUP); /* the stub's own measurement isn't the kernel's */
        CHECK(strstr(w.error.text, "measured none of its .linux"));
        measure_bytes(&w, 11, EV_IPL, SPAN(w.stub + TINY_DATA_AT, 0x200), SPAN(".linux", 7));
        CHECK_EQ(prepare(&w), -ENOTSUP); /* with the file's padding it is something else */
        measure_bytes(&w, 11, EV_IPL, SPAN(w.stub + TINY_DATA_AT, 0x1f3), SPAN(".linux", 7));
        CHECK_EQ(prepare(&w), 0);
        CHECK(w.files.kernel.data == w.stub + TINY_DATA_AT && w.files.kernel.size == 0x1f3);
        world_free(&w);
}

/* Profiles: the section of the profile that was chosen. Two that were measured are one too many. */
static void several_sections(void)
{
        struct world w;

        world_new(&w);
        stub_with_section(&w);
        tiny_section(w.stub, 0, ".linux", 0x1000, 0x100, TINY_TEXT_AT, 0x200);
        measure_bytes(&w, 11, EV_IPL, SPAN(w.stub + TINY_TEXT_AT, 0x100), SPAN(".linux", 7));
        CHECK_EQ(prepare(&w), 0);
        CHECK(w.files.kernel.data == w.stub + TINY_TEXT_AT);
        file_handover_release(&w.files);
        measure_bytes(&w, 11, EV_IPL, SPAN(w.stub + TINY_DATA_AT, 0x1f3), SPAN(".linux", 7));
        CHECK_EQ(prepare(&w), -ENOTSUP);
        CHECK(strstr(w.error.text, "two different"));
        world_free(&w);
}

static void another_initrd(void)
{
        struct world w;

        world_new(&w);
        measure_image(&w, w.kernel, RECORD_FIRMWARE);
        CHECK_EQ(prepare(&w), 0); /* kernels before 6.1 don't measure it */
        file_handover_release(&w.files);
        measure_initrd(&w, '1');
        CHECK_EQ(prepare(&w), -ENOTSUP);
        CHECK(strstr(w.error.text, "initrd in memory"));
        CHECK(w.files.command_line.data == NULL);
        world_free(&w);
}

static void no_initrd(void)
{
        struct world w;

        world_new(&w);
        measure_image(&w, w.kernel, RECORD_FIRMWARE);
        CHECK(ram_put_u32(w.fw.ram, GUEST_PARAMS + 0x21c, 0));
        CHECK_EQ(prepare(&w), 0);
        CHECK_EQ(w.files.initrd.size, 0);
        world_free(&w);
}

static const struct tap_test tests[] = {
                {"a kernel that LoadImage took", kernel_by_load_image},
                {"a kernel that wasn't measured as it is", kernel_that_was_not_measured},
                {"a kernel that the stub placed by itself", kernel_by_section},
                {"several .linux sections", several_sections},
                {"another initrd than the one measured", another_initrd},
                {"no initrd", no_initrd},
};
TAP_MAIN(tests)

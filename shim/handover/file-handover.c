/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/file-handover.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/event.h"
#include "shim/handover/boot-params.h"
#include "shim/handover/handover.h"
#include "tcg2/authenticode.h"
#include "tcg2/pe.h"

#define PCR_INITRD       9u
#define INITRD_EVENT_TAG 0x8f3b22ecu /* Linux, drivers/firmware/efi/libstub/efistub.h */

void file_handover_release(struct file_handover *files)
{
        buf_release(&files->command_line);
        *files = (struct file_handover){0};
}

/* Linux/x86 boot protocol (Documentation/arch/x86/boot.rst): boot_flag and header. */
static bool is_bzimage(struct span file)
{
        struct span at;

        return span_sub(file, 0x1fe, 2, &at) && memcmp(at.data, "\x55\xaa", 2) == 0 &&
               span_sub(file, 0x202, 4, &at) && memcmp(at.data, "HdrS", 4) == 0;
}

static bool was_measured(const struct record *record, enum record_source source,
                const struct digests *digests)
{
        for (size_t i = 0; i < record->n; i++)
                if (record->events[i].source == source &&
                                digests_equal(&record->events[i].digests, digests))
                        return true;
        return false;
}

/* An image that firmware loaded: its Authenticode digest is in PCR 4's events. Under Secure Boot
 * stubs up to 257 have it loaded without asking firmware: then what they measured of .linux tells.
 */
static int take_image(const struct record *record, struct span file, struct span *ret,
                struct error *error)
{
        struct digests digests;
        int r = authenticode_digest(file, &record->banks, &digests, error);

        if (r < 0)
                return r;
        if (was_measured(record, RECORD_FIRMWARE, &digests)) {
                *ret = file;
                return 0;
        }
        if (hash_span(&record->banks, file, &digests) < 0)
                return error_set(error, EIO, "can't hash the inner kernel");
        if (!was_measured(record, RECORD_PAYLOAD, &digests))
                return error_set(error, ENOTSUP, "the inner kernel isn't what was measured");
        *ret = file;
        return 0;
}

/* A stub that places the kernel by itself: the section whose bytes it measured. A UKI with profiles
 * may have several; those of the other profiles weren't. */
static int take_section(const struct record *record, const struct pe *stub, struct span *ret,
                struct error *error)
{
        struct span found = {0};
        struct pe_section s;

        for (unsigned i = 0; pe_section(stub, i, &s); i++) {
                struct digests digests;
                struct span bytes = s.raw;

                if (strcmp(s.name, ".linux") != 0)
                        continue;
                if (s.virtual_size < bytes.size)
                        bytes.size = s.virtual_size; /* the rest fills up the file's alignment */
                if (hash_span(&record->banks, bytes, &digests) < 0)
                        return error_set(error, EIO, "can't hash the .linux section");
                if (!was_measured(record, RECORD_PAYLOAD, &digests))
                        continue;
                if (found.data && !span_equal(found, bytes))
                        return error_set(error, ENOTSUP,
                                        "two different .linux sections were measured: which of "
                                        "them runs can't be told");
                found = bytes;
        }
        if (!found.data)
                return error_set(error, ENOTSUP,
                                "the payload measured none of its .linux sections: nothing proves "
                                "which kernel it started");
        *ret = found;
        return 0;
}

/* The file of the image that ran at the hand-over. */
static int find_last_image(struct firmware *fw, struct span *ret, struct error *error)
{
        _cleanup_free_ struct fw_image_file *files = NULL;
        size_t n;
        int r = firmware_image_files(fw, &files, &n);

        if (r < 0)
                return error_set(error, -r, "the files of the payload's images: %s", strerror(-r));
        for (size_t i = 0; i < n; i++)
                if (files[i].ran_last && files[i].file.size > 0) {
                        *ret = files[i].file;
                        return 0;
                }
        return error_set(error, ENOTSUP, "no image ran at the hand-over");
}

static int find_kernel(struct firmware *fw, const struct record *record, struct span *ret,
                struct error *error)
{
        struct pe_section ignored;
        struct span file;
        struct pe pe;
        int r = find_last_image(fw, &file, error);

        if (r < 0)
                return r;
        r = pe_parse(file, &pe, error);
        if (r < 0)
                return r;
        if (!is_bzimage(file) && pe_find_section(&pe, ".linux", &ignored))
                return take_section(record, &pe, ret, error);
        return take_image(record, file, ret, error);
}

static bool is_initrd_event(const struct recorded_event *e)
{
        struct cursor c = CURSOR(e->data);
        uint32_t tag;

        return e->payload_pcr == PCR_INITRD && e->type == EV_EVENT_TAG && cursor_u32(&c, &tag) &&
               tag == INITRD_EVENT_TAG;
}

/* Kernels since 6.1 measure the initrd that they got. */
static int check_initrd(const struct record *record, struct span initrd, struct error *error)
{
        struct digests digests;

        if (hash_span(&record->banks, initrd, &digests) < 0)
                return error_set(error, EIO, "can't hash the initrd");
        for (size_t i = 0; i < record->n; i++)
                if (is_initrd_event(&record->events[i]) &&
                                !digests_equal(&record->events[i].digests, &digests))
                        return error_set(error, ENOTSUP,
                                        "the initrd in memory isn't the one that was measured");
        return 0;
}

int file_handover_prepare(struct firmware *fw, const struct firmware_end *end,
                uint8_t host_secure_boot, const struct record *record, struct file_handover *ret,
                struct error *error)
{
        struct file_handover files = {0};
        const struct ram *ram = firmware_ram(fw);
        uint64_t boot_params;
        int r = handover_find_boot_params(fw, end, host_secure_boot, &boot_params, error);

        if (r < 0)
                return r;
        r = find_kernel(fw, record, &files.kernel, error);
        if (r == 0 && (!boot_params_initrd(ram, boot_params, &files.initrd) ||
                                      !boot_params_command_line(
                                                      ram, boot_params, &files.command_line)))
                r = error_set(error, EINVAL,
                                "boot_params: initrd or command line isn't in guest RAM");
        if (r == 0)
                r = check_initrd(record, files.initrd, error);
        if (r < 0) {
                file_handover_release(&files);
                return r;
        }
        *ret = files;
        return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/payload-about.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/escape.h"
#include "shim/os-release.h"
#include "tcg2/authenticode-signature.h"
#include "tcg2/pe.h"

#define TEXT_MAX 4096
/* Linux/x86 boot protocol: the header's mark, and where the version string stands. */
#define HEADER_MAGIC_AT   0x202
#define KERNEL_VERSION_AT 0x20e
#define SETUP_SECTOR      0x200

DEFINE_CLEANUP(struct authenticode_signature *, authenticode_signature_free)

void payload_about_release(struct payload_about *about)
{
        free(about->kernel);
        free(about->os);
        free(about->command_line);
        free(about->signer);
        *about = (struct payload_about){0};
}

/* Up to the first NUL, without blanks and line ends behind it. */
static char *text_of(struct span s)
{
        _cleanup_buf_ struct buf text = {0};
        const uint8_t *end = s.size > 0 ? memchr(s.data, 0, s.size) : NULL;
        char *ret;

        if (end)
                s.size = (size_t)(end - s.data);
        while (s.size > 0 && strchr(" \t\r\n", s.data[s.size - 1]))
                s.size--;
        if (s.size == 0 || s.size > TEXT_MAX)
                return NULL;
        escape_text(s, TEXT_UTF8, ESCAPE_LINE, &text);
        buf_put_u8(&text, 0);
        if (buf_failed(&text))
                return NULL;
        ret = (char *)text.data;
        text = (struct buf){0};
        return ret;
}

/* The section of that name that counts for a profile: its own, or else the one before all profiles.
 */
static struct span section_of(const struct pe *pe, const char *name, unsigned profile)
{
        struct pe_section section;
        struct span found = {0};
        unsigned n = 0; /* of .profile sections that were passed */

        for (unsigned i = 0; pe_section(pe, i, &section); i++) {
                if (strcmp(section.name, ".profile") == 0)
                        n++;
                if (strcmp(section.name, name) != 0 || (n != 0 && n != profile + 1))
                        continue;
                if (found.size > 0 && n == 0)
                        continue; /* the first of two */
                found = section.raw;
                if (section.virtual_size < found.size)
                        found.size = section.virtual_size;
        }
        return found;
}

static char *kernel_version(struct span image)
{
        struct cursor c = CURSOR(image);
        struct span mark, text;
        uint16_t at;

        c.offset = HEADER_MAGIC_AT;
        if (image.size < KERNEL_VERSION_AT + 2 || !cursor_take(&c, 4, &mark) ||
                        !span_equal(mark, SPAN("HdrS", 4)))
                return NULL;
        c.offset = KERNEL_VERSION_AT;
        if (!cursor_u16(&c, &at) || at == 0 || (size_t)at + SETUP_SECTOR >= image.size)
                return NULL;
        text = SPAN(image.data + at + SETUP_SECTOR, image.size - (size_t)at - SETUP_SECTOR);
        text.size = strnlen((const char *)text.data, text.size < 256 ? text.size : 256);
        for (size_t i = 0; i < text.size; i++) /* "6.1.0-1 (somebody) #1 ..." */
                if (text.data[i] == ' ')
                        text.size = i;
        return text_of(text);
}

static char *first_signer(const struct pe *pe)
{
        _cleanup_(authenticode_signature_freep) struct authenticode_signature *signature = NULL;
        struct certificate_table table;
        struct span der;
        const char *name;

        if (certificate_table_open(pe, &table, NULL) < 0 ||
                        certificate_table_next(&table, &der, NULL) <= 0 ||
                        authenticode_signature_new(der, &signature, NULL) < 0)
                return NULL;
        name = authenticode_signature_signer(signature);
        return name ? text_of(SPAN(name, strlen(name))) : NULL;
}

void payload_about_read(struct span file, unsigned profile, struct payload_about *ret)
{
        struct payload_about about = {0};
        struct span inner;
        struct pe pe;

        if (pe_parse(file, &pe, NULL) == 0) {
                inner = section_of(&pe, ".linux", profile);
                about.kernel = text_of(section_of(&pe, ".uname", profile));
                if (!about.kernel)
                        about.kernel = kernel_version(inner.size > 0 ? inner : file);
                about.os = text_of(
                                os_release_find(section_of(&pe, ".osrel", profile), "PRETTY_NAME"));
                about.command_line = text_of(section_of(&pe, ".cmdline", profile));
                about.signer = first_signer(&pe);
        }
        *ret = about;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See profile.h. Sections and text are read as systemd's src/boot/pe.c and efi-string.c do. */
#include "shim/profile.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/os-release.h"
#include "tcg2/pe.h"

#define FIRST_VERSION 257u /* the first systemd whose stub knows profiles */

/* What the stub sees of a section: VirtualSize bytes, of which the file may lack the last. */
static struct span contents(const struct pe_section *section)
{
        struct span s = section->raw;

        if (section->virtual_size < s.size)
                s.size = section->virtual_size;
        return s;
}

/* "#### LoaderInfo: systemd-stub 257.13-1~deb13u1 ####" in .sdmagic. 0: isn't there. */
static unsigned stub_version(const struct pe *pe)
{
        static const char mark[] = "LoaderInfo: systemd-stub ";
        struct pe_section section;
        const uint8_t *found;
        unsigned version = 0;
        struct span s;

        if (!pe_find_section(pe, ".sdmagic", &section))
                return 0;
        s = contents(&section);
        found = s.size > 0 ? memmem(s.data, s.size, mark, sizeof(mark) - 1) : NULL;
        if (!found)
                return 0;
        found += sizeof(mark) - 1;
        if (found < s.data + s.size && *found == 'v')
                found++;
        for (; found < s.data + s.size && *found >= '0' && *found <= '9' && version < 100000;
                        found++)
                version = version * 10 + (*found - '0');
        return version;
}

static bool take_number(const char *text, unsigned long *ret)
{
        char *end;

        errno = 0;
        *ret = strtoul(text, &end, 10);
        return text[0] >= '0' && text[0] <= '9' && !*end && errno == 0;
}

/* Appends ", 1 (rescue)" as far as there is room. */
static void add_to_list(char *list, size_t size, unsigned number, struct span id)
{
        size_t n = strlen(list);

        snprintf(list + n, size - n, "%s%u%s%.*s%s", number ? ", " : "", number,
                        id.size ? " (" : "", id.size > 64 ? 64 : (int)id.size,
                        id.size ? (const char *)id.data : "", id.size ? ")" : "");
}

static int look_up(const struct pe *pe, const char *wanted, unsigned *ret, struct error *error)
{
        unsigned long number = ULONG_MAX;
        bool by_number = take_number(wanted, &number);
        struct pe_section section;
        char list[400] = "";
        unsigned n = 0;

        for (unsigned i = 0; pe_section(pe, i, &section); i++) {
                struct span id;

                if (strcmp(section.name, ".profile") != 0)
                        continue;
                id = os_release_find(contents(&section), "ID");
                if (by_number ? number == n : span_equal(id, SPAN(wanted, strlen(wanted)))) {
                        *ret = n;
                        return 0;
                }
                add_to_list(list, sizeof(list), n++, id);
        }
        if (by_number && number == 0) {
                *ret = 0;
                return 0;
        }
        if (n == 0)
                return error_set(error, EINVAL, "there is no profile %s: it has none", wanted);
        return error_set(error, EINVAL, "there is no profile %s; it has: %s", wanted, list);
}

int profile_find(struct span uki, const char *wanted, unsigned *ret, struct error *error)
{
        unsigned version;
        struct pe pe;
        int r = pe_parse(uki, &pe, error);

        if (r < 0)
                return r;
        version = stub_version(&pe);
        if (version == 0)
                return error_set(error, EOPNOTSUPP,
                                "--profile is for UKIs with systemd's stub, which this isn't");
        if (version < FIRST_VERSION)
                return error_set(error, EOPNOTSUPP,
                                "its stub is of systemd %u; profiles are known since %u", version,
                                FIRST_VERSION);
        if (!wanted[0])
                return error_set(error, EINVAL, "--profile wants a number or an ID");
        return look_up(&pe, wanted, ret, error);
}

unsigned profile_of_command_line(const char *text)
{
        size_t digits = text[0] == '@' ? strspn(text + 1, "0123456789") : 0;

        if (digits == 0 || digits > 9 || (text[1 + digits] != ' ' && text[1 + digits] != '\0'))
                return 0;
        return (unsigned)strtoul(text + 1, NULL, 10);
}

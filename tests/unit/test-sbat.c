/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SBAT as shim's SBAT.md tells it, and levels or sections that nobody could mean. */
#include <errno.h>

#include "tcg2/sbat.h"
#include "tests/unit/tap.h"

#define TEXT(t) SPAN(t, sizeof(t) - 1)

/* The document's own history of "vendor C": what its product carries, what the level asks for. */
static const struct {
        const char *name;
        struct span level, section;
        int result;
} rows[] = {
                {"as required", TEXT("sbat,1,2021\ngrub,4\n"),
                                TEXT("sbat,1,S,sbat,1,u\ngrub,4,F,grub,2,u\n"), 0},
                {"newer", TEXT("sbat,1,2021\ngrub,4\n"),
                                TEXT("sbat,1,S,sbat,1,u\ngrub,5,F,grub,2,u\n"), 0},
                {"older", TEXT("sbat,1,2021\ngrub,4\n"),
                                TEXT("sbat,1,S,sbat,1,u\ngrub,3,F,grub,2,u\n"), -EKEYREVOKED},
                {"product revoked", TEXT("sbat,1,2021\ngrub,4\ngrub.vendorc,2\n"),
                                TEXT("sbat,1,S,sbat,1,u\ngrub,4,F,grub,2,u\n"
                                     "grub.vendorc,1,V,grub,2,u\n"),
                                -EKEYREVOKED},
                {"product repaired", TEXT("sbat,1,2021\ngrub,4\ngrub.vendorc,2\n"),
                                TEXT("sbat,1,S,sbat,1,u\ngrub,4,F,grub,2,u\n"
                                     "grub.vendorc,2,V,grub,2,u\n"),
                                0},
                {"ten is more than nine", TEXT("grub,10\n"), TEXT("grub,9,F,grub,2,u\n"),
                                -EKEYREVOKED},
                {"another component", TEXT("grub,10\n"), TEXT("grub2,9,F,grub,2,u\n"), 0},
                {"version of SBAT itself", TEXT("sbat,2,2021\n"), TEXT("sbat,1,S,sbat,1,u\n"),
                                -EKEYREVOKED},
                {"no level", TEXT(""), TEXT("grub,0,F,grub,2,u\n"), 0},
                {"no section", TEXT("grub,10\n"), TEXT(""), 0},
                {"not a number", TEXT("grub,1\n"), TEXT("grub,x,F,grub,2,u\n"), -EKEYREVOKED},
                {"a number and more", TEXT("grub,1\n"), TEXT("grub,2x,F,grub,2,u\n"), -EKEYREVOKED},
                {"a level beyond numbers", TEXT("grub,99999999999999999999\n"),
                                TEXT("grub,4294967297,F,grub,2,u\n"), 0},
                {"the higher of two levels", TEXT("grub,1\ngrub,3\n"), TEXT("grub,2,F,grub,2,u\n"),
                                -EKEYREVOKED},
                {"carriage returns", TEXT("\r\ngrub,3\r\n"), TEXT("grub,2,F,grub,2,u\r\n"),
                                -EKEYREVOKED},
                {"byte order marks", TEXT("\xef\xbb\xbfgrub,3\n"),
                                TEXT("\xef\xbb\xbfgrub,2,F,grub,2,u\n"), -EKEYREVOKED},
                {"no newline at the end", TEXT("grub,3"), TEXT("grub,2,F,grub,2,u"), -EKEYREVOKED},
                {"text behind a NUL", TEXT("grub,1\n\0grub,3\n"), TEXT("grub,2,F,grub,2,u\n\0\0,"),
                                0},
                {"more columns than known", TEXT("grub,3,a,b,c,d,e,f\n"),
                                TEXT("grub,2,F,grub,2,u,more,and,more\n"), -EKEYREVOKED},
                {"a level with one column", TEXT("grub\n"), TEXT("grub,2,F,grub,2,u\n"), -EBADMSG},
                {"a level without a name", TEXT(",3\n"), TEXT("grub,2,F,grub,2,u\n"), -EBADMSG},
                {"a section with five columns", TEXT("grub,1\n"), TEXT("grub,2,F,grub,2\n"),
                                -EBADMSG},
                {"a section with an empty column", TEXT("grub,1\n"), TEXT("grub,2,,grub,2,u\n"),
                                -EBADMSG},
                {"a damaged section without a level", TEXT(""), TEXT("grub\n"), 0},
};

static void test_rows(void)
{
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct error error = {0};
                int r = sbat_check(rows[i].level, rows[i].section, &error);

                if (r != rows[i].result || (r < 0) != (error.text[0] != '\0')) {
                        printf("# %s: %d, %s\n", rows[i].name, r, error.text);
                        tap_failures++;
                }
        }
}

static const struct tap_test tests[] = {{"levels and sections", test_rows}};
TAP_MAIN(tests)

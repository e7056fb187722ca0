/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/pcr-values.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

struct line {
        const struct alg *alg; /* NULL: a line without value */
        unsigned pcr;
        uint8_t bytes[DIGEST_MAX_BYTES];
};

static bool parse_line(char *text, struct line *ret)
{
        char bank[16], hex[2 * DIGEST_MAX_BYTES + 1], rest[2];

        *ret = (struct line){0};
        text[strcspn(text, "#\n")] = '\0';
        if (text[strspn(text, " \t\r")] == '\0')
                return true;
        if (sscanf(text, "%15s %u %128s %1s", bank, &ret->pcr, hex, rest) != 3 ||
                        ret->pcr >= PCR_COUNT)
                return false;
        ret->alg = alg_by_name(bank);
        return ret->alg && hex_decode(hex, ret->bytes, ret->alg->size);
}

/* One pass over the file: collects the banks (values NULL) or the values. */
static int pass(const char *path, struct banks *banks, struct replay *values, struct error *error)
{
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        char text[512];
        struct line line;

        if (!f)
                return error_set(error, errno, "can't open %s: %m", path);
        for (unsigned n = 1; fgets(text, sizeof(text), f); n++) {
                if (!parse_line(text, &line))
                        return error_set(error, EINVAL,
                                        "%s:%u: want 'bank pcr hex', as 'sha256 8 00...'", path, n);
                if (!line.alg)
                        continue;
                if (values) {
                        int b = replay_bank(values, line.alg->id);

                        if (b < 0)
                                return error_set(error, EBUSY, "%s changes while it is read", path);
                        memcpy(values->pcr[b][line.pcr].bytes, line.bytes, line.alg->size);
                        values->measured[b] |= 1u << line.pcr;
                } else {
                        banks_add(banks, line.alg); /* false: it is there already */
                }
        }
        return ferror(f) ? error_set(error, errno ?: EIO, "can't read %s: %m", path) : 0;
}

int pcr_values_read(const char *path, struct replay *ret, struct error *error)
{
        struct banks banks = {0};
        struct replay values;
        int r = pass(path, &banks, NULL, error);

        if (r < 0)
                return r;
        if (banks.n == 0)
                return error_set(error, EINVAL, "%s names no PCR", path);
        replay_start(&values, &banks);
        r = pass(path, &banks, &values, error);
        if (r < 0)
                return r;
        *ret = values;
        return 0;
}

bool pcr_list_parse(const char *text, uint32_t *ret)
{
        uint32_t mask = 0;

        for (;;) {
                char *end;
                unsigned long pcr;

                if (*text < '0' || *text > '9')
                        return false;
                pcr = strtoul(text, &end, 10);
                if (pcr >= PCR_COUNT)
                        return false;
                mask |= 1u << pcr;
                if (*end == '\0') {
                        *ret = mask;
                        return true;
                }
                if (*end != ',')
                        return false;
                text = end + 1;
        }
}

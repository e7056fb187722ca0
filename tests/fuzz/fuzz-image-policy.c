/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Five sizes (u32), db, dbx, MokList, MokListX, SbatLevel, and an image. Whatever they are: an
 * image is accepted by an entry of an allowing list, or refused with a reason; without allowing
 * lists nothing is accepted; what denies itself is refused; and nobody's certificate vouches for an
 * image of which a byte of a section was changed. */
#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "tcg2/image-policy.h"
#include "tcg2/pe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct image_verdict judge(const struct image_policy *policy, struct span file)
{
        struct image_verdict verdict = {0};
        struct error error = {0};

        assert(image_policy_judge(policy, file, false, &verdict, &error) == 0);
        assert(verdict.accepted == (verdict.reason[0] == '\0'));
        return verdict;
}

static bool inside(struct span part, struct span whole)
{
        return part.data >= whole.data && part.data + part.size <= whole.data + whole.size;
}

static void check_changed(const struct image_policy *policy, struct span file)
{
        _cleanup_free_ uint8_t *changed = malloc(file.size);
        struct pe_section s;
        struct pe pe;

        assert(changed && pe_parse(file, &pe, NULL) == 0);
        memcpy(changed, file.data, file.size);
        for (unsigned i = 0; pe_section(&pe, i, &s); i++)
                if (s.raw.size > 0 && s.raw_offset >= pe.size_of_headers) {
                        changed[s.raw_offset] ^= 1;
                        assert(!judge(policy, SPAN(changed, file.size)).accepted);
                        changed[s.raw_offset] ^= 1;
                }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct cursor c = CURSOR(SPAN(data, size));
        struct image_policy policy = {0}, other;
        struct span *parts[] = {&policy.db, &policy.dbx, &policy.mok_list, &policy.mok_list_x,
                        &policy.sbat_level};
        uint32_t sizes[ARRAY_SIZE(parts)];
        struct image_verdict verdict;
        struct span file;

        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                if (!cursor_u32(&c, &sizes[i]))
                        return 0;
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                if (!cursor_take(&c, sizes[i], parts[i]))
                        return 0;
        if (!cursor_take(&c, cursor_left(&c), &file))
                return 0;
        verdict = judge(&policy, file);
        if (!verdict.accepted)
                return 0;
        assert(inside(verdict.authority, policy.db) || inside(verdict.authority, policy.mok_list));
        other = policy;
        other.db = other.mok_list = SPAN(NULL, 0);
        assert(!judge(&other, file).accepted);
        other = policy;
        other.dbx = inside(verdict.authority, policy.db) ? policy.db : policy.mok_list;
        assert(!judge(&other, file).accepted);
        check_changed(&policy, file);
        return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/explain.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf16.h"

/* Each form appends the bytes that a boot loader may have hashed for this data, or says false. */

static bool as_is(struct span data, struct buf *ret)
{
        buf_put_span(ret, data);
        return true;
}

/* Text that was logged with its NUL and hashed without. */
static bool without_nul(struct span data, struct buf *ret)
{
        if (data.size == 0 || data.data[data.size - 1] != 0)
                return false;
        buf_put(ret, data.data, data.size - 1);
        return true;
}

/* GRUB's tpm module: data is "grub_cmd: linux /vmlinuz" and a NUL; what stands behind the blank is
 * hashed, by some versions with the NUL. */
static bool behind_blank(struct span data, struct buf *ret)
{
        const uint8_t *blank = data.size > 0 ? memchr(data.data, ' ', data.size) : NULL;

        if (!blank)
                return false;
        buf_put(ret, blank + 1, data.size - (size_t)(blank + 1 - data.data));
        return true;
}

static bool behind_blank_without_nul(struct span data, struct buf *ret)
{
        return data.size > 0 && data.data[data.size - 1] == 0 &&
               behind_blank(SPAN(data.data, data.size - 1), ret);
}

/* Older systemd-boot: a UTF-16 command line is hashed whole and logged without the last byte of its
 * NUL. */
static bool with_whole_nul(struct span data, struct buf *ret)
{
        if (data.size % 2 == 0 || data.data[data.size - 1] != 0)
                return false;
        buf_put_span(ret, data);
        buf_put_u8(ret, 0);
        return true;
}

/* systemd-stub: UTF-16 section names and command lines are logged, ASCII is hashed. */
static bool as_utf8(struct span data, struct buf *ret)
{
        if (data.size < 2 || data.size % 2 != 0)
                return false;
        utf16_to_utf8(data, ret);
        return true;
}

static bool as_utf8_with_nul(struct span data, struct buf *ret)
{
        if (!as_utf8(data, ret))
                return false;
        buf_put_u8(ret, 0);
        return true;
}

static const struct {
        bool ipl_only;
        bool (*preimage)(struct span data, struct buf *ret);
} forms[] = {
                {false, as_is},
                {true, without_nul},
                {true, behind_blank_without_nul},
                {true, behind_blank},
                {true, with_whole_nul},
                {true, as_utf8_with_nul},
                {true, as_utf8},
};

/* Whether each digest that the event has is the hash of preimage: 1, 0 or -errno. */
static int digests_fit(const struct tcg_event *event, struct hasher *hasher, struct span preimage)
{
        struct digests digests;
        int r;

        r = hasher_update(hasher, preimage);
        if (r >= 0)
                r = hasher_finish(hasher, &digests);
        if (r < 0)
                return r;
        for (size_t i = 0; i < event->digests.n; i++) {
                const struct digest *d = digests_find(&digests, event->digests.d[i].alg->id);

                if (!d || memcmp(d->bytes, event->digests.d[i].bytes, d->alg->size) != 0)
                        return 0;
        }
        return event->digests.n > 0;
}

int event_explain(const struct tcg_event *event, struct hasher *hasher, struct buf *preimage)
{
        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                int r;

                if (forms[i].ipl_only && event->type != EV_IPL)
                        continue;
                preimage->size = 0;
                if (!forms[i].preimage(event->data, preimage))
                        continue;
                if (buf_failed(preimage))
                        return -ENOMEM;
                r = digests_fit(event, hasher, buf_span(preimage));
                if (r != 0)
                        return r;
        }
        return 0;
}

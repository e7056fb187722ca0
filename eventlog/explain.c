/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/explain.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf16.h"
#include "eventlog/uefi-event.h"

/* Each form finds the bytes that may have been hashed for an event: a part of its data, or put
 * together in scratch. */

static bool as_is(const struct tcg_event *event, struct buf *scratch, struct span *ret)
{
        *ret = event->data;
        return true;
}

/* Text that was logged with its NUL and hashed without. */
static bool without_nul(const struct tcg_event *event, struct buf *scratch, struct span *ret)
{
        struct span data = event->data;

        if (data.size == 0 || data.data[data.size - 1] != 0)
                return false;
        *ret = SPAN(data.data, data.size - 1);
        return true;
}

/* GRUB's tpm module: data is "grub_cmd: linux /vmlinuz" and a NUL; what stands behind the blank is
 * hashed, by some versions with the NUL. */
static bool behind_blank(const struct tcg_event *event, struct buf *scratch, struct span *ret)
{
        struct span data = event->data;
        const uint8_t *blank = data.size > 0 ? memchr(data.data, ' ', data.size) : NULL;

        if (!blank)
                return false;
        *ret = SPAN(blank + 1, data.size - (size_t)(blank + 1 - data.data));
        return true;
}

static bool behind_blank_without_nul(
                const struct tcg_event *event, struct buf *scratch, struct span *ret)
{
        struct span found;

        if (!behind_blank(event, scratch, &found) || found.size == 0 ||
                        found.data[found.size - 1] != 0)
                return false;
        *ret = SPAN(found.data, found.size - 1);
        return true;
}

/* Older systemd-boot: a UTF-16 command line is hashed whole and logged without the last byte of its
 * NUL. */
static bool with_whole_nul(const struct tcg_event *event, struct buf *scratch, struct span *ret)
{
        struct span data = event->data;

        if (data.size % 2 == 0 || data.data[data.size - 1] != 0)
                return false;
        buf_put_span(scratch, data);
        buf_put_u8(scratch, 0);
        *ret = buf_span(scratch);
        return true;
}

/* systemd-stub: UTF-16 section names and command lines are logged, ASCII is hashed. */
static bool as_utf8(const struct tcg_event *event, struct buf *scratch, struct span *ret)
{
        if (event->data.size < 2 || event->data.size % 2 != 0)
                return false;
        utf16_to_utf8(event->data, scratch);
        *ret = buf_span(scratch);
        return true;
}

static bool as_utf8_with_nul(const struct tcg_event *event, struct buf *scratch, struct span *ret)
{
        if (!as_utf8(event, scratch, ret))
                return false;
        buf_put_u8(scratch, 0);
        *ret = buf_span(scratch);
        return true;
}

/* EV_EFI_VARIABLE_BOOT: older specifications let firmware hash the variable's value alone. */
static bool variable_value(const struct tcg_event *event, struct buf *scratch, struct span *ret)
{
        struct uefi_variable variable;

        if (uefi_variable_read(event->data, &variable, NULL) < 0)
                return false;
        *ret = variable.data;
        return true;
}

/* So did firmware of SHA-1's days with Secure Boot's variables. */
static bool variable_value_sha1(
                const struct tcg_event *event, struct buf *scratch, struct span *ret)
{
        return event->digests.n == 1 && event->digests.d[0].alg->id == TPM_ALG_SHA1 &&
               variable_value(event, scratch, ret);
}

#define ANY_TYPE UINT32_MAX

static const struct {
        uint32_t type;
        enum explained result;
        bool (*preimage)(const struct tcg_event *event, struct buf *scratch, struct span *ret);
} forms[] = {
                {ANY_TYPE, EXPLAINED_BY_DATA, as_is},
                {EV_IPL, EXPLAINED_BY_TEXT, without_nul},
                {EV_IPL, EXPLAINED_BY_TEXT, behind_blank_without_nul},
                {EV_IPL, EXPLAINED_BY_TEXT, behind_blank},
                {EV_IPL, EXPLAINED_BY_TEXT, with_whole_nul},
                {EV_IPL, EXPLAINED_BY_TEXT, as_utf8_with_nul},
                {EV_IPL, EXPLAINED_BY_TEXT, as_utf8},
                {EV_EFI_VARIABLE_BOOT, EXPLAINED_BY_VALUE, variable_value},
                {EV_EFI_VARIABLE_BOOT2, EXPLAINED_BY_VALUE, variable_value},
                {EV_EFI_VARIABLE_DRIVER_CONFIG, EXPLAINED_BY_VALUE, variable_value_sha1},
};

/* The first digest of the event that isn't the hash of preimage; NULL: all are, or -errno. */
static int find_other(const struct tcg_event *event, struct hasher *hasher, struct span preimage,
                const struct alg **ret)
{
        struct digests digests;
        int r;

        r = hasher_update(hasher, preimage);
        if (r >= 0)
                r = hasher_finish(hasher, &digests);
        if (r < 0)
                return r;
        *ret = NULL;
        for (size_t i = 0; i < event->digests.n && !*ret; i++) {
                const struct alg *alg = event->digests.d[i].alg;
                const struct digest *d = digests_find(&digests, alg->id);

                if (!d || memcmp(d->bytes, event->digests.d[i].bytes, alg->size) != 0)
                        *ret = alg;
        }
        return 0;
}

int event_explain(const struct tcg_event *event, struct hasher *hasher, struct buf *scratch,
                struct explanation *ret)
{
        *ret = (struct explanation){.how = UNEXPLAINED};
        if (event->digests.n == 0)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                const struct alg *other;
                struct span preimage;
                int r;

                if (forms[i].type != ANY_TYPE && forms[i].type != event->type)
                        continue;
                scratch->size = 0;
                if (!forms[i].preimage(event, scratch, &preimage))
                        continue;
                if (buf_failed(scratch))
                        return -ENOMEM;
                r = find_other(event, hasher, preimage, &other);
                if (r < 0)
                        return r;
                if (!other) {
                        *ret = (struct explanation){.how = forms[i].result, .preimage = preimage};
                        return 0;
                }
                if (!ret->other)
                        ret->other = other;
        }
        return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Digests against data. What firmware hashes for a type is as the specification says for some, and
 * anything for others: the rows are what 123 real logs do. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/check-parts.h"
#include "eventlog/uefi-event.h"

enum rule {
        STRICT, /* the data, in one of the forms that explain.h knows */
        WARN,   /* it should be */
        SHIM,   /* strict but for what old shims wrote */
};

/* The others are hashes of what isn't in the log (code, memory, files), or at will. */
static const struct {
        uint32_t type;
        enum rule rule;
} rules[] = {
                {EV_SEPARATOR, STRICT},
                {EV_EFI_ACTION, STRICT},
                {EV_EFI_GPT_EVENT, STRICT},
                {EV_EFI_VARIABLE_DRIVER_CONFIG, STRICT},
                {EV_EFI_VARIABLE_BOOT, STRICT},
                {EV_EFI_VARIABLE_BOOT2, STRICT},
                {EV_EFI_VARIABLE_AUTHORITY, SHIM},
                {EV_S_CRTM_VERSION, WARN},
};

/* shim up to 15 (its issue 184): behind the value stand the 6 bytes by which its struct was padded,
 * and the value lacks the owner's GUID that was hashed, so it is a bare DER certificate. */
static bool is_old_shims(struct span data)
{
        struct uefi_variable variable = {0};
        struct cursor c;
        uint16_t length;
        uint8_t sequence, form;

        (void)uefi_variable_read(data, &variable, NULL);
        if (!variable.name.data || variable.excess.size != 6)
                return false;
        c = CURSOR(variable.data);
        return cursor_u8(&c, &sequence) && sequence == 0x30 && cursor_u8(&c, &form) &&
               form == 0x82 && cursor_be16(&c, &length) && cursor_left(&c) == length;
}

static enum check_status unexplained(const struct tcg_event *event, uint32_t *notes)
{
        for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
                if (rules[i].type != event->type)
                        continue;
                if (rules[i].rule == WARN) {
                        *notes |= 1u << NOTE_CRTM_VERSION;
                        return CHECK_UNVERIFIABLE;
                }
                if (rules[i].rule == SHIM && is_old_shims(event->data)) {
                        *notes |= 1u << NOTE_SHIM_AUTHORITY;
                        return CHECK_UNVERIFIABLE;
                }
                *notes |= 1u << NOTE_DIGEST;
                return CHECK_MISMATCH;
        }
        return CHECK_UNVERIFIABLE;
}

int check_digest(const struct tcg_event *event, bool in_hop, struct hasher *hasher,
                struct buf *scratch, enum check_status *ret_status, uint32_t *ret_notes,
                const struct alg **ret_bank)
{
        struct explanation explanation;
        int r = 0;

        *ret_status = CHECK_UNVERIFIABLE;
        *ret_notes = 0;
        *ret_bank = NULL;
        if (event->type == EV_NO_ACTION || event->digests.n == 0)
                return 0;
        r = event_explain(event, hasher, scratch, &explanation);
        if (r < 0)
                return r;
        if (explanation.how != UNEXPLAINED) {
                *ret_status = CHECK_VERIFIED;
                if (explanation.how == EXPLAINED_BY_VALUE)
                        *ret_notes |= 1u << NOTE_VALUE_ALONE;
        } else if (!in_hop) {
                *ret_status = unexplained(event, ret_notes);
                *ret_bank = explanation.other;
        }
        return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Order and separators of what firmware and boot loaders measured (PFP 1.06, 10.4.1 and 3.3.4).
 * Neither order nor types are in a digest, so a forger retypes a separator and appends what he
 * likes (go-attestation, "event log disclosure"). */
#include <assert.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/check-parts.h"
#include "eventlog/uefi-event.h"

#define FIRMWARE_PCRS   0xffu
#define SECURE_BOOT_PCR 7

/* Bytes that only one kind of event has hashed. */
static const struct {
        struct span bytes;
        enum check_note spoof;
} known[] = {
                {{(const uint8_t *)"\0\0\0\0", 4}, NOTE_SEPARATOR_SPOOF},
                {{(const uint8_t *)"\xff\xff\xff\xff", 4}, NOTE_SEPARATOR_SPOOF},
                {{(const uint8_t *)"\1\0\0\0", 4}, NOTE_SEPARATOR_SPOOF},
#define ACTION(text)                                                           \
        {                                                                      \
                {(const uint8_t *)(text), sizeof(text) - 1}, NOTE_ACTION_SPOOF \
        }
                ACTION("Calling EFI Application from Boot Option"),
                ACTION("Returning from EFI Application from Boot Option"),
                ACTION("Exit Boot Services Invocation"),
                ACTION("Exit Boot Services Returned with Success"),
                ACTION("Exit Boot Services Returned with Failure"),
                ACTION("UEFI Debug Mode"),
#undef ACTION
};
static_assert(ARRAY_SIZE(known) == ORDER_TEXTS, "a digest each");

int check_order_start(struct check_order *order, const struct event_log *log)
{
        *order = (struct check_order){.cc = log->cc};
        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
                int r = hash_span(&log->banks, known[i].bytes, &order->known[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* In any bank: a forger may leave out another. */
static bool shares_digest(const struct tcg_event *event, const struct digests *known_digests)
{
        for (size_t i = 0; i < event->digests.n; i++) {
                const struct alg *alg = event->digests.d[i].alg;
                const struct digest *d = digests_find(known_digests, alg->id);

                if (d && memcmp(d->bytes, event->digests.d[i].bytes, alg->size) == 0)
                        return true;
        }
        return false;
}

static bool is_action(uint32_t type)
{
        return type == EV_EFI_ACTION || type == EV_ACTION;
}

/* Two that real logs have: a boot order of entries 1 and 0, hashed alone, is an error separator's
 * bytes; Intel's firmware measures four zeros where it has no such FIT entry. */
static uint32_t coincidence(const struct tcg_event *event, struct span bytes)
{
        bool boot = event->type == EV_EFI_VARIABLE_BOOT || event->type == EV_EFI_VARIABLE_BOOT2;

        if (boot && event->pcr == 1 && bytes.size == 4 && bytes.data[0] == 1)
                return 1u << NOTE_SEPARATOR_LIKE;
        return event->type == EV_S_CRTM_CONTENTS && event->pcr == 0 && bytes.size == 4 &&
                                               bytes.data[0] == 0
                               ? 1u << NOTE_SEPARATOR_LIKE
                               : 0;
}

static uint32_t spoofed(const struct check_order *order, const struct tcg_event *event)
{
        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                if (!(known[i].spoof == NOTE_SEPARATOR_SPOOF ? event->type == EV_SEPARATOR
                                                             : is_action(event->type)) &&
                                shares_digest(event, &order->known[i]))
                        return coincidence(event, known[i].bytes) ?: 1u << known[i].spoof;
        return 0;
}

/* ---- separators ---- */

static uint32_t separator(struct check_order *order, const struct tcg_event *event)
{
        struct cursor c = CURSOR(event->data);
        uint32_t value, notes = 0, bit = event->pcr < PCR_COUNT ? 1u << event->pcr : 0;

        if (event->data.size != 4 || !cursor_u32(&c, &value))
                return 1u << NOTE_SEPARATOR_SIZE;
        if (value == 1)
                notes |= 1u << NOTE_SEPARATOR_ERROR;
        else if (value != 0 && value != UINT32_MAX &&
                        memcmp(event->data.data, "WBCL", 4) != 0) /* Windows, PCR 12 and 13 */
                notes |= 1u << NOTE_SEPARATOR_VALUE;
        if (order->separated & bit & FIRMWARE_PCRS)
                notes |= 1u << (order->cc ? NOTE_SEPARATOR_CC : NOTE_SEPARATOR_AGAIN);
        order->separated |= bit;
        return notes;
}

uint32_t check_order_end(const struct check_order *order)
{
        return order->cc ? 0 : order->measured & FIRMWARE_PCRS & ~order->separated;
}

/* ---- variables ---- */

static uint32_t secure_boot_variable(struct check_order *order, const struct tcg_event *event)
{
        static const char *const names[] = {"SecureBoot", "PK", "KEK", "db", "dbx", "dbt", "dbr",
                        "SetupMode", "AuditMode", "DeployedMode"};
        struct uefi_variable variable = {0};
        uint32_t notes = 0;

        (void)uefi_variable_read(event->data, &variable, NULL);
        if (order->cc || event->pcr != SECURE_BOOT_PCR || !variable.name.data)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                if (!uefi_variable_is(&variable, names[i]))
                        continue;
                if (order->separated & 1u << SECURE_BOOT_PCR)
                        notes |= 1u << NOTE_VARIABLE_LATE;
                else if (order->variables & 1u << i)
                        notes |= 1u << NOTE_VARIABLE_AGAIN;
                order->variables |= 1u << i;
        }
        return notes;
}

/* ---- others ---- */

static bool data_is(const struct tcg_event *event, const char *text)
{
        return span_equal(event->data, SPAN(text, strlen(text)));
}

static uint32_t no_action(const struct tcg_event *event)
{
        static const char locality[16] = "StartupLocality";
        static const uint8_t zeros[DIGEST_MAX_BYTES];
        struct span name;
        uint32_t notes = 0;

        for (size_t i = 0; i < event->digests.n; i++)
                if (memcmp(event->digests.d[i].bytes, zeros, event->digests.d[i].alg->size) != 0)
                        notes |= 1u << NOTE_NO_ACTION_DIGEST;
        if (event->pcr != 0 && span_sub(event->data, 0, sizeof(locality), &name) &&
                        memcmp(name.data, locality, sizeof(locality)) == 0)
                notes |= 1u << NOTE_LOCALITY_ELSEWHERE;
        return notes;
}

uint32_t check_order_event(struct check_order *order, const struct tcg_event *event)
{
        uint32_t notes;

        if (event->type == EV_NO_ACTION)
                return no_action(event);
        notes = spoofed(order, event);
        if (event->pcr < PCR_COUNT)
                order->measured |= 1u << event->pcr;
        if (event->type == EV_SEPARATOR)
                notes |= separator(order, event);
        else if (event->type == EV_EFI_VARIABLE_DRIVER_CONFIG)
                notes |= secure_boot_variable(order, event);
        else if (event->type == EV_EFI_HCRTM_EVENT && !data_is(event, "HCRTM"))
                notes |= 1u << NOTE_HCRTM_TEXT;
        else if (event->type == EV_EFI_ACTION && data_is(event, "UEFI Debug Mode"))
                notes |= 1u << NOTE_DEBUG_MODE;
        return notes;
}

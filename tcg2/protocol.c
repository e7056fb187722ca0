/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/event.h"
#include "eventlog/hop.h"
#include "tcg2/authenticode.h"
#include "tcg2/submit.h"
#include "tcg2/view.h"

enum {
        DEFAULT_LOG_BYTES = 0x10000,  /* edk2: PcdTcgLogAreaMinLen */
        DEFAULT_FINAL_BYTES = 0x8000, /* edk2: PcdTcg2FinalLogAreaLen */
        CAPABILITY_1_0_BYTES = 28,    /* up to ManufacturerID: TREE_BOOT_SERVICE_CAPABILITY_1_0 */
};

struct tcg2 {
        struct tcg2_config config;
        struct hasher *hasher; /* over config.banks */
        struct record record;
        struct view view;
        struct submit submit;
        bool ended;
        struct error failure; /* text empty: none */
};

/* ---- measuring ---- */

static EFI_STATUS fail(struct tcg2 *tcg2, const char *reason)
{
        if (!tcg2->failure.text[0])
                error_set(&tcg2->failure, EIO, "%s", reason);
        return EFI_DEVICE_ERROR;
}

/* The one place where something is measured: into the record and the payload's PCRs. */
static EFI_STATUS record_measurement(struct tcg2 *tcg2, const struct recorded_event *event)
{
        struct error error = {};

        if (tcg2->failure.text[0])
                return EFI_DEVICE_ERROR;
        if (record_add(&tcg2->record, event, &error) < 0)
                return fail(tcg2, error.text);
        if (view_extend(&tcg2->view, event->payload_pcr, &event->digests) < 0)
                return fail(tcg2, "can't compute the payload's PCRs");
        return EFI_SUCCESS;
}

/* For the payload's eyes only. */
static EFI_STATUS log_event(struct tcg2 *tcg2, uint32_t pcr, uint32_t type,
                const struct digests *digests, struct span data)
{
        struct tcg_event event = {.pcr = pcr, .type = type, .digests = *digests, .data = data};
        int r = view_log_event(&tcg2->view, &event);

        if (r == -ENOSPC)
                return EFI_VOLUME_FULL;
        return r < 0 ? fail(tcg2, "no memory for the payload's event log") : EFI_SUCCESS;
}

/* Events that look like mkexec's own would make a hop's log ambiguous. Nothing innocent has our
 * tags, so the run ends instead of going on without what the payload meant to measure. */
static bool is_imitation(struct tcg2 *tcg2, struct span data)
{
        if (hop_claims(data) == HOP_NONE)
                return false;
        fail(tcg2, "the payload tried to record an event that imitates mkexec's own");
        return true;
}

static EFI_STATUS digest_data(
                struct tcg2 *tcg2, uint64_t flags, struct span data, struct digests *ret)
{
        int r;

        if (flags & PE_COFF_IMAGE)
                r = authenticode_digest(data, &tcg2->config.banks, ret, NULL);
        else {
                r = hasher_update(tcg2->hasher, data);
                if (r == 0)
                        r = hasher_finish(tcg2->hasher, ret);
        }
        if (r == -EINVAL)
                return EFI_UNSUPPORTED;
        return r < 0 ? fail(tcg2, "can't hash in all active banks") : EFI_SUCCESS;
}

static EFI_STATUS measure(struct tcg2 *tcg2, enum record_source source, uint64_t flags,
                uint32_t pcr, uint32_t type, struct span hashed, struct span data)
{
        struct recorded_event event = {
                        .payload_pcr = pcr, .type = type, .source = source, .data = data};
        EFI_STATUS status;

        if (is_imitation(tcg2, data))
                return EFI_SECURITY_VIOLATION;
        status = digest_data(tcg2, flags, hashed, &event.digests);
        if (status != EFI_SUCCESS)
                return status;
        status = record_measurement(tcg2, &event);
        if (status != EFI_SUCCESS || flags & EFI_TCG2_EXTEND_ONLY)
                return status;
        return log_event(tcg2, pcr, type, &event.digests, data);
}

/* For submit.c: what PCR_Extend and PCR_Event measure, which firmware's log doesn't tell of. */
static int measure_command(void *arg, uint32_t pcr, uint32_t type, const struct digests *digests,
                struct span data)
{
        struct tcg2 *tcg2 = arg;
        struct recorded_event event = {.payload_pcr = pcr,
                        .type = type,
                        .source = RECORD_COMMAND,
                        .digests = *digests,
                        .data = data};

        if (is_imitation(tcg2, data))
                return -EPERM;
        return record_measurement(tcg2, &event) == EFI_SUCCESS ? 0 : -EIO;
}

EFI_STATUS tcg2_measure(struct tcg2 *tcg2, uint64_t flags, uint32_t pcr, uint32_t type,
                struct span hashed, struct span event)
{
        EFI_STATUS status;

        status = measure(tcg2, RECORD_FIRMWARE, flags, pcr, type, hashed, event);
        return status == EFI_VOLUME_FULL ? EFI_SUCCESS : status;
}

/* ---- life ---- */

DEFINE_CLEANUP(struct tcg2 *, tcg2_free)

static uint16_t cap_size(uint32_t bytes)
{
        return bytes == 0 || bytes > TPM_MAX_BUFFER ? TPM_MAX_BUFFER : (uint16_t)bytes;
}

static void set_defaults(struct tcg2_config *config)
{
        config->supported_banks |= banks_efi_bitmap(&config->banks);
        config->max_command_bytes = cap_size(config->max_command_bytes);
        config->max_response_bytes = cap_size(config->max_response_bytes);
        if (config->log_bytes == 0)
                config->log_bytes = DEFAULT_LOG_BYTES;
        if (config->final_bytes == 0)
                config->final_bytes = DEFAULT_FINAL_BYTES;
}

int tcg2_config_from_tpm(struct tpm *tpm, struct tcg2_config *config, struct error *error)
{
        struct tpm_bank list[TPM_BANKS_MAX];
        struct tpm_properties p;
        struct banks banks;
        size_t n;
        int r;

        r = tpm_active_banks(tpm, &banks, error);
        if (r < 0)
                return r;
        r = tpm->ops->bank_list(tpm, list, &n, error);
        if (r < 0)
                return r;
        r = tpm_properties(tpm, &p, error);
        if (r < 0)
                return r;
        config->tpm = tpm;
        config->banks = banks;
        config->supported_banks = 0;
        for (size_t i = 0; i < n; i++)
                if (alg_by_id(list[i].alg_id))
                        config->supported_banks |= alg_by_id(list[i].alg_id)->efi_bit;
        config->manufacturer = p.manufacturer;
        config->max_command_bytes = cap_size(p.max_command_bytes);
        config->max_response_bytes = cap_size(p.max_response_bytes);
        return 0;
}

/* The algorithms of HashAlgorithmBitmap that we can compute, and the active ones, which need not
 * have a bit there. */
static struct banks implemented_banks(const struct tcg2_config *config)
{
        struct banks banks = {};
        const struct alg *alg;

        for (size_t i = 0; (alg = alg_by_index(i)); i++) {
                struct banks one = {.n = 1, .alg = {alg}};
                struct hasher *hasher;

                if (!(config->supported_banks & alg->efi_bit) &&
                                !banks_have(&config->banks, alg->id))
                        continue;
                if (hasher_new(&one, &hasher) < 0)
                        continue;
                hasher_free(hasher);
                banks_add(&banks, alg);
        }
        return banks;
}

int tcg2_new(const struct tcg2_config *config, struct tcg2 **ret, struct error *error)
{
        _cleanup_(tcg2_freep) struct tcg2 *tcg2 = NULL;
        int r;

        if (config->banks.n == 0)
                return error_set(error, EINVAL, "no PCR bank is active");
        tcg2 = calloc(1, sizeof(*tcg2));
        if (!tcg2)
                return error_set(error, ENOMEM, "no memory for the TCG2 protocol");
        tcg2->config = *config;
        set_defaults(&tcg2->config);
        r = hasher_new(&config->banks, &tcg2->hasher);
        if (r < 0)
                return error_set(error, -r, "OpenSSL can't hash in every active PCR bank");
        record_init(&tcg2->record, &config->banks, config->limits);
        r = view_init(&tcg2->view, &config->banks, tcg2->config.log_bytes,
                        tcg2->config.final_bytes);
        if (r < 0)
                return error_set(error, -r, "can't make the payload's event log");
        tcg2->submit = (struct submit){.tpm = config->tpm,
                        .view = &tcg2->view,
                        .implemented = implemented_banks(&tcg2->config),
                        .measure = measure_command,
                        .arg = tcg2};
        *ret = TAKE_PTR(tcg2);
        return 0;
}

void tcg2_end(struct tcg2 *tcg2)
{
        submit_flush(&tcg2->submit);
        tcg2->ended = true;
}

void tcg2_free(struct tcg2 *tcg2)
{
        tcg2_end(tcg2);
        if (tcg2->hasher)
                hasher_free(tcg2->hasher);
        record_release(&tcg2->record);
        view_release(&tcg2->view);
        free(tcg2);
}

const struct record *tcg2_record(const struct tcg2 *tcg2)
{
        return &tcg2->record;
}

const char *tcg2_failure(const struct tcg2 *tcg2)
{
        return tcg2->failure.text[0] ? tcg2->failure.text : NULL;
}

const struct replay *tcg2_view(const struct tcg2 *tcg2)
{
        return &tcg2->view.pcrs;
}

/* ---- capability, banks ---- */

static uint32_t supported_logs(const struct tcg2 *tcg2)
{
        return EFI_TCG2_EVENT_LOG_FORMAT_TCG_2 |
               (tcg2->view.sha1.supported ? EFI_TCG2_EVENT_LOG_FORMAT_TCG_1_2 : 0);
}

static void put_le(uint8_t *to, uint32_t value, size_t size)
{
        for (size_t i = 0; i < size; i++)
                to[i] = (uint8_t)(value >> (8 * i));
}

EFI_STATUS tcg2_get_capability(const struct tcg2 *tcg2, uint8_t size,
                uint8_t capability[EFI_TCG2_CAPABILITY_BYTES], size_t *ret_bytes)
{
        const struct tcg2_config *config = &tcg2->config;
        bool full = size >= EFI_TCG2_CAPABILITY_BYTES;
        uint8_t bytes = full ? EFI_TCG2_CAPABILITY_BYTES : CAPABILITY_1_0_BYTES;

        memset(capability, 0, EFI_TCG2_CAPABILITY_BYTES);
        if (size < CAPABILITY_1_0_BYTES) {
                capability[0] = EFI_TCG2_CAPABILITY_BYTES;
                *ret_bytes = 1;
                return EFI_BUFFER_TOO_SMALL;
        }
        capability[0] = bytes;
        capability[1] = 1;            /* StructureVersion */
        capability[2] = full ? 1 : 0; /* a caller of version 1.0 gets that version's structure */
        capability[3] = 1;            /* ProtocolVersion */
        capability[4] = full ? 1 : 0;
        put_le(capability + 8, config->supported_banks, 4);
        put_le(capability + 12, supported_logs(tcg2), 4);
        capability[16] = 1; /* TPMPresentFlag */
        put_le(capability + 18, config->max_command_bytes, 2);
        put_le(capability + 20, config->max_response_bytes, 2);
        put_le(capability + 24, config->manufacturer, 4);
        if (full) {
                put_le(capability + 28, (uint32_t)__builtin_popcount(config->supported_banks), 4);
                put_le(capability + 32, banks_efi_bitmap(&config->banks), 4);
        }
        *ret_bytes = bytes;
        return EFI_SUCCESS;
}

uint32_t tcg2_active_pcr_banks(const struct tcg2 *tcg2)
{
        return banks_efi_bitmap(&tcg2->config.banks);
}

EFI_STATUS tcg2_set_active_pcr_banks(struct tcg2 *tcg2, uint32_t banks)
{
        if (banks == 0 || banks & ~tcg2->config.supported_banks)
                return EFI_INVALID_PARAMETER;
        return banks == tcg2_active_pcr_banks(tcg2) ? EFI_SUCCESS : EFI_UNSUPPORTED;
}

EFI_STATUS tcg2_get_result_of_set_active_pcr_banks(
                const struct tcg2 *tcg2, uint32_t *present, uint32_t *response)
{
        *present = 0; /* a kexec carries out no request */
        *response = 0;
        return EFI_SUCCESS;
}

/* ---- logs ---- */

static struct tcg2_log log_of(const struct view_log *log)
{
        return (struct tcg2_log){.supported = true,
                        .bytes = buf_span(&log->bytes),
                        .has_events = log->has_events,
                        .last_entry = log->last_entry,
                        .truncated = log->truncated};
}

static struct view_log *find_log(struct tcg2 *tcg2, uint32_t format)
{
        if (format == EFI_TCG2_EVENT_LOG_FORMAT_TCG_2)
                return &tcg2->view.agile;
        if (format == EFI_TCG2_EVENT_LOG_FORMAT_TCG_1_2 && tcg2->view.sha1.supported)
                return &tcg2->view.sha1;
        return NULL;
}

struct tcg2_log tcg2_peek_log(const struct tcg2 *tcg2, uint32_t format)
{
        const struct view_log *log = find_log((struct tcg2 *)tcg2, format);

        return log ? log_of(log) : (struct tcg2_log){};
}

EFI_STATUS tcg2_get_event_log(struct tcg2 *tcg2, uint32_t format, struct tcg2_log *ret)
{
        struct view_log *log = find_log(tcg2, format);

        if (!log)
                return EFI_INVALID_PARAMETER;
        log->shown = true;
        *ret = log_of(log);
        return EFI_SUCCESS;
}

struct span tcg2_final_events(const struct tcg2 *tcg2)
{
        return buf_span(&tcg2->view.final.bytes);
}

uint32_t tcg2_log_area_bytes(const struct tcg2 *tcg2)
{
        return tcg2->config.log_bytes;
}

uint32_t tcg2_final_area_bytes(const struct tcg2 *tcg2)
{
        return tcg2->config.final_bytes;
}

/* ---- HashLogExtendEvent, SubmitCommand ---- */

/* EV_NO_ACTION is only logged, with zero digests; so it is no part of the hop. */
static EFI_STATUS log_no_action(struct tcg2 *tcg2, const struct tcg2_hash_log_extend *request)
{
        struct digests zeros = {.n = tcg2->config.banks.n};

        if (request->pcr >= PCR_COUNT || request->flags & PE_COFF_IMAGE)
                return EFI_INVALID_PARAMETER;
        if (is_imitation(tcg2, request->event))
                return EFI_SECURITY_VIOLATION;
        if (request->flags & EFI_TCG2_EXTEND_ONLY)
                return EFI_SUCCESS;
        for (size_t i = 0; i < zeros.n; i++)
                zeros.d[i].alg = tcg2->config.banks.alg[i];
        return log_event(tcg2, request->pcr, request->type, &zeros, request->event);
}

EFI_STATUS tcg2_hash_log_extend_event(struct tcg2 *tcg2, const struct tcg2_hash_log_extend *request)
{
        bool no_action = request->type == EV_NO_ACTION;
        uint32_t event_bytes;

        /* edk2's order: NULL pointers, TPM presence, sizes, PCR, PE */
        if (!no_action && request->data_is_null)
                return EFI_INVALID_PARAMETER;
        if (tcg2->failure.text[0] || tcg2->ended)
                return EFI_DEVICE_ERROR;
        if (!tcg2_event_data_bytes(request->size, request->header_size, &event_bytes) ||
                        event_bytes != request->event.size)
                return EFI_INVALID_PARAMETER;
        if (no_action)
                return log_no_action(tcg2, request);
        if (request->pcr >= PCR_COUNT)
                return EFI_INVALID_PARAMETER;
        return measure(tcg2, RECORD_PAYLOAD, request->flags, request->pcr, request->type,
                        request->data, request->event);
}

EFI_STATUS tcg2_submit_command(struct tcg2 *tcg2, struct span command, uint32_t response_bytes,
                struct buf *response)
{
        _cleanup_buf_ struct buf answer = {};
        int r;

        if (command.size == 0 || response_bytes == 0 ||
                        command.size > tcg2->config.max_command_bytes ||
                        response_bytes > tcg2->config.max_response_bytes)
                return EFI_INVALID_PARAMETER;
        if (tcg2->failure.text[0] || tcg2->ended)
                return EFI_DEVICE_ERROR;
        r = submit_command(&tcg2->submit, command, &answer, NULL);
        if (r < 0)
                return EFI_DEVICE_ERROR;
        if (answer.size > response_bytes)
                return EFI_BUFFER_TOO_SMALL;
        buf_put_span(response, buf_span(&answer));
        return buf_failed(response) ? EFI_OUT_OF_RESOURCES : EFI_SUCCESS;
}

uint32_t tcg2_max_command_bytes(const struct tcg2 *tcg2)
{
        return tcg2->config.max_command_bytes;
}

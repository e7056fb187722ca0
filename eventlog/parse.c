/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/parse.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* PFP 10.4.5.1. The two older ones (TPM 1.2, EFI and BIOS) stand before SHA-1 records. */
static const char spec_id_prefix[] = "Spec ID Event"; /* what all of them begin with */
static const uint8_t spec_id_03[16] = "Spec ID Event03";

bool event_log_is_header(struct span data)
{
        struct span prefix;

        return span_sub(data, 0, sizeof(spec_id_prefix) - 1, &prefix) &&
               memcmp(prefix.data, spec_id_prefix, prefix.size) == 0;
}

static bool is_spec_id_03(struct span data)
{
        struct span signature;

        return span_sub(data, 0, sizeof(spec_id_03), &signature) &&
               memcmp(signature.data, spec_id_03, sizeof(spec_id_03)) == 0;
}

/* TCG_PCR_EVENT, 10.2.1: the form of headers and of all records of a SHA-1 log. */
static const char *take_sha1_record(
                struct cursor *c, struct tcg_event *ret, struct span *ret_digest)
{
        uint32_t size;

        if (!cursor_u32(c, &ret->pcr) || !cursor_u32(c, &ret->type))
                return "is cut off in its head";
        if (!cursor_take(c, 20, ret_digest))
                return "is cut off in its digest";
        if (!cursor_u32(c, &size))
                return "is cut off before its data";
        if (!cursor_take(c, size, &ret->data))
                return "says that its data is longer than the log";
        return NULL;
}

static void put_digest(struct digests *digests, const struct alg *alg, const uint8_t *bytes)
{
        struct digest *d = &digests->d[digests->n++];

        d->alg = alg;
        memcpy(d->bytes, bytes, alg->size);
        memset(d->bytes + alg->size, 0, sizeof(d->bytes) - alg->size);
}

static int declare(struct event_log *log, uint16_t id, uint16_t size, struct error *error)
{
        const struct alg *alg = alg_by_id(id);

        if (alg && alg->size != size)
                return error_set(error, EBADMSG,
                                "the log's header says that a %s digest has %u bytes", alg->name,
                                size);
        if (size == 0)
                return error_set(error, EBADMSG,
                                "the log's header says that a digest of algorithm 0x%04x has no "
                                "bytes",
                                id);
        for (size_t i = 0; i < log->n_declared; i++)
                if (log->declared[i].id == id)
                        return error_set(error, EBADMSG,
                                        "the log's header declares algorithm 0x%04x twice", id);
        log->declared[log->n_declared].id = id;
        log->declared[log->n_declared].size_bytes = size;
        log->declared[log->n_declared++].alg = alg;
        if (alg)
                banks_add(&log->banks, alg);
        return 0;
}

/* TCG_EfiSpecIDEvent, 10.4.5.1. What stands behind the vendor info is tolerated. */
static int read_header(struct event_log *log, struct span data, struct error *error)
{
        struct cursor c = CURSOR(data);
        uint32_t n;
        uint8_t vendor_info_size;
        int r;

        if (!cursor_skip(&c, sizeof(spec_id_03) + 4 + 4) || !cursor_u32(&c, &n))
                return error_set(error, EBADMSG, "the log's header is too short");
        if (n == 0 || n > EVENT_LOG_ALGS_MAX)
                return error_set(error, EBADMSG, "the log's header declares %u algorithms", n);
        for (uint32_t i = 0; i < n; i++) {
                uint16_t id, size;

                if (!cursor_u16(&c, &id) || !cursor_u16(&c, &size))
                        return error_set(error, EBADMSG,
                                        "the log's header declares %u algorithms and has room for "
                                        "%u",
                                        n, i);
                r = declare(log, id, size, error);
                if (r < 0)
                        return r;
        }
        if (!cursor_u8(&c, &vendor_info_size) || !cursor_skip(&c, vendor_info_size))
                return error_set(error, EBADMSG,
                                "the vendor info of the log's header reaches past it");
        return 0;
}

static bool all_bytes(struct span s, uint8_t value)
{
        /* each byte equals the one before it, and the first one the value */
        return s.size > 0 && s.data[0] == value && memcmp(s.data, s.data + 1, s.size - 1) == 0;
}

static bool is_padding(struct span rest)
{
        return all_bytes(rest, 0x00) || all_bytes(rest, 0xff);
}

int event_log_open(struct event_log *ret, struct span bytes, struct error *error)
{
        struct event_log log = {.bytes = bytes};
        struct cursor c = CURSOR(bytes);
        struct tcg_event first = {0};
        struct span digest;
        const char *wrong;
        int r;

        if (bytes.size == 0)
                return error_set(error, EBADMSG, "the event log is empty");
        if (is_padding(bytes))
                return error_set(error, EBADMSG, "the event log has no events, only padding");
        wrong = take_sha1_record(&c, &first, &digest);
        if (wrong)
                return error_set(error, EBADMSG, "event 0 at offset 0x0 %s: is this an event log?",
                                wrong);
        if (first.type != EV_NO_ACTION || !is_spec_id_03(first.data)) {
                log.n_declared = 1;
                log.declared[0].id = TPM_ALG_SHA1;
                log.declared[0].alg = alg_by_id(TPM_ALG_SHA1);
                log.declared[0].size_bytes = log.declared[0].alg->size;
                banks_add(&log.banks, log.declared[0].alg);
                *ret = log;
                return 0;
        }
        /* Confidential-computing logs (Intel GHCI, "CCEL") have their header in register 1. */
        if (first.pcr > 1)
                return error_set(error, EBADMSG, "the log's header is in PCR %u", first.pcr);
        log.agile = true;
        log.cc = first.pcr == 1;
        r = read_header(&log, first.data, error);
        if (r < 0)
                return r;
        log.first_offset = c.offset;
        log.first_index = 1;
        *ret = log;
        return 0;
}

/* The digests of a TCG_PCR_EVENT2. seen: bit mask of log->declared, so that nothing comes twice. */
static const char *take_digests(const struct event_log *log, struct cursor *c, struct digests *ret)
{
        uint32_t n, seen = 0;

        static_assert(EVENT_LOG_ALGS_MAX <= 32, "one bit each");
        if (!cursor_u32(c, &n))
                return "is cut off in its digest count";
        if (n == 0)
                return "has no digests";
        if (n > log->n_declared)
                return "has more digests than the header declares";
        for (uint32_t i = 0; i < n; i++) {
                struct span bytes;
                uint16_t id;
                size_t k;

                if (!cursor_u16(c, &id))
                        return "is cut off in its digests";
                for (k = 0; k < log->n_declared && log->declared[k].id != id; k++)
                        ;
                if (k == log->n_declared)
                        return "has a digest of an algorithm that the header doesn't declare";
                if (seen & 1u << k)
                        return "has two digests of one algorithm";
                seen |= 1u << k;
                if (!cursor_take(c, log->declared[k].size_bytes, &bytes))
                        return "is cut off in its digests";
                if (log->declared[k].alg)
                        put_digest(ret, log->declared[k].alg, bytes.data);
        }
        return NULL;
}

/* TCG_PCR_EVENT2, 10.2.2 */
static const char *take_agile_record(
                const struct event_log *log, struct cursor *c, struct tcg_event *ret)
{
        const char *wrong;
        uint32_t size;

        if (!cursor_u32(c, &ret->pcr) || !cursor_u32(c, &ret->type))
                return "is cut off in its head";
        wrong = take_digests(log, c, &ret->digests);
        if (wrong)
                return wrong;
        if (!cursor_u32(c, &size))
                return "is cut off before its data";
        if (!cursor_take(c, size, &ret->data))
                return "says that its data is longer than the log";
        return NULL;
}

/* What no event may be, in either format. */
static const char *wrong_event(const struct event_log *log, const struct tcg_event *event)
{
        if (event->type != EV_NO_ACTION && event->pcr >= PCR_COUNT)
                return "is measured in a PCR that doesn't exist";
        if (event->type == EV_NO_ACTION && event->index > 0 && event_log_is_header(event->data))
                return "is a second header";
        /* Zeros in a SHA-1 log read as an event of 32 bytes, and could hide what follows from a
         * reader that stops at them. */
        if (!log->agile && event->pcr == 0 && event->type == 0 && event->data.size == 0)
                return "is padding, but the log goes on behind it";
        return NULL;
}

int event_log_next(const struct event_log *log, size_t *offset, size_t *index,
                struct tcg_event *ret, struct error *error)
{
        struct cursor c = {.bytes = log->bytes, .offset = *offset};
        const char *wrong;
        struct span rest, digest;

        if (!span_sub(log->bytes, *offset, log->bytes.size - *offset, &rest))
                return error_set(error, EINVAL, "no event starts at offset 0x%zx", *offset);
        if (rest.size == 0 || is_padding(rest))
                return 0;
        ret->digests.n = 0;
        ret->index = *index;
        ret->offset = *offset;
        if (log->agile && *offset >= log->first_offset) {
                wrong = take_agile_record(log, &c, ret);
        } else {
                wrong = take_sha1_record(&c, ret, &digest);
                if (!wrong && !log->agile)
                        put_digest(&ret->digests, log->banks.alg[0], digest.data);
        }
        if (!wrong)
                wrong = wrong_event(log, ret);
        if (wrong)
                return error_set(error, EBADMSG, "event %zu at offset 0x%zx %s", *index, *offset,
                                wrong);
        ret->size = c.offset - *offset;
        *offset = c.offset;
        (*index)++;
        return 1;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/convert.h"

#include <errno.h>

#include "eventlog/append.h"
#include "eventlog/cel-write.h"
#include "eventlog/hop.h"
#include "eventlog/ima-log.h"
#include "eventlog/parse.h"

#define FLUSH_BYTES 65536u

/* ---- all logs as records of CEL, in the order in which things happened ---- */

struct walk {
        const struct convert_input *input;
        int (*put)(void *context, struct cel_record *record, struct error *error);
        void *context;
        struct buf scratch;
        struct event_log firmware; /* banks.n is 0 without one */
        size_t n_boots;
        bool firmware_ended,
                        closed; /* firmware_end was put; a hop was closed, and no event since */
};

static int put_management(
                struct walk *w, enum cel_management_type type, uint64_t value, struct error *error)
{
        struct cel_record record = {
                        .place = w->firmware.cc ? CEL_REGISTER : CEL_PCR,
                        .event.pcr = type == CEL_STATE_TRANS ? HOP_PCR : w->firmware.cc,
                        .content_type = CEL_MANAGEMENT,
                        .n_management = 1,
                        .management[0] = {.type = type, .value = value},
        };

        return w->put(w->context, &record, error);
}

static int walk_cel(struct walk *w, struct span bytes, struct error *error)
{
        struct cel_record record;
        struct cel_log log;
        int r = cel_open(&log, bytes, error);

        while (r >= 0 && (r = cel_next(&log, &w->scratch, &record, error)) > 0)
                r = w->put(w->context, &record, error);
        return r;
}

/* systemd's log of a boot (from 1) is a sequence of CEL records without numbers. */
static int walk_systemd(struct walk *w, size_t boot, struct error *error)
{
        const struct chain *chain = &w->input->chain;
        int r;

        if (boot > chain->n_systemd || chain->systemd[boot - 1].size == 0)
                return 0;
        r = walk_cel(w, chain->systemd[boot - 1], error);
        return r < 0 ? error_prefix(error, r, "systemd's log of boot %zu", boot) : 0;
}

/* The header's digest isn't among those of an event. Zeros, as nearly always: it has none. */
static void take_header_digest(struct span log, struct cel_record *record)
{
        static const uint8_t zeros[20];
        struct cursor c = CURSOR(log);
        struct span digest;

        if (!cursor_skip(&c, 8) || !cursor_take(&c, sizeof(zeros), &digest) ||
                        memcmp(digest.data, zeros, sizeof(zeros)) == 0)
                return;
        record->event.digests.n = 1;
        record->event.digests.d[0] = (struct digest){.alg = alg_by_id(TPM_ALG_SHA1)};
        memcpy(record->event.digests.d[0].bytes, digest.data, digest.size);
}

/* What happened between the event before and this one. */
static int before_event(struct walk *w, const struct tcg_event *event, struct error *error)
{
        enum hop_own own = hop_is_own(event);
        int r = 0;

        if (w->closed && own != HOP_CLOSE) {
                w->closed = false;
                if (own != HOP_ABORT)
                        r = put_management(w, CEL_STATE_TRANS, CEL_KEXEC, error);
        }
        if (r < 0 || own != HOP_OPEN || event->pcr != HOP_PCR)
                return r;
        if (!w->firmware_ended)
                r = put_management(w, CEL_FIRMWARE_END, 0, error);
        w->firmware_ended = true;
        return r < 0 ? r : walk_systemd(w, w->n_boots++, error);
}

static int walk_event(struct walk *w, const struct tcg_event *event, struct error *error)
{
        struct cel_record record = {
                        .event = *event,
                        .place = w->firmware.cc ? CEL_REGISTER : CEL_PCR,
                        .content_type = CEL_PCCLIENT_STD,
                        .data_known = true,
                        .n_unknown = w->firmware.n_declared - w->firmware.banks.n,
        };
        int r = before_event(w, event, error);

        if (r < 0)
                return r;
        if (w->firmware.agile && event->index == 0)
                take_header_digest(w->firmware.bytes, &record);
        w->closed = hop_is_own(event) == HOP_CLOSE;
        return w->put(w->context, &record, error);
}

static int walk_firmware(struct walk *w, struct error *error)
{
        struct tcg_event event;
        int r = event_log_open(&w->firmware, w->input->chain.firmware, error);
        size_t offset = 0, index = 0;

        if (r < 0)
                return r;
        while (r >= 0 && (r = event_log_next(&w->firmware, &offset, &index, &event, error)) > 0)
                r = walk_event(w, &event, error);
        if (r == 0 && w->closed)
                r = put_management(w, CEL_STATE_TRANS, CEL_KEXEC, error);
        if (r == 0 && !w->firmware_ended)
                r = put_management(w, CEL_FIRMWARE_END, 0, error);
        return r;
}

/* Banks of the firmware's log; without one that of the list's digests. */
static struct banks ima_banks(const struct walk *w, const struct ima_record *record)
{
        struct banks banks = w->firmware.banks;

        for (size_t i = 0; banks.n == 0 && alg_by_index(i); i++)
                if (alg_by_index(i)->size == record->digest_size)
                        banks_add(&banks, alg_by_index(i));
        return banks;
}

static int walk_ima_record(struct walk *w, const struct ima_record *ima, struct error *error)
{
        struct cel_record record = {
                        .event = {.index = ima->index,
                                        .offset = ima->offset,
                                        .size = ima->size,
                                        .pcr = ima->pcr,
                                        .data = ima->data},
                        .content_type = CEL_IMA_TEMPLATE,
                        .name = ima->name,
                        .data_known = ima->data_known,
        };
        struct banks banks = ima_banks(w, ima);
        int r = ima_record_digests(ima, &banks, &record.event.digests);

        if (r < 0)
                return error_set(error, -r, "can't hash record %zu of the IMA list: %s", ima->index,
                                strerror(-r));
        if (!ima->data_known)
                return error_set(error, EBADMSG,
                                "record %zu of the IMA list is text that doesn't tell its data: "
                                "give the binary list",
                                ima->index);
        return w->put(w->context, &record, error);
}

static int walk_ima(struct walk *w, struct error *error)
{
        struct ima_log log;
        struct ima_record record;
        size_t offset = 0, index = 0;
        int r = ima_log_open(&log, w->input->chain.ima, error);

        while (r >= 0 && (r = ima_log_next(&log, &offset, &index, &w->scratch, &record, error)) > 0)
                r = walk_ima_record(w, &record, error);
        return r;
}

static int walk(const struct convert_input *input,
                int (*put)(void *context, struct cel_record *record, struct error *error),
                void *context, struct error *error)
{
        struct walk w = {.input = input, .put = put, .context = context, .n_boots = 1};
        const struct chain *chain = &input->chain;
        bool firmware = chain->firmware.size > 0;
        int r = firmware ? walk_firmware(&w, error) : 0;

        if (r == 0 && firmware && chain->n_systemd > w.n_boots)
                r = error_set(error, EBADMSG,
                                "%zu logs of systemd, but the firmware's log tells of %zu boots",
                                chain->n_systemd, w.n_boots);
        for (size_t boot = w.n_boots; r == 0 && boot <= chain->n_systemd; boot++)
                r = walk_systemd(&w, boot, error);
        if (r == 0 && chain->ima.size > 0)
                r = walk_ima(&w, error);
        for (size_t i = 0; r == 0 && i < input->n_cel; i++)
                r = walk_cel(&w, input->cel[i], error);
        buf_release(&w.scratch);
        return r;
}

/* ---- what a form can hold ---- */

static bool informs(const struct cel_record *record)
{
        return (record->content_type == CEL_MANAGEMENT && record->event.digests.n == 0) ||
               (record->content_type == CEL_PCCLIENT_STD && record->event.type == EV_NO_ACTION);
}

static enum convert_class class_of(const struct cel_record *record)
{
        if (informs(record))
                return CONVERT_INFORMS;
        switch (record->content_type) {
        case CEL_PCCLIENT_STD:
                return CONVERT_EVENT;
        case CEL_SYSTEMD:
                return CONVERT_BY_SYSTEMD;
        case CEL_IMA_TEMPLATE:
        case CEL_IMA_TLV:
                return CONVERT_BY_IMA;
        default:
                return CONVERT_OTHER;
        }
}

static bool agile_can(const struct cel_record *record)
{
        return record->content_type == CEL_PCCLIENT_STD && record->data_known &&
               record->place != CEL_NV_INDEX;
}

/* ---- the pass that finds out, and the pass that writes ---- */

struct conversion {
        const struct convert_options *options;
        struct buf *out;
        struct convert_result result;
        uint64_t recnum;
        /* CONVERT_AGILE */
        struct banks banks; /* of the records' header, or else of the records */
        bool started, has_header, cc;
};

/* The first record may be a header. Returns 1 if it is one of an agile log, with the log's banks.
 */
static int look_for_header(
                struct conversion *c, const struct cel_record *record, struct error *error)
{
        _cleanup_buf_ struct buf header = {0};
        struct event_log log;
        int r;

        if (record->event.type != EV_NO_ACTION || !event_log_is_header(record->event.data))
                return 0;
        r = event_log_put_event_sha1(&header, &record->event);
        if (r < 0)
                return error_set(error, -r, "can't write the header: %s", strerror(-r));
        r = event_log_open(&log, buf_span(&header), error);
        if (r < 0 || !log.agile)
                return r;
        c->banks = log.banks;
        c->has_header = true;
        return 1;
}

static const struct alg *undeclared(const struct conversion *c, const struct tcg_event *event)
{
        for (size_t i = 0; i < event->digests.n; i++)
                if (!banks_have(&c->banks, event->digests.d[i].alg->id))
                        return event->digests.d[i].alg;
        return NULL;
}

/* Whether an event is one that a reader of TCG logs takes. */
static int survey_agile(struct conversion *c, const struct cel_record *record, struct error *error)
{
        const struct tcg_event *event = &record->event;
        const struct alg *alg;
        bool first = !c->started;
        int r = first ? look_for_header(c, record, error) : 0;

        c->started = true;
        if (first)
                c->cc = record->place == CEL_REGISTER;
        if (r != 0)
                return r < 0 ? r : 0;
        if (c->cc != (record->place == CEL_REGISTER))
                return error_set(error, EBADMSG,
                                "record %zu: PCRs and registers can't stand in one TCG event log",
                                event->index);
        if (event->type == EV_NO_ACTION && event_log_is_header(event->data))
                return first ? 0 /* of a SHA-1 log; it is replaced */
                             : error_set(error, EBADMSG, "record %zu is a second header",
                                               event->index);
        if (event->type != EV_NO_ACTION && event->digests.n == 0)
                return error_set(error, EBADMSG, "record %zu has no digest that is known",
                                event->index);
        alg = undeclared(c, event);
        if (alg && c->has_header)
                return error_set(error, EBADMSG,
                                "record %zu has a %s digest, which the header doesn't declare",
                                event->index, alg->name);
        for (size_t i = 0; i < event->digests.n; i++)
                banks_add(&c->banks, event->digests.d[i].alg);
        return 0;
}

static bool can_write(const struct conversion *c, const struct cel_record *record)
{
        if (c->options->measured_only && informs(record))
                return false;
        switch (c->options->form) {
        case CONVERT_AGILE:
                return agile_can(record);
        case CONVERT_CEL_JSON:
                return true;
        case CONVERT_CEL_TLV:
                return cel_has_tlv(record);
        case CONVERT_SYSTEMD:
                return record->content_type == CEL_SYSTEMD;
        }
        return false;
}

static int survey(void *context, struct cel_record *record, struct error *error)
{
        struct conversion *c = context;
        int r;

        if (record->n_unknown > 0)
                c->result.unknown_digests = true;
        if (!can_write(c, record)) {
                c->result.n_left_out[class_of(record)]++;
                return 0;
        }
        if (c->options->form == CONVERT_AGILE) {
                r = survey_agile(c, record, error);
                if (r < 0)
                        return r;
        }
        c->result.n_written++;
        return 0;
}

/* Events go with the digests that they have, in their order; no-action events without any get
 * zeros. */
static int write_agile(struct conversion *c, const struct cel_record *record)
{
        const struct tcg_event *event = &record->event;
        struct banks banks = {0};

        if (event->type == EV_NO_ACTION && event_log_is_header(event->data))
                return c->has_header ? event_log_put_event_sha1(c->out, event) : 0;
        for (size_t i = 0; i < event->digests.n; i++)
                banks_add(&banks, event->digests.d[i].alg);
        return event_log_put_event(c->out, banks.n > 0 ? &banks : &c->banks, event);
}

static int write_record(void *context, struct cel_record *record, struct error *error)
{
        struct conversion *c = context;
        int r = 0;

        if (!can_write(c, record))
                return 0;
        record->recnum = c->recnum++;
        switch (c->options->form) {
        case CONVERT_AGILE:
                r = write_agile(c, record);
                break;
        case CONVERT_CEL_JSON:
                buf_put(c->out, c->recnum == 2 ? "[\n" : ",\n", 2);
                cel_put_json(c->out, record);
                break;
        case CONVERT_CEL_TLV:
                r = cel_put_tlv(c->out, record);
                break;
        case CONVERT_SYSTEMD:
                r = cel_put_systemd(c->out, record);
                break;
        }
        if (r < 0 || buf_failed(c->out))
                return error_set(error, r < 0 ? -r : ENOMEM, "can't write record %zu: %s",
                                record->event.index, strerror(r < 0 ? -r : ENOMEM));
        return c->options->flush && c->out->size >= FLUSH_BYTES
                               ? c->options->flush(c->options->context, c->out)
                               : 0;
}

static bool is_agile(struct span log)
{
        struct event_log opened;

        return log.size > 0 && event_log_open(&opened, log, NULL) == 0 && opened.agile;
}

static int write_all(struct conversion *c, const struct convert_input *input, struct error *error)
{
        size_t start = c->out->size;
        int r;

        if (c->options->form == CONVERT_AGILE && input->n_cel == 0 &&
                        is_agile(input->chain.firmware)) {
                buf_put_span(c->out, input->chain.firmware);
                return 0;
        }
        if (c->options->form == CONVERT_AGILE && !c->has_header) {
                event_log_put_header(c->out, &c->banks);
                if (c->cc && !buf_failed(c->out))
                        c->out->data[start] = 1; /* its "PCR" (Intel GHCI, CCEL) */
        }
        c->recnum = c->options->form == CONVERT_CEL_JSON;
        r = walk(input, write_record, c, error);
        if (r == 0 && c->options->form == CONVERT_CEL_JSON)
                buf_put(c->out, "\n]\n", 3);
        return r;
}

int convert(const struct convert_input *input, const struct convert_options *options,
                struct buf *out, struct convert_result *ret, struct error *error)
{
        struct conversion c = {.options = options, .out = out};
        int r = walk(input, survey, &c, error);

        if (r < 0)
                return r;
        if (c.result.n_written == 0 || (options->form == CONVERT_AGILE && c.banks.n == 0))
                return error_set(error, ENODATA, "there is nothing in it that this form can hold");
        r = write_all(&c, input, error);
        if (r == 0 && buf_failed(out))
                r = error_set(error, ENOMEM, "out of memory");
        if (r == 0 && options->flush)
                r = options->flush(options->context, out);
        if (r == 0)
                *ret = c.result;
        return r;
}

int convert_cel_to_agile(struct span cel, struct buf *ret, struct error *error)
{
        static const struct convert_options options = {.form = CONVERT_AGILE};
        struct convert_input input = {.cel = &cel, .n_cel = 1};
        struct convert_result result;

        return convert(&input, &options, ret, &result, error);
}

/* ---- a Canonical Event Log as a chain ---- */

void convert_parts_release(struct convert_parts *parts)
{
        buf_release(&parts->firmware);
        for (size_t i = 0; i < parts->n_systemd; i++)
                buf_release(&parts->systemd[i]);
        *parts = (struct convert_parts){0};
}

/* As chain.h counts boots: each open ends one. */
static int part_record(
                struct convert_parts *parts, const struct cel_record *record, size_t *n_systemd)
{
        *n_systemd += record->content_type == CEL_SYSTEMD;
        if (record->content_type == CEL_SYSTEMD)
                return cel_put_systemd(&parts->systemd[parts->n_systemd - 1], record);
        if (!agile_can(record)) {
                parts->n_left_out += !informs(record);
                return 0;
        }
        if (hop_is_own(&record->event) != HOP_OPEN || record->event.pcr != HOP_PCR)
                return 0;
        if (parts->n_systemd == CHAIN_BOOTS_MAX)
                return -E2BIG;
        buf_put_u8(&parts->systemd[parts->n_systemd++], '\n');
        return 0;
}

static int part_records(struct span cel, struct convert_parts *parts, struct error *error)
{
        _cleanup_buf_ struct buf scratch = {0};
        struct cel_record record;
        struct cel_log log;
        size_t n_systemd = 0;
        int r = cel_open(&log, cel, error);

        parts->n_systemd = 1;
        buf_put_u8(&parts->systemd[0], '\n');
        while (r >= 0 && (r = cel_next(&log, &scratch, &record, error)) > 0) {
                r = part_record(parts, &record, &n_systemd);
                if (r < 0)
                        return error_set(error, -r, "it tells of more than %u boots",
                                        CHAIN_BOOTS_MAX);
        }
        for (size_t i = 0; i < parts->n_systemd; i++)
                if (buf_failed(&parts->systemd[i]))
                        return error_set(error, ENOMEM, "out of memory");
        while (n_systemd == 0 && parts->n_systemd > 0)
                buf_release(&parts->systemd[--parts->n_systemd]);
        return r;
}

int convert_cel_to_parts(struct span cel, struct convert_parts *ret, struct error *error)
{
        _cleanup_convert_parts_ struct convert_parts parts = {0};
        int r = convert_cel_to_agile(cel, &parts.firmware, error);

        if (r < 0 && r != -ENODATA)
                return r;
        r = part_records(cel, &parts, error);
        if (r < 0)
                return r;
        *ret = parts;
        parts = (struct convert_parts){0};
        return 0;
}

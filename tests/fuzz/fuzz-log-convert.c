/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `mkexec log convert` on any bytes, to every form: what comes out is a log of that kind that can
 * be read to its end and, if nothing was left out, replays to the same PCR values; as a Canonical
 * Event Log it gives back the TCG log byte for byte. Corpus: tests/corpus/log-convert/. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "eventlog/append.h"
#include "eventlog/cel-replay.h"
#include "eventlog/convert.h"
#include "eventlog/log-kind.h"
#include "eventlog/systemd-log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

struct sample {
        enum log_kind kind;
        struct span bytes;
        struct convert_input input;
};

static bool is_cel(enum log_kind kind)
{
        return kind == LOG_CEL_JSON || kind == LOG_CEL_TLV;
}

static bool is_tcg(enum log_kind kind)
{
        return kind == LOG_TCG || kind == LOG_CC;
}

static int convert_to(const struct convert_input *input, enum convert_form form, struct buf *out,
                struct convert_result *result)
{
        struct convert_options options = {.form = form};
        struct error error = {{0}};
        int r = convert(input, &options, out, result, &error);

        require(r == 0 || r == -EBADMSG || r == -ENODATA || r == -EINVAL || r == -EOPNOTSUPP);
        require(r == 0 || (error.text[0] != '\0' && out->size == 0));
        return r;
}

static bool left_out(const struct convert_result *result)
{
        size_t n = 0;

        for (size_t i = 0; i < CONVERT_CLASSES; i++)
                n += result->n_left_out[i];
        return n > 0;
}

static int replay_of(enum log_kind kind, const struct convert_input *input, struct span bytes,
                const struct banks *banks, struct replay *ret)
{
        struct chain_result chain;
        int r;

        if (is_cel(kind))
                return cel_replay(bytes, banks, ret, NULL);
        r = chain_replay(&input->chain, banks, NULL, &chain, NULL);
        *ret = chain.replay;
        return r;
}

/* Values in all banks that came out; a log that can't be replayed (StartupLocality twice) can't be
 * replayed in any form. */
static void same_values(const struct sample *s, enum log_kind kind, struct span out)
{
        struct convert_input input = {.chain.firmware = out};
        struct replay before, after;
        int r;

        if (is_cel(kind)) {
                r = cel_replay(out, NULL, &after, NULL);
        } else {
                struct event_log log;

                require(event_log_open(&log, out, NULL) == 0);
                r = replay_of(kind, &input, out, &log.banks, &after);
        }
        if (replay_of(s->kind, &s->input, s->bytes, &after.banks, &before) < 0) {
                /* systemd's reader wants its framing, which another form of it has */
                require(r < 0 || s->kind == LOG_SYSTEMD);
                return;
        }
        require(r == 0 && memcmp(before.pcr, after.pcr, sizeof(before.pcr)) == 0);
}

static void check_cel(const struct sample *s, enum convert_form form, enum log_kind kind)
{
        _cleanup_buf_ struct buf out = {0}, back = {0}, again = {0};
        struct convert_result first, result;
        struct event_log log;
        struct span cel;
        struct convert_input input = {.cel = &cel, .n_cel = 1};
        size_t size;

        if (convert_to(&s->input, form, &out, &first) < 0)
                return;
        cel = buf_span(&out);
        require(log_kind_of(cel) == kind);
        require(convert_to(&input, form, &again, &result) == 0 && !left_out(&result));
        require(span_equal(buf_span(&again), cel));
        if (!left_out(&first))
                same_values(s, kind, cel);
        if (!is_tcg(s->kind) || event_log_open(&log, s->bytes, NULL) < 0 || !log.agile ||
                        log.n_declared > log.banks.n)
                return;
        require(event_log_trim(s->bytes, &size, NULL) == 0);
        require(convert_to(&input, CONVERT_AGILE, &back, &result) == 0);
        require(span_equal(buf_span(&back), SPAN(s->bytes.data, size)));
}

static void check_agile(const struct sample *s)
{
        _cleanup_buf_ struct buf out = {0};
        struct convert_result result;
        size_t size;

        if (convert_to(&s->input, CONVERT_AGILE, &out, &result) < 0)
                return;
        require(is_tcg(log_kind_of(buf_span(&out))));
        require(event_log_trim(buf_span(&out), &size, NULL) == 0);
        if (!left_out(&result))
                same_values(s, LOG_TCG, buf_span(&out));
}

static void check_systemd(const struct sample *s)
{
        _cleanup_buf_ struct buf out = {0};
        struct systemd_record record;
        struct convert_result result;
        size_t offset = 0, index = 0, n = 0;
        int r;

        if (convert_to(&s->input, CONVERT_SYSTEMD, &out, &result) < 0)
                return;
        require(log_kind_of(buf_span(&out)) == LOG_SYSTEMD);
        while ((r = systemd_log_next(buf_span(&out), &offset, &index, &record, NULL)) > 0)
                n++;
        require(r == 0 && n == result.n_written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct sample s = {.bytes = SPAN(data, size)};

        if (size > 1 << 16 || size == 0)
                return 0;
        s.kind = log_kind_of(s.bytes);
        switch (s.kind) {
        case LOG_CEL_JSON:
        case LOG_CEL_TLV:
                s.input.cel = &s.bytes;
                s.input.n_cel = 1;
                break;
        case LOG_SYSTEMD:
                s.input.chain.systemd[0] = s.bytes;
                s.input.chain.n_systemd = 1;
                break;
        case LOG_IMA:
                s.input.chain.ima = s.bytes;
                break;
        default:
                s.input.chain.firmware = s.bytes;
        }
        check_cel(&s, CONVERT_CEL_JSON, LOG_CEL_JSON);
        check_cel(&s, CONVERT_CEL_TLV, LOG_CEL_TLV);
        check_agile(&s);
        check_systemd(&s);
        return 0;
}

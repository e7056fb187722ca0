/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `mkexec log check` on any bytes as logs of any kinds: the replay in it is chain_replay's (for a
 * firmware log alone: replay_log's), every record is counted once, a verdict of ok holds what it
 * says, and values that the logs don't give are refused. Input: logs, separated by "\n==LOG==\n".
 * Corpus: tests/corpus/log-check/. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "eventlog/escape.h"
#include "shim/log-check.h"

#define SEPARATOR "\n==LOG==\n"
#define LOGS_MAX  8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

static size_t split(struct span bytes, struct log_source ret[LOGS_MAX])
{
        size_t n = 0;

        while (n < LOGS_MAX) {
                const uint8_t *end = bytes.size > 0 ? memmem(bytes.data, bytes.size, SEPARATOR,
                                                                      strlen(SEPARATOR))
                                                    : NULL;
                size_t used = end ? (size_t)(end - bytes.data) : bytes.size;

                ret[n] = (struct log_source){.name = "a name", .bytes = SPAN(bytes.data, used)};
                ret[n].kind = log_kind_of(ret[n].bytes);
                n++;
                if (!end)
                        break;
                used += strlen(SEPARATOR);
                bytes = SPAN(bytes.data + used, bytes.size - used);
        }
        return n;
}

/* ---- the judge ---- */

struct seen {
        size_t n, by_status[CHECK_STATUSES];
};

static int see(void *context, const struct check_event *event)
{
        struct seen *seen = context;

        require(event->status < CHECK_STATUSES && event->notes >> CHECK_NOTES == 0);
        require((event->reason[0] == '\0') == (event->status == CHECK_VERIFIED));
        require(!!event->tcg + !!event->systemd + !!event->ima <= 1);
        seen->n++;
        seen->by_status[event->status]++;
        return 0;
}

static bool same(const struct replay *a, const struct replay *b)
{
        if (a->banks.n != b->banks.n)
                return false;
        for (size_t i = 0; i < a->banks.n; i++)
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        if (memcmp(a->pcr[i][pcr].bytes, b->pcr[i][pcr].bytes,
                                            a->banks.alg[i]->size) != 0)
                                return false;
        return true;
}

static void check_replay(const struct chain *chain, const struct check_result *result)
{
        struct chain_result alone;
        struct replay firmware;
        int r = chain_replay(chain, &result->chain.replay.banks, NULL, &alone, NULL);

        require(r == 0 || r == -EBADMSG);
        require(r == 0 || result->result == HOP_RESULT_MALFORMED);
        require(same(&alone.replay, &result->chain.replay));
        if (chain->n_systemd == 0 && chain->ima.size == 0 && result->result == HOP_RESULT_OK) {
                require(replay_log(chain->firmware, &firmware, NULL) == 0);
                require(same(&firmware, &result->chain.replay));
        }
}

static void judge(const struct chain *chain, const struct replay *pcrs, struct check_result *ret)
{
        struct seen seen = {0};
        const struct check_input input = {
                        .chain = *chain, .pcrs = pcrs, .event = see, .context = &seen};
        size_t sum = 0;

        require(check_logs(&input, ret, NULL) == 0);
        for (unsigned i = 0; i < CHECK_STATUSES; i++) {
                require(ret->n_events[i] == seen.by_status[i]);
                sum += seen.by_status[i];
        }
        require(sum == seen.n);
        require((ret->result == HOP_RESULT_OK) == (ret->reason.text[0] == '\0'));
        if (ret->result != HOP_RESULT_OK)
                return;
        require(seen.by_status[CHECK_MISMATCH] == 0);
        require(!ret->firmware || ret->cc || ret->hops.hops_ok);
        for (unsigned i = 0; i < CHECK_NOTES; i++)
                require(ret->notes[i].n == 0 || !check_note_refused((enum check_note)i));
        for (size_t b = 0; pcrs && b < ret->chain.replay.banks.n; b++)
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        require(ret->pcr[b][pcr] != CHECK_PCR_DIFFERS);
}

/* The logs' own values agree unless a bank lacks something; with a bit changed they don't. */
static void check_values(const struct chain *chain, const struct check_result *plain)
{
        _cleanup_check_result_ struct check_result good = {0}, bad = {0};
        struct replay pcrs = plain->chain.replay;
        uint32_t boot = pcrs.banks.n > 0 ? pcrs.measured[0] & 0xffu : 0;
        uint32_t lacking = 0;

        for (size_t b = 0; b < pcrs.banks.n; b++) {
                pcrs.measured[b] = (1u << PCR_COUNT) - 1;
                lacking |= pcrs.lacking[b];
        }
        judge(chain, &pcrs, &good);
        if (pcrs.banks.n > 0 && !lacking)
                require(good.result == plain->result);
        if (plain->result != HOP_RESULT_OK || !boot || lacking)
                return;
        pcrs.pcr[0][__builtin_ctz(boot)].bytes[0] ^= 1;
        judge(chain, &pcrs, &bad);
        require(bad.result == HOP_RESULT_MISMATCH);
}

/* ---- what is printed ---- */

static void check_text(struct span text)
{
        struct cursor c = CURSOR(text);
        uint32_t point;
        bool valid;

        while (text_next(&c, TEXT_UTF8, &point, &valid))
                require(valid && (point == '\n' || (point >= 0x20 && point != 0x7f &&
                                                                   !(point >= 0x80 &&
                                                                                   point < 0xa0))));
}

static void check_print(const struct log_sources *sources, const struct log_chain *logs,
                const struct check_result *wanted)
{
        struct json document, events, event;
        char *text = NULL;
        size_t size = 0, offset = 0, n = 0;
        struct log_check check = {
                        .sources = sources, .logs = logs, .out = open_memstream(&text, &size)};
        enum hop_result result;

        require(check.out);
        require(log_check_json(&check, &result, NULL) == 0 && fclose(check.out) == 0);
        require(result == wanted->result);
        check_text(SPAN(text, size));
        require(json_parse(SPAN(text, size), &document, NULL) == 0);
        require(json_get(&document, "events", &events, NULL) == 1);
        while (json_next(&events, &offset, NULL, &event))
                n++;
        for (unsigned i = 0; i < CHECK_STATUSES; i++)
                n -= wanted->n_events[i];
        require(n == 0);
        free(text);
        check.out = open_memstream(&text, &size);
        require(check.out);
        require(log_check_text(&check, true, &result, NULL) == 0 && fclose(check.out) == 0);
        require(result == wanted->result);
        check_text(SPAN(text, size));
        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_check_result_ struct check_result result = {0};
        struct log_source found[LOGS_MAX];
        struct log_sources sources = {.n = split(SPAN(data, size), found), .source = found};
        struct error error = {{0}};
        struct log_chain logs;

        if (log_chain_make(&sources, &logs, &error) < 0) {
                require(error.text[0] != '\0');
                return 0;
        }
        judge(&logs.chain, NULL, &result);
        check_replay(&logs.chain, &result);
        check_values(&logs.chain, &result);
        check_print(&sources, &logs, &result);
        return 0;
}

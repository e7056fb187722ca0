/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/verify-line.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "shim/verdict-writers.h"

#define KEYS_KEPT       1024
#define LOGS_KEPT       512
#define LOGS_KEPT_BYTES (64u * 1024) /* of each; the verdict takes as much again */

struct verify_line {
        struct verify_input input;
        struct evidence evidence;
        bool wrapped;                   /* each line has its own nonce: */
        uint8_t nonce[QUOTE_NONCE_MAX]; /* that of the line at hand */
};

int verify_line_new(const struct verify_rules *rules, struct span nonce, struct verify_line **ret)
{
        struct verify_line *line = calloc(1, sizeof(*line));
        int r;

        if (!line)
                return -ENOMEM;
        line->wrapped = nonce.size == 0;
        line->input = (struct verify_input){
                        .nonce = nonce, .references = rules->references, .policy = &rules->policy};
        r = ak_cache_new(rules->trust, KEYS_KEPT, &line->input.keys);
        if (r == 0)
                r = known_new(LOGS_KEPT, LOGS_KEPT_BYTES, &line->input.known);
        if (r < 0) {
                verify_line_free(line);
                return r;
        }
        *ret = line;
        return 0;
}

void verify_line_free(struct verify_line *line)
{
        if (!line)
                return;
        ak_cache_free(line->input.keys);
        known_free(line->input.known);
        evidence_release(&line->evidence);
        free(line);
}

bool verify_nonce_parse(const char *hex, uint8_t to[QUOTE_NONCE_MAX], struct span *ret)
{
        size_t size = strlen(hex) / 2;

        if (size < VERIFY_NONCE_MIN || size > QUOTE_NONCE_MAX || !hex_decode(hex, to, size))
                return false;
        *ret = SPAN(to, size);
        return true;
}

/* ---- what is in a line ---- */

struct parts {
        struct json evidence, nonce, id; /* text.data is NULL if it isn't there */
};

static int take_part(
                struct json *part, const struct json *value, const char *name, struct error *reason)
{
        if (part->text.data)
                return error_set(reason, EBADMSG, "%s: is there twice", name);
        *part = *value;
        return 0;
}

static int take_parts(const struct json *document, struct parts *ret, struct error *reason)
{
        struct {
                const char *name;
                struct json *part;
        } members[] = {{"nonce", &ret->nonce}, {"evidence", &ret->evidence}, {"id", &ret->id}};
        struct json key, value;
        size_t offset = 0;
        int r = document->kind == JSON_OBJECT
                                ? 0
                                : error_set(reason, EBADMSG, "the line isn't an object");

        while (r == 0 && json_next(document, &offset, &key, &value)) {
                size_t i = 0;

                while (i < ARRAY_SIZE(members) && !json_is(&key, members[i].name))
                        i++;
                r = i < ARRAY_SIZE(members)
                                    ? take_part(members[i].part, &value, members[i].name, reason)
                                    : error_set(reason, EBADMSG,
                                                      "a member that isn't nonce, evidence or id");
        }
        if (r == 0 && (!ret->nonce.text.data || !ret->evidence.text.data))
                r = error_set(reason, EBADMSG, "nonce or evidence is missing");
        if (r == 0 && ret->id.text.data && ret->id.kind != JSON_STRING)
                r = error_set(reason, EBADMSG, "id isn't a string");
        return r;
}

/* *ret_id: a checked JSON string, as it stands, or empty. */
static int read_line(struct verify_line *line, struct span text, struct span *ret_id,
                struct error *reason)
{
        char hex[2 * QUOTE_NONCE_MAX + 1];
        struct parts parts = {0};
        struct json document;
        int r;

        if (text.size > VERIFY_LINE_MAX_BYTES)
                return error_set(reason, E2BIG, "the line is too long");
        r = json_parse(text, &document, reason);
        if (r == 0 && !line->wrapped)
                return evidence_take(&document, &line->evidence, reason);
        if (r == 0)
                r = take_parts(&document, &parts, reason);
        if (r < 0)
                return r;
        *ret_id = parts.id.text;
        if (!json_text(&parts.nonce, hex, sizeof(hex)) ||
                        !verify_nonce_parse(hex, line->nonce, &line->input.nonce))
                return error_set(reason, EBADMSG, "nonce: not %d to %d bytes in hex",
                                VERIFY_NONCE_MIN, QUOTE_NONCE_MAX);
        return evidence_take(&parts.evidence, &line->evidence, reason);
}

/* ---- verdicts ---- */

static void put_verdict(
                const struct verdict *verdict, uint64_t number, struct span id, struct buf *ret)
{
        struct json_writer w = {.out = ret, .first = true};

        json_put(&w, "{");
        json_member_number(&w, "line", number);
        if (id.size > 0) {
                json_member(&w, "id");
                buf_put_span(ret, id);
        }
        verdict_json(verdict, &w);
        json_put(&w, "}\n");
}

void verify_line_too_long(uint64_t number, struct buf *ret)
{
        struct verdict verdict = {0};

        (void)verdict_refuse(&verdict, VERDICT_MALFORMED, WORD_EVIDENCE,
                        "the line has more than %u bytes", VERIFY_LINE_MAX_BYTES);
        put_verdict(&verdict, number, SPAN(NULL, 0), ret);
}

int verify_line_judge(struct verify_line *line, struct span text, uint64_t number, struct buf *ret,
                enum verdict_kind *ret_kind)
{
        _cleanup_verdict_ struct verdict verdict = {0};
        struct span id = {0};
        struct error reason = {{0}};
        int r = read_line(line, text, &id, &reason), judged = 0;

        line->input.now = time(NULL);
        if (r == 0)
                judged = r = verify_evidence(&line->input, &line->evidence, &verdict, &reason);
        if (r < 0)
                (void)verdict_refuse(&verdict, VERDICT_MALFORMED, WORD_EVIDENCE, "%s", reason.text);
        put_verdict(&verdict, number, id, ret);
        *ret_kind = verdict.kind;
        return judged;
}

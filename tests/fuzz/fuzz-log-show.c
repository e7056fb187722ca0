/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `mkexec log show` on any bytes, in every form: what comes out is UTF-8 without control characters
 * other than the newlines of rows, and JSON is JSON. Corpus: tests/corpus/log-show/. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "eventlog/escape.h"
#include "eventlog/log-show.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

static int collect(void *context, struct buf *out)
{
        buf_put_span(context, buf_span(out));
        out->size = 0;
        return 0;
}

/* Nothing that a terminal obeys. Tables and YAML are printable as they are. */
static void check_text(struct span text)
{
        struct cursor c = CURSOR(text);
        uint32_t point;
        bool valid;

        while (text_next(&c, TEXT_UTF8, &point, &valid))
                require(valid && (point == '\n' || (point >= 0x20 && point < 0x7f) ||
                                                 (point >= 0xa0 && point != 0x2028 &&
                                                                 point != 0x2029 &&
                                                                 point != 0xfeff)));
}

/* Each row of a table is one line, whatever stands in it. */
static size_t count_lines(struct span text)
{
        size_t n = 0;

        for (size_t i = 0; i < text.size; i++)
                n += text.data[i] == '\n';
        return n;
}

static size_t count_events(struct span text)
{
        struct json document, events, event;
        size_t n = 0, offset = 0;

        require(json_parse(text, &document, NULL) == 0);
        require(json_get(&document, "events", &events, NULL) == 1 && events.kind == JSON_ARRAY);
        while (json_next(&events, &offset, NULL, &event)) {
                struct json body;

                require(json_get(&event, "body", &body, NULL) == 1 && body.kind == JSON_OBJECT);
                n++;
        }
        return n;
}

/* A list item at the outermost level for each event, and nothing else there that isn't ours. */
static size_t count_items(struct span text)
{
        static const char *const heads[] = {
                        "---", "version: 2", "events:", "pcrs:", "  ", "Malformed: \""};
        size_t n = 0, start = 0;

        for (size_t i = 0; i < text.size; i++) {
                struct span line = SPAN(text.data + start, i - start);
                bool known = false;

                if (text.data[i] != '\n')
                        continue;
                start = i + 1;
                if (line.size > 12 && memcmp(line.data, "- EventNum: ", 12) == 0) {
                        n++;
                        continue;
                }
                for (size_t h = 0; h < sizeof(heads) / sizeof(heads[0]); h++)
                        known |= line.size >= strlen(heads[h]) &&
                                 memcmp(line.data, heads[h], strlen(heads[h])) == 0;
                require(known);
        }
        require(start == text.size);
        return n;
}

static int show(const struct named_log *log, enum log_show_form form, struct buf *ret)
{
        struct log_show_options options = {
                        .form = form, .pcrs = UINT32_MAX, .flush = collect, .context = ret};
        struct error error = {{0}};
        int r = log_show_write(log, 1, &options, &error);

        require(r == 0 || ((r == -EBADMSG || r == -EPROTO) && error.text[0] != '\0'));
        check_text(buf_span(ret));
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_buf_ struct buf table = {0}, json = {0}, yaml = {0}, bytes = {0};
        struct named_log log = {.name = "a name \x1b[2J\n\"\\\xff"};
        size_t n;
        int r;

        buf_put(&bytes, data, size);
        log.bytes = buf_span(&bytes);
        log.kind = log_kind_of(SPAN(data, size));
        r = show(&log, LOG_SHOW_JSON, &json);
        require(r != -EPROTO && show(&log, LOG_SHOW_TABLE, &table) == r);
        n = count_events(buf_span(&json));
        require(count_lines(buf_span(&table)) == 1 + n + (r < 0));
        if (show(&log, LOG_SHOW_YAML, &yaml) == 0)
                require(r == 0 && count_items(buf_span(&yaml)) == n);
        else if (yaml.size > 0)
                require(count_items(buf_span(&yaml)) == n);
        return 0;
}

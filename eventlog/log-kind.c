/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/log-kind.h"

#include <string.h>

#include "base/json.h"
#include "eventlog/ima-log.h"
#include "eventlog/parse.h"

#define RECORD_SEPARATOR 0x1e

static const struct {
        const char *word, *name;
} kinds[] = {
                [LOG_UNKNOWN] = {"unknown", "unknown"},
                [LOG_TCG] = {"tcg", "TCG event log"},
                [LOG_CC] = {"cc", "confidential-computing event log"},
                [LOG_SYSTEMD] = {"systemd", "systemd measurement log"},
                [LOG_IMA] = {"ima", "IMA measurement list"},
                [LOG_CEL_JSON] = {"cel-json", "CEL-JSON log"},
                [LOG_CEL_TLV] = {"cel-tlv", "CEL-TLV log"},
};

const char *log_kind_word(enum log_kind kind)
{
        return kinds[kind].word;
}

const char *log_kind_name(enum log_kind kind)
{
        return kinds[kind].name;
}

/* ---- kinds ---- */

/* Both are JSON sequences of the same records; systemd names itself in each, and has no numbers. */
static enum log_kind kind_of_json(struct span bytes, size_t start)
{
        bool sequence = bytes.data[start] == RECORD_SEPARATOR;
        struct span first = SPAN(bytes.data + start + sequence, bytes.size - start - sequence);
        const uint8_t *end;
        struct json record, member;

        if (!sequence && bytes.data[start] == '[')
                return LOG_CEL_JSON;
        end = first.size > 0 ? memchr(first.data, sequence ? RECORD_SEPARATOR : '\n', first.size)
                             : NULL;
        if (end)
                first.size = (size_t)(end - first.data);
        if (json_parse(first, &record, NULL) < 0)
                return sequence ? LOG_SYSTEMD : LOG_CEL_JSON;
        if (json_get(&record, "recnum", &member, NULL) > 0)
                return LOG_CEL_JSON;
        return json_get(&record, "content_type", &member, NULL) > 0 && !json_is(&member, "systemd")
                               ? LOG_CEL_JSON
                               : LOG_SYSTEMD;
}

/* Record number, then the PCR or NV index (or 108, Google's register), then digests. */
static bool is_cel_tlv(struct span bytes)
{
        struct cursor c = CURSOR(bytes);
        uint32_t size;
        uint8_t type;

        return cursor_u8(&c, &type) && type == 0 && cursor_be32(&c, &size) && size > 0 &&
               size <= 8 && cursor_skip(&c, size) && cursor_u8(&c, &type) &&
               (type == 1 || type == 2 || type == 108) && cursor_be32(&c, &size) && size > 0 &&
               size <= 8 && cursor_skip(&c, size) && cursor_u8(&c, &type) && type == 3;
}

/* A log without a header looks like an IMA list: both begin with a PCR. Its first event then has a
 * type that exists, where the list has digest bytes. */
static bool is_sha1_log(const struct event_log *log)
{
        struct tcg_event event;
        size_t offset = 0, index = 0;

        return event_log_next(log, &offset, &index, &event, NULL) > 0 &&
               event_type_name(event.type);
}

enum log_kind log_kind_of(struct span bytes)
{
        size_t start = 0;
        struct event_log log;
        struct ima_log ima;
        bool opens;

        while (start < bytes.size && memchr(" \t\r\n", bytes.data[start], 4))
                start++;
        if (start < bytes.size && memchr("\x1e{[", bytes.data[start], 3))
                return kind_of_json(bytes, start);
        opens = event_log_open(&log, bytes, NULL) >= 0;
        if (opens && log.agile)
                return log.cc ? LOG_CC : LOG_TCG;
        if (is_cel_tlv(bytes))
                return LOG_CEL_TLV;
        if (opens && is_sha1_log(&log))
                return LOG_TCG;
        return ima_log_open(&ima, bytes, NULL) >= 0 ? LOG_IMA : LOG_UNKNOWN;
}

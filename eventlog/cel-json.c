/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CEL's JSON form. Those who write it agree on the members of a record and on little else: names
 * are upper-case (systemd, tpm2-tss), lower-case or numbers (libcel); records stand in an array or
 * behind each other. */
#include "eventlog/cel-forms.h"

#include <errno.h>

#include "base/cleanup.h"
#include "eventlog/json-digests.h"

#define RECORD_SEPARATOR 0x1e
#define NAME_SIZE        64 /* no name that we know is longer */

/* ---- values ---- */

struct member {
        const char *name;
        struct json *to; /* JSON_NULL if it isn't there */
};

/* Members by name; others are nobody's business. */
static int take_members(const struct json *object, const struct member *members, size_t n,
                struct error *error)
{
        struct json key, value;
        size_t offset = 0;
        unsigned seen = 0;

        if (object->kind != JSON_OBJECT)
                return error_set(error, EBADMSG, "something that isn't a JSON object");
        while (json_next(object, &offset, &key, &value))
                for (size_t i = 0; i < n; i++) {
                        if (!json_is(&key, members[i].name))
                                continue;
                        if (seen & 1u << i)
                                return error_set(error, EBADMSG, "\"%s\" is there twice",
                                                members[i].name);
                        seen |= 1u << i;
                        *members[i].to = value;
                }
        return 0;
}

#define TAKE_MEMBERS(object, members, error) \
        take_members((object), (members), ARRAY_SIZE(members), (error))

/* A number, or a string with one: "12", "0x1f". */
static bool number(const struct json *value, uint64_t max, uint64_t *ret)
{
        char text[NAME_SIZE];
        unsigned base = 10;
        const char *c = text;
        uint64_t sum = 0;

        if (json_u64(value, &sum)) {
                *ret = sum;
                return sum <= max;
        }
        if (!json_text(value, text, sizeof(text)))
                return false;
        if (c[0] == '0' && (c[1] == 'x' || c[1] == 'X')) {
                base = 16;
                c += 2;
        }
        if (*c == '\0')
                return false;
        for (; *c; c++) {
                unsigned digit = *c >= '0' && *c <= '9' ? (unsigned)(*c - '0')
                                 : (*c | 0x20) >= 'a' && (*c | 0x20) <= 'f'
                                                 ? (*c | 0x20) - 'a' + 10u
                                                 : 16;

                if (digit >= base || __builtin_mul_overflow(sum, base, &sum) ||
                                __builtin_add_overflow(sum, digit, &sum))
                        return false;
        }
        *ret = sum;
        return sum <= max;
}

static bool name(const struct json *value, bool upper, char ret[NAME_SIZE])
{
        if (!json_text(value, ret, NAME_SIZE))
                return false;
        for (char *c = ret; *c; c++)
                if (upper ? *c >= 'a' && *c <= 'z' : *c >= 'A' && *c <= 'Z')
                        *c ^= 0x20;
        return true;
}

/* A string's text, appended; cel_json_take has made room, so that what stands there doesn't move.
 */
static bool text(const struct json *value, struct buf *scratch, struct span *ret)
{
        size_t start = scratch->size;

        if (!json_string(value, scratch))
                return false;
        *ret = SPAN(scratch->data + start, scratch->size - start);
        return true;
}

/* The bytes of a string of hex digits, decoded where it stands. */
static bool bytes(const struct json *value, struct buf *scratch, struct span *ret)
{
        struct span digits;

        if (!text(value, scratch, &digits))
                return false;
        buf_put_u8(scratch, 0);
        if (buf_failed(scratch) || digits.size % 2 != 0 ||
                        !hex_decode((const char *)digits.data, (uint8_t *)digits.data,
                                        digits.size / 2))
                return false;
        *ret = SPAN(digits.data, digits.size / 2);
        return true;
}

/* ---- contents ---- */

static bool event_type(const struct json *value, uint32_t *ret)
{
        /* libcel misspells one */
        static const char *const names[][2] = {
                        {"EV_EFI_PLATFORM_FIRMWATE_BLOB2", "EV_EFI_PLATFORM_FIRMWARE_BLOB2"}};
        char upper[NAME_SIZE];
        uint64_t type;

        if (number(value, UINT32_MAX, &type)) {
                *ret = (uint32_t)type;
                return true;
        }
        if (!name(value, true, upper))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strcmp(upper, names[i][0]) == 0)
                        return event_type_by_name(names[i][1], ret);
        return event_type_by_name(upper, ret);
}

static int take_pcclient(const struct json *content, struct buf *scratch, struct cel_record *ret,
                struct error *error)
{
        struct json type = {0}, data = {0};
        const struct member members[] = {{"event_type", &type}, {"event_data", &data}};
        int r = TAKE_MEMBERS(content, members, error);

        if (r < 0)
                return r;
        if (!event_type(&type, &ret->event.type))
                return error_set(error, EBADMSG, "no event type that is known");
        /* tpm2-tss decodes the data of some types */
        ret->data_known = data.kind == JSON_STRING;
        if (ret->data_known ? !bytes(&data, scratch, &ret->event.data) : data.kind != JSON_OBJECT)
                return error_set(error, EBADMSG, "event data that isn't hex");
        return 0;
}

static int take_ima_template(const struct json *content, struct buf *scratch,
                struct cel_record *ret, struct error *error)
{
        struct json template = {0}, data = {0};
        const struct member members[] = {{"template_name", &template}, {"template_data", &data}};
        int r = TAKE_MEMBERS(content, members, error);

        if (r < 0)
                return r;
        ret->data_known = true;
        if (!text(&template, scratch, &ret->name) || !bytes(&data, scratch, &ret->event.data))
                return error_set(error, EBADMSG, "no template name, or data that isn't hex");
        return 0;
}

static bool systemd_type(const struct json *value, struct buf *scratch, struct span *ret)
{
        const char *known;
        uint64_t type;

        if (!json_u64(value, &type))
                return text(value, scratch, ret);
        known = cel_systemd_type_name(type);
        if (known)
                *ret = SPAN(known, strlen(known));
        return known;
}

/* systemd's own records have "eventType", libcel's "event_type". What the first versions of systemd
 * didn't write may be missing. */
static int take_systemd(const struct json *content, struct buf *scratch, struct cel_record *ret,
                struct error *error)
{
        struct json type = {0}, type2 = {0}, string = {0}, boot_id = {0}, timestamp = {0};
        const struct member members[] = {{"eventType", &type}, {"event_type", &type2},
                        {"string", &string}, {"bootId", &boot_id}, {"timestamp", &timestamp}};
        int r = TAKE_MEMBERS(content, members, error);
        struct span id;

        if (r < 0)
                return r;
        if (type.kind != JSON_NULL && type2.kind != JSON_NULL)
                return error_set(error, EBADMSG, "two event types");
        if (type.kind == JSON_NULL)
                type = type2;
        if (type.kind != JSON_NULL && !systemd_type(&type, scratch, &ret->name))
                return error_set(error, EBADMSG, "no event type that systemd has");
        ret->data_known = string.kind != JSON_NULL;
        if (ret->data_known && !text(&string, scratch, &ret->event.data))
                return error_set(error, EBADMSG, "a string that isn't one");
        if (timestamp.kind != JSON_NULL && !number(&timestamp, UINT64_MAX, &ret->timestamp_us))
                return error_set(error, EBADMSG, "a timestamp that isn't one");
        if (boot_id.kind == JSON_NULL)
                return 0;
        if (!bytes(&boot_id, scratch, &id) || id.size != sizeof(ret->boot_id))
                return error_set(error, EBADMSG, "a boot ID that isn't one");
        memcpy(ret->boot_id, id.data, id.size);
        ret->has_boot_id = true;
        return 0;
}

static bool management_type(const struct json *value, enum cel_management_type *ret)
{
        char lower[NAME_SIZE];
        uint64_t type;

        return number(value, UINT64_MAX, &type)
                               ? cel_management_by_number(type, ret)
                               : name(value, false, lower) && cel_management_by_name(lower, ret);
}

static int take_version(const struct json *data, struct cel_management *ret, struct error *error)
{
        struct json major = {0}, minor = {0};
        const struct member members[] = {{"major", &major}, {"minor", &minor}};
        int r = TAKE_MEMBERS(data, members, error);

        if (r < 0)
                return r;
        if (!number(&major, UINT16_MAX, &ret->value) || !number(&minor, UINT16_MAX, &ret->minor))
                return error_set(error, EBADMSG, "a version that isn't one");
        return 0;
}

static bool transition(const struct json *value, uint64_t *ret)
{
        char lower[NAME_SIZE];

        return number(value, CEL_KEXEC, ret) ||
               (name(value, false, lower) && cel_transition_by_name(lower, ret));
}

static int take_management(
                const struct json *entry, struct cel_management *ret, struct error *error)
{
        struct json type = {0}, data = {0};
        const struct member members[] = {{"type", &type}, {"data", &data}};
        int r = TAKE_MEMBERS(entry, members, error);
        bool right = true;

        if (r < 0)
                return r;
        if (!management_type(&type, &ret->type))
                return error_set(error, EBADMSG, "no type of management that is known");
        switch (ret->type) {
        case CEL_VERSION:
                return take_version(&data, ret, error);
        case CEL_FIRMWARE_END:
                right = data.kind == JSON_NULL;
                break;
        case CEL_TIMESTAMP:
                right = number(&data, UINT64_MAX, &ret->value);
                break;
        case CEL_STATE_TRANS:
                right = transition(&data, &ret->value);
                break;
        }
        return right ? 0
                     : error_set(error, EBADMSG, "%s with a value that it can't have",
                                       cel_management_name(ret->type));
}

/* One, or an array of them. */
static int take_managements(const struct json *content, struct cel_record *ret, struct error *error)
{
        struct json entry;
        size_t offset = 0;

        if (content->kind != JSON_ARRAY) {
                ret->n_management = 1;
                return take_management(content, &ret->management[0], error);
        }
        while (json_next(content, &offset, NULL, &entry)) {
                int r;

                if (ret->n_management == CEL_MANAGEMENT_MAX)
                        return error_set(error, EBADMSG, "more than %u management entries",
                                        CEL_MANAGEMENT_MAX);
                r = take_management(&entry, &ret->management[ret->n_management++], error);
                if (r < 0)
                        return r;
        }
        return ret->n_management > 0 ? 0 : error_set(error, EBADMSG, "its content is empty");
}

/* What we wrote for contents of the TLV form that nobody has JSON for is a string of hex. */
static int take_other(const struct json *content, struct buf *scratch, struct cel_record *ret)
{
        ret->data_known = content->kind == JSON_STRING && bytes(content, scratch, &ret->event.data);
        return 0;
}

static int take_content(struct buf *scratch, struct cel_record *ret, struct error *error)
{
        const struct json *content = &ret->content_json;
        char lower[NAME_SIZE];
        uint64_t type;

        if (number(&ret->type_json, UINT8_MAX, &type) && type >= CEL_MANAGEMENT)
                ret->content_type = (unsigned)type;
        else if (ret->type_json.kind != JSON_STRING)
                return error_set(error, EBADMSG, "no content type");
        else if (!name(&ret->type_json, false, lower) ||
                        !cel_content_by_name(lower, &ret->content_type))
                ret->content_type = CEL_NAMED;
        if (content->kind == JSON_NULL)
                return error_set(error, EBADMSG, "no content");
        switch (ret->content_type) {
        case CEL_MANAGEMENT:
                return take_managements(content, ret, error);
        case CEL_PCCLIENT_STD:
                return take_pcclient(content, scratch, ret, error);
        case CEL_IMA_TEMPLATE:
                return take_ima_template(content, scratch, ret, error);
        case CEL_SYSTEMD:
                return take_systemd(content, scratch, ret, error);
        default:
                return take_other(content, scratch, ret);
        }
}

/* ---- records ---- */

static int take_place(const struct json places[3], struct cel_record *ret, struct error *error)
{
        static const enum cel_place kinds[] = {CEL_PCR, CEL_NV_INDEX, CEL_REGISTER};
        const struct json *found = NULL;
        uint64_t value;

        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                if (places[i].kind == JSON_NULL)
                        continue;
                if (found)
                        return error_set(error, EBADMSG, "more than one PCR or NV index");
                found = &places[i];
                ret->place = kinds[i];
        }
        if (!found || !number(found, UINT32_MAX, &value))
                return error_set(error, EBADMSG, "no PCR and no NV index");
        if (ret->place == CEL_NV_INDEX)
                ret->nv_index = (uint32_t)value;
        else
                ret->event.pcr = (uint32_t)value;
        return 0;
}

static int take_record(const struct json *record, struct buf *scratch, struct cel_record *ret,
                struct error *error)
{
        struct json recnum = {0}, places[3] = {0}, digests = {0};
        const struct member members[] = {{"recnum", &recnum}, {"pcr", &places[0]},
                        {"nv_index", &places[1]}, {"ccmr", &places[2]}, {"digests", &digests},
                        {"content_type", &ret->type_json}, {"content", &ret->content_json}};
        int r = TAKE_MEMBERS(record, members, error);

        if (r < 0)
                return r;
        ret->has_recnum = recnum.kind != JSON_NULL;
        if (ret->has_recnum && !number(&recnum, UINT64_MAX, &ret->recnum))
                return error_set(error, EBADMSG, "a record number that isn't one");
        r = take_place(places, ret, error);
        if (r == 0 && digests.kind != JSON_NULL)
                r = json_digests(&digests, &ret->event.digests, &ret->n_unknown, error);
        return r < 0 ? r : take_content(scratch, ret, error);
}

/* Blanks, and what stands between records. Returns 1 if one follows, 0 at the end. */
static int between(struct cel_log *log, struct error *error)
{
        const uint8_t *data = log->bytes.data;
        size_t at = log->offset;
        bool comma = log->array && log->index > 0;

        for (; at < log->bytes.size; at++) {
                if (memchr(" \t\r\n", data[at], 4) || (!log->array && data[at] == RECORD_SEPARATOR))
                        continue;
                if (log->ended)
                        return error_set(error, EBADMSG, "something behind the array");
                if (log->array && data[at] == ']' && (comma || log->index == 0)) {
                        log->ended = true;
                        continue;
                }
                if (!comma)
                        break;
                if (data[at] != ',')
                        return error_set(error, EBADMSG, "no comma before it");
                comma = false;
        }
        log->offset = at;
        if (at < log->bytes.size)
                return 1;
        return log->array && !log->ended ? error_set(error, EBADMSG, "the array isn't closed") : 0;
}

int cel_json_take(struct cel_log *log, struct buf *scratch, struct cel_record *ret,
                struct error *error)
{
        struct json record;
        int r = between(log, error);

        if (r <= 0)
                return r;
        ret->event.offset = log->offset;
        r = json_take(log->bytes, &log->offset, &record, error);
        if (r < 0)
                return r;
        /* Room for all of it at once. */
        scratch->size = 0;
        buf_put_zeros(scratch, record.text.size);
        if (buf_failed(scratch))
                return error_set(error, ENOMEM, "out of memory");
        scratch->size = 0;
        r = take_record(&record, scratch, ret, error);
        return r < 0 ? r : 1;
}

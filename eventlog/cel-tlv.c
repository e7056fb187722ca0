/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CEL's TLV form: a byte of type, a big-endian u32 of length, the value. */
#include "eventlog/cel-forms.h"

#include <errno.h>

#include "base/cleanup.h"

struct tlv {
        uint8_t type;
        struct span value;
};

static bool take_tlv(struct cursor *c, struct tlv *ret)
{
        struct cursor ahead = *c;
        uint32_t size;

        if (!cursor_u8(&ahead, &ret->type) || !cursor_be32(&ahead, &size) ||
                        !cursor_take(&ahead, size, &ret->value))
                return false;
        *c = ahead;
        return true;
}

/* As many bytes as the writer liked: Google's record numbers have 8, libcel's as few as will do. */
static bool tlv_u64(const struct tlv *tlv, uint64_t max, uint64_t *ret)
{
        uint64_t value = 0;

        if (tlv->value.size == 0 || tlv->value.size > sizeof(value))
                return false;
        for (size_t i = 0; i < tlv->value.size; i++)
                value = value << 8 | tlv->value.data[i];
        if (value > max)
                return false;
        *ret = value;
        return true;
}

/* A content's subtypes 0 ... n - 1, each at most once. Bits of *ret_seen tell which are there. */
static int take_fields(struct span content, struct tlv *fields, unsigned n, unsigned *ret_seen,
                struct error *error)
{
        struct cursor c = CURSOR(content);
        struct tlv tlv;
        unsigned seen = 0;

        while (cursor_left(&c) > 0) {
                if (!take_tlv(&c, &tlv))
                        return error_set(error, EBADMSG, "its content is cut off");
                if (tlv.type >= n)
                        return error_set(error, EBADMSG, "its content has a field of type %u",
                                        tlv.type);
                if (seen & 1u << tlv.type)
                        return error_set(error, EBADMSG, "its content has two fields of type %u",
                                        tlv.type);
                seen |= 1u << tlv.type;
                fields[tlv.type] = tlv;
        }
        *ret_seen = seen;
        return 0;
}

/* ---- contents ---- */

static int take_pcclient(struct span content, struct cel_record *ret, struct error *error)
{
        struct tlv fields[2];
        unsigned seen;
        uint64_t type;
        int r = take_fields(content, fields, ARRAY_SIZE(fields), &seen, error);

        if (r < 0)
                return r;
        if (seen != 3 || !tlv_u64(&fields[CEL_TLV_EVENT_TYPE], UINT32_MAX, &type))
                return error_set(error, EBADMSG, "no event type or event data");
        ret->event.type = (uint32_t)type;
        ret->event.data = fields[CEL_TLV_EVENT_DATA].value;
        return 0;
}

static int take_ima_template(struct span content, struct cel_record *ret, struct error *error)
{
        struct tlv fields[2];
        unsigned seen;
        int r = take_fields(content, fields, ARRAY_SIZE(fields), &seen, error);

        if (r < 0)
                return r;
        if (seen != 3)
                return error_set(error, EBADMSG, "no template name or template data");
        ret->name = fields[CEL_TLV_TEMPLATE_NAME].value;
        ret->event.data = fields[CEL_TLV_TEMPLATE_DATA].value;
        return 0;
}

/* The number of one of libcel's four event types, or a name (ours) in its place. */
static bool systemd_type(const struct tlv *fields, unsigned seen, struct cel_record *ret)
{
        bool named = seen & 1u << CEL_TLV_SYSTEMD_TYPE_NAME;
        uint64_t number;
        const char *name;

        if (named == (bool)(seen & 1u << CEL_TLV_SYSTEMD_TYPE))
                return false;
        if (named) {
                ret->name = fields[CEL_TLV_SYSTEMD_TYPE_NAME].value;
                return true;
        }
        if (!tlv_u64(&fields[CEL_TLV_SYSTEMD_TYPE], UINT8_MAX, &number))
                return false;
        name = cel_systemd_type_name(number);
        if (!name)
                return false;
        ret->name = SPAN(name, strlen(name));
        return true;
}

static int take_systemd(struct span content, struct cel_record *ret, struct error *error)
{
        struct tlv fields[5];
        unsigned seen;
        int r = take_fields(content, fields, ARRAY_SIZE(fields), &seen, error);

        if (r < 0)
                return r;
        if (!systemd_type(fields, seen, ret))
                return error_set(error, EBADMSG, "no event type that systemd has");
        if (!(seen & 1u << CEL_TLV_SYSTEMD_STRING))
                return error_set(error, EBADMSG, "no string");
        ret->event.data = fields[CEL_TLV_SYSTEMD_STRING].value;
        if (seen & 1u << CEL_TLV_SYSTEMD_TIMESTAMP &&
                        !tlv_u64(&fields[CEL_TLV_SYSTEMD_TIMESTAMP], UINT64_MAX,
                                        &ret->timestamp_us))
                return error_set(error, EBADMSG, "a timestamp that isn't one");
        if (seen & 1u << CEL_TLV_SYSTEMD_BOOT_ID) {
                struct span id = fields[CEL_TLV_SYSTEMD_BOOT_ID].value;

                if (id.size != sizeof(ret->boot_id))
                        return error_set(error, EBADMSG, "a boot ID of %zu bytes", id.size);
                memcpy(ret->boot_id, id.data, id.size);
                ret->has_boot_id = true;
        }
        return 0;
}

static int take_version(struct span value, struct cel_management *ret, struct error *error)
{
        struct tlv fields[2];
        unsigned seen;
        int r = take_fields(value, fields, ARRAY_SIZE(fields), &seen, error);

        if (r < 0)
                return r;
        if (seen != 3 || !tlv_u64(&fields[CEL_TLV_MAJOR], UINT16_MAX, &ret->value) ||
                        !tlv_u64(&fields[CEL_TLV_MINOR], UINT16_MAX, &ret->minor))
                return error_set(error, EBADMSG, "a version that isn't one");
        return 0;
}

static int take_management(const struct tlv *tlv, struct cel_management *ret, struct error *error)
{
        bool right = true;

        if (!cel_management_by_number(tlv->type, &ret->type))
                return error_set(error, EBADMSG, "management of type %u", tlv->type);
        switch (ret->type) {
        case CEL_VERSION:
                return take_version(tlv->value, ret, error);
        case CEL_FIRMWARE_END:
                right = tlv->value.size == 0;
                break;
        case CEL_TIMESTAMP:
                right = tlv_u64(tlv, UINT64_MAX, &ret->value);
                break;
        case CEL_STATE_TRANS:
                right = tlv_u64(tlv, CEL_KEXEC, &ret->value);
                break;
        }
        return right ? 0
                     : error_set(error, EBADMSG, "%s with a value that it can't have",
                                       cel_management_name(ret->type));
}

static int take_managements(struct span content, struct cel_record *ret, struct error *error)
{
        struct cursor c = CURSOR(content);
        struct tlv tlv;

        while (cursor_left(&c) > 0) {
                int r;

                if (!take_tlv(&c, &tlv))
                        return error_set(error, EBADMSG, "its content is cut off");
                if (ret->n_management == CEL_MANAGEMENT_MAX)
                        return error_set(error, EBADMSG, "more than %u management entries",
                                        CEL_MANAGEMENT_MAX);
                r = take_management(&tlv, &ret->management[ret->n_management++], error);
                if (r < 0)
                        return r;
        }
        return ret->n_management > 0 ? 0 : error_set(error, EBADMSG, "its content is empty");
}

static int take_content(const struct tlv *tlv, struct cel_record *ret, struct error *error)
{
        ret->content_type = tlv->type;
        ret->data_known = tlv->type != CEL_MANAGEMENT;
        switch (tlv->type) {
        case CEL_MANAGEMENT:
                return take_managements(tlv->value, ret, error);
        case CEL_PCCLIENT_STD:
                return take_pcclient(tlv->value, ret, error);
        case CEL_IMA_TEMPLATE:
                return take_ima_template(tlv->value, ret, error);
        case CEL_SYSTEMD:
                return take_systemd(tlv->value, ret, error);
        case CEL_TLV_RECNUM:
        case CEL_TLV_PCR:
        case CEL_TLV_NV_INDEX:
        case CEL_TLV_DIGESTS:
                return error_set(error, EBADMSG,
                                "a second field of type %u in place of its content", tlv->type);
        default:
                ret->event.data = tlv->value;
                return 0;
        }
}

/* ---- what stands before it ---- */

static int take_digests(struct span value, struct cel_record *ret, struct error *error)
{
        struct digests *digests = &ret->event.digests;
        struct cursor c = CURSOR(value);
        bool seen[256] = {false};
        struct tlv tlv;

        while (cursor_left(&c) > 0) {
                const struct alg *alg;

                if (!take_tlv(&c, &tlv))
                        return error_set(error, EBADMSG, "its digests are cut off");
                if (seen[tlv.type])
                        return error_set(error, EBADMSG, "two digests of algorithm 0x%02x",
                                        tlv.type);
                seen[tlv.type] = true;
                alg = alg_by_id(tlv.type);
                if (!alg) {
                        ret->n_unknown++;
                        continue;
                }
                if (tlv.value.size != alg->size)
                        return error_set(error, EBADMSG, "a %s digest of %zu bytes", alg->name,
                                        tlv.value.size);
                digests->d[digests->n].alg = alg;
                memcpy(digests->d[digests->n++].bytes, tlv.value.data, alg->size);
        }
        return 0;
}

static int take_place(const struct tlv *tlv, struct cel_record *ret, struct error *error)
{
        uint64_t number;

        if (tlv->type != CEL_TLV_PCR && tlv->type != CEL_TLV_NV_INDEX &&
                        tlv->type != CEL_TLV_REGISTER)
                return error_set(error, EBADMSG, "no PCR and no NV index");
        if (!tlv_u64(tlv, UINT32_MAX, &number))
                return error_set(error, EBADMSG, "a PCR or NV index that isn't a number");
        ret->place = tlv->type == CEL_TLV_PCR        ? CEL_PCR
                     : tlv->type == CEL_TLV_NV_INDEX ? CEL_NV_INDEX
                                                     : CEL_REGISTER;
        if (ret->place == CEL_NV_INDEX)
                ret->nv_index = (uint32_t)number;
        else
                ret->event.pcr = (uint32_t)number;
        return 0;
}

int cel_tlv_take(struct cel_log *log, struct cel_record *ret, struct error *error)
{
        struct cursor c = {.bytes = log->bytes, .offset = log->offset};
        struct tlv recnum, place, digests, content;
        int r;

        if (cursor_left(&c) == 0)
                return 0;
        if (!take_tlv(&c, &recnum) || !take_tlv(&c, &place) || !take_tlv(&c, &digests) ||
                        !take_tlv(&c, &content))
                return error_set(error, EBADMSG, "it is cut off");
        if (recnum.type != CEL_TLV_RECNUM || !tlv_u64(&recnum, UINT64_MAX, &ret->recnum))
                return error_set(error, EBADMSG, "no record number");
        ret->has_recnum = true;
        r = take_place(&place, ret, error);
        if (r < 0)
                return r;
        if (digests.type != CEL_TLV_DIGESTS)
                return error_set(error, EBADMSG, "no digests");
        r = take_digests(digests.value, ret, error);
        if (r == 0)
                r = take_content(&content, ret, error);
        if (r < 0)
                return r;
        log->offset = c.offset;
        return 1;
}

bool cel_cos_field(const struct cel_record *record, uint8_t *ret_type, struct span *ret_text)
{
        struct cursor c = CURSOR(record->event.data);
        struct tlv field;

        if (record->content_type != CEL_COS || !record->data_known || !take_tlv(&c, &field) ||
                        cursor_left(&c) > 0)
                return false;
        *ret_type = field.type;
        *ret_text = field.value;
        return true;
}

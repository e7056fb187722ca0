/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/cel.h"

#include <errno.h>

#include "base/cleanup.h"
#include "eventlog/cel-forms.h"

/* ---- names ---- */

struct name {
        uint64_t number;
        const char *name;
};

static const struct name contents[] = {
                {CEL_MANAGEMENT, "cel"},
                {CEL_PCCLIENT_STD, "pcclient_std"},
                {CEL_IMA_TEMPLATE, "ima_template"},
                {CEL_IMA_TLV, "ima_tlv"},
                {CEL_SYSTEMD, "systemd"},
};

static const struct name managements[] = {
                {CEL_VERSION, "cel_version"},
                {CEL_FIRMWARE_END, "firmware_end"},
                {CEL_TIMESTAMP, "cel_timestamp"},
                {CEL_STATE_TRANS, "state_trans"},
};

static const struct name transitions[] = {
                {CEL_SUSPEND, "suspend"},
                {CEL_HIBERNATE, "hibernate"},
                {CEL_KEXEC, "kexec"},
};

static const struct name systemd_types[] = {
                {0, "phase"},
                {1, "filesystem"},
                {2, "volume-key"},
                {3, "machine-id"},
};

static const char *name_of(const struct name *names, size_t n, uint64_t number)
{
        for (size_t i = 0; i < n; i++)
                if (names[i].number == number)
                        return names[i].name;
        return NULL;
}

static const struct name *by_name(const struct name *names, size_t n, struct span name)
{
        for (size_t i = 0; i < n; i++)
                if (span_equal(name, SPAN(names[i].name, strlen(names[i].name))))
                        return &names[i];
        return NULL;
}

#define NAME_OF(names, number) name_of((names), ARRAY_SIZE(names), (number))
#define BY_NAME(names, text)   by_name((names), ARRAY_SIZE(names), SPAN((text), strlen(text)))
#define BY_SPAN(names, bytes)  by_name((names), ARRAY_SIZE(names), (bytes))

const char *cel_content_name(unsigned content_type)
{
        return NAME_OF(contents, content_type);
}

const char *cel_management_name(enum cel_management_type type)
{
        return NAME_OF(managements, type);
}

const char *cel_transition_name(uint64_t transition)
{
        return NAME_OF(transitions, transition);
}

const char *cel_systemd_type_name(uint64_t number)
{
        return NAME_OF(systemd_types, number);
}

bool cel_content_by_name(const char *name, unsigned *ret)
{
        const struct name *found = BY_NAME(contents, name);

        if (found)
                *ret = (unsigned)found->number;
        return found;
}

bool cel_management_by_name(const char *name, enum cel_management_type *ret)
{
        const struct name *found = BY_NAME(managements, name);

        if (found)
                *ret = (enum cel_management_type)found->number;
        return found;
}

bool cel_transition_by_name(const char *name, uint64_t *ret)
{
        const struct name *found = BY_NAME(transitions, name);

        if (found)
                *ret = found->number;
        return found;
}

bool cel_systemd_type_number(struct span name, uint64_t *ret)
{
        const struct name *found = BY_SPAN(systemd_types, name);

        if (found)
                *ret = found->number;
        return found;
}

bool cel_management_by_number(uint64_t number, enum cel_management_type *ret)
{
        if (number == 0x80 || number == 0x81)
                number += CEL_TIMESTAMP - 0x80;
        if (!NAME_OF(managements, number))
                return false;
        *ret = (enum cel_management_type)number;
        return true;
}

/* ---- records ---- */

int cel_open(struct cel_log *ret, struct span bytes, struct error *error)
{
        struct cel_log log = {.bytes = bytes};
        size_t at = 0;

        while (at < bytes.size && memchr(" \t\r\n", bytes.data[at], 4))
                at++;
        if (at == bytes.size)
                return error_set(error, EBADMSG, "the CEL log is empty");
        log.json = memchr("\x1e{[", bytes.data[at], 3);
        log.array = bytes.data[at] == '[';
        if (log.array)
                log.offset = at + 1;
        *ret = log;
        return 0;
}

/* What no record may be, in either form. */
static const char *wrong_record(const struct cel_record *record)
{
        bool informs = record->content_type == CEL_PCCLIENT_STD &&
                       record->event.type == EV_NO_ACTION;

        if (record->place != CEL_NV_INDEX && record->event.pcr >= PCR_COUNT && !informs)
                return "a PCR that doesn't exist";
        return NULL;
}

/* The record numbers of this record's PCR or NV index. */
static uint64_t *least_of(struct cel_log *log, const struct cel_record *record)
{
        if (record->place != CEL_NV_INDEX && record->event.pcr < PCR_COUNT)
                return &log->least[record->event.pcr];
        if (record->place == CEL_NV_INDEX && record->nv_index != log->nv_index) {
                log->nv_index = record->nv_index;
                log->least[PCR_COUNT] = 0;
        }
        return &log->least[PCR_COUNT];
}

static int count(struct cel_log *log, const struct cel_record *record, struct error *error)
{
        uint64_t *least = least_of(log, record);

        if (!record->has_recnum)
                return 0;
        if (record->recnum < *least || record->recnum == UINT64_MAX)
                return error_set(error, EBADMSG, "record number %llu comes after %llu",
                                (unsigned long long)record->recnum, (unsigned long long)*least - 1);
        *least = record->recnum + 1;
        return 0;
}

static int take(struct cel_log *log, struct buf *scratch, struct cel_record *record,
                struct error *error)
{
        int r = log->json ? cel_json_take(log, scratch, record, error)
                          : cel_tlv_take(log, record, error);
        const char *wrong;

        if (r <= 0)
                return r;
        wrong = wrong_record(record);
        if (wrong)
                return error_set(error, EBADMSG, "%s", wrong);
        r = count(log, record, error);
        return r < 0 ? r : 1;
}

int cel_next(struct cel_log *log, struct buf *scratch, struct cel_record *ret, struct error *error)
{
        struct cel_record record = {.event.index = log->index, .event.offset = log->offset};
        size_t start = log->offset;
        int r = take(log, scratch, &record, error);

        if (r < 0) {
                log->offset = start;
                return error_prefix(error, r, "record %zu at offset 0x%zx of the CEL log",
                                log->index, record.event.offset);
        }
        if (r == 0)
                return 0;
        record.event.size = log->offset - record.event.offset;
        log->index++;
        *ret = record;
        return 1;
}

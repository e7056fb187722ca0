/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/evidence.h"

#include <errno.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "eventlog/json-writer.h"

#define KIND "mkexec-evidence"

void evidence_release(struct evidence *evidence)
{
        buf_release(&evidence->bytes);
        *evidence = (struct evidence){0};
}

void evidence_chain(const struct evidence *evidence, struct chain *ret)
{
        *ret = (struct chain){.firmware = evidence->firmware_log, .ima = evidence->ima};
        for (size_t i = 0; i < evidence->n_systemd; i++) {
                ret->systemd[evidence->systemd[i].boot - 1] = evidence->systemd[i].log;
                ret->n_systemd = evidence->systemd[i].boot;
        }
}

/* ---- reading: members ---- */

struct member {
        const char *name;
        bool optional;
        struct json *to; /* its text is NULL if it isn't there */
};

/* Exactly these, each once. path: of the object, for the error; "" for the document. */
static int take_members(const struct json *object, const char *path, const struct member *members,
                size_t n, struct error *error)
{
        struct json key, value;
        size_t offset = 0;

        if (object->kind != JSON_OBJECT)
                return error_set(error, EBADMSG, "%s: not an object", *path ? path : "evidence");
        while (json_next(object, &offset, &key, &value)) {
                const struct member *found = NULL;

                for (size_t i = 0; !found && i < n; i++)
                        if (json_is(&key, members[i].name))
                                found = &members[i];
                if (!found)
                        return error_set(error, EBADMSG, "%s%s: a member that evidence hasn't got",
                                        path, *path ? "" : "evidence");
                if (found->to->text.data)
                        return error_set(error, EBADMSG, "%s%s%s: is there twice", path,
                                        *path ? "." : "", found->name);
                *found->to = value;
        }
        for (size_t i = 0; i < n; i++)
                if (!members[i].optional && !members[i].to->text.data)
                        return error_set(error, EBADMSG, "%s%s%s: is missing", path,
                                        *path ? "." : "", members[i].name);
        return 0;
}

#define TAKE_MEMBERS(object, path, members, error) \
        take_members((object), (path), (members), ARRAY_SIZE(members), (error))

static bool is_there(const struct json *value)
{
        return value->text.data;
}

/* A string's bytes, behind those that are there: evidence_read has made room for all of them, so
 * that none moves. */
static bool put_base64(const struct json *value, struct buf *bytes, struct span *ret)
{
        struct span text = value->text;
        uint8_t *to = bytes->data + bytes->size;
        size_t size;

        if (value->kind != JSON_STRING)
                return false;
        text = SPAN(text.data + 1, text.size - 2);
        if (!base64_decode(text, to, &size)) {
                size_t start = bytes->size, n;

                /* Some write "\/" for "/": decoded where it stands, which is never behind. */
                if (!memchr(text.data, '\\', text.size) || !json_string(value, bytes))
                        return false;
                n = bytes->size - start;
                bytes->size = start;
                if (!base64_decode(SPAN(to, n), to, &size))
                        return false;
        }
        bytes->size += size;
        *ret = SPAN(to, size);
        return true;
}

static int take_bytes(const struct json *value, const char *path, struct evidence *e,
                struct span *ret, struct error *error)
{
        if (!put_base64(value, &e->bytes, ret))
                return error_set(error, EBADMSG, "%s: not base64, or not the one for its bytes",
                                path);
        return ret->size > 0 ? 0 : error_set(error, EBADMSG, "%s: empty", path);
}

/* ---- reading: parts ---- */

static int take_quote(const struct json *quote, struct evidence *e, struct error *error)
{
        struct json attest = {0}, signature = {0};
        const struct member members[] = {
                        {"attest", false, &attest}, {"signature", false, &signature}};
        int r = TAKE_MEMBERS(quote, "quote", members, error);

        if (r == 0)
                r = take_bytes(&attest, "quote.attest", e, &e->attest, error);
        if (r == 0)
                r = take_bytes(&signature, "quote.signature", e, &e->signature, error);
        return r;
}

static int take_ak(const struct json *ak, struct evidence *e, struct error *error)
{
        static const char certificates_path[] = "ak.certificates";
        struct json public = {0}, certificates = {0}, certificate;
        const struct member members[] = {
                        {"public", false, &public}, {"certificates", true, &certificates}};
        size_t offset = 0;
        int r = TAKE_MEMBERS(ak, "ak", members, error);

        if (r == 0)
                r = take_bytes(&public, "ak.public", e, &e->ak_public, error);
        if (r < 0 || !is_there(&certificates))
                return r;
        if (certificates.kind != JSON_ARRAY)
                return error_set(error, EBADMSG, "%s: not an array", certificates_path);
        while (json_next(&certificates, &offset, NULL, &certificate)) {
                if (e->n_certificates == EVIDENCE_CERTIFICATES_MAX)
                        return error_set(error, E2BIG, "%s: more than %d", certificates_path,
                                        EVIDENCE_CERTIFICATES_MAX);
                r = take_bytes(&certificate, certificates_path, e,
                                &e->certificate[e->n_certificates++], error);
                if (r < 0)
                        return r;
        }
        return e->n_certificates > 0 ? 0
                                     : error_set(error, EBADMSG, "%s: empty", certificates_path);
}

/* A number of at most two digits, none to spare. */
static bool take_index(const struct json *key, unsigned max, unsigned *ret)
{
        char text[3];
        unsigned value = 0;

        if (!json_text(key, text, sizeof(text)) || text[0] == '\0' ||
                        (text[0] == '0' && text[1] != '\0'))
                return false;
        for (const char *c = text; *c; c++) {
                if (*c < '0' || *c > '9')
                        return false;
                value = 10 * value + (unsigned)(*c - '0');
        }
        *ret = value;
        return value <= max;
}

/* Lower-case only: each value has one text. */
static bool take_digest(const struct json *value, struct digest *ret)
{
        char hex[2 * DIGEST_MAX_BYTES + 1];

        if (!json_text(value, hex, sizeof(hex)))
                return false;
        for (const char *c = hex; *c; c++)
                if (*c >= 'A' && *c <= 'F')
                        return false;
        return hex_decode(hex, ret->bytes, ret->alg->size);
}

static int take_bank(const struct json *bank, struct replay *pcrs, size_t b, struct error *error)
{
        const char *name = pcrs->banks.alg[b]->name;
        struct json key, value;
        size_t offset = 0;
        unsigned pcr;

        if (bank->kind != JSON_OBJECT)
                return error_set(error, EBADMSG, "pcrs.%s: not an object", name);
        while (json_next(bank, &offset, &key, &value)) {
                if (!take_index(&key, PCR_COUNT - 1, &pcr))
                        return error_set(error, EBADMSG, "pcrs.%s: a member that is no PCR", name);
                if (pcrs->measured[b] & 1u << pcr)
                        return error_set(error, EBADMSG, "pcrs.%s.%u: is there twice", name, pcr);
                pcrs->measured[b] |= 1u << pcr;
                if (!take_digest(&value, &pcrs->pcr[b][pcr]))
                        return error_set(error, EBADMSG,
                                        "pcrs.%s.%u: not %u bytes as lower-case hex", name, pcr,
                                        pcrs->banks.alg[b]->size);
        }
        return pcrs->measured[b] ? 0 : error_set(error, EBADMSG, "pcrs.%s: empty", name);
}

static int take_pcrs(const struct json *object, struct replay *pcrs, struct error *error)
{
        struct json key, value, banks[ALG_MAX];
        struct banks found = {0};
        size_t offset = 0;
        int r = 0;

        if (object->kind != JSON_OBJECT)
                return error_set(error, EBADMSG, "pcrs: not an object");
        while (json_next(object, &offset, &key, &value)) {
                char name[16];
                const struct alg *alg = json_text(&key, name, sizeof(name)) ? alg_by_name(name)
                                                                            : NULL;

                if (!alg)
                        return error_set(error, EBADMSG, "pcrs: a member that is no bank");
                if (banks_have(&found, alg->id))
                        return error_set(error, EBADMSG, "pcrs.%s: is there twice", alg->name);
                banks[found.n] = value;
                banks_add(&found, alg);
        }
        if (found.n == 0)
                return error_set(error, EBADMSG, "pcrs: empty");
        replay_start_zero(pcrs, &found);
        for (size_t b = 0; r == 0 && b < found.n; b++)
                r = take_bank(&banks[b], pcrs, b, error);
        return r;
}

/* true, or it isn't there. */
static bool take_flag(const struct json *value, bool *ret)
{
        *ret = is_there(value);
        return !*ret || value->kind == JSON_TRUE;
}

static int take_systemd_log(const struct json *row, struct evidence *e, struct error *error)
{
        static const char path[] = "logs.systemd[]";
        struct evidence_systemd *to = &e->systemd[e->n_systemd];
        struct json boot = {0}, incomplete = {0}, cut = {0}, lost = {0}, log = {0};
        const struct member members[] = {{"boot", false, &boot}, {"log", false, &log},
                        {"incomplete", true, &incomplete}, {"cut", true, &cut},
                        {"lost", true, &lost}};
        uint32_t least = e->n_systemd > 0 ? to[-1].boot + 1 : 1;
        uint64_t number;
        int r = TAKE_MEMBERS(row, path, members, error);

        if (r < 0)
                return r;
        if (!json_u64(&boot, &number) || number < least || number > CHAIN_BOOTS_MAX)
                return error_set(error, EBADMSG, "%s.boot: not a number from %u to %d", path, least,
                                CHAIN_BOOTS_MAX);
        to->boot = (uint32_t)number;
        if (!take_flag(&incomplete, &to->incomplete) || !take_flag(&cut, &to->cut) ||
                        !take_flag(&lost, &to->lost))
                return error_set(error, EBADMSG, "%s: a flag that isn't true", path);
        if (!put_base64(&log, &e->bytes, &to->log))
                return error_set(error, EBADMSG, "%s.log: not base64, or not the one for its bytes",
                                path);
        if (to->lost && to->log.size > 0)
                return error_set(error, EBADMSG, "%s: lost, and yet there", path);
        e->n_systemd++;
        return 0;
}

static int take_systemd(const struct json *array, struct evidence *e, struct error *error)
{
        struct json row;
        size_t offset = 0;

        if (array->kind != JSON_ARRAY)
                return error_set(error, EBADMSG, "logs.systemd: not an array");
        while (json_next(array, &offset, NULL, &row)) {
                int r;

                if (e->n_systemd == CHAIN_BOOTS_MAX)
                        return error_set(error, E2BIG, "logs.systemd: more than %d",
                                        CHAIN_BOOTS_MAX);
                r = take_systemd_log(&row, e, error);
                if (r < 0)
                        return r;
        }
        return e->n_systemd > 0 ? 0 : error_set(error, EBADMSG, "logs.systemd: empty");
}

static int take_logs(const struct json *logs, struct evidence *e, struct error *error)
{
        struct json firmware = {0}, systemd = {0}, ima = {0};
        const struct member members[] = {{"firmware", true, &firmware}, {"systemd", true, &systemd},
                        {"ima", true, &ima}};
        int r = TAKE_MEMBERS(logs, "logs", members, error);

        if (r == 0 && is_there(&firmware))
                r = take_bytes(&firmware, "logs.firmware", e, &e->firmware_log, error);
        if (r == 0 && is_there(&systemd))
                r = take_systemd(&systemd, e, error);
        if (r == 0 && is_there(&ima))
                r = take_bytes(&ima, "logs.ima", e, &e->ima, error);
        return r;
}

static int take_version(const struct json *version, const struct json *kind, struct error *error)
{
        uint64_t number;

        if (!json_is(kind, KIND))
                return error_set(error, EBADMSG, "kind: not \"" KIND "\"");
        if (!json_u64(version, &number) || number != EVIDENCE_VERSION)
                return error_set(error, EBADMSG, "version: not %d, the one that is known here",
                                EVIDENCE_VERSION);
        return 0;
}

static int take_document(const struct json *document, struct evidence *e, struct error *error)
{
        struct json version = {0}, kind = {0}, quote = {0}, ak = {0}, pcrs = {0}, logs = {0};
        const struct member members[] = {{"version", false, &version}, {"kind", false, &kind},
                        {"quote", false, &quote}, {"ak", false, &ak}, {"pcrs", false, &pcrs},
                        {"logs", false, &logs}};
        int r = TAKE_MEMBERS(document, "", members, error);

        if (r == 0)
                r = take_version(&version, &kind, error);
        if (r == 0)
                r = take_quote(&quote, e, error);
        if (r == 0)
                r = take_ak(&ak, e, error);
        if (r == 0)
                r = take_pcrs(&pcrs, &e->pcrs, error);
        if (r == 0)
                r = take_logs(&logs, e, error);
        return r;
}

/* As new, but for the memory. */
static void empty(struct evidence *evidence)
{
        struct buf bytes = evidence->bytes;

        bytes.size = 0;
        bytes.failed = false;
        *evidence = (struct evidence){.bytes = bytes};
}

int evidence_take(const struct json *document, struct evidence *ret, struct error *error)
{
        size_t size = document->text.size;
        int r;

        empty(ret);
        if (size > EVIDENCE_MAX_BYTES)
                return error_set(
                                error, E2BIG, "evidence of more than %u bytes", EVIDENCE_MAX_BYTES);
        if (ret->bytes.capacity < size && !buf_reserve(&ret->bytes, size))
                return error_set(error, ENOMEM, "out of memory");
        r = take_document(document, ret, error);
        if (r < 0)
                empty(ret);
        return r;
}

int evidence_read(struct span text, struct evidence *ret, struct error *error)
{
        struct json document;
        int r;

        empty(ret);
        if (text.size > EVIDENCE_MAX_BYTES)
                return error_set(
                                error, E2BIG, "evidence of more than %u bytes", EVIDENCE_MAX_BYTES);
        r = json_parse(text, &document, error);
        return r < 0 ? r : evidence_take(&document, ret, error);
}

/* ---- writing ---- */

static void put_bytes(struct json_writer *w, const char *name, struct span bytes)
{
        uint8_t *to;

        json_member(w, name);
        json_put(w, "\"");
        to = buf_grow(w->out, base64_size(bytes.size));
        if (to)
                base64_encode(bytes, (char *)to);
        json_put(w, "\"");
}

static void write_pcrs(struct json_writer *w, const struct replay *pcrs)
{
        json_open(w, "pcrs", "{");
        for (size_t b = 0; b < pcrs->banks.n; b++) {
                const struct alg *alg = pcrs->banks.alg[b];

                json_open(w, alg->name, "{");
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++) {
                        char name[12];

                        if (!(pcrs->measured[b] & 1u << pcr))
                                continue;
                        snprintf(name, sizeof(name), "%u", pcr);
                        json_member_hex(w, name, SPAN(pcrs->pcr[b][pcr].bytes, alg->size));
                }
                json_close(w, "}");
        }
        json_close(w, "}");
}

static void write_flag(struct json_writer *w, const char *name, bool flag)
{
        if (!flag)
                return;
        json_member(w, name);
        json_put(w, "true");
}

static void write_systemd(struct json_writer *w, const struct evidence *e)
{
        if (e->n_systemd == 0)
                return;
        json_open(w, "systemd", "[");
        for (size_t i = 0; i < e->n_systemd; i++) {
                json_open(w, NULL, "{");
                json_member_number(w, "boot", e->systemd[i].boot);
                write_flag(w, "incomplete", e->systemd[i].incomplete);
                write_flag(w, "cut", e->systemd[i].cut);
                write_flag(w, "lost", e->systemd[i].lost);
                put_bytes(w, "log", e->systemd[i].log);
                json_close(w, "}");
        }
        json_close(w, "]");
}

static void write_logs(struct json_writer *w, const struct evidence *e)
{
        json_open(w, "logs", "{");
        if (e->firmware_log.size > 0)
                put_bytes(w, "firmware", e->firmware_log);
        write_systemd(w, e);
        if (e->ima.size > 0)
                put_bytes(w, "ima", e->ima);
        json_close(w, "}");
}

static void write_ak(struct json_writer *w, const struct evidence *e)
{
        json_open(w, "ak", "{");
        put_bytes(w, "public", e->ak_public);
        if (e->n_certificates > 0) {
                json_open(w, "certificates", "[");
                for (size_t i = 0; i < e->n_certificates; i++)
                        put_bytes(w, NULL, e->certificate[i]);
                json_close(w, "]");
        }
        json_close(w, "}");
}

int evidence_write(const struct evidence *evidence, struct buf *ret, struct error *error)
{
        struct json_writer w = {.out = ret, .first = true};
        size_t start = ret->size;

        json_open(&w, NULL, "{");
        json_member_number(&w, "version", EVIDENCE_VERSION);
        json_member_text(&w, "kind", SPAN(KIND, strlen(KIND)));
        json_open(&w, "quote", "{");
        put_bytes(&w, "attest", evidence->attest);
        put_bytes(&w, "signature", evidence->signature);
        json_close(&w, "}");
        write_ak(&w, evidence);
        write_pcrs(&w, &evidence->pcrs);
        write_logs(&w, evidence);
        json_close(&w, "}");
        if (buf_failed(ret))
                return error_set(error, ENOMEM, "out of memory");
        return ret->size - start <= EVIDENCE_MAX_BYTES
                               ? 0
                               : error_set(error, E2BIG, "evidence of more than %u bytes",
                                                 EVIDENCE_MAX_BYTES);
}

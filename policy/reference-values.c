/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads one document. What is made of many: reference-set.c. */
#include "policy/reference-values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "policy/reference-set.h"

static size_t digests_bytes(const struct banks *banks)
{
        size_t bytes = 0;

        for (size_t b = 0; b < banks->n; b++)
                bytes += banks->alg[b]->size;
        return bytes;
}

const uint8_t *reference_digest(const struct reference *reference, size_t i, size_t b)
{
        size_t offset = i * digests_bytes(&reference->banks);

        for (size_t k = 0; k < b; k++)
                offset += reference->banks.alg[k]->size;
        return reference->digests + offset;
}

/* ---- members ---- */

static int member(const struct json *object, const char *name, enum json_kind kind,
                struct json *ret, struct error *error)
{
        struct json value;
        int r = json_get(object, name, &value, error);

        if (r < 0)
                return r;
        if (r == 0)
                return error_set(error, EBADMSG, "\"%s\" is missing", name);
        if (value.kind != kind)
                return error_set(error, EBADMSG, "\"%s\" is of a wrong kind", name);
        *ret = value;
        return 0;
}

static int member_number(const struct json *object, const char *name, uint64_t max, uint64_t *ret,
                struct error *error)
{
        struct json value;
        int r = member(object, name, JSON_NUMBER, &value, error);

        if (r == 0 && (!json_u64(&value, ret) || *ret > max))
                r = error_set(error, EBADMSG, "\"%s\" isn't a number of at most %llu", name,
                                (unsigned long long)max);
        return r;
}

static int get_hex(const struct json *value, const char *name, uint8_t *to, size_t size,
                struct error *error)
{
        char text[2 * DIGEST_MAX_BYTES + 1];

        if (!json_text(value, text, sizeof(text)) || !hex_decode(text, to, size))
                return error_set(error, EBADMSG, "\"%s\" isn't %zu bytes in hex", name, size);
        return 0;
}

static int member_hex(const struct json *object, const char *name, uint8_t *to, size_t size,
                struct error *error)
{
        struct json value;
        int r = member(object, name, JSON_STRING, &value, error);

        return r < 0 ? r : get_hex(&value, name, to, size, error);
}

/* A text for people; null or absent is fine. */
static int member_words(
                const struct json *object, const char *name, char **ret, struct error *error)
{
        _cleanup_buf_ struct buf text = {0};
        struct json value;
        int r = json_get(object, name, &value, error);

        if (r < 0)
                return r;
        if (r == 0 || value.kind == JSON_NULL)
                return 0;
        if (!json_string(&value, &text) || memchr(text.data ?: (uint8_t *)"", 0, text.size))
                return error_set(error, EBADMSG, "\"%s\" isn't a text", name);
        buf_put_u8(&text, 0);
        if (buf_failed(&text))
                return error_set(error, ENOMEM, "out of memory");
        *ret = (char *)text.data;
        text = (struct buf){0};
        return 0;
}

/* ---- one document ---- */

static int read_kind(const struct json *document, struct reference *reference, struct error *error)
{
        struct json kind;
        uint64_t version;
        int r = member_number(document, "version", UINT32_MAX, &version, error);

        if (r == 0 && version != 1)
                r = error_set(error, EBADMSG, "version %llu isn't known",
                                (unsigned long long)version);
        if (r == 0)
                r = member(document, "kind", JSON_STRING, &kind, error);
        if (r < 0)
                return r;
        if (json_is(&kind, "kexec"))
                reference->kind = REFERENCE_KEXEC;
        else if (json_is(&kind, "firmware"))
                reference->kind = REFERENCE_FIRMWARE;
        else
                return error_set(error, EBADMSG, "\"kind\" is neither kexec nor firmware");
        return 0;
}

static int read_about(const struct json *document, struct reference *reference, struct error *error)
{
        struct json about;
        int r = json_get(document, "about", &about, error);

        if (r <= 0)
                return r;
        if (about.kind != JSON_OBJECT)
                return error_set(error, EBADMSG, "\"about\" is of a wrong kind");
        r = member_words(&about, "kernel", &reference->kernel, error);
        if (r == 0)
                r = member_words(&about, "os", &reference->os, error);
        if (r == 0)
                r = member_words(&about, "command_line", &reference->command_line, error);
        if (r == 0)
                r = member_words(&about, "signer", &reference->signer, error);
        return r;
}

static int read_banks(const struct json *document, struct reference *reference, struct error *error)
{
        struct json list, item;
        size_t offset = 0;
        char name[16];
        int r = member(document, "banks", JSON_ARRAY, &list, error);

        if (r < 0)
                return r;
        while (json_next(&list, &offset, NULL, &item)) {
                const struct alg *alg = json_text(&item, name, sizeof(name)) ? alg_by_name(name)
                                                                             : NULL;

                if (!alg || !banks_add(&reference->banks, alg))
                        return error_set(error, EBADMSG, "\"banks\" has an unknown or doubled one");
        }
        return reference->banks.n > 0 ? 0 : error_set(error, EBADMSG, "\"banks\" is empty");
}

static int read_initrds(
                const struct json *document, struct reference *reference, struct error *error)
{
        struct json list, item;
        size_t offset = 0;
        int r = member(document, "initrd_sha256", JSON_ARRAY, &list, error);

        while (r == 0 && json_next(&list, &offset, NULL, &item)) {
                if (reference->n_initrds == HOP_INITRDS_MAX)
                        return error_set(error, EBADMSG, "\"initrd_sha256\" has more than %d",
                                        HOP_INITRDS_MAX);
                r = get_hex(&item, "initrd_sha256",
                                reference->initrd_sha256[reference->n_initrds++], 32, error);
        }
        return r;
}

static int read_type(const struct json *event, uint32_t *ret, struct error *error)
{
        uint8_t bytes[4];
        struct json value;
        char name[64];
        int r = member(event, "type", JSON_STRING, &value, error);

        if (r < 0)
                return r;
        if (!json_text(&value, name, sizeof(name)))
                return error_set(error, EBADMSG, "\"type\" isn't an event type");
        if (event_type_by_name(name, ret))
                return 0;
        if (strncmp(name, "0x", 2) != 0 || !hex_decode(name + 2, bytes, 4))
                return error_set(error, EBADMSG, "\"type\" isn't an event type");
        *ret = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
               bytes[3];
        return 0;
}

static int hash_data(
                const struct json *event, struct buf *scratch, uint8_t ret[32], struct error *error)
{
        struct json value;
        size_t size;
        int r = member(event, "data", JSON_STRING, &value, error);

        if (r < 0)
                return r;
        scratch->size = 0;
        json_string(&value, scratch);
        size = scratch->size / 2;
        buf_put_u8(scratch, 0);
        if (buf_failed(scratch))
                return error_set(error, ENOMEM, "out of memory");
        if (!hex_decode((const char *)scratch->data, scratch->data, size))
                return error_set(error, EBADMSG, "\"data\" isn't hex");
        return hash_sha256(SPAN(scratch->data, size), ret) == 0
                               ? 0
                               : error_set(error, EIO, "can't compute SHA-256");
}

static int read_digests(const struct json *event, struct reference *reference, uint32_t pcr,
                struct error *error)
{
        int r, place = reference_view_place(pcr);
        struct json digests;

        r = member(event, "digests", JSON_OBJECT, &digests, error);
        for (size_t b = 0; r == 0 && b < reference->banks.n; b++) {
                const struct alg *alg = reference->banks.alg[b];
                struct digest digest = {.alg = alg};
                uint8_t *to = (uint8_t *)reference_digest(reference, reference->n_events, b);

                r = member_hex(&digests, alg->name, to, alg->size, error);
                if (r < 0 || place < 0)
                        continue;
                memcpy(digest.bytes, to, alg->size);
                if (digest_extend(&reference->view[b][place], &digest) < 0)
                        r = error_set(error, EIO, "can't compute %s", alg->name);
        }
        return r;
}

/* Our own events depend on hop number and map: those of the payload are what counts. */
static int is_payloads(const struct json *event, struct error *error)
{
        struct json kind;
        int r = json_get(event, "kind", &kind, error);

        if (r <= 0)
                return r < 0 ? r : 1;
        if (json_is(&kind, "payload") || json_is(&kind, "firmware"))
                return 1;
        if (json_is(&kind, "open") || json_is(&kind, "close"))
                return 0;
        return error_set(error, EBADMSG, "\"kind\" of an event isn't known");
}

static int read_event(const struct json *event, struct reference *reference, struct buf *scratch,
                struct error *error)
{
        struct reference_event *e = &reference->events[reference->n_events];
        uint64_t pcr;
        int r;

        if (event->kind != JSON_OBJECT)
                return error_set(error, EBADMSG, "isn't an object");
        r = is_payloads(event, error);
        if (r <= 0)
                return r;
        r = member_number(event, "payload_pcr", PCR_COUNT - 1, &pcr, error);
        if (r == 0)
                r = read_type(event, &e->type, error);
        if (r == 0)
                r = hash_data(event, scratch, e->data_sha256, error);
        if (r == 0)
                r = read_digests(event, reference, (uint32_t)pcr, error);
        if (r < 0)
                return r;
        e->payload_pcr = (uint32_t)pcr;
        reference->n_events++;
        return 0;
}

static int read_events(
                const struct json *document, struct reference *reference, struct error *error)
{
        _cleanup_buf_ struct buf scratch = {0};
        size_t offset = 0, n = 0;
        struct json list, event;
        int r = member(document, "events", JSON_ARRAY, &list, error);

        if (r < 0)
                return r;
        while (json_next(&list, &offset, NULL, &event))
                n++;
        if (n > HOP_EVENTS_MAX + 64)
                return error_set(error, EBADMSG, "%zu events are more than a hop can have", n);
        reference->events = calloc(n + 1, sizeof(*reference->events));
        reference->digests = calloc(n + 1, digests_bytes(&reference->banks));
        if (!reference->events || !reference->digests)
                return error_set(error, ENOMEM, "out of memory");
        for (size_t b = 0; b < reference->banks.n; b++)
                for (size_t i = 0; i < REFERENCE_VIEW_N; i++)
                        reference->view[b][i].alg = reference->banks.alg[b];
        offset = 0;
        for (size_t i = 0; json_next(&list, &offset, NULL, &event); i++) {
                r = read_event(&event, reference, &scratch, error);
                if (r < 0)
                        return error_prefix(error, r, "event %zu", i);
        }
        return 0;
}

/* The document says what its events give, too: one that was changed at one place is noticed. */
static int check_view(
                const struct json *document, const struct reference *reference, struct error *error)
{
        const char *name = reference->kind == REFERENCE_FIRMWARE ? "pcrs" : "payload_view";
        uint8_t value[DIGEST_MAX_BYTES];
        struct json view, row;
        int r = member(document, name, JSON_OBJECT, &view, error);

        for (size_t i = 0; r == 0 && i < REFERENCE_VIEW_N; i++) {
                char pcr[4] = {(char)('0' + reference_view_pcrs[i] / 10),
                                (char)('0' + reference_view_pcrs[i] % 10)};
                int found = json_get(&view, pcr + (pcr[0] == '0'), &row, error);

                if (found < 0)
                        return found;
                for (size_t b = 0; r == 0 && b < reference->banks.n; b++) {
                        const struct alg *alg = reference->banks.alg[b];

                        memset(value, 0, sizeof(value));
                        if (found)
                                r = member_hex(&row, alg->name, value, alg->size, error);
                        if (r == 0 && memcmp(value, reference->view[b][i].bytes, alg->size) != 0)
                                r = error_set(error, EBADMSG,
                                                "PCR %u in \"%s\" isn't what the events give",
                                                reference_view_pcrs[i], name);
                }
        }
        return r;
}

static int make_key(struct reference *reference, struct error *error)
{
        _cleanup_buf_ struct buf bytes = {0};

        reference_put_head(&bytes, reference->payload_sha256, reference->load_options_sha256,
                        (const uint8_t(*)[32])reference->initrd_sha256, reference->n_initrds,
                        reference->n_events);
        for (size_t i = 0; i < reference->n_events; i++)
                reference_put_event(&bytes, reference->events[i].payload_pcr,
                                reference->events[i].type, reference->events[i].data_sha256);
        if (buf_failed(&bytes))
                return error_set(error, ENOMEM, "out of memory");
        return hash_sha256(buf_span(&bytes), reference->key) == 0
                               ? 0
                               : error_set(error, EIO, "can't compute SHA-256");
}

static int read_document(
                const struct json *document, struct reference *reference, struct error *error)
{
        int r;

        if (document->kind != JSON_OBJECT)
                return error_set(error, EBADMSG, "isn't a JSON object");
        r = read_kind(document, reference, error);
        if (r == 0)
                r = member_hex(document, "payload_sha256", reference->payload_sha256, 32, error);
        if (r == 0)
                r = member_hex(document, "load_options_sha256", reference->load_options_sha256, 32,
                                error);
        if (r == 0)
                r = read_initrds(document, reference, error);
        if (r == 0)
                r = read_about(document, reference, error);
        if (r == 0)
                r = read_banks(document, reference, error);
        if (r == 0)
                r = read_events(document, reference, error);
        if (r == 0)
                r = check_view(document, reference, error);
        return r < 0 ? r : make_key(reference, error);
}

void reference_free(struct reference *reference)
{
        free(reference->name);
        free(reference->kernel);
        free(reference->os);
        free(reference->command_line);
        free(reference->signer);
        free(reference->events);
        free(reference->digests);
        free(reference);
}

int reference_read(struct span text, const char *name, struct reference **ret, struct error *error)
{
        _cleanup_(reference_freep) struct reference *reference = calloc(1, sizeof(*reference));
        struct json document;
        int r;

        if (text.size > REFERENCE_MAX_BYTES)
                return error_set(error, E2BIG, "a reference of more than %u bytes",
                                REFERENCE_MAX_BYTES);
        if (reference)
                reference->name = strdup(name);
        if (!reference || !reference->name)
                return error_set(error, ENOMEM, "out of memory");
        r = json_parse(text, &document, error);
        if (r == 0)
                r = read_document(&document, reference, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(reference);
        return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reference values: which hops and firmware boots they are like, and which forged twins not. The
 * documents are written here, field by field; the hops are policy/predict's. */
#include <errno.h>

#include "base/cleanup.h"
#include "eventlog/append.h"
#include "policy/reference-values.h"
#include "tests/unit/hop-fixture.h"
#include "tests/unit/made-corpus.h"

DEFINE_CLEANUP(struct reference_set *, reference_set_free)

/* ---- documents ---- */

struct twin {
        const char *find, *put; /* what is changed in the document; NULL: nothing */
};

static void put_hex(struct buf *to, struct span bytes)
{
        char hex[2 * 1024 + 1];

        hex_encode(bytes, hex);
        buf_format(to, "\"%s\"", hex);
}

static void put_digests(struct buf *to, const struct digests *digests)
{
        buf_format(to, "{");
        for (size_t b = 0; b < digests->n; b++) {
                buf_format(to, "%s\"%s\": ", b > 0 ? ", " : "", digests->d[b].alg->name);
                put_hex(to, SPAN(digests->d[b].bytes, digests->d[b].alg->size));
        }
        buf_format(to, "}");
}

static void put_view(struct buf *to, const struct plan *plan)
{
        static const unsigned pcrs[] = {4, 9, 11};

        for (size_t i = 0; i < ARRAY_SIZE(pcrs); i++) {
                struct digests values = {.n = plan->banks.n};

                for (size_t b = 0; b < plan->banks.n; b++)
                        values.d[b] = plan->payload_view.pcr[b][pcrs[i]];
                buf_format(to, "%s\"%u\": ", i > 0 ? ", " : "", pcrs[i]);
                put_digests(to, &values);
        }
}

static void put_document(
                struct buf *to, const struct plan *plan, const char *kind, const char *view)
{
        uint8_t payload[32], options[32];

        memset(payload, 0x11, sizeof(payload));
        memset(options, 0x22, sizeof(options));
        buf_format(to, "{\"version\": 1, \"kind\": \"%s\", \"payload_sha256\": ", kind);
        put_hex(to, SPAN(payload, 32));
        buf_format(to, ", \"load_options_sha256\": ");
        put_hex(to, SPAN(options, 32));
        buf_format(to, ", \"initrd_sha256\": [], \"more\": 1, \"about\": {\"kernel\": \"6.1\", "
                       "\"signer\": null}, \"banks\": [\"sha1\", \"sha256\"], \"events\": [");
        for (size_t i = 0; i < plan->n_events; i++) {
                static const char *const kinds[] = {"open", "payload", "close"};
                const struct plan_event *e = &plan->events[i];
                char type[EVENT_TYPE_TEXT_SIZE];

                buf_format(to,
                                "%s{\"kind\": \"%s\", \"payload_pcr\": %u, \"type\": \"%s\", "
                                "\"data\": ",
                                i > 0 ? ", " : "", kinds[e->kind], e->payload_pcr,
                                event_type_text(e->event.type, type));
                put_hex(to, e->event.data);
                buf_format(to, ", \"digests\": ");
                put_digests(to, &e->event.digests);
                buf_format(to, "}");
        }
        buf_format(to, "], \"%s\": {", view);
        put_view(to, plan);
        buf_format(to, "}}");
}

static bool apply(struct buf *text, const struct twin *twin)
{
        _cleanup_buf_ struct buf before = *text;
        const uint8_t *at;
        size_t n;

        *text = (struct buf){0};
        at = memmem(before.data, before.size, twin->find, strlen(twin->find));
        if (!at)
                return false;
        n = (size_t)(at - before.data);
        buf_put(text, before.data, n);
        buf_put(text, twin->put, strlen(twin->put));
        buf_put(text, at + strlen(twin->find), before.size - n - strlen(twin->find));
        return true;
}

/* ---- a hop in a log ---- */

struct scene {
        struct plan plan;
        struct buf log, document;
        struct event_log parsed;
        struct hop_verdict verdict;
        struct reference_set *set;
        struct error error;
};

static void scene_release(struct scene *s)
{
        plan_release(&s->plan);
        buf_release(&s->log);
        buf_release(&s->document);
        hop_verdict_release(&s->verdict);
        reference_set_free(s->set);
}
#define _cleanup_scene_ __attribute__((cleanup(scene_release)))

/* A log with this hop, whole or up to n extends and then aborted. */
static bool make_log(struct scene *s, const struct plan_input *input, size_t n_extends)
{
        struct plan plan;

        if (plan_make(input, &plan, NULL) < 0)
                return false;
        if (n_extends > plan.n_events)
                n_extends = plan.n_events;
        event_log_put_header(&s->log, &plan.banks);
        if (plan_log(&plan, n_extends, &s->log, NULL) < 0)
                return false;
        if (n_extends < plan.n_events) {
                _cleanup_buf_ struct buf data = {0};
                struct tcg_event event;

                hop_abort_encode((struct hop_end){input->hop, (uint32_t)n_extends}, &data);
                if (hop_event(&plan.banks, HOP_PCR, buf_span(&data), &event) < 0 ||
                                event_log_put_event(&s->log, &plan.banks, &event) < 0)
                        return false;
        }
        plan_release(&plan);
        return event_log_open(&s->parsed, buf_span(&s->log), NULL) == 0 &&
               hop_check(buf_span(&s->log), NULL, &s->verdict, NULL) == 0 &&
               s->verdict.result == HOP_RESULT_OK && s->verdict.n_hops == 1;
}

/* The reference is of the fixture's hop; kind "firmware": the same as if firmware measured it. */
static bool make_set(struct scene *s, const char *kind, const struct twin *twin)
{
        struct plan_input input = fixture_input(fixture_map, 1u << 11);

        if (plan_make(&input, &s->plan, NULL) < 0 || reference_set_new(&s->set) < 0)
                return false;
        put_document(&s->document, &s->plan, kind,
                        strcmp(kind, "firmware") == 0 ? "pcrs" : "payload_view");
        if (twin && !apply(&s->document, twin))
                return false;
        return reference_set_add(s->set, buf_span(&s->document), "b.json", &s->error) == 0 &&
               reference_set_index(s->set) == 0;
}

static enum reference_match match(struct scene *s, struct reference_found *found)
{
        if (reference_match_hop(s->set, &s->parsed, &s->verdict.hops[0], TPM_ALG_SHA256, found,
                            &s->error) < 0)
                return (enum reference_match) - 1;
        return found->match;
}

static void a_hop_is_found_whatever_its_place(void)
{
        uint8_t map[PCR_COUNT];
        struct reference_found found;

        memset(map, 8, sizeof(map));
        map[4] = 9;
        for (unsigned i = 0; i < 3; i++) {
                _cleanup_scene_ struct scene s = {0};
                struct plan_input input = fixture_input(
                                i == 1 ? map : fixture_map, i == 2 ? 0 : 1u << 11);

                REQUIRE(make_set(&s, "kexec", NULL));
                REQUIRE(make_log(&s, &input, SIZE_MAX));
                CHECK_EQ(match(&s, &found), REFERENCE_WHOLE);
                CHECK(found.reference && strcmp(found.reference->name, "b.json") == 0);
                CHECK(found.reference && found.reference->kernel &&
                                strcmp(found.reference->kernel, "6.1") == 0);
                CHECK(found.reference && !found.reference->signer);
        }
}

static void image_data_differs_between_machines(void)
{
        _cleanup_scene_ struct scene s = {0};
        struct plan_input input = fixture_input(fixture_map, 0);
        struct tcg_event events[4];
        struct reference_found found;

        memcpy(events, input.events, sizeof(events));
        events[0].data = SPAN("another load address", 20);
        input.events = events;
        REQUIRE(make_set(&s, "kexec", NULL));
        REQUIRE(make_log(&s, &input, SIZE_MAX));
        CHECK_EQ(match(&s, &found), REFERENCE_WHOLE);
}

static void hop_twins_are_unknown(void)
{
        static const char *const reasons[] = {"no reference has the payload's file",
                        "other load options", "other initrds", "measurement 3, into payload PCR 11",
                        "measurement 4, into payload PCR 9", "measurement 2, into payload PCR 12",
                        "3 measurements", "measurement 2, into payload PCR 11"};

        for (unsigned i = 0; i < ARRAY_SIZE(reasons); i++) {
                static const uint8_t initrd[1][32] = {{7}};
                _cleanup_scene_ struct scene s = {0};
                struct plan_input input = fixture_input(fixture_map, 0);
                struct reference_found found;
                struct tcg_event events[4];

                memcpy(events, input.events, sizeof(events));
                input.events = events;
                switch (i) {
                case 0:
                        input.payload_sha256[0]++;
                        break;
                case 1:
                        input.load_options_sha256[0]++;
                        break;
                case 2:
                        input.initrd_sha256 = initrd;
                        input.n_initrds = 1;
                        break;
                case 3:
                        events[2].digests.d[1].bytes[31] ^= 1;
                        break;
                case 4:
                        events[3].data = SPAN("Linux initrD", 12);
                        break;
                case 5:
                        events[1].pcr = 12;
                        break;
                case 6:
                        input.n_events = 3;
                        break;
                case 7:
                        events[1].type = EV_EVENT_TAG;
                        break;
                }
                REQUIRE(make_set(&s, "kexec", NULL));
                REQUIRE(make_log(&s, &input, SIZE_MAX));
                CHECK(match(&s, &found) != REFERENCE_WHOLE);
                if (!strstr(found.reason.text, reasons[i])) {
                        CHECK(!"the reason");
                        printf("# twin %u: %s\n", i, found.reason.text);
                }
                /* The payload view of the first three is the same. */
                CHECK_EQ(found.match, i == 6 || i < 3 || i == 4 || i == 7 || i == 3 || i == 5
                                                      ? REFERENCE_PART
                                                      : REFERENCE_UNKNOWN);
                CHECK_EQ(found.equal == REFERENCE_VIEW, i < 3 || i == 4 || i == 7);
        }
}

static void an_aborted_hop_is_known_by_its_ledger(void)
{
        for (size_t n = 1; n < 7; n++) {
                _cleanup_scene_ struct scene s = {0};
                struct plan_input input = fixture_input(fixture_map, 1u << 11);
                struct reference_found found;

                REQUIRE(make_set(&s, "kexec", NULL));
                REQUIRE(make_log(&s, &input, n));
                CHECK_EQ(match(&s, &found), REFERENCE_WHOLE);
        }
}

static void other_bank_other_digests(void)
{
        _cleanup_scene_ struct scene s = {0};
        struct plan_input input = fixture_input(fixture_map, 0);
        struct reference_found found;
        struct tcg_event events[4];

        memcpy(events, input.events, sizeof(events));
        events[2].digests.d[0].bytes[0] ^= 1; /* SHA-1's */
        input.events = events;
        REQUIRE(make_set(&s, "kexec", NULL));
        REQUIRE(make_log(&s, &input, SIZE_MAX));
        CHECK_EQ(match(&s, &found), REFERENCE_WHOLE);
        CHECK_EQ(reference_match_hop(
                                 s.set, &s.parsed, &s.verdict.hops[0], TPM_ALG_SHA1, &found, NULL),
                        0);
        CHECK(found.match != REFERENCE_WHOLE);
        CHECK_EQ(reference_match_hop(s.set, &s.parsed, &s.verdict.hops[0], TPM_ALG_SHA384, &found,
                                 NULL),
                        -EINVAL);
}

static void firmware_boots_are_known_by_their_pcrs(void)
{
        _cleanup_scene_ struct scene s = {0};
        struct reference_found found;
        struct replay boot;

        REQUIRE(make_set(&s, "firmware", NULL));
        boot = s.plan.payload_view;
        CHECK_EQ(reference_match_firmware(s.set, &boot, TPM_ALG_SHA256, &found, NULL), 0);
        CHECK_EQ(found.match, REFERENCE_WHOLE);
        boot.pcr[1][4].bytes[5] ^= 1;
        CHECK_EQ(reference_match_firmware(s.set, &boot, TPM_ALG_SHA256, &found, NULL), 0);
        CHECK_EQ(found.match, REFERENCE_PART);
        CHECK_EQ(found.equal, REFERENCE_VIEW & ~(1u << 4));
        CHECK(strstr(found.reason.text, "PCR 4 isn't as in b.json"));
        boot.pcr[1][11].bytes[5] ^= 1;
        CHECK_EQ(reference_match_firmware(s.set, &boot, TPM_ALG_SHA256, &found, NULL), 0);
        CHECK_EQ(found.match, REFERENCE_UNKNOWN);
        CHECK(!found.reference);
        CHECK_EQ(reference_match_firmware(s.set, &boot, TPM_ALG_SHA384, &found, NULL), -EINVAL);
        replay_start_zero(&boot, &s.plan.banks);
        CHECK_EQ(reference_match_firmware(s.set, &boot, TPM_ALG_SHA256, &found, NULL), 0);
        CHECK_EQ(found.match, REFERENCE_UNKNOWN);
}

/* A reference for a kexec is none for a firmware boot: firmware measures more into PCR 4. */
static void kinds_dont_stand_for_each_other(void)
{
        _cleanup_scene_ struct scene kexec = {0}, boot = {0};
        struct plan_input input = fixture_input(fixture_map, 0);
        struct reference_found found;

        REQUIRE(make_set(&kexec, "kexec", NULL));
        CHECK_EQ(reference_match_firmware(
                                 kexec.set, &kexec.plan.payload_view, TPM_ALG_SHA256, &found, NULL),
                        0);
        CHECK_EQ(found.match, REFERENCE_PART);
        REQUIRE(make_set(&boot, "firmware", NULL));
        REQUIRE(make_log(&boot, &input, SIZE_MAX));
        CHECK_EQ(match(&boot, &found), REFERENCE_UNKNOWN);
}

static void many_references_find_the_right_one(void)
{
        _cleanup_scene_ struct scene s = {0};
        struct plan_input input = fixture_input(fixture_map, 1u << 11);
        struct reference_found found;

        REQUIRE(make_set(&s, "kexec", NULL));
        for (unsigned i = 0; i < 300; i++) {
                _cleanup_buf_ struct buf text = {0};
                char name[16], hash[72];

                buf_put_span(&text, buf_span(&s.document));
                snprintf(name, sizeof(name), "%u.json", i);
                snprintf(hash, sizeof(hash), "\"payload_sha256\": \"%08x", i);
                REQUIRE(apply(&text, &(struct twin){"\"payload_sha256\": \"11111111", hash}));
                REQUIRE(reference_set_add(s.set, buf_span(&text), name, &s.error) == 0);
        }
        REQUIRE(reference_set_index(s.set) == 0);
        CHECK_EQ(reference_set_size(s.set), 301);
        memset(input.payload_sha256, 0, 4);
        input.payload_sha256[3] = 0x99;
        REQUIRE(make_log(&s, &input, SIZE_MAX));
        CHECK_EQ(match(&s, &found), REFERENCE_WHOLE);
        CHECK(found.reference && strcmp(found.reference->name, "153.json") == 0);
}

/* ---- documents that aren't ---- */

static void malformed_documents_are_refused(void)
{
        static const struct {
                struct twin twin;
                const char *reason;
        } rows[] = {
                        {{"\"version\": 1", "\"version\": 2"}, "version 2"},
                        {{"\"version\": 1", "\"version\": \"1\""}, "\"version\""},
                        {{"\"version\": 1, ", ""}, "\"version\" is missing"},
                        {{"\"kind\": \"kexec\"", "\"kind\": \"plain\""}, "\"kind\""},
                        {{"\"more\": 1", "\"banks\": []"}, "\"banks\" is there twice"},
                        {{"\"more\": 1", "\"payload_sha256\": \"\""}, "is there twice"},
                        {{"\"more\": 1", "\"\\u0065vents\": []"}, "\"events\" is there twice"},
                        {{"1111111", "111111"}, "\"payload_sha256\" isn't 32 bytes"},
                        {{"22222222", "2222222g"}, "\"load_options_sha256\" isn't 32 bytes"},
                        {{"\"initrd_sha256\": []", "\"initrd_sha256\": [1]"}, "\"initrd_sha256\""},
                        {{"\"initrd_sha256\": []", "\"initrd_sha256\": {}"}, "of a wrong kind"},
                        {{"[\"sha1\", \"sha256\"]", "[]"}, "\"banks\" is empty"},
                        {{"[\"sha1\", \"sha256\"]", "[\"sha1\", \"sha1\"]"}, "\"banks\""},
                        {{"[\"sha1\", \"sha256\"]", "[\"md5\"]"}, "\"banks\""},
                        {{"[\"sha1\", \"sha256\"]", "[\"sha384\"]"}, "\"sha384\" is missing"},
                        {{"\"EV_IPL\"", "\"EV_IPX\""}, "\"type\" isn't an event type"},
                        {{"\"EV_IPL\"", "\"0x0000000g\""}, "\"type\" isn't an event type"},
                        {{"\"payload_pcr\": 11, \"type\": \"EV_IPL\"",
                                         "\"payload_pcr\": 24, \"type\": \"EV_IPL\""},
                                        "at most 23"},
                        {{"\"payload_pcr\": 11, \"type\": \"EV_IPL\"",
                                         "\"payload_pcr\": 12, \"type\": \"EV_IPL\""},
                                        "isn't what the events give"},
                        {{"\"kind\": \"payload\"", "\"kind\": \"close\""},
                                        "isn't what the events give"},
                        {{"\"kind\": \"payload\"", "\"kind\": 1"}, "\"kind\" of an event"},
                        {{"\"data\": \"", "\"data\": \"0"}, NULL},
                        {{"\"about\": {", "\"about\": {\"os\": 5, "}, "\"os\" isn't a text"},
                        {{"\"about\": {", "\"about\": {\"os\": \"a\\u0000b\", "},
                                        "\"os\" isn't a text"},
                        {{"\"payload_view\": {", "\"payload_vieW\": {"}, "is missing"},
                        {{"}}", "}"}, "malformed JSON"},
                        {{"}}", "}}}"}, "malformed JSON"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_scene_ struct scene s = {0};

                if (make_set(&s, "kexec", &rows[i].twin)) {
                        /* Data of our own open isn't looked at. */
                        CHECK(!rows[i].reason);
                        if (rows[i].reason)
                                printf("# row %zu was taken\n", i);
                        continue;
                }
                CHECK(rows[i].reason && strstr(s.error.text, rows[i].reason));
                if (rows[i].reason && !strstr(s.error.text, rows[i].reason))
                        printf("# row %zu: %s\n", i, s.error.text);
                CHECK_EQ(reference_set_size(s.set), 0);
        }
}

/* Every digest and hash of the document counts: one digit changed, and it is refused or unlike. */
static void every_digit_counts(void)
{
        _cleanup_scene_ struct scene s = {0};
        struct plan_input input = fixture_input(fixture_map, 1u << 11);
        size_t n_tried = 0;

        REQUIRE(make_set(&s, "kexec", NULL));
        REQUIRE(make_log(&s, &input, SIZE_MAX));
        for (size_t i = 0; i < s.document.size; i++) {
                _cleanup_(reference_set_freep) struct reference_set *set = NULL;
                uint8_t was = s.document.data[i];
                struct reference_found found;

                if (was < '0' || was > '9' || i % 3 != 0)
                        continue;
                REQUIRE(reference_set_new(&set) == 0);
                s.document.data[i] = was == '7' ? '8' : '7';
                if (reference_set_add(set, buf_span(&s.document), "b.json", &s.error) == 0) {
                        REQUIRE(reference_set_index(set) == 0);
                        REQUIRE(reference_match_hop(set, &s.parsed, &s.verdict.hops[0],
                                                TPM_ALG_SHA256, &found, NULL) == 0);
                        /* What may change: our own events, image data, texts, SHA-1's digests only
                         * together with their view. */
                        if (found.match == REFERENCE_WHOLE) {
                                const char *before = (const char *)s.document.data;
                                const char *events = strstr(before, "\"events\": [");
                                const char *first = strstr(before, "\"kind\": \"payload\"");
                                const char *last = strstr(before, "\"kind\": \"close\"");
                                const char *image = strstr(
                                                before, "EV_EFI_BOOT_SERVICES_APPLICATION");
                                const char *at = before + i;

                                CHECK((at > events && at < first) || at > last ||
                                                (at > image && at < strstr(image, "digests")) ||
                                                at < events);
                                CHECK(at < strstr(before, "payload_sha256") ||
                                                at > strstr(before, "initrd_sha256"));
                        }
                }
                s.document.data[i] = was;
                n_tried++;
        }
        CHECK(n_tried > 300);
}

static int read_any(struct span text, const char *name, struct error *error)
{
        _cleanup_(reference_set_freep) struct reference_set *set = NULL;

        return reference_set_new(&set) < 0 ? -ENOMEM : reference_set_add(set, text, name, error);
}

static void corpus_is_judged(void)
{
        made_corpus_judge("references", read_any, 4, 20);
}

static const struct tap_test tests[] = {
                {"the corpus is judged", corpus_is_judged},
                {"a hop is found whatever its map and close list",
                                a_hop_is_found_whatever_its_place},
                {"data of image events isn't compared", image_data_differs_between_machines},
                {"hops that differ are unknown, with what differs", hop_twins_are_unknown},
                {"an aborted hop is known by its ledger", an_aborted_hop_is_known_by_its_ledger},
                {"each bank is compared by itself", other_bank_other_digests},
                {"firmware boots are known by their PCRs", firmware_boots_are_known_by_their_pcrs},
                {"kexec and firmware references don't stand for each other",
                                kinds_dont_stand_for_each_other},
                {"of many references the right one is found", many_references_find_the_right_one},
                {"malformed documents are refused", malformed_documents_are_refused},
                {"every digit of a document counts", every_digit_counts},
};
TAP_MAIN(tests)

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules of check.h, each with what it takes and a twin that it refuses; and what is said of
 * PCRs. */
#include "eventlog/check.h"
#include "tests/unit/hop-log.h"

#define OTHER TEXT("what nobody logged")

/* ---- a boot by firmware ---- */

static struct span variable(struct buf *to, const char *name, struct span value, const char *excess)
{
        to->size = 0;
        buf_put_zeros(to, 16);
        buf_put_u64(to, strlen(name));
        buf_put_u64(to, value.size);
        for (const char *p = name; *p; p++)
                buf_put_u16(to, (uint8_t)*p);
        buf_put_span(to, value);
        buf_put(to, excess, strlen(excess));
        return buf_span(to);
}

static void add_variable(struct list *l, uint32_t type, const char *name, struct span value)
{
        _cleanup_buf_ struct buf data = {0};
        struct span bytes = variable(&data, name, value, "");

        add(l, 7, type, bytes, bytes);
}

static void boot(struct list *l)
{
        static const char calling[] = "Calling EFI Application from Boot Option";

        *l = (struct list){0};
        banks_add(&l->banks, alg_by_name("sha256"));
        banks_add(&l->banks, alg_by_name("sha1"));
        add(l, 0, EV_S_CRTM_VERSION, TEXT("1\0"), TEXT("1\0"));
        add_variable(l, EV_EFI_VARIABLE_DRIVER_CONFIG, "SecureBoot", TEXT("\1"));
        add_variable(l, EV_EFI_VARIABLE_DRIVER_CONFIG, "PK", TEXT(""));
        add(l, 4, EV_EFI_ACTION, SPAN(calling, sizeof(calling) - 1),
                        SPAN(calling, sizeof(calling) - 1));
        for (uint32_t pcr = 0; pcr < 8; pcr++)
                add(l, pcr, EV_SEPARATOR, TEXT("\0\0\0\0"), TEXT("\0\0\0\0"));
}

/* ---- one event more ---- */

struct seen {
        size_t n;
        struct check_event last; /* without what it points to */
        char reason[512];
};

static int see(void *context, const struct check_event *event)
{
        struct seen *seen = context;

        seen->n++;
        seen->last = *event;
        snprintf(seen->reason, sizeof(seen->reason), "%s", event->reason);
        return 0;
}

static void run(const struct chain *chain, const struct replay *pcrs, struct check_result *ret,
                struct seen *seen)
{
        struct check_input input = {.chain = *chain, .pcrs = pcrs, .event = see, .context = seen};
        struct error error = {{0}};
        size_t sum = 0;

        *seen = (struct seen){0};
        CHECK_EQ(check_logs(&input, ret, &error), 0);
        for (size_t i = 0; i < CHECK_STATUSES; i++)
                sum += ret->n_events[i];
        CHECK_EQ(sum, seen->n);
        CHECK((ret->result == HOP_RESULT_OK) == (ret->reason.text[0] == '\0'));
}

static void run_list(struct list *l, const struct replay *pcrs, struct check_result *ret,
                struct seen *seen)
{
        _cleanup_buf_ struct buf log = {0};
        struct chain chain = {0};

        write_log(l, &log);
        chain.firmware = buf_span(&log);
        run(&chain, pcrs, ret, seen);
}

#define NO_NOTE CHECK_NOTES

struct rule {
        uint32_t pcr, type;
        struct span data, hashed;
        enum check_status status;
        enum check_note note; /* or NO_NOTE */
};

/* Whether the event, behind a boot, gets its status and note, and what that makes of the verdict.
 */
static void try_rule(const struct rule *rule, size_t i)
{
        bool refused = rule->note != NO_NOTE && check_note_refused(rule->note);
        _cleanup_check_result_ struct check_result result = {0};
        struct list l;
        struct seen seen;
        int before = tap_failures;

        boot(&l);
        add(&l, rule->pcr, rule->type, rule->data, rule->hashed);
        run_list(&l, NULL, &result, &seen);
        CHECK_EQ(seen.n, l.n + 1);
        CHECK_EQ(seen.last.status, rule->status);
        CHECK_EQ(seen.last.notes, rule->note == NO_NOTE ? 0 : 1u << rule->note);
        CHECK_EQ(result.result, refused ? HOP_RESULT_MISMATCH : HOP_RESULT_OK);
        CHECK((seen.reason[0] == '\0') == (rule->status == CHECK_VERIFIED));
        if (refused) {
                char place[32];

                snprintf(place, sizeof(place), "event %zu at offset", l.n);
                CHECK(strstr(result.reason.text, place) && strstr(result.reason.text, "(PCR "));
        }
        if (tap_failures > before)
                printf("# row %zu: %s, %s\n", i, seen.reason, result.reason.text);
        release(&l);
}

static void try_rules(const struct rule *rules, size_t n)
{
        for (size_t i = 0; i < n; i++)
                try_rule(&rules[i], i);
}

static void digests_against_data(void)
{
        _cleanup_buf_ struct buf boot0 = {0}, config = {0}, shim = {0}, shim5 = {0}, owner = {0};
        struct span option = variable(&boot0, "BootNext", TEXT("\1\0\0\0\0\0\0\0"), "");
        struct span mok = variable(&config, "MokList", TEXT("value"), "");
        /* a DER certificate of 3 bytes, and what stands behind it */
        struct span old = variable(
                        &shim, "Shim", TEXT("\x30\x82\0\3abc"), "\xaf\xaf\xaf\xaf\xaf\xaf");
        struct span old5 = variable(
                        &shim5, "Shim", TEXT("\x30\x82\0\3abc"), "\xaf\xaf\xaf\xaf\xaf");
        struct span other = variable(
                        &owner, "Shim", TEXT("\x30\x82\0\4abc"), "\xaf\xaf\xaf\xaf\xaf\xaf");
        const struct rule rules[] = {
                        {2, EV_EFI_ACTION, TEXT("text"), TEXT("text"), CHECK_VERIFIED, NO_NOTE},
                        {2, EV_EFI_ACTION, TEXT("text"), OTHER, CHECK_MISMATCH, NOTE_DIGEST},
                        {1, EV_EFI_VARIABLE_BOOT, option, option, CHECK_VERIFIED, NO_NOTE},
                        {1, EV_EFI_VARIABLE_BOOT, option, TEXT("\1\0\0\0\0\0\0\0"), CHECK_VERIFIED,
                                        NOTE_VALUE_ALONE},
                        {1, EV_EFI_VARIABLE_BOOT2, option, TEXT("\1\0\0\0\0\0\0\0"), CHECK_VERIFIED,
                                        NOTE_VALUE_ALONE},
                        {1, EV_EFI_VARIABLE_BOOT, option, TEXT("BootNext"), CHECK_MISMATCH,
                                        NOTE_DIGEST},
                        {7, EV_EFI_VARIABLE_DRIVER_CONFIG, mok, mok, CHECK_VERIFIED, NO_NOTE},
                        {7, EV_EFI_VARIABLE_DRIVER_CONFIG, mok, TEXT("value"), CHECK_MISMATCH,
                                        NOTE_DIGEST},
                        {7, EV_EFI_VARIABLE_AUTHORITY, old, OTHER, CHECK_MALFORMED,
                                        NOTE_SHIM_AUTHORITY},
                        {7, EV_EFI_VARIABLE_AUTHORITY, old5, OTHER, CHECK_MISMATCH, NOTE_DIGEST},
                        {7, EV_EFI_VARIABLE_AUTHORITY, other, OTHER, CHECK_MISMATCH, NOTE_DIGEST},
                        {7, EV_EFI_VARIABLE_AUTHORITY, mok, OTHER, CHECK_MISMATCH, NOTE_DIGEST},
                        {0, EV_S_CRTM_VERSION, TEXT("2\0"), OTHER, CHECK_UNVERIFIABLE,
                                        NOTE_CRTM_VERSION},
                        {8, EV_IPL, TEXT("grub_cmd: set x\0"), TEXT("set x"), CHECK_VERIFIED,
                                        NO_NOTE},
                        {9, EV_IPL, TEXT("/vmlinuz"), OTHER, CHECK_UNVERIFIABLE, NO_NOTE},
                        {9, EV_EVENT_TAG, TEXT("\xec\x22\x3b\x8f\x0d\0\0\0Linux initrd\0"), OTHER,
                                        CHECK_UNVERIFIABLE, NO_NOTE},
                        {0, EV_POST_CODE, TEXT("ACPI DATA"), OTHER, CHECK_UNVERIFIABLE, NO_NOTE},
                        /* A bad body doesn't hide a bad digest. */
                        {5, EV_EFI_GPT_EVENT, TEXT("EFI PART"), TEXT("EFI PART"), CHECK_MALFORMED,
                                        NO_NOTE},
                        {5, EV_EFI_GPT_EVENT, TEXT("EFI PART"), OTHER, CHECK_MISMATCH, NOTE_DIGEST},
                        {0, EV_EFI_PLATFORM_FIRMWARE_BLOB, TEXT("12345678"), OTHER, CHECK_MALFORMED,
                                        NO_NOTE},
        };

        try_rules(rules, ARRAY_SIZE(rules));
}

/* A SHA-1 log's variables may be hashed without their names. */
static void digests_of_old_logs(void)
{
        _cleanup_check_result_ struct check_result result = {0}, twin = {0};
        _cleanup_buf_ struct buf config = {0}, log = {0};
        struct span mok = variable(&config, "MokList", TEXT("value"), "");
        struct chain chain = {0};
        struct list l = {0};
        struct seen seen;

        banks_add(&l.banks, alg_by_name("sha1"));
        add(&l, 7, EV_EFI_VARIABLE_DRIVER_CONFIG, mok, TEXT("value"));
        CHECK_EQ(event_log_put_event_sha1(&log, &l.items[0].event), 0);
        chain.firmware = buf_span(&log);
        run(&chain, NULL, &result, &seen);
        CHECK_EQ(result.result, HOP_RESULT_OK);
        CHECK_EQ(seen.last.notes, 1u << NOTE_VALUE_ALONE);
        log.data[8] ^= 1; /* of the digest */
        run(&chain, NULL, &twin, &seen);
        CHECK_EQ(twin.result, HOP_RESULT_MISMATCH);
        CHECK(strstr(twin.reason.text, "its sha1 digest"));
        release(&l);
}

static void order_and_separators(void)
{
        _cleanup_buf_ struct buf secure = {0}, dbx = {0}, order = {0};
        struct span secure_boot = variable(&secure, "SecureBoot", TEXT("\0"), "");
        struct span late_dbx = variable(&dbx, "dbx", TEXT(""), "");
        struct span boot_order = variable(&order, "BootOrder", TEXT("\1\0\0\0"), "");
        const struct rule rules[] = {
                        {14, EV_SEPARATOR, TEXT("\xff\xff\xff\xff"), TEXT("\xff\xff\xff\xff"),
                                        CHECK_VERIFIED, NO_NOTE},
                        {12, EV_SEPARATOR, TEXT("WBCL"), TEXT("WBCL"), CHECK_VERIFIED, NO_NOTE},
                        {12, EV_SEPARATOR, TEXT("WBCM"), TEXT("WBCM"), CHECK_MISMATCH,
                                        NOTE_SEPARATOR_VALUE},
                        {12, EV_SEPARATOR, TEXT("\1\0\0\0"), TEXT("\1\0\0\0"), CHECK_MISMATCH,
                                        NOTE_SEPARATOR_ERROR},
                        {12, EV_SEPARATOR, TEXT("\0\0\0\0\0"), TEXT("\0\0\0\0\0"), CHECK_MISMATCH,
                                        NOTE_SEPARATOR_SIZE},
                        {12, EV_SEPARATOR, TEXT("\0\0\0\0"), OTHER, CHECK_MISMATCH, NOTE_DIGEST},
                        {7, EV_SEPARATOR, TEXT("\0\0\0\0"), TEXT("\0\0\0\0"), CHECK_MISMATCH,
                                        NOTE_SEPARATOR_AGAIN},
                        {7, EV_IPL, TEXT("a menu"), TEXT("\0\0\0\0"), CHECK_MISMATCH,
                                        NOTE_SEPARATOR_SPOOF},
                        {4, EV_EFI_BOOT_SERVICES_APPLICATION, payload_events[0].data,
                                        TEXT("\xff\xff\xff\xff"), CHECK_MISMATCH,
                                        NOTE_SEPARATOR_SPOOF},
                        {1, EV_POST_CODE, TEXT("ACPI DATA"), TEXT("\1\0\0\0"), CHECK_MISMATCH,
                                        NOTE_SEPARATOR_SPOOF},
                        {0, EV_S_CRTM_CONTENTS, TEXT("FIT Type 0x2D"), TEXT("\0\0\0\0"),
                                        CHECK_UNVERIFIABLE, NOTE_SEPARATOR_LIKE},
                        {7, EV_S_CRTM_CONTENTS, TEXT("FIT Type 0x2D"), TEXT("\0\0\0\0"),
                                        CHECK_MISMATCH, NOTE_SEPARATOR_SPOOF},
                        {5, EV_EFI_ACTION, TEXT("Exit Boot Services Invocation"),
                                        TEXT("Exit Boot Services Invocation"), CHECK_VERIFIED,
                                        NO_NOTE},
                        {5, EV_POST_CODE, TEXT("ACPI DATA"), TEXT("Exit Boot Services Invocation"),
                                        CHECK_MISMATCH, NOTE_ACTION_SPOOF},
                        {7, EV_EFI_VARIABLE_DRIVER_CONFIG, secure_boot, secure_boot, CHECK_MISMATCH,
                                        NOTE_VARIABLE_LATE},
                        {7, EV_EFI_VARIABLE_DRIVER_CONFIG, late_dbx, late_dbx, CHECK_MISMATCH,
                                        NOTE_VARIABLE_LATE},
                        {1, EV_EFI_VARIABLE_DRIVER_CONFIG, secure_boot, secure_boot, CHECK_VERIFIED,
                                        NO_NOTE},
                        {7, EV_EFI_ACTION, TEXT("UEFI Debug Mode"), TEXT("UEFI Debug Mode"),
                                        CHECK_VERIFIED, NOTE_DEBUG_MODE},
                        {0, EV_EFI_HCRTM_EVENT, TEXT("HCRTM"), OTHER, CHECK_UNVERIFIABLE, NO_NOTE},
                        {0, EV_EFI_HCRTM_EVENT, TEXT("hcrtm"), OTHER, CHECK_UNVERIFIABLE,
                                        NOTE_HCRTM_TEXT},
                        {1, EV_NO_ACTION, SPAN("StartupLocality\0\3", 17), OTHER,
                                        CHECK_UNVERIFIABLE, NOTE_LOCALITY_ELSEWHERE},
        };
        struct rule by_value = {1, EV_EFI_VARIABLE_BOOT, boot_order, TEXT("\1\0\0\0"),
                        CHECK_VERIFIED, NOTE_SEPARATOR_LIKE};
        _cleanup_check_result_ struct check_result result = {0};
        struct seen seen;
        struct list l;

        for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
                if (rules[i].type != EV_NO_ACTION) {
                        try_rule(&rules[i], i);
                        continue;
                }
                /* Zeros as digests, or that is worth a word, too. */
                boot(&l);
                add(&l, rules[i].pcr, rules[i].type, rules[i].data, OTHER);
                at(&l, l.n)->event.digests.n = 0;
                run_list(&l, NULL, &result, &seen);
                CHECK_EQ(seen.last.notes, 1u << rules[i].note);
                release(&l);
        }
        boot(&l);
        add(&l, by_value.pcr, by_value.type, by_value.data, by_value.hashed);
        check_result_release(&result);
        run_list(&l, NULL, &result, &seen);
        CHECK_EQ(result.result, HOP_RESULT_OK);
        CHECK_EQ(seen.last.notes, 1u << NOTE_SEPARATOR_LIKE | 1u << NOTE_VALUE_ALONE);
        release(&l);
}

/* Changes of a boot in its middle. */
static void changed_boots(void)
{
        _cleanup_check_result_ struct check_result plain = {0}, again = {0}, none = {0},
                                                   digest = {0};
        struct seen seen;
        struct list l;

        boot(&l);
        run_list(&l, NULL, &plain, &seen);
        CHECK_EQ(plain.result, HOP_RESULT_OK);
        CHECK(plain.hops.pristine && !plain.compared && plain.firmware && !plain.cc);
        CHECK_EQ(plain.n_events[CHECK_VERIFIED], l.n);
        for (size_t i = 0; i < CHECK_NOTES; i++)
                CHECK_EQ(plain.notes[i].n, 0);

        add_variable(&l, EV_EFI_VARIABLE_DRIVER_CONFIG, "PK", TEXT(""));
        last_to(&l, 4); /* behind the first, before the separator */
        run_list(&l, NULL, &again, &seen);
        CHECK_EQ(again.result, HOP_RESULT_MISMATCH);
        CHECK_EQ(again.notes[NOTE_VARIABLE_AGAIN].n, 1);
        cut(&l, 4, 1);

        CHECK_EQ(at(&l, l.n)->event.pcr, 7);
        cut(&l, l.n, 1);
        run_list(&l, NULL, &none, &seen);
        CHECK_EQ(none.result, HOP_RESULT_OK);
        CHECK_EQ(none.notes[NOTE_SEPARATOR_NONE].pcrs, 1u << 7);

        add(&l, 3, EV_NO_ACTION, TEXT("something"), OTHER);
        run_list(&l, NULL, &digest, &seen);
        CHECK_EQ(digest.result, HOP_RESULT_OK);
        CHECK_EQ(seen.last.notes, 1u << NOTE_NO_ACTION_DIGEST);
        release(&l);
}

/* ---- PCRs ---- */

static void proved_and_not(void)
{
        struct replay tpm;
        struct seen seen;
        struct list l;

        boot(&l);
        tpm_after(&l, &tpm);
        for (unsigned pcr = 0; pcr < 16; pcr++)
                for (size_t b = 0; b < 2; b++) {
                        _cleanup_check_result_ struct check_result result = {0};
                        struct replay twin = tpm;
                        char place[32];

                        /* PCR 8 has no event, 9 to 15 neither: systemd, IMA */
                        twin.pcr[b][pcr].bytes[7] ^= 4;
                        run_list(&l, &twin, &result, &seen);
                        CHECK_EQ(result.result, pcr <= 8 ? HOP_RESULT_MISMATCH : HOP_RESULT_OK);
                        CHECK_EQ(result.pcr[b][pcr],
                                        pcr <= 8 ? CHECK_PCR_DIFFERS : CHECK_PCR_OPAQUE);
                        CHECK_EQ(result.pcr[!b][pcr], CHECK_PCR_PROVED);
                        snprintf(place, sizeof(place), "PCR %u, bank %s:", pcr,
                                        tpm.banks.alg[b]->name);
                        CHECK(pcr > 8 || strstr(result.reason.text, place));
                }
        release(&l);
}

static void values_that_are_missing(void)
{
        _cleanup_check_result_ struct check_result all = {0}, seven = {0}, none = {0}, hop = {0};
        struct replay tpm;
        struct seen seen;
        struct list l;

        boot(&l);
        tpm_after(&l, &tpm);
        run_list(&l, &tpm, &all, &seen);
        CHECK(all.result == HOP_RESULT_OK && all.hops.pristine && all.compared);
        tpm.measured[0] = tpm.measured[1] = 1u << 7;
        run_list(&l, &tpm, &seven, &seen);
        CHECK(seven.result == HOP_RESULT_OK && !seven.hops.pristine);
        CHECK_EQ(seven.notes[NOTE_PCR8_UNKNOWN].n, 1);
        CHECK_EQ(seven.pcr[0][7], CHECK_PCR_PROVED);
        CHECK_EQ(seven.pcr[0][6], CHECK_PCR_NOT_COMPARED);
        tpm.measured[0] = tpm.measured[1] = 0;
        run_list(&l, &tpm, &none, &seen);
        CHECK_EQ(none.result, HOP_RESULT_MISMATCH);
        release(&l);

        honest(&l); /* with hops PCR 8 must be there */
        tpm_after(&l, &tpm);
        tpm.measured[0] = tpm.measured[1] = 0xffff & ~(1u << HOP_PCR);
        run_list(&l, &tpm, &hop, &seen);
        CHECK_EQ(hop.result, HOP_RESULT_MISMATCH);
        release(&l);
}

/* An event that one bank lacks: that bank proves nothing of its PCR. */
static void lacking_banks(void)
{
        _cleanup_check_result_ struct check_result both = {0}, one = {0};
        struct replay tpm;
        struct seen seen;
        struct list l;

        boot(&l);
        add(&l, 11, EV_IPL, TEXT("x"), TEXT("x"))->sha256_only = true;
        tpm_after(&l, &tpm);
        run_list(&l, &tpm, &both, &seen);
        CHECK_EQ(both.result, HOP_RESULT_OK);
        CHECK_EQ(both.notes[NOTE_LACKING].pcrs, 1u << 11);
        CHECK_EQ(both.pcr[0][11], CHECK_PCR_PROVED);
        CHECK_EQ(both.pcr[1][11], CHECK_PCR_LACKING);
        tpm.measured[0] = 0; /* sha1 alone: the event could be anybody's */
        run_list(&l, &tpm, &one, &seen);
        CHECK_EQ(one.result, HOP_RESULT_MISMATCH);
        CHECK(strstr(one.reason.text, "PCR 11, bank sha1"));
        release(&l);
}

static void hops(void)
{
        _cleanup_check_result_ struct check_result good = {0}, bad = {0};
        struct replay tpm;
        struct seen seen;
        struct list l;

        honest(&l);
        tpm_after(&l, &tpm);
        run_list(&l, &tpm, &good, &seen);
        CHECK_EQ(good.result, HOP_RESULT_OK);
        CHECK_EQ(good.hops.n_hops, 2);
        CHECK_EQ(good.chain.n_boots, 3);
        CHECK(!good.hops.pristine);
        at(&l, LEDGER1)->event.type = EV_IPL;
        run_list(&l, &tpm, &bad, &seen);
        CHECK_EQ(bad.result, HOP_RESULT_MISMATCH);
        CHECK_EQ(bad.n_events[CHECK_MISMATCH], 1);
        CHECK_EQ(bad.notes[NOTE_HOP].first.index, LEDGER1);
        CHECK(strstr(bad.reason.text, "of hop 1 is of type"));
        release(&l);
}

/* ---- other logs ---- */

#define RECORD(string, digest)                                                              \
        "\x1e{\"pcr\":11,\"digests\":[{\"hashAlg\":\"sha256\",\"digest\":\"" digest "\"}]," \
        "\"content_type\":\"systemd\",\"content\":{\"string\":\"" string                    \
        "\",\"eventType\":\"phase\"}}\n"
#define SHA256_ABC \
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* FIPS 180-2 */

static void systemd_logs(void)
{
        static const struct {
                struct span log;
                enum hop_result result;
                size_t n;
        } rows[] = {
                        {TEXT(RECORD("abc", SHA256_ABC)), HOP_RESULT_OK, 1},
                        {TEXT(RECORD("abd", SHA256_ABC)), HOP_RESULT_MISMATCH, 1},
                        {TEXT(RECORD("abd", SHA256_ABC) "\x1e{\n" RECORD("abc", SHA256_ABC)),
                                        HOP_RESULT_MALFORMED, 3},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_check_result_ struct check_result result = {0};
                struct chain chain = {.systemd = {rows[i].log}, .n_systemd = 1};
                struct seen seen;

                run(&chain, NULL, &result, &seen);
                CHECK_EQ(result.result, rows[i].result);
                CHECK_EQ(seen.n, rows[i].n);
                CHECK_EQ(result.n_events[CHECK_MALFORMED], rows[i].n == 3);
                CHECK(!result.firmware && !result.hops.pristine);
        }
}

/* What can't be read doesn't keep the other logs from being judged. */
static void partial_results(void)
{
        static const char record[] = RECORD("abc", SHA256_ABC);
        _cleanup_check_result_ struct check_result result = {0};
        _cleanup_buf_ struct buf log = {0};
        struct chain chain = {0};
        struct seen seen;
        struct list l;

        boot(&l);
        write_log(&l, &log);
        chain.firmware = SPAN(log.data, log.size - 1);
        chain.systemd[0] = SPAN(record, sizeof(record) - 1);
        chain.n_systemd = 1;
        run(&chain, NULL, &result, &seen);
        CHECK_EQ(result.result, HOP_RESULT_MALFORMED);
        CHECK_EQ(seen.n, l.n + 1 + 1); /* the header, all but the last, what can't be read;
                                          systemd's */
        CHECK_EQ(result.n_events[CHECK_MALFORMED], 1);
        CHECK(seen.last.systemd && seen.last.status == CHECK_VERIFIED);
        CHECK(strstr(result.reason.text, "event 12 at offset"));
        release(&l);
}

/* The header's PCR isn't measured: as a confidential-computing log its hops would be nobody's. */
static void hops_dont_hide_behind_a_header(void)
{
        _cleanup_check_result_ struct check_result result = {0};
        _cleanup_buf_ struct buf log = {0};
        struct check_input input = {0};
        struct list l;

        honest(&l);
        write_log(&l, &log);
        log.data[0] = 1;
        input.chain.firmware = buf_span(&log);
        CHECK_EQ(check_logs(&input, &result, NULL), 0);
        CHECK_EQ(result.result, HOP_RESULT_MISMATCH);
        CHECK(result.cc && strstr(result.reason.text, "which has no hops"));
        release(&l);
}

static const struct tap_test tests[] = {
                {"hops don't hide behind a header", hops_dont_hide_behind_a_header},
                {"digests against data", digests_against_data},
                {"variables of SHA-1 logs", digests_of_old_logs},
                {"order, separators, and types that others pretend to be", order_and_separators},
                {"a boot, and what is changed in its middle", changed_boots},
                {"which PCR differs, and which no log explains", proved_and_not},
                {"values that weren't given", values_that_are_missing},
                {"events that lack a bank", lacking_banks},
                {"hops", hops},
                {"systemd's records", systemd_logs},
                {"a log that is cut off, and another that isn't", partial_results},
};
TAP_MAIN(tests)

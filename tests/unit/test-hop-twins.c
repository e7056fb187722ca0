/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* eventlog/hop-check: forged twins of the honest log. Each is refused, and the reason names the
 * event. */
#include "tests/unit/hop-log.h"

/* Who changes the log alone leaves digests as they are; recompute() is for one who could extend the
 * TPM, too. */

static void hop_cut_out(struct list *l)
{
        cut(l, HOP1, HOP2 - HOP1);
}

static void swap(struct list *l, size_t a, size_t b)
{
        struct item item = *at(l, a);

        *at(l, a) = *at(l, b);
        *at(l, b) = item;
}

static void hops_swapped(struct list *l)
{
        for (size_t i = 0; i < HOP2 - HOP1; i++)
                swap(l, HOP1 + i, HOP2 + i);
}

static void events_reordered(struct list *l)
{
        swap(l, LEDGER1 + 2, LEDGER1 + 3);
}

static void registers_interleaved(struct list *l)
{
        swap(l, LEDGER1 + 3, LEDGER1 + 4); /* PCR 9 and PCR 8: neither replay sees it */
}

static void event_retyped(struct list *l)
{
        at(l, LEDGER1 + 1)->event.type = EV_POST_CODE;
}

static void event_data_changed(struct list *l)
{
        at(l, LEDGER1 + 1)->data[2] = 'm';
}

static void event_moved_to_other_register(struct list *l)
{
        at(l, LEDGER1)->event.pcr = 9;
}

static void event_cut(struct list *l)
{
        cut(l, LEDGER2 + 2, 1);
}

static void event_without_a_bank(struct list *l)
{
        at(l, LEDGER1 + 2)->sha256_only = true;
}

static void event_with_our_data(struct list *l)
{
        set_data(l, LEDGER1, TEXT("\xf4\xb5\x73\xdf"));
}

static void open_retyped(struct list *l)
{
        for (size_t i = HOP1; i < LEDGER1; i++)
                at(l, i)->event.type = EV_IPL;
}

static void open_as_no_action(struct list *l)
{
        at(l, HOP1)->event.type = EV_NO_ACTION;
}

/* "Documented variant": what stands behind the first blank was hashed. */
static void open_passed_off_as_grubs(struct list *l)
{
        _cleanup_buf_ struct buf data = {0};

        buf_put(&data, "grub_cmd: ", 10);
        buf_put_span(&data, at(l, HOP1)->event.data);
        set_data(l, HOP1, buf_span(&data));
        at(l, HOP1)->event.type = EV_IPL;
}

static void open_relabelled(struct list *l)
{
        for (size_t i = HOP2; i < LEDGER2; i++)
                at(l, i)->data[44] ^= 1; /* the payload's SHA-256 */
}

static void open_garbled(struct list *l)
{
        at(l, HOP1)->data[8] = 9; /* version */
        recompute(l, HOP1);
}

static void open_missing_in_register(struct list *l)
{
        cut(l, HOP1 + 1, 1);
}

static void open_missing_in_close_list(struct list *l)
{
        cut(l, HOP2 + 2, 1);
}

static void open_differs_in_close_list(struct list *l)
{
        at(l, HOP1 + 2)->data[44] ^= 1;
        recompute(l, HOP1 + 2);
}

static void open_in_other_pcr_first(struct list *l)
{
        swap(l, HOP1, HOP1 + 1);
}

static void open_in_a_further_pcr(struct list *l)
{
        add(l, 12, EV_EVENT_TAG, at(l, HOP1)->event.data, at(l, HOP1)->event.data);
        last_to(l, LEDGER1);
}

static void open_again_without_close(struct list *l)
{
        cut(l, CLOSE1, 2);
}

static void open_within_the_ledger(struct list *l)
{
        cut(l, LEDGER1 + 1, HOP2 - LEDGER1 - 1);
}

/* A ledger of another length, as one who could extend would write it. */
static void change_ledger(struct list *l, size_t n_events)
{
        struct hop_ledger_entry entries[N_EVENTS + 1];
        _cleanup_buf_ struct buf data = {0};
        struct hop_open open;

        fill_open(&open, entries, 2);
        entries[N_EVENTS] = entries[N_EVENTS - 1];
        open.n_events = n_events;
        CHECK_EQ(hop_open_encode(&open, &data, NULL), 0);
        for (size_t i = HOP2; i < LEDGER2; i++) {
                set_data(l, i, buf_span(&data));
                recompute(l, i);
        }
}

static void ledger_too_short(struct list *l)
{
        change_ledger(l, N_EVENTS - 1);
}

static void ledger_too_long(struct list *l)
{
        change_ledger(l, N_EVENTS + 1);
}

static void set_u32(struct list *l, size_t index, size_t offset, uint32_t value)
{
        for (unsigned i = 0; i < 4; i++)
                at(l, index)->data[offset + i] = (uint8_t)(value >> 8 * i);
        recompute(l, index);
}

static void hop_number_skipped(struct list *l)
{
        for (size_t i = HOP2; i < LEDGER2; i++)
                set_u32(l, i, 12, 3);
        set_u32(l, CLOSE2, 12, 3);
        set_u32(l, CLOSE2 + 1, 12, 3);
}

static void first_hop_is_zero(struct list *l)
{
        set_u32(l, HOP1, 12, 0);
}

static void close_of_other_hop(struct list *l)
{
        set_u32(l, CLOSE2, 12, 1);
}

static void close_count_off(struct list *l)
{
        set_u32(l, CLOSE1 + 1, 16, N_EVENTS - 1);
}

static void close_with_a_wrong_sha1(struct list *l)
{
        at(l, CLOSE1)->event.digests.d[1].bytes[0] ^= 1;
}

static void close_missing_in_register(struct list *l)
{
        cut(l, CLOSE1 + 1, 1);
}

static void close_missing_at_the_end(struct list *l)
{
        cut(l, CLOSE2 + 1, 1);
}

static void close_forged_behind(struct list *l)
{
        add_end(l, false, HOP_PCR, 2, N_EVENTS);
}

/* The first hop called foreign, a forged hop of the same number behind it. */
static void relabelled_with_a_forged_hop(struct list *l)
{
        struct hop_ledger_entry entries[N_EVENTS];
        struct hop_open open;

        cut(l, HOP2, END - HOP2);
        for (size_t i = HOP1; i < HOP2; i++)
                at(l, i)->event.type = EV_COMPACT_HASH;
        for (size_t i = HOP1; i < LEDGER1; i++)
                set_data(l, i, TEXT("nothing of interest"));
        fill_open(&open, entries, 1);
        memset(open.payload_sha256, 0x55, 32);
        add_hop(l, &open, N_SEQUENCE);
}

static void forged_hop_of_the_same_number_behind(struct list *l)
{
        struct hop_ledger_entry entries[N_EVENTS];
        struct hop_open open;

        fill_open(&open, entries, 2);
        add_hop(l, &open, N_SEQUENCE);
}

static void close_before_any_open(struct list *l)
{
        add_end(l, false, HOP_PCR, 1, 0);
        last_to(l, FOREIGN_IPL);
}

static void event_behind_in_pcr8(struct list *l)
{
        add(l, HOP_PCR, EV_IPL, TEXT("x"), TEXT("x"));
}

static void event_behind_elsewhere(struct list *l)
{
        add(l, 5, EV_EFI_ACTION, TEXT("x"), TEXT("x"));
}

static void no_action_behind(struct list *l)
{
        add(l, 0, EV_NO_ACTION, TEXT("x"), TEXT("x"));
}

static void event_between_hops(struct list *l)
{
        add(l, HOP_PCR, EV_IPL, TEXT("x"), TEXT("x"));
        last_to(l, HOP2);
}

static void foreign_unexplained(struct list *l)
{
        at(l, FOREIGN_IPL)->data[11] ^= 1;
}

static void foreign_without_a_bank(struct list *l)
{
        at(l, FOREIGN_IPL)->sha256_only = true;
}

static void abort_outside_pcr8(struct list *l)
{
        add_end(l, true, 9, 2, N_SEQUENCE);
}

static void abort_of_other_hop(struct list *l)
{
        add_end(l, true, HOP_PCR, 1, N_SEQUENCE);
}

static void abort_twice(struct list *l)
{
        add_end(l, true, HOP_PCR, 2, N_SEQUENCE);
        add_end(l, true, HOP_PCR, 2, N_SEQUENCE);
}

static void abort_undone(struct list *l)
{
        add_end(l, true, HOP_PCR, 2, 5);
        last_to(l, HOP2 + 5);
}

static void abort_with_a_wrong_digest(struct list *l)
{
        add_end(l, true, HOP_PCR, 2, N_SEQUENCE);
        at(l, END)->event.digests.d[0].bytes[31] ^= 1;
}

static const struct {
        const char *name;
        void (*forge)(struct list *l);
        unsigned event;
        const char *reason;
} twins[] = {
                {"hop cut out", hop_cut_out, HOP1, "opens hop 2 where hop 1"},
                {"hops swapped", hops_swapped, HOP1, "opens hop 2 where hop 1"},
                {"events reordered", events_reordered, LEDGER1 + 2, "belongs in PCR 8"},
                {"events of two registers reordered", registers_interleaved, LEDGER1 + 3,
                                "belongs in PCR 9"},
                {"event retyped", event_retyped, LEDGER1 + 1, "of type EV_IPL in the ledger"},
                {"event data changed", event_data_changed, LEDGER1 + 1, "isn't that of the ledger"},
                {"event in another register", event_moved_to_other_register, LEDGER1,
                                "belongs in PCR 8"},
                {"event cut", event_cut, LEDGER2 + 2, "belongs in PCR 8"},
                {"event without a bank", event_without_a_bank, LEDGER1 + 2, "no sha1 digest"},
                {"event with our data", event_with_our_data, LEDGER1, "data of an open event"},
                {"open retyped", open_retyped, HOP1, "is of type EV_IPL"},
                {"open as EV_NO_ACTION", open_as_no_action, HOP1, "is of type EV_NO_ACTION"},
                {"open passed off as grub_cmd", open_passed_off_as_grubs, HOP1,
                                "digest is that of an open event"},
                {"open relabelled", open_relabelled, HOP2,
                                "sha256 digest isn't the hash of its data"},
                {"open of another version", open_garbled, HOP1, "version 9"},
                {"open missing in a register", open_missing_in_register, HOP1 + 1,
                                "must stand here, in PCR 9"},
                {"open missing in the close list", open_missing_in_close_list, HOP2 + 2,
                                "must stand here, in PCR 11"},
                {"open differs in the close list", open_differs_in_close_list, HOP1 + 2,
                                "must stand here, in PCR 11"},
                {"open first in another PCR", open_in_other_pcr_first, HOP1, "first in PCR 8"},
                {"open in a further PCR", open_in_a_further_pcr, LEDGER1,
                                "an open event where the ledger"},
                {"second open without close", open_again_without_close, CLOSE1,
                                "close event of hop 1 must stand here"},
                {"second open within the ledger", open_within_the_ledger, LEDGER1 + 1,
                                "an open event where the ledger"},
                {"ledger one too short", ledger_too_short, LEDGER2 + 4,
                                "close event of hop 2 must stand here"},
                {"ledger one too long", ledger_too_long, CLOSE2, "a close event where the ledger"},
                {"hop number skipped", hop_number_skipped, HOP2, "opens hop 3 where hop 2"},
                {"first hop is 0", first_hop_is_zero, HOP1, "hop 0"},
                {"close of another hop", close_of_other_hop, CLOSE2, "closes hop 1 of 5"},
                {"close count off by one", close_count_off, CLOSE1 + 1, "closes hop 1 of 4"},
                {"close with a wrong sha1 digest", close_with_a_wrong_sha1, CLOSE1,
                                "sha1 digest isn't the hash"},
                {"close missing in a register", close_missing_in_register, CLOSE1 + 1,
                                "must stand here, in PCR 9"},
                {"close missing at the end", close_missing_at_the_end, CLOSE2,
                                "ends after it, in the middle of hop 2"},
                {"close forged behind", close_forged_behind, END, "stands behind hop 2"},
                {"relabelled with a forged hop", relabelled_with_a_forged_hop, HOP1,
                                "doesn't explain its digest"},
                {"forged hop behind", forged_hop_of_the_same_number_behind, END,
                                "opens hop 2 where hop 3"},
                {"close before any open", close_before_any_open, FOREIGN_IPL,
                                "without an open hop"},
                {"event behind in PCR 8", event_behind_in_pcr8, END, "stands behind hop 2"},
                {"event behind elsewhere", event_behind_elsewhere, END, "stands behind hop 2"},
                {"EV_NO_ACTION behind", no_action_behind, END, "stands behind hop 2"},
                {"event between hops", event_between_hops, HOP2, "stands behind hop 1"},
                {"foreign event unexplained", foreign_unexplained, FOREIGN_IPL,
                                "doesn't explain its digest"},
                {"foreign event without a bank", foreign_without_a_bank, FOREIGN_IPL,
                                "no sha1 digest"},
                {"abort outside PCR 8", abort_outside_pcr8, END, "outside PCR 8"},
                {"abort of another hop", abort_of_other_hop, END, "aborts hop 1"},
                {"abort twice", abort_twice, END + 1, "which was aborted"},
                {"abort undone", abort_undone, HOP2 + 6, "which was aborted"},
                {"abort with a wrong digest", abort_with_a_wrong_digest, END,
                                "sha256 digest isn't the hash"},
};

static void refused(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(twins); i++) {
                struct hop_verdict v;
                struct list l;
                char event[32];
                bool good;

                honest(&l);
                twins[i].forge(&l);
                check(&l, NULL, twins[i].name, &v);
                snprintf(event, sizeof(event), "event %u ", twins[i].event);
                good = v.result == HOP_RESULT_MISMATCH && !v.hops_ok && !v.pristine &&
                       strncmp(v.reason.text, event, strlen(event)) == 0 &&
                       strstr(v.reason.text, twins[i].reason);
                if (!good)
                        printf("# %s: wanted %s%s, got: %s\n", twins[i].name, event,
                                        twins[i].reason, v.reason.text);
                CHECK(good);
                hop_verdict_release(&v);
                release(&l);
        }
}

/* Logs that are whole by themselves; only the TPM tells that they aren't its own. */

static void last_hop_cut_out(struct list *l)
{
        cut(l, HOP2, END - HOP2);
}

static void all_hops_cut_out(struct list *l)
{
        cut(l, HOP1, END - HOP1);
}

static void digests_swapped(struct list *l)
{
        swap(l, LEDGER1 + 1, LEDGER1 + 2); /* same PCR, type and data */
}

static void open_relabelled_with_digests(struct list *l)
{
        open_relabelled(l);
        for (size_t i = HOP2; i < LEDGER2; i++)
                recompute(l, i);
}

static void event_digest_changed(struct list *l)
{
        at(l, LEDGER2 + 3)->event.digests.d[1].bytes[3] ^= 1;
}

static void firmware_event_changed(struct list *l)
{
        at(l, 5)->event.digests.d[0].bytes[0] ^= 1;
}

static const struct {
        const char *name;
        void (*forge)(struct list *l);
        const char *reason;
        uint32_t differs[2]; /* sha256, sha1 */
} untrue[] = {
                {"last hop cut out", last_hop_cut_out, "PCR 8, bank sha256", {0xb00, 0xb00}},
                {"all hops cut out", all_hops_cut_out, "PCR 8, bank sha256", {0xb00, 0xb00}},
                {"digests swapped", digests_swapped, "PCR 8, bank sha256", {0x100, 0x100}},
                {"relabelled, digests made anew", open_relabelled_with_digests,
                                "PCR 8, bank sha256", {0xb00, 0xb00}},
                {"digest of an event changed", event_digest_changed, "PCR 9, bank sha1",
                                {0, 0x200}},
                {"firmware event changed", firmware_event_changed, "PCR 4, bank sha256", {0x10, 0}},
};

static void contradicted_by_the_tpm(void)
{
        struct replay tpm;
        struct list real;

        honest(&real);
        tpm_after(&real, &tpm);
        for (size_t i = 0; i < ARRAY_SIZE(untrue); i++) {
                struct hop_verdict v;
                struct list l;

                honest(&l);
                untrue[i].forge(&l);
                check(&l, NULL, NULL, &v);
                CHECK_EQ(v.result, HOP_RESULT_OK);
                hop_verdict_release(&v);
                check(&l, &tpm, NULL, &v);
                if (!strstr(v.reason.text, untrue[i].reason))
                        printf("# %s: %s\n", untrue[i].name, v.reason.text);
                CHECK(v.result == HOP_RESULT_MISMATCH && v.hops_ok && !v.pristine);
                CHECK(strstr(v.reason.text, untrue[i].reason));
                CHECK_EQ(v.differs[0], untrue[i].differs[0]);
                CHECK_EQ(v.differs[1], untrue[i].differs[1]);
                CHECK_EQ(v.unexplained[0] | v.unexplained[1], 0);
                hop_verdict_release(&v);
                release(&l);
        }
        release(&real);
}

/* Where the first kernel had no log, mkexec's begins with its own header and the hop: whole by
 * itself, but it can't pass for a log of firmware's. */
static void without_the_first_boot(void)
{
        struct hop_verdict v;
        struct replay tpm;
        struct list l;

        honest(&l);
        check(&l, NULL, NULL, &v);
        CHECK(v.first_boot);
        hop_verdict_release(&v);
        cut(&l, 3, HOP1 - 3); /* one of firmware's in PCR 0, one that isn't measured */
        check(&l, NULL, NULL, &v);
        CHECK(v.first_boot && v.result == HOP_RESULT_OK);
        hop_verdict_release(&v);
        cut(&l, 1, 1);
        check(&l, NULL, NULL, &v);
        CHECK(!v.first_boot && v.result == HOP_RESULT_OK && v.hops_ok && v.n_hops == 2);
        hop_verdict_release(&v);
        tpm_after(&l, &tpm);
        check(&l, &tpm, NULL, &v); /* firmware that measures nothing */
        CHECK(!v.first_boot && v.result == HOP_RESULT_OK);
        hop_verdict_release(&v);
        tpm.pcr[1][4].bytes[0] = 1;
        check(&l, &tpm, NULL, &v);
        CHECK(v.result == HOP_RESULT_MISMATCH && v.hops_ok && !v.first_boot);
        CHECK(strstr(v.reason.text, "PCR 4, bank sha1: was extended, but the log has no event of "
                                    "the first boot"));
        hop_verdict_release(&v);
        tpm.pcr[1][HOP_PCR].bytes[0] ^= 1; /* a hop that isn't the log's says so all the same */
        check(&l, &tpm, NULL, &v);
        CHECK(v.result == HOP_RESULT_MISMATCH && strstr(v.reason.text, "PCR 8, bank sha1"));
        hop_verdict_release(&v);
        release(&l);
}

/* Values that leave PCR 8 open prove nothing about hops. */
static void values_must_cover_pcr8(void)
{
        struct hop_verdict v;
        struct replay tpm;
        uint32_t registers;
        struct list l;

        honest(&l);
        tpm_after(&l, &tpm);
        tpm.measured[0] = tpm.measured[1] = 0xffffff & ~(1u << HOP_PCR);
        check(&l, &tpm, NULL, &v);
        CHECK(v.result == HOP_RESULT_MISMATCH && strstr(v.reason.text, "no value of PCR 8"));
        hop_verdict_release(&v);
        /* one bank's will do, if every PCR that a hop went to is among them */
        tpm.measured[0] = 0;
        tpm.measured[1] = 0xffffff;
        check(&l, &tpm, NULL, &v);
        CHECK_EQ(v.result, HOP_RESULT_OK);
        CHECK_EQ(v.compared[0], 0);
        registers = v.registers;
        CHECK(registers & ~(1u << HOP_PCR)); /* the log goes to more than PCR 8, or the loop tests
                                                nothing */
        hop_verdict_release(&v);
        for (unsigned pcr = 0; pcr < 16; pcr++) {
                if (pcr == HOP_PCR || !(registers & 1u << pcr))
                        continue;
                tpm.measured[1] = 0xffffff & ~(1u << pcr);
                check(&l, &tpm, NULL, &v);
                CHECK(v.result == HOP_RESULT_MISMATCH && strstr(v.reason.text, "no value of it"));
                hop_verdict_release(&v);
        }
        tpm.banks = (struct banks){.n = 1, .alg = {alg_by_name("sha384")}};
        check(&l, &tpm, NULL, &v);
        CHECK_EQ(v.result, HOP_RESULT_MISMATCH);
        hop_verdict_release(&v);
        release(&l);
}

static const struct tap_test tests[] = {
                {"forged twins are refused at the forged event", refused},
                {"a log that isn't the TPM's is refused", contradicted_by_the_tpm},
                {"a log without the first boot is told from one with it", without_the_first_boot},
                {"PCR values must cover PCR 8", values_must_cover_pcr8},
};

TAP_MAIN(tests)

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lies to EFI_TCG2_PROTOCOL's measuring functions. */
#include "tests/conformance/liar.h"

/* The first bytes of mkexec's own events (eventlog/hop.h): open, close and abort. */
static const uint8_t own_tags[3][4] = {
                {0xf4, 0xb5, 0x73, 0xdf}, {0xa6, 0xf0, 0xeb, 0xc9}, {0xf8, 0xc1, 0xe6, 0x9a}};

/* Into every PCR there is, the resettable ones among them: each must go to a register of the hop.
 */
static void every_pcr(void)
{
        for (uint32_t pcr = 0; pcr < 24; pcr++)
                CHECK_EQ(measure(0, pcr, EV_IPL, "anywhere", 8), SUCCESS);
}

static void pcr_range(void)
{
        static const uint32_t wild[] = {24, 25, 32, 255, 256, 0x7fffffff, 0x80000000, 0xffffffff,
                        0x01800000, 0x40000007};

        for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
                CHECK_EQ(measure(0, wild[i], EV_IPL, "x", 1), INVALID_PARAMETER);
                CHECK_EQ(measure(EXTEND_ONLY, wild[i], EV_IPL, "x", 1), INVALID_PARAMETER);
                CHECK_EQ(measure(0, wild[i], EV_NO_ACTION, "x", 1), INVALID_PARAMETER);
        }
}

static uint64_t log_start, log_last;

static status look_at_log(void)
{
        bool truncated;

        return tcg2->get_event_log(tcg2, 2, &log_start, &log_last, &truncated);
}

/* Hidden from the log that the payload is shown, but not from the hop. */
static void extend_only(void)
{
        uint64_t before;

        CHECK_EQ(measure(0, 9, EV_IPL, "shown", 5), SUCCESS);
        CHECK_EQ(look_at_log(), SUCCESS);
        before = log_last;
        CHECK_EQ(measure(EXTEND_ONLY, 9, EV_IPL, "hidden", 6), SUCCESS);
        CHECK_EQ(look_at_log(), SUCCESS);
        CHECK_EQ(log_last, before);
}

/* Logged, not extended, and with digests of zeros, whatever it hashes. */
static void no_action(void)
{
        struct tcg2_event *event;

        CHECK_EQ(measure(0, 8, EV_NO_ACTION, "StartupLocality\0\3", 17), SUCCESS);
        CHECK_EQ(look_at_log(), SUCCESS);
        CHECK_EQ(*(uint32_t *)log_last, 8);
        CHECK_EQ(*(uint32_t *)(log_last + 4), EV_NO_ACTION);
        for (int i = 0; i < 20; i++) /* count, algorithm, then the first bank's digest */
                CHECK_EQ(((uint8_t *)log_last)[14 + i], 0);
        CHECK_EQ(measure(PE_COFF_IMAGE, 8, EV_NO_ACTION, "MZ", 2), INVALID_PARAMETER);
        CHECK_EQ(bs->allocate_pool(LOADER_DATA, 18, (void **)&event), SUCCESS);
        *event = (struct tcg2_event){18, 14, 1, 8, EV_NO_ACTION};
        CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, 0, 0, event), SUCCESS);
        CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, ~0ull, ~0ull, event), SUCCESS);
}

/* The run ends at the first of them. */
static void imitate(uint32_t type, const uint8_t *tag, uint64_t flags)
{
        uint8_t data[16] = {0};

        bs->copy_mem(data, tag, 4);
        data[4] = 8;
        measure(flags, 8, type, data, sizeof(data));
        CHECK(!"still here");
}

static void imitate_open(void)
{
        imitate(EV_EVENT_TAG, own_tags[0], 0);
}

static void imitate_close(void)
{
        imitate(EV_EVENT_TAG, own_tags[1], 0);
}

static void imitate_abort(void)
{
        imitate(EV_EVENT_TAG, own_tags[2], 0);
}

static void imitate_as_text(void)
{
        imitate(EV_IPL, own_tags[1], 0);
}

static void imitate_hidden(void)
{
        imitate(EV_EVENT_TAG, own_tags[1], EXTEND_ONLY);
}

static void imitate_unmeasured(void)
{
        imitate(EV_NO_ACTION, own_tags[0], 0);
}

static void imitate_tag_alone(void)
{
        measure(0, 12, EV_EVENT_TAG, own_tags[2], 4);
        CHECK(!"still here");
}

/* The digests of a close and an open event, under innocent event data: what a section, a credential
 * or an addon would get into the log. Their bytes are files that test_lies.py makes, which then
 * tries what can be made of them. */
static void plant_digests(void)
{
        static const char16 *const names[] = {u"\\planted-close", u"\\planted-open"};
        struct tcg2_event *event;

        CHECK_EQ(bs->allocate_pool(LOADER_DATA, 18 + 8, (void **)&event), SUCCESS);
        *event = (struct tcg2_event){18 + 8, 14, 1, 12, EV_IPL};
        bs->copy_mem(event->data, "innocent", 8);
        for (int i = 0; i < 2; i++) {
                uint64_t size;
                void *planted = read_file(names[i], &size);

                CHECK(planted);
                CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, (uint64_t)planted, size, event),
                                SUCCESS);
        }
        CHECK_EQ(measure(0, 12, EV_IPL, "after it", 8), SUCCESS);
}

static void sizes(void)
{
        struct tcg2_event *event = (struct tcg2_event *)last_page();
        static const struct {
                uint32_t size, header_size;
        } rows[] = {{0, 14}, {17, 14}, {18, 15}, {4, 1}, {0, 0}, {0xffffffff, 14}, {0x10000000, 14},
                        {17, 0xfffffffe}, {0xffffffff, 0xfffffffc}, {4096, 14}, {4097, 14}};

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                *event = (struct tcg2_event){rows[i].size, rows[i].header_size, 1, 8, EV_IPL};
                CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, (uint64_t) "x", 1, event),
                                i == 9 ? SUCCESS : INVALID_PARAMETER);
                CHECK_EQ(tcg2->hash_log_extend_event(tcg2, EXTEND_ONLY, (uint64_t) "x", 1, event),
                                i == 9 ? SUCCESS : INVALID_PARAMETER);
        }
        /* HeaderSize is the caller's word, HeaderVersion nobody's. */
        *event = (struct tcg2_event){4, 0, 99, 8, EV_IPL};
        CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, (uint64_t) "x", 1, event), SUCCESS);
}

/* Where a header or its data leave the page that they begin in. */
static void at_the_edge(void)
{
        uint8_t *page = last_page(), *end = page + 4096;
        struct tcg2_event *event;

        for (int room = 0; room < 18; room++)
                CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, (uint64_t) "x", 1,
                                         (struct tcg2_event *)(end - room)),
                                INVALID_PARAMETER);
        event = (struct tcg2_event *)(end - 20);
        *event = (struct tcg2_event){21, 14, 1, 8, EV_IPL};
        CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, (uint64_t) "x", 1, event), INVALID_PARAMETER);
        event->size = 20;
        CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, (uint64_t) "x", 1, event), SUCCESS);
}

static void data_ranges(void)
{
        static const struct {
                uint64_t address, size;
        } rows[] = {{0, 0}, {0, 1}, {8, 8}, {0x7ffffffff000, 1}, {~0xfffull, 0x2000}, {~0ull, 1},
                        {1ull << 47, 8}, {0x8000000000000000, 0}};
        struct tcg2_event *event;
        uint8_t *page = last_page();

        CHECK_EQ(bs->allocate_pool(LOADER_DATA, 18, (void **)&event), SUCCESS);
        *event = (struct tcg2_event){18, 14, 1, 8, EV_IPL};
        for (size_t i = 0; i + 1 < sizeof(rows) / sizeof(rows[0]); i++)
                CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, rows[i].address, rows[i].size, event),
                                INVALID_PARAMETER);
        CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, (uint64_t)page, 1ull << 40, event),
                        INVALID_PARAMETER);
        CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, (uint64_t)page, ~0ull, event),
                        INVALID_PARAMETER);
        CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, (uint64_t)page + 4095, 2, event),
                        INVALID_PARAMETER);
}

/* The event lies inside of what is hashed. */
static void overlapping(void)
{
        uint8_t *page = pages(1);
        struct tcg2_event *event = (struct tcg2_event *)(page + 8);

        *event = (struct tcg2_event){18 + 8, 14, 1, 9, EV_IPL};
        bs->copy_mem(event->data, "itself..", 8);
        CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, (uint64_t)page, 4096, event), SUCCESS);
        CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, (uint64_t)event, event->size, event),
                        SUCCESS);
}

/* The firmware writes to the buffer while it is the one that is hashed: the place in the log where
 * the event will stand, which is 0xff until then. */
static void hash_the_log(void)
{
        uint64_t end;

        CHECK_EQ(measure(0, 9, EV_POST_CODE, "last", 4), SUCCESS);
        CHECK_EQ(look_at_log(), SUCCESS);
        /* head, digests of the four banks, size of the event data, event data */
        end = log_last + 12 + (2 + 20) + (2 + 32) + (2 + 48) + (2 + 64) + 4 + 4;
        CHECK_EQ(*(uint64_t *)end, ~0ull);
        {
                struct tcg2_event *event;

                CHECK_EQ(bs->allocate_pool(LOADER_DATA, 18 + 8, (void **)&event), SUCCESS);
                *event = (struct tcg2_event){18 + 8, 14, 1, 9, EV_IPL};
                bs->copy_mem(event->data, "moving..", 8);
                CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, end, 64, event), SUCCESS);
        }
        CHECK_EQ(*(uint32_t *)end, 9);
}

/* What was measured stays what it was. */
static void change_afterwards(void)
{
        uint8_t *page = pages(1);
        struct tcg2_event *event = (struct tcg2_event *)page;

        *event = (struct tcg2_event){18 + 8, 14, 1, 9, EV_IPL};
        bs->copy_mem(event->data, "original", 8);
        CHECK_EQ(tcg2->hash_log_extend_event(tcg2, 0, (uint64_t)event->data, 8, event), SUCCESS);
        bs->copy_mem(event->data, "replaced", 8);
        event->pcr = 11;
        CHECK_EQ(look_at_log(), SUCCESS);
        bs->set_mem((void *)log_start, log_last - log_start, 0);
}

/* The log that the payload sees has an end; the hop has everything. */
static void full_log(void)
{
        static uint8_t data[8192];
        status s = SUCCESS;
        uint64_t last;
        bool truncated;
        int n = 0;

        while (n < 20 && s == SUCCESS) {
                s = measure(0, 9, EV_IPL, data, sizeof(data));
                n++;
        }
        CHECK_EQ(s, VOLUME_FULL);
        CHECK_EQ(n, 8);
        CHECK_EQ(measure(0, 9, EV_IPL, "x", 1), VOLUME_FULL);
        CHECK_EQ(measure(0, 10, EV_NO_ACTION, "x", 1), VOLUME_FULL);
        CHECK_EQ(measure(EXTEND_ONLY, 9, EV_IPL, "y", 1), SUCCESS);
        CHECK_EQ(tcg2->get_event_log(tcg2, 2, &log_start, &last, &truncated), SUCCESS);
        CHECK(truncated);
}

static void too_many_events(void)
{
        for (int i = 0; i < 5000; i++)
                measure(EXTEND_ONLY, 9, EV_IPL, "more", 4);
        CHECK(!"still here");
}

static void too_much_data(void)
{
        static uint8_t data[1 << 16];

        for (int i = 0; i < 100; i++)
                measure(EXTEND_ONLY, 9, EV_IPL, data, sizeof(data));
        CHECK(!"still here");
}

/* Each of them said to be a PE file. */
static void not_pe(void)
{
        static const uint8_t junk[64] = {'M', 'Z', [60] = 0xf0, 0xff, 0xff, 0xff};
        uint64_t size;
        uint8_t *child = read_file(u"\\child.efi", &size);
        uint32_t pe;

        CHECK(child);
        CHECK_EQ(measure(PE_COFF_IMAGE, 4, EV_IPL, "", 0), UNSUPPORTED);
        CHECK_EQ(measure(PE_COFF_IMAGE, 4, EV_IPL, "MZ", 2), UNSUPPORTED);
        CHECK_EQ(measure(PE_COFF_IMAGE, 4, EV_IPL, junk, sizeof(junk)), UNSUPPORTED);
        CHECK_EQ(measure(PE_COFF_IMAGE, 4, EV_IPL, "VZ\x64\x86TE images have another head", 30),
                        UNSUPPORTED);
        CHECK_EQ(measure(PE_COFF_IMAGE, 4, EV_IPL, child, 300), UNSUPPORTED);
        pe = *(uint32_t *)(child + 60);
        *(uint32_t *)(child + pe + 24 + 60) = 0xfffff000; /* SizeOfHeaders */
        CHECK_EQ(measure(PE_COFF_IMAGE, 4, EV_IPL, child, (uint32_t)size), UNSUPPORTED);
}

static void unknown_flags(void)
{
        CHECK_EQ(measure(~0ull & ~(uint64_t)(EXTEND_ONLY | PE_COFF_IMAGE), 9, EV_IPL, "flags", 5),
                        SUCCESS);
}

/* This is one address and no other. */
static void wrong_this(void)
{
        struct tcg2 copy = *tcg2;
        struct tcg2 *wrong[] = {NULL, &copy, (struct tcg2 *)((char *)tcg2 + 8), (struct tcg2 *)st,
                        (struct tcg2 *)0x10};
        uint8_t capability[36] = {36};
        uint32_t a, b;

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                CHECK_EQ(tcg2->get_capability(wrong[i], capability), INVALID_PARAMETER);
                CHECK_EQ(tcg2->get_event_log(wrong[i], 2, NULL, NULL, NULL), INVALID_PARAMETER);
                CHECK_EQ(tcg2->submit_command(wrong[i], 10, capability, 10, capability),
                                INVALID_PARAMETER);
                CHECK_EQ(tcg2->get_active_pcr_banks(wrong[i], &a), INVALID_PARAMETER);
                CHECK_EQ(tcg2->set_active_pcr_banks(wrong[i], 2), INVALID_PARAMETER);
                CHECK_EQ(tcg2->get_result_of_set_active_pcr_banks(wrong[i], &a, &b),
                                INVALID_PARAMETER);
        }
}

/* Answers to where nothing may be written. */
static void wild_answers(void)
{
        static const uint64_t wild[] = {0x10, 0x7ffffffff000, 0xffffffff80000000, ~0ull};
        uint64_t there;
        uint32_t word;
        uint8_t *page = last_page();

        for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
                void *to = (void *)wild[i];

                CHECK_EQ(tcg2->get_capability(tcg2, to), INVALID_PARAMETER);
                CHECK_EQ(tcg2->get_event_log(tcg2, 2, to, &there, NULL), INVALID_PARAMETER);
                CHECK_EQ(tcg2->get_event_log(tcg2, 2, &there, to, NULL), INVALID_PARAMETER);
                CHECK_EQ(tcg2->get_event_log(tcg2, 2, &there, &there, to), INVALID_PARAMETER);
                CHECK_EQ(tcg2->get_active_pcr_banks(tcg2, to), INVALID_PARAMETER);
                CHECK_EQ(tcg2->get_result_of_set_active_pcr_banks(tcg2, &word, to),
                                INVALID_PARAMETER);
                CHECK_EQ(tcg2->get_result_of_set_active_pcr_banks(tcg2, to, &word),
                                INVALID_PARAMETER);
        }
        page[4095] = 255; /* Size says 255, behind it is nothing */
        CHECK_EQ(tcg2->get_capability(tcg2, page + 4095), INVALID_PARAMETER);
}

static void set_banks(void)
{
        uint32_t active, present = 9, response = 9;

        CHECK_EQ(tcg2->get_active_pcr_banks(tcg2, &active), SUCCESS);
        CHECK_EQ(active, 15);
        CHECK_EQ(tcg2->set_active_pcr_banks(tcg2, 0), INVALID_PARAMETER);
        CHECK_EQ(tcg2->set_active_pcr_banks(tcg2, 0x10), INVALID_PARAMETER); /* SM3 */
        CHECK_EQ(tcg2->set_active_pcr_banks(tcg2, 0x80000000), INVALID_PARAMETER);
        CHECK_EQ(tcg2->set_active_pcr_banks(tcg2, 2), UNSUPPORTED);
        CHECK_EQ(tcg2->set_active_pcr_banks(tcg2, 1), UNSUPPORTED);
        CHECK_EQ(tcg2->set_active_pcr_banks(tcg2, active), SUCCESS);
        CHECK_EQ(tcg2->get_result_of_set_active_pcr_banks(tcg2, &present, &response), SUCCESS);
        CHECK_EQ(present, 0);
        CHECK_EQ(response, 0);
        CHECK_EQ(tcg2->get_active_pcr_banks(tcg2, &active), SUCCESS);
        CHECK_EQ(active, 15);
}

/* Without the protocol the firmware's own measurements go on. */
static void uninstall_tcg2(void)
{
        static const struct guid g = GUID_TCG2;
        handle h = NULL;
        uint64_t size = sizeof(h);

        CHECK_EQ(bs->locate_handle(BY_PROTOCOL, &g, NULL, &size, &h), SUCCESS);
        CHECK_EQ(bs->uninstall_protocol(h, &g, tcg2), SUCCESS);
        CHECK_EQ(measure(0, 9, EV_IPL, "still", 5), SUCCESS);
}

/* Its functions replaced in memory, its log and the table of the last events overwritten. */
static status lie_back(struct tcg2 *this, uint64_t flags, uint64_t data, uint64_t size,
                struct tcg2_event *event)
{
        (void)this, (void)flags, (void)data, (void)size, (void)event;
        return SUCCESS;
}

static void load_child(void)
{
        uint64_t size;
        void *child = read_file(u"\\child.efi", &size);
        handle h = NULL;

        CHECK_EQ(bs->load_image(false, self, NULL, child, size, &h), SUCCESS);
        CHECK_EQ(bs->unload_image(h), SUCCESS);
}

static void overwrite_tcg2(void)
{
        static const struct guid finals = {0x1e2ed096, 0x30e2, 0x4254,
                        {0xbd, 0x89, 0x86, 0x3b, 0xbe, 0xf8, 0x23, 0x25}};

        CHECK_EQ(look_at_log(), SUCCESS);
        for (uint64_t i = 0; i < st->n_tables; i++)
                if (same_guid(&st->tables[i].guid, &finals))
                        bs->set_mem(st->tables[i].table, 0x8000, 0xaa);
        bs->set_mem((void *)log_start, 0x10000, 0xaa);
        tcg2->hash_log_extend_event = lie_back;
        load_child();
}

/* The memory of its own log is the payload's to free, as in edk2. The next events have no place,
 * and are recorded all the same. */
static void give_log_away(void)
{
        CHECK_EQ(look_at_log(), SUCCESS);
        CHECK_EQ(bs->free_pages(log_start, 16), SUCCESS);
        CHECK_EQ(measure(0, 9, EV_IPL, "nowhere", 7), SUCCESS);
        CHECK_EQ(bs->free_pages(log_start, 16), NOT_FOUND);
        load_child();
}

static void tcg2_after_exit(void)
{
        static struct tcg2_event event = {18, 14, 1, 9, EV_IPL};

        CHECK_EQ(leave_boot_services(), SUCCESS);
        tcg2->hash_log_extend_event(tcg2, 0, (uint64_t)&event, 1, &event);
        CHECK(!"still here");
}

const struct lie tcg2_lies[] = {
                {"every-pcr", every_pcr},
                {"pcr-range", pcr_range},
                {"extend-only", extend_only},
                {"no-action", no_action},
                {"imitate-open", imitate_open},
                {"imitate-close", imitate_close},
                {"imitate-abort", imitate_abort},
                {"imitate-as-text", imitate_as_text},
                {"imitate-hidden", imitate_hidden},
                {"imitate-unmeasured", imitate_unmeasured},
                {"imitate-tag-alone", imitate_tag_alone},
                {"plant-digests", plant_digests},
                {"event-sizes", sizes},
                {"event-at-the-edge", at_the_edge},
                {"data-ranges", data_ranges},
                {"overlapping-event", overlapping},
                {"hash-the-log", hash_the_log},
                {"change-afterwards", change_afterwards},
                {"full-log", full_log},
                {"too-many-events", too_many_events},
                {"too-much-data", too_much_data},
                {"not-pe", not_pe},
                {"unknown-flags", unknown_flags},
                {"wrong-this", wrong_this},
                {"wild-answers", wild_answers},
                {"set-banks", set_banks},
                {"uninstall-tcg2", uninstall_tcg2},
                {"overwrite-tcg2", overwrite_tcg2},
                {"give-log-away", give_log_away},
                {"tcg2-after-exit", tcg2_after_exit},
                {0},
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tickets of what is loaded, on swtpm: shim/tickets. */
#include <errno.h>

#include "base/cleanup.h"
#include "shim/tickets.h"
#include "tests/integration/ticket-fixture.h"
#include "tests/unit/hop-fixture.h"

/* A plan that starts at the TPM's values, staged as load leaves it. */
static bool stage(struct state_dir *dir, struct plan *ret)
{
        struct banks banks = swtpm_banks();
        struct replay now = swtpm_pcrs();
        struct plan_input input = fixture_input(fixture_map, 1u << 11);
        struct staged staged = {.payload = (char *)"/b.efi", .handover = HANDOVER_LOAD};
        bool ok;

        for (size_t i = 0; i < input.n_events; i++) {
                struct tcg_event *event = (struct tcg_event *)&input.events[i];

                if (hash_span(&banks, event->data, &event->digests) < 0)
                        return false;
        }
        input.banks = banks;
        input.start = now.pcr;
        if (state_open(dir, NULL) < 0 || plan_make(&input, ret, NULL) < 0)
                return false;
        staged.plan = *ret;
        ok = staged_write(dir, STATE_PLAN, &staged, NULL) == 0;
        return ok;
}

static void extend_plan(const struct plan *plan, size_t from, size_t to)
{
        for (size_t i = from; i < to; i++)
                CHECK(tpm_pcr_extend(tpm, plan->events[i].event.pcr, &plan->events[i].event.digests,
                                      NULL) == 0);
}

static int put_staged(const struct state_dir *dir, const char *name, const char *text,
                uint32_t pcrs, struct error *error)
{
        struct ticket_rules rules = TICKET_RULES_NONE;

        return tickets_put(tpm, &rules, dir, name, SPAN(text, strlen(text)), pcrs, error);
}

/* Bits of the plan's rows without a ticket; -1: tickets_check's answer isn't of that kind. */
static int missing(const struct state_dir *dir, struct error *error)
{
        struct staged staged = STAGED_NONE;
        uint32_t mask = 0;
        int r = staged_read(dir, STATE_PLAN, &staged, error);

        if (r == 0)
                r = tickets_check(tpm, &staged, &mask, error);
        staged_release(&staged);
        return (r == 0 && !mask) || (r == -ENOKEY && mask) ? (int)mask : -1;
}

static bool unwant(const struct state_dir *dir, const char *name)
{
        struct ticket_rules rules = TICKET_RULES_NONE;
        struct error error;
        bool wanted = false;

        CHECK_EQ(tickets_unwant(tpm, &rules, dir, name, &wanted, &error), 0);
        return wanted;
}

static void a_ticket_of_a_load(void)
{
        struct state_dir dir = STATE_DIR_NONE;
        struct staged staged = STAGED_NONE;
        struct secret secret = {0};
        struct error error = {0};
        struct plan plan;

        REQUIRE(stage(&dir, &plan));
        REQUIRE(put_staged(&dir, "root", "old key", 0, &error) == 0);
        REQUIRE(put_staged(&dir, "root", "key", 0, &error) == 0); /* in the place of the old one */
        REQUIRE(put_staged(&dir, "home", "other", 1u << 7, &error) == 0);
        CHECK_EQ(swtpm_n_indices(), 2);
        REQUIRE(staged_read(&dir, STATE_PLAN, &staged, &error) == 0);
        CHECK_EQ(staged.n_tickets, 2);
        CHECK(strcmp(staged.tickets[0].name, "root") == 0);
        CHECK_EQ(staged.tickets[1].handle, TICKET_BASE + 0x180);
        staged_release(&staged);
        /* all but the last event by hand, then the last, too: whoever may extend may read */
        extend_plan(&plan, 0, plan.n_events - 1);
        CHECK_EQ(get_ticket("root", &secret, &error), -EKEYREJECTED);
        extend_plan(&plan, plan.n_events - 1, plan.n_events);
        REQUIRE(get_ticket("root", &secret, &error) == 0);
        CHECK(secret.size == 3 && memcmp(secret.data, "key", 3) == 0);
        secret_release(&secret);
        swtpm_extend(7, "another PCR 7");
        CHECK_EQ(get_ticket("home", &secret, &error), -EKEYREJECTED);
        plan_release(&plan);
        staged_drop(&dir);
        state_close(&dir);
}

/* As load leaves it that dies before it makes the tickets. */
static void want(const struct state_dir *dir, const char *name)
{
        struct staged staged = STAGED_NONE;

        CHECK_EQ(staged_read(dir, STATE_PLAN, &staged, NULL), 0);
        CHECK_EQ(tickets_want(&staged, name, NULL), 0);
        CHECK_EQ(tickets_want(&staged, name, NULL), 0); /* once is enough */
        CHECK_EQ(staged_write(dir, STATE_PLAN, &staged, NULL), 0);
        staged_release(&staged);
}

static void exec_misses_what_was_asked_for(void)
{
        struct state_dir dir = STATE_DIR_NONE;
        struct ticket_rules rules = TICKET_RULES_NONE;
        struct ticket_target target;
        struct error error = {0};
        struct ticket stray;
        struct plan plan;
        size_t n;

        REQUIRE(stage(&dir, &plan));
        CHECK(tickets_drop_waiting(tpm, &rules, &n, &error) == 0);
        CHECK_EQ(missing(&dir, &error), 0); /* a load without tickets */
        want(&dir, "root");
        want(&dir, "home");
        CHECK_EQ(missing(&dir, &error), 3);
        CHECK(strstr(error.text, "ticket put root"));
        REQUIRE(put_staged(&dir, "root", "key", 0, &error) == 0);
        CHECK_EQ(missing(&dir, &error), 2);
        CHECK(strstr(error.text, "'home'"));
        CHECK(unwant(&dir, "home"));
        CHECK(!unwant(&dir, "home"));
        CHECK_EQ(missing(&dir, &error), 0);
        /* a put that died before the plan had its handle: neither the next put nor a drop lets a
         * second one of that name stay */
        want(&dir, "home");
        REQUIRE(ticket_target(tpm, &plan, 1u << 7, &target, &error) == 0);
        REQUIRE(put_ticket("home", "of the dead", &target.values, &stray, &error) == 0);
        CHECK_EQ(missing(&dir, &error), 2);
        REQUIRE(put_staged(&dir, "home", "other", 0, &error) == 0);
        CHECK_EQ(missing(&dir, &error), 0);
        CHECK_EQ(swtpm_n_indices(), 2);
        REQUIRE(put_ticket("home", "of the dead", &target.values, &stray, &error) == 0);
        CHECK(unwant(&dir, "home"));
        CHECK_EQ(swtpm_n_indices(), 1);
        CHECK(unwant(&dir, NULL));
        CHECK_EQ(swtpm_n_indices(), 0);
        plan_release(&plan);
        staged_drop(&dir);
        state_close(&dir);
}

static void exec_misses_what_became_another(void)
{
        static const struct {
                uint32_t set, clear; /* attributes of what stands in its place */
                uint8_t policy;      /* flipped in its first byte */
                bool there;
                const char *text; /* NULL: nothing is wrong with it */
        } rows[] = {
                        {0, 0, 0, false, "isn't in the TPM"},
                        {0, NV_WRITTEN | NV_WRITELOCKED, 0, true, "has no contents"},
                        {1u << 17, NV_WRITTEN | NV_WRITELOCKED, 0, true, "'ticket put' leaves"},
                        {0, 0, 1, true, "wouldn't open"},
                        {0, 0, 0, true, NULL},
        };
        const uint32_t state = NV_WRITTEN | NV_WRITELOCKED;
        struct state_dir dir = STATE_DIR_NONE;
        struct nv_index index;
        struct error error = {0};
        struct plan plan;

        REQUIRE(stage(&dir, &plan));
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                REQUIRE(put_staged(&dir, "root", "key", 0, &error) == 0);
                REQUIRE(tpm_nv_public(nv, TICKET_BASE + 0x100, &index, &error) == 0);
                CHECK(tpm_nv_undefine(nv, index.handle, &error) == 0);
                index.attributes = ((index.attributes | rows[i].set) & ~rows[i].clear) & ~state;
                index.policy[0] ^= rows[i].policy;
                CHECK(!rows[i].there || tpm_nv_define(nv, &index, &error) == 0);
                if (rows[i].there && !rows[i].clear) {
                        CHECK(tpm_nv_write(nv, &index, SPAN("MKXT\1\4\0\3rootkey", 15), &error) ==
                                        0);
                        CHECK(tpm_nv_write_lock(nv, index.handle, &error) == 0);
                }
                error = (struct error){0};
                CHECK_EQ(missing(&dir, &error), rows[i].text ? 1 : 0);
                CHECK(!rows[i].text || strstr(error.text, rows[i].text));
                CHECK(!rows[i].there || tpm_nv_undefine(nv, index.handle, &error) == 0);
        }
        REQUIRE(put_staged(&dir, "root", "key", 1u << 7, &error) == 0);
        CHECK_EQ(missing(&dir, &error), 0);
        swtpm_extend(7, "after put");
        CHECK_EQ(missing(&dir, &error), 1);
        CHECK(strstr(error.text, "was extended since"));
        CHECK(unwant(&dir, NULL));
        plan_release(&plan);
        staged_drop(&dir);
        state_close(&dir);
}

/* One that is gone stands in the plan still, also when another has its handle: exec misses it. */
static void a_dropped_one_takes_nobody_with_it(void)
{
        struct state_dir dir = STATE_DIR_NONE;
        struct staged staged = STAGED_NONE;
        struct ticket_rules rules = TICKET_RULES_NONE;
        struct error error = {0};
        struct nv_index foreign;
        struct plan plan;
        size_t n;

        REQUIRE(stage(&dir, &plan));
        CHECK(tickets_drop_waiting(tpm, &rules, &n, &error) == 0);
        REQUIRE(put_staged(&dir, "root", "key", 0, &error) == 0);
        REQUIRE(put_staged(&dir, "home", "other", 0, &error) == 0);
        CHECK(ticket_drop(nv, TICKET_BASE + 0x100, &error) == 0);
        REQUIRE(put_staged(&dir, "data", "third", 0, &error) == 0); /* root's handle */
        CHECK_EQ(missing(&dir, &error), 1);
        CHECK(strstr(error.text, "'root' of what is loaded isn't in the TPM"));
        REQUIRE(put_staged(&dir, "root", "key", 0, &error) == 0);
        CHECK_EQ(swtpm_n_indices(), 3);
        REQUIRE(staged_read(&dir, STATE_PLAN, &staged, &error) == 0);
        REQUIRE(staged.n_tickets == 3);
        CHECK(strcmp(staged.tickets[2].name, "data") == 0);
        CHECK_EQ(staged.tickets[2].handle, TICKET_BASE + 0x100);
        CHECK_EQ(staged.tickets[0].handle, TICKET_BASE + 0x20100);
        /* or another program's index has it */
        REQUIRE(tpm_nv_public(nv, TICKET_BASE + 0x20100, &foreign, &error) == 0);
        CHECK(ticket_drop(nv, foreign.handle, &error) == 0);
        foreign.attributes = (foreign.attributes | 1u << 17) &
                             ~(uint32_t)(NV_WRITTEN | NV_WRITELOCKED); /* OWNERREAD */
        REQUIRE(tpm_nv_define(nv, &foreign, &error) == 0);
        REQUIRE(put_staged(&dir, "root", "key", 0, &error) == 0);
        CHECK_EQ(swtpm_n_indices(), 4);
        CHECK(tickets_drop_waiting(tpm, &rules, &n, &error) == 0);
        CHECK_EQ(n, 3);
        CHECK(tpm_nv_undefine(nv, foreign.handle, &error) == 0);
        CHECK_EQ(swtpm_n_indices(), 0);
        staged_release(&staged);
        plan_release(&plan);
        staged_drop(&dir);
        state_close(&dir);
}

static void what_waits_goes_with_the_load(void)
{
        struct state_dir dir = STATE_DIR_NONE;
        struct error error = {0};
        struct ticket ready;
        struct replay now = swtpm_pcrs();
        struct ticket_rules rules = TICKET_RULES_NONE;
        struct plan plan;
        size_t n;

        REQUIRE(stage(&dir, &plan));
        REQUIRE(put_staged(&dir, "root", "key", 0, &error) == 0);
        REQUIRE(put_ticket("mine", "not of the load", &now, &ready, &error) == 0);
        CHECK_EQ(swtpm_n_indices(), 3); /* with the one of the test before */
        CHECK(tickets_drop_waiting(tpm, &rules, &n, &error) == 0);
        CHECK_EQ(n, 2);
        CHECK_EQ(swtpm_n_indices(), 1);
        CHECK(ticket_drop(nv, ready.handle, &error) == 0);
        staged_drop(&dir);
        CHECK_EQ(put_staged(&dir, "root", "key", 0, &error), -ENODATA);
        CHECK(strstr(error.text, "nothing is loaded"));
        CHECK_EQ(swtpm_n_indices(), 0);
        plan_release(&plan);
        state_close(&dir);
}

static void rules_come_from_a_file(void)
{
        static const struct {
                const char *text;
                int wanted;
                uint32_t base;
        } rows[] = {
                        {"", 0, TICKET_BASE},
                        {"nv-base = 0x01900000\n", 0, 0x01900000},
                        {"nv-base = 0x01b00000", 0, 0x01b00000},
                        {"nv-base = 0x01c00000", -EINVAL, 0}, /* not the owner's range */
                        {"nv-base = 0x01910000", -EINVAL, 0},
                        {"nv-base = 0x01700000", -EINVAL, 0},
                        {"nv-base = x", -EINVAL, 0},
                        {"base = 0x01900000", -EINVAL, 0},
                        {"owner-auth = relative", -EINVAL, 0},
                        {"owner-auth = /nonexistent", -ENOENT, 0},
        };
        struct error error = {0};

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct ticket_rules rules = TICKET_RULES_NONE;

                scratch_write("tickets.conf", rows[i].text);
                CHECK_EQ(ticket_rules_open(NULL, &rules, &error), rows[i].wanted);
                CHECK_EQ(rules.base, rows[i].base ?: TICKET_BASE);
                ticket_rules_release(&rules);
        }
        scratch_write("tickets.conf", "");
}

static const struct tap_test tests[] = {
                {"a ticket of a load opens when all of its hop was extended", a_ticket_of_a_load},
                {"tickets that wait go with the load", what_waits_goes_with_the_load},
                {"one that was dropped takes nobody with it", a_dropped_one_takes_nobody_with_it},
                {"exec misses what was asked for", exec_misses_what_was_asked_for},
                {"exec misses what became another", exec_misses_what_became_another},
                {"rules come from a file", rules_come_from_a_file},
};

SWTPM_MAIN(tests)

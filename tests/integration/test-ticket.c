/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a ticket on swtpm. Resets of the TPM are tests/system/test_ticket.py's, tickets of
 * what is loaded test-ticket-load.c's. */
#include <errno.h>

#include <tss2/tss2_esys.h>

#include "base/cleanup.h"
#include "shim/tickets.h"
#include "tests/integration/ticket-fixture.h"

static void life(void)
{
        struct replay values = swtpm_pcrs_after("B");
        struct secret secret = {0};
        struct error error = {0};
        struct ticket ticket, other;

        CHECK_EQ(get_ticket("root", &secret, &error), -ENOENT);
        REQUIRE(put_ticket("root", "the key of the disk", &values, &ticket, &error) == 0);
        CHECK_EQ(ticket.handle, TICKET_BASE + 0x100);
        REQUIRE(put_ticket("swap", "another", &values, &other, &error) == 0);
        CHECK_EQ(other.handle, TICKET_BASE + 0x10100);
        CHECK_EQ(get_ticket("root", &secret, &error), -EKEYREJECTED); /* reading in A */
        CHECK(!secret.data);
        swtpm_extend(8, "B");
        CHECK_EQ(get_ticket("nobody", &secret, &error), -ENOENT);
        CHECK(strstr(error.text, "2 of other names"));
        REQUIRE(get_ticket("root", &secret, &error) == 0);
        CHECK_EQ(secret.size, 19);
        CHECK(memcmp(secret.data, "the key of the disk", 19) == 0);
        secret_release(&secret);
        CHECK_EQ(get_ticket("root", &secret, &error), -ENOENT); /* given up */
        CHECK_EQ(swtpm_n_indices(), 1);
        swtpm_extend(8, "C");
        CHECK_EQ(get_ticket("swap", &secret, &error), -EKEYREJECTED); /* a foreign extend */
        CHECK(ticket_drop(nv, other.handle, &error) == 0);
        CHECK(ticket_drop(nv, other.handle, &error) == 0); /* once more: nothing there */
        CHECK_EQ(swtpm_n_indices(), 0);
}

static void a_locked_ticket_stays_shut(void)
{
        struct replay values = swtpm_pcrs();
        struct secret secret = {0};
        struct error error = {0};
        struct ticket ticket, list[4];
        size_t n = 4;
        char name[TICKET_NAME_MAX + 1];

        REQUIRE(put_ticket("root", "key", &values, &ticket, &error) == 0);
        REQUIRE(ticket_list(nv, TICKET_BASE, &values, list, &n, &error) == 0);
        REQUIRE(n == 1);
        CHECK_EQ(list[0].state, TICKET_READY);
        CHECK(ticket_name(nv, &list[0], &values, name, &error) == 0);
        CHECK(strcmp(name, "root") == 0);
        CHECK(ticket_lock(nv, &list[0], &values, &error) == 0);
        CHECK_EQ(get_ticket("root", &secret, &error), -EBUSY);
        CHECK(strstr(error.text, "already used"));
        CHECK(ticket_drop(nv, ticket.handle, &error) == 0);
}

/* How many TPM2_PolicyPCR are left alone, and behind how many of those that follow something
 * extends a PCR. */
static int quiet_policies, busy_policies;

TSS2_RC __real_Esys_PolicyPCR(ESYS_CONTEXT *esys, ESYS_TR session, ESYS_TR a, ESYS_TR b, ESYS_TR c,
                const TPM2B_DIGEST *digest, const TPML_PCR_SELECTION *pcrs);
TSS2_RC __wrap_Esys_PolicyPCR(ESYS_CONTEXT *esys, ESYS_TR session, ESYS_TR a, ESYS_TR b, ESYS_TR c,
                const TPM2B_DIGEST *digest, const TPML_PCR_SELECTION *pcrs);

TSS2_RC __wrap_Esys_PolicyPCR(ESYS_CONTEXT *esys, ESYS_TR session, ESYS_TR a, ESYS_TR b, ESYS_TR c,
                const TPM2B_DIGEST *digest, const TPML_PCR_SELECTION *pcrs)
{
        TSS2_RC rc = __real_Esys_PolicyPCR(esys, session, a, b, c, digest, pcrs);

        if (quiet_policies > 0)
                quiet_policies--;
        else if (busy_policies > 0) {
                busy_policies--;
                swtpm_extend(15, "meanwhile");
        }
        return rc;
}

/* TPM_RC_PCR_CHANGED, whichever PCR it was: tried eight times. */
static void pcrs_that_change_meanwhile(void)
{
        struct replay values = swtpm_pcrs();
        struct secret secret = {0};
        struct error error = {0};
        struct ticket ticket;
        char text[400] = "";

        /* header and name, the rest of a long one, lock */
        memset(text, 'k', sizeof(text) - 1);
        for (int step = 0; step < 3; step++) {
                REQUIRE(put_ticket("root", text, &values, &ticket, &error) == 0);
                quiet_policies = step;
                busy_policies = 8;
                CHECK_EQ(get_ticket("root", &secret, &error), -EAGAIN);
                CHECK(strstr(error.text, "8 times"));
                CHECK(!secret.data);
                CHECK_EQ(busy_policies, 0); /* not once more */
                quiet_policies = step;
                busy_policies = 7;
                REQUIRE(get_ticket("root", &secret, &error) == 0);
                CHECK_EQ(busy_policies, 0);
                secret_release(&secret);
        }
        CHECK_EQ(swtpm_n_indices(), 0);
}

/* What the owner alone can do; each is told apart. */
static void swapped_indices_are_refused(void)
{
        static const struct {
                uint32_t attributes;
                const char *contents;
                bool lock;
                int wanted;
        } rows[] = {
                        {0, "MKXT\1\4\0\3rootkey", false, -EPROTO}, /* may still be rewritten */
                        {1u << 2, "MKXT\1\4\0\3rootkey", true, -EPROTO},  /* AUTHWRITE */
                        {1u << 17, "MKXT\1\4\0\3rootkey", true, -EPROTO}, /* OWNERREAD */
                        {0, "MKXT\2\4\0\3rootkey", true, -EPROTO},        /* contents */
                        {0, "MKXT\1\4\0\4rootkey", true, -EPROTO},
                        {0, "MKXT\1\0\0\7rootkey", true, -EPROTO},
                        {0, "NKXT\1\4\0\3rootkey", true, -EPROTO},
                        {0, "MKXT\1\4\0\3ro/tkey", true, -EPROTO},
                        {0, "MKXT\1\4\0\3rootkey", true, 0}, /* the owner can make a ticket */
        };
        struct replay now = swtpm_pcrs();
        struct secret secret = {0};
        struct error error = {0};
        struct ticket genuine;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct nv_index index;

                REQUIRE(put_ticket("root", "key", &now, &genuine, &error) == 0);
                index = genuine.index;
                CHECK(tpm_nv_undefine(nv, index.handle, &error) == 0);
                index.attributes &= ~(uint32_t)(NV_WRITTEN | NV_WRITELOCKED);
                index.attributes |= rows[i].attributes;
                REQUIRE(tpm_nv_define(nv, &index, &error) == 0);
                CHECK(tpm_nv_write(nv, &index, SPAN(rows[i].contents, 15), &error) == 0);
                if (rows[i].lock)
                        CHECK(tpm_nv_write_lock(nv, index.handle, &error) == 0);
                CHECK_EQ(get_ticket("root", &secret, &error), rows[i].wanted);
                secret_release(&secret);
                CHECK_EQ(ticket_drop(nv, index.handle, &error), rows[i].attributes ? -EPROTO : 0);
                if (rows[i].attributes) /* another program's stays */
                        CHECK(tpm_nv_undefine(nv, index.handle, &error) == 0);
        }
}

/* A put that died before its end, and a drop that died over the zeros. tests/faults lets them. */
static void unfinished_ones_are_cleaned(void)
{
        struct replay now = swtpm_pcrs(), later = swtpm_pcrs_after("unfinished");
        struct ticket_rules rules = TICKET_RULES_NONE;
        struct secret secret = {0};
        struct error error = {0};
        struct ticket made, list[4];
        size_t n;

        for (size_t i = 0; i < 4; i++) {
                bool zeros = i & 1, written = i & 2;
                struct nv_index index;

                REQUIRE(put_ticket("root", "key", written ? &now : &later, &made, &error) == 0);
                index = made.index;
                CHECK(ticket_drop(nv, index.handle, &error) == 0);
                index.attributes &= ~(uint32_t)(NV_WRITTEN | NV_WRITELOCKED);
                index.attributes &= ~(uint32_t)(zeros ? NV_WRITE_STCLEAR : 0);
                REQUIRE(tpm_nv_define(nv, &index, &error) == 0);
                if (written)
                        CHECK(tpm_nv_write(nv, &index, SPAN("MKXT\1\4\0\3rootkey", 15), &error) ==
                                        0);
                n = 4;
                REQUIRE(ticket_list(nv, TICKET_BASE, &now, list, &n, &error) == 0);
                REQUIRE(n == 1);
                CHECK_EQ(list[0].state, written ? TICKET_UNFINISHED : TICKET_EMPTY);
                CHECK_EQ(list[0].opens, written);
                CHECK_EQ(get_ticket("root", &secret, &error), written ? -EPROTO : -ENODATA);
                if (written) { /* nobody reads it afterwards, all the same */
                        CHECK(ticket_lock(nv, &list[0], &now, &error) == 0);
                        CHECK_EQ(get_ticket("root", &secret, &error), -EBUSY);
                }
                CHECK(tickets_drop_waiting(tpm, &rules, &n, &error) == 0);
                CHECK_EQ(n, 0);
                CHECK_EQ(swtpm_n_indices(), 0);
        }
}

/* The owner puts another index in its place between define and write. */
static void a_secret_goes_nowhere_else(void)
{
        struct nv_index wanted = {TICKET_BASE + 0x100, NV_OWNERWRITE | NV_POLICYREAD, {1}, 15};
        struct nv_index swapped = wanted, found;
        struct error error = {0};

        swapped.attributes |= 1u << 17; /* OWNERREAD */
        REQUIRE(tpm_nv_define(nv, &swapped, &error) == 0);
        CHECK_EQ(tpm_nv_write(nv, &wanted, SPAN("MKXT\1\4\0\3rootkey", 15), &error), -EPROTO);
        CHECK(strstr(error.text, "became another one"));
        REQUIRE(tpm_nv_public(nv, swapped.handle, &found, &error) == 0);
        CHECK_EQ(found.attributes, swapped.attributes); /* not written */
        CHECK(tpm_nv_undefine(nv, swapped.handle, &error) == 0);
}

/* Slots in order: malformed, locked, for others, and one that is ready. */
static void each_is_told_apart(void)
{
        struct replay now = swtpm_pcrs(), other = swtpm_pcrs_after("of another kernel");
        struct secret secret = {0};
        struct error error = {0};
        struct ticket first, used, waiting, ready, list[8];
        size_t n = 8;

        REQUIRE(put_ticket("root", "key", &now, &first, &error) == 0);
        REQUIRE(put_ticket("used", "key", &now, &used, &error) == 0);
        REQUIRE(put_ticket("wait", "key", &other, &waiting, &error) == 0);
        REQUIRE(put_ticket("good", "key", &now, &ready, &error) == 0);
        CHECK(tpm_nv_undefine(nv, first.handle, &error) == 0);
        first.index.attributes &= ~(uint32_t)(NV_WRITTEN | NV_WRITELOCKED);
        REQUIRE(tpm_nv_define(nv, &first.index, &error) == 0);
        CHECK(tpm_nv_write(nv, &first.index, SPAN("MKXT\2\4\0\3rootkey", 15), &error) == 0);
        CHECK(tpm_nv_write_lock(nv, first.handle, &error) == 0);
        REQUIRE(ticket_list(nv, TICKET_BASE, &now, list, &n, &error) == 0);
        REQUIRE(n == 4);
        CHECK(ticket_lock(nv, &list[1], &now, &error) == 0);
        CHECK_EQ(get_ticket("root", &secret, &error), -EKEYREJECTED);
        CHECK(strstr(error.text, "0x01a20100 is for other PCR values"));
        CHECK(strstr(error.text, "0x01a10100 was already used"));
        CHECK(strstr(error.text, "0x01a00100 isn't as 'ticket put' leaves one"));
        CHECK(strstr(error.text, "1 of other names is there"));
        REQUIRE(get_ticket("good", &secret, &error) == 0); /* the malformed one doesn't hide it */
        secret_release(&secret);
        CHECK(ticket_drop(nv, waiting.handle, &error) == 0);
        CHECK_EQ(get_ticket("root", &secret, &error), -EBUSY);
        CHECK(ticket_drop(nv, used.handle, &error) == 0);
        CHECK_EQ(get_ticket("root", &secret, &error), -EPROTO);
        CHECK(ticket_drop(nv, first.handle, &error) == 0);
        CHECK_EQ(get_ticket("root", &secret, &error), -ENOENT);
        CHECK(strstr(error.text, "there is none at all"));
        CHECK_EQ(swtpm_n_indices(), 0);
}

static void limits(void)
{
        static char text[2100];
        struct replay now = swtpm_pcrs();
        struct ticket tickets[TICKET_SLOTS + 1];
        struct secret secret = {0};
        struct error error = {0};
        size_t most = tpm_nv_limit(nv) - 8 - 4;

        memset(text, 'k', sizeof(text));
        CHECK_EQ(ticket_put(nv, TICKET_BASE, "root", SPAN(text, most + 1), &now, 1u << 8,
                                 &tickets[0], &error),
                        -EMSGSIZE);
        CHECK(strstr(error.text, "2036") != NULL); /* 2048 - header - name: what libtpms takes */
        REQUIRE(ticket_put(nv, TICKET_BASE, "root", SPAN(text, most), &now, 1u << 8, &tickets[0],
                                &error) == 0);
        REQUIRE(get_ticket("root", &secret, &error) == 0);
        CHECK(secret.size == most && memcmp(secret.data, text, most) == 0);
        secret_release(&secret);
        CHECK_EQ(put_ticket("root", "", &now, &tickets[0], &error), -EINVAL);
        CHECK_EQ(put_ticket("ro/ot", "k", &now, &tickets[0], &error), -EINVAL);
        for (size_t i = 0; i < TICKET_SLOTS; i++)
                REQUIRE(put_ticket("root", "k", &now, &tickets[i], &error) == 0);
        CHECK_EQ(put_ticket("root", "k", &now, &tickets[TICKET_SLOTS], &error), -ENOSPC);
        CHECK(strstr(error.text, "are taken"));
        for (size_t i = 0; i < TICKET_SLOTS; i++)
                CHECK(ticket_drop(nv, tickets[i].handle, &error) == 0);
        CHECK_EQ(swtpm_n_indices(), 0);
}

static void a_full_tpm_is_left_as_it_was(void)
{
        static const char text[2000] = "k";
        struct replay now = swtpm_pcrs();
        struct ticket tickets[TICKET_SLOTS * 8];
        struct error error = {0};
        size_t n = 0, before;
        int r = 0;

        for (uint32_t pcr = 0; r == 0 && n < ARRAY_SIZE(tickets); n += r == 0)
                r = ticket_put(nv, TICKET_BASE, "root", SPAN(text, sizeof(text)), &now,
                                1u << 8 | (++pcr % 8 ? 1u << pcr % 8 : 0), &tickets[n], &error);
        CHECK_EQ(r, -ENOSPC);
        CHECK(strstr(error.text, "NV memory is full"));
        before = swtpm_n_indices();
        CHECK_EQ(before, n);
        for (size_t i = 0; i < n; i++) /* no room to overwrite them may be left either */
                tpm_nv_undefine(nv, tickets[i].handle, &error);
        CHECK_EQ(swtpm_n_indices(), 0);
}

static void an_owner_with_a_password(void)
{
        TPM2B_AUTH password = {4, "open"}, none = {0};
        ESYS_CONTEXT *esys = tpm_esys_context(tpm);
        struct replay now = swtpm_pcrs();
        struct error error = {0};
        struct ticket ticket;

        REQUIRE(Esys_HierarchyChangeAuth(esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                ESYS_TR_NONE, &password) == TSS2_RC_SUCCESS);
        tpm_nv_close(nv);
        REQUIRE(tpm_nv_open(tpm, SPAN("shut", 4), &nv, &error) == 0);
        CHECK_EQ(put_ticket("root", "key", &now, &ticket, &error), -EACCES);
        CHECK(strstr(error.text, "another password"));
        CHECK_EQ(swtpm_n_indices(), 0);
        tpm_nv_close(nv);
        REQUIRE(tpm_nv_open(tpm, SPAN("open", 4), &nv, &error) == 0);
        CHECK(put_ticket("root", "key", &now, &ticket, &error) == 0);
        CHECK(ticket_drop(nv, ticket.handle, &error) == 0);
        Esys_TR_SetAuth(esys, ESYS_TR_RH_OWNER, &password);
        CHECK(Esys_HierarchyChangeAuth(esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                              ESYS_TR_NONE, &none) == TSS2_RC_SUCCESS);
        tpm_nv_close(nv);
        REQUIRE(tpm_nv_open(tpm, SPAN(NULL, 0), &nv, &error) == 0);
}

static const struct tap_test tests[] = {
                {"a ticket opens for the predicted PCR 8, once", life},
                {"a locked ticket stays shut", a_locked_ticket_stays_shut},
                {"PCRs that change meanwhile", pcrs_that_change_meanwhile},
                {"swapped indices are refused", swapped_indices_are_refused},
                {"unfinished ones are cleaned", unfinished_ones_are_cleaned},
                {"a secret goes to no other index", a_secret_goes_nowhere_else},
                {"what there is instead is told apart", each_is_told_apart},
                {"limits of secret, name and slots", limits},
                {"a full TPM is left as it was", a_full_tpm_is_left_as_it_was},
                {"an owner with a password", an_owner_with_a_password},
};

SWTPM_MAIN(tests)

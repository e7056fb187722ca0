/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/boot-phases.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/json-writer.h"
#include "shim/handover/sysfs.h"

#define PHASE_PCR 11

/* systemd-pcrphase.service(8): in the order of a boot and its end. Which of them are measured
 * depends on whether systemd runs in the initrd, and on how far the boot came. */
static const char *const words[] = {
                "enter-initrd", "leave-initrd", "sysinit", "ready", "shutdown", "final"};

#define N_CHOICES (1u << ARRAY_SIZE(words))

struct phases {
        struct banks banks;
        struct digests word[ARRAY_SIZE(words)];
        struct digest before, now; /* in the first bank that the kernel shows */
        size_t bank;
};

static bool read_pcr(const char *sysfs_root, const struct alg *alg, struct digest *ret)
{
        _cleanup_buf_ struct buf text = {0};
        char name[64];

        snprintf(name, sizeof(name), "class/tpm/tpm0/pcr-%s/%d", alg->name, PHASE_PCR);
        if (sysfs_read(&text, 256, NULL, sysfs_root, "%s", name) < 0)
                return false;
        while (text.size > 0 && text.data[text.size - 1] <= ' ')
                text.size--;
        buf_put_u8(&text, 0);
        *ret = (struct digest){.alg = alg};
        return !buf_failed(&text) && hex_decode((const char *)text.data, ret->bytes, alg->size);
}

/* False: there is nothing to find. */
static bool start(const char *sysfs_root, const struct chain *chain, struct phases *p)
{
        struct chain_result result;

        if (chain->firmware.size == 0 || chain_replay(chain, NULL, NULL, &result, NULL) < 0)
                return false;
        p->banks = result.replay.banks;
        for (p->bank = 0; p->bank < p->banks.n; p->bank++)
                if (read_pcr(sysfs_root, p->banks.alg[p->bank], &p->now))
                        break;
        if (p->bank == p->banks.n)
                return false;
        p->before = result.replay.pcr[p->bank][PHASE_PCR];
        return memcmp(p->before.bytes, p->now.bytes, p->now.alg->size) != 0;
}

/* choice: a bit for each word. */
static int gives_what_it_reads(const struct phases *p, unsigned choice, bool *ret)
{
        struct digest pcr = p->before;

        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                int r = choice & 1u << i ? digest_extend(&pcr, &p->word[i].d[p->bank]) : 0;

                if (r < 0)
                        return r;
        }
        *ret = memcmp(pcr.bytes, p->now.bytes, pcr.alg->size) == 0;
        return 0;
}

static void put_record(const struct phases *p, size_t i, struct buf *ret)
{
        struct json_writer json = {.out = ret, .first = true};

        buf_put_u8(ret, 0x1e);
        json_open(&json, NULL, "{");
        json_member_number(&json, "pcr", PHASE_PCR);
        json_open(&json, "digests", "[");
        for (size_t b = 0; b < p->banks.n; b++) {
                json_open(&json, NULL, "{");
                json_member_text(&json, "hashAlg",
                                SPAN(p->banks.alg[b]->name, strlen(p->banks.alg[b]->name)));
                json_member_hex(&json, "digest",
                                SPAN(p->word[i].d[b].bytes, p->banks.alg[b]->size));
                json_close(&json, "}");
        }
        json_close(&json, "]");
        json_member_text(&json, "content_type", SPAN("systemd", 7));
        json_open(&json, "content", "{");
        json_member_text(&json, "string", SPAN(words[i], strlen(words[i])));
        json_member_text(&json, "eventType", SPAN("phase", 5));
        json_member_text(&json, "foundBy", SPAN("mkexec", 6));
        json_close(&json, "}");
        json_close(&json, "}");
        buf_put_u8(ret, '\n');
}

int boot_phases_find(const char *sysfs_root, const struct chain *chain, struct buf *ret,
                struct error *error)
{
        struct phases p = {0};
        bool found = false;
        unsigned choice;
        int r = 0;

        if (!start(sysfs_root, chain, &p))
                return 0;
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(words); i++)
                r = hash_span(&p.banks, SPAN(words[i], strlen(words[i])), &p.word[i]);
        for (choice = 1; r == 0 && choice < N_CHOICES; choice++) {
                r = gives_what_it_reads(&p, choice, &found);
                if (found)
                        break;
        }
        if (r < 0)
                return error_set(error, -r, "can't hash systemd's phases: %s", strerror(-r));
        for (size_t i = 0; found && i < ARRAY_SIZE(words); i++)
                if (choice & 1u << i)
                        put_record(&p, i, ret);
        return buf_failed(ret) ? error_set(error, ENOMEM, "out of memory") : 0;
}

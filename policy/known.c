/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/known.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct entry {
        uint8_t name[TPM_NAME_MAX_BYTES]; /* of the key */
        size_t name_bytes;                /* 0: a free place */
        struct buf bytes;                 /* the logs */
        struct evidence evidence;         /* of it only logs and values, which point into bytes */
        struct verdict judged;            /* of it only what was judged; its spans, too */
        int result;
        struct buf text[2]; /* by whether the whole is trusted */
};

#define WAYS 4 /* places that a key may have: two of one place would drive each other out */

struct known {
        size_t n_sets, bytes_each, next_way;
        struct entry entries[];
};

static void entry_release(struct entry *e)
{
        verdict_release(&e->judged);
        buf_release(&e->bytes);
        buf_release(&e->text[0]);
        buf_release(&e->text[1]);
        *e = (struct entry){0};
}

int known_new(size_t n, size_t bytes_each, struct known **ret)
{
        size_t n_sets = (n + WAYS - 1) / WAYS;
        struct known *known = calloc(1, sizeof(*known) + n_sets * WAYS * sizeof(struct entry));

        if (!known)
                return -ENOMEM;
        known->n_sets = n_sets;
        known->bytes_each = bytes_each;
        *ret = known;
        return 0;
}

void known_free(struct known *known)
{
        for (size_t i = 0; known && i < known->n_sets * WAYS; i++)
                entry_release(&known->entries[i]);
        free(known);
}

/* By the key's Name, which ends in a digest: its WAYS places. */
static struct entry *set_of(struct known *known, const struct verdict *verdict)
{
        uint64_t number;

        memcpy(&number, verdict->ak->name.data + verdict->ak->name.size - sizeof(number),
                        sizeof(number));
        return &known->entries[number % known->n_sets * WAYS];
}

static bool is_of(const struct entry *e, const struct verdict *verdict)
{
        return e->name_bytes > 0 && span_equal(SPAN(e->name, e->name_bytes), verdict->ak->name);
}

/* The key's own place, or a free one, or somebody's. */
static struct entry *place_for(struct known *known, const struct verdict *verdict)
{
        struct entry *set = set_of(known, verdict), *free_one = NULL;

        for (size_t i = 0; i < WAYS; i++) {
                if (is_of(&set[i], verdict))
                        return &set[i];
                if (set[i].name_bytes == 0)
                        free_one = &set[i];
        }
        return free_one ?: &set[known->next_way++ % WAYS];
}

/* ---- the same? ---- */

static bool same_values(const struct replay *a, const struct replay *b)
{
        if (a->banks.n != b->banks.n)
                return false;
        for (size_t i = 0; i < a->banks.n; i++) {
                if (a->banks.alg[i] != b->banks.alg[i] || a->measured[i] != b->measured[i])
                        return false;
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        if ((a->measured[i] & 1u << pcr) &&
                                        memcmp(a->pcr[i][pcr].bytes, b->pcr[i][pcr].bytes,
                                                        a->banks.alg[i]->size) != 0)
                                return false;
        }
        return true;
}

static bool same_systemd(const struct evidence_systemd *a, const struct evidence_systemd *b)
{
        return a->boot == b->boot && a->incomplete == b->incomplete && a->cut == b->cut &&
               a->lost == b->lost && span_equal(a->log, b->log);
}

static bool same(const struct evidence *a, const struct evidence *b)
{
        if (!span_equal(a->firmware_log, b->firmware_log) || !span_equal(a->ima, b->ima) ||
                        a->n_systemd != b->n_systemd || !same_values(&a->pcrs, &b->pcrs))
                return false;
        for (size_t i = 0; i < a->n_systemd; i++)
                if (!same_systemd(&a->systemd[i], &b->systemd[i]))
                        return false;
        return true;
}

/* ---- borrowing ---- */

static void borrow(struct verdict *to, struct entry *e)
{
        const struct verdict *from = &e->judged;

        to->kind = from->kind;
        to->word = from->word;
        to->reason = from->reason;
        to->judged = from->judged;
        to->bank = from->bank;
        to->weak = from->weak;
        to->logs = from->logs;
        to->plain_kexec = from->plain_kexec;
        to->unexplained = from->unexplained;
        to->boots = from->boots;
        to->n_boots = from->n_boots;
        to->borrowed = true;
        to->kept_text = e->text;
}

bool known_find(struct known *known, const struct evidence *evidence, struct verdict *verdict,
                int *ret_result)
{
        struct entry *set = set_of(known, verdict);

        for (size_t i = 0; i < WAYS; i++)
                if (is_of(&set[i], verdict) && same(&set[i].evidence, evidence)) {
                        borrow(verdict, &set[i]);
                        *ret_result = set[i].result;
                        return true;
                }
        return false;
}

/* ---- keeping ---- */

static size_t log_bytes(const struct evidence *evidence)
{
        size_t size = evidence->firmware_log.size + evidence->ima.size;

        for (size_t i = 0; i < evidence->n_systemd; i++)
                size += evidence->systemd[i].log.size;
        return size;
}

/* There is room: nothing moves. */
static struct span keep(struct buf *bytes, struct span span)
{
        size_t start = bytes->size;

        buf_put_span(bytes, span);
        return SPAN(bytes->data + start, span.size);
}

static void keep_evidence(struct entry *e, const struct evidence *evidence)
{
        struct evidence *to = &e->evidence;

        to->pcrs = evidence->pcrs;
        to->firmware_log = keep(&e->bytes, evidence->firmware_log);
        to->ima = keep(&e->bytes, evidence->ima);
        to->n_systemd = evidence->n_systemd;
        for (size_t i = 0; i < evidence->n_systemd; i++) {
                to->systemd[i] = evidence->systemd[i];
                to->systemd[i].log = keep(&e->bytes, evidence->systemd[i].log);
        }
}

/* What is told of a boot lies in the firmware's log. */
static void move_spans(struct verdict *judged, struct span from, struct span to)
{
        for (size_t i = 0; i < judged->n_boots; i++) {
                struct verdict_boot *boot = &judged->boots[i];

                for (size_t k = 0; k < boot->n_lines; k++)
                        boot->lines[k].text.data = to.data + (boot->lines[k].text.data - from.data);
                for (size_t k = 0; k < boot->n_authorities; k++)
                        boot->authorities[k].data = to.data +
                                                    (boot->authorities[k].data - from.data);
        }
}

void known_put(struct known *known, const struct evidence *evidence, struct verdict *verdict,
                int result)
{
        size_t size = log_bytes(evidence);
        struct entry *e;

        if (size == 0 || size > known->bytes_each || (result != 0 && result != -EPERM))
                return;
        e = place_for(known, verdict);
        entry_release(e);
        if (!buf_reserve(&e->bytes, size))
                return;
        e->name_bytes = verdict->ak->name.size;
        memcpy(e->name, verdict->ak->name.data, e->name_bytes);
        keep_evidence(e, evidence);
        e->judged = *verdict;
        e->result = result;
        move_spans(&e->judged, evidence->firmware_log, e->evidence.firmware_log);
        borrow(verdict, e);
}

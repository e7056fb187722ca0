/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/known.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct entry {
        struct buf bytes;         /* the logs */
        struct evidence evidence; /* of it only logs and values, which point into bytes */
        struct verdict judged;    /* of it only what was judged; its spans, too */
        int result;
        struct buf text[2]; /* by whether the whole is trusted */
};

struct known {
        size_t n, bytes_each;
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
        struct known *known = calloc(1, sizeof(*known) + n * sizeof(struct entry));

        if (!known)
                return -ENOMEM;
        known->n = n;
        known->bytes_each = bytes_each;
        *ret = known;
        return 0;
}

void known_free(struct known *known)
{
        for (size_t i = 0; known && i < known->n; i++)
                entry_release(&known->entries[i]);
        free(known);
}

/* By the key's Name, which ends in a digest. */
static struct entry *entry_of(struct known *known, const struct verdict *verdict)
{
        uint64_t slot;

        memcpy(&slot, verdict->ak->name.data + verdict->ak->name.size - sizeof(slot), sizeof(slot));
        return &known->entries[slot % known->n];
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
        struct entry *e = entry_of(known, verdict);

        if (!e->bytes.data || !same(&e->evidence, evidence))
                return false;
        borrow(verdict, e);
        *ret_result = e->result;
        return true;
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
        struct entry *e = entry_of(known, verdict);
        size_t size = log_bytes(evidence);

        if (size == 0 || size > known->bytes_each || (result != 0 && result != -EPERM))
                return;
        entry_release(e);
        if (!buf_reserve(&e->bytes, size))
                return;
        keep_evidence(e, evidence);
        e->judged = *verdict;
        e->result = result;
        move_spans(&e->judged, evidence->firmware_log, e->evidence.firmware_log);
        borrow(verdict, e);
}

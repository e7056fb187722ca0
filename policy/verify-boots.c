/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who ran, and what the log tells of it that was measured: an event counts only if its data
 * explains its digest. Its type counts only within a hop, where the ledger binds it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/body-parts.h"
#include "eventlog/hop.h"
#include "eventlog/uefi-event.h"
#include "policy/verify-parts.h"

#define SECURE_BOOT_PCR   7
#define GRUB_PCR          8
#define KERNEL_CONFIG_PCR 12 /* systemd-stub's command lines */
#define GRUB_COMMAND_LINE "kernel_cmdline: "

struct boots {
        struct verify *v;
        struct verdict_boot *boot;
        size_t n;
        struct replay firmware; /* of PCRs by which references know firmware's boot */
        bool separated;         /* PCR 7 has its separator: images are started behind it */

        bool in_hop;
        struct hop_open open;
        size_t n_open, step;
};

void boots_free(struct boots *boots)
{
        if (boots)
                free(boots->boot);
        free(boots);
}

static int add_boot(struct boots *b)
{
        struct verdict_boot *grown = b->boot;

        /* doubled at each power of two */
        if ((b->n & (b->n - 1)) == 0) {
                grown = realloc(b->boot, (b->n ? 2 * b->n : 1) * sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
        }
        b->boot = grown;
        b->boot[b->n++] = (struct verdict_boot){0};
        return 0;
}

int boots_new(struct verify *v, struct boots **ret)
{
        const struct banks bank = {1, {v->verdict->bank}};
        struct boots *b = calloc(1, sizeof(*b));

        if (!b || add_boot(b) < 0) {
                boots_free(b);
                return error_set(v->error, ENOMEM, "out of memory");
        }
        b->v = v;
        replay_start(&b->firmware, &bank);
        *ret = b;
        return 0;
}

/* ---- what events tell ---- */

static void add_line(struct verdict_boot *boot, struct span text, enum text_encoding encoding)
{
        if (boot->n_lines == VERDICT_LINES_MAX)
                boot->cut = true;
        else
                boot->lines[boot->n_lines++] = (struct verdict_text){text, encoding};
}

static void tell_line(struct verdict_boot *boot, const struct tcg_event *event, uint32_t pcr)
{
        const size_t prefix = strlen(GRUB_COMMAND_LINE);
        enum text_encoding encoding;
        struct span text;

        if (!text_recognize(event->data, &text, &encoding))
                return;
        if (pcr == KERNEL_CONFIG_PCR)
                add_line(boot, text, encoding);
        else if (encoding == TEXT_UTF8 && text.size >= prefix &&
                        memcmp(text.data, GRUB_COMMAND_LINE, prefix) == 0)
                add_line(boot, SPAN(text.data + prefix, text.size - prefix), encoding);
}

static void tell_authority(struct verdict_boot *boot, const struct tcg_event *event)
{
        struct uefi_variable variable = {0};

        if (uefi_variable_read(event->data, &variable, NULL) < 0)
                return;
        if (boot->n_authorities == VERDICT_AUTHORITIES_MAX)
                boot->cut = true;
        else
                boot->authorities[boot->n_authorities++] = event->data;
}

static bool is_separator(const struct tcg_event *event)
{
        return event->data.size == 4 && memcmp(event->data.data, "\0\0\0\0", 4) == 0;
}

/* pcr: the one that the payload named. */
static void tell(struct boots *b, const struct check_event *event, uint32_t pcr)
{
        struct verdict_boot *boot = &b->boot[b->n - 1];
        const struct tcg_event *tcg = event->tcg;

        if (event->status != CHECK_VERIFIED)
                return;
        if (pcr == KERNEL_CONFIG_PCR || pcr == GRUB_PCR)
                tell_line(boot, tcg, pcr);
        else if (pcr == SECURE_BOOT_PCR && b->in_hop && tcg->type == EV_EFI_VARIABLE_AUTHORITY)
                tell_authority(boot, tcg);
        else if (pcr == SECURE_BOOT_PCR && !b->in_hop && b->separated)
                tell_authority(boot, tcg);
        else if (pcr == SECURE_BOOT_PCR && !b->in_hop && is_separator(tcg))
                b->separated = true;
}

/* ---- the walk ---- */

static int begin(struct boots *b, const struct tcg_event *event)
{
        int r = hop_open_decode(event->data, &b->open, NULL);

        if (r == -EBADMSG)
                return 0; /* the judge of hops says so */
        if (r < 0)
                return r;
        b->in_hop = true;
        b->n_open = (size_t)__builtin_popcount(hop_open_pcrs(&b->open));
        b->step = 1;
        return add_boot(b);
}

static void in_hop(struct boots *b, const struct check_event *event)
{
        size_t step = b->step++;

        if (step >= b->n_open && step - b->n_open < b->open.n_events &&
                        hop_is_own(event->tcg) == HOP_NONE)
                tell(b, event, hop_ledger_at(&b->open, step - b->n_open).payload_pcr);
}

int boots_event(void *boots, const struct check_event *event)
{
        struct boots *b = boots;
        const struct tcg_event *tcg = event->tcg;

        if (!tcg || tcg->type == EV_NO_ACTION)
                return 0;
        if (tcg->pcr == HOP_PCR && hop_is_own(tcg) == HOP_OPEN)
                return begin(b, tcg);
        if (b->in_hop)
                return in_hop(b, event), 0;
        tell(b, event, tcg->pcr);
        return b->v->input->references && tcg->pcr < PCR_COUNT && (REFERENCE_VIEW & 1u << tcg->pcr)
                               ? replay_extend(&b->firmware, tcg)
                               : 0;
}

/* ---- what references say ---- */

static int ask_references(struct boots *b, size_t i, struct verdict_boot *boot)
{
        const struct reference_set *set = b->v->input->references;
        const struct verify_policy *policy = b->v->input->policy;
        uint16_t bank = b->v->verdict->bank->id;
        int r = i == 0 ? reference_match_firmware(
                                         set, &b->firmware, bank, &boot->found, b->v->error)
                       : reference_match_hop(set, &b->v->log, boot->hop, bank, &boot->found,
                                         b->v->error);

        if (r < 0)
                return r;
        boot->found_known = true;
        boot->known = boot->found.match == REFERENCE_WHOLE;
        if (i == 0 && policy->first_boot_pcrs && boot->found.match != REFERENCE_UNKNOWN)
                boot->known |= (boot->found.equal & policy->first_boot_pcrs) ==
                               policy->first_boot_pcrs;
        boot->trusted = boot->known ||
                        (i == 0 ? policy->first_boot_pcrs == 0 : policy->unknown_kernels);
        if (i > 0)
                boot->trusted &= boot[-1].trusted;
        return 0;
}

/* A boot is reported by the kernel that ran before it: an aborted hop started none. */
static size_t reporter(const struct hop_verdict *hops, size_t i)
{
        size_t boot = i;

        while (boot > 1 && hops->hops[boot - 2].aborted)
                boot--;
        return boot;
}

int boots_end(struct boots *b, bool holds)
{
        const struct hop_verdict *hops = &b->v->verdict->logs.hops;
        int r = 0;

        if (b->n > hops->n_hops + 1)
                b->n = hops->n_hops + 1; /* the log broke off within the last */
        for (size_t i = 0; r == 0 && i < b->n; i++) {
                struct verdict_boot *boot = &b->boot[i];

                boot->hop = i > 0 ? &hops->hops[i - 1] : NULL;
                boot->reported_by = reporter(hops, i);
                if (holds && b->v->input->references)
                        r = ask_references(b, i, boot);
        }
        b->v->verdict->n_boots = b->n;
        b->v->verdict->boots = TAKE_PTR(b->boot);
        return r;
}

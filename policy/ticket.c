/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/ticket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "policy/policy-digest.h"

#define MAGIC        "MKXT"
#define VERSION      1
#define HEADER_BYTES 8
#define FIRST_BYTES  256 /* read at once, with header and name: as a rule all */
#define SLOT_HANDLES 0x10000u
#define OWNER_FIRST  0x01800000u
#define OWNER_LAST   0x01bfffffu
#define TRIES        8 /* IMA or systemd may extend a PCR at any time, hardly for long */

#define ATTRIBUTES                                                                       \
        (NV_OWNERWRITE | NV_POLICYREAD | NV_NO_DA | NV_CLEAR_STCLEAR | NV_READ_STCLEAR | \
                        NV_WRITE_STCLEAR)
#define ZEROS_ATTRIBUTES (ATTRIBUTES & ~(uint32_t)NV_WRITE_STCLEAR) /* see overwrite */
#define STATE_BITS       (NV_WRITTEN | NV_WRITELOCKED | NV_READLOCKED)

const char *const ticket_state_names[] = {
                [TICKET_READY] = "ready",
                [TICKET_OTHER_PCRS] = "other-pcrs",
                [TICKET_USED] = "used",
                [TICKET_EMPTY] = "empty",
                [TICKET_UNFINISHED] = "unfinished",
                [TICKET_FOREIGN] = "foreign",
};

bool ticket_name_ok(const char *name)
{
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789-_.";
        size_t n = strlen(name);

        return n > 0 && n <= TICKET_NAME_MAX && name[0] != '.' && strspn(name, allowed) == n;
}

bool ticket_base_ok(uint32_t base)
{
        return base % (TICKET_SLOTS * SLOT_HANDLES) == 0 && base >= OWNER_FIRST &&
               base + (TICKET_SLOTS * SLOT_HANDLES - 1) <= OWNER_LAST;
}

static uint32_t pcrs_of(uint32_t handle)
{
        return handle % SLOT_HANDLES;
}

/* As put makes one, or drop one of zeros over it; its contents and locks aside. */
static bool is_ours(const struct nv_index *index)
{
        uint32_t attributes = index->attributes & ~(uint32_t)STATE_BITS;

        return (attributes == ATTRIBUTES || attributes == ZEROS_ATTRIBUTES) &&
               pcrs_of(index->handle) != 0 && index->size > HEADER_BYTES;
}

/* PolicyPCR, and nothing else: both reading and locking need it. */
static int policy_of(const struct replay *values, uint32_t mask, uint8_t ret[32])
{
        struct digest policy;
        int r;

        policy_start(alg_by_id(TPM_ALG_SHA256), &policy);
        r = policy_pcr(&policy, values, mask);
        if (r == 0)
                memcpy(ret, policy.bytes, 32);
        return r;
}

/* ---- put ---- */

static int encode(const char *name, struct span secret, struct secret *ret, struct error *error)
{
        size_t n = strlen(name);
        const uint8_t header[HEADER_BYTES] = {MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], VERSION,
                        (uint8_t)n, (uint8_t)(secret.size >> 8), (uint8_t)secret.size};
        int r = secret_new(HEADER_BYTES + n + secret.size, ret, error);

        if (r < 0)
                return r;
        memcpy(ret->data, header, HEADER_BYTES);
        memcpy(ret->data + HEADER_BYTES, name, n);
        memcpy(ret->data + HEADER_BYTES + n, secret.data, secret.size);
        ret->size = ret->capacity;
        return 0;
}

static int check_put(struct tpm_nv *nv, const char *name, struct span secret, struct error *error)
{
        size_t overhead = HEADER_BYTES + strlen(name), limit = tpm_nv_limit(nv);

        if (limit > UINT16_MAX)
                limit = UINT16_MAX;
        if (secret.size == 0)
                return error_set(error, EINVAL, "ticket '%s': the secret is empty", name);
        if (secret.size > limit || overhead > limit - secret.size)
                return error_set(error, EMSGSIZE,
                                "ticket '%s': the secret has %zu bytes, an NV index of this TPM "
                                "takes %zu: put a key that the secret is encrypted with",
                                name, secret.size, limit > overhead ? limit - overhead : 0);
        return 0;
}

/* In the first slot whose handle is free. */
static int define(struct tpm_nv *nv, uint32_t base, struct nv_index *index, struct error *error)
{
        uint32_t mask = pcrs_of(index->handle);
        int r = -EEXIST;

        for (uint32_t slot = 0; slot < TICKET_SLOTS && r == -EEXIST; slot++) {
                index->handle = base + slot * SLOT_HANDLES + mask;
                r = tpm_nv_define(nv, index, error);
        }
        if (r == -EEXIST)
                return error_set(error, ENOSPC,
                                "all NV indices for tickets, 0x%08x to 0x%08x, are taken: 'mkexec "
                                "ticket list' shows them, 'mkexec ticket drop' gives them up",
                                base + mask, index->handle);
        if (r == -ENOSPC)
                return error_prefix(error, r,
                                "the TPM's NV memory is full ('tpm2_getcap handles-nv-index' "
                                "lists what is there)");
        if (r == -EACCES)
                return error_prefix(error, r,
                                "the TPM's owner has another password than that of "
                                "--owner-auth");
        return r;
}

/* Contents and lock; then the public area must be what a reader will compute. */
static int fill(struct tpm_nv *nv, struct nv_index *index, struct span contents,
                struct error *error)
{
        struct nv_index found;
        int r = tpm_nv_write(nv, index, contents, error);

        if (r == 0)
                r = tpm_nv_write_lock(nv, index->handle, error);
        if (r == 0)
                r = tpm_nv_public(nv, index->handle, &found, error);
        if (r < 0)
                return r;
        index->attributes |= NV_WRITTEN | NV_WRITELOCKED;
        if (found.attributes != index->attributes || found.size != index->size ||
                        memcmp(found.policy, index->policy, sizeof(found.policy)) != 0)
                return error_set(error, EPROTO,
                                "NV index 0x%08x: isn't what was just made: somebody else changes "
                                "it",
                                index->handle);
        return 0;
}

int ticket_put(struct tpm_nv *nv, uint32_t base, const char *name, struct span secret,
                const struct replay *values, uint32_t mask, struct ticket *ret, struct error *error)
{
        struct nv_index index = {.handle = base + mask, .attributes = ATTRIBUTES};
        _cleanup_secret_ struct secret contents = {0};
        int r;

        if (!ticket_name_ok(name) || !ticket_base_ok(base) || mask == 0 || mask & ~TICKET_PCRS)
                return error_set(error, EINVAL, "ticket '%s': bad name, base or PCRs", name);
        r = check_put(nv, name, secret, error);
        if (r < 0)
                return r;
        r = policy_of(values, mask, index.policy);
        if (r < 0)
                return error_set(error, -r, "ticket '%s': can't compute its policy: %s", name,
                                strerror(-r));
        r = encode(name, secret, &contents, error);
        if (r < 0)
                return r;
        index.size = (uint16_t)contents.size;
        r = define(nv, base, &index, error);
        if (r < 0)
                return error_prefix(error, r, "ticket '%s'", name);
        r = fill(nv, &index, secret_span(&contents), error);
        if (r < 0) {
                ticket_drop(nv, index.handle, NULL);
                return error_prefix(error, r, "ticket '%s'", name);
        }
        *ret = (struct ticket){.handle = index.handle,
                        .pcrs = mask,
                        .size = index.size,
                        .state = TICKET_OTHER_PCRS,
                        .index = index};
        return 0;
}

/* ---- looking ---- */

static int judge(const struct nv_index *index, const struct replay *now, struct ticket *ret)
{
        uint32_t attributes = index->attributes & ~(uint32_t)STATE_BITS;
        uint8_t wanted[32];
        int r;

        *ret = (struct ticket){.handle = index->handle,
                        .pcrs = pcrs_of(index->handle),
                        .size = index->size,
                        .state = TICKET_FOREIGN,
                        .index = *index};
        if (!is_ours(index))
                return 0;
        r = policy_of(now, ret->pcrs, wanted);
        if (r < 0)
                return r;
        ret->opens = memcmp(wanted, index->policy, sizeof(wanted)) == 0;
        if (!(index->attributes & NV_WRITTEN))
                ret->state = TICKET_EMPTY;
        else if (index->attributes & NV_READLOCKED)
                ret->state = TICKET_USED;
        else if (!(index->attributes & NV_WRITELOCKED))
                ret->state = TICKET_UNFINISHED; /* whoever wrote it may write again */
        else if (attributes == ATTRIBUTES)
                ret->state = ret->opens ? TICKET_READY : TICKET_OTHER_PCRS;
        return 0;
}

static uint32_t last_of(uint32_t base)
{
        return base + TICKET_SLOTS * SLOT_HANDLES - 1;
}

int ticket_any(struct tpm_nv *nv, uint32_t base, bool *ret, struct error *error)
{
        uint32_t handle;
        size_t n = 1;
        int r = tpm_nv_list(nv, base, last_of(base), &handle, &n, error);

        if (r == 0)
                *ret = n > 0;
        return r;
}

int ticket_look(struct tpm_nv *nv, uint32_t handle, const struct replay *values, struct ticket *ret,
                struct error *error)
{
        struct nv_index index = {.handle = handle};
        int r = tpm_nv_public(nv, handle, &index, error);

        if (r == 0 || r == -EPROTO) /* of another kind: index stays empty, so foreign */
                r = judge(&index, values, ret);
        if (r == -ENODATA)
                r = error_set(error, ENODATA, "not all PCRs of ticket 0x%08x are known", handle);
        return r;
}

int ticket_list(struct tpm_nv *nv, uint32_t base, const struct replay *now, struct ticket *ret,
                size_t *n, struct error *error)
{
        uint32_t handles[4 * TICKET_SLOTS];
        size_t n_handles = *n < ARRAY_SIZE(handles) ? *n : ARRAY_SIZE(handles);
        int r = tpm_nv_list(nv, base, last_of(base), handles, &n_handles, error);

        *n = 0;
        for (size_t i = 0; r == 0 && i < n_handles; i++) {
                r = ticket_look(nv, handles[i], now, &ret[*n], error);
                if (r == -ENOENT) /* gone meanwhile */
                        r = 0;
                else
                        (*n)++;
        }
        return r;
}

/* ---- get ---- */

static struct tpm_nv_policy session_policy(const struct ticket *ticket, const struct replay *now)
{
        return (struct tpm_nv_policy){&now->banks, ticket->pcrs};
}

static int never_quiet(const struct ticket *ticket, int r, struct error *error)
{
        return r != -EAGAIN ? r
                            : error_set(error, EAGAIN,
                                              "NV index 0x%08x: something extended a PCR "
                                              "meanwhile, "
                                              "%d times in a row: once more when that has ended",
                                              ticket->handle, TRIES);
}

/* size bytes from offset on, tried again when a PCR (of any index) is extended meanwhile. */
static int read_part(struct tpm_nv *nv, const struct ticket *ticket, const struct replay *now,
                uint16_t offset, uint16_t size, struct secret *ret, struct error *error)
{
        struct tpm_nv_policy policy = session_policy(ticket, now);
        size_t before = ret->size;
        int r = -EAGAIN;

        for (int i = 0; i < TRIES && r == -EAGAIN; i++) {
                ret->size = before;
                r = tpm_nv_read(nv, &ticket->index, &policy, offset, size, ret, error);
        }
        return never_quiet(ticket, r, error);
}

static int malformed(const struct ticket *ticket, struct error *error)
{
        return error_set(error, EPROTO,
                        "NV index 0x%08x: the PCRs open it, but its contents aren't a ticket's",
                        ticket->handle);
}

/* Header and name, of which *secret_at is the end, and what came with them into *bytes (new). */
static int read_head(struct tpm_nv *nv, const struct ticket *ticket, const struct replay *now,
                struct secret *bytes, char ret_name[TICKET_NAME_MAX + 1], uint16_t *secret_at,
                struct error *error)
{
        uint16_t first = ticket->size < FIRST_BYTES ? ticket->size : FIRST_BYTES, secret_bytes;
        struct span magic, name;
        uint8_t version, n;
        struct cursor c;
        int r = secret_new(ticket->size, bytes, error);

        if (r == 0)
                r = read_part(nv, ticket, now, 0, first, bytes, error);
        if (r < 0)
                return r;
        c = CURSOR(secret_span(bytes));
        if (!cursor_take(&c, 4, &magic) || memcmp(magic.data, MAGIC, 4) != 0 ||
                        !cursor_u8(&c, &version) || version != VERSION || !cursor_u8(&c, &n) ||
                        n == 0 || n > TICKET_NAME_MAX || !cursor_be16(&c, &secret_bytes) ||
                        ticket->size != HEADER_BYTES + n + secret_bytes || secret_bytes == 0 ||
                        !cursor_take(&c, n, &name))
                return malformed(ticket, error);
        memcpy(ret_name, name.data, n);
        ret_name[n] = '\0';
        *secret_at = (uint16_t)(HEADER_BYTES + n);
        return ticket_name_ok(ret_name) ? 0 : malformed(ticket, error);
}

int ticket_name(struct tpm_nv *nv, const struct ticket *ticket, const struct replay *now,
                char ret[TICKET_NAME_MAX + 1], struct error *error)
{
        _cleanup_secret_ struct secret bytes = {0};
        uint16_t secret_at;

        return read_head(nv, ticket, now, &bytes, ret, &secret_at, error);
}

int ticket_lock(struct tpm_nv *nv, const struct ticket *ticket, const struct replay *now,
                struct error *error)
{
        struct tpm_nv_policy policy = session_policy(ticket, now);
        int r = -EAGAIN;

        for (int i = 0; i < TRIES && r == -EAGAIN; i++)
                r = tpm_nv_read_lock(nv, &ticket->index, &policy, error);
        return never_quiet(ticket, r, error);
}

/* The secret leaves this function only with the index locked. bytes: what read_head got. */
static int take(struct tpm_nv *nv, const struct ticket *ticket, const struct replay *now,
                struct secret *bytes, uint16_t secret_at, struct secret *ret, struct error *error)
{
        uint16_t there = (uint16_t)bytes->size;
        int r = 0;

        if (there < ticket->size)
                r = read_part(nv, ticket, now, there, (uint16_t)(ticket->size - there), bytes,
                                error);
        if (r == 0)
                r = ticket_lock(nv, ticket, now, error);
        if (r < 0)
                return r;
        bytes->size -= secret_at;
        memmove(bytes->data, bytes->data + secret_at, bytes->size);
        *ret = *bytes;
        *bytes = (struct secret){0};
        return 0;
}

/* Why there is no ticket of that name: what there is instead, the most telling first; others: ready
 * ones of other names. */
static int explain(const char *name, const struct ticket *tickets, size_t n, size_t others,
                struct error *error)
{
        static const struct {
                enum ticket_state state;
                int errnum;
                const char *text;
        } rows[] = {
                        {TICKET_OTHER_PCRS, EKEYREJECTED,
                                        "is for other PCR values than these: it was put for "
                                        "another kernel, or something else was extended"},
                        {TICKET_USED, EBUSY, "was already used; it stays locked until a reset"},
                        {TICKET_FOREIGN, EPROTO,
                                        "isn't as 'ticket put' leaves one: it was swapped, or is "
                                        "another program's"},
                        {TICKET_UNFINISHED, EPROTO,
                                        "isn't as 'ticket put' leaves one: that died in between, "
                                        "or it was swapped"},
                        {TICKET_EMPTY, ENODATA, "is of another power cycle; its contents are gone"},
        };
        char text[sizeof(error->text)] = "", *end = text + sizeof(text), *at = text;
        int errnum = ENOENT;

        for (size_t row = 0; row < ARRAY_SIZE(rows); row++)
                for (size_t i = 0; i < n; i++)
                        if (tickets[i].state == rows[row].state) {
                                errnum = at == text ? rows[row].errnum : errnum;
                                at += snprintf(at, (size_t)(end - at), "%sNV index 0x%08x %s",
                                                at == text ? "" : "; ", tickets[i].handle,
                                                rows[row].text);
                                at = at < end ? at : end - 1;
                                break;
                        }
        if (others > 0)
                snprintf(at, (size_t)(end - at), "%s%zu of other names %s there",
                                at == text ? "" : "; ", others, others == 1 ? "is" : "are");
        if (!text[0])
                return error_set(error, ENOENT, "no ticket '%s': there is none at all", name);
        return error_set(error, errnum, "no ticket '%s' for this kernel: %s", name, text);
}

int ticket_get(struct tpm_nv *nv, uint32_t base, const char *name, const struct replay *now,
                struct secret *ret, struct error *left, struct error *error)
{
        struct ticket tickets[4 * TICKET_SLOTS];
        size_t n = ARRAY_SIZE(tickets), others = 0;
        int r = ticket_list(nv, base, now, tickets, &n, error);

        left->text[0] = '\0';
        for (size_t i = 0; r == 0 && i < n; i++) {
                _cleanup_secret_ struct secret bytes = {0};
                char found[TICKET_NAME_MAX + 1];
                uint16_t secret_at;

                if (tickets[i].state != TICKET_READY)
                        continue;
                r = read_head(nv, &tickets[i], now, &bytes, found, &secret_at, error);
                if (r == -EPROTO) { /* must not keep anybody from the others */
                        tickets[i].state = TICKET_FOREIGN;
                        r = 0;
                        continue;
                }
                if (r < 0)
                        return r;
                if (strcmp(found, name) != 0) {
                        others++;
                        continue;
                }
                r = take(nv, &tickets[i], now, &bytes, secret_at, ret, error);
                if (r == 0)
                        ticket_drop(nv, tickets[i].handle, left);
                return r;
        }
        return r < 0 ? r : explain(name, tickets, n, others, error);
}

/* ---- the end ---- */

/* A write-locked index can't be written until the next reset; one of the same size in its place
 * can. Whether a chip keeps a copy elsewhere nobody can tell. */
static int overwrite(struct tpm_nv *nv, const struct nv_index *old, struct error *error)
{
        struct nv_index index = *old;
        int r;

        index.attributes = ZEROS_ATTRIBUTES;
        r = tpm_nv_define(nv, &index, error);
        if (r == 0) {
                r = tpm_nv_write_zeros(nv, &index, error);
                if (r == 0)
                        r = tpm_nv_undefine(nv, index.handle, error);
                else
                        tpm_nv_undefine(nv, index.handle, NULL);
        }
        return r;
}

bool ticket_is_left(enum ticket_state state)
{
        return state != TICKET_READY && state != TICKET_FOREIGN;
}

int ticket_drop(struct tpm_nv *nv, uint32_t handle, struct error *error)
{
        struct nv_index index;
        int r = tpm_nv_public(nv, handle, &index, error);

        if (r == -ENOENT)
                return 0;
        if (r == 0 && !is_ours(&index))
                r = error_set(error, EPROTO, "it isn't as 'ticket put' leaves one");
        if (r == 0)
                r = tpm_nv_undefine(nv, handle, error);
        if (r == 0)
                r = overwrite(nv, &index, error);
        return r < 0 ? error_prefix(error, r, "can't give up ticket 0x%08x", handle) : 0;
}

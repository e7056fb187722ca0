/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A ticket: a secret that waits in an NV index of the TPM for the predicted second kernel, in this
 * power cycle, once. docs/tickets.md has its life. Called by the verbs load, exec, unload and
 * ticket; knows nothing of hops, only of PCR values.
 *
 * The index can be read only under PolicyPCR over its PCRs; contents count as unwritten after a
 * reset of the TPM (TPMA_NV_CLEAR_STCLEAR); it is write-locked before put returns and read-locked
 * by get, both until that reset. Its handle is base + slot * 0x10000 + the mask of its PCRs, so
 * that whoever looks for it knows what to compute: nothing is believed but what the Name then
 * confirms.
 *
 * Contents: "MKXT", u8 1, u8 bytes of the name, u16 bytes of the secret (big-endian), name, secret.
 */
#pragma once

#include "tcg2/secret.h"
#include "tcg2/tpm-nv.h"

#define TICKET_BASE                                                                  \
        0x01a00000u /* in the range for owners, 0x01800000-0x01bfffff (TCG registry) \
                     */
#define TICKET_SLOTS    16
#define TICKET_NAME_MAX 64
#define TICKET_PCRS     0xffffu /* that may stand in a policy: those that no program can reset */

enum ticket_state {
        TICKET_READY,      /* the PCRs read as its policy wants */
        TICKET_OTHER_PCRS, /* they don't: it is for another kernel, or for a later moment */
        TICKET_USED,       /* read-locked until the next reset */
        TICKET_EMPTY,      /* never written, or left from another power cycle */
        TICKET_UNFINISHED, /* not write-locked: a put or drop died before its end */
        TICKET_FOREIGN, /* in our range but not as put leaves it: swapped, or another program's */
};

extern const char *const ticket_state_names[]; /* "ready", "other-pcrs" ... */

struct ticket {
        uint32_t handle;
        uint32_t pcrs; /* mask */
        uint16_t size; /* of the contents */
        enum ticket_state state;
        bool opens; /* the PCRs are those of its policy, whatever its state */
        struct nv_index index;
};

/* Text that can be a ticket's name: 1 to 64 of A-Z a-z 0-9 - _ . and no leading dot, so that it can
 * be a file name, too. */
bool ticket_name_ok(const char *name);
/* A base: 16 slots inside of the owner's range, aligned to their size. */
bool ticket_base_ok(uint32_t base);

/* Makes a ticket that opens when the PCRs of mask read as values has them, in all its banks; values
 * of the TPM's active banks, all of them. *ret: what was made. Nothing is left in the TPM on
 * failure. -EMSGSIZE: longer than an index of this TPM; -ENOSPC: no room, or all slots are taken;
 * -EACCES: the owner's password. */
int ticket_put(struct tpm_nv *nv, uint32_t base, const char *name, struct span secret,
                const struct replay *values, uint32_t mask, struct ticket *ret,
                struct error *error);

/* Whether there is anything in the range. */
int ticket_any(struct tpm_nv *nv, uint32_t base, bool *ret, struct error *error);

/* All in the range; now: PCR 0-15 as they read. *n is the room and then their number. */
int ticket_list(struct tpm_nv *nv, uint32_t base, const struct replay *now, struct ticket *ret,
                size_t *n, struct error *error);

/* The index at handle, judged at these values of PCR 0-15: TICKET_READY opens once they are read.
 * -ENOENT: none is there. */
int ticket_look(struct tpm_nv *nv, uint32_t handle, const struct replay *values, struct ticket *ret,
                struct error *error);

/* Reads the ticket and locks it; then only does *ret (new, release it) have the secret. The index
 * is overwritten and given up; *left: why that couldn't be done (empty text: it was). -ENOENT: none
 * of that name; -EKEYREJECTED, -EBUSY, -ENODATA, -EPROTO: none, but there are such in the state
 * other-pcrs, used, empty, unfinished or foreign, and what that means; -EAGAIN: PCRs change all the
 * time. */
int ticket_get(struct tpm_nv *nv, uint32_t base, const char *name, const struct replay *now,
                struct secret *ret, struct error *left, struct error *error);

/* Reads the name of one that is ready. */
int ticket_name(struct tpm_nv *nv, const struct ticket *ticket, const struct replay *now,
                char ret[TICKET_NAME_MAX + 1], struct error *error);

/* Locks one that opens: nobody reads it until the next reset. */
int ticket_lock(struct tpm_nv *nv, const struct ticket *ticket, const struct replay *now,
                struct error *error);

/* That nobody can read now, or ought to: what a cleaner gives up. Not ours: TICKET_FOREIGN. */
bool ticket_is_left(enum ticket_state state);

/* Overwrites and gives up an index by the owner's power. 0 also if it isn't there. -EPROTO: it is
 * another program's, and stays. */
int ticket_drop(struct tpm_nv *nv, uint32_t handle, struct error *error);

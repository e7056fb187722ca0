/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence: what a machine shows to a verifier, one JSON document (docs/attestation.md,
 * "Evidence"). Written by `attest`, read by `verify`. The reader is for untrusted text: it believes
 * nothing, and whether any of it is true is for verify.h. Pure; no TPM, no files. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "eventlog/chain.h"
#include "eventlog/replay.h"

#define EVIDENCE_VERSION          1
#define EVIDENCE_MAX_BYTES        (256u * 1024 * 1024) /* of a document */
#define EVIDENCE_CERTIFICATES_MAX 8

/* systemd's log of one boot, with what is known to be missing of it. */
struct evidence_systemd {
        uint32_t boot;   /* from 1, ascending */
        bool incomplete; /* a measurement that isn't in it may have been made */
        bool cut;        /* its oldest records were left behind at a hop */
        bool lost;       /* it didn't come along; log is empty */
        struct span log;
};

struct evidence {
        struct span attest;    /* TPMS_ATTEST of TPM2_Quote, as it was signed */
        struct span signature; /* TPMT_SIGNATURE */
        struct span ak_public; /* TPMT_PUBLIC */
        struct span certificate[EVIDENCE_CERTIFICATES_MAX]; /* DER; that of the AK is the first */
        size_t n_certificates;
        struct replay pcrs; /* what the machine says that the quoted PCRs read; measured: which */
        struct span firmware_log; /* with its hops; empty: the machine has none */
        struct evidence_systemd systemd[CHAIN_BOOTS_MAX];
        size_t n_systemd;
        struct span ima;  /* binary list of the running kernel; empty: none */
        struct buf bytes; /* what the spans of one that was read point into */
};

void evidence_release(struct evidence *evidence);
#define _cleanup_evidence_ __attribute__((cleanup(evidence_release)))

/* One document, exactly: unknown, missing or doubled members, numbers that don't fit and base64
 * that isn't the one encoding of its bytes are errors. -EBADMSG with the member's name; -E2BIG. The
 * same evidence may be read into again and again: its memory is kept (release it in the end). */
int evidence_read(struct span text, struct evidence *ret, struct error *error);
/* The same of a document that json_parse has checked, alone or as part of a larger text. */
int evidence_take(const struct json *document, struct evidence *ret, struct error *error);

/* Appends the document, in one line without a newline. */
int evidence_write(const struct evidence *evidence, struct buf *ret, struct error *error);

/* What is replayed together. */
void evidence_chain(const struct evidence *evidence, struct chain *ret);

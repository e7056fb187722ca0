/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signatures of PE images: the attribute certificate table (Microsoft PE Format, "The Attribute
 * Certificate Table"; UEFI 2.10, 32.2.4) and what stands in it (Microsoft, "Windows Authenticode
 * Portable Executable Signature Format": PKCS#7 over SpcIndirectDataContent). All cryptography is
 * OpenSSL's. Which certificate is trusted is image-policy's business. */
#pragma once

#include <stdbool.h>

#include "base/alg.h"
#include "base/error.h"
#include "base/span.h"
#include "tcg2/pe.h"

/* ---- the table ---- */

struct certificate_table {
        struct cursor c;
};

/* -EBADMSG: the table doesn't end where the file does. A table without a byte is fine. */
int certificate_table_open(const struct pe *pe, struct certificate_table *ret, struct error *error);
/* 1: *ret is the next PKCS#7 SignedData. 0: that was the last. Other kinds of certificates are
 * skipped. -EBADMSG: the table is malformed, in which case edk2 trusts none of it. */
int certificate_table_next(struct certificate_table *table, struct span *ret, struct error *error);

/* ---- one signature ---- */

struct authenticode_signature;

/* -EBADMSG: no SignedData over SpcIndirectDataContent with one signer whose certificate is in it.
 * -EOPNOTSUPP: its digest isn't SHA-256, SHA-384 or SHA-512. der: copied. */
int authenticode_signature_new(
                struct span der, struct authenticode_signature **ret, struct error *error);
void authenticode_signature_free(struct authenticode_signature *s); /* NULL is fine */

/* Algorithm of the image's digest. */
const struct alg *authenticode_signature_alg(const struct authenticode_signature *s);
/* "CN=Someone,O=...": subject of the signer's certificate, for messages. */
const char *authenticode_signature_signer(const struct authenticode_signature *s);
/* True: this is the digest that was signed, and the signature over it is the signer's. Says nothing
 * about who the signer is. */
bool authenticode_signature_is_of(
                const struct authenticode_signature *s, const struct digest *image);

/* True: a chain leads from the signer to this certificate (DER), which may be the signer's own or
 * an intermediate one. As edk2's Pkcs7Verify: periods of validity and purposes aren't looked at. */
bool authenticode_signature_chains_to(
                const struct authenticode_signature *s, struct span certificate);

/* Is the TBSCertificate's hash of the signer's certificate, or of any on the way from it to anchor
 * (DER; may be empty: the signer's alone), this one? */
bool authenticode_signature_has_certificate(const struct authenticode_signature *s,
                struct span anchor, const struct digest *tbs_hash);

/* ---- certificates ---- */

/* "CN=...", or "an unreadable certificate". */
void certificate_name(struct span der, char *to, size_t size);
/* False for one whose extended key usage is the signing of kernel modules, which shim doesn't take
 * for images. */
bool certificate_is_for_images(struct span der);

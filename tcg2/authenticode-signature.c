/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/authenticode-signature.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>

#include "base/cleanup.h"
#include "base/guid.h"

enum {
        WIN_CERTIFICATE_BYTES = 8, /* dwLength, wRevision, wCertificateType */
        WIN_CERT_TYPE_PKCS_SIGNED_DATA = 0x0002,
        WIN_CERT_TYPE_EFI_GUID = 0x0ef1,
        TABLE_ALIGNMENT = 8,
        NAME_BYTES = 200,
};

#define OID_SPC_INDIRECT_DATA "1.3.6.1.4.1.311.2.1.4"
#define OID_MODULE_SIGNING    "1.3.6.1.4.1.2312.16.1.2"

DEFINE_CLEANUP(PKCS7 *, PKCS7_free)
DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(X509_STORE *, X509_STORE_free)
DEFINE_CLEANUP(X509_STORE_CTX *, X509_STORE_CTX_free)
DEFINE_CLEANUP(BIO *, BIO_free_all)
DEFINE_CLEANUP(EXTENDED_KEY_USAGE *, EXTENDED_KEY_USAGE_free)
DEFINE_CLEANUP(struct authenticode_signature *, authenticode_signature_free)

/* ---- the table ---- */

int certificate_table_open(const struct pe *pe, struct certificate_table *ret, struct error *error)
{
        struct span table = {0};

        /* What followed the table would be in the file, but in nobody's digest. */
        if (pe->security.size > 0 &&
                        (!span_sub(pe->file, pe->security.address, pe->security.size, &table) ||
                                        (uint64_t)pe->security.address + pe->security.size !=
                                                        pe->file.size))
                return error_set(error, EBADMSG,
                                "its signatures aren't the end of the file: data was appended, or "
                                "it was cut");
        *ret = (struct certificate_table){CURSOR(table)};
        return 0;
}

/* One WIN_CERTIFICATE with its padding. */
static bool take_certificate(struct cursor *c, uint16_t *type, struct cursor *body)
{
        struct cursor head = *c;
        uint32_t length;
        uint16_t revision;
        struct span all;

        if (!cursor_u32(&head, &length) || !cursor_u16(&head, &revision) ||
                        !cursor_u16(&head, type) || length < WIN_CERTIFICATE_BYTES)
                return false;
        if (!cursor_take(c, length, &all) ||
                        !cursor_skip(c, (TABLE_ALIGNMENT - length % TABLE_ALIGNMENT) %
                                                        TABLE_ALIGNMENT))
                return false;
        *body = CURSOR(all);
        return cursor_skip(body, WIN_CERTIFICATE_BYTES);
}

int certificate_table_next(struct certificate_table *table, struct span *ret, struct error *error)
{
        while (cursor_left(&table->c) > 0) {
                size_t at = table->c.offset;
                struct cursor body;
                uint16_t type;
                EFI_GUID guid;

                if (!take_certificate(&table->c, &type, &body))
                        return error_set(error, EBADMSG,
                                        "its certificate table is damaged at byte %zu", at);
                if (type != WIN_CERT_TYPE_PKCS_SIGNED_DATA && type != WIN_CERT_TYPE_EFI_GUID)
                        continue;
                if (type == WIN_CERT_TYPE_EFI_GUID && !cursor_copy(&body, &guid, sizeof(guid)))
                        return error_set(error, EBADMSG,
                                        "its certificate table is damaged at byte %zu", at);
                if (type == WIN_CERT_TYPE_EFI_GUID && !guid_equal(&guid, &guid_cert_pkcs7))
                        continue;
                if (!cursor_left(&body) || !cursor_take(&body, cursor_left(&body), ret))
                        return error_set(error, EBADMSG,
                                        "its certificate table has an empty entry at byte %zu", at);
                return 1;
        }
        return 0;
}

/* ---- DER, as far as OpenSSL has no template for it ---- */

enum { DER_SEQUENCE = 0x30, DER_OCTET_STRING = 0x04 };

/* Takes one element of definite length; *body is its contents, *whole (may be NULL) all of it. */
static bool der_take(struct cursor *c, uint8_t tag, struct span *body, struct span *whole)
{
        struct cursor next = *c;
        uint8_t seen, first;
        uint64_t length;

        if (!cursor_u8(&next, &seen) || seen != tag || !cursor_u8(&next, &first))
                return false;
        length = first;
        if (first & 0x80) {
                if ((first & 0x7f) == 0 || (first & 0x7f) > 4)
                        return false;
                length = 0;
                for (unsigned n = first & 0x7f; n > 0; n--) {
                        uint8_t byte;

                        if (!cursor_u8(&next, &byte))
                                return false;
                        length = length << 8 | byte;
                }
        }
        if (!cursor_take(&next, length, body))
                return false;
        if (whole)
                *whole = SPAN(c->bytes.data + c->offset, next.offset - c->offset);
        *c = next;
        return true;
}

/* ---- one signature ---- */

struct authenticode_signature {
        PKCS7 *pkcs7;
        X509 *signer; /* in pkcs7 */
        const struct alg *alg;
        struct span digest;  /* in pkcs7 */
        struct span content; /* what the signature is over: SpcIndirectDataContent without its tag
                                and length, as PKCS#7 1.5 wants it */
        bool valid;          /* the signer did sign content */
        char name[NAME_BYTES];
};

void authenticode_signature_free(struct authenticode_signature *s)
{
        if (!s)
                return;
        PKCS7_free(s->pkcs7);
        free(s);
}

static bool is_oid(const ASN1_OBJECT *object, const char *dotted)
{
        char text[80];

        return OBJ_obj2txt(text, sizeof(text), object, 1) > 0 && strcmp(text, dotted) == 0;
}

static const struct alg *alg_of(const X509_ALGOR *identifier)
{
        static const struct {
                int nid;
                uint16_t id;
        } rows[] = {
                        {NID_sha256, TPM_ALG_SHA256},
                        {NID_sha384, TPM_ALG_SHA384},
                        {NID_sha512, TPM_ALG_SHA512},
        };
        const ASN1_OBJECT *object = NULL;

        X509_ALGOR_get0(&object, NULL, NULL, identifier);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (object && OBJ_obj2nid(object) == rows[i].nid)
                        return alg_by_id(rows[i].id);
        return NULL;
}

/* SpcIndirectDataContent ::= SEQUENCE { data, messageDigest DigestInfo }, DigestInfo ::= SEQUENCE {
 * digestAlgorithm AlgorithmIdentifier, digest OCTET STRING } */
static int parse_content(struct authenticode_signature *s, struct error *error)
{
        const ASN1_TYPE *other = s->pkcs7->d.sign->contents->d.other;
        struct span data, info, identifier, identifier_body;
        struct cursor c, inner;
        const unsigned char *p;
        X509_ALGOR *parsed;

        if (!is_oid(s->pkcs7->d.sign->contents->type, OID_SPC_INDIRECT_DATA) || !other ||
                        other->type != V_ASN1_SEQUENCE || other->value.sequence->length < 0)
                return error_set(error, EBADMSG, "a signature isn't of an image");
        c = CURSOR(SPAN(other->value.sequence->data, (size_t)other->value.sequence->length));
        if (!der_take(&c, DER_SEQUENCE, &s->content, NULL))
                return error_set(error, EBADMSG, "a signature's content is damaged");
        inner = CURSOR(s->content);
        if (!der_take(&inner, DER_SEQUENCE, &data, NULL) ||
                        !der_take(&inner, DER_SEQUENCE, &info, NULL))
                return error_set(error, EBADMSG, "a signature's content is damaged");
        inner = CURSOR(info);
        if (!der_take(&inner, DER_SEQUENCE, &identifier_body, &identifier) ||
                        !der_take(&inner, DER_OCTET_STRING, &s->digest, NULL))
                return error_set(error, EBADMSG, "a signature's content is damaged");
        p = identifier.data;
        parsed = d2i_X509_ALGOR(NULL, &p, (long)identifier.size);
        s->alg = parsed ? alg_of(parsed) : NULL;
        X509_ALGOR_free(parsed);
        if (!s->alg)
                return error_set(error, EOPNOTSUPP,
                                "a signature's digest isn't SHA-256, SHA-384 or SHA-512");
        return s->digest.size == s->alg->size
                               ? 0
                               : error_set(error, EBADMSG, "a signature's digest has %zu bytes",
                                                 s->digest.size);
}

static void name_of(X509 *certificate, char *to, size_t size)
{
        _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
        int n = 0;

        if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0,
                                   XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
                n = BIO_read(bio, to, (int)size - 1);
        to[n > 0 ? n : 0] = '\0';
        if (n <= 0)
                snprintf(to, size, "a certificate without a name");
}

/* Authenticode allows one SignerInfo; its certificate has to be among those of the signature. */
static int find_signer(struct authenticode_signature *s, struct error *error)
{
        STACK_OF(PKCS7_SIGNER_INFO) *infos = PKCS7_get_signer_info(s->pkcs7);
        const PKCS7_SIGNER_INFO *info;
        STACK_OF(X509) * signers;

        if (sk_PKCS7_SIGNER_INFO_num(infos) != 1)
                return error_set(error, EBADMSG, "a signature has %d signers",
                                sk_PKCS7_SIGNER_INFO_num(infos));
        info = sk_PKCS7_SIGNER_INFO_value(infos, 0);
        if (!alg_of(info->digest_alg))
                return error_set(error, EOPNOTSUPP,
                                "a signature's digest isn't SHA-256, SHA-384 or SHA-512");
        signers = PKCS7_get0_signers(s->pkcs7, NULL, 0);
        s->signer = signers ? sk_X509_value(signers, 0) : NULL;
        sk_X509_free(signers);
        if (!s->signer)
                return error_set(error, EBADMSG, "a signature lacks its signer's certificate");
        name_of(s->signer, s->name, sizeof(s->name));
        return 0;
}

/* What PKCS7_verify does without chains; that one leaks memory when a digest isn't known
 * (OpenSSL 3.0).
 */
static bool verify_content(const struct authenticode_signature *s)
{
        PKCS7_SIGNER_INFO *info = sk_PKCS7_SIGNER_INFO_value(PKCS7_get_signer_info(s->pkcs7), 0);
        _cleanup_(BIO_free_allp) BIO *content = NULL, *hashing = NULL;
        char ignored[4096];

        if (s->content.size > INT_MAX)
                return false;
        content = BIO_new_mem_buf(s->content.data, (int)s->content.size);
        hashing = content ? PKCS7_dataInit(s->pkcs7, content) : NULL;
        if (!hashing)
                return false;
        (void)TAKE_PTR(content); /* the last of the chain that hashing begins */
        while (BIO_read(hashing, ignored, sizeof(ignored)) > 0)
                ;
        return PKCS7_signatureVerify(hashing, s->pkcs7, info, s->signer) == 1;
}

int authenticode_signature_new(
                struct span der, struct authenticode_signature **ret, struct error *error)
{
        _cleanup_(authenticode_signature_freep) struct authenticode_signature *s = NULL;
        const unsigned char *p = der.data;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return error_set(error, ENOMEM, "out of memory");
        /* What follows the SignedData is padding that some signers count into dwLength. */
        s->pkcs7 = der.size <= INT_MAX ? d2i_PKCS7(NULL, &p, (long)der.size) : NULL;
        r = s->pkcs7 && PKCS7_type_is_signed(s->pkcs7) && s->pkcs7->d.sign &&
                                            s->pkcs7->d.sign->contents
                            ? 0
                            : error_set(error, EBADMSG, "a signature is damaged");
        if (r == 0)
                r = parse_content(s, error);
        if (r == 0)
                r = find_signer(s, error);
        if (r == 0)
                s->valid = verify_content(s);
        ERR_clear_error();
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

const struct alg *authenticode_signature_alg(const struct authenticode_signature *s)
{
        return s->alg;
}

const char *authenticode_signature_signer(const struct authenticode_signature *s)
{
        return s->name;
}

bool authenticode_signature_is_of(
                const struct authenticode_signature *s, const struct digest *image)
{
        return s->valid && image->alg == s->alg &&
               span_equal(s->digest, SPAN(image->bytes, image->alg->size));
}

/* ---- chains ---- */

static X509 *parse_certificate(struct span der)
{
        const unsigned char *p = der.data;
        X509 *certificate = der.size <= INT_MAX ? d2i_X509(NULL, &p, (long)der.size) : NULL;

        ERR_clear_error();
        return certificate;
}

/* The one trusted certificate is anchor; everything that came with the signature may be on the way.
 */
static X509_STORE_CTX *build_chain(const struct authenticode_signature *s, X509 *anchor)
{
        _cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
        _cleanup_(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
        X509_VERIFY_PARAM *param;
        bool good;

        if (!ctx || !store || X509_STORE_add_cert(store, anchor) != 1 ||
                        X509_STORE_CTX_init(ctx, store, s->signer, s->pkcs7->d.sign->cert) != 1)
                return NULL;
        param = X509_STORE_CTX_get0_param(ctx);
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
        good = X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY) == 1 &&
               X509_verify_cert(ctx) == 1;
        ERR_clear_error();
        /* The context keeps no reference of its own to the store: the chain has its certificates'.
         */
        return good ? TAKE_PTR(ctx) : NULL;
}

bool authenticode_signature_chains_to(
                const struct authenticode_signature *s, struct span certificate)
{
        _cleanup_(X509_freep) X509 *anchor = parse_certificate(certificate);
        _cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = NULL;

        if (anchor)
                ctx = build_chain(s, anchor);
        return ctx;
}

/* UEFI 2.10, 32.4.1: "To-Be-Signed contents", the first element of Certificate with its header. */
static bool tbs_hash_is(X509 *certificate, const struct digest *wanted)
{
        struct span body, tbs, ignored;
        struct banks banks = {0};
        struct digests digests;
        unsigned char *der = NULL;
        int size = i2d_X509(certificate, &der);
        struct cursor c;
        bool same = false;

        banks_add(&banks, wanted->alg);
        c = CURSOR(SPAN(der, size > 0 ? (size_t)size : 0));
        if (size > 0 && der_take(&c, DER_SEQUENCE, &body, NULL)) {
                c = CURSOR(body);
                same = der_take(&c, DER_SEQUENCE, &ignored, &tbs) &&
                       hash_span(&banks, tbs, &digests) == 0 &&
                       memcmp(digests.d[0].bytes, wanted->bytes, wanted->alg->size) == 0;
        }
        OPENSSL_free(der);
        return same;
}

bool authenticode_signature_has_certificate(const struct authenticode_signature *s,
                struct span anchor_der, const struct digest *tbs_hash)
{
        _cleanup_(X509_freep) X509 *anchor = NULL;
        _cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = NULL;
        const STACK_OF(X509) * chain;

        if (tbs_hash_is(s->signer, tbs_hash))
                return true;
        anchor = anchor_der.size > 0 ? parse_certificate(anchor_der) : NULL;
        ctx = anchor ? build_chain(s, anchor) : NULL;
        chain = ctx ? X509_STORE_CTX_get0_chain(ctx) : NULL;
        for (int i = 0; chain && i < sk_X509_num(chain); i++)
                if (tbs_hash_is(sk_X509_value(chain, i), tbs_hash))
                        return true;
        return false;
}

/* ---- certificates ---- */

void certificate_name(struct span der, char *to, size_t size)
{
        _cleanup_(X509_freep) X509 *certificate = parse_certificate(der);

        if (certificate)
                name_of(certificate, to, size);
        else
                snprintf(to, size, "an unreadable certificate");
}

bool certificate_is_for_images(struct span der)
{
        _cleanup_(X509_freep) X509 *certificate = parse_certificate(der);
        _cleanup_(EXTENDED_KEY_USAGE_freep) EXTENDED_KEY_USAGE *usage = NULL;

        if (!certificate)
                return false;
        usage = X509_get_ext_d2i(certificate, NID_ext_key_usage, NULL, NULL);
        for (int i = 0; usage && i < sk_ASN1_OBJECT_num(usage); i++)
                if (is_oid(sk_ASN1_OBJECT_value(usage, i), OID_MODULE_SIGNING))
                        return false;
        return true;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/ak-certificate.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/cleanup.h"

DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(X509_STORE *, X509_STORE_free)
DEFINE_CLEANUP(X509_STORE_CTX *, X509_STORE_CTX_free)

static void free_stack(STACK_OF(X509) * *stack)
{
        sk_X509_pop_free(*stack, X509_free);
}

X509 *ak_certificate_read(struct span der)
{
        const uint8_t *at = der.data;
        X509 *x = der.size <= INT32_MAX ? d2i_X509(NULL, &at, (long)der.size) : NULL;

        if (x && at == der.data + der.size)
                return x;
        X509_free(x);
        return NULL;
}

static int refuse(struct error *reason, const char *what)
{
        return error_set(reason, EPERM, "the attestation key's certificate %s", what);
}

/* tcg-kp-AIKCertificate, 2.23.133.8.3: TCG Credential Profiles, 3.6. */
static bool is_ak_usage(const ASN1_OBJECT *usage)
{
        static const uint8_t encoded[] = {0x67, 0x81, 0x05, 0x08, 0x03};

        return span_equal(SPAN(OBJ_get0_data(usage), OBJ_length(usage)),
                        SPAN(encoded, sizeof(encoded)));
}

/* A certificate for something else, a web server's for example, is of a key that no TPM needs to
 * have. */
static int check_usage(X509 *x, struct error *reason)
{
        EXTENDED_KEY_USAGE *usages;
        bool found = false;

        if (!(X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE))
                return refuse(reason, "isn't for digital signatures");
        if (!(X509_get_extension_flags(x) & EXFLAG_XKUSAGE))
                return 0;
        usages = X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);
        for (int i = 0; i < sk_ASN1_OBJECT_num(usages); i++)
                found = found || is_ak_usage(sk_ASN1_OBJECT_value(usages, i));
        EXTENDED_KEY_USAGE_free(usages);
        return found ? 0 : refuse(reason, "isn't for attestation keys (tcg-kp-AIKCertificate)");
}

static int check_chain(X509_STORE *authorities, X509 *x, STACK_OF(X509) * issuers, time_t now,
                struct error *reason)
{
        _cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();

        if (!ctx || X509_STORE_CTX_init(ctx, authorities, x, issuers) != 1)
                return error_set(reason, ENOMEM, "out of memory");
        X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN);
        X509_STORE_CTX_set_time(ctx, 0, now);
        if (X509_verify_cert(ctx) == 1)
                return 0;
        return error_set(reason, EPERM,
                        "the attestation key's certificate doesn't lead to an authority that is "
                        "trusted: %s",
                        X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
}

static int check(X509_STORE *authorities, EVP_PKEY *key, const struct span *certificates, size_t n,
                time_t now, struct error *reason)
{
        _cleanup_(free_stack) STACK_OF(X509) *issuers = sk_X509_new_null();
        _cleanup_(X509_freep) X509 *first = NULL;
        int r;

        if (!issuers)
                return error_set(reason, ENOMEM, "out of memory");
        for (size_t i = 0; i < n; i++) {
                X509 *x = ak_certificate_read(certificates[i]);

                if (!x)
                        return refuse(reason, "or one of its issuers' can't be read");
                if (i == 0)
                        first = x;
                else if (sk_X509_push(issuers, x) < 1) {
                        X509_free(x);
                        return error_set(reason, ENOMEM, "out of memory");
                }
        }
        if (!first)
                return error_set(reason, EPERM, "the attestation key comes without a certificate");
        if (EVP_PKEY_eq(X509_get0_pubkey(first), key) != 1)
                return refuse(reason, "is of another key");
        r = check_usage(first, reason);
        return r < 0 ? r : check_chain(authorities, first, issuers, now, reason);
}

int ak_certificate_check(X509_STORE *authorities, EVP_PKEY *key, const struct span *certificates,
                size_t n_certificates, time_t now, struct error *reason)
{
        int r = check(authorities, key, certificates, n_certificates, now, reason);

        ERR_clear_error();
        return r;
}

int ak_certificate_check_issuers(const struct span *issuers, size_t n_issuers, EVP_PKEY *key,
                const struct span *certificates, size_t n_certificates, time_t now,
                struct error *reason)
{
        _cleanup_(X509_STORE_freep) X509_STORE *authorities = X509_STORE_new();

        if (!authorities)
                return error_set(reason, ENOMEM, "out of memory");
        for (size_t i = 0; i < n_issuers; i++) {
                _cleanup_(X509_freep) X509 *issuer = ak_certificate_read(issuers[i]);

                if (!issuer)
                        return error_set(reason, EBADMSG, "issuer %zu is no certificate", i);
                if (X509_STORE_add_cert(authorities, issuer) != 1)
                        return error_set(reason, ENOMEM, "out of memory");
        }
        return ak_certificate_check(authorities, key, certificates, n_certificates, now, reason);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/issuer.h"

#include <errno.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "base/cleanup.h"

DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(X509_STORE *, X509_STORE_free)
DEFINE_CLEANUP(X509_STORE_CTX *, X509_STORE_CTX_free)

static void free_stack(STACK_OF(X509) * *stack)
{
        sk_X509_pop_free(*stack, X509_free);
}

static X509 *read_certificate(struct span der)
{
        const unsigned char *at = der.data;
        X509 *certificate = der.size <= 65536 ? d2i_X509(NULL, &at, (long)der.size) : NULL;

        if (certificate && at == der.data + der.size)
                return certificate;
        X509_free(certificate);
        return NULL;
}

static bool is_of_key(X509 *certificate, struct span spki)
{
        unsigned char *der = NULL;
        int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
        bool same = size > 0 && span_equal(SPAN(der, (size_t)size), spki);

        OPENSSL_free(der);
        return same;
}

static int add_issuers(X509_STORE *store, const struct span *issuers, size_t n, struct error *error)
{
        for (size_t i = 0; i < n; i++) {
                _cleanup_(X509_freep) X509 *issuer = read_certificate(issuers[i]);

                if (!issuer)
                        return error_set(error, EBADMSG, "issuer %zu is no certificate", i);
                if (X509_STORE_add_cert(store, issuer) != 1)
                        return error_set(error, ENOMEM, "out of memory");
        }
        return 0;
}

static int verify(X509_STORE *store, X509 *leaf, STACK_OF(X509) * others, time_t now,
                struct error *error)
{
        _cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *context = X509_STORE_CTX_new();

        if (!context || X509_STORE_CTX_init(context, store, leaf, others) != 1)
                return error_set(error, ENOMEM, "out of memory");
        X509_STORE_CTX_set_time(context, 0, now);
        X509_STORE_CTX_set_flags(context, X509_V_FLAG_PARTIAL_CHAIN);
        if (X509_verify_cert(context) == 1)
                return 0;
        return error_set(error, EPERM, "the attestation key's certificate: %s",
                        X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
}

int issuer_check(const struct span *certificates, size_t n_certificates, struct span spki,
                const struct span *issuers, size_t n_issuers, time_t now, struct error *error)
{
        _cleanup_(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
        _cleanup_(free_stack) STACK_OF(X509) *others = sk_X509_new_null();
        _cleanup_(X509_freep) X509 *leaf = NULL;
        int r;

        if (!store || !others)
                return error_set(error, ENOMEM, "out of memory");
        if (n_certificates == 0)
                return error_set(error, EPERM, "the attestation key comes without a certificate");
        leaf = read_certificate(certificates[0]);
        if (!leaf)
                return error_set(error, EPERM, "the attestation key's certificate is malformed");
        if (!is_of_key(leaf, spki))
                return error_set(error, EPERM, "the certificate is of another key");
        for (size_t i = 1; i < n_certificates; i++) {
                X509 *other = read_certificate(certificates[i]);

                if (!other)
                        return error_set(error, EPERM, "certificate %zu is malformed", i);
                if (sk_X509_push(others, other) <= 0) {
                        X509_free(other);
                        return error_set(error, ENOMEM, "out of memory");
                }
        }
        r = add_issuers(store, issuers, n_issuers, error);
        return r < 0 ? r : verify(store, leaf, others, now, error);
}

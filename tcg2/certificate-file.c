/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/certificate-file.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/cleanup.h"

DEFINE_CLEANUP(BIO *, BIO_free_all)
DEFINE_CLEANUP(X509 *, X509_free)

static int put(X509 *certificate, struct buf *bytes, size_t *size, struct error *error)
{
        int n = i2d_X509(certificate, NULL);
        unsigned char *to = n > 0 ? buf_grow(bytes, (size_t)n) : NULL;

        if (!to)
                return error_set(error, ENOMEM, "out of memory");
        *size = (size_t)i2d_X509(certificate, &to);
        return 0;
}

static int read_pem(
                struct span file, struct buf *bytes, size_t *sizes, size_t *n, struct error *error)
{
        _cleanup_(BIO_free_allp) BIO *bio = BIO_new_mem_buf(file.data, (int)file.size);
        size_t room = *n;

        for (*n = 0; bio;) {
                _cleanup_(X509_freep) X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
                int r;

                if (!certificate)
                        break;
                if (*n == room)
                        return error_set(error, E2BIG, "more certificates than there is room for");
                r = put(certificate, bytes, &sizes[*n], error);
                if (r < 0)
                        return r;
                ++*n;
        }
        if (*n == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
                return error_set(error, EBADMSG, "certificate %zu can't be read", *n + 1);
        return 0;
}

static int read_der(
                struct span file, struct buf *bytes, size_t *sizes, size_t *n, struct error *error)
{
        const unsigned char *p = file.data;
        _cleanup_(X509_freep) X509 *certificate = d2i_X509(NULL, &p, (long)file.size);

        if (!certificate || p != file.data + file.size)
                return error_set(error, EBADMSG, "neither PEM nor DER of a certificate");
        if (*n == 0)
                return error_set(error, E2BIG, "more certificates than there is room for");
        *n = 1;
        return put(certificate, bytes, &sizes[0], error);
}

int certificate_file_read(
                struct span file, struct buf *bytes, size_t *sizes, size_t *n, struct error *error)
{
        static const char begin[] = "-----BEGIN ";
        int r;

        if (file.size > CERTIFICATE_FILE_MAX_BYTES)
                return error_set(
                                error, EBADMSG, "larger than %u bytes", CERTIFICATE_FILE_MAX_BYTES);
        if (file.size > 0 && memmem(file.data, file.size, begin, sizeof(begin) - 1))
                r = read_pem(file, bytes, sizes, n, error);
        else
                r = read_der(file, bytes, sizes, n, error);
        ERR_clear_error();
        return r;
}

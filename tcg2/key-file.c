/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/key-file.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/alg.h"
#include "base/cleanup.h"
#include "tcg2/signature-list.h"

DEFINE_CLEANUP(BIO *, BIO_free_all)
DEFINE_CLEANUP(X509 *, X509_free)

static const EFI_GUID nobody;

static int put_certificate(X509 *certificate, struct buf *lists)
{
        unsigned char *der = NULL;
        int size = i2d_X509(certificate, &der);

        if (size <= 0)
                return -ENOMEM;
        signature_list_put(lists, &guid_cert_x509, &nobody, SPAN(der, (size_t)size));
        OPENSSL_free(der);
        return 0;
}

/* 1: it was PEM. */
static int read_pem(struct span file, struct buf *lists, struct error *error)
{
        static const char begin[] = "-----BEGIN ";
        _cleanup_(BIO_free_allp) BIO *bio = NULL;
        int n = 0, r = 0;

        if (!memmem(file.data, file.size, begin, sizeof(begin) - 1))
                return 0;
        bio = BIO_new_mem_buf(file.data, (int)file.size);
        while (bio && r == 0) {
                _cleanup_(X509_freep) X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

                if (!certificate)
                        break;
                r = put_certificate(certificate, lists);
                n++;
        }
        /* A certificate that is damaged must not be the one that dbx goes without. */
        if (r == 0 && (n == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE))
                r = error_set(error, EBADMSG, "certificate %d can't be read", n + 1);
        ERR_clear_error();
        return r < 0 ? r : 1;
}

static int read_der(struct span file, struct buf *lists)
{
        const unsigned char *p = file.data;
        _cleanup_(X509_freep) X509 *certificate = d2i_X509(NULL, &p, (long)file.size);
        int r;

        ERR_clear_error();
        if (!certificate || p != file.data + file.size)
                return 0;
        r = put_certificate(certificate, lists);
        return r < 0 ? r : 1;
}

/* The hex digits that the line begins with, up to its end or a space. */
static int read_hash(const char *line, size_t length, struct buf *lists)
{
        static const struct {
                uint16_t id;
                const EFI_GUID *type;
        } rows[] = {
                        {TPM_ALG_SHA256, &guid_cert_sha256},
                        {TPM_ALG_SHA384, &guid_cert_sha384},
                        {TPM_ALG_SHA512, &guid_cert_sha512},
        };
        uint8_t hash[DIGEST_MAX_BYTES];
        size_t n = 0;

        while (n < length && line[n] != ' ' && line[n] != '\t' && line[n] != '\r')
                n++;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char text[2 * DIGEST_MAX_BYTES + 1];
                size_t size = alg_by_id(rows[i].id)->size;

                if (n != 2 * size)
                        continue;
                memcpy(text, line, n);
                text[n] = '\0';
                if (!hex_decode(text, hash, size))
                        return -EBADMSG;
                signature_list_put(lists, rows[i].type, &nobody, SPAN(hash, size));
                return 0;
        }
        return -EBADMSG;
}

static int read_hashes(struct span file, struct buf *lists, struct error *error)
{
        const char *at = (const char *)file.data, *end = at + file.size;
        unsigned number = 0, n = 0;

        while (at < end) {
                const char *newline = memchr(at, '\n', (size_t)(end - at));
                size_t length = (size_t)((newline ? newline : end) - at);

                number++;
                if (length > 0 && *at != '#' && *at != '\r') {
                        if (read_hash(at, length, lists) < 0)
                                return error_set(error, EBADMSG,
                                                "neither certificates nor signature lists, and "
                                                "line %u isn't a hash in hex",
                                                number);
                        n++;
                }
                at += length + 1;
        }
        return n > 0 ? 1 : error_set(error, EBADMSG, "there is no certificate or hash in it");
}

int key_file_read(struct span file, struct buf *lists, struct error *error)
{
        _cleanup_buf_ struct buf found = {0};
        int r;

        if (file.size == 0)
                return error_set(error, EBADMSG, "it is empty");
        if (file.size > INT_MAX)
                return error_set(error, EFBIG, "it is too large");
        r = read_pem(file, &found, error);
        if (r == 0)
                r = read_der(file, &found);
        if (r == 0 && signature_lists_check(file, NULL) == 0) {
                buf_put_span(&found, file);
                r = 1;
        }
        if (r == 0)
                r = read_hashes(file, &found, error);
        if (r < 0)
                return r == -ENOMEM ? error_set(error, ENOMEM, "out of memory") : r;
        buf_put_span(lists, buf_span(&found));
        return buf_failed(&found) || buf_failed(lists) ? error_set(error, ENOMEM, "out of memory")
                                                       : 0;
}

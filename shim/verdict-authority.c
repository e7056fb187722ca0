/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* By whose word an image was started: a variable of PCR 7 in a few words. */
#include <openssl/err.h>
#include <openssl/x509.h>

#include "base/utf16.h"
#include "eventlog/escape.h"
#include "eventlog/uefi-event.h"
#include "shim/verdict-writers.h"

#define OWNER_BYTES 16 /* EFI_SIGNATURE_DATA begins with a GUID */

static bool put_subject(struct span certificate, struct buf *ret)
{
        const uint8_t *at = certificate.data;
        X509 *x = d2i_X509(NULL, &at, (long)certificate.size);
        BIO *text = x ? BIO_new(BIO_s_mem()) : NULL;
        char *bytes;
        long size;
        bool done = text &&
                    X509_NAME_print_ex(text, X509_get_subject_name(x), 0, XN_FLAG_RFC2253) >= 0;

        if (done && (size = BIO_get_mem_data(text, &bytes)) > 0)
                buf_put(ret, bytes, (size_t)size);
        BIO_free(text);
        X509_free(x);
        ERR_clear_error();
        return done;
}

void verdict_authority(struct span variable_data, struct buf *ret)
{
        struct uefi_variable variable = {0};
        struct span value;

        (void)uefi_variable_read(variable_data, &variable, NULL);
        escape_text(variable.name, TEXT_UTF16, ESCAPE_LINE, ret);
        buf_format(ret, ": ");
        if (variable.data.size <= OWNER_BYTES || variable.data.size > INT32_MAX) {
                buf_format(ret, "%zu bytes", variable.data.size);
                return;
        }
        value = SPAN(variable.data.data + OWNER_BYTES, variable.data.size - OWNER_BYTES);
        if (!put_subject(value, ret))
                buf_format(ret, "%zu bytes", variable.data.size);
}

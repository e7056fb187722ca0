/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec attest: attestation keys, and evidence of this machine (docs/attestation.md). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "policy/tpm-public.h"
#include "shim/attest.h"
#include "shim/options.h"
#include "shim/progress.h"
#include "shim/verb.h"
#include "tcg2/certificate-file.h"
#include "tcg2/secret.h"

struct arguments {
        const char *ak, *new_ak, *output, *public, *ak_auth, *owner_auth, *tcti;
        const char *certificates[EVIDENCE_CERTIFICATES_MAX];
        size_t n_certificates;
        enum tpm_ak_type type;
        struct banks banks;
        uint8_t nonce[ATTEST_NONCE_MAX];
        size_t nonce_size; /* 0: none given */
};

/* ---- files ---- */

/* All of it or nothing. exclusive: a key is never overwritten. */
static int write_file(const char *path, struct span bytes, bool exclusive, struct error *error)
{
        int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (exclusive ? O_EXCL | O_NOFOLLOW : O_TRUNC);
        _cleanup_close_ int fd = open(path, flags, exclusive ? 0600 : 0644);
        size_t done = 0;

        if (fd < 0)
                return error_set(error, errno, "can't write to %s: %m", path);
        while (done < bytes.size) {
                ssize_t n = write(fd, bytes.data + done, bytes.size - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        int errnum = n < 0 ? errno : EIO;

                        unlink(path);
                        return error_set(error, errnum, "can't write to %s: %s", path,
                                        strerror(errnum));
                }
                done += (size_t)n;
        }
        return 0;
}

/* A password, and maybe a newline behind it, as editors leave one. */
static int read_password(const char *path, struct secret *ret, struct error *error)
{
        _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        int r;

        if (!path)
                return 0;
        if (fd < 0)
                return error_set(error, errno, "can't read a password from %s: %m", path);
        r = secret_new(TPM_QUOTE_NONCE_MAX + 1, ret, error);
        if (r == 0)
                r = secret_read_fd(fd, ret, error);
        if (r < 0)
                return error_prefix(error, r, "%s", path);
        if (ret->data[ret->size - 1] == '\n')
                ret->size--;
        return 0;
}

struct certificates {
        struct buf bytes;
        size_t sizes[EVIDENCE_CERTIFICATES_MAX], n;
};

static int read_certificates(
                const struct arguments *a, struct certificates *ret, struct error *error)
{
        for (size_t i = 0; i < a->n_certificates; i++) {
                _cleanup_buf_ struct buf file = {0};
                size_t n = EVIDENCE_CERTIFICATES_MAX - ret->n;
                int r = buf_read_file(a->certificates[i], CERTIFICATE_FILE_MAX_BYTES, &file, error);

                if (r < 0)
                        return r;
                r = certificate_file_read(
                                buf_span(&file), &ret->bytes, ret->sizes + ret->n, &n, error);
                if (r < 0)
                        return error_prefix(error, r, "%s", a->certificates[i]);
                ret->n += n;
        }
        return 0;
}

static void put_certificates(const struct certificates *from, struct evidence *to)
{
        struct cursor c = CURSOR(buf_span(&from->bytes));

        while (to->n_certificates < from->n &&
                        cursor_take(&c, from->sizes[to->n_certificates],
                                        &to->certificate[to->n_certificates]))
                to->n_certificates++;
}

/* ---- the key ---- */

/* 0x and digits: a handle; anything else is a file. */
static bool is_handle(const char *text, uint32_t *ret)
{
        unsigned long value;
        char *end;

        if (strncmp(text, "0x", 2) != 0)
                return false;
        errno = 0;
        value = strtoul(text, &end, 16);
        *ret = (uint32_t)value;
        return errno == 0 && end > text + 2 && *end == '\0' && value <= UINT32_MAX;
}

static int open_file(struct tpm *tpm, const char *path, const struct tpm_ak_auth *auth,
                struct tpm_ak **ret, struct error *error)
{
        _cleanup_buf_ struct buf text = {0}, bytes = {0};
        struct ak_file file;
        int r = buf_read_file(path, AK_FILE_MAX_BYTES, &text, error);

        if (r < 0)
                return r;
        r = ak_file_read(buf_span(&text), &bytes, &file, error);
        if (r == 0)
                r = tpm_ak_load(tpm, &file, auth, ret, error);
        return r < 0 ? error_prefix(error, r, "%s", path) : 0;
}

static int make_key(const struct arguments *a, struct tpm *tpm, const struct tpm_ak_auth *auth,
                struct tpm_ak **ret, struct error *error)
{
        _cleanup_(tpm_ak_closep) struct tpm_ak *ak = NULL;
        _cleanup_buf_ struct buf bytes = {0}, text = {0};
        struct ak_file file;
        uint32_t handle;
        int r;

        if (!is_handle(a->new_ak, &handle) && access(a->new_ak, F_OK) == 0)
                return error_set(error, EEXIST, "%s is there already", a->new_ak);
        r = tpm_ak_create(tpm, a->type, auth, &bytes, &file, &ak, error);
        if (r < 0)
                return r;
        if (is_handle(a->new_ak, &handle)) {
                r = tpm_ak_persist(ak, handle, error);
        } else {
                ak_file_write(&file, &text);
                r = buf_failed(&text) ? error_set(error, ENOMEM, "out of memory")
                                      : write_file(a->new_ak, buf_span(&text), true, error);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(ak);
        return 0;
}

/* What a verifier would say of it, and what it is called. */
static void tell_key(const struct tpm_ak *ak, bool is_new)
{
        uint8_t name[TPM_NAME_MAX_BYTES];
        char hex[2 * TPM_NAME_MAX_BYTES + 1];
        struct tpm_public public;
        struct error error;
        int n = 0, r = tpm_public_read(tpm_ak_public(ak), &public, &error);

        if (r == 0 && is_new)
                n = tpm_public_name(&public, name);
        if (n > 0) {
                hex_encode(SPAN(name, (size_t)n), hex);
                progress_note("the new key's name is %s", hex);
        }
        if (r == 0)
                r = tpm_public_is_ak(&public, &error);
        if (r < 0)
                progress_warn("verifiers won't take this key: %s", error.text);
}

static int write_public(const char *path, const struct tpm_ak *ak, struct error *error)
{
        _cleanup_buf_ struct buf bytes = {0};
        struct span public = tpm_ak_public(ak);

        buf_put_be16(&bytes, (uint16_t) public.size);
        buf_put_span(&bytes, public);
        return buf_failed(&bytes) ? error_set(error, ENOMEM, "out of memory")
                                  : write_file(path, buf_span(&bytes), false, error);
}

/* ---- evidence ---- */

static int write_evidence(const struct arguments *a, struct tpm *tpm, struct tpm_ak *ak,
                const struct certificates *certificates, struct error *error)
{
        _cleanup_attest_ struct attest attest = {0};
        _cleanup_buf_ struct buf text = {0};
        int r = attest_make(tpm, ak, SPAN(a->nonce, a->nonce_size),
                        a->banks.n > 0 ? &a->banks : NULL, &attest, error);

        if (r < 0)
                return r;
        put_certificates(certificates, &attest.evidence);
        r = evidence_write(&attest.evidence, &text, error);
        buf_put_u8(&text, '\n');
        if (r == 0 && buf_failed(&text))
                r = error_set(error, ENOMEM, "out of memory");
        if (r == 0 && a->output)
                r = write_file(a->output, buf_span(&text), false, error);
        else if (r == 0)
                fwrite(text.data, 1, text.size, stdout); /* main sees whether that worked */
        return r;
}

static int run(const struct arguments *a, struct error *error)
{
        _cleanup_secret_ struct secret owner = {0}, key = {0};
        _cleanup_(tpm_freep) struct tpm *tpm = NULL;
        _cleanup_(tpm_ak_closep) struct tpm_ak *ak = NULL;
        struct certificates certificates = {0};
        struct tpm_ak_auth auth;
        uint32_t handle;
        int r = read_password(a->owner_auth, &owner, error);

        if (r == 0)
                r = read_password(a->ak_auth, &key, error);
        if (r == 0)
                r = read_certificates(a, &certificates, error);
        if (r == 0)
                r = tpm_esys_open(a->tcti, &tpm, error);
        auth = (struct tpm_ak_auth){secret_span(&owner), secret_span(&key)};
        if (r == 0)
                r = a->new_ak                   ? make_key(a, tpm, &auth, &ak, error)
                    : is_handle(a->ak, &handle) ? tpm_ak_open(tpm, handle, &auth, &ak, error)
                                                : open_file(tpm, a->ak, &auth, &ak, error);
        if (r == 0) {
                tell_key(ak, a->new_ak);
                if (a->public)
                        r = write_public(a->public, ak, error);
        }
        if (r == 0 && a->nonce_size > 0)
                r = write_evidence(a, tpm, ak, &certificates, error);
        buf_release(&certificates.bytes);
        return r;
}

/* ---- options ---- */

static int take_nonce(void *to, char *value, struct error *error)
{
        struct arguments *a = to;
        size_t size = strlen(value) / 2;

        if (size < ATTEST_NONCE_MIN || size > ATTEST_NONCE_MAX ||
                        !hex_decode(value, a->nonce, size))
                return error_set(error, EINVAL, "--nonce takes %d to %d bytes in hex",
                                ATTEST_NONCE_MIN, ATTEST_NONCE_MAX);
        a->nonce_size = size;
        return 0;
}

static int take_bank(void *to, char *value, struct error *error)
{
        struct arguments *a = to;
        const struct alg *alg = alg_by_name(value);

        return alg && banks_add(&a->banks, alg)
                               ? 0
                               : error_set(error, EINVAL, "--bank: '%s' is unknown, or there twice",
                                                 value);
}

static int take_type(void *to, char *value, struct error *error)
{
        struct arguments *a = to;

        a->type = strcmp(value, "ecc") == 0 ? TPM_AK_ECC_P256 : TPM_AK_RSA_2048;
        if (strcmp(value, "ecc") == 0 || strcmp(value, "rsa") == 0)
                return 0;
        return error_set(error, EINVAL, "--key-type wants rsa or ecc, not '%s'", value);
}

static int take_certificate(void *to, char *value, struct error *error)
{
        struct arguments *a = to;

        if (a->n_certificates == EVIDENCE_CERTIFICATES_MAX)
                return error_set(error, EINVAL, "more than %d files of certificates",
                                EVIDENCE_CERTIFICATES_MAX);
        a->certificates[a->n_certificates++] = value;
        return 0;
}

static const struct option_row rows[] = {
                {"ak", "HANDLE|FILE",
                                "the attestation key: a persistent handle (0x81...), or a file "
                                "('TSS2 PRIVATE KEY')",
                                OPTION_TEXT(struct arguments, ak)},
                {"new-ak", "HANDLE|FILE", "make one and leave it there; with --nonce also attest",
                                OPTION_TEXT(struct arguments, new_ak)},
                {"key-type", "TYPE", "of a new one: rsa (2048 bits, default), ecc (P-256)",
                                OPTION_TAKE(take_type)},
                {"nonce", "HEX", "8 to 64 bytes that the verifier chose", OPTION_TAKE(take_nonce)},
                {"output", "FILE", "the evidence goes there", .letter = 'o',
                                OPTION_TEXT(struct arguments, output)},
                {"public", "FILE",
                                "write the key's public area (TPM2B_PUBLIC), as 'verify --ak' "
                                "takes it",
                                OPTION_TEXT(struct arguments, public)},
                {"bank", "BANK",
                                "quote this bank; may be repeated (default: those of the event "
                                "log)",
                                OPTION_TAKE(take_bank)},
                {"certificate", "FILE",
                                "the key's certificate and those of its issuers, PEM or DER; may "
                                "be repeated",
                                OPTION_TAKE(take_certificate)},
                {"ak-auth", "FILE", "the key's password", OPTION_TEXT(struct arguments, ak_auth)},
                {"owner-auth", "FILE", "the owner's password, for --new-ak and keys in files",
                                OPTION_TEXT(struct arguments, owner_auth)},
                {"tcti", "TCTI", "the TPM (default: $TPM2TOOLS_TCTI, /dev/tpmrm0)",
                                OPTION_TEXT(struct arguments, tcti)},
};

static const struct options options = {
                .verb = "attest",
                .usage = "mkexec attest --ak HANDLE|FILE --nonce HEX [OPTIONS]\n"
                         "mkexec attest --new-ak HANDLE|FILE [OPTIONS]",
                .about = "Evidence of which kernels ran since the machine was reset, for 'mkexec "
                         "verify': a quote of PCR 0-15 by the TPM's attestation key, and all logs. "
                         "As one line of JSON on standard output.",
                .end = "Exit code: 0 done, 1 the TPM or the machine refused, 2 usage or unreadable "
                       "input.",
                .rows = rows,
                .n_rows = ARRAY_SIZE(rows),
};

/* Either key, and something to do with it. */
static bool makes_sense(const struct arguments *a)
{
        return !a->ak != !a->new_ak && (a->nonce_size > 0 || a->new_ak || a->public) &&
               (a->nonce_size > 0 || (!a->output && a->banks.n == 0 && a->n_certificates == 0));
}

int verb_attest(int argc, char **argv)
{
        struct arguments a = {0};
        struct error error = {{0}};
        int r = options_parse(&options, argc, argv, &a);

        if (r > 0)
                return r - 1;
        if (optind < argc || !makes_sense(&a))
                return usage_error("attest");
        r = run(&a, &error);
        return r < 0 ? fail(r == -EBADMSG ? EXIT_USAGE : exit_code_of(r), &error) : EXIT_DONE;
}

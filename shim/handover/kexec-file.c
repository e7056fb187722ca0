/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/kexec-file.h"

#include <errno.h>
#include <linux/kexec.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/handover/kexec.h"

#define ENOKEY_KEYRINGS                                                \
        "it looks in .builtin_trusted_keys, .secondary_trusted_keys, " \
        ".machine (MOK) and .platform (db)"

/* kernel/kexec_file.c, kimage_validate_signature; crypto/asymmetric_keys/verify_pefile.c. */
static const struct {
        int errnum;
        const char *text;
} reasons[] = {
                {ENODATA, "the inner kernel isn't signed, and the running kernel wants a "
                          "signature: "
                          "sign .linux (sbsign) with a key from db or MOK before the UKI is built; "
                          "the UKI's own signature doesn't count here"},
                {ENOKEY, "the running kernel has no certificate for the inner kernel's signature "
                         "(" ENOKEY_KEYRINGS "): enrol the signer's in db or MOK and reboot, or "
                         "sign .linux with a key that is there"},
                {EKEYREJECTED, "the inner kernel's signature doesn't fit its bytes, or its signer "
                               "is "
                               "revoked (dbx, MokListX)"},
                {EKEYREVOKED, "the inner kernel's signer is revoked"},
                {EKEYEXPIRED, "the certificate of the inner kernel's signer has expired"},
                {EBADMSG, "the inner kernel's signature is malformed"},
                {ELIBBAD, "the inner kernel isn't a PE file whose signature can be read"},
                {ENOPKG, "this kernel can't compute the hash or signature algorithm of the inner "
                         "kernel's signature"},
                {EACCES, "refused by an IMA or security module policy (KEXEC_KERNEL_CHECK, "
                         "KEXEC_INITRAMFS_CHECK): IMA wants a signature in security.ima, which a "
                         "kernel out of a UKI hasn't got"},
                {ENOEXEC, "the inner kernel isn't a bzImage with a 64-bit entry, the only format "
                          "that this call takes"},
                {EBUSY, "another kexec load is under way; try again"},
                {ETXTBSY, "somebody has a staged file open for writing"},
                {ENOMEM, "not enough free memory for kernel and initrd"},
                {EFBIG, "kernel or initrd is too large"},
                {EINVAL, "the kernel doesn't accept the file or the command line (longer than the "
                         "inner kernel takes?)"},
                {ENOSYS, "this kernel has no kexec_file_load (CONFIG_KEXEC_FILE)"},
};

static int explain(int errnum, struct error *error)
{
        if (errnum == EPERM) {
                int r = kexec_explain_eperm("kexec_file_load", error);

                if (r != 0)
                        return r;
                if (kexec_locked_down(""))
                        return error_set(error, EPERM,
                                        "kexec_file_load: the kernel is locked down and found no "
                                        "key for the inner kernel (" ENOKEY_KEYRINGS
                                        "): without Secure Boot db and MOK aren't there; sign "
                                        ".linux with a key built into this kernel");
                return error_set(error, EPERM,
                                "kexec_file_load: not permitted (container, seccomp or policy)");
        }
        for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
                if (reasons[i].errnum == errnum)
                        return error_set(error, errnum == EINVAL ? EIO : errnum,
                                        "kexec_file_load (%s): %s", strerrorname_np(errnum),
                                        reasons[i].text);
        return error_set(error, errnum, "kexec_file_load: %s", strerror(errnum));
}

static int file_load(int kernel_fd, int initrd_fd, const char *command_line, unsigned long flags,
                struct error *error)
{
        /* the length counts the NUL */
        if (syscall(SYS_kexec_file_load, kernel_fd, initrd_fd, strlen(command_line) + 1,
                            command_line, flags) < 0)
                return explain(errno, error);
        return 0;
}

int kexec_file_load(int kernel_fd, int initrd_fd, const char *command_line, struct error *error)
{
        return file_load(kernel_fd, initrd_fd, command_line,
                        initrd_fd < 0 ? KEXEC_FILE_NO_INITRAMFS : 0, error);
}

int kexec_file_load_guard(int kernel_fd, struct error *error)
{
        return file_load(kernel_fd, -1, KEXEC_FILE_GUARD_COMMAND_LINE, KEXEC_FILE_NO_INITRAMFS,
                        error);
}

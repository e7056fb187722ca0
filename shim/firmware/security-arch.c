/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/firmware/security-arch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "shim/firmware/image.h"

/* The object's state: the question that is being asked, and what firmware's own function said. */
struct fw_security {
        uint64_t address;  /* of the Security2 protocol in the guest */
        uint64_t function; /* that we put there */
        const struct security_question *question;
        bool asked;
        EFI_STATUS verdict;
};

static void forget_security(void *state)
{
        free(state);
}

/* FileAuthentication(This, *DevicePath, FileBuffer, FileSize, BootPolicy), as the payload's
 * function calls it in the end. The buffer that it names isn't looked at: what is judged is what
 * will be loaded. */
static EFI_STATUS run_file_authentication(struct firmware *fw, const uint64_t arg[])
{
        struct fw_security *s = fw_object_state(fw, FW_OBJECT_SECURITY2, arg[0]);

        if (!s)
                return EFI_INVALID_PARAMETER;
        if (!s->question) {
                fw_trace(fw, "  not judged: LoadImage isn't asking");
                return EFI_UNSUPPORTED;
        }
        if (!s->asked)
                s->verdict = image_verify(
                                fw, s->question->parent, s->question->path, s->question->file);
        s->asked = true;
        return s->verdict;
}

/* FileAuthenticationState(This, AuthenticationStatus, *DevicePath): without the file. LoadImage
 * asks it about images of firmware volumes only. */
static EFI_STATUS run_file_authentication_state(struct firmware *fw, const uint64_t arg[])
{
        return EFI_UNSUPPORTED;
}

static const struct fw_service security[] = {
                {"Security.FileAuthenticationState", "pnd", run_file_authentication_state},
};
static const struct fw_service security2[] = {
                {"Security2.FileAuthentication", "pdpnb", run_file_authentication},
};

static bool secure_boot_is_on(const struct firmware *fw)
{
        for (size_t i = 0; i < fw->setup.n_variables; i++) {
                const struct fw_variable *v = &fw->setup.variables[i];

                if (guid_equal(&v->vendor, &guid_global_variable) &&
                                strcmp(v->name, "SecureBoot") == 0)
                        return v->size == 1 && v->data[0] == 1;
        }
        return false;
}

int fw_security_arch_setup(struct firmware *fw, struct error *error)
{
        static char no_state;
        _cleanup_free_ struct fw_security *state = NULL;
        struct fw_security *s;
        uint64_t first, handle = 0;

        if (!fw->setup.image_policy || !secure_boot_is_on(fw))
                return 0;
        s = state = calloc(1, sizeof(*state));
        if (!state || fw_object_new(fw, FW_OBJECT_SECURITY2, 8, state, forget_security,
                                      &state->address) < 0)
                return error_set(error, ENOMEM, "no guest memory for the security protocols");
        (void)TAKE_PTR(state); /* the object's from here on */
        fw->security = s;
        if (fw_object_functions(fw, s->address, 0, security2, 1) < 0 ||
                        !ram_get_u64(fw->ram, s->address, &s->function) ||
                        fw_object_new(fw, FW_OBJECT_SECURITY, 8, &no_state, NULL, &first) < 0 ||
                        fw_object_functions(fw, first, 0, security, 1) < 0 ||
                        efi_error(fw_install_protocol(fw, &handle, &guid_security_arch, first)) ||
                        efi_error(fw_install_protocol(
                                        fw, &handle, &guid_security2_arch, s->address)))
                return error_set(error, ENOMEM, "no guest memory for the security protocols");
        return 0;
}

enum security_answer fw_security_ask(struct firmware *fw, const struct security_question *question,
                bool *ret_verified, EFI_STATUS *ret_status)
{
        struct fw_security *s = fw->security;
        uint64_t function, status;
        int r;

        *ret_verified = false;
        /* A question within a question would be the payload's function loading an image. */
        if (!s || s->question || !ram_get_u64(fw->ram, s->address, &function) ||
                        function == s->function)
                return SECURITY_ASK_FIRMWARE;
        s->question = question;
        s->asked = false;
        r = fw_call(fw, function,
                        (const uint64_t[]){s->address, question->path_at, question->file_at,
                                        question->file.size, question->boot_policy},
                        5, &status);
        s->question = NULL;
        if (r < 0 || efi_error(status)) {
                *ret_status = r < 0 ? EFI_ABORTED : status;
                if (!s->asked)
                        image_refuse(fw, "the payload's own check denies it");
                return SECURITY_DENIED;
        }
        *ret_verified = s->asked && !efi_error(s->verdict);
        if (*ret_verified)
                return SECURITY_ASK_FIRMWARE;
        fw_trace(fw, "  accepted by the payload's own check, and not measured");
        return SECURITY_OVERRIDDEN;
}

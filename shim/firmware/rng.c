/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_RNG_PROTOCOL (UEFI 2.10, 37.5) over getrandom(2). One algorithm, "raw", which is also the
 * default: the kernel stub asks for it by name, the systemd stub for the default. */
#include <errno.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "shim/firmware/internal.h"

#define MAX_BYTES (1024u * 1024) /* of one call; ours */

static EFI_STATUS run_get_info(struct firmware *fw, const uint64_t arg[])
{
        uint64_t size;

        if (!fw_object_state(fw, FW_OBJECT_RNG, arg[0]) || !arg[1] ||
                        !ram_get_u64(fw->ram, arg[1], &size) ||
                        !ram_put_u64(fw->ram, arg[1], sizeof(guid_rng_raw)))
                return EFI_INVALID_PARAMETER;
        if (size < sizeof(guid_rng_raw))
                return EFI_BUFFER_TOO_SMALL;
        if (!arg[2] || !ram_write(fw->ram, arg[2], &guid_rng_raw, sizeof(guid_rng_raw)))
                return EFI_INVALID_PARAMETER;
        return EFI_SUCCESS;
}

static EFI_STATUS run_get_rng(struct firmware *fw, const uint64_t arg[])
{
        uint64_t size = arg[2];
        EFI_GUID algorithm;
        uint8_t *to;

        if (!fw_object_state(fw, FW_OBJECT_RNG, arg[0]) || size == 0 || size > MAX_BYTES || !arg[3])
                return EFI_INVALID_PARAMETER;
        if (arg[1]) {
                if (!fw_get_guid(fw, arg[1], &algorithm))
                        return EFI_INVALID_PARAMETER;
                if (!guid_equal(&algorithm, &guid_rng_raw))
                        return EFI_UNSUPPORTED;
        }
        if (!ram_view_writable(fw->ram, arg[3], size, &to))
                return EFI_INVALID_PARAMETER;
        for (uint64_t done = 0; done < size;) {
                ssize_t n = getrandom(to + done, size - done, 0);

                if (n < 0 && errno != EINTR)
                        return EFI_DEVICE_ERROR;
                done += n > 0 ? (uint64_t)n : 0;
        }
        return EFI_SUCCESS;
}

static const struct fw_service functions[] = {
                {"RNG.GetInfo", "pPp", run_get_info},
                {"RNG.GetRNG", "pgnp", run_get_rng},
};

int fw_rng_setup(struct firmware *fw, struct error *error)
{
        static char present; /* no state: only that the object is one */
        uint64_t address, handle = 0;

        if (fw_object_new(fw, FW_OBJECT_RNG, 8 * ARRAY_SIZE(functions), &present, NULL, &address) <
                                        0 ||
                        fw_object_functions(fw, address, 0, functions, ARRAY_SIZE(functions)) < 0 ||
                        efi_error(fw_install_protocol(fw, &handle, &guid_rng, address)))
                return error_set(error, ENOMEM, "no guest memory for the random number protocol");
        return 0;
}

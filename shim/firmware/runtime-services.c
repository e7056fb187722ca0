/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The runtime services table (UEFI 2.10, 8) as the payload sees it. Variables are variables.c; here
 * are checks and conversions. After ExitBootServices these still answer until the hand-over; the
 * second kernel then talks to the machine's own firmware. */
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/utf16.h"
#include "shim/firmware/efi-time.h"
#include "shim/firmware/internal.h"
#include "shim/firmware/variables.h"

/* ---- time ---- */

/* The broker's clock, and the time that the payload believes to have waited. */
static EFI_STATUS run_get_time(struct firmware *fw, const uint64_t arg[])
{
        uint64_t waited = fw_skipped_time(fw);
        _cleanup_buf_ struct buf bytes = {0};
        struct timespec now;

        if (!arg[0] || clock_gettime(CLOCK_REALTIME, &now) < 0)
                return arg[0] ? EFI_DEVICE_ERROR : EFI_INVALID_PARAMETER;
        now.tv_sec += (time_t)(waited / 10000000u % INT32_MAX);
        efi_time_put(&bytes, now);
        if (buf_failed(&bytes))
                return EFI_OUT_OF_RESOURCES;
        if (!ram_write(fw->ram, arg[0], bytes.data, bytes.size))
                return EFI_INVALID_PARAMETER;
        /* EFI_TIME_CAPABILITIES: 1 Hz, 50 ppm (in 1e-6 ppm), SetsToZero: what edk2's clock says. */
        if (arg[1] && (!ram_put_u32(fw->ram, arg[1], 1) ||
                                      !ram_put_u32(fw->ram, arg[1] + 4, 50000000) ||
                                      !ram_put_u8(fw->ram, arg[1] + 8, 0)))
                return EFI_INVALID_PARAMETER;
        return EFI_SUCCESS;
}

/* Would change the machine: what is no time is said to be none, what is one is refused. */
static EFI_STATUS run_set_time(struct firmware *fw, const uint64_t arg[])
{
        struct timespec time;
        struct span bytes;
        struct cursor c;

        if (!arg[0] || !ram_view(fw->ram, arg[0], EFI_TIME_SIZE, &bytes))
                return EFI_INVALID_PARAMETER;
        c = CURSOR(bytes);
        return efi_time_take(&c, &time) ? EFI_UNSUPPORTED : EFI_INVALID_PARAMETER;
}

/* Wake-up times, capsules: they would change the machine. SetVirtualAddressMap,
 * ConvertPointer: the second kernel gets the real firmware, which the first kernel has mapped
 * already, and the x86 stub doesn't call them. GetNextHighMonotonicCount: its high half counts
 * resets, and this is none. */
static EFI_STATUS run_unsupported(struct firmware *fw, const uint64_t arg[])
{
        return EFI_UNSUPPORTED;
}

/* ---- variables ---- */

/* A name of at most max_chars with its NUL; EFI_INVALID_PARAMETER also for one with half a
 * surrogate pair, which UTF-8 couldn't give back. */
static EFI_STATUS get_name(struct firmware *fw, uint64_t address, size_t max_chars, char **ret)
{
        _cleanup_buf_ struct buf name = {0}, again = {0};
        _cleanup_free_ char *text = NULL;

        if (!address || !ram_read_utf16(fw->ram, address, max_chars, &name))
                return EFI_INVALID_PARAMETER;
        text = utf16_to_text(buf_span(&name));
        if (!text)
                return EFI_OUT_OF_RESOURCES;
        if (!utf8_to_utf16(text, &again) || !span_equal(buf_span(&name), buf_span(&again)))
                return EFI_INVALID_PARAMETER;
        *ret = TAKE_PTR(text);
        return EFI_SUCCESS;
}

static EFI_STATUS run_get_variable(struct firmware *fw, const uint64_t arg[])
{
        _cleanup_free_ char *name = NULL;
        const struct fw_variable *v;
        uint64_t size;
        EFI_GUID vendor;
        EFI_STATUS status;

        if (!arg[3] || !fw_get_guid(fw, arg[1], &vendor) || !ram_get_u64(fw->ram, arg[3], &size))
                return EFI_INVALID_PARAMETER;
        status = get_name(fw, arg[0], VARIABLE_NAME_MAX_CHARS + 1, &name);
        if (efi_error(status))
                return status;
        status = variables_get(fw->variables, &vendor, name, fw->exited_boot_services, &v);
        if (efi_error(status))
                return status;
        if (size >= v->size && !arg[4])
                return EFI_INVALID_PARAMETER;
        /* Size and attributes come with EFI_BUFFER_TOO_SMALL, too: stubs ask with no buffer first.
         */
        if (!ram_put_u64(fw->ram, arg[3], v->size) ||
                        (arg[2] && !ram_put_u32(fw->ram, arg[2], v->attributes)))
                return EFI_INVALID_PARAMETER;
        if (size < v->size)
                return EFI_BUFFER_TOO_SMALL;
        return ram_write(fw->ram, arg[4], v->data, v->size) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

static EFI_STATUS run_set_variable(struct firmware *fw, const uint64_t arg[])
{
        _cleanup_free_ char *name = NULL;
        struct span data = {0};
        EFI_GUID vendor;
        EFI_STATUS status;

        if (!fw_get_guid(fw, arg[1], &vendor))
                return EFI_INVALID_PARAMETER;
        status = get_name(fw, arg[0], VARIABLE_NAME_MAX_CHARS + 1, &name);
        if (efi_error(status))
                return status;
        if (arg[3] > VARIABLE_MAX_BYTES)
                return EFI_INVALID_PARAMETER;
        if (arg[3] > 0 && (!arg[4] || !ram_view(fw->ram, arg[4], arg[3], &data)))
                return EFI_INVALID_PARAMETER;
        return variables_set(fw->variables, &vendor, name, (uint32_t)arg[2], data,
                        fw->exited_boot_services);
}

static EFI_STATUS run_get_next_variable_name(struct firmware *fw, const uint64_t arg[])
{
        _cleanup_free_ char *name = NULL;
        _cleanup_buf_ struct buf next = {0};
        const struct fw_variable *v;
        size_t max_chars = VARIABLE_NAME_MAX_CHARS + 1;
        uint64_t size;
        EFI_GUID vendor;
        EFI_STATUS status;

        if (!arg[0] || !arg[1] || !ram_get_u64(fw->ram, arg[0], &size) || size < 2 ||
                        !fw_get_guid(fw, arg[2], &vendor))
                return EFI_INVALID_PARAMETER;
        if (size / 2 < max_chars) /* the string must end within its buffer */
                max_chars = (size_t)size / 2;
        status = get_name(fw, arg[1], max_chars, &name);
        if (efi_error(status))
                return status;
        status = variables_next(fw->variables, &vendor, name, fw->exited_boot_services, &v);
        if (efi_error(status))
                return status;
        if (!utf8_to_utf16(v->name, &next))
                return EFI_DEVICE_ERROR; /* efivarfs_read lets no such name in */
        buf_put_u16(&next, 0);
        if (buf_failed(&next))
                return EFI_OUT_OF_RESOURCES;
        if (!ram_put_u64(fw->ram, arg[0], next.size))
                return EFI_INVALID_PARAMETER;
        if (size < next.size)
                return EFI_BUFFER_TOO_SMALL;
        if (!ram_write(fw->ram, arg[1], next.data, next.size) ||
                        !ram_write(fw->ram, arg[2], &v->vendor, sizeof(v->vendor)))
                return EFI_INVALID_PARAMETER;
        return EFI_SUCCESS;
}

static EFI_STATUS run_query_variable_info(struct firmware *fw, const uint64_t arg[])
{
        uint64_t maximum, remaining, largest;
        EFI_STATUS status;

        if (!arg[1] || !arg[2] || !arg[3])
                return EFI_INVALID_PARAMETER;
        status = variables_query(fw->variables, (uint32_t)arg[0], fw->exited_boot_services,
                        &maximum, &remaining, &largest);
        if (efi_error(status))
                return status;
        if (!ram_put_u64(fw->ram, arg[1], maximum) || !ram_put_u64(fw->ram, arg[2], remaining) ||
                        !ram_put_u64(fw->ram, arg[3], largest))
                return EFI_INVALID_PARAMETER;
        return EFI_SUCCESS;
}

/* ---- reset ---- */

/* The reason that may come with it (8.5.1): a string, shown as far as it is printable. */
static void reset_reason(
                struct firmware *fw, uint64_t size, uint64_t address, char *text, size_t text_size)
{
        size_t n = 0;

        text[0] = '\0';
        for (uint64_t i = 0; address && i + 1 < size && n + 1 < text_size; i += 2) {
                uint16_t unit;

                if (!ram_get_u16(fw->ram, address + i, &unit) || unit == 0)
                        break;
                text[n++] = unit >= 0x20 && unit < 0x7f ? (char)unit : '?';
                text[n] = '\0';
        }
}

/* Never returns to the payload. */
static EFI_STATUS run_reset_system(struct firmware *fw, const uint64_t arg[])
{
        static const char *const types[] = {"cold", "warm", "shutdown", "platform-specific"};
        uint32_t type = (uint32_t)arg[0];
        char reason[128];

        reset_reason(fw, type < 3 ? arg[2] : 0, arg[3], reason, sizeof(reason));
        fw_end(fw, FIRMWARE_RESET, arg[1], "the payload asked for a reset (%s)%s%s",
                        type < ARRAY_SIZE(types) ? types[type] : "of unknown type",
                        *reason ? ": " : "", reason);
        return EFI_SUCCESS;
}

const struct fw_service fw_runtime_services[] = {
                {"GetTime", "pp", run_get_time, true},
                {"SetTime", "p", run_set_time, true},
                {"GetWakeupTime", "ppp", run_unsupported, true},
                {"SetWakeupTime", "bp", run_unsupported, true},
                {"SetVirtualAddressMap", "nnnp", run_unsupported, true},
                {"ConvertPointer", "np", run_unsupported, true},
                {"GetVariable", "sgWPp", run_get_variable, true},
                {"GetNextVariableName", "Psg", run_get_next_variable_name, true},
                {"SetVariable", "sgnnp", run_set_variable, true},
                {"GetNextHighMonotonicCount", "p", run_unsupported, true},
                {"ResetSystem", "ninp", run_reset_system, true},
                {"UpdateCapsule", "pnp", run_unsupported, true},
                {"QueryCapsuleCapabilities", "pnpp", run_unsupported, true},
                {"QueryVariableInfo", "nPPP", run_query_variable_info, true},
};
const size_t fw_n_runtime_services = ARRAY_SIZE(fw_runtime_services);

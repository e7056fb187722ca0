/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The firmware as the verbs see it: sets up guest, tables and protocols, runs the payload to one of
 * its ends, and answers what the hand-over asks afterwards. */
#include "shim/firmware/firmware.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/device-path.h"
#include "shim/firmware/dispatch.h"
#include "shim/firmware/events.h"
#include "shim/firmware/handles.h"
#include "shim/firmware/image.h"
#include "shim/firmware/memory.h"
#include "shim/firmware/secure-boot.h"
#include "shim/firmware/security-arch.h"

/* UEFI 2.3.4 asks for 128 KiB; kernels that decompress in the stub use a good part of it. */
#define STACK_PAGES 64u

DEFINE_CLEANUP(struct firmware *, firmware_free)

void firmware_free(struct firmware *fw)
{
        if (!fw)
                return;
        objects_release(fw);
        fw_variables_free(fw);
        fw_secure_boot_free(fw);
        images_release(fw);
        handles_release(fw);
        events_release(fw);
        thunks_release(fw);
        memory_release(fw);
        if (fw->vcpu)
                vcpu_free(fw->vcpu);
        ram_free(fw->ram);
        free(fw);
}

static int stack_setup(struct firmware *fw, struct error *error)
{
        uint64_t stack;

        if (efi_error(firmware_allocate(fw, EfiBootServicesData, STACK_PAGES, 0, &stack)))
                return error_set(error, ENOMEM, "no guest memory for the payload's stack");
        fw->stack_top = stack + STACK_PAGES * EFI_PAGE_SIZE;
        return 0;
}

/* In this order: each needs only what stands before it. */
static int rooms_setup(struct firmware *fw, struct error *error)
{
        static int (*const rooms[])(struct firmware *, struct error *) = {
                        events_setup,
                        handles_setup,
                        images_setup,
                        fw_memory_setup,
                        stack_setup,
                        fw_variables_setup,
                        fw_system_table_setup,
                        fw_console_setup,
                        fw_rng_setup,
                        fw_device_path_text_setup,
                        fw_image_setup,
                        fw_simple_fs_setup,
                        fw_load_file2_setup,
                        fw_tcg2_setup,
                        fw_secure_boot_setup,
                        fw_security_arch_setup,
        };

        for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
                int r = rooms[i](fw, error);

                if (r < 0)
                        return r;
        }
        /* Whatever setting up did wrong would otherwise show as the payload's end. */
        return fw->ended ? error_set(error, EIO, "%s", fw->end.text) : 0;
}

int firmware_new_on(const struct firmware_setup *setup, struct ram *ram, struct vcpu *vcpu,
                struct firmware **ret, struct error *error)
{
        _cleanup_(firmware_freep) struct firmware *fw = calloc(1, sizeof(*fw));
        int r;

        if (!fw) {
                vcpu_free(vcpu);
                ram_free(ram);
                return error_set(error, ENOMEM, "out of memory");
        }
        fw->setup = *setup;
        fw->ram = ram;
        fw->vcpu = vcpu;
        r = rooms_setup(fw, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(fw);
        return 0;
}

int firmware_new(const struct firmware_setup *setup, struct firmware **ret, struct error *error)
{
        _cleanup_free_ struct ram_range *ranges = NULL;
        struct vcpu *vcpu;
        struct ram *ram;
        size_t n;
        int r = memory_ram_ranges(setup, &ranges, &n, error);

        if (r < 0)
                return r;
        r = ram_new(ranges, n, setup->budget_bytes, &ram, error);
        if (r < 0)
                return r;
        r = vcpu_ptrace_new(ram, setup->deadline_ms, &vcpu, error);
        if (r < 0) {
                ram_free(ram);
                return r;
        }
        return firmware_new_on(setup, ram, vcpu, ret, error);
}

/* The volume's device handle. Without a path of the machine's a vendor path stands in, so that
 * LoadImage by path works and the image has one to be measured with. */
int fw_image_setup(struct firmware *fw, struct error *error)
{
        _cleanup_buf_ struct buf made_up = {0};
        struct span path = fw->setup.device_path;
        uint64_t address;

        if (!path.size) {
                device_path_put_node(&made_up, DEVICE_PATH_HARDWARE, DEVICE_PATH_HARDWARE_VENDOR,
                                SPAN(&guid_mkexec, sizeof(guid_mkexec)));
                device_path_put_end(&made_up);
                path = buf_span(&made_up);
        }
        if (buf_failed(&made_up) || device_path_size(path) != path.size)
                return error_set(error, EINVAL, "the volume's device path is malformed");
        if (efi_error(pool_allocate_own(fw, EfiBootServicesData, path.size, &address)) ||
                        !ram_write(fw->ram, address, path.data, path.size) ||
                        efi_error(fw_install_protocol(
                                        fw, &fw->device_handle, &guid_device_path, address)))
                return error_set(error, ENOMEM, "no guest memory for the volume's handle");
        return 0;
}

/* The payload's whole path: the volume's, and a File Path node. */
static int payload_path(struct firmware *fw, struct buf *ret, struct error *error)
{
        _cleanup_buf_ struct buf volume = {0};
        struct span nodes;
        uint64_t address;

        if (efi_error(fw_handle_protocol(fw, fw->device_handle, &guid_device_path, &address)) ||
                        !fw_get_device_path(fw, address, &volume) ||
                        !device_path_nodes(buf_span(&volume), &nodes))
                return error_set(error, EINVAL, "the volume's device path is malformed");
        buf_put_span(ret, nodes);
        if (fw->setup.file_path && !device_path_put_file(ret, fw->setup.file_path))
                return error_set(error, EINVAL, "%s: not a file name", fw->setup.file_path);
        device_path_put_end(ret);
        return buf_failed(ret) ? error_set(error, ENOMEM, "out of memory") : 0;
}

static int payload_refused(struct firmware *fw, EFI_STATUS status, struct error *error)
{
        const char *why = image_refusal(fw), *name = efi_status_name(status);

        if (!*why)
                why = name ? name : "unknown status";
        /* the caller knows the file's name */
        if (status == EFI_ACCESS_DENIED)
                return error_set(error, EKEYREJECTED, "refused: %s", why);
        return error_set(error, status == EFI_OUT_OF_RESOURCES ? ENOMEM : ENOEXEC,
                        "can't be loaded: %s", why);
}

int firmware_load(struct firmware *fw, struct buf *file, struct error *error)
{
        _cleanup_buf_ struct buf path = {0};
        EFI_STATUS status;
        int r;

        if (fw->started)
                return error_set(error, EBUSY, "a payload has been loaded");
        r = payload_path(fw, &path, error);
        if (r < 0)
                return r;
        fw->started = fw_clock();
        status = image_load(fw, 0, buf_span(&path), buf_span(file), &fw->image_handle);
        if (fw->ended)
                return 0; /* firmware_run says how */
        if (efi_error(status))
                return payload_refused(fw, status, error);
        if (efi_error(image_set_load_options(fw, fw->image_handle, fw->setup.load_options)))
                return error_set(error, ENOMEM, "no guest memory for the load options");
        image_keep_file(fw, fw->image_handle, file);
        return 0;
}

int firmware_run(struct firmware *fw, struct firmware_end *end, struct error *error)
{
        uint64_t exit_data, exit_data_size;
        EFI_STATUS status = EFI_ABORTED;

        if (fw->is_run)
                return error_set(error, EBUSY, "the payload has been run");
        if (!fw->image_handle && !fw->ended)
                return error_set(error, EINVAL, "no payload is loaded");
        fw->is_run = true;
        if (!fw->ended) {
                status = image_start(fw, fw->image_handle, &exit_data_size, &exit_data);
                fw_console_flush(fw);
        }
        trace_flush(fw);
        if (!fw->ended) {
                const char *name = efi_status_name(status);

                fw_end(fw, FIRMWARE_RETURNED, status, "the payload returned %s%s",
                                name ? name : "an unknown status",
                                fw->exited_boot_services ? " after ExitBootServices" : "");
        }
        *end = fw->end;
        return 0;
}

/* ---- for the hand-over ---- */

struct ram *firmware_ram(struct firmware *fw)
{
        return fw->ram;
}

uint64_t firmware_system_table(const struct firmware *fw)
{
        return fw->system_table;
}

uint64_t firmware_config_tables(const struct firmware *fw, size_t *n)
{
        *n = fw->n_config_tables;
        return fw->config_tables;
}

uint64_t firmware_n_calls(const struct firmware *fw)
{
        return fw->n_calls;
}

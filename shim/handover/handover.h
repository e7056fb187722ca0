/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the payload's last state in user space to an image for kexec_load: facts of this machine
 * before the run, everything that guest RAM still needs after it, and the staged form that `exec`
 * finishes with the final log. The verbs call this; nothing here touches TPM or kexec. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "shim/firmware/firmware.h"
#include "shim/handover/acpi-log.h"
#include "shim/handover/boot-params.h"
#include "shim/handover/host-memory.h"
#include "shim/handover/host-setup-data.h"
#include "shim/handover/kexec.h"
#include "shim/handover/overlay.h"
#include "shim/handover/segments.h"

/* ---- facts: what the run and the hand-over need to know of the machine ---- */
struct handover_facts {
        struct host_memory memory;
        bool plain;             /* a made-up map: good for predict, refused by handover_prepare */
        char plain_reason[256]; /* why */
        bool without_efi;       /* the running kernel's boot_params say so: a BIOS boot */
        bool has_firmware;      /* runtime services to pass through to, at firmware_runtime */
        uint64_t firmware_runtime;        /* virtual */
        bool loses_firmware;              /* the running kernel has them, but doesn't tell where */
        struct fw_config_table tables[4]; /* ACPI and SMBIOS of the machine, for firmware_setup */
        size_t n_tables;
        uint64_t acpi_rsdp;   /* from the running kernel's boot_params, 0: unknown */
        uint8_t secure_boot;  /* of the running kernel: SECURE_BOOT_* */
        bool has_screen_info; /* an EFI framebuffer that no native driver took over */
        uint8_t screen_info[SCREEN_INFO_SIZE];
        struct acpi_log acpi_log;
        struct host_setup_data roms; /* SETUP_PCI, for the second kernel */
        bool has_old_overlay;
        struct overlay_record old_overlay;
        uint64_t total_ram_bytes; /* for kexec's limit */
};

/* sysfs_root "/sys" or a recorded tree. plain_allowed (predict): what can't be read is replaced or
 * left out and says so in plain_reason; otherwise it is an error that names the file. */
int handover_facts_read(const char *sysfs_root, bool plain_allowed, struct handover_facts *ret,
                struct error *error);
void handover_facts_release(struct handover_facts *facts);

/* ---- the image ---- */
struct handover_place {
        uint64_t address;  /* physical, 0: there is none */
        uint64_t capacity; /* bytes */
};

struct handover_image {
        uint64_t id; /* the caller's, to tell whose plan this image belongs to */
        struct segments segments;
        uint64_t entry;            /* the trampoline's page */
        struct handover_place log; /* LINUX_EFI_TPM_EVENT_LOG area, capacity without its header */
        struct handover_place systemd_logs; /* contents of MkexecSystemdLogs */
        uint64_t systemd_logs_size;         /* address of its u32 size */
        struct handover_place acpi_log; /* area that the trampoline writes or invalidates; one of
                                           the segments if kexec does */
        uint64_t boot_params;           /* for traces */
        /* where the contents are: guest RAM (borrowed, after prepare) or a mapping (after map) */
        struct ram *ram;
        uint8_t *mapping;
        size_t mapping_size;
        uint64_t offsets[SEGMENTS_MAX]; /* of each segment in the mapping */
};

#define HANDOVER_LOG_SLACK \
        32u /* zero bytes behind the log that are counted in its size (see handover.c) */
/* The second kernel copies it by kmemdup, which ends at 4 MiB (KMALLOC_MAX_SIZE), its own header
 * included. */
#define HANDOVER_MAX_LOG ((4u << 20) - 4096u)

struct handover_setup {
        const struct handover_facts *facts;
        const struct fw_variable *machine_variables; /* efivarfs as it is, nothing hidden */
        size_t n_machine_variables;
        uint32_t own_registers; /* bit p: payload PCR p's register is p (see overlay_shows) */
        uint64_t log_capacity;  /* the longest log that may be set; 0: no TPM, no log table */
        uint32_t systemd_logs_capacity; /* 0: no room for it */
};

/* The address of a boot_params page that passed boot_params_check. -ENOEXEC: no hand-over, or not a
 * Linux one; -EINVAL; -EPERM: the running kernel was booted with Secure Boot and the second one
 * would think that it wasn't. */
int handover_find_boot_params(struct firmware *fw, const struct firmware_end *end,
                uint8_t host_secure_boot, uint64_t *ret, struct error *error);

/* end must be a FIRMWARE_HANDOVER. Takes pages of the guest for log area, overlay, trampoline and
 * tables, completes boot_params, and plans the segments. fw must live until the image is written or
 * released. -EOPNOTSUPP: plain map, or an ACPI log area that can't be made to agree; -ENOEXEC: not
 * a Linux hand-over; -ENOMEM, -ENOSPC, -EFBIG, -EINVAL, -EPERM (Secure Boot state would be lost).
 */
int handover_prepare(struct firmware *fw, const struct firmware_end *end,
                const struct handover_setup *setup, struct handover_image *ret,
                struct error *error);

/* The log that the second kernel gets: a complete crypto-agile log (Spec ID event first). -ENOSPC
 * if it doesn't fit (nothing changed), -ENOENT if the image has no log area. May be called again.
 * An ACPI area that is a segment is written in a mapped image only. */
int handover_set_log(struct handover_image *image, struct span log, struct error *error);
/* As systemd-logs.h has them. Longer than the capacity: -ENOSPC. */
int handover_set_systemd_logs(struct handover_image *image, struct span logs, struct error *error);

/* Staged form: own format, written at the file's start (fd of a new file; holes stay holes). Guest
 * RAM is given back on the way: only the file has the contents then. */
int handover_image_write(const struct handover_image *image, int fd, struct error *error);
/* Maps it privately and checks every number in it; later changes stay in memory. */
int handover_image_map(int fd, struct handover_image *ret, struct error *error);
void handover_image_release(struct handover_image *image);

/* The segments as kexec_load wants them; only for a mapped image. Returns their number (<=
 * SEGMENTS_MAX). */
size_t handover_image_parts(
                const struct handover_image *image, struct kexec_part parts[SEGMENTS_MAX]);

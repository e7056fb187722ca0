/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The runtime-variable overlay: a region of memory that stays reserved in the second kernel and
 * holds its EFI system table, configuration table array and an EFI_RUNTIME_SERVICES table of our
 * own, which shows the emulated boot's variables, hides the first boot's, and passes everything
 * else to the firmware. Here it is laid out and its record of an earlier hop is read; its code is
 * overlay-code.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "shim/firmware/firmware.h"

#define OVERLAY_MAX_REGIONS 32u
#define OVERLAY_MAX_NAMES   128u
#define OVERLAY_MAX_NAME    128u       /* characters of a hidden name */
#define OVERLAY_MAX_BYTES   (4u << 20) /* of the whole region */

#define OVERLAY_RECORD_VARIABLE  "MkexecOverlay"     /* vendor guid_mkexec, volatile */
#define OVERLAY_SYSTEMD_VARIABLE "MkexecSystemdLogs" /* as systemd-logs.h has them */

struct overlay_region {
        uint64_t start; /* physical, page-aligned */
        uint64_t n_pages;
};

/* What MkexecOverlay says, so that hops chain and don't stack up: a small, versioned, little-endian
 * record. Region 0 is the overlay itself; the others are pages of that hop which its e820 took out
 * of RAM. Names have vendor guid_loader. firmware_runtime 0: there is no firmware behind the
 * overlay. */
struct overlay_record {
        uint64_t firmware_runtime; /* virtual address of the firmware's own EFI_RUNTIME_SERVICES */
        struct overlay_region regions[OVERLAY_MAX_REGIONS];
        size_t n_regions;
        char *hidden[OVERLAY_MAX_NAMES]; /* UTF-8 */
        size_t n_hidden;
};

void overlay_record_release(struct overlay_record *record);
bool overlay_record_hides(const struct overlay_record *record, const char *name);
/* Adds a copy of the name unless it is there. -ENOMEM, -E2BIG (too many, too long). */
int overlay_record_hide(struct overlay_record *record, const char *name);
/* -EINVAL: not a record, or values outside the limits above. */
int overlay_record_parse(struct span bytes, struct overlay_record *ret, struct error *error);
void overlay_record_put(const struct overlay_record *record, struct buf *ret);
/* Reads it through efivarfs; *ret_found false (and 0) if no overlay is at work. The record is
 * believed only if it is volatile and /sys/firmware/efi/runtime points into its region 0: the
 * running kernel then really runs over it, and it isn't a variable that somebody wrote into the
 * firmware. */
int overlay_record_read(const char *sysfs_root, bool *ret_found, struct overlay_record *ret,
                struct error *error);

/* Was the variable set by the boot that is running now (volatile Loader* and Stub* of vendor
 * guid_loader; LoaderPcrSMBIOS aside), so that neither payload nor second kernel may see it? */
bool overlay_is_of_first_boot(const struct fw_variable *variable);
/* May the second kernel see this variable of the emulated boot? own_registers: bit p is set if
 * payload PCR p's register is p; a StubPcr* or LoaderPcr* variable that names another PCR would be
 * untrue. Only volatile variables with runtime access are shown. */
bool overlay_shows(const struct fw_variable *variable, uint32_t own_registers);

struct overlay_setup {
        uint64_t physical;      /* page-aligned; 0 to learn the size only */
        uint64_t virtual_start; /* where the second kernel is told to map it; ignored without
                                   firmware */
        const struct overlay_record *record; /* its firmware_runtime is what is passed through to */
        const struct fw_variable *const *shown;
        size_t n_shown;
        uint32_t systemd_logs_capacity; /* bytes kept free for MkexecSystemdLogs; 0: none */
        const struct fw_config_table *tables;
        size_t n_tables;
        struct span vendor; /* firmware vendor, UTF-16LE with NUL */
        uint32_t revision;  /* firmware revision */
};

/* Offsets in the region. */
struct overlay_places {
        uint64_t system_table, config_tables, vendor, runtime_table;
        uint64_t systemd_logs;      /* capacity bytes, 0 if there is none */
        uint64_t systemd_logs_size; /* of the u32 that says how many of them are used */
};

/* The whole region, a multiple of 4096 bytes. -ENOMEM, -E2BIG. */
int overlay_build(const struct overlay_setup *setup, struct buf *ret, struct overlay_places *places,
                struct error *error);

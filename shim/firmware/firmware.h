/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The emulated firmware as its own files see it: one object that owns guest, memory map, handles,
 * images, variables, and the way from a trap in the guest to a C function and back.
 *
 * A service or protocol function is a row (struct fw_service) with a thunk in guest RAM: one `hlt`,
 * whose #GP stops the guest at a known address. The dispatcher takes up to 10 ms_abi arguments,
 * traces, calls run(), puts the status into RAX and returns to the caller. Two layers, as in
 * U-Boot: run() is the thin edge that checks pointers and converts; the logic behind it is a plain
 * C function. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/efi-types.h"
#include "base/error.h"
#include "shim/machine/ram.h"
#include "shim/machine/vcpu.h"

#define FW_MAX_ARGS 16 /* variadic ms_abi calls read more: fw_stack_arg() */

struct firmware;

struct fw_service {
        const char *name; /* as in the specification: "AllocatePages", "TCG2.HashLogExtendEvent" */
        const char *args; /* one letter each, for trace and arity: p pointer, n number, h handle, g
                           * GUID*, s CHAR16*, b BOOLEAN, P out pointer (value shown after) ...:
                           * internal.h */
        EFI_STATUS (*run)(struct firmware *fw, const uint64_t arg[]);
        bool at_runtime; /* may be called after ExitBootServices */
};

/* An EFI object in guest RAM with the broker's own state behind it (a File, a protocol instance).
 * The guest knows the guest address only; the broker finds its state by that address and kind. */
struct fw_object;

enum fw_object_kind {
        FW_OBJECT_FILE_SYSTEM,
        FW_OBJECT_FILE,
        FW_OBJECT_TCG2,
        FW_OBJECT_RNG,
        FW_OBJECT_TEXT_OUT,
        FW_OBJECT_TEXT_IN,
        FW_OBJECT_DEVICE_PATH_TO_TEXT,
        FW_OBJECT_LOAD_FILE2,
        FW_OBJECT_LOADED_IMAGE,
        FW_OBJECT_BLOCK_IO,
        FW_OBJECT_SECURITY,
        FW_OBJECT_SECURITY2,
};

/* ---- how a run ends ---- */
enum firmware_end_kind {
        FIRMWARE_HANDOVER, /* first privileged instruction after ExitBootServices; regs are the
                              state there */
        FIRMWARE_RETURNED, /* the payload returned or called Exit: status */
        FIRMWARE_STOPPED,  /* ended by us: text says why (fault, system call, deadline, budget, ...)
                            */
        FIRMWARE_RESET,    /* it called ResetSystem */
};

struct firmware_end {
        enum firmware_end_kind kind;
        EFI_STATUS status;
        struct vcpu_regs regs;
        char text[256];
};

/* ---- memory map rows that the guest gets (from shim/handover/host-memory or a plain map) ---- */
struct fw_memory_range {
        uint64_t start, end; /* page-aligned */
        uint32_t type;       /* EFI_MEMORY_TYPE; EfiConventionalMemory is what may be allocated */
        uint64_t attribute;
        uint64_t virtual_start; /* runtime regions of the real firmware, else 0 */
};

/* A variable of the machine (efivarfs snapshot) or of the emulated boot. */
struct fw_variable {
        EFI_GUID vendor;
        char *name; /* UTF-8 */
        uint32_t attributes;
        uint8_t *data;
        size_t size;
};

/* A configuration table of the machine that the payload may see: address in real memory. */
struct fw_config_table {
        EFI_GUID guid;
        uint64_t address;
};

/* One that is handed over with the second kernel: a copy in memory of the firmware's own. It takes
 * the place of a row with the same GUID. */
struct fw_table_copy {
        EFI_GUID guid;
        struct span bytes;
};

/* Bytes of the machine that the payload may read at their real address though they aren't RAM of
 * its own (SMBIOS entry point and tables): a copy, in pages that are never handed over. */
struct fw_contents {
        uint64_t address;
        struct span bytes;
};

struct tcg2;         /* tcg2/protocol.h */
struct image_policy; /* tcg2/image-policy.h */

/* What the run starts from. All pointers stay the caller's and must outlive the firmware. */
struct firmware_setup {
        const struct fw_memory_range *memory;
        size_t n_memory;
        uint64_t budget_bytes;
        uint64_t deadline_ms;

        struct span load_options; /* UTF-16LE with NUL, or empty */
        struct span device_path;  /* of the volume, ends with an End node; may be empty */
        const char *file_path;    /* "\\EFI\\Linux\\b.efi", or NULL */
        int volume_fd;      /* O_PATH/O_DIRECTORY of the ESP directory, or -1: no file system */
        bool keep_files;    /* of loaded images, for firmware_image_files */
        struct span initrd; /* LoadFile2 for a bare EFI-stub kernel, or empty: none installed */

        const struct fw_variable *variables;
        size_t n_variables;
        const struct fw_config_table *tables; /* ACPI, SMBIOS ... */
        size_t n_tables;
        const struct fw_table_copy *copies;
        size_t n_copies;
        const struct fw_contents *contents;
        size_t n_contents;
        const char *firmware_vendor; /* UTF-8 */
        uint32_t firmware_revision;

        struct tcg2 *tcg2; /* NULL: no TPM, protocol absent */
        /* What images must be signed by, and be measured as; NULL: no signature is demanded. */
        const struct image_policy *image_policy;
        void (*trace)(void *arg, const char *line); /* NULL: off */
        /* The payload's own output, UTF-8: one line a call, without its end, made harmless for a
         * terminal. */
        void (*console)(void *arg, const char *line);
        void *arg;
};

int firmware_new(const struct firmware_setup *setup, struct firmware **ret, struct error *error);
void firmware_free(struct firmware *fw);

/* Loads the payload, a PE file, and measures it as firmware does. The file isn't needed afterwards;
 * with setup.keep_files its bytes are taken over. -ENOEXEC, -EKEYREJECTED (no valid signature where
 * one is demanded), -ENOMEM or -EINVAL with a reason. */
int firmware_load(struct firmware *fw, struct buf *file, struct error *error);
/* Runs what was loaded to one of the ends, once. 0 or -errno. */
int firmware_run(struct firmware *fw, struct firmware_end *end, struct error *error);

/* ---- after the hand-over: what shim/handover needs ---- */
struct ram *firmware_ram(struct firmware *fw);
uint64_t firmware_system_table(const struct firmware *fw);
uint64_t firmware_config_tables(const struct firmware *fw, size_t *n); /* address of the array */
/* The memory map as GetMemoryMap would give it; allocated array of the caller's. */
int firmware_memory_map(const struct firmware *fw, struct fw_memory_range **ret, size_t *n);
/* What of the conventional memory was allocated and so must be in place in the second kernel,
 * ascending, neighbours of one type merged; allocated array of the caller's. */
int firmware_allocations(const struct firmware *fw, struct fw_memory_range **ret, size_t *n);
/* Takes pages for the broker's own use, before or after ExitBootServices (log area, trampoline,
 * overlay). below: exclusive upper limit (0: none). */
EFI_STATUS firmware_allocate(struct firmware *fw, uint32_t type, uint64_t n_pages, uint64_t below,
                uint64_t *ret);
/* The variables of the emulated boot that the payload set (volatile ones included). */
int firmware_variables(const struct firmware *fw, const struct fw_variable **ret, size_t *n);
uint64_t firmware_n_calls(const struct firmware *fw);

/* Image number i (from 0) that LoadImage denied for want of a valid signature, and why: "b.efi: not
 * signed, ...". NULL: there were no more. */
const char *firmware_denied(const struct firmware *fw, size_t i);

/* An image that LoadImage took and that is still loaded: the bytes of its file as they were judged
 * and measured. */
struct fw_image_file {
        char name[40];
        struct span file; /* valid until it is unloaded or the firmware is freed */
        bool is_payload;
        bool verified; /* a signature was demanded, and accepted */
        bool ran_last; /* it ran when the run ended: at a hand-over the kernel, or a stub that
                        * placed the kernel by itself */
};

/* In the order in which they were loaded; allocated array of the caller's. -ENODATA without
 * setup.keep_files. */
int firmware_image_files(const struct firmware *fw, struct fw_image_file **ret, size_t *n);

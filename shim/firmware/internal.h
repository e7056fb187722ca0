/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the files of shim/firmware/ only: the state and the calls between its rooms. What only
 * the core needs of itself is in memory.h, handles.h, events.h, image.h, dispatch.h and
 * boot-services.h. */
#pragma once

#include "base/buf.h"
#include "base/span.h"
#include "shim/firmware/firmware.h"

struct fw_memory;      /* memory.c: page allocator, map keys */
struct fw_pool;        /* pool.c */
struct fw_handles;     /* handles.c: handle database */
struct fw_events;      /* events.c: events, timers, TPL */
struct fw_images;      /* image.c */
struct fw_variables;   /* variables.c */
struct fw_objects;     /* object.c */
struct fw_tcg2;        /* tcg2-edge.c: where the payload's logs stand; NULL without a TPM */
struct fw_security;    /* security-arch.c; NULL: the protocols aren't there */
struct fw_secure_boot; /* secure-boot.c; NULL: no signatures are demanded */
struct fw_thunks;      /* thunks.c */
struct fw_frame;       /* dispatch.c: the service or guest call that is being served */

#define FW_MAX_DEPTH  48u /* of guest calls within services within guest calls */
#define FW_TRACE_LINE 1024u

/* What the trace said last, and how often it has come again since. */
struct fw_trace_last {
        char line[FW_TRACE_LINE + 2 * FW_MAX_DEPTH + 1];
        uint64_t n_more;
};

struct firmware {
        struct firmware_setup setup;
        struct ram *ram;
        struct vcpu *vcpu;
        struct fw_memory *memory;
        struct fw_pool *pool;
        struct fw_handles *handles;
        struct fw_events *events;
        struct fw_images *images;
        struct fw_variables *variables;
        struct fw_objects *objects;
        struct fw_tcg2 *tcg2;
        struct fw_secure_boot *secure_boot;
        struct fw_security *security;
        struct fw_thunks *thunks;
        struct fw_frame *frame;
        struct fw_trace_last trace_last;
        uint64_t system_table, boot_services, runtime_services; /* guest addresses */
        uint64_t config_tables;
        size_t n_config_tables;
        uint64_t device_handle, image_handle, console_handle;
        uint64_t key_event; /* WaitForKey; the payload asked so often for a key */
        uint64_t n_key_polls, first_key_poll;
        uint64_t n_calls;
        uint64_t stack_top; /* of the payload's stack */
        uint64_t started;   /* fw_clock() when the payload was loaded */
        uint64_t monotonic_count;
        unsigned depth;     /* nesting of guest calls */
        unsigned unwind_to; /* depth whose guest call is to end because of Exit; 0: none */
        bool is_run;        /* firmware_run was called */
        bool exited_boot_services;
        bool ended; /* end below is valid: every nested loop returns */
        struct firmware_end end;
};

/* ---- dispatch.c, thunks.c, trace.c ---- */
/* The thunk of the row (made on the first call) and its guest address; 0: no memory left. A row
 * that appears in several objects has one thunk. */
uint64_t fw_thunk(struct firmware *fw, const struct fw_service *service);
/* Calls guest code (ms_abi) with at most 8 arguments and runs it until it returns; nested in the
 * service that is being served. -ECANCELED: the run ended (fw->ended) or the caller's image was
 * left by Exit: the service that called cleans up and returns, whatever its status. -ELOOP: nested
 * too deeply (not called). */
int fw_call(struct firmware *fw, uint64_t function, const uint64_t *args, size_t n_args,
                uint64_t *ret);
/* Argument number i (from 0) of the service that is being served, for variadic services. */
bool fw_stack_arg(struct firmware *fw, size_t i, uint64_t *ret);
/* Ends the run; the first end counts. fw_stop: FIRMWARE_STOPPED with a reason. */
void fw_end(struct firmware *fw, enum firmware_end_kind kind, EFI_STATUS status, const char *format,
                ...) __attribute__((format(printf, 4, 5)));
void fw_stop(struct firmware *fw, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends the run if it has taken too long: for loops in a service whose length the payload chooses.
 */
bool fw_out_of_time(struct firmware *fw);
/* A line of its own in the trace ("  stub.efi: relocated by ..."); nothing if the trace is off. */
void fw_trace(struct firmware *fw, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The letters of fw_service.args: the value of each argument in the trace.
 *   p pointer or opaque value      n number          b BOOLEAN         i EFI_STATUS
 *   h handle, e event              g EFI_GUID *      s CHAR16 *        d device path *
 *   t EFI_MEMORY_TYPE              T EFI_ALLOCATE_TYPE               S EFI_LOCATE_SEARCH_TYPE
 *   P pointer to UINT64/UINTN/pointer, W to UINT32, B to BOOLEAN, H to handle, E to event, D to
 * device path *: the address, and after the status "[value]" if the call succeeded or answered
 * BUFFER_TOO_SMALL . variadic rest: (EFI_GUID *, interface) pairs up to a NULL */

/* ---- object.c ---- */
/* An object of size bytes in firmware-owned guest memory (EfiBootServicesData), zeroed. -ENOMEM:
 * nothing was made and state stays the caller's. Every object that is left is freed with the
 * firmware. */
int fw_object_new(struct firmware *fw, enum fw_object_kind kind, size_t size, void *state,
                void (*free_state)(void *state), uint64_t *ret_address);
void *fw_object_state(
                struct firmware *fw, enum fw_object_kind kind, uint64_t address); /* NULL: none */
void fw_object_free(struct firmware *fw, uint64_t address);
/* Fills function pointer slots: address + 8 * first_slot onward gets the thunks of the rows. */
int fw_object_functions(struct firmware *fw, uint64_t address, size_t first_slot,
                const struct fw_service *rows, size_t n);

/* ---- memory.c ---- */
EFI_STATUS fw_allocate_pages(struct firmware *fw, uint32_t allocate_type, uint32_t memory_type,
                uint64_t n_pages, uint64_t *address);
EFI_STATUS fw_free_pages(struct firmware *fw, uint64_t address, uint64_t n_pages);

/* ---- pool.c: blocks of the payload, which it may free ---- */
EFI_STATUS fw_allocate_pool(
                struct firmware *fw, uint32_t memory_type, uint64_t size, uint64_t *address);
EFI_STATUS fw_free_pool(struct firmware *fw, uint64_t address);
/* Pool with contents, for results that the payload frees. */
EFI_STATUS fw_pool_put(
                struct firmware *fw, uint32_t memory_type, struct span bytes, uint64_t *address);

/* ---- handles.c: plain C layer; interface is a guest address (or 0) ---- */
/* *handle 0: makes a new one. EFI_INVALID_PARAMETER: no such handle, or it has the protocol
 * already. */
EFI_STATUS fw_install_protocol(struct firmware *fw, uint64_t *handle, const EFI_GUID *protocol,
                uint64_t interface);
EFI_STATUS fw_uninstall_protocol(
                struct firmware *fw, uint64_t handle, const EFI_GUID *protocol, uint64_t interface);
EFI_STATUS fw_handle_protocol(struct firmware *fw, uint64_t handle, const EFI_GUID *protocol,
                uint64_t *interface);
EFI_STATUS fw_locate_protocol(struct firmware *fw, const EFI_GUID *protocol, uint64_t *interface);
/* Longest device-path prefix that has the protocol; *remaining: guest address behind it. */
EFI_STATUS fw_locate_device_path(struct firmware *fw, const EFI_GUID *protocol,
                uint64_t device_path, uint64_t *handle, uint64_t *remaining);

/* ---- config-tables.c ---- */
/* Adds, replaces, or (address 0) removes; UEFI 7.5.6. */
EFI_STATUS fw_install_config_table(struct firmware *fw, const EFI_GUID *guid, uint64_t address);

/* ---- system-table.c ---- */
/* Members of EFI_SYSTEM_TABLE (4.3) that others fill, by offset. */
enum fw_system_table_member {
        FW_ST_CONSOLE_IN_HANDLE = 40,
        FW_ST_CON_IN = 48,
        FW_ST_CONSOLE_OUT_HANDLE = 56,
        FW_ST_CON_OUT = 64,
        FW_ST_STANDARD_ERROR_HANDLE = 72,
        FW_ST_STD_ERR = 80,
};
/* Writes the member and makes the CRC right again. */
void fw_system_table_put(struct firmware *fw, enum fw_system_table_member member, uint64_t value);

/* ---- events.c ---- */
/* An event as CreateEventEx makes it (7.1); group may be NULL. For protocols that have one
 * (WaitForKey). */
EFI_STATUS fw_event_new(struct firmware *fw, uint32_t type, uint64_t notify_tpl,
                uint64_t notify_function, uint64_t notify_context, const EFI_GUID *group,
                uint64_t *event);
EFI_STATUS fw_event_signal(struct firmware *fw, uint64_t event);
void fw_event_signal_group(struct firmware *fw, const EFI_GUID *group);
EFI_STATUS fw_event_close(struct firmware *fw, uint64_t event);
bool fw_event_exists(const struct firmware *fw, uint64_t event);
/* For SetVirtualAddressMap (8.4): runs the notify functions of EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE.
 */
void fw_event_virtual_address_change(struct firmware *fw);
/* The firmware's clock in 100 ns: real time plus what Stall and WaitForEvent skipped. */
uint64_t fw_now(const struct firmware *fw);
uint64_t fw_clock(void); /* CLOCK_MONOTONIC in 100 ns */
void fw_skip_time(struct firmware *fw, uint64_t units_100ns);
uint64_t fw_skipped_time(const struct firmware *fw);

/* ---- protocols and rooms, each installs itself; 0 or -errno. Called in this order. ---- */
int fw_memory_setup(struct firmware *fw, struct error *error);
int fw_variables_setup(struct firmware *fw, struct error *error);
int fw_system_table_setup(
                struct firmware *fw, struct error *error);      /* tables, thunks, config tables */
int fw_console_setup(struct firmware *fw, struct error *error); /* ConOut, ConIn, StdErr */
/* Hands on a last line that has no end yet; when a run is over. */
void fw_console_flush(struct firmware *fw);
/* The payload asks whether a key was typed. Ends the run if it does so without end. */
void fw_key_asked(struct firmware *fw);
int fw_rng_setup(struct firmware *fw, struct error *error);
int fw_device_path_text_setup(struct firmware *fw, struct error *error);
int fw_image_setup(struct firmware *fw, struct error *error);      /* device handle with its path */
int fw_simple_fs_setup(struct firmware *fw, struct error *error);  /* on fw->device_handle */
int fw_load_file2_setup(struct firmware *fw, struct error *error); /* setup.initrd, if any */
int fw_tcg2_setup(struct firmware *fw, struct error *error);       /* setup.tcg2, if any */
/* Called by firmware_free, also after a setup that failed or never ran. */
void fw_variables_free(struct firmware *fw);

/* ---- service tables, in slot order after EFI_TABLE_HEADER ---- */
extern const struct fw_service fw_boot_services[];
extern const size_t fw_n_boot_services; /* 44: RaiseTPL ... CreateEventEx */
extern const struct fw_service fw_runtime_services[];
extern const size_t fw_n_runtime_services; /* 14: GetTime ... QueryVariableInfo */

/* ---- checked edge conversions used by all run() functions (arguments.c) ---- */
bool fw_get_guid(struct firmware *fw, uint64_t address, EFI_GUID *ret);
/* A whole device path up to and with its End node, bounded (64 KiB, node length >= 4). */
bool fw_get_device_path(struct firmware *fw, uint64_t address, struct buf *ret);

/* ---- measurement of images and of ExitBootServices (tcg2-edge.c); no-ops without tcg2 ---- */
EFI_STATUS fw_measure_image(struct firmware *fw, struct span file, struct span device_path,
                uint64_t link_time_address, uint16_t subsystem);
/* An event whose data is what is hashed. */
EFI_STATUS fw_measure(struct firmware *fw, uint32_t pcr, uint32_t type, struct span data);
/* returned false: "Exit Boot Services Invocation". true: "... Returned with Success/Failure" by
 * status. As in edk2 a call with a wrong map key measures the failure only: the invocation belongs
 * to one whose key was right. */
void fw_measure_exit_boot_services(struct firmware *fw, bool returned, EFI_STATUS status);
/* Reads a file of the volume named by a device path with File nodes (LoadImage by path). */
EFI_STATUS fw_read_file(struct firmware *fw, struct span file_path_nodes, struct buf *ret);
/* The same through a SimpleFileSystem of the payload's own, by calls into the guest. */
EFI_STATUS fw_read_guest_file(struct firmware *fw, uint64_t file_system,
                struct span file_path_nodes, struct buf *ret);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the files of shim/firmware/ only: the state and the calls between its rooms. */
#pragma once

#include "shim/firmware/firmware.h"

struct fw_memory;    /* memory.c: page and pool allocator, map keys */
struct fw_handles;   /* handles.c: handle database */
struct fw_events;    /* events.c: events, timers, TPL */
struct fw_images;    /* image.c */
struct fw_variables; /* variables.c */
struct fw_objects;   /* object.c */
struct fw_thunks;    /* system-table.c */

struct firmware {
        struct firmware_setup setup;
        struct ram *ram;
        struct vcpu *vcpu;
        struct fw_memory *memory;
        struct fw_handles *handles;
        struct fw_events *events;
        struct fw_images *images;
        struct fw_variables *variables;
        struct fw_objects *objects;
        struct fw_thunks *thunks;
        uint64_t system_table, boot_services, runtime_services; /* guest addresses */
        uint64_t config_tables;
        size_t n_config_tables;
        uint64_t device_handle, image_handle, console_handle;
        uint64_t n_calls;
        unsigned depth;        /* nesting of guest calls */
        bool exited_boot_services;
        bool ended;            /* end below is valid: every nested loop returns */
        struct firmware_end end;
};

/* ---- dispatch.c ---- */
/* Allocates a thunk for the row and returns its guest address (0: no memory left). A row has one thunk. */
uint64_t fw_thunk(struct firmware *fw, const struct fw_service *service);
/* Calls guest code (ms_abi) with at most 4 arguments and runs it until it returns; nested in the service
 * that is being served. -ECANCELED: the run ended (fw->ended) or the caller's image was left by Exit. */
int fw_call(struct firmware *fw, uint64_t function, const uint64_t *args, size_t n_args, uint64_t *ret);
/* Argument number i (from 0) of the service that is being served, for variadic services. */
bool fw_stack_arg(struct firmware *fw, size_t i, uint64_t *ret);
/* Ends the run with a reason (FIRMWARE_STOPPED). */
void fw_stop(struct firmware *fw, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fw_trace(struct firmware *fw, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- object.c ---- */
/* An object of size bytes in firmware-owned guest memory (EfiBootServicesData), zeroed. */
int fw_object_new(struct firmware *fw, enum fw_object_kind kind, size_t size, void *state,
                void (*free_state)(void *state), uint64_t *ret_address);
void *fw_object_state(struct firmware *fw, enum fw_object_kind kind, uint64_t address); /* NULL: none */
void fw_object_free(struct firmware *fw, uint64_t address);
/* Fills function pointer slots: address + 8 * first_slot onward gets the thunks of the rows. */
int fw_object_functions(struct firmware *fw, uint64_t address, size_t first_slot,
                const struct fw_service *rows, size_t n);

/* ---- memory.c ---- */
EFI_STATUS fw_allocate_pages(struct firmware *fw, uint32_t allocate_type, uint32_t memory_type,
                uint64_t n_pages, uint64_t *address);
EFI_STATUS fw_free_pages(struct firmware *fw, uint64_t address, uint64_t n_pages);
EFI_STATUS fw_allocate_pool(struct firmware *fw, uint32_t memory_type, uint64_t size, uint64_t *address);
EFI_STATUS fw_free_pool(struct firmware *fw, uint64_t address);
/* Pool with contents, for results that the payload frees. */
EFI_STATUS fw_pool_put(struct firmware *fw, uint32_t memory_type, struct span bytes, uint64_t *address);

/* ---- handles.c: plain C layer; interface is a guest address (or 0) ---- */
EFI_STATUS fw_install_protocol(struct firmware *fw, uint64_t *handle, const EFI_GUID *protocol,
                uint64_t interface);
EFI_STATUS fw_uninstall_protocol(struct firmware *fw, uint64_t handle, const EFI_GUID *protocol,
                uint64_t interface);
EFI_STATUS fw_handle_protocol(struct firmware *fw, uint64_t handle, const EFI_GUID *protocol,
                uint64_t *interface);
EFI_STATUS fw_locate_protocol(struct firmware *fw, const EFI_GUID *protocol, uint64_t *interface);
/* Longest device-path prefix that has the protocol; *remaining: guest address behind it. */
EFI_STATUS fw_locate_device_path(struct firmware *fw, const EFI_GUID *protocol, uint64_t device_path,
                uint64_t *handle, uint64_t *remaining);

/* ---- config-tables.c ---- */
EFI_STATUS fw_install_config_table(struct firmware *fw, const EFI_GUID *guid, uint64_t address);

/* ---- protocols and rooms, each installs itself; 0 or -errno ---- */
int fw_memory_setup(struct firmware *fw, struct error *error);
int fw_system_table_setup(struct firmware *fw, struct error *error);  /* tables, thunks, config tables */
int fw_image_setup(struct firmware *fw, struct error *error);         /* device handle + payload image */
int fw_console_setup(struct firmware *fw, struct error *error);       /* ConOut, ConIn, StdErr */
int fw_rng_setup(struct firmware *fw, struct error *error);
int fw_device_path_text_setup(struct firmware *fw, struct error *error);
int fw_simple_fs_setup(struct firmware *fw, struct error *error);     /* on fw->device_handle */
int fw_load_file2_setup(struct firmware *fw, struct error *error);    /* setup.initrd, if any */
int fw_tcg2_setup(struct firmware *fw, struct error *error);          /* setup.tcg2, if any */
int fw_variables_setup(struct firmware *fw, struct error *error);

/* ---- service tables, in slot order after EFI_TABLE_HEADER ---- */
extern const struct fw_service fw_boot_services[];
extern const size_t fw_n_boot_services; /* 44: RaiseTPL ... CreateEventEx */
extern const struct fw_service fw_runtime_services[];
extern const size_t fw_n_runtime_services; /* 14: GetTime ... QueryVariableInfo */

/* ---- checked edge conversions used by all run() functions ---- */
bool fw_get_guid(struct firmware *fw, uint64_t address, EFI_GUID *ret);
/* A whole device path up to and with its End node, bounded (64 KiB, node length >= 4). */
bool fw_get_device_path(struct firmware *fw, uint64_t address, struct buf *ret);

/* ---- measurement of images and of ExitBootServices (tcg2-edge.c); no-ops without tcg2 ---- */
EFI_STATUS fw_measure_image(struct firmware *fw, struct span file, struct span device_path,
                uint64_t link_time_address, uint16_t subsystem);
void fw_measure_exit_boot_services(struct firmware *fw, bool returned, EFI_STATUS status);
/* Reads a file of the volume named by a device path with File nodes (LoadImage by path). */
EFI_STATUS fw_read_file(struct firmware *fw, struct span file_path_nodes, struct buf *ret);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The handle database as the core sees it (UEFI 2.10, 7.3); what protocols need is in internal.h.
 * Handles are numbers that lead nowhere: not canonical, so that a payload that follows one stops at
 * once. */
#pragma once

#include "shim/firmware/internal.h"

#define HANDLE_BASE 0x00f0000000000000ull
#define HANDLE_STEP 16u

/* EFI_LOCATE_SEARCH_TYPE */
enum { AllHandles, ByRegisterNotify, ByProtocol };

/* OpenProtocol attributes, 7.3.9 */
enum {
        EFI_OPEN_PROTOCOL_BY_HANDLE_PROTOCOL = 0x01,
        EFI_OPEN_PROTOCOL_GET_PROTOCOL = 0x02,
        EFI_OPEN_PROTOCOL_TEST_PROTOCOL = 0x04,
        EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER = 0x08,
        EFI_OPEN_PROTOCOL_BY_DRIVER = 0x10,
        EFI_OPEN_PROTOCOL_EXCLUSIVE = 0x20,
};

struct handle_open {
        uint64_t agent, controller;
        uint32_t attributes;
        uint32_t count;
};

/* For traces: 1 for the first handle, 0 for what isn't one. */
static inline uint64_t handle_number(uint64_t handle)
{
        uint64_t offset = handle - HANDLE_BASE;

        return handle >= HANDLE_BASE && offset < 1ull << 40 ? offset / HANDLE_STEP : 0;
}

int handles_setup(struct firmware *fw, struct error *error);
void handles_release(struct firmware *fw);
bool handle_exists(const struct firmware *fw, uint64_t handle);

/* Handles that have the protocol (NULL: all), ascending; malloc'ed. False: out of memory. */
bool handles_with(const struct firmware *fw, const EFI_GUID *protocol, uint64_t **ret, size_t *n);
/* GUIDs of a handle, malloc'ed. */
EFI_STATUS handle_protocols(const struct firmware *fw, uint64_t handle, EFI_GUID **ret, size_t *n);
/* The handle whose device path is exactly this one, 0 if none. */
uint64_t handle_with_device_path(struct firmware *fw, struct span path);
/* Replaces the interface (7.3.4). */
EFI_STATUS handle_reinstall(struct firmware *fw, uint64_t handle, const EFI_GUID *protocol,
                uint64_t old, uint64_t interface);

/* RegisterProtocolNotify (7.3.5) and the two ways of asking what is new since. */
EFI_STATUS handles_register_notify(struct firmware *fw, const EFI_GUID *protocol, uint64_t event,
                uint64_t *registration);
EFI_STATUS handles_next_registered(struct firmware *fw, uint64_t registration, bool take,
                uint64_t *handle, uint64_t *interface);
void handles_forget_event(struct firmware *fw, uint64_t event); /* CloseEvent */

/* ---- handle-opens.c: OpenProtocol and its kin (7.3.9 to 7.3.12) ---- */
EFI_STATUS handle_open_protocol(struct firmware *fw, uint64_t handle, const EFI_GUID *protocol,
                uint64_t agent, uint64_t controller, uint32_t attributes, uint64_t *interface);
EFI_STATUS handle_close_protocol(struct firmware *fw, uint64_t handle, const EFI_GUID *protocol,
                uint64_t agent, uint64_t controller);
EFI_STATUS handle_open_information(const struct firmware *fw, uint64_t handle,
                const EFI_GUID *protocol, struct handle_open **ret, size_t *n);
/* An image is unloaded: whatever it opened is closed. */
void handles_close_agent(struct firmware *fw, uint64_t agent);

/* ---- between handles.c and handle-opens.c ---- */
struct handle_interface {
        EFI_GUID protocol;
        uint64_t interface;
        struct handle_open *opens;
        size_t n_opens;
};

struct handle {
        uint64_t id;
        struct handle_interface *interfaces;
        size_t n;
};

struct handle *handle_find(const struct firmware *fw, uint64_t handle);
struct handle_interface *handle_find_interface(
                const struct firmware *fw, uint64_t handle, const EFI_GUID *protocol);
struct handle **handles_all(const struct firmware *fw, size_t *n);
bool handle_opens_block_removal(const struct handle_interface *i);

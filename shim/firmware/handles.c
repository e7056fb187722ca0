/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The handle database: handles, the protocol interfaces on them, and who wants to hear of new ones
 * (UEFI 2.10, 7.3). Pure bookkeeping on guest addresses; calls no guest code but through events. */
#include "shim/firmware/handles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/device-path.h"

#define MAX_HANDLES       4096u
#define MAX_PROTOCOLS     256u /* on one handle */
#define MAX_REGISTRATIONS 256u

/* Registrations are numbers, too. */
#define REGISTRATION_BASE 0x00f2000000000000ull

struct registration {
        uint64_t id, event;
        EFI_GUID protocol;
        uint64_t *fresh; /* handles that got the protocol and weren't asked for yet */
        size_t n_fresh;
};

struct fw_handles {
        struct handle **handles; /* ascending by id, which is the order of creation */
        size_t n, capacity;
        uint64_t n_made;
        struct registration *registrations;
        size_t n_registrations;
        uint64_t n_registered;
};

int handles_setup(struct firmware *fw, struct error *error)
{
        fw->handles = calloc(1, sizeof(*fw->handles));
        return fw->handles ? 0 : error_set(error, ENOMEM, "out of memory");
}

static void handle_free(struct handle *h)
{
        for (size_t i = 0; i < h->n; i++)
                free(h->interfaces[i].opens);
        free(h->interfaces);
        free(h);
}

void handles_release(struct firmware *fw)
{
        struct fw_handles *db = fw->handles;

        if (!db)
                return;
        for (size_t i = 0; i < db->n; i++)
                handle_free(db->handles[i]);
        for (size_t i = 0; i < db->n_registrations; i++)
                free(db->registrations[i].fresh);
        free(db->registrations);
        free(db->handles);
        free(db);
        fw->handles = NULL;
}

struct handle **handles_all(const struct firmware *fw, size_t *n)
{
        *n = fw->handles->n;
        return fw->handles->handles;
}

struct handle *handle_find(const struct firmware *fw, uint64_t handle)
{
        const struct fw_handles *db = fw->handles;
        size_t low = 0, high = db->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (db->handles[middle]->id < handle)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < db->n && db->handles[low]->id == handle ? db->handles[low] : NULL;
}

bool handle_exists(const struct firmware *fw, uint64_t handle)
{
        return handle_find(fw, handle);
}

static struct handle_interface *interface_of(struct handle *h, const EFI_GUID *protocol)
{
        for (size_t i = 0; h && i < h->n; i++)
                if (guid_equal(&h->interfaces[i].protocol, protocol))
                        return h->interfaces + i;
        return NULL;
}

struct handle_interface *handle_find_interface(
                const struct firmware *fw, uint64_t handle, const EFI_GUID *protocol)
{
        return interface_of(handle_find(fw, handle), protocol);
}

/* ---- registrations ---- */

static void registration_forget_handle(struct registration *r, uint64_t handle)
{
        size_t kept = 0;

        for (size_t i = 0; i < r->n_fresh; i++)
                if (r->fresh[i] != handle)
                        r->fresh[kept++] = r->fresh[i];
        r->n_fresh = kept;
}

static void notify_installed(struct firmware *fw, uint64_t handle, const EFI_GUID *protocol)
{
        struct fw_handles *db = fw->handles;

        for (size_t i = 0; i < db->n_registrations; i++) {
                struct registration *r = db->registrations + i;
                uint64_t *grown;

                if (!guid_equal(&r->protocol, protocol))
                        continue;
                registration_forget_handle(r, handle);
                grown = reallocarray(r->fresh, r->n_fresh + 1, sizeof(*grown));
                if (!grown)
                        continue;
                r->fresh = grown;
                r->fresh[r->n_fresh++] = handle;
                /* Only marks it: notify functions run when the service is done. */
                (void)fw_event_signal(fw, r->event);
        }
}

EFI_STATUS handles_register_notify(struct firmware *fw, const EFI_GUID *protocol, uint64_t event,
                uint64_t *registration)
{
        struct fw_handles *db = fw->handles;
        struct registration *grown;

        if (db->n_registrations >= MAX_REGISTRATIONS)
                return EFI_OUT_OF_RESOURCES;
        grown = reallocarray(db->registrations, db->n_registrations + 1, sizeof(*grown));
        if (!grown)
                return EFI_OUT_OF_RESOURCES;
        db->registrations = grown;
        grown[db->n_registrations++] = (struct registration){
                        .id = REGISTRATION_BASE + HANDLE_STEP * ++db->n_registered,
                        .event = event,
                        .protocol = *protocol,
        };
        *registration = grown[db->n_registrations - 1].id;
        return EFI_SUCCESS;
}

EFI_STATUS handles_next_registered(struct firmware *fw, uint64_t registration, bool take,
                uint64_t *handle, uint64_t *interface)
{
        struct fw_handles *db = fw->handles;

        for (size_t i = 0; i < db->n_registrations; i++) {
                struct registration *r = db->registrations + i;
                const struct handle_interface *found;

                if (r->id != registration)
                        continue;
                if (!r->n_fresh)
                        return EFI_NOT_FOUND;
                found = handle_find_interface(fw, r->fresh[0], &r->protocol);
                if (!found)
                        return EFI_NOT_FOUND;
                *handle = r->fresh[0];
                *interface = found->interface;
                if (take)
                        memmove(r->fresh, r->fresh + 1, --r->n_fresh * sizeof(r->fresh[0]));
                return EFI_SUCCESS;
        }
        return EFI_NOT_FOUND;
}

void handles_forget_event(struct firmware *fw, uint64_t event)
{
        struct fw_handles *db = fw->handles;
        size_t kept = 0;

        for (size_t i = 0; i < db->n_registrations; i++) {
                if (db->registrations[i].event == event)
                        free(db->registrations[i].fresh);
                else
                        db->registrations[kept++] = db->registrations[i];
        }
        db->n_registrations = kept;
}

/* ---- install and uninstall ---- */

static struct handle *handle_new(struct fw_handles *db)
{
        struct handle *h;

        if (db->n >= MAX_HANDLES)
                return NULL;
        if (db->n == db->capacity) {
                size_t capacity = db->capacity ? 2 * db->capacity : 32;
                struct handle **grown = reallocarray(
                                db->handles, capacity, sizeof(struct handle *));

                if (!grown)
                        return NULL;
                db->handles = grown;
                db->capacity = capacity;
        }
        h = calloc(1, sizeof(*h));
        if (!h)
                return NULL;
        h->id = HANDLE_BASE + HANDLE_STEP * ++db->n_made;
        db->handles[db->n++] = h;
        return h;
}

static void handle_drop_if_empty(struct fw_handles *db, struct handle *h)
{
        if (h->n)
                return;
        for (size_t i = 0; i < db->n; i++)
                if (db->handles[i] == h) {
                        memmove(db->handles + i, db->handles + i + 1,
                                        (--db->n - i) * sizeof(struct handle *));
                        break;
                }
        handle_free(h);
}

EFI_STATUS fw_install_protocol(
                struct firmware *fw, uint64_t *handle, const EFI_GUID *protocol, uint64_t interface)
{
        struct fw_handles *db = fw->handles;
        struct handle *h = *handle ? handle_find(fw, *handle) : NULL;
        struct handle_interface *grown;

        if (*handle && (!h || interface_of(h, protocol)))
                return EFI_INVALID_PARAMETER;
        if (h && h->n >= MAX_PROTOCOLS)
                return EFI_OUT_OF_RESOURCES;
        if (!h)
                h = handle_new(db);
        if (!h)
                return EFI_OUT_OF_RESOURCES;
        grown = reallocarray(h->interfaces, h->n + 1, sizeof(*grown));
        if (!grown) {
                handle_drop_if_empty(db, h);
                return EFI_OUT_OF_RESOURCES;
        }
        h->interfaces = grown;
        grown[h->n++] = (struct handle_interface){.protocol = *protocol, .interface = interface};
        *handle = h->id;
        notify_installed(fw, h->id, protocol);
        return EFI_SUCCESS;
}

EFI_STATUS fw_uninstall_protocol(
                struct firmware *fw, uint64_t handle, const EFI_GUID *protocol, uint64_t interface)
{
        struct handle *h = handle_find(fw, handle);
        struct handle_interface *i = interface_of(h, protocol);

        if (!h)
                return EFI_INVALID_PARAMETER;
        if (!i || i->interface != interface)
                return EFI_NOT_FOUND;
        if (handle_opens_block_removal(i))
                return EFI_ACCESS_DENIED;
        free(i->opens);
        memmove(i, i + 1, (size_t)(h->interfaces + --h->n - i) * sizeof(*i));
        for (size_t k = 0; k < fw->handles->n_registrations; k++)
                if (guid_equal(&fw->handles->registrations[k].protocol, protocol))
                        registration_forget_handle(fw->handles->registrations + k, handle);
        handle_drop_if_empty(fw->handles, h);
        return EFI_SUCCESS;
}

EFI_STATUS handle_reinstall(struct firmware *fw, uint64_t handle, const EFI_GUID *protocol,
                uint64_t old, uint64_t interface)
{
        struct handle_interface *i = handle_find_interface(fw, handle, protocol);

        if (!handle_exists(fw, handle))
                return EFI_INVALID_PARAMETER;
        if (!i || i->interface != old)
                return EFI_NOT_FOUND;
        if (handle_opens_block_removal(i))
                return EFI_ACCESS_DENIED;
        free(i->opens);
        i->opens = NULL;
        i->n_opens = 0;
        i->interface = interface;
        notify_installed(fw, handle, protocol);
        return EFI_SUCCESS;
}

/* ---- looking up ---- */

EFI_STATUS fw_handle_protocol(
                struct firmware *fw, uint64_t handle, const EFI_GUID *protocol, uint64_t *interface)
{
        const struct handle_interface *i = handle_find_interface(fw, handle, protocol);

        if (!handle_exists(fw, handle))
                return EFI_INVALID_PARAMETER;
        if (!i)
                return EFI_UNSUPPORTED;
        *interface = i->interface;
        return EFI_SUCCESS;
}

EFI_STATUS fw_locate_protocol(struct firmware *fw, const EFI_GUID *protocol, uint64_t *interface)
{
        for (size_t k = 0; k < fw->handles->n; k++) {
                const struct handle_interface *i = interface_of(fw->handles->handles[k], protocol);

                if (i) {
                        *interface = i->interface;
                        return EFI_SUCCESS;
                }
        }
        return EFI_NOT_FOUND;
}

bool handles_with(
                const struct firmware *fw, const EFI_GUID *protocol, uint64_t **ret, size_t *ret_n)
{
        uint64_t *list = calloc(fw->handles->n + 1, sizeof(*list));
        size_t n = 0;

        if (!list)
                return false;
        for (size_t k = 0; k < fw->handles->n; k++)
                if (!protocol || interface_of(fw->handles->handles[k], protocol))
                        list[n++] = fw->handles->handles[k]->id;
        *ret = list;
        *ret_n = n;
        return true;
}

EFI_STATUS handle_protocols(const struct firmware *fw, uint64_t handle, EFI_GUID **ret, size_t *n)
{
        const struct handle *h = handle_find(fw, handle);
        EFI_GUID *list;

        if (!h)
                return EFI_INVALID_PARAMETER;
        list = calloc(h->n + 1, sizeof(*list));
        if (!list)
                return EFI_OUT_OF_RESOURCES;
        for (size_t k = 0; k < h->n; k++)
                list[k] = h->interfaces[k].protocol;
        *ret = list;
        *n = h->n;
        return EFI_SUCCESS;
}

static bool device_path_of(struct firmware *fw, uint64_t handle, struct buf *ret)
{
        const struct handle_interface *i = handle_find_interface(fw, handle, &guid_device_path);

        return i && i->interface && fw_get_device_path(fw, i->interface, ret);
}

uint64_t handle_with_device_path(struct firmware *fw, struct span path)
{
        for (size_t k = 0; k < fw->handles->n && !fw_out_of_time(fw); k++) {
                _cleanup_buf_ struct buf other = {0};
                uint64_t handle = fw->handles->handles[k]->id;

                if (device_path_of(fw, handle, &other) && span_equal(buf_span(&other), path))
                        return handle;
        }
        return 0;
}

EFI_STATUS fw_locate_device_path(struct firmware *fw, const EFI_GUID *protocol,
                uint64_t device_path, uint64_t *ret_handle, uint64_t *remaining)
{
        _cleanup_buf_ struct buf path = {0};
        _cleanup_free_ uint64_t *list = NULL;
        uint64_t best = 0;
        size_t best_bytes = 0, n;

        if (!fw_get_device_path(fw, device_path, &path))
                return EFI_INVALID_PARAMETER;
        if (!handles_with(fw, protocol, &list, &n))
                return EFI_OUT_OF_RESOURCES;
        for (size_t k = 0; k < n && !fw_out_of_time(fw); k++) {
                _cleanup_buf_ struct buf prefix = {0};
                struct span rest;
                size_t bytes;

                if (!device_path_of(fw, list[k], &prefix) ||
                                !device_path_has_prefix(buf_span(&path), buf_span(&prefix), &rest))
                        continue;
                bytes = path.size - rest.size;
                if (best && bytes <= best_bytes)
                        continue;
                best = list[k];
                best_bytes = bytes;
        }
        if (!best)
                return EFI_NOT_FOUND;
        *ret_handle = best;
        *remaining = device_path + best_bytes;
        return EFI_SUCCESS;
}

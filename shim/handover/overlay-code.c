/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The runtime services that the second kernel calls instead of the firmware's (UEFI 2.10, 8.2):
 * variables of the emulated boot are ours, some of the first boot's are hidden, all others are the
 * firmware's. Freestanding, position independent, general registers only; runs in the second
 * kernel's EFI address space, one call at a time (the kernel's efi_runtime_lock). Built by
 * build-overlay.sh, never linked into mkexec. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/handover/overlay-layout.h"

#define MS_ABI __attribute__((ms_abi))

typedef uint64_t EFI_STATUS;
#define EFI_SUCCESS           0ull
#define EFIERR(n)             (1ull << 63 | (n))
#define EFI_INVALID_PARAMETER EFIERR(2)
#define EFI_UNSUPPORTED       EFIERR(3)
#define EFI_BUFFER_TOO_SMALL  EFIERR(5)
#define EFI_DEVICE_ERROR      EFIERR(7)
#define EFI_WRITE_PROTECTED   EFIERR(8)
#define EFI_NOT_FOUND         EFIERR(14)

enum { SLOT_GET_VARIABLE = 6, SLOT_GET_NEXT = 7, SLOT_SET_VARIABLE = 8 };

#define MAX_STEPS \
        65536u /* over hidden names in one call; a firmware that goes in circles ends here */

typedef EFI_STATUS(MS_ABI *get_variable_fn)(const uint16_t *name, const uint8_t *vendor,
                uint32_t *attributes, uint64_t *size, void *data);
typedef EFI_STATUS(MS_ABI *get_next_fn)(uint64_t *size, uint16_t *name, uint8_t *vendor);
typedef EFI_STATUS(MS_ABI *set_variable_fn)(const uint16_t *name, const uint8_t *vendor,
                uint32_t attributes, uint64_t size, void *data);

extern struct overlay_data overlay_data __attribute__((visibility("hidden")));
extern const uint8_t overlay_code_start[] __attribute__((visibility("hidden")));

EFI_STATUS MS_ABI overlay_get_variable(const uint16_t *name, const uint8_t *vendor,
                uint32_t *attributes, uint64_t *size, void *data);
EFI_STATUS MS_ABI overlay_get_next_variable_name(uint64_t *size, uint16_t *name, uint8_t *vendor);
EFI_STATUS MS_ABI overlay_set_variable(const uint16_t *name, const uint8_t *vendor,
                uint32_t attributes, uint64_t size, void *data);
EFI_STATUS MS_ABI overlay_set_virtual_address_map(
                uint64_t map_size, uint64_t descriptor_size, uint32_t version, void *map);

static void copy(void *to, const void *from, uint64_t size)
{
        uint8_t *t = to;
        const uint8_t *f = from;

        while (size-- > 0)
                *t++ = *f++;
}

static bool same(const void *a, const void *b, uint64_t size)
{
        const uint8_t *p = a, *q = b;

        while (size-- > 0)
                if (*p++ != *q++)
                        return false;
        return true;
}

static void *at(uint32_t offset)
{
        return (uint8_t *)&overlay_data + offset;
}

/* Entry names are NUL-terminated and NUL is nowhere else in them, so the comparison stops at the
 * name's own NUL at the latest. */
static bool is_name(const uint16_t *name, uint32_t entry_name, uint32_t entry_size)
{
        const uint16_t *n = at(entry_name);

        for (uint32_t i = 0; i < entry_size / 2; i++)
                if (name[i] != n[i])
                        return false;
        return true;
}

static bool is_hidden(const uint16_t *name, const uint8_t *vendor)
{
        const struct overlay_hidden *h = at(overlay_data.hidden);

        for (uint32_t i = 0; i < overlay_data.n_hidden; i++)
                if (same(h[i].vendor, vendor, 16) && is_name(name, h[i].name, h[i].name_size))
                        return true;
        return false;
}

/* Index of the variable of ours, or n_shown. */
static uint32_t find_shown(const uint16_t *name, const uint8_t *vendor)
{
        const struct overlay_shown *s = at(overlay_data.shown);
        uint32_t i;

        for (i = 0; i < overlay_data.n_shown; i++)
                if (same(s[i].vendor, vendor, 16) && is_name(name, s[i].name, s[i].name_size))
                        break;
        return i;
}

/* The firmware's function in a slot. Its own table, at its virtual address, is read at each call.
 */
static uint64_t firmware_slot(unsigned slot)
{
        const struct overlay_runtime_table *t = (const struct overlay_runtime_table *)(uintptr_t)
                                                                overlay_data.firmware_runtime;

        return t ? t->slot[slot] : 0;
}

EFI_STATUS MS_ABI overlay_get_variable(const uint16_t *name, const uint8_t *vendor,
                uint32_t *attributes, uint64_t *size, void *data)
{
        const struct overlay_shown *s;
        get_variable_fn next = (get_variable_fn)(uintptr_t)firmware_slot(SLOT_GET_VARIABLE);
        uint32_t i;

        if (!name || !vendor || !size)
                return EFI_INVALID_PARAMETER;
        i = find_shown(name, vendor);
        if (i == overlay_data.n_shown) {
                if (is_hidden(name, vendor) || !next)
                        return EFI_NOT_FOUND;
                return next(name, vendor, attributes, size, data);
        }

        s = (const struct overlay_shown *)at(overlay_data.shown) + i;
        if (s->data_size == 0)
                return EFI_NOT_FOUND;
        if (attributes)
                *attributes = s->attributes;
        if (*size < s->data_size) {
                *size = s->data_size;
                return EFI_BUFFER_TOO_SMALL;
        }
        if (!data)
                return EFI_INVALID_PARAMETER;
        *size = s->data_size;
        copy(data, at(s->data), s->data_size);
        return EFI_SUCCESS;
}

/* Gives a name to the caller, or says how much room it needs; nothing is written in that case. */
static EFI_STATUS give_name(const uint16_t *from, uint64_t from_size, const uint8_t *from_vendor,
                uint64_t *size, uint16_t *name, uint8_t *vendor)
{
        uint64_t room = *size;

        *size = from_size;
        if (room < from_size)
                return EFI_BUFFER_TOO_SMALL;
        copy(name, from, from_size);
        copy(vendor, from_vendor, 16);
        return EFI_SUCCESS;
}

/* The firmware's next visible variable after the one in scratch. */
static EFI_STATUS next_of_firmware(uint16_t *scratch, uint8_t *scratch_vendor, uint64_t *size,
                uint16_t *name, uint8_t *vendor)
{
        get_next_fn next = (get_next_fn)(uintptr_t)firmware_slot(SLOT_GET_NEXT);

        if (!next)
                return EFI_NOT_FOUND;
        for (uint32_t step = 0; step < MAX_STEPS; step++) {
                uint64_t n = overlay_data.scratch_size;
                EFI_STATUS status = next(&n, scratch, scratch_vendor);

                if (status == EFI_BUFFER_TOO_SMALL)
                        return EFI_DEVICE_ERROR; /* longer than any buffer of the kernel's */
                if (status != EFI_SUCCESS)
                        return status;
                if (is_hidden(scratch, scratch_vendor) ||
                                find_shown(scratch, scratch_vendor) < overlay_data.n_shown)
                        continue;
                for (n = 0; n < overlay_data.scratch_size / 2; n++)
                        if (scratch[n] == 0)
                                return give_name(scratch, (n + 1) * 2, scratch_vendor, size, name,
                                                vendor);
                return EFI_DEVICE_ERROR;
        }
        return EFI_DEVICE_ERROR;
}

/* Ours first, then the firmware's without those that are hidden or shadowed. */
EFI_STATUS MS_ABI overlay_get_next_variable_name(uint64_t *size, uint16_t *name, uint8_t *vendor)
{
        const struct overlay_shown *s = at(overlay_data.shown);
        uint16_t *scratch = at(overlay_data.scratch);
        uint8_t scratch_vendor[16];
        uint64_t chars = 0, room;
        uint32_t i = 0;
        bool ours = true;

        if (!size || !name || !vendor)
                return EFI_INVALID_PARAMETER;
        room = *size / 2;
        while (chars < room && name[chars] != 0)
                chars++;
        if (chars == room) /* no NUL inside the buffer */
                return EFI_INVALID_PARAMETER;

        if (chars > 0) {
                i = find_shown(name, vendor);
                ours = i < overlay_data.n_shown;
                i++;
        }
        if (ours) {
                while (i < overlay_data.n_shown && s[i].data_size == 0)
                        i++;
                if (i < overlay_data.n_shown)
                        return give_name(at(s[i].name), s[i].name_size, s[i].vendor, size, name,
                                        vendor);
                /* after our last one the firmware's first */
                scratch[0] = 0;
                for (i = 0; i < 16; i++)
                        scratch_vendor[i] = 0;
        } else {
                if ((chars + 1) * 2 > overlay_data.scratch_size)
                        return EFI_INVALID_PARAMETER;
                copy(scratch, name, (chars + 1) * 2);
                copy(scratch_vendor, vendor, 16);
        }
        return next_of_firmware(scratch, scratch_vendor, size, name, vendor);
}

/* Ours tell of a boot that is over, and the hidden ones of one before: neither can be changed. */
EFI_STATUS MS_ABI overlay_set_variable(const uint16_t *name, const uint8_t *vendor,
                uint32_t attributes, uint64_t size, void *data)
{
        set_variable_fn next = (set_variable_fn)(uintptr_t)firmware_slot(SLOT_SET_VARIABLE);

        if (!name || !vendor)
                return EFI_INVALID_PARAMETER;
        if (find_shown(name, vendor) < overlay_data.n_shown || is_hidden(name, vendor))
                return EFI_WRITE_PROTECTED;
        if (!next)
                return EFI_UNSUPPORTED;
        return next(name, vendor, attributes, size, data);
}

static uint64_t get_u64(const uint8_t *p)
{
        uint64_t value;

        copy(&value, p, 8);
        return value;
}

/* CRC-32 of a table header, bit by bit (UEFI 2.10, 4.2: the field itself counts as zero). */
static void refresh_crc(uint8_t *table, uint32_t size)
{
        uint32_t crc = 0xffffffff;

        for (unsigned i = 0; i < 4; i++)
                table[16 + i] = 0;
        for (uint32_t i = 0; i < size; i++) {
                crc ^= table[i];
                for (unsigned bit = 0; bit < 8; bit++)
                        crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
        }
        crc = ~crc;
        copy(table + 16, &crc, 4);
}

/* Firmware can't be moved twice in a power cycle, so where there is some behind us this is refused
 * (the kernel doesn't ask: SETUP_EFI). Where there is none, only we have pointers to convert
 * (UEFI 2.10, 8.4.1). */
EFI_STATUS MS_ABI overlay_set_virtual_address_map(
                uint64_t map_size, uint64_t descriptor_size, uint32_t version, void *map)
{
        uint8_t *system_table = at(overlay_data.system_table);

        if (overlay_data.firmware_runtime != 0)
                return EFI_UNSUPPORTED;
        if (!map || descriptor_size < 40 || version != 1)
                return EFI_INVALID_PARAMETER;
        for (uint64_t offset = 0; map_size - offset >= descriptor_size; offset += descriptor_size) {
                const uint8_t *d = (const uint8_t *)map + offset;
                uint64_t start = get_u64(d + 8), virtual_start = get_u64(d + 16),
                         bytes = get_u64(d + 24) << 12, code, delta;

                if (start > overlay_data.physical || overlay_data.physical - start >= bytes ||
                                virtual_start == 0)
                        continue;
                code = virtual_start + (overlay_data.physical - start);
                delta = code - overlay_data.code;
                for (unsigned i = 0; i < OVERLAY_N_SLOTS; i++)
                        overlay_data.runtime.slot[i] += delta;
                overlay_data.code = code;
                refresh_crc((uint8_t *)&overlay_data.runtime, sizeof(overlay_data.runtime));
                code = get_u64(system_table + 88) + delta; /* RuntimeServices */
                copy(system_table + 88, &code, 8);
                refresh_crc(system_table, 120);
                return EFI_SUCCESS;
        }
        return EFI_NOT_FOUND;
}

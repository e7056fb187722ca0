/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/overlay.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/utf16.h"
#include "shim/handover/overlay-blob.h" /* made by build-overlay.sh */
#include "shim/handover/overlay-layout.h"

/* Longest variable name that goes through GetNextVariableName; the kernel itself gives up at 1024
 * bytes. */
#define SCRATCH_SIZE 8192u

#define SYSTEM_TABLE_SIZE 120u

/* The region as it grows: offsets in the buffer are offsets from the start of the region. */
struct layout {
        struct buf *b;
        size_t data; /* offset of struct overlay_data */
        struct overlay_data head;
        size_t hidden, shown; /* offsets of the arrays */
};

static uint32_t data_offset(const struct layout *l, size_t offset)
{
        return (uint32_t)(offset - l->data);
}

static void align(struct buf *b, size_t to)
{
        buf_put_zeros(b, (to - b->size % to) % to);
}

/* Overwrites bytes that were put as zeros before. */
static void put_at(struct buf *b, size_t offset, const void *bytes, size_t size)
{
        if (!buf_failed(b) && offset <= b->size && size <= b->size - offset)
                memcpy(b->data + offset, bytes, size);
}

/* UTF-16 with NUL; its size in bytes. */
static uint32_t put_name(struct buf *b, const char *name, size_t *ret_offset)
{
        align(b, 2);
        *ret_offset = b->size;
        if (!utf8_to_utf16(name, b))
                b->failed = true;
        buf_put_u16(b, 0);
        return (uint32_t)(b->size - *ret_offset);
}

static void put_hidden(struct layout *l, const struct overlay_record *record)
{
        for (size_t i = 0; i < record->n_hidden; i++) {
                struct overlay_hidden h = {0};
                size_t offset;

                memcpy(h.vendor, &guid_loader, sizeof(h.vendor));
                h.name_size = put_name(l->b, record->hidden[i], &offset);
                h.name = data_offset(l, offset);
                put_at(l->b, l->hidden + i * sizeof(h), &h, sizeof(h));
        }
}

/* One variable of ours; data_size 0 with room: filled in later. Returns the offset of its entry. */
static size_t put_shown(struct layout *l, size_t index, const EFI_GUID *vendor, const char *name,
                uint32_t attributes, struct span data, uint32_t room, size_t *ret_data)
{
        struct overlay_shown s = {.attributes = attributes, .data_size = (uint32_t)data.size};
        size_t offset, entry = l->shown + index * sizeof(s);

        memcpy(s.vendor, vendor, sizeof(s.vendor));
        s.name_size = put_name(l->b, name, &offset);
        s.name = data_offset(l, offset);
        align(l->b, 8);
        *ret_data = l->b->size;
        s.data = data_offset(l, *ret_data);
        buf_put_span(l->b, data);
        buf_put_zeros(l->b, room);
        put_at(l->b, entry, &s, sizeof(s));
        return entry;
}

static int put_variables(
                struct layout *l, const struct overlay_setup *setup, struct overlay_places *places)
{
        const uint32_t attributes = EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS;
        struct buf record = {0};
        size_t ignored, entry, n = setup->n_shown;

        for (size_t i = 0; i < n; i++) {
                const struct fw_variable *v = setup->shown[i];

                if (v->size > OVERLAY_MAX_BYTES)
                        return -E2BIG;
                put_shown(l, i, &v->vendor, v->name, v->attributes & ~EFI_VARIABLE_APPEND_WRITE,
                                SPAN(v->data, v->size), 0, &ignored);
        }
        overlay_record_put(setup->record, &record);
        if (buf_failed(&record))
                l->b->failed = true;
        put_shown(l, n, &guid_mkexec, OVERLAY_RECORD_VARIABLE, attributes, buf_span(&record), 0,
                        &ignored);
        buf_release(&record);
        if (setup->systemd_logs_capacity > 0) {
                entry = put_shown(l, n + 1, &guid_mkexec, OVERLAY_SYSTEMD_VARIABLE, attributes,
                                SPAN(NULL, 0), setup->systemd_logs_capacity, &ignored);
                places->systemd_logs = ignored;
                places->systemd_logs_size = entry + offsetof(struct overlay_shown, data_size);
        }
        return 0;
}

/* CRC-32 as in EFI_TABLE_HEADER (UEFI 2.10, 4.2), over a table whose CRC field is still zero. */
static uint32_t crc32(const uint8_t *bytes, size_t size)
{
        uint32_t crc = 0xffffffff;

        for (size_t i = 0; i < size; i++) {
                crc ^= bytes[i];
                for (unsigned bit = 0; bit < 8; bit++)
                        crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
        }
        return ~crc;
}

/* EFI_SYSTEM_TABLE, 4.3: after ExitBootServices consoles and boot services are gone. All pointers
 * are physical but RuntimeServices, which the kernel takes as virtual in a kexec boot. */
static void put_system_table(struct layout *l, const struct overlay_setup *setup,
                const struct overlay_places *places, uint64_t runtime)
{
        struct buf t = {0};

        buf_put_u64(&t, EFI_SYSTEM_TABLE_SIGNATURE);
        buf_put_u32(&t, EFI_SYSTEM_TABLE_REVISION);
        buf_put_u32(&t, SYSTEM_TABLE_SIZE);
        buf_put_u64(&t, 0); /* CRC, reserved */
        buf_put_u64(&t, setup->physical + places->vendor);
        buf_put_u64(&t, setup->revision);
        buf_put_zeros(&t, 6 * 8);
        buf_put_u64(&t, runtime);
        buf_put_u64(&t, 0);
        buf_put_u64(&t, setup->n_tables);
        buf_put_u64(&t, setup->physical + places->config_tables);
        if (buf_failed(&t) || t.size != SYSTEM_TABLE_SIZE) {
                l->b->failed = true;
        } else {
                uint32_t crc = crc32(t.data, t.size);

                memcpy(t.data + 16, &crc, sizeof(crc));
                put_at(l->b, places->system_table, t.data, t.size);
        }
        buf_release(&t);
}

/* The head of the data, with the runtime table in it. code: the address at which the region will be
 * called. */
static int put_head(struct layout *l, uint64_t code)
{
        struct overlay_code_header header;

        memcpy(&header, overlay_code, sizeof(header));
        if (header.magic != OVERLAY_CODE_MAGIC || header.size != sizeof(overlay_code) ||
                        header.size % EFI_PAGE_SIZE != 0)
                return -EINVAL;
        l->head.runtime = (struct overlay_runtime_table){
                        .signature = EFI_RUNTIME_SERVICES_SIGNATURE,
                        .revision = EFI_SYSTEM_TABLE_REVISION,
                        .header_size = sizeof(l->head.runtime),
        };
        for (size_t i = 0; i < OVERLAY_N_SLOTS; i++)
                l->head.runtime.slot[i] = code + header.slot[i];
        l->head.runtime.crc32 = crc32((const uint8_t *)&l->head.runtime, sizeof(l->head.runtime));
        put_at(l->b, l->data, &l->head, sizeof(l->head));
        return 0;
}

static void put_config_tables(
                struct layout *l, const struct overlay_setup *setup, struct overlay_places *places)
{
        align(l->b, 8);
        places->config_tables = l->b->size;
        for (size_t i = 0; i < setup->n_tables; i++) {
                buf_put(l->b, &setup->tables[i].guid, sizeof(EFI_GUID));
                buf_put_u64(l->b, setup->tables[i].address);
        }
        places->vendor = l->b->size;
        buf_put_span(l->b, setup->vendor);
        buf_put_u16(l->b, 0);
}

/* Everything in its order; the head and the system table are written last, when the offsets are
 * known. */
static int lay_out(
                struct layout *l, const struct overlay_setup *setup, struct overlay_places *places)
{
        uint64_t code = setup->record->firmware_runtime != 0 ? setup->virtual_start
                                                             : setup->physical;
        size_t n_shown = setup->n_shown + 1 + (setup->systemd_logs_capacity > 0);
        int r;

        buf_put(l->b, overlay_code, sizeof(overlay_code));
        l->data = l->b->size;
        buf_put_zeros(l->b, sizeof(l->head));
        places->runtime_table = l->data + offsetof(struct overlay_data, runtime);
        align(l->b, 16);
        places->system_table = l->b->size;
        buf_put_zeros(l->b, SYSTEM_TABLE_SIZE);
        put_config_tables(l, setup, places);
        align(l->b, 8);
        l->hidden = l->b->size;
        buf_put_zeros(l->b, setup->record->n_hidden * sizeof(struct overlay_hidden));
        l->shown = l->b->size;
        buf_put_zeros(l->b, n_shown * sizeof(struct overlay_shown));
        put_hidden(l, setup->record);
        r = put_variables(l, setup, places);
        if (r < 0)
                return r;
        align(l->b, 8);
        l->head.scratch = data_offset(l, l->b->size);
        l->head.scratch_size = SCRATCH_SIZE;
        buf_put_zeros(l->b, SCRATCH_SIZE);
        align(l->b, EFI_PAGE_SIZE);
        if (l->b->size > OVERLAY_MAX_BYTES)
                return -E2BIG;

        l->head.magic = OVERLAY_DATA_MAGIC;
        l->head.firmware_runtime = setup->record->firmware_runtime;
        l->head.code = code;
        l->head.physical = setup->physical;
        l->head.n_bytes = l->b->size;
        l->head.system_table = data_offset(l, places->system_table);
        l->head.hidden = data_offset(l, l->hidden);
        l->head.n_hidden = (uint32_t)setup->record->n_hidden;
        l->head.shown = data_offset(l, l->shown);
        l->head.n_shown = (uint32_t)n_shown;
        put_system_table(l, setup, places, code + places->runtime_table);
        return put_head(l, code);
}

int overlay_build(const struct overlay_setup *setup, struct buf *ret, struct overlay_places *places,
                struct error *error)
{
        _cleanup_buf_ struct buf region = {0};
        struct overlay_places found = {0};
        struct layout layout = {.b = &region};
        int r;

        static_assert(sizeof(EFI_GUID) == 16, "goes into the configuration table as it is");
        if (setup->n_shown > 4096 || setup->systemd_logs_capacity > OVERLAY_MAX_BYTES)
                return error_set(error, E2BIG, "too many variables for the runtime overlay");
        r = lay_out(&layout, setup, &found);
        if (r == -E2BIG)
                return error_set(error, E2BIG,
                                "variables and log don't fit into the runtime overlay");
        if (r < 0)
                return error_set(error, -r, "the runtime overlay's code isn't what it should be");
        if (buf_failed(&region))
                return error_set(error, ENOMEM, "out of memory for the runtime overlay");
        *ret = region;
        region = (struct buf){0};
        *places = found;
        return 0;
}

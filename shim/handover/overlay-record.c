/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The record that one hop's overlay leaves for the next hop's mkexec (variable MkexecOverlay), and
 * the rules for which variables are hidden and shown. overlay.c lays out the region. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf16.h"
#include "shim/handover/host-memory.h"
#include "shim/handover/overlay.h"
#include "shim/handover/sysfs.h"

/* u32 magic, u32 version, u64 firmware_runtime, u32 regions, u32 names, 32 x {u64 start, u64
 * pages}, names {u16 size, bytes}. All region slots are always there, so that the size is known
 * before the regions. */
#define RECORD_MAGIC   0x564f4b4du /* "MKOV" */
#define RECORD_VERSION 1u

void overlay_record_release(struct overlay_record *record)
{
        for (size_t i = 0; i < record->n_hidden; i++)
                free(record->hidden[i]);
        *record = (struct overlay_record){0};
}

bool overlay_record_hides(const struct overlay_record *record, const char *name)
{
        for (size_t i = 0; i < record->n_hidden; i++)
                if (strcmp(record->hidden[i], name) == 0)
                        return true;
        return false;
}

int overlay_record_hide(struct overlay_record *record, const char *name)
{
        char *copy;

        if (overlay_record_hides(record, name))
                return 0;
        if (record->n_hidden == OVERLAY_MAX_NAMES || strlen(name) > OVERLAY_MAX_NAME)
                return -E2BIG;
        copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        record->hidden[record->n_hidden++] = copy;
        return 0;
}

void overlay_record_put(const struct overlay_record *record, struct buf *ret)
{
        buf_put_u32(ret, RECORD_MAGIC);
        buf_put_u32(ret, RECORD_VERSION);
        buf_put_u64(ret, record->firmware_runtime);
        buf_put_u32(ret, (uint32_t)record->n_regions);
        buf_put_u32(ret, (uint32_t)record->n_hidden);
        for (size_t i = 0; i < OVERLAY_MAX_REGIONS; i++) {
                buf_put_u64(ret, i < record->n_regions ? record->regions[i].start : 0);
                buf_put_u64(ret, i < record->n_regions ? record->regions[i].n_pages : 0);
        }
        for (size_t i = 0; i < record->n_hidden; i++) {
                buf_put_u16(ret, (uint16_t)strlen(record->hidden[i]));
                buf_put(ret, record->hidden[i], strlen(record->hidden[i]));
        }
}

static bool take_region(struct cursor *c, bool used, struct overlay_region *ret)
{
        if (!cursor_u64(c, &ret->start) || !cursor_u64(c, &ret->n_pages))
                return false;
        if (!used)
                return ret->start == 0 && ret->n_pages == 0;
        return ret->start % EFI_PAGE_SIZE == 0 && ret->start != 0 && ret->n_pages > 0 &&
               ret->start < HOST_MEMORY_LIMIT &&
               ret->n_pages <= (HOST_MEMORY_LIMIT - ret->start) / EFI_PAGE_SIZE;
}

static int take_name(struct cursor *c, struct overlay_record *record)
{
        char name[OVERLAY_MAX_NAME + 1] = "";
        uint16_t size;

        if (!cursor_u16(c, &size) || size == 0 || size > OVERLAY_MAX_NAME ||
                        !cursor_copy(c, name, size))
                return -EINVAL;
        for (size_t i = 0; i < size; i++)
                if (name[i] < 0x20 || name[i] > 0x7e) /* all Loader* and Stub* names are ASCII */
                        return -EINVAL;
        return overlay_record_hide(record, name);
}

static bool regions_overlap(const struct overlay_record *record)
{
        for (size_t i = 0; i < record->n_regions; i++)
                for (size_t j = i + 1; j < record->n_regions; j++) {
                        const struct overlay_region *a = &record->regions[i],
                                                    *b = &record->regions[j];

                        if (a->start < b->start + b->n_pages * EFI_PAGE_SIZE &&
                                        b->start < a->start + a->n_pages * EFI_PAGE_SIZE)
                                return true;
                }
        return false;
}

int overlay_record_parse(struct span bytes, struct overlay_record *ret, struct error *error)
{
        _cleanup_(overlay_record_release) struct overlay_record record = {0};
        struct cursor c = CURSOR(bytes);
        uint32_t magic, version, n_regions, n_hidden;

        if (!cursor_u32(&c, &magic) || !cursor_u32(&c, &version) || magic != RECORD_MAGIC)
                return error_set(error, EINVAL, "%s: not mkexec's", OVERLAY_RECORD_VARIABLE);
        if (version != RECORD_VERSION)
                return error_set(error, EINVAL, "%s: version %u is of another mkexec",
                                OVERLAY_RECORD_VARIABLE, version);
        if (!cursor_u64(&c, &record.firmware_runtime) || !cursor_u32(&c, &n_regions) ||
                        !cursor_u32(&c, &n_hidden) || n_regions == 0 ||
                        n_regions > OVERLAY_MAX_REGIONS || n_hidden > OVERLAY_MAX_NAMES)
                return error_set(error, EINVAL, "%s: malformed", OVERLAY_RECORD_VARIABLE);
        for (size_t i = 0; i < OVERLAY_MAX_REGIONS; i++)
                if (!take_region(&c, i < n_regions, &record.regions[i]))
                        return error_set(error, EINVAL, "%s: region %zu is malformed",
                                        OVERLAY_RECORD_VARIABLE, i);
        record.n_regions = n_regions;
        for (size_t i = 0; i < n_hidden; i++) {
                int r = take_name(&c, &record);

                if (r < 0)
                        return error_set(error, -r, "%s: name %zu is malformed",
                                        OVERLAY_RECORD_VARIABLE, i);
        }
        if (cursor_left(&c) != 0 || regions_overlap(&record))
                return error_set(error, EINVAL, "%s: malformed", OVERLAY_RECORD_VARIABLE);
        *ret = record;
        record = (struct overlay_record){0};
        return 0;
}

/* Does /sys/firmware/efi/runtime point into the region, by physical or virtual address? The region
 * has an entry of its own in runtime-map. */
static bool is_at_work(const char *root, const struct overlay_region *region)
{
        uint64_t runtime, size = region->n_pages * EFI_PAGE_SIZE;

        if (sysfs_read_number(root, "firmware/efi/runtime", &runtime, NULL) < 0)
                return false;
        if (runtime >= region->start && runtime - region->start < size)
                return true;
        for (unsigned i = 0; i < HOST_MEMORY_MAX_ENTRIES; i++) {
                char name[64];
                uint64_t physical, virtual_start;

                snprintf(name, sizeof(name), "firmware/efi/runtime-map/%u/phys_addr", i);
                if (sysfs_read_number(root, name, &physical, NULL) < 0)
                        return false;
                if (physical != region->start)
                        continue;
                snprintf(name, sizeof(name), "firmware/efi/runtime-map/%u/virt_addr", i);
                return sysfs_read_number(root, name, &virtual_start, NULL) == 0 &&
                       runtime >= virtual_start && runtime - virtual_start < size;
        }
        return false;
}

int overlay_record_read(const char *sysfs_root, bool *ret_found, struct overlay_record *ret,
                struct error *error)
{
        _cleanup_buf_ struct buf file = {0};
        struct overlay_record record;
        struct cursor c;
        char vendor[GUID_TEXT_SIZE];
        uint32_t attributes;
        struct span data;
        int r;

        *ret_found = false;
        guid_to_text(&guid_mkexec, vendor);
        r = sysfs_read(&file, 256 * 1024, error, sysfs_root, "firmware/efi/efivars/%s-%s",
                        OVERLAY_RECORD_VARIABLE, vendor);
        if (r == -ENOENT || r == -ENOTDIR)
                return 0;
        if (r < 0)
                return r;
        c = CURSOR(buf_span(&file));
        if (!cursor_u32(&c, &attributes) || !cursor_take(&c, cursor_left(&c), &data))
                return error_set(error, EINVAL, "%s: too short", OVERLAY_RECORD_VARIABLE);
        if (attributes & EFI_VARIABLE_NON_VOLATILE)
                return 0; /* somebody wrote it into the firmware */
        r = overlay_record_parse(data, &record, error);
        if (r < 0)
                return r;
        if (!is_at_work(sysfs_root, &record.regions[0])) {
                overlay_record_release(&record);
                return 0;
        }
        *ret = record;
        *ret_found = true;
        return 0;
}

static bool starts_with(const char *text, const char *prefix)
{
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool overlay_is_of_first_boot(const struct fw_variable *variable)
{
        return guid_equal(&variable->vendor, &guid_loader) &&
               !(variable->attributes & EFI_VARIABLE_NON_VOLATILE) &&
               (starts_with(variable->name, "Loader") || starts_with(variable->name, "Stub")) &&
               strcmp(variable->name, "LoaderPcrSMBIOS") != 0;
}

/* A PCR number as systemd-stub writes it: decimal UTF-16 with NUL. */
static bool pcr_of(const struct fw_variable *variable, unsigned *ret)
{
        _cleanup_free_ char *text = utf16_to_text(SPAN(variable->data, variable->size));
        char *end;
        unsigned long value;

        if (!text || text[0] < '0' || text[0] > '9')
                return false;
        value = strtoul(text, &end, 10);
        if (*end != '\0' || value > 23)
                return false;
        *ret = (unsigned)value;
        return true;
}

bool overlay_shows(const struct fw_variable *variable, uint32_t own_registers)
{
        unsigned pcr;

        if ((variable->attributes & EFI_VARIABLE_NON_VOLATILE) ||
                        !(variable->attributes & EFI_VARIABLE_RUNTIME_ACCESS) ||
                        variable->size == 0)
                return false;
        /* a payload's shim speaks to its own payloads; Linux takes keys from MokListRT */
        if (guid_equal(&variable->vendor, &guid_shim_lock))
                return false;
        if (!guid_equal(&variable->vendor, &guid_loader))
                return true;
        if (!starts_with(variable->name, "StubPcr") && !starts_with(variable->name, "LoaderPcr"))
                return true;
        return pcr_of(variable, &pcr) && (own_registers >> pcr & 1);
}

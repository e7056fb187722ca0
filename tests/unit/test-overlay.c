/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The runtime overlay, for real: the region is put into executable memory and its services are
 * called as the second kernel calls them, with a firmware of this test behind it. And the record
 * that lets hops chain. */
#include "tests/unit/tap.h"

#include <sys/mman.h>
#include <uchar.h>

#include "base/cleanup.h"
#include "base/efi-types.h"
#include "shim/handover/overlay.h"
#include "tests/unit/tree.h"

#define MS_ABI __attribute__((ms_abi))
#define BS_RT  (EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS)
#define NV     EFI_VARIABLE_NON_VOLATILE

/* EFI_RUNTIME_SERVICES, slot by slot (UEFI 2.10, 4.5) */
struct runtime_table {
        uint64_t signature;
        uint32_t revision, header_size, crc32, reserved;
        void *slot[14];
};

typedef EFI_STATUS(MS_ABI *get_fn)(
                const char16_t *, const EFI_GUID *, uint32_t *, uint64_t *, void *);
typedef EFI_STATUS(MS_ABI *next_fn)(uint64_t *, char16_t *, EFI_GUID *);
typedef EFI_STATUS(MS_ABI *set_fn)(const char16_t *, const EFI_GUID *, uint32_t, uint64_t, void *);
typedef EFI_STATUS(MS_ABI *any_fn)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

/* ---- a firmware ---- */

static struct {
        const char16_t *name;
        const EFI_GUID *vendor;
        const char *data;
} firmware[] = {
                {u"BootOrder", &guid_global_variable, "order"},
                {u"LoaderInfo", &guid_loader, "first"},
                {u"StubInfo", &guid_loader, "first stub"},
                {u"StubInfo", &guid_global_variable, "same name, other vendor"},
                {u"LoaderEntryOneShot", &guid_loader, "nv"},
                {u"StubProfile", &guid_loader, "first profile"},
                {u"SecureBoot", &guid_global_variable, "1"},
};

static unsigned firmware_calls;
static const char16_t *last_set;

static size_t length16(const char16_t *s)
{
        size_t n = 0;

        while (s[n])
                n++;
        return n;
}

static bool same16(const char16_t *a, const char16_t *b)
{
        return length16(a) == length16(b) && memcmp(a, b, 2 * length16(a)) == 0;
}

static size_t firmware_find(const char16_t *name, const EFI_GUID *vendor)
{
        size_t i;

        for (i = 0; i < ARRAY_SIZE(firmware); i++)
                if (same16(firmware[i].name, name) && guid_equal(firmware[i].vendor, vendor))
                        break;
        return i;
}

static EFI_STATUS MS_ABI firmware_get(const char16_t *name, const EFI_GUID *vendor,
                uint32_t *attributes, uint64_t *size, void *data)
{
        size_t i = firmware_find(name, vendor), n;

        firmware_calls++;
        if (i == ARRAY_SIZE(firmware))
                return EFI_NOT_FOUND;
        n = strlen(firmware[i].data);
        if (*size < n) {
                *size = n;
                return EFI_BUFFER_TOO_SMALL;
        }
        *size = n;
        memcpy(data, firmware[i].data, n);
        if (attributes)
                *attributes = BS_RT;
        return EFI_SUCCESS;
}

static EFI_STATUS MS_ABI firmware_next(uint64_t *size, char16_t *name, EFI_GUID *vendor)
{
        size_t i = 0, n;

        firmware_calls++;
        if (name[0]) {
                i = firmware_find(name, vendor);
                if (i == ARRAY_SIZE(firmware))
                        return EFI_INVALID_PARAMETER;
                i++;
        }
        if (i == ARRAY_SIZE(firmware))
                return EFI_NOT_FOUND;
        n = 2 * length16(firmware[i].name) + 2;
        if (*size < n) {
                *size = n;
                return EFI_BUFFER_TOO_SMALL;
        }
        *size = n;
        memcpy(name, firmware[i].name, n);
        *vendor = *firmware[i].vendor;
        return EFI_SUCCESS;
}

static EFI_STATUS MS_ABI firmware_set(const char16_t *name, const EFI_GUID *vendor,
                uint32_t attributes, uint64_t size, void *data)
{
        firmware_calls++;
        last_set = name;
        return attributes == 7 && size == 3 && data ? EFI_SUCCESS : EFI_DEVICE_ERROR;
}

/* The other slots: each says who it is and proves that all five arguments came through. */
#define THROUGH(n)                                                                  \
        static EFI_STATUS MS_ABI firmware_slot_##n(                                 \
                        uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e) \
        {                                                                           \
                return (n)*1000000 + a * 10000 + b * 1000 + c * 100 + d * 10 + e;   \
        }
THROUGH(0)
THROUGH(1)
THROUGH(2)
THROUGH(3)
THROUGH(4)
THROUGH(5)
THROUGH(9)
THROUGH(10)
THROUGH(11)
THROUGH(12)
THROUGH(13)

static struct runtime_table firmware_table = {
                .slot = {firmware_slot_0, firmware_slot_1, firmware_slot_2, firmware_slot_3,
                                firmware_slot_4, firmware_slot_5, firmware_get, firmware_next,
                                firmware_set, firmware_slot_9, firmware_slot_10, firmware_slot_11,
                                firmware_slot_12, firmware_slot_13},
};

/* ---- an overlay in front of it ---- */

static struct fw_variable of_boot[] = {
                {.name = (char *)"StubInfo",
                                .attributes = BS_RT,
                                .data = (uint8_t *)"second stub",
                                .size = 11},
                {.name = (char *)"LoaderTimeExecUSec",
                                .attributes = BS_RT,
                                .data = (uint8_t *)"12",
                                .size = 2},
};

struct overlay {
        uint8_t *region;
        size_t size;
        struct overlay_places places;
        struct overlay_record record;
        const struct runtime_table *table;
};

static bool overlay_new(struct overlay *o, bool with_firmware)
{
        const struct fw_variable *shown[] = {&of_boot[0], &of_boot[1]};
        const struct fw_config_table tables[] = {{guid_acpi20, 0x1234}, {guid_smbios3, 0x5678}};
        static const char16_t vendor[] = u"EDK II";
        _cleanup_buf_ struct buf b = {0};
        struct overlay_setup setup = {
                        .shown = shown,
                        .n_shown = 2,
                        .systemd_logs_capacity = 5000,
                        .tables = tables,
                        .n_tables = 2,
                        .vendor = SPAN(vendor, 12),
                        .revision = 0x10000,
        };
        void *region;
        size_t size;

        memset(o, 0, sizeof(*o));
        of_boot[0].vendor = of_boot[1].vendor = guid_loader;
        if (overlay_record_hide(&o->record, "LoaderInfo") < 0 ||
                        overlay_record_hide(&o->record, "StubInfo") < 0 ||
                        overlay_record_hide(&o->record, "StubProfile") < 0)
                return false;
        o->record.firmware_runtime = with_firmware ? (uintptr_t)&firmware_table : 0;
        setup.record = &o->record;
        if (overlay_build(&setup, &b, &o->places, NULL) < 0)
                return false;
        size = b.size;
        buf_release(&b);
        region = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0);
        if (region == MAP_FAILED)
                return false;
        setup.physical = setup.virtual_start = (uintptr_t)region;
        o->record.regions[0] = (struct overlay_region){(uintptr_t)region, size / 4096};
        o->record.n_regions = 1;
        if (overlay_build(&setup, &b, &o->places, NULL) < 0 || b.size != size)
                return false;
        memcpy(region, b.data, size);
        o->region = region;
        o->size = size;
        o->table = (const struct runtime_table *)(o->region + o->places.runtime_table);
        firmware_calls = 0;
        return true;
}

static void overlay_free(struct overlay *o)
{
        overlay_record_release(&o->record);
        if (o->region)
                munmap(o->region, o->size);
}

static EFI_STATUS get(const struct overlay *o, const char16_t *name, const EFI_GUID *vendor,
                char *to, uint64_t *size)
{
        uint32_t attributes = 0;

        return ((get_fn)o->table->slot[6])(name, vendor, &attributes, size, to);
}

static uint32_t crc32_of(const uint8_t *bytes, size_t size)
{
        uint32_t crc = ~0u;

        for (size_t i = 0; i < size; i++) {
                crc ^= i >= 16 && i < 20 ? 0 : bytes[i];
                for (int k = 0; k < 8; k++)
                        crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
        }
        return ~crc;
}

static uint64_t u64_at(const uint8_t *p)
{
        uint64_t v;

        memcpy(&v, p, 8);
        return v;
}

static void tables_are_right(void)
{
        struct overlay o;
        const uint8_t *st, *config;
        uint32_t crc;

        REQUIRE(overlay_new(&o, true));
        CHECK_EQ(o.size % 4096, 0);
        CHECK(o.table->signature == EFI_RUNTIME_SERVICES_SIGNATURE);
        CHECK_EQ(o.table->header_size, sizeof(*o.table));
        CHECK_EQ(o.table->crc32, crc32_of((const uint8_t *)o.table, sizeof(*o.table)));
        st = o.region + o.places.system_table;
        memcpy(&crc, st + 16, 4);
        CHECK(u64_at(st) == EFI_SYSTEM_TABLE_SIGNATURE);
        CHECK_EQ(crc, crc32_of(st, 120));
        CHECK(u64_at(st + 88) == (uintptr_t)o.table);
        CHECK_EQ(u64_at(st + 96), 0);
        CHECK_EQ(u64_at(st + 104), 2);
        config = o.region + o.places.config_tables;
        CHECK(u64_at(st + 112) == (uintptr_t)config);
        CHECK(memcmp(config, &guid_acpi20, 16) == 0);
        CHECK_EQ(u64_at(config + 40), 0x5678);
        CHECK(u64_at(st + 24) == (uintptr_t)(o.region + o.places.vendor));
        CHECK(same16((const char16_t *)(void *)(o.region + o.places.vendor), u"EDK II"));
        overlay_free(&o);
}

static void shows_and_hides(void)
{
        struct overlay o;
        char data[64];
        uint64_t size = sizeof(data);
        uint32_t attributes = 0;
        get_fn g;

        REQUIRE(overlay_new(&o, true));
        CHECK(get(&o, u"StubInfo", &guid_loader, data, &size) == EFI_SUCCESS);
        CHECK_EQ(size, 11);
        CHECK(memcmp(data, "second stub", 11) == 0);
        CHECK_EQ(firmware_calls, 0);
        /* the first boot's are gone */
        size = sizeof(data);
        CHECK(get(&o, u"LoaderInfo", &guid_loader, data, &size) == EFI_NOT_FOUND);
        CHECK(get(&o, u"StubProfile", &guid_loader, data, &size) == EFI_NOT_FOUND);
        CHECK_EQ(firmware_calls, 0);
        /* the firmware's shine through: other vendor, other name */
        CHECK(get(&o, u"StubInfo", &guid_global_variable, data, &size) == EFI_SUCCESS);
        CHECK(memcmp(data, "same name", 9) == 0);
        size = sizeof(data);
        CHECK(get(&o, u"LoaderEntryOneShot", &guid_loader, data, &size) == EFI_SUCCESS);
        size = sizeof(data);
        CHECK(get(&o, u"StubInf", &guid_loader, data, &size) == EFI_NOT_FOUND);
        CHECK(get(&o, u"StubInfoX", &guid_loader, data, &size) == EFI_NOT_FOUND);
        CHECK_EQ(firmware_calls, 4);
        /* sizes */
        g = (get_fn)o.table->slot[6];
        size = 0;
        CHECK(g(u"StubInfo", &guid_loader, &attributes, &size, NULL) == EFI_BUFFER_TOO_SMALL);
        CHECK_EQ(size, 11);
        CHECK_EQ(attributes, BS_RT);
        CHECK(g(u"StubInfo", &guid_loader, NULL, &size, NULL) == EFI_INVALID_PARAMETER);
        size = 10;
        data[10] = 'x';
        CHECK(g(u"StubInfo", &guid_loader, NULL, &size, data) == EFI_BUFFER_TOO_SMALL);
        CHECK(g(u"StubInfo", &guid_loader, NULL, &size, data) == EFI_SUCCESS);
        CHECK(g(NULL, &guid_loader, NULL, &size, data) == EFI_INVALID_PARAMETER);
        CHECK(g(u"StubInfo", NULL, NULL, &size, data) == EFI_INVALID_PARAMETER);
        CHECK(g(u"StubInfo", &guid_loader, NULL, NULL, data) == EFI_INVALID_PARAMETER);
        overlay_free(&o);
}

/* Goes through all names with buffers that are too small at first, as efivarfs does. */
static size_t iterate(const struct overlay *o, char names[][64], size_t max)
{
        next_fn next = (next_fn)o->table->slot[7];
        char16_t name[512] = u"";
        EFI_GUID vendor = {0};
        size_t n = 0;

        for (;;) {
                uint64_t size = 2 * length16(name) + 2;
                char16_t before[512];
                EFI_STATUS s;

                memcpy(before, name, sizeof(name));
                s = next(&size, name, &vendor);
                if (s == EFI_BUFFER_TOO_SMALL) {
                        CHECK(memcmp(before, name, sizeof(name)) == 0);
                        s = next(&size, name, &vendor);
                }
                if (s != EFI_SUCCESS) {
                        CHECK(s == EFI_NOT_FOUND);
                        return n;
                }
                CHECK_EQ(size, 2 * length16(name) + 2);
                if (n == max)
                        return SIZE_MAX;
                for (size_t i = 0; i <= length16(name); i++)
                        names[n][i] = (char)name[i];
                strcat(names[n], guid_equal(&vendor, &guid_loader)   ? "@loader"
                                 : guid_equal(&vendor, &guid_mkexec) ? "@mkexec"
                                                                     : "@global");
                n++;
        }
}

static void names_once_each(void)
{
        static const char *const wanted[] = {"StubInfo@loader", "LoaderTimeExecUSec@loader",
                        "MkexecOverlay@mkexec", "BootOrder@global", "StubInfo@global",
                        "LoaderEntryOneShot@loader", "SecureBoot@global"};
        struct overlay o;
        char names[20][64];
        next_fn next;
        char16_t name[64] = u"Nonsense";
        uint64_t size = sizeof(name);
        EFI_GUID vendor = guid_loader;
        size_t n;

        REQUIRE(overlay_new(&o, true));
        n = iterate(&o, names, 20);
        REQUIRE(n == ARRAY_SIZE(wanted));
        for (size_t i = 0; i < n; i++)
                CHECK(strcmp(names[i], wanted[i]) == 0);
        next = (next_fn)o.table->slot[7];
        CHECK(next(&size, name, &vendor) == EFI_INVALID_PARAMETER);
        size = 4; /* no NUL in the buffer */
        CHECK(next(&size, name, &vendor) == EFI_INVALID_PARAMETER);
        CHECK(next(NULL, name, &vendor) == EFI_INVALID_PARAMETER);
        overlay_free(&o);
}

static void writes_are_refused_or_passed(void)
{
        struct overlay o;
        set_fn set;
        char data[] = "abc";

        REQUIRE(overlay_new(&o, true));
        set = (set_fn)o.table->slot[8];
        CHECK(set(u"StubInfo", &guid_loader, BS_RT, 3, data) == EFI_WRITE_PROTECTED);
        CHECK(set(u"LoaderInfo", &guid_loader, BS_RT, 0, NULL) == EFI_WRITE_PROTECTED);
        CHECK(set(u"MkexecOverlay", &guid_mkexec, BS_RT, 3, data) == EFI_WRITE_PROTECTED);
        CHECK(set(u"MkexecSystemdLogs", &guid_mkexec, BS_RT, 3, data) == EFI_WRITE_PROTECTED);
        CHECK_EQ(firmware_calls, 0);
        CHECK(set(u"BootNext", &guid_global_variable, 7, 3, data) == EFI_SUCCESS);
        CHECK(same16(last_set, u"BootNext"));
        CHECK(set(u"StubInfo", &guid_global_variable, 7, 3, data) == EFI_SUCCESS);
        CHECK_EQ(firmware_calls, 2);
        overlay_free(&o);
}

static void others_pass_through(void)
{
        struct overlay o;

        REQUIRE(overlay_new(&o, true));
        for (unsigned i = 0; i < 14; i++) {
                if (i >= 6 && i <= 8)
                        continue;
                if (i == 4 || i == 5) /* firmware moves once in a power cycle */
                        CHECK(((any_fn)o.table->slot[i])(1, 2, 3, 4, 5) == EFI_UNSUPPORTED);
                else
                        CHECK_EQ(((any_fn)o.table->slot[i])(1, 2, 3, 4, 5), i * 1000000 + 12345);
        }
        overlay_free(&o);
}

static void the_systemd_log(void)
{
        struct overlay o;
        char data[6000], names[20][64];
        uint64_t size = sizeof(data);
        uint32_t used = 4711;

        REQUIRE(overlay_new(&o, true));
        CHECK(get(&o, u"MkexecSystemdLogs", &guid_mkexec, data, &size) == EFI_NOT_FOUND);
        memset(o.region + o.places.systemd_logs, 'j', used);
        memcpy(o.region + o.places.systemd_logs_size, &used, 4);
        CHECK(get(&o, u"MkexecSystemdLogs", &guid_mkexec, data, &size) == EFI_SUCCESS);
        CHECK_EQ(size, 4711);
        CHECK_EQ(data[4710], 'j');
        CHECK_EQ(iterate(&o, names, 20), 8);
        overlay_free(&o);
}

/* The next hop's overlay is laid over the same firmware, never over the one before. */
static void hops_chain(void)
{
        struct overlay o;
        struct overlay_record next = {0};
        char data[4096];
        uint64_t size = sizeof(data);
        struct error e = {0};

        REQUIRE(overlay_new(&o, true));
        CHECK(get(&o, u"MkexecOverlay", &guid_mkexec, data, &size) == EFI_SUCCESS);
        CHECK_EQ(overlay_record_parse(SPAN(data, size), &next, &e), 0);
        CHECK(next.firmware_runtime == (uintptr_t)&firmware_table);
        CHECK_EQ(next.n_hidden, 3);
        CHECK(overlay_record_hides(&next, "StubProfile"));
        CHECK(!overlay_record_hides(&next, "StubProfil"));
        CHECK_EQ(next.n_regions, 1);
        CHECK(next.regions[0].start == (uintptr_t)o.region);
        CHECK_EQ(next.regions[0].n_pages * 4096, o.size);
        overlay_record_release(&next);
        overlay_free(&o);
}

static void without_firmware(void)
{
        struct overlay o;
        char data[64], names[20][64];
        uint64_t size = sizeof(data), moved = 0xfffffffefe000000;
        uint8_t map[2][48] = {0};
        const uint8_t *st;
        uint64_t old_slot, pages, phys;
        uint32_t crc;

        REQUIRE(overlay_new(&o, false));
        CHECK(get(&o, u"StubInfo", &guid_loader, data, &size) == EFI_SUCCESS);
        CHECK(get(&o, u"BootOrder", &guid_global_variable, data, &size) == EFI_NOT_FOUND);
        CHECK_EQ(iterate(&o, names, 20), 3);
        CHECK(((set_fn)o.table->slot[8])(u"BootNext", &guid_global_variable, 7, 3, data) ==
                        EFI_UNSUPPORTED);
        for (unsigned i = 0; i < 14; i++)
                if (i < 4 || i == 5 || i > 8)
                        CHECK(((any_fn)o.table->slot[i])(1, 2, 3, 4, 5) == EFI_UNSUPPORTED);

        /* SetVirtualAddressMap: ours is the second descriptor */
        phys = (uintptr_t)o.region;
        pages = o.size / 4096;
        memcpy(map[1] + 8, &phys, 8);
        memcpy(map[1] + 16, &moved, 8);
        memcpy(map[1] + 24, &pages, 8);
        old_slot = (uintptr_t)o.table->slot[6];
        CHECK(((any_fn)o.table->slot[4])(48, 48, 1, (uintptr_t)map, 0) == EFI_NOT_FOUND);
        CHECK(((any_fn)o.table->slot[4])(96, 32, 1, (uintptr_t)map, 0) == EFI_INVALID_PARAMETER);
        CHECK(((any_fn)o.table->slot[4])(96, 48, 1, (uintptr_t)map, 0) == EFI_SUCCESS);
        CHECK((uintptr_t)o.table->slot[6] == old_slot - phys + moved);
        st = o.region + o.places.system_table;
        CHECK(u64_at(st + 88) == moved + o.places.runtime_table);
        memcpy(&crc, st + 16, 4);
        CHECK_EQ(crc, crc32_of(st, 120));
        CHECK_EQ(o.table->crc32, crc32_of((const uint8_t *)o.table, sizeof(*o.table)));
        overlay_free(&o);
}

static void records_and_their_twins(void)
{
        struct overlay_record r = {.firmware_runtime = 0xfffffffefe4ee018,
                                              .regions = {{0x1000, 2}, {0x8000, 1}},
                                              .n_regions = 2},
                              back;
        _cleanup_buf_ struct buf b = {0};
        struct error e = {0};

        CHECK_EQ(overlay_record_hide(&r, "LoaderInfo"), 0);
        CHECK_EQ(overlay_record_hide(&r, "LoaderInfo"), 0);
        CHECK_EQ(r.n_hidden, 1);
        overlay_record_put(&r, &b);
        CHECK_EQ(overlay_record_parse(buf_span(&b), &back, &e), 0);
        CHECK_EQ(back.regions[1].start, 0x8000);
        overlay_record_release(&back);
        for (size_t n = 0; n < b.size; n++)
                CHECK_EQ(overlay_record_parse(SPAN(b.data, n), &back, &e), -EINVAL);
        buf_put_u8(&b, 0);
        CHECK_EQ(overlay_record_parse(buf_span(&b), &back, &e), -EINVAL);
        b.size--;
        static const struct {
                size_t offset;
                uint8_t value;
        } twins[] = {
                        {0, 'X'}, {4, 2}, /* magic, version */
                        {16, 0}, {16, 1},
                        {16, 33},             /* regions: none, fewer than there are, too many */
                        {20, 2}, {20, 200},   /* names */
                        {24, 1}, {25, 0x80},  /* region 0: not aligned, overlapping region 1 */
                        {32, 0}, {32 + 7, 1}, /* no pages, too many pages */
                        {536, 0}, {537, 1}, {538, '\n'}, /* name's size, its text */
        };
        for (size_t i = 0; i < ARRAY_SIZE(twins); i++) {
                uint8_t saved = b.data[twins[i].offset];

                b.data[twins[i].offset] = twins[i].value;
                if (overlay_record_parse(buf_span(&b), &back, &e) != -EINVAL) {
                        printf("# twin %zu was taken\n", i);
                        CHECK(false);
                }
                b.data[twins[i].offset] = saved;
        }
        overlay_record_release(&r);
}

static void put_record(const struct tree *t, const struct overlay_record *r, uint32_t attributes)
{
        _cleanup_buf_ struct buf b = {0};
        char path[128], vendor[GUID_TEXT_SIZE];

        guid_to_text(&guid_mkexec, vendor);
        snprintf(path, sizeof(path), "firmware/efi/efivars/MkexecOverlay-%s", vendor);
        buf_put_u32(&b, attributes);
        overlay_record_put(r, &b);
        tree_put(t, path, b.data, b.size);
}

static void a_record_must_be_at_work(void)
{
        struct overlay_record r = {.firmware_runtime = 0xfffffffefe4ee018,
                                              .regions = {{0x1000000, 2}},
                                              .n_regions = 1},
                              back = {0};
        struct tree t;
        struct error e = {0};
        bool found = true;

        tree_new(&t);
        CHECK_EQ(overlay_record_read(t.root, &found, &back, &e), 0);
        CHECK(!found);
        put_record(&t, &r, BS_RT);
        CHECK_EQ(overlay_record_read(t.root, &found, &back, &e), 0);
        CHECK(!found); /* nothing runs over it */
        tree_runtime(&t, 0, EfiRuntimeServicesData, 0x8000, 1, 0xfffffffefea08000,
                        EFI_MEMORY_RUNTIME);
        tree_runtime(&t, 1, EfiRuntimeServicesCode, 0x1000000, 2, 0xfffffffefe200000,
                        EFI_MEMORY_RUNTIME);
        tree_text(&t, "firmware/efi/runtime", "0xfffffffefe4ee018\n");
        CHECK_EQ(overlay_record_read(t.root, &found, &back, &e), 0);
        CHECK(!found); /* it runs over the firmware's own table */
        tree_text(&t, "firmware/efi/runtime", "0xfffffffefe201040\n");
        CHECK_EQ(overlay_record_read(t.root, &found, &back, &e), 0);
        CHECK(found);
        overlay_record_release(&back);
        tree_text(&t, "firmware/efi/runtime", "0xfffffffefe202000\n"); /* one page behind */
        CHECK_EQ(overlay_record_read(t.root, &found, &back, &e), 0);
        CHECK(!found);
        tree_text(&t, "firmware/efi/runtime", "0x1001040\n");
        CHECK_EQ(overlay_record_read(t.root, &found, &back, &e), 0);
        CHECK(found);
        overlay_record_release(&back);
        put_record(&t, &r, BS_RT | NV);
        CHECK_EQ(overlay_record_read(t.root, &found, &back, &e), 0);
        CHECK(!found);
        r.regions[0].start = 0x1000001;
        put_record(&t, &r, BS_RT);
        CHECK_EQ(overlay_record_read(t.root, &found, &back, &e), -EINVAL);
        CHECK(strstr(e.text, "MkexecOverlay"));
        tree_free(&t);
}

static void which_variables(void)
{
        struct fw_variable v = {.vendor = guid_loader,
                        .name = (char *)"StubPcrKernelImage",
                        .attributes = BS_RT,
                        .data = (uint8_t *)u"11",
                        .size = 6};

        CHECK(overlay_is_of_first_boot(&v));
        CHECK(!overlay_shows(&v, 0));
        CHECK(!overlay_shows(&v, 1u << 12));
        CHECK(overlay_shows(&v, 1u << 11));
        v.data = (uint8_t *)u"77";
        CHECK(!overlay_shows(&v, ~0u));
        v.data = (uint8_t *)u"1x";
        CHECK(!overlay_shows(&v, ~0u));
        v.name = (char *)"LoaderPcrSMBIOS";
        v.data = (uint8_t *)u"1";
        v.size = 4;
        CHECK(!overlay_is_of_first_boot(&v)); /* SMBIOS was measured into PCR 1 and still is */
        CHECK(!overlay_shows(&v, 1u << 8));   /* but ours went elsewhere */
        CHECK(overlay_shows(&v, 1u << 1));
        v.name = (char *)"StubInfo";
        CHECK(overlay_is_of_first_boot(&v));
        CHECK(overlay_shows(&v, 0));
        v.attributes = BS_RT | NV;
        CHECK(!overlay_is_of_first_boot(&v));
        CHECK(!overlay_shows(&v, 0)); /* never written to the machine's flash, so it isn't there */
        v.attributes = EFI_VARIABLE_BOOTSERVICE_ACCESS;
        CHECK(!overlay_shows(&v, 0));
        v.attributes = BS_RT;
        v.vendor = guid_shim_lock;
        v.name = (char *)"MokListRT";
        CHECK(!overlay_shows(&v, ~0u)); /* the kernel would take keys from it */
        v.vendor = guid_global_variable;
        CHECK(!overlay_is_of_first_boot(&v));
        v.vendor = guid_loader;
        v.name = (char *)"SomethingElse";
        CHECK(!overlay_is_of_first_boot(&v));
}

static const struct tap_test tests[] = {
                {"system table, configuration tables, runtime table and their CRCs",
                                tables_are_right},
                {"GetVariable shows ours, hides the first boot's, passes the rest",
                                shows_and_hides},
                {"GetNextVariableName: every name once, small buffers", names_once_each},
                {"SetVariable: ours and hidden ones are write-protected",
                                writes_are_refused_or_passed},
                {"all other services go through with their arguments", others_pass_through},
                {"systemd's log appears when it is filled in", the_systemd_log},
                {"the record leads the next hop to the firmware", hops_chain},
                {"without firmware: own variables, SetVirtualAddressMap", without_firmware},
                {"records and their forged twins", records_and_their_twins},
                {"a record counts only if the kernel runs over its overlay",
                                a_record_must_be_at_work},
                {"which variables are hidden and shown", which_variables},
};
TAP_MAIN(tests)

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Device paths as text: one row per node type in formats[]; what has no row, or is too short for
 * its row, is written in edk2's generic form. Called by the firmware's protocol and by whoever
 * prints a path. */
#include "base/device-path-text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/device-path.h"
#include "base/guid.h"

static void put_char(struct buf *out, char c)
{
        buf_put_u16(out, (uint8_t)c);
}

/* ASCII only: what nodes hold of 8-bit text goes through put_text(). */
static void put(struct buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct buf *out, const char *format, ...)
{
        char text[128];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        for (const char *s = text; *s; s++)
                put_char(out, *s);
}

static void put_text(struct buf *out, struct span text)
{
        for (size_t i = 0; i < text.size && text.data[i]; i++)
                put_char(out, (char)text.data[i]);
}

/* edk2 prints all hexadecimal digits in upper case, GUIDs too. */
static void put_hex(struct buf *out, struct span bytes)
{
        for (size_t i = 0; i < bytes.size; i++)
                put(out, "%02X", bytes.data[i]);
}

static bool take_guid(struct cursor *c, EFI_GUID *ret)
{
        struct cursor ahead = *c;

        if (!cursor_u32(&ahead, &ret->Data1) || !cursor_u16(&ahead, &ret->Data2) ||
                        !cursor_u16(&ahead, &ret->Data3) ||
                        !cursor_copy(&ahead, ret->Data4, sizeof(ret->Data4)))
                return false;
        *c = ahead;
        return true;
}

static void put_guid(struct buf *out, const EFI_GUID *guid)
{
        const uint8_t *d = guid->Data4;

        put(out, "%08X-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X", guid->Data1, guid->Data2,
                        guid->Data3, d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
}

/* Writes the fields of a pattern from the node's data, in order. A letter after '%' is a field:
 *   1 2 4 8  unsigned integer of so many bytes, "0x..."      d  2 bytes, decimal
 *   D        4 bytes, decimal                                g  GUID
 *   v        the rest as hex after a comma, if there is any  a  the rest as 8-bit text
 *   .        4 bytes of an IPv4 address
 * False if the data is too short. */
static bool put_integer(struct buf *out, struct cursor *c, unsigned size, bool decimal)
{
        struct span bytes;
        uint64_t value = 0;

        if (!cursor_take(c, size, &bytes))
                return false;
        for (unsigned i = 0; i < size; i++)
                value |= (uint64_t)bytes.data[i] << 8 * i;
        if (decimal)
                put(out, "%llu", (unsigned long long)value);
        else
                put(out, "0x%llX", (unsigned long long)value);
        return true;
}

static bool put_field(struct buf *out, struct cursor *c, char field)
{
        EFI_GUID guid;
        struct span rest;

        switch (field) {
        case '1':
        case '2':
        case '4':
        case '8':
                return put_integer(out, c, (unsigned)(field - '0'), false);
        case 'd':
                return put_integer(out, c, 2, true);
        case 'D':
                return put_integer(out, c, 4, true);
        case 'g':
                if (!take_guid(c, &guid))
                        return false;
                put_guid(out, &guid);
                return true;
        case '.':
                if (!cursor_take(c, 4, &rest))
                        return false;
                put(out, "%u.%u.%u.%u", rest.data[0], rest.data[1], rest.data[2], rest.data[3]);
                return true;
        case 'v':
                if (cursor_take(c, cursor_left(c), &rest) && rest.size > 0) {
                        put_char(out, ',');
                        put_hex(out, rest);
                }
                return true;
        case 'a':
                if (cursor_take(c, cursor_left(c), &rest))
                        put_text(out, rest);
                return true;
        }
        return false;
}

static bool put_pattern(struct buf *out, struct cursor *c, const char *pattern)
{
        for (const char *p = pattern; *p; p++) {
                if (*p != '%')
                        put_char(out, *p);
                else if (!put_field(out, c, *++p))
                        return false;
        }
        return true;
}

/* ---- nodes that are more than their fields in a row ---- */

static bool put_pci(struct buf *out, struct cursor *c, bool display_only)
{
        uint8_t function, device;

        if (!cursor_u8(c, &function) || !cursor_u8(c, &device))
                return false;
        put(out, "Pci(0x%X,0x%X)", device, function);
        return true;
}

static bool put_acpi(struct buf *out, struct cursor *c, bool display_only)
{
        static const struct {
                uint16_t pnp;
                const char *name;
        } known[] = {
                        {0x0a03, "PciRoot"},
                        {0x0a08, "PcieRoot"},
                        {0x0604, "Floppy"},
                        {0x0301, "Keyboard"},
                        {0x0501, "Serial"},
                        {0x0401, "ParallelPort"},
        };
        uint32_t hid, uid;

        if (!cursor_u32(c, &hid) || !cursor_u32(c, &uid))
                return false;
        if ((hid & 0xffff) != 0x41d0) { /* compressed EISA identifier "PNP" */
                put(out, "Acpi(0x%08X,0x%X)", hid, uid);
                return true;
        }
        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                if (known[i].pnp == hid >> 16) {
                        put(out, "%s(0x%X)", known[i].name, uid);
                        return true;
                }
        put(out, "Acpi(PNP%04X,0x%X)", hid >> 16, uid);
        return true;
}

static bool put_acpi_adr(struct buf *out, struct cursor *c, bool display_only)
{
        if (!put_pattern(out, c, "AcpiAdr(%4"))
                return false;
        while (cursor_left(c) >= 4)
                if (!put_pattern(out, c, ",%4"))
                        return false;
        put_char(out, ')');
        return true;
}

static bool put_atapi(struct buf *out, struct cursor *c, bool display_only)
{
        uint8_t secondary, slave;
        uint16_t lun;

        if (!cursor_u8(c, &secondary) || !cursor_u8(c, &slave) || !cursor_u16(c, &lun))
                return false;
        if (display_only)
                put(out, "Ata(0x%X)", lun);
        else
                put(out, "Ata(%s,%s,0x%X)", secondary ? "Secondary" : "Primary",
                                slave ? "Slave" : "Master", lun);
        return true;
}

static bool put_nvme(struct buf *out, struct cursor *c, bool display_only)
{
        struct span eui;

        if (!put_pattern(out, c, "NVMe(%4,") || !cursor_take(c, 8, &eui))
                return false;
        for (int i = 7; i >= 0; i--)
                put(out, i ? "%02X-" : "%02X)", eui.data[i]);
        return true;
}

static bool put_mac(struct buf *out, struct cursor *c, bool display_only)
{
        struct span address;
        uint8_t type;

        if (!cursor_take(c, 32, &address) || !cursor_u8(c, &type))
                return false;
        address.size = type <= 1 ? 6 : 32; /* Ethernet, or not said */
        put(out, "MAC(");
        put_hex(out, address);
        put(out, ",0x%X)", type);
        return true;
}

/* Local, remote, ports, protocol, static, and (UEFI 2.3 and later) gateway and mask. */
static bool put_ipv4(struct buf *out, struct cursor *c, bool display_only)
{
        struct span local, ports;
        uint16_t protocol;
        uint8_t is_static;

        put(out, "IPv4(");
        if (!cursor_take(c, 4, &local) || !put_pattern(out, c, "%.") ||
                        !cursor_take(c, 4, &ports) || !cursor_u16(c, &protocol) ||
                        !cursor_u8(c, &is_static))
                return false;
        if (!display_only) {
                if (protocol == 6 || protocol == 17)
                        put(out, ",%s,", protocol == 6 ? "TCP" : "UDP");
                else
                        put(out, ",0x%X,", protocol);
                put(out, "%s,%u.%u.%u.%u", is_static ? "Static" : "DHCP", local.data[0],
                                local.data[1], local.data[2], local.data[3]);
                if (cursor_left(c) == 8)
                        (void)put_pattern(out, c, ",%.,%.");
        }
        put_char(out, ')');
        return true;
}

static bool put_hard_drive(struct buf *out, struct cursor *c, bool display_only)
{
        uint32_t partition;
        uint8_t format, type;
        struct span extent, signature;
        struct cursor s;

        if (!cursor_u32(c, &partition) || !cursor_take(c, 16, &extent) ||
                        !cursor_take(c, 16, &signature) || !cursor_u8(c, &format) ||
                        !cursor_u8(c, &type))
                return false;
        put(out, "HD(%u,", partition);
        s = CURSOR(signature);
        if (type == 1) { /* MBR: the disk's 32-bit number, always with 8 digits */
                uint32_t number;

                (void)cursor_u32(&s, &number);
                put(out, "MBR,0x%08X", number);
        } else if (type == 2) {
                put(out, "GPT,");
                (void)put_field(out, &s, 'g');
        } else {
                put(out, "%u,0", type);
        }
        s = CURSOR(extent);
        return put_pattern(out, &s, ",%8,%8)");
}

static bool put_cdrom(struct buf *out, struct cursor *c, bool display_only)
{
        return put_pattern(out, c, display_only ? "CDROM(%4)" : "CDROM(%4,%8,%8)");
}

/* The characters as they are: stubs make a file name of them. */
static bool put_file(struct buf *out, struct cursor *c, bool display_only)
{
        uint16_t unit;

        while (cursor_u16(c, &unit) && unit)
                buf_put_u16(out, unit);
        return true;
}

struct format {
        uint8_t type, subtype;
        const char *pattern; /* or: */
        bool (*write)(struct buf *out, struct cursor *data, bool display_only);
};

static const struct format formats[] = {
                {DEVICE_PATH_HARDWARE, 0x01, .write = put_pci},
                {DEVICE_PATH_HARDWARE, 0x02, "PcCard(%1)"},
                {DEVICE_PATH_HARDWARE, DEVICE_PATH_HARDWARE_MEMORY_MAPPED,
                                "MemoryMapped(%4,%8,%8)"},
                {DEVICE_PATH_HARDWARE, DEVICE_PATH_HARDWARE_VENDOR, "VenHw(%g%v)"},
                {DEVICE_PATH_HARDWARE, 0x05, "Ctrl(%4)"},
                {DEVICE_PATH_HARDWARE, 0x06, "BMC(%1,%8)"},
                {DEVICE_PATH_ACPI, 0x01, .write = put_acpi},
                {DEVICE_PATH_ACPI, 0x03, .write = put_acpi_adr},
                {DEVICE_PATH_MESSAGING, 0x01, .write = put_atapi},
                {DEVICE_PATH_MESSAGING, 0x02, "Scsi(%2,%2)"},
                {DEVICE_PATH_MESSAGING, 0x05, "USB(%1,%1)"},
                {DEVICE_PATH_MESSAGING, 0x0a, "VenMsg(%g%v)"},
                {DEVICE_PATH_MESSAGING, 0x0b, .write = put_mac},
                {DEVICE_PATH_MESSAGING, 0x0c, .write = put_ipv4},
                {DEVICE_PATH_MESSAGING, 0x11, "Unit(%1)"},
                {DEVICE_PATH_MESSAGING, 0x12, "Sata(%2,%2,%2)"},
                {DEVICE_PATH_MESSAGING, 0x14, "Vlan(%d)"},
                {DEVICE_PATH_MESSAGING, 0x17, .write = put_nvme},
                {DEVICE_PATH_MESSAGING, 0x18, "Uri(%a)"},
                {DEVICE_PATH_MESSAGING, 0x19, "UFS(%1,%1)"},
                {DEVICE_PATH_MESSAGING, 0x1a, "SD(%1)"},
                {DEVICE_PATH_MESSAGING, 0x1d, "eMMC(%1)"},
                {DEVICE_PATH_MEDIA, DEVICE_PATH_MEDIA_HARD_DRIVE, .write = put_hard_drive},
                {DEVICE_PATH_MEDIA, 0x02, .write = put_cdrom},
                {DEVICE_PATH_MEDIA, DEVICE_PATH_MEDIA_VENDOR, "VenMedia(%g%v)"},
                {DEVICE_PATH_MEDIA, DEVICE_PATH_MEDIA_FILE, .write = put_file},
                {DEVICE_PATH_MEDIA, 0x05, "Media(%g)"},
                {DEVICE_PATH_MEDIA, 0x06, "FvFile(%g)"},
                {DEVICE_PATH_MEDIA, 0x07, "Fv(%g)"},
                {DEVICE_PATH_END, DEVICE_PATH_END_INSTANCE, ","},
                {DEVICE_PATH_END, DEVICE_PATH_END_ENTIRE, ""},
};

static void put_generic(struct buf *out, const struct device_path_node *node)
{
        static const char *const types[] = {
                        [DEVICE_PATH_HARDWARE] = "HardwarePath",
                        [DEVICE_PATH_ACPI] = "AcpiPath",
                        [DEVICE_PATH_MESSAGING] = "Msg",
                        [DEVICE_PATH_MEDIA] = "MediaPath",
                        [DEVICE_PATH_BBS] = "BbsPath",
        };

        if (node->type < ARRAY_SIZE(types) && types[node->type])
                put(out, "%s(%u", types[node->type], node->subtype);
        else
                put(out, "Path(%u,%u", node->type, node->subtype);
        if (node->data.size > 0) {
                put_char(out, ',');
                put_hex(out, node->data);
        }
        put_char(out, ')');
}

static void put_node(struct buf *out, const struct device_path_node *node, bool display_only)
{
        size_t before = out->size;

        for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
                const struct format *f = &formats[i];
                struct cursor c = CURSOR(node->data);

                if (f->type != node->type || f->subtype != node->subtype)
                        continue;
                if (f->write ? f->write(out, &c, display_only) : put_pattern(out, &c, f->pattern))
                        return;
                if (!out->failed)
                        out->size = before; /* too short for its type */
                break;
        }
        put_generic(out, node);
}

bool device_path_node_to_text(struct span node, bool display_only, struct buf *utf16)
{
        struct cursor c = CURSOR(node);
        struct device_path_node n;

        if (!device_path_next(&c, &n))
                return false;
        put_node(utf16, &n, display_only);
        return true;
}

bool device_path_to_text(struct span path, bool display_only, struct buf *utf16)
{
        struct cursor c = CURSOR(path);
        size_t before = utf16->size;
        bool joined = true; /* nothing, or a ',', stands before */
        struct device_path_node node;

        while (device_path_next(&c, &node)) {
                bool end_instance = node.type == DEVICE_PATH_END &&
                                    node.subtype == DEVICE_PATH_END_INSTANCE;

                if (device_path_is_end(&node))
                        return true;
                if (!joined && !end_instance)
                        put_char(utf16, '/');
                put_node(utf16, &node, display_only);
                joined = end_instance;
        }
        if (!utf16->failed)
                utf16->size = before;
        return false;
}

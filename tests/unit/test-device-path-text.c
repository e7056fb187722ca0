/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Device paths as text. The expected texts are edk2's: of OVMF's boot entries and event logs, and
 * by its format strings for the nodes that QEMU has not. */
#include "base/alg.h"
#include "base/utf16.h"
#include "base/device-path-text.h"
#include "tests/unit/tap.h"

static char *text_of(const char *hex, bool display_only, bool whole)
{
        uint8_t bytes[1024];
        size_t n = strlen(hex) / 2;
        struct buf utf16 = {0};
        char *text = NULL;

        if (n > sizeof(bytes) || !hex_decode(hex, bytes, n))
                return NULL;
        if (whole ? device_path_to_text(SPAN(bytes, n), display_only, &utf16)
                  : device_path_node_to_text(SPAN(bytes, n), display_only, &utf16))
                text = utf16_to_text(buf_span(&utf16));
        buf_release(&utf16);
        return text;
}

struct example {
        const char *hex, *text, *display; /* display: if it differs */
};

static void check_examples(const struct example *e, size_t n, bool whole)
{
        for (size_t i = 0; i < n; i++) {
                char *text = text_of(e[i].hex, false, whole);
                char *display = text_of(e[i].hex, true, whole);
                const char *wanted = e[i].display ? e[i].display : e[i].text;

                CHECK(text && strcmp(text, e[i].text) == 0);
                CHECK(display && strcmp(display, wanted) == 0);
                if (!text || strcmp(text, e[i].text) != 0)
                        printf("# %s, wanted %s\n", text ? text : "(nothing)", e[i].text);
                free(text);
                free(display);
        }
}

static const struct example nodes[] = {
                {"010106000a1f", "Pci(0x1F,0xA)"},
                {"0102050003", "PcCard(0x3)"},
                {"010318000b00000000f0800000000000ffff810000000000",
                                "MemoryMapped(0xB,0x80F000,0x81FFFF)"},
                {"01041400c9bdb87cebf8344faaea3ee4af6516a1",
                                "VenHw(7CB8BDC9-F8EB-4F34-AAEA-3EE4AF6516A1)"},
                {"01041700c9bdb87cebf8344faaea3ee4af6516a100ab12",
                                "VenHw(7CB8BDC9-F8EB-4F34-AAEA-3EE4AF6516A1,00AB12)"},
                {"0105080002000000", "Ctrl(0x2)"},
                {"01060d0001a20c000000000000", "BMC(0x1,0xCA2)"},
                {"02010c00d041030a00000000", "PciRoot(0x0)"},
                {"02010c00d041080a10000000", "PcieRoot(0x10)"},
                {"02010c00d041010500000000", "Serial(0x0)"},
                {"02010c00d041030b01000000", "Acpi(PNP0B03,0x1)"},
                {"02010c00d141030b01000000", "Acpi(0x0B0341D1,0x1)"},
                {"02030c000001018020030180", "AcpiAdr(0x80010100,0x80010320)"},
                {"0301080001000000", "Ata(Secondary,Master,0x0)", "Ata(0x0)"},
                {"0302080001000000", "Scsi(0x1,0x0)"},
                {"030506000200", "USB(0x2,0x0)"},
                {"030a1400c9bdb87cebf8344faaea3ee4af6516a1",
                                "VenMsg(7CB8BDC9-F8EB-4F34-AAEA-3EE4AF6516A1)"},
                {"030b2500525400123456000000000000000000000000000000000000000000000000000001",
                                "MAC(525400123456,0x1)"},
                {"030b2500000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
                                "MAC("
                                "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F,"
                                "0x20)"},
                {"030c1b000a00020f0a000202000000000600000a000201ffffff00",
                                "IPv4(10.0.2.2,TCP,DHCP,10.0.2.15,10.0.2.1,255.255.255.0)",
                                "IPv4(10.0.2.2)"},
                {"030c1300000000000000000000000000010001", "IPv4(0.0.0.0,0x1,Static,0.0.0.0)",
                                "IPv4(0.0.0.0)"},
                {"0311050000", "Unit(0x0)"},
                {"03120a000000ffff0000", "Sata(0x0,0xFFFF,0x0)"},
                {"031406006400", "Vlan(100)"},
                {"03171000010000000102030405060708", "NVMe(0x1,08-07-06-05-04-03-02-01)"},
                {"03181200687474703a2f2f612f622e656669", "Uri(http://a/b.efi)"},
                {"03180400", "Uri()"},
                {"031d050000", "eMMC(0x0)"},
                {"04012a000100000000080000000000000040060000000000af3dc60f838472478e793d69d8477de40"
                 "202",
                                "HD(1,GPT,0FC63DAF-8483-4772-8E79-3D69D8477DE4,0x800,0x64000)"},
                {"04012a00020000003f000000000000006400000000000000efbe00000000000000000000000000000"
                 "101",
                                "HD(2,MBR,0x0000BEEF,0x3F,0x64)"},
                {"04012a000300000001000000000000000200000000000000000000000000000000000000000000000"
                 "007",
                                "HD(3,7,0,0x1,0x2)"},
                {"040218000000000010000000000000002000000000000000", "CDROM(0x0,0x10,0x20)",
                                "CDROM(0x0)"},
                {"0403140027e46855fc683d4fac74ca555231cc68",
                                "VenMedia(5568E427-68FC-4F3D-AC74-CA555231CC68)"},
                {"040426005c004500460049005c004c0069006e00750078005c0062002e006500660069000000",
                                "\\EFI\\Linux\\b.efi"},
                {"04061400c9bdb87cebf8344faaea3ee4af6516a1",
                                "FvFile(7CB8BDC9-F8EB-4F34-AAEA-3EE4AF6516A1)"},
                {"04071400c9bdb87cebf8344faaea3ee4af6516a1",
                                "Fv(7CB8BDC9-F8EB-4F34-AAEA-3EE4AF6516A1)"},
                {"0109060001fe", "HardwarePath(9,01FE)"},
                {"02090400", "AcpiPath(9)"},
                {"03ee050000", "Msg(238,00)"},
                {"0499050000", "MediaPath(153,00)"},
                {"0501050000", "BbsPath(1,00)"},
                {"09080500ab", "Path(9,8,AB)"},
                {"040129000100000000080000000000000040060000000000af3dc60f838472478e793d69d8477de40"
                 "2",
                                "MediaPath(1,"
                                "0100000000080000000000000040060000000000AF3DC60F838472478E793D69D8"
                                "477DE402)"},
                {"010406000102", "HardwarePath(4,0102)"},
                {"030c12000000000000000000000000000000", "Msg(12,0000000000000000000000000000)"},
                {"0101050001", "HardwarePath(1,01)"},
                {"7fff0400", ""},
                {"7f010400", ","},
};

static void test_nodes(void)
{
        check_examples(nodes, sizeof(nodes) / sizeof(nodes[0]), false);
}

static const struct example paths[] = {
                {"02010c00d041030a0000000001010600021f03120a000000ffff000004012a0001000000000800000"
                 "00000000040060000000000af3dc60f838472478e793d69d8477de40202040430005c004500460049"
                 "005c0042004f004f0054005c0042004f004f0054005800360034002e0045004600490000007fff040"
                 "0",
                                "PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0,0xFFFF,0x0)/"
                                "HD(1,GPT,0FC63DAF-8483-4772-8E79-3D69D8477DE4,0x800,0x64000)/"
                                "\\EFI\\BOOT\\BOOTX64.EFI"},
                {"04040e005c0045004600490000000404100062002e0065006600690000007fff0400",
                                "\\EFI/b.efi"},
                {"02010c00d041030a0000000001010600021f7f0104000305060001007fff0400",
                                "PciRoot(0x0)/Pci(0x1F,0x2),USB(0x1,0x0)"},
                {"7fff0400", ""},
                {"7fff0400010101", ""},
};

static void test_paths(void)
{
        check_examples(paths, sizeof(paths) / sizeof(paths[0]), true);
}

static void test_malformed(void)
{
        static const char *const bad_nodes[] = {
                        "", "01", "010100", "01010300", "01010600aa", "7fff0500"};
        static const char *const bad_paths[] = {"", "01010600011f", "01010600011f7fff",
                        "010100007fff0400", "01010600011f7fff0300", "01010600011f7fff"};

        for (size_t i = 0; i < sizeof(bad_nodes) / sizeof(bad_nodes[0]); i++)
                CHECK(text_of(bad_nodes[i], false, false) == NULL);
        for (size_t i = 0; i < sizeof(bad_paths) / sizeof(bad_paths[0]); i++)
                CHECK(text_of(bad_paths[i], false, true) == NULL);
}

/* What was there before stays, whatever comes of the path. */
static void test_appends(void)
{
        struct buf b = {0};

        buf_put_u16(&b, 'x');
        CHECK(!device_path_to_text(SPAN("\x01\x01\x06\x00\x01\x02", 6), false, &b));
        CHECK_EQ(b.size, 2);
        CHECK(device_path_to_text(SPAN("\x01\x02\x05\x00\x01\x7f\xff\x04\x00", 9), false, &b));
        CHECK_EQ(b.size, 2 + 2 * strlen("PcCard(0x1)"));
        buf_release(&b);
}

static const struct tap_test tests[] = {
                {"each kind of node", test_nodes},
                {"whole paths", test_paths},
                {"malformed paths have no text", test_malformed},
                {"appends", test_appends},
};

TAP_MAIN(tests)

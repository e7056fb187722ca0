/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tries LoadImage on every file of \\images of its own volume and prints the status of each, and
 * then the event log, under mkexec and under OVMF alike (tests/integration/test_secure_boot.py,
 * tests/system/test_images.py). Nothing is started. Ends by switching the machine off. */
#include "guest.h"

struct system_table *st;
struct boot_services *bs;
handle self;

status efi_main(handle image, struct system_table *table);

static const struct guid file_system = GUID_FILE_SYSTEM, device_path = GUID_DEVICE_PATH,
                         tcg2_protocol = GUID_TCG2;

static void say(const char16 *text)
{
        st->con_out->output_string(st->con_out, text);
}

static void say_hex(uint64_t value)
{
        char16 text[17] = {0};

        for (int i = 0; i < 16; i++)
                text[i] = u"0123456789abcdef"[value >> (60 - 4 * i) & 15];
        say(text);
}

static uint64_t length_of(const char16 *text)
{
        uint64_t n = 0;

        while (text[n])
                n++;
        return n;
}

/* The volume's path with a File Path node for \\images\\NAME, as a boot manager would make it. */
static void *path_of(const char16 *name)
{
        static uint8_t path[1024];
        static const char16 folder[] = u"\\images\\";
        uint64_t size = 0, bytes = 2 * (length_of(folder) + length_of(name) + 1);
        void *volume;

        if (bs->handle_protocol(loaded_image_of(self)->device, &device_path, &volume) != SUCCESS)
                return NULL;
        for (uint8_t *node = volume; node[0] != 0x7f; node = (uint8_t *)volume + size)
                size += node[2] + 256u * node[3];
        if (size + bytes + 8 > sizeof(path))
                return NULL;
        bs->copy_mem(path, volume, size);
        path[size] = path[size + 1] = 4; /* media, file path */
        path[size + 2] = (uint8_t)(bytes + 4);
        path[size + 3] = (uint8_t)((bytes + 4) >> 8);
        bs->copy_mem(path + size + 4, folder, 2 * length_of(folder));
        bs->copy_mem(path + size + 4 + 2 * length_of(folder), name, 2 * (length_of(name) + 1));
        size += 4 + bytes;
        path[size] = 0x7f, path[size + 1] = 0xff, path[size + 2] = 4, path[size + 3] = 0;
        return path;
}

static void judge(const char16 *name)
{
        handle h = NULL;
        status s = bs->load_image(false, self, path_of(name), NULL, 0, &h);

        if (h)
                bs->unload_image(h);
        say(u"JUDGE ");
        say_hex(s);
        say(u" ");
        say(name);
        say(u"\r\n");
}

static status judge_all(void)
{
        static uint8_t info[1024]; /* EFI_FILE_INFO: the name is at 80, the attributes at 72 */
        struct file *root, *folder;
        uint64_t size;
        void *fs;

        if (bs->handle_protocol(loaded_image_of(self)->device, &file_system, &fs) != SUCCESS ||
                        ((struct file_system *)fs)->open_volume(fs, &root) != SUCCESS ||
                        root->open(root, &folder, u"\\images", 1, 0) != SUCCESS)
                return NOT_FOUND;
        while (size = sizeof(info), folder->read(folder, &size, info) == SUCCESS && size > 0)
                if (!(info[72] & 0x10)) /* a folder */
                        judge((char16 *)(info + 80));
        return SUCCESS;
}

/* Lines of 32 bytes in hex, from the header to some way behind the start of the last event, which
 * is all that GetEventLog tells of the end. */
static status show_log(void)
{
        const uint8_t *log;
        uint64_t location, last;
        struct tcg2 *tcg2;
        bool truncated;

        if (bs->locate_protocol(&tcg2_protocol, NULL, (void **)&tcg2) != SUCCESS ||
                        tcg2->get_event_log(tcg2, 2, &location, &last, &truncated) != SUCCESS ||
                        truncated)
                return NOT_FOUND;
        log = (const uint8_t *)location;
        for (uint64_t at = 0; at < last - location + 2048; at += 32) {
                char16 line[65] = {0};

                for (int i = 0; i < 32; i++) {
                        line[2 * i] = u"0123456789abcdef"[log[at + i] >> 4];
                        line[2 * i + 1] = u"0123456789abcdef"[log[at + i] & 15];
                }
                say(u"LOG ");
                say(line);
                say(u"\r\n");
        }
        return SUCCESS;
}

status efi_main(handle image, struct system_table *table)
{
        status s;

        st = table;
        bs = table->bs;
        self = image;
        s = judge_all();
        if (s == SUCCESS)
                s = show_log();
        say(u"JUDGED ");
        say_hex(s);
        say(u"\r\n");
        st->rt->reset_system(2, SUCCESS, 0, NULL);
        return s;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TAP over the console, and the few functions that a freestanding program has to bring along. */
#include "guest.h"

static uint64_t failures, failed_checks;

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);

void *memcpy(void *to, const void *from, size_t n)
{
        for (size_t i = 0; i < n; i++)
                ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
        return to;
}

void *memset(void *to, int c, size_t n)
{
        for (size_t i = 0; i < n; i++)
                ((volatile uint8_t *)to)[i] = (uint8_t)c;
        return to;
}

static void put(const char *text)
{
        char16 wide[128];
        size_t n = 0;

        if (!st->con_out) /* after ExitBootServices */
                return;
        for (; *text; text++) {
                wide[n++] = (char16)*text;
                if (n == 127 || !text[1]) {
                        wide[n] = 0;
                        st->con_out->output_string(st->con_out, wide);
                        n = 0;
                }
        }
}

static void put_hex(uint64_t value)
{
        char text[19] = "0x";

        for (int i = 0; i < 16; i++)
                text[2 + i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
        put(text);
}

static void put_line(int line)
{
        char text[8] = {0};
        int at = 7;

        do
                text[--at] = (char)('0' + line % 10);
        while (line /= 10);
        put(text + at);
}

void tap_check(bool good, const char *what, int line)
{
        if (good)
                return;
        failed_checks++;
        put("# line ");
        put_line(line);
        put(": ");
        put(what);
        put("\n");
}

void tap_check_equal(uint64_t got, uint64_t wanted, const char *what, int line)
{
        tap_check(got == wanted, what, line);
        if (got == wanted)
                return;
        put("#   is ");
        put_hex(got);
        put(", wanted ");
        put_hex(wanted);
        put("\n");
}

void tap_test(const char *name, void (*run)(void))
{
        failed_checks = 0;
        run();
        put(failed_checks ? "not ok " : "ok ");
        put(name);
        put("\n");
        failures += failed_checks > 0;
}

uint64_t tap_failures(void)
{
        return failures;
}

bool same_bytes(const void *a, const void *b, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (((const uint8_t *)a)[i] != ((const uint8_t *)b)[i])
                        return false;
        return true;
}

bool same_text(const char16 *a, const char16 *b)
{
        while (*a && *a == *b)
                a++, b++;
        return *a == *b;
}

bool same_guid(const struct guid *a, const struct guid *b)
{
        return same_bytes(a, b, sizeof(*a));
}

struct loaded_image *loaded_image_of(handle h)
{
        static const struct guid guid = GUID_LOADED_IMAGE;
        void *image = NULL;

        return bs->handle_protocol(h, &guid, &image) == SUCCESS ? image : NULL;
}

void *read_file(const char16 *name, uint64_t *size)
{
        static const struct guid guid = GUID_FILE_SYSTEM;
        const uint64_t most = 1 << 20;
        struct file *root, *file;
        void *fs, *bytes;

        if (bs->handle_protocol(loaded_image_of(self)->device, &guid, &fs) != SUCCESS ||
                        ((struct file_system *)fs)->open_volume(fs, &root) != SUCCESS ||
                        root->open(root, &file, name, 1, 0) != SUCCESS ||
                        bs->allocate_pool(LOADER_DATA, most, &bytes) != SUCCESS)
                return NULL;
        *size = most;
        if (file->read(file, size, bytes) != SUCCESS)
                return NULL;
        file->close(file);
        root->close(root);
        return bytes;
}

void *protocol(const struct guid *g)
{
        void *found = NULL;

        return bs->locate_protocol(g, NULL, &found) == SUCCESS ? found : NULL;
}

status leave_boot_services(void)
{
        static uint8_t map[32768];
        uint64_t size = sizeof(map), key, descriptor;
        uint32_t version;

        if (bs->get_memory_map(&size, map, &key, &descriptor, &version) != SUCCESS)
                return ABORTED;
        return bs->exit_boot_services(self, key);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An efivarfs directory with one file: its name is the input's first line, its contents the rest.
 * What comes out is a variable that the file really says, or nothing. */
#include <assert.h>

#include "base/utf16.h"
#include "shim/firmware/efivarfs.h"
#include "tests/unit/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A name that a directory can have. */
static bool make_name(const uint8_t *data, size_t size, char name[256])
{
        if (size == 0 || size > 255)
                return false;
        for (size_t i = 0; i < size; i++)
                name[i] = data[i] == '/' || data[i] == '\0' ? '!' : (char)data[i];
        name[size] = '\0';
        return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void check(
                const struct fw_variable *v, const char *file, const uint8_t *contents, size_t size)
{
        char text[GUID_TEXT_SIZE];
        size_t name = strlen(v->name);
        EFI_GUID vendor;
        struct buf utf16 = {0};

        assert(strlen(file) == name + GUID_TEXT_SIZE && memcmp(file, v->name, name) == 0 &&
                        name > 0);
        guid_to_text(&v->vendor, text);
        assert(guid_from_text(file + name + 1, &vendor) && guid_equal(&vendor, &v->vendor));
        assert(utf8_to_utf16(v->name, &utf16));
        buf_release(&utf16);
        assert(size >= 4 && v->size == size - 4 && memcmp(v->data, contents + 4, v->size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *line = memchr(data, '\n', size);
        struct fw_variable *variables;
        struct error error;
        char name[256];
        size_t n;

        if (!line || !make_name(data, (size_t)(line - data), name))
                return 0;
        size -= (size_t)(line + 1 - data);
        if (!scratch_root[0]) {
                if (!scratch_new())
                        abort();
                atexit(scratch_remove);
        }
        scratch_write_bytes(name, line + 1, size);
        if (efivarfs_read(scratch_root, &variables, &n, &error) == 0) {
                assert(n <= 1);
                if (n == 1)
                        check(variables, name, line + 1, size);
                efivarfs_free(variables, n);
        }
        unlink(scratch_path(name));
        return 0;
}

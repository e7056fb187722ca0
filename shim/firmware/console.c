/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL, EFI_SIMPLE_TEXT_INPUT_PROTOCOL and its Ex form
 * (UEFI 2.10, 12.2-12.4). What the payload writes goes to setup.console line by line, with
 * everything replaced that could drive a terminal. Nobody types: there is never a key. No GOP and
 * no device path on the handle, so that stubs neither draw nor derive a console= option from it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf16.h"
#include "shim/firmware/internal.h"

#define COLUMNS          80
#define ROWS             25
#define MAX_STRING_CHARS 16384u
#define MAX_LINE_CHARS   512u          /* a longer one goes out in pieces */
#define MAX_ALL_CHARS    (256u * 1024) /* of a run; more than anybody reads */

/* A menu that counts seconds asks some hundred times for a key before it goes on by itself, but for
 * all of its seconds if it counts them by the processor's clock, as GRUB does. */
#define MAX_KEY_POLLS 50000u
#define MAX_KEY_100NS 300000000u /* 30 s */

/* SIMPLE_TEXT_OUTPUT_MODE (12.4.1) lies behind the ten members of the protocol. */
#define MODE_OFFSET 80
#define MODE_SIZE   24

struct console {
        void (*console)(void *arg, const char *line);
        void *arg;
        struct buf line; /* UTF-16LE, harmless */
        size_t n_chars;
        int32_t attribute, column, row;
        bool cursor_visible;
};

/* ---- lines ---- */

static void flush(struct console *c)
{
        _cleanup_free_ char *text = NULL;

        if (c->line.size == 0)
                return;
        text = utf16_to_text(buf_span(&c->line));
        if (text && c->console)
                c->console(c->arg, text);
        c->line.size = 0;
        c->line.failed = false;
}

/* C0 and C1 controls, DEL, and the characters that reorder, hide or break text. */
static bool is_harmful(uint16_t unit)
{
        return unit < 0x20 || (unit >= 0x7f && unit < 0xa0) || unit == 0xad || unit == 0x61c ||
               (unit >= 0x200b && unit <= 0x200f) || (unit >= 0x2028 && unit <= 0x202e) ||
               (unit >= 0x2060 && unit <= 0x206f) || unit == 0xfeff ||
               (unit >= 0xfff0 && unit <= 0xfffb);
}

static void put_unit(struct console *c, uint16_t unit)
{
        static const char more[] = "(the payload writes more than is shown)";

        if (c->n_chars > MAX_ALL_CHARS)
                return;
        if (c->n_chars++ == MAX_ALL_CHARS) {
                flush(c);
                if (c->console)
                        c->console(c->arg, more);
                return;
        }
        buf_put_u16(&c->line, unit == '\t' ? ' ' : is_harmful(unit) ? '?' : unit);
        if (c->line.size >= 2 * MAX_LINE_CHARS)
                flush(c);
}

static void new_row(struct console *c)
{
        if (c->row < ROWS - 1)
                c->row++;
}

static void write_unit(struct console *c, uint16_t unit)
{
        switch (unit) {
        case '\r':
                c->column = 0;
                break;
        case '\n':
                flush(c);
                new_row(c);
                break;
        case '\b':
                c->column -= c->column > 0;
                break;
        default:
                put_unit(c, unit);
                if (++c->column >= COLUMNS) {
                        c->column = 0;
                        new_row(c);
                }
        }
}

/* ---- SimpleTextOutput ---- */

static struct console *get_out(struct firmware *fw, uint64_t address)
{
        return fw_object_state(fw, FW_OBJECT_TEXT_OUT, address);
}

/* Payloads read the mode structure directly (252 and later look at Attribute and CursorColumn). */
static EFI_STATUS show_mode(struct firmware *fw, const struct console *c, uint64_t address)
{
        const int32_t fields[] = {1, 0, c->attribute, c->column, c->row};

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (!ram_put_u32(fw->ram, address + MODE_OFFSET + 4 * i, (uint32_t)fields[i]))
                        return EFI_DEVICE_ERROR;
        return ram_put_u8(fw->ram, address + MODE_OFFSET + 20, c->cursor_visible)
                               ? EFI_SUCCESS
                               : EFI_DEVICE_ERROR;
}

static EFI_STATUS run_reset(struct firmware *fw, const uint64_t arg[])
{
        struct console *c = get_out(fw, arg[0]);

        if (!c)
                return EFI_INVALID_PARAMETER;
        flush(c);
        c->attribute = 0x07; /* light grey on black */
        c->column = c->row = 0;
        c->cursor_visible = true;
        return show_mode(fw, c, arg[0]);
}

static EFI_STATUS run_output_string(struct firmware *fw, const uint64_t arg[])
{
        struct console *c = get_out(fw, arg[0]);
        _cleanup_buf_ struct buf text = {0};
        struct cursor units;
        uint16_t unit;

        if (!c || !arg[1] || !ram_read_utf16(fw->ram, arg[1], MAX_STRING_CHARS, &text))
                return EFI_INVALID_PARAMETER;
        units = CURSOR(buf_span(&text));
        while (cursor_u16(&units, &unit))
                write_unit(c, unit);
        return show_mode(fw, c, arg[0]);
}

static EFI_STATUS run_test_string(struct firmware *fw, const uint64_t arg[])
{
        _cleanup_buf_ struct buf text = {0};

        if (!get_out(fw, arg[0]) || !arg[1] ||
                        !ram_read_utf16(fw->ram, arg[1], MAX_STRING_CHARS, &text))
                return EFI_INVALID_PARAMETER;
        return EFI_SUCCESS;
}

static EFI_STATUS run_query_mode(struct firmware *fw, const uint64_t arg[])
{
        if (!get_out(fw, arg[0]) || !arg[2] || !arg[3])
                return EFI_INVALID_PARAMETER;
        if (arg[1] != 0)
                return EFI_UNSUPPORTED;
        if (!ram_put_u64(fw->ram, arg[2], COLUMNS) || !ram_put_u64(fw->ram, arg[3], ROWS))
                return EFI_INVALID_PARAMETER;
        return EFI_SUCCESS;
}

static EFI_STATUS run_set_mode(struct firmware *fw, const uint64_t arg[])
{
        struct console *c = get_out(fw, arg[0]);

        if (!c)
                return EFI_INVALID_PARAMETER;
        if (arg[1] != 0)
                return EFI_UNSUPPORTED;
        flush(c);
        c->column = c->row = 0;
        return show_mode(fw, c, arg[0]);
}

static EFI_STATUS run_set_attribute(struct firmware *fw, const uint64_t arg[])
{
        struct console *c = get_out(fw, arg[0]);

        if (!c)
                return EFI_INVALID_PARAMETER;
        if (arg[1] & ~0x7full)
                return EFI_UNSUPPORTED; /* 4 bits of foreground, 3 of background */
        c->attribute = (int32_t)arg[1];
        return show_mode(fw, c, arg[0]);
}

static EFI_STATUS run_clear_screen(struct firmware *fw, const uint64_t arg[])
{
        const uint64_t mode[] = {arg[0], 0};

        return run_set_mode(fw, mode);
}

static EFI_STATUS run_set_cursor_position(struct firmware *fw, const uint64_t arg[])
{
        struct console *c = get_out(fw, arg[0]);

        if (!c)
                return EFI_INVALID_PARAMETER;
        if (arg[1] >= COLUMNS || arg[2] >= ROWS)
                return EFI_UNSUPPORTED;
        if (c->row != (int32_t)arg[2])
                flush(c);
        c->column = (int32_t)arg[1];
        c->row = (int32_t)arg[2];
        return show_mode(fw, c, arg[0]);
}

static EFI_STATUS run_enable_cursor(struct firmware *fw, const uint64_t arg[])
{
        struct console *c = get_out(fw, arg[0]);

        if (!c)
                return EFI_INVALID_PARAMETER;
        c->cursor_visible = arg[1] & 0xff;
        return show_mode(fw, c, arg[0]);
}

static const struct fw_service out_functions[] = {
                {"TextOut.Reset", "pb", run_reset},
                {"TextOut.OutputString", "ps", run_output_string},
                {"TextOut.TestString", "ps", run_test_string},
                {"TextOut.QueryMode", "pnPP", run_query_mode},
                {"TextOut.SetMode", "pn", run_set_mode},
                {"TextOut.SetAttribute", "pn", run_set_attribute},
                {"TextOut.ClearScreen", "p", run_clear_screen},
                {"TextOut.SetCursorPosition", "pnn", run_set_cursor_position},
                {"TextOut.EnableCursor", "pb", run_enable_cursor},
};

static void free_console(void *state)
{
        struct console *c = state;

        flush(c);
        buf_release(&c->line);
        free(c);
}

/* ---- SimpleTextInput, SimpleTextInputEx: two objects, one way to have no keyboard ---- */

static char keyboard; /* state of both: only that the object is one */

static EFI_STATUS run_reset_input(struct firmware *fw, const uint64_t arg[])
{
        return fw_object_state(fw, FW_OBJECT_TEXT_IN, arg[0]) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

void fw_key_asked(struct firmware *fw)
{
        uint64_t now = fw_now(fw);

        if (fw->n_key_polls++ == 0)
                fw->first_key_poll = now;
        if (fw->n_key_polls > MAX_KEY_POLLS && now - fw->first_key_poll >= MAX_KEY_100NS)
                fw_stop(fw, "the payload waits for a key, and nobody types");
}

static EFI_STATUS run_read_key(struct firmware *fw, const uint64_t arg[])
{
        if (!fw_object_state(fw, FW_OBJECT_TEXT_IN, arg[0]) || !arg[1])
                return EFI_INVALID_PARAMETER;
        fw_key_asked(fw);
        return EFI_NOT_READY;
}

/* Nobody types, so there is nothing to be told of; parameters are looked at all the same. */
static EFI_STATUS run_set_key_state(struct firmware *fw, const uint64_t arg[])
{
        return arg[0] && arg[1] ? EFI_UNSUPPORTED : EFI_INVALID_PARAMETER;
}

static EFI_STATUS run_register_key(struct firmware *fw, const uint64_t arg[])
{
        return arg[0] && arg[1] && arg[2] && arg[3] ? EFI_UNSUPPORTED : EFI_INVALID_PARAMETER;
}

static EFI_STATUS run_unregister_key(struct firmware *fw, const uint64_t arg[])
{
        return EFI_INVALID_PARAMETER; /* no handle of a registration is one */
}

static const struct fw_service in_functions[] = {
                {"TextIn.Reset", "pb", run_reset_input},
                {"TextIn.ReadKeyStroke", "pp", run_read_key},
};

static const struct fw_service in_ex_functions[] = {
                {"TextInEx.Reset", "pb", run_reset_input},
                {"TextInEx.ReadKeyStrokeEx", "pp", run_read_key},
};

static const struct fw_service in_ex_more_functions[] = {
                {"TextInEx.SetState", "pp", run_set_key_state},
                {"TextInEx.RegisterKeyNotify", "pppP", run_register_key},
                {"TextInEx.UnregisterKeyNotify", "pp", run_unregister_key},
};

/* ---- set-up ---- */

static int set_up_output(struct firmware *fw)
{
        struct console *c = calloc(1, sizeof(*c));
        uint64_t address;

        if (!c)
                return -ENOMEM;
        *c = (struct console){.console = fw->setup.console, .arg = fw->setup.arg};
        if (fw_object_new(fw, FW_OBJECT_TEXT_OUT, MODE_OFFSET + MODE_SIZE, c, free_console,
                            &address) < 0) {
                free(c);
                return -ENOMEM;
        }
        if (fw_object_functions(fw, address, 0, out_functions, ARRAY_SIZE(out_functions)) < 0 ||
                        !ram_put_u64(fw->ram, address + 72, address + MODE_OFFSET) ||
                        efi_error(run_reset(fw, &address)) ||
                        efi_error(fw_install_protocol(fw, &fw->console_handle,
                                        &guid_simple_text_output, address)))
                return -ENOMEM;
        fw_system_table_put(fw, FW_ST_CONSOLE_OUT_HANDLE, fw->console_handle);
        fw_system_table_put(fw, FW_ST_CON_OUT, address);
        fw_system_table_put(fw, FW_ST_STANDARD_ERROR_HANDLE, fw->console_handle);
        fw_system_table_put(fw, FW_ST_STD_ERR, address);
        return 0;
}

/* An input object; both have the event of a key in their third member. */
static int make_input(struct firmware *fw, const EFI_GUID *protocol, size_t n_members,
                const struct fw_service functions[2], uint64_t event, uint64_t *ret)
{
        if (fw_object_new(fw, FW_OBJECT_TEXT_IN, 8 * n_members, &keyboard, NULL, ret) < 0 ||
                        fw_object_functions(fw, *ret, 0, functions, 2) < 0 ||
                        !ram_put_u64(fw->ram, *ret + 16, event) ||
                        efi_error(fw_install_protocol(fw, &fw->console_handle, protocol, *ret)))
                return -ENOMEM;
        return 0;
}

static int set_up_input(struct firmware *fw)
{
        uint64_t in, in_ex;

        /* No type: nothing to notify, and nobody ever signals it. */
        if (efi_error(fw_event_new(fw, 0, 0, 0, 0, NULL, &fw->key_event)) ||
                        make_input(fw, &guid_simple_text_input, 3, in_functions, fw->key_event,
                                        &in) < 0 ||
                        make_input(fw, &guid_simple_text_input_ex, 6, in_ex_functions,
                                        fw->key_event, &in_ex) < 0 ||
                        fw_object_functions(fw, in_ex, 3, in_ex_more_functions,
                                        ARRAY_SIZE(in_ex_more_functions)) < 0)
                return -ENOMEM;
        fw_system_table_put(fw, FW_ST_CONSOLE_IN_HANDLE, fw->console_handle);
        fw_system_table_put(fw, FW_ST_CON_IN, in);
        return 0;
}

int fw_console_setup(struct firmware *fw, struct error *error)
{
        if (set_up_output(fw) < 0 || set_up_input(fw) < 0)
                return error_set(error, ENOMEM, "no guest memory for the console protocols");
        return 0;
}

void fw_console_flush(struct firmware *fw)
{
        struct console *c;
        uint64_t address;

        if (efi_error(fw_handle_protocol(
                            fw, fw->console_handle, &guid_simple_text_output, &address)))
                return;
        c = get_out(fw, address);
        if (c)
                flush(c);
}

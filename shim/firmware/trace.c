/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The trace: one line per service call with decoded arguments and status, indented by how deep
 * guest code is nested. Called by dispatch.c; reads guest memory, changes nothing. Costs nothing
 * when it is off. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/device-path-text.h"
#include "base/utf16.h"
#include "eventlog/escape.h"
#include "shim/firmware/dispatch.h"
#include "shim/firmware/events.h"
#include "shim/firmware/handles.h"

#define MAX_STRING_CHARS 4096u /* of a CHAR16 string that is looked at */
#define MAX_STRING_SHOWN 160u  /* of its UTF-8 form */
#define MAX_PAIRS        16u

struct line {
        char *text;
        size_t size, length;
};

static void put(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct line *l, const char *format, ...)
{
        va_list ap;
        int n;

        if (l->length + 1 >= l->size)
                return;
        va_start(ap, format);
        n = vsnprintf(l->text + l->length, l->size - l->length, format, ap);
        va_end(ap);
        if (n > 0)
                l->length += (size_t)n;
        if (l->length >= l->size)
                l->length = l->size - 1;
}

static void put_number(struct line *l, uint64_t value)
{
        put(l, value < 65536 ? "%llu" : "0x%llx", (unsigned long long)value);
}

static void put_pointer(struct line *l, uint64_t value)
{
        if (value)
                put(l, "0x%llx", (unsigned long long)value);
        else
                put(l, "NULL");
}

/* Text from the payload, through the escaper that event data goes through, too: it ends on a
 * terminal. */
static void put_text(struct line *l, const char *text)
{
        _cleanup_buf_ struct buf shown = {0};
        size_t size = strlen(text);
        bool cut = size > MAX_STRING_SHOWN;

        escape_text(SPAN(text, cut ? MAX_STRING_SHOWN : size), TEXT_UTF8, ESCAPE_LINE, &shown);
        put(l, "%.*s%s", (int)shown.size, shown.data ? (const char *)shown.data : "",
                        cut ? "..." : "");
}

static void put_quoted(struct line *l, const char *text)
{
        put(l, "\"");
        put_text(l, text);
        put(l, "\"");
}

static void put_string(struct firmware *fw, struct line *l, uint64_t address)
{
        _cleanup_buf_ struct buf bytes = {0};
        _cleanup_free_ char *text = NULL;

        if (address && ram_read_utf16(fw->ram, address, MAX_STRING_CHARS, &bytes))
                text = utf16_to_text(buf_span(&bytes));
        if (text)
                put_quoted(l, text);
        else
                put_pointer(l, address);
}

static void put_guid(struct firmware *fw, struct line *l, uint64_t address)
{
        char text[GUID_TEXT_SIZE];
        EFI_GUID guid;

        if (!address || !fw_get_guid(fw, address, &guid)) {
                put_pointer(l, address);
                return;
        }
        if (guid_name(&guid)) {
                put(l, "%s", guid_name(&guid));
                return;
        }
        guid_to_text(&guid, text);
        put(l, "%s", text);
}

static void put_device_path(struct firmware *fw, struct line *l, uint64_t address)
{
        _cleanup_buf_ struct buf path = {0}, utf16 = {0};
        _cleanup_free_ char *text = NULL;

        if (address && fw_get_device_path(fw, address, &path) &&
                        device_path_to_text(buf_span(&path), false, &utf16))
                text = utf16_to_text(buf_span(&utf16));
        if (text)
                put_text(l, *text ? text : "(end)");
        else
                put_pointer(l, address);
}

static void put_handle(struct line *l, const char *what, uint64_t number, uint64_t value)
{
        if (number)
                put(l, "%s#%llu", what, (unsigned long long)number);
        else
                put_pointer(l, value);
}

static void put_memory_type(struct line *l, uint64_t type)
{
        static const char *const names[] = {
                        [EfiReservedMemoryType] = "Reserved",
                        [EfiLoaderCode] = "LoaderCode",
                        [EfiLoaderData] = "LoaderData",
                        [EfiBootServicesCode] = "BootServicesCode",
                        [EfiBootServicesData] = "BootServicesData",
                        [EfiRuntimeServicesCode] = "RuntimeServicesCode",
                        [EfiRuntimeServicesData] = "RuntimeServicesData",
                        [EfiConventionalMemory] = "ConventionalMemory",
                        [EfiACPIReclaimMemory] = "ACPIReclaim",
                        [EfiACPIMemoryNVS] = "ACPINVS",
        };

        if (type < ARRAY_SIZE(names) && names[type])
                put(l, "%s", names[type]);
        else
                put_number(l, type);
}

static void put_allocate_type(struct line *l, uint64_t type)
{
        static const char *const names[] = {"AnyPages", "MaxAddress", "Address"};

        if (type < ARRAY_SIZE(names))
                put(l, "%s", names[type]);
        else
                put_number(l, type);
}

static void put_search_type(struct line *l, uint64_t type)
{
        static const char *const names[] = {"AllHandles", "ByRegisterNotify", "ByProtocol"};

        if (type < ARRAY_SIZE(names))
                put(l, "%s", names[type]);
        else
                put_number(l, type);
}

static void put_status(struct line *l, EFI_STATUS status)
{
        const char *name = efi_status_name(status);

        if (name)
                put(l, "%s", name);
        else
                put_number(l, status);
}

/* (GUID, interface) pairs from argument number first on, as the variadic services take them. */
static void put_pairs(struct firmware *fw, struct line *l, size_t first)
{
        for (size_t i = 0; i < MAX_PAIRS; i++) {
                uint64_t guid, interface;

                if (!fw_stack_arg(fw, first + 2 * i, &guid))
                        return;
                if (i)
                        put(l, ", ");
                if (!guid) {
                        put(l, "NULL");
                        return;
                }
                put_guid(fw, l, guid);
                if (!fw_stack_arg(fw, first + 2 * i + 1, &interface))
                        return;
                put(l, " ");
                put_pointer(l, interface);
        }
        put(l, " ...");
}

static void put_argument(struct firmware *fw, struct line *l, char letter, uint64_t value)
{
        switch (letter) {
        case 'n':
                put_number(l, value);
                break;
        case 'b':
                put(l, value & 0xff ? "TRUE" : "FALSE");
                break;
        case 'i':
                put_status(l, value);
                break;
        case 'h':
                put_handle(l, "handle", handle_number(value), value);
                break;
        case 'e':
                put_handle(l, "event", event_number(value), value);
                break;
        case 'g':
                put_guid(fw, l, value);
                break;
        case 's':
                put_string(fw, l, value);
                break;
        case 'd':
                put_device_path(fw, l, value);
                break;
        case 't':
                put_memory_type(l, value);
                break;
        case 'T':
                put_allocate_type(l, value);
                break;
        case 'S':
                put_search_type(l, value);
                break;
        default:
                put_pointer(l, value);
        }
}

/* What the service left behind an out pointer. */
static bool put_result(struct firmware *fw, struct line *l, char letter, uint64_t address)
{
        uint64_t value = 0;
        uint32_t value32;
        uint8_t byte;

        if (!address)
                return false;
        switch (letter) {
        case 'B':
                if (!ram_get_u8(fw->ram, address, &byte))
                        return false;
                put(l, byte ? "TRUE" : "FALSE");
                return true;
        case 'W':
                if (!ram_get_u32(fw->ram, address, &value32))
                        return false;
                put_number(l, value32);
                return true;
        case 'P':
        case 'H':
        case 'E':
        case 'D':
                if (!ram_get_u64(fw->ram, address, &value))
                        return false;
                if (letter == 'P')
                        put_number(l, value);
                else
                        put_argument(fw, l, letter == 'H' ? 'h' : letter == 'E' ? 'e' : 'd', value);
                return true;
        default:
                return false;
        }
}

void trace_flush(struct firmware *fw)
{
        struct fw_trace_last *last = &fw->trace_last;
        char line[64];

        if (!last->n_more)
                return;
        snprintf(line, sizeof(line), "  ... and %llu more of it", (unsigned long long)last->n_more);
        last->n_more = 0;
        fw->setup.trace(fw->setup.arg, line);
}

/* A line that comes again is only counted: who waits for a key asks a hundred thousand times. */
static void emit(struct firmware *fw, const char *text)
{
        struct fw_trace_last *last = &fw->trace_last;
        char line[sizeof(last->line)];
        unsigned indent = fw->depth > 1 ? 2 * (fw->depth - 1) : 0;

        snprintf(line, sizeof(line), "%*s%s", (int)indent, "", text);
        if (strcmp(line, last->line) == 0) {
                last->n_more++;
                return;
        }
        trace_flush(fw);
        snprintf(last->line, sizeof(last->line), "%s", line);
        fw->setup.trace(fw->setup.arg, line);
}

void fw_trace(struct firmware *fw, const char *format, ...)
{
        char text[FW_TRACE_LINE];
        va_list ap;

        if (!fw->setup.trace)
                return;
        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        emit(fw, text);
}

void trace_enter(struct firmware *fw, struct fw_frame *frame, const uint64_t arg[])
{
        struct line l = {frame->text, sizeof(frame->text), 0};
        const char *letters = frame->service->args;

        if (!fw->setup.trace)
                return;
        put(&l, "%s(", frame->service->name);
        for (size_t i = 0; letters[i]; i++) {
                if (i)
                        put(&l, ", ");
                if (letters[i] == '.')
                        put_pairs(fw, &l, i);
                else
                        put_argument(fw, &l, letters[i], arg[i]);
        }
        put(&l, ")");
}

void trace_announce(struct firmware *fw, struct fw_frame *frame)
{
        if (!fw->setup.trace || frame->announced)
                return;
        frame->announced = true;
        fw_trace(fw, "%s ...", frame->text);
}

void trace_leave(struct firmware *fw, struct fw_frame *frame, const uint64_t arg[],
                EFI_STATUS status)
{
        char text[FW_TRACE_LINE];
        struct line l = {text, sizeof(text), 0};
        const char *letters = frame->service->args;
        bool any = false;

        if (!fw->setup.trace)
                return;
        put(&l, "%s", frame->announced ? frame->service->name : frame->text);
        if (fw->ended || fw->unwind_to) {
                /* It doesn't return; one line of it is enough. */
                if (!frame->announced)
                        emit(fw, text);
                return;
        }
        put(&l, " = ");
        put_status(&l, status);
        for (size_t i = 0; letters[i]; i++) {
                size_t before = l.length;

                if ((efi_error(status) && status != EFI_BUFFER_TOO_SMALL) || arg[i] == 0)
                        continue;
                put(&l, any ? ", " : " [");
                if (put_result(fw, &l, letters[i], arg[i]))
                        any = true;
                else
                        text[l.length = before] = '\0';
        }
        if (any)
                put(&l, "]");
        emit(fw, text);
}

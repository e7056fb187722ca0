/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One call of any function of any table, with nothing but zeros, in one of three phases: before
 * ExitBootServices, in a notification of it, after it. test-phases.c says which, and what has to
 * come of it; the status stands in RSI at the hand-over. */
#include "guest.h"

typedef uint64_t function(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                uint64_t, uint64_t, uint64_t);

static const struct guid file_system = GUID_FILE_SYSTEM, load_file2 = GUID_LOAD_FILE2,
                         tcg2 = GUID_TCG2,
                         rng = {0x3152bca5, 0xeade, 0x433d,
                                         {0x86, 0x2e, 0xc0, 0x1c, 0xdc, 0x29, 0x1f, 0x44}},
                         text = {0x8b843e20, 0x8132, 0x4852,
                                         {0x90, 0xcc, 0x55, 0x1a, 0x4e, 0x4a, 0x7f, 0x1c}},
                         input_ex = {0xdd9e7534, 0x7762, 0x4698,
                                         {0x8c, 0x14, 0xf5, 0x85, 0x17, 0xa6, 0x25, 0xaa}};

static function *called;
static uint64_t answer;

static struct file *root_folder(void)
{
        struct file_system *fs = protocol(&file_system);
        struct file *root = NULL;

        return fs && fs->open_volume(fs, &root) == SUCCESS ? root : NULL;
}

/* The table that a letter stands for, from its first function. */
static function **table_of(char16 letter)
{
        switch (letter) {
        case u'b':
                return (void *)(&bs->header + 1);
        case u'r':
                return (void *)(&st->rt->header + 1);
        case u't':
                return protocol(&tcg2);
        case u'v':
                return (function **)protocol(&file_system) + 1;
        case u'f':
                return (function **)root_folder() + 1;
        case u'l':
                return protocol(&load_file2);
        case u'g':
                return protocol(&rng);
        case u'd':
                return protocol(&text);
        case u'o':
                return (void *)st->con_out;
        case u'i':
                return st->con_in;
        case u'x':
                return protocol(&input_ex);
        default:
                return NULL;
        }
}

static void call(void)
{
        answer = called(0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

static void call_in_notify(event e, void *context)
{
        (void)e, (void)context;
        call();
}

static status leave(void)
{
        status s = leave_boot_services();

        return s == INVALID_PARAMETER ? leave_boot_services() : s; /* if the map was changed */
}

/* which: a letter and two digits. */
static status prepare(const char16 *which)
{
        function **table = table_of(which[0]);

        if (!table || table == (function **)8)
                return NOT_FOUND;
        called = table[10 * (which[1] - u'0') + (which[2] - u'0')];
        return called ? SUCCESS : NOT_FOUND;
}

status run_phase(const char16 *mode)
{
        status s = prepare(mode + 1);
        event e;

        if (s != SUCCESS)
                return s;
        if (mode[0] == u'<')
                call();
        if (mode[0] == u'=' && bs->create_event(EVT_SIGNAL_EBS, TPL_CALLBACK, call_in_notify, NULL,
                                               &e) != SUCCESS)
                return ABORTED;
        s = leave();
        if (s != SUCCESS)
                return s;
        if (mode[0] == u'>')
                call();
        __asm__ volatile("mov %0, %%rsi\n\tcli" ::"m"(answer) : "rsi");
        return SUCCESS;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Conformance of events, timers and task priority levels (UEFI 2.10, 7.1). */
#include "guest.h"

static char order[16];
static size_t n_order;
static uint64_t tpl_seen;

static void note(event e, void *context)
{
        (void)e;
        if (n_order < sizeof(order))
                order[n_order++] = *(const char *)context;
        tpl_seen = bs->raise_tpl(31);
        bs->restore_tpl(tpl_seen);
}

static bool noted(const char *wanted)
{
        size_t i = 0;

        while (wanted[i] && i < n_order && order[i] == wanted[i])
                i++;
        return !wanted[i] && i == n_order;
}

static void create(void)
{
        event e, other;

        n_order = 0;
        CHECK_EQ(bs->create_event(0, 0, NULL, NULL, NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->create_event(EVT_NOTIFY_WAIT | EVT_NOTIFY_SIGNAL, TPL_CALLBACK, note, "x", &e),
                        INVALID_PARAMETER);
        CHECK_EQ(bs->create_event(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, NULL, "x", &e),
                        INVALID_PARAMETER);
        CHECK_EQ(bs->create_event(EVT_NOTIFY_SIGNAL, TPL_APPLICATION, note, "x", &e),
                        INVALID_PARAMETER);
        CHECK_EQ(bs->create_event(EVT_NOTIFY_SIGNAL, 31, note, "x", &e), INVALID_PARAMETER);
        CHECK_EQ(bs->create_event(7, TPL_CALLBACK, note, "x", &e), INVALID_PARAMETER);
        CHECK_EQ(bs->create_event(0, 0, NULL, NULL, &e), SUCCESS);
        CHECK_EQ(bs->create_event(0, 0, NULL, NULL, &other), SUCCESS);
        CHECK(e != other);
        CHECK_EQ(bs->check_event(e), NOT_READY);
        CHECK_EQ(bs->signal_event(e), SUCCESS);
        CHECK_EQ(bs->check_event(other), NOT_READY);
        CHECK_EQ(bs->check_event(e), SUCCESS);
        CHECK_EQ(bs->check_event(e), NOT_READY); /* it was taken */
        CHECK_EQ(bs->set_timer(e, 2, 10), INVALID_PARAMETER);
        CHECK_EQ(bs->close_event(e), SUCCESS);
        CHECK_EQ(bs->close_event(e), INVALID_PARAMETER);
        CHECK_EQ(bs->check_event(e), INVALID_PARAMETER);
        CHECK_EQ(bs->signal_event(e), INVALID_PARAMETER);
        CHECK_EQ(bs->signal_event(NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->signal_event(self), INVALID_PARAMETER); /* a handle is no event */
        CHECK_EQ(bs->close_event(other), SUCCESS);
}

static void notify_and_priority(void)
{
        event callback, callback2, notify;
        uint64_t old;

        n_order = 0;
        CHECK_EQ(bs->create_event(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, note, "c", &callback), SUCCESS);
        CHECK_EQ(bs->create_event(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, note, "d", &callback2), SUCCESS);
        CHECK_EQ(bs->create_event(EVT_NOTIFY_SIGNAL, TPL_NOTIFY, note, "n", &notify), SUCCESS);
        CHECK_EQ(bs->signal_event(callback), SUCCESS);
        CHECK(noted("c")); /* at once: its level is above ours */
        CHECK_EQ(tpl_seen, TPL_CALLBACK);
        CHECK_EQ(bs->check_event(callback), INVALID_PARAMETER);
        old = bs->raise_tpl(TPL_NOTIFY);
        CHECK_EQ(old, TPL_APPLICATION);
        bs->signal_event(callback2);
        bs->signal_event(callback);
        bs->signal_event(callback); /* once is enough */
        bs->signal_event(notify);
        CHECK(noted("c"));
        bs->restore_tpl(TPL_CALLBACK);
        CHECK(noted("cn"));
        bs->restore_tpl(old);
        CHECK(noted("cndc")); /* in the order of signalling */
        CHECK_EQ(bs->raise_tpl(TPL_APPLICATION), TPL_APPLICATION);
        old = bs->raise_tpl(TPL_NOTIFY);
        bs->signal_event(callback);
        CHECK_EQ(bs->close_event(callback), SUCCESS);
        bs->restore_tpl(old);
        CHECK(noted("cndc")); /* a closed event is forgotten */
        bs->close_event(callback2);
        bs->close_event(notify);
}

static void wait_notify(event e, void *context)
{
        ++*(int *)context;
        if (*(int *)context == 3)
                bs->signal_event(e);
}

static void waiting(void)
{
        event timer, other, wait;
        int calls = 0;
        uint64_t index = 99;
        event both[2];

        CHECK_EQ(bs->create_event(EVT_TIMER, 0, NULL, NULL, &timer), SUCCESS);
        CHECK_EQ(bs->create_event(0, 0, NULL, NULL, &other), SUCCESS);
        CHECK_EQ(bs->set_timer(timer, 3, 0), INVALID_PARAMETER);
        CHECK_EQ(bs->set_timer(timer, 2, 600ull * 10000000), SUCCESS); /* ten minutes */
        CHECK_EQ(bs->check_event(timer), NOT_READY);
        both[0] = other;
        both[1] = timer;
        CHECK_EQ(bs->wait_for_event(2, both, &index), SUCCESS);
        CHECK_EQ(index, 1);
        CHECK_EQ(bs->check_event(timer), NOT_READY);
        CHECK_EQ(bs->set_timer(timer, 1, 10000000), SUCCESS);
        for (int i = 0; i < 3; i++)
                CHECK_EQ(bs->wait_for_event(1, &timer, &index), SUCCESS);
        CHECK_EQ(bs->set_timer(timer, 0, 0), SUCCESS);
        CHECK_EQ(bs->stall(100 * 1000 * 1000), SUCCESS);
        CHECK_EQ(bs->check_event(timer), NOT_READY);
        CHECK_EQ(bs->set_timer(timer, 2, 100), SUCCESS);
        CHECK_EQ(bs->stall(1000), SUCCESS);
        CHECK_EQ(bs->check_event(timer), SUCCESS);
        CHECK_EQ(bs->wait_for_event(0, both, &index), INVALID_PARAMETER);
        CHECK_EQ(bs->raise_tpl(TPL_CALLBACK), TPL_APPLICATION);
        CHECK_EQ(bs->wait_for_event(1, &timer, &index), UNSUPPORTED);
        bs->restore_tpl(TPL_APPLICATION);
        CHECK_EQ(bs->create_event(EVT_NOTIFY_WAIT, TPL_CALLBACK, wait_notify, &calls, &wait),
                        SUCCESS);
        CHECK_EQ(bs->check_event(wait), NOT_READY);
        CHECK_EQ(calls, 1);
        CHECK_EQ(bs->check_event(wait), NOT_READY);
        CHECK_EQ(bs->check_event(wait), SUCCESS);
        CHECK_EQ(calls, 3);
        bs->close_event(wait);
        bs->close_event(timer);
        bs->close_event(other);
}

static void groups(void)
{
        static const struct guid group = GUID_TEST(9), another = GUID_TEST(10);
        event a, b, c, plain;

        n_order = 0;
        CHECK_EQ(bs->create_event_ex(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, note, "a", &group, &a),
                        SUCCESS);
        CHECK_EQ(bs->create_event_ex(EVT_NOTIFY_SIGNAL, TPL_NOTIFY, note, "b", &group, &b),
                        SUCCESS);
        CHECK_EQ(bs->create_event_ex(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, note, "c", &another, &c),
                        SUCCESS);
        CHECK_EQ(bs->create_event_ex(0, 0, NULL, NULL, &group, &plain), SUCCESS);
        CHECK_EQ(bs->create_event_ex(EVT_SIGNAL_EBS, TPL_CALLBACK, note, "x", &group, &c),
                        INVALID_PARAMETER);
        CHECK_EQ(bs->signal_event(plain), SUCCESS);
        CHECK(noted("ba"));
        CHECK_EQ(bs->check_event(plain), SUCCESS);
        bs->close_event(a);
        bs->close_event(b);
        bs->close_event(c);
        bs->close_event(plain);
        CHECK_EQ(bs->create_event_ex(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, note, "d", NULL, &a),
                        SUCCESS);
        bs->signal_event(a);
        CHECK(noted("bad"));
        bs->close_event(a);
}

/* What the firmware itself signals: a configuration table's GUID, and that the memory map has
 * changed (7.1.2, 7.5.6). */
static void firmware_groups(void)
{
        static const struct guid table = GUID_TEST(11),
                                 map_change = {0x78bee926, 0x692f, 0x48fd,
                                                 {0x9e, 0xdb, 0x01, 0x42, 0x2e, 0xf0, 0xd7, 0xab}};
        event on_table, on_map;
        void *block;

        n_order = 0;
        CHECK_EQ(bs->create_event_ex(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, note, "t", &table, &on_table),
                        SUCCESS);
        CHECK_EQ(bs->install_configuration_table(&table, &order), SUCCESS);
        CHECK(noted("t"));
        CHECK_EQ(bs->install_configuration_table(&table, NULL), SUCCESS);
        CHECK(noted("tt"));
        CHECK_EQ(bs->install_configuration_table(&table, NULL), NOT_FOUND);
        CHECK(noted("tt"));
        bs->close_event(on_table);
        CHECK_EQ(bs->create_event_ex(
                                 EVT_NOTIFY_SIGNAL, TPL_CALLBACK, note, "m", &map_change, &on_map),
                        SUCCESS);
        CHECK_EQ(bs->allocate_pool(LOADER_DATA, 100, &block), SUCCESS);
        CHECK(noted("ttm"));
        bs->set_mem(block, 100, 1);
        CHECK(noted("ttm"));
        CHECK_EQ(bs->free_pool(block), SUCCESS);
        CHECK(noted("ttmm"));
        bs->close_event(on_map);
}

static void count(event e, void *context)
{
        (void)e;
        ++*(int *)context;
}

/* A clock that is turned forward passes every timer on its way. */
static void stalling(void)
{
        int calls = 0;
        event timer;

        CHECK_EQ(bs->create_event(EVT_TIMER | EVT_NOTIFY_SIGNAL, TPL_CALLBACK, count, &calls,
                                 &timer),
                        SUCCESS);
        CHECK_EQ(bs->set_timer(timer, 1, 1000000), SUCCESS); /* 0.1 s */
        CHECK_EQ(bs->stall(1050000), SUCCESS);
        CHECK(calls >= 9 && calls <= 11);
        CHECK_EQ(bs->set_timer(timer, 0, 0), SUCCESS);
        CHECK_EQ(bs->stall(~0ull), SUCCESS);
        CHECK(calls <= 11);
        bs->close_event(timer);
}

static void many(void)
{
        static event events[2000];
        uint64_t n = 0;

        while (n < 2000 && bs->create_event(0, 0, NULL, NULL, &events[n]) == SUCCESS)
                n++;
        CHECK(n > 100 && n < 2000);
        for (uint64_t i = 0; i < n; i++)
                CHECK_EQ(bs->close_event(events[i]), SUCCESS);
        CHECK_EQ(bs->create_event(0, 0, NULL, NULL, &events[0]), SUCCESS);
        CHECK_EQ(bs->close_event(events[0]), SUCCESS);
}

void test_event_services(void)
{
        tap_test("CreateEvent, SignalEvent, CheckEvent, CloseEvent", create);
        tap_test("notify functions and RaiseTPL, RestoreTPL", notify_and_priority);
        tap_test("WaitForEvent, SetTimer, EVT_NOTIFY_WAIT", waiting);
        tap_test("CreateEventEx and event groups", groups);
        tap_test("groups that the firmware signals", firmware_groups);
        tap_test("Stall and timers", stalling);
        tap_test("the number of events is bounded", many);
}

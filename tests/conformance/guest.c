/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The conformance program: "services" tests the boot services from inside and prints TAP; every
 * other word of its load options is one way of ending, which test-conformance.c looks at from
 * outside. */
#include "guest.h"

struct system_table *st;
struct boot_services *bs;
handle self;

status efi_main(handle image, struct system_table *table);

static status run_services(void)
{
        test_memory_services();
        test_event_services();
        test_protocol_services();
        test_image_services();
        test_tcg2();
        return tap_failures() ? ABORTED : SUCCESS;
}

static status run_exit(void)
{
        bs->exit(self, NOT_READY, 0, NULL);
        return SUCCESS;
}

static status run_hlt(void)
{
        __asm__ volatile("hlt");
        return SUCCESS;
}

/* Emulated before ExitBootServices. */
static status run_cr0(void)
{
        uint64_t cr0;

        __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
        return cr0 == 0x80050033 ? SUCCESS : ABORTED;
}

static int ebs_calls;

static void count_ebs(event e, void *context)
{
        (void)e, (void)context;
        ebs_calls++;
}

/* Wrong key first; then the notify function runs once, the table is cleared, and `cli` is the
 * hand-over. */
static status run_handover(void)
{
        event e;

        if (bs->create_event(EVT_SIGNAL_EBS, TPL_NOTIFY, count_ebs, NULL, &e) != SUCCESS)
                return ERR(101);
        if (bs->exit_boot_services(self, 0) != INVALID_PARAMETER || ebs_calls != 0)
                return ERR(102);
        if (bs->exit_boot_services(NULL, 0) != INVALID_PARAMETER)
                return ERR(103);
        if (leave_boot_services() != SUCCESS || ebs_calls != 1)
                return ERR(104);
        if (st->bs || st->con_out || st->con_out_handle)
                return ERR(105);
        __asm__ volatile("mov $0x1122334455667788, %%rsi\n\tcli" ::: "rsi");
        return SUCCESS;
}

static status run_stale_key(void)
{
        static uint8_t map[32768];
        uint64_t size = sizeof(map), key, descriptor;
        uint32_t version;
        void *block;

        bs->get_memory_map(&size, map, &key, &descriptor, &version);
        bs->allocate_pool(LOADER_DATA, 8, &block);
        return bs->exit_boot_services(self, key);
}

static status run_after(void)
{
        void *block;

        leave_boot_services();
        return bs->allocate_pool(LOADER_DATA, 8, &block);
}

static status run_runtime(void)
{
        static const struct guid global = GUID_GLOBAL_VARIABLE;
        uint64_t size = 0;

        leave_boot_services();
        if (st->rt->get_variable(u"NoSuchVariable", &global, NULL, &size, NULL) != NOT_FOUND)
                return ABORTED;
        __asm__ volatile("cli");
        return SUCCESS;
}

static status run_null(void)
{
        return *(volatile uint64_t *)8;
}

static status run_noncanonical(void)
{
        return *(volatile uint64_t *)0x8000000000000000;
}

static status run_handle(void)
{
        return *(volatile uint64_t *)self; /* opaque: leads nowhere */
}

static status run_unallocated(void)
{
        return *(volatile uint64_t *)0x2000000;
}

static status run_syscall(void)
{
        uint64_t result = 39; /* getpid */

        __asm__ volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
        return SUCCESS;
}

static status run_loop(void)
{
        for (;;)
                __asm__ volatile("pause");
        return SUCCESS;
}

/* Little time in the guest, much in the firmware. */
static status run_busy_firmware(void)
{
        uint64_t pages = 0;

        if (bs->allocate_pages(ANY_PAGES, LOADER_DATA, 8192, &pages) != SUCCESS)
                return ABORTED;
        for (;;)
                bs->set_mem((void *)pages, 8192 * 4096, 1);
        return SUCCESS;
}

static status run_wait(void)
{
        uint64_t index;
        event e;

        bs->create_event(0, 0, NULL, NULL, &e);
        return bs->wait_for_event(1, &e, &index);
}

static status run_bad_stack(void)
{
        __asm__ volatile("mov %0, %%rax\n\tmov $0x1000, %%rsp\n\tjmp *%%rax" ::"r"(bs->free_pool)
                         : "rax");
        return SUCCESS;
}

static status run_bad_copy(void)
{
        bs->copy_mem((void *)0x2000000, self, 16);
        return SUCCESS;
}

static void *return_address;

static status run_unbalanced(void)
{
        /* To where efi_main was called from, but not with the stack that it was called with. */
        __asm__ volatile("jmp *%0" ::"r"(return_address));
        return SUCCESS;
}

static status run_reset(void)
{
        st->rt->reset_system(0, SUCCESS, 0, NULL);
        return SUCCESS;
}

/* All the memory there is, twice: freed memory must count as free. */
static status run_budget(void)
{
        for (int round = 0; round < 2; round++) {
                static uint64_t blocks[4096];
                uint64_t n = 0;

                while (n < 4096 && bs->allocate_pages(ANY_PAGES, LOADER_DATA, 256, &blocks[n]) ==
                                                   SUCCESS) {
                        *(volatile uint8_t *)blocks[n] = 1;
                        n++;
                }
                if (n < 8 || n == 4096)
                        return ABORTED;
                while (n-- > 0)
                        if (bs->free_pages(blocks[n], 256) != SUCCESS)
                                return ABORTED;
        }
        return SUCCESS;
}

/* A table of pointers: it holds only if the base relocations were applied. */
static const struct {
        const char16 *name;
        status (*run)(void);
} modes[] = {
                {u"services", run_services},
                {u"exit", run_exit},
                {u"hlt", run_hlt},
                {u"cr0", run_cr0},
                {u"handover", run_handover},
                {u"stale-key", run_stale_key},
                {u"after", run_after},
                {u"runtime", run_runtime},
                {u"null", run_null},
                {u"noncanonical", run_noncanonical},
                {u"handle", run_handle},
                {u"unallocated", run_unallocated},
                {u"syscall", run_syscall},
                {u"loop", run_loop},
                {u"busy-firmware", run_busy_firmware},
                {u"wait", run_wait},
                {u"bad-stack", run_bad_stack},
                {u"bad-copy", run_bad_copy},
                {u"unbalanced", run_unbalanced},
                {u"reset", run_reset},
                {u"budget", run_budget},
};

status efi_main(handle image, struct system_table *table)
{
        struct loaded_image *own;

        st = table;
        bs = table->bs;
        self = image;
        return_address = __builtin_return_address(0);
        own = loaded_image_of(image);
        for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
                if (own && own->load_options && same_text(own->load_options, modes[i].name))
                        return modes[i].run();
        if (own && own->load_options && *own->load_options >= u'<' && *own->load_options <= u'>')
                return run_phase(own->load_options);
        return LOAD_ERROR;
}

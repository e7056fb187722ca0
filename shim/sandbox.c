/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See sandbox.h. Capabilities are here; files and system calls have a file each. */
#include "shim/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Of those that the process has. Who isn't root keeps none, and has none. */
static const struct {
        unsigned verbs; /* enum sandbox_verb */
        unsigned capability;
} kept[] = {
                {SANDBOX_LOAD | SANDBOX_EXEC, CAP_SYS_BOOT}, /* kexec_load, reboot */
                {SANDBOX_PREDICT | SANDBOX_LOAD, CAP_KILL},  /* the guest, which is nobody's */
                /* a volume in somebody's home */
                {SANDBOX_PREDICT | SANDBOX_LOAD, CAP_DAC_READ_SEARCH},
};

static int close_to_others(struct error *error)
{
        static const struct rlimit none = {0, 0};

        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
                return error_set(error, errno, "sandbox: can't switch core dumps off: %m");
        return 0;
}

static int drop_capabilities(enum sandbox_verb verb, struct error *error)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
        uint32_t mask[_LINUX_CAPABILITY_U32S_3] = {0};

        /* Without CAP_SETPCAP it stays; no_new_privs makes it worthless. */
        for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
                (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
        (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
                if (kept[i].verbs & verb)
                        mask[CAP_TO_INDEX(kept[i].capability)] |= CAP_TO_MASK(kept[i].capability);
        if (syscall(SYS_capget, &header, data) < 0)
                return error_set(error, errno, "sandbox: capget: %m");
        for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
                data[i].permitted &= mask[i];
                data[i].effective &= mask[i];
                data[i].inheritable = 0;
        }
        if (syscall(SYS_capset, &header, data) < 0)
                return error_set(error, errno, "sandbox: can't give up capabilities: %m");
        return 0;
}

static bool is_off(void)
{
        const char *value = getenv("MKEXEC_SANDBOX");

        return value && strcmp(value, "off") == 0;
}

int sandbox_enter(const struct sandbox *sandbox, struct progress *progress, struct error *error)
{
        bool confined = false;
        int r;

        if (is_off()) {
                progress_warn("MKEXEC_SANDBOX=off: mkexec keeps all its rights");
                return 0;
        }
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return error_set(error, errno, "sandbox: no_new_privs: %m");
        r = close_to_others(error);
        if (r == 0)
                r = drop_capabilities(sandbox->verb, error);
        if (r == 0)
                r = sandbox_confine_files(sandbox, &confined, error);
        if (r == 0)
                r = sandbox_filter_calls(sandbox->verb, sandbox->sockets, error);
        if (r < 0)
                return r;
        progress_done(progress, 0, "gave up the rights that aren't needed%s",
                        confined ? "" : ", but to files: this kernel has no Landlock");
        return 0;
}

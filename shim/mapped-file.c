/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/mapped-file.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/verb.h"

#define WORTH_BYTES (1u << 20) /* below, a copy costs nothing that anybody sees */

/* For the handler, to whom nothing can be handed. */
static struct {
        struct span bytes;
        const char *name;
} mapped[16];

#define TEXT(s)                        \
        (struct iovec)                 \
        {                              \
                (char *)(s), strlen(s) \
        }

/* One line in one write, with nothing that a handler mustn't call. */
static void say_cut(const char *name)
{
        struct iovec parts[] = {
                        TEXT("mkexec: "), TEXT(name), TEXT(" was cut off while it was read\n")};

        (void)!writev(STDERR_FILENO, parts, ARRAY_SIZE(parts));
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
        for (size_t i = 0; i < ARRAY_SIZE(mapped); i++)
                if ((uintptr_t)info->si_addr - (uintptr_t)mapped[i].bytes.data <
                                mapped[i].bytes.size) {
                        say_cut(mapped[i].name);
                        _exit(EXIT_USAGE);
                }
        signal(SIGBUS, SIG_DFL); /* not ours: it comes again, and ends the program */
}

bool mapped_file_open(int fd, const char *name, struct span *ret)
{
        struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
        struct stat st;
        size_t i = 0;
        void *p;

        while (i < ARRAY_SIZE(mapped) && mapped[i].name)
                i++;
        if (i == ARRAY_SIZE(mapped) || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
                        st.st_size < (off_t)WORTH_BYTES || lseek(fd, 0, SEEK_CUR) != 0 ||
                        sigaction(SIGBUS, &action, NULL) < 0)
                return false;
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
                return false;
        (void)madvise(p, (size_t)st.st_size, MADV_SEQUENTIAL);
        mapped[i].bytes = *ret = SPAN(p, (size_t)st.st_size);
        mapped[i].name = name;
        return true;
}

void mapped_file_close(struct span bytes)
{
        for (size_t i = 0; bytes.data && i < ARRAY_SIZE(mapped); i++)
                if (mapped[i].bytes.data == bytes.data) {
                        munmap((void *)bytes.data, bytes.size);
                        mapped[i].bytes = SPAN(NULL, 0);
                        mapped[i].name = NULL;
                }
}

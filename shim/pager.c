/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* -F ends at once where a screen is enough, -R lets colours through, -X leaves the screen. */
#define DEFAULT_PAGER "less -FRX"

static const char *command(void)
{
        const char *set = getenv("MKEXEC_PAGER");

        if (!set)
                set = getenv("PAGER");
        if (!set)
                return DEFAULT_PAGER;
        return set[0] == '\0' || strcmp(set, "cat") == 0 ? NULL : set;
}

static void __attribute__((noreturn)) run(const char *pager, int input)
{
        signal(SIGPIPE, SIG_DFL); /* main ignores it */
        /* mkexec is for root; whoever may only run it with sudo shall get no shell out of less. */
        if (setenv("LESSSECURE", "1", 1) < 0 || dup2(input, STDIN_FILENO) < 0)
                _exit(EXIT_FAILURE);
        execl("/bin/sh", "sh", "-c", pager, (char *)NULL);
        _exit(EXIT_FAILURE);
}

void pager_open(struct pager *p)
{
        _cleanup_close_ int saved = -1, from = -1, to = -1;
        const char *pager = command();
        int ends[2];
        pid_t child;

        *p = (struct pager){.saved_stdout = -1};
        if (!pager || !isatty(STDOUT_FILENO) || fflush(stdout) != 0 || pipe2(ends, O_CLOEXEC) < 0)
                return;
        from = ends[0];
        to = ends[1];
        saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        if (saved < 0)
                return;
        child = fork();
        if (child < 0)
                return;
        if (child == 0)
                run(pager, from);
        if (dup2(to, STDOUT_FILENO) < 0)
                return; /* it finds the end of its input at once */
        *p = (struct pager){.child = child, .saved_stdout = TAKE_FD(saved)};
}

void pager_close(struct pager *p)
{
        if (p->child == 0)
                return;
        if (fflush(stdout) != 0 || ferror(stdout)) {
                __fpurge(stdout);
                clearerr(stdout);
        }
        (void)dup2(p->saved_stdout, STDOUT_FILENO); /* closes the pipe */
        close(p->saved_stdout);
        while (waitpid(p->child, NULL, 0) < 0 && errno == EINTR)
                ;
        *p = (struct pager){.saved_stdout = -1};
}

bool pager_colors(const struct pager *p)
{
        const char *off = getenv("NO_COLOR"), *terminal = getenv("TERM");

        return isatty(p->child ? p->saved_stdout : STDOUT_FILENO) && !(off && off[0]) && terminal &&
               strcmp(terminal, "dumb") != 0;
}

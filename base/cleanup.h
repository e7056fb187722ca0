/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scope-bound release with GCC's cleanup attribute, as in systemd and GLib. Header only. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

/* DEFINE_CLEANUP(struct buf *, buf_free) gives buf_freep() for _cleanup_(buf_freep). */
#define DEFINE_CLEANUP(type, function)          \
        static inline void function##p(type *p) \
        {                                       \
                if (*p)                         \
                        function(*p);           \
        }

static inline void freep(void *p)
{
        free(*(void **)p);
}

static inline void closep(const int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

static inline void fclosep(FILE **f)
{
        if (*f)
                fclose(*f);
}

#define _cleanup_free_   _cleanup_(freep)
#define _cleanup_close_  _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)

/* Hands a pointer or descriptor over to the caller: the cleanup then finds nothing to do. */
#define TAKE_PTR(p)                       \
        ({                                \
                __auto_type taken_ = (p); \
                (p) = NULL;               \
                taken_;                   \
        })
#define TAKE_FD(fd)                \
        ({                         \
                int taken_ = (fd); \
                (fd) = -1;         \
                taken_;            \
        })

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

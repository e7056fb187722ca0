/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hand-over by kexec_load: the payload's memory as segments, the guard a few bytes of our own. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "shim/handover/guard.h"
#include "shim/handover/kexec.h"
#include "shim/next-kernel.h"

static int load_guard(const struct state_dir *dir, const struct staged *staged, struct error *error)
{
        uint8_t page[GUARD_SIZE];
        struct kexec_part part = {page, GUARD_SIZE, staged->guard_page, GUARD_SIZE};

        guard_build(page);
        return kexec_load(staged->guard_page, &part, 1, error);
}

static int open_image(const struct state_dir *dir, struct next_kernel *next, struct error *error)
{
        _cleanup_close_ int fd = -1;
        int r = state_open_file(dir, STATE_IMAGE, O_RDONLY, &fd, error);

        if (r == 0)
                r = handover_image_map(fd, &next->image, error);
        if (r == 0 && next->image.id != next->staged->image_id)
                r = error_set(error, ESTALE,
                                "the staged image isn't the one of the staged plan: load again");
        if (r == 0)
                next->systemd_logs_room = next->image.systemd_logs.capacity;
        return r;
}

static int set_logs(const struct state_dir *dir, struct next_kernel *next,
                const struct next_logs *logs, struct error *error)
{
        int r = handover_set_systemd_logs(&next->image, logs->systemd_logs, error);

        return r == 0 ? handover_set_log(&next->image, logs->log, error) : r;
}

static int load(struct next_kernel *next, struct error *error)
{
        struct kexec_part parts[SEGMENTS_MAX];
        size_t n = handover_image_parts(&next->image, parts);

        return kexec_load(next->image.entry, parts, n, error);
}

static void release(struct next_kernel *next)
{
        handover_image_release(&next->image);
}

static const char *const not_handed_over[] = {
                "IMA's list of measurements (this kernel's; PCR 10 keeps its value)",
                NULL,
};

const struct next_kernel_ops next_image_ops = {
                load_guard, open_image, set_logs, load, release, not_handed_over};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/next-kernel.h"

const struct next_kernel_ops *next_kernel_ops_of(enum handover handover)
{
        return handover == HANDOVER_FILE ? &next_files_ops : &next_image_ops;
}

int next_kernel_load_guard(
                const struct state_dir *dir, const struct staged *staged, struct error *error)
{
        int r = next_kernel_ops_of(staged->handover)->load_guard(dir, staged, error);

        return r < 0 ? error_prefix(error, r, "guard image") : 0;
}

int next_kernel_open(const struct state_dir *dir, const struct staged *staged,
                struct next_kernel *ret, struct error *error)
{
        ret->ops = next_kernel_ops_of(staged->handover);
        ret->staged = staged;
        return ret->ops->open(dir, ret, error);
}

void next_kernel_release(struct next_kernel *next)
{
        if (next->ops)
                next->ops->release(next);
        *next = NEXT_KERNEL_NONE;
}

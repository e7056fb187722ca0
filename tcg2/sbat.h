/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SBAT, shim's revocation by generation numbers (shim's SBAT.md): an image's `.sbat` section names
 * its components with a generation each, SbatLevel the lowest generation that may still start.
 * Both are CSV. */
#pragma once

#include "base/error.h"
#include "base/span.h"

/* 0: nothing in the section is below the level. -EKEYREVOKED with a reason: a component is.
 * -EBADMSG with a reason: level or section can't be read. As in shim, text ends at the first NUL,
 * an empty level revokes nothing, components that the level doesn't name are fine, and a generation
 * that isn't a number counts as 0. */
int sbat_check(struct span level, struct span section, struct error *error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The profiles of a UKI (systemd-stub(7), "multi-profile UKIs"): PE sections named .profile, each
 * with text as in os-release, of which the stub takes the one whose number the load options begin
 * with. Called for --profile; reads the payload's file, runs nothing. */
#pragma once

#include "base/error.h"
#include "base/span.h"

/* wanted: a number, or what ID= says in a .profile. Gives the profile's number. -EINVAL: the file
 * isn't PE, or has no such profile (the text lists those there are). -EOPNOTSUPP: no systemd-stub,
 * or one that knows no profiles. Profile 0 is there in every UKI. */
int profile_find(struct span uki, const char *wanted, unsigned *ret, struct error *error);

/* The profile that the stub takes by a command line that begins with "@N"; 0 by any other. */
unsigned profile_of_command_line(const char *text);

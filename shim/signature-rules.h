/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether signatures are demanded of what a hop starts, and by which keys: /etc/mkexec/policy.conf,
 * --db and --dbx, and the machine's own Secure Boot, which nothing overrides. What the lists mean
 * is tcg2/image-policy's. docs/secure-boot.md. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "shim/firmware/firmware.h"
#include "tcg2/image-policy.h"

/* What people say of a machine. Keys of files stand in for those of firmware, all of them. */
struct signature_rules {
        bool required;  /* also where Secure Boot is off */
        bool have_keys; /* files were named: db and dbx below count, not the machine's */
        struct buf db, dbx;
};

void signature_rules_release(struct signature_rules *rules);

/* The policy file, and --db and --dbx (files or folders; NULL: not given; db demands signatures).
 * -EINVAL, -ENOENT ...: a file can't be read or understood, or file and options both name keys. */
int signature_rules_read(
                const char *db, const char *dbx, struct signature_rules *ret, struct error *error);

/* What applies to one run. */
struct signature_keys {
        bool demanded;
        struct image_policy policy; /* points into rules, variables and the buffers below */
        struct buf mok_list, mok_list_x;
};

void signature_keys_release(struct signature_keys *keys);

/* variables: the machine's. -EKEYREJECTED: keys of files where Secure Boot is on; -ENOKEY:
 * signatures are demanded, but there is no key at all; -EBADMSG: SecureBoot isn't one byte. */
int signature_keys_find(const struct signature_rules *rules, const struct fw_variable *variables,
                size_t n_variables, struct signature_keys *ret, struct error *error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `verify` judges by, from files: keys and authorities that are trusted, reference values, a
 * policy. Read once, then shared by all evidence. */
#pragma once

#include "base/error.h"
#include "policy/ak-trust.h"
#include "policy/reference-values.h"
#include "policy/verify-policy.h"

struct verify_rules {
        struct ak_trust *trust;
        struct reference_set *references; /* NULL: none were named */
        struct verify_policy policy;
        bool has_policy;
};
int verify_rules_new(struct verify_rules *ret);
void verify_rules_release(struct verify_rules *rules);
#define _cleanup_verify_rules_ __attribute__((cleanup(verify_rules_release)))

/* Each -errno with the file's name. */
int verify_rules_add_ak(struct verify_rules *rules, const char *path, struct error *error);
int verify_rules_add_ca(struct verify_rules *rules, const char *path, struct error *error);
/* A file, or each *.json of a folder. */
int verify_rules_add_references(struct verify_rules *rules, const char *path, struct error *error);
int verify_rules_read_policy(struct verify_rules *rules, const char *path, struct error *error);
/* Behind all of them. */
int verify_rules_end(struct verify_rules *rules, struct error *error);

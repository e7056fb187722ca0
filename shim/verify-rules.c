/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/verify-rules.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define KEY_FILE_MAX_BYTES (16u * 1024 * 1024)

int verify_rules_new(struct verify_rules *ret)
{
        *ret = (struct verify_rules){0};
        verify_policy_default(&ret->policy);
        return ak_trust_new(&ret->trust);
}

void verify_rules_release(struct verify_rules *rules)
{
        ak_trust_free(rules->trust);
        if (rules->references)
                reference_set_free(rules->references);
        verify_policy_release(&rules->policy);
        *rules = (struct verify_rules){0};
}

static int add_file(struct ak_trust *trust, const char *path,
                int (*add)(struct ak_trust *trust, struct span file, struct error *error),
                struct error *error)
{
        _cleanup_buf_ struct buf file = {0};
        int r = buf_read_file(path, KEY_FILE_MAX_BYTES, &file, error);

        if (r < 0)
                return r;
        r = add(trust, buf_span(&file), error);
        return r < 0 ? error_prefix(error, r, "%s", path) : 0;
}

int verify_rules_add_ak(struct verify_rules *rules, const char *path, struct error *error)
{
        return add_file(rules->trust, path, ak_trust_add_keys, error);
}

int verify_rules_add_ca(struct verify_rules *rules, const char *path, struct error *error)
{
        return add_file(rules->trust, path, ak_trust_add_authorities, error);
}

/* ---- reference values ---- */

static int add_reference(
                struct reference_set *set, const char *path, const char *name, struct error *error)
{
        _cleanup_buf_ struct buf text = {0};
        int r = buf_read_file(path, REFERENCE_MAX_BYTES, &text, error);

        if (r < 0)
                return r;
        r = reference_set_add(set, buf_span(&text), name, error);
        return r < 0 ? error_prefix(error, r, "%s", path) : 0;
}

static int is_reference(const struct dirent *entry)
{
        size_t size = strlen(entry->d_name);

        return entry->d_name[0] != '.' && size > 5 &&
               strcmp(entry->d_name + size - 5, ".json") == 0;
}

static int add_folder(struct reference_set *set, const char *folder, struct error *error)
{
        struct dirent **entries = NULL;
        int n = scandir(folder, &entries, is_reference, alphasort), r = 0;

        if (n < 0)
                return error_set(error, errno, "can't read the folder %s: %m", folder);
        for (int i = 0; i < n; i++) {
                char path[PATH_MAX];

                if (r == 0 && snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name) >=
                                                (int)sizeof(path))
                        r = error_set(error, ENAMETOOLONG, "%s/%s: too long a name", folder,
                                        entries[i]->d_name);
                if (r == 0)
                        r = add_reference(set, path, entries[i]->d_name, error);
                free(entries[i]);
        }
        free(entries);
        return r == 0 && n == 0 ? error_set(error, ENOENT,
                                                  "%s has no reference values: no file *.json",
                                                  folder)
                                : r;
}

int verify_rules_add_references(struct verify_rules *rules, const char *path, struct error *error)
{
        const char *slash = strrchr(path, '/');
        struct stat st;

        if (!rules->references && reference_set_new(&rules->references) < 0)
                return error_set(error, ENOMEM, "out of memory");
        if (stat(path, &st) < 0)
                return error_set(error, errno, "can't read reference values of %s: %m", path);
        return S_ISDIR(st.st_mode) ? add_folder(rules->references, path, error)
                                   : add_reference(rules->references, path,
                                                     slash ? slash + 1 : path, error);
}

/* ---- policy ---- */

int verify_rules_read_policy(struct verify_rules *rules, const char *path, struct error *error)
{
        _cleanup_buf_ struct buf text = {0};
        struct verify_policy policy;
        int r = buf_read_file(path, VERIFY_POLICY_MAX_BYTES, &text, error);

        if (r < 0)
                return r;
        r = verify_policy_read(buf_span(&text), &policy, error);
        if (r < 0)
                return error_prefix(error, r, "%s", path);
        verify_policy_release(&rules->policy);
        rules->policy = policy;
        rules->has_policy = true;
        return 0;
}

int verify_rules_end(struct verify_rules *rules, struct error *error)
{
        int r = rules->references ? reference_set_index(rules->references) : 0;

        return r < 0 ? error_set(error, -r, "can't sort reference values: %s", strerror(-r)) : 0;
}

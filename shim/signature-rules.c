/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/signature-rules.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "shim/config-file.h"
#include "tcg2/key-file.h"

#define KEY_FILE_MAX  (4u * 1024 * 1024)
#define MOK_VARIABLES 16 /* MokListRT, MokListRT1 ...: shim splits what is too long for one */

void signature_rules_release(struct signature_rules *rules)
{
        buf_release(&rules->db);
        buf_release(&rules->dbx);
        *rules = (struct signature_rules){0};
}

/* ---- key files ---- */

static int read_key_file(const char *path, struct buf *lists, struct error *error)
{
        _cleanup_buf_ struct buf file = {0};
        int r = buf_read_file(path, KEY_FILE_MAX, &file, error);

        if (r < 0)
                return r;
        r = key_file_read(buf_span(&file), lists, error);
        /* -EINVAL: input that can't be understood, for the exit code */
        return r < 0 ? error_prefix(error, r == -EBADMSG ? -EINVAL : r, "%s", path) : 0;
}

static int is_visible(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

/* All files of a folder, by name, so that the lists are the same bytes each time. */
static int read_key_folder(const char *path, struct buf *lists, struct error *error)
{
        struct dirent **entries = NULL;
        int n = scandir(path, &entries, is_visible, alphasort), r = 0;

        if (n < 0)
                return error_set(error, errno, "%s: %m", path);
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *file = NULL;

                if (r == 0 && asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0)
                        file = NULL, r = error_set(error, ENOMEM, "out of memory");
                if (r == 0)
                        r = read_key_file(file, lists, error);
                free(entries[i]);
        }
        free(entries);
        if (r == 0 && n == 0)
                r = error_set(error, EINVAL, "%s: no file in it", path);
        return r;
}

static int read_keys(const char *path, struct buf *lists, struct error *error)
{
        struct stat st;

        if (!path)
                return 0;
        if (stat(path, &st) < 0)
                return error_set(error, errno, "%s: %m", path);
        return S_ISDIR(st.st_mode) ? read_key_folder(path, lists, error)
                                   : read_key_file(path, lists, error);
}

/* ---- the policy file ---- */

struct config {
        char *require_signature, *db, *dbx;
};

static void config_release(struct config *c)
{
        free(c->require_signature);
        free(c->db);
        free(c->dbx);
}

static int read_config(const char *path, struct config *c, struct error *error)
{
        const struct config_key keys[] = {
                        {"require-signature", &c->require_signature},
                        {"db", &c->db},
                        {"dbx", &c->dbx},
        };
        int r = config_file_read(path, keys, ARRAY_SIZE(keys), error);

        if (r == 0 && c->require_signature && strcmp(c->require_signature, "yes") != 0 &&
                        strcmp(c->require_signature, "no") != 0)
                r = error_set(error, EINVAL, "%s: require-signature is yes or no, not '%s'", path,
                                c->require_signature);
        if (r == 0 && ((c->db && c->db[0] != '/') || (c->dbx && c->dbx[0] != '/')))
                r = error_set(error, EINVAL, "%s: db and dbx are absolute paths", path);
        return r;
}

int signature_rules_read(
                const char *db, const char *dbx, struct signature_rules *ret, struct error *error)
{
        _cleanup_(signature_rules_release) struct signature_rules rules = {0};
        _cleanup_(config_release) struct config config = {0};
        _cleanup_free_ char *path = NULL;
        int r;

        r = config_file_path("policy.conf", &path, error);
        if (r == 0)
                r = read_config(path, &config, error);
        if (r < 0 && r != -ENOENT)
                return r;
        if ((db || dbx) && (config.db || config.dbx))
                return error_set(error, EINVAL, "%s names the keys: --db and --dbx can't", path);
        db = db ?: config.db;
        dbx = dbx ?: config.dbx;
        if (dbx && !db)
                return error_set(error, EINVAL, "a dbx without a db would trust nobody: name both");
        r = read_keys(db, &rules.db, error);
        if (r == 0)
                r = read_keys(dbx, &rules.dbx, error);
        if (r < 0)
                return r;
        rules.have_keys = db;
        rules.required = db ||
                         (config.require_signature && strcmp(config.require_signature, "yes") == 0);
        *ret = rules;
        rules = (struct signature_rules){0};
        return 0;
}

/* ---- what applies ---- */

void signature_keys_release(struct signature_keys *keys)
{
        buf_release(&keys->mok_list);
        buf_release(&keys->mok_list_x);
        *keys = (struct signature_keys){0};
}

struct machine {
        const struct fw_variable *variables;
        size_t n;
};

static const struct fw_variable *find(
                const struct machine *m, const EFI_GUID *vendor, const char *name)
{
        for (size_t i = 0; i < m->n; i++)
                if (guid_equal(&m->variables[i].vendor, vendor) &&
                                strcmp(m->variables[i].name, name) == 0)
                        return &m->variables[i];
        return NULL;
}

static struct span value_of(const struct machine *m, const EFI_GUID *vendor, const char *name)
{
        const struct fw_variable *v = find(m, vendor, name);

        return v ? SPAN(v->data, v->size) : SPAN(NULL, 0);
}

/* As shim and the Linux stub see it: on, not in setup mode, and not switched off in shim (which
 * counts only as the volatile copy that shim itself makes). */
static int is_enabled(const struct machine *m, bool *ret, struct error *error)
{
        const struct fw_variable *on = find(m, &guid_global_variable, "SecureBoot"),
                                 *setup = find(m, &guid_global_variable, "SetupMode"),
                                 *off = find(m, &guid_shim_lock, "MokSBStateRT");

        if ((on && on->size != 1) || (setup && setup->size != 1))
                return error_set(error, EBADMSG,
                                "the variable SecureBoot or SetupMode isn't one byte");
        *ret = on && on->data[0] == 1 && !(setup && setup->data[0] == 1) &&
               !(off && off->size == 1 && off->data[0] == 1 &&
                               !(off->attributes & EFI_VARIABLE_NON_VOLATILE));
        return 0;
}

/* The variable and its continuations. */
static void read_mok(const struct machine *m, const char *name, struct buf *ret)
{
        buf_put_span(ret, value_of(m, &guid_shim_lock, name));
        for (unsigned i = 1; i < MOK_VARIABLES; i++) {
                char next[32];

                snprintf(next, sizeof(next), "%s%u", name, i);
                buf_put_span(ret, value_of(m, &guid_shim_lock, next));
        }
}

int signature_keys_find(const struct signature_rules *rules, const struct fw_variable *variables,
                size_t n_variables, struct signature_keys *ret, struct error *error)
{
        _cleanup_(signature_keys_release) struct signature_keys keys = {0};
        const struct machine m = {variables, n_variables};
        bool enabled;
        int r = is_enabled(&m, &enabled, error);

        if (r < 0)
                return r;
        if (enabled && rules->have_keys)
                return error_set(error, EKEYREJECTED,
                                "Secure Boot is on: its own db and dbx decide, not --db, --dbx or "
                                "policy.conf");
        keys.demanded = enabled || rules->required;
        if (keys.demanded && rules->have_keys) {
                keys.policy.db = buf_span(&rules->db);
                keys.policy.dbx = buf_span(&rules->dbx);
        } else if (keys.demanded) {
                read_mok(&m, "MokListRT", &keys.mok_list);
                read_mok(&m, "MokListXRT", &keys.mok_list_x);
                if (buf_failed(&keys.mok_list) || buf_failed(&keys.mok_list_x))
                        return error_set(error, ENOMEM, "out of memory");
                keys.policy = (struct image_policy){
                                .db = value_of(&m, &guid_image_security_database, "db"),
                                .dbx = value_of(&m, &guid_image_security_database, "dbx"),
                                .mok_list = buf_span(&keys.mok_list),
                                .mok_list_x = buf_span(&keys.mok_list_x),
                };
        }
        keys.policy.sbat_level = value_of(&m, &guid_shim_lock, "SbatLevelRT");
        if (keys.demanded && keys.policy.db.size == 0 && keys.policy.mok_list.size == 0)
                return error_set(error, ENOKEY,
                                "signatures are demanded, but this machine has no key to check "
                                "them with: name some with --db, or as db in policy.conf");
        *ret = keys;
        keys = (struct signature_keys){0};
        return 0;
}

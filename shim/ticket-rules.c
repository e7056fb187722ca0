/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/ticket-rules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/config-file.h"

#define OWNER_AUTH_MAX 64 /* TPM2B_AUTH */

void ticket_rules_release(struct ticket_rules *rules)
{
        secret_release(&rules->owner);
        closep(&rules->owner_fd);
        rules->owner_fd = -1;
}

/* A password, and maybe a newline behind it, as editors leave one. */
static int read_owner(struct ticket_rules *rules, struct error *error)
{
        int r;

        if (rules->owner_fd < 0 || rules->owner.data)
                return 0;
        r = secret_new(OWNER_AUTH_MAX + 1, &rules->owner, error);
        if (r == 0)
                r = secret_read_fd(rules->owner_fd, &rules->owner, error);
        if (r < 0) {
                secret_release(&rules->owner);
                return error_prefix(error, r, "the file with the owner's password");
        }
        if (rules->owner.data[rules->owner.size - 1] == '\n')
                rules->owner.size--;
        return 0;
}

int tickets_open(struct tpm *tpm, struct ticket_rules *rules, struct tpm_nv **ret,
                struct error *error)
{
        int r = read_owner(rules, error);

        return r < 0 ? r : tpm_nv_open(tpm, secret_span(&rules->owner), ret, error);
}

static int take_base(const char *path, const char *text, uint32_t *ret, struct error *error)
{
        unsigned long long value;
        char *end;

        errno = 0;
        value = strtoull(text, &end, 0);
        if (errno != 0 || end == text || *end || value > UINT32_MAX ||
                        !ticket_base_ok((uint32_t)value))
                return error_set(error, EINVAL,
                                "%s: nv-base is a multiple of 0x100000 from 0x01800000 to "
                                "0x01b00000, not '%s'",
                                path, text);
        *ret = (uint32_t)value;
        return 0;
}

int ticket_rules_open(const char *owner_auth, struct ticket_rules *ret, struct error *error)
{
        _cleanup_ticket_rules_ struct ticket_rules rules = TICKET_RULES_NONE;
        _cleanup_free_ char *path = NULL, *base = NULL, *configured = NULL;
        const struct config_key keys[] = {{"nv-base", &base}, {"owner-auth", &configured}};
        int r = config_file_path("tickets.conf", &path, error);

        if (r == 0)
                r = config_file_read(path, keys, ARRAY_SIZE(keys), error);
        if (r == -ENOENT)
                r = 0;
        if (r == 0 && base)
                r = take_base(path, base, &rules.base, error);
        if (r == 0 && configured && configured[0] != '/')
                r = error_set(error, EINVAL, "%s: owner-auth is an absolute path", path);
        owner_auth = owner_auth ?: configured;
        if (r == 0 && owner_auth) {
                rules.owner_fd = open(owner_auth, O_RDONLY | O_CLOEXEC);
                if (rules.owner_fd < 0)
                        r = error_set(error, errno, "can't read the owner's password from %s: %m",
                                        owner_auth);
        }
        if (r < 0)
                return r;
        *ret = rules;
        rules = TICKET_RULES_NONE;
        return 0;
}

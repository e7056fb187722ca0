/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/firmware/secure-boot.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/utf16.h"
#include "eventlog/event.h"
#include "shim/firmware/image.h"
#include "tcg2/image-policy.h"
#include "tcg2/protocol.h"

enum { PCR_SECURE_BOOT = 7 };

/* What was measured as an authority already: TCG PC Client Platform Firmware Profile 1.06, 3.3.4.8,
 * and edk2's IsDataMeasured. The entries lie in setup.image_policy. */
struct fw_secure_boot {
        struct span *authorities;
        size_t n;
};

/* In this order: edk2's Tcg2Dxe, MeasureAllSecureVariables. dbt and dbr only if they are there. */
static const struct variable_row {
        const char *name;
        const EFI_GUID *vendor;
        bool optional;
} variable_rows[] = {
                {"SecureBoot", &guid_global_variable, false},
                {"PK", &guid_global_variable, false},
                {"KEK", &guid_global_variable, false},
                {"db", &guid_image_security_database, false},
                {"dbx", &guid_image_security_database, false},
                {"dbt", &guid_image_security_database, true},
                {"dbr", &guid_image_security_database, true},
};

/* UEFI_VARIABLE_DATA (TCG PFP 1.06, 10.2.6), all of which is hashed: vendor, characters of the
 * name, bytes of the data, name without NUL, data. */
static int measure_variable(struct firmware *fw, uint32_t type, const char *name,
                const EFI_GUID *vendor, struct span data)
{
        _cleanup_buf_ struct buf event = {0}, utf16 = {0};

        if (!fw->setup.tcg2)
                return 0;
        if (!utf8_to_utf16(name, &utf16))
                return -EINVAL;
        buf_put(&event, vendor, sizeof(*vendor));
        buf_put_u64(&event, utf16.size / 2);
        buf_put_u64(&event, data.size);
        buf_put_span(&event, buf_span(&utf16));
        buf_put_span(&event, data);
        if (buf_failed(&event) || buf_failed(&utf16))
                return -ENOMEM;
        return efi_error(fw_measure(fw, PCR_SECURE_BOOT, type, buf_span(&event))) ? -EIO : 0;
}

static struct span machine_variable(const struct firmware *fw, const struct variable_row *row)
{
        for (size_t i = 0; i < fw->setup.n_variables; i++) {
                const struct fw_variable *v = &fw->setup.variables[i];

                if (guid_equal(&v->vendor, row->vendor) && strcmp(v->name, row->name) == 0)
                        return SPAN(v->data, v->size);
        }
        return SPAN(NULL, 0);
}

int fw_secure_boot_setup(struct firmware *fw, struct error *error)
{
        const struct image_policy *policy = fw->setup.image_policy;

        if (!policy)
                return 0;
        fw->secure_boot = calloc(1, sizeof(*fw->secure_boot));
        if (!fw->secure_boot)
                return error_set(error, ENOMEM, "out of memory");
        for (size_t i = 0; i < ARRAY_SIZE(variable_rows); i++) {
                const struct variable_row *row = &variable_rows[i];
                struct span data = machine_variable(fw, row);
                int r;

                /* What decides is what is told: the same as the variables, unless files stand in
                 * for them. */
                if (strcmp(row->name, "db") == 0)
                        data = policy->db;
                else if (strcmp(row->name, "dbx") == 0)
                        data = policy->dbx;
                if (row->optional && data.size == 0)
                        continue;
                r = measure_variable(
                                fw, EV_EFI_VARIABLE_DRIVER_CONFIG, row->name, row->vendor, data);
                if (r < 0)
                        return error_set(error, -r, "can't measure the variable %s", row->name);
        }
        return 0;
}

void fw_secure_boot_free(struct firmware *fw)
{
        if (fw->secure_boot)
                free(fw->secure_boot->authorities);
        free(fw->secure_boot);
        fw->secure_boot = NULL;
}

static int measure_authority(struct firmware *fw, const struct image_verdict *verdict)
{
        struct fw_secure_boot *state = fw->secure_boot;
        struct span *grown;

        for (size_t i = 0; i < state->n; i++)
                if (state->authorities[i].data == verdict->authority.data)
                        return 0;
        grown = reallocarray(state->authorities, state->n + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        state->authorities = grown;
        state->authorities[state->n++] = verdict->authority;
        return measure_variable(fw, EV_EFI_VARIABLE_AUTHORITY, verdict->variable, verdict->vendor,
                        verdict->authority);
}

EFI_STATUS fw_verify_image(struct firmware *fw, struct span file, bool vouched)
{
        struct image_verdict verdict;
        struct error error = {0};

        if (!fw->setup.image_policy)
                return EFI_SUCCESS;
        if (image_policy_judge(fw->setup.image_policy, file, vouched, &verdict, &error) < 0) {
                image_refuse(fw, "%s", error.text);
                return EFI_OUT_OF_RESOURCES;
        }
        if (!verdict.accepted) {
                image_refuse(fw, "%s", verdict.reason);
                return EFI_ACCESS_DENIED;
        }
        if (!verdict.authority.size) {
                fw_trace(fw, "  accepted as a part of the image that loads it");
                return EFI_SUCCESS;
        }
        fw_trace(fw, "  accepted by %s", verdict.variable);
        if (measure_authority(fw, &verdict) < 0) {
                image_refuse(fw, "its authority couldn't be measured");
                return EFI_OUT_OF_RESOURCES;
        }
        return EFI_SUCCESS;
}

/* ---- parts ---- */

struct image_part {
        size_t size;
        uint8_t sha256[32];
};

bool image_parts_note(const struct firmware *fw, const struct pe *pe, struct image_parts *ret)
{
        struct image_parts parts = {0};
        struct pe_section s;

        if (fw->setup.image_policy) {
                parts.part = calloc(pe->n_sections, sizeof(*parts.part));
                if (!parts.part)
                        return false;
        }
        for (unsigned i = 0; parts.part && pe_section(pe, i, &s); i++) {
                struct image_part *part = &parts.part[parts.n];

                /* As the section lies in memory; a longer one has zeros behind. */
                if (s.raw.size == 0 || s.virtual_size > s.raw.size)
                        continue;
                part->size = s.virtual_size ? s.virtual_size : s.raw.size;
                if (hash_sha256(SPAN(s.raw.data, part->size), part->sha256) < 0) {
                        image_parts_release(&parts);
                        return false;
                }
                parts.n++;
        }
        *ret = parts;
        return true;
}

bool image_parts_have(const struct image_parts *parts, struct span file)
{
        bool hashed = false;
        uint8_t sha256[32];

        for (size_t i = 0; i < parts->n; i++) {
                if (parts->part[i].size != file.size)
                        continue;
                if (!hashed && hash_sha256(file, sha256) < 0)
                        return false;
                hashed = true;
                if (memcmp(sha256, parts->part[i].sha256, sizeof(sha256)) == 0)
                        return true;
        }
        return false;
}

void image_parts_release(struct image_parts *parts)
{
        free(parts->part);
        *parts = (struct image_parts){0};
}

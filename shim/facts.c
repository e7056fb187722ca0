/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/hop-check.h"
#include "shim/firmware/efivarfs.h"
#include "shim/json-values.h"

#define EFIVARS_DIR   "/sys/firmware/efi/efivars"
#define SMBIOS_ENTRY  "/sys/firmware/dmi/tables/smbios_entry_point"
#define SMBIOS_TABLES "/sys/firmware/dmi/tables/DMI"
#define FACTS_MAX     (16u * 1024 * 1024)
#define SMBIOS_MAX    (1024u * 1024)

void facts_release(struct facts *facts)
{
        buf_release(&facts->log);
        buf_release(&facts->smbios_entry);
        buf_release(&facts->smbios_tables);
        buf_release(&facts->esp_device_path);
        efivarfs_free(facts->variables, facts->n_variables);
        signature_rules_release(&facts->rules);
        handover_facts_release(&facts->host);
        *facts = (struct facts){0};
}

void facts_miss(struct facts *facts, const char *what)
{
        size_t n = strlen(facts->missing);

        snprintf(facts->missing + n, sizeof(facts->missing) - n, "%s%s", n ? ", " : "", what);
}

/* Without a TPM every bank that any PC TPM has today; a bank's values don't depend on the others.
 */
static const uint16_t usual_banks[] = {
                TPM_ALG_SHA1, TPM_ALG_SHA256, TPM_ALG_SHA384, TPM_ALG_SHA512};

static int read_registers(struct tpm *tpm, struct facts *facts, struct error *error)
{
        int r;

        if (!tpm) {
                for (size_t i = 0; i < ARRAY_SIZE(usual_banks); i++)
                        banks_add(&facts->banks, alg_by_id(usual_banks[i]));
                replay_start(&facts->registers, &facts->banks);
                facts_miss(facts, "TPM (registers start at zero)");
                return 0;
        }
        facts->have_tpm = true;
        r = tpm_active_banks(tpm, &facts->banks, error);
        if (r == 0)
                r = tpm_pcr_read(tpm, &facts->banks, 0xffff, &facts->registers, error);
        return r;
}

/* The log's own count; the hop after an aborted one has the next number. */
static int count_hops(struct facts *facts, struct error *error)
{
        _cleanup_hop_verdict_ struct hop_verdict verdict = {0};
        int r;

        facts->hop = 1;
        if (facts->log_missing)
                facts_miss(facts, "event log (hop number 1)");
        if (facts->log.size == 0)
                return 0;
        r = hop_check(buf_span(&facts->log), NULL, &verdict, error);
        if (r < 0)
                return r;
        if (!verdict.hops_ok) {
                facts_miss(facts, "event log with whole hops (hop number 1)"); /* load refuses it:
                                                                                  shim/boot-log.h */
                return 0;
        }
        facts->hop = (uint32_t)verdict.n_hops + 1;
        return 0;
}

static void read_smbios(struct facts *facts)
{
        for (size_t i = 0; i < facts->host.n_tables; i++) {
                const struct fw_config_table *t = &facts->host.tables[i];

                if (guid_equal(&t->guid, &guid_smbios3) ||
                                (guid_equal(&t->guid, &guid_smbios) && !facts->smbios_address))
                        facts->smbios_address = t->address;
        }
        if (buf_read_file(SMBIOS_ENTRY, 64, &facts->smbios_entry, NULL) < 0 ||
                        buf_read_file(SMBIOS_TABLES, SMBIOS_MAX, &facts->smbios_tables, NULL) < 0) {
                buf_release(&facts->smbios_entry);
                facts->smbios_address = 0;
                facts_miss(facts, "SMBIOS strings");
        }
}

bool facts_smbios_moves(const struct facts *facts)
{
        const struct host_memory *memory = &facts->host.memory;
        uint64_t at = facts->smbios_address;

        return at == 0 || (!facts->elsewhere && !facts->host.plain &&
                                          host_memory_covers(memory->ranges, memory->n, at, at + 1,
                                                          1u << EfiConventionalMemory));
}

bool facts_smbios(const struct facts *facts, EFI_GUID *ret_guid, uint64_t *ret_tables_address)
{
        struct cursor c = CURSOR(buf_span(&facts->smbios_entry));
        uint32_t address32;

        if (facts->smbios_entry.size >= 24 && memcmp(facts->smbios_entry.data, "_SM3_", 5) == 0) {
                *ret_guid = guid_smbios3;
                return cursor_skip(&c, 16) && cursor_u64(&c, ret_tables_address);
        }
        if (facts->smbios_entry.size >= 31 && memcmp(facts->smbios_entry.data, "_SM_", 4) == 0) {
                *ret_guid = guid_smbios;
                if (!cursor_skip(&c, 24) || !cursor_u32(&c, &address32))
                        return false;
                *ret_tables_address = address32;
                return true;
        }
        return false;
}

int facts_read(struct tpm *tpm, const struct span *log, bool for_load, struct facts *ret,
                struct error *error)
{
        _cleanup_(facts_release) struct facts facts = {0};
        int r;

        if (log)
                buf_put_span(&facts.log, *log);
        facts.log_missing = !log || (!tpm && log->size == 0);
        r = read_registers(tpm, &facts, error);
        if (r == 0)
                r = count_hops(&facts, error);
        if (r < 0)
                return r;
        r = handover_facts_read("/sys", !for_load, &facts.host, error);
        if (r < 0)
                return r;
        r = efivarfs_read(EFIVARS_DIR, &facts.variables, &facts.n_variables, error);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r < 0 && !facts.host.without_efi) /* a BIOS has none that could be missing */
                facts_miss(&facts, "EFI variables");
        read_smbios(&facts);
        *ret = facts;
        facts = (struct facts){0};
        return 0;
}

/* ---- the file ---- */

/* What payloads look at, and what decides about signatures; the rest (boot entries, settings of
 * vendors) stays at home. name NULL: all of the vendor's. */
static bool travels(const struct fw_variable *v)
{
        static const struct {
                const EFI_GUID *vendor;
                const char *name;
        } rows[] = {
                        {&guid_loader, NULL},
                        {&guid_global_variable, "SecureBoot"},
                        {&guid_global_variable, "SetupMode"},
                        {&guid_global_variable, "Lang"},
                        {&guid_global_variable, "PK"},
                        {&guid_global_variable, "KEK"},
                        {&guid_image_security_database, NULL},
                        {&guid_shim_lock, NULL},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (guid_equal(&v->vendor, rows[i].vendor) &&
                                (!rows[i].name || strcmp(v->name, rows[i].name) == 0))
                        return true;
        return false;
}

static struct json_object *rules_to_json(const struct signature_rules *rules)
{
        struct json_object *object = json_object_new_object();

        json_object_object_add(object, "required", json_object_new_boolean(rules->required));
        json_object_object_add(object, "have_keys", json_object_new_boolean(rules->have_keys));
        json_object_object_add(object, "db", hex_to_json(buf_span(&rules->db)));
        json_object_object_add(object, "dbx", hex_to_json(buf_span(&rules->dbx)));
        return object;
}

/* A file of a version that knew nothing of signatures has none of it: that was their policy. */
static bool rules_from_json(struct json_object *object, struct signature_rules *rules)
{
        struct json_object *required, *have_keys;

        if (!object)
                return true;
        if (!json_object_object_get_ex(object, "required", &required) ||
                        !json_object_object_get_ex(object, "have_keys", &have_keys) ||
                        !json_object_is_type(required, json_type_boolean) ||
                        !json_object_is_type(have_keys, json_type_boolean))
                return false;
        rules->required = json_object_get_boolean(required);
        rules->have_keys = json_object_get_boolean(have_keys);
        return hex_from_json(object, "db", &rules->db) && hex_from_json(object, "dbx", &rules->dbx);
}

struct json_object *facts_to_json(const struct facts *facts, struct span esp_device_path)
{
        struct json_object *object = json_object_new_object();
        struct json_object *variables = json_object_new_array();

        json_object_object_add(object, "version", json_object_new_int(1));
        json_object_object_add(object, "banks", banks_to_json(&facts->banks));
        json_object_object_add(object, "registers",
                        pcrs_to_json(&facts->banks, 0xffff, facts->registers.pcr));
        json_object_object_add(object, "hop", json_object_new_int64(facts->hop));
        json_object_object_add(object, "esp_device_path", hex_to_json(esp_device_path));
        json_object_object_add(object, "smbios_address",
                        json_object_new_int64((int64_t)facts->smbios_address));
        json_object_object_add(object, "smbios_entry", hex_to_json(buf_span(&facts->smbios_entry)));
        json_object_object_add(
                        object, "smbios_tables", hex_to_json(buf_span(&facts->smbios_tables)));
        json_object_object_add(object, "signatures", rules_to_json(&facts->rules));
        for (size_t i = 0; i < facts->n_variables; i++) {
                const struct fw_variable *v = &facts->variables[i];
                struct json_object *row;
                char guid[GUID_TEXT_SIZE];

                if (!travels(v))
                        continue;
                row = json_object_new_object();
                guid_to_text(&v->vendor, guid);
                json_object_object_add(row, "name", json_object_new_string(v->name));
                json_object_object_add(row, "guid", json_object_new_string(guid));
                json_object_object_add(row, "attributes", json_object_new_int64(v->attributes));
                json_object_object_add(row, "data", hex_to_json(SPAN(v->data, v->size)));
                json_object_array_add(variables, row);
        }
        json_object_object_add(object, "variables", variables);
        return object;
}

static int variables_from_json(struct json_object *array, struct facts *facts, struct error *error)
{
        size_t n = json_object_is_type(array, json_type_array) ? json_object_array_length(array)
                                                               : 0;

        facts->variables = calloc(n + 1, sizeof(*facts->variables));
        if (!facts->variables)
                return error_set(error, ENOMEM, "out of memory");
        for (size_t i = 0; i < n; i++) {
                struct json_object *row = json_object_array_get_idx(array, i);
                struct fw_variable *v = &facts->variables[i];
                const char *name = text_from_json(row, "name"), *guid = text_from_json(row, "guid");
                struct buf data = {0};
                uint64_t attributes;

                if (!name || !guid || !guid_from_text(guid, &v->vendor) ||
                                !number_from_json(row, "attributes", UINT32_MAX, &attributes) ||
                                !hex_from_json(row, "data", &data)) {
                        buf_release(&data);
                        return error_set(error, EINVAL, "variable %zu is malformed", i);
                }
                v->attributes = (uint32_t)attributes;
                v->data = data.data;
                v->size = data.size;
                v->name = strdup(name);
                facts->n_variables = i + 1;
                if (!v->name)
                        return error_set(error, ENOMEM, "out of memory");
        }
        return 0;
}

static int facts_from_json(struct json_object *object, struct facts *facts, struct error *error)
{
        struct json_object *member;
        uint64_t version, hop;
        uint32_t mask;
        int r;

        if (!number_from_json(object, "version", 1, &version) || version != 1 ||
                        !number_from_json(object, "hop", UINT32_MAX, &hop) || hop == 0)
                return error_set(error, EINVAL, "not a file of 'mkexec status --machine'");
        facts->hop = (uint32_t)hop;
        r = banks_from_json(json_object_object_get(object, "banks"), &facts->banks, error);
        if (r < 0)
                return r;
        replay_start(&facts->registers, &facts->banks);
        member = json_object_object_get(object, "registers");
        r = pcrs_from_json(member, &facts->banks, facts->registers.pcr, &mask, error);
        if (r == 0 && (mask & 0xffff) != 0xffff)
                r = error_set(error, EINVAL, "it has no value of PCR %d", __builtin_ctz(~mask));
        if (r < 0)
                return r;
        if (!hex_from_json(object, "esp_device_path", &facts->esp_device_path) ||
                        !number_from_json(object, "smbios_address", INT64_MAX,
                                        &facts->smbios_address) ||
                        !hex_from_json(object, "smbios_entry", &facts->smbios_entry) ||
                        !hex_from_json(object, "smbios_tables", &facts->smbios_tables) ||
                        facts->smbios_tables.size > SMBIOS_MAX ||
                        !rules_from_json(json_object_object_get(object, "signatures"),
                                        &facts->rules))
                return error_set(error, EINVAL, "it is incomplete or malformed");
        return variables_from_json(json_object_object_get(object, "variables"), facts, error);
}

int facts_read_file(const char *path, struct facts *ret, struct error *error)
{
        _cleanup_(facts_release) struct facts facts = {.elsewhere = true, .have_tpm = true};
        _cleanup_buf_ struct buf text = {0};
        struct json_object *object;
        int r = buf_read_file(path, FACTS_MAX, &text, error);

        if (r < 0)
                return r;
        object = json_from_text(&text);
        if (!object)
                return error_set(error, EINVAL, "%s isn't JSON", path);
        r = facts_from_json(object, &facts, error);
        json_object_put(object);
        if (r < 0)
                return error_prefix(error, r, "%s", path);
        r = host_memory_plain(&facts.host.memory);
        if (r < 0)
                return error_set(error, -r, "out of memory");
        facts.host.plain = true;
        *ret = facts;
        facts = (struct facts){0};
        return 0;
}

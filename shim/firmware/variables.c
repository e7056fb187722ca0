/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The payload's view of EFI variables. Called by runtime-services.c; never writes to the machine.
 * What the payload may not see or set is a row of rules[], nothing else here knows a variable by
 * its name. */
#include "shim/firmware/variables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf16.h"
#include "shim/firmware/internal.h"

enum match { EXACT, PREFIX };

/* A variable that isn't simply the machine's under the payload's own. get, set: the answer to every
 * call if it is an error; swallow: SetVariable says "done" and keeps nothing. The first row that
 * matches counts. */
struct rule {
        const EFI_GUID *vendor;
        const char *name;
        enum match match;
        EFI_STATUS get;
        EFI_STATUS set;
        bool swallow;
        bool hide_volatile; /* the machine's, if it lives no longer than its boot */
        bool own_volatile;  /* set counts for lasting ones only */
};

static const struct rule rules[] = {
                /* Kept by the firmware from the operating system, so efivarfs hasn't got it; "not
                 * found" would make the stub (261 and later) create one and write it to the ESP. A
                 * firmware that couldn't authenticate the variable would answer the same. */
                {&guid_loader, "LoaderBootSecret", EXACT, .get = EFI_SECURITY_VIOLATION,
                                .set = EFI_WRITE_PROTECTED},
                /* SMBIOS can't change over a kexec and isn't measured again: 261 and later look
                 * here. */
                {&guid_loader, "LoaderPcrSMBIOS", EXACT},
                /* What the first boot told of itself. LoaderFeatures too: no loader took part in
                 * this one, and without it the stub looks for a seed on the ESP, finds no BlockIo,
                 * and goes on. */
                {&guid_loader, "Loader", PREFIX, .hide_volatile = true},
                {&guid_loader, "Stub", PREFIX, .hide_volatile = true},
                /* mkexec's own notes from hop to hop: a forged one would tell the next hop that
                 * pages of the firmware are free memory. */
                {&guid_mkexec, "", PREFIX, .get = EFI_NOT_FOUND, .set = EFI_WRITE_PROTECTED},
                /* To have memory wiped at the next reset is the first kernel's business. */
                {&guid_memory_overwrite_request, "MemoryOverwriteRequestControl", EXACT,
                                .get = EFI_NOT_FOUND, .swallow = true},
                /* Read-only on any firmware (UEFI 2.10, table 3.1). */
                {&guid_global_variable, "SecureBoot", EXACT, .set = EFI_WRITE_PROTECTED},
                {&guid_global_variable, "SetupMode", EXACT, .set = EFI_WRITE_PROTECTED},
                {&guid_global_variable, "AuditMode", EXACT, .set = EFI_WRITE_PROTECTED},
                {&guid_global_variable, "DeployedMode", EXACT, .set = EFI_WRITE_PROTECTED},
                {&guid_global_variable, "VendorKeys", EXACT, .set = EFI_WRITE_PROTECTED},
                {&guid_global_variable, "SignatureSupport", EXACT, .set = EFI_WRITE_PROTECTED},
                {&guid_global_variable, "PKDefault", EXACT, .set = EFI_WRITE_PROTECTED},
                {&guid_global_variable, "KEKDefault", EXACT, .set = EFI_WRITE_PROTECTED},
                {&guid_global_variable, "dbDefault", EXACT, .set = EFI_WRITE_PROTECTED},
                {&guid_global_variable, "dbxDefault", EXACT, .set = EFI_WRITE_PROTECTED},
                {&guid_global_variable, "dbtDefault", EXACT, .set = EFI_WRITE_PROTECTED},
                {&guid_global_variable, "dbrDefault", EXACT, .set = EFI_WRITE_PROTECTED},
                /* Only with a signature that we don't check: as firmware answers a bad one. */
                {&guid_global_variable, "PK", EXACT, .set = EFI_SECURITY_VIOLATION},
                {&guid_global_variable, "KEK", EXACT, .set = EFI_SECURITY_VIOLATION},
                {&guid_image_security_database, "db", EXACT, .set = EFI_SECURITY_VIOLATION},
                {&guid_image_security_database, "dbx", EXACT, .set = EFI_SECURITY_VIOLATION},
                {&guid_image_security_database, "dbt", EXACT, .set = EFI_SECURITY_VIOLATION},
                {&guid_image_security_database, "dbr", EXACT, .set = EFI_SECURITY_VIOLATION},
                /* shim's volatile mirrors of what it judges by. It makes them anew in each boot, or
                 * resets the machine: a shim that is the payload gets its own, and nobody else sees
                 * them. */
                {&guid_shim_lock, "MokListRT", PREFIX, .set = EFI_WRITE_PROTECTED,
                                .own_volatile = true},
                {&guid_shim_lock, "MokListXRT", PREFIX, .set = EFI_WRITE_PROTECTED,
                                .own_volatile = true},
                {&guid_shim_lock, "MokListTrustedRT", PREFIX, .set = EFI_WRITE_PROTECTED,
                                .own_volatile = true},
                {&guid_shim_lock, "MokSBStateRT", PREFIX, .set = EFI_WRITE_PROTECTED,
                                .own_volatile = true},
                {&guid_shim_lock, "MokIgnoreDB", PREFIX, .set = EFI_WRITE_PROTECTED,
                                .own_volatile = true},
                {&guid_shim_lock, "MokPolicyRT", PREFIX, .set = EFI_WRITE_PROTECTED,
                                .own_volatile = true},
                {&guid_shim_lock, "SbatLevelRT", PREFIX, .set = EFI_WRITE_PROTECTED,
                                .own_volatile = true},
                {&guid_shim_lock, "Mok", PREFIX, .set = EFI_WRITE_PROTECTED},
                {&guid_shim_lock, "Sbat", PREFIX, .set = EFI_WRITE_PROTECTED},
};

static const struct rule no_rule;

static const struct rule *find_rule(const EFI_GUID *vendor, const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
                const struct rule *r = &rules[i];

                if (!guid_equal(r->vendor, vendor))
                        continue;
                if (r->match == PREFIX ? strncmp(name, r->name, strlen(r->name)) == 0
                                       : strcmp(name, r->name) == 0)
                        return r;
        }
        return &no_rule;
}

#define ACCESS (EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS)

/* LoaderPcrSMBIOS for a machine whose first boot didn't set it. The second kernel isn't told so: it
 * isn't in firmware_variables(). */
static char smbios_name[] = "LoaderPcrSMBIOS";
static uint8_t smbios_data[] = {'1', 0, 0, 0};
#define SMBIOS_ATTRIBUTES ACCESS

struct machine_variable {
        struct fw_variable v; /* the caller's bytes */
        bool shadowed;        /* the payload has replaced or deleted it */
};

struct fw_variables {
        struct machine_variable *machine; /* only what may be seen */
        size_t n_machine;
        struct fw_variable *set; /* the payload's, in the order of their creation; bytes are ours */
        size_t n_set;
        size_t set_bytes;
};

static bool names(const struct fw_variable *v, const EFI_GUID *vendor, const char *name)
{
        return guid_equal(&v->vendor, vendor) && strcmp(v->name, name) == 0;
}

static bool hidden(const struct fw_variable *v)
{
        const struct rule *r = find_rule(&v->vendor, v->name);

        if (efi_error(r->get))
                return true;
        return r->hide_volatile && !(v->attributes & EFI_VARIABLE_NON_VOLATILE);
}

int variables_new(const struct fw_variable *machine, size_t n_machine, struct fw_variables **ret)
{
        struct fw_variables *v = calloc(1, sizeof(*v));
        bool has_smbios = false;

        if (!v)
                return -ENOMEM;
        v->machine = calloc(n_machine + 1, sizeof(*v->machine));
        if (!v->machine) {
                free(v);
                return -ENOMEM;
        }
        for (size_t i = 0; i < n_machine; i++) {
                if (hidden(&machine[i]))
                        continue;
                has_smbios = has_smbios || names(&machine[i], &guid_loader, smbios_name);
                v->machine[v->n_machine++].v = machine[i];
        }
        if (!has_smbios)
                v->machine[v->n_machine++].v = (struct fw_variable){guid_loader, smbios_name,
                                SMBIOS_ATTRIBUTES, smbios_data, sizeof(smbios_data)};
        *ret = v;
        return 0;
}

static void free_set(struct fw_variable *v)
{
        free(v->name);
        free(v->data);
}

void variables_free(struct fw_variables *v)
{
        if (!v)
                return;
        for (size_t i = 0; i < v->n_set; i++)
                free_set(&v->set[i]);
        free(v->set);
        free(v->machine);
        free(v);
}

/* All variables that exist for the payload, as one row: the machine's, then its own. NULL: no such
 * index. After ExitBootServices the others are skipped by the callers. */
static const struct fw_variable *at(const struct fw_variables *v, size_t index)
{
        if (index < v->n_machine)
                return &v->machine[index].v;
        index -= v->n_machine;
        return index < v->n_set ? &v->set[index] : NULL;
}

static bool exists(const struct fw_variables *v, size_t index, bool at_runtime)
{
        if (index < v->n_machine && v->machine[index].shadowed)
                return false;
        return !at_runtime || at(v, index)->attributes & EFI_VARIABLE_RUNTIME_ACCESS;
}

static bool find(const struct fw_variables *v, const EFI_GUID *vendor, const char *name,
                bool at_runtime, size_t *ret)
{
        const struct fw_variable *row;

        for (size_t i = 0; (row = at(v, i)); i++)
                if (exists(v, i, at_runtime) && names(row, vendor, name)) {
                        *ret = i;
                        return true;
                }
        return false;
}

EFI_STATUS variables_get(const struct fw_variables *v, const EFI_GUID *vendor, const char *name,
                bool at_runtime, const struct fw_variable **ret)
{
        const struct rule *r = find_rule(vendor, name);
        size_t i;

        if (efi_error(r->get))
                return r->get;
        if (!find(v, vendor, name, at_runtime, &i))
                return EFI_NOT_FOUND;
        *ret = at(v, i);
        return EFI_SUCCESS;
}

EFI_STATUS variables_next(const struct fw_variables *v, const EFI_GUID *vendor, const char *name,
                bool at_runtime, const struct fw_variable **ret)
{
        size_t i = 0;

        if (*name) {
                if (!find(v, vendor, name, at_runtime, &i))
                        return EFI_INVALID_PARAMETER;
                i++;
        }
        for (; at(v, i); i++)
                if (exists(v, i, at_runtime)) {
                        *ret = at(v, i);
                        return EFI_SUCCESS;
                }
        return EFI_NOT_FOUND;
}

/* UTF-16 with NUL, as firmware stores and counts it; SIZE_MAX if the name can't be written so. */
static size_t name_bytes(const char *name)
{
        _cleanup_buf_ struct buf b = {0};

        if (!utf8_to_utf16(name, &b) || buf_failed(&b) || b.size > 2 * VARIABLE_NAME_MAX_CHARS)
                return SIZE_MAX;
        return b.size + 2;
}

/* The attribute rules that need no look at the variable (8.2.3). */
static EFI_STATUS check_attributes(uint32_t attributes, bool at_runtime)
{
        const uint32_t known = 0xff;

        if (attributes & ~known)
                return EFI_INVALID_PARAMETER;
        if ((attributes & ACCESS) == EFI_VARIABLE_RUNTIME_ACCESS)
                return EFI_INVALID_PARAMETER;
        if (attributes & EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS &&
                        attributes & EFI_VARIABLE_ENHANCED_AUTHENTICATED_ACCESS)
                return EFI_INVALID_PARAMETER;
        /* No key store and no error record area: the specification's answer of a platform without.
         */
        if (attributes & (EFI_VARIABLE_HARDWARE_ERROR_RECORD |
                                         EFI_VARIABLE_AUTHENTICATED_WRITE_ACCESS |
                                         EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS |
                                         EFI_VARIABLE_ENHANCED_AUTHENTICATED_ACCESS))
                return EFI_UNSUPPORTED;
        if (at_runtime && attributes & ACCESS && !(attributes & EFI_VARIABLE_RUNTIME_ACCESS))
                return EFI_INVALID_PARAMETER;
        return EFI_SUCCESS;
}

static void forget(struct fw_variables *v, size_t index)
{
        if (index < v->n_machine) {
                v->machine[index].shadowed = true;
                return;
        }
        index -= v->n_machine;
        v->set_bytes -= name_bytes(v->set[index].name) + v->set[index].size;
        free_set(&v->set[index]);
        memmove(&v->set[index], &v->set[index + 1], (v->n_set - index - 1) * sizeof(*v->set));
        v->n_set--;
}

/* Puts a new row at the end of the payload's own; data becomes the store's. */
static EFI_STATUS append_row(struct fw_variables *v, const EFI_GUID *vendor, const char *name,
                uint32_t attributes, uint8_t *data, size_t size)
{
        struct fw_variable *grown;
        char *copy;

        if (v->n_set >= VARIABLES_MAX_COUNT)
                return EFI_OUT_OF_RESOURCES;
        grown = reallocarray(v->set, v->n_set + 1, sizeof(*grown));
        if (!grown)
                return EFI_OUT_OF_RESOURCES;
        v->set = grown;
        copy = strdup(name);
        if (!copy)
                return EFI_OUT_OF_RESOURCES;
        v->set[v->n_set++] = (struct fw_variable){*vendor, copy, attributes, data, size};
        v->set_bytes += name_bytes(name) + size;
        return EFI_SUCCESS;
}

/* Gives (vendor, name) the value before || after, whether it exists (index) or not (SIZE_MAX). */
static EFI_STATUS store(struct fw_variables *v, size_t index, const EFI_GUID *vendor,
                const char *name, uint32_t attributes, struct span before, struct span after)
{
        size_t size, named = name_bytes(name), freed = 0;
        bool ours = index != SIZE_MAX && index >= v->n_machine;
        _cleanup_free_ uint8_t *data = NULL;
        EFI_STATUS status;

        if (before.size > VARIABLE_MAX_BYTES - named ||
                        after.size > VARIABLE_MAX_BYTES - named - before.size)
                return EFI_INVALID_PARAMETER; /* as edk2; OUT_OF_RESOURCES is for a full store */
        size = before.size + after.size;
        if (ours)
                freed = named + v->set[index - v->n_machine].size;
        if (named + size > VARIABLES_MAX_BYTES - (v->set_bytes - freed))
                return EFI_OUT_OF_RESOURCES;
        data = malloc(size);
        if (!data)
                return EFI_OUT_OF_RESOURCES;
        if (before.size > 0)
                memcpy(data, before.data, before.size);
        memcpy(data + before.size, after.data, after.size);
        if (ours) {
                struct fw_variable *row = &v->set[index - v->n_machine];

                free(row->data);
                row->data = TAKE_PTR(data);
                row->size = size;
                v->set_bytes += named + size - freed;
                return EFI_SUCCESS;
        }
        status = append_row(v, vendor, name, attributes, data, size);
        if (efi_error(status))
                return status;
        (void)TAKE_PTR(data);
        if (index != SIZE_MAX)
                forget(v, index);
        return EFI_SUCCESS;
}

static EFI_STATUS change(struct fw_variables *v, size_t index, uint32_t attributes,
                struct span data, bool at_runtime)
{
        const struct fw_variable *row = at(v, index);
        bool append = attributes & EFI_VARIABLE_APPEND_WRITE;

        if (at_runtime && !(row->attributes & EFI_VARIABLE_NON_VOLATILE))
                return EFI_WRITE_PROTECTED; /* volatile ones are read-only after ExitBootServices */
        if (row->attributes & ~(ACCESS | EFI_VARIABLE_NON_VOLATILE))
                return EFI_SECURITY_VIOLATION; /* authenticated: nobody here could check a signature
                                                */
        if (attributes != 0 && (attributes & ~EFI_VARIABLE_APPEND_WRITE) != row->attributes)
                return EFI_INVALID_PARAMETER;
        if ((data.size == 0 && !append) || !(attributes & ACCESS)) {
                forget(v, index);
                return EFI_SUCCESS;
        }
        if (data.size == 0)
                return EFI_SUCCESS;
        return store(v, index, &row->vendor, row->name, row->attributes,
                        append ? SPAN(row->data, row->size) : SPAN(NULL, 0), data);
}

static EFI_STATUS create(struct fw_variables *v, const EFI_GUID *vendor, const char *name,
                uint32_t attributes, struct span data, bool at_runtime)
{
        if (data.size == 0)
                return attributes & EFI_VARIABLE_APPEND_WRITE ? EFI_SUCCESS : EFI_NOT_FOUND;
        if (!(attributes & ACCESS))
                return EFI_NOT_FOUND; /* a deletion */
        if (at_runtime && !(attributes & EFI_VARIABLE_NON_VOLATILE))
                return EFI_INVALID_PARAMETER;
        return store(v, SIZE_MAX, vendor, name, attributes & ~EFI_VARIABLE_APPEND_WRITE,
                        SPAN(NULL, 0), data);
}

/* Neither what is there nor what is to be outlives the boot. */
static bool stays_volatile(const struct fw_variables *v, const EFI_GUID *vendor, const char *name,
                uint32_t attributes)
{
        size_t i;

        if (find(v, vendor, name, false, &i))
                attributes |= at(v, i)->attributes;
        return !(attributes & EFI_VARIABLE_NON_VOLATILE);
}

EFI_STATUS variables_set(struct fw_variables *v, const EFI_GUID *vendor, const char *name,
                uint32_t attributes, struct span data, bool at_runtime)
{
        const struct rule *r = find_rule(vendor, name);
        EFI_STATUS status;
        size_t i;

        if (!*name || name_bytes(name) == SIZE_MAX)
                return EFI_INVALID_PARAMETER;
        if (efi_error(r->set) && !(r->own_volatile && stays_volatile(v, vendor, name, attributes)))
                return r->set;
        status = check_attributes(attributes, at_runtime);
        if (efi_error(status))
                return status;
        if (data.size > VARIABLE_MAX_BYTES)
                return EFI_INVALID_PARAMETER;
        if (r->swallow)
                return EFI_SUCCESS;
        if (find(v, vendor, name, at_runtime, &i))
                return change(v, i, attributes, data, at_runtime);
        if (at_runtime && find(v, vendor, name, false, &i))
                return EFI_WRITE_PROTECTED; /* it exists, but not for the runtime */
        return create(v, vendor, name, attributes, data, at_runtime);
}

EFI_STATUS variables_query(const struct fw_variables *v, uint32_t attributes, bool at_runtime,
                uint64_t *ret_maximum, uint64_t *ret_remaining, uint64_t *ret_largest)
{
        EFI_STATUS status;

        if (!(attributes & ACCESS))
                return EFI_INVALID_PARAMETER;
        status = check_attributes(attributes & ~EFI_VARIABLE_APPEND_WRITE, at_runtime);
        if (efi_error(status))
                return status;
        *ret_maximum = VARIABLES_MAX_BYTES;
        *ret_remaining = VARIABLES_MAX_BYTES - v->set_bytes;
        *ret_largest = VARIABLE_MAX_BYTES;
        return EFI_SUCCESS;
}

int fw_variables_setup(struct firmware *fw, struct error *error)
{
        if (variables_new(fw->setup.variables, fw->setup.n_variables, &fw->variables) < 0)
                return error_set(error, ENOMEM, "out of memory for EFI variables");
        return 0;
}

void fw_variables_free(struct firmware *fw)
{
        variables_free(fw->variables);
        fw->variables = NULL;
}

int firmware_variables(const struct firmware *fw, const struct fw_variable **ret, size_t *n)
{
        *ret = fw->variables->set;
        *n = fw->variables->n_set;
        return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TCG event logs as YAML with the members of `tpm2_eventlog --eventlog-version=2`, which programs
 * read. Unlike that tool's it is valid for any log: text is always quoted and escaped, SHA-1 logs
 * are lists too, and a body that isn't what its type promises is hexadecimal with "MalformedBody".
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/efi-signature-list.h"
#include "eventlog/body-parts.h"
#include "eventlog/show.h"
#include "eventlog/uefi-event.h"

static void put_text(struct show_yaml *w, const char *name, struct span text,
                enum text_encoding encoding)
{
        buf_format(w->out, "%s: \"", name);
        escape_text(text, encoding, ESCAPE_YAML, w->out);
        buf_format(w->out, "\"\n");
}

/* Text of boot loaders, as version 5.4 has it: its lines in quotes, and some characters escaped,
 * are themselves the value. (Later versions give the text.) A value can't be mistaken for another.
 */
static void put_lines(struct show_yaml *w, const char *name, struct span text)
{
        static const char from[] = "\0\a\b\t\v\f\r\033'\\", to[] = "0abtvfre'\\";
        size_t plain = 0; /* what needs no such escape starts here */

        buf_format(w->out, "%s: \"\\\"", name);
        for (size_t i = 0; i <= text.size; i++) {
                bool end = i == text.size || (i + 1 == text.size && text.data[i] == '\n');
                const char *special = end || text.data[i] == '\n'
                                                      ? NULL
                                                      : memchr(from, text.data[i], sizeof(to) - 1);

                if (!end && !special && text.data[i] != '\n')
                        continue;
                escape_text(SPAN(text.data + plain, i - plain), TEXT_UTF8, ESCAPE_YAML, w->out);
                plain = i + 1;
                if (end)
                        break;
                if (special)
                        buf_format(w->out, "\\\\%s%c", to[special - from] == '\\' ? "\\" : "",
                                        to[special - from]);
                else
                        buf_format(w->out, "\\\"\\n\\\"");
        }
        buf_format(w->out, "\\\"\"\n");
}

static void put_hex(struct show_yaml *w, const char *name, struct span bytes)
{
        size_t before;

        buf_format(w->out, "%s: \"", name);
        before = w->out->size;
        buf_put_zeros(w->out, 2 * bytes.size + 1);
        if (!buf_failed(w->out)) {
                hex_encode(bytes, (char *)w->out->data + before);
                w->out->size--;
        }
        buf_format(w->out, "\"\n");
}

static void put_guid(struct show_yaml *w, const char *name, const EFI_GUID *guid)
{
        char text[GUID_TEXT_SIZE];

        guid_to_text(guid, text);
        buf_format(w->out, "%s: %s\n", name, text);
}

#define LLU(number) ((unsigned long long)(number))

/* ---- bodies; each says false, and has written nothing, if the data isn't what it should be ----
 */

static bool put_blob(struct show_yaml *w, const struct tcg_event *event)
{
        struct firmware_blob blob;

        if (!firmware_blob_read(event->data, &blob))
                return false;
        buf_format(w->out, "  Event:\n    BlobBase: 0x%llx\n    BlobLength: 0x%llx\n",
                        LLU(blob.base), LLU(blob.length));
        return true;
}

static bool put_blob2(struct show_yaml *w, const struct tcg_event *event)
{
        struct firmware_blob blob;

        if (!firmware_blob2_read(event->data, &blob))
                return false;
        buf_format(w->out, "  Event:\n    BlobDescriptionSize: %zu\n", blob.description.size);
        put_hex(w, "    BlobDescription", blob.description);
        buf_format(w->out, "    BlobBase: 0x%llx\n    BlobLength: 0x%llx\n", LLU(blob.base),
                        LLU(blob.length));
        return true;
}

static bool put_string(struct show_yaml *w, const struct tcg_event *event)
{
        put_text(w, "  Event", utf8_until_nul(event->data), TEXT_UTF8);
        return true;
}

/* Either form is in use. */
static bool put_post_code(struct show_yaml *w, const struct tcg_event *event)
{
        return put_blob(w, event) || put_string(w, event);
}

static bool put_ipl(struct show_yaml *w, const struct tcg_event *event)
{
        buf_format(w->out, "  Event:\n");
        put_lines(w, "    String", event->data);
        return true;
}

static bool put_image_load(struct show_yaml *w, const struct tcg_event *event)
{
        struct image_load image;

        if (!image_load_read(event->data, &image))
                return false;
        buf_format(w->out,
                        "  Event:\n    ImageLocationInMemory: 0x%llx\n    ImageLengthInMemory: "
                        "%llu\n"
                        "    ImageLinkTimeAddress: 0x%llx\n    LengthOfDevicePath: %llu\n",
                        LLU(image.location), LLU(image.length), LLU(image.link_address),
                        LLU(image.path_bytes));
        put_hex(w, "    DevicePath", image.path);
        return true;
}

static void put_partitions(struct show_yaml *w, const struct gpt *gpt)
{
        struct gpt_partition p;

        buf_format(w->out, "    NumberOfPartitions: %llu\n    Partitions:\n",
                        LLU(gpt->n_partitions));
        for (uint64_t i = 0; gpt_partition_read(gpt, i, &p); i++) {
                put_guid(w, "    - PartitionTypeGUID", &p.type);
                put_guid(w, "      UniquePartitionGUID", &p.guid);
                buf_format(w->out,
                                "      StartingLBA: 0x%llx\n      EndingLBA: 0x%llx\n"
                                "      Attributes: 0x%llx\n",
                                LLU(p.first_lba), LLU(p.last_lba), LLU(p.attributes));
                put_text(w, "      PartitionName", utf16_until_nul(p.name), TEXT_UTF16);
        }
}

static bool put_gpt(struct show_yaml *w, const struct tcg_event *event)
{
        struct gpt gpt;

        if (gpt_read(event->data, &gpt, NULL) < 0)
                return false;
        buf_format(w->out, "  Event:\n    Header:\n");
        put_text(w, "      Signature", gpt.signature, TEXT_UTF8);
        buf_format(w->out,
                        "      Revision: 0x%x\n      HeaderSize: %u\n      HeaderCRC32: 0x%x\n"
                        "      MyLBA: 0x%llx\n      AlternateLBA: 0x%llx\n      FirstUsableLBA: "
                        "0x%llx\n"
                        "      LastUsableLBA: 0x%llx\n",
                        gpt.revision, gpt.header_bytes, gpt.header_crc, LLU(gpt.my_lba),
                        LLU(gpt.alternate_lba), LLU(gpt.first_lba), LLU(gpt.last_lba));
        put_guid(w, "      DiskGUID", &gpt.disk);
        buf_format(w->out,
                        "      PartitionEntryLBA: 0x%llx\n      NumberOfPartitionEntry: %u\n"
                        "      SizeOfPartitionEntry: %u\n      PartitionEntryArrayCRC32: 0x%x\n",
                        LLU(gpt.entries_lba), gpt.n_entries, gpt.entry_bytes, gpt.entries_crc);
        put_partitions(w, &gpt);
        return true;
}

static bool put_no_action(struct show_yaml *w, const struct tcg_event *event)
{
        if (event->data.size < 17 || memcmp(event->data.data, "StartupLocality", 16) != 0)
                return false;
        buf_format(w->out, "  Event:\n    StartupLocality: %u\n", event->data.data[16]);
        return true;
}

/* ---- variables ---- */

static void put_bool(struct show_yaml *w, struct span data)
{
        buf_format(w->out, "    VariableData:\n      Enabled: '%s'\n",
                        data.size > 0 && data.data[0] ? "Yes" : "No");
}

static bool is_bool(struct span data)
{
        return data.size <= 1;
}

static bool are_lists(struct span data)
{
        struct cursor c = CURSOR(data);
        struct efi_signature_list list;

        while (cursor_left(&c) > 0)
                if (efi_signature_list_take(&c, &list, NULL) < 0)
                        return false;
        return true;
}

static void put_entry(struct show_yaml *w, const char *indent, struct span entry)
{
        char name[32];
        EFI_GUID owner;

        memcpy(&owner, entry.data, sizeof(owner));
        snprintf(name, sizeof(name), "%s- SignatureOwner", indent);
        put_guid(w, name, &owner);
        snprintf(name, sizeof(name), "%s  SignatureData", indent);
        put_hex(w, name,
                        SPAN(entry.data + EFI_SIGNATURE_OWNER_BYTES,
                                        entry.size - EFI_SIGNATURE_OWNER_BYTES));
}

static void put_lists(struct show_yaml *w, struct span data)
{
        struct cursor c = CURSOR(data);
        struct efi_signature_list list;

        buf_format(w->out, "    VariableData:\n");
        while (cursor_left(&c) > 0 && efi_signature_list_take(&c, &list, NULL) == 0) {
                struct cursor entries = CURSOR(list.entries);
                struct span entry;

                put_guid(w, "    - SignatureType", &list.type);
                buf_format(w->out,
                                "      SignatureListSize: %u\n      SignatureHeaderSize: %u\n"
                                "      SignatureSize: %u\n      Keys:\n",
                                list.list_bytes, list.header_bytes, list.entry_bytes);
                while (cursor_take(&entries, list.entry_bytes, &entry))
                        put_entry(w, "      ", entry);
        }
}

static bool is_signature(struct span data)
{
        return data.size > EFI_SIGNATURE_OWNER_BYTES;
}

static void put_signature(struct show_yaml *w, struct span data)
{
        buf_format(w->out, "    VariableData:\n");
        put_entry(w, "    ", data);
}

static bool is_any(struct span data)
{
        return true;
}

static void put_sbat(struct show_yaml *w, struct span data)
{
        buf_format(w->out, "    VariableData:\n");
        put_lines(w, "      String", data);
}

static bool is_order(struct span data)
{
        return data.size % 2 == 0;
}

static void put_order(struct show_yaml *w, struct span data)
{
        struct cursor c = CURSOR(data);
        uint16_t number;

        buf_format(w->out, "    VariableData:\n");
        while (cursor_u16(&c, &number))
                buf_format(w->out, "    - Boot%04x\n", number);
}

static bool is_option(struct span data)
{
        struct load_option option;

        return load_option_read(data, &option);
}

/* DevicePath is all that follows the description there, optional data too. */
static void put_option(struct show_yaml *w, struct span data)
{
        struct load_option option;

        if (!load_option_read(data, &option))
                return;
        buf_format(w->out,
                        "    VariableData:\n      Enabled: '%s'\n      FilePathListLength: %zu\n",
                        option.attributes & 1 ? "Yes" : "No", option.paths.size);
        put_text(w, "      Description", option.description, TEXT_UTF16);
        put_hex(w, "      DevicePath",
                        SPAN(option.paths.data, option.paths.size + option.optional_data.size));
}

static void put_data(struct show_yaml *w, struct span data)
{
        if (data.size > 0)
                put_hex(w, "    VariableData", data);
}

/* What tpm2_eventlog decodes, by type of event; the rest is hexadecimal. */
static const struct form {
        uint32_t type;
        const char *name; /* NULL: load options */
        bool (*fits)(struct span data);
        void (*put)(struct show_yaml *w, struct span data);
} forms[] = {
                {EV_EFI_VARIABLE_DRIVER_CONFIG, "PK", are_lists, put_lists},
                {EV_EFI_VARIABLE_DRIVER_CONFIG, "KEK", are_lists, put_lists},
                {EV_EFI_VARIABLE_DRIVER_CONFIG, "db", are_lists, put_lists},
                {EV_EFI_VARIABLE_DRIVER_CONFIG, "dbx", are_lists, put_lists},
                {EV_EFI_VARIABLE_DRIVER_CONFIG, "SecureBoot", is_bool, put_bool},
                {EV_EFI_VARIABLE_AUTHORITY, "MokListTrusted", is_bool, put_bool},
                {EV_EFI_VARIABLE_AUTHORITY, "db", is_signature, put_signature},
                {EV_EFI_VARIABLE_AUTHORITY, "Shim", is_signature, put_signature},
                {EV_EFI_VARIABLE_AUTHORITY, "SbatLevel", is_any, put_sbat},
                {EV_EFI_VARIABLE_BOOT, "BootOrder", is_order, put_order},
                {EV_EFI_VARIABLE_BOOT, NULL, is_option, put_option},
                {EV_EFI_VARIABLE_BOOT2, "BootOrder", is_order, put_order},
                {EV_EFI_VARIABLE_BOOT2, NULL, is_option, put_option},
};

static bool form_is_of(const struct form *form, const struct uefi_variable *v, uint32_t type)
{
        return form->type == type &&
               (form->name ? uefi_variable_is(v, form->name)
                           : uefi_variable_value(v, type) == VALUE_LOAD_OPTION);
}

static bool put_variable(struct show_yaml *w, const struct tcg_event *event)
{
        static const struct form hex = {0, NULL, is_any, put_data};
        const struct form *form = &hex;
        struct uefi_variable v = {0};

        /* Old shims wrote garbage behind the data (rhboot/shim issue 184); it is left out. */
        if (uefi_variable_read(event->data, &v, NULL) < 0 && v.excess.size == 0)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
                if (form_is_of(&forms[i], &v, event->type))
                        form = &forms[i];
        if (!form->fits(v.data))
                return false;
        buf_format(w->out, "  Event:\n");
        put_guid(w, "    VariableName", &v.guid);
        buf_format(w->out, "    UnicodeNameLength: %llu\n    VariableDataLength: %llu\n",
                        LLU(v.name_units), LLU(v.data_bytes));
        put_text(w, "    UnicodeName", utf16_until_nul(v.name), TEXT_UTF16);
        form->put(w, v.data);
        return true;
}

/* ---- events ---- */

/* Types without a row, and no-action events of another kind, are hexadecimal. */
static const struct {
        uint32_t type;
        bool (*put)(struct show_yaml *w, const struct tcg_event *event);
} bodies[] = {
                {EV_EFI_VARIABLE_DRIVER_CONFIG, put_variable},
                {EV_EFI_VARIABLE_BOOT, put_variable},
                {EV_EFI_VARIABLE_BOOT2, put_variable},
                {EV_EFI_VARIABLE_AUTHORITY, put_variable},
                {EV_POST_CODE, put_post_code},
                {EV_S_CRTM_CONTENTS, put_blob},
                {EV_EFI_PLATFORM_FIRMWARE_BLOB, put_blob},
                {EV_EFI_PLATFORM_FIRMWARE_BLOB2, put_blob2},
                {EV_EFI_ACTION, put_string},
                {EV_IPL, put_ipl},
                {EV_EFI_BOOT_SERVICES_APPLICATION, put_image_load},
                {EV_EFI_BOOT_SERVICES_DRIVER, put_image_load},
                {EV_EFI_RUNTIME_SERVICES_DRIVER, put_image_load},
                {EV_EFI_GPT_EVENT, put_gpt},
                {EV_NO_ACTION, put_no_action},
};

static void ignore(void *context, const struct body_field *field)
{
        (void)context, (void)field;
}

static void put_body(struct show_yaml *w, const struct tcg_event *event)
{
        static const struct body_sink nobody = {.put = ignore};
        struct error reason;

        buf_format(w->out, "  EventSize: %zu\n", event->data.size);
        if (event->data.size == 0)
                return;
        for (size_t i = 0; i < ARRAY_SIZE(bodies); i++)
                if (bodies[i].type == event->type && bodies[i].put(w, event))
                        return;
        put_hex(w, "  Event", event->data);
        if (event_body(event, &nobody, &reason) < 0)
                put_text(w, "  MalformedBody", SPAN(reason.text, strlen(reason.text)), TEXT_UTF8);
}

static void put_head(struct show_yaml *w, const struct tcg_event *event)
{
        const char *type = event_type_name(event->type);

        buf_format(w->out, "- EventNum: %zu\n  PCRIndex: %d\n  EventType: %s\n", event->index,
                        (int)event->pcr, type ? type : "Unknown event type");
}

static void put_digests(struct show_yaml *w, const struct tcg_event *event)
{
        buf_format(w->out, "  DigestCount: %zu\n  Digests:\n", event->digests.n);
        for (size_t i = 0; i < event->digests.n; i++) {
                const struct digest *d = &event->digests.d[i];

                buf_format(w->out, "  - AlgorithmId: %s\n", d->alg->name);
                put_hex(w, "    Digest", SPAN(d->bytes, d->alg->size));
        }
}

/* The record of a header is that of a SHA-1 log: PCR, type, 20 bytes of digest, size, data. */
static void put_header(struct show_yaml *w, const struct tcg_event *event)
{
        struct span digest = {0};
        struct spec_id id;
        struct cursor c;
        uint16_t alg, size;

        (void)span_sub(w->log->bytes, event->offset + 8, 20, &digest);
        put_hex(w, "  Digest", digest);
        buf_format(w->out, "  EventSize: %zu\n", event->data.size);
        if (!spec_id_read(event->data, &id)) {
                put_hex(w, "  Event", event->data);
                return;
        }
        buf_format(w->out, "  SpecID:\n");
        put_text(w, "  - Signature", utf8_until_nul(id.signature), TEXT_UTF8);
        buf_format(w->out,
                        "    platformClass: %u\n    specVersionMinor: %u\n    specVersionMajor: "
                        "%u\n"
                        "    specErrata: %u\n    uintnSize: %u\n    numberOfAlgorithms: %u\n"
                        "    Algorithms:\n",
                        id.platform_class, id.minor, id.major, id.errata, id.uintn_size,
                        id.n_algorithms);
        c = CURSOR(id.algorithms);
        for (size_t i = 0; cursor_u16(&c, &alg) && cursor_u16(&c, &size); i++) {
                buf_format(w->out, "    - Algorithm[%zu]:\n", i);
                if (alg_by_id(alg))
                        buf_format(w->out, "      algorithmId: %s\n", alg_by_id(alg)->name);
                else
                        buf_format(w->out, "      algorithmId: 0x%04x\n", alg);
                buf_format(w->out, "      digestSize: %u\n", size);
        }
        buf_format(w->out, "    vendorInfoSize: %zu\n", id.vendor_info.size);
        if (id.vendor_info.size > 0)
                put_hex(w, "    vendorInfo", id.vendor_info);
}

/* ---- the document ---- */

void show_yaml_begin(struct show_yaml *w, const struct event_log *log, struct buf *out)
{
        *w = (struct show_yaml){.out = out, .log = log};
        buf_format(w->out, "---\nversion: 2\nevents:\n");
}

void show_yaml_event(struct show_yaml *w, const struct tcg_event *event)
{
        put_head(w, event);
        if (w->log->agile && event->index == 0) {
                put_header(w, event);
                return;
        }
        put_digests(w, event);
        put_body(w, event);
}

/* Banks in the order of the table of algorithms, as there. */
static void put_pcrs(struct show_yaml *w, const struct replay *values, size_t bank, uint32_t pcrs)
{
        const struct alg *alg = values->banks.alg[bank];

        if (!(values->measured[bank] & pcrs))
                return;
        buf_format(w->out, "  %s:\n", alg->name);
        for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++) {
                char hex[2 * DIGEST_MAX_BYTES + 1];

                if (!(values->measured[bank] & pcrs & 1u << pcr))
                        continue;
                hex_encode(SPAN(values->pcr[bank][pcr].bytes, alg->size), hex);
                buf_format(w->out, "    %-2u : 0x%s\n", pcr, hex);
        }
}

void show_yaml_end(
                struct show_yaml *w, const struct replay *values, uint32_t pcrs, const char *reason)
{
        buf_format(w->out, "pcrs:\n");
        for (size_t i = 0; alg_by_index(i); i++)
                for (size_t b = 0; b < values->banks.n; b++)
                        if (values->banks.alg[b] == alg_by_index(i))
                                put_pcrs(w, values, b, pcrs);
        if (reason[0] != '\0')
                put_text(w, "Malformed", SPAN(reason, strlen(reason)), TEXT_UTF8);
}

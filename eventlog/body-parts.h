/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What body.c and its body-*.c share: the calls that report fields, and what is known by name. */
#pragma once

#include "base/guid.h"
#include "eventlog/body.h"
#include "eventlog/escape.h"

/* The name of a tagged event's id, and of a section of a UKI; NULL if unknown. */
const char *tag_name(uint32_t id);
bool is_uki_section(struct span name);

/* Up to the first NUL, where a field has a fixed size. */
struct span utf8_until_nul(struct span text);
struct span utf16_until_nul(struct span text);

/* Text as people would call it, without the NULs at its end, and how it is encoded. */
bool text_recognize(struct span data, struct span *ret, enum text_encoding *encoding);

/* ---- reporting ---- */

void body_open(const struct body_sink *sink, enum body_kind kind, const char *name);
void body_close(const struct body_sink *sink);
void body_number(const struct body_sink *sink, const char *name, uint64_t number);
void body_address(const struct body_sink *sink, const char *name, uint64_t number);
void body_bool(const struct body_sink *sink, const char *name, bool value);
void body_word(const struct body_sink *sink, const char *name, const char *word);
void body_bytes(const struct body_sink *sink, const char *name, struct span bytes);
void body_text(const struct body_sink *sink, const char *name, enum text_encoding encoding,
                struct span text);
/* Two fields: the GUID, and name_of with its name where it has one. */
void body_guid(const struct body_sink *sink, const char *name, const char *name_of,
                const EFI_GUID *guid);
/* "device_path" as text; -EBADMSG and "device_path_data" if it isn't well-formed. */
int body_device_path(const struct body_sink *sink, struct span path, struct error *reason);

/* ---- by type, called by body.c ---- */

int body_variable(
                const struct tcg_event *event, const struct body_sink *sink, struct error *reason);
int body_image_load(
                const struct tcg_event *event, const struct body_sink *sink, struct error *reason);
int body_gpt(const struct tcg_event *event, const struct body_sink *sink, struct error *reason);
int body_blob(const struct tcg_event *event, const struct body_sink *sink, struct error *reason);
int body_blob2(const struct tcg_event *event, const struct body_sink *sink, struct error *reason);
int body_handoff(const struct tcg_event *event, const struct body_sink *sink, struct error *reason);
int body_handoff2(
                const struct tcg_event *event, const struct body_sink *sink, struct error *reason);
int body_no_action(
                const struct tcg_event *event, const struct body_sink *sink, struct error *reason);
int body_spdm(const struct tcg_event *event, const struct body_sink *sink, struct error *reason);
/* Of no-action events whose signature body-firmware.c knows; "kind" was reported. */
int body_nv_instance(const struct body_sink *sink, struct span data, struct error *reason);
int body_nv_dynamic(const struct body_sink *sink, struct span data, struct error *reason);
int body_tagged(const struct tcg_event *event, const struct body_sink *sink, struct error *reason);
/* Text where it is text, else nothing but its kind. */
int body_plain(const struct tcg_event *event, const struct body_sink *sink, struct error *reason);

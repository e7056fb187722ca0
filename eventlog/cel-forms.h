/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What cel.c, the readers of the two forms and cel-write.c share. */
#pragma once

#include "eventlog/cel.h"

/* Subtypes of contents in the TLV form. */
enum {
        CEL_TLV_RECNUM = 0,
        CEL_TLV_PCR = 1,
        CEL_TLV_NV_INDEX = 2,
        CEL_TLV_DIGESTS = 3,
        CEL_TLV_REGISTER = 108, /* Google's: in place of the PCR */

        CEL_TLV_EVENT_TYPE = 0,
        CEL_TLV_EVENT_DATA = 1,

        CEL_TLV_TEMPLATE_NAME = 0,
        CEL_TLV_TEMPLATE_DATA = 1,

        CEL_TLV_MAJOR = 0,
        CEL_TLV_MINOR = 1,

        /* libcel's, and ours for event types that it has no number for */
        CEL_TLV_SYSTEMD_TYPE = 0,
        CEL_TLV_SYSTEMD_TIMESTAMP = 1,
        CEL_TLV_SYSTEMD_BOOT_ID = 2,
        CEL_TLV_SYSTEMD_STRING = 3,
        CEL_TLV_SYSTEMD_TYPE_NAME = 4,
};

/* The record at log->offset, which then stands behind it. -EBADMSG, without where; -ENOMEM. */
int cel_json_take(struct cel_log *log, struct buf *scratch, struct cel_record *ret,
                struct error *error);
int cel_tlv_take(struct cel_log *log, struct cel_record *ret, struct error *error);

/* Names in lower case; false if there is none. */
bool cel_content_by_name(const char *name, unsigned *ret);
bool cel_management_by_name(const char *name, enum cel_management_type *ret);
bool cel_transition_by_name(const char *name, uint64_t *ret);
/* 80 and 81; some write them as hexadecimal digits. */
bool cel_management_by_number(uint64_t number, enum cel_management_type *ret);

/* systemd's event types in the TLV form, as libcel numbers them; NULL, false: none. */
const char *cel_systemd_type_name(uint64_t number);
bool cel_systemd_type_number(struct span name, uint64_t *ret);

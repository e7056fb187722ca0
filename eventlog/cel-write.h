/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The writer of Canonical Event Logs, record by record. JSON is systemd-pcrlock's: names as there,
 * hex in lower case; what stands between records is the caller's. In the TLV form record numbers
 * take 8 bytes, PCRs 1 and event types 4, as Google's reader wants them; the other readers take any
 * width. */
#pragma once

#include "base/buf.h"
#include "eventlog/cel.h"

/* Appends an object. A failed allocation sticks in out. */
void cel_put_json(struct buf *out, const struct cel_record *record);

/* Not for content that is JSON and nothing else: cel_put_tlv then is -EOPNOTSUPP, and nothing is
 * written. */
bool cel_has_tlv(const struct cel_record *record);
int cel_put_tlv(struct buf *out, const struct cel_record *record);

/* As systemd writes it to tpm2-measure.log (RFC 7464). -EOPNOTSUPP: it isn't systemd's. */
int cel_put_systemd(struct buf *out, const struct cel_record *record);

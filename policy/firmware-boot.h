/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What PCR 4, 9, 11, 12 and 13 read when firmware itself starts a payload: the payload's own
 * measurements, as a run of it recorded them, behind what firmware measures into PCR 4 before it
 * starts anything (PFP 1.06, 3.3.4.5). `predict --firmware` prints it, verifiers take it as a
 * reference for the first boot. Pure. */
#pragma once

#include "base/error.h"
#include "policy/predict.h"

#define FIRMWARE_EVENTS_MAX 8

enum firmware_event {
        FIRMWARE_ACTION,    /* "Calling EFI Application from Boot Option" */
        FIRMWARE_SEPARATOR, /* the four zeros that end the pre-boot */
};

struct firmware_events {
        enum firmware_event event[FIRMWARE_EVENTS_MAX];
        size_t n;
};

/* "action,separator", as edk2 does (NULL stands for it); "separator"; "none". -EINVAL. */
int firmware_events_parse(const char *text, struct firmware_events *ret, struct error *error);

struct firmware_boot {
        struct plan_event *events; /* kind PLAN_PAYLOAD, or PLAN_OPEN for firmware's own; the data
                                      is the plan's, or constant */
        size_t n_events;
        struct replay pcrs;
};
void firmware_boot_release(struct firmware_boot *boot);

/* From a plan of the payload, whose banks and events it takes. -ENOMEM, -EIO. */
int firmware_boot_make(const struct plan *plan, const struct firmware_events *before,
                struct firmware_boot *ret);

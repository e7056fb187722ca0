/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What firmware logs of devices that it asked over SPDM (DMTF DSP0274): DEVICE_SECURITY_EVENT_DATA
 * and -DATA2 of PFP 1.06. One reader for everybody who shows them. No allocation; spans point
 * into the log. */
#pragma once

#include "base/error.h"
#include "base/span.h"

enum spdm_device { SPDM_DEVICE_NULL, SPDM_DEVICE_PCI, SPDM_DEVICE_USB };
enum spdm_sub { SPDM_SUB_MEASUREMENTS, SPDM_SUB_CERTIFICATES }; /* others are a maker's own */

struct spdm_event {
        bool second;           /* DATA2: with the fields that stand in parentheses here */
        uint16_t version;      /* of the structure */
        uint8_t auth_state;    /* (spdm_auth_state_word) */
        uint32_t device_type;  /* enum spdm_device */
        uint32_t sub_type;     /* (enum spdm_sub) */
        uint64_t uid;          /* (binds two events together) */
        struct span path;      /* (a device path) */
        uint16_t spdm_version; /* (as the device says it) */
        uint8_t slot;          /* (of certificates) */
        uint32_t hash_algo;    /* as SPDM has it: of measurements, or of the certificates */
        struct span sub;       /* measurement blocks, certificates, or what else there is */
        struct span context;   /* of the device, by its type */
};
/* -EBADMSG: cut off (ret is as far as that goes), or another signature. */
int spdm_event_read(struct span bytes, struct spdm_event *ret, struct error *error);
const char *spdm_auth_state_word(uint8_t auth_state);       /* NULL: unknown */
const char *spdm_measurement_hash_name(uint32_t hash_algo); /* "sha256"; NULL: unknown, several */

/* SPDM_MEASUREMENT_BLOCK, DSP0274 */
struct spdm_measurement {
        uint8_t index, specification;
        bool dmtf;    /* value has the form that DMTF specifies: with the two below */
        uint8_t type; /* 0 ROM, 1 firmware, 2 hardware's and 3 firmware's configuration ... */
        bool raw;     /* value is the data itself, no digest of it */
        struct span value;
};
/* The block at the cursor: 1; 0 at the end; -EBADMSG: cut off. */
int spdm_measurement_next(struct cursor *c, struct spdm_measurement *ret);

struct spdm_pci {
        uint16_t version, vendor, device, subsystem_vendor, subsystem;
        uint8_t revision;
        uint32_t class_code;
};
bool spdm_pci_read(struct span context, struct spdm_pci *ret);

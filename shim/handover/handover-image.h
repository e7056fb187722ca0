/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What handover.c and handover-image.c share: the log area's header. */
#pragma once

/* struct linux_efi_tpm_eventlog: u32 size, u32 final_events_preboot_size, u8 version, log */
#define HANDOVER_LOG_HEADER  9u
#define HANDOVER_LOG_VERSION 2u /* EFI_TCG2_EVENT_LOG_FORMAT_TCG_2 */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine on which test-conformance.c and test-phases.c run guests, in this process. */
#pragma once

#include "shim/firmware/firmware.h"

/* Small, with a hole, something below 1 MiB and something above 4 GiB. */
static const struct fw_memory_range memory[] = {
                {0x1000, 0x9f000, EfiConventionalMemory, EFI_MEMORY_WB, 0},
                {0x9f000, 0x100000, EfiReservedMemoryType, EFI_MEMORY_UC, 0},
                {0x100000, 0x8000000, EfiConventionalMemory, EFI_MEMORY_WB, 0},
                {0x8000000, 0x8010000, EfiRuntimeServicesData, EFI_MEMORY_WB, 0xfffffffeee000000},
                {0x100000000, 0x120000000, EfiConventionalMemory, EFI_MEMORY_WB, 0},
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TPML_PCR_SELECTION (TPM 2.0 Part 2, section 10.9.7) from and to masks of PCRs. */
#pragma once

#include <tss2/tss2_tpm2_types.h>

#include "base/alg.h"

/* The PCRs of mask in all banks. */
void pcr_selection(const struct banks *banks, uint32_t mask, TPML_PCR_SELECTION *ret);
/* Those of mask in one bank more. */
void pcr_selection_add(TPML_PCR_SELECTION *selection, const struct alg *alg, uint32_t mask);
uint32_t pcr_selection_mask(const TPMS_PCR_SELECTION *bank);

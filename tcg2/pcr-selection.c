/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/pcr-selection.h"

#define SELECT_BYTES 3 /* PC Client Platform TPM Profile 4.6: PCR 0-23 */

void pcr_selection_add(TPML_PCR_SELECTION *selection, const struct alg *alg, uint32_t mask)
{
        TPMS_PCR_SELECTION *bank = &selection->pcrSelections[selection->count++];

        bank->hash = alg->id;
        bank->sizeofSelect = SELECT_BYTES;
        for (unsigned i = 0; i < SELECT_BYTES; i++)
                bank->pcrSelect[i] = (uint8_t)(mask >> (8 * i));
}

void pcr_selection(const struct banks *banks, uint32_t mask, TPML_PCR_SELECTION *ret)
{
        *ret = (TPML_PCR_SELECTION){0};
        for (size_t b = 0; b < banks->n; b++)
                pcr_selection_add(ret, banks->alg[b], mask);
}

uint32_t pcr_selection_mask(const TPMS_PCR_SELECTION *bank)
{
        uint32_t mask = 0;

        for (unsigned i = 0; i < bank->sizeofSelect && i < SELECT_BYTES; i++)
                mask |= (uint32_t)bank->pcrSelect[i] << (8 * i);
        return mask;
}

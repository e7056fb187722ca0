/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/nv-index.h"

#include <errno.h>

#include "base/alg.h"
#include "base/buf.h"

int nv_index_name(const struct nv_index *index, uint8_t ret[NV_NAME_BYTES])
{
        _cleanup_buf_ struct buf b = {0};

        buf_put_be32(&b, index->handle);
        buf_put_be16(&b, TPM_ALG_SHA256);
        buf_put_be32(&b, index->attributes);
        buf_put_be16(&b, sizeof(index->policy));
        buf_put(&b, index->policy, sizeof(index->policy));
        buf_put_be16(&b, index->size);
        if (buf_failed(&b))
                return -ENOMEM;
        ret[0] = TPM_ALG_SHA256 >> 8;
        ret[1] = TPM_ALG_SHA256 & 0xff;
        return hash_sha256(buf_span(&b), ret + 2);
}

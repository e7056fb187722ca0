/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/log-chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "eventlog/convert.h"
#include "shim/progress.h"

/* This machine's come with the number of their boot, files in the order of boots. */
static int put_systemd(
                struct log_chain *c, const struct log_source *source, size_t i, struct error *error)
{
        size_t place = source->boot > 0 ? source->boot - 1 : c->chain.n_systemd;

        if (place >= CHAIN_BOOTS_MAX)
                return error_set(error, EPROTO, "%s: more than %d logs of systemd", source->name,
                                CHAIN_BOOTS_MAX);
        c->chain.systemd[place] = source->bytes;
        c->systemd[place] = i;
        if (place >= c->chain.n_systemd)
                c->chain.n_systemd = place + 1;
        c->of_files |= source->boot == 0;
        c->lacking |= log_source_lacks(source) != NULL;
        return 0;
}

static int put_one(struct span *where, size_t *index, const struct log_source *source, size_t i,
                struct error *error)
{
        if (where->data)
                return error_set(error, EPROTO, "%s: a second %s", source->name,
                                log_kind_name(source->kind));
        if (source->bytes.size == 0)
                return error_set(error, EBADMSG, "%s is empty", source->name);
        *where = source->bytes;
        *index = i;
        return 0;
}

static int put(struct log_chain *c, const struct log_source *source, size_t i, struct error *error)
{
        switch (source->kind) {
        case LOG_UNKNOWN: /* the reader says what is wrong with it */
        case LOG_TCG:
        case LOG_CC:
                return put_one(&c->chain.firmware, &c->firmware, source, i, error);
        case LOG_IMA:
                return put_one(&c->chain.ima, &c->ima, source, i, error);
        case LOG_SYSTEMD:
                return put_systemd(c, source, i, error);
        case LOG_CEL_JSON:
        case LOG_CEL_TLV:
                break;
        }
        return error_set(error, EPROTO, "%s: a %s can't be replayed", source->name,
                        log_kind_name(source->kind));
}

/* Files of the first boots may be lost; the last is that of the last boot. */
static void align(struct log_chain *c)
{
        struct chain *chain = &c->chain;
        size_t boots = c->of_files ? chain_boots(chain->firmware) : 0, missing;

        if (boots <= chain->n_systemd || boots > CHAIN_BOOTS_MAX)
                return;
        missing = boots - chain->n_systemd;
        memmove(chain->systemd + missing, chain->systemd,
                        chain->n_systemd * sizeof(chain->systemd[0]));
        memmove(c->systemd + missing, c->systemd, chain->n_systemd * sizeof(c->systemd[0]));
        memset(chain->systemd, 0, missing * sizeof(chain->systemd[0]));
        chain->n_systemd = boots;
}

int log_chain_make(const struct log_sources *sources, struct log_chain *ret, struct error *error)
{
        *ret = (struct log_chain){0};
        for (size_t i = 0; i < sources->n; i++) {
                int r = put(ret, &sources->source[i], i, error);

                if (r < 0)
                        return r;
        }
        align(ret);
        return 0;
}

size_t log_chain_source(const struct log_chain *c, const struct chain_place *place)
{
        return place->part == CHAIN_FIRMWARE  ? c->firmware
               : place->part == CHAIN_SYSTEMD ? c->systemd[place->boot]
                                              : c->ima;
}

/* ---- Canonical Event Logs ---- */

static void put_part(struct log_sources *to, const struct log_source *whole, struct buf *bytes)
{
        struct log_source *part = &to->source[to->n++];

        *part = (struct log_source){.name = whole->name, .read = *bytes};
        *bytes = (struct buf){0};
        part->bytes = buf_span(&part->read);
        part->kind = log_kind_of(part->bytes);
}

static int put_parts(struct log_sources *to, const struct log_source *whole, struct error *error)
{
        _cleanup_convert_parts_ struct convert_parts parts = {0};
        int r = convert_cel_to_parts(whole->bytes, &parts, error);

        if (r < 0)
                return error_prefix(error, r, "%s", whole->name);
        if (parts.n_left_out > 0)
                progress_warn("%s: %zu records that are neither firmware's nor systemd's are left "
                              "out",
                                whole->name, parts.n_left_out);
        if (parts.firmware.size > 0)
                put_part(to, whole, &parts.firmware);
        for (size_t i = 0; i < parts.n_systemd; i++) {
                put_part(to, whole, &parts.systemd[i]);
                to->source[to->n - 1].kind = LOG_SYSTEMD;
        }
        return 0;
}

int log_chain_part_cel(struct log_sources *sources, struct error *error)
{
        _cleanup_log_sources_ struct log_sources parted = {0};
        int r = 0;

        parted.source = calloc(sources->n * (CHAIN_BOOTS_MAX + 1) + 1, sizeof(*parted.source));
        if (!parted.source)
                return error_set(error, ENOMEM, "out of memory");
        for (size_t i = 0; r == 0 && i < sources->n; i++) {
                struct log_source *source = &sources->source[i];

                if (source->kind == LOG_CEL_JSON || source->kind == LOG_CEL_TLV) {
                        r = put_parts(&parted, source, error);
                        continue;
                }
                parted.source[parted.n++] = *source;
                *source = (struct log_source){0};
        }
        if (r < 0)
                return r;
        log_sources_release(sources);
        *sources = parted;
        parted = (struct log_sources){0};
        return 0;
}

int log_chain_read(char *const *paths, size_t n_paths, struct log_sources *sources,
                struct log_chain *ret, struct error *error)
{
        int r = log_sources_read(paths, n_paths, sources, error);

        if (r == 0)
                r = log_chain_part_cel(sources, error);
        return r < 0 ? r : log_chain_make(sources, ret, error);
}

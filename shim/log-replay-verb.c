/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec log replay: the PCR values that logs tell, together. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "eventlog/hop-check.h"
#include "shim/json-values.h"
#include "shim/log-chain.h"
#include "shim/log-words.h"
#include "shim/options.h"
#include "shim/verb.h"

struct arguments {
        bool json, payload_view;
        uint32_t boot; /* 0: the last */
};

static int take_boot(void *to, char *value, struct error *error)
{
        struct arguments *a = to;
        char *end;
        unsigned long boot = *value >= '1' && *value <= '9' ? strtoul(value, &end, 10) : 0;

        if (boot == 0 || boot > UINT32_MAX || *end)
                return error_set(error, EINVAL, "--boot wants a number from 1, not '%s'", value);
        a->boot = (uint32_t)boot;
        return 0;
}

static const struct option_row rows[] = {
                {"json", NULL, "as JSON", OPTION_FLAG(struct arguments, json)},
                {"boot", "N", "at the end of boot N, before the kexec that ended it",
                                OPTION_TAKE(take_boot)},
                {"payload-view", NULL,
                                "what the payload of that boot (default: the last) measured, in "
                                "the PCRs that it named: what they read if firmware starts it",
                                OPTION_FLAG(struct arguments, payload_view)},
};

static const struct options options = {
                .verb = "log replay",
                .usage = "mkexec log replay [OPTIONS] [FILE...]",
                .about = "The PCR values that logs tell, replayed together: one TCG or CCEL log, "
                         "systemd's logs in the order of boots, an IMA list. Without FILE: this "
                         "machine's. '-': standard input.",
                .rows = rows,
                .n_rows = ARRAY_SIZE(rows),
};

/* ---- output ---- */

static void print_json(const struct replay *replay, bool cc, size_t boot, size_t boots)
{
        struct json_object *object = json_object_new_object(), *banks = json_object_new_object();

        for (size_t b = 0; b < replay->banks.n; b++) {
                struct json_object *bank = json_object_new_object();
                const struct alg *alg = replay->banks.alg[b];

                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++) {
                        char key[12];

                        if (!(replay->measured[b] & 1u << pcr))
                                continue;
                        snprintf(key, sizeof(key), "%u", pcr);
                        json_object_object_add(bank, key,
                                        hex_to_json(SPAN(replay->pcr[b][pcr].bytes, alg->size)));
                }
                json_object_object_add(banks, alg->name, bank);
        }
        json_object_object_add(object, "version", json_object_new_int(1));
        json_object_object_add(object, "pcrs", banks);
        json_object_object_add(object, "boot", json_object_new_int64((int64_t)boot));
        json_object_object_add(object, "boots", json_object_new_int64((int64_t)boots));
        json_object_object_add(object, "measurement_registers", json_object_new_boolean(cc));
        json_print(object);
}

/* As --pcrs takes it. */
static void print_text(const struct replay *replay, bool cc)
{
        if (cc)
                puts("# measurement registers: 0 is MRTD, n + 1 is RTMR n");
        for (size_t b = 0; b < replay->banks.n; b++)
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++) {
                        char hex[2 * DIGEST_MAX_BYTES + 1];

                        if (!(replay->measured[b] & 1u << pcr))
                                continue;
                        hex_encode(SPAN(replay->pcr[b][pcr].bytes, replay->banks.alg[b]->size),
                                        hex);
                        printf("%s %u %s\n", replay->banks.alg[b]->name, pcr, hex);
                }
}

/* ---- replay ---- */

/* Without a header all banks that have a place; only those that a record fills are printed. */
static struct banks banks_of(const struct chain *chain)
{
        struct event_log log;
        struct banks banks = {0};

        if (chain->firmware.size > 0 && event_log_open(&log, chain->firmware, NULL) == 0)
                return log.banks;
        for (size_t i = 0; i < 4; i++)
                banks_add(&banks, alg_by_index(i));
        return banks;
}

static bool is_cc(const struct chain *chain)
{
        struct event_log log;

        return event_log_open(&log, chain->firmware, NULL) == 0 && log.cc;
}

/* Boot n + 1 was started by hop n. */
static int payload_view(
                const struct chain *chain, size_t boot, struct replay *ret, struct error *error)
{
        if (boot == 1)
                return error_set(error, ENOENT,
                                "boot 1 was started by firmware: there is no payload view of it");
        return hop_payload_view(chain->firmware, (uint32_t)boot - 1, ret, error);
}

static int replay(const struct log_chain *logs, const struct arguments *a)
{
        const struct chain *chain = &logs->chain;
        size_t boots = chain_boots(chain->firmware);
        struct chain_visitor visitor = {.stop_at_hop = a->boot < boots ? a->boot : 0};
        struct chain_result result = {.n_boots = boots};
        struct banks banks = banks_of(chain);
        struct error error = {{0}};
        size_t boot = a->boot ?: boots;
        int r;

        if (boot > boots)
                return fail_text(EXIT_USAGE, "the logs tell of %zu boot%s: there is no boot %zu",
                                boots, boots == 1 ? "" : "s", boot);
        if (a->payload_view)
                r = payload_view(chain, boot, &result.replay, &error);
        else
                r = chain_walk(chain, &banks, NULL, &visitor, &result, &error);
        if (a->payload_view && r < 0)
                return fail(EXIT_USAGE, &error);
        if (a->json)
                print_json(&result.replay, is_cc(chain), boot, boots);
        else
                print_text(&result.replay, is_cc(chain));
        return r < 0 ? fail(EXIT_USAGE, &error) : EXIT_DONE;
}

int log_replay(int argc, char **argv)
{
        _cleanup_log_sources_ struct log_sources sources = {0};
        struct arguments a = {0};
        struct log_chain logs;
        struct error error = {{0}};
        int r = options_parse(&options, argc, argv, &a);

        if (r > 0)
                return r - 1;
        r = log_chain_read(argv + optind, (size_t)(argc - optind), &sources, &logs, &error);
        return r < 0 ? fail(EXIT_USAGE, &error) : replay(&logs, &a);
}

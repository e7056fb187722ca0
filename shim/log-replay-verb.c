/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec log replay: the PCR values that an event log tells. */
#include <stdio.h>

#include "eventlog/replay.h"
#include "shim/log-sources.h"
#include "shim/log-words.h"
#include "shim/plan-json.h"
#include "shim/verb.h"

enum { OPT_JSON = 256, OPT_HELP };

static const struct option log_options[] = {
                {"json", no_argument, NULL, OPT_JSON},
                {"help", no_argument, NULL, OPT_HELP},
                {NULL},
};

static void help(void)
{
        puts("mkexec log replay [--json] [FILE]\n\n"
             "The PCR values that the log tells. Without FILE: this boot's log, with what the\n"
             "boot before left of it in the initrd and with hops that were aborted. '-': standard\n"
             "input.");
}

static void print_replay_json(const struct replay *replay)
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
        json_print(object);
}

static void print_replay_text(const struct replay *replay)
{
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

static int replay(struct span log, bool json)
{
        struct replay values = {0};
        struct error error = {{0}};
        int r = replay_log(log, &values, &error);

        if (json)
                print_replay_json(&values);
        else
                print_replay_text(&values);
        return r < 0 ? fail(EXIT_USAGE, &error) : EXIT_DONE;
}

int log_replay(int argc, char **argv)
{
        struct log_source source = {0};
        bool json = false;
        struct error error = {{0}};
        int option, code;

        while ((option = getopt_long(argc, argv, "h", log_options, NULL)) >= 0)
                switch (option) {
                case OPT_JSON:
                        json = true;
                        break;
                case 'h':
                case OPT_HELP:
                        return help(), EXIT_DONE;
                default:
                        return usage_error("log");
                }
        if (argc - optind > 1)
                return usage_error("log");
        if (log_source_read(argv[optind], &source, &error) < 0)
                code = fail(EXIT_USAGE, &error);
        else
                code = replay(source.bytes, json);
        log_source_release(&source);
        return code;
}

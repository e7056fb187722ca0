/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec log check: an event log's structure, its hops and (with values) that it agrees with the
 * PCRs. */
#include <stdio.h>

#include "base/cleanup.h"
#include "eventlog/explain.h"
#include "eventlog/hop-check.h"
#include "shim/log-sources.h"
#include "shim/log-words.h"
#include "shim/pcr-values.h"
#include "shim/plan-json.h"
#include "shim/verb.h"

enum { OPT_JSON = 256, OPT_PCRS, OPT_HELP };

static const struct option log_options[] = {
                {"json", no_argument, NULL, OPT_JSON},
                {"pcrs", required_argument, NULL, OPT_PCRS},
                {"help", no_argument, NULL, OPT_HELP},
                {NULL},
};

static void help(void)
{
        puts("mkexec log check [--json] [--pcrs FILE] [FILE]\n\n"
             "Structure, mkexec's hops and their ledgers, and with --pcrs (lines 'bank pcr hex')\n"
             "whether the log explains these values. Without FILE: this boot's log, with what the\n"
             "boot before left of it in the initrd and with hops that were aborted. '-': standard\n"
             "input. Exit code: 0 ok, 1 mismatch, 2 malformed.");
}

static const char *explain(const struct tcg_event *event, struct hasher *hasher)
{
        _cleanup_buf_ struct buf preimage = {0};

        if (event->type == EV_NO_ACTION)
                return "unverifiable"; /* nothing was extended */
        return hasher && event_explain(event, hasher, &preimage) == 1 ? "verified" : "unverifiable";
}

static struct json_object *event_row(size_t index, size_t offset, uint32_t pcr, const char *type,
                const char *status, const char *reason)
{
        struct json_object *row = json_object_new_object();

        json_object_object_add(row, "index", json_object_new_int64((int64_t)index));
        json_object_object_add(row, "offset", json_object_new_int64((int64_t)offset));
        json_object_object_add(row, "pcr", json_object_new_int64(pcr));
        json_object_object_add(row, "type", json_object_new_string(type));
        json_object_object_add(row, "status", json_object_new_string(status));
        json_object_object_add(row, "reason", json_object_new_string(reason));
        return row;
}

/* Each event's own digest, up to the first malformed record; what is wrong with a hop stands in the
 * verdict's reason. */
static struct json_object *events_to_json(struct span bytes)
{
        struct json_object *array = json_object_new_array();
        size_t offset = 0, index = 0;
        struct hasher *hasher = NULL;
        struct error error = {{0}};
        struct event_log log;
        struct tcg_event event;
        int r;

        if (event_log_open(&log, bytes, NULL) < 0)
                return array;
        if (hasher_new(&log.banks, &hasher) < 0)
                hasher = NULL;
        while ((r = event_log_next(&log, &offset, &index, &event, &error)) > 0) {
                char type[EVENT_TYPE_TEXT_SIZE];

                json_object_array_add(array, event_row(event.index, event.offset, event.pcr,
                                                             event_type_text(event.type, type),
                                                             explain(&event, hasher), ""));
        }
        if (r < 0)
                json_object_array_add(
                                array, event_row(index, offset, 0, "", "malformed", error.text));
        if (hasher)
                hasher_free(hasher);
        return array;
}

static const struct {
        const char *name;
        int exit_code;
} results[] = {
                [HOP_RESULT_OK] = {"ok", EXIT_DONE},
                [HOP_RESULT_MISMATCH] = {"mismatch", EXIT_REFUSED},
                [HOP_RESULT_MALFORMED] = {"malformed", EXIT_USAGE},
};

/* What the verdict rests on: never more than was compared. */
static void print_boots(const struct hop_verdict *verdict, bool compared)
{
        puts(verdict->first_boot ? "boot 1: measured by firmware"
                                 : "boot 1: not in the log, which has no event of firmware's");
        for (size_t i = 0; i < verdict->n_hops; i++)
                printf("boot %zu: reported by boot %zu%s\n", i + 2, i + 1,
                                verdict->hops[i].aborted ? " (opened, then aborted)" : "");
        if (!compared)
                puts("not compared with PCR values (--pcrs): the log speaks for itself only");
        if (verdict->weak)
                puts("SHA-1 is the only bank: the log proves little");
        if (verdict->unknown_bank)
                puts("a bank of the header can't be computed here and isn't checked");
}

static int check(struct span log, const char *pcrs, bool json)
{
        _cleanup_hop_verdict_ struct hop_verdict verdict = {0};
        struct replay given;
        struct error error = {{0}};
        int r;

        if (pcrs && pcr_values_read(pcrs, &given, &error) < 0)
                return fail(EXIT_USAGE, &error);
        r = hop_check(log, pcrs ? &given : NULL, &verdict, &error);
        if (r < 0)
                return fail(EXIT_USAGE, &error);
        if (json) {
                struct json_object *object = json_object_new_object();

                json_object_object_add(object, "version", json_object_new_int(1));
                json_object_object_add(object, "verdict",
                                json_object_new_string(results[verdict.result].name));
                json_object_object_add(
                                object, "reason", json_object_new_string(verdict.reason.text));
                json_object_object_add(object, "boots",
                                json_object_new_int64((int64_t)verdict.n_hops + 1));
                json_object_object_add(object, "first_boot_in_log",
                                json_object_new_boolean(verdict.first_boot));
                json_object_object_add(
                                object, "pristine", json_object_new_boolean(verdict.pristine));
                json_object_object_add(object, "compared", json_object_new_boolean(pcrs != NULL));
                json_object_object_add(object, "weak", json_object_new_boolean(verdict.weak));
                json_object_object_add(object, "unknown_bank",
                                json_object_new_boolean(verdict.unknown_bank));
                json_object_object_add(object, "events", events_to_json(log));
                json_print(object);
        } else {
                printf("%s%s%s\n", results[verdict.result].name, verdict.reason.text[0] ? ": " : "",
                                verdict.reason.text);
                print_boots(&verdict, pcrs != NULL);
        }
        return results[verdict.result].exit_code;
}

int log_check(int argc, char **argv)
{
        struct log_source source = {0};
        bool json = false;
        const char *pcrs = NULL;
        struct error error = {{0}};
        int option, code;

        while ((option = getopt_long(argc, argv, "h", log_options, NULL)) >= 0)
                switch (option) {
                case OPT_JSON:
                        json = true;
                        break;
                case OPT_PCRS:
                        pcrs = optarg;
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
                code = check(source.bytes, pcrs, json);
        log_source_release(&source);
        return code;
}

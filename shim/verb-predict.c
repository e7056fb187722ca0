/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec predict: load without staging. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/reference-values.h"
#include "shim/hop-run.h"
#include "shim/json-values.h"
#include "shim/plan-json.h"
#include "shim/reference-json.h"
#include "shim/verb.h"

/* A closed PCR holds what the first boot measured: without its value nothing can be said of it. The
 * registers start at zero on a machine that nobody has kexec'd yet. */
static uint32_t predicted_pcrs(const struct hop_run *run)
{
        return run->facts.have_tpm ? run->plan.touched : run->plan.registers;
}

static void print_pcrs(
                const struct banks *banks, uint32_t mask, const struct digest values[][PCR_COUNT])
{
        for (uint32_t pcr = 0; pcr < PCR_COUNT; pcr++)
                for (size_t b = 0; mask & 1u << pcr && b < banks->n; b++) {
                        char hex[2 * DIGEST_MAX_BYTES + 1];

                        hex_encode(SPAN(values[b][pcr].bytes, banks->alg[b]->size), hex);
                        printf("%s %u %s\n", banks->alg[b]->name, pcr, hex);
                }
}

static int print_json(const struct hop_run *run, const struct file_handover *files)
{
        struct json_object *object = json_object_new_object();
        int r;

        json_object_object_add(object, "version", json_object_new_int(1));
        json_object_object_add(object, "hop", json_object_new_int64(run->plan.hop));
        json_object_object_add(object, "missing", json_object_new_string(run->facts.missing));
        reference_to_json(run, "kexec", object);
        r = plan_to_json(&run->plan, predicted_pcrs(run), object);
        if (r < 0) {
                json_object_put(object);
                return fail_text(EXIT_REFUSED, "out of memory");
        }
        if (files)
                files_to_json(files, object);
        json_print(object);
        return EXIT_DONE;
}

/* predict --firmware: nothing of this hop, or of what the PCRs read now, is in it. */
static int print_firmware_boot(const struct hop_run *run, const struct hop_options *options)
{
        _cleanup_(firmware_boot_release) struct firmware_boot boot = {0};
        struct json_object *object;
        int r = firmware_boot_make(&run->plan, &options->firmware_events, &boot);

        if (r < 0)
                return fail_text(EXIT_REFUSED, "can't compute the PCRs: %s", strerror(-r));
        if (!options->json) {
                print_pcrs(&boot.pcrs.banks, REFERENCE_VIEW, boot.pcrs.pcr);
                return EXIT_DONE;
        }
        object = json_object_new_object();
        json_object_object_add(object, "version", json_object_new_int(1));
        json_object_object_add(object, "missing", json_object_new_string(run->facts.missing));
        reference_to_json(run, "firmware", object);
        r = firmware_boot_to_json(&boot, object);
        if (r < 0) {
                json_object_put(object);
                return fail_text(EXIT_REFUSED, "out of memory");
        }
        json_print(object);
        return EXIT_DONE;
}

int verb_predict(int argc, char **argv)
{
        _cleanup_(hop_run_release) struct hop_run run = HOP_RUN_NONE;
        _cleanup_(file_handover_release) struct file_handover files = {0};
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        struct hop_options options;
        struct error error = {{0}};
        int r = hop_options_parse(argc, argv, false, &options);

        if (r > 0)
                return r - 1;
        state_open_read(&dir,
                        NULL); /* for hops of this boot that were aborted; not everybody may */
        if (dir.fd >= 0 && state_has(&dir, STATE_JOURNAL))
                progress_warn("an exec is at work, or died: the registers are in the middle of a "
                              "hop");
        options.keep_files = options.handover == HANDOVER_OPTION_FILE;
        r = hop_run(&options, false, dir.fd >= 0 ? &dir : NULL, &run, &error);
        if (r < 0)
                return fail(exit_code_of(r), &error);
        if (options.keep_files && hop_run_files(&run, &files, &error) < 0)
                return fail(EXIT_REFUSED, &error);
        if (run.facts.missing[0] && options.progress != PROGRESS_QUIET)
                progress_warn("predicted without: %s", run.facts.missing);
        if (options.firmware)
                return print_firmware_boot(&run, &options);
        if (options.json)
                return print_json(&run, options.keep_files ? &files : NULL);
        print_pcrs(&run.plan.banks, predicted_pcrs(&run), run.plan.end);
        return EXIT_DONE;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec load: run the payload, record, stage. What the kernel gets is the guard image only. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/extend.h"
#include "shim/handover/guard.h"
#include "shim/handover/kexec.h"
#include "shim/hop-run.h"
#include "shim/plan-json.h"
#include "shim/verb.h"

#define SYSTEMD_LOG_ROOM                                                         \
        (64u * 1024) /* for the first system's own measurements, see verb-exec.c \
                      */

static uint32_t own_registers(const struct register_map *map)
{
        uint32_t mask = 0;

        for (uint32_t pcr = 0; pcr < PCR_COUNT; pcr++)
                if (map->reg[pcr] == pcr)
                        mask |= 1u << pcr;
        return mask;
}

/* All of the hand-over but the file. */
static int make_image(struct hop_run *run, struct handover_image *image, struct error *error)
{
        _cleanup_buf_ struct buf log = {0};
        struct handover_setup setup = {
                        .facts = &run->facts.host,
                        .machine_variables = run->facts.variables,
                        .n_machine_variables = run->facts.n_variables,
                        .own_registers = own_registers(&run->map),
                        .systemd_log_capacity = SYSTEMD_LOG_ROOM,
        };
        int r;

        buf_put_span(&log, buf_span(&run->facts.log));
        r = plan_log(&run->plan, run->plan.n_events, &log, error);
        if (r < 0)
                return r;
        if (buf_failed(&log))
                return error_set(error, ENOMEM, "out of memory");
        setup.log_capacity = log.size;
        r = handover_prepare(run->fw, &run->end, &setup, image, error);
        return r < 0 ? r
                     : handover_set_log(image, buf_span(&log),
                                       error); /* one that can't fit fails here */
}

static int write_image(const struct state_dir *dir, const struct handover_image *image,
                struct error *error)
{
        _cleanup_close_ int fd = -1;
        int r = state_create(dir, STATE_IMAGE, &fd, error);

        if (r == 0)
                r = handover_image_write(image, fd, error);
        return r == -ENOSPC ? error_prefix(error, r, "/run/mkexec can't hold the image of %llu MiB",
                                              (unsigned long long)(segments_bytes(&image->segments) >>
                                                                   20))
                            : r;
}

/* Puts guard, image and plan in place; until the guard is in the kernel an earlier load stays as it
 * is. */
static int put_in_place(
                const struct state_dir *dir, const struct staged *staged, struct error *error)
{
        int r = staged_load_guard(staged->guard_page, error);

        if (r < 0)
                return r;
        r = state_remove(dir, STATE_PLAN); /* never a plan beside another plan's image */
        if (r < 0)
                return error_set(error, -r, "can't remove the earlier plan: %s", strerror(-r));
        r = state_commit(dir, STATE_IMAGE, error);
        if (r == 0)
                r = staged_write(dir, STATE_PLAN, staged, error);
        if (r < 0) { /* an image without a plan, or a guard for nothing, is of no use to anybody */
                staged_drop(dir);
                kexec_unload(NULL);
        }
        return r;
}

static int stage(const struct state_dir *dir, const struct hop_options *options,
                struct hop_run *run, struct handover_image *image, struct error *error)
{
        struct staged staged = {.plan = run->plan}; /* borrowed */
        int r;

        if (!guard_choose_page(run->facts.host.memory.ranges, run->facts.host.memory.n,
                            &staged.guard_page))
                return error_set(error, ENOMEM, "found no page below 4 GB for the guard image");
        if (getrandom(&image->id, sizeof(image->id), 0) != sizeof(image->id))
                return error_set(error, errno, "no random numbers: %m");
        image->id &= INT64_MAX; /* JSON has signed numbers */
        staged.image_id = image->id;
        staged.payload = realpath(options->payload, NULL);
        if (!staged.payload)
                return error_set(error, errno, "%s: %m", options->payload);
        r = write_image(dir, image, error);
        if (r == 0)
                r = put_in_place(dir, &staged, error);
        if (r < 0)
                state_discard(dir, STATE_IMAGE);
        free(staged.payload);
        return r;
}

static void print_result(const struct hop_options *options, const struct hop_run *run)
{
        struct json_object *object;

        if (options->json) {
                object = json_object_new_object();
                json_object_object_add(object, "version", json_object_new_int(1));
                json_object_object_add(
                                object, "loaded", json_object_new_boolean(!options->dry_run));
                json_object_object_add(object, "hop", json_object_new_int64(run->plan.hop));
                plan_to_json(&run->plan, run->plan.touched, object);
                json_print(object);
                return;
        }
        if (options->progress == PROGRESS_QUIET)
                return;
        for (size_t b = 0; b < run->plan.banks.n; b++) {
                char hex[2 * DIGEST_MAX_BYTES + 1];

                hex_encode(SPAN(run->plan.end[b][HOP_PCR].bytes, run->plan.banks.alg[b]->size),
                                hex);
                printf("%s %d %s\n", run->plan.banks.alg[b]->name, HOP_PCR, hex);
        }
}

int verb_load(int argc, char **argv)
{
        _cleanup_(hop_run_release) struct hop_run run = HOP_RUN_NONE;
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        _cleanup_(handover_image_release) struct handover_image image = {
                        0}; /* gone before run is */
        struct hop_options options;
        struct error error = {{0}};
        int r = hop_options_parse(argc, argv, true, &options);

        if (r > 0)
                return r - 1;
        if (access(options.payload, R_OK) < 0)
                return fail_text(EXIT_USAGE, "can't read the payload %s: %m", options.payload);
        r = state_open(&dir, &error);
        if (r == 0 && !options.dry_run)
                r = kexec_check_possible("", 3, &error);
        if (r == 0)
                r = extend_recover(&dir, options.tcti, &error);
        if (r == 0)
                r = hop_run(&options, true, &dir, &run, &error);
        if (r < 0)
                return fail(exit_code_of(r), &error);
        if (run.facts.host.loses_firmware)
                progress_warn("no /sys/firmware/efi/runtime-map: the second kernel won't reach the "
                              "firmware's variables");
        r = make_image(&run, &image, &error); /* a dry run tells of these errors, too */
        if (r < 0)
                return fail(EXIT_REFUSED, &error);
        if (!options.dry_run) {
                r = stage(&dir, &options, &run, &image, &error);
                if (r < 0)
                        return fail(EXIT_REFUSED, &error);
                progress_done(&run.progress, 0, "staged hop %u; 'mkexec exec --now' starts it",
                                run.plan.hop);
        }
        print_result(&options, &run);
        return EXIT_DONE;
}

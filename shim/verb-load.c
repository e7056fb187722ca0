/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec load: run the payload, record, stage. What the kernel gets is the guard image only. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/extend.h"
#include "shim/handover/carried-log.h"
#include "shim/handover/guard.h"
#include "shim/handover/kexec.h"
#include "shim/hop-run.h"
#include "shim/json-values.h"
#include "shim/last-exec.h"
#include "shim/next-files.h"
#include "shim/next-kernel.h"
#include "shim/plan-json.h"
#include "shim/tickets.h"
#include "shim/verb.h"

/* One load: what is staged at its end, by either call. */
struct load {
        const struct hop_options *options;
        struct hop_run run;
        enum handover handover;
        struct handover_image image; /* HANDOVER_LOAD */
        struct file_handover files;  /* HANDOVER_FILE */
        struct buf log;              /* with the whole hop */
        struct ticket_rules rules;
        int ticket_fds[HOP_TICKETS_MAX]; /* of options->tickets, in their order */
        size_t n_ticket_fds;
};

/* All that the payload had a part in, its process included. */
static void load_release_hop(struct load *load)
{
        handover_image_release(&load->image);
        file_handover_release(&load->files);
        buf_release(&load->log);
        hop_run_release(&load->run); /* the others point into it */
}

static void load_release(struct load *load)
{
        load_release_hop(load);
        for (size_t i = 0; i < load->n_ticket_fds; i++)
                close(load->ticket_fds[i]);
        ticket_rules_release(&load->rules);
}

/* ---- by which call ---- */

/* auto tries kexec_load, and takes kexec_file_load where something forbids just that call. */
static int choose_handover(
                const struct hop_options *options, enum handover *ret, struct error *error)
{
        struct error why = {{0}};
        int r;

        *ret = options->handover == HANDOVER_OPTION_FILE ? HANDOVER_FILE : HANDOVER_LOAD;
        if (!options->dry_run) {
                r = kexec_check_possible("", *ret == HANDOVER_FILE ? 3 : 4, error);
                if (r < 0)
                        return r;
        } else if (kexec_check_possible("", 1, &why) < 0) {
                return 0; /* nothing would be taken here, so nothing can be tried */
        }
        if (*ret == HANDOVER_FILE)
                return 0;
        r = kexec_load_probe(&why);
        if (r == 0)
                return 0;
        if (options->handover == HANDOVER_OPTION_LOAD) /* no file's EACCES */
                return error_set(error, EPERM, "%.400s; see --handover=file", why.text);
        if (options->progress != PROGRESS_QUIET)
                progress_note("%s; handing over by kexec_file_load instead", why.text);
        *ret = HANDOVER_FILE;
        return 0;
}

/* ---- making ---- */

static uint32_t own_registers(const struct register_map *map)
{
        uint32_t mask = 0;

        for (uint32_t pcr = 0; pcr < PCR_COUNT; pcr++)
                if (map->reg[pcr] == pcr)
                        mask |= 1u << pcr;
        return mask;
}

static int make_log(struct load *load, struct error *error)
{
        int r;

        buf_put_span(&load->log, buf_span(&load->run.facts.log));
        r = plan_log(&load->run.plan, load->run.plan.n_events, &load->log, error);
        if (r < 0)
                return r;
        return buf_failed(&load->log) ? error_set(error, ENOMEM, "out of memory") : 0;
}

/* All of the hand-over but the file. */
static int make_image(struct load *load, struct error *error)
{
        struct hop_run *run = &load->run;
        struct handover_setup setup = {
                        .facts = &run->facts.host,
                        .machine_variables = run->facts.variables,
                        .n_machine_variables = run->facts.n_variables,
                        .own_registers = own_registers(&run->map),
                        .systemd_logs_capacity = load->run.systemd_logs_room,
                        .log_capacity = load->log.size,
        };
        int r = handover_prepare(run->fw, &run->end, &setup, &load->image, error);

        return r < 0 ? r
                     : handover_set_log(&load->image, buf_span(&load->log),
                                       error); /* one that can't fit fails here */
}

static int make(struct load *load, struct error *error)
{
        int r = make_log(load, error);

        if (r < 0)
                return r;
        return load->handover == HANDOVER_LOAD ? make_image(load, error)
                                               : hop_run_files(&load->run, &load->files, error);
}

/* ---- staging: the new files beside the old ones, the guard, and then in place ---- */

/* /run is a tmpfs of a tenth or a fifth of the memory on most systems. */
static int no_room(const struct state_dir *dir, uint64_t image_bytes, struct error *error)
{
        const uint64_t mib = 1 << 20;
        struct statfs fs;
        uint64_t used;

        if (fstatfs(dir->fd, &fs) < 0)
                return error_set(error, ENOSPC, "/run/mkexec can't hold the image of %llu MiB",
                                (unsigned long long)(image_bytes / mib));
        used = (fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
        return error_set(error, ENOSPC,
                        "/run/mkexec can't hold the image of %llu MiB, %llu are free; 'mount -o "
                        "remount,size=%lluM /run' makes room",
                        (unsigned long long)(image_bytes / mib),
                        (unsigned long long)(fs.f_bfree * (uint64_t)fs.f_bsize / mib),
                        (unsigned long long)((used + image_bytes) / mib + 16));
}

static int write_image(const struct state_dir *dir, const struct handover_image *image,
                struct error *error)
{
        _cleanup_close_ int fd = -1;
        int r = state_create(dir, STATE_IMAGE, &fd, error);

        if (r == 0)
                r = handover_image_write(image, fd, error);
        if (r != -ENOSPC)
                return r;
        close(TAKE_FD(fd)); /* what was written counts as free again */
        state_discard(dir, STATE_IMAGE);
        return no_room(dir, segments_bytes(&image->segments), error);
}

static int stage_image(const struct state_dir *dir, struct load *load, struct staged *staged,
                struct error *error)
{
        const struct host_memory *memory = &load->run.facts.host.memory;
        int r;

        staged->handover = HANDOVER_LOAD;
        if (!guard_choose_page(memory->ranges, memory->n, &staged->guard_page))
                return error_set(error, ENOMEM, "found no page below 4 GB for the guard image");
        if (getrandom(&load->image.id, sizeof(load->image.id), 0) != sizeof(load->image.id))
                return error_set(error, errno, "no random numbers: %m");
        load->image.id &= INT64_MAX; /* JSON has signed numbers */
        staged->image_id = load->image.id;
        r = write_image(dir, &load->image, error);
        if (r == 0)
                r = next_kernel_load_guard(dir, staged, error);
        if (r < 0)
                state_discard(dir, STATE_IMAGE);
        return r;
}

static int stage_files(const struct state_dir *dir, struct load *load, struct staged *staged,
                struct error *error)
{
        size_t continuation = load->log.size - load->run.log_parts.kernel;

        staged->systemd_logs_room = load->run.systemd_logs_room;
        return next_files_stage(dir, &load->files,
                        carried_log_room(continuation, load->run.systemd_logs_room), staged, error);
}

/* The guard is in the kernel: what an earlier load left goes. Never a plan beside another plan's
 * files. */
static int put_in_place(
                const struct state_dir *dir, const struct staged *staged, struct error *error)
{
        int r = state_remove(dir, STATE_ARMED);

        if (r == 0)
                r = state_remove(dir, STATE_PLAN);
        if (r < 0)
                return error_set(error, -r, "can't remove the earlier plan: %s", strerror(-r));
        if (staged->handover == HANDOVER_LOAD) {
                state_remove(dir, STATE_KERNEL);
                state_remove(dir, STATE_INITRD);
                r = state_commit(dir, STATE_IMAGE, error);
        } else {
                state_remove(dir, STATE_IMAGE);
                r = next_files_commit(dir, error);
        }
        if (r == 0)
                r = staged_write(dir, STATE_PLAN, staged, error);
        if (r < 0) { /* files without a plan, or a guard for nothing, are of no use to anybody */
                staged_drop(dir);
                kexec_unload(NULL);
        }
        return r;
}

static int stage(const struct state_dir *dir, struct load *load, struct error *error)
{
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        int r = 0;

        /* They are made when all is in place; who dies before that leaves a plan that lacks them.
         */
        for (size_t i = 0; r == 0 && i < load->options->n_tickets; i++)
                r = tickets_want(&staged, load->options->tickets[i].name, error);
        if (r < 0)
                return r;

        staged.payload = realpath(load->options->payload, NULL);
        if (!staged.payload)
                return error_set(error, errno, "%s: %m", load->options->payload);
        r = load->handover == HANDOVER_LOAD ? stage_image(dir, load, &staged, error)
                                            : stage_files(dir, load, &staged, error);
        if (r < 0)
                return r;
        staged.plan = load->run.plan; /* borrowed */
        r = put_in_place(dir, &staged, error);
        staged.plan = (struct plan){0};
        return r;
}

/* ---- tickets: their files are opened before the sandbox, and read when the guest has ended ----
 */

static int open_tickets(struct load *load, struct error *error)
{
        const struct hop_options *options = load->options;
        int r = ticket_rules_open(options->owner_auth, &load->rules, error);

        for (size_t i = 0; r == 0 && i < options->n_tickets; i++) {
                const char *path = options->tickets[i].path;

                load->ticket_fds[i] = open(path, O_RDONLY | O_CLOEXEC);
                if (load->ticket_fds[i] < 0)
                        return error_set(error, errno, "can't read the secret in %s: %m", path);
                load->n_ticket_fds++;
        }
        return r;
}

static int put_ticket(struct load *load, struct tpm *tpm, const struct state_dir *dir, size_t i,
                struct error *error)
{
        const struct hop_options *options = load->options;
        _cleanup_secret_ struct secret secret = {0};
        int r = secret_new(SECRET_MAX_BYTES, &secret, error);

        if (r == 0 && (r = secret_read_fd(load->ticket_fds[i], &secret, error)) < 0)
                return error_prefix(error, r, "%s", options->tickets[i].path);
        return r < 0 ? r
                     : tickets_put(tpm, &load->rules, dir, options->tickets[i].name,
                                       secret_span(&secret), options->ticket_pcrs, error);
}

/* All or none: what is loaded without a ticket that was asked for would boot into a locked disk. */
static int put_tickets(struct load *load, struct tpm *tpm, const struct state_dir *dir,
                struct error *error)
{
        int r = 0;

        tickets_warn_of_pcrs(load->options->ticket_pcrs);
        /* Those of an earlier load; one that stayed could be taken for the new one. */
        if (load->n_ticket_fds == 0)
                tickets_drop_or_warn(tpm, &load->rules);
        else
                r = tickets_drop_earlier(tpm, &load->rules, error);
        for (size_t i = 0; r == 0 && i < load->n_ticket_fds; i++)
                r = put_ticket(load, tpm, dir, i, error);
        if (r < 0) {
                staged_drop(dir);
                kexec_unload(NULL);
                tickets_drop_or_warn(tpm, &load->rules);
        }
        return r;
}

/* Staging failed when the earlier load was gone already: its tickets are for nothing now. */
static void drop_earlier_tickets(struct load *load, const struct state_dir *dir)
{
        _cleanup_(tpm_freep) struct tpm *tpm = NULL;

        if (state_has(dir, STATE_PLAN))
                return;
        tpm = TAKE_PTR(load->run.tpm);
        load_release_hop(load); /* the owner's password isn't read beside a guest */
        tickets_drop_or_warn(tpm, &load->rules);
}

/* ---- the verb ---- */

static void tell_of_ima(const struct load *load)
{
        if (load->handover == HANDOVER_LOAD && load->run.progress.enabled &&
                        access("/sys/kernel/security/ima", F_OK) == 0)
                progress_note("IMA's list of measurements stays behind (kexec_file_load can carry "
                              "it); PCR 10 keeps its value");
}

static struct json_object *result_to_json(const struct load *load)
{
        struct json_object *object = json_object_new_object();

        json_object_object_add(object, "version", json_object_new_int(1));
        json_object_object_add(object, "loaded", json_object_new_boolean(!load->options->dry_run));
        json_object_object_add(
                        object, "handover", json_object_new_string(handover_names[load->handover]));
        json_object_object_add(object, "hop", json_object_new_int64(load->run.plan.hop));
        plan_to_json(&load->run.plan, load->run.plan.touched, object);
        if (load->handover == HANDOVER_FILE)
                files_to_json(&load->files, object);
        return object;
}

static void print_plan(const struct plan *plan)
{
        for (size_t b = 0; b < plan->banks.n; b++) {
                char hex[2 * DIGEST_MAX_BYTES + 1];

                hex_encode(SPAN(plan->end[b][HOP_PCR].bytes, plan->banks.alg[b]->size), hex);
                printf("%s %d %s\n", plan->banks.alg[b]->name, HOP_PCR, hex);
        }
}

/* Lets the guest go, makes the tickets, and only then says that all is loaded. */
static int finish(struct load *load, const struct state_dir *dir, struct error *error)
{
        const struct hop_options *options = load->options;
        struct json_object *result = options->json ? result_to_json(load) : NULL;
        _cleanup_(tpm_freep) struct tpm *tpm = TAKE_PTR(load->run.tpm);
        struct plan plan = load->run.plan;
        int r = 0;

        load->run.plan = (struct plan){0};
        load_release_hop(load);
        if (!options->dry_run)
                r = put_tickets(load, tpm, dir, error);
        if (r == 0 && result)
                json_print(result); /* releases it */
        else if (r == 0 && options->progress != PROGRESS_QUIET)
                print_plan(&plan);
        else
                json_object_put(result);
        plan_release(&plan);
        return r;
}

int verb_load(int argc, char **argv)
{
        _cleanup_(load_release) struct load load = {
                        .run = HOP_RUN_NONE, .rules = TICKET_RULES_NONE};
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        struct hop_options options;
        struct error error = {{0}};
        int r = hop_options_parse(argc, argv, true, &options);

        if (r > 0)
                return r - 1;
        load.options = &options;
        if (access(options.payload, R_OK) < 0)
                return fail_text(EXIT_USAGE, "can't read the payload %s: %m", options.payload);
        r = state_open(&dir, &error);
        if (r == 0)
                r = extend_recover(&dir, options.tcti, &error);
        if (r == 0 && !options.dry_run)
                last_exec_remove("", NULL); /* what it told is past */
        if (r == 0)
                r = choose_handover(&options, &load.handover, &error);
        if (r == 0 && !options.dry_run)
                r = open_tickets(&load, &error);
        options.keep_files = load.handover == HANDOVER_FILE;
        if (r == 0)
                r = hop_run(&options, true, &dir, &load.run, &error);
        if (r < 0)
                return fail(exit_code_of(r), &error);
        if (load.handover == HANDOVER_LOAD && load.run.facts.host.loses_firmware)
                progress_warn("no /sys/firmware/efi/runtime-map: the second kernel won't reach the "
                              "firmware's variables");
        r = make(&load, &error); /* a dry run tells of these errors, too */
        if (r < 0)
                return fail(EXIT_REFUSED, &error);
        if (!options.dry_run) {
                r = stage(&dir, &load, &error);
                if (r < 0) {
                        drop_earlier_tickets(&load, &dir);
                        return fail(EXIT_REFUSED, &error);
                }
                progress_done(&load.run.progress, 0,
                                "staged hop %u for %s; 'mkexec exec' starts it", load.run.plan.hop,
                                load.handover == HANDOVER_LOAD ? "kexec_load" : "kexec_file_load");
                tell_of_ima(&load);
        }
        if (finish(&load, &dir, &error) < 0)
                return fail_text(EXIT_REFUSED, "nothing is loaded: %s", error.text);
        return EXIT_DONE;
}

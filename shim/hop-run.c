/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See hop-run.h. The order matters: all files are opened and all facts are read before the payload
 * is looked at; between the two the broker gives up what it doesn't need any more. */
#include "shim/hop-run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf16.h"
#include "eventlog/append.h"
#include "shim/boot-log.h"
#include "shim/boot-systemd.h"
#include "shim/pcr-values.h"
#include "shim/profile.h"
#include "shim/sandbox.h"

#define PAYLOAD_MAX_BYTES (2ull << 30)
#define INITRD_MAX_BYTES  (4ull << 30)

void hop_run_release(struct hop_run *run)
{
        if (run->fw)
                firmware_free(run->fw);
        if (run->tcg2)
                tcg2_free(run->tcg2);
        if (run->tpm)
                tpm_free(run->tpm);
        plan_release(&run->plan);
        signature_keys_release(&run->keys);
        facts_release(&run->facts);
        esp_release(&run->esp);
        payload_about_release(&run->about);
        buf_release(&run->payload);
        buf_release(&run->load_options);
        buf_release(&run->initrd);
        *run = HOP_RUN_NONE;
}

/* Several initrds are one for the kernel, each padded to 4 bytes as boot loaders do. */
static int read_initrds(const struct hop_options *o, struct hop_run *run, struct error *error)
{
        for (size_t i = 0; i < o->n_initrds; i++) {
                _cleanup_buf_ struct buf one = {0};
                int r = buf_read_file(o->initrds[i], INITRD_MAX_BYTES, &one, error);

                if (r < 0)
                        return r;
                if (hash_sha256(buf_span(&one), run->initrd_sha256[i]) < 0)
                        return error_set(error, EIO, "can't compute SHA-256");
                buf_put_span(&run->initrd, buf_span(&one));
                buf_put_zeros(&run->initrd, (4 - run->initrd.size % 4) % 4);
        }
        run->n_initrds = o->n_initrds;
        return buf_failed(&run->initrd) ? error_set(error, ENOMEM, "out of memory for the initrds")
                                        : 0;
}

/* What the payload finds as LoadOptions: the command line, behind "@N" if a profile is chosen. */
static int make_load_options(const struct hop_options *o, struct hop_run *run, struct error *error)
{
        char word[16];
        int r;

        if (o->profile) {
                r = profile_find(buf_span(&run->payload), o->profile, &run->profile, error);
                if (r < 0)
                        return error_prefix(error, r, "%s", o->payload);
                snprintf(word, sizeof(word), "@%u%s", run->profile, o->cmdline ? " " : "");
                utf8_to_utf16(word, &run->load_options);
        } else if (o->cmdline) {
                run->profile = profile_of_command_line(o->cmdline);
        }
        if (o->cmdline && !utf8_to_utf16(o->cmdline, &run->load_options))
                return error_set(error, EINVAL, "--cmdline isn't valid UTF-8");
        if (o->cmdline || o->profile)
                buf_put_u16(&run->load_options, 0);
        return buf_failed(&run->load_options) ? error_set(error, ENOMEM, "out of memory") : 0;
}

static int read_inputs(const struct hop_options *o, struct hop_run *run, struct error *error)
{
        int r;

        if (o->map)
                r = register_map_read_file(o->map, &run->map, error);
        else
                r = (register_map_dedicated(&run->map), 0);
        if (r == 0)
                r = close_list_parse(o->close_list, &run->close_list, error);
        if (r == 0)
                r = buf_read_file(o->payload, PAYLOAD_MAX_BYTES, &run->payload, error);
        if (r == 0 && hash_sha256(buf_span(&run->payload), run->payload_sha256) < 0)
                r = error_set(error, EIO, "can't compute SHA-256");
        if (r == 0)
                r = read_initrds(o, run, error);
        if (r == 0)
                r = make_load_options(o, run, error);
        if (r == 0 && hash_sha256(buf_span(&run->load_options), run->load_options_sha256) < 0)
                r = error_set(error, EIO, "can't compute SHA-256");
        return r;
}

static int open_tpm(const struct hop_options *o, bool for_load, struct hop_run *run,
                struct error *error)
{
        int r;

        if (o->machine || o->base)
                return 0;
        r = tpm_esys_open(o->tcti, &run->tpm, error);
        if (r < 0 && !for_load && !o->tcti)
                return 0; /* predict works without */
        return r;
}

/* By what systemd's logs take now; exec reads them anew. */
static int find_systemd_room(const struct state_dir *state, struct span log, struct hop_run *run,
                struct error *error)
{
        _cleanup_(boot_systemd_release) struct boot_systemd systemd = BOOT_SYSTEMD_NONE;
        int r = boot_systemd_read("/sys", state, log, &run->log_parts, &systemd, error);

        run->systemd_logs_room = boot_systemd_room(&systemd);
        return r;
}

static int read_facts(const struct hop_options *o, bool for_load, const struct state_dir *state,
                struct hop_run *run, struct error *error)
{
        _cleanup_buf_ struct buf log = {0};
        struct span bytes;
        int r;

        if (o->machine)
                return facts_read_file(o->machine, &run->facts, error);
        r = boot_log_read(state, run->tpm, &log, &run->log_parts, error);
        bytes = buf_span(&log);
        if (r == 0 && for_load)
                r = find_systemd_room(state, bytes, run, error);
        if (r < 0 && for_load)
                return r;
        r = facts_read(run->tpm, r < 0 ? NULL : &bytes, for_load, &run->facts, error);
        if (r == 0)
                r = signature_rules_read(o->db, o->dbx, &run->facts.rules, error);
        if (r == 0 && o->base) {
                r = pcr_values_read(o->base, &run->facts.registers, error);
                run->facts.banks = run->facts.registers.banks;
                run->facts.have_tpm = r == 0;
        }
        return r;
}

/* The log that the second kernel gets must be able to explain what the TPM then holds. */
static int check_log(const struct hop_options *o, struct hop_run *run, struct error *error)
{
        _cleanup_hop_verdict_ struct hop_verdict verdict = {0};
        struct error left_out;
        int r;

        if (boot_log_lacks_this_boot("/sys", &run->log_parts) > 0)
                progress_warn("this kernel was started by a kexec that the event log doesn't tell "
                              "of: the hop will stand right behind the boot before it");
        if (run->facts.log.size == 0) {
                progress_warn("this kernel has no TPM event log: the second kernel's begins with "
                              "the hop and tells nothing of the boot before it");
                event_log_put_header(&run->facts.log, &run->facts.banks);
                if (buf_failed(&run->facts.log))
                        return error_set(error, ENOMEM, "out of memory");
        }
        r = boot_log_check_banks(buf_span(&run->facts.log), &run->facts.banks, o->accept_gaps,
                        &run->log_banks, &left_out, error);
        if (r == 0 && left_out.text[0])
                progress_warn("%s (accepted; the log proves nothing there)", left_out.text);
        if (r == 0)
                r = boot_log_check(buf_span(&run->facts.log), run->tpm, &run->facts.banks,
                                register_map_mask(&run->map), &verdict, error);
        if (r == -EBADMSG && o->accept_gaps) {
                progress_warn("%s (accepted; a verifier will refuse it)", error->text);
                return 0;
        }
        if (r == -EBADMSG)
                return error_prefix(error, r,
                                "the event log doesn't explain the registers, so the second "
                                "kernel's log couldn't (--accept-log-gaps to go on)");
        return r;
}

static uint64_t available_bytes(void)
{
        _cleanup_fclose_ FILE *f = fopen("/proc/meminfo", "re");
        char line[128];
        uint64_t kib;

        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
                        return kib * 1024;
        return 1ull << 30;
}

static void print_console(void *arg, const char *text)
{
        (void)arg;
        fprintf(stderr, "payload: %s\n", text);
}

static void print_trace(void *arg, const char *line)
{
        (void)arg;
        fprintf(stderr, "trace: %s\n", line);
}

static int make_tcg2(struct hop_run *run, struct error *error)
{
        struct tcg2_config config = {.banks = run->facts.banks};
        int r = run->tpm ? tcg2_config_from_tpm(run->tpm, &config, error) : 0;

        return r < 0 ? r : tcg2_new(&config, &run->tcg2, error);
}

/* The machine's own SMBIOS structures, readable for the payload at their true address, and their
 * entry point there or in memory of ours. */
static void set_smbios(struct hop_run *run, struct firmware_setup *setup)
{
        const struct facts *facts = &run->facts;
        struct span entry = buf_span(&facts->smbios_entry);
        uint64_t tables;
        EFI_GUID guid;

        if (!facts_smbios(facts, &guid, &tables))
                return;
        run->contents[0] = (struct fw_contents){tables, buf_span(&facts->smbios_tables)};
        run->contents[1] = (struct fw_contents){facts->smbios_address, entry};
        setup->contents = run->contents;
        setup->n_contents = 2;
        if (facts_smbios_moves(facts)) {
                run->smbios_copy = (struct fw_table_copy){guid, entry};
                setup->copies = &run->smbios_copy;
                setup->n_copies = 1;
                setup->n_contents = 1;
        } else if (facts->elsewhere) {
                run->smbios = (struct fw_config_table){guid, facts->smbios_address};
                setup->tables = &run->smbios;
                setup->n_tables = 1;
        }
}

/* Without the last image that was denied it couldn't go on, so that one comes with the error;
 * others are warnings. */
static const char *last_denied(const struct firmware *fw)
{
        const char *last = NULL, *next;

        for (size_t i = 0; (next = firmware_denied(fw, i)); i++)
                last = next;
        return last;
}

static void warn_of_denied(const struct firmware *fw)
{
        const char *text;

        for (size_t i = 0; (text = firmware_denied(fw, i)); i++)
                progress_warn("not loaded: %s", text);
}

/* The guest is there, and all that it and load need is open. */
static int enter_sandbox(const struct hop_options *o, bool for_load, const struct state_dir *state,
                struct hop_run *run, struct error *error)
{
        struct sandbox sandbox = {
                        .verb = for_load ? SANDBOX_LOAD : SANDBOX_PREDICT,
                        .volume_fd = run->esp.fd,
                        .state_fd = for_load ? state->fd : -1,
                        .sockets = run->tpm && tpm_reconnects(o->tcti),
        };

        return sandbox_enter(&sandbox, &run->progress, error);
}

static int run_payload(const struct hop_options *o, bool for_load, const struct state_dir *state,
                struct hop_run *run, struct error *error)
{
        struct firmware_setup setup = {
                        .memory = run->facts.host.memory.ranges,
                        .n_memory = run->facts.host.memory.n,
                        .budget_bytes = o->memory_limit_bytes ? o->memory_limit_bytes
                                                              : available_bytes() / 8 * 3,
                        .deadline_ms = o->timeout_s * 1000,
                        .load_options = buf_span(&run->load_options),
                        .device_path = buf_span(&run->esp.device_path),
                        .file_path = run->esp.file_path,
                        .volume_fd = run->esp.fd,
                        .keep_files = o->keep_files,
                        .initrd = buf_span(&run->initrd),
                        .variables = run->facts.variables,
                        .n_variables = run->facts.n_variables,
                        .tables = run->facts.host.tables,
                        .n_tables = run->facts.host.n_tables,
                        .firmware_vendor = "mkexec",
                        .firmware_revision = 1,
                        .tcg2 = run->tcg2,
                        .image_policy = run->keys.demanded ? &run->keys.policy : NULL,
                        .trace = o->trace ? print_trace : NULL,
                        .console = print_console,
        };
        int r;

        set_smbios(run, &setup);
        r = firmware_new(&setup, &run->fw, error);
        if (r == 0)
                r = enter_sandbox(o, for_load, state, run, error);
        if (r == 0 && !for_load && o->json)
                payload_about_read(buf_span(&run->payload), run->profile, &run->about);
        if (r == 0)
                r = firmware_load(run->fw, &run->payload, error);
        buf_release(&run->payload); /* the guest needs the room: it unpacks the kernel */
        if (r == 0)
                r = firmware_run(run->fw, &run->end, error);
        if (r < 0)
                return error_prefix(error, r, "%s", o->payload);
        tcg2_end(run->tcg2);
        if (tcg2_failure(run->tcg2))
                return error_set(error, ECANCELED, "%s: %s", o->payload, tcg2_failure(run->tcg2));
        switch (run->end.kind) {
        case FIRMWARE_HANDOVER:
                warn_of_denied(run->fw);
                return 0;
        case FIRMWARE_RETURNED:
                if (run->end.status == EFI_OUT_OF_RESOURCES)
                        return error_set(error, ENOMEM,
                                        "%s gave up for want of memory: it may take %" PRIu64
                                        " MiB (--memory-limit)",
                                        o->payload, ram_budget_bytes(firmware_ram(run->fw)) >> 20);
                return error_set(error, ECANCELED, "%s gave up and returned %s; %s", o->payload,
                                efi_status_name(run->end.status) ?: "a status of its own",
                                last_denied(run->fw) ?: "--trace shows why");
        case FIRMWARE_RESET:
                return error_set(error, ECANCELED,
                                "%s asked for a reset instead of starting a kernel", o->payload);
        case FIRMWARE_STOPPED:
                break;
        }
        return error_set(error, ECANCELED, "%s was stopped: %s", o->payload, run->end.text);
}

static int make_plan(struct hop_run *run, struct error *error)
{
        const struct record *record = tcg2_record(run->tcg2);
        _cleanup_free_ struct tcg_event *events = calloc(record->n + 1, sizeof(*events));
        struct plan_input input = {
                        .banks = run->facts.banks,
                        .log_banks = run->log_banks,
                        .hop = run->facts.hop,
                        .map = run->map.reg,
                        .close_list = run->close_list,
                        .initrd_sha256 = (const uint8_t(*)[32])run->initrd_sha256,
                        .n_initrds = run->n_initrds,
                        .events = events,
                        .n_events = record->n,
                        .start = (const struct digest(*)[PCR_COUNT])run->facts.registers.pcr,
        };

        if (!events)
                return error_set(error, ENOMEM, "out of memory");
        for (size_t i = 0; i < record->n; i++)
                events[i] = (struct tcg_event){.pcr = record->events[i].payload_pcr,
                                .type = record->events[i].type,
                                .digests = record->events[i].digests,
                                .data = record->events[i].data};
        memcpy(input.payload_sha256, run->payload_sha256, sizeof(run->payload_sha256));
        memcpy(input.load_options_sha256, run->load_options_sha256, 32);
        return plan_make(&input, &run->plan, error);
}

int hop_run(const struct hop_options *o, bool for_load, const struct state_dir *state,
                struct hop_run *run, struct error *error)
{
        int r;

        *run = HOP_RUN_NONE;
        run->progress = progress_new(o->progress);
        r = read_inputs(o, run, error);
        if (r == 0)
                r = open_tpm(o, for_load, run, error);
        if (r == 0)
                r = read_facts(o, for_load, state, run, error);
        if (r == 0)
                r = signature_keys_find(&run->facts.rules, run->facts.variables,
                                run->facts.n_variables, &run->keys, error);
        if (r == 0 && for_load)
                r = check_log(o, run, error);
        if (r == 0)
                r = esp_find(o->esp, o->payload, buf_span(&run->facts.log), &run->esp, error);
        if (r == 0 && o->machine)
                r = esp_set_device_path(&run->esp, buf_span(&run->facts.esp_device_path));
        if (r == 0 && o->machine && !run->esp.is_partition)
                facts_miss(&run->facts, "the payload's path in the ESP (--esp)");
        if (r == 0 && !for_load && run->esp.is_partition && run->facts.log_missing)
                facts_miss(&run->facts, "the ESP's device path");
        if (r == 0)
                r = make_tcg2(run, error);
        if (r < 0)
                return r;
        progress_done(&run->progress, run->payload.size + run->initrd.size, "read %s", o->payload);
        r = run_payload(o, for_load, state, run, error);
        if (r == 0)
                r = make_plan(run, error);
        if (r < 0)
                return r;
        buf_release(&run->initrd); /* the image that load writes now needs the room */
        progress_done(&run->progress, ram_peak_bytes(firmware_ram(run->fw)),
                        "ran it to the hand-over: %" PRIu64 " service calls, %zu events",
                        firmware_n_calls(run->fw), run->plan.n_events);
        return 0;
}

int hop_run_files(struct hop_run *run, struct file_handover *ret, struct error *error)
{
        return file_handover_prepare(run->fw, &run->end, run->facts.host.secure_boot,
                        tcg2_record(run->tcg2), ret, error);
}

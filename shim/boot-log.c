/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/boot-log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "eventlog/append.h"
#include "eventlog/parse.h"

static const char *log_path(void)
{
        /* as systemd-pcrlock has it; for tests and unusual mounts */
        const char *path = getenv("SYSTEMD_MEASURE_LOG_FIRMWARE");

        return path && path[0] == '/' ? path : "/sys/kernel/security/tpm0/binary_bios_measurements";
}

bool boot_log_of_kernel(void)
{
        return access(log_path(), F_OK) == 0;
}

int boot_log_read(const struct state_dir *state, struct buf *ret, struct error *error)
{
        _cleanup_buf_ struct buf firmware = {0}, aborted = {0};
        size_t used = 0;
        int r;

        r = buf_read_file(log_path(), BOOT_LOG_MAX_BYTES, &firmware, error);
        if (r < 0 && r != -ENOENT)
                return r;
        if (firmware.size > 0) {
                r = event_log_trim(buf_span(&firmware), &used, error);
                if (r < 0)
                        return error_prefix(error, r, "%s", log_path());
        }
        buf_put(ret, firmware.data, used);
        if (state && state_has(state, STATE_ABORTED)) {
                r = state_read(state, STATE_ABORTED, BOOT_LOG_MAX_BYTES, &aborted, error);
                if (r < 0)
                        return r;
                buf_put_span(ret, buf_span(&aborted));
        }
        return buf_failed(ret) ? error_set(error, ENOMEM, "out of memory") : 0;
}

int boot_log_check(struct span log, struct tpm *tpm, const struct banks *banks, uint32_t registers,
                struct hop_verdict *verdict, struct error *error)
{
        struct replay values;
        int r = tpm_pcr_read(tpm, banks, 0xffff, &values, error);

        if (r < 0)
                return r;
        r = hop_check(log, &values, verdict, error);
        if (r < 0)
                return r;
        if (!verdict->hops_ok) {
                *error = verdict->reason;
                return -EBADMSG;
        }
        for (size_t b = 0; b < verdict->replay.banks.n; b++) {
                uint32_t wrong = verdict->differs[b] &
                                 (verdict->registers | registers | 1u << HOP_PCR);

                if (!(verdict->compared[b] & 1u << HOP_PCR))
                        return error_set(error, EBADMSG,
                                        "bank %s of the event log can't be compared with the TPM",
                                        verdict->replay.banks.alg[b]->name);
                for (unsigned pcr = 0; pcr < 16; pcr++)
                        if (wrong & 1u << pcr)
                                return error_set(error, EBADMSG,
                                                "PCR %u (%s) isn't what the event log says: "
                                                "something "
                                                "outside of the log extended it",
                                                pcr, verdict->replay.banks.alg[b]->name);
        }
        return 0;
}

int boot_log_check_banks(struct span log, const struct banks *active, bool accept,
                struct banks *ret, struct error *left_out, struct error *error)
{
        struct event_log parsed;
        int r = event_log_open(&parsed, log, error);

        left_out->text[0] = '\0';
        if (r < 0)
                return r;
        if (!parsed.agile)
                return error_set(error, EPROTO,
                                "the firmware's event log is a SHA-1 log and can't hold the TPM's "
                                "banks");
        for (size_t i = 0; i < parsed.n_declared; i++)
                if (!banks_have(active, parsed.declared[i].id))
                        return error_set(error, EPROTO,
                                        "the event log's header declares algorithm 0x%04x, which "
                                        "is no active "
                                        "bank of the TPM: events can't be written into this log",
                                        parsed.declared[i].id);
        for (size_t b = 0; b < active->n; b++) {
                const char *name = active->alg[b]->name;

                if (banks_have(&parsed.banks, active->alg[b]->id))
                        continue;
                error_set(left_out, EPROTO,
                                "bank %s is active in the TPM but not in the event log's header",
                                name);
                if (!accept)
                        return error_set(error, EPROTO,
                                        "%s: the second kernel's log couldn't prove it "
                                        "(--accept-log-gaps to go on)",
                                        left_out->text);
        }
        *ret = parsed.banks;
        return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_TCG2_PROTOCOL's edge: checks pointers, moves bytes between guest memory and tcg2/protocol,
 * keeps the payload's event logs and final-events table where it looks for them, and measures what
 * firmware measures itself (images, ExitBootServices). All semantics are tcg2/protocol's. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "eventlog/decode.h"
#include "eventlog/event.h"
#include "shim/firmware/internal.h"
#include "tcg2/pe.h"
#include "tcg2/protocol.h"

/* A log in guest memory: what of it is written already. */
struct area {
        uint64_t address; /* 0: not supported */
        size_t written;
};

struct fw_tcg2 {
        struct area agile, sha1, final;
};

enum { FINAL_TABLE_HEAD_BYTES = 16 };

/* ---- logs in guest memory ---- */

/* As in edk2's SetupEventLog: below 4 GiB, filled with 0xff. */
static int area_setup(struct firmware *fw, uint32_t memory_type, uint32_t bytes, struct area *ret)
{
        uint64_t n_pages = (bytes + EFI_PAGE_SIZE - 1) >> EFI_PAGE_SHIFT;
        uint64_t address = UINT32_MAX;
        uint8_t *to;

        if (efi_error(fw_allocate_pages(fw, AllocateMaxAddress, memory_type, n_pages, &address)) &&
                        efi_error(fw_allocate_pages(
                                        fw, AllocateAnyPages, memory_type, n_pages, &address)))
                return -ENOMEM;
        if (!ram_view_writable(fw->ram, address, n_pages << EFI_PAGE_SHIFT, &to))
                return -EIO;
        memset(to, 0xff, n_pages << EFI_PAGE_SHIFT);
        ret->address = address;
        return 0;
}

/* Logs only grow. Where the payload gave the memory away nothing is written: it is the only one to
 * look. */
static void area_update(struct firmware *fw, struct area *area, struct span bytes)
{
        if (!area->address || bytes.size <= area->written)
                return;
        if (ram_write(fw->ram, area->address + area->written, bytes.data + area->written,
                            bytes.size - area->written))
                area->written = bytes.size;
}

/* After every measurement: memory follows, and a measurement that got lost ends the run. */
static void follow(struct firmware *fw)
{
        struct tcg2 *tcg2 = fw->setup.tcg2;
        struct fw_tcg2 *edge = fw->tcg2;
        struct span final = tcg2_final_events(tcg2);

        if (tcg2_failure(tcg2))
                fw_stop(fw, "%s", tcg2_failure(tcg2));
        if (!edge)
                return;
        area_update(fw, &edge->agile, tcg2_peek_log(tcg2, EFI_TCG2_EVENT_LOG_FORMAT_TCG_2).bytes);
        area_update(fw, &edge->sha1, tcg2_peek_log(tcg2, EFI_TCG2_EVENT_LOG_FORMAT_TCG_1_2).bytes);
        if (final.size > edge->final.written) {
                area_update(fw, &edge->final, final);
                /* NumberOfEvents last, as the events must be there first */
                (void)ram_write(fw->ram, edge->final.address, final.data, FINAL_TABLE_HEAD_BYTES);
        }
}

static void trace_event(struct firmware *fw, uint32_t pcr, uint32_t type, struct span data)
{
        struct tcg_event event = {.pcr = pcr, .type = type, .data = data};
        char name[EVENT_TYPE_TEXT_SIZE];
        _cleanup_buf_ struct buf text = {};

        if (!fw->setup.trace)
                return;
        event_text(&event, &text);
        fw_trace(fw, "  payload PCR %u %s: %.*s", pcr, event_type_text(type, name),
                        buf_failed(&text) ? 0 : (int)text.size, (const char *)text.data);
}

/* ---- the functions ---- */

static struct fw_tcg2 *edge_of(struct firmware *fw, uint64_t this)
{
        return fw_object_state(fw, FW_OBJECT_TCG2, this);
}

static bool can_write(struct firmware *fw, uint64_t address, uint64_t size)
{
        uint8_t *ignored;

        return ram_view_writable(fw->ram, address, size, &ignored);
}

/* GetCapability(This, *ProtocolCapability) */
static EFI_STATUS run_get_capability(struct firmware *fw, const uint64_t arg[])
{
        uint8_t capability[EFI_TCG2_CAPABILITY_BYTES], size;
        EFI_STATUS status;
        size_t bytes;

        if (!edge_of(fw, arg[0]) || !arg[1] || !ram_get_u8(fw->ram, arg[1], &size))
                return EFI_INVALID_PARAMETER;
        status = tcg2_get_capability(fw->setup.tcg2, size, capability, &bytes);
        return ram_write(fw->ram, arg[1], capability, bytes) ? status : EFI_INVALID_PARAMETER;
}

/* GetEventLog(This, EventLogFormat, *EventLogLocation, *EventLogLastEntry, *EventLogTruncated). As
 * in edk2 any of the out pointers may be NULL. */
static EFI_STATUS run_get_event_log(struct firmware *fw, const uint64_t arg[])
{
        struct fw_tcg2 *edge = edge_of(fw, arg[0]);
        uint32_t format = (uint32_t)arg[1];
        const struct area *area;
        struct tcg2_log log;
        EFI_STATUS status;

        if (!edge || (arg[2] && !can_write(fw, arg[2], 8)) ||
                        (arg[3] && !can_write(fw, arg[3], 8)) ||
                        (arg[4] && !can_write(fw, arg[4], 1)))
                return EFI_INVALID_PARAMETER;
        status = tcg2_get_event_log(fw->setup.tcg2, format, &log);
        if (efi_error(status))
                return status;
        area = format == EFI_TCG2_EVENT_LOG_FORMAT_TCG_2 ? &edge->agile : &edge->sha1;
        if (arg[2])
                ram_put_u64(fw->ram, arg[2], area->address);
        if (arg[3])
                ram_put_u64(fw->ram, arg[3], log.has_events ? area->address + log.last_entry : 0);
        if (arg[4])
                ram_put_u8(fw->ram, arg[4], log.truncated);
        return EFI_SUCCESS;
}

/* The fixed part of EFI_TCG2_EVENT (TCG EFI Protocol Specification, 6.6.3) and a view of its Event.
 */
static bool read_event(struct firmware *fw, uint64_t address, struct tcg2_hash_log_extend *ret)
{
        uint8_t head[EFI_TCG2_EVENT_HEADER_BYTES];
        struct cursor c = CURSOR(SPAN(head, sizeof(head)));
        uint32_t bytes;

        if (!ram_read(fw->ram, address, head, sizeof(head)) || !cursor_u32(&c, &ret->size) ||
                        !cursor_u32(&c, &ret->header_size) ||
                        !cursor_u16(&c, &ret->header_version) || !cursor_u32(&c, &ret->pcr) ||
                        !cursor_u32(&c, &ret->type))
                return false;
        if (!tcg2_event_data_bytes(ret->size, ret->header_size, &bytes))
                return true; /* tcg2_hash_log_extend_event says no, at its place in the order of
                                checks */
        return ram_view(fw->ram, address + sizeof(head), bytes, &ret->event);
}

/* HashLogExtendEvent(This, Flags, DataToHash, DataToHashLen, *Event) */
static EFI_STATUS run_hash_log_extend_event(struct firmware *fw, const uint64_t arg[])
{
        struct tcg2_hash_log_extend request = {.flags = arg[1], .data_is_null = arg[2] == 0};
        EFI_STATUS status;

        if (!edge_of(fw, arg[0]) || !arg[4] || !read_event(fw, arg[4], &request))
                return EFI_INVALID_PARAMETER;
        if (request.type != EV_NO_ACTION && !request.data_is_null &&
                        !ram_view(fw->ram, arg[2], arg[3], &request.data))
                return EFI_INVALID_PARAMETER;
        status = tcg2_hash_log_extend_event(fw->setup.tcg2, &request);
        if (!efi_error(status) || status == EFI_VOLUME_FULL)
                trace_event(fw, request.pcr, request.type, request.event);
        follow(fw);
        return status;
}

/* SubmitCommand(This, InputParameterBlockSize, *Input, OutputParameterBlockSize, *Output); sizes
 * are UINT32 */
static EFI_STATUS run_submit_command(struct firmware *fw, const uint64_t arg[])
{
        uint32_t in_size = (uint32_t)arg[1], out_size = (uint32_t)arg[3];
        _cleanup_buf_ struct buf response = {};
        struct span command;
        EFI_STATUS status;

        if (!edge_of(fw, arg[0]) || in_size == 0 || !arg[2] || out_size == 0 || !arg[4] ||
                        !ram_view(fw->ram, arg[2], in_size, &command) ||
                        !can_write(fw, arg[4], out_size))
                return EFI_INVALID_PARAMETER;
        status = tcg2_submit_command(fw->setup.tcg2, command, out_size, &response);
        if (!efi_error(status) && !ram_write(fw->ram, arg[4], response.data, response.size))
                status = EFI_DEVICE_ERROR;
        follow(fw);
        return status;
}

/* GetActivePcrBanks(This, *ActivePcrBanks) */
static EFI_STATUS run_get_active_pcr_banks(struct firmware *fw, const uint64_t arg[])
{
        if (!edge_of(fw, arg[0]) || !arg[1] ||
                        !ram_put_u32(fw->ram, arg[1], tcg2_active_pcr_banks(fw->setup.tcg2)))
                return EFI_INVALID_PARAMETER;
        return EFI_SUCCESS;
}

/* SetActivePcrBanks(This, ActivePcrBanks) */
static EFI_STATUS run_set_active_pcr_banks(struct firmware *fw, const uint64_t arg[])
{
        if (!edge_of(fw, arg[0]))
                return EFI_INVALID_PARAMETER;
        return tcg2_set_active_pcr_banks(fw->setup.tcg2, (uint32_t)arg[1]);
}

/* GetResultOfSetActivePcrBanks(This, *OperationPresent, *Response) */
static EFI_STATUS run_get_result_of_set_active_pcr_banks(struct firmware *fw, const uint64_t arg[])
{
        uint32_t present, response;
        EFI_STATUS status;

        if (!edge_of(fw, arg[0]) || !arg[1] || !arg[2] || !can_write(fw, arg[1], 4) ||
                        !can_write(fw, arg[2], 4))
                return EFI_INVALID_PARAMETER;
        status = tcg2_get_result_of_set_active_pcr_banks(fw->setup.tcg2, &present, &response);
        if (efi_error(status))
                return status;
        ram_put_u32(fw->ram, arg[1], present);
        ram_put_u32(fw->ram, arg[2], response);
        return EFI_SUCCESS;
}

static const struct fw_service functions[] = {
                {"TCG2.GetCapability", "pp", run_get_capability},
                {"TCG2.GetEventLog", "pnPPB", run_get_event_log},
                {"TCG2.HashLogExtendEvent", "pnpnp", run_hash_log_extend_event},
                {"TCG2.SubmitCommand", "pnpnp", run_submit_command},
                {"TCG2.GetActivePcrBanks", "pW", run_get_active_pcr_banks},
                {"TCG2.SetActivePcrBanks", "pn", run_set_active_pcr_banks},
                {"TCG2.GetResultOfSetActivePcrBanks", "pWW",
                                run_get_result_of_set_active_pcr_banks},
};

static void forget_edge(void *edge)
{
        free(edge);
}

int fw_tcg2_setup(struct firmware *fw, struct error *error)
{
        _cleanup_free_ struct fw_tcg2 *edge = NULL;
        struct tcg2 *tcg2 = fw->setup.tcg2;
        uint64_t address, handle = 0;

        if (!tcg2)
                return 0;
        edge = calloc(1, sizeof(*edge));
        if (!edge)
                return error_set(error, ENOMEM, "no memory for the TCG2 protocol");
        if (area_setup(fw, EfiBootServicesData, tcg2_log_area_bytes(tcg2), &edge->agile) < 0 ||
                        area_setup(fw, EfiACPIMemoryNVS, tcg2_final_area_bytes(tcg2),
                                        &edge->final) < 0 ||
                        (tcg2_peek_log(tcg2, EFI_TCG2_EVENT_LOG_FORMAT_TCG_1_2).supported &&
                                        area_setup(fw, EfiBootServicesData,
                                                        tcg2_log_area_bytes(tcg2),
                                                        &edge->sha1) < 0))
                return error_set(error, ENOMEM, "no guest memory for the payload's event log");
        if (fw_object_new(fw, FW_OBJECT_TCG2, 8 * ARRAY_SIZE(functions), edge, forget_edge,
                            &address) < 0)
                return error_set(error, ENOMEM, "no guest memory for the TCG2 protocol");
        fw->tcg2 = TAKE_PTR(edge); /* the object's from here on */
        if (fw_object_functions(fw, address, 0, functions, ARRAY_SIZE(functions)) < 0 ||
                        efi_error(fw_install_protocol(fw, &handle, &guid_tcg2, address)) ||
                        efi_error(fw_install_config_table(
                                        fw, &guid_tcg2_final_events, fw->tcg2->final.address)))
                return error_set(error, ENOMEM, "no guest memory for the TCG2 protocol");
        follow(fw);
        return 0;
}

/* ---- what firmware measures itself ---- */

/* TCG PC Client Platform Firmware Profile 1.06, 3.3.4.5; edk2's DxeTpm2MeasureBootLib. */
static const struct image_row {
        uint16_t subsystem;
        uint8_t pcr;
        uint32_t type;
} image_rows[] = {
                {IMAGE_SUBSYSTEM_EFI_APPLICATION, 4, EV_EFI_BOOT_SERVICES_APPLICATION},
                {IMAGE_SUBSYSTEM_EFI_BOOT_SERVICE_DRIVER, 2, EV_EFI_BOOT_SERVICES_DRIVER},
                {IMAGE_SUBSYSTEM_EFI_RUNTIME_DRIVER, 2, EV_EFI_RUNTIME_SERVICES_DRIVER},
};

static const struct image_row *find_image_row(uint16_t subsystem)
{
        for (size_t i = 0; i < ARRAY_SIZE(image_rows); i++)
                if (image_rows[i].subsystem == subsystem)
                        return &image_rows[i];
        return NULL;
}

EFI_STATUS fw_measure_image(struct firmware *fw, struct span file, struct span device_path,
                uint64_t link_time_address, uint16_t subsystem)
{
        const struct image_row *row = find_image_row(subsystem);
        _cleanup_buf_ struct buf event = {};
        EFI_STATUS status;

        if (!fw->setup.tcg2)
                return EFI_SUCCESS;
        if (!row)
                return EFI_UNSUPPORTED;
        /* UEFI_IMAGE_LOAD_EVENT. ImageLocationInMemory is where the file's buffer was, which means
         * nothing to a verifier; here it is 0, because the opening event commits to the event data
         * and a prediction must not depend on which memory happened to be free.
         * ImageLengthInMemory: the file's size, as edk2 writes it. */
        buf_put_u64(&event, 0);
        buf_put_u64(&event, file.size);
        buf_put_u64(&event, link_time_address);
        buf_put_u64(&event, device_path.size);
        buf_put_span(&event, device_path);
        if (buf_failed(&event))
                return EFI_OUT_OF_RESOURCES;
        status = tcg2_measure(
                        fw->setup.tcg2, PE_COFF_IMAGE, row->pcr, row->type, file, buf_span(&event));
        if (!efi_error(status))
                trace_event(fw, row->pcr, row->type, buf_span(&event));
        follow(fw);
        return status;
}

EFI_STATUS fw_measure(struct firmware *fw, uint32_t pcr, uint32_t type, struct span data)
{
        EFI_STATUS status = tcg2_measure(fw->setup.tcg2, 0, pcr, type, data, data);

        if (!efi_error(status))
                trace_event(fw, pcr, type, data);
        follow(fw); /* which stops the run if that failed */
        return status;
}

void fw_measure_exit_boot_services(struct firmware *fw, bool returned, EFI_STATUS status)
{
        const char *text = "Exit Boot Services Invocation";
        struct span bytes;

        if (!fw->setup.tcg2)
                return;
        if (returned)
                text = efi_error(status) ? "Exit Boot Services Returned with Failure"
                                         : "Exit Boot Services Returned with Success";
        bytes = SPAN(text, strlen(text));
        (void)fw_measure(fw, 5, EV_EFI_ACTION, bytes);
}

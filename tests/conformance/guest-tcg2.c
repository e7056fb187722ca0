/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Conformance of EFI_TCG2_PROTOCOL (TCG EFI Protocol Specification, family 2.0, 6.4 to 6.10): each
 * function with each status that the specification documents for it, and how it is provoked. Where
 * edk2 does otherwise it is edk2's, and docs/spec-map.md says so. The machine has the banks SHA-1
 * and SHA-256, and no TPM behind them. */
#include "guest.h"

enum { BANKS = 3, HEADER = 14, ONE_0_BYTES = 28, ONE_1_BYTES = 36 };

static struct tcg2 *tcg2;

/* EFI_TCG2_BOOT_SERVICE_CAPABILITY, 6.4.4 */
static struct {
        uint8_t size, structure[2], protocol[2], pad[3];
        uint32_t algorithms, logs;
        uint8_t present, pad2;
        uint16_t max_command, max_response;
        uint8_t pad3[2];
        uint32_t manufacturer, n_banks, active;
} capability;

static struct {
        struct tcg2_event event;
        uint8_t data[64];
} __attribute__((packed)) request;

static status measure(uint64_t flags, uint32_t pcr, uint32_t type, uint64_t data, uint64_t size)
{
        request.event = (struct tcg2_event){18 + 4, HEADER, 1, pcr, type};
        bs->copy_mem(request.data, "text", 4);
        return tcg2->hash_log_extend_event(tcg2, flags, data, size, &request.event);
}

/* ---- GetCapability ---- */

static status capability_of_size(uint8_t size)
{
        bs->set_mem(&capability, sizeof(capability), 0xee);
        capability.size = size;
        return tcg2->get_capability(tcg2, &capability);
}

static status capability_1_1(void)
{
        status s = capability_of_size(ONE_1_BYTES);

        CHECK_EQ(capability.size, ONE_1_BYTES);
        CHECK(capability.structure[0] == 1 && capability.structure[1] == 1);
        CHECK(capability.protocol[0] == 1 && capability.protocol[1] == 1);
        CHECK_EQ(capability.algorithms, BANKS);
        CHECK_EQ(capability.logs, 3);
        CHECK_EQ(capability.present, 1);
        CHECK(capability.max_command >= 1024 && capability.max_response >= 1024);
        CHECK_EQ(capability.n_banks, 2);
        CHECK_EQ(capability.active, BANKS);
        return s;
}

static status capability_larger(void)
{
        status s = capability_of_size(255);

        CHECK_EQ(capability.size, ONE_1_BYTES);
        return s;
}

static status capability_1_0(void)
{
        status s = capability_of_size(ONE_0_BYTES);

        CHECK_EQ(capability.size, ONE_0_BYTES);
        CHECK(capability.structure[0] == 1 && capability.structure[1] == 0);
        CHECK_EQ(capability.n_banks, 0xeeeeeeee); /* not touched */
        return s;
}

static status capability_between(void)
{
        status s = capability_of_size(ONE_1_BYTES - 1);

        CHECK_EQ(capability.size, ONE_0_BYTES);
        CHECK_EQ(capability.n_banks, 0xeeeeeeee);
        return s;
}

static status capability_small(void)
{
        status s = capability_of_size(ONE_0_BYTES - 1);

        CHECK_EQ(capability.size, ONE_1_BYTES);
        CHECK_EQ(capability.structure[0], 0xee); /* nothing but Size */
        return s;
}

static status capability_none(void)
{
        status s = capability_of_size(0);

        CHECK_EQ(capability.size, ONE_1_BYTES);
        return s;
}

static status capability_null(void)
{
        return tcg2->get_capability(tcg2, NULL);
}

static status capability_no_this(void)
{
        capability.size = ONE_1_BYTES;
        return tcg2->get_capability(NULL, &capability);
}

/* ---- GetEventLog ---- */

static status log_of_format(uint32_t format)
{
        uint64_t location = 0, last = 0;
        bool truncated = true;
        status s = tcg2->get_event_log(tcg2, format, &location, &last, &truncated);

        if (s == SUCCESS) {
                CHECK(location != 0 && last > location);
                CHECK_EQ(truncated, false);
                CHECK_EQ(*(uint32_t *)location, 0); /* PCR 0, EV_NO_ACTION */
                CHECK_EQ(*(uint32_t *)(location + 4), format == 2 ? EV_NO_ACTION : 0x80000003);
        }
        return s;
}

static status log_agile(void)
{
        uint64_t location;
        status s = log_of_format(2);

        CHECK_EQ(tcg2->get_event_log(tcg2, 2, &location, NULL, NULL), SUCCESS); /* as edk2 */
        CHECK(same_bytes((void *)(location + 32), "Spec ID Event03", 16));
        return s;
}

static status log_sha1(void)
{
        uint64_t location, last;
        bool truncated;
        status s = tcg2->get_event_log(tcg2, 1, &location, &last, &truncated);

        CHECK_EQ(*(uint32_t *)location, 4); /* the image, in PCR 4 */
        return s;
}

static status log_of_nothing(void)
{
        return log_of_format(0);
}

static status log_of_both(void)
{
        return log_of_format(3);
}

static status log_unknown(void)
{
        return log_of_format(0x20);
}

static status log_no_this(void)
{
        uint64_t a, b;
        bool c;

        return tcg2->get_event_log(NULL, 2, &a, &b, &c);
}

/* ---- HashLogExtendEvent ---- */

static status extend(void)
{
        uint64_t location, last;
        bool truncated;
        status s = measure(0, 16, EV_POST_CODE, (uint64_t) "abc", 3);

        CHECK_EQ(tcg2->get_event_log(tcg2, 2, &location, &last, &truncated), SUCCESS);
        CHECK_EQ(*(uint32_t *)last, 16);
        CHECK_EQ(*(uint32_t *)(last + 4), EV_POST_CODE);
        CHECK_EQ(*(uint32_t *)(last + 8), 2);
        /* SHA-1 and SHA-256 of "abc", FIPS 180-4's example */
        CHECK(same_bytes((void *)(last + 14), "\xa9\x99\x3e\x36\x47\x06\x81\x6a", 8));
        CHECK(same_bytes((void *)(last + 36), "\xba\x78\x16\xbf\x8f\x01\xcf\xea", 8));
        return s;
}

static status extend_nothing(void)
{
        return measure(0, 16, EV_POST_CODE, (uint64_t) "", 0);
}

static status extend_image(void)
{
        uint64_t size;
        void *child = read_file(u"\\child.efi", &size);

        return measure(PE_COFF_IMAGE, 16, EV_POST_CODE, (uint64_t)child, size);
}

static status extend_without_log(void)
{
        uint64_t location, before, after;
        bool truncated;
        status s;

        CHECK_EQ(tcg2->get_event_log(tcg2, 2, &location, &before, &truncated), SUCCESS);
        s = measure(EXTEND_ONLY, 16, EV_POST_CODE, (uint64_t) "abc", 3);
        CHECK_EQ(tcg2->get_event_log(tcg2, 2, &location, &after, &truncated), SUCCESS);
        CHECK_EQ(after, before);
        return s;
}

static status extend_no_action(void)
{
        return measure(0, 0, EV_NO_ACTION, 0, 0); /* as edk2: NULL is right for this type */
}

static status extend_null(void)
{
        return measure(0, 16, EV_POST_CODE, 0, 0);
}

static status extend_no_event(void)
{
        return tcg2->hash_log_extend_event(tcg2, 0, (uint64_t) "abc", 3, NULL);
}

static status extend_no_this(void)
{
        return tcg2->hash_log_extend_event(NULL, 0, (uint64_t) "abc", 3, &request.event);
}

static status extend_short(void)
{
        request.event = (struct tcg2_event){HEADER + 3, HEADER, 1, 16, EV_POST_CODE};
        return tcg2->hash_log_extend_event(tcg2, 0, (uint64_t) "abc", 3, &request.event);
}

static status extend_pcr_24(void)
{
        return measure(0, 24, EV_POST_CODE, (uint64_t) "abc", 3);
}

static status extend_no_image(void)
{
        return measure(PE_COFF_IMAGE, 16, EV_POST_CODE, (uint64_t) "abc", 3);
}

static status extend_full(void)
{
        static uint8_t data[0x1000];
        static struct {
                struct tcg2_event event;
                uint8_t data[sizeof(data)];
        } __attribute__((packed)) large;
        uint64_t location, last;
        bool truncated;
        status s = SUCCESS;

        for (int i = 0; i < 40; i++) { /* the final events table is full before the log is */
                large.event = (struct tcg2_event){18 + sizeof(data), HEADER, 1, 16, EV_POST_CODE};
                s = tcg2->hash_log_extend_event(
                                tcg2, 0, (uint64_t)data, sizeof(data), &large.event);
        }
        CHECK_EQ(tcg2->get_event_log(tcg2, 2, &location, &last, &truncated), SUCCESS);
        CHECK_EQ(truncated, true);
        return s;
}

/* ---- SubmitCommand ---- */

/* PCR_Read of PCR 16 in SHA-256, which is the payload's view and needs no TPM. */
static const uint8_t pcr_read[] = {
                0x80, 1, 0, 0, 0, 20, 0, 0, 1, 0x7e, 0, 0, 0, 1, 0, 11, 3, 0, 0, 1};
static uint8_t response[256];

static status submit(void)
{
        status s = tcg2->submit_command(
                        tcg2, sizeof(pcr_read), pcr_read, sizeof(response), response);

        CHECK(same_bytes(response, "\x80\x01\0\0\0\x3e\0\0\0\0", 10));
        return s;
}

static status submit_refused(void)
{
        static const uint8_t clear[] = {0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0x26};
        status s = tcg2->submit_command(tcg2, sizeof(clear), clear, sizeof(response), response);

        CHECK(same_bytes(response, "\x80\x01\0\0\0\x0a\0\0\1\x43", 10)); /* TPM_RC_COMMAND_CODE */
        return s;
}

static status submit_without_tpm(void)
{
        static const uint8_t get_random[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8};

        return tcg2->submit_command(
                        tcg2, sizeof(get_random), get_random, sizeof(response), response);
}

static status submit_short(void)
{
        status s;

        response[0] = 0xee;
        s = tcg2->submit_command(tcg2, sizeof(pcr_read), pcr_read, 61, response);
        CHECK_EQ(response[0], 0xee);
        return s;
}

static status submit_nothing(void)
{
        return tcg2->submit_command(tcg2, 0, pcr_read, sizeof(response), response);
}

static status submit_null(void)
{
        return tcg2->submit_command(tcg2, 20, NULL, sizeof(response), response);
}

static status submit_no_room(void)
{
        return tcg2->submit_command(tcg2, 20, pcr_read, 0, response);
}

static status submit_to_null(void)
{
        return tcg2->submit_command(tcg2, 20, pcr_read, sizeof(response), NULL);
}

static status submit_too_large(void)
{
        static uint8_t large[8192];

        CHECK_EQ(capability_of_size(ONE_1_BYTES), SUCCESS);
        return tcg2->submit_command(
                        tcg2, capability.max_command + 1u, large, sizeof(response), response);
}

static status submit_too_much_room(void)
{
        static uint8_t large[8192];

        CHECK_EQ(capability_of_size(ONE_1_BYTES), SUCCESS);
        return tcg2->submit_command(
                        tcg2, sizeof(pcr_read), pcr_read, capability.max_response + 1u, large);
}

/* ---- banks ---- */

static status active(void)
{
        uint32_t banks = 0;
        status s = tcg2->get_active_pcr_banks(tcg2, &banks);

        CHECK_EQ(banks, BANKS);
        return s;
}

static status active_null(void)
{
        return tcg2->get_active_pcr_banks(tcg2, NULL);
}

static status set_same(void)
{
        return tcg2->set_active_pcr_banks(tcg2, BANKS);
}

static status set_none(void)
{
        return tcg2->set_active_pcr_banks(tcg2, 0);
}

static status set_unknown(void)
{
        return tcg2->set_active_pcr_banks(tcg2, 4);
}

static status set_fewer(void)
{
        return tcg2->set_active_pcr_banks(tcg2, 2);
}

static status result(void)
{
        uint32_t present = 9, answer = 9;
        status s = tcg2->get_result_of_set_active_pcr_banks(tcg2, &present, &answer);

        CHECK_EQ(present, 0);
        return s;
}

static status result_null(void)
{
        uint32_t there;

        return tcg2->get_result_of_set_active_pcr_banks(tcg2, &there, NULL);
}

static status result_null_first(void)
{
        uint32_t there;

        return tcg2->get_result_of_set_active_pcr_banks(tcg2, NULL, &there);
}

/* ---- the table ---- */

/* Not here: EFI_DEVICE_ERROR of GetCapability and HashLogExtendEvent. A TPM that doesn't answer
 * ends the run. */
static const struct {
        const char *name;
        status answer, (*provoke)(void);
} rows[] = {
                {"GetCapability: SUCCESS: 1.1", SUCCESS, capability_1_1},
                {"GetCapability: SUCCESS: more room than it takes", SUCCESS, capability_larger},
                {"GetCapability: SUCCESS: a caller of 1.0", SUCCESS, capability_1_0},
                {"GetCapability: SUCCESS: between 1.0 and 1.1", SUCCESS, capability_between},
                {"GetCapability: BUFFER_TOO_SMALL: 27 bytes", BUFFER_TOO_SMALL, capability_small},
                {"GetCapability: BUFFER_TOO_SMALL: none", BUFFER_TOO_SMALL, capability_none},
                {"GetCapability: INVALID_PARAMETER: NULL", INVALID_PARAMETER, capability_null},
                {"GetCapability: INVALID_PARAMETER: no This", INVALID_PARAMETER,
                                capability_no_this},
                {"GetEventLog: SUCCESS: TCG_2", SUCCESS, log_agile},
                {"GetEventLog: SUCCESS: TCG_1_2", SUCCESS, log_sha1},
                {"GetEventLog: INVALID_PARAMETER: format 0", INVALID_PARAMETER, log_of_nothing},
                {"GetEventLog: INVALID_PARAMETER: both formats", INVALID_PARAMETER, log_of_both},
                {"GetEventLog: INVALID_PARAMETER: unknown format", INVALID_PARAMETER, log_unknown},
                {"GetEventLog: INVALID_PARAMETER: no This", INVALID_PARAMETER, log_no_this},
                {"HashLogExtendEvent: SUCCESS", SUCCESS, extend},
                {"HashLogExtendEvent: SUCCESS: no bytes", SUCCESS, extend_nothing},
                {"HashLogExtendEvent: SUCCESS: PE_COFF_IMAGE", SUCCESS, extend_image},
                {"HashLogExtendEvent: SUCCESS: EXTEND_ONLY", SUCCESS, extend_without_log},
                {"HashLogExtendEvent: SUCCESS: EV_NO_ACTION", SUCCESS, extend_no_action},
                {"HashLogExtendEvent: INVALID_PARAMETER: no data", INVALID_PARAMETER, extend_null},
                {"HashLogExtendEvent: INVALID_PARAMETER: no event", INVALID_PARAMETER,
                                extend_no_event},
                {"HashLogExtendEvent: INVALID_PARAMETER: no This", INVALID_PARAMETER,
                                extend_no_this},
                {"HashLogExtendEvent: INVALID_PARAMETER: Size", INVALID_PARAMETER, extend_short},
                {"HashLogExtendEvent: INVALID_PARAMETER: PCR 24", INVALID_PARAMETER, extend_pcr_24},
                {"HashLogExtendEvent: UNSUPPORTED: no PE image", UNSUPPORTED, extend_no_image},
                {"SubmitCommand: SUCCESS", SUCCESS, submit},
                {"SubmitCommand: SUCCESS: a command that is refused", SUCCESS, submit_refused},
                {"SubmitCommand: DEVICE_ERROR: no TPM", DEVICE_ERROR, submit_without_tpm},
                {"SubmitCommand: BUFFER_TOO_SMALL", BUFFER_TOO_SMALL, submit_short},
                {"SubmitCommand: INVALID_PARAMETER: no input", INVALID_PARAMETER, submit_nothing},
                {"SubmitCommand: INVALID_PARAMETER: NULL", INVALID_PARAMETER, submit_null},
                {"SubmitCommand: INVALID_PARAMETER: no room", INVALID_PARAMETER, submit_no_room},
                {"SubmitCommand: INVALID_PARAMETER: to NULL", INVALID_PARAMETER, submit_to_null},
                {"SubmitCommand: INVALID_PARAMETER: more than MaxCommandSize", INVALID_PARAMETER,
                                submit_too_large},
                {"SubmitCommand: INVALID_PARAMETER: more than MaxResponseSize", INVALID_PARAMETER,
                                submit_too_much_room},
                {"GetActivePcrBanks: SUCCESS", SUCCESS, active},
                {"GetActivePcrBanks: INVALID_PARAMETER: NULL", INVALID_PARAMETER, active_null},
                {"SetActivePcrBanks: SUCCESS: what is active", SUCCESS, set_same},
                {"SetActivePcrBanks: INVALID_PARAMETER: none", INVALID_PARAMETER, set_none},
                {"SetActivePcrBanks: INVALID_PARAMETER: not supported", INVALID_PARAMETER,
                                set_unknown},
                {"SetActivePcrBanks: UNSUPPORTED: others", UNSUPPORTED, set_fewer},
                {"GetResultOfSetActivePcrBanks: SUCCESS", SUCCESS, result},
                {"GetResultOfSetActivePcrBanks: INVALID_PARAMETER: NULL", INVALID_PARAMETER,
                                result_null},
                {"GetResultOfSetActivePcrBanks: INVALID_PARAMETER: NULL first", INVALID_PARAMETER,
                                result_null_first},
                /* the last one: the log stays full */
                {"HashLogExtendEvent: VOLUME_FULL", VOLUME_FULL, extend_full},
};

static size_t current;

static void provoke(void)
{
        CHECK_EQ(rows[current].provoke(), rows[current].answer);
}

void test_tcg2(void)
{
        static const struct guid g = GUID_TCG2;

        tcg2 = protocol(&g);
        CHECK(tcg2);
        for (current = 0; tcg2 && current < sizeof(rows) / sizeof(rows[0]); current++)
                tap_test(rows[current].name, provoke);
}

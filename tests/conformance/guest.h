/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What our own EFI programs need of UEFI 2.10: tables and protocols as C sees them, and TAP lines
 * on the console. Freestanding, ms_abi throughout; nothing of mkexec is included, so that both
 * sides were written from the specification. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t status;
typedef void *handle;
typedef void *event;
typedef __CHAR16_TYPE__ char16;

#define ERR(n)              (1ull << 63 | (n))
#define SUCCESS             0ull
#define LOAD_ERROR          ERR(1)
#define INVALID_PARAMETER   ERR(2)
#define UNSUPPORTED         ERR(3)
#define BUFFER_TOO_SMALL    ERR(5)
#define NOT_READY           ERR(6)
#define DEVICE_ERROR        ERR(7)
#define WRITE_PROTECTED     ERR(8)
#define OUT_OF_RESOURCES    ERR(9)
#define VOLUME_FULL         ERR(11)
#define NOT_FOUND           ERR(14)
#define ACCESS_DENIED       ERR(15)
#define ALREADY_STARTED     ERR(20)
#define ABORTED             ERR(21)
#define SECURITY_VIOLATION  ERR(26)
#define WARN_DELETE_FAILURE 2ull

struct guid {
        uint32_t a;
        uint16_t b, c;
        uint8_t d[8];
};

struct table_header {
        uint64_t signature;
        uint32_t revision, size, crc32, reserved;
};

struct memory_descriptor {
        uint32_t type, pad;
        uint64_t physical_start, virtual_start, n_pages, attribute;
};

typedef void notify_function(event e, void *context);

struct boot_services {
        struct table_header header;
        uint64_t (*raise_tpl)(uint64_t new);
        void (*restore_tpl)(uint64_t old);
        status (*allocate_pages)(int type, int memory_type, uint64_t n, uint64_t *address);
        status (*free_pages)(uint64_t address, uint64_t n);
        status (*get_memory_map)(uint64_t *size, void *map, uint64_t *key,
                        uint64_t *descriptor_size, uint32_t *version);
        status (*allocate_pool)(int type, uint64_t size, void **buffer);
        status (*free_pool)(void *buffer);
        status (*create_event)(uint32_t type, uint64_t tpl, notify_function *notify, void *context,
                        event *e);
        status (*set_timer)(event e, int type, uint64_t time);
        status (*wait_for_event)(uint64_t n, event *e, uint64_t *index);
        status (*signal_event)(event e);
        status (*close_event)(event e);
        status (*check_event)(event e);
        status (*install_protocol)(handle *h, const struct guid *g, int type, void *interface);
        status (*reinstall_protocol)(handle h, const struct guid *g, void *old, void *new);
        status (*uninstall_protocol)(handle h, const struct guid *g, void *interface);
        status (*handle_protocol)(handle h, const struct guid *g, void **interface);
        status (*reserved)(void);
        status (*register_protocol_notify)(const struct guid *g, event e, void **registration);
        status (*locate_handle)(
                        int type, const struct guid *g, void *key, uint64_t *size, handle *buffer);
        status (*locate_device_path)(const struct guid *g, void **path, handle *h);
        status (*install_configuration_table)(const struct guid *g, void *table);
        status (*load_image)(bool boot_policy, handle parent, void *path, void *source,
                        uint64_t size, handle *h);
        status (*start_image)(handle h, uint64_t *data_size, char16 **data);
        status (*exit)(handle h, status s, uint64_t data_size, char16 *data);
        status (*unload_image)(handle h);
        status (*exit_boot_services)(handle h, uint64_t key);
        status (*get_next_monotonic_count)(uint64_t *count);
        status (*stall)(uint64_t microseconds);
        status (*set_watchdog_timer)(uint64_t timeout, uint64_t code, uint64_t size, char16 *data);
        status (*connect_controller)(handle h, handle *drivers, void *path, bool recursive);
        status (*disconnect_controller)(handle h, handle driver, handle child);
        status (*open_protocol)(handle h, const struct guid *g, void **interface, handle agent,
                        handle controller, uint32_t attributes);
        status (*close_protocol)(handle h, const struct guid *g, handle agent, handle controller);
        status (*open_protocol_information)(
                        handle h, const struct guid *g, void **entries, uint64_t *n);
        status (*protocols_per_handle)(handle h, struct guid ***protocols, uint64_t *n);
        status (*locate_handle_buffer)(
                        int type, const struct guid *g, void *key, uint64_t *n, handle **buffer);
        status (*locate_protocol)(const struct guid *g, void *registration, void **interface);
        status (*install_multiple)(handle *h, ...);
        status (*uninstall_multiple)(handle h, ...);
        status (*calculate_crc32)(const void *data, uint64_t size, uint32_t *crc);
        void (*copy_mem)(void *to, const void *from, uint64_t size);
        void (*set_mem)(void *buffer, uint64_t size, uint8_t value);
        status (*create_event_ex)(uint32_t type, uint64_t tpl, notify_function *notify,
                        const void *context, const struct guid *group, event *e);
};

struct runtime_services {
        struct table_header header;
        status (*get_time)(void *time, void *capabilities);
        status (*set_time)(void *time);
        status (*get_wakeup_time)(bool *enabled, bool *pending, void *time);
        status (*set_wakeup_time)(bool enable, void *time);
        status (*set_virtual_address_map)(
                        uint64_t size, uint64_t descriptor_size, uint32_t version, void *map);
        status (*convert_pointer)(uint64_t debug, void **address);
        status (*get_variable)(const char16 *name, const struct guid *vendor, uint32_t *attributes,
                        uint64_t *size, void *data);
        status (*get_next_variable_name)(uint64_t *size, char16 *name, struct guid *vendor);
        status (*set_variable)(const char16 *name, const struct guid *vendor, uint32_t attributes,
                        uint64_t size, const void *data);
        status (*get_next_high_monotonic_count)(uint32_t *count);
        void (*reset_system)(int type, status s, uint64_t size, void *data);
        status (*update_capsule)(void **headers, uint64_t n, uint64_t list);
        status (*query_capsule_capabilities)(void **headers, uint64_t n, uint64_t *size, int *type);
        status (*query_variable_info)(uint32_t attributes, uint64_t *maximum, uint64_t *remaining,
                        uint64_t *largest);
};

struct text_output {
        status (*reset)(struct text_output *this, bool extended);
        status (*output_string)(struct text_output *this, const char16 *text);
};

struct configuration_table {
        struct guid guid;
        void *table;
};

struct system_table {
        struct table_header header;
        char16 *firmware_vendor;
        uint32_t firmware_revision;
        handle con_in_handle;
        void *con_in;
        handle con_out_handle;
        struct text_output *con_out;
        handle std_err_handle;
        void *std_err;
        struct runtime_services *rt;
        struct boot_services *bs;
        uint64_t n_tables;
        struct configuration_table *tables;
};

struct loaded_image {
        uint32_t revision;
        handle parent;
        struct system_table *system_table;
        handle device;
        void *file_path;
        void *reserved;
        uint32_t load_options_size;
        char16 *load_options;
        void *base;
        uint64_t size;
        int code_type, data_type;
        status (*unload)(handle h);
};

struct file {
        uint64_t revision;
        status (*open)(struct file *this, struct file **new, const char16 *name, uint64_t mode,
                        uint64_t attributes);
        status (*close)(struct file *this);
        status (*delete)(struct file *this);
        status (*read)(struct file *this, uint64_t *size, void *buffer);
        status (*write)(struct file *this, uint64_t *size, void *buffer);
        status (*get_position)(struct file *this, uint64_t *position);
        status (*set_position)(struct file *this, uint64_t position);
        status (*get_info)(struct file *this, const struct guid *g, uint64_t *size, void *buffer);
        status (*set_info)(struct file *this, const struct guid *g, uint64_t size, void *buffer);
        status (*flush)(struct file *this);
        status (*open_ex)(struct file *this, struct file **new, const char16 *name, uint64_t mode,
                        uint64_t attributes, void *token);
        status (*read_ex)(struct file *this, void *token);
        status (*write_ex)(struct file *this, void *token);
        status (*flush_ex)(struct file *this, void *token);
};

struct file_info {
        uint64_t size, file_size, physical_size;
        uint8_t times[48];
        uint64_t attribute;
        char16 name[1];
};

struct file_system {
        uint64_t revision;
        status (*open_volume)(struct file_system *this, struct file **root);
};

struct tcg2_event {
        uint32_t size, header_size;
        uint16_t header_version;
        uint32_t pcr, type;
        uint8_t data[];
} __attribute__((packed));

struct tcg2 {
        status (*get_capability)(struct tcg2 *this, void *capability);
        status (*get_event_log)(struct tcg2 *this, uint32_t format, uint64_t *location,
                        uint64_t *last, bool *truncated);
        status (*hash_log_extend_event)(struct tcg2 *this, uint64_t flags, uint64_t data,
                        uint64_t size, struct tcg2_event *event);
        status (*submit_command)(struct tcg2 *this, uint32_t in_size, const void *in,
                        uint32_t out_size, void *out);
        status (*get_active_pcr_banks)(struct tcg2 *this, uint32_t *banks);
        status (*set_active_pcr_banks)(struct tcg2 *this, uint32_t banks);
        status (*get_result_of_set_active_pcr_banks)(
                        struct tcg2 *this, uint32_t *present, uint32_t *response);
};

enum { EXTEND_ONLY = 1, PE_COFF_IMAGE = 16 };
enum { EV_POST_CODE = 1, EV_NO_ACTION = 3, EV_EVENT_TAG = 6, EV_IPL = 13 };

struct load_file2 {
        status (*load_file)(struct load_file2 *this, void *path, bool boot_policy, uint64_t *size,
                        void *buffer);
};

enum { LOADER_CODE = 1, LOADER_DATA = 2, BOOT_DATA = 4, CONVENTIONAL = 7, ACPI_RECLAIM = 9 };
enum { ANY_PAGES, MAX_ADDRESS, ADDRESS };
enum { ALL_HANDLES, BY_REGISTER_NOTIFY, BY_PROTOCOL };
enum { TPL_APPLICATION = 4, TPL_CALLBACK = 8, TPL_NOTIFY = 16 };
#define EVT_TIMER         0x80000000u
#define EVT_NOTIFY_WAIT   0x100u
#define EVT_NOTIFY_SIGNAL 0x200u
#define EVT_SIGNAL_EBS    0x201u

#define GUID_LOADED_IMAGE                                              \
        {                                                              \
                0x5b1b31a1, 0x9562, 0x11d2,                            \
                {                                                      \
                        0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b \
                }                                                      \
        }
#define GUID_LOADED_IMAGE_PATH                                         \
        {                                                              \
                0xbc62157e, 0x3e33, 0x4fec,                            \
                {                                                      \
                        0x99, 0x20, 0x2d, 0x3b, 0x36, 0xd7, 0x50, 0xdf \
                }                                                      \
        }
#define GUID_DEVICE_PATH                                               \
        {                                                              \
                0x09576e91, 0x6d3f, 0x11d2,                            \
                {                                                      \
                        0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b \
                }                                                      \
        }
#define GUID_FILE_SYSTEM                                               \
        {                                                              \
                0x964e5b22, 0x6459, 0x11d2,                            \
                {                                                      \
                        0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b \
                }                                                      \
        }
#define GUID_FILE_INFO                                                 \
        {                                                              \
                0x09576e92, 0x6d3f, 0x11d2,                            \
                {                                                      \
                        0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b \
                }                                                      \
        }
#define GUID_LOAD_FILE2                                                \
        {                                                              \
                0x4006c0c1, 0xfcb3, 0x403e,                            \
                {                                                      \
                        0x99, 0x6d, 0x4a, 0x6c, 0x87, 0x24, 0xe0, 0x6d \
                }                                                      \
        }
#define GUID_TCG2                                                      \
        {                                                              \
                0x607f766c, 0x7455, 0x42be,                            \
                {                                                      \
                        0x93, 0x0b, 0xe4, 0xd7, 0x6d, 0xb2, 0x72, 0x0f \
                }                                                      \
        }
#define GUID_GLOBAL_VARIABLE                                           \
        {                                                              \
                0x8be4df61, 0x93ca, 0x11d2,                            \
                {                                                      \
                        0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c \
                }                                                      \
        }
#define GUID_TEST(n)                                \
        {                                           \
                0x7e57ab1e, 0x0001, (n),            \
                {                                   \
                        0x80, 0, 0, 0, 0, 0, 0, (n) \
                }                                   \
        }

/* The running image's; each program defines them in its entry function. */
extern struct system_table *st;
extern struct boot_services *bs;
extern handle self;

/* ---- guest-tap.c ---- */
void tap_check(bool good, const char *what, int line);
void tap_check_equal(uint64_t got, uint64_t wanted, const char *what, int line);
/* "name line: bad ..." lines stand before the verdict of the test that they belong to. */
void tap_test(const char *name, void (*run)(void));
uint64_t tap_failures(void);

#define CHECK(e)       tap_check((e), #e, __LINE__)
#define CHECK_EQ(a, b) tap_check_equal((uint64_t)(a), (uint64_t)(b), #a, __LINE__)

bool same_bytes(const void *a, const void *b, size_t n);
bool same_text(const char16 *a, const char16 *b);
bool same_guid(const struct guid *a, const struct guid *b);
struct loaded_image *loaded_image_of(handle h);
/* A whole file of our own volume in a pool block; NULL. */
void *read_file(const char16 *name, uint64_t *size);
/* An interface that there is once; NULL. */
void *protocol(const struct guid *g);
/* GetMemoryMap and ExitBootServices. */
status leave_boot_services(void);

/* One call in one phase (guest-phases.c): "<b03", "=b03", ">b03". */
status run_phase(const char16 *mode);

/* ---- the groups of tests ---- */
void test_memory_services(void);
void test_event_services(void);
void test_protocol_services(void);
void test_image_services(void);
void test_tcg2(void);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See esp.h. The partition's place comes from sysfs and its GPT entry; the full device path, which
 * only firmware knows, from the image-load events of the firmware log. */
#include "shim/esp.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/efi-types.h"
#include "eventlog/event.h"
#include "eventlog/parse.h"
#include "base/device-path.h"

struct partition {
        uint32_t number;
        uint64_t start, size; /* in logical blocks */
        EFI_GUID guid;
        bool known;
};

static void put_hard_drive_node(struct buf *b, const struct partition *p)
{
        _cleanup_buf_ struct buf data = {0};

        buf_put_u32(&data, p->number);
        buf_put_u64(&data, p->start);
        buf_put_u64(&data, p->size);
        buf_put(&data, &p->guid, sizeof(p->guid));
        buf_put_u8(&data, 2); /* GPT */
        buf_put_u8(&data, 2); /* the signature is a GUID */
        device_path_put_node(b, DEVICE_PATH_MEDIA, DEVICE_PATH_MEDIA_HARD_DRIVE, buf_span(&data));
        b->failed |= data.failed;
}

/* One number from a sysfs file below /sys/dev/block/MAJOR:MINOR/. */
static bool block_number(dev_t device, const char *name, uint64_t *ret)
{
        _cleanup_fclose_ FILE *f = NULL;
        char path[96];

        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(device), minor(device), name);
        f = fopen(path, "re");
        return f && fscanf(f, "%" SCNu64, ret) == 1;
}

/* udev keeps the partition's GUID where everybody may read it. */
static bool guid_from_udev(dev_t device, EFI_GUID *ret)
{
        static const char key[] = "E:ID_PART_ENTRY_UUID=";
        _cleanup_fclose_ FILE *f = NULL;
        char path[64], line[256];

        snprintf(path, sizeof(path), "/run/udev/data/b%u:%u", major(device), minor(device));
        f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f)) {
                line[strcspn(line, "\n")] = '\0';
                if (strncmp(line, key, sizeof(key) - 1) == 0)
                        return guid_from_text(line + sizeof(key) - 1, ret);
        }
        return false;
}

/* Without udev (an initrd): the GPT entry itself, from the disk's device node. */
static bool guid_from_gpt(dev_t device, uint32_t number, EFI_GUID *ret)
{
        _cleanup_close_ int fd = -1;
        uint64_t block_bytes = 512, entries_lba;
        uint32_t n_entries, entry_bytes;
        uint8_t header[92], entry[32];
        char path[96], line[128], node[160] = "";
        _cleanup_fclose_ FILE *f = NULL;
        struct cursor c;

        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../uevent", major(device),
                        minor(device));
        f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f))
                if (strncmp(line, "DEVNAME=", 8) == 0) {
                        line[strcspn(line, "\n")] = '\0';
                        snprintf(node, sizeof(node), "/dev/%s", line + 8);
                }
        block_number(device, "../queue/logical_block_size", &block_bytes);
        if (!node[0] || block_bytes < 512 || block_bytes > 65536)
                return false;
        fd = open(node, O_RDONLY | O_CLOEXEC);
        if (fd < 0 ||
                        pread(fd, header, sizeof(header), (off_t)block_bytes) !=
                                        (ssize_t)sizeof(header) ||
                        memcmp(header, "EFI PART", 8) != 0)
                return false;
        c = CURSOR(SPAN(header + 72, 16)); /* UEFI 2.10, table 5.5 */
        if (!cursor_u64(&c, &entries_lba) || !cursor_u32(&c, &n_entries) ||
                        !cursor_u32(&c, &entry_bytes))
                return false;
        if (number == 0 || number > n_entries || entry_bytes < 128 || entry_bytes > 4096 ||
                        entries_lba > 1ull << 40)
                return false;
        if (pread(fd, entry, sizeof(entry),
                            (off_t)(entries_lba * block_bytes + (number - 1ull) * entry_bytes)) !=
                        (ssize_t)sizeof(entry))
                return false;
        memcpy(ret, entry + 16, sizeof(*ret));
        return true;
}

static void partition_of(dev_t device, struct partition *ret)
{
        uint64_t number, start, size, block_bytes = 512;

        *ret = (struct partition){0};
        if (!block_number(device, "partition", &number) || number > 4096 ||
                        !block_number(device, "start", &start) ||
                        !block_number(device, "size", &size))
                return;
        /* sysfs counts in 512 bytes, EFI in logical blocks */
        block_number(device, "../queue/logical_block_size", &block_bytes);
        if (block_bytes < 512)
                block_bytes = 512;
        ret->number = (uint32_t)number;
        ret->start = start * 512 / block_bytes;
        ret->size = size * 512 / block_bytes;
        ret->known = guid_from_udev(device, &ret->guid) ||
                     guid_from_gpt(device, ret->number, &ret->guid);
}

/* The device part of one image's path, if it is on the wanted partition (or, without partition, on
 * a whole disk): everything before the first File node. */
static bool device_part(struct span path, const struct partition *p, struct span *ret)
{
        struct cursor c = CURSOR(path);
        struct device_path_node node;
        bool matches = !p->known;
        size_t end = 0;

        while (device_path_next(&c, &node) && node.type != DEVICE_PATH_END) {
                if (node.type == DEVICE_PATH_MEDIA && node.subtype == DEVICE_PATH_MEDIA_FILE)
                        return matches && end > 0 && span_sub(path, 0, end, ret);
                if (node.type == DEVICE_PATH_MEDIA && node.subtype == DEVICE_PATH_MEDIA_HARD_DRIVE)
                        matches = p->known && node.data.size >= 36 &&
                                  memcmp(node.data.data + 20, &p->guid, sizeof(p->guid)) == 0;
                end = c.offset;
        }
        return false;
}

/* Searches the log's image-load events (TCG PFP 10.2.3, UEFI_IMAGE_LOAD_EVENT) for that partition.
 */
static bool path_from_log(struct span log, const struct partition *p, struct buf *ret)
{
        struct event_log parsed;
        struct tcg_event event;
        struct span found = {0};
        size_t offset = 0, index = 0;

        if (log.size == 0 || event_log_open(&parsed, log, NULL) < 0)
                return false;
        while (event_log_next(&parsed, &offset, &index, &event, NULL) > 0) {
                struct cursor c = CURSOR(event.data);
                struct span path;
                uint64_t length;

                if (event.type != EV_EFI_BOOT_SERVICES_APPLICATION)
                        continue;
                if (cursor_skip(&c, 24) && cursor_u64(&c, &length) &&
                                cursor_take(&c, length, &path))
                        device_part(path, p, &found);
        }
        if (found.size == 0)
                return false;
        buf_put_span(ret, found);
        device_path_put_end(ret);
        return true;
}

static void path_of_foreign_folder(struct buf *ret)
{
        device_path_put_node(ret, DEVICE_PATH_HARDWARE, DEVICE_PATH_HARDWARE_VENDOR,
                        SPAN(&guid_mkexec, sizeof(guid_mkexec)));
        device_path_put_end(ret);
}

static bool looks_like_esp(const char *directory)
{
        char path[PATH_MAX];
        struct stat inside, above;

        snprintf(path, sizeof(path), "%s/EFI", directory);
        if (access(path, F_OK) < 0)
                return false;
        snprintf(path, sizeof(path), "%s/..", directory);
        return stat(directory, &inside) == 0 && stat(path, &above) == 0 &&
               inside.st_dev != above.st_dev;
}

static const char *usual_esp(void)
{
        static const char *const places[] = {"/efi", "/boot", "/boot/efi"};
        const char *wanted = getenv("SYSTEMD_ESP_PATH");

        if (wanted && wanted[0] == '/')
                return wanted;
        for (size_t i = 0; i < ARRAY_SIZE(places); i++)
                if (looks_like_esp(places[i]))
                        return places[i];
        return NULL;
}

/* "/efi" and "/efi/EFI/Linux/b.efi" give "\EFI\Linux\b.efi"; NULL if the file isn't below. */
static char *path_below(const char *root, const char *file)
{
        size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
        char *path;

        if (strncmp(root, file, n) != 0 || file[n] != '/')
                return NULL;
        path = strdup(file + n);
        for (char *p = path; p && *p; p++)
                if (*p == '/')
                        *p = '\\';
        return path;
}

static int fill_volume(struct esp *esp, const char *file, struct span log, struct error *error)
{
        struct partition partition;
        struct stat st;

        esp->fd = open(esp->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (esp->fd < 0 || fstat(esp->fd, &st) < 0)
                return error_set(error, errno, "can't open the volume %s: %m", esp->root);
        if (!esp->is_partition) {
                path_of_foreign_folder(&esp->device_path);
        } else {
                partition_of(st.st_dev, &partition);
                if (!path_from_log(log, &partition, &esp->device_path)) {
                        if (partition.known)
                                put_hard_drive_node(&esp->device_path, &partition);
                        device_path_put_end(&esp->device_path);
                }
        }
        if (file)
                esp->file_path = path_below(esp->root, file);
        if ((file && !esp->file_path) || buf_failed(&esp->device_path))
                return error_set(error, ENOMEM, "out of memory");
        return 0;
}

int esp_find(const char *directory, const char *payload, struct span log, struct esp *ret,
                struct error *error)
{
        _cleanup_(esp_release) struct esp esp = ESP_NONE;
        _cleanup_free_ char *file = payload ? realpath(payload, NULL) : NULL;
        _cleanup_free_ char *below = NULL;
        const char *wanted = directory ? directory : usual_esp();
        int r;

        if (payload && !file)
                return error_set(error, errno, "can't find the payload %s: %m", payload);
        if (wanted) {
                esp.root = realpath(wanted, NULL);
                if (!esp.root && directory)
                        return error_set(error, errno, "can't find the ESP %s: %m", directory);
                below = esp.root && file ? path_below(esp.root, file) : NULL;
                esp.is_partition = esp.root && (!file || below);
                if (directory && !esp.is_partition)
                        return error_set(error, EINVAL, "the payload %s isn't below --esp %s",
                                        payload, directory);
        }
        if (!esp.is_partition && !file)
                return error_set(error, ENOENT, "found no ESP; name it with --esp");
        if (!esp.is_partition) {
                free(esp.root);
                esp.root = strdup(file);
                if (!esp.root)
                        return error_set(error, ENOMEM, "out of memory");
                *strrchr(esp.root, '/') = '\0';
                if (!esp.root[0])
                        strcpy(esp.root, "/");
        }
        r = fill_volume(&esp, file, log, error);
        if (r < 0)
                return r;
        *ret = esp;
        esp = ESP_NONE;
        return 0;
}

int esp_set_device_path(struct esp *esp, struct span device_path)
{
        if (!esp->is_partition)
                return 0;
        buf_release(&esp->device_path);
        buf_put_span(&esp->device_path, device_path);
        return buf_failed(&esp->device_path) ? -ENOMEM : 0;
}

void esp_release(struct esp *esp)
{
        if (esp->fd >= 0)
                close(esp->fd);
        free(esp->root);
        free(esp->file_path);
        buf_release(&esp->device_path);
        *esp = ESP_NONE;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bodies of images and partition tables: what was started, and from where. */
#include <errno.h>

#include "eventlog/body-parts.h"
#include "eventlog/uefi-event.h"

int body_image_load(
                const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        struct image_load image;
        int r;

        body_word(sink, "kind", "image");
        if (!image_load_read(event->data, &image))
                return error_set(reason, EBADMSG, "an image load event of %zu bytes is cut off",
                                event->data.size);
        body_address(sink, "location", image.location);
        body_number(sink, "size", image.length);
        body_address(sink, "link_address", image.link_address);
        if (image.path_bytes != image.path.size) {
                body_bytes(sink, "device_path_data", image.path);
                return error_set(reason, EBADMSG,
                                "%zu bytes where the device path should have %llu", image.path.size,
                                (unsigned long long)image.path_bytes);
        }
        r = image.path.size > 0 ? body_device_path(sink, image.path, reason) : 0;
        return r;
}

int body_gpt(const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        struct gpt gpt = {0};
        struct gpt_partition partition;
        int r;

        body_word(sink, "kind", "gpt");
        r = gpt_read(event->data, &gpt, reason);
        if (r < 0 && !gpt.signature.data)
                return r;
        body_guid(sink, "disk", NULL, &gpt.disk);
        body_address(sink, "revision", gpt.revision);
        body_number(sink, "first_lba", gpt.first_lba);
        body_number(sink, "last_lba", gpt.last_lba);
        body_open(sink, BODY_ARRAY, "partitions");
        for (uint64_t i = 0; gpt_partition_read(&gpt, i, &partition); i++) {
                body_open(sink, BODY_OBJECT, NULL);
                body_guid(sink, "type", NULL, &partition.type);
                body_guid(sink, "guid", NULL, &partition.guid);
                body_number(sink, "first_lba", partition.first_lba);
                body_number(sink, "last_lba", partition.last_lba);
                body_address(sink, "attributes", partition.attributes);
                body_text(sink, "name", TEXT_UTF16, utf16_until_nul(partition.name));
                body_close(sink);
        }
        body_close(sink);
        return r;
}

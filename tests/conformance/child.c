/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image that guest.c loads: what it does stands in its load options. */
#include "guest.h"

struct system_table *st;
struct boot_services *bs;
handle self;

status efi_main(handle image, struct system_table *table);

static void leave(event e, void *context)
{
        (void)e, (void)context;
        bs->raise_tpl(TPL_NOTIFY);
        bs->exit(self, NOT_FOUND, 0, NULL);
}

static status nest(void)
{
        static const char16 options[] = u"nest";
        struct loaded_image *image;
        status s;
        uint64_t size;
        void *bytes = read_file(u"\\child.efi", &size);
        handle h;

        if (!bytes)
                return NOT_FOUND;
        s = bs->load_image(false, self, NULL, bytes, size, &h);
        bs->free_pool(bytes);
        if (s != SUCCESS)
                return s;
        image = loaded_image_of(h);
        image->device = loaded_image_of(self)->device;
        image->load_options = (char16 *)options;
        image->load_options_size = sizeof(options);
        s = bs->start_image(h, NULL, NULL);
        return s == OUT_OF_RESOURCES && loaded_image_of(h) && bs->unload_image(h) != SUCCESS
                               ? LOAD_ERROR
                               : s;
}

status efi_main(handle image, struct system_table *table)
{
        struct loaded_image *own;
        event e;

        st = table;
        bs = table->bs;
        self = image;
        own = loaded_image_of(image);
        if (same_text(own->load_options, u"return"))
                return SUCCESS;
        if (same_text(own->load_options, u"fail"))
                return ABORTED;
        if (same_text(own->load_options, u"exit")) {
                static char16 data[] = u"done";

                bs->exit(image, NOT_READY, sizeof(data), data);
                return ABORTED;
        }
        if (same_text(own->load_options, u"exit-in-notify")) {
                bs->create_event(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, leave, NULL, &e);
                bs->signal_event(e);
                return ABORTED;
        }
        if (same_text(own->load_options, u"nest"))
                return nest();
        return LOAD_ERROR;
}

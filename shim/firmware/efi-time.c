/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_TIME, for GetTime (runtime-services.c) and for the times of files (file.c). */
#include "shim/firmware/efi-time.h"

#include <string.h>

void efi_time_put(struct buf *to, struct timespec time)
{
        struct tm tm = {0};

        if (!gmtime_r(&time.tv_sec, &tm) || tm.tm_year < 0 || tm.tm_year > 9999 - 1900) {
                buf_put_zeros(to, EFI_TIME_SIZE); /* not in 1900-9999, which is all that EFI can say
                                                   */
                return;
        }
        buf_put_u16(to, (uint16_t)(tm.tm_year + 1900));
        buf_put_u8(to, (uint8_t)(tm.tm_mon + 1));
        buf_put_u8(to, (uint8_t)tm.tm_mday);
        buf_put_u8(to, (uint8_t)tm.tm_hour);
        buf_put_u8(to, (uint8_t)tm.tm_min);
        buf_put_u8(to, (uint8_t)(tm.tm_sec > 59 ? 59 : tm.tm_sec)); /* no leap seconds in EFI */
        buf_put_u8(to, 0);
        buf_put_u32(to, (uint32_t)time.tv_nsec);
        buf_put_u16(to, 0); /* TimeZone: minutes from UTC */
        buf_put_u8(to, 0);  /* Daylight */
        buf_put_u8(to, 0);
}

bool efi_time_take(struct cursor *from, struct timespec *ret)
{
        struct cursor c = *from;
        uint16_t year, zone;
        uint8_t month, day, hour, minute, second, pad, daylight;
        uint32_t nanosecond;
        struct tm tm;
        int offset;

        if (!cursor_u16(&c, &year) || !cursor_u8(&c, &month) || !cursor_u8(&c, &day) ||
                        !cursor_u8(&c, &hour) || !cursor_u8(&c, &minute) ||
                        !cursor_u8(&c, &second) || !cursor_u8(&c, &pad) ||
                        !cursor_u32(&c, &nanosecond) || !cursor_u16(&c, &zone) ||
                        !cursor_u8(&c, &daylight) || !cursor_u8(&c, &pad))
                return false;
        offset = zone == EFI_UNSPECIFIED_TIMEZONE ? 0 : (int16_t)zone;
        if (year < 1900 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31 ||
                        hour > 23 || minute > 59 || second > 59 || nanosecond > 999999999 ||
                        offset < -1440 || offset > 1440)
                return false;
        tm = (struct tm){.tm_year = year - 1900,
                        .tm_mon = month - 1,
                        .tm_mday = day,
                        .tm_hour = hour,
                        .tm_min = minute,
                        .tm_sec = second};
        /* Localtime = UTC - TimeZone (8.3.1). timegm normalises 31 February, which the month shows.
         */
        *ret = (struct timespec){.tv_sec = timegm(&tm) + 60 * offset, .tv_nsec = nanosecond};
        if (tm.tm_mon != month - 1)
                return false;
        *from = c;
        return true;
}

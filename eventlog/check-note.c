/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words of check.h. */
#include "eventlog/check.h"

#include <assert.h>

static const struct {
        const char *word, *text;
        bool refused;
} notes[] = {
#define CHECK_NOTE_ROW(name, word, refused, text) [name] = {word, text, refused},
#include "eventlog/check-note.def"
#undef CHECK_NOTE_ROW
};

static_assert(CHECK_NOTES <= 32, "one bit each");

const char *check_note_word(enum check_note note)
{
        return notes[note].word;
}

const char *check_note_text(enum check_note note)
{
        return notes[note].text;
}

bool check_note_refused(enum check_note note)
{
        return notes[note].refused;
}

const char *check_status_word(enum check_status status)
{
        static const char *const words[] = {
                        [CHECK_VERIFIED] = "verified",
                        [CHECK_UNVERIFIABLE] = "unverifiable",
                        [CHECK_MISMATCH] = "mismatch",
                        [CHECK_MALFORMED] = "malformed",
        };

        return words[status];
}

const char *check_pcr_word(enum check_pcr status)
{
        static const char *const words[] = {
                        [CHECK_PCR_NOT_COMPARED] = "not_compared",
                        [CHECK_PCR_PROVED] = "proved",
                        [CHECK_PCR_OPAQUE] = "opaque",
                        [CHECK_PCR_DIFFERS] = "differs",
                        [CHECK_PCR_LACKING] = "lacking",
        };

        return words[status];
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/verdict.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *verdict_kind_text(enum verdict_kind kind)
{
        static const char *const texts[] = {
                        [VERDICT_TRUSTED] = "trusted",
                        [VERDICT_NOT_TRUSTED] = "not trusted",
                        [VERDICT_MALFORMED] = "malformed",
        };

        return texts[kind];
}

const char *verdict_word_text(enum verdict_word word)
{
        static const char *const words[] = {
#define VERDICT_WORD_ROW(name, word) [name] = (word),
#include "policy/verdict-word.def"
#undef VERDICT_WORD_ROW
        };

        return words[word];
}

bool verdict_boot_trusted(const struct verdict *verdict, size_t i)
{
        return verdict->kind == VERDICT_TRUSTED || verdict->boots[i].trusted;
}

void verdict_release(struct verdict *verdict)
{
        if (!verdict->borrowed) {
                check_result_release(&verdict->logs);
                free(verdict->boots);
        }
        *verdict = (struct verdict){0};
}

int verdict_refuse(struct verdict *verdict, enum verdict_kind kind, enum verdict_word word,
                const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        vsnprintf(verdict->reason.text, sizeof(verdict->reason.text), format, ap);
        va_end(ap);
        verdict->kind = kind;
        verdict->word = word;
        return -EPERM;
}

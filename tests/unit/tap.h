/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TAP for our unit tests: a test program is a list of TEST() rows and TAP_MAIN. Every CHECK that
 * fails prints file, line and expression, and fails its test; the others still run. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tap_test {
        const char *name;
        void (*run)(void);
};

static int tap_failures; /* of the running test */
static const char *tap_skip_reason;

#define CHECK(expression)                                                         \
        do {                                                                      \
                if (!(expression)) {                                              \
                        tap_failures++;                                           \
                        printf("# %s:%d: %s\n", __FILE__, __LINE__, #expression); \
                }                                                                 \
        } while (0)

#define CHECK_EQ(a, b)                                                                           \
        do {                                                                                     \
                long long a_ = (long long)(a), b_ = (long long)(b);                              \
                if (a_ != b_) {                                                                  \
                        tap_failures++;                                                          \
                        printf("# %s:%d: %s is %lld (0x%llx), wanted %lld (0x%llx)\n", __FILE__, \
                                        __LINE__, #a, a_, a_, b_, b_);                           \
                }                                                                                \
        } while (0)

/* Stops the test program's current test when going on makes no sense. */
#define REQUIRE(expression)                                                       \
        do {                                                                      \
                if (!(expression)) {                                              \
                        tap_failures++;                                           \
                        printf("# %s:%d: %s\n", __FILE__, __LINE__, #expression); \
                        return;                                                   \
                }                                                                 \
        } while (0)

#define SKIP(reason)                        \
        do {                                \
                tap_skip_reason = (reason); \
                return;                     \
        } while (0)

static inline int tap_main(const struct tap_test *tests, size_t n)
{
        int failed = 0;

        setvbuf(stdout, NULL, _IOLBF, 0);
        printf("1..%zu\n", n);
        for (size_t i = 0; i < n; i++) {
                tap_failures = 0;
                tap_skip_reason = NULL;
                tests[i].run();
                printf("%sok %zu - %s%s%s\n", tap_failures ? "not " : "", i + 1, tests[i].name,
                                tap_skip_reason ? " # SKIP " : "",
                                tap_skip_reason ? tap_skip_reason : "");
                failed += tap_failures > 0;
        }
        return failed > 0;
}

#define TAP_MAIN(tests)                                                     \
        int main(void)                                                      \
        {                                                                   \
                return tap_main(tests, sizeof(tests) / sizeof((tests)[0])); \
        }

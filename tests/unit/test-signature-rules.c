/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who demands signatures, and by which keys: policy.conf, --db, --dbx, Secure Boot's variables. */
#include <errno.h>

#include "base/cleanup.h"
#include "shim/signature-rules.h"
#include "tcg2/signature-list.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"

static struct signature_rules rules;
static struct error error;

static int read_rules(const char *config, const char *db, const char *dbx)
{
        signature_rules_release(&rules);
        unlink(scratch_path("policy.conf"));
        if (config)
                scratch_write("policy.conf", config);
        error = (struct error){0};
        return signature_rules_read(db, dbx, &rules, &error);
}

static void start(void)
{
        if (!scratch_new())
                abort();
        setenv("MKEXEC_CONFIG_DIR", scratch_root, 1);
        scratch_write("key", HASH);
        scratch_write("bad", "nothing\n");
        scratch_mkdir("keys");
        scratch_write("keys/b", HASH HASH);
        scratch_write("keys/a", "# nothing but\n" HASH);
        scratch_write("keys/.hidden", "rubbish");
        scratch_mkdir("empty");
}

static void stop(void)
{
        signature_rules_release(&rules);
        scratch_remove();
        unsetenv("MKEXEC_CONFIG_DIR");
}

static void test_config(void)
{
        static const struct {
                const char *text;
                int result;
                bool required;
                const char *reason;
        } rows[] = {
                        {NULL, 0, false, ""},
                        {"", 0, false, ""},
                        {"# nothing\n\n", 0, false, ""},
                        {"require-signature = yes", 0, true, ""},
                        {"  require-signature=yes # always\r\n", 0, true, ""},
                        {"require-signature = no\n", 0, false, ""},
                        {"require-signature = true\n", -EINVAL, false, "is yes or no, not 'true'"},
                        {"require-signature =\n", -EINVAL, false, "is yes or no"},
                        {"require-signature\n", -EINVAL, false,
                                        "policy.conf:1: want 'key = value'"},
                        {"\nrequire-signatures = yes\n", -EINVAL, false,
                                        "policy.conf:2: unknown key 'require-signatures'"},
                        {"require-signature = yes\nrequire-signature = no\n", -EINVAL, false,
                                        "policy.conf:2: require-signature is said twice"},
                        {"db = keys\n", -EINVAL, false, "absolute"},
                        {"db = /nonexistent/key\n", -ENOENT, false, "/nonexistent/key"},
                        {"dbx = /dev/null\n", -EINVAL, false, "a dbx without a db"},
        };

        start();
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                int r = read_rules(rows[i].text, NULL, NULL);

                if (r != rows[i].result || rules.required != rows[i].required ||
                                !strstr(error.text, rows[i].reason)) {
                        printf("# %s: %d, %s\n", rows[i].text ?: "no file", r, error.text);
                        tap_failures++;
                }
        }
        stop();
}

static void test_key_paths(void)
{
        char text[512];

        start();
        CHECK_EQ(read_rules(NULL, scratch_path("key"), NULL), 0);
        CHECK(rules.required && rules.have_keys && rules.db.size == 76 && rules.dbx.size == 0);
        CHECK_EQ(read_rules(NULL, scratch_path("keys"), scratch_path("key")), 0);
        CHECK(rules.db.size == 3 * 76 && rules.dbx.size == 76);
        CHECK_EQ(read_rules(NULL, scratch_path("bad"), NULL), -EINVAL);
        CHECK(strstr(error.text, "/bad: "));
        CHECK_EQ(read_rules(NULL, scratch_path("empty"), NULL), -EINVAL);
        CHECK_EQ(read_rules(NULL, NULL, scratch_path("key")), -EINVAL);
        CHECK_EQ(read_rules(NULL, scratch_path("nowhere"), NULL), -ENOENT);
        snprintf(text, sizeof(text), "db = %s\n", scratch_path("key"));
        CHECK_EQ(read_rules(text, NULL, NULL), 0);
        CHECK(rules.required && rules.have_keys && rules.db.size == 76);
        CHECK_EQ(read_rules(text, scratch_path("keys"), NULL), -EINVAL);
        CHECK(strstr(error.text, "--db and --dbx can't"));
        CHECK(!rules.have_keys && rules.db.size == 0); /* nothing is left of a refusal */
        stop();
}

/* ---- variables ---- */

static uint8_t one[] = {1}, zero[] = {0}, two_bytes[] = {1, 0};
static uint8_t some_db[] = "firmware's db", some_dbx[] = "firmware's dbx", mok_a[] = "mok",
               mok_b[] = "more";

static int find_keys(const char *names, struct signature_keys *keys)
{
        static const struct {
                const char *name;
                const EFI_GUID *vendor;
                uint32_t attributes;
                uint8_t *data;
                size_t size;
        } all[] = {
                        {"SecureBoot", &guid_global_variable, 6, one, 1},
                        {"SetupMode", &guid_global_variable, 6, one, 1},
                        {"db", &guid_image_security_database, 0x27, some_db, sizeof(some_db)},
                        {"dbx", &guid_image_security_database, 0x27, some_dbx, sizeof(some_dbx)},
                        {"MokListRT", &guid_shim_lock, 6, mok_a, sizeof(mok_a)},
                        {"MokListRT1", &guid_shim_lock, 6, mok_b, sizeof(mok_b)},
                        {"MokSBStateRT", &guid_shim_lock, 6, one, 1},
        };
        struct fw_variable variables[ARRAY_SIZE(all) + 3];
        char copy[200], *word, *rest = copy;
        size_t n = 0;

        snprintf(copy, sizeof(copy), "%s", names);
        while ((word = strsep(&rest, " ")))
                for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                        size_t length = strlen(all[i].name);

                        if (strncmp(word, all[i].name, length) != 0 ||
                                        (word[length] && word[length] != '-'))
                                continue;
                        variables[n++] = (struct fw_variable){*all[i].vendor, (char *)all[i].name,
                                        all[i].attributes, all[i].data, all[i].size};
                        if (strcmp(word + length, "-0") == 0)
                                variables[n - 1].data = zero;
                        if (strcmp(word + length, "-2") == 0)
                                variables[n - 1].data = two_bytes, variables[n - 1].size = 2;
                        if (strcmp(word + length, "-nv") == 0)
                                variables[n - 1].attributes |= EFI_VARIABLE_NON_VOLATILE;
                }
        error = (struct error){0};
        return signature_keys_find(&rules, variables, n, keys, &error);
}

static void test_secure_boot(void)
{
        static const struct {
                const char *variables;
                int result;
                bool demanded;
        } rows[] = {
                        {"", 0, false}, {"SecureBoot-0 db", 0, false}, {"SecureBoot db", 0, true},
                        {"SecureBoot SetupMode-0 db", 0, true},
                        {"SecureBoot SetupMode db", 0, false}, {"SecureBoot-2 db", -EBADMSG, false},
                        {"SecureBoot SetupMode-2 db", -EBADMSG, false},
                        {"SecureBoot", -ENOKEY, false}, {"SecureBoot MokListRT", 0, true},
                        {"SecureBoot db MokSBStateRT", 0, false},
                        {"SecureBoot db MokSBStateRT-0", 0, true},
                        {"SecureBoot db MokSBStateRT-nv", 0, true}, /* not shim's copy */
        };

        start();
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct signature_keys keys = {0};
                int r;

                CHECK_EQ(read_rules(NULL, NULL, NULL), 0);
                r = find_keys(rows[i].variables, &keys);
                if (r != rows[i].result || keys.demanded != rows[i].demanded) {
                        printf("# %s: %d, %s\n", rows[i].variables, r, error.text);
                        tap_failures++;
                }
                signature_keys_release(&keys);
        }
        stop();
}

static void test_which_keys(void)
{
        struct signature_keys keys = {0};

        start();
        CHECK_EQ(read_rules(NULL, NULL, NULL), 0);
        CHECK_EQ(find_keys("SecureBoot db dbx MokListRT1 MokListRT", &keys), 0);
        CHECK(span_equal(keys.policy.db, SPAN(some_db, sizeof(some_db))));
        CHECK(span_equal(keys.policy.dbx, SPAN(some_dbx, sizeof(some_dbx))));
        CHECK(keys.policy.mok_list.size == 9 &&
                        memcmp(keys.policy.mok_list.data, "mok\0more", 9) == 0);
        signature_keys_release(&keys);

        CHECK_EQ(read_rules("require-signature = yes", NULL, NULL), 0);
        CHECK_EQ(find_keys("SecureBoot-0 db dbx", &keys), 0);
        CHECK(keys.demanded && span_equal(keys.policy.dbx, SPAN(some_dbx, sizeof(some_dbx))));
        signature_keys_release(&keys);
        CHECK_EQ(find_keys("SecureBoot-0", &keys), -ENOKEY);
        CHECK_EQ(find_keys("", &keys), -ENOKEY);

        CHECK_EQ(read_rules(NULL, scratch_path("key"), NULL), 0);
        CHECK_EQ(find_keys("SecureBoot-0 db dbx MokListRT", &keys), 0);
        CHECK(keys.demanded && span_equal(keys.policy.db, buf_span(&rules.db)));
        CHECK(keys.policy.dbx.size == 0 && keys.policy.mok_list.size == 0);
        signature_keys_release(&keys);
        CHECK_EQ(find_keys("SecureBoot db dbx", &keys), -EKEYREJECTED); /* nothing overrides it */
        CHECK(strstr(error.text, "Secure Boot is on"));
        stop();
}

static const struct tap_test tests[] = {
                {"policy.conf", test_config},
                {"--db and --dbx", test_key_paths},
                {"when Secure Boot is on", test_secure_boot},
                {"whose keys count", test_which_keys},
};
TAP_MAIN(tests)

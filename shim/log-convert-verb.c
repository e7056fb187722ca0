/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec log convert: its options, which logs it takes for what, and where the result goes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "eventlog/convert.h"
#include "shim/log-chain.h"
#include "shim/log-sources.h"
#include "shim/log-words.h"
#include "shim/options.h"
#include "shim/progress.h"
#include "shim/verb.h"

static const struct {
        const char *name;
        enum convert_form form;
        bool binary;
} forms[] = {
                {"cel-json", CONVERT_CEL_JSON, false},
                {"cel-tlv", CONVERT_CEL_TLV, true},
                {"agile", CONVERT_AGILE, true},
                {"systemd", CONVERT_SYSTEMD, false},
};

struct arguments {
        const char *output;
        size_t form; /* in forms */
        bool measured_only;
};

static int take_form(void *to, char *value, struct error *error)
{
        struct arguments *a = to;

        for (a->form = 0; a->form < ARRAY_SIZE(forms); a->form++)
                if (strcmp(value, forms[a->form].name) == 0)
                        return 0;
        return error_set(error, EINVAL, "--to: no form is called '%s'", value);
}

static const struct option_row rows[] = {
                {"to", "FORM",
                                "what to write:\n"
                                "  cel-json  Canonical Event Log in JSON, the default\n"
                                "  cel-tlv   Canonical Event Log, binary\n"
                                "  agile     TCG event log: firmware's events and hops\n"
                                "  systemd   systemd's tpm2-measure.log: its records",
                                OPTION_TAKE(take_form)},
                {"measured-only", NULL,
                                "CEL: without events that extended nothing, as systemd-pcrlock",
                                OPTION_FLAG(struct arguments, measured_only)},
                {"output", "FILE", "instead of standard output; it is replaced once all is written",
                                .letter = 'o', OPTION_TEXT(struct arguments, output)},
};

static const struct options options = {
                .verb = "log convert",
                .usage = "mkexec log convert [OPTIONS] [FILE...]",
                .about = "One log of another form from logs of any kinds: TCG and CCEL logs, "
                         "systemd's of each boot, IMA's list, Canonical Event Logs. Without FILE: "
                         "this boot's. '-': standard input.",
                .end = "What a form can't hold is left out, and counted on standard error.",
                .rows = rows,
                .n_rows = ARRAY_SIZE(rows),
};

/* ---- where it goes ---- */

struct output {
        FILE *file;
        const char *path; /* NULL: standard output */
        char *written;    /* what takes its place in the end; NULL for a path that isn't a file */
};

static int output_open(struct output *o, const char *path, struct error *error)
{
        struct stat st;
        int fd;

        *o = (struct output){.file = stdout, .path = path};
        if (!path)
                return 0;
        if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
                fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        } else {
                if (asprintf(&o->written, "%s.%d~", path, (int)getpid()) < 0)
                        return error_set(error, ENOMEM, "out of memory");
                fd = open(o->written, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        }
        o->file = fd < 0 ? NULL : fdopen(fd, "w");
        if (!o->file) {
                int r = error_set(error, EIO, "can't write %s: %s", path, strerror(errno));

                free(TAKE_PTR(o->written));
                return r;
        }
        return 0;
}

static int output_write(void *context, struct buf *out)
{
        struct output *o = context;

        if (fwrite(out->data, 1, out->size, o->file) < out->size)
                return -EIO;
        out->size = 0;
        return 0;
}

/* r: what came of writing; a result that isn't whole takes nothing's place. */
static int output_close(struct output *o, int r, struct error *error)
{
        if (!o->path)
                return r; /* main looks after standard output */
        if (fclose(o->file) != 0 && r == 0)
                r = -EIO;
        if (r == 0 && o->written && rename(o->written, o->path) < 0)
                r = -EIO;
        if (r == -EIO)
                error_set(error, EIO, "can't write %s: %m", o->path);
        if (r < 0 && o->written)
                (void)unlink(o->written);
        free(o->written);
        return r;
}

/* ---- what it is made of ---- */

/* Canonical Event Logs apart from the others, which make a chain. */
struct input {
        struct convert_input convert;
        struct log_sources others; /* their bytes are the sources' */
        struct span *cel;
};

static void input_release(struct input *input)
{
        free(input->others.source);
        free(input->cel);
}

static int input_make(struct input *input, const struct log_sources *sources, struct error *error)
{
        struct log_chain chain;
        int r;

        input->others.source = calloc(sources->n, sizeof(*input->others.source));
        input->cel = calloc(sources->n, sizeof(*input->cel));
        if (!input->others.source || !input->cel)
                return error_set(error, ENOMEM, "out of memory");
        for (size_t i = 0; i < sources->n; i++) {
                const struct log_source *source = &sources->source[i];
                const char *lacks = log_source_lacks(source);

                if (lacks)
                        progress_warn("%s %s", source->name, lacks);
                if (source->kind == LOG_CEL_JSON || source->kind == LOG_CEL_TLV)
                        input->cel[input->convert.n_cel++] = source->bytes;
                else
                        input->others.source[input->others.n++] = *source;
        }
        r = log_chain_make(&input->others, &chain, error);
        if (r < 0)
                return r;
        input->convert.chain = chain.chain;
        input->convert.cel = input->cel;
        return 0;
}

static void warn(const struct convert_result *result)
{
        static const char *const words[CONVERT_CLASSES] = {
                        [CONVERT_EVENT] = "firmware's and mkexec's",
                        [CONVERT_BY_SYSTEMD] = "systemd's",
                        [CONVERT_BY_IMA] = "IMA's",
                        [CONVERT_OTHER] = "others",
        };
        _cleanup_buf_ struct buf text = {0};

        for (size_t i = 0; i < CONVERT_CLASSES; i++)
                if (words[i] && result->n_left_out[i] > 0)
                        buf_format(&text, "%s%zu of %s", text.size > 0 ? ", " : "",
                                        result->n_left_out[i], words[i]);
        if (text.size > 0)
                progress_warn("records left out, which this form can't hold: %.*s", (int)text.size,
                                (const char *)text.data);
        if (result->unknown_digests)
                progress_warn("digests of algorithms that aren't known here are left out");
}

static int run(const struct arguments *a, const struct log_sources *sources, struct error *error)
{
        _cleanup_buf_ struct buf out = {0};
        _cleanup_(input_release) struct input input = {0};
        struct output output;
        struct convert_result result;
        const struct convert_options how = {
                        .form = forms[a->form].form,
                        .measured_only = a->measured_only,
                        .flush = output_write,
                        .context = &output,
        };
        int r = input_make(&input, sources, error);

        if (r == 0)
                r = output_open(&output, a->output, error);
        if (r < 0)
                return r;
        r = output_close(&output, convert(&input.convert, &how, &out, &result, error), error);
        if (r == -EIO)
                return r; /* that is about the output */
        if (r == 0)
                warn(&result);
        return r < 0 && sources->n == 1 ? error_prefix(error, r, "%s", sources->source[0].name) : r;
}

int log_convert(int argc, char **argv)
{
        _cleanup_log_sources_ struct log_sources sources = {0};
        struct arguments a = {0};
        struct error error = {{0}};
        int r = options_parse(&options, argc, argv, &a);

        if (r > 0)
                return r - 1;
        if (a.measured_only && forms[a.form].form != CONVERT_CEL_JSON &&
                        forms[a.form].form != CONVERT_CEL_TLV)
                return usage_error("log convert");
        if (forms[a.form].binary && !a.output && isatty(STDOUT_FILENO))
                return fail_text(EXIT_USAGE, "%s is binary, and standard output a terminal: use -o",
                                forms[a.form].name);
        r = log_sources_read(argv + optind, (size_t)(argc - optind), &sources, &error);
        if (r == 0)
                r = run(&a, &sources, &error);
        if (r == -EIO && !a.output)
                return EXIT_DONE; /* main says that the result couldn't be written */
        if (r < 0)
                return fail(r == -ENODATA || r == -EIO || r == -ENOMEM ? EXIT_REFUSED : EXIT_USAGE,
                                &error);
        return EXIT_DONE;
}

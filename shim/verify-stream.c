/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines are read in batches of whole lines, as many as are there, so that a verdict never waits for
 * a later line. Batches go to the workers in turn, and their verdicts are collected in the same
 * turn: that keeps the order, and a worker is never written to before its verdicts were read, so
 * that neither waits for the other. */
#include "shim/verify-stream.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BATCH_BYTES (512u * 1024)

DEFINE_CLEANUP(struct verify_line *, verify_line_free)

struct header { /* before a batch and before its verdicts; both ends are this program */
        uint64_t bytes, first_line;
        int32_t worst, error;
};

struct worker {
        pid_t pid;
        int to, from;
        bool busy;
};

struct run {
        const struct verify_stream *stream;
        struct verify_line *line; /* of one job */
        struct worker *workers;
        unsigned next, oldest, n_busy;
        struct buf input; /* what was read and isn't judged */
        struct buf verdicts;
        uint64_t line_number; /* of the first line in input */
        bool skipping;        /* within a line that is too long */
        enum verdict_kind worst;
        struct error *error;
};

/* ---- descriptors ---- */

static int write_all(int fd, const void *bytes, size_t size)
{
        for (size_t done = 0; done < size;) {
                ssize_t n = write(fd, (const uint8_t *)bytes + done, size - done);

                if (n < 0 && errno != EINTR)
                        return -errno;
                done += n > 0 ? (size_t)n : 0;
        }
        return 0;
}

/* 1; 0 at the end, if nothing was read; -EPIPE at the end within. */
static int read_all(int fd, void *bytes, size_t size)
{
        size_t done = 0;

        while (done < size) {
                ssize_t n = read(fd, (uint8_t *)bytes + done, size - done);

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0)
                        return done == 0 ? 0 : -EPIPE;
                done += n > 0 ? (size_t)n : 0;
        }
        return 1;
}

/* ---- judging ---- */

static void note_worst(enum verdict_kind *worst, enum verdict_kind kind)
{
        if (kind > *worst)
                *worst = kind;
}

/* All lines of a batch, each with its newline; *line_number is then behind them. */
static int judge_batch(struct verify_line *line, struct span batch, uint64_t *line_number,
                struct buf *ret, enum verdict_kind *worst)
{
        size_t at = 0;

        ret->size = 0;
        for (; at < batch.size; ++*line_number) {
                const uint8_t *start = batch.data + at;
                const uint8_t *end = memchr(start, '\n', batch.size - at);
                size_t size = end ? (size_t)(end - start) : batch.size - at;
                enum verdict_kind kind;
                int r = verify_line_judge(line, SPAN(start, size), *line_number, ret, &kind);

                if (r == -ENOMEM || buf_failed(ret))
                        return -ENOMEM;
                note_worst(worst, kind);
                at += size + 1;
        }
        return 0;
}

/* The whole life of a worker: batches until the pipe ends. Returns its exit code. */
static int work(const struct run *run, int from, int to)
{
        _cleanup_buf_ struct buf batch = {0}, verdicts = {0};
        _cleanup_(verify_line_freep) struct verify_line *line = NULL;
        struct header h;
        int r = verify_line_new(run->stream->rules, run->stream->nonce, &line);

        while (r == 0 && read_all(from, &h, sizeof(h)) == 1) {
                enum verdict_kind worst = VERDICT_TRUSTED;
                uint8_t *bytes;

                batch.size = 0;
                bytes = buf_grow(&batch, h.bytes);
                if (!bytes || read_all(from, bytes, h.bytes) != 1)
                        return 1;
                h.error = judge_batch(line, buf_span(&batch), &h.first_line, &verdicts, &worst);
                h.worst = (int32_t)worst;
                h.bytes = verdicts.size;
                r = write_all(to, &h, sizeof(h));
                if (r == 0)
                        r = write_all(to, verdicts.data, verdicts.size);
        }
        return r < 0;
}

/* ---- workers ---- */

static void close_workers(struct run *run, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                close(run->workers[i].to);
                close(run->workers[i].from);
        }
}

static int start_worker(struct run *run, unsigned i)
{
        struct worker *w = &run->workers[i];
        pid_t parent = getpid();
        int to[2], from[2];

        if (pipe(to) < 0)
                return -errno;
        if (pipe(from) < 0 || (w->pid = fork()) < 0) {
                int r = -errno;

                close(to[0]);
                close(to[1]);
                return r;
        }
        if (w->pid == 0) {
                close_workers(run, i);
                close(to[1]);
                close(from[0]);
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                _exit(getppid() == parent ? work(run, to[0], from[1]) : 1);
        }
        close(to[0]);
        close(from[1]);
        w->to = to[1];
        w->from = from[0];
        return 0;
}

static int start_workers(struct run *run)
{
        unsigned jobs = run->stream->jobs;

        if (jobs == 1)
                return verify_line_new(run->stream->rules, run->stream->nonce, &run->line);
        run->workers = calloc(jobs, sizeof(*run->workers));
        if (!run->workers)
                return -ENOMEM;
        for (unsigned i = 0; i < jobs; i++) {
                int r = start_worker(run, i);

                if (r < 0) {
                        close_workers(run, i);
                        return r;
                }
        }
        return 0;
}

static int stop_workers(struct run *run)
{
        int r = 0, status;

        if (!run->workers)
                return 0;
        close_workers(run, run->stream->jobs);
        for (unsigned i = 0; i < run->stream->jobs; i++)
                if (waitpid(run->workers[i].pid, &status, 0) < 0 || status != 0)
                        r = -EPIPE;
        return r;
}

static int lost(struct run *run, int r)
{
        return error_set(run->error, r < 0 ? -r : EPIPE,
                        "a process that judges evidence is gone: %s", strerror(r < 0 ? -r : EPIPE));
}

static int put_out(struct run *run)
{
        int r = write_all(run->stream->out, run->verdicts.data, run->verdicts.size);

        return r < 0 ? error_set(run->error, -r, "can't write verdicts: %s", strerror(-r)) : 0;
}

/* The verdicts of the batch that has been out for the longest. */
static int collect(struct run *run)
{
        struct worker *w = &run->workers[run->oldest];
        struct header h;
        uint8_t *bytes;
        int r = read_all(w->from, &h, sizeof(h));

        if (r != 1)
                return lost(run, r);
        run->verdicts.size = 0;
        bytes = buf_grow(&run->verdicts, h.bytes);
        if (!bytes)
                return error_set(run->error, ENOMEM, "out of memory");
        if (h.bytes > 0 && (r = read_all(w->from, bytes, h.bytes)) != 1)
                return lost(run, r);
        if (h.error < 0)
                return error_set(run->error, -h.error, "%s", strerror(-h.error));
        note_worst(&run->worst, (enum verdict_kind)h.worst);
        w->busy = false;
        run->n_busy--;
        run->oldest = (run->oldest + 1) % run->stream->jobs;
        return put_out(run);
}

static int collect_all(struct run *run)
{
        int r = 0;

        while (r == 0 && run->n_busy > 0)
                r = collect(run);
        return r;
}

static int send_batch(struct run *run, struct span batch)
{
        struct worker *w = &run->workers[run->next];
        struct header h = {.bytes = batch.size, .first_line = run->line_number};
        int r = w->busy ? collect(run) : 0;

        if (r < 0)
                return r;
        r = write_all(w->to, &h, sizeof(h));
        if (r == 0)
                r = write_all(w->to, batch.data, batch.size);
        if (r < 0)
                return lost(run, r);
        w->busy = true;
        run->n_busy++;
        run->next = (run->next + 1) % run->stream->jobs;
        return 0;
}

/* ---- input ---- */

static uint64_t count_lines(struct span batch)
{
        uint64_t n = 0;
        const uint8_t *at = batch.data, *end = batch.data + batch.size;

        while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
                n++;
                at++;
        }
        return n + (batch.size > 0 && batch.data[batch.size - 1] != '\n');
}

static int judge_lines(struct run *run, struct span batch)
{
        int r;

        if (run->workers) {
                r = send_batch(run, batch);
                run->line_number += count_lines(batch);
                return r;
        }
        r = judge_batch(run->line, batch, &run->line_number, &run->verdicts, &run->worst);
        return r < 0 ? error_set(run->error, -r, "out of memory") : put_out(run);
}

static int too_long(struct run *run)
{
        int r = collect_all(run);

        if (r < 0)
                return r;
        run->verdicts.size = 0;
        verify_line_too_long(run->line_number++, &run->verdicts);
        note_worst(&run->worst, VERDICT_MALFORMED);
        run->skipping = true;
        run->input.size = 0;
        return put_out(run);
}

static void drop(struct buf *b, size_t size)
{
        memmove(b->data, b->data + size, b->size - size);
        b->size -= size;
}

/* Whole lines of what was read, or at the end of the input all of it. */
static int take_lines(struct run *run, size_t fresh, bool at_end)
{
        const uint8_t *newline;
        size_t size;
        int r;

        if (run->skipping) {
                newline = memchr(run->input.data, '\n', run->input.size);
                drop(&run->input, newline ? (size_t)(newline + 1 - run->input.data)
                                          : run->input.size);
                run->skipping = !newline;
                fresh = run->input.size;
        }
        newline = fresh > 0 ? memrchr(run->input.data + run->input.size - fresh, '\n', fresh)
                            : NULL;
        size = newline ? (size_t)(newline + 1 - run->input.data) : 0;
        if (at_end && !run->skipping)
                size = run->input.size;
        if (size == 0)
                return run->input.size > VERIFY_LINE_MAX_BYTES ? too_long(run) : 0;
        r = judge_lines(run, SPAN(run->input.data, size));
        if (r < 0)
                return r;
        drop(&run->input, size);
        return 0;
}

/* Where no input waits the verdicts that are out are written first. */
static int settle(struct run *run)
{
        struct pollfd input = {.fd = run->stream->in, .events = POLLIN};

        return run->n_busy > 0 && poll(&input, 1, 0) == 0 ? collect_all(run) : 0;
}

static int read_more(struct run *run)
{
        uint8_t *to;
        ssize_t n;
        int r = settle(run);

        if (r < 0)
                return r;
        to = buf_grow(&run->input, BATCH_BYTES);
        if (!to)
                return error_set(run->error, ENOMEM, "out of memory");
        run->input.size -= BATCH_BYTES;
        do
                n = read(run->stream->in, to, BATCH_BYTES);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return error_set(run->error, errno, "can't read evidence: %m");
        run->input.size += (size_t)n;
        r = take_lines(run, (size_t)n, n == 0);
        return r < 0 ? r : n > 0;
}

int verify_stream_run(const struct verify_stream *stream, enum verdict_kind *ret_worst,
                struct error *error)
{
        struct run run = {.stream = stream, .line_number = 1, .error = error};
        int r = start_workers(&run), stopped;

        if (r < 0)
                (void)error_set(error, -r, "can't start: %s", strerror(-r));
        while (r >= 0 && (r = read_more(&run)) > 0)
                ;
        if (r == 0)
                r = collect_all(&run);
        stopped = r == -ENOMEM && !run.workers ? 0 : stop_workers(&run);
        if (r == 0 && stopped < 0)
                r = lost(&run, stopped);
        verify_line_free(run.line);
        free(run.workers);
        buf_release(&run.input);
        buf_release(&run.verdicts);
        *ret_worst = run.worst;
        return r;
}

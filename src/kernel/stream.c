/* SPDX-License-Identifier: MIT */
/*
 * Text on its way to stream messages (messaging spec, "Streams"). It comes from the
 * ring, where every record names its request, and from two pipes, where marks in the
 * ring say whose bytes they hold up to which position.
 *
 * Collecting is eager, publishing is paced: the first text after a quiet while goes out
 * at once, then one round every FLUSH_MS, and a round of many messages buys a longer
 * pause, so that servers that cut off a kernel at 1000 messages a second never do.
 * Whatever has to come after text (a display, a result, an error, a reply, idle)
 * publishes it first.
 *
 * Segments keep the order of the two streams of one request. A cell that alternates
 * between them very quickly would make a message a line; beyond SEGMENTS_MAX of a
 * request in one round its text goes to the last segment of the same stream instead.
 */
#include "kernel/kernel-private.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/log.h"
#include "kernel/shown.h"

AK_LOG_MODULE("stream");

#define FIRST_MS 5 /* one print is often several writes */
#define FLUSH_MS 10
#define PAUSE_MS 250
#define MESSAGE_NS 1250000u /* 800 messages a second */
#define MESSAGE_BYTES (256u << 10)
#define BYTES_MAX (8u << 20) /* more than this waits for no pace */
#define SEGMENTS_MAX 16
#define CLAIM_MS 10 /* how long a mark may follow its bytes */

/* --- collecting --------------------------------------------------------------------
 */

static struct ak_segment *segment_for(struct ak_kernel *kernel, uint64_t request,
                                      int stream) {
    struct ak_segment *last = NULL, *same = NULL;
    size_t n = 0;
    ak_list_for_each(node, next, &kernel->segments) {
        struct ak_segment *segment = ak_list_entry(node, struct ak_segment, link);
        if (segment->request != request)
            continue;
        last = segment;
        n++;
        if (segment->stream == stream)
            same = segment;
    }
    if (last && last->stream == stream)
        return last;
    if (same && n >= SEGMENTS_MAX)
        return same;
    struct ak_segment *segment = calloc(1, sizeof(*segment));
    if (!segment)
        return same;
    segment->request = request;
    segment->stream = stream;
    ak_list_append(&kernel->segments, &segment->link);
    return segment;
}

void ak_stream_add(struct ak_kernel *kernel, uint64_t request, int stream,
                   const char *text, size_t len) {
    struct ak_segment *segment = len ? segment_for(kernel, request, stream) : NULL;
    if (!segment || ak_buf_add(&segment->text, text, len))
        return;
    kernel->segment_bytes += len;
    if (kernel->flush_at == AK_NEVER) {
        uint64_t soon = ak_clock_now() + FIRST_MS * AK_NS_PER_MS;
        kernel->flush_at = kernel->quiet_until > soon ? kernel->quiet_until : soon;
    }
}

void ak_stream_drain_pipe(struct ak_process *process, int index, bool hung_up) {
    struct ak_pipe *pipe = &process->pipes[index];
    int n_waiting = 0;
    if (pipe->fd < 0 || ioctl(pipe->fd, FIONREAD, &n_waiting) < 0)
        return;
    if (n_waiting <= 0 && hung_up)
        ak_close_clear(&pipe->fd);
    if (n_waiting <= 0 || !process->ring)
        return;
    if (ak_buf_reserve(&pipe->waiting, (size_t)n_waiting))
        return;
    ak_ring_drain_begin(process->ring);
    ssize_t n =
        read(pipe->fd, pipe->waiting.data + pipe->waiting.len, (size_t)n_waiting);
    ak_ring_drain_end(process->ring, index, n > 0 ? (size_t)n : 0);
    if (n <= 0)
        return;
    pipe->waiting.len += (size_t)n;
    if (pipe->since == AK_NEVER)
        pipe->since = ak_clock_now();
}

/* Gives the first n waiting bytes of a pipe to a request. */
static void claim(struct ak_kernel *kernel, struct ak_process *process, int index,
                  size_t n, uint64_t owner) {
    struct ak_pipe *pipe = &process->pipes[index];
    ak_stream_add(kernel, owner, index + 1, pipe->waiting.data, n);
    ak_buf_consume(&pipe->waiting, n);
    pipe->position += n;
    if (pipe->waiting.len == 0)
        pipe->since = AK_NEVER;
}

static void obey_mark(struct ak_kernel *kernel, struct ak_process *process,
                      const struct ak_ring_record *mark) {
    struct ak_pipe *pipe = &process->pipes[mark->stream];
    if (mark->position > pipe->position + pipe->waiting.len)
        ak_stream_drain_pipe(process, mark->stream, false);
    if (mark->position <= pipe->position)
        return;
    uint64_t n = mark->position - pipe->position;
    claim(kernel, process, mark->stream,
          n < pipe->waiting.len ? (size_t)n : pipe->waiting.len, mark->request);
}

void ak_stream_collect(struct ak_kernel *kernel, struct ak_process *process,
                       uint64_t position) {
    struct ak_ring_record record;
    int r;
    if (!process->ring || process->ring_damaged)
        return;
    while ((r = ak_ring_peek(process->ring, &record)) == 0) {
        if (record.end > position)
            return;
        if (record.type == AK_RING_TEXT)
            ak_stream_add(kernel, record.request, record.stream, record.text.data,
                          record.text.len);
        else
            obey_mark(kernel, process, &record);
        ak_ring_consume(process->ring, &record);
    }
    if (r == AK_RING_E_CORRUPT) {
        process->ring_damaged = true;
        if (process->pid && !process->exited) {
            ak_error("the worker's shared memory is damaged; the worker is ended");
            ak_supervisor_kill(process);
        }
    }
}

void ak_stream_settle_pipes(struct ak_kernel *kernel, struct ak_process *process,
                            bool now) {
    uint64_t time = ak_clock_now();
    for (int i = 0; i < 2; i++) {
        struct ak_pipe *pipe = &process->pipes[i];
        if (pipe->waiting.len == 0 || pipe->since == AK_NEVER ||
            (!now && time - pipe->since < CLAIM_MS * AK_NS_PER_MS))
            continue;
        /* Marks that are in the ring already know better than a guess. */
        uint64_t current = ak_ring_current(process->ring);
        ak_worker_pull(kernel, process, AK_FRAMES_A_ROUND);
        if (pipe->waiting.len)
            claim(kernel, process, i, pipe->waiting.len, current);
    }
}

/* --- publishing --------------------------------------------------------------------
 */

/* How many bytes at the end begin a UTF-8 sequence that is not complete yet. */
static size_t incomplete_tail(const struct ak_buf *text) {
    for (size_t back = 1; back <= 3 && back <= text->len; back++) {
        unsigned char c = (unsigned char)text->data[text->len - back];
        if ((c & 0xC0) == 0x80)
            continue;
        size_t need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
        return need > back ? back : 0;
    }
    return 0;
}

static size_t cut(const struct ak_buf *text) {
    if (text->len <= MESSAGE_BYTES)
        return text->len;
    size_t n = MESSAGE_BYTES;
    while (n > MESSAGE_BYTES - 4 && ((unsigned char)text->data[n] & 0xC0) == 0x80)
        n--;
    return n;
}

static void publish_text(struct ak_kernel *kernel, const struct ak_segment *segment,
                         size_t len) {
    struct ak_request *request = ak_request_find(kernel, segment->request);
    AK_BUF_AUTO content = {0};
    if (ak_buf_addf(&content, "{\"name\": \"%s\", \"text\": ",
                    segment->stream == 1 ? "stdout" : "stderr") ||
        ak_buf_add_json_string(&content, segment->text.data, len) ||
        ak_buf_add_char(&content, '}'))
        return;
    struct ak_iopub_message message = {
        .msg_type = "stream",
        .parent = request ? ak_bytes(request->parent, request->parent_len)
                          : ak_bytes(NULL, 0),
        .content = ak_bytes(content.data, content.len),
    };
    ak_publish(kernel, &message);
    struct ak_shown_output shown = {.stream = segment->stream,
                                    .content = ak_bytes(segment->text.data, len)};
    ak_replay_published(kernel, segment->request, &message, &shown);
}

/* Publishes a segment; a sequence that a later write may complete stays, unless forced.
 */
static size_t publish_segment(struct ak_kernel *kernel, struct ak_segment *segment,
                              bool force) {
    size_t n_messages = 0;
    /* The rest of a sequence follows at once or never. */
    size_t keep = force || segment->held ? 0 : incomplete_tail(&segment->text);
    segment->held = keep > 0;
    while (segment->text.len > keep) {
        size_t n = cut(&segment->text);
        if (n > segment->text.len - keep)
            n = segment->text.len - keep;
        publish_text(kernel, segment, n);
        ak_buf_consume(&segment->text, n);
        kernel->segment_bytes -= n;
        n_messages++;
    }
    if (segment->text.len == 0) {
        ak_list_remove(&segment->link);
        ak_buf_done(&segment->text);
        free(segment);
    }
    return n_messages;
}

static size_t publish_segments(struct ak_kernel *kernel, uint64_t request, bool force) {
    size_t n_messages = 0;
    ak_list_for_each(node, next, &kernel->segments) {
        struct ak_segment *segment = ak_list_entry(node, struct ak_segment, link);
        if (request == 0 || segment->request == request)
            n_messages += publish_segment(kernel, segment, force);
    }
    return n_messages;
}

/* When streams may be published next. What others force out does not postpone a tick
 * that is due, and no burst buys a pause that a person would notice. */
static void pace(struct ak_kernel *kernel, size_t n_messages, bool tick) {
    uint64_t now = ak_clock_now();
    uint64_t base = kernel->quiet_until > now ? kernel->quiet_until : now;
    uint64_t pause = n_messages * (uint64_t)MESSAGE_NS;
    uint64_t least = now + FLUSH_MS * AK_NS_PER_MS;
    uint64_t most = now + PAUSE_MS * AK_NS_PER_MS;
    if (n_messages) {
        uint64_t until = base + pause > least ? base + pause : least;
        kernel->quiet_until = until < most ? until : most;
    }
    if (ak_list_empty(&kernel->segments))
        kernel->flush_at = AK_NEVER;
    else if (tick || kernel->flush_at == AK_NEVER)
        kernel->flush_at = kernel->quiet_until > now ? kernel->quiet_until : least;
}

void ak_stream_flush(struct ak_kernel *kernel, uint64_t request) {
    if (!ak_list_empty(&kernel->segments))
        pace(kernel, publish_segments(kernel, request, true), false);
}

void ak_stream_tick(struct ak_kernel *kernel) {
    if (kernel->flush_at == AK_NEVER ||
        (ak_clock_now() < kernel->flush_at && kernel->segment_bytes < BYTES_MAX))
        return;
    ak_list_for_each(node, next, &kernel->processes) {
        ak_worker_pull(kernel, ak_list_entry(node, struct ak_process, node),
                       AK_FRAMES_A_ROUND);
    }
    pace(kernel, publish_segments(kernel, 0, false), true);
}

void ak_stream_done(struct ak_kernel *kernel) {
    ak_list_for_each(node, next, &kernel->segments) {
        struct ak_segment *segment = ak_list_entry(node, struct ak_segment, link);
        ak_list_remove(&segment->link);
        ak_buf_done(&segment->text);
        free(segment);
    }
}

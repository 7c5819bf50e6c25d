/* SPDX-License-Identifier: MIT */
/*
 * The interpreter layer's way out: text to the ring, everything else to the link. Each
 * frame carries the ring's position at its moment and is preceded by marks for what
 * waits in the pipes, which is all that keeps the order of four channels exact.
 *
 * Publications wait for room in the caller (py knows how to wait without the GIL);
 * replies and notices are queued in the link instead, for the loop must go on.
 */
#include "worker/react.h"
#include "worker/worker-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "py/loop.h"

AK_LOG_MODULE("worker");

#define RELEASE_BATCH 32u
#define FLUSH_SECONDS 0.002

static enum ak_kind kind_of(enum ak_output output) {
    static const enum ak_kind kinds[] = {
        [AK_OUTPUT_EXECUTE_INPUT] = AK_KIND_EXECUTE_INPUT,
        [AK_OUTPUT_EXECUTE_RESULT] = AK_KIND_EXECUTE_RESULT,
        [AK_OUTPUT_DISPLAY_DATA] = AK_KIND_DISPLAY_DATA,
        [AK_OUTPUT_UPDATE_DISPLAY_DATA] = AK_KIND_UPDATE_DISPLAY_DATA,
        [AK_OUTPUT_CLEAR_OUTPUT] = AK_KIND_CLEAR_OUTPUT,
        [AK_OUTPUT_ERROR] = AK_KIND_ERROR,
        [AK_OUTPUT_COMM_OPEN] = AK_KIND_COMM_OPEN,
        [AK_OUTPUT_COMM_MSG] = AK_KIND_COMM_MSG,
        [AK_OUTPUT_COMM_CLOSE] = AK_KIND_COMM_CLOSE,
    };
    return kinds[output];
}

static void place(struct ak_worker *worker, struct ak_frame *frame) {
    ak_ring_mark_pipes(worker->ring);
    frame->position = ak_ring_head(worker->ring);
}

static void flush_later(struct ak_worker *worker);

static void flush(void *context) {
    struct ak_worker *worker = context;
    worker->flushing = false;
    if (ak_link_flush(worker->link) == AK_LINK_E_AGAIN)
        flush_later(worker);
}

static void flush_later(struct ak_worker *worker) {
    if (worker->flushing || !worker->runtime)
        return;
    worker->flushing =
        ak_loop_call_later(worker->runtime, FLUSH_SECONDS, flush, worker) == 0;
}

void ak_worker_send(struct ak_worker *worker, struct ak_frame *frame) {
    if (worker->forked)
        return;
    place(worker, frame);
    int r = ak_link_enqueue(worker->link, frame);
    if (r < 0)
        ak_error("a message to the kernel process was lost: no memory");
    else if (ak_link_queued(worker->link))
        flush_later(worker);
}

void ak_worker_reply(struct ak_worker *worker, uint64_t id, struct ak_bytes content,
                     struct ak_bytes metadata, uint32_t flags) {
    struct ak_bytes parts[] = {content, metadata};
    struct ak_frame frame = {.type = AK_FRAME_REPLY,
                             .id = id,
                             .flags = flags,
                             .arg = ak_clock_wall(),
                             .fd = -1,
                             .n_parts = 2,
                             .parts = parts};
    ak_worker_send(worker, &frame);
}

static int stream_write(void *host, uint64_t request, int stream, const char *text,
                        size_t len, bool blocking, size_t *ret_taken) {
    struct ak_worker *worker = host;
    *ret_taken = 0;
    if (worker->forked)
        return AK_HOST_E_GONE;
    int r =
        ak_ring_write(worker->ring, request, stream, text, len, blocking, ret_taken);
    return r == AK_RING_E_FULL   ? AK_HOST_E_FULL
           : r == AK_RING_E_BUSY ? AK_HOST_E_BUSY
                                 : r;
}

static int stream_wait(void *host, int timeout_ms) {
    struct ak_worker *worker = host;
    return worker->forked ? 0 : ak_ring_wait_room(worker->ring, timeout_ms);
}

/* Tries to send one frame in its order behind what is queued. */
static int try_send(struct ak_worker *worker, struct ak_frame *frame) {
    if (worker->forked)
        return AK_HOST_E_GONE;
    int r = ak_link_flush(worker->link);
    if (r == 0) {
        place(worker, frame);
        r = ak_link_send(worker->link, frame);
    }
    return r == AK_LINK_E_AGAIN     ? AK_HOST_E_FULL
           : r == AK_LINK_E_TOO_BIG ? AK_HOST_E_TOO_BIG
           : r == AK_LINK_E_CLOSED  ? AK_HOST_E_GONE
                                    : ak_error_fold(r);
}

static int publish(void *host, const struct ak_publication *publication) {
    if (publication->n_buffers > AK_FRAME_PARTS_MAX - 2)
        return AK_HOST_E_TOO_BIG;
    AK_BUF_AUTO memory = {0};
    size_t n_parts = publication->n_buffers + 2;
    int r = ak_buf_reserve(&memory, n_parts * sizeof(struct ak_bytes));
    if (r)
        return ak_error_trace(r);
    struct ak_bytes *parts = (struct ak_bytes *)(void *)memory.data;
    parts[0] = publication->content;
    parts[1] = publication->metadata;
    for (size_t i = 0; i < publication->n_buffers; i++)
        parts[i + 2] = publication->buffers[i];
    struct ak_frame frame = {.type = AK_FRAME_PUBLISH,
                             .kind = kind_of(publication->output),
                             .id = publication->request,
                             .fd = -1,
                             .n_parts = n_parts,
                             .parts = parts};
    return try_send(host, &frame);
}

static int publish_wait(void *host, int timeout_ms) {
    struct ak_worker *worker = host;
    if (worker->forked)
        return 0;
    struct pollfd pfd = {.fd = ak_link_fd(worker->link), .events = POLLOUT};
    return poll(&pfd, 1, timeout_ms) < 0 ? -errno : 0;
}

/* A frame with the write end of a fresh pipe. */
static int question(struct ak_worker *worker, enum ak_frame_type type, uint64_t request,
                    struct ak_bytes content, int *ret_read_fd) {
    AK_CLEANUP(ak_closep) int read_fd = -1;
    AK_CLEANUP(ak_closep) int write_fd = -1;
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return ak_error_origin(errno);
    read_fd = fds[0];
    write_fd = fds[1];
    struct ak_frame frame = {
        .type = type, .id = request, .fd = write_fd, .n_parts = 1, .parts = &content};
    int r = try_send(worker, &frame);
    if (r == 0)
        *ret_read_fd = ak_take_fd(&read_fd);
    return r;
}

static int ask(void *host, uint64_t request, struct ak_bytes content,
               int *ret_read_fd) {
    return question(host, AK_FRAME_INPUT, request, content, ret_read_fd);
}

static int call(void *host, uint64_t request, struct ak_bytes text, int *ret_read_fd) {
    return question(host, AK_FRAME_CALL, request, text, ret_read_fd);
}

static void set_current(void *host, uint64_t request) {
    struct ak_worker *worker = host;
    if (!worker->forked && worker->ring)
        ak_ring_set_current(worker->ring, request);
}

static void release(void *host, const uint64_t *requests, size_t n_requests) {
    struct ak_worker *worker = host;
    if (worker->forked || worker->stopping ||
        ak_buf_add(&worker->released, requests, n_requests * sizeof(*requests)))
        return;
    if (worker->released.len < RELEASE_BATCH * sizeof(uint64_t))
        return;
    struct ak_bytes part = ak_bytes(worker->released.data, worker->released.len);
    struct ak_frame frame = {
        .type = AK_FRAME_RELEASE, .fd = -1, .n_parts = 1, .parts = &part};
    ak_worker_send(worker, &frame);
    ak_buf_clear(&worker->released);
}

static int show_again(void *host, uint64_t request, struct ak_bytes options) {
    struct ak_frame frame = {.type = AK_FRAME_REPLAY,
                             .id = request,
                             .fd = -1,
                             .n_parts = 1,
                             .parts = &options};
    return try_send(host, &frame);
}

static uint64_t descriptor_bytes(void *host) {
    struct ak_worker *worker = host;
    if (worker->forked)
        return 0;
    return ak_ring_pipe_position(worker->ring, 0) +
           ak_ring_pipe_position(worker->ring, 1);
}

static void ask_exit(void *host, uint64_t request) {
    struct ak_frame frame = {.type = AK_FRAME_EXIT, .id = request, .fd = -1};
    ak_worker_send(host, &frame);
}

static void forked(void *host) {
    struct ak_worker *worker = host;
    worker->forked = true;
    if (worker->link)
        close(ak_link_fd(worker->link));
    if (worker->ring)
        ak_ring_abandon(worker->ring);
    for (int i = 0; i < 2; i++)
        ak_close_clear(&worker->pipe_fds[i]);
}

/* The world with these names, or NULL when it is closed. */
static struct ak_session *session_of(struct ak_worker *worker,
                                     const struct ak_space *space) {
    struct ak_session *session = worker->session;
    size_t cursor = 0;
    if (!worker->sessions)
        return session && session->space == space ? session : NULL;
    while ((session = ak_map_next(worker->sessions, &cursor, NULL, NULL))) {
        if (session->space == space)
            return session;
    }
    return NULL;
}

static int react(void *host, struct ak_space *space, const char *verb,
                 const char *argument, uint64_t request, struct ak_buf *ret_json) {
    struct ak_worker *worker = host;
    struct ak_session *session = session_of(worker, space);
    if (!session || !session->react)
        return AK_HOST_E_GONE;
    return ak_react_command(session->react, verb, argument, request, ret_json);
}

const struct ak_host_ops ak_worker_host_ops = {
    .react = react,
    .stream_write = stream_write,
    .stream_wait = stream_wait,
    .publish = publish,
    .publish_wait = publish_wait,
    .ask = ask,
    .call = call,
    .set_current = set_current,
    .release = release,
    .show_again = show_again,
    .descriptor_bytes = descriptor_bytes,
    .ask_exit = ask_exit,
    .forked = forked,
};

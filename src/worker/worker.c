/* SPDX-License-Identifier: MIT */
/*
 * A worker from its descriptors to its end.
 *
 * The interpreter's start is the longest thing that a kernel does, so HELLO goes out as
 * soon as the interpreter can describe itself, and asyncio is imported after it.
 * Requests wait in the seam until the loop runs.
 *
 * A round of the reader takes a bounded batch. It ends early behind a cell that was
 * started, because that cell's first step has to come before the next request is looked
 * at: a completion behind a blocking cell waits, as a client expects of one channel.
 */
#include "worker/worker-private.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "py/loop.h"
#include "py/shell.h"
#include "worker/birth.h"

AK_LOG_MODULE("worker");

#define BATCH 16
#define LOOK_AHEAD 4096
#define MULTI_BATCH 256
#define DRAIN_SECONDS_DEFAULT 1.0
#define DRAIN_SECONDS_MAX 3600.0

static void stop(struct ak_worker *worker) {
    worker->stopping = true;
    ak_loop_stop(worker->runtime);
}

static void handle(struct ak_worker *worker, struct ak_frame *frame,
                   bool *ret_started) {
    switch (frame->type) {
    case AK_FRAME_REQUEST:
        *ret_started = ak_session_dispatch(worker->session, frame);
        break;
    case AK_FRAME_FENCE: {
        struct ak_frame back = {.type = AK_FRAME_FENCE, .arg = frame->arg, .fd = -1};
        ak_worker_send(worker, &back);
        break;
    }
    case AK_FRAME_SENT:
        if (worker->session->n_aborting)
            worker->session->n_aborting--;
        break;
    case AK_FRAME_INTERRUPT:
        ak_execute_interrupt(worker->session, true);
        break;
    case AK_FRAME_SHUTDOWN:
        stop(worker);
        break;
    case AK_FRAME_SUBSHELL:
        ak_subshell_start(worker, frame);
        break;
    default:
        ak_error("the kernel process sent a frame of unknown type %d", frame->type);
    }
}

static void readable(void *context) {
    struct ak_worker *worker = context;
    bool started = false;
    int batch = worker->sessions ? MULTI_BATCH : BATCH;
    ak_loop_settle_interrupt(worker->runtime);
    for (int i = 0; i < batch && !started && !worker->stopping; i++) {
        struct ak_frame frame;
        int r = ak_link_receive(worker->link, &frame);
        if (r == AK_LINK_E_AGAIN)
            break;
        if (r == AK_LINK_E_MALFORMED)
            continue;
        if (r) {
            ak_info("the kernel process is gone");
            stop(worker);
            return;
        }
        if (worker->sessions && frame.type != AK_FRAME_SHUTDOWN)
            ak_pump_take(worker, &frame);
        else
            handle(worker, &frame, &started);
        ak_frame_done(&frame);
    }
    if (worker->sessions && !worker->stopping)
        ak_pump_turn(worker);
}

void ak_worker_look_ahead(struct ak_worker *worker) {
    struct ak_frame frame;
    int r = 0;
    if (worker->looking || worker->stopping || worker->forked)
        return;
    worker->looking = true;
    for (int i = 0; i < LOOK_AHEAD && !worker->stopping; i++) {
        bool started;
        r = ak_link_receive(worker->link, &frame);
        if (r == AK_LINK_E_MALFORMED)
            continue;
        if (r)
            break;
        if (worker->sessions && frame.type != AK_FRAME_SHUTDOWN)
            ak_pump_take(worker, &frame);
        else
            handle(worker, &frame, &started);
        ak_frame_done(&frame);
    }
    worker->looking = false;
    if (r && r != AK_LINK_E_AGAIN && r != AK_LINK_E_MALFORMED)
        stop(worker);
}

static void interrupted(void *context) {
    struct ak_worker *worker = context;
    if (worker->sessions)
        ak_pump_interrupt_all(worker);
    else
        ak_execute_interrupt(worker->session, true);
}

/* Waits for the first frame, which has to be START. */
static int receive_start(struct ak_worker *worker) {
    struct ak_frame frame;
    int r;
    while ((r = ak_link_receive(worker->link, &frame)) == AK_LINK_E_AGAIN) {
        struct pollfd pfd = {.fd = ak_link_fd(worker->link), .events = POLLIN};
        if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
            return ak_error_origin(errno);
    }
    if (r)
        return ak_error_fold(r);
    r = frame.type == AK_FRAME_START && frame.n_parts == 1
            ? ak_worker_config_parse(&worker->config, frame.parts[0])
            : ak_error_origin(EPROTO);
    ak_frame_done(&frame);
    return r ? ak_error_trace(r) : 0;
}

static int send_text(struct ak_worker *worker, enum ak_frame_type type,
                     const struct ak_buf *text) {
    struct ak_bytes part = ak_bytes(ak_buf_str(text), text->len);
    struct ak_frame frame = {.type = type, .fd = -1, .n_parts = 1, .parts = &part};
    ak_worker_send(worker, &frame);
    return ak_link_flush(worker->link);
}

static int say_hello(struct ak_worker *worker) {
    AK_BUF_AUTO hello = {0};
    int r = ak_buf_addf(&hello, "{\"seam\": %u, \"pid\": %d, ", AK_SEAM_VERSION,
                        (int)getpid());
    if (!r)
        r = ak_runtime_describe(worker->runtime, &hello);
    if (!r)
        r = ak_buf_add_char(&hello, '}');
    if (r)
        return ak_error_trace(r);
    return send_text(worker, AK_FRAME_HELLO, &hello);
}

static int open_world(struct ak_worker *worker, struct ak_buf *message) {
    int r = ak_loop_open(worker->runtime, message);
    if (r)
        return r;
    struct ak_buf *facts = &worker->config.facts;
    r = ak_shell_configure(worker->runtime, ak_bytes(ak_buf_str(facts), facts->len));
    if (!r && worker->config.cache)
        r = ak_record_store_new(&worker->records, worker->runtime);
    if (!r)
        r = ak_session_new(&worker->session, worker, 0);
    if (!r && worker->config.multi)
        r = ak_pump_open(worker);
    if (!r)
        r = ak_loop_watch(worker->runtime, ak_link_fd(worker->link), readable, worker);
    if (r)
        return ak_error_trace(r);
    ak_loop_on_interrupt(worker->runtime, interrupted, worker);
    ak_shell_open(worker->session->space);
    return 0;
}

static int start(struct ak_worker *worker, bool running, struct ak_buf *message) {
    struct ak_runtime_config runtime_config = {
        .executable = worker->config.python,
        .running = running,
        .fault_fd = worker->fault_fd,
        .ops = &ak_worker_host_ops,
        .host = worker,
    };
    int r = ak_runtime_new(&worker->runtime, &runtime_config, message);
    if (r)
        return r;
    r = say_hello(worker);
    if (r)
        return ak_error_fold(r);
    return open_world(worker, message);
}

static double drain_seconds(void) {
    const char *text = getenv("AKERNEL_DRAIN");
    char *end = NULL;
    double seconds = text ? strtod(text, &end) : 0;
    return text && end != text && *end == '\0' && seconds >= 0 &&
                   seconds <= DRAIN_SECONDS_MAX
               ? seconds
               : DRAIN_SECONDS_DEFAULT;
}

/* The order matters: no more requests, no loop, then Python with its atexit handlers
 * and the user's last prints, and the seam only after that. */
static void end(struct ak_worker *worker) {
    if (worker->runtime && worker->session)
        ak_loop_close(worker->runtime);
    ak_pump_close(worker);
    worker->session = ak_session_free(worker->session);
    ak_record_store_close(worker->records, worker->runtime);
    worker->runtime = ak_runtime_free(worker->runtime);
    worker->records = ak_record_store_free(worker->records);
    if (worker->link)
        (void)ak_link_flush(worker->link);
    ak_buf_done(&worker->released);
    for (int i = 0; i < 2; i++)
        ak_close_clear(&worker->pipe_fds[i]);
    ak_close_clear(&worker->fault_fd);
    worker->ring = ak_ring_free(worker->ring);
    worker->link = ak_link_free(worker->link);
}

int ak_worker_run(bool running) {
    struct ak_worker worker = {.pipe_fds = {-1, -1}, .fault_fd = -1};
    AK_BUF_AUTO message = {0};
    worker.drain_seconds = drain_seconds();
    ak_list_init(&worker.ready);
    ak_list_init(&worker.closing);
    int r = ak_birth_take_descriptors(&worker);
    if (!r)
        r = receive_start(&worker);
    if (!r)
        r = start(&worker, running, &message);
    if (!r) {
        ak_loop_run(worker.runtime);
    } else if (worker.link) {
        if (message.len == 0)
            (void)ak_buf_addf(&message, "the worker cannot start (%s)",
                              r < 0 ? strerror(-r) : "unexpected answer");
        (void)send_text(&worker, AK_FRAME_FAILED, &message);
    }
    ak_worker_config_done(&worker.config);
    end(&worker);
    return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

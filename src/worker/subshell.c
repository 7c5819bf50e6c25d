/* SPDX-License-Identifier: MIT */
/*
 * A subshell shares the names, the history and the counter of the worker's session and
 * has an order of cells and an abort of its own (JEP 91). Its frames come on its own
 * link and are handled on its own thread; what it says goes out on the worker's link,
 * which any thread that holds the GIL may use.
 */
#include "worker/worker-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "py/subshell.h"

AK_LOG_MODULE("subshell");

#define BATCH 16
#define LOW_DESCRIPTORS 200 /* below, user code may close what it finds */

struct subshell {
    struct ak_session *session; /* owned; its space and history are the worker's */
    struct ak_link *link;
    uint64_t ended_by; /* the request that wants to know of the end, or 0 */
    bool ending;
};

static void free_subshell(struct subshell *subshell) {
    subshell->link = ak_link_free(subshell->link);
    subshell->session = ak_session_free(subshell->session);
    free(subshell);
}

static void end(struct subshell *subshell, uint64_t request) {
    subshell->ending = true;
    subshell->ended_by = request;
    ak_execute_interrupt(subshell->session, true);
    ak_subloop_end();
}

static void handle(struct subshell *subshell, struct ak_frame *frame,
                   bool *ret_started) {
    switch (frame->type) {
    case AK_FRAME_REQUEST:
        *ret_started = ak_session_dispatch(subshell->session, frame);
        break;
    case AK_FRAME_SENT:
        if (subshell->session->n_aborting)
            subshell->session->n_aborting--;
        break;
    case AK_FRAME_SHUTDOWN:
        end(subshell, frame->arg);
        break;
    default:
        ak_error("a subshell was sent a frame of unknown type %d", frame->type);
    }
}

static void readable(void *context) {
    struct subshell *subshell = context;
    bool started = false;
    for (int i = 0; i < BATCH && !started && !subshell->ending; i++) {
        struct ak_frame frame;
        int r = ak_link_receive(subshell->link, &frame);
        if (r == AK_LINK_E_AGAIN)
            return;
        if (r == AK_LINK_E_MALFORMED)
            continue;
        if (r) {
            end(subshell, 0);
            return;
        }
        handle(subshell, &frame, &started);
        ak_frame_done(&frame);
    }
}

/* The last thing that its thread does. */
static void over(void *context) {
    struct subshell *subshell = context;
    struct ak_worker *worker = subshell->session->worker;
    struct ak_frame frame = {
        .type = AK_FRAME_FENCE, .arg = subshell->ended_by, .fd = -1};
    free_subshell(subshell);
    if (frame.arg)
        ak_worker_send(worker, &frame);
}

void ak_subshell_start(struct ak_worker *worker, struct ak_frame *frame) {
    AK_CLEANUP(ak_closep)
    int fd = fcntl(frame->fd, F_DUPFD_CLOEXEC, LOW_DESCRIPTORS);
    if (fd < 0)
        fd = ak_take_fd(&frame->fd);
    struct subshell *subshell = calloc(1, sizeof(*subshell));
    int r = subshell ? ak_session_share(&subshell->session, worker->session) : -ENOMEM;
    if (!r)
        r = ak_link_new(&subshell->link, fd);
    if (!r) {
        (void)ak_take_fd(&fd);
        r = ak_subloop_start(worker->runtime, ak_link_fd(subshell->link), readable,
                             over, subshell);
    }
    if (!r)
        return;
    ak_error("a subshell could not be started: no memory");
    if (subshell)
        free_subshell(subshell);
}

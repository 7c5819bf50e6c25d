/* SPDX-License-Identifier: MIT */
/*
 * One execution from its request to its reply: taken, waiting for the schedule,
 * running, replied, perhaps draining, done.
 *
 * An error with stop_on_error aborts what was received before its reply went out and
 * has not started. What waits here is aborted at once; what is still on its way is
 * recognised by the fence that the kernel process puts behind it: until SENT comes
 * back, every execute_request that is taken is aborted.
 */
#include "worker/react.h"
#include "worker/worker-private.h"

enum {
    PART_SESSION,
    PART_HEADER,
    PART_METADATA,
    PART_CONTENT,
    PART_BUFFERS
};

static void done(void *owner, struct ak_cell *cell) {
    struct ak_session *session = owner;
    session->n_draining--;
    struct ak_frame frame = {.type = AK_FRAME_DONE, .id = ak_cell_id(cell), .fd = -1};
    ak_worker_send(session->worker, &frame);
    if (!ak_cell_tag(cell))
        ak_cell_free(cell);
    ak_session_settle(session);
}

static void abort_cell(struct ak_session *session, struct ak_cell *cell) {
    if (session->react)
        ak_react_dropped(session->react, cell);
    ak_schedule_remove(session->schedule, cell);
    ak_cell_abort(cell);
    ak_worker_reply(session->worker, ak_cell_id(cell), ak_cell_reply(cell),
                    ak_cell_reply_metadata(cell), AK_FRAME_F_DONE);
    ak_cell_free(cell);
}

static void abort_waiting(struct ak_session *session) {
    struct ak_list *cursor = NULL;
    struct ak_cell *cell;
    while ((cell = ak_schedule_next(session->schedule, &cursor))) {
        if (!ak_cell_started(cell) && !ak_react_has(cell))
            abort_cell(session, cell);
    }
    if (session->react)
        ak_react_abort_waiting(session->react);
}

void ak_execute_start_aborting(struct ak_session *session) {
    session->n_aborting++;
    abort_waiting(session);
}

void ak_execute_reply(struct ak_session *session, struct ak_cell *cell, bool begun) {
    ak_schedule_remove(session->schedule, cell);
    bool aborting = ak_cell_failed(cell) && ak_cell_stop_on_error(cell);
    bool draining = ak_cell_drain(cell, session->worker->drain_seconds, done);
    if (ak_cell_stores_history(cell))
        ak_history_add(session->history, ak_cell_execution_count(cell),
                       ak_cell_source(cell), ak_cell_result(cell));
    session->n_draining += draining;
    session->n_aborting += aborting && !begun;
    ak_worker_reply(session->worker, ak_cell_id(cell), ak_cell_reply(cell),
                    ak_cell_reply_metadata(cell),
                    (draining ? 0u : AK_FRAME_F_DONE) |
                        (session->react ? AK_FRAME_F_FLUSH : 0u) |
                        (aborting ? AK_FRAME_F_ABORTING : 0u));
    if (!draining && !ak_cell_tag(cell))
        ak_cell_free(cell);
    if (aborting && !begun)
        abort_waiting(session);
    (void)ak_session_run(session);
}

static void finished(void *owner, struct ak_cell *cell) {
    struct ak_session *session = owner;
    if (ak_cell_tag(cell))
        ak_react_finished(session->react, cell);
    else
        ak_execute_reply(session, cell, false);
    ak_session_settle(session);
}

static void suspended(void *owner, struct ak_cell *cell) {
    struct ak_session *session = owner;
    if (ak_cell_tag(cell))
        ak_react_suspended(session->react, cell);
    if (ak_schedule_waiting(session->schedule))
        (void)ak_session_run(session);
}

const struct ak_cell_ops ak_execute_cell_ops = {
    .suspended = suspended,
    .finished = finished,
};

static void refuse(struct ak_worker *worker, uint64_t id) {
    static const char reply[] =
        "{\"status\": \"error\", \"ename\": \"MemoryError\", \"evalue\": "
        "\"no memory for this request\", \"traceback\": [], \"execution_count\": 0}";
    ak_worker_reply(worker, id, ak_bytes(reply, sizeof(reply) - 1), ak_bytes("{}", 2),
                    AK_FRAME_F_DONE);
}

bool ak_execute_request(struct ak_session *session, const struct ak_frame *frame) {
    struct ak_cell_request request = {
        .id = frame->id,
        .header = frame->parts[PART_HEADER],
        .metadata = frame->parts[PART_METADATA],
        .content = frame->parts[PART_CONTENT],
    };
    AK_CLEANUP(ak_cell_freep) struct ak_cell *cell = NULL;
    if (ak_cell_new(&cell, session->space, &request, &ak_execute_cell_ops, session) <
        0) {
        refuse(session->worker, frame->id);
        return false;
    }
    if (session->n_aborting || session->closing) {
        abort_cell(session, AK_TAKE(cell));
        return false;
    }
    if (ak_schedule_add(session->schedule, cell, !ak_cell_stores_history(cell)) < 0) {
        refuse(session->worker, frame->id);
        return false;
    }
    struct ak_cell *added = AK_TAKE(cell);
    if (session->react)
        ak_react_arrived(session->react, added);
    bool started = ak_session_run(session);
    return started || ak_cell_started(added);
}

void ak_execute_interrupt(struct ak_session *session, bool everyone) {
    struct ak_list *cursor = NULL;
    struct ak_cell *cell;
    session->n_aborting++;
    ak_session_take_all(session);
    if (session->n_aborting)
        session->n_aborting--;
    abort_waiting(session);
    while ((cell = ak_schedule_next(session->schedule, &cursor)))
        ak_cell_interrupt(cell, everyone);
    if (session->react)
        ak_react_interrupt(session->react);
}

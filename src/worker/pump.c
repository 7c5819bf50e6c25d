/* SPDX-License-Identifier: MIT */
/*
 * Turns for the worlds of one worker. What arrives for a world waits in its own queue,
 * and worlds with something to do stand in a ring: each turn takes one frame of one
 * world or starts one of its cells, and behind a started cell the loop goes round once
 * before the next turn. So one world's hundred cells cost another world's one cell the
 * time of one of them, and inside a world everything keeps the order in which it came.
 *
 * Interrupts and the end of a world do not queue.
 */
#include "worker/worker-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "py/loop.h"

AK_LOG_MODULE("pump");

#define TURNS 64 /* of one round, when none of them starts a cell */

/* A frame that waits, with its parts behind it unless they lie in its mapping. */
struct held {
    struct ak_list link; /* ak_session.inbox */
    struct ak_frame frame;
    struct ak_bytes parts[];
};

static void free_held(struct held *held) {
    ak_list_remove(&held->link);
    ak_frame_done(&held->frame);
    free(held);
}

/* Keeps a frame, whose mapping it takes. */
static int hold(struct ak_session *session, struct ak_frame *frame) {
    size_t n_bytes = 0;
    for (size_t i = 0; i < frame->n_parts && !frame->map; i++)
        n_bytes += frame->parts[i].len;
    size_t table = frame->n_parts * sizeof(struct ak_bytes);
    struct held *held = malloc(sizeof(*held) + table + n_bytes);
    if (!held)
        return ak_error_origin(ENOMEM);
    char *p = (char *)held->parts + table;
    for (size_t i = 0; i < frame->n_parts; i++) {
        held->parts[i] = frame->parts[i];
        if (frame->map)
            continue;
        if (frame->parts[i].len)
            memcpy(p, frame->parts[i].data, frame->parts[i].len);
        held->parts[i].data = p;
        p += frame->parts[i].len;
    }
    held->frame = *frame;
    held->frame.parts = held->parts;
    frame->map = NULL;
    frame->fd = -1;
    ak_list_init(&held->link);
    ak_list_append(&session->inbox, &held->link);
    return 0;
}

/* --- worlds ------------------------------------------------------------------------
 */

static struct ak_session *find(struct ak_worker *worker, uint64_t number) {
    return ak_map_get(worker->sessions, &number, sizeof(number));
}

static struct ak_session *find_or_make(struct ak_worker *worker, uint64_t number) {
    struct ak_session *session = find(worker, number);
    if (session || !number)
        return session;
    if (ak_session_new(&session, worker, number) < 0)
        return NULL;
    if (ak_map_put(worker->sessions, &number, sizeof(number), session, NULL) < 0)
        return ak_session_free(session);
    return session;
}

static void free_closed(void *context) {
    struct ak_worker *worker = context;
    ak_list_for_each(node, next, &worker->closing) {
        struct ak_session *session = ak_list_entry(node, struct ak_session, ready);
        struct ak_list *cursor = NULL;
        if (ak_schedule_next(session->schedule, &cursor) || session->n_draining ||
            !ak_space_idle(session->space))
            continue;
        ak_space_close(session->space);
        ak_session_free(session);
    }
}

void ak_session_settle(struct ak_session *session) {
    if (session->closing)
        (void)ak_loop_call_soon(session->worker->runtime, free_closed, session->worker);
}

static void close_session(struct ak_worker *worker, uint64_t number) {
    struct ak_session *session = find(worker, number);
    if (!session)
        return;
    ak_map_remove(worker->sessions, &number, sizeof(number));
    session->closing = true;
    ak_execute_interrupt(session, false);
    /* What it has left running is cancelled now, and its names go with the last cell.
     */
    ak_space_cancel(session->space);
    ak_list_remove(&session->ready);
    ak_list_append(&worker->closing, &session->ready);
    ak_session_settle(session);
}

int ak_pump_open(struct ak_worker *worker) {
    return ak_map_new(&worker->sessions);
}

void ak_pump_close(struct ak_worker *worker) {
    struct ak_session *session;
    size_t cursor = 0;
    if (!worker->sessions)
        return;
    while ((session = ak_map_next(worker->sessions, &cursor, NULL, NULL))) {
        ak_list_for_each(node, next, &session->inbox) {
            free_held(ak_list_entry(node, struct held, link));
        }
        ak_session_free(session);
    }
    ak_list_for_each(node, next, &worker->closing) {
        ak_session_free(ak_list_entry(node, struct ak_session, ready));
    }
    worker->sessions = ak_map_free(worker->sessions);
}

/* --- frames ------------------------------------------------------------------------
 */

static uint64_t number_of(const struct ak_frame *frame) {
    uint64_t number = 0;
    if (frame->n_parts && frame->parts[0].len == sizeof(number))
        memcpy(&number, frame->parts[0].data, sizeof(number));
    return number;
}

static void refuse(struct ak_worker *worker, const struct ak_frame *frame) {
    static const char reply[] =
        "{\"status\": \"error\", \"ename\": \"MemoryError\", \"evalue\": \"no memory "
        "for another session\", \"traceback\": [], \"execution_count\": 0}";
    if (frame->type == AK_FRAME_REQUEST)
        ak_worker_reply(worker, frame->id, ak_bytes(reply, sizeof(reply) - 1),
                        ak_bytes("{}", 2), AK_FRAME_F_DONE);
}

void ak_pump_take(struct ak_worker *worker, struct ak_frame *frame) {
    uint64_t number = number_of(frame);
    struct ak_session *session;
    switch (frame->type) {
    case AK_FRAME_REQUEST:
    case AK_FRAME_FENCE:
        session = find_or_make(worker, number);
        if (!session || hold(session, frame) < 0)
            refuse(worker, frame);
        else
            ak_pump_ready(session);
        break;
    case AK_FRAME_SENT:
        session = find(worker, number);
        if (session && hold(session, frame) == 0)
            ak_pump_ready(session);
        break;
    case AK_FRAME_INTERRUPT:
        session = find(worker, number);
        if (session)
            ak_execute_interrupt(session, false);
        break;
    case AK_FRAME_CLOSE:
        close_session(worker, number);
        break;
    default:
        ak_error("the kernel process sent a frame of unknown type %d", frame->type);
    }
}

/* Obeys the frame that has waited longest; whether that started a cell. */
static bool obey_next(struct ak_session *session) {
    struct held *held = ak_list_entry(session->inbox.next, struct held, link);
    bool started = false;
    switch (held->frame.type) {
    case AK_FRAME_REQUEST:
        started = ak_session_dispatch(session, &held->frame);
        break;
    case AK_FRAME_FENCE: {
        struct ak_frame back = {
            .type = AK_FRAME_FENCE, .arg = held->frame.arg, .fd = -1};
        ak_worker_send(session->worker, &back);
        break;
    }
    default:
        if (session->n_aborting)
            session->n_aborting--;
    }
    free_held(held);
    return started;
}

void ak_session_take_all(struct ak_session *session) {
    /* SENT takes back what its own error counted, and never more. */
    while (!ak_list_empty(&session->inbox))
        (void)obey_next(session);
}

/* --- turns -------------------------------------------------------------------------
 */

static void pump(void *context) {
    struct ak_worker *worker = context;
    worker->pumping = false;
    ak_pump_turn(worker);
}

void ak_pump_come_back(struct ak_worker *worker) {
    if (!worker->pumping && !worker->turning)
        worker->pumping = ak_loop_call_soon(worker->runtime, pump, worker) == 0;
}

void ak_pump_ready(struct ak_session *session) {
    if (session->closing || ak_list_linked(&session->ready))
        return;
    ak_list_append(&session->worker->ready, &session->ready);
}

static bool turn(struct ak_session *session) {
    if (session->runnable) {
        session->runnable = false;
        if (ak_session_run(session))
            return true;
    }
    return !ak_list_empty(&session->inbox) && obey_next(session);
}

void ak_pump_turn(struct ak_worker *worker) {
    bool started = false;
    /* Behind a cell that was started, its first step comes before anybody's turn. */
    if (worker->pumping)
        return;
    worker->turning = true;
    for (int i = 0; i < TURNS && !started && !ak_list_empty(&worker->ready); i++) {
        struct ak_session *session =
            ak_list_entry(worker->ready.next, struct ak_session, ready);
        ak_list_remove(&session->ready);
        started = turn(session);
        if (!ak_list_empty(&session->inbox) || session->runnable)
            ak_pump_ready(session);
    }
    worker->turning = false;
    if (started || !ak_list_empty(&worker->ready))
        ak_pump_come_back(worker);
}

void ak_pump_interrupt_all(struct ak_worker *worker) {
    struct ak_session *session;
    size_t cursor = 0;
    while ((session = ak_map_next(worker->sessions, &cursor, NULL, NULL)))
        ak_execute_interrupt(session, true);
}

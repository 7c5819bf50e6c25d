/* SPDX-License-Identifier: MIT */
#include "worker/session.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "worker/react.h"
#include "worker/worker-private.h"

AK_LOG_MODULE("session");

static void start_cell(void *owner, struct ak_cell *cell) {
    struct ak_session *session = owner;
    if (session->react && ak_react_start(session->react, cell))
        return;
    if (ak_cell_start(cell) < 0)
        ak_error("a cell could not be started: no memory");
}

static const struct ak_schedule_ops schedule_ops = {.start = start_cell};

int ak_session_new(struct ak_session **ret_session, struct ak_worker *worker,
                   uint64_t number) {
    AK_CLEANUP(ak_session_freep)
    struct ak_session *session = calloc(1, sizeof(*session));
    if (!session)
        return ak_error_origin(ENOMEM);
    ak_list_init(&session->ready);
    ak_list_init(&session->inbox);
    session->worker = worker;
    session->number = number;
    enum ak_chaining chaining = worker->config.chaining;
    int r =
        number ? ak_space_new_shared(&session->space, worker->runtime, chaining, number)
               : ak_space_new(&session->space, worker->runtime, chaining);
    if (!r)
        r = ak_schedule_new(&session->schedule, session->space, &schedule_ops, session);
    if (!r)
        r = ak_history_new(&session->history);
    if (!r && worker->config.react)
        r = ak_react_new(&session->react, session, worker->config.lazy);
    if (r)
        return ak_error_trace(r);
    *ret_session = AK_TAKE(session);
    return 0;
}

int ak_session_share(struct ak_session **ret_session, struct ak_session *of) {
    AK_CLEANUP(ak_session_freep)
    struct ak_session *session = calloc(1, sizeof(*session));
    if (!session)
        return ak_error_origin(ENOMEM);
    ak_list_init(&session->ready);
    ak_list_init(&session->inbox);
    session->worker = of->worker;
    session->space = of->space;
    session->history = of->history;
    session->shares = true;
    int r = ak_schedule_new(&session->schedule, session->space, &schedule_ops, session);
    if (r)
        return ak_error_trace(r);
    *ret_session = AK_TAKE(session);
    return 0;
}

struct ak_session *ak_session_free(struct ak_session *session) {
    if (!session)
        return NULL;
    session->react = ak_react_free(session->react);
    ak_list_remove(&session->ready);
    session->schedule = ak_schedule_free(session->schedule);
    if (!session->shares) {
        session->space = ak_space_free(session->space);
        session->history = ak_history_free(session->history);
    }
    free(session);
    return NULL;
}

bool ak_session_run(struct ak_session *session) {
    if (!session->number) {
        ak_schedule_run(session->schedule);
        return false;
    }
    struct ak_worker *worker = session->worker;
    bool now = worker->turning || !worker->pumping;
    bool started = now && ak_schedule_run_one(session->schedule);
    session->runnable = (started || !now) && ak_schedule_waiting(session->schedule) > 0;
    if (session->runnable)
        ak_pump_ready(session);
    if (started || session->runnable)
        ak_pump_come_back(worker);
    return started;
}

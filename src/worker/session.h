/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One world of a worker and what runs in it: the namespace, the order of its cells, its
 * history and whether it aborts what comes. A worker has one, or one a client session:
 * then frames wait in the session's own queue, and sessions take turns (worker/pump.c).
 * Worker process, loop thread, GIL held.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "py/space.h"
#include "worker/history.h"
#include "worker/schedule.h"

struct ak_react;
struct ak_worker;

struct ak_session {
    struct ak_list ready;     /* in ak_worker.ready or .closing */
    struct ak_worker *worker; /* borrowed */
    uint64_t number;          /* 0 for the world of a worker that has one */
    struct ak_space *space;
    struct ak_schedule *schedule;
    struct ak_history *history;
    struct ak_react *react; /* NULL when the mode is off */
    bool shares;            /* space and history belong to another session */
    struct ak_list inbox;   /* frames that wait for their turn (worker/pump.c) */
    bool runnable;          /* a cell that waited may be able to start */
    bool closing;           /* it ends when nothing of it runs any more */
    unsigned n_aborting;    /* error replies of which SENT has not come back */
    unsigned n_draining;    /* cells that were replied to and are not done */
};

/* number is 0 for the world that is the interpreter's own. */
int ak_session_new(struct ak_session **ret_session, struct ak_worker *worker,
                   uint64_t number);
/* A further order of cells over the names and the history of a session (a subshell). */
int ak_session_share(struct ak_session **ret_session, struct ak_session *of);
/* NULL ok. Nothing of it may run any more. */
struct ak_session *ak_session_free(struct ak_session *session);
AK_DEFINE_CLEANUP(struct ak_session *, ak_session_free)

/* Starts what may start; with turns, one cell of it, now or in its turn. Whether a cell
 * was started here. */
bool ak_session_run(struct ak_session *session);
/* Takes every frame that waits, in order. */
void ak_session_take_all(struct ak_session *session);
/* Ends it if it is closing and nothing of it runs: it may be freed soon after. */
void ak_session_settle(struct ak_session *session);

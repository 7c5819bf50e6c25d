/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One world of a worker and what runs in it: the namespace, the order of its cells, its
 * history and whether it aborts what comes. A worker has one, or one a client session.
 * Worker process, loop thread, GIL held.
 */

#include <stdbool.h>

#include "base/cleanup.h"
#include "py/space.h"
#include "worker/history.h"
#include "worker/schedule.h"

struct ak_react;
struct ak_worker;

struct ak_session {
    struct ak_worker *worker; /* borrowed */
    struct ak_space *space;
    struct ak_schedule *schedule;
    struct ak_history *history;
    struct ak_react *react; /* NULL when the mode is off */
    bool shares;            /* space and history belong to another session */
    unsigned n_aborting;    /* error replies of which SENT has not come back */
};

int ak_session_new(struct ak_session **ret_session, struct ak_worker *worker);
/* A further order of cells over the names and the history of a session (a subshell). */
int ak_session_share(struct ak_session **ret_session, struct ak_session *of);
/* NULL ok. Nothing of it may run any more. */
struct ak_session *ak_session_free(struct ak_session *session);
AK_DEFINE_CLEANUP(struct ak_session *, ak_session_free)

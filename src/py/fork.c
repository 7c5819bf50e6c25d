/* SPDX-License-Identifier: MIT */
/*
 * After any fork in user code, the C library's included, the child has no seam and no
 * ring: both are closed and unmapped, output goes to descriptors 1 and 2, and the child
 * never re-enters the loop. pthread_atfork takes no argument, so the handler finds the
 * state through the one pointer below, which is written once at start.
 */
#include "py/state-private.h"

#include <pthread.h>

/* pthread_atfork gives its handlers no context; set once, before any user code. */
static struct ak_state *atfork_state;

static void after_fork_in_child(void) {
    if (atfork_state && !atfork_state->forked) {
        atfork_state->forked = true;
        atfork_state->ops->forked(atfork_state->host);
    }
}

int ak_fork_setup(struct ak_state *state, PyObject *module) {
    (void)module;
    bool first = !atfork_state;
    atfork_state = state;
    if (first && pthread_atfork(NULL, NULL, after_fork_in_child) != 0) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* SPDX-License-Identifier: MIT */
#pragma once

#include "py/loop.h"
#include "py/runtime.h"
#include "py/state-private.h"

struct ak_runtime {
    struct ak_state *state; /* borrowed: lives in the module */
    PyObject *module;       /* owned: _akernel */
    bool finalize;          /* the interpreter is ours to end */
    bool stopping;          /* ak_loop_stop was called */
    ak_loop_callback interrupted;
    void *interrupted_context;
};

/* The loop that runs here: a subshell's on its thread, else the worker's. New
 * reference.
 */
PyObject *ak_loop_current(struct ak_state *state);
/* Whether this is the thread of the worker's own loop. */
bool ak_loop_is_main(const struct ak_state *state);

/* A C function as a callable that ignores its arguments. New reference. */
PyObject *ak_loop_callback_object(struct ak_state *state, ak_loop_callback function,
                                  void *context);

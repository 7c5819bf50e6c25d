/* SPDX-License-Identifier: MIT */
#include "py/subshell.h"

#include <errno.h>

#include "base/error.h"
#include "py/fault-private.h"
#include "py/runtime-private.h"

int ak_subloop_start(struct ak_runtime *runtime, int fd, ak_loop_callback readable,
                     ak_loop_callback over, void *context) {
    struct ak_state *state = runtime->state;
    AK_PYREF module = PyImport_ImportModule("akernel._subshell");
    AK_PYREF reader = ak_loop_callback_object(state, readable, context);
    AK_PYREF last = ak_loop_callback_object(state, over, context);
    state->n_subshells++;
    AK_PYREF done = module && reader && last
                        ? PyObject_CallMethod(module, "start", "iOO", fd, reader, last)
                        : NULL;
    if (done)
        return 0;
    Py_XDECREF(ak_fault_fetch());
    return ak_error_origin(ENOMEM);
}

void ak_subloop_end(void) {
    AK_PYREF module = PyImport_ImportModule("akernel._subshell");
    AK_PYREF done = module ? PyObject_CallMethod(module, "end", NULL) : NULL;
    if (!done)
        Py_XDECREF(ak_fault_fetch());
}

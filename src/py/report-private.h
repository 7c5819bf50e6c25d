/* SPDX-License-Identifier: MIT */
#pragma once

#include "py/state-private.h"

/* Shows a failure that no cell's own code can see (a task that nobody awaited, a
 * callback, a destructor) as a stream on stderr of the request, or of the running one
 * when NULL. message (str) and exception may be NULL. Never fails; GIL held; may run
 * Python. */
void ak_report_failure(struct ak_state *state, struct ak_request *request,
                       PyObject *message, PyObject *exception);

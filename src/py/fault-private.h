/* SPDX-License-Identifier: MIT */
#pragma once

/* The exception barrier, for the rest of src/py. GIL held; may run Python. */

#include "py/fault.h"
#include "py/state-private.h"

/* Takes the pending exception (there must be one) and describes it. Never fails: what
 * cannot be formatted is replaced by a plain line that says so, and no exception is
 * pending afterwards. The traceback hides our own frames, names cell frames
 * "Cell In[3], line 2", shows source lines with carets under the failing expression,
 * chained causes and contexts, exception groups and notes, and is bounded. */
void ak_fault_take(struct ak_state *state, struct ak_fault *ret_fault);
/* The same for an exception object, which stays the caller's; nothing is pending. */
void ak_fault_describe(struct ak_state *state, PyObject *exception,
                       struct ak_fault *ret_fault);

/* Fetches the pending exception as one normalised object with its traceback attached:
 * new reference or NULL when none is pending. Hides the difference between 3.11 and
 * later. ak_fault_restore sets it again and steals the reference. */
PyObject *ak_fault_fetch(void);
void ak_fault_restore(PyObject *exception);

/* The name that cell code is compiled under, e.g. "<cell 3 1f2e...>"; registers the
 * source with linecache so that tracebacks and inspect.getsource find it. New
 * reference. */
PyObject *ak_fault_register_source(struct ak_state *state, PyObject *source,
                                   long execution_count);
/* Says which execution count tracebacks show for a registered name, once it is known: a
 * cell is compiled when it arrives and counted when it starts. 0, or -1 with an
 * exception set. */
int ak_fault_name_source(struct ak_state *state, PyObject *filename,
                         long execution_count);

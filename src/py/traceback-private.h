/* SPDX-License-Identifier: MIT */
#pragma once

/* How an exception is written. Nothing here fails: what cannot be written is left out
 * or replaced, and no exception is pending afterwards. Output is bounded by
 * AK_TRACEBACK_MAX bytes. GIL held; runs Python (str() of exceptions). */

#include "py/state-private.h"

#define AK_TRACEBACK_MAX (1u << 20)

/* The lines of a traceback with ANSI colours, each ended by "\n". */
void ak_traceback_write(struct ak_state *state, PyObject *exception,
                        struct ak_buf *text);
/* str(exception), bounded. */
void ak_traceback_message(PyObject *exception, struct ak_buf *text);
/* The __name__ of an exception's type. */
void ak_traceback_type_name(PyObject *type, struct ak_buf *text);

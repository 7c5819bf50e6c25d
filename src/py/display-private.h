/* SPDX-License-Identifier: MIT */
#pragma once

#include "py/state-private.h"

/* Publishes execute_result for a value that is not None (messaging spec, "Execution
 * results"), or lets the value display itself. 0, or -1 with an exception set. */
int ak_display_result(struct ak_state *state, PyObject *value, long execution_count);
/* History keeps the text/plain of a result's data. */
void ak_display_keep_text(struct ak_state *state, PyObject *data);

/* SPDX-License-Identifier: MIT */
#pragma once

#include "py/state-private.h"

/* Writes UTF-8 to a stream (1 or 2) in the name of a request, waiting for room. 0, or
 * -1 with an exception set (an interrupt). GIL held; released while waiting. */
int ak_stream_write(struct ak_state *state, int number, uint64_t request,
                    const char *text, size_t len);

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The Python side of a subshell: a thread of the interpreter with an asyncio loop of
 * its own, on which a C function reads a descriptor. Worker process; GIL held.
 */

#include "py/loop.h"

struct ak_runtime;

/* readable is called on the new thread whenever the descriptor can be read; over is the
 * last call from it, after every task of the loop has ended. Both may come before this
 * returns, so the context belongs to the thread from here on. 0, or fatal and there is
 * no thread. */
int ak_subloop_start(struct ak_runtime *runtime, int fd, ak_loop_callback readable,
                     ak_loop_callback over, void *context);
/* From readable: what runs is cancelled, and the thread ends. */
void ak_subloop_end(void);

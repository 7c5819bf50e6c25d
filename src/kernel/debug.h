/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The debugger of a kernel: debug_requests of clients carry messages of the Debug
 * Adapter Protocol, which are answered here or by debugpy's adapter over a TCP
 * connection, so that all of it works while Python stands at a breakpoint. Nothing of
 * it exists before the first debug_request, and Python hears of it at the first
 * "initialize". Kernel process, its one thread.
 */

#include <stdbool.h>

#include "base/buf.h"

struct ak_kernel;
struct ak_message;
struct ak_process;
struct ak_request;
struct ak_world;

/* One debug_request about a world; replied to now or later. */
void ak_debug_request(struct ak_kernel *kernel, struct ak_request *request,
                      struct ak_world *world, const struct ak_message *message);
/* The worker's answer to a debug_request that was passed to it. */
void ak_debug_worker_replied(struct ak_kernel *kernel, struct ak_request *request,
                             struct ak_bytes content);

/* The connection, for the poll loop: -1 when there is none. */
int ak_debug_fd(const struct ak_kernel *kernel);
bool ak_debug_wants_out(const struct ak_kernel *kernel);
void ak_debug_serve(struct ak_kernel *kernel);

/* An interrupt was sent: what stands at a breakpoint has to go on, into it. */
void ak_debug_interrupted(struct ak_kernel *kernel);
/* Lets Python run on, for its end needs it. */
void ak_debug_let_go(struct ak_kernel *kernel);
/* Forgets everything when this is the worker that was debugged: it is gone. */
void ak_debug_forget(struct ak_kernel *kernel, const struct ak_process *process);
void ak_debug_reset(struct ak_kernel *kernel);

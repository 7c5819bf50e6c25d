/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Subshells (JEP 91): further threads of a worker that take requests beside its main
 * one. Each has a link of its own, so that what it is asked never waits behind a cell
 * that blocks the main thread. Kernel process.
 */

#include <stdbool.h>

#include "base/list.h"

struct ak_frame;
struct ak_kernel;
struct ak_message;
struct ak_process;
struct ak_request;
struct ak_world;

/* Answers create, delete and list. False when the message is something else. */
bool ak_subshell_answer(struct ak_kernel *kernel, struct ak_request *request,
                        struct ak_world *world, const struct ak_message *message);
/* Notes which subshell a request is for. When it names one that is not there, the
 * request is refused and the answer is false. */
bool ak_subshell_route(struct ak_kernel *kernel, struct ak_request *request,
                       const struct ak_message *message);
/* As ak_worker_forward, to the thread that the request is for. */
int ak_subshell_forward(struct ak_kernel *kernel, const struct ak_request *request,
                        struct ak_process *process, const struct ak_frame *frame);
/* Its thread has ended: replies to the request that asked for it. False when the
 * request asked for something else. */
bool ak_subshell_ended(struct ak_kernel *kernel, struct ak_request *request);
/* Sends what waits; true while something still does. */
bool ak_subshell_flush(struct ak_kernel *kernel);
/* Forgets those of a process, or all with NULL. */
void ak_subshell_forget(struct ak_kernel *kernel, const struct ak_process *process);

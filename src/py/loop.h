/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The asyncio loop, the only event loop of the worker. Callbacks are C functions that
 * the loop runs between the steps of tasks; they never see a pending exception and
 * never leave one. Worker process, main thread, GIL held.
 */

#include <stdint.h>

struct ak_runtime;

typedef void (*ak_loop_callback)(void *context);

/* Imports asyncio and makes the loop. 0, or AK_RUNTIME_E_START as ak_runtime_new. */
struct ak_buf;
int ak_loop_open(struct ak_runtime *runtime, struct ak_buf *ret_message);
/* Cancels what is left, closes the loop. */
void ak_loop_close(struct ak_runtime *runtime);

/* Calls back whenever the descriptor is readable. */
int ak_loop_watch(struct ak_runtime *runtime, int fd, ak_loop_callback callback,
                  void *context);
/* Calls back once, after what is ready now. */
int ak_loop_call_soon(struct ak_runtime *runtime, ak_loop_callback callback,
                      void *context);
/* Calls back once, after the seconds. */
int ak_loop_call_later(struct ak_runtime *runtime, double seconds,
                       ak_loop_callback callback, void *context);
/* Calls back, on the loop, each time that an interrupt found no user code on the stack,
 * and after one that did. */
void ak_loop_on_interrupt(struct ak_runtime *runtime, ak_loop_callback callback,
                          void *context);
/* Makes that call now when it is still to come: before requests are taken that came
 * after the interrupt. Cheap when there was none. */
void ak_loop_settle_interrupt(struct ak_runtime *runtime);

/* Runs until ak_loop_stop, whatever user code raises through it. */
void ak_loop_run(struct ak_runtime *runtime);
void ak_loop_stop(struct ak_runtime *runtime);

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The reactive mode of a session: the pass that follows a request and brings every cell
 * that depends on it up to date. Worker process, main thread, GIL held; calls may run
 * Python.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"

struct ak_cell;
struct ak_react;
struct ak_session;

int ak_react_new(struct ak_react **ret_react, struct ak_session *session, bool lazy);
struct ak_react *ak_react_free(struct ak_react *react);
AK_DEFINE_CLEANUP(struct ak_react *, ak_react_free)

/* A request waits in the schedule; it will not be started after all. */
void ak_react_arrived(struct ak_react *react, struct ak_cell *cell);
void ak_react_dropped(struct ak_react *react, struct ak_cell *cell);
/* The schedule lets a request start. False: it is none of the graph's, run it as ever.
 * Else the cell is the graph's from here on, and is replied to when its pass is over.
 */
bool ak_react_start(struct ak_react *react, struct ak_cell *cell);

/* Whether a request is the graph's; those that are and have not begun to run are told
 * that they are aborted, and replied to with the end of their passes. */
bool ak_react_has(const struct ak_cell *cell);
void ak_react_abort_waiting(struct ak_react *react);

/* What the operations of a cell with a tag say. */
void ak_react_suspended(struct ak_react *react, struct ak_cell *cell);
void ak_react_finished(struct ak_react *react, struct ak_cell *cell);
/* Cancels what runs in the name of others, and leaves the rest of all passes stale. */
void ak_react_interrupt(struct ak_react *react);

/* Around the handling of a message with the id: what changes in between is one pass,
 * and end tells whether the message is over only with it (its DONE is sent then). */
void ak_react_message_begin(struct ak_react *react, uint64_t id);
bool ak_react_message_end(struct ak_react *react);
/* The value that these names hold has changed inside: readers run, whoever defines or
 * changed it does not. */
void ak_react_changed(struct ak_react *react, const char *const *names, size_t n_names,
                      uint64_t by_request);

/* What akernel.react asks: mode, graph, why, forget, freeze, thaw, changed; request is
 * who asks. JSON text. 0 or fatal. */
int ak_react_command(struct ak_react *react, const char *verb, const char *argument,
                     uint64_t request, struct ak_buf *ret_json);

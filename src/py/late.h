/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where the output of a cell goes when it is shown after the cell's own request:
 * because it runs again, or because a line is to be said about it. A front end that
 * sends cellIds takes late messages under the cell's newest request. One that does not
 * (nbclient, a console) takes nothing but update_display_data of displays that it has
 * seen, under the request that is open now: so such a cell shows its displays and its
 * result in slots from the beginning, and what it shows later is put into them. Worker
 * process, main thread, GIL held.
 */

#include "py/cell.h"

/* Before the start of a cell with a request of its own and no cellId: its displays get
 * ids that begin with prefix. 0 or fatal. */
int ak_late_use_slots(struct ak_cell *cell, const char *prefix);
/* Around a run of ak_cell_again. current is the request that is open now. */
int ak_late_begin(struct ak_cell *again);
void ak_late_end(struct ak_cell *again, uint64_t current);
/* Replaces what a cell shows by one line, which says why it did not run. state goes to
 * metadata.akernel.state. fresh: its area is empty, and, where it has slots, it takes
 * one now. */
void ak_late_say(struct ak_cell *cell, uint64_t current, const char *state,
                 const char *line, bool fresh);
/* A line on stderr of a cell that runs or has just run. */
void ak_late_warn(struct ak_cell *cell, const char *line);
/* The mark above what a cell shows: a place for it, empty, before the cell shows
 * anything; then what it says, NULL for nothing. Without a place it is a line on
 * stderr.
 */
void ak_late_open_mark(struct ak_cell *cell);
void ak_late_mark(struct ak_cell *cell, uint64_t current, const char *line);

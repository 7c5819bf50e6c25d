/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which cell may start now. The schedule keeps the cells that are not over, in order of
 * arrival, and decides by the space's chaining: at once (concurrent), when the one
 * before is over (chained), or, by default, at once unless an earlier unfinished cell
 * has yet to bind a name that this one reads at once. Worker process, main thread.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/list.h"

struct ak_cell;
struct ak_schedule;
struct ak_space;

struct ak_schedule_ops {
    /* The cell may start; the schedule counts it as running from now on. */
    void (*start)(void *owner, struct ak_cell *cell);
};

int ak_schedule_new(struct ak_schedule **ret_schedule, struct ak_space *space,
                    const struct ak_schedule_ops *ops, void *owner);
struct ak_schedule *ak_schedule_free(struct ak_schedule *schedule);
AK_DEFINE_CLEANUP(struct ak_schedule *, ak_schedule_free)

/* Adds a cell at the end. With urgent set it waits for nobody (silent requests). */
int ak_schedule_add(struct ak_schedule *schedule, struct ak_cell *cell, bool urgent);
/* Forgets a cell that is over or aborted. */
void ak_schedule_remove(struct ak_schedule *schedule, struct ak_cell *cell);
/* Starts the first that may start; whether there was one. */
bool ak_schedule_run_one(struct ak_schedule *schedule);
/* Starts what may start. Call after each add, remove and suspension; cheap when nobody
 * waits. */
void ak_schedule_run(struct ak_schedule *schedule);

/* Walks the cells: start with *cursor NULL; NULL at the end. The current one may be
 * removed. */
struct ak_cell *ak_schedule_next(struct ak_schedule *schedule, struct ak_list **cursor);
size_t ak_schedule_waiting(const struct ak_schedule *schedule);

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What has to run, in which order, and why not. A plan is the set of cells of one graph
 * that are out of date and going to be brought up to date: seeds and everything that
 * can be reached from them. It hands out one ready cell after the other, ties by first
 * execution, and may grow while cells run. It allocates nothing. Worker process, main
 * thread.
 */

#include "flow/graph.h"

struct ak_plan;

struct ak_plan_ops {
    /* Whether a name has a value now, a builtin one included. */
    bool (*exists)(void *owner, const char *name);
    /* The cell became part of the plan. It may be running: then that run is of no use
     * any more, and the cell comes again when it is settled. */
    void (*added)(void *owner, struct ak_node *node);
    /* The cell is out of date and is not going to be run: behind a frozen one or
     * because the plan is lazy; or, with left set, because it or one above it has a
     * request in the queue, which will bring it up to date. */
    void (*outdated)(void *owner, struct ak_node *node, bool left);
};

struct ak_verdict {
    /* RUNNING: it may start. PENDING, BLOCKED, CYCLIC: it may not. */
    enum ak_node_state state;
    const char *name;      /* BLOCKED: the name that it waits for */
    struct ak_node *cause; /* BLOCKED: who does not give it */
};

int ak_plan_new(struct ak_plan **ret_plan, struct ak_graph *graph,
                const struct ak_plan_ops *ops, void *owner);
struct ak_plan *ak_plan_free(struct ak_plan *plan);
AK_DEFINE_CLEANUP(struct ak_plan *, ak_plan_free)

/* In a lazy plan only seeds run. */
void ak_plan_set_lazy(struct ak_plan *plan, bool lazy);
bool ak_plan_lazy(const struct ak_plan *plan);

/* Seeds: one cell; all readers of a name, but for one; the cells above one that are
 * stale (for lazy plans). They count from the next ak_plan_spread on. */
void ak_plan_seed(struct ak_plan *plan, struct ak_node *node);
void ak_plan_seed_readers(struct ak_plan *plan, const char *name,
                          const struct ak_node *except);
void ak_plan_seed_stale_above(struct ak_plan *plan, struct ak_node *node);
/* Takes the seeds and what they reach into the plan, calls added and outdated, finds
 * the cycles. */
void ak_plan_spread(struct ak_plan *plan);

/* Who comes next, or NULL. */
struct ak_node *ak_plan_peek(struct ak_plan *plan);
/* The next cell that can be judged, or NULL: nothing is ready. It is marked running and
 * has to be settled. */
struct ak_node *ak_plan_next(struct ak_plan *plan, struct ak_verdict *ret_verdict);
/* A cell that was handed out, or that never was, is done with: its state, and what
 * waited for it alone is ready. False when it has to run once more instead. */
bool ak_plan_settle(struct ak_plan *plan, struct ak_node *node,
                    enum ak_node_state state);
/* Whether it is part of the plan and not settled. */
bool ak_plan_has(const struct ak_plan *plan, const struct ak_node *node);
size_t ak_plan_unsettled(const struct ak_plan *plan);
/* Any cell of the plan that was not handed out, or NULL: to settle what is left after
 * an interrupt. */
struct ak_node *ak_plan_waiting(const struct ak_plan *plan);

/* Up to n names that a cell reads at once and that have no value; how many there are.
 */
size_t ak_plan_missing(const struct ak_plan *plan, const struct ak_node *node,
                       const char **ret_names, size_t n);
/* The other members of a cyclic cell's cycle, one after the other, and around; and the
 * name that a member gives to another one. */
struct ak_node *ak_node_cycle_next(const struct ak_node *node);
const char *ak_node_cycle_name(const struct ak_node *node);

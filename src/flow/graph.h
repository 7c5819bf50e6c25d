/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which cell of a notebook reads, binds and owns which global name. A node is a cell,
 * found by its id; a name is interned, and keeps those who define it and those who read
 * it in two lists, so that an edit of a cell costs what that cell names and nothing
 * looks at the whole graph. Edges are not stored: one leads from every definer of a
 * name to every reader of it that does not define it too. Worker process, main thread;
 * names and ids only, no Python, no I/O.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct ak_graph;
struct ak_node;

enum ak_use {
    AK_USE_READS = 1u << 0,       /* while the body runs */
    AK_USE_READS_LATER = 1u << 1, /* in the body of a function */
    AK_USE_BINDS = 1u << 2,
    AK_USE_BINDS_LATER = 1u << 3, /* "global" in the body of a function */
    AK_USE_DELETES = 1u << 4,
    AK_USE_LEARNED = 1u << 5, /* a read that showed only when it ran */
    AK_USE_OWNS = 1u << 6,    /* the value that the name has now is its */
};
#define AK_USE_READS_ANY (AK_USE_READS | AK_USE_READS_LATER | AK_USE_LEARNED)
#define AK_USE_DEFINES_ANY (AK_USE_BINDS | AK_USE_BINDS_LATER | AK_USE_OWNS)

enum ak_node_state {
    AK_NODE_STALE,   /* has to run, or was told to run and did not */
    AK_NODE_FRESH,   /* ran, and everything that it reads is as it was then */
    AK_NODE_RUNNING, /* started, not over */
    AK_NODE_PENDING, /* a name that it reads at once does not exist */
    AK_NODE_BLOCKED, /* somebody above it failed */
    AK_NODE_FAILED,  /* raised */
    AK_NODE_CYCLIC,  /* reads, around some corners, what it defines */
};
/* "fresh", "stale" ... */
const char *ak_node_state_name(enum ak_node_state state);

struct ak_use_of {
    const char *name;
    unsigned uses; /* enum ak_use, without OWNS */
};

int ak_graph_new(struct ak_graph **ret_graph);
struct ak_graph *ak_graph_free(struct ak_graph *graph);
AK_DEFINE_CLEANUP(struct ak_graph *, ak_graph_free)

/* --- cells ---- */

/* Adds a cell, last in the order of first execution; its state is STALE. The id is
 * copied. On failure nothing has changed, here and below. */
int ak_graph_add(struct ak_graph *graph, const char *id, size_t id_len,
                 struct ak_node **ret_node);
/* NULL when there is none. */
struct ak_node *ak_graph_find(const struct ak_graph *graph, const char *id,
                              size_t id_len);
/* Frees the node; it may not be running. What it owned has no owner then. */
void ak_graph_remove(struct ak_graph *graph, struct ak_node *node);
/* Replaces what its source does to names; ownership and what it learned stay, or go
 * with forget set. A name may come twice. */
int ak_graph_set_uses(struct ak_graph *graph, struct ak_node *node,
                      const struct ak_use_of *uses, size_t n_uses, bool forget);
int ak_graph_learn(struct ak_graph *graph, struct ak_node *node, const char *name);
/* Cells in order of first execution: start with NULL; NULL at the end. */
struct ak_node *ak_graph_next(const struct ak_graph *graph, struct ak_node *after);
size_t ak_graph_count(const struct ak_graph *graph);

const char *ak_node_id(const struct ak_node *node);
enum ak_node_state ak_node_state(const struct ak_node *node);
void ak_node_set_state(struct ak_node *node, enum ak_node_state state);
/* A frozen cell is run by its own request alone, and nothing passes through it. */
bool ak_node_frozen(const struct ak_node *node);
void ak_node_set_frozen(struct ak_node *node, bool frozen);
/* A cell with a request of its own in the queue is left to it. */
void ak_node_hold(struct ak_node *node, bool held);
bool ak_node_held(const struct ak_node *node);
/* The caller's own. */
void *ak_node_tag(const struct ak_node *node);
void ak_node_set_tag(struct ak_node *node, void *tag);

/* --- names ---- */

/* The owner changes: the newest one to bind a name has it. */
int ak_graph_own(struct ak_graph *graph, struct ak_node *node, const char *name);
void ak_graph_disown(struct ak_graph *graph, const char *name);
struct ak_node *ak_graph_owner(const struct ak_graph *graph, const char *name);
/* What one cell does to one name: enum ak_use, or 0. */
unsigned ak_graph_uses(const struct ak_graph *graph, const struct ak_node *node,
                       const char *name);
/* Walks what a cell does to names: start with *cursor NULL; false at the end. The
 * current one may be disowned. */
bool ak_node_next_use(const struct ak_node *node, void **cursor, const char **ret_name,
                      unsigned *ret_uses);
/* Walks the cells that do one of those things to a name; as above. */
struct ak_node *ak_graph_next_user(const struct ak_graph *graph, const char *name,
                                   unsigned uses, void **cursor);

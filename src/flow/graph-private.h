/* SPDX-License-Identifier: MIT */
#pragma once

/* The inside of a graph, shared by graph.c (cells and names) and plan.c (orders). */

#include "base/list.h"
#include "base/map.h"
#include "flow/graph.h"

/* A cell or a name as a vertex of the search for strongly connected parts, which keeps
 * its stack in the vertices. */
struct ak_vertex {
    struct ak_vertex *parent; /* in the search tree */
    struct ak_vertex *below;  /* on the stack of open vertices */
    struct ak_list *cursor;   /* the next edge to follow */
    unsigned index;           /* 0: not seen */
    unsigned low;
    unsigned part; /* the index of its part's root */
    bool open;
    bool is_name;
};

struct ak_name {
    struct ak_vertex vertex;
    char *text;              /* owned */
    struct ak_list definers; /* ak_edge.as_definer */
    struct ak_list readers;  /* ak_edge.as_reader */
    struct ak_node *owner;
    unsigned n_edges;
    unsigned n_bad; /* definers that failed or could not run */
    /* In the plan: unsettled definers, those of them that do not read it too, and
     * unsettled readers that do not delete it. */
    unsigned n_waited, n_waited_pure, n_reading;
    bool walked, walked_pure; /* plan: this spread has passed through it */
};

/* What one cell does to one name. */
struct ak_edge {
    struct ak_list in_node;    /* in ak_node.edges */
    struct ak_list as_definer; /* in ak_name.definers while it defines */
    struct ak_list as_reader;  /* in ak_name.readers while it reads */
    struct ak_node *node;
    struct ak_name *name;
    unsigned uses;
    /* The plan's: what this edge adds to the name's numbers, and what the cell waits
     * for: all definers, those that do not read it, or the readers (to delete it). */
    bool counts, counts_pure, counts_reading;
    bool waits, waits_pure, waits_last;
};

enum ak_plan_place {
    AK_PLAN_OUT,
    AK_PLAN_WAITING, /* in plan->waiting; in the heap when it waits for nobody */
    AK_PLAN_GIVEN,   /* handed out */
};

struct ak_node {
    struct ak_vertex vertex;
    struct ak_list link; /* in ak_graph.nodes */
    char *id;            /* owned */
    size_t id_len;
    uint64_t order;
    struct ak_list edges; /* ak_edge.in_node */
    enum ak_node_state state;
    bool frozen, held;
    void *tag;

    /* The plan's. */
    struct ak_list in_plan;   /* in plan->waiting or plan->given */
    struct ak_list in_spread; /* in a list of this spread */
    enum ak_plan_place place;
    bool again;     /* handed out, and out of date again */
    bool wanted;    /* a seed: runs though it is frozen or held */
    bool marked;    /* reached by this spread */
    bool behind;    /* reached through a held cell */
    bool cyclic;    /* in a cycle with a read at once in it */
    size_t heap_at; /* its place in the heap plus one; 0: not there */
    unsigned n_waits, n_waits_last;
    /* Its strongly connected part: a ring, itself when alone; how many members are not
     * settled is kept in the first. */
    struct ak_node *part_next, *part_first;
    unsigned part_left;
};

struct ak_graph {
    struct ak_map *nodes_by_id;
    struct ak_map *names;
    struct ak_map *edges;  /* (node, name) -> ak_edge */
    struct ak_list nodes;  /* ak_node.link, by order */
    struct ak_node **heap; /* owned: room for all nodes, the plan's */
    size_t heap_size, heap_room;
    uint64_t next_order;
};

/* Makes every member of a part stand alone again. */
void ak_node_leave_part(struct ak_node *node);

static inline bool ak_node_is_bad(const struct ak_node *node) {
    return node->state == AK_NODE_FAILED || node->state == AK_NODE_BLOCKED ||
           node->state == AK_NODE_CYCLIC;
}

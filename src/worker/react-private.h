/* SPDX-License-Identifier: MIT */
#pragma once

/* The inside of the reactive mode, shared by react.c (the pass), react_say.c (what is
 * said about cells) and react_command.c (what users ask). */

#include "base/list.h"
#include "base/map.h"
#include "flow/plan.h"
#include "py/cell.h"
#include "py/change.h"
#include "worker/react.h"
#include "worker/worker-private.h"

/* What one request or message set off; it is over when all its cells are settled. */
struct ak_pass {
    struct ak_list link;  /* in react->passes, oldest first */
    struct ak_unit *unit; /* whose request it is, or NULL */
    struct ak_cell *cell; /* the requested cell, or NULL */
    uint64_t id;          /* of the request or message, or 0 */
    uint64_t done_id;     /* a message to end, or 0 */
    size_t n_open;        /* cells of it that are not settled */
    bool cell_open;       /* the requested cell is not over */
    bool owns_cell;       /* a newer request of that cell came: nobody else keeps it */
    bool interrupted;
    bool aborting; /* the requested cell failed, and what waits has been aborted */
};

/* What the worker keeps of a cell of the graph. */
struct ak_unit {
    struct ak_node *node;     /* its tag is this */
    struct ak_cell *cell;     /* owned: of its newest request; never NULL */
    struct ak_pass *own;      /* that request's pass, while it is open */
    bool next;                /* that cell has not been started */
    struct ak_cell *run;      /* in flight: the cell, or one in its name (owned) */
    struct ak_change *change; /* owned: of the run */
    struct ak_pass *pass;     /* that it is part of, or NULL */
    unsigned n_queued;        /* requests of it in the schedule */
    bool has_id;              /* its front end sends cellIds */
    bool marked;              /* its mark says that it is stale */
    bool frozen;              /* by the API */
    char *prefix;             /* owned: of its slots */
    char *why;                /* owned: what it waits for, or NULL */
    char *ename;              /* owned: what it raised, or NULL */
};

struct ak_react {
    struct ak_session *session; /* borrowed */
    struct ak_graph *graph;
    struct ak_plan *plan;
    struct ak_list passes;    /* ak_pass.link */
    struct ak_pass *filling;  /* the pass that what is added becomes part of */
    struct ak_pass *message;  /* of the message that is being handled */
    struct ak_map *by_source; /* source -> unit, of cells without an id */
    struct ak_map *graves;    /* name -> label (owned) of a deleted cell that had it */
    struct ak_names deleted;  /* the newest deletedCells */
    struct ak_buf deferred;   /* struct ak_cell *: wait for their cell's own run */
    struct ak_cell *fresh;    /* started, and has not had its first step */
    uint64_t newest_id;
    size_t n_running;
    bool pumping, pump_again;
    bool delayed;         /* a pump is on its way */
    uint64_t grace_until; /* more requests are likely before that */
    uint64_t grace_end;   /* and this is the last that grace_until may become */
    bool halted;
    bool lazy;
};

static inline struct ak_unit *ak_unit_of(const struct ak_node *node) {
    return ak_node_tag(node);
}

/* react.c */
struct ak_pass *ak_react_begin(struct ak_react *react, uint64_t id);
/* Takes the seeds into a pass, and runs what is ready. */
void ak_react_go(struct ak_react *react, struct ak_pass *pass);
/* Brings one stale cell up to date, and what is below it. */
void ak_react_refresh(struct ak_react *react, struct ak_node *node);
/* Takes a cell out of the graph with all that it bound. */
void ak_react_bury(struct ak_react *react, struct ak_unit *unit);

/* react_say.c: "In[3] (c2)"; buf is the caller's. */
#define AK_LABEL_SIZE 64
const char *ak_unit_label(const struct ak_unit *unit, char buf[AK_LABEL_SIZE]);
/* Why a cell does not run, as a line. */
void ak_react_explain(struct ak_react *react, struct ak_unit *unit,
                      const struct ak_verdict *verdict, struct ak_buf *ret_line);
void ak_react_explain_missing(struct ak_react *react, const char *const *names,
                              size_t n_names, size_t n_all, struct ak_buf *ret_line);
/* Warns in the run of a cell that bound a name which another one defines. */
void ak_react_warn_of_two(struct ak_react *react, struct ak_unit *unit,
                          const char *name, struct ak_unit *before);

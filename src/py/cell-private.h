/* SPDX-License-Identifier: MIT */
#pragma once

/* The inside of a cell, shared by cell.c (its life), compile.c (source to code), step.c
 * (the coroutine) and outcome.c (the reply). GIL held. */

#include "base/clock.h"
#include "base/list.h"
#include "py/cell.h"
#include "py/fault-private.h"
#include "py/space-private.h"

struct ak_record;

/* What tags say about the cache. */
enum {
    AK_CELL_CACHE_OFF = 1 << 0,
    AK_CELL_CACHE_REFRESH = 1 << 1,
};

enum ak_cell_phase {
    AK_CELL_BODY,       /* the statements */
    AK_CELL_EXPRESSION, /* the last expression, whose value is displayed */
    AK_CELL_OVER,
};

struct ak_cell {
    struct ak_list link; /* in space->cells until it is over */
    struct ak_space *space;
    const struct ak_cell_ops *ops;
    void *owner;
    struct ak_request *request; /* owned */

    PyObject *source;    /* owned: str */
    PyObject *python;    /* owned: str that is compiled: the source, or what the shell
                            made of it; NULL before */
    PyObject *shell_key; /* owned: what ak_shell_outdated compares, or NULL */
    PyObject *shell_result; /* owned: IPython's ExecutionResult, or NULL */
    PyObject *expressions;  /* owned: user_expressions, a dict, or NULL */
    PyObject *front;        /* owned: the request's metadata, a dict, or NULL */
    PyObject *failure;    /* owned: the exception that compiling ended with, or NULL */
    PyObject *filename;   /* owned: str that its code objects carry, or NULL */
    PyObject *body;       /* owned: code, or NULL when there are no statements */
    PyObject *expression; /* owned: code, or NULL when the last one is a statement */
    bool quiet;           /* the last expression ends with a semicolon */
    bool stop_on_error;
    struct ak_effects *effects; /* owned, or NULL when it does not compile */
    void **values_at_start;     /* owned: identities of what effects binds, not owned */

    PyObject *context;   /* owned: contextvars.Context of the task */
    PyObject *coroutine; /* owned: the Cell object whose task it is */
    PyObject *task;      /* owned: asyncio.Task */
    PyObject *inner;     /* owned: coroutine of the running phase, or NULL */
    PyObject *trace;     /* owned: trace function of a debugger that waits for the next
                            step, or NULL */
    PyObject *waiters;   /* owned: list of futures of __task__(), or NULL */
    enum ak_cell_phase phase;
    bool started;
    bool begun; /* its first step was made */
    bool ended; /* the shell heard of its end */
    bool interrupted;
    bool failed;
    bool abandoned; /* cancelled for another run: its end is not shown */
    bool again;     /* has no request of its own: runs again in the name of another */
    bool reactive;  /* a name that nobody has yet is no error */
    bool by_interrupt;
    bool draining;
    char *missing; /* owned: the name that a reactive cell ended for, or NULL */
    char *ename;   /* owned: the class of the exception that it ended with, or NULL */
    void *tag;     /* its owner's */
    bool asked_exit;
    char stamp[AK_CLOCK_STAMP_SIZE]; /* metadata.started */

    unsigned cache_tags;
    struct ak_record *record;     /* owned: with the mode "cache", from its start on */
    struct ak_buf tree_key;       /* what its tree says, with the mode "cache" */
    struct ak_buf cache_metadata; /* JSON for its reply, or empty */

    struct ak_buf source_text; /* UTF-8 */
    struct ak_buf result_text; /* text/plain of the result */
    struct ak_buf reply;
    struct ak_buf metadata;
};

/* compile.c: fills filename, body, expression, quiet and effects, or failure. Never
 * leaves an exception. */
void ak_cell_compile(struct ak_cell *cell);
/* Forgets all that, so that the next ak_cell_compile begins anew. */
void ak_cell_uncompile(struct ak_cell *cell);

/* The coroutine type is made by ak_cell_setup, in step.c, which module.c calls. */

/* step.c: the coroutine object of a cell. New reference. */
PyObject *ak_step_coroutine(struct ak_cell *cell);
/* The bytecode offset at which the body is suspended: -1 when it is not, AK_EFFECTS_END
 * when it is over. */
int ak_step_offset(const struct ak_cell *cell);

/* late.c: routes one display of the running request; see ak_late_begin. 1 when it was
 * caught, 0 when it is to be published, perhaps with a display_id put into content, -1
 * with an exception set. */
int ak_late_route(struct ak_state *state, enum ak_output output, PyObject *content);
/* Text of a stream; the same. */
int ak_late_route_text(struct ak_request *request, const char *text, size_t len);
/* What an error shows, as text. */
int ak_late_route_error(struct ak_request *request, const struct ak_fault *fault);

/* outcome.c: makes the reply. Success, or the pending exception. Both publish what is
 * to be published and leave no exception. */
void ak_outcome_succeed(struct ak_cell *cell);
void ak_outcome_fail(struct ak_cell *cell);
void ak_outcome_refuse(struct ak_cell *cell, const char *ename, const char *evalue);
void ak_outcome_abort(struct ak_cell *cell);

/* cell.c: counts it and says so: execute_input, In, the newest request of its cellId.
 * 0, or -1 with an exception set. */
int ak_cell_announce(struct ak_cell *cell);
/* cell.c: whoever awaits the cell goes on. */
void ak_cell_wake_waiters(struct ak_cell *cell);
/* cell.c: takes the cell off its space, wakes waiters, hands it to its owner, who may
 * free it. */
void ak_cell_finish(struct ak_cell *cell);

/* drain.c: whether tasks that the cell created are not over. */
bool ak_cell_has_unfinished_tasks(struct ak_cell *cell);

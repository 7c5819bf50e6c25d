/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/list.h"
#include "py/space.h"
#include "py/state-private.h"

/* cellIds whose newest request is remembered; beyond, all are forgotten at once, which
 * costs nothing but late output of threads of cells that were executed again. */
#define AK_SPACE_CELL_IDS_MAX 16384
/* Results that Out and _N keep, newest first. */
#define AK_SPACE_OUT_MAX 1000

struct ak_space {
    struct ak_list link; /* ak_state.spaces, of a world that shares the interpreter */
    unsigned n_refs;     /* its owner's, and one a Request */
    uint64_t number;     /* of a world that shares the interpreter; else 0 */
    char *cwd;           /* owned: where its cells are; NULL: where the worker began */
    PyObject *comms;     /* owned: its comm manager once there is one, or NULL */
    PyObject *filenames; /* owned: names of the code of its cells, if it is shared */
    struct ak_state *state; /* borrowed */
    PyObject *module;       /* owned: __main__ */
    PyObject *names;        /* owned: its __dict__ */
    PyObject *context;      /* owned: contextvars.Context that new cells copy */
    PyObject *in;           /* owned: list In */
    PyObject *out;          /* owned: dict Out, bounded */
    PyObject *last;         /* owned: what _ was set to by us, or NULL */
    PyObject *input;        /* owned: the newest source, _i of the next cell */
    PyObject *requests;     /* owned: dict cellId -> newest Request of that cell */
    long execution_count;   /* of the newest execution; 0 before the first */
    int compiler_flags;     /* __future__ features switched on by earlier cells */
    enum ak_chaining chaining;
    struct ak_list cells; /* ak_cell.link: not over yet, in order of arrival */
};

/* The memory outlives ak_space_free for as long as contexts hold Requests of the world.
 */
struct ak_space *ak_space_ref(struct ak_space *space);
void ak_space_unref(struct ak_space *space);
/* What a result does to a world: _, __, ___, _N and Out; then execute_result. Called as
 * sys.displayhook by the running cell. 0, or -1 with an exception set. */
int ak_space_show_result(struct ak_space *space, PyObject *value);
/* main.c: makes sys.modules["__main__"] the module of whatever world runs. 0, or -1
 * with an exception set. */
int ak_main_install(struct ak_state *state);
/* Its comm manager, made now if the comm package is imported. Borrowed; NULL without an
 * exception when there is none. */
PyObject *ak_space_comms(struct ak_space *space);
/* cwd.c: the working directory is the world's while its code is on the stack. Returns
 * whose it was before, to be given to ak_cwd_leave. Both do nothing for a world that is
 * alone. */
struct ak_space *ak_cwd_enter(struct ak_space *space);
void ak_cwd_leave(struct ak_space *space, struct ak_space *before);
/* Puts what is run into In and the source as it was typed into _iN; _i, _ii and _iii
 * are the sources before it. */
int ak_space_record_input(struct ak_space *space, PyObject *source, PyObject *python,
                          long count);
/* _, __, ___, _N and Out. 0, or -1 with an exception set. */
int ak_space_keep_result(struct ak_space *space, PyObject *value, long count);
/* Adds the functions of cells to builtins: __task__, chaining, exit and quit; and the
 * displayhook. 0, or -1 with an exception set. */
int ak_builtins_install(struct ak_state *state);
/* Whether a value is exit, IPython's or this one, which ends the kernel when it is all
 * that a cell says. */
bool ak_builtins_is_exit(struct ak_state *state, PyObject *value);
/* Keeps what a finished cell set in its context variables for the cells after it. */
int ak_space_inherit_context(struct ak_space *space, PyObject *cell_context);

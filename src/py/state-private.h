/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The state of the built-in module _akernel: every Python object and type that the C
 * side keeps hangs from here, and methods reach it through their module. Lives in the
 * worker; GIL held. A new field is also visited and cleared in module.c
 * (ak_state_traverse).
 */

#include "base/list.h"
#include "py/host.h"
#include "py/ref-private.h"

struct ak_recorder;
struct ak_runtime;
struct ak_snapshot_work;
struct ak_space;

struct ak_state {
    const struct ak_host_ops *ops;
    void *host;
    struct ak_runtime *runtime; /* borrowed */
    struct ak_space *space;     /* borrowed: the world of code that has no context */
    struct ak_list spaces; /* ak_space.link: the worlds that share the interpreter */
    struct ak_space *on_stack; /* borrowed: the shared world whose code runs, or NULL */
    char *cwd;                 /* owned: where cwd.c left the process, or NULL */
    char *home;                /* owned: where the worker began; with cwd.c only */
    unsigned long n_shared;    /* worlds that shared it, ever */
    volatile uint64_t
        scoped;       /* number of the world whose interrupt is on its way, or 0 */
    bool interrupted; /* an interrupt came that the loop has not heard of */
    struct ak_recorder *recorder;      /* recorder.c: NULL without the mode "cache" */
    struct ak_snapshot_work *snapshot; /* snapshot.c: what is written or read now */
    int user_depth;                    /* steps of cells on the main thread's stack */
    bool
        forked; /* no seam, no ring: the child of a fork (py/fork.c), or the very end */

    /* Heap types, one a file. */
    PyTypeObject *request_type;        /* request.c: what a context holds */
    PyTypeObject *cell_type;           /* cell.c: the coroutine that runs a cell */
    PyTypeObject *callback_type;       /* loop.c: a C function as a callable */
    PyTypeObject *stream_type;         /* stdio.c */
    PyTypeObject *buffer_type;         /* stdio.c */
    size_t stream_offset;              /* stdio.c: where our fields lie in both */
    PyTypeObject *display_handle_type; /* display.c */
    PyTypeObject *memory_type;         /* snapshot.c */

    /* Objects. */
    PyObject *module;      /* borrowed: the module that owns this state */
    PyObject *request_var; /* ContextVar of the running request */
    unsigned long thread;  /* the main thread's ident */
    PyObject *newest;      /* Request of the newest running cell, or NULL */
    PyObject *loop;        /* the asyncio loop, or NULL before it exists */
    PyObject *task_type;   /* asyncio.Task */
    PyObject *stdin_error; /* StdinNotImplementedError */
    PyObject *str_loop, *str_request, *str_task, *str_future, *str_exception,
        *str_message;          /* interned names */
    PyObject *streams[2];      /* sys.stdout, sys.stderr */
    PyObject *sources;         /* fault.c: file name of cell code -> execution count */
    unsigned long n_sources;   /* fault.c: names given so far */
    unsigned long main_thread; /* loop.c: of the worker's own loop */
    size_t n_subshells;        /* subshell.c: threads with loops of their own, so far */
    bool names_by_hash;        /* fault.c: as a debugger expects them */
    int debugger_waits;        /* interrupt.c: the main thread is at a breakpoint */
    bool interrupt_waits;      /* interrupt.c: to be raised when it goes on */
    PyObject *json_scanner;    /* convert.c: scanner of Python's own json, lazily */
    PyObject *pickler, *unpickler; /* snapshot.c: classes, lazily */
    PyObject *comm_factory;        /* comm.c: makes a world's comm manager, or NULL */
    PyObject *main;      /* main.c: the module that stands for every world's */
    PyObject *home_main; /* main.c: the interpreter's own __main__ */
    bool told_undrained; /* drain.c said its sentence */
    PyObject *shell;     /* the IPython shell once there is one, or NULL */
    bool wants_shell;    /* user code imported IPython */
};

/* The state, from the module or from any object of ours. Borrowed, never NULL. */
struct ak_state *ak_state_of_module(PyObject *module);
struct ak_state *ak_state_of_type(PyTypeObject *defining_class);

/*
 * request.c: a Request is what a context (and thereby every task and thread of a cell)
 * holds: the seam's id and what output needs to know. When the last context that refers
 * to it is gone, the kernel process is told to forget the parent.
 */
struct ak_request {
    PyObject_HEAD uint64_t id;
    struct ak_state *state; /* borrowed */
    struct ak_space *space; /* a reference: the world it belongs to */
    PyObject *cell_id;      /* str or None: metadata.cellId */
    PyObject *heir;   /* Request that took over this cell's late output, or NULL */
    PyObject *header; /* bytes: the request's header as received, or None */
    bool allow_stdin;
    bool silent;
    bool store_history;
    bool finished;    /* its reply has gone out */
    bool everyone;    /* was interrupted because everything was */
    bool callback;    /* a message to a comm: what it starts belongs to its heir */
    bool alias;       /* the id belongs to another Request: a cell that runs again */
    bool spoke;       /* something was shown in its name */
    PyObject *slots;  /* str or NULL: displays get ids that begin with it (late.c) */
    PyObject *caught; /* list or NULL: what is shown is caught here (late.c) */
    unsigned n_slots;
    bool marked;      /* there is a place for a mark above what it shows */
    unsigned n_tasks; /* tasks that were created in its name */
    long execution_count;
};

/* A new Request of a world, not in any context yet. header may be empty. New reference.
 */
struct ak_request *ak_request_new(struct ak_space *space, uint64_t id,
                                  struct ak_bytes header);
/* A copy of the base context (NULL: of the running one) in which the request is
 * current. New reference. */
PyObject *ak_request_context(struct ak_request *request, PyObject *base);
/* The request of the running context; else the newest running cell's; else NULL.
 * Borrowed: valid while the context or the cell lives, so take the id or a reference.
 */
struct ak_request *ak_request_current(struct ak_state *state);
/* The world of that request; without one state->space, which is NULL before there is
 * any. Borrowed in the same way. */
struct ak_space *ak_space_current(struct ak_state *state);
/* The last heir of a request that has handed its output over; else itself. Borrowed. */
struct ak_request *ak_request_owner(struct ak_request *request);
/* Whose output of the running context is now, or NULL; borrowed as ak_request_current.
 */
struct ak_request *ak_request_output(struct ak_state *state);
/* Its id, 0 when there is none. */
uint64_t ak_request_output_id(struct ak_state *state);
/* Makes heir the heir of the running request, which handles a message: its output from
 * now on is the request's own on the main thread alone. */
void ak_request_hand_over(struct ak_state *state, struct ak_request *heir);

/* host.c: blocking forms of the host's functions for Python callers. They release the
 * GIL to wait, run signal handlers between tries, and return -1 with an exception set:
 * the handler's, or RuntimeError when the process is a forked child. */
int ak_host_publish(struct ak_state *state, const struct ak_publication *publication);
/* The same by parts; content and metadata are JSON text. */
int ak_host_publish_json(struct ak_state *state, enum ak_output output,
                         uint64_t request, const struct ak_buf *content);

/* Asks the front end; *ret_read_fd is the caller's. The answer comes as a line with its
 * line end; end of file alone means that nobody answers. */
int ak_host_ask(struct ak_state *state, uint64_t request, const struct ak_buf *content,
                int *ret_read_fd);

/* Asks for outputs of cells to be shown again, in the name of a request. */
int ak_host_show_again(struct ak_state *state, uint64_t request,
                       const struct ak_buf *options);
/* Asks the kernel process; the answer is read from *ret_read_fd to its end. */
int ak_host_call(struct ak_state *state, uint64_t request, struct ak_bytes text,
                 int *ret_read_fd);

/* module.c calls each once, in this order, after the state exists; 0, or -1 with an
 * exception set. Each adds its types to the state and its functions to the module. */
int ak_request_setup(struct ak_state *state, PyObject *module);
int ak_convert_setup(struct ak_state *state, PyObject *module);
int ak_fork_setup(struct ak_state *state, PyObject *module);
int ak_loop_setup(struct ak_state *state, PyObject *module);
int ak_cell_setup(struct ak_state *state, PyObject *module);
int ak_stdio_setup(struct ak_state *state, PyObject *module);
int ak_stdin_setup(struct ak_state *state, PyObject *module);
int ak_display_setup(struct ak_state *state, PyObject *module);
int ak_comm_setup(struct ak_state *state, PyObject *module);
int ak_react_setup(struct ak_state *state, PyObject *module);
int ak_inspect_setup(struct ak_state *state, PyObject *module);
int ak_call_setup(struct ak_state *state, PyObject *module);
int ak_snapshot_setup(struct ak_state *state, PyObject *module);
int ak_recorder_setup(struct ak_state *state, PyObject *module);

/* SPDX-License-Identifier: MIT */
/*
 * A client that sends no cellId (nbclient, papermill, a console) drops what a cell's
 * tasks print after its idle. So idle waits a bounded while for the tasks that the cell
 * itself created. Only a cell that created any pays for it. When some are still running
 * after the wait, their cell says so, once a kernel.
 */
#include "py/cell-private.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "py/report-private.h"
#include "py/runtime-private.h"

struct drain {
    struct ak_cell *cell; /* borrowed: its owner keeps it until the callback */
    PyObject *tasks;      /* owned: list */
    void (*done)(void *owner, struct ak_cell *cell);
};

static bool is_over(PyObject *task) {
    AK_PYREF over = PyObject_CallMethod(task, "done", NULL);
    Py_XDECREF(ak_fault_fetch());
    return over != Py_False;
}

/* The unfinished tasks that a request created: new list, or NULL when there are none.
 */
static PyObject *unfinished_tasks(struct ak_state *state, struct ak_request *request) {
    AK_PYREF asyncio = PyImport_ImportModule("asyncio");
    AK_PYREF loop = asyncio ? ak_loop_current(state) : NULL;
    AK_PYREF all = loop ? PyObject_CallMethod(asyncio, "all_tasks", "O", loop) : NULL;
    AK_PYREF every = all ? PySequence_List(all) : NULL;
    AK_PYREF own = every ? PyList_New(0) : NULL;
    if (!own)
        return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(every); i++) {
        PyObject *task = PyList_GET_ITEM(every, i); /* borrowed */
        AK_PYREF maker = PyObject_GetAttr(task, state->str_request);
        Py_XDECREF(ak_fault_fetch());
        if (maker == (PyObject *)request && PyList_Append(own, task) < 0)
            return NULL;
    }
    return PyList_GET_SIZE(own) ? Py_NewRef(own) : NULL;
}

bool ak_cell_has_unfinished_tasks(struct ak_cell *cell) {
    if (!cell->request->n_tasks)
        return false;
    AK_PYREF tasks = unfinished_tasks(cell->space->state, cell->request);
    bool has = tasks || PyErr_Occurred();
    Py_XDECREF(ak_fault_fetch());
    return has;
}

static void drained(void *context) {
    struct drain *drain = context;
    struct ak_cell *cell = drain->cell;
    struct ak_state *state = cell->space->state;
    Py_ssize_t n_left = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(drain->tasks); i++)
        n_left += !is_over(PyList_GET_ITEM(drain->tasks, i));
    if (n_left && !state->told_undrained) {
        state->told_undrained = true;
        AK_PYREF text = PyUnicode_FromFormat(
            "akernel: %zd task%s of this cell still run%s after it; a client that does "
            "not send cell ids shows nothing of what they print from now on "
            "(AKERNEL_DRAIN sets how many seconds the cell waits for them)",
            n_left, n_left == 1 ? "" : "s", n_left == 1 ? "s" : "");
        if (text)
            ak_report_failure(state, cell->request, text, NULL);
        Py_XDECREF(ak_fault_fetch());
    }
    cell->draining = false;
    void (*done)(void *, struct ak_cell *) = drain->done;
    Py_CLEAR(drain->tasks);
    free(drain);
    done(cell->owner, cell);
}

/* A task of ours that waits for theirs. */
static int wait_for(struct ak_state *state, struct drain *drain, double seconds) {
    AK_PYREF asyncio = PyImport_ImportModule("asyncio");
    AK_PYREF wait = asyncio ? PyObject_GetAttrString(asyncio, "wait") : NULL;
    AK_PYREF args = PyTuple_Pack(1, drain->tasks);
    AK_PYREF kwargs = Py_BuildValue("{s:d}", "timeout", seconds);
    AK_PYREF coroutine =
        wait && args && kwargs ? PyObject_Call(wait, args, kwargs) : NULL;
    AK_PYREF task_args = coroutine ? PyTuple_Pack(1, coroutine) : NULL;
    AK_PYREF loop = ak_loop_current(state);
    AK_PYREF task_kwargs = loop ? Py_BuildValue("{s:O}", "loop", loop) : NULL;
    AK_PYREF task = task_args && task_kwargs
                        ? PyObject_Call(state->task_type, task_args, task_kwargs)
                        : NULL;
    AK_PYREF callback = task ? ak_loop_callback_object(state, drained, drain) : NULL;
    AK_PYREF added =
        callback ? PyObject_CallMethod(task, "add_done_callback", "O", callback) : NULL;
    return added ? 0 : -1;
}

bool ak_cell_drain(struct ak_cell *cell, double seconds,
                   void (*done)(void *owner, struct ak_cell *cell)) {
    struct ak_state *state = cell->space->state;
    if (cell->request->n_tasks == 0 || !Py_IsNone(cell->request->cell_id) ||
        seconds <= 0)
        return false;
    struct drain *drain = calloc(1, sizeof(*drain));
    if (!drain)
        return false;
    drain->cell = cell;
    drain->done = done;
    drain->tasks = unfinished_tasks(state, cell->request);
    if (drain->tasks && wait_for(state, drain, seconds) == 0) {
        cell->draining = true;
        return true;
    }
    Py_XDECREF(ak_fault_fetch());
    Py_CLEAR(drain->tasks);
    free(drain);
    return false;
}

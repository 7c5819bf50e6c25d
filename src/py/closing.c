/* SPDX-License-Identifier: MIT */
/*
 * The end of a world whose interpreter goes on: its tasks are cancelled, its comms are
 * closed at the front end too, and its namespace is emptied name by name, as Python
 * does with __main__ at its own end; waiting for the garbage collector would keep what
 * a cycle holds until some other world happens to trigger it. The dictionaries
 * themselves live until the last context that refers to the world is gone.
 */
#include "py/space-private.h"

#include "py/comm.h"
#include "py/fault-private.h"
#include "py/report-private.h"
#include "py/scope.h"

static void forget(void) {
    Py_XDECREF(ak_fault_fetch());
}

void ak_space_cancel(struct ak_space *space) {
    struct ak_state *state = space->state;
    AK_PYREF asyncio = PyImport_ImportModule("asyncio");
    AK_PYREF all =
        asyncio ? PyObject_CallMethod(asyncio, "all_tasks", "O", state->loop) : NULL;
    AK_PYREF every = all ? PySequence_List(all) : NULL;
    for (Py_ssize_t i = 0; every && i < PyList_GET_SIZE(every); i++) {
        PyObject *task = PyList_GET_ITEM(every, i); /* borrowed */
        AK_PYREF maker = PyObject_GetAttr(task, state->str_request);
        forget();
        if (!maker || !Py_IS_TYPE(maker, state->request_type) ||
            ((struct ak_request *)maker)->space != space)
            continue;
        AK_PYREF done = PyObject_CallMethod(task, "cancel", NULL);
        (void)done;
        forget();
    }
    forget();
}

static void close_comms(struct ak_space *space) {
    struct ak_scope *scope = NULL;
    if (!space->comms || ak_scope_enter(&scope, space, 0, ak_bytes(NULL, 0)) < 0)
        return;
    AK_PYREF module = PyImport_ImportModule("akernel._comm");
    AK_PYREF done =
        module ? PyObject_CallMethod(module, "close_all", "O", space->comms) : NULL;
    (void)done;
    forget();
    ak_scope_leave(scope);
}

static void forget_sources(struct ak_space *space) {
    PyObject *sources = space->state->sources; /* borrowed */
    AK_PYREF linecache = PyImport_ImportModule("linecache");
    AK_PYREF cache = linecache ? PyObject_GetAttrString(linecache, "cache") : NULL;
    AK_PYREF names = Py_XNewRef(space->filenames);
    for (Py_ssize_t i = 0; names && cache && i < PyList_GET_SIZE(names); i++) {
        PyObject *name = PyList_GET_ITEM(names, i); /* borrowed */
        if (sources)
            (void)PyDict_DelItem(sources, name);
        forget();
        (void)PyObject_DelItem(cache, name);
        forget();
    }
    forget();
}

static void empty(PyObject *dict) {
    AK_PYREF strong = Py_XNewRef(dict);
    if (strong)
        PyDict_Clear(strong);
}

void ak_space_close(struct ak_space *space) {
    struct ak_state *state = space->state;
    ak_space_cancel(space);
    close_comms(space);
    forget_sources(space);
    if (state->newest && ((struct ak_request *)state->newest)->space == space)
        Py_CLEAR(state->newest);
    Py_CLEAR(space->last);
    empty(space->requests);
    empty(space->out);
    if (PyList_SetSlice(space->in, 0, PyList_GET_SIZE(space->in), NULL) < 0)
        forget();
    empty(space->names);
    forget();
}

size_t ak_space_memory(struct ak_space *space) {
    AK_PYREF sys = PyImport_ImportModule("sys");
    AK_PYREF getsizeof = sys ? PyObject_GetAttrString(sys, "getsizeof") : NULL;
    AK_PYREF values = getsizeof ? PyDict_Values(space->names) : NULL;
    size_t total = 0;
    for (Py_ssize_t i = 0; values && i < PyList_GET_SIZE(values); i++) {
        PyObject *value = PyList_GET_ITEM(values, i); /* borrowed */
        AK_PYREF size = PyObject_CallFunction(getsizeof, "Oi", value, 0);
        size_t n = size ? PyLong_AsSize_t(size) : 0;
        if (PyErr_Occurred())
            forget();
        else
            total += n;
    }
    forget();
    return total;
}

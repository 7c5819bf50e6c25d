/* SPDX-License-Identifier: MIT */
/*
 * The functions that every cell has without an import: __task__, __chain_execution__,
 * __unchain_execution__, exit and quit. They live in builtins, so that modules and
 * threads find them too, and a user's variable of the same name simply hides them.
 * display and its kin join them in display.c, input and ainput in stdin.c.
 */
#include "py/cell-private.h"

#include <string.h>

#include "py/runtime-private.h"

static int add_to_builtins(PyObject *module, const char *attribute, const char *name) {
    PyObject *builtins = PyEval_GetBuiltins(); /* borrowed */
    AK_PYREF function = PyObject_GetAttrString(module, attribute);
    return function ? PyDict_SetItemString(builtins, name, function) : -1;
}

/* The cell of the running context, or NULL: threads and tasks that outlive it have
 * none. */
static struct ak_cell *running_cell(struct ak_state *state) {
    struct ak_request *request = ak_request_current(state);
    struct ak_list *cells = &ak_space_current(state)->cells;
    ak_list_for_each(node, next, cells) {
        struct ak_cell *cell = ak_list_entry(node, struct ak_cell, link);
        if (cell->request == request)
            return cell;
    }
    return NULL;
}

/* The unfinished cell that __task__ means: that of an execution count, or the one
 * before the running cell. NULL when it is over or never was. */
static struct ak_cell *awaited_cell(struct ak_state *state, long count) {
    struct ak_cell *self = running_cell(state);
    struct ak_list *cells = &ak_space_current(state)->cells;
    struct ak_cell *found = NULL;
    ak_list_for_each(node, next, cells) {
        struct ak_cell *cell = ak_list_entry(node, struct ak_cell, link);
        if (cell == self) {
            if (count < 0)
                break;
            continue;
        }
        if (count < 0 || (cell->started && cell->request->execution_count == count))
            found = cell;
    }
    return found;
}

static PyObject *get_task(PyObject *module, PyObject *args) {
    struct ak_state *state = ak_state_of_module(module);
    PyObject *which = Py_None; /* borrowed */
    if (!PyArg_UnpackTuple(args, "__task__", 0, 1, &which))
        return NULL;
    long count = -1;
    if (!Py_IsNone(which)) {
        count = PyLong_AsLong(which);
        if (count == -1 && PyErr_Occurred())
            return NULL;
        long newest = ak_space_current(state)->execution_count;
        if (count < 1 || count > newest) {
            PyErr_Format(
                PyExc_ValueError,
                "there is no cell %ld: cells are counted from 1, and the newest "
                "is %ld",
                count, newest);
            return NULL;
        }
    }
    AK_PYREF loop = ak_loop_current(state);
    AK_PYREF future = loop ? PyObject_CallMethod(loop, "create_future", NULL) : NULL;
    if (!future)
        return NULL;
    struct ak_cell *cell = awaited_cell(state, count);
    if (!cell) {
        AK_PYREF set = PyObject_CallMethod(future, "set_result", "O", Py_None);
        return set ? Py_NewRef(future) : NULL;
    }
    if (!cell->waiters)
        cell->waiters = PyList_New(0);
    if (!cell->waiters || PyList_Append(cell->waiters, future) < 0)
        return NULL;
    return Py_NewRef(future);
}

static PyObject *chain(PyObject *module, PyObject *ignored) {
    ak_space_current(ak_state_of_module(module))->chaining = AK_CHAINING_CHAINED;
    Py_RETURN_NONE;
}

static PyObject *unchain(PyObject *module, PyObject *ignored) {
    struct ak_space *space = ak_space_current(ak_state_of_module(module));
    if (space->chaining == AK_CHAINING_CHAINED)
        space->chaining = AK_CHAINING_ASYNC;
    Py_RETURN_NONE;
}

static PyObject *ask_exit(PyObject *module, PyObject *args) {
    struct ak_state *state = ak_state_of_module(module);
    struct ak_request *request = ak_request_current(state);
    struct ak_cell *cell = running_cell(state);
    if (cell)
        cell->asked_exit = true;
    state->ops->ask_exit(state->host, request ? request->id : 0);
    Py_RETURN_NONE;
}

bool ak_builtins_is_exit(struct ak_state *state, PyObject *value) {
    if (state->shell && strcmp(Py_TYPE(value)->tp_name, "ZMQExitAutocall") == 0)
        return true;
    return PyCFunction_Check(value) && PyCFunction_GET_FUNCTION(value) == ask_exit &&
           PyCFunction_GET_SELF(value) == state->module;
}

static PyObject *displayhook(PyObject *module, PyObject *value) {
    struct ak_space *space = ak_space_current(ak_state_of_module(module));
    if (space && ak_space_show_result(space, value) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef builtins_functions[] = {
    {"__task__", get_task, METH_VARARGS,
     "__task__(n=None)\n--\n\nAwaitable that is done when the cell before this one, or "
     "cell n, is over."},
    {"__chain_execution__", chain, METH_NOARGS,
     "__chain_execution__()\n--\n\nFrom now on a cell starts when the one before is "
     "over."},
    {"__unchain_execution__", unchain, METH_NOARGS,
     "__unchain_execution__()\n--\n\nFrom now on a cell that awaits lets later cells "
     "start."},
    {"exit", ask_exit, METH_VARARGS, "exit()\n--\n\nEnd the kernel after this cell."},
    {"displayhook", displayhook, METH_O,
     "displayhook(value)\n--\n\nShow the result of a cell and keep it in _ and Out."},
    {NULL, NULL, 0, NULL},
};

int ak_builtins_install(struct ak_state *state) {
    PyObject *module = state->module; /* borrowed */
    if (PyModule_AddFunctions(module, builtins_functions) < 0)
        return -1;
    const char *const names[] = {"__task__", "__chain_execution__",
                                 "__unchain_execution__", "exit"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (add_to_builtins(module, names[i], names[i]) < 0)
            return -1;
    }
    if (add_to_builtins(module, "exit", "quit") < 0)
        return -1;
    AK_PYREF hook = PyObject_GetAttrString(module, "displayhook");
    return hook ? PySys_SetObject("displayhook", hook) : -1;
}

/* SPDX-License-Identifier: MIT */
/*
 * The world of a kernel that has one is the interpreter's own __main__, so that
 * pickling, spawned children and "import __main__" see what cells see; worlds that
 * share the interpreter stand behind one proxy (py/main.c). In, Out, _ and their kin
 * are plain entries of it. Out is bounded: a long notebook must not keep every big
 * result alive.
 *
 * _, __ and ___ are set only while they still hold what was put there, so that a user's
 * own "_" (gettext, a loop variable) is left alone.
 */
#include "py/space-private.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "py/display-private.h"
#include "py/fault-private.h"
#include "py/interrupt-private.h"
#include "py/runtime-private.h"

static int set(struct ak_space *space, const char *name, PyObject *value) {
    return PyDict_SetItemString(space->names, name, value);
}

/* Sets name followed by a number. */
static int set_numbered(struct ak_space *space, const char *prefix, long number,
                        PyObject *value) {
    AK_PYREF name = PyUnicode_FromFormat("%s%ld", prefix, number);
    return name ? PyDict_SetItem(space->names, name, value) : -1;
}

static int drop_numbered(struct ak_space *space, const char *prefix, long number) {
    AK_PYREF name = PyUnicode_FromFormat("%s%ld", prefix, number);
    int has = name ? PyDict_Contains(space->names, name) : -1;
    return has <= 0 ? has : PyDict_DelItem(space->names, name);
}

/* What every namespace begins with. */
static int fill_names(struct ak_space *space) {
    AK_PYREF empty = PyUnicode_FromString("");
    if (!empty || set(space, "In", space->in) < 0 || set(space, "_ih", space->in) < 0 ||
        set(space, "Out", space->out) < 0 || set(space, "_oh", space->out) < 0 ||
        set(space, "_", empty) < 0 || set(space, "__", empty) < 0 ||
        set(space, "___", empty) < 0)
        return -1;
    space->last = Py_NewRef(empty);
    space->input = Py_NewRef(empty);
    return 0;
}

static int fill(struct ak_space *space) {
    space->names = space->module ? Py_XNewRef(PyModule_GetDict(space->module)) : NULL;
    space->context = PyContext_New();
    space->in = Py_BuildValue("[s]", "");
    space->out = PyDict_New();
    space->requests = PyDict_New();
    if (!space->names || !space->context || !space->in || !space->out ||
        !space->requests)
        return -1;
    return fill_names(space);
}

/* The interpreter's own __main__, without the trace of the program that started it. */
static int take_main(struct ak_space *space) {
    space->module = Py_XNewRef(PyImport_AddModule("__main__"));
    PyObject *names = /* borrowed */
        space->module ? PyModule_GetDict(space->module) : NULL;
    AK_PYREF file = PyUnicode_InternFromString("__file__");
    int has_file = names && file ? PyDict_Contains(names, file) : -1;
    if (has_file < 0 || (has_file && PyDict_DelItem(names, file) < 0))
        return -1;
    return fill(space);
}

/* A module like it that only this world has. */
static int make_main(struct ak_space *space) {
    AK_PYREF annotations = PyDict_New();
    PyObject *builtins = PyEval_GetBuiltins(); /* borrowed */
    AK_PYREF module = PyImport_ImportModule("builtins");
    space->filenames = PyList_New(0);
    space->module = PyModule_New("__main__");
    if (!annotations || !builtins || !module || !space->filenames || !space->module ||
        PyObject_SetAttrString(space->module, "__builtins__", module) < 0 ||
        PyObject_SetAttrString(space->module, "__annotations__", annotations) < 0)
        return -1;
    return fill(space);
}

static int new_space(struct ak_space **ret_space, struct ak_runtime *runtime,
                     enum ak_chaining chaining, uint64_t number) {
    AK_CLEANUP(ak_space_freep) struct ak_space *space = calloc(1, sizeof(*space));
    if (!space)
        return ak_error_origin(ENOMEM);
    struct ak_state *state = runtime->state;
    space->n_refs = 1;
    ak_list_init(&space->link);
    ak_list_init(&space->cells);
    space->state = state;
    space->chaining = chaining;
    space->number = number;
    if ((!state->space && ak_builtins_install(state) < 0) ||
        (number && ak_main_install(state) < 0) ||
        (number ? make_main(space) : take_main(space)) < 0) {
        Py_XDECREF(ak_fault_fetch());
        return ak_error_origin(ENOMEM);
    }
    if (!state->space)
        state->space = space;
    if (number && !state->n_shared++ && ak_interrupt_scoped(state) < 0)
        Py_XDECREF(ak_fault_fetch());
    if (number)
        ak_list_append(&state->spaces, &space->link);
    *ret_space = AK_TAKE(space);
    return 0;
}

int ak_space_new(struct ak_space **ret_space, struct ak_runtime *runtime,
                 enum ak_chaining chaining) {
    return new_space(ret_space, runtime, chaining, 0);
}

int ak_space_new_shared(struct ak_space **ret_space, struct ak_runtime *runtime,
                        enum ak_chaining chaining, uint64_t number) {
    return new_space(ret_space, runtime, chaining, number);
}

struct ak_space *ak_space_ref(struct ak_space *space) {
    space->n_refs++;
    return space;
}

void ak_space_unref(struct ak_space *space) {
    if (!space || --space->n_refs > 0)
        return;
    Py_CLEAR(space->names);
    Py_CLEAR(space->module);
    free(space->cwd);
    free(space);
}

struct ak_space *ak_space_free(struct ak_space *space) {
    if (!space)
        return NULL;
    if (space->state->space == space)
        space->state->space = NULL;
    ak_list_remove(&space->link);
    if (space->state->on_stack == space)
        space->state->on_stack = NULL;
    Py_CLEAR(space->requests);
    Py_CLEAR(space->input);
    Py_CLEAR(space->last);
    Py_CLEAR(space->out);
    Py_CLEAR(space->in);
    Py_CLEAR(space->context);
    Py_CLEAR(space->comms);
    Py_CLEAR(space->filenames);
    ak_space_unref(space);
    return NULL;
}

bool ak_space_idle(const struct ak_space *space) {
    return ak_list_empty(&space->cells);
}

long ak_space_execution_count(const struct ak_space *space) {
    return space->execution_count;
}

enum ak_chaining ak_space_chaining(const struct ak_space *space) {
    return space->chaining;
}

/* Shifts a history of three: c = b, b = a, a = value. */
static int shift(struct ak_space *space, const char *a, const char *b, const char *c,
                 PyObject *value) {
    AK_PYREF one = PyUnicode_InternFromString(a);
    AK_PYREF two = PyUnicode_InternFromString(b);
    if (!one || !two)
        return -1;
    AK_PYREF old_two = Py_XNewRef(PyDict_GetItemWithError(space->names, two));
    AK_PYREF old_one = Py_XNewRef(PyDict_GetItemWithError(space->names, one));
    if (old_two && set(space, c, old_two) < 0)
        return -1;
    if (old_one && set(space, b, old_one) < 0)
        return -1;
    return PyErr_Occurred() ? -1 : set(space, a, value);
}

int ak_space_record_input(struct ak_space *space, PyObject *source, PyObject *python,
                          long count) {
    /* Counts are given at the start of a cell, so In grows by exactly one. */
    if (PyList_Append(space->in, python) < 0 ||
        set_numbered(space, "_i", count, source) < 0 ||
        shift(space, "_i", "_ii", "_iii", space->input) < 0)
        return -1;
    Py_XSETREF(space->input, Py_NewRef(source));
    return 0;
}

int ak_space_keep_result(struct ak_space *space, PyObject *value, long count) {
    if (value == space->out)
        return 0; /* Out must not hold itself */
    AK_PYREF underscore = PyUnicode_InternFromString("_");
    PyObject *now = /* borrowed */
        underscore ? PyDict_GetItemWithError(space->names, underscore) : NULL;
    if (!now && PyErr_Occurred())
        return -1;
    if (!now || now == space->last) {
        if (shift(space, "_", "__", "___", value) < 0)
            return -1;
        Py_XSETREF(space->last, Py_NewRef(value));
    }
    AK_PYREF number = PyLong_FromLong(count);
    if (!number || PyDict_SetItem(space->out, number, value) < 0 ||
        set_numbered(space, "_", count, value) < 0)
        return -1;
    while (PyDict_Size(space->out) > AK_SPACE_OUT_MAX) {
        Py_ssize_t position = 0;
        PyObject *oldest, *ignored; /* borrowed */
        if (!PyDict_Next(space->out, &position, &oldest, &ignored))
            break;
        AK_PYREF key = Py_NewRef(oldest);
        long old_count = PyLong_AsLong(key);
        if (old_count == -1 && PyErr_Occurred())
            Py_XDECREF(ak_fault_fetch());
        else if (drop_numbered(space, "_", old_count) < 0)
            return -1;
        if (PyDict_DelItem(space->out, key) < 0)
            return -1;
    }
    return 0;
}

/* A cell that runs again changes its own entry of Out, but it is not the last result.
 */
static int keep_again(struct ak_space *space, PyObject *value, long count) {
    AK_PYREF number = PyLong_FromLong(count);
    int has = number ? PyDict_Contains(space->out, number) : -1;
    if (has <= 0)
        return has;
    return PyDict_SetItem(space->out, number, value) < 0
               ? -1
               : set_numbered(space, "_", count, value);
}

int ak_space_show_result(struct ak_space *space, PyObject *value) {
    struct ak_request *request = ak_request_current(space->state);
    if (Py_IsNone(value) || !request)
        return 0;
    long count = request->execution_count;
    if (request->alias
            ? keep_again(space, value, count) < 0
            : request->store_history && ak_space_keep_result(space, value, count) < 0)
        return -1;
    return ak_display_result(space->state, value, count);
}

int ak_space_inherit_context(struct ak_space *space, PyObject *cell_context) {
    if (PyObject_Size(cell_context) <= 1 && PyObject_Size(space->context) == 0)
        return 0;
    AK_PYREF variables = PySequence_List(cell_context);
    if (!variables)
        return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(variables); i++) {
        PyObject *variable = PyList_GET_ITEM(variables, i); /* borrowed */
        if (variable == space->state->request_var)
            continue;
        AK_PYREF value = PyObject_GetItem(cell_context, variable);
        if (!value || PyContext_Enter(space->context) < 0)
            return -1;
        AK_PYREF token = PyContextVar_Set(variable, value);
        if (PyContext_Exit(space->context) < 0 || !token)
            return -1;
    }
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * What a cell is beside its own execution: what its request says about it, a run in the
 * name of another one, and an end without a run. A run again shares the code objects
 * and has a Request that is an alias: same id, and once it is over its late output
 * belongs to the Request that it stood for.
 */
#include "py/cell-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "py/convert-private.h"
#include "py/effects-private.h"

void *ak_cell_tag(const struct ak_cell *cell) {
    return cell->tag;
}

void ak_cell_set_tag(struct ak_cell *cell, void *tag) {
    cell->tag = tag;
}

struct ak_bytes ak_cell_cell_id(const struct ak_cell *cell) {
    Py_ssize_t len = 0;
    const char *text = PyUnicode_Check(cell->request->cell_id)
                           ? PyUnicode_AsUTF8AndSize(cell->request->cell_id, &len)
                           : NULL;
    Py_XDECREF(PyErr_Occurred() ? ak_fault_fetch() : NULL);
    return text ? ak_bytes(text, (size_t)len) : ak_bytes("", 0);
}

/* A list that the request's metadata holds, or NULL. Borrowed. */
static PyObject *front_list(const struct ak_cell *cell, const char *name) {
    AK_PYREF key = cell->front ? PyUnicode_InternFromString(name) : NULL;
    PyObject *list = key ? PyDict_GetItemWithError(cell->front, key) : NULL;
    Py_XDECREF(PyErr_Occurred() ? ak_fault_fetch() : NULL);
    return list && PyList_Check(list) ? list : NULL;
}

bool ak_cell_tagged(const struct ak_cell *cell, const char *tag) {
    PyObject *tags = front_list(cell, "tags"); /* borrowed */
    for (Py_ssize_t i = 0; tags && i < PyList_GET_SIZE(tags); i++) {
        PyObject *item = PyList_GET_ITEM(tags, i); /* borrowed */
        if (PyUnicode_Check(item) && PyUnicode_CompareWithASCIIString(item, tag) == 0)
            return true;
    }
    return false;
}

bool ak_cell_deleted(const struct ak_cell *cell, struct ak_names *ret_ids) {
    PyObject *list = front_list(cell, "deletedCells"); /* borrowed */
    *ret_ids = (struct ak_names){0};
    if (!list)
        return false;
    Py_ssize_t n = PyList_GET_SIZE(list);
    ret_ids->items = calloc((size_t)n + 1, sizeof(*ret_ids->items));
    for (Py_ssize_t i = 0; ret_ids->items && i < n; i++) {
        PyObject *item = PyList_GET_ITEM(list, i); /* borrowed */
        const char *text = PyUnicode_Check(item) ? PyUnicode_AsUTF8(item) : NULL;
        char *copy = text ? strdup(text) : NULL;
        Py_XDECREF(PyErr_Occurred() ? ak_fault_fetch() : NULL);
        if (copy)
            ret_ids->items[ret_ids->n_items++] = copy;
    }
    return true;
}

void ak_cell_free_deleted(struct ak_names *ids) {
    for (size_t i = 0; i < ids->n_items; i++)
        free(ids->items[i]);
    free(ids->items);
    *ids = (struct ak_names){0};
}

static struct ak_request *alias_of(struct ak_cell *of) {
    struct ak_request *request =
        ak_request_new(of->space, ak_request_owner(of->request)->id, ak_bytes("", 0));
    if (!request)
        return NULL;
    request->alias = true;
    Py_SETREF(request->cell_id, Py_NewRef(of->request->cell_id));
    request->heir = Py_NewRef((PyObject *)of->request);
    request->allow_stdin = of->request->allow_stdin;
    request->store_history = of->request->store_history;
    request->execution_count = of->request->execution_count;
    return request;
}

int ak_cell_again(struct ak_cell **ret_cell, struct ak_cell *of,
                  const struct ak_cell_ops *ops, void *owner) {
    AK_CLEANUP(ak_cell_freep) struct ak_cell *cell = calloc(1, sizeof(*cell));
    if (!cell)
        return ak_error_origin(ENOMEM);
    ak_list_init(&cell->link);
    cell->space = of->space;
    cell->ops = ops;
    cell->owner = owner;
    cell->again = true;
    cell->request = alias_of(of);
    if (!cell->request) {
        Py_XDECREF(ak_fault_fetch());
        return ak_error_origin(ENOMEM);
    }
    cell->source = Py_NewRef(of->source);
    cell->expressions = Py_XNewRef(of->expressions);
    cell->python = Py_XNewRef(of->python);
    cell->filename = Py_XNewRef(of->filename);
    cell->body = Py_XNewRef(of->body);
    cell->expression = Py_XNewRef(of->expression);
    cell->quiet = of->quiet;
    cell->stop_on_error = of->stop_on_error;
    ak_list_append(&of->space->cells, &cell->link);
    *ret_cell = AK_TAKE(cell);
    return 0;
}

bool ak_cell_reorder(struct ak_cell *cell) {
    int flags = PyCF_ALLOW_TOP_LEVEL_AWAIT | cell->space->compiler_flags;
    struct ak_effects *effects = NULL;
    AK_PYREF module = PyImport_ImportModule("akernel._formula");
    AK_PYREF code = module && cell->python && cell->filename
                        ? PyObject_CallMethod(module, "order", "OOi", cell->python,
                                              cell->filename, flags)
                        : NULL;
    if (!code || !PyCode_Check(code) ||
        ak_effects_new(&effects, code, cell->expression) < 0) {
        Py_XDECREF(PyErr_Occurred() ? ak_fault_fetch() : NULL);
        return false;
    }
    Py_XSETREF(cell->body, Py_NewRef(code));
    ak_effects_free(cell->effects);
    cell->effects = effects;
    return true;
}

void ak_cell_set_reactive(struct ak_cell *cell) {
    cell->reactive = true;
}

void ak_cell_present(struct ak_cell *cell) {
    ak_clock_stamp(cell->stamp);
    cell->started = true;
    if (ak_cell_announce(cell) < 0)
        Py_XDECREF(ak_fault_fetch());
}

void ak_cell_conclude(struct ak_cell *cell, const char *ename, const char *evalue) {
    if (ename)
        ak_outcome_refuse(cell, ename, evalue);
    else
        ak_outcome_succeed(cell);
    cell->phase = AK_CELL_OVER;
    cell->request->finished = true;
    ak_list_remove(&cell->link);
    ak_cell_wake_waiters(cell);
}

bool ak_cell_draining(const struct ak_cell *cell) {
    return cell->draining;
}

const char *ak_cell_missing(const struct ak_cell *cell) {
    return cell->missing;
}

const char *ak_cell_ename(const struct ak_cell *cell) {
    return cell->ename;
}

bool ak_cell_by_interrupt(const struct ak_cell *cell) {
    return cell->by_interrupt;
}

void ak_cell_take_reply(struct ak_cell *cell, struct ak_cell *from) {
    struct ak_buf reply = cell->reply, metadata = cell->metadata;
    cell->reply = from->reply;
    cell->metadata = from->metadata;
    from->reply = reply;
    from->metadata = metadata;
    cell->failed = from->failed;
}

/* SPDX-License-Identifier: MIT */
/*
 * A copy of the dict is taken before a run: it holds strong references, for an address
 * that was freed may come back as another value. The cell's own old values are not in
 * it, because reactive runs unbind them first, so that nothing big is kept twice. Of a
 * large namespace only the names that the cell is known to bind are copied; other names
 * that appeared are found by the dict's size.
 */
#include "py/change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "py/fault-private.h"
#include "py/space-private.h"

/* Entries of a namespace up to which all of it is compared. */
#define SMALL 512

struct ak_change {
    struct ak_space *space;           /* borrowed */
    PyObject *before;                 /* owned: dict */
    const struct ak_effects *effects; /* borrowed */
    bool all;                         /* before holds every name */
    Py_ssize_t n_before;
    char result[24]; /* the name that keeps the cell's result */
    bool had_result;
};

static bool is_number(const char *text) {
    return *text && text[strspn(text, "0123456789")] == '\0';
}

bool ak_space_is_ours(const char *name) {
    static const char *const names[] = {"_",   "__",  "___", "_i", "_ii", "_iii",
                                        "_ih", "_oh", "_dh", "In", "Out"};
    if (name[0] != '_' && name[0] != 'I' && name[0] != 'O')
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return name[0] == '_' && is_number(name + 1 + (name[1] == 'i'));
}

/* A name's entry in a dict, or NULL without an exception. Borrowed. */
static PyObject *lookup(PyObject *dict, const char *name) {
    AK_PYREF key = PyUnicode_FromString(name);
    PyObject *value = key && dict ? PyDict_GetItemWithError(dict, key) : NULL;
    if (PyErr_Occurred())
        Py_XDECREF(ak_fault_fetch());
    return value;
}

bool ak_space_has_own(struct ak_space *space, const char *name) {
    return lookup(space->names, name);
}

bool ak_space_has(struct ak_space *space, const char *name) {
    return lookup(space->names, name) || lookup(PyEval_GetBuiltins(), name);
}

void ak_space_unbind(struct ak_space *space, const char *name) {
    AK_PYREF key = PyUnicode_FromString(name);
    if (!key || PyDict_DelItem(space->names, key) < 0)
        Py_XDECREF(ak_fault_fetch());
}

static int copy_names(PyObject *before, PyObject *names, const struct ak_names *list) {
    for (size_t i = 0; i < list->n_items; i++) {
        AK_PYREF key = PyUnicode_FromString(list->items[i]);
        PyObject *value = key ? PyDict_GetItemWithError(names, key) : NULL;
        if (value ? PyDict_SetItem(before, key, value) < 0 : PyErr_Occurred() != NULL)
            return -1;
    }
    return 0;
}

int ak_change_new(struct ak_change **ret_change, struct ak_space *space,
                  const struct ak_effects *effects, bool all, long execution_count) {
    AK_CLEANUP(ak_change_freep) struct ak_change *change = calloc(1, sizeof(*change));
    if (!change)
        return ak_error_origin(ENOMEM);
    change->space = space;
    (void)snprintf(change->result, sizeof(change->result), "_%ld", execution_count);
    change->had_result = ak_space_has_own(space, change->result);
    change->effects = effects;
    change->n_before = PyDict_GET_SIZE(space->names);
    change->all = all || !effects || change->n_before <= SMALL;
    change->before = change->all ? PyDict_Copy(space->names) : PyDict_New();
    if (!change->before ||
        (!change->all &&
         (copy_names(change->before, space->names, ak_effects_binds(effects)) < 0 ||
          copy_names(change->before, space->names, ak_effects_binds_later(effects)) <
              0))) {
        Py_XDECREF(ak_fault_fetch());
        return ak_error_origin(ENOMEM);
    }
    *ret_change = AK_TAKE(change);
    return 0;
}

struct ak_change *ak_change_free(struct ak_change *change) {
    if (!change)
        return NULL;
    Py_CLEAR(change->before);
    free(change);
    return NULL;
}

void ak_change_forget(struct ak_change *change) {
    if (change)
        change->effects = NULL;
}

bool ak_change_is_full(const struct ak_change *change) {
    return change->all;
}

static const char *utf8_of(PyObject *key) {
    const char *text = PyUnicode_Check(key) ? PyUnicode_AsUTF8(key) : NULL;
    if (!text && PyErr_Occurred())
        Py_XDECREF(ak_fault_fetch());
    return text && !ak_space_is_ours(text) ? text : NULL;
}

/* Entries of one dict that the other has not, or has with another value. each may not
 * run Python. */
static int compare(PyObject *now, PyObject *before, bool values,
                   int (*each)(void *, const char *, bool), void *owner, bool bound) {
    Py_ssize_t position = 0;
    PyObject *key, *value; /* borrowed */
    int r = 0;
    while (!r && PyDict_Next(now, &position, &key, &value)) {
        PyObject *old = PyDict_GetItemWithError(before, key); /* borrowed */
        if (!old && PyErr_Occurred())
            Py_XDECREF(ak_fault_fetch());
        if (old && (!values || old == value))
            continue;
        const char *text = utf8_of(key);
        if (text)
            r = each(owner, text, bound);
    }
    return r;
}

/* The names of one list, each by itself; counts how the namespace grew by them. */
static int compare_few(struct ak_change *change, const struct ak_names *list,
                       int (*each)(void *, const char *, bool), void *owner,
                       Py_ssize_t *growth) {
    int r = 0;
    for (size_t i = 0; i < list->n_items && !r; i++) {
        PyObject *now = lookup(change->space->names, list->items[i]); /* borrowed */
        PyObject *old = lookup(change->before, list->items[i]);       /* borrowed */
        *growth += (now != NULL) - (old != NULL);
        if (now != old && !ak_space_is_ours(list->items[i]))
            r = each(owner, list->items[i], now != NULL);
    }
    return r;
}

int ak_change_each(struct ak_change *change,
                   int (*each)(void *owner, const char *name, bool bound),
                   void *owner) {
    PyObject *names = change->space->names;
    if (!change->all) {
        if (!change->effects)
            return 0;
        Py_ssize_t growth =
            ak_space_has_own(change->space, change->result) - change->had_result;
        int r = compare_few(change, ak_effects_binds(change->effects), each, owner,
                            &growth);
        if (!r)
            r = compare_few(change, ak_effects_binds_later(change->effects), each,
                            owner, &growth);
        if (!r && PyDict_GET_SIZE(names) != change->n_before + growth)
            r = compare(names, change->before, false, each, owner, true);
        return r;
    }
    int r = compare(names, change->before, true, each, owner, true);
    return r ? r : compare(change->before, names, false, each, owner, false);
}

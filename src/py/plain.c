/* SPDX-License-Identifier: MIT */
/*
 * The text of a value. What IPython's printer shows is the value's repr for almost
 * everything that is short: a number, a text, a flat container that fits on one line,
 * an object whose class has a __repr__. All that is decided here and costs nothing but
 * the repr; the printer itself, akernel._pretty, is loaded for the rest.
 */
#include "py/plain-private.h"

#include <string.h>

#include "py/fault-private.h"

#define LINE 79 /* what fits on a line of IPython's printer */
#define DEPTH 4 /* of containers that are looked into here */

static bool is_scalar(PyObject *value) {
    return PyLong_CheckExact(value) || PyUnicode_CheckExact(value) ||
           PyFloat_CheckExact(value) || PyBool_Check(value) || Py_IsNone(value) ||
           PyBytes_CheckExact(value) || PyComplex_CheckExact(value) ||
           value == Py_Ellipsis;
}

/* Whether a container's repr is its text if it fits on a line. Looks at no more items
 * than could fit, and counts them in *n_items. */
static bool is_flat(PyObject *value, int depth, int *n_items) {
    if (is_scalar(value))
        return true;
    if (depth >= DEPTH)
        return false;
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value)) {
        Py_ssize_t n = PySequence_Fast_GET_SIZE(value);
        for (Py_ssize_t i = 0; i < n; i++) {
            PyObject *item = PySequence_Fast_GET_ITEM(value, i); /* borrowed */
            if (++*n_items > LINE || !is_flat(item, depth + 1, n_items))
                return false;
        }
        return true;
    }
    if (!PyDict_CheckExact(value))
        return PyAnySet_CheckExact(value) && PySet_GET_SIZE(value) == 0;
    Py_ssize_t position = 0;
    PyObject *key, *item; /* borrowed */
    while (PyDict_Next(value, &position, &key, &item)) {
        if (++*n_items > LINE || !is_flat(key, depth + 1, n_items) ||
            !is_flat(item, depth + 1, n_items))
            return false;
    }
    return true;
}

/* Types that the printer has an own form for; those with a plain repr are not among
 * them. */
static bool has_own_form(PyTypeObject *type) {
    static const char *const names[] = {"re.Pattern", "super", "types.SimpleNamespace",
                                        "mappingproxy"};
    if (type == &PyList_Type || type == &PyTuple_Type || type == &PyDict_Type ||
        type == &PySet_Type || type == &PyFrozenSet_Type || type == &PyType_Type ||
        type == &PyFunction_Type || type == &PyCFunction_Type ||
        type == (PyTypeObject *)PyExc_BaseException)
        return true;
    if (strncmp(type->tp_name, "collections.", 12) == 0)
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(type->tp_name, names[i]) == 0)
            return true;
    }
    return false;
}

enum form {
    FORM_REPR,
    FORM_OWN,
    FORM_NEXT
};

/* How a class says that its instances are shown, if it does. */
static enum form form_of(PyObject *type) {
    PyTypeObject *t = (PyTypeObject *)type;
    if (has_own_form(t))
        return FORM_OWN;
    if (t == &PyLong_Type || t == &PyUnicode_Type || t == &PyFloat_Type ||
        t == &PyBytes_Type)
        return FORM_REPR;
    AK_PYREF names = PyObject_GetAttrString(type, "__dict__");
    AK_PYREF module = names ? PyMapping_GetItemString(names, "__module__") : NULL;
    Py_XDECREF(ak_fault_fetch());
    if (!names)
        return FORM_NEXT;
    const char *home =
        module && PyUnicode_Check(module) ? PyUnicode_AsUTF8(module) : NULL;
    if (home && (strcmp(home, "collections") == 0 || strcmp(home, "os") == 0))
        return FORM_OWN;
    Py_XDECREF(ak_fault_fetch());
    if (PyMapping_HasKeyString(names, "_repr_pretty_"))
        return FORM_OWN;
    if (t != &PyBaseObject_Type && PyMapping_HasKeyString(names, "__repr__"))
        return FORM_REPR;
    return FORM_NEXT;
}

static bool is_its_repr(PyObject *value) {
    int n_items = 0;
    if (is_flat(value, 0, &n_items))
        return true;
    PyTypeObject *type = Py_TYPE(value);
    AK_PYREF claimed = PyObject_GetAttrString(value, "__class__");
    Py_XDECREF(ak_fault_fetch());
    if (claimed != (PyObject *)type || !type->tp_mro)
        return false;
    AK_PYREF order = Py_NewRef(type->tp_mro);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(order); i++) {
        enum form form = form_of(PyTuple_GET_ITEM(order, i));
        if (form != FORM_NEXT)
            return form == FORM_REPR;
    }
    return false;
}

static bool is_container(PyObject *value) {
    return PyList_CheckExact(value) || PyTuple_CheckExact(value) ||
           PyDict_CheckExact(value);
}

/* As the printer does: lines are joined by newlines, whatever ended them. */
static PyObject *join_lines(PyObject *text) {
    AK_PYREF lines = PyObject_CallMethod(text, "splitlines", NULL);
    AK_PYREF newline = lines ? PyUnicode_FromString("\n") : NULL;
    return newline ? PyUnicode_Join(newline, lines) : NULL;
}

PyObject *ak_plain_text(PyObject *value) {
    if (is_its_repr(value)) {
        AK_PYREF text = PyObject_Repr(value);
        if (!text || is_scalar(value))
            return Py_XNewRef(text);
        if (!is_container(value) || PyUnicode_GET_LENGTH(text) <= LINE)
            return join_lines(text);
    }
    AK_PYREF module = PyImport_ImportModule("akernel._pretty");
    return module ? PyObject_CallMethod(module, "pretty", "(O)", value) : NULL;
}

/* SPDX-License-Identifier: MIT */
/*
 * A node is its type's name and its fields in order; positions are attributes, not
 * fields, and so are left out by themselves. Everything of variable length is preceded
 * by its length. Floats go by their bits, integers by their hexadecimal digits.
 */
#include "py/treekey-private.h"

#include <string.h>

#define DEPTH_MAX 800

static int no_memory(int r) {
    if (r)
        PyErr_NoMemory();
    return r ? -1 : 0;
}

static int add_sized(struct ak_buf *out, char tag, const void *data, size_t len) {
    uint64_t n = len;
    return no_memory(ak_buf_add_char(out, tag) || ak_buf_add(out, &n, sizeof(n)) ||
                     ak_buf_add(out, data, len));
}

static int add_string(struct ak_buf *out, char tag, PyObject *text) {
    size_t kind = PyUnicode_KIND(text);
    if (no_memory(ak_buf_add_char(out, (char)kind)) < 0)
        return -1;
    return add_sized(out, tag, PyUnicode_DATA(text),
                     (size_t)PyUnicode_GET_LENGTH(text) * kind);
}

/* A constant of the source, or an identifier. 1 when it is one. */
static int add_constant(struct ak_buf *out, PyObject *value) {
    int r = 0;
    if (Py_IsNone(value)) {
        r = no_memory(ak_buf_add_char(out, 'N'));
    } else if (PyBool_Check(value)) {
        r = no_memory(ak_buf_add_char(out, value == Py_True ? 'T' : 'F'));
    } else if (value == Py_Ellipsis) {
        r = no_memory(ak_buf_add_char(out, 'E'));
    } else if (PyUnicode_Check(value)) {
        r = add_string(out, 's', value);
    } else if (PyBytes_Check(value)) {
        r = add_sized(out, 'b', PyBytes_AS_STRING(value),
                      (size_t)PyBytes_GET_SIZE(value));
    } else if (PyLong_Check(value)) {
        AK_PYREF digits = PyNumber_ToBase(value, 16);
        r = digits ? add_string(out, 'i', digits) : -1;
    } else if (PyFloat_Check(value)) {
        double bits = PyFloat_AS_DOUBLE(value);
        r = add_sized(out, 'f', &bits, sizeof(bits));
    } else if (PyComplex_Check(value)) {
        Py_complex bits = PyComplex_AsCComplex(value);
        r = add_sized(out, 'c', &bits, sizeof(bits));
    } else {
        return 0;
    }
    return r < 0 ? -1 : 1;
}

static int add(struct ak_buf *out, PyObject *value, int depth);

static int add_node(struct ak_buf *out, PyObject *node, int depth) {
    const char *name = Py_TYPE(node)->tp_name;
    AK_PYREF fields = PyObject_GetAttrString((PyObject *)Py_TYPE(node), "_fields");
    if (!fields || !PyTuple_Check(fields) ||
        add_sized(out, '(', name, strlen(name)) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields); i++) {
        PyObject *field = PyTuple_GET_ITEM(fields, i); /* borrowed */
        /* The "u" of u"text", and comments with types, say nothing. */
        if (PyUnicode_CompareWithASCIIString(field, "kind") == 0 ||
            PyUnicode_CompareWithASCIIString(field, "type_comment") == 0 ||
            PyUnicode_CompareWithASCIIString(field, "type_ignores") == 0)
            continue;
        AK_PYREF value = PyObject_GetAttr(node, field);
        if (!value || add(out, value, depth + 1) < 0)
            return -1;
    }
    return no_memory(ak_buf_add_char(out, ')'));
}

static int add(struct ak_buf *out, PyObject *value, int depth) {
    if (depth > DEPTH_MAX) {
        PyErr_SetString(PyExc_RecursionError, "the tree of a cell is too deep");
        return -1;
    }
    int r = add_constant(out, value);
    if (r)
        return r < 0 ? -1 : 0;
    if (!PyList_Check(value))
        return add_node(out, value, depth);
    uint64_t n = (uint64_t)PyList_GET_SIZE(value);
    if (no_memory(ak_buf_add_char(out, '[') || ak_buf_add(out, &n, sizeof(n))) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(value); i++) {
        if (add(out, PyList_GET_ITEM(value, i), depth + 1) < 0)
            return -1;
    }
    return 0;
}

int ak_treekey_add(PyObject *tree, struct ak_buf *ret_bytes) {
    return add(ret_bytes, tree, 0);
}

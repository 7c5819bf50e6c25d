/* SPDX-License-Identifier: MIT */
/*
 * numpy arrays without numpy's headers: attributes for the shape of things, the buffer
 * protocol for the bytes. A contiguous buffer is hashed where it lies, without the GIL;
 * a strided one is walked row by row in index order.
 *
 * Strides, writability, and where an array lies in its owner's memory are part of what
 * it is: a cell can see them. Owners are numbered like other identities, so a view and
 * its base differ from two arrays with equal content; an array that owns its memory and
 * one that was restored over a buffer of its own are the same.
 */
#include "py/valuehash-private.h"

#include <stdlib.h>
#include <string.h>

#include "py/fault-private.h"

static int find_types(struct ak_valuehash *walk) {
    if (walk->ndarray)
        return 1;
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    AK_PYREF name = PyUnicode_InternFromString("numpy");
    PyObject *numpy =
        name ? PyDict_GetItemWithError(modules, name) : NULL; /* borrowed */
    if (!numpy)
        return PyErr_Occurred() ? -1 : 0;
    AK_PYREF array = PyObject_GetAttrString(numpy, "ndarray");
    AK_PYREF dtype = array ? PyObject_GetAttrString(numpy, "dtype") : NULL;
    if (!dtype || !PyType_Check(array) || !PyType_Check(dtype)) {
        /* A numpy that is half imported, or a module of that name. */
        Py_XDECREF(ak_fault_fetch());
        return 0;
    }
    walk->ndarray = (PyTypeObject *)AK_TAKE(array);
    walk->dtype = (PyTypeObject *)AK_TAKE(dtype);
    return 1;
}

int ak_value_range(struct ak_valuehash *walk, const char *low, const char *high) {
    if (low >= high)
        return 0;
    if (walk->n_ranges == walk->ranges_cap) {
        size_t cap = walk->ranges_cap ? walk->ranges_cap * 2 : 16;
        struct ak_value_range *bigger = realloc(walk->ranges, cap * sizeof(*bigger));
        if (!bigger) {
            PyErr_NoMemory();
            return -1;
        }
        walk->ranges = bigger;
        walk->ranges_cap = cap;
    }
    walk->ranges[walk->n_ranges++] = (struct ak_value_range){.low = low, .high = high};
    return 0;
}

/* A dtype by what it says: an identity would differ after a restore. */
static int add_dtype(struct ak_valuehash *walk, PyObject *dtype) {
    AK_PYREF text = PyObject_GetAttrString(dtype, "str");
    AK_PYREF names = text ? PyObject_GetAttrString(dtype, "names") : NULL;
    AK_PYREF metadata = names ? PyObject_GetAttrString(dtype, "metadata") : NULL;
    AK_PYREF subtype = metadata ? PyObject_GetAttrString(dtype, "subdtype") : NULL;
    if (!subtype || !PyUnicode_Check(text))
        return -1;
    ak_value_tag(walk, 'D');
    ak_value_text(walk, text);
    if (!Py_IsNone(metadata))
        return ak_value_refuse(walk, "a dtype carries metadata");
    if (!Py_IsNone(subtype))
        return ak_value_walk(walk, subtype);
    if (Py_IsNone(names)) {
        ak_value_tag(walk, '.');
        return 0;
    }
    AK_PYREF fields = PyObject_GetAttrString(dtype, "fields");
    AK_PYREF size = fields ? PyObject_GetAttrString(dtype, "itemsize") : NULL;
    AK_PYREF aligned = size ? PyObject_GetAttrString(dtype, "isalignedstruct") : NULL;
    AK_PYREF copy = aligned ? PyDict_New() : NULL;
    if (!copy || PyDict_Update(copy, fields) < 0 || ak_value_walk(walk, size) < 0 ||
        ak_value_walk(walk, aligned) < 0 || ak_value_walk(walk, names) < 0)
        return -1;
    return ak_value_items(walk, copy);
}

/* The object whose memory it is, and where that begins: the last array of the chain of
 * bases, or what is behind it. New reference. */
static PyObject *owner_of(struct ak_valuehash *walk, PyObject *array,
                          const char **ret_start) {
    AK_PYREF current = Py_NewRef(array);
    for (int i = 0; i < 100; i++) {
        AK_PYREF base = PyObject_GetAttrString(current, "base");
        if (!base)
            return NULL;
        bool last = Py_IsNone(base);
        if (last || !PyObject_TypeCheck(base, walk->ndarray)) {
            Py_buffer view;
            PyObject *memory = last ? current : base;
            *ret_start = NULL;
            if (PyObject_GetBuffer(memory, &view, PyBUF_SIMPLE) == 0) {
                *ret_start = view.buf;
                PyBuffer_Release(&view);
            }
            Py_XDECREF(ak_fault_fetch());
            return Py_NewRef(memory);
        }
        Py_SETREF(current, Py_NewRef(base));
    }
    ak_value_refuse(walk, "an array is a view of a view of too many");
    return NULL;
}

/* Which memory it lies in: the owner's number and the offset in it. */
static int add_place(struct ak_valuehash *walk, PyObject *array, const char *data) {
    const char *start = NULL;
    AK_PYREF owner = owner_of(walk, array, &start);
    if (!owner)
        return -1;
    ak_value_tag(walk, '@');
    if (ak_value_owner(walk, owner) < 0)
        return -1;
    int64_t offset = start && !walk->by_address ? (int64_t)(data - start) : 0;
    ak_hash_add_u64(walk->hash, (uint64_t)offset);
    return 0;
}

static int add_rows(struct ak_valuehash *walk, const char *data, const Py_buffer *view,
                    int axis) {
    Py_ssize_t n = view->shape[axis], stride = view->strides[axis];
    if (axis == view->ndim - 1 && stride == view->itemsize) {
        ak_hash_add(walk->hash, data, (size_t)(n * view->itemsize));
        return 0;
    }
    for (Py_ssize_t i = 0; i < n; i++, data += stride) {
        if (axis == view->ndim - 1)
            ak_hash_add(walk->hash, data, (size_t)view->itemsize);
        else if (add_rows(walk, data, view, axis + 1) < 0)
            return -1;
    }
    return 0;
}

/* The lowest and the highest byte of an array. */
static void extent(const char *data, PyObject *shape, PyObject *strides,
                   Py_ssize_t itemsize, const char **ret_low, const char **ret_high) {
    const char *low = data, *high = data + itemsize;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(shape); i++) {
        Py_ssize_t n = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, i));
        Py_ssize_t stride = PyLong_AsSsize_t(PyTuple_GET_ITEM(strides, i));
        if (n <= 0) {
            *ret_low = *ret_high = data;
            return;
        }
        if (stride < 0)
            low += (n - 1) * stride;
        else
            high += (n - 1) * stride;
    }
    *ret_low = low;
    *ret_high = high;
}

/* The buffer as bytes: a view with dtype u1 of the same memory, because some dtypes
 * (datetimes) have no buffer format of their own. */
static int add_content(struct ak_valuehash *walk, PyObject *array, PyObject *dtype,
                       const char *data, PyObject *shape, PyObject *strides) {
    AK_PYREF has_object = PyObject_GetAttrString(dtype, "hasobject");
    AK_PYREF itemsize = has_object ? PyObject_GetAttrString(dtype, "itemsize") : NULL;
    Py_ssize_t size = itemsize ? PyLong_AsSsize_t(itemsize) : -1;
    if (size < 0)
        return -1;
    const char *low, *high;
    extent(data, shape, strides, size, &low, &high);
    if (PyErr_Occurred() || ak_value_range(walk, low, high) < 0)
        return -1;
    if (has_object == Py_True) {
        AK_PYREF items = PyObject_CallMethod(array, "ravel", NULL);
        AK_PYREF list = items ? PyObject_CallMethod(items, "tolist", NULL) : NULL;
        if (!list || !PyList_Check(list))
            return -1;
        ak_value_tag(walk, 'O');
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
            if (ak_value_walk(walk, PyList_GET_ITEM(list, i)) < 0)
                return -1;
        }
        return 0;
    }
    Py_ssize_t n = 1, ndim = PyTuple_GET_SIZE(shape);
    for (Py_ssize_t i = 0; i < ndim; i++)
        n *= PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, i));
    if (n == 0 || size == 0)
        return 0;
    if (high - low == n * size) {
        /* Contiguous in some order of its axes, which the strides say. */
        ak_value_bytes(walk, low, (size_t)(n * size));
        return 0;
    }
    Py_ssize_t sizes[64], steps[64];
    if (ndim > 64)
        return ak_value_refuse(walk, "an array has too many dimensions");
    for (Py_ssize_t i = 0; i < ndim; i++) {
        sizes[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, i));
        steps[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(strides, i));
    }
    Py_buffer view = {
        .ndim = (int)ndim, .shape = sizes, .strides = steps, .itemsize = size};
    return add_rows(walk, data, &view, 0);
}

/* The strides, but for axes of one element: nothing is ever a stride away there, and
 * numpy itself gives such axes now this stride, now that. */
static int add_strides(struct ak_valuehash *walk, PyObject *shape, PyObject *strides) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(shape); i++) {
        Py_ssize_t n = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, i));
        Py_ssize_t stride = PyLong_AsSsize_t(PyTuple_GET_ITEM(strides, i));
        ak_hash_add_u64(walk->hash, n > 1 ? (uint64_t)stride : 0);
    }
    return PyErr_Occurred() ? -1 : 0;
}

static int walk_ndarray(struct ak_valuehash *walk, PyObject *array) {
    int met = ak_value_met(walk, array);
    if (met)
        return met;
    walk->packages |= AK_VALUE_NUMPY;
    AK_PYREF dtype = PyObject_GetAttrString(array, "dtype");
    AK_PYREF shape = dtype ? PyObject_GetAttrString(array, "shape") : NULL;
    AK_PYREF strides = shape ? PyObject_GetAttrString(array, "strides") : NULL;
    AK_PYREF interface =
        strides ? PyObject_GetAttrString(array, "__array_interface__") : NULL;
    AK_PYREF key = interface ? PyUnicode_InternFromString("data") : NULL;
    PyObject *pair =
        key ? PyDict_GetItemWithError(interface, key) : NULL; /* borrowed */
    if (!pair || !PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2)
        return -1;
    AK_PYREF flags = PyObject_GetAttrString(array, "flags");
    AK_PYREF aligned = flags ? PyObject_GetAttrString(flags, "aligned") : NULL;
    if (!aligned)
        return -1;
    const char *data = PyLong_AsVoidPtr(PyTuple_GET_ITEM(pair, 0));
    if (!data && PyErr_Occurred())
        return -1;
    ak_value_tag(walk, 'A');
    ak_value_tag(walk, PyTuple_GET_ITEM(pair, 1) == Py_True ? 'r' : 'w');
    ak_value_tag(walk, aligned == Py_True ? 'a' : 'u');
    if (add_dtype(walk, dtype) < 0 || ak_value_walk(walk, shape) < 0 ||
        add_strides(walk, shape, strides) < 0 || add_place(walk, array, data) < 0 ||
        add_content(walk, array, dtype, data, shape, strides) < 0)
        return -1;
    return 1;
}

int ak_value_array(struct ak_valuehash *walk, PyObject *value) {
    PyTypeObject *type = Py_TYPE(value);
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) || type->tp_as_buffer) {
        int known = find_types(walk);
        if (known <= 0)
            return known;
    }
    if (!walk->ndarray)
        return 0;
    if (type == walk->ndarray)
        return walk_ndarray(walk, value);
    if (PyObject_TypeCheck(value, walk->dtype))
        return add_dtype(walk, value) < 0 ? -1 : 1;
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Instances. A library's object is what its __reduce_ex__ says, walked by the same
 * walk instead of being pickled: that is the library's own description of its state.
 *
 * An instance of a user's class is taken at its word in nothing: its attributes, its
 * slots and the content of the builtin type it derives from are looked at directly,
 * since a __getstate__ may hide what a cell reads. Only when a base of it is a library
 * class with state of its own is that class's __reduce_ex__ asked too.
 */
#include "py/valuehash-private.h"

#include <string.h>

#include "py/fault-private.h"

static int refuse_type(struct ak_valuehash *walk, PyObject *value) {
    return ak_value_refuse(walk, "an input holds a %.100s, whose state cannot be told",
                           Py_TYPE(value)->tp_name);
}

/* --- what describes itself badly ---------------------------------------------------
 */

static int walk_attribute(struct ak_valuehash *walk, PyObject *object,
                          const char *name) {
    AK_PYREF value = PyObject_GetAttrString(object, name);
    return value ? ak_value_walk(walk, value) : -1;
}

static int walk_attributes(struct ak_valuehash *walk, PyObject *object,
                           const char *const *names) {
    for (; *names; names++) {
        if (walk_attribute(walk, object, *names) < 0)
            return -1;
    }
    return 1;
}

static int walk_proxy(struct ak_valuehash *walk, PyObject *proxy) {
    AK_PYREF copy = PyDict_New();
    if (!copy || PyDict_Update(copy, proxy) < 0)
        return -1;
    ak_value_tag(walk, 'm');
    return ak_value_items(walk, copy) < 0 ? -1 : 1;
}

static int walk_memoryview(struct ak_valuehash *walk, PyObject *view) {
    static const char *const names[] = {"format",   "itemsize", "shape", "strides",
                                        "readonly", "obj",      NULL};
    ak_value_tag(walk, 'V');
    if (walk_attributes(walk, view, names) < 0)
        return -1;
    AK_PYREF bytes = PyBytes_FromObject(view);
    return bytes && ak_value_walk(walk, bytes) == 0 ? 1 : -1;
}

/* A view of a builtin's attribute carries the class and its name. */
static int walk_descriptor(struct ak_valuehash *walk, PyObject *value) {
    PyDescrObject *descriptor = (PyDescrObject *)value;
    ak_value_tag(walk, 'd');
    if (ak_value_class(walk, descriptor->d_type) < 0)
        return -1;
    return ak_value_walk(walk, descriptor->d_name) < 0 ? -1 : 1;
}

/* 1 when the value is of a type that has a rule of its own here. */
static int walk_special(struct ak_valuehash *walk, PyObject *value) {
    static const char *const of_property[] = {"fget", "fset", "fdel", "__doc__", NULL};
    static const char *const of_wrapped[] = {"__wrapped__", NULL};
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyDictProxy_Type)
        return walk_proxy(walk, value);
    if (type == &PyMemoryView_Type)
        return walk_memoryview(walk, value);
    if (type == &PyMethodDescr_Type || type == &PyGetSetDescr_Type ||
        type == &PyMemberDescr_Type || type == &PyWrapperDescr_Type ||
        type == &PyClassMethodDescr_Type)
        return walk_descriptor(walk, value);
    if (type == &PyProperty_Type) {
        ak_value_tag(walk, 'p');
        return walk_attributes(walk, value, of_property);
    }
    if (type == &PyStaticMethod_Type || type == &PyClassMethod_Type) {
        ak_value_tag(walk, type == &PyStaticMethod_Type ? 'q' : 'Q');
        return walk_attributes(walk, value, of_wrapped);
    }
    if (type == walk->state->stream_type) {
        /* The notebook's own streams: what is printed is recorded. */
        ak_value_tag(walk, 'X');
        ak_value_tag(walk, value == walk->state->streams[0] ? '1' : '2');
        return 1;
    }
    if (strcmp(type->tp_name, "functools._lru_cache_wrapper") == 0) {
        /* What it remembers is what its function gives. */
        static const char *const names[] = {"__wrapped__", "__dict__", NULL};
        ak_value_tag(walk, 'L');
        AK_PYREF parameters = PyObject_CallMethod(value, "cache_parameters", NULL);
        if (!parameters || ak_value_walk(walk, parameters) < 0)
            return -1;
        return walk_attributes(walk, value, names);
    }
    return 0;
}

/* Types whose reduction says nothing about their state. */
static bool is_opaque(PyTypeObject *type) {
    static const char *const names[] = {"Logger", "LoggerAdapter", "Thread",
                                        "Figure", "mmap.mmap",     "ContextVar"};
    for (PyTypeObject *t = type; t; t = t->tp_base) {
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (strcmp(t->tp_name, names[i]) == 0)
                return true;
        }
    }
    return false;
}

/* --- reductions --------------------------------------------------------------------
 */

/* The elements that an iterator of a reduction gives, one by one. */
static int walk_iterator(struct ak_valuehash *walk, PyObject *iterator) {
    if (Py_IsNone(iterator)) {
        ak_value_tag(walk, 'n');
        return 0;
    }
    AK_PYREF it = PyObject_GetIter(iterator);
    if (!it)
        return -1;
    uint64_t n = 0;
    for (;;) {
        AK_PYREF item = PyIter_Next(it);
        if (!item)
            break;
        ak_value_tag(walk, '+');
        if (ak_value_walk(walk, item) < 0)
            return -1;
        n++;
    }
    if (PyErr_Occurred())
        return -1;
    ak_value_tag(walk, ';');
    ak_hash_add_u64(walk->hash, n);
    return 0;
}

static PyObject *reduce_by_table(PyObject *value) {
    AK_PYREF copyreg = PyImport_ImportModule("copyreg");
    AK_PYREF table = copyreg ? PyObject_GetAttrString(copyreg, "dispatch_table") : NULL;
    if (!table || !PyDict_Check(table))
        return NULL;
    PyObject *reducer = /* borrowed */
        PyDict_GetItemWithError(table, (PyObject *)Py_TYPE(value));
    AK_PYREF strong = Py_XNewRef(reducer);
    return strong ? PyObject_CallOneArg(strong, value) : NULL;
}

static int walk_reduction(struct ak_valuehash *walk, PyObject *value) {
    AK_PYREF reduced = reduce_by_table(value);
    if (!reduced && PyErr_Occurred())
        return -1;
    if (!reduced)
        reduced = PyObject_CallMethod(value, "__reduce_ex__", "i", 4);
    if (!reduced) {
        if (!PyErr_ExceptionMatches(PyExc_TypeError))
            return -1;
        Py_XDECREF(ak_fault_fetch());
        return refuse_type(walk, value);
    }
    if (PyUnicode_Check(reduced)) {
        /* A global of its module by that name. */
        ak_value_tag(walk, 'g');
        ak_value_text(walk, reduced);
        AK_PYREF module = PyObject_GetAttrString(value, "__module__");
        Py_XDECREF(ak_fault_fetch());
        return module ? ak_value_walk(walk, module) : 0;
    }
    Py_ssize_t n = PyTuple_Check(reduced) ? PyTuple_GET_SIZE(reduced) : 0;
    if (n < 2)
        return refuse_type(walk, value);
    ak_value_tag(walk, '*');
    ak_hash_add_u64(walk->hash, (uint64_t)n);
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *part = PyTuple_GET_ITEM(reduced, i); /* borrowed from reduced */
        int r =
            i == 3 || i == 4 ? walk_iterator(walk, part) : ak_value_walk(walk, part);
        if (r < 0)
            return -1;
    }
    return 0;
}

/* What is behind a frame of pandas: its axes and blocks. A reduction would show every
 * block twice, as two views of the same memory. */
static int walk_manager(struct ak_valuehash *walk, PyObject *manager) {
    AK_PYREF axes = PyObject_GetAttrString(manager, "axes");
    AK_PYREF blocks = axes ? PyObject_GetAttrString(manager, "blocks") : NULL;
    if (!blocks || !PyTuple_Check(blocks) || ak_value_walk(walk, axes) < 0)
        return -1;
    ak_hash_add_u64(walk->hash, (uint64_t)PyTuple_GET_SIZE(blocks));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(blocks); i++) {
        PyObject *block = PyTuple_GET_ITEM(blocks, i); /* borrowed */
        AK_PYREF places = PyObject_GetAttrString(block, "mgr_locs");
        AK_PYREF numbers = places ? PyObject_GetAttrString(places, "as_array") : NULL;
        AK_PYREF list = numbers ? PyObject_CallMethod(numbers, "tolist", NULL) : NULL;
        if (!list || ak_value_class(walk, Py_TYPE(block)) < 0 ||
            ak_value_walk(walk, list) < 0 || walk_attribute(walk, block, "values") < 0)
            return -1;
    }
    return 0;
}

static bool is_manager(PyTypeObject *type) {
    AK_PYREF module = PyObject_GetAttrString((PyObject *)type, "__module__");
    bool is =
        module && PyUnicode_Check(module) &&
        PyUnicode_CompareWithASCIIString(module, "pandas.core.internals.managers") == 0;
    Py_XDECREF(ak_fault_fetch());
    return is;
}

/* --- instances of user classes -----------------------------------------------------
 */

/* The __slots__ of its classes. */
static int walk_slots(struct ak_valuehash *walk, PyObject *value) {
    PyObject *mro = Py_TYPE(value)->tp_mro; /* borrowed */
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(mro); i++) {
        PyTypeObject *type = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
        if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE))
            continue;
        AK_PYREF dict = PyObject_GetAttrString((PyObject *)type, "__dict__");
        AK_PYREF items = dict ? PyMapping_Values(dict) : NULL;
        for (Py_ssize_t k = 0; items && k < PyList_GET_SIZE(items); k++) {
            PyObject *member = PyList_GET_ITEM(items, k); /* borrowed */
            if (!Py_IS_TYPE(member, &PyMemberDescr_Type))
                continue;
            AK_PYREF slot = Py_TYPE(member)->tp_descr_get(member, value,
                                                          (PyObject *)Py_TYPE(value));
            if (!slot && !PyErr_ExceptionMatches(PyExc_AttributeError))
                return -1;
            Py_XDECREF(ak_fault_fetch());
            ak_value_tag(walk, slot ? '=' : '!');
            if (slot && ak_value_walk(walk, slot) < 0)
                return -1;
        }
        if (!items)
            return -1;
    }
    return 0;
}

/* The content of the builtin container or number that a class derives from, read by the
 * builtin's own means. */
static int walk_builtin_content(struct ak_valuehash *walk, PyObject *value) {
    AK_PYREF content = NULL;
    if (PyLong_Check(value))
        content = PyNumber_Index(value),
        content = content ? PyNumber_ToBase(content, 16) : NULL;
    else if (PyFloat_Check(value))
        content = PyFloat_FromDouble(PyFloat_AS_DOUBLE(value));
    else if (PyUnicode_Check(value))
        content = PyUnicode_FromObject(value);
    else if (PyBytes_Check(value))
        content = PyBytes_FromStringAndSize(PyBytes_AS_STRING(value),
                                            PyBytes_GET_SIZE(value));
    else if (PyTuple_Check(value))
        content = PyTuple_GetSlice(value, 0, PyTuple_GET_SIZE(value));
    else if (PyList_Check(value))
        content = PyList_GetSlice(value, 0, PyList_GET_SIZE(value));
    else if (PyDict_Check(value)) {
        ak_value_tag(walk, '{');
        return ak_value_items(walk, value);
    } else if (PySet_Check(value))
        content = PySet_New(value);
    else if (PyFrozenSet_Check(value))
        content = PyFrozenSet_New(value);
    else
        return 0;
    return content ? ak_value_walk(walk, content) : -1;
}

/* Whether a class that is not the user's, and has state that we do not read directly,
 * is among its bases. */
static int has_library_state(struct ak_valuehash *walk, PyTypeObject *type) {
    PyObject *mro = type->tp_mro; /* borrowed */
    for (Py_ssize_t i = 1; i < PyTuple_GET_SIZE(mro); i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
        if (base == &PyBaseObject_Type || base == &PyLong_Type ||
            base == &PyFloat_Type || base == &PyUnicode_Type || base == &PyBytes_Type ||
            base == &PyTuple_Type || base == &PyList_Type || base == &PyDict_Type ||
            base == &PySet_Type || base == &PyFrozenSet_Type)
            continue;
        int library = ak_value_is_library(walk, (PyObject *)base);
        if (library < 0)
            return -1;
        /* Classes of plain Python keep their state in __dict__ and slots. */
        if (library && base->tp_basicsize > PyBaseObject_Type.tp_basicsize + 16)
            return 1;
        if (library && is_opaque(base))
            return ak_value_refuse(walk, "an input is a %.100s", base->tp_name);
    }
    return 0;
}

static int walk_user_instance(struct ak_valuehash *walk, PyObject *value) {
    ak_value_tag(walk, 'U');
    if (ak_value_class(walk, Py_TYPE(value)) < 0)
        return -1;
    AK_PYREF dict = PyObject_GenericGetDict(value, NULL);
    if (!dict && !PyErr_ExceptionMatches(PyExc_AttributeError))
        return -1;
    Py_XDECREF(ak_fault_fetch());
    if (dict && ak_value_walk(walk, dict) < 0)
        return -1;
    if (walk_slots(walk, value) < 0 || walk_builtin_content(walk, value) < 0)
        return -1;
    int more = has_library_state(walk, Py_TYPE(value));
    return more > 0 ? walk_reduction(walk, value) : more;
}

int ak_value_object(struct ak_valuehash *walk, PyObject *value) {
    int special = walk_special(walk, value);
    if (special)
        return special;
    if (is_opaque(Py_TYPE(value)))
        return refuse_type(walk, value);
    int met = ak_value_met(walk, value);
    if (met)
        return met;
    int library = ak_value_is_library(walk, (PyObject *)Py_TYPE(value));
    if (library < 0)
        return -1;
    if (!library)
        return walk_user_instance(walk, value) < 0 ? -1 : 1;
    ak_value_tag(walk, 'o');
    if (ak_value_class(walk, Py_TYPE(value)) < 0)
        return -1;
    int r = is_manager(Py_TYPE(value)) ? walk_manager(walk, value)
                                       : walk_reduction(walk, value);
    return r < 0 ? -1 : 1;
}

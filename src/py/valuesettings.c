/* SPDX-License-Identifier: MIT */
/*
 * Settings that change what code computes or shows without being named by it: the
 * recursion limit, the locale, warnings that raise; numpy's handling of errors and its
 * print options, pandas' options, the decimal context, matplotlib's parameters. The
 * libraries' count only when something of theirs was met: a notebook that imports numpy
 * later must not lose what it computed before.
 */
#include "py/valuehash-private.h"

#include <locale.h>
#include <string.h>

#include "py/fault-private.h"

/* A loaded module; borrowed, NULL without an exception. */
static PyObject *loaded(const char *name) {
    AK_PYREF key = PyUnicode_InternFromString(name);
    PyObject *module = /* borrowed */
        key ? PyDict_GetItemWithError(PyImport_GetModuleDict(), key) : NULL;
    Py_XDECREF(ak_fault_fetch());
    return module;
}

static int walk_dict_of(struct ak_valuehash *walk, PyObject *mapping) {
    AK_PYREF copy = PyDict_New();
    if (!copy || PyDict_Update(copy, mapping) < 0)
        return -1;
    return ak_value_items(walk, copy);
}

static int walk_call(struct ak_valuehash *walk, PyObject *module, const char *name) {
    AK_PYREF value = PyObject_CallMethod(module, name, NULL);
    return value ? walk_dict_of(walk, value) : -1;
}

static int walk_value(struct ak_valuehash *walk, PyObject *value) {
    AK_PYREF own = value;
    return own ? ak_value_walk(walk, own) : -1;
}

/* Filters that turn warnings into exceptions; all when the code deals with warnings. */
static int walk_warnings(struct ak_valuehash *walk) {
    bool all = walk->packages & AK_VALUE_WARNINGS;
    PyObject *module = loaded("warnings"); /* borrowed */
    AK_PYREF filters = module ? PyObject_GetAttrString(module, "filters") : NULL;
    if (!filters || !PyList_Check(filters)) {
        Py_XDECREF(ak_fault_fetch());
        return 0;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(filters); i++) {
        AK_PYREF filter = Py_NewRef(PyList_GET_ITEM(filters, i));
        if (!PyTuple_Check(filter) || PyTuple_GET_SIZE(filter) < 1 ||
            !PyUnicode_Check(PyTuple_GET_ITEM(filter, 0)) ||
            (!all && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(filter, 0),
                                                      "error") != 0))
            continue;
        ak_value_tag(walk, 'w');
        if (ak_value_walk(walk, filter) < 0)
            return -1;
    }
    return 0;
}

static int walk_decimal(struct ak_valuehash *walk) {
    static const char *const names[] = {"prec", "rounding", "Emin",
                                        "Emax", "capitals", "clamp"};
    PyObject *module = loaded("decimal"); /* borrowed */
    if (!module)
        return 0;
    AK_PYREF context = PyObject_CallMethod(module, "getcontext", NULL);
    for (size_t i = 0; context && i < sizeof(names) / sizeof(names[0]); i++) {
        AK_PYREF value = PyObject_GetAttrString(context, names[i]);
        if (!value || ak_value_walk(walk, value) < 0)
            return -1;
    }
    AK_PYREF traps = context ? PyObject_GetAttrString(context, "traps") : NULL;
    return traps ? walk_dict_of(walk, traps) : -1;
}

static int walk_numpy(struct ak_valuehash *walk) {
    PyObject *module = loaded("numpy"); /* borrowed */
    if (!module)
        return 0;
    return walk_call(walk, module, "geterr") < 0
               ? -1
               : walk_call(walk, module, "get_printoptions");
}

static int walk_pandas(struct ak_valuehash *walk) {
    PyObject *module = loaded("pandas._config.config"); /* borrowed */
    AK_PYREF options = module ? PyObject_GetAttrString(module, "_global_config") : NULL;
    if (!options)
        Py_XDECREF(ak_fault_fetch());
    return options ? walk_dict_of(walk, options) : 0;
}

static int walk_matplotlib(struct ak_valuehash *walk) {
    PyObject *module = loaded("matplotlib"); /* borrowed */
    AK_PYREF parameters = module ? PyObject_GetAttrString(module, "rcParams") : NULL;
    if (!parameters)
        Py_XDECREF(ak_fault_fetch());
    if (parameters && PyDict_Check(parameters) && ak_value_items(walk, parameters) < 0)
        return -1;
    PyObject *pyplot = loaded("matplotlib.pyplot"); /* borrowed */
    return pyplot ? walk_value(walk, PyObject_CallMethod(pyplot, "get_fignums", NULL))
                  : 0;
}

/* Python's handlers, by number where the system has its own way. */
static int walk_signals(struct ak_valuehash *walk) {
    PyObject *module = loaded("_signal"); /* borrowed */
    for (int i = 1; module && i < 32; i++) {
        if (walk_value(walk, PyObject_CallMethod(module, "getsignal", "i", i)) < 0)
            return -1;
    }
    return 0;
}

static int walk_socket(struct ak_valuehash *walk) {
    PyObject *module = loaded("_socket"); /* borrowed */
    return module ? walk_value(walk,
                               PyObject_CallMethod(module, "getdefaulttimeout", NULL))
                  : 0;
}

/* The global generator, for code that sets it: where it only draws, the functions that
 * draw carry it. */
static int walk_numpy_random(struct ak_valuehash *walk) {
    static const char *const names[] = {"seed", "set_state", "set_bit_generator"};
    PyObject *module = loaded("numpy.random"); /* borrowed */
    for (size_t i = 0; module && i < sizeof(names) / sizeof(names[0]); i++) {
        AK_PYREF name = PyUnicode_InternFromString(names[i]);
        int named = name ? PySet_Contains(walk->attributes, name) : -1;
        if (named)
            return named < 0 ? -1
                             : walk_value(walk, PyObject_CallMethod(module, "get_state",
                                                                    NULL));
    }
    return 0;
}

int ak_value_settings(struct ak_valuehash *walk) {
    const char *locale = setlocale(LC_ALL, NULL);
    ak_hash_add_u64(walk->hash, (uint64_t)Py_GetRecursionLimit());
    ak_value_bytes(walk, locale ? locale : "", locale ? strlen(locale) : 0);
    if (walk_warnings(walk) < 0)
        return -1;
    static const struct {
        unsigned package;
        int (*walk)(struct ak_valuehash *walk);
    } settings[] = {
        {AK_VALUE_DECIMAL, walk_decimal},
        {AK_VALUE_NUMPY, walk_numpy},
        {AK_VALUE_PANDAS, walk_pandas},
        {AK_VALUE_MATPLOTLIB, walk_matplotlib},
        {AK_VALUE_SIGNAL, walk_signals},
        {AK_VALUE_SOCKET, walk_socket},
        {AK_VALUE_NUMPY_RANDOM, walk_numpy_random},
    };
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if (!(walk->packages & settings[i].package))
            continue;
        ak_value_tag(walk, (char)('A' + (int)i));
        if (settings[i].walk(walk) < 0)
            return -1;
    }
    return 0;
}

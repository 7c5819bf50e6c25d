/* SPDX-License-Identifier: MIT */
/*
 * Functions and classes. A library's is known by its name (and its library by its
 * version); a user's by what it does: bytecode, constants with their types, defaults,
 * closure, attributes, and the values of the globals that its code loads, and so on
 * through everything that those call.
 *
 * The bytecode is what the compiler made, not what the interpreter has specialised it
 * to, and line numbers are not part of it.
 */
#include "py/valuehash-private.h"

#include <string.h>

#include "py/bytecode-private.h"
#include "py/fault-private.h"

/* --- names -------------------------------------------------------------------------
 */

static PyObject *builtins_dict(void) {
    return PyEval_GetBuiltins(); /* borrowed */
}

/* The entry of a name: (kind, value), kind 0 unbound, 1 global, 2 builtin. Borrowed. */
static PyObject *entry_of(struct ak_valuehash *walk, PyObject *names, PyObject *name,
                          bool *ret_new) {
    *ret_new = false;
    AK_PYREF place = PyLong_FromSize_t((size_t)(void *)names);
    AK_PYREF key = place ? PyTuple_Pack(2, place, name) : NULL;
    PyObject *entry = /* borrowed */
        key ? PyDict_GetItemWithError(walk->resolved, key) : NULL;
    if (entry || PyErr_Occurred())
        return entry;
    *ret_new = true;
    AK_PYREF made = NULL;
    if (walk->first)
        made = Py_XNewRef(PyDict_GetItemWithError(walk->first->resolved, key));
    if (!made && !PyErr_Occurred()) {
        int kind = 1;
        PyObject *value = PyDict_GetItemWithError(names, name); /* borrowed */
        if (!value && !PyErr_Occurred()) {
            kind = 2;
            value = PyDict_GetItemWithError(builtins_dict(), name);
        }
        if (PyErr_Occurred())
            return NULL;
        made = Py_BuildValue("(iO)", value ? kind : 0, value ? value : Py_None);
    }
    if (!made || PyDict_SetItem(walk->resolved, key, made) < 0)
        return NULL;
    return PyDict_GetItemWithError(walk->resolved, key);
}

PyObject *ak_valuehash_resolve(struct ak_valuehash *walk, PyObject *names,
                               PyObject *name, bool *ret_builtin) {
    bool is_new;
    PyObject *entry = entry_of(walk, names, name, &is_new); /* borrowed */
    *ret_builtin = false;
    if (!entry)
        return NULL;
    long kind = PyLong_AsLong(PyTuple_GET_ITEM(entry, 0));
    *ret_builtin = kind == 2;
    return kind ? PyTuple_GET_ITEM(entry, 1) : NULL;
}

/* A global that a function loads. Met once a walk: its value is part of the walk then.
 */
static int walk_global(struct ak_valuehash *walk, PyObject *names, PyObject *name) {
    bool is_new;
    PyObject *entry = entry_of(walk, names, name, &is_new); /* borrowed */
    if (!entry)
        return -1;
    if (!is_new)
        return 0;
    ak_value_tag(walk, 'n');
    ak_value_text(walk, name);
    AK_PYREF strong = Py_NewRef(entry);
    ak_value_tag(walk, (char)('0' + PyLong_AsLong(PyTuple_GET_ITEM(strong, 0))));
    return ak_value_walk(walk, PyTuple_GET_ITEM(strong, 1));
}

/* --- what code names ---------------------------------------------------------------
 */

static int refuse_name(struct ak_valuehash *walk, const char *why, PyObject *name) {
    const char *text = PyUnicode_AsUTF8(name);
    return ak_value_refuse(walk, "it %s (%.100s)", why, text ? text : "?");
}

static int check_global(struct ak_valuehash *walk, PyCodeObject *code, PyObject *names,
                        PyObject *name) {
    const char *text = PyUnicode_AsUTF8(name);
    if (!text)
        return -1;
    const char *why = ak_impure_global(text);
    if (!why)
        return 0;
    /* A __hash__ may use hash(): what it gives is not shown. */
    if (PyUnicode_CompareWithASCIIString(code->co_name, "__hash__") == 0 &&
        strcmp(text, "hash") == 0)
        return 0;
    PyObject *scope = names ? names : walk->names; /* borrowed */
    int own = PyDict_Contains(scope, name);
    if (own)
        return own < 0 ? -1 : 0; /* a user's variable of that name: known by value */
    return refuse_name(walk, why, name);
}

static int see_attribute(struct ak_valuehash *walk, PyObject *name) {
    const char *text = PyUnicode_AsUTF8(name);
    if (!text)
        return -1;
    const char *why = ak_impure_attribute(text);
    if (why)
        return refuse_name(walk, why, name);
    return PySet_Add(walk->attributes, name);
}

/* Constants that computed attribute access may use. */
static int see_constant(struct ak_valuehash *walk, PyObject *value) {
    if (!PyUnicode_Check(value) || PyUnicode_GET_LENGTH(value) > 64 ||
        !PyUnicode_IsIdentifier(value))
        return 0;
    return PySet_Add(walk->attributes, value);
}

static bool names_any(PyCodeObject *code, const char *const *names) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(code->co_names); i++) {
        for (size_t k = 0; names[k]; k++) {
            if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(code->co_names, i),
                                                 names[k]) == 0)
                return true;
        }
    }
    return false;
}

static int see_step(struct ak_valuehash *walk, PyCodeObject *code, PyObject *names,
                    const struct ak_instruction *in, bool computed) {
    PyObject *name = in->index >= 0 && in->index < PyTuple_GET_SIZE(code->co_names)
                         ? PyTuple_GET_ITEM(code->co_names, in->index)
                         : NULL; /* borrowed */
    switch (in->kind) {
    case AK_STEP_LOAD:
    case AK_STEP_LOAD_GLOBAL:
        return name ? check_global(walk, code, names, name) : 0;
    case AK_STEP_STORE_GLOBAL:
    case AK_STEP_DELETE_GLOBAL:
        if (names && names != walk->names)
            return ak_value_refuse(walk, "it calls code that changes its module");
        return name ? PySet_Add(walk->stored, name) : 0;
    case AK_STEP_ATTRIBUTE:
        return name ? see_attribute(walk, name) : 0;
    case AK_STEP_IMPORT:
        return name ? ak_value_import(walk, name, names == NULL) : 0;
    case AK_STEP_IMPORT_STAR:
        return ak_value_refuse(walk, "it imports names that cannot be known (*)");
    case AK_STEP_LOAD_CONST:
        if (in->index < 0 || in->index >= PyTuple_GET_SIZE(code->co_consts))
            return 0;
        name = PyTuple_GET_ITEM(code->co_consts, in->index);
        if (PyCode_Check(name))
            return ak_value_code_names(walk, (PyCodeObject *)name, names);
        return computed ? see_constant(walk, name) : 0;
    default:
        return 0;
    }
}

int ak_value_code_names(struct ak_valuehash *walk, PyCodeObject *code,
                        PyObject *names) {
    static const char *const computing[] = {"getattr", "hasattr", "attrgetter",
                                            "methodcaller", NULL};
    if (++walk->depth > 100)
        return ak_value_refuse(walk, "its code is nested too deeply");
    struct ak_bytecode bytecode;
    if (ak_bytecode_decode(&bytecode, code) < 0)
        return -1;
    bool computed = names_any(code, computing);
    int r = 0;
    for (int i = 0; i < bytecode.n_instructions && r == 0; i++)
        r = see_step(walk, code, names, &bytecode.instructions[i], computed);
    ak_bytecode_done(&bytecode);
    walk->depth--;
    return r;
}

/* The values of the globals that code loads, in the order of its instructions. */
static int walk_globals(struct ak_valuehash *walk, PyCodeObject *code,
                        PyObject *names) {
    struct ak_bytecode bytecode;
    if (ak_bytecode_decode(&bytecode, code) < 0)
        return -1;
    int r = 0;
    for (int i = 0; i < bytecode.n_instructions && r == 0; i++) {
        const struct ak_instruction *in = &bytecode.instructions[i];
        if (in->index < 0)
            continue;
        if (in->kind == AK_STEP_LOAD || in->kind == AK_STEP_LOAD_GLOBAL) {
            r = walk_global(walk, names, PyTuple_GET_ITEM(code->co_names, in->index));
        } else if (in->kind == AK_STEP_LOAD_CONST &&
                   PyCode_Check(PyTuple_GET_ITEM(code->co_consts, in->index))) {
            PyObject *inner = PyTuple_GET_ITEM(code->co_consts, in->index);
            r = walk_globals(walk, (PyCodeObject *)inner, names);
        }
    }
    ak_bytecode_done(&bytecode);
    return r;
}

/* --- code and functions ------------------------------------------------------------
 */

static int walk_code(struct ak_valuehash *walk, PyCodeObject *code) {
    AK_PYREF bytes = PyCode_GetCode(code);
    AK_PYREF variables = bytes ? PyCode_GetVarnames(code) : NULL;
    AK_PYREF cells = variables ? PyCode_GetCellvars(code) : NULL;
    AK_PYREF free_ones = cells ? PyCode_GetFreevars(code) : NULL;
    if (!free_ones)
        return -1;
    ak_value_tag(walk, 'C');
    ak_hash_add_u64(walk->hash, (uint64_t)code->co_flags);
    ak_hash_add_u64(walk->hash, (uint64_t)code->co_argcount);
    ak_hash_add_u64(walk->hash, (uint64_t)code->co_posonlyargcount);
    ak_hash_add_u64(walk->hash, (uint64_t)code->co_kwonlyargcount);
    PyObject *const parts[] = {
        code->co_name,  code->co_qualname, bytes, code->co_exceptiontable,
        code->co_names, variables,         cells, free_ones};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (ak_value_walk(walk, parts[i]) < 0)
            return -1;
    }
    Py_ssize_t n = PyTuple_GET_SIZE(code->co_consts);
    ak_hash_add_u64(walk->hash, (uint64_t)n);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (ak_value_walk(walk, PyTuple_GET_ITEM(code->co_consts, i)) < 0)
            return -1;
    }
    return 0;
}

static int walk_closure(struct ak_valuehash *walk, PyObject *closure) {
    Py_ssize_t n = closure ? PyTuple_GET_SIZE(closure) : 0;
    ak_hash_add_u64(walk->hash, (uint64_t)n);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (ak_value_walk(walk, PyTuple_GET_ITEM(closure, i)) < 0)
            return -1;
    }
    return 0;
}

static int walk_cell(struct ak_valuehash *walk, PyObject *cell) {
    int met = ak_value_met(walk, cell);
    if (met)
        return met < 0 ? -1 : 0;
    AK_PYREF content = PyCell_Get(cell);
    ak_value_tag(walk, content ? 'k' : 'K');
    return content ? ak_value_walk(walk, content) : 0;
}

/* A function or class of a library, by name. */
static int walk_by_name(struct ak_valuehash *walk, PyObject *object) {
    AK_PYREF module = PyObject_GetAttrString(object, "__module__");
    AK_PYREF name = module ? PyObject_GetAttrString(object, "__qualname__") : NULL;
    if (!name)
        return -1;
    const char *utf8 = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : "?";
    const char *where = PyUnicode_Check(module) ? PyUnicode_AsUTF8(module) : "";
    const char *last = utf8 ? strrchr(utf8, '.') : NULL;
    if (!utf8 || !where)
        return -1;
    const char *why = ak_impure_function(where, last ? last + 1 : utf8);
    if (why)
        return ak_value_refuse(walk, "it %s (%.100s)", why, utf8);
    ak_value_note_package(walk, where);
    ak_value_tag(walk, 'G');
    return ak_value_walk(walk, module) < 0 ? -1 : ak_value_walk(walk, name);
}

static int walk_function(struct ak_valuehash *walk, PyObject *function) {
    int met = ak_value_met(walk, function);
    if (met)
        return met < 0 ? -1 : 0;
    int library = ak_value_is_library(walk, function);
    if (library)
        return library < 0 ? -1 : walk_by_name(walk, function);
    PyFunctionObject *f = (PyFunctionObject *)function;
    PyCodeObject *code = (PyCodeObject *)f->func_code;
    bool follow = !ak_value_function_of_library(function);
    ak_value_tag(walk, follow ? 'P' : 'W');
    AK_PYREF annotations = PyObject_GetAttrString(function, "__annotations__");
    PyObject *const parts[] = {f->func_name,       f->func_qualname, f->func_defaults,
                               f->func_kwdefaults, f->func_dict,     annotations};
    if (!annotations || walk_code(walk, code) < 0 ||
        walk_closure(walk, f->func_closure) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        /* An attribute dict that is not there is as good as an empty one. */
        bool nothing =
            !parts[i] || (parts[i] == f->func_dict && PyDict_GET_SIZE(parts[i]) == 0);
        if (ak_value_walk(walk, nothing ? Py_None : parts[i]) < 0)
            return -1;
    }
    if (!follow)
        return 0;
    return ak_value_code_names(walk, code, f->func_globals) < 0
               ? -1
               : walk_globals(walk, code, f->func_globals);
}

/* Whether a method draws from a generator of the whole process. Its state need not be
 * known: that a cell drew shows in the state afterwards. Setting the state is another
 * matter. */
static bool draws_globally(PyObject *self, PyObject *name) {
    static const struct {
        const char *module;
        const char *generator;
    } globals[] = {{"numpy.random.mtrand", "_rand"}, {"random", "_inst"}};
    static const char *const setters[] = {"seed", "setstate", "set_state", "getstate",
                                          "get_state"};
    bool is = false;
    for (size_t i = 0; i < sizeof(setters) / sizeof(setters[0]); i++) {
        if (PyUnicode_CompareWithASCIIString(name, setters[i]) == 0)
            return false;
    }
    for (size_t i = 0; i < sizeof(globals) / sizeof(globals[0]) && !is; i++) {
        AK_PYREF key = PyUnicode_FromString(globals[i].module);
        PyObject *module = /* borrowed */
            key ? PyDict_GetItemWithError(PyImport_GetModuleDict(), key) : NULL;
        AK_PYREF generator =
            module ? PyObject_GetAttrString(module, globals[i].generator) : NULL;
        is = generator && generator == self;
        Py_XDECREF(ak_fault_fetch());
    }
    return is;
}

static int walk_builtin(struct ak_valuehash *walk, PyObject *function) {
    PyObject *self = PyCFunction_GET_SELF(function); /* borrowed */
    if (!self || PyModule_Check(self))
        return walk_by_name(walk, function);
    AK_PYREF name = PyObject_GetAttrString(function, "__name__");
    if (!name || !PyUnicode_Check(name))
        return -1;
    if (PyType_Check(self)) {
        const char *utf8 = PyUnicode_AsUTF8(name);
        const char *why = utf8 ? ak_impure_attribute(utf8) : NULL;
        if (!utf8 || why)
            return why ? refuse_name(walk, why, name) : -1;
    }
    ak_value_tag(walk, 'y');
    ak_value_text(walk, name);
    return draws_globally(self, name) ? 0 : ak_value_walk(walk, self);
}

static int walk_method(struct ak_valuehash *walk, PyObject *method) {
    AK_PYREF name = PyObject_GetAttrString(method, "__name__");
    Py_XDECREF(ak_fault_fetch());
    ak_value_tag(walk, 'Y');
    if (ak_value_walk(walk, PyMethod_GET_FUNCTION(method)) < 0)
        return -1;
    if (name && PyUnicode_Check(name) &&
        draws_globally(PyMethod_GET_SELF(method), name))
        return 0;
    return ak_value_walk(walk, PyMethod_GET_SELF(method));
}

/* --- classes -----------------------------------------------------------------------
 */

/* Entries of a class that say nothing about what it does. */
static bool is_bookkeeping(PyObject *key) {
    static const char *const names[] = {"__dict__",        "__weakref__",
                                        "__module__",      "_abc_impl",
                                        "__firstlineno__", "__static_attributes__"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (PyUnicode_CompareWithASCIIString(key, names[i]) == 0)
            return true;
    }
    return false;
}

static int walk_user_class(struct ak_valuehash *walk, PyTypeObject *type) {
    ak_value_tag(walk, 'K');
    AK_PYREF qualname = PyObject_GetAttrString((PyObject *)type, "__qualname__");
    AK_PYREF proxy =
        qualname ? PyObject_GetAttrString((PyObject *)type, "__dict__") : NULL;
    AK_PYREF dict = proxy ? PyDict_New() : NULL;
    if (!dict || PyDict_Update(dict, proxy) < 0 || ak_value_walk(walk, qualname) < 0 ||
        ak_value_class(walk, Py_TYPE(type)) < 0)
        return -1;
    PyObject *bases = type->tp_bases; /* borrowed */
    ak_hash_add_u64(walk->hash, (uint64_t)PyTuple_GET_SIZE(bases));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(bases); i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(bases, i);
        if (ak_value_class(walk, base) < 0)
            return -1;
    }
    Py_ssize_t position = 0;
    PyObject *key, *value; /* borrowed from dict, which is ours */
    while (PyDict_Next(dict, &position, &key, &value)) {
        if (!PyUnicode_Check(key))
            return ak_value_refuse(walk, "a class has attributes without names");
        if (is_bookkeeping(key))
            continue;
        ak_value_tag(walk, ':');
        ak_value_text(walk, key);
        if (Py_IS_TYPE(value, &PyMemberDescr_Type))
            continue; /* a slot: its name is all there is */
        if (ak_value_walk(walk, value) < 0)
            return -1;
    }
    ak_value_tag(walk, '.');
    return 0;
}

int ak_value_class(struct ak_valuehash *walk, PyTypeObject *type) {
    int met = ak_value_met(walk, (PyObject *)type);
    if (met)
        return met < 0 ? -1 : 0;
    int library = ak_value_is_library(walk, (PyObject *)type);
    if (library < 0)
        return -1;
    if (!library)
        return walk_user_class(walk, type);
    if (PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) &&
        !PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE) &&
        PyList_Append(walk->libraries, (PyObject *)type) < 0)
        return -1;
    return walk_by_name(walk, (PyObject *)type);
}

int ak_value_callable(struct ak_valuehash *walk, PyObject *value) {
    PyTypeObject *type = Py_TYPE(value);
    int r;
    if (PyType_Check(value))
        r = ak_value_class(walk, (PyTypeObject *)value);
    else if (type == &PyFunction_Type)
        r = walk_function(walk, value);
    else if (type == &PyCFunction_Type)
        r = walk_builtin(walk, value);
    else if (type == &PyMethod_Type)
        r = walk_method(walk, value);
    else if (PyModule_Check(value))
        r = ak_value_module(walk, value);
    else if (type == &PyCode_Type)
        r = walk_code(walk, (PyCodeObject *)value);
    else if (type == &PyCell_Type)
        r = walk_cell(walk, value);
    else
        return 0;
    return r < 0 ? -1 : 1;
}

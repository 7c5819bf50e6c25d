/* SPDX-License-Identifier: MIT */
/*
 * Modules, and what is a library.
 *
 * A library is what lies in the standard library or in site-packages: its code is known
 * by name and version. Everything else is the user's and is known by value. But a
 * library can be patched at run time, so whatever attribute the code at hand names is
 * looked up on every module that was met, and on library classes for functions that are
 * not the library's own.
 */
#include "py/valuehash-private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "py/fault-private.h"

/* --- what is a library -------------------------------------------------------------
 */

static bool is_library_path(const char *path) {
    if (strstr(path, "/site-packages/") || strstr(path, "/dist-packages/"))
        return true;
    PyObject *stdlib = PySys_GetObject("_stdlib_dir"); /* borrowed */
    const char *dir =
        stdlib && PyUnicode_Check(stdlib) ? PyUnicode_AsUTF8(stdlib) : NULL;
    Py_XDECREF(ak_fault_fetch());
    size_t len = dir ? strlen(dir) : 0;
    return len && strncmp(path, dir, len) == 0 && path[len] == '/';
}

/* A member of a module's own dict; borrowed, NULL without an exception. */
static PyObject *member(PyObject *module, const char *name) {
    AK_PYREF key = PyUnicode_InternFromString(name);
    PyObject *dict = PyModule_GetDict(module); /* borrowed */
    PyObject *value = key && dict ? PyDict_GetItemWithError(dict, key) : NULL;
    Py_XDECREF(ak_fault_fetch());
    return value;
}

int ak_value_module_is_library(PyObject *module) {
    PyObject *name = member(module, "__name__"); /* borrowed */
    if (!name || !PyUnicode_Check(name) ||
        PyUnicode_CompareWithASCIIString(name, "__main__") == 0)
        return 0;
    if (PyUnicode_CompareWithASCIIString(name, "_akernel") == 0)
        return 1;
    PyObject *file = member(module, "__file__"); /* borrowed */
    const char *path = file && PyUnicode_Check(file) ? PyUnicode_AsUTF8(file) : NULL;
    Py_XDECREF(ak_fault_fetch());
    if (path)
        return is_library_path(path);
    PyObject *spec = member(module, "__spec__"); /* borrowed */
    if (!spec || Py_IsNone(spec))
        return 0;
    AK_PYREF origin = PyObject_GetAttrString(spec, "origin");
    bool inside = origin && PyUnicode_Check(origin) &&
                  (PyUnicode_CompareWithASCIIString(origin, "built-in") == 0 ||
                   PyUnicode_CompareWithASCIIString(origin, "frozen") == 0);
    Py_XDECREF(ak_fault_fetch());
    return inside;
}

static PyObject *loaded_module(PyObject *name) {
    PyObject *modules = PyImport_GetModuleDict();              /* borrowed */
    PyObject *module = PyDict_GetItemWithError(modules, name); /* borrowed */
    return module && PyModule_Check(module) ? module : NULL;
}

/* The object at a dotted name of a module: new reference, NULL when there is none. */
static PyObject *at_qualname(PyObject *module, PyObject *qualname) {
    AK_PYREF dot = PyUnicode_FromString(".");
    AK_PYREF parts = dot ? PyUnicode_Split(qualname, dot, 20) : NULL;
    AK_PYREF current = NULL;
    for (Py_ssize_t i = 0; parts && i < PyList_GET_SIZE(parts); i++) {
        PyObject *part = PyList_GET_ITEM(parts, i); /* borrowed */
        if (i == 0) {
            current =
                Py_XNewRef(PyDict_GetItemWithError(PyModule_GetDict(module), part));
        } else if (!PyType_Check(current)) {
            return NULL;
        } else {
            Py_SETREF(current, PyObject_GetAttr(current, part));
        }
        if (!current)
            break;
    }
    Py_XDECREF(ak_fault_fetch());
    return AK_TAKE(current);
}

int ak_value_is_library(struct ak_valuehash *walk, PyObject *object) {
    (void)walk;
    if (PyType_Check(object) &&
        (!PyType_HasFeature((PyTypeObject *)object, Py_TPFLAGS_HEAPTYPE) ||
         PyType_HasFeature((PyTypeObject *)object, Py_TPFLAGS_IMMUTABLETYPE)))
        return 1;
    AK_PYREF name = PyObject_GetAttrString(object, "__module__");
    AK_PYREF qualname = name ? PyObject_GetAttrString(object, "__qualname__") : NULL;
    if (!qualname || !PyUnicode_Check(name) || !PyUnicode_Check(qualname)) {
        Py_XDECREF(ak_fault_fetch());
        return 0;
    }
    PyObject *module = loaded_module(name); /* borrowed */
    if (!module || !ak_value_module_is_library(module)) {
        Py_XDECREF(ak_fault_fetch());
        return 0;
    }
    AK_PYREF found = at_qualname(module, qualname);
    return found == object;
}

void ak_value_note_package(struct ak_valuehash *walk, const char *module) {
    static const struct {
        const char *prefix;
        unsigned package;
    } packages[] = {
        {"numpy", AK_VALUE_NUMPY},       {"pandas", AK_VALUE_PANDAS | AK_VALUE_NUMPY},
        {"decimal", AK_VALUE_DECIMAL},   {"matplotlib", AK_VALUE_MATPLOTLIB},
        {"warnings", AK_VALUE_WARNINGS}, {"signal", AK_VALUE_SIGNAL},
        {"socket", AK_VALUE_SOCKET},     {"numpy.random", AK_VALUE_NUMPY_RANDOM}};
    for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
        if (strncmp(module, packages[i].prefix, strlen(packages[i].prefix)) == 0)
            walk->packages |= packages[i].package;
    }
}

/* --- modules -----------------------------------------------------------------------
 */

/* The version that the package of a module names, if any. */
static int add_version(struct ak_valuehash *walk, PyObject *name) {
    Py_ssize_t dot = PyUnicode_FindChar(name, '.', 0, PyUnicode_GET_LENGTH(name), 1);
    AK_PYREF top = PyUnicode_Substring(name, 0, dot < 0 ? PY_SSIZE_T_MAX : dot);
    PyObject *package = top ? loaded_module(top) : NULL;                 /* borrowed */
    PyObject *version = package ? member(package, "__version__") : NULL; /* borrowed */
    if (PyErr_Occurred())
        return -1;
    ak_value_tag(walk, 'v');
    return version && PyUnicode_CheckExact(version) ? ak_value_walk(walk, version) : 0;
}

static int add_file(struct ak_valuehash *walk, const char *path) {
    AK_CLEANUP(ak_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return ak_value_refuse(walk, "the source of a module, %.200s, cannot be read",
                               path);
    if (st.st_size == 0)
        return 0;
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return ak_value_refuse(walk, "the source of a module, %.200s, cannot be read",
                               path);
    ak_value_bytes(walk, data, (size_t)st.st_size);
    munmap(data, (size_t)st.st_size);
    return 0;
}

static int walk_module(struct ak_valuehash *walk, PyObject *module) {
    int met = ak_value_met(walk, module);
    if (met)
        return met < 0 ? -1 : 0;
    PyObject *name = member(module, "__name__"); /* borrowed */
    if (!name || !PyUnicode_Check(name))
        return ak_value_refuse(walk, "an input is a module without a name");
    if (PyUnicode_CompareWithASCIIString(name, "__main__") == 0)
        return ak_value_refuse(walk, "an input is the notebook's own module");
    ak_value_tag(walk, 'M');
    ak_value_text(walk, name);
    if (PyList_Append(walk->libraries, module) < 0)
        return -1;
    if (ak_value_module_is_library(module)) {
        const char *utf8 = PyUnicode_AsUTF8(name);
        ak_value_note_package(walk, utf8 ? utf8 : "");
        return utf8 ? add_version(walk, name) : -1;
    }
    PyObject *file = member(module, "__file__"); /* borrowed */
    const char *path = file && PyUnicode_Check(file) ? PyUnicode_AsUTF8(file) : NULL;
    Py_XDECREF(ak_fault_fetch());
    ak_value_tag(walk, path ? '/' : '-');
    return path ? add_file(walk, path) : 0;
}

int ak_value_module(struct ak_valuehash *walk, PyObject *module) {
    return walk_module(walk, module);
}

/* --- imports -----------------------------------------------------------------------
 */

enum place {
    NOWHERE,
    IN_STDLIB,
    IN_PACKAGES,
    IN_USER
};

/* Where a top-level module that is not loaded would come from. -1 with an exception. */
static int place_of_import(PyObject *top) {
    AK_PYREF util = PyImport_ImportModule("importlib.util");
    AK_PYREF spec = util ? PyObject_CallMethod(util, "find_spec", "O", top) : NULL;
    if (!spec)
        return -1;
    if (Py_IsNone(spec))
        return NOWHERE;
    AK_PYREF origin = PyObject_GetAttrString(spec, "origin");
    const char *path =
        origin && PyUnicode_Check(origin) ? PyUnicode_AsUTF8(origin) : NULL;
    Py_XDECREF(ak_fault_fetch());
    if (!path)
        return IN_USER;
    if (strcmp(path, "built-in") == 0 || strcmp(path, "frozen") == 0)
        return IN_STDLIB;
    if (!is_library_path(path))
        return IN_USER;
    bool packages = strstr(path, "/site-packages/") || strstr(path, "/dist-packages/");
    return packages ? IN_PACKAGES : IN_STDLIB;
}

/* A module that the code imports and that is not loaded: importing a library now is
 * what both a run and a restore would do first. */
static int load(struct ak_valuehash *walk, PyObject *name, PyObject *top, bool cell) {
    const char *text = PyUnicode_AsUTF8(name);
    int place = place_of_import(top);
    if (!text || place < 0)
        return -1;
    if (place == NOWHERE) {
        ak_value_tag(walk, 'x');
        return 0;
    }
    if (place == IN_USER || (place == IN_PACKAGES && !cell))
        return ak_value_refuse(walk, "it imports %.100s, which is not loaded yet",
                               text);
    AK_PYREF module = PyImport_Import(name);
    if (module)
        return 0;
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    Py_XDECREF(ak_fault_fetch());
    ak_value_tag(walk, 'x');
    return 0;
}

/* Every package on the way to a dotted name. */
int ak_value_import(struct ak_valuehash *walk, PyObject *name, bool cell) {
    Py_ssize_t len = PyUnicode_GET_LENGTH(name), end = 0;
    if (len == 0)
        return ak_value_refuse(walk, "it imports relative to a package");
    Py_ssize_t dot = PyUnicode_FindChar(name, '.', 0, len, 1);
    AK_PYREF top = PyUnicode_Substring(name, 0, dot < 0 ? len : dot);
    if (!top)
        return -1;
    ak_value_tag(walk, 'j');
    ak_value_text(walk, name);
    if (!loaded_module(name) && load(walk, name, top, cell) < 0)
        return -1;
    while (end >= 0) {
        end = PyUnicode_FindChar(name, '.', end ? end + 1 : 0, len, 1);
        AK_PYREF prefix = PyUnicode_Substring(name, 0, end < 0 ? len : end);
        PyObject *module = prefix ? loaded_module(prefix) : NULL; /* borrowed */
        AK_PYREF strong = Py_XNewRef(module);
        if (!prefix || PyErr_Occurred() || (strong && walk_module(walk, strong) < 0))
            return -1;
    }
    return 0;
}

/* --- attributes that code named ----------------------------------------------------
 */

static bool is_library_function(PyObject *value) {
    if (!PyFunction_Check(value))
        return false;
    AK_PYREF key = PyUnicode_InternFromString("__name__");
    PyObject *name = /* borrowed */
        key ? PyDict_GetItemWithError(PyFunction_GET_GLOBALS(value), key) : NULL;
    PyObject *module = name && PyUnicode_Check(name) ? loaded_module(name) : NULL;
    Py_XDECREF(ak_fault_fetch());
    return module && ak_value_module_is_library(module);
}

bool ak_value_function_of_library(PyObject *function) {
    return is_library_function(function);
}

/* Whether an attribute of a library class is what its library made it: C code, or a
 * function of a library, however it is wrapped. */
static bool is_pristine(PyObject *value) {
    PyTypeObject *type = Py_TYPE(value);
    if (PyFunction_Check(value))
        return is_library_function(value);
    static const char *const inner[] = {"fget", "__func__", "__wrapped__"};
    if (type == &PyProperty_Type || type == &PyStaticMethod_Type ||
        type == &PyClassMethod_Type) {
        const char *name = inner[type == &PyProperty_Type ? 0 : 1];
        AK_PYREF function = PyObject_GetAttrString(value, name);
        bool pristine = function && is_pristine(function);
        Py_XDECREF(ak_fault_fetch());
        return pristine;
    }
    if (PyType_Check(value))
        return ak_value_is_library(NULL, value) == 1;
    if (PyLong_Check(value) || PyUnicode_Check(value) || PyFloat_Check(value) ||
        PyMethod_Check(value) || PyList_Check(value) || PyDict_Check(value))
        return false;
    return ak_value_is_library(NULL, (PyObject *)type) == 1;
}

/* A library may load a part of itself when it is first asked for (PEP 562): code that
 * names the part would do it now. */
static int load_part(PyObject *module, PyObject *name) {
    if (!member(module, "__getattr__") || !ak_value_module_is_library(module))
        return 0;
    AK_PYREF part = PyObject_GetAttr(module, name);
    if (!part && !PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    Py_XDECREF(ak_fault_fetch());
    return 0;
}

static int walk_named(struct ak_valuehash *walk, PyObject *library, PyObject *name) {
    PyObject *value; /* borrowed */
    if (PyModule_Check(library)) {
        PyObject *dict = PyModule_GetDict(library); /* borrowed */
        value = PyDict_GetItemWithError(dict, name);
        if (!value && !PyErr_Occurred()) {
            if (load_part(library, name) < 0)
                return -1;
            value = PyDict_GetItemWithError(dict, name);
        }
        if (!value && PyErr_Occurred())
            return -1;
    } else {
        value = _PyType_Lookup((PyTypeObject *)library, name);
        if (value && is_pristine(value))
            return 0;
    }
    if (!value)
        return 0;
    AK_PYREF strong = Py_NewRef(value);
    ak_value_tag(walk, 'a');
    ak_hash_add_u64(walk->hash, (uint64_t)ak_valuehash_slot(walk, library));
    ak_value_text(walk, name);
    return ak_value_walk(walk, strong);
}

static PyObject *sorted_names(PyObject *set) {
    AK_PYREF names = PySequence_List(set);
    return names && PyList_Sort(names) == 0 ? Py_NewRef(names) : NULL;
}

/* Walking an attribute may meet further libraries and further code with names of its
 * own: rounds over what is new, until nothing is. */
int ak_value_libraries(struct ak_valuehash *walk) {
    AK_PYREF done = PySet_New(NULL);
    Py_ssize_t libraries_done = 0;
    for (;;) {
        Py_ssize_t n = PyList_GET_SIZE(walk->libraries);
        AK_PYREF names = done ? sorted_names(walk->attributes) : NULL;
        if (!names)
            return -1;
        if (n == libraries_done && PyList_GET_SIZE(names) == PySet_GET_SIZE(done))
            return 0;
        for (Py_ssize_t l = 0; l < n; l++) {
            PyObject *library = PyList_GET_ITEM(walk->libraries, l); /* borrowed */
            for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); i++) {
                PyObject *name = PyList_GET_ITEM(names, i); /* borrowed */
                int old = l < libraries_done ? PySet_Contains(done, name) : 0;
                if (old < 0 || (!old && walk_named(walk, library, name) < 0))
                    return -1;
            }
        }
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); i++) {
            if (PySet_Add(done, PyList_GET_ITEM(names, i)) < 0)
                return -1;
        }
        libraries_done = n;
    }
}

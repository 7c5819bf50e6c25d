/* SPDX-License-Identifier: MIT */
/*
 * From a value to its MIME bundle, by the rules that libraries know from IPython
 * ("Integrating your objects with IPython", rich display): _repr_mimebundle_ first,
 * then one method a MIME type, each giving data or (data, metadata), bytes becoming
 * base64 on the way out, and text/plain from repr().
 *
 * Two kinds of objects are not asked: classes, whose methods are meant for their
 * instances, and objects that answer to every name, which a name that nobody uses finds
 * out. Numbers, text and plain containers have no methods and are not asked either.
 */
#include "py/bundle-private.h"

#include "py/convert-private.h"
#include "py/fault-private.h"
#include "py/plain-private.h"
#include "py/report-private.h"
#include "py/shell-private.h"

static const struct {
    const char *method;
    const char *mime;
} formats[] = {
    {"_repr_html_", "text/html"},
    {"_repr_markdown_", "text/markdown"},
    {"_repr_svg_", "image/svg+xml"},
    {"_repr_png_", "image/png"},
    {"_repr_jpeg_", "image/jpeg"},
    {"_repr_pdf_", "application/pdf"},
    {"_repr_latex_", "text/latex"},
    {"_repr_json_", "application/json"},
    {"_repr_javascript_", "application/javascript"},
};

static bool is_plain(PyObject *value) {
    return PyLong_CheckExact(value) || PyUnicode_CheckExact(value) ||
           PyFloat_CheckExact(value) || PyBool_Check(value) ||
           PyList_CheckExact(value) || PyDict_CheckExact(value) ||
           PyTuple_CheckExact(value) || PyBytes_CheckExact(value) ||
           PyAnySet_CheckExact(value) || PyComplex_CheckExact(value);
}

/* Reports an Exception and clears it; lets anything else (an interrupt) through. */
static int survive(struct ak_state *state) {
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    AK_PYREF exception = ak_fault_fetch();
    ak_report_failure(state, NULL, NULL, exception);
    return 0;
}

/* A bound method of the value, NULL when it has none to be called. No exception. */
static PyObject *find_method(PyObject *value, const char *name) {
    AK_PYREF method = PyObject_GetAttrString(value, name);
    if (method && PyCallable_Check(method))
        return Py_NewRef(method);
    Py_XDECREF(ak_fault_fetch());
    return NULL;
}

static bool answers_everything(PyObject *value) {
    AK_PYREF canary = find_method(value, "_ipython_canary_method_should_not_exist_");
    return canary != NULL;
}

static bool askable(PyObject *value) {
    return !is_plain(value) && !PyType_Check(value) && !answers_everything(value);
}

static int wanted_key(PyObject *key, PyObject *include, PyObject *exclude) {
    int in = include && !Py_IsNone(include) ? PySequence_Contains(include, key) : 1;
    int out = exclude && !Py_IsNone(exclude) ? PySequence_Contains(exclude, key) : 0;
    return in < 0 || out < 0 ? -1 : in && !out;
}

static int wanted(const char *mime, PyObject *include, PyObject *exclude) {
    AK_PYREF key = PyUnicode_FromString(mime);
    return key ? wanted_key(key, include, exclude) : -1;
}

/* What include and exclude leave of an object's own bundle: not every object looks at
 * them itself. */
static int add_wanted(PyObject *to, PyObject *from, PyObject *include,
                      PyObject *exclude) {
    AK_PYREF items = PyDict_Items(from);
    for (Py_ssize_t i = 0; items && i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i);  /* borrowed */
        PyObject *key = PyTuple_GET_ITEM(item, 0);   /* borrowed */
        PyObject *value = PyTuple_GET_ITEM(item, 1); /* borrowed */
        int want = wanted_key(key, include, exclude);
        if (want < 0 || (want && PyDict_SetItem(to, key, value) < 0))
            return -1;
    }
    return items ? 0 : -1;
}

/* Splits what a method gave into data and metadata and puts both in. None is nothing.
 */
static int put(PyObject *data, PyObject *metadata, const char *mime, PyObject *given) {
    if (Py_IsNone(given))
        return 0;
    PyObject *content = given, *meta = NULL; /* borrowed */
    if (PyTuple_Check(given) && PyTuple_GET_SIZE(given) == 2) {
        content = PyTuple_GET_ITEM(given, 0);
        meta = PyTuple_GET_ITEM(given, 1);
    }
    if (PyDict_SetItemString(data, mime, content) < 0)
        return -1;
    return meta && !Py_IsNone(meta) ? PyDict_SetItemString(metadata, mime, meta) : 0;
}

static int add_mimebundle(struct ak_state *state, PyObject *value, PyObject *include,
                          PyObject *exclude, PyObject *data, PyObject *metadata) {
    AK_PYREF method = find_method(value, "_repr_mimebundle_");
    if (!method)
        return 0;
    AK_PYREF args = PyTuple_New(0);
    AK_PYREF kwargs = Py_BuildValue("{s:O,s:O}", "include", include ? include : Py_None,
                                    "exclude", exclude ? exclude : Py_None);
    AK_PYREF given = args && kwargs ? PyObject_Call(method, args, kwargs) : NULL;
    if (!given)
        return survive(state);
    PyObject *content = given, *meta = NULL; /* borrowed */
    if (PyTuple_Check(given) && PyTuple_GET_SIZE(given) == 2) {
        content = PyTuple_GET_ITEM(given, 0);
        meta = PyTuple_GET_ITEM(given, 1);
    }
    if (!PyDict_Check(content))
        return 0;
    if (add_wanted(data, content, include, exclude) < 0 ||
        (meta && PyDict_Check(meta) &&
         add_wanted(metadata, meta, include, exclude) < 0))
        return survive(state);
    return 0;
}

static int add_formats(struct ak_state *state, PyObject *value, PyObject *include,
                       PyObject *exclude, PyObject *data, PyObject *metadata) {
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        const char *mime = formats[i].mime;
        AK_PYREF key = PyUnicode_FromString(mime);
        int want = key ? wanted(mime, include, exclude) : -1;
        if (want < 0 || PyDict_Contains(data, key) != 0) {
            if (PyErr_Occurred())
                return -1;
            continue;
        }
        AK_PYREF method = want ? find_method(value, formats[i].method) : NULL;
        if (!method)
            continue;
        AK_PYREF given = PyObject_CallNoArgs(method);
        int r = given ? put(data, metadata, mime, given) : survive(state);
        if (r < 0)
            return -1;
    }
    return 0;
}

static int add_plain(struct ak_state *state, PyObject *value, PyObject *include,
                     PyObject *exclude, PyObject *data, PyObject *metadata) {
    int want = wanted("text/plain", include, exclude);
    AK_PYREF key = PyUnicode_FromString("text/plain");
    int has = key ? PyDict_Contains(data, key) : -1;
    if (want < 0 || has < 0)
        return -1;
    if (!want || has)
        return 0;
    AK_PYREF text = ak_plain_text(value);
    return text ? put(data, metadata, "text/plain", text) : survive(state);
}

int ak_bundle_new(struct ak_state *state, PyObject *value, PyObject *include,
                  PyObject *exclude, PyObject **ret_data, PyObject **ret_metadata) {
    int r = ak_shell_format(state, value, include, exclude, ret_data, ret_metadata);
    if (r)
        return r < 0 ? -1 : 0;
    AK_PYREF data = PyDict_New();
    AK_PYREF metadata = PyDict_New();
    if (!data || !metadata)
        return -1;
    if (askable(value)) {
        if (add_mimebundle(state, value, include, exclude, data, metadata) < 0 ||
            add_formats(state, value, include, exclude, data, metadata) < 0)
            return -1;
    }
    if (add_plain(state, value, include, exclude, data, metadata) < 0)
        return -1;
    *ret_data = Py_NewRef(data);
    *ret_metadata = Py_NewRef(metadata);
    return 0;
}

int ak_bundle_repair(struct ak_state *state, PyObject *dict) {
    AK_PYREF items = PyDict_Items(dict);
    for (Py_ssize_t i = 0; items && i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i); /* borrowed */
        AK_BUF_AUTO scratch = {0};
        if (ak_json_encode(state, PyTuple_GET_ITEM(item, 1), &scratch) == 0)
            continue;
        if (survive(state) < 0 || PyDict_DelItem(dict, PyTuple_GET_ITEM(item, 0)) < 0)
            return -1;
    }
    return items ? 0 : -1;
}

int ak_bundle_encode(struct ak_state *state, PyObject *dict, struct ak_buf *buf) {
    if (ak_json_encode(state, dict, buf) == 0)
        return 0;
    /* Want of memory is nobody's form. */
    if (!PyErr_ExceptionMatches(PyExc_Exception) ||
        PyErr_ExceptionMatches(PyExc_MemoryError))
        return -1;
    Py_XDECREF(ak_fault_fetch());
    return ak_bundle_repair(state, dict) < 0 ? -1 : ak_json_encode(state, dict, buf);
}

int ak_bundle_make(struct ak_state *state, PyObject *value, PyObject *include,
                   PyObject *exclude, struct ak_buf *ret_data,
                   struct ak_buf *ret_metadata) {
    AK_PYREF data = NULL;
    AK_PYREF metadata = NULL;
    if (ak_bundle_new(state, value, include, exclude, &data, &metadata) < 0)
        return -1;
    if (ak_bundle_encode(state, data, ret_data) < 0 ||
        ak_bundle_encode(state, metadata, ret_metadata) < 0)
        return -1;
    return 0;
}

int ak_bundle_display_itself(struct ak_state *state, PyObject *value) {
    if (is_plain(value) || PyType_Check(value))
        return 0;
    AK_PYREF method = find_method(value, "_ipython_display_");
    if (!method || answers_everything(value))
        return 0;
    AK_PYREF done = PyObject_CallNoArgs(method);
    return done || survive(state) == 0 ? 1 : -1;
}

/* _bundle(value, include, exclude) -> (data, metadata), or None when the value
 * displayed itself. */
static PyObject *py_bundle(PyObject *module, PyObject *args) {
    struct ak_state *state = ak_state_of_module(module);
    PyObject *value, *include, *exclude; /* borrowed */
    if (!PyArg_UnpackTuple(args, "_bundle", 3, 3, &value, &include, &exclude))
        return NULL;
    int itself = ak_bundle_display_itself(state, value);
    if (itself < 0)
        return NULL;
    if (itself)
        Py_RETURN_NONE;
    AK_PYREF data = NULL;
    AK_PYREF metadata = NULL;
    if (ak_bundle_new(state, value, include, exclude, &data, &metadata) < 0)
        return NULL;
    return PyTuple_Pack(2, data, metadata);
}

/* _bundle_repair(dict): what has no JSON is reported and taken out. */
static PyObject *py_bundle_repair(PyObject *module, PyObject *dict) {
    if (!PyDict_Check(dict))
        return PyErr_Format(PyExc_TypeError, "a bundle is a dict");
    if (ak_bundle_repair(ak_state_of_module(module), dict) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef bundle_functions[] = {
    {"_bundle", py_bundle, METH_VARARGS, NULL},
    {"_bundle_repair", py_bundle_repair, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

int ak_bundle_setup(struct ak_state *state, PyObject *module) {
    (void)state;
    return PyModule_AddFunctions(module, bundle_functions);
}

/* SPDX-License-Identifier: MIT */
/*
 * JSON both ways, without the json package: its scanner is a C type of the _json module
 * that takes its options from the attributes of any object, and the encoder below
 * writes what a Jupyter message needs and json.dumps refuses or gets wrong (NaN, bytes,
 * lone surrogates).
 */
#include "py/convert-private.h"

#include <math.h>
#include <string.h>

#include "py/fault-private.h"

/* --- decoding ----------------------------------------------------------------------
 */

static int set_attribute(PyObject *object, const char *name, PyObject *value) {
    return PyObject_SetAttrString(object, name, value);
}

/* The scanner wants what json.JSONDecoder has. */
static PyObject *make_scanner(struct ak_state *state) {
    AK_PYREF json = PyImport_ImportModule("_json");
    AK_PYREF types = PyImport_ImportModule("types");
    AK_PYREF options =
        types ? PyObject_CallMethod(types, "SimpleNamespace", NULL) : NULL;
    if (!json || !options)
        return NULL;
    AK_PYREF constant = PyObject_GetAttrString(state->module, "_json_constant");
    PyObject *float_type = (PyObject *)&PyFloat_Type; /* borrowed */
    PyObject *int_type = (PyObject *)&PyLong_Type;    /* borrowed */
    if (!constant || set_attribute(options, "strict", Py_False) < 0 ||
        set_attribute(options, "object_hook", Py_None) < 0 ||
        set_attribute(options, "object_pairs_hook", Py_None) < 0 ||
        set_attribute(options, "parse_float", float_type) < 0 ||
        set_attribute(options, "parse_int", int_type) < 0 ||
        set_attribute(options, "parse_constant", constant) < 0 ||
        set_attribute(options, "memo", Py_None) < 0)
        return NULL;
    return PyObject_CallMethod(json, "make_scanner", "O", options);
}

static PyObject *json_constant(PyObject *module, PyObject *name) {
    const char *text = PyUnicode_AsUTF8(name);
    if (!text)
        return NULL;
    return PyFloat_FromDouble(strcmp(text, "NaN") == 0         ? NAN
                              : strcmp(text, "-Infinity") == 0 ? -INFINITY
                                                               : INFINITY);
}

static bool only_space(PyObject *text, Py_ssize_t from, Py_ssize_t to) {
    for (Py_ssize_t i = from; i < to; i++) {
        Py_UCS4 c = PyUnicode_READ_CHAR(text, i);
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return false;
    }
    return true;
}

PyObject *ak_json_decode(struct ak_state *state, const char *text, size_t len) {
    if (!state->json_scanner)
        state->json_scanner = make_scanner(state);
    AK_PYREF string = PyUnicode_DecodeUTF8(text, (Py_ssize_t)len, "replace");
    if (!state->json_scanner || !string)
        return NULL;
    Py_ssize_t start = 0, n = PyUnicode_GET_LENGTH(string);
    while (start < n && only_space(string, start, start + 1))
        start++;
    AK_PYREF index = PyLong_FromSsize_t(start);
    AK_PYREF pair =
        index ? PyObject_CallFunctionObjArgs(state->json_scanner, string, index, NULL)
              : NULL;
    if (!pair) {
        if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
            Py_XDECREF(ak_fault_fetch());
            PyErr_SetString(PyExc_ValueError, "this is not JSON");
        }
        return NULL;
    }
    Py_ssize_t end = PyLong_AsSsize_t(PyTuple_GET_ITEM(pair, 1));
    if (!only_space(string, end, n)) {
        PyErr_SetString(PyExc_ValueError, "text follows the JSON value");
        return NULL;
    }
    return Py_NewRef(PyTuple_GET_ITEM(pair, 0));
}

/* --- encoding ----------------------------------------------------------------------
 */

static int no_memory(int r) {
    if (r)
        PyErr_NoMemory();
    return r ? -1 : 0;
}

PyObject *ak_text_without_surrogates(PyObject *str) {
    Py_ssize_t n = PyUnicode_GET_LENGTH(str);
    AK_PYREF clean = PyUnicode_New(n, PyUnicode_MAX_CHAR_VALUE(str));
    if (!clean)
        return NULL;
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_UCS4 c = PyUnicode_READ_CHAR(str, i);
        if (PyUnicode_WriteChar(clean, i, c >= 0xD800 && c <= 0xDFFF ? 0xFFFD : c) < 0)
            return NULL;
    }
    return Py_NewRef(clean);
}

int ak_json_encode_str(PyObject *str, struct ak_buf *buf) {
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(str, &len);
    if (text)
        return no_memory(ak_buf_add_json_string(buf, text, (size_t)len));
    Py_XDECREF(ak_fault_fetch());
    AK_PYREF clean = ak_text_without_surrogates(str);
    text = clean ? PyUnicode_AsUTF8AndSize(clean, &len) : NULL;
    return text ? no_memory(ak_buf_add_json_string(buf, text, (size_t)len)) : -1;
}

static int encode(PyObject *value, struct ak_buf *buf, int depth);

/* json.dumps accepts str, int, float, bool and None as keys. */
static int encode_key(PyObject *key, struct ak_buf *buf) {
    if (PyUnicode_Check(key))
        return ak_json_encode_str(key, buf);
    if (Py_IsNone(key))
        return no_memory(ak_buf_add_str(buf, "\"null\""));
    if (PyBool_Check(key))
        return no_memory(
            ak_buf_add_str(buf, key == Py_True ? "\"true\"" : "\"false\""));
    AK_PYREF text = PyLong_Check(key)    ? PyNumber_ToBase(key, 10)
                    : PyFloat_Check(key) ? PyObject_Repr(key)
                                         : PyObject_Str(key);
    return text ? ak_json_encode_str(text, buf) : -1;
}

static int encode_dict(PyObject *dict, struct ak_buf *buf, int depth) {
    /* A copy of the items: encoding may run Python, which may change the dict. */
    AK_PYREF items = PyMapping_Items(dict);
    if (!items || no_memory(ak_buf_add_char(buf, '{')) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i); /* borrowed */
        if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
            PyErr_SetString(PyExc_TypeError, "items() of a mapping must be pairs");
            return -1;
        }
        if ((i && no_memory(ak_buf_add_str(buf, ", ")) < 0) ||
            encode_key(PyTuple_GET_ITEM(item, 0), buf) < 0 ||
            no_memory(ak_buf_add_str(buf, ": ")) < 0 ||
            encode(PyTuple_GET_ITEM(item, 1), buf, depth) < 0)
            return -1;
    }
    return no_memory(ak_buf_add_char(buf, '}'));
}

static int encode_sequence(PyObject *sequence, struct ak_buf *buf, int depth) {
    AK_PYREF items = PySequence_List(sequence);
    if (!items || no_memory(ak_buf_add_char(buf, '[')) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); i++) {
        if ((i && no_memory(ak_buf_add_str(buf, ", ")) < 0) ||
            encode(PyList_GET_ITEM(items, i), buf, depth) < 0)
            return -1;
    }
    return no_memory(ak_buf_add_char(buf, ']'));
}

static int encode_float(double value, struct ak_buf *buf) {
    if (!isfinite(value))
        return no_memory(ak_buf_add_str(buf, "null"));
    char *text = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (!text)
        return -1;
    int r = no_memory(ak_buf_add_str(buf, text));
    PyMem_Free(text);
    return r;
}

static int encode_int(PyObject *value, struct ak_buf *buf) {
    /* Subclasses of int may print as they like; JSON wants the number. */
    AK_PYREF text = PyNumber_ToBase(value, 10);
    Py_ssize_t len;
    const char *utf8 = text ? PyUnicode_AsUTF8AndSize(text, &len) : NULL;
    return utf8 ? no_memory(ak_buf_add(buf, utf8, (size_t)len)) : -1;
}

int ak_json_encode_base64(PyObject *bytes, struct ak_buf *buf) {
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    Py_buffer view;
    if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
        return -1;
    size_t n = (size_t)view.len;
    int r = no_memory(ak_buf_reserve(buf, (n + 2) / 3 * 4 + 2));
    if (r == 0) {
        const unsigned char *s = view.buf;
        char *out = buf->data + buf->len;
        *out++ = '"';
        for (size_t i = 0; i < n; i += 3) {
            unsigned word = (unsigned)s[i] << 16 |
                            (i + 1 < n ? (unsigned)s[i + 1] << 8 : 0) |
                            (i + 2 < n ? s[i + 2] : 0u);
            *out++ = digits[word >> 18];
            *out++ = digits[word >> 12 & 63];
            *out++ = i + 1 < n ? digits[word >> 6 & 63] : '=';
            *out++ = i + 2 < n ? digits[word & 63] : '=';
        }
        *out++ = '"';
        buf->len = (size_t)(out - buf->data);
        buf->data[buf->len] = '\0';
    }
    PyBuffer_Release(&view);
    return r;
}

/* A moment is ISO 8601 text; one without a time zone is local, and is sent as such. */
static int encode_moment(PyObject *value, PyObject *isoformat, struct ak_buf *buf) {
    AK_PYREF zone = PyObject_GetAttrString(value, "tzinfo");
    AK_PYREF local = NULL;
    if (zone && Py_IsNone(zone))
        local = PyObject_CallMethod(value, "astimezone", NULL);
    Py_XDECREF(ak_fault_fetch());
    AK_PYREF text = local ? PyObject_CallMethod(local, "isoformat", NULL)
                          : PyObject_CallNoArgs(isoformat);
    if (!text)
        return -1;
    if (!PyUnicode_Check(text)) {
        PyErr_SetString(PyExc_TypeError, "isoformat() gave no text");
        return -1;
    }
    AK_PYREF stamp = PyObject_CallMethod(text, "replace", "ss", "+00:00", "Z");
    return stamp ? ak_json_encode_str(stamp, buf) : -1;
}

/* Item by item, so that an endless one can be interrupted. */
static int encode_iterator(PyObject *iterator, struct ak_buf *buf, int depth) {
    if (no_memory(ak_buf_add_char(buf, '[')) < 0)
        return -1;
    for (bool first = true;; first = false) {
        AK_PYREF item = PyIter_Next(iterator);
        if (!item)
            break;
        if ((!first && no_memory(ak_buf_add_str(buf, ", ")) < 0) ||
            encode(item, buf, depth) < 0 || PyErr_CheckSignals() < 0)
            return -1;
    }
    return PyErr_Occurred() ? -1 : no_memory(ak_buf_add_char(buf, ']'));
}

static int encode_number(PyObject *value, struct ak_buf *buf) {
    if (PyIndex_Check(value)) {
        AK_PYREF number = PyNumber_Index(value);
        return number ? encode_int(number, buf) : -1;
    }
    PyNumberMethods *methods = Py_TYPE(value)->tp_as_number;
    if (methods && methods->nb_float) {
        double number = PyFloat_AsDouble(value);
        return number == -1.0 && PyErr_Occurred() ? -1 : encode_float(number, buf);
    }
    PyErr_Format(PyExc_TypeError, "an object of type %.200s has no form in JSON",
                 Py_TYPE(value)->tp_name);
    return -1;
}

/* An attribute that may be missing. */
static PyObject *optional(PyObject *value, const char *name) {
    AK_PYREF found = PyObject_GetAttrString(value, name);
    Py_XDECREF(ak_fault_fetch());
    return Py_XNewRef(found);
}

/* What is none of JSON's own types, as clients know it from json_default of
 * jupyter_client: bytes, moments, mappings, whatever can be iterated over, numbers by
 * their protocols. */
static int encode_other(PyObject *value, struct ak_buf *buf, int depth) {
    if (PyObject_CheckBuffer(value) &&
        (PyBytes_Check(value) || PyByteArray_Check(value) || PyMemoryView_Check(value)))
        return ak_json_encode_base64(value, buf);
    AK_PYREF isoformat = optional(value, "isoformat");
    if (isoformat && PyCallable_Check(isoformat))
        return encode_moment(value, isoformat, buf);
    AK_PYREF iterator = Py_TYPE(value)->tp_iter ? PyObject_GetIter(value) : NULL;
    if (!iterator) {
        Py_XDECREF(ak_fault_fetch());
        return encode_number(value, buf);
    }
    AK_PYREF keys = optional(value, "keys");
    AK_PYREF items = keys ? optional(value, "items") : NULL;
    return items && PyCallable_Check(items) && PyMapping_Check(value)
               ? encode_dict(value, buf, depth)
               : encode_iterator(iterator, buf, depth);
}

static int encode(PyObject *value, struct ak_buf *buf, int depth) {
    if (depth >= AK_JSON_DEPTH_MAX) {
        PyErr_Format(PyExc_ValueError, "nested deeper than %d levels",
                     AK_JSON_DEPTH_MAX);
        return -1;
    }
    if (PyUnicode_Check(value))
        return ak_json_encode_str(value, buf);
    if (Py_IsNone(value))
        return no_memory(ak_buf_add_str(buf, "null"));
    if (PyBool_Check(value))
        return no_memory(ak_buf_add_str(buf, value == Py_True ? "true" : "false"));
    if (PyLong_Check(value))
        return encode_int(value, buf);
    if (PyFloat_Check(value))
        return encode_float(PyFloat_AS_DOUBLE(value), buf);
    if (Py_EnterRecursiveCall(" while encoding JSON"))
        return -1;
    int r = PyDict_Check(value) ? encode_dict(value, buf, depth + 1)
            : PyList_Check(value) || PyTuple_Check(value)
                ? encode_sequence(value, buf, depth + 1)
                : encode_other(value, buf, depth + 1);
    Py_LeaveRecursiveCall();
    return r;
}

int ak_json_encode(struct ak_state *state, PyObject *value, struct ak_buf *buf) {
    (void)state;
    size_t start = buf->len;
    if (encode(value, buf, 0) == 0)
        return 0;
    buf->len = start;
    if (buf->data)
        buf->data[start] = '\0';
    return -1;
}

static PyMethodDef convert_functions[] = {
    {"_json_constant", json_constant, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

int ak_convert_setup(struct ak_state *state, PyObject *module) {
    (void)state;
    return PyModule_AddFunctions(module, convert_functions);
}

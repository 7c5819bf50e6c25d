/* SPDX-License-Identifier: MIT */
/*
 * The exception barrier: the only file that knows how each Python version fetches and
 * restores an exception, and the one that turns an exception into data. How the lines
 * look is traceback.c's.
 */
#include "py/fault-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/murmur.h"
#include "py/convert-private.h"
#include "py/traceback-private.h"

/* Entries of the source table: beyond, the oldest cells show no source lines any more.
 */
#define SOURCES_MAX 16384

PyObject *ak_fault_fetch(void) {
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (!type)
        return NULL;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback && value)
        (void)PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

void ak_fault_restore(PyObject *exception) {
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exception);
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception,
                  PyException_GetTraceback(exception));
#endif
}

void ak_fault_clear_lines(struct ak_fault *fault) {
    for (size_t i = 0; i < fault->n_lines; i++)
        free(fault->lines[i]);
    fault->n_lines = 0;
}

void ak_fault_done(struct ak_fault *fault) {
    ak_fault_clear_lines(fault);
    free(fault->lines);
    free(fault->ename);
    free(fault->evalue);
    *fault = (struct ak_fault){0};
}

int ak_fault_add_json(const struct ak_fault *fault, struct ak_buf *buf) {
    const char *ename = fault->ename ? fault->ename : "Exception";
    const char *evalue = fault->evalue ? fault->evalue : "";
    int r = ak_buf_add_str(buf, "\"ename\": ");
    if (!r)
        r = ak_buf_add_json_string(buf, ename, strlen(ename));
    if (!r)
        r = ak_buf_add_str(buf, ", \"evalue\": ");
    if (!r)
        r = ak_buf_add_json_string(buf, evalue, strlen(evalue));
    if (!r)
        r = ak_buf_add_str(buf, ", \"traceback\": [");
    for (size_t i = 0; i < fault->n_lines && !r; i++) {
        if (i)
            r = ak_buf_add_str(buf, ", ");
        if (!r)
            r = ak_buf_add_json_string(buf, fault->lines[i], strlen(fault->lines[i]));
    }
    if (!r)
        r = ak_buf_add_char(buf, ']');
    return r ? ak_error_trace(r) : 0;
}

void ak_fault_add_line(struct ak_fault *fault, const char *line) {
    char **lines = realloc(fault->lines, (fault->n_lines + 1) * sizeof(*lines));
    if (!lines)
        return;
    fault->lines = lines;
    char *copy = strdup(line);
    if (copy)
        fault->lines[fault->n_lines++] = copy;
}

/* Splits the text of a traceback into the lines of the fault. */
static void split_lines(struct ak_fault *fault, struct ak_buf *text) {
    char *line = text->data;
    while (line && *line) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        ak_fault_add_line(fault, line);
        line = end ? end + 1 : NULL;
    }
}

void ak_fault_describe(struct ak_state *state, PyObject *exception,
                       struct ak_fault *ret_fault) {
    AK_BUF_AUTO text = {0};
    AK_BUF_AUTO evalue = {0};
    PyObject *type = (PyObject *)Py_TYPE(exception); /* borrowed */
    *ret_fault = (struct ak_fault){0};
    ak_traceback_type_name(type, &evalue);
    ret_fault->ename = ak_buf_take(&evalue);
    ak_traceback_message(exception, &evalue);
    ret_fault->evalue = ak_buf_take(&evalue);
    ak_traceback_write(state, exception, &text);
    split_lines(ret_fault, &text);
    Py_XDECREF(ak_fault_fetch());
}

void ak_fault_take(struct ak_state *state, struct ak_fault *ret_fault) {
    AK_PYREF exception = ak_fault_fetch();
    if (!exception) {
        *ret_fault = (struct ak_fault){.ename = strdup("SystemError"),
                                       .evalue = strdup("an error without exception")};
        return;
    }
    ak_fault_describe(state, exception, ret_fault);
}

/* --- sources -----------------------------------------------------------------------
 */

static int forget_oldest(PyObject *sources, PyObject *cache) {
    Py_ssize_t position = 0;
    PyObject *name, *ignored; /* borrowed */
    if (!PyDict_Next(sources, &position, &name, &ignored))
        return 0;
    AK_PYREF key = Py_NewRef(name);
    if (PyDict_DelItem(sources, key) < 0)
        return -1;
    int has = PyDict_Contains(cache, key);
    return has <= 0 ? has : PyDict_DelItem(cache, key);
}

/* A name of its own for each source, so that a traceback knows the execution; once a
 * debugger is there the name by which front ends know the cell. */
static PyObject *name_source(struct ak_state *state, PyObject *source) {
    Py_ssize_t len = 0;
    const char *text =
        state->names_by_hash ? PyUnicode_AsUTF8AndSize(source, &len) : NULL;
    if (text)
        return PyUnicode_FromFormat(
            "/tmp/akernel_%d/%lu.py", (int)getpid(),
            (unsigned long)ak_murmur2(text, (size_t)len, AK_MURMUR_CELL_SEED));
    Py_XDECREF(ak_fault_fetch()); /* a lone surrogate: no front end sends it */
    return PyUnicode_FromFormat("/tmp/akernel_%d/%lu.py", (int)getpid(),
                                ++state->n_sources);
}

PyObject *ak_fault_register_source(struct ak_state *state, PyObject *source,
                                   long execution_count) {
    if (!state->sources)
        state->sources = PyDict_New();
    AK_PYREF linecache = state->sources ? PyImport_ImportModule("linecache") : NULL;
    AK_PYREF cache = linecache ? PyObject_GetAttrString(linecache, "cache") : NULL;
    AK_PYREF lines = cache ? PyObject_CallMethod(source, "splitlines", "i", 1) : NULL;
    if (!lines || !PyDict_Check(cache))
        return NULL;
    AK_PYREF name = name_source(state, source);
    /* No time of modification: linecache.checkcache leaves such an entry alone. */
    AK_PYREF entry = name ? Py_BuildValue("(nOOO)", PyUnicode_GET_LENGTH(source),
                                          Py_None, lines, name)
                          : NULL;
    if (!entry || PyDict_SetItem(cache, name, entry) < 0 ||
        ak_fault_name_source(state, name, execution_count) < 0)
        return NULL;
    if (PyDict_Size(state->sources) > SOURCES_MAX &&
        forget_oldest(state->sources, cache) < 0)
        return NULL;
    return Py_NewRef(name);
}

int ak_fault_name_source(struct ak_state *state, PyObject *filename,
                         long execution_count) {
    AK_PYREF count = PyLong_FromLong(execution_count);
    return count ? PyDict_SetItem(state->sources, filename, count) : -1;
}

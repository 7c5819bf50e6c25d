/* SPDX-License-Identifier: MIT */
/*
 * How a cell ends: the content of its execute_reply and what iopub hears of it
 * (messaging spec, "Execution results" and "Execution errors"). Both ends are total:
 * whatever goes wrong while describing an outcome becomes part of the description.
 */
#include "py/cell-private.h"

#include <stdlib.h>
#include <string.h>

#include "py/bundle-private.h"
#include "py/convert-private.h"
#include "py/shell-private.h"

/* One user expression: {"status": "ok", "data", "metadata"} or the error. */
static int add_expression(struct ak_cell *cell, PyObject *source) {
    struct ak_state *state = cell->space->state;
    PyObject *names = cell->space->names;
    AK_BUF_AUTO data = {0};
    AK_BUF_AUTO metadata = {0};
    AK_PYREF value = NULL;
    if (PyUnicode_Check(source)) {
        AK_PYREF builtins = PyImport_ImportModule("builtins");
        value = builtins ? PyObject_CallMethod(builtins, "eval", "OO", source, names)
                         : NULL;
    } else {
        PyErr_SetString(PyExc_TypeError, "a user expression must be a string");
    }
    int r;
    if (value && ak_bundle_make(state, value, NULL, NULL, &data, &metadata) == 0) {
        r = ak_buf_addf(&cell->reply,
                        "{\"status\": \"ok\", \"data\": %s, \"metadata\": %s}",
                        data.len ? ak_buf_str(&data) : "{}",
                        metadata.len ? ak_buf_str(&metadata) : "{}");
        return r;
    }
    struct ak_fault fault = {0};
    ak_fault_take(state, &fault);
    r = ak_buf_add_str(&cell->reply, "{\"status\": \"error\", ");
    if (!r)
        r = ak_fault_add_json(&fault, &cell->reply);
    if (!r)
        r = ak_buf_add_char(&cell->reply, '}');
    ak_fault_done(&fault);
    return r;
}

static int add_expressions(struct ak_cell *cell) {
    int r = ak_buf_add_char(&cell->reply, '{');
    if (cell->expressions && PyDict_Check(cell->expressions)) {
        AK_PYREF items = PyDict_Items(cell->expressions);
        Py_ssize_t n = items ? PyList_GET_SIZE(items) : 0;
        for (Py_ssize_t i = 0; i < n && !r; i++) {
            PyObject *item = PyList_GET_ITEM(items, i); /* borrowed */
            if (i)
                r = ak_buf_add_str(&cell->reply, ", ");
            if (!r && ak_json_encode_str(PyTuple_GET_ITEM(item, 0), &cell->reply) < 0)
                r = -1;
            if (!r)
                r = ak_buf_add_str(&cell->reply, ": ");
            if (!r)
                r = add_expression(cell, PyTuple_GET_ITEM(item, 1));
        }
    }
    return r ? r : ak_buf_add_char(&cell->reply, '}');
}

/* The members that every execute_reply has. */
static int add_common(struct ak_cell *cell, bool with_expressions) {
    int r = ak_buf_addf(&cell->reply,
                        ", \"execution_count\": %ld, "
                        "\"user_expressions\": ",
                        cell->request->execution_count);
    if (!r)
        r = with_expressions ? add_expressions(cell)
                             : ak_buf_add_str(&cell->reply, "{}");
    if (!r)
        r = ak_buf_add_str(&cell->reply, ", \"payload\": ");
    if (!r)
        r = ak_shell_add_payload(cell, &cell->reply);
    return r ? r : ak_buf_add_char(&cell->reply, '}');
}

static void add_metadata(struct ak_cell *cell, const char *status) {
    int r = ak_buf_addf(&cell->metadata,
                        "{\"started\": \"%s\", \"dependencies_met\": true, "
                        "\"status\": \"%s\"",
                        cell->stamp, status);
    if (!r && cell->cache_metadata.len)
        r = ak_buf_addf(&cell->metadata, ", \"cache\": %s",
                        ak_buf_str(&cell->cache_metadata));
    if (!r)
        r = ak_buf_add_char(&cell->metadata, '}');
    if (r)
        ak_buf_clear(&cell->metadata);
}

/* A reply that could not be built for want of memory still has to be one. */
static void settle(struct ak_cell *cell, int r) {
    Py_XDECREF(ak_fault_fetch());
    if (!r)
        return;
    ak_buf_clear(&cell->reply);
    cell->failed = true;
    (void)ak_buf_add_str(
        &cell->reply, "{\"status\": \"error\", \"ename\": \"MemoryError\", "
                      "\"evalue\": \"\", \"traceback\": [], \"execution_count\": 0}");
}

void ak_outcome_succeed(struct ak_cell *cell) {
    int r = ak_buf_add_str(&cell->reply, "{\"status\": \"ok\"");
    if (!r)
        r = add_common(cell, true);
    add_metadata(cell, "ok");
    settle(cell, r);
}

/* An interrupt cancels what awaits; to the user both forms of it are one thing. */
static PyObject *as_interrupt(PyObject *cancelled) {
    AK_PYREF interrupt = PyObject_CallNoArgs(PyExc_KeyboardInterrupt);
    AK_PYREF traceback = PyException_GetTraceback(cancelled);
    if (!interrupt ||
        (traceback && PyException_SetTraceback(interrupt, traceback) < 0)) {
        Py_XDECREF(ak_fault_fetch());
        return Py_NewRef(cancelled);
    }
    return Py_NewRef(interrupt);
}

static bool is_cancellation(PyObject *exception) {
    AK_PYREF asyncio = PyImport_ImportModule("asyncio.exceptions");
    AK_PYREF type = asyncio ? PyObject_GetAttrString(asyncio, "CancelledError") : NULL;
    bool is = type && PyErr_GivenExceptionMatches(exception, type);
    Py_XDECREF(ak_fault_fetch());
    return is;
}

/* For %debug, pdb.pm() and their kin, as an interactive Python does. */
static void remember(PyObject *exception) {
    AK_PYREF traceback = PyException_GetTraceback(exception);
    PyObject *none = Py_None; /* borrowed */
    if (PySys_SetObject("last_type", (PyObject *)Py_TYPE(exception)) < 0 ||
        PySys_SetObject("last_value", exception) < 0 ||
        PySys_SetObject("last_exc", exception) < 0 ||
        PySys_SetObject("last_traceback", traceback ? traceback : none) < 0)
        Py_XDECREF(ak_fault_fetch());
}

static const char exit_hint[] =
    "SystemExit ends a cell, not the kernel. To end the kernel use exit() or quit().";

/* The name that a NameError is about when nobody has it: new reference, or NULL. */
static PyObject *missing_name(struct ak_cell *cell, PyObject *exception) {
    if (!cell->reactive || !Py_IS_TYPE(exception, (PyTypeObject *)PyExc_NameError))
        return NULL;
    AK_PYREF name = PyObject_GetAttrString(exception, "name");
    int known =
        name && PyUnicode_Check(name) ? PyDict_Contains(cell->space->names, name) : 1;
    PyObject *builtins = PyEval_GetBuiltins(); /* borrowed */
    if (!known && builtins)
        known = PyDict_Contains(builtins, name);
    if (PyErr_Occurred())
        Py_XDECREF(ak_fault_fetch());
    return known ? NULL : Py_NewRef(name);
}

/* A name that nobody has yet: the cell waits for it, and its reply says no more. */
static bool wait_for_name(struct ak_cell *cell, PyObject *exception) {
    AK_PYREF name = missing_name(cell, exception);
    const char *text = name ? PyUnicode_AsUTF8(name) : NULL;
    cell->missing = text ? strdup(text) : NULL;
    if (PyErr_Occurred())
        Py_XDECREF(ak_fault_fetch());
    if (!cell->missing)
        return false;
    int r = ak_buf_add_str(&cell->reply, "{\"status\": \"ok\"");
    if (!r)
        r = add_common(cell, false);
    add_metadata(cell, "ok");
    settle(cell, r);
    return true;
}

void ak_cell_reply_interrupt(struct ak_cell *cell) {
    ak_buf_clear(&cell->reply);
    ak_buf_clear(&cell->metadata);
    cell->failed = true;
    int r = ak_buf_add_str(&cell->reply, "{\"status\": \"error\", \"ename\": "
                                         "\"KeyboardInterrupt\", \"evalue\": \"\", "
                                         "\"traceback\": [\"KeyboardInterrupt\"]");
    if (!r)
        r = add_common(cell, false);
    add_metadata(cell, "error");
    settle(cell, r);
}

/* Says on iopub what the cell raised. members are those of the error. */
static int tell(struct ak_cell *cell, const struct ak_fault *fault, bool silent,
                struct ak_buf *members) {
    cell->failed = true;
    free(cell->ename);
    cell->ename = fault->ename ? strdup(fault->ename) : NULL;
    int r = ak_fault_add_json(fault, members);
    if (!r && !silent && !ak_late_route_error(cell->request, fault)) {
        AK_BUF_AUTO content = {0};
        if (ak_buf_addf(&content, "{%s}", ak_buf_str(members)) == 0)
            (void)ak_host_publish_json(cell->space->state, AK_OUTPUT_ERROR,
                                       cell->request->id, &content);
        Py_XDECREF(ak_fault_fetch());
    }
    return r;
}

static void reply_error(struct ak_cell *cell, int r, const struct ak_buf *members) {
    if (!r)
        r = ak_buf_addf(&cell->reply, "{\"status\": \"error\", %s",
                        ak_buf_str(members));
    if (!r)
        r = add_common(cell, false);
    add_metadata(cell, "error");
    settle(cell, r);
}

void ak_outcome_refuse(struct ak_cell *cell, const char *ename, const char *evalue) {
    struct ak_fault fault = {.ename = strdup(ename), .evalue = strdup(evalue)};
    AK_BUF_AUTO line = {0};
    AK_BUF_AUTO members = {0};
    if (ak_buf_addf(&line, "\x1b[31m%s\x1b[39m: %s", ename, evalue) == 0)
        ak_fault_add_line(&fault, ak_buf_str(&line));
    int r = tell(cell, &fault, false, &members);
    ak_fault_done(&fault);
    reply_error(cell, r, &members);
}

static void end_for_shell(struct ak_cell *cell, PyObject *exception) {
    if (ak_shell_end(cell, exception) < 0)
        Py_XDECREF(ak_fault_fetch());
}
static const char everyone_hint[] =
    "This interrupt was for the whole kernel: it stopped the cells of every session. "
    "akernel.interrupt(name) stops those of one.";

void ak_outcome_fail(struct ak_cell *cell) {
    struct ak_state *state = cell->space->state;
    AK_PYREF raised = ak_fault_fetch();
    AK_PYREF exception = cell->interrupted && is_cancellation(raised)
                             ? as_interrupt(raised)
                             : Py_NewRef(raised);
    if (cell->abandoned || wait_for_name(cell, exception)) {
        end_for_shell(cell, exception);
        return;
    }
    cell->by_interrupt =
        PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt);
    struct ak_fault fault = {0};
    ak_fault_describe(state, exception, &fault);
    enum ak_shell_words words = ak_shell_describe(state, exception, &fault);
    if (PyErr_GivenExceptionMatches(exception, PyExc_SystemExit))
        ak_fault_add_line(&fault, exit_hint);
    if (cell->request->everyone &&
        PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt))
        ak_fault_add_line(&fault, everyone_hint);
    AK_BUF_AUTO members = {0};
    int r = tell(cell, &fault, words == AK_SHELL_SILENT, &members);
    ak_fault_done(&fault);
    remember(exception);
    ak_shell_post_mortem(state, exception);
    end_for_shell(cell, exception);
    reply_error(cell, r, &members);
}

void ak_outcome_abort(struct ak_cell *cell) {
    int r = ak_buf_addf(&cell->reply,
                        "{\"status\": \"aborted\", \"execution_count\": %ld, "
                        "\"user_expressions\": {}, \"payload\": []}",
                        cell->request->execution_count);
    ak_clock_stamp(cell->stamp);
    add_metadata(cell, "aborted");
    settle(cell, r);
}

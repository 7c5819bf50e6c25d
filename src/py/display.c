/* SPDX-License-Identifier: MIT */
/*
 * Publications that user code asks for. What a display function takes and means is
 * plain Python (pylib, akernel/_display.py); here is the one way out for it, and the
 * result of a cell, which has no Python on its path.
 */
#include "py/display-private.h"

#include <stdlib.h>

#include "py/bundle-private.h"
#include "py/cell-private.h"
#include "py/convert-private.h"

void ak_display_keep_text(struct ak_state *state, PyObject *data) {
    struct ak_request *request = ak_request_current(state);
    struct ak_space *space = ak_space_current(state);
    AK_PYREF key = PyUnicode_InternFromString("text/plain");
    PyObject *text = key ? PyDict_GetItemWithError(data, key) : NULL; /* borrowed */
    Py_ssize_t len;
    const char *utf8 =
        text && PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, &len) : NULL;
    ak_list_for_each(node, next, &space->cells) {
        struct ak_cell *cell = ak_list_entry(node, struct ak_cell, link);
        if (utf8 && cell->request == request) {
            ak_buf_clear(&cell->result_text);
            (void)ak_buf_add(&cell->result_text, utf8, (size_t)len);
        }
    }
    Py_XDECREF(ak_fault_fetch());
}

static int no_memory(int r) {
    if (r)
        PyErr_NoMemory();
    return r ? -1 : 0;
}

/* A result that may change later is a display with an id: front ends cannot change an
 * execute_result. */
static int show_in_slot(struct ak_state *state, PyObject *data, PyObject *metadata) {
    AK_PYREF dict = Py_BuildValue("{s:O,s:O,s:{}}", "data", data, "metadata", metadata,
                                  "transient");
    int caught = dict ? ak_late_route(state, AK_OUTPUT_DISPLAY_DATA, dict) : -1;
    AK_BUF_AUTO content = {0};
    if (caught)
        return caught < 0 ? -1 : 0;
    if (ak_json_encode(state, dict, &content) < 0)
        return -1;
    return ak_host_publish_json(state, AK_OUTPUT_DISPLAY_DATA,
                                ak_request_output_id(state), &content);
}

int ak_display_result(struct ak_state *state, PyObject *value, long execution_count) {
    int itself = ak_bundle_display_itself(state, value);
    if (itself)
        return itself < 0 ? -1 : 0;
    AK_PYREF data = NULL;
    AK_PYREF metadata = NULL;
    if (ak_bundle_new(state, value, NULL, NULL, &data, &metadata) < 0)
        return -1;
    if (PyDict_GET_SIZE(data) == 0)
        return 0; /* every form of it failed, and that was reported */
    ak_display_keep_text(state, data);
    struct ak_request *request = ak_request_output(state); /* borrowed */
    if (request && (request->slots || request->caught))
        return show_in_slot(state, data, metadata);
    if (request)
        request->spoke = true;
    AK_BUF_AUTO content = {0};
    if (no_memory(ak_buf_addf(
            &content, "{\"execution_count\": %ld, \"data\": ", execution_count)) < 0 ||
        ak_bundle_encode(state, data, &content) < 0 ||
        no_memory(ak_buf_add_str(&content, ", \"metadata\": ")) < 0 ||
        ak_bundle_encode(state, metadata, &content) < 0 ||
        no_memory(ak_buf_add_char(&content, '}')) < 0)
        return -1;
    return ak_host_publish_json(state, AK_OUTPUT_EXECUTE_RESULT,
                                ak_request_output_id(state), &content);
}

struct outgoing {
    struct ak_buf content;
    struct ak_buf metadata;
    Py_buffer *views;
    struct ak_bytes *buffers;
    size_t n_buffers;
};

static void outgoing_done(struct outgoing *outgoing) {
    for (size_t i = 0; i < outgoing->n_buffers; i++)
        PyBuffer_Release(&outgoing->views[i]);
    free(outgoing->views);
    free(outgoing->buffers);
    ak_buf_done(&outgoing->content);
    ak_buf_done(&outgoing->metadata);
}

static int take_buffers(struct outgoing *outgoing, PyObject *buffers) {
    AK_PYREF list = Py_IsNone(buffers) ? PyList_New(0) : PySequence_List(buffers);
    if (!list)
        return -1;
    size_t n = (size_t)PyList_GET_SIZE(list);
    outgoing->views = calloc(n + 1, sizeof(*outgoing->views));
    outgoing->buffers = calloc(n + 1, sizeof(*outgoing->buffers));
    if (!outgoing->views || !outgoing->buffers)
        return no_memory(-1);
    for (size_t i = 0; i < n; i++) {
        Py_buffer *view = &outgoing->views[i];
        PyObject *item = PyList_GET_ITEM(list, (Py_ssize_t)i); /* borrowed */
        if (PyObject_GetBuffer(item, view, PyBUF_CONTIG_RO) < 0)
            return -1;
        outgoing->n_buffers++;
        outgoing->buffers[i] = ak_bytes(view->buf, (size_t)view->len);
    }
    return 0;
}

/* _publish(output, content, metadata=None, buffers=None): one publication of the
 * running request; output is an index into the order of ak_output. */
static PyObject *py_publish(PyObject *module, PyObject *args) {
    struct ak_state *state = ak_state_of_module(module);
    int output;
    PyObject *content, *metadata = Py_None, *buffers = Py_None; /* borrowed */
    if (!PyArg_ParseTuple(args, "iO|OO:_publish", &output, &content, &metadata,
                          &buffers))
        return NULL;
    if (output < 0 || output > AK_OUTPUT_COMM_CLOSE)
        return PyErr_Format(PyExc_ValueError, "there is no output %d", output);
    int caught = ak_late_route(state, (enum ak_output)output, content);
    if (caught < 0)
        return NULL;
    if (caught)
        Py_RETURN_NONE;
    AK_CLEANUP(outgoing_done) struct outgoing outgoing = {0};
    if (ak_json_encode(state, content, &outgoing.content) < 0 ||
        (!Py_IsNone(metadata) &&
         ak_json_encode(state, metadata, &outgoing.metadata) < 0) ||
        take_buffers(&outgoing, buffers) < 0)
        return NULL;
    struct ak_publication publication = {
        .output = (enum ak_output)output,
        .request = ak_request_output_id(state),
        .content = ak_bytes(ak_buf_str(&outgoing.content), outgoing.content.len),
        .metadata = outgoing.metadata.len
                        ? ak_bytes(outgoing.metadata.data, outgoing.metadata.len)
                        : ak_bytes("{}", 2),
        .buffers = outgoing.buffers,
        .n_buffers = outgoing.n_buffers,
    };
    if (ak_host_publish(state, &publication) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* _show_again(options): what cells have shown, shown again in the running cell. */
static PyObject *py_show_again(PyObject *module, PyObject *options) {
    struct ak_state *state = ak_state_of_module(module);
    AK_BUF_AUTO text = {0};
    if (ak_json_encode(state, options, &text) < 0 ||
        ak_host_show_again(state, ak_request_output_id(state), &text) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef display_functions[] = {
    {"_show_again", py_show_again, METH_O, NULL},
    {"_publish", py_publish, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int ak_display_setup(struct ak_state *state, PyObject *module) {
    const struct {
        const char *name;
        enum ak_output output;
    } outputs[] = {
        {"_EXECUTE_RESULT", AK_OUTPUT_EXECUTE_RESULT},
        {"_DISPLAY_DATA", AK_OUTPUT_DISPLAY_DATA},
        {"_UPDATE_DISPLAY_DATA", AK_OUTPUT_UPDATE_DISPLAY_DATA},
        {"_CLEAR_OUTPUT", AK_OUTPUT_CLEAR_OUTPUT},
        {"_COMM_OPEN", AK_OUTPUT_COMM_OPEN},
        {"_COMM_MSG", AK_OUTPUT_COMM_MSG},
        {"_COMM_CLOSE", AK_OUTPUT_COMM_CLOSE},
    };
    for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
        if (PyModule_AddIntConstant(module, outputs[i].name, outputs[i].output) < 0)
            return -1;
    }
    if (ak_bundle_setup(state, module) < 0)
        return -1;
    return PyModule_AddFunctions(module, display_functions);
}

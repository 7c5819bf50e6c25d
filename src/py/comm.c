/* SPDX-License-Identifier: MIT */
#include "py/comm.h"

#include <errno.h>

#include "base/error.h"
#include "py/convert-private.h"
#include "py/fault-private.h"
#include "py/report-private.h"
#include "py/space-private.h"

static void report(struct ak_state *state) {
    AK_PYREF exception = ak_fault_fetch();
    if (exception)
        ak_report_failure(state, NULL, NULL, exception);
}

static PyObject *buffer_list(const struct ak_comm_message *message) {
    AK_PYREF list = PyList_New(0);
    for (size_t i = 0; list && i < message->n_buffers; i++) {
        AK_PYREF bytes = PyBytes_FromStringAndSize(message->buffers[i].data,
                                                   (Py_ssize_t)message->buffers[i].len);
        AK_PYREF view = bytes ? PyMemoryView_FromObject(bytes) : NULL;
        if (!view || PyList_Append(list, view) < 0)
            return NULL;
    }
    return Py_XNewRef(list);
}

/* The message as the comm package knows it. */
static PyObject *message_dict(struct ak_state *state,
                              const struct ak_comm_message *message,
                              PyObject *content) {
    AK_PYREF header = ak_json_decode(state, message->header.data, message->header.len);
    AK_PYREF metadata =
        header ? ak_json_decode(state, message->metadata.data, message->metadata.len)
               : NULL;
    AK_PYREF buffers = metadata ? buffer_list(message) : NULL;
    if (!buffers)
        return NULL;
    return Py_BuildValue("{s:O,s:{},s:O,s:O,s:O}", "header", header, "parent_header",
                         "metadata", metadata, "content", content, "buffers", buffers);
}

/* A comm that nobody here knows is closed at the front end too. */
static int refuse(struct ak_state *state, PyObject *content) {
    AK_PYREF id = PyObject_CallMethod(content, "get", "ss", "comm_id", "");
    AK_BUF_AUTO text = {0};
    if (!id || ak_buf_add_str(&text, "{\"comm_id\": ") ||
        ak_json_encode(state, id, &text) < 0 ||
        ak_buf_add_str(&text, ", \"data\": {}}"))
        return -1;
    return ak_host_publish_json(state, AK_OUTPUT_COMM_CLOSE,
                                ak_request_output_id(state), &text);
}

static int handle(struct ak_space *space, const struct ak_comm_message *message) {
    struct ak_state *state = space->state;
    static const char *const verbs[] = {"comm_open", "comm_msg", "comm_close"};
    AK_PYREF content =
        ak_json_decode(state, message->content.data, message->content.len);
    if (!content)
        return -1;
    if (!PyDict_Check(content)) {
        PyErr_SetString(PyExc_TypeError, "the content of a comm message is an object");
        return -1;
    }
    PyObject *comms = ak_space_comms(space); /* borrowed */
    if (!comms && PyErr_Occurred())
        return -1;
    if (!comms)
        return message->verb == AK_COMM_OPEN ? refuse(state, content) : 0;
    AK_PYREF dict = message_dict(state, message, content);
    AK_PYREF module = dict ? PyImport_ImportModule("akernel._comm") : NULL;
    AK_PYREF done = module ? PyObject_CallMethod(module, "dispatch", "OsO", comms,
                                                 verbs[message->verb], dict)
                           : NULL;
    return done ? 0 : -1;
}

int ak_comm_handle(struct ak_space *space, const struct ak_comm_message *message) {
    if (handle(space, message) < 0)
        report(space->state);
    return 0;
}

static PyObject *info(struct ak_space *space, struct ak_bytes text) {
    struct ak_state *state = space->state;
    PyObject *manager = ak_space_comms(space); /* borrowed */
    if (!manager && PyErr_Occurred())
        return NULL;
    AK_PYREF content = ak_json_decode(state, text.data, text.len);
    if (!content)
        return NULL;
    if (!manager || !PyDict_Check(content))
        return PyDict_New();
    AK_PYREF target = PyObject_CallMethod(content, "get", "s", "target_name");
    AK_PYREF module = target ? PyImport_ImportModule("akernel._comm") : NULL;
    return module ? PyObject_CallMethod(module, "info", "OO", manager, target) : NULL;
}

int ak_comm_info(struct ak_space *space, struct ak_bytes content,
                 struct ak_buf *ret_content) {
    struct ak_state *state = space->state;
    AK_PYREF comms = info(space, content);
    int r = ak_buf_add_str(ret_content, "{\"status\": \"ok\", \"comms\": ");
    if (r)
        return ak_error_trace(r);
    if (!comms || ak_json_encode(state, comms, ret_content) < 0) {
        report(state);
        r = ak_buf_add_str(ret_content, "{}");
    }
    return r ? ak_error_trace(r) : ak_buf_add_char(ret_content, '}');
}

PyObject *ak_space_comms(struct ak_space *space) {
    if (!space->comms && space->state->comm_factory)
        space->comms = PyObject_CallNoArgs(space->state->comm_factory);
    return space->comms;
}

/* _set_comm_factory(f): f() makes the comm manager of a world. */
static PyObject *set_factory(PyObject *module, PyObject *factory) {
    Py_XSETREF(ak_state_of_module(module)->comm_factory, Py_NewRef(factory));
    Py_RETURN_NONE;
}

/* _comm_manager(): that of the running code's world. */
static PyObject *manager(PyObject *module, PyObject *ignored) {
    struct ak_space *space = ak_space_current(ak_state_of_module(module));
    PyObject *found = space ? ak_space_comms(space) : NULL; /* borrowed */
    if (!found && PyErr_Occurred())
        return NULL;
    return Py_NewRef(found ? found : Py_None);
}

/* _request(): whose output is written now, to be kept by a comm; or None. */
static PyObject *get_request(PyObject *module, PyObject *ignored) {
    struct ak_request *request = ak_request_output(ak_state_of_module(module));
    return request ? Py_NewRef((PyObject *)request) : Py_NewRef(Py_None);
}

/* _header(): the header of that request, as the bytes it came as; or None. */
static PyObject *get_header(PyObject *module, PyObject *ignored) {
    struct ak_request *request = ak_request_output(ak_state_of_module(module));
    return Py_NewRef(request ? request->header : Py_None);
}

/* _hand_over(request): the message that is handled now leaves its late output to it. */
static PyObject *hand_over(PyObject *module, PyObject *heir) {
    struct ak_state *state = ak_state_of_module(module);
    if (Py_TYPE(heir) != state->request_type)
        return PyErr_Format(PyExc_TypeError, "a request is needed, not %R", heir);
    ak_request_hand_over(state, (struct ak_request *)heir);
    Py_RETURN_NONE;
}

static PyMethodDef comm_functions[] = {
    {"_request", get_request, METH_NOARGS, NULL},
    {"_header", get_header, METH_NOARGS, NULL},
    {"_hand_over", hand_over, METH_O, NULL},
    {"_set_comm_factory", set_factory, METH_O, NULL},
    {"_comm_manager", manager, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int ak_comm_setup(struct ak_state *state, PyObject *module) {
    (void)state;
    return PyModule_AddFunctions(module, comm_functions);
}

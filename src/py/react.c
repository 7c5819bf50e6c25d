/* SPDX-License-Identifier: MIT */
#include "py/react.h"

#include "py/convert-private.h"
#include "py/fault-private.h"
#include "py/report-private.h"
#include "py/space-private.h"

/* _react(verb, argument): what the graph of the running world answers. */
static PyObject *py_react(PyObject *module, PyObject *args) {
    struct ak_state *state = ak_state_of_module(module);
    const char *verb, *argument = "";
    if (!PyArg_ParseTuple(args, "s|s:_react", &verb, &argument))
        return NULL;
    struct ak_request *request = ak_request_current(state); /* borrowed */
    AK_BUF_AUTO json = {0};
    int r = state->forked || !state->ops->react
                ? AK_HOST_E_GONE
                : state->ops->react(state->host, ak_space_current(state), verb,
                                    argument, request ? request->id : 0, &json);
    if (r == AK_HOST_E_GONE) {
        PyErr_SetString(PyExc_RuntimeError,
                        "this kernel is not reactive: install and choose one with "
                        "\"akernel install react\"");
        return NULL;
    }
    if (r)
        return PyErr_NoMemory();
    return ak_json_decode(state, ak_buf_str(&json), json.len);
}

static PyMethodDef react_functions[] = {
    {"_react", py_react, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int ak_react_setup(struct ak_state *state, PyObject *module) {
    (void)state;
    return PyModule_AddFunctions(module, react_functions);
}

bool ak_react_observes(struct ak_space *space) {
    (void)space;
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    AK_PYREF name = PyUnicode_InternFromString("ipywidgets");
    int has = name ? PyDict_Contains(modules, name) : 0;
    return has == 1;
}

void ak_react_observe(struct ak_space *space, const char *name) {
    AK_PYREF key = PyUnicode_FromString(name);
    AK_PYREF value =
        key ? Py_XNewRef(PyDict_GetItemWithError(space->names, key)) : NULL;
    AK_PYREF module = value ? PyImport_ImportModule("akernel.react") : NULL;
    AK_PYREF done = module ? PyObject_CallMethod(module, "_observe", "O", value) : NULL;
    if (value && !done) {
        AK_PYREF exception = ak_fault_fetch();
        ak_report_failure(space->state, NULL, NULL, exception);
    }
    if (PyErr_Occurred())
        Py_XDECREF(ak_fault_fetch());
}

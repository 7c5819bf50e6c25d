/* SPDX-License-Identifier: MIT */
/*
 * The built-in module _akernel. It exists so that the C side's types and objects have
 * one owner with a traverse and a clear: everything hangs from its state. It is created
 * by the runtime and put into sys.modules by hand, which works the same in an
 * interpreter that we started and in one that loaded us as an extension.
 */
#include "py/module-private.h"

#include <stdlib.h>
#include <string.h>

#include "py/shell-private.h"

static int ak_module_traverse(PyObject *module, visitproc visit, void *arg) {
    struct ak_state *state = ak_state_of_module(module);
    Py_VISIT(state->request_type);
    Py_VISIT(state->cell_type);
    Py_VISIT(state->callback_type);
    Py_VISIT(state->stream_type);
    Py_VISIT(state->buffer_type);
    Py_VISIT(state->display_handle_type);
    Py_VISIT(state->request_var);
    Py_VISIT(state->newest);
    Py_VISIT(state->loop);
    Py_VISIT(state->task_type);
    Py_VISIT(state->stdin_error);
    Py_VISIT(state->streams[0]);
    Py_VISIT(state->streams[1]);
    Py_VISIT(state->sources);
    Py_VISIT(state->memory_type);
    Py_VISIT(state->pickler);
    Py_VISIT(state->unpickler);
    Py_VISIT(state->json_scanner);
    Py_VISIT(state->comm_factory);
    Py_VISIT(state->main);
    Py_VISIT(state->home_main);
    Py_VISIT(state->shell);
    return 0;
}

static int ak_module_clear(PyObject *module) {
    struct ak_state *state = ak_state_of_module(module);
    Py_CLEAR(state->newest);
    Py_CLEAR(state->loop);
    Py_CLEAR(state->task_type);
    Py_CLEAR(state->stdin_error);
    Py_CLEAR(state->str_loop);
    Py_CLEAR(state->str_request);
    Py_CLEAR(state->str_task);
    Py_CLEAR(state->str_future);
    Py_CLEAR(state->str_exception);
    Py_CLEAR(state->str_message);
    Py_CLEAR(state->streams[0]);
    Py_CLEAR(state->streams[1]);
    Py_CLEAR(state->sources);
    Py_CLEAR(state->pickler);
    Py_CLEAR(state->unpickler);
    Py_CLEAR(state->json_scanner);
    Py_CLEAR(state->comm_factory);
    Py_CLEAR(state->main);
    Py_CLEAR(state->home_main);
    Py_CLEAR(state->shell);
    Py_CLEAR(state->request_var);
    Py_CLEAR(state->request_type);
    Py_CLEAR(state->cell_type);
    Py_CLEAR(state->callback_type);
    Py_CLEAR(state->stream_type);
    Py_CLEAR(state->buffer_type);
    Py_CLEAR(state->display_handle_type);
    Py_CLEAR(state->memory_type);
    return 0;
}

static void ak_module_free(void *module) {
    struct ak_state *state = ak_state_of_module(module);
    ak_module_clear(module);
    free(state->cwd);
    free(state->home);
}

static struct PyModuleDef ak_module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_akernel",
    .m_doc = "The native side of akernel.",
    .m_size = sizeof(struct ak_state),
    .m_traverse = ak_module_traverse,
    .m_clear = ak_module_clear,
    .m_free = ak_module_free,
};

struct ak_state *ak_state_of_module(PyObject *module) {
    return PyModule_GetState(module);
}

struct ak_state *ak_state_of_type(PyTypeObject *defining_class) {
    return PyType_GetModuleState(defining_class);
}

PyObject *ak_module_new(const struct ak_host_ops *ops, void *host) {
    AK_PYREF module = PyModule_Create(&ak_module_def);
    if (!module)
        return NULL;
    struct ak_state *state = ak_state_of_module(module);
    memset(state, 0, sizeof(*state));
    state->ops = ops;
    state->host = host;
    state->module = module;

    int (*const setups[])(struct ak_state *, PyObject *) = {
        ak_request_setup,  ak_convert_setup,  ak_fork_setup,    ak_loop_setup,
        ak_cell_setup,     ak_stdio_setup,    ak_stdin_setup,   ak_display_setup,
        ak_comm_setup,     ak_react_setup,    ak_inspect_setup, ak_shell_setup,
        ak_snapshot_setup, ak_recorder_setup, ak_call_setup,
    };
    for (size_t i = 0; i < sizeof(setups) / sizeof(setups[0]); i++) {
        if (setups[i](state, module) < 0)
            return NULL;
    }
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    if (PyDict_SetItemString(modules, "_akernel", module) < 0)
        return NULL;
    return Py_NewRef(module);
}

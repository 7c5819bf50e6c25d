/* SPDX-License-Identifier: MIT */
/*
 * Starting and ending the interpreter.
 *
 * The embedded form configures an ordinary, not an isolated, interpreter: users expect
 * PYTHONPATH, site-packages and .pth files to work as in their shell. program_name is
 * the environment's python, so that CPython's own path computation finds pyvenv.cfg
 * beside it and makes sys.prefix, sys.executable and site-packages those of the
 * environment. Signal handlers are Python's own, for without them SIGINT ends the
 * process.
 *
 * As in an interactive Python, sys.argv is [''] and sys.path starts with '': a notebook
 * imports the modules that lie beside it. __main__ has no __file__ and no __spec__,
 * which multiprocessing's spawn relies on.
 */
#include "py/runtime-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "py/convert-private.h"
#include "py/fault-private.h"
#include "py/interrupt-private.h"
#include "py/module-private.h"
#include "py/pylib-private.h"

static int say(struct ak_buf *ret_message, const char *text) {
    int r = ak_buf_add_str(ret_message, text);
    return r ? ak_error_trace(r) : AK_RUNTIME_E_START;
}

/* Turns the pending exception into the message of a failed start. */
static int say_exception(struct ak_state *state, struct ak_buf *ret_message) {
    struct ak_fault fault = {0};
    ak_fault_take(state, &fault);
    int r = ak_buf_addf(ret_message, "%s: %s", fault.ename ? fault.ename : "error",
                        fault.evalue ? fault.evalue : "");
    ak_fault_done(&fault);
    return r ? ak_error_trace(r) : AK_RUNTIME_E_START;
}

static PyStatus configure(PyConfig *config, const char *executable) {
    config->parse_argv = 0;
    config->install_signal_handlers = 1;
    PyStatus status = PyStatus_Ok();
    if (executable)
        status = PyConfig_SetBytesString(config, &config->program_name, executable);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesArgv(config, 1, (char *const[]){(char *)""});
    return status;
}

static int start_embedded(const char *executable, struct ak_buf *ret_message) {
    PyPreConfig pre;
    PyPreConfig_InitPythonConfig(&pre);
    /* Cells, files and pipes are UTF-8 whatever locale a server was started in. */
    pre.coerce_c_locale = 1;
    PyStatus status = Py_PreInitialize(&pre);
    PyConfig config;
    if (!PyStatus_Exception(status)) {
        PyConfig_InitPythonConfig(&config);
        status = configure(&config, executable);
        if (!PyStatus_Exception(status))
            status = Py_InitializeFromConfig(&config);
        PyConfig_Clear(&config);
    }
    if (!PyStatus_Exception(status))
        return 0;
    int r = ak_buf_addf(ret_message, "Python cannot start: %s (tried %s)",
                        status.err_msg ? status.err_msg : "unknown reason",
                        executable ? executable : "the Python akernel was built with");
    return r ? ak_error_trace(r) : AK_RUNTIME_E_START;
}

/* sys.path[0] and sys.argv as an interactive Python has them, and __main__ without the
 * traces of the program that started it. */
static int prepare_interpreter(void) {
    PyObject *path = PySys_GetObject("path"); /* borrowed */
    AK_PYREF empty = PyUnicode_FromString("");
    if (!empty)
        return -1;
    if (path && PyList_Check(path) && PyList_Insert(path, 0, empty) < 0)
        return -1;
    AK_PYREF argv = PyList_New(1);
    if (!argv)
        return -1;
    PyList_SET_ITEM(argv, 0, Py_NewRef(empty));
    return PySys_SetObject("argv", argv);
}

static int enable_faulthandler(int fd) {
    AK_PYREF faulthandler = PyImport_ImportModule("faulthandler");
    if (!faulthandler)
        return -1;
    AK_PYREF done = PyObject_CallMethod(faulthandler, "enable", "i", fd);
    return done ? 0 : -1;
}

int ak_runtime_new(struct ak_runtime **ret_runtime,
                   const struct ak_runtime_config *config, struct ak_buf *ret_message) {
    if (!config->running) {
        int r = start_embedded(config->executable, ret_message);
        if (r)
            return r;
    }
    AK_CLEANUP(ak_runtime_freep)
    struct ak_runtime *runtime = calloc(1, sizeof(*runtime));
    if (!runtime)
        return ak_error_origin(ENOMEM);
    runtime->finalize = !config->running;
    runtime->module = ak_module_new(config->ops, config->host);
    if (!runtime->module) {
        Py_XDECREF(ak_fault_fetch());
        return say(ret_message, "akernel's own module cannot be made in this Python");
    }
    runtime->state = ak_state_of_module(runtime->module);
    runtime->state->runtime = runtime;
    if (prepare_interpreter() < 0 || ak_pylib_install(runtime->state) < 0 ||
        ak_interrupt_install(runtime->state) < 0 ||
        (config->fault_fd >= 0 && enable_faulthandler(config->fault_fd) < 0))
        return say_exception(runtime->state, ret_message);
    *ret_runtime = AK_TAKE(runtime);
    return 0;
}

static void call_and_forget(const char *module_name, const char *function) {
    AK_PYREF module = PyImport_ImportModule(module_name);
    AK_PYREF done = module ? PyObject_CallMethod(module, function, NULL) : NULL;
    (void)done;
    Py_XDECREF(ak_fault_fetch());
}

/* An interpreter that is not ours ends after us. What its end would run while the seam
 * is still there is run now; what prints after that does it through the descriptors. */
static void leave_interpreter(struct ak_state *state) {
    call_and_forget("threading", "_shutdown");
    call_and_forget("atexit", "_run_exitfuncs");
    call_and_forget("gc", "collect");
    state->forked = true;
}

/* The streams outlive every user of them: what atexit handlers and destructors print
 * while the interpreter ends still reaches the front end. */
struct ak_runtime *ak_runtime_free(struct ak_runtime *runtime) {
    if (!runtime)
        return NULL;
    Py_XDECREF(ak_fault_fetch());
    runtime->state->runtime = NULL;
    if (!runtime->finalize)
        leave_interpreter(runtime->state);
    Py_CLEAR(runtime->module);
    if (runtime->finalize)
        (void)Py_FinalizeEx();
    free(runtime);
    return NULL;
}

static int add_member(struct ak_buf *buf, const char *name, PyObject *value) {
    int r = ak_buf_addf(buf, "\"%s\": ", name);
    if (r)
        return ak_error_trace(r);
    if (!value || !PyUnicode_Check(value))
        return ak_buf_add_str(buf, "\"\"");
    if (ak_json_encode_str(value, buf) < 0) {
        Py_XDECREF(ak_fault_fetch());
        return ak_error_origin(ENOMEM);
    }
    return 0;
}

int ak_runtime_describe(struct ak_runtime *runtime, struct ak_buf *ret_json) {
    (void)runtime;
    int r = ak_buf_addf(ret_json, "\"version\": \"%d.%d.%d\", ",
                        (int)(Py_Version >> 24) & 0xFF, (int)(Py_Version >> 16) & 0xFF,
                        (int)(Py_Version >> 8) & 0xFF);
    if (!r)
        r = add_member(ret_json, "prefix", PySys_GetObject("prefix"));
    if (!r)
        r = ak_buf_add_str(ret_json, ", ");
    if (!r)
        r = add_member(ret_json, "executable", PySys_GetObject("executable"));
    return r ? ak_error_trace(r) : 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * One loop, asyncio's, and C functions on it. A callback is a small heap type that
 * holds a function and its context, never an integer that Python code could forge.
 *
 * asyncio lets KeyboardInterrupt and SystemExit of any callback or task out of
 * run_forever. Neither may end the kernel: ak_loop_run goes back in until ak_loop_stop.
 *
 * The task factory notes in every task which request it belongs to. A task that fails
 * and that nobody awaits is reported to the exception handler outside of its context
 * before Python 3.12, and this note is how its cell is found.
 */
#include "py/runtime-private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "py/fault-private.h"
#include "py/report-private.h"

#define HIGHEST_DESCRIPTOR 1024

struct callback {
    PyObject_HEAD ak_loop_callback function;
    void *context;
};

static PyObject *callback_call(PyObject *self, PyObject *args, PyObject *kwargs) {
    struct callback *callback = (struct callback *)self;
    callback->function(callback->context);
    Py_RETURN_NONE;
}

static void callback_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot callback_slots[] = {
    {Py_tp_call, (void *)callback_call},
    {Py_tp_dealloc, (void *)callback_dealloc},
    {0, NULL},
};

static PyType_Spec callback_spec = {
    .name = "_akernel.Callback",
    .basicsize = sizeof(struct callback),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = callback_slots,
};

PyObject *ak_loop_callback_object(struct ak_state *state, ak_loop_callback function,
                                  void *context) {
    PyTypeObject *type = state->callback_type;
    struct callback *callback = (struct callback *)type->tp_alloc(type, 0);
    if (!callback)
        return NULL;
    callback->function = function;
    callback->context = context;
    return (PyObject *)callback;
}

/* _task_factory(loop, coro, **kwargs): an ordinary asyncio.Task that knows its request.
 */
static PyObject *task_factory(PyObject *module, PyObject *args, PyObject *kwargs) {
    struct ak_state *state = ak_state_of_module(module);
    PyObject *loop, *coroutine; /* borrowed */
    if (!PyArg_UnpackTuple(args, "task_factory", 2, 2, &loop, &coroutine))
        return NULL;
    AK_PYREF own = kwargs ? PyDict_Copy(kwargs) : PyDict_New();
    if (!own || PyDict_SetItem(own, state->str_loop, loop) < 0)
        return NULL;
    AK_PYREF positional = PyTuple_Pack(1, coroutine);
    AK_PYREF task =
        positional ? PyObject_Call(state->task_type, positional, own) : NULL;
    struct ak_request *request = ak_request_current(state); /* borrowed */
    if (!task || !request)
        return task ? Py_NewRef(task) : NULL;
    request->n_tasks++;
    if (PyObject_SetAttr(task, state->str_request, (PyObject *)request) < 0)
        return NULL;
    return Py_NewRef(task);
}

/* loop.call_exception_handler's handler: asyncio's own message, as a traceback in the
 * cell that made the task. */
static PyObject *on_loop_exception(PyObject *module, PyObject *args) {
    struct ak_state *state = ak_state_of_module(module);
    PyObject *loop, *context; /* borrowed */
    if (!PyArg_UnpackTuple(args, "on_loop_exception", 2, 2, &loop, &context))
        return NULL;
    if (!PyDict_Check(context))
        Py_RETURN_NONE;
    PyObject *task = PyDict_GetItemWithError(context, state->str_task); /* borrowed */
    if (!task && !PyErr_Occurred())
        task = PyDict_GetItemWithError(context, state->str_future);
    PyObject *exception = /* borrowed */
        PyErr_Occurred() ? NULL
                         : PyDict_GetItemWithError(context, state->str_exception);
    PyObject *message = /* borrowed */
        PyErr_Occurred() ? NULL : PyDict_GetItemWithError(context, state->str_message);
    if (PyErr_Occurred())
        return NULL;

    AK_PYREF request = NULL;
    if (task) {
        request = PyObject_GetAttr(task, state->str_request);
        if (!request)
            Py_XDECREF(ak_fault_fetch());
    }
    if (request && !Py_IS_TYPE(request, state->request_type))
        Py_CLEAR(request);
    ak_report_failure(state, (struct ak_request *)request, message, exception);
    Py_RETURN_NONE;
}

static PyMethodDef loop_functions[] = {
    {"_task_factory", (PyCFunction)(void (*)(void))task_factory,
     METH_VARARGS | METH_KEYWORDS, NULL},
    {"_on_loop_exception", on_loop_exception, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int ak_loop_setup(struct ak_state *state, PyObject *module) {
    state->callback_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &callback_spec, NULL);
    const struct {
        PyObject **slot;
        const char *text;
    } names[] = {
        {&state->str_loop, "loop"},           {&state->str_request, "_akernel_request"},
        {&state->str_task, "task"},           {&state->str_future, "future"},
        {&state->str_exception, "exception"}, {&state->str_message, "message"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        *names[i].slot = PyUnicode_InternFromString(names[i].text);
        if (!*names[i].slot)
            return -1;
    }
    if (!state->callback_type)
        return -1;
    return PyModule_AddFunctions(module, loop_functions);
}

/* Calls a method of the loop with one function of ours by name. */
static int give_function(struct ak_state *state, const char *method, const char *name) {
    AK_PYREF function = PyObject_GetAttrString(state->module, name);
    AK_PYREF done =
        function ? PyObject_CallMethod(state->loop, method, "O", function) : NULL;
    return done ? 0 : -1;
}

/* Takes every free descriptor below a number; what is opened next lies above. */
static int occupy(int *fds, int below) {
    int n = 0;
    int fd;
    while ((fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)) >= 0 && fd < below)
        fds[n++] = fd;
    if (fd >= 0)
        close(fd);
    return n;
}

/* User code closes and passes on low descriptors without asking whose they are, and the
 * loop cannot live without its selector and its wake-up pair: they are opened out of
 * the way, where the worker's other descriptors are. */
static PyObject *new_event_loop(PyObject *asyncio) {
    int fds[HIGHEST_DESCRIPTOR];
    struct rlimit limit;
    int top = HIGHEST_DESCRIPTOR;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < HIGHEST_DESCRIPTOR)
        top = (int)limit.rlim_cur;
    int n = occupy(fds, top > 320 ? top - 64 : top / 2);
    PyObject *loop = PyObject_CallMethod(asyncio, "new_event_loop", NULL);
    while (n > 0)
        close(fds[--n]);
    return loop;
}

static int open_loop(struct ak_state *state) {
    AK_PYREF lean = PyImport_ImportModule("akernel._asyncio");
    AK_PYREF asyncio = lean ? PyObject_GetAttrString(lean, "asyncio") : NULL;
    if (!asyncio)
        return -1;
    state->task_type = PyObject_GetAttrString(asyncio, "Task");
    state->loop = new_event_loop(asyncio);
    state->main_thread = PyThread_get_thread_ident();
    if (!state->task_type || !state->loop)
        return -1;
    AK_PYREF set = PyObject_CallMethod(asyncio, "set_event_loop", "O", state->loop);
    if (!set || give_function(state, "set_task_factory", "_task_factory") < 0 ||
        give_function(state, "set_exception_handler", "_on_loop_exception") < 0)
        return -1;
    return 0;
}

bool ak_loop_is_main(const struct ak_state *state) {
    return state->n_subshells == 0 || PyThread_get_thread_ident() == state->main_thread;
}

PyObject *ak_loop_current(struct ak_state *state) {
    if (ak_loop_is_main(state))
        return Py_NewRef(state->loop);
    AK_PYREF asyncio = PyImport_ImportModule("asyncio");
    return asyncio ? PyObject_CallMethod(asyncio, "get_running_loop", NULL) : NULL;
}

int ak_loop_open(struct ak_runtime *runtime, struct ak_buf *ret_message) {
    if (open_loop(runtime->state) == 0)
        return 0;
    struct ak_fault fault = {0};
    ak_fault_take(runtime->state, &fault);
    int r = ak_buf_addf(ret_message, "asyncio cannot be used: %s: %s", fault.ename,
                        fault.evalue);
    ak_fault_done(&fault);
    return r ? ak_error_trace(r) : AK_RUNTIME_E_START;
}

void ak_loop_close(struct ak_runtime *runtime) {
    struct ak_state *state = runtime->state;
    if (!state->loop)
        return;
    AK_PYREF loop = AK_TAKE(state->loop);
    AK_PYREF done = PyObject_CallMethod(loop, "close", NULL);
    if (!done)
        Py_XDECREF(ak_fault_fetch());
}

/* Puts a C function on the loop through one of its methods. */
static int put(struct ak_runtime *runtime, const char *method, const char *format,
               double seconds, int fd, ak_loop_callback function, void *context) {
    struct ak_state *state = runtime->state;
    AK_PYREF callback = ak_loop_callback_object(state, function, context);
    AK_PYREF handle = NULL;
    if (callback && fd >= 0)
        handle = PyObject_CallMethod(state->loop, method, format, fd, callback);
    else if (callback && seconds >= 0)
        handle = PyObject_CallMethod(state->loop, method, format, seconds, callback);
    else if (callback)
        handle = PyObject_CallMethod(state->loop, method, format, callback);
    if (handle)
        return 0;
    Py_XDECREF(ak_fault_fetch());
    return ak_error_origin(ENOMEM);
}

int ak_loop_watch(struct ak_runtime *runtime, int fd, ak_loop_callback callback,
                  void *context) {
    return put(runtime, "add_reader", "iO", -1, fd, callback, context);
}

int ak_loop_call_soon(struct ak_runtime *runtime, ak_loop_callback callback,
                      void *context) {
    return put(runtime, "call_soon", "O", -1, -1, callback, context);
}

int ak_loop_call_later(struct ak_runtime *runtime, double seconds,
                       ak_loop_callback callback, void *context) {
    return put(runtime, "call_later", "dO", seconds, -1, callback, context);
}

void ak_loop_on_interrupt(struct ak_runtime *runtime, ak_loop_callback callback,
                          void *context) {
    runtime->interrupted = callback;
    runtime->interrupted_context = context;
}

void ak_loop_run(struct ak_runtime *runtime) {
    struct ak_state *state = runtime->state;
    while (!runtime->stopping && !state->forked) {
        AK_PYREF done = PyObject_CallMethod(state->loop, "run_forever", NULL);
        if (done)
            continue;
        AK_PYREF exception = ak_fault_fetch();
        /* A KeyboardInterrupt went to whoever it interrupted already; the task that
         * raised SystemExit keeps it too. Only what belongs to nobody is reported. */
        if (!PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt))
            ak_report_failure(state, NULL, NULL, exception);
    }
}

void ak_loop_stop(struct ak_runtime *runtime) {
    runtime->stopping = true;
    AK_PYREF done = PyObject_CallMethod(runtime->state->loop, "stop", NULL);
    if (!done)
        Py_XDECREF(ak_fault_fetch());
}

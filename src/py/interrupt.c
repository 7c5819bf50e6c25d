/* SPDX-License-Identifier: MIT */
/*
 * What SIGINT means. Python runs this handler on the main thread between two bytecodes,
 * wherever that thread is:
 *
 *  - in user code, however deep: KeyboardInterrupt is raised right there, and the cells
 *    that only wait are cancelled from the loop afterwards;
 *  - in the selector, or in the loop's own code between two steps: nothing is raised,
 * for an exception there would lose a callback of somebody; running cells are cancelled
 *    from the loop, which is woken.
 *
 * In a kernel of many worlds an interrupt may mean one of them. It comes as another
 * signal, whose value is the world's number: then KeyboardInterrupt is raised only if
 * that world's code is on the stack, and nobody else is touched. Cells of it that wait
 * are cancelled by a frame of the seam.
 *
 * The loop hears of it before anything that came after it is taken: whoever takes
 * requests calls ak_loop_settle_interrupt first, for its own callback may be ahead of
 * ours, and a cell that was sent after the interrupt is not meant by it.
 *
 * Whether user code is on the stack is asked of the stack itself: every frame belongs
 * to a file, and only asyncio's, the selectors module's and ours are not the user's. A
 * flag set around the steps of cells would miss child tasks and callbacks.
 */
#include "py/interrupt-private.h"

#include <signal.h>
#include <string.h>

#include "py/fault-private.h"
#include "py/host.h"
#include "py/loop.h"
#include "py/runtime-private.h"
#include "py/space-private.h"

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && memcmp(text + n - m, end, m) == 0;
}

static bool is_machinery(PyCodeObject *code) {
    const char *file = PyUnicode_AsUTF8(code->co_filename);
    if (!file) {
        Py_XDECREF(ak_fault_fetch());
        return false;
    }
    if (strncmp(file, "<frozen akernel", 15) == 0 || ends_with(file, "/selectors.py"))
        return true;
    const char *slash = strrchr(file, '/');
    return slash && slash - file >= 8 && memcmp(slash - 8, "/asyncio", 8) == 0;
}

/* Whether a frame of the stack is the user's. */
static bool user_on_stack(PyObject *frame_object) {
    if (frame_object == Py_None)
        return false;
    PyFrameObject *frame = (PyFrameObject *)Py_NewRef(frame_object);
    bool found = false;
    while (frame && !found) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        found = !is_machinery(code);
        Py_DECREF(code);
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
    return found;
}

/* Once debugpy is there, an interrupt may have passed through it. */
static void trace_again(struct ak_state *state) {
    if (!state->names_by_hash)
        return;
    AK_PYREF debug = PyImport_ImportModule("akernel._debug");
    AK_PYREF done = debug ? PyObject_CallMethod(debug, "trace_again", NULL) : NULL;
    if (!done)
        Py_XDECREF(ak_fault_fetch());
}

/* sigaction gives its handlers no context; set once, before the handler is. */
static struct ak_state *signal_state;

static void on_scoped(int number, siginfo_t *info, void *context) {
    struct ak_state *state = signal_state;
    if (state->forked)
        return;
    state->scoped = (unsigned)info->si_value.sival_int;
    PyErr_SetInterruptEx(SIGINT);
}

int ak_interrupt_scoped(struct ak_state *state) {
    struct sigaction action = {.sa_sigaction = on_scoped, .sa_flags = SA_SIGINFO};
    signal_state = state;
    if (sigaction(AK_SIGNAL_WORLD, &action, NULL) == 0)
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

void ak_loop_settle_interrupt(struct ak_runtime *runtime) {
    struct ak_state *state = runtime->state;
    if (!state->interrupted)
        return;
    state->interrupted = false;
    trace_again(state);
    if (runtime->interrupted && !state->forked)
        runtime->interrupted(runtime->interrupted_context);
}

static PyObject *call_interrupted(PyObject *module, PyObject *ignored) {
    struct ak_state *state = ak_state_of_module(module);
    if (state->runtime)
        ak_loop_settle_interrupt(state->runtime);
    Py_RETURN_NONE;
}

/* The loop is to hear of an interrupt. -1 with an exception set when it is closed. */
static int tell_loop(struct ak_state *state) {
    AK_PYREF callback = PyObject_GetAttrString(state->module, "_interrupted");
    AK_PYREF handle =
        callback
            ? PyObject_CallMethod(state->loop, "call_soon_threadsafe", "O", callback)
            : NULL;
    state->interrupted = handle != NULL;
    return handle ? 0 : -1;
}

static PyObject *on_sigint(PyObject *module, PyObject *args) {
    PyObject *number, *frame; /* borrowed */
    if (!PyArg_UnpackTuple(args, "on_sigint", 2, 2, &number, &frame))
        return NULL;
    struct ak_state *state = ak_state_of_module(module);
    /* While the kernel itself still starts there is nothing of the user's to interrupt.
     */
    if (!state->runtime || (!state->runtime->interrupted && !state->forked))
        Py_RETURN_NONE;
    if (state->debugger_waits > 0) {
        state->interrupt_waits = true;
        Py_RETURN_NONE;
    }
    bool in_user_code = state->user_depth > 0 || user_on_stack(frame);
    struct ak_request *request = ak_request_current(state);
    uint64_t world = request ? request->space->number : 0;
    uint64_t scoped = state->scoped;
    state->scoped = 0;
    if (scoped && world != scoped)
        Py_RETURN_NONE;
    if (!scoped && in_user_code && world)
        request->everyone = true;
    if (state->loop && !state->forked && !scoped && tell_loop(state) < 0) {
        if (in_user_code)
            return NULL;
        Py_XDECREF(ak_fault_fetch()); /* a closed loop has nothing to cancel */
    }
    if (!in_user_code)
        Py_RETURN_NONE;
    PyErr_SetNone(PyExc_KeyboardInterrupt);
    return NULL;
}

/* _debugger_waits(begins) -> whether an interrupt came meanwhile. */
static PyObject *debugger_waits(PyObject *module, PyObject *begins) {
    struct ak_state *state = ak_state_of_module(module);
    state->debugger_waits += begins == Py_True ? 1 : -1;
    bool interrupted = state->debugger_waits == 0 && state->interrupt_waits;
    if (!interrupted)
        Py_RETURN_FALSE;
    state->interrupt_waits = false;
    /* It ends tracing on its way out: the loop switches it on again. */
    if (tell_loop(state) < 0)
        return NULL;
    Py_RETURN_TRUE;
}

static PyMethodDef interrupt_functions[] = {
    {"_debugger_waits", debugger_waits, METH_O, NULL},
    {"_on_sigint", on_sigint, METH_VARARGS, NULL},
    {"_interrupted", call_interrupted, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int ak_interrupt_install(struct ak_state *state) {
    if (PyModule_AddFunctions(state->module, interrupt_functions) < 0)
        return -1;
    AK_PYREF signal = PyImport_ImportModule("_signal");
    AK_PYREF handler = PyObject_GetAttrString(state->module, "_on_sigint");
    if (!signal || !handler)
        return -1;
    AK_PYREF old = PyObject_CallMethod(signal, "signal", "iO", SIGINT, handler);
    return old ? 0 : -1;
}

/* SPDX-License-Identifier: MIT */
/*
 * The coroutine of a cell. asyncio's Task drives it like any other; it drives the code
 * object of the body, then that of the last expression, and passes through what they
 * await. It never raises into the Task: a user's exception ends the cell with an error
 * and the task with None, so that nothing a cell does reaches the loop.
 *
 * A child of a fork that comes back out of a step would re-enter the loop of its
 * parent; it is flushed and ended here instead.
 */
#include "py/cell-private.h"

#include <unistd.h>

#include "py/record-private.h"
#include "py/report-private.h"
#include "py/runtime-private.h"
#include "py/shell-private.h"

struct step {
    PyObject_HEAD struct ak_cell *cell; /* borrowed; NULL once the cell is over */
};

/* Ends a forked child that ran to the end of what its parent was doing. */
static void end_child(struct ak_state *state) {
    int status = 0;
    AK_PYREF exception = ak_fault_fetch();
    if (exception) {
        ak_report_failure(state, NULL, NULL, exception);
        status = 1;
    }
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "stdout" : "stderr";
        PyObject *stream = PySys_GetObject(name); /* borrowed */
        AK_PYREF strong = Py_XNewRef(stream);
        AK_PYREF flushed = strong ? PyObject_CallMethod(strong, "flush", NULL) : NULL;
        (void)flushed;
        Py_XDECREF(ak_fault_fetch());
    }
    _exit(status);
}

/* Starts the code of a phase: its coroutine goes to cell->inner, or it runs to its end
 * right here and *ret_value holds what it gave. */
static int start_phase(struct ak_cell *cell, PyObject *code, PyObject **ret_value) {
    PyObject *names = cell->space->names;
    PyObject *value = PyEval_EvalCode(code, names, names);
    if (!value)
        return -1;
    if (((PyCodeObject *)code)->co_flags & CO_COROUTINE)
        cell->inner = value;
    else
        *ret_value = value;
    return 0;
}

/* Resumes what the cell awaits with a value, or by throwing an exception into it. */
static PySendResult resume(struct ak_cell *cell, PyObject *value, PyObject *thrown,
                           PyObject **ret_value) {
    if (!thrown)
        return PyIter_Send(cell->inner, value, ret_value);
    AK_PYREF inner = Py_NewRef(cell->inner);
    *ret_value = PyObject_CallMethod(inner, "throw", "O", thrown);
    if (*ret_value)
        return PYGEN_NEXT;
    if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
        AK_PYREF stop = ak_fault_fetch();
        *ret_value = PyObject_GetAttrString(stop, "value");
        return *ret_value ? PYGEN_RETURN : PYGEN_ERROR;
    }
    return PYGEN_ERROR;
}

static int show(struct ak_cell *cell, PyObject *value) {
    if (Py_IsNone(value) || cell->quiet || cell->request->silent)
        return 0;
    if (!cell->body && ak_builtins_is_exit(cell->space->state, value)) {
        AK_PYREF none = PyObject_CallNoArgs(value);
        return none ? 0 : -1;
    }
    PyObject *hook = PySys_GetObject("displayhook"); /* borrowed */
    if (!hook)
        return 0;
    AK_PYREF strong = Py_NewRef(hook);
    ak_record_result(cell, value);
    AK_PYREF done = PyObject_CallOneArg(strong, value);
    return done ? 0 : -1;
}

/* Runs the cell until it awaits (NEXT, with what it awaits), is over (RETURN) or fails
 * (ERROR, exception pending). */
static PySendResult advance(struct ak_cell *cell, PyObject *sent, PyObject *thrown,
                            PyObject **ret_value) {
    if (thrown && !cell->inner) {
        ak_fault_restore(Py_NewRef(thrown));
        return PYGEN_ERROR;
    }
    if (cell->phase == AK_CELL_BODY && !cell->inner) {
        int restored = ak_record_begin(cell);
        if (restored < 0)
            return PYGEN_ERROR;
        if (restored)
            cell->phase = AK_CELL_OVER;
    }
    while (cell->phase != AK_CELL_OVER) {
        AK_PYREF value = NULL;
        if (cell->inner) {
            PySendResult result = resume(cell, sent, thrown, &value);
            if (result == PYGEN_NEXT)
                *ret_value = AK_TAKE(value);
            if (result != PYGEN_RETURN)
                return result;
            Py_CLEAR(cell->inner);
            sent = Py_None;
            thrown = NULL;
        } else {
            PyObject *code =
                cell->phase == AK_CELL_BODY ? cell->body : cell->expression;
            if (code && start_phase(cell, code, &value) < 0)
                return PYGEN_ERROR;
            if (cell->inner)
                continue;
        }
        if (cell->phase == AK_CELL_EXPRESSION && value && show(cell, value) < 0)
            return PYGEN_ERROR;
        cell->phase++;
    }
    return PYGEN_RETURN;
}

/* --- debuggers -----------------------------------------------------------------------
 */

/* The running trace function if it is a pdb's, else NULL. New reference; no exception.
 * Other tracers (debugpy, coverage) are not looked after here. */
static PyObject *pdb_trace(void) {
    PyObject *get = PySys_GetObject("gettrace"); /* borrowed */
    AK_PYREF trace = get ? PyObject_CallNoArgs(get) : NULL;
    if (!trace || Py_IsNone(trace)) {
        Py_XDECREF(ak_fault_fetch());
        return NULL;
    }
    AK_PYREF owner = PyObject_GetAttrString(trace, "__self__");
    AK_PYREF bdb = PyImport_ImportModule("bdb");
    AK_PYREF type = bdb ? PyObject_GetAttrString(bdb, "Bdb") : NULL;
    bool is = owner && type && PyObject_IsInstance(owner, type) == 1;
    Py_XDECREF(ak_fault_fetch());
    return is ? Py_NewRef(trace) : NULL;
}

static void set_trace(PyObject *trace) {
    PyObject *set = PySys_GetObject("settrace"); /* borrowed */
    AK_PYREF done = set ? PyObject_CallOneArg(set, trace) : NULL;
    (void)done;
    Py_XDECREF(ak_fault_fetch());
}

/* A debugger that steps over an await or out of the cell would stop in the loop's own
 * frames, where its prompt holds everything. Its trace is taken off between the steps
 * of a cell, and given up when the cell is over. */
static void rest_debugger(struct ak_cell *cell, bool over) {
    AK_PYREF pending = ak_fault_fetch();
    AK_PYREF trace = pdb_trace();
    if (trace) {
        set_trace(Py_None);
        if (!over)
            Py_XSETREF(cell->trace, Py_NewRef(trace));
    }
    if (pending)
        ak_fault_restore(AK_TAKE(pending));
}

static void wake_debugger(struct ak_cell *cell) {
    AK_PYREF trace = AK_TAKE(cell->trace);
    if (trace)
        set_trace(trace);
}

static PySendResult step(struct step *self, PyObject *sent, PyObject *thrown,
                         PyObject **ret_value) {
    struct ak_cell *cell = self->cell;
    if (!cell) {
        PyErr_SetString(PyExc_RuntimeError, "this cell is over");
        return PYGEN_ERROR;
    }
    struct ak_state *state = cell->space->state;
    /* Interrupts and descriptor-level output are the main thread's. */
    bool main = ak_loop_is_main(state);
    if (main)
        state->ops->set_current(state->host, cell->request->id);
    struct ak_space *before = ak_cwd_enter(cell->space);
    state->user_depth += main;
    wake_debugger(cell);
    bool first = !cell->begun;
    cell->begun = true;
    PySendResult result;
    if (first && ak_shell_begin(cell) < 0) {
        result = PYGEN_ERROR;
    } else if (cell->failure) {
        ak_fault_restore(AK_TAKE(cell->failure));
        result = PYGEN_ERROR;
    } else {
        result = advance(cell, sent, thrown, ret_value);
    }
    rest_debugger(cell, result != PYGEN_NEXT);
    if (result == PYGEN_RETURN && !state->forked) {
        if (ak_record_finish(cell) < 0 || ak_shell_end(cell, NULL) < 0)
            result = PYGEN_ERROR;
        else
            ak_outcome_succeed(cell);
    }
    state->user_depth -= main;
    if (state->forked)
        end_child(state);
    ak_cwd_leave(cell->space, before);

    if (result == PYGEN_NEXT) {
        cell->ops->suspended(cell->owner, cell);
        return PYGEN_NEXT;
    }
    if (result == PYGEN_ERROR) {
        ak_record_abandon(cell);
        ak_outcome_fail(cell);
    }
    self->cell = NULL;
    ak_cell_finish(cell);
    *ret_value = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

static PySendResult step_am_send(PyObject *self, PyObject *value,
                                 PyObject **ret_value) {
    return step((struct step *)self, value, NULL, ret_value);
}

/* The result of a step in the manner of a generator's methods. */
static PyObject *as_generator(PySendResult result, PyObject *value) {
    if (result == PYGEN_NEXT)
        return value;
    if (result == PYGEN_RETURN) {
        Py_XDECREF(value);
        PyErr_SetNone(PyExc_StopIteration);
    }
    return NULL;
}

static PyObject *step_send(PyObject *self, PyObject *value) {
    PyObject *out = NULL;
    PySendResult result = step((struct step *)self, value, NULL, &out);
    return as_generator(result, out);
}

static PyObject *step_next(PyObject *self) {
    return step_send(self, Py_None);
}

static PyObject *step_throw(PyObject *self, PyObject *args) {
    PyObject *type, *value = NULL, *traceback = NULL; /* borrowed */
    if (!PyArg_UnpackTuple(args, "throw", 1, 3, &type, &value, &traceback))
        return NULL;
    AK_PYREF exception = NULL;
    if (PyExceptionInstance_Check(type))
        exception = Py_NewRef(type);
    else if (value && PyExceptionInstance_Check(value))
        exception = Py_NewRef(value);
    else
        exception = PyObject_CallNoArgs(type);
    if (!exception)
        return NULL;
    PyObject *out = NULL;
    PySendResult result = step((struct step *)self, NULL, exception, &out);
    return as_generator(result, out);
}

/* A task that is dropped unfinished at the interpreter's end closes its coroutine. */
static PyObject *step_close(PyObject *self, PyObject *ignored) {
    struct step *object = (struct step *)self;
    if (object->cell && object->cell->inner) {
        AK_PYREF inner = Py_NewRef(object->cell->inner);
        return PyObject_CallMethod(inner, "close", NULL);
    }
    Py_RETURN_NONE;
}

static PyObject *step_await(PyObject *self) {
    return Py_NewRef(self);
}

/* asyncio's Task.get_stack and print_stack look for these. */
static PyObject *step_frame(PyObject *self, void *closure) {
    struct step *object = (struct step *)self;
    if (object->cell && object->cell->inner)
        return PyObject_GetAttrString(object->cell->inner, "cr_frame");
    Py_RETURN_NONE;
}

static PyObject *step_name(PyObject *self, void *closure) {
    struct step *object = (struct step *)self;
    long count = object->cell ? object->cell->request->execution_count : 0;
    return PyUnicode_FromFormat("Cell In[%ld]", count);
}

static int step_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void step_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef step_methods[] = {
    {"send", step_send, METH_O, NULL},
    {"throw", step_throw, METH_VARARGS, NULL},
    {"close", step_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef step_getset[] = {
    {"cr_frame", step_frame, NULL, NULL, NULL},
    {"__name__", step_name, NULL, NULL, NULL},
    {"__qualname__", step_name, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot step_slots[] = {
    {Py_am_await, (void *)step_await},
    {Py_am_send, (void *)step_am_send},
    {Py_tp_iter, (void *)step_await},
    {Py_tp_iternext, (void *)step_next},
    {Py_tp_traverse, (void *)step_traverse},
    {Py_tp_dealloc, (void *)step_dealloc},
    {Py_tp_methods, step_methods},
    {Py_tp_getset, step_getset},
    {0, NULL},
};

static PyType_Spec step_spec = {
    .name = "_akernel.Cell",
    .basicsize = sizeof(struct step),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = step_slots,
};

PyObject *ak_step_coroutine(struct ak_cell *cell) {
    PyTypeObject *type = cell->space->state->cell_type;
    struct step *object = (struct step *)type->tp_alloc(type, 0);
    if (object)
        object->cell = cell;
    return (PyObject *)object;
}

int ak_cell_setup(struct ak_state *state, PyObject *module) {
    state->cell_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &step_spec, NULL);
    return state->cell_type ? 0 : -1;
}

int ak_step_offset(const struct ak_cell *cell) {
    if (cell->phase == AK_CELL_EXPRESSION)
        return AK_EFFECTS_END;
    if (cell->phase != AK_CELL_BODY || !cell->inner)
        return -1;
    AK_PYREF frame = PyObject_GetAttrString(cell->inner, "cr_frame");
    if (frame && PyFrame_Check(frame))
        return PyFrame_GetLasti((PyFrameObject *)frame);
    Py_XDECREF(ak_fault_fetch());
    return -1;
}

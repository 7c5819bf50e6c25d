/* SPDX-License-Identifier: MIT */
/*
 * The pickler is CPython's own with three functions of ours in it: persistent_id, which
 * knows the inputs and modules; reducer_override, which refuses what must not be
 * pickled by name and gives small arrays memory of their own; and the buffer callback.
 * They find what they work on in the state, since one value is written at a time.
 */
#include "py/snapshot-private.h"

#include "cache/store.h"
#include "py/fault-private.h"

struct ak_snapshot_work {
    const struct ak_valuehash *inputs; /* borrowed */
    PyObject *buffers;                 /* borrowed: list */
};

/* --- memory ------------------------------------------------------------------------
 */

struct memory {
    PyObject_HEAD struct ak_buffer buffer; /* owned */
};

static int memory_get(PyObject *self, Py_buffer *view, int flags) {
    struct ak_buffer *buffer = &((struct memory *)self)->buffer;
    return PyBuffer_FillInfo(view, self, buffer->data, (Py_ssize_t)buffer->len, 0,
                             flags);
}

static void memory_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    ak_buffer_done(&((struct memory *)self)->buffer);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot memory_slots[] = {
    {Py_bf_getbuffer, (void *)memory_get},
    {Py_tp_dealloc, (void *)memory_dealloc},
    {0, NULL},
};

static PyType_Spec memory_spec = {
    .name = "_akernel.Memory",
    .basicsize = sizeof(struct memory),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = memory_slots,
};

PyObject *ak_snapshot_memory(struct ak_state *state, struct ak_buffer *memory) {
    struct memory *object =
        (struct memory *)state->memory_type->tp_alloc(state->memory_type, 0);
    if (!object)
        return NULL;
    object->buffer = *memory;
    *memory = (struct ak_buffer){0};
    return (PyObject *)object;
}

/* --- writing -----------------------------------------------------------------------
 */

static struct ak_snapshot_work *work_of(PyObject *module) {
    struct ak_snapshot_work *work = ak_state_of_module(module)->snapshot;
    if (!work)
        PyErr_SetString(PyExc_RuntimeError, "nothing is being stored");
    return work;
}

static PyObject *module_name(PyObject *module) {
    AK_PYREF name = PyModule_GetNameObject(module);
    if (!name)
        return NULL;
    PyObject *loaded = /* borrowed */
        PyDict_GetItemWithError(PyImport_GetModuleDict(), name);
    if (loaded == module)
        return Py_NewRef(name);
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "a module that cannot be imported");
    return NULL;
}

static PyObject *snapshot_id(PyObject *self, PyObject *object) {
    struct ak_snapshot_work *work = work_of(self);
    if (!work)
        return NULL;
    if (PyLong_CheckExact(object) || PyUnicode_CheckExact(object) ||
        PyFloat_CheckExact(object) || PyBytes_CheckExact(object))
        Py_RETURN_NONE;
    if (PyModule_Check(object))
        return module_name(object);
    Py_ssize_t slot = ak_valuehash_slot(work->inputs, object);
    if (slot < 0)
        Py_RETURN_NONE;
    return PyLong_FromSsize_t(slot);
}

/* The form of a small array that gives it memory of its own. */
static PyObject *reduce_small(PyObject *array) {
    AK_PYREF size = PyObject_GetAttrString(array, "nbytes");
    Py_ssize_t n = size ? PyLong_AsSsize_t(size) : -1;
    if (n < 0)
        return NULL;
    if ((size_t)n >= AK_SNAPSHOT_BUFFER_MIN)
        Py_RETURN_NOTIMPLEMENTED;
    return PyObject_CallMethod(array, "__reduce__", NULL);
}

static PyObject *snapshot_reduce(PyObject *self, PyObject *object) {
    struct ak_snapshot_work *work = work_of(self);
    if (!work)
        return NULL;
    if (work->inputs->ndarray && Py_IS_TYPE(object, work->inputs->ndarray))
        return reduce_small(object);
    bool function = PyFunction_Check(object);
    if (function || PyType_Check(object)) {
        int library = ak_value_is_library(NULL, object);
        if (!library)
            PyErr_Format(PyExc_TypeError, "%s of the notebook, %R",
                         function ? "a function" : "a class", object);
        if (library <= 0)
            return NULL;
    }
    Py_RETURN_NOTIMPLEMENTED;
}

static PyObject *snapshot_buffer(PyObject *self, PyObject *buffer) {
    struct ak_snapshot_work *work = work_of(self);
    if (!work)
        return NULL;
    AK_PYREF raw = PyObject_CallMethod(buffer, "raw", NULL);
    if (!raw) {
        /* Not contiguous: in the stream, then. */
        Py_XDECREF(ak_fault_fetch());
        Py_RETURN_TRUE;
    }
    bool small = PyMemoryView_GET_BUFFER(raw)->len < (Py_ssize_t)AK_SNAPSHOT_BUFFER_MIN;
    if (small)
        Py_RETURN_TRUE;
    return PyList_Append(work->buffers, raw) < 0 ? NULL : Py_NewRef(Py_False);
}

/* --- reading -----------------------------------------------------------------------
 */

static PyObject *snapshot_find(PyObject *self, PyObject *id) {
    struct ak_snapshot_work *work = work_of(self);
    if (!work)
        return NULL;
    if (PyUnicode_Check(id))
        return PyImport_Import(id);
    size_t slot = PyLong_Check(id) ? PyLong_AsSize_t(id) : SIZE_MAX;
    if (PyErr_Occurred())
        return NULL;
    PyObject *object = ak_valuehash_object(work->inputs, slot); /* borrowed */
    if (!object)
        PyErr_SetString(PyExc_ValueError, "an input that is not there");
    return Py_XNewRef(object);
}

/* --- faces -------------------------------------------------------------------------
 */

/* Subclasses of CPython's pickler and unpickler with our functions in them. */
static PyObject *make_class(struct ak_state *state, const char *base,
                            const char *const *names) {
    AK_PYREF pickle = PyImport_ImportModule("_pickle");
    AK_PYREF type = pickle ? PyObject_GetAttrString(pickle, base) : NULL;
    AK_PYREF dict = type ? PyDict_New() : NULL;
    for (; dict && *names; names += 2) {
        AK_PYREF function = PyObject_GetAttrString(state->module, names[1]);
        if (!function || PyDict_SetItemString(dict, names[0], function) < 0)
            return NULL;
    }
    return dict ? PyObject_CallFunction((PyObject *)&PyType_Type, "s(O)O", base, type,
                                        dict)
                : NULL;
}

static int prepare(struct ak_state *state) {
    static const char *const of_pickler[] = {
        "persistent_id", "_snapshot_id", "reducer_override", "_snapshot_reduce", NULL};
    static const char *const of_unpickler[] = {"persistent_load", "_snapshot_find",
                                               NULL};
    if (!state->pickler)
        state->pickler = make_class(state, "Pickler", of_pickler);
    if (state->pickler && !state->unpickler)
        state->unpickler = make_class(state, "Unpickler", of_unpickler);
    return state->unpickler ? 0 : -1;
}

static PyObject *new_file(struct ak_state *state, const void *data, size_t len) {
    (void)state;
    AK_PYREF io = PyImport_ImportModule("_io");
    AK_PYREF bytes = data ? PyMemoryView_FromMemory((char *)(uintptr_t)data,
                                                    (Py_ssize_t)len, PyBUF_READ)
                          : PyBytes_FromStringAndSize(NULL, 0);
    return io && bytes ? PyObject_CallMethod(io, "BytesIO", "O", bytes) : NULL;
}

static PyObject *dump(struct ak_state *state, PyObject *value) {
    AK_PYREF file = new_file(state, NULL, 0);
    AK_PYREF callback = PyObject_GetAttrString(state->module, "_snapshot_buffer");
    AK_PYREF args = file && callback ? Py_BuildValue("(Oi)", file, 5) : NULL;
    AK_PYREF kwargs = args ? Py_BuildValue("{s:O}", "buffer_callback", callback) : NULL;
    AK_PYREF pickler = kwargs ? PyObject_Call(state->pickler, args, kwargs) : NULL;
    AK_PYREF done = pickler ? PyObject_CallMethod(pickler, "dump", "(O)", value) : NULL;
    return done ? PyObject_CallMethod(file, "getvalue", NULL) : NULL;
}

int ak_snapshot_dump(struct ak_state *state, const struct ak_valuehash *inputs,
                     PyObject *value, struct ak_snapshot *ret_snapshot) {
    AK_PYREF buffers = PyList_New(0);
    if (!buffers || prepare(state) < 0)
        return -1;
    struct ak_snapshot_work work = {.inputs = inputs, .buffers = buffers};
    struct ak_snapshot_work *outer = state->snapshot;
    state->snapshot = &work;
    PyObject *stream = dump(state, value);
    state->snapshot = outer;
    if (!stream)
        return -1;
    *ret_snapshot = (struct ak_snapshot){.stream = stream, .buffers = AK_TAKE(buffers)};
    return 0;
}

void ak_snapshot_done(struct ak_snapshot *snapshot) {
    Py_CLEAR(snapshot->stream);
    Py_CLEAR(snapshot->buffers);
}

static PyObject *load(struct ak_state *state, const void *stream, size_t len,
                      PyObject *buffers) {
    AK_PYREF file = new_file(state, stream, len);
    AK_PYREF args = file ? PyTuple_Pack(1, file) : NULL;
    AK_PYREF kwargs = args ? Py_BuildValue("{s:O}", "buffers", buffers) : NULL;
    AK_PYREF unpickler = kwargs ? PyObject_Call(state->unpickler, args, kwargs) : NULL;
    return unpickler ? PyObject_CallMethod(unpickler, "load", NULL) : NULL;
}

PyObject *ak_snapshot_load(struct ak_state *state, const struct ak_valuehash *inputs,
                           const void *stream, size_t len, PyObject *buffers) {
    if (prepare(state) < 0)
        return NULL;
    struct ak_snapshot_work work = {.inputs = inputs};
    struct ak_snapshot_work *outer = state->snapshot;
    state->snapshot = &work;
    /* All that is made is kept: collections would look for garbage where none can be.
     */
    int collects = PyGC_Disable();
    PyObject *value = load(state, stream, len, buffers);
    if (collects)
        PyGC_Enable();
    state->snapshot = outer;
    return value;
}

static PyMethodDef snapshot_functions[] = {
    {"_snapshot_id", snapshot_id, METH_O, NULL},
    {"_snapshot_reduce", snapshot_reduce, METH_O, NULL},
    {"_snapshot_buffer", snapshot_buffer, METH_O, NULL},
    {"_snapshot_find", snapshot_find, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

int ak_snapshot_setup(struct ak_state *state, PyObject *module) {
    state->memory_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &memory_spec, NULL);
    return state->memory_type ? PyModule_AddFunctions(module, snapshot_functions) : -1;
}

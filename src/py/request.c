/* SPDX-License-Identifier: MIT */
/*
 * Context decides who owns output: a context variable holds the running Request, tasks
 * inherit it with their context, threads get a copy of their starter's. A Request lives
 * as long as some context can still print in its name; its death tells the kernel
 * process that the parent header may be forgotten. Deaths are gathered and sent in
 * batches, at the latest when RELEASE_BATCH of them wait.
 */
#include "py/state-private.h"

#include <stddef.h>

#include "py/convert-private.h"
#include "py/fault-private.h"
#include "py/space-private.h"

static int request_traverse(PyObject *self, visitproc visit, void *arg) {
    struct ak_request *r = (struct ak_request *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(r->cell_id);
    Py_VISIT(r->heir);
    Py_VISIT(r->header);
    Py_VISIT(r->caught);
    return 0;
}

static int request_clear(PyObject *self) {
    struct ak_request *r = (struct ak_request *)self;
    Py_CLEAR(r->cell_id);
    Py_CLEAR(r->heir);
    Py_CLEAR(r->header);
    Py_CLEAR(r->slots);
    Py_CLEAR(r->caught);
    return 0;
}

static void request_dealloc(PyObject *self) {
    struct ak_request *r = (struct ak_request *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (r->state && r->id && !r->alias && !r->state->forked)
        r->state->ops->release(r->state->host, &r->id, 1);
    request_clear(self);
    ak_space_unref(r->space);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *request_repr(PyObject *self) {
    return PyUnicode_FromFormat("<akernel request %llu>",
                                (unsigned long long)((struct ak_request *)self)->id);
}

/* The header as a dict; {} for a request that has none. */
static PyObject *request_header(PyObject *self, void *closure) {
    struct ak_request *r = (struct ak_request *)self;
    if (!PyBytes_Check(r->header))
        return PyDict_New();
    return ak_json_decode(r->state, PyBytes_AS_STRING(r->header),
                          (size_t)PyBytes_GET_SIZE(r->header));
}

/* What is kept of the metadata: the cell. */
static PyObject *request_metadata(PyObject *self, void *closure) {
    struct ak_request *r = (struct ak_request *)self;
    return Py_IsNone(r->cell_id) ? PyDict_New()
                                 : Py_BuildValue("{s:O}", "cellId", r->cell_id);
}

static PyObject *request_finished(PyObject *self, void *closure) {
    return PyBool_FromLong(((struct ak_request *)self)->finished);
}

static PyGetSetDef request_getset[] = {
    {"header", request_header, NULL, NULL, NULL},
    {"metadata", request_metadata, NULL, NULL, NULL},
    {"finished", request_finished, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot request_slots[] = {
    {Py_tp_getset, request_getset},       {Py_tp_traverse, (void *)request_traverse},
    {Py_tp_clear, (void *)request_clear}, {Py_tp_dealloc, (void *)request_dealloc},
    {Py_tp_repr, (void *)request_repr},   {0, NULL},
};

static PyType_Spec request_spec = {
    .name = "_akernel.Request",
    .basicsize = sizeof(struct ak_request),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = request_slots,
};

struct ak_request *ak_request_new(struct ak_space *space, uint64_t id,
                                  struct ak_bytes header) {
    PyTypeObject *type = space->state->request_type;
    struct ak_request *r = (struct ak_request *)type->tp_alloc(type, 0);
    if (!r)
        return NULL;
    r->state = space->state;
    r->space = ak_space_ref(space);
    r->id = id;
    r->cell_id = Py_NewRef(Py_None);
    r->header = header.len
                    ? PyBytes_FromStringAndSize(header.data, (Py_ssize_t)header.len)
                    : Py_NewRef(Py_None);
    if (!r->header) {
        Py_DECREF(r);
        return NULL;
    }
    return r;
}

PyObject *ak_request_context(struct ak_request *request, PyObject *base) {
    AK_PYREF context = base ? PyContext_Copy(base) : PyContext_CopyCurrent();
    if (!context || PyContext_Enter(context) < 0)
        return NULL;
    AK_PYREF token = PyContextVar_Set(request->state->request_var, (PyObject *)request);
    if (PyContext_Exit(context) < 0 || !token)
        return NULL;
    return Py_NewRef(context);
}

struct ak_request *ak_request_current(struct ak_state *state) {
    PyObject *found = NULL;
    if (!state->request_var ||
        PyContextVar_Get(state->request_var, state->newest, &found) < 0) {
        /* Only MemoryError can come here, and output has a default. */
        Py_XDECREF(ak_fault_fetch());
        return (struct ak_request *)state->newest;
    }
    /* The context, or state->newest, keeps it alive for the caller. */
    Py_XDECREF(found);
    return (struct ak_request *)found;
}

struct ak_space *ak_space_current(struct ak_state *state) {
    struct ak_request *request = ak_request_current(state);
    return request ? request->space : state->space;
}

/* A cell keeps its output until it is finished. The handler of a message is over when
 * it returns, and the front end forgets the message with its idle: threads that it
 * starts, which may print before and after, belong to the heir from the beginning. */
static bool has_handed_over(const struct ak_request *r) {
    return r->heir && (r->finished || (r->callback && PyThread_get_thread_ident() !=
                                                          r->state->thread));
}

struct ak_request *ak_request_owner(struct ak_request *request) {
    while (has_handed_over(request))
        request = (struct ak_request *)request->heir;
    return request;
}

struct ak_request *ak_request_output(struct ak_state *state) {
    struct ak_request *request = ak_request_current(state);
    return request ? ak_request_owner(request) : NULL;
}

uint64_t ak_request_output_id(struct ak_state *state) {
    struct ak_request *request = ak_request_output(state);
    return request ? request->id : 0;
}

void ak_request_hand_over(struct ak_state *state, struct ak_request *heir) {
    struct ak_request *request = ak_request_current(state);
    if (!request || request->heir)
        return;
    for (struct ak_request *r = heir; r; r = (struct ak_request *)r->heir) {
        if (r == request)
            return; /* heirs make no circle */
    }
    request->callback = true;
    request->heir = Py_NewRef(heir);
}

int ak_request_setup(struct ak_state *state, PyObject *module) {
    state->request_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &request_spec, NULL);
    state->request_var = PyContextVar_New("akernel.request", NULL);
    state->thread = PyThread_get_thread_ident();
    return state->request_type && state->request_var ? 0 : -1;
}

/* SPDX-License-Identifier: MIT */
/*
 * The way to akernel._inspect and akernel._debug, which look at live objects and so are
 * plain Python:
 * content in, content out, and whatever it raises becomes a reply with status "error".
 */
#include "py/inspect.h"

#include "base/error.h"
#include "py/convert-private.h"
#include "py/fault-private.h"
#include "py/space-private.h"

static const char inspection[] = "akernel._inspect";

static PyObject *call(struct ak_space *space, const char *in, const char *function,
                      struct ak_bytes content) {
    AK_PYREF request = ak_json_decode(space->state, content.data, content.len);
    AK_PYREF module = request ? PyImport_ImportModule(in) : NULL;
    return module ? PyObject_CallMethod(module, function, "OO", space->names, request)
                  : NULL;
}

static int answer(struct ak_space *space, const char *in, const char *function,
                  struct ak_bytes content, struct ak_buf *ret_content) {
    AK_PYREF reply = call(space, in, function, content);
    if (reply && ak_json_encode(space->state, reply, ret_content) == 0)
        return 0;
    struct ak_fault fault = {0};
    ak_fault_take(space->state, &fault);
    int r = ak_buf_add_str(ret_content, "{\"status\": \"error\", ");
    if (!r)
        r = ak_fault_add_json(&fault, ret_content);
    if (!r)
        r = ak_buf_add_char(ret_content, '}');
    ak_fault_done(&fault);
    return r ? ak_error_trace(r) : 0;
}

int ak_inspect_complete(struct ak_space *space, struct ak_bytes content,
                        struct ak_buf *ret_content) {
    return answer(space, "akernel._complete", "complete", content, ret_content);
}

int ak_inspect_inspect(struct ak_space *space, struct ak_bytes content,
                       struct ak_buf *ret_content) {
    return answer(space, inspection, "inspect", content, ret_content);
}

int ak_inspect_is_complete(struct ak_space *space, struct ak_bytes content,
                           struct ak_buf *ret_content) {
    return answer(space, inspection, "is_complete", content, ret_content);
}

int ak_inspect_debug(struct ak_space *space, struct ak_bytes content,
                     struct ak_buf *ret_content) {
    return answer(space, "akernel._debug", "answer", content, ret_content);
}

/* _name_cells_by_hash(): cells that are compiled from now on can be found by a
 * debugger.
 */
static PyObject *name_cells_by_hash(PyObject *module, PyObject *ignored) {
    ak_state_of_module(module)->names_by_hash = true;
    Py_RETURN_NONE;
}

static PyMethodDef inspect_functions[] = {
    {"_name_cells_by_hash", name_cells_by_hash, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int ak_inspect_setup(struct ak_state *state, PyObject *module) {
    return PyModule_AddFunctions(module, inspect_functions);
}

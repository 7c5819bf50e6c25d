/* SPDX-License-Identifier: MIT */
#include "py/scope.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "py/fault-private.h"
#include "py/space-private.h"

struct ak_scope {
    struct ak_state *state;     /* borrowed */
    struct ak_request *request; /* owned */
    PyObject *context;          /* owned */
    struct ak_space *before;    /* borrowed: whose code was on the stack */
};

int ak_scope_enter(struct ak_scope **ret_scope, struct ak_space *space, uint64_t id,
                   struct ak_bytes header) {
    struct ak_scope *scope = calloc(1, sizeof(*scope));
    if (!scope)
        return ak_error_origin(ENOMEM);
    scope->state = space->state;
    scope->request = ak_request_new(space, id, header);
    if (scope->request)
        scope->context = ak_request_context(scope->request, space->context);
    if (scope->context && PyContext_Enter(scope->context) == 0) {
        scope->state->ops->set_current(scope->state->host, id);
        scope->before = ak_cwd_enter(space);
        *ret_scope = scope;
        return 0;
    }
    Py_XDECREF(ak_fault_fetch());
    Py_CLEAR(scope->context);
    Py_CLEAR(scope->request);
    free(scope);
    return ak_error_origin(ENOMEM);
}

void ak_scope_leave(struct ak_scope *scope) {
    if (!scope)
        return;
    scope->request->finished = true;
    ak_cwd_leave(scope->request->space, scope->before);
    if (PyContext_Exit(scope->context) < 0)
        Py_XDECREF(ak_fault_fetch());
    Py_CLEAR(scope->context);
    Py_CLEAR(scope->request);
    free(scope);
}

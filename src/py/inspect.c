/* SPDX-License-Identifier: MIT */
/*
 * The way to akernel._inspect, which looks at live objects and so is plain Python:
 * content in, content out, and whatever it raises becomes a reply with status "error".
 */
#include "py/inspect.h"

#include "base/error.h"
#include "py/convert-private.h"
#include "py/fault-private.h"
#include "py/space-private.h"

static PyObject *call(struct ak_space *space, const char *function,
                      struct ak_bytes content) {
    AK_PYREF request = ak_json_decode(space->state, content.data, content.len);
    AK_PYREF module = request ? PyImport_ImportModule("akernel._inspect") : NULL;
    return module ? PyObject_CallMethod(module, function, "OO", space->names, request)
                  : NULL;
}

static int answer(struct ak_space *space, const char *function, struct ak_bytes content,
                  struct ak_buf *ret_content) {
    AK_PYREF reply = call(space, function, content);
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
    return answer(space, "complete", content, ret_content);
}

int ak_inspect_inspect(struct ak_space *space, struct ak_bytes content,
                       struct ak_buf *ret_content) {
    return answer(space, "inspect", content, ret_content);
}

int ak_inspect_is_complete(struct ak_space *space, struct ak_bytes content,
                           struct ak_buf *ret_content) {
    return answer(space, "is_complete", content, ret_content);
}

/* SPDX-License-Identifier: MIT */
/*
 * Failures that happen outside of any cell's own code: a task that nobody awaited, a
 * callback of the loop, a comm's handler. They are told where the user looks, on stderr
 * of the cell that started it all.
 */
#include "py/report-private.h"

#include "py/fault-private.h"
#include "py/stdio-private.h"

/* A report is not a cell: an interrupt while it waits for room cuts it short. */
static void write_stderr(struct ak_state *state, uint64_t request,
                         const struct ak_buf *text) {
    if (text->len && ak_stream_write(state, 2, request, text->data, text->len) < 0)
        Py_XDECREF(ak_fault_fetch());
}

void ak_report_failure(struct ak_state *state, struct ak_request *request,
                       PyObject *message, PyObject *exception) {
    AK_PYREF pending = ak_fault_fetch();
    AK_BUF_AUTO text = {0};
    int r = 0;
    const char *words =
        message && PyUnicode_Check(message) ? PyUnicode_AsUTF8(message) : NULL;
    if (words)
        r = ak_buf_addf(&text, "%s\n", words);
    if (!r && exception && PyExceptionInstance_Check(exception)) {
        struct ak_fault fault = {0};
        ak_fault_describe(state, exception, &fault);
        for (size_t i = 0; i < fault.n_lines && !r; i++)
            r = ak_buf_addf(&text, "%s\n", fault.lines[i]);
        ak_fault_done(&fault);
    }
    Py_XDECREF(ak_fault_fetch());
    if (!r) {
        write_stderr(state,
                     request ? ak_request_owner(request)->id
                             : ak_request_output_id(state),
                     &text);
    }
    if (pending)
        ak_fault_restore(AK_TAKE(pending));
}

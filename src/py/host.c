/* SPDX-License-Identifier: MIT */
/*
 * The blocking side of the host table for Python callers: try, and when there is no
 * room wait without the GIL, in slices, so that an interrupt ends the wait.
 */
#include "py/record-private.h"

#include <errno.h>

#define WAIT_MS 100

static int raise_gone(struct ak_state *state) {
    PyErr_SetString(
        PyExc_RuntimeError,
        state->forked ? "this process is a fork of the kernel and has no connection to "
                        "the notebook: only what it prints is shown"
                      : "the connection to the kernel process is closed");
    return -1;
}

/* No memory, no descriptor, a limit on file sizes: what stopped the system is what the
 * user has to hear. */
static int raise_fatal(int error) {
    if (error == -ENOMEM) {
        PyErr_NoMemory();
    } else {
        errno = -error;
        PyErr_SetFromErrno(PyExc_OSError);
    }
    return -1;
}

/* What a try came to: 0 done, -1 with an exception set, 1 when there is room now, or
 * may be. */
static int settle(struct ak_state *state, int r) {
    if (r == 0)
        return 0;
    if (r == AK_HOST_E_GONE)
        return raise_gone(state);
    if (r == AK_HOST_E_TOO_BIG) {
        PyErr_SetString(PyExc_ValueError, "this message is too big: it can have "
                                          "4094 buffers, and 2 GiB in all");
        return -1;
    }
    if (r < 0)
        return raise_fatal(r);
    PyThreadState *thread = PyEval_SaveThread();
    (void)state->ops->publish_wait(state->host, WAIT_MS);
    PyEval_RestoreThread(thread);
    return PyErr_CheckSignals() < 0 ? -1 : 1;
}

int ak_host_publish(struct ak_state *state, const struct ak_publication *publication) {
    int r;
    ak_record_tap_publication(state, publication);
    while ((r = settle(state, state->ops->publish(state->host, publication))) > 0)
        ;
    return r;
}

int ak_host_publish_json(struct ak_state *state, enum ak_output output,
                         uint64_t request, const struct ak_buf *content) {
    struct ak_publication publication = {
        .output = output,
        .request = request,
        .content = ak_bytes(ak_buf_str(content), content->len),
        .metadata = ak_bytes("{}", 2),
    };
    return ak_host_publish(state, &publication);
}

int ak_host_ask(struct ak_state *state, uint64_t request, const struct ak_buf *content,
                int *ret_read_fd) {
    struct ak_bytes text = ak_bytes(ak_buf_str(content), content->len);
    int r;
    ak_record_tap_question(state, request);
    while ((r = settle(state,
                       state->ops->ask(state->host, request, text, ret_read_fd))) > 0)
        ;
    return r;
}

int ak_host_call(struct ak_state *state, uint64_t request, struct ak_bytes text,
                 int *ret_read_fd) {
    int r;
    while ((r = settle(state,
                       state->ops->call(state->host, request, text, ret_read_fd))) > 0)
        ;
    return r;
}

int ak_host_show_again(struct ak_state *state, uint64_t request,
                       const struct ak_buf *options) {
    struct ak_bytes text = ak_bytes(ak_buf_str(options), options->len);
    int r;
    ak_record_tap_question(state, request);
    while ((r = settle(state, state->ops->show_again(state->host, request, text))) > 0)
        ;
    return r;
}

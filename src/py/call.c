/* SPDX-License-Identifier: MIT */
/*
 * What user code asks of the kernel process (akernel.sessions() and its kin): a JSON
 * text in the name of the running request, and the text that answers it. The answer
 * comes through a pipe of its own, as that of input() does, and is read without the
 * GIL.
 */
#include "py/state-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "py/fault-private.h"
#include "py/space-private.h"

static PyObject *read_all(int fd) {
    AK_BUF_AUTO text = {0};
    for (;;) {
        char chunk[16384];
        ssize_t n;
        int error;
        Py_BEGIN_ALLOW_THREADS;
        n = read(fd, chunk, sizeof(chunk));
        error = errno;
        Py_END_ALLOW_THREADS;
        if (n == 0)
            return PyBytes_FromStringAndSize(ak_buf_str(&text), (Py_ssize_t)text.len);
        if (n > 0 && ak_buf_add(&text, chunk, (size_t)n))
            return PyErr_NoMemory();
        if (n < 0 && error != EINTR) {
            errno = error;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        if (PyErr_CheckSignals() < 0)
            return NULL;
    }
}

/* _call(text): the answer as bytes; empty when nobody answers. */
static PyObject *py_call(PyObject *module, PyObject *text) {
    struct ak_state *state = ak_state_of_module(module);
    Py_ssize_t len;
    const char *utf8 = PyUnicode_AsUTF8AndSize(text, &len);
    int fd;
    if (!utf8)
        return NULL;
    struct ak_request *request = ak_request_current(state);
    if (ak_host_call(state, request ? request->id : 0, ak_bytes(utf8, (size_t)len),
                     &fd) < 0)
        return NULL;
    PyObject *answer = read_all(fd);
    close(fd);
    return answer;
}

/* _session(): the number of the running code's world; 0 where there is one alone. */
static PyObject *py_session(PyObject *module, PyObject *ignored) {
    struct ak_space *space = ak_space_current(ak_state_of_module(module));
    return PyLong_FromUnsignedLongLong(space ? space->number : 0);
}

/* _memory(): {number: bytes of what its names hold} of the worlds in this process. */
static PyObject *py_memory(PyObject *module, PyObject *ignored) {
    struct ak_state *state = ak_state_of_module(module);
    AK_PYREF sizes = PyDict_New();
    ak_list_for_each(node, next, &state->spaces) {
        struct ak_space *space = ak_list_entry(node, struct ak_space, link);
        AK_PYREF key = PyLong_FromUnsignedLongLong(space->number);
        AK_PYREF size = PyLong_FromSize_t(ak_space_memory(space));
        if (!sizes || !key || !size || PyDict_SetItem(sizes, key, size) < 0)
            return NULL;
    }
    return Py_XNewRef(sizes);
}

static PyMethodDef call_functions[] = {
    {"_call", py_call, METH_O, NULL},
    {"_session", py_session, METH_NOARGS, NULL},
    {"_memory", py_memory, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int ak_call_setup(struct ak_state *state, PyObject *module) {
    ak_list_init(&state->spaces);
    return PyModule_AddFunctions(module, call_functions);
}

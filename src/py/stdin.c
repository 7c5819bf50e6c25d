/* SPDX-License-Identifier: MIT */
/*
 * input(), getpass() and ainput(): a question to the front end of the request that runs
 * (messaging spec, "Messages on the stdin ROUTER/DEALER channel").
 *
 * Each question carries the write end of a fresh pipe to the kernel process, and
 * whoever asked reads the other end: any thread may ask, an interrupt is an EINTR, and
 * the loop is not involved. ainput() reads the same pipe when the loop says that it is
 * readable.
 *
 * The answer is a line with its line end. End of file alone means that nobody answers,
 * and a single EOT (Ctrl-D) is the end of input, as on a terminal.
 */
#include "py/state-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "py/convert-private.h"
#include "py/fault-private.h"

static const char eot[] = "\x04";

/* Asks and gives the descriptor to read, or -1 with an exception set. */
static int ask(struct ak_state *state, PyObject *prompt, bool password) {
    struct ak_request *request = ak_request_current(state);
    if (state->forked) {
        PyErr_SetString(
            PyExc_EOFError,
            "this process is a fork of the kernel and cannot ask for input");
        return -1;
    }
    if (!request || !request->allow_stdin) {
        PyErr_SetString(state->stdin_error,
                        "this front end does not answer questions: the cell was run "
                        "without a way to ask for input");
        return -1;
    }
    AK_PYREF text = prompt ? PyObject_Str(prompt) : PyUnicode_FromString("");
    AK_BUF_AUTO content = {0};
    if (!text || ak_buf_add_str(&content, "{\"prompt\": ") ||
        ak_json_encode_str(text, &content) < 0 ||
        ak_buf_addf(&content, ", \"password\": %s}", password ? "true" : "false")) {
        if (!PyErr_Occurred())
            PyErr_NoMemory();
        return -1;
    }
    int fd;
    return ak_host_ask(state, ak_request_output_id(state), &content, &fd) < 0 ? -1 : fd;
}

/* What an answer means; takes no reference. */
static PyObject *answer(const struct ak_buf *line) {
    size_t len = line->len;
    if (len == 0) {
        PyErr_SetString(PyExc_EOFError, "nobody answered this request for input");
        return NULL;
    }
    if (line->data[len - 1] == '\n')
        len--;
    if (len == sizeof(eot) - 1 && memcmp(line->data, eot, len) == 0) {
        PyErr_SetString(PyExc_EOFError, "end of input");
        return NULL;
    }
    return PyUnicode_DecodeUTF8(line->data, (Py_ssize_t)len, "replace");
}

/* Waits until there is something to read. An interrupt that comes just before the wait
 * must end it too, so SIGINT is let in by the wait itself and by nothing before it. 0,
 * or -1 with an exception set. */
static int wait_readable(int fd) {
    sigset_t interrupt, before;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigaddset(&interrupt, AK_SIGNAL_WORLD);
    pthread_sigmask(SIG_BLOCK, &interrupt, &before);
    int r = PyErr_CheckSignals();
    if (r == 0) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        Py_BEGIN_ALLOW_THREADS;
        (void)ppoll(&pfd, 1, NULL, &before);
        Py_END_ALLOW_THREADS;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

static PyObject *read_line(int fd) {
    AK_BUF_AUTO line = {0};
    for (;;) {
        char chunk[4096];
        ssize_t n;
        int error;
        if (wait_readable(fd) < 0 || PyErr_CheckSignals() < 0)
            return NULL;
        n = read(fd, chunk, sizeof(chunk));
        error = errno;
        if (n == 0)
            return answer(&line);
        if (n > 0 && ak_buf_add(&line, chunk, (size_t)n))
            return PyErr_NoMemory();
        if (n < 0 && error != EINTR && error != EAGAIN) {
            errno = error;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        if (PyErr_CheckSignals() < 0)
            return NULL;
    }
}

static PyObject *ask_and_wait(struct ak_state *state, PyObject *prompt, bool password) {
    AK_CLEANUP(ak_closep) int fd = ask(state, prompt, password);
    if (fd >= 0)
        (void)fcntl(fd, F_SETFL, O_NONBLOCK); /* waiting is wait_readable's */
    return fd < 0 ? NULL : read_line(fd);
}

static PyObject *py_input(PyObject *module, PyObject *args) {
    PyObject *prompt = NULL; /* borrowed */
    if (!PyArg_UnpackTuple(args, "input", 0, 1, &prompt))
        return NULL;
    return ask_and_wait(ak_state_of_module(module), prompt, false);
}

static PyObject *py_getpass(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"prompt", "stream", NULL};
    PyObject *prompt = NULL, *stream = NULL; /* borrowed */
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:getpass", names, &prompt,
                                     &stream))
        return NULL;
    AK_PYREF otherwise = prompt ? NULL : PyUnicode_FromString("Password: ");
    return ask_and_wait(ak_state_of_module(module), prompt ? prompt : otherwise, true);
}

/* _ask(prompt, password): the descriptor for ainput, which the caller closes. */
static PyObject *py_ask(PyObject *module, PyObject *args) {
    PyObject *prompt; /* borrowed */
    int password = 0;
    if (!PyArg_ParseTuple(args, "O|p:_ask", &prompt, &password))
        return NULL;
    int fd = ask(ak_state_of_module(module), prompt, password);
    if (fd < 0)
        return NULL;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        close(fd);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyLong_FromLong(fd);
}

/* _answer(bytes): what the bytes of an answer mean. */
static PyObject *py_answer(PyObject *module, PyObject *bytes) {
    char *data;
    Py_ssize_t len;
    if (PyBytes_AsStringAndSize(bytes, &data, &len) < 0)
        return NULL;
    struct ak_buf line = {.data = data, .len = (size_t)len};
    return answer(&line);
}

static PyMethodDef stdin_functions[] = {
    {"input", py_input, METH_VARARGS,
     "input(prompt='', /)\n--\n\nAsk the front end for a line of text."},
    {"getpass", (PyCFunction)(void (*)(void))py_getpass, METH_VARARGS | METH_KEYWORDS,
     "getpass(prompt='Password: ', stream=None)\n--\n\nAsk the front end for a "
     "password."},
    {"_ask", py_ask, METH_VARARGS, NULL},
    {"_answer", py_answer, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

int ak_stdin_setup(struct ak_state *state, PyObject *module) {
    state->stdin_error = PyErr_NewException("_akernel.StdinNotImplementedError",
                                            PyExc_RuntimeError, NULL);
    if (!state->stdin_error || PyModule_AddFunctions(module, stdin_functions) < 0 ||
        PyModule_AddObjectRef(module, "StdinNotImplementedError", state->stdin_error) <
            0)
        return -1;
    PyObject *builtins = PyEval_GetBuiltins(); /* borrowed */
    AK_PYREF function = PyObject_GetAttrString(module, "input");
    return function ? PyDict_SetItemString(builtins, "input", function) : -1;
}

/* SPDX-License-Identifier: MIT */
/*
 * sys.stdout and sys.stderr. A write hands its text, with the request of the running
 * context, to the host's ring and returns: there is no buffer here, so flush has
 * nothing to do, and what was written survives the process. Coalescing into messages is
 * the kernel process's.
 *
 * The fast path keeps the GIL and tries once. When the ring is full, or another thread
 * is inside it, the rest is written without the GIL, with a look at signals between
 * tries, so that an interrupt ends a flood. A write from within a write of the same
 * thread (a destructor or a signal handler) is kept and follows; other threads wait for
 * room by themselves, because what is kept has one owner.
 *
 * The types derive from io.TextIOBase and io.BufferedIOBase, because libraries ask.
 * Their instances are laid out by those bases, whose size is known only at run time:
 * our fields lie behind, at the offset kept in the state.
 */
#include "py/stdio-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "py/cell-private.h"
#include "py/convert-private.h"
#include "py/fault-private.h"
#include "py/record-private.h"

#define WAIT_MS 100

struct stream {
    int number;           /* 1 or 2 */
    unsigned long writer; /* the thread that is inside a write; 0 when none is */
    struct ak_buf kept; /* text that was written from within a write; the line that the
                         * child of a fork has not ended yet */
    uint64_t kept_request;
};

static struct stream *stream_of(struct ak_state *state, PyObject *self) {
    return (struct stream *)(void *)((char *)self + state->stream_offset);
}

/* The child of a fork writes to its descriptors like any program. */
static int write_descriptor(int fd, const char *text, size_t len) {
    while (len) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR) {
            if (PyErr_CheckSignals() < 0)
                return -1;
            continue;
        }
        if (n < 0) {
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Writes what is left without the GIL until it is gone. */
static int write_patiently(struct ak_state *state, uint64_t request, int number,
                           const char *text, size_t len) {
    for (;;) {
        size_t taken = 0;
        PyThreadState *thread = PyEval_SaveThread();
        int r = state->ops->stream_write(state->host, request, number, text, len, true,
                                         &taken);
        if (r == AK_HOST_E_FULL)
            (void)state->ops->stream_wait(state->host, WAIT_MS);
        PyEval_RestoreThread(thread);
        text += taken;
        len -= taken;
        if (len == 0 || r != AK_HOST_E_FULL)
            return 0;
        if (PyErr_CheckSignals() < 0)
            return -1;
    }
}

int ak_stream_write(struct ak_state *state, int number, uint64_t request,
                    const char *text, size_t len) {
    if (state->forked)
        return write_descriptor(number, text, len);
    ak_record_tap_text(state, request, number, text, len);
    size_t taken = 0;
    int r = state->ops->stream_write(state->host, request, number, text, len, false,
                                     &taken);
    if (r != AK_HOST_E_FULL)
        return 0; /* all taken, or nobody is there to take it */
    return write_patiently(state, request, number, text + taken, len - taken);
}

/* The child of a fork writes whole lines: many children share the two descriptors. */
static int write_lines(struct stream *stream, const char *text, size_t len) {
    if (ak_buf_add(&stream->kept, text, len)) {
        PyErr_NoMemory();
        return -1;
    }
    char *end = memrchr(stream->kept.data, '\n', stream->kept.len);
    size_t n = end ? (size_t)(end - stream->kept.data) + 1 : 0;
    int r = write_descriptor(stream->number, stream->kept.data, n);
    ak_buf_consume(&stream->kept, n);
    return r;
}

static int write_bytes(struct ak_state *state, struct stream *stream, const char *text,
                       size_t len) {
    if (stream->number == 0) {
        PyErr_SetString(PyExc_ValueError, "I/O operation on uninitialized object");
        return -1;
    }
    if (state->forked)
        return write_lines(stream, text, len);
    struct ak_request *owner = ak_request_output(state); /* borrowed */
    uint64_t request = owner ? owner->id : 0;
    int caught = owner ? ak_late_route_text(owner, text, len) : 0;
    if (caught)
        return caught < 0 ? -1 : 0;
    unsigned long self = PyThread_get_thread_ident();
    if (stream->writer == self) {
        stream->kept_request = request;
        return ak_buf_add(&stream->kept, text, len) ? -1 : 0;
    }
    bool outermost = stream->writer == 0;
    if (outermost)
        stream->writer = self;
    int r = ak_stream_write(state, stream->number, request, text, len);
    if (!outermost)
        return r;
    stream->writer = 0;
    if (stream->kept.len && r == 0) {
        struct ak_buf kept = stream->kept;
        stream->kept = (struct ak_buf){0};
        r = ak_stream_write(state, stream->number, stream->kept_request, kept.data,
                            kept.len);
        ak_buf_done(&kept);
    }
    return r;
}

static PyObject *stream_write(PyObject *self, PyTypeObject *cls, PyObject *const *args,
                              Py_ssize_t n_args, PyObject *names) {
    struct ak_state *state = ak_state_of_type(cls);
    if (n_args != 1 || !PyUnicode_Check(args[0])) {
        PyErr_Format(PyExc_TypeError, "write() argument must be str, not %.200s",
                     n_args ? Py_TYPE(args[0])->tp_name : "nothing");
        return NULL;
    }
    Py_ssize_t len;
    AK_PYREF clean = NULL;
    const char *text = PyUnicode_AsUTF8AndSize(args[0], &len);
    if (!text) {
        Py_XDECREF(ak_fault_fetch());
        clean = ak_text_without_surrogates(args[0]);
        text = clean ? PyUnicode_AsUTF8AndSize(clean, &len) : NULL;
        if (!text)
            return NULL;
    }
    if (len && write_bytes(state, stream_of(state, self), text, (size_t)len) < 0)
        return NULL;
    return PyLong_FromSsize_t(PyUnicode_GET_LENGTH(args[0]));
}

static PyObject *stream_writelines(PyObject *self, PyObject *lines) {
    AK_PYREF iterator = PyObject_GetIter(lines);
    if (!iterator)
        return NULL;
    for (;;) {
        AK_PYREF line = PyIter_Next(iterator);
        if (!line)
            break;
        AK_PYREF done = PyObject_CallMethod(self, "write", "O", line);
        if (!done)
            return NULL;
    }
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/* buffer.write(bytes): the bytes go out as they are; the reader puts UTF-8 sequences
 * that were split between two writes together. */
static PyObject *buffer_write(PyObject *self, PyTypeObject *cls, PyObject *const *args,
                              Py_ssize_t n_args, PyObject *names) {
    struct ak_state *state = ak_state_of_type(cls);
    Py_buffer view;
    if (n_args != 1) {
        PyErr_SetString(PyExc_TypeError, "write() takes one argument");
        return NULL;
    }
    if (PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) < 0)
        return NULL;
    int r = view.len
                ? write_bytes(state, stream_of(state, self), view.buf, (size_t)view.len)
                : 0;
    PyObject *len = r ? NULL : PyLong_FromSsize_t(view.len);
    PyBuffer_Release(&view);
    return len;
}

static PyObject *stream_flush(PyObject *self, PyTypeObject *cls, PyObject *const *args,
                              Py_ssize_t n_args, PyObject *names) {
    struct ak_state *state = ak_state_of_type(cls);
    struct stream *stream = stream_of(state, self);
    if (state->forked && stream->kept.len) {
        int r = write_descriptor(stream->number, stream->kept.data, stream->kept.len);
        ak_buf_clear(&stream->kept);
        if (r < 0)
            return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *return_none(PyObject *self, PyObject *args, PyObject *kwargs) {
    Py_RETURN_NONE;
}

static PyObject *return_true(PyObject *self, PyObject *ignored) {
    Py_RETURN_TRUE;
}

static PyObject *return_false(PyObject *self, PyObject *ignored) {
    Py_RETURN_FALSE;
}

static PyObject *stream_fileno(PyObject *self, PyTypeObject *cls, PyObject *const *args,
                               Py_ssize_t n_args, PyObject *names) {
    return PyLong_FromLong(stream_of(ak_state_of_type(cls), self)->number);
}

/* ipykernel's streams have it, and its users ask: true in the process of the kernel. */
static PyObject *stream_is_master(PyObject *self, PyTypeObject *cls,
                                  PyObject *const *args, Py_ssize_t n_args,
                                  PyObject *names) {
    return PyBool_FromLong(!ak_state_of_type(cls)->forked);
}

#define METHOD(function) (PyCFunction)(void (*)(void))(function)
#define CLASS_METHOD (METH_METHOD | METH_FASTCALL | METH_KEYWORDS)
#define ANY (METH_VARARGS | METH_KEYWORDS)

static PyMethodDef stream_methods[] = {
    {"write", METHOD(stream_write), CLASS_METHOD, NULL},
    {"writelines", stream_writelines, METH_O, NULL},
    {"flush", METHOD(stream_flush), CLASS_METHOD, NULL},
    {"close", METHOD(return_none), ANY, NULL},
    {"reconfigure", METHOD(return_none), ANY, NULL},
    {"fileno", METHOD(stream_fileno), CLASS_METHOD, NULL},
    {"isatty", return_false, METH_NOARGS, NULL},
    {"readable", return_false, METH_NOARGS, NULL},
    {"seekable", return_false, METH_NOARGS, NULL},
    {"writable", return_true, METH_NOARGS, NULL},
    {"_is_master_process", METHOD(stream_is_master), CLASS_METHOD, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef buffer_methods[] = {
    {"write", METHOD(buffer_write), CLASS_METHOD, NULL},
    {"flush", METHOD(stream_flush), CLASS_METHOD, NULL},
    {"close", METHOD(return_none), ANY, NULL},
    {"fileno", METHOD(stream_fileno), CLASS_METHOD, NULL},
    {"isatty", return_false, METH_NOARGS, NULL},
    {"readable", return_false, METH_NOARGS, NULL},
    {"seekable", return_false, METH_NOARGS, NULL},
    {"writable", return_true, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* A constant as an attribute; closure is its text, NULL for None. */
static PyObject *get_text(PyObject *self, void *closure) {
    if (!closure)
        Py_RETURN_NONE;
    return PyUnicode_FromString(closure);
}

static PyObject *get_true(PyObject *self, void *closure) {
    Py_RETURN_TRUE;
}

static PyObject *get_false(PyObject *self, void *closure) {
    Py_RETURN_FALSE;
}

static PyGetSetDef stream_getset[] = {
    {"encoding", get_text, NULL, NULL, "UTF-8"},
    {"errors", get_text, NULL, NULL, "replace"},
    {"mode", get_text, NULL, NULL, "w"},
    {"newlines", get_text, NULL, NULL, NULL},
    {"closed", get_false, NULL, NULL, NULL},
    {"line_buffering", get_true, NULL, NULL, NULL},
    {"write_through", get_true, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyGetSetDef buffer_getset[] = {
    {"mode", get_text, NULL, NULL, "wb"},
    {"closed", get_false, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot stream_slots[] = {
    {Py_tp_methods, stream_methods},
    {Py_tp_getset, stream_getset},
    {0, NULL},
};

static PyType_Slot buffer_slots[] = {
    {Py_tp_methods, buffer_methods},
    {Py_tp_getset, buffer_getset},
    {0, NULL},
};

static PyTypeObject *make_type(struct ak_state *state, PyObject *module,
                               const char *base_name, PyType_Spec *spec) {
    AK_PYREF io = PyImport_ImportModule("io");
    AK_PYREF base = io ? PyObject_GetAttrString(io, base_name) : NULL;
    AK_PYREF bases = base ? PyTuple_Pack(1, base) : NULL;
    if (!bases)
        return NULL;
    size_t align = _Alignof(struct stream);
    size_t offset = (size_t)((PyTypeObject *)base)->tp_basicsize;
    offset = (offset + align - 1) & ~(align - 1);
    if (state->stream_offset == 0)
        state->stream_offset = offset;
    spec->basicsize = (int)(state->stream_offset + sizeof(struct stream));
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, bases);
}

/* One stream with its buffer, as sys.<name> and, before it, the interpreter's own. */
static int install(struct ak_state *state, int number, const char *name,
                   const char *display_name) {
    AK_PYREF stream = PyObject_CallNoArgs((PyObject *)state->stream_type);
    AK_PYREF buffer = PyObject_CallNoArgs((PyObject *)state->buffer_type);
    AK_PYREF label = PyUnicode_FromString(display_name);
    if (!stream || !buffer || !label)
        return -1;
    stream_of(state, stream)->number = number;
    stream_of(state, buffer)->number = number;
    if (PyObject_SetAttrString(stream, "buffer", buffer) < 0 ||
        PyObject_SetAttrString(stream, "name", label) < 0 ||
        PyObject_SetAttrString(buffer, "name", label) < 0 ||
        PyObject_SetAttrString(buffer, "raw", buffer) < 0)
        return -1;
    Py_XSETREF(state->streams[number - 1], Py_NewRef(stream));
    return PySys_SetObject(name, stream);
}

int ak_stdio_setup(struct ak_state *state, PyObject *module) {
    PyType_Spec stream_spec = {
        .name = "_akernel.Stream",
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
        .slots = stream_slots,
    };
    PyType_Spec buffer_spec = {
        .name = "_akernel.StreamBuffer",
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
        .slots = buffer_slots,
    };
    state->stream_type = make_type(state, module, "TextIOBase", &stream_spec);
    state->buffer_type = make_type(state, module, "BufferedIOBase", &buffer_spec);
    if (!state->stream_type || !state->buffer_type)
        return -1;
    if (install(state, 1, "stdout", "<stdout>") < 0 ||
        install(state, 2, "stderr", "<stderr>") < 0)
        return -1;
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Tracebacks as a notebook shows them: newest call last, "Cell In[3], line 2" for code
 * of cells, the failing line with carets under the failing expression, causes and
 * contexts before what they led to, groups indented below their head, our own frames
 * left out.
 *
 * Everything here comes from user code that has just failed, so everything is bounded:
 * the text, a message, the frames of one exception, the chain, the breadth and the
 * depth of groups; and every call into Python may fail without more harm than a missing
 * line.
 */
#include "py/traceback-private.h"

#include <limits.h>
#include <string.h>

#include "py/convert-private.h"
#include "py/fault-private.h"

#define MESSAGE_MAX (64u << 10)
#define LINE_MAX_BYTES 512
#define FRAMES_MAX 64 /* beyond, the middle is left out */
#define FRAMES_END 24 /* how many of the newest frames are kept then */
#define REPEATS_MAX 3 /* times that one frame is shown in a row */
#define CHAIN_MAX 16
#define GROUP_WIDTH 12
#define GROUP_DEPTH 6

#define RED "\x1b[31m"
#define GREEN "\x1b[32m"
#define CYAN "\x1b[36m"
#define RESET "\x1b[0m"

struct writer {
    struct ak_state *state;
    struct ak_buf *text;
    int indent;
    bool cut;
};

static void forget(void) {
    Py_XDECREF(ak_fault_fetch());
}

static void put(struct writer *w, const char *text, size_t len) {
    if (w->cut || w->text->len + len + 64 > AK_TRACEBACK_MAX) {
        if (!w->cut)
            (void)ak_buf_add_str(w->text,
                                 "\n[the rest of this traceback is left out]\n");
        w->cut = true;
        return;
    }
    (void)ak_buf_add(w->text, text, len);
}

static void put_str(struct writer *w, const char *text) {
    put(w, text, strlen(text));
}

static void start_line(struct writer *w) {
    for (int i = 0; i < w->indent; i++)
        put_str(w, "  | ");
}

/* UTF-8 of a str, at most max bytes of it; anything else is left out. */
static void add_bounded(struct ak_buf *text, PyObject *str, size_t max) {
    Py_ssize_t len = 0;
    AK_PYREF slice = NULL;
    if (!PyUnicode_Check(str))
        return;
    Py_ssize_t n = PyUnicode_GET_LENGTH(str);
    slice = PyUnicode_Substring(str, 0, n < (Py_ssize_t)max ? n : (Py_ssize_t)max);
    AK_PYREF clean = slice ? ak_text_without_surrogates(slice) : NULL;
    const char *utf8 = clean ? PyUnicode_AsUTF8AndSize(clean, &len) : NULL;
    if (utf8) {
        (void)ak_buf_add(text, utf8, (size_t)len);
        if (n > (Py_ssize_t)max)
            (void)ak_buf_addf(text, "... [%zd more characters]", n - (Py_ssize_t)max);
    }
    forget();
}

void ak_traceback_message(PyObject *exception, struct ak_buf *text) {
    AK_PYREF str = PyObject_Str(exception);
    if (str)
        add_bounded(text, str, MESSAGE_MAX);
    else
        (void)ak_buf_add_str(text, "<str() of this exception failed>");
    forget();
}

void ak_traceback_type_name(PyObject *type, struct ak_buf *text) {
    AK_PYREF name = PyType_Check(type) ? PyType_GetName((PyTypeObject *)type) : NULL;
    if (name)
        add_bounded(text, name, 1000);
    forget();
    if (text->len == 0)
        (void)ak_buf_add_str(text, "Exception");
}

/* Writes text that may have many lines, each behind the indent. */
static void put_lines(struct writer *w, const char *text) {
    for (;;) {
        size_t n = strcspn(text, "\n");
        put(w, text, n);
        if (text[n] == '\0')
            break;
        put_str(w, "\n");
        start_line(w);
        text += n + 1;
    }
}

/* --- one frame ---------------------------------------------------------------------
 */

/* "Cell In[3]" or "File path". */
static void put_place(struct writer *w, PyObject *filename) {
    PyObject *count = /* borrowed */
        w->state->sources && PyUnicode_Check(filename)
            ? PyDict_GetItemWithError(w->state->sources, filename)
            : NULL;
    AK_BUF_AUTO place = {0};
    if (count) {
        (void)ak_buf_addf(&place, "Cell In[%ld]", PyLong_AsLong(count));
    } else {
        (void)ak_buf_add_str(&place, "File ");
        add_bounded(&place, filename, 1000);
    }
    forget();
    put_str(w, GREEN);
    put_str(w, ak_buf_str(&place));
    put_str(w, RESET);
}

/* The source line, new reference or NULL. */
static PyObject *source_line(PyObject *filename, int line, PyObject *globals) {
    AK_PYREF linecache = PyImport_ImportModule("linecache");
    PyObject *text = linecache
                         ? PyObject_CallMethod(linecache, "getline", "OiO", filename,
                                               line, globals ? globals : Py_None)
                         : NULL;
    forget();
    return text;
}

/* A line of source without its indentation, and carets under [from, to) in UTF-8 bytes
 * of the original line when they do not just cover all of it. */
static void put_source(struct writer *w, PyObject *line, int from, int to) {
    Py_ssize_t len = 0;
    const char *text =
        PyUnicode_Check(line) ? PyUnicode_AsUTF8AndSize(line, &len) : NULL;
    if (!text) {
        forget();
        return;
    }
    size_t start = strspn(text, " \t\f");
    size_t end = (size_t)len;
    while (end > start && strchr(" \t\r\n\f", text[end - 1]))
        end--;
    if (end == start)
        return;
    size_t shown = end - start < LINE_MAX_BYTES ? end - start : LINE_MAX_BYTES;
    while (shown < end - start && ((unsigned char)text[start + shown] & 0xC0) == 0x80)
        shown--;
    start_line(w);
    put_str(w, "    ");
    put(w, text + start, shown);
    put_str(w, "\n");
    if (from < (int)start || to <= from || (size_t)to > start + shown ||
        ((size_t)from == start && (size_t)to == end))
        return;
    start_line(w);
    put_str(w, "    " RED);
    for (size_t i = start; i < (size_t)to; i++) {
        if (((unsigned char)text[i] & 0xC0) != 0x80)
            put_str(w, i >= (size_t)from ? "^" : " ");
    }
    put_str(w, RESET "\n");
}

static bool is_ours(PyCodeObject *code) {
    const char *file = PyUnicode_AsUTF8(code->co_filename);
    bool ours = file && strncmp(file, "<frozen akernel", 15) == 0;
    forget();
    return ours;
}

static void put_frame(struct writer *w, PyTracebackObject *tb, PyCodeObject *code) {
    int line = -1, column = -1, end_line = -1, end_column = -1;
    (void)PyCode_Addr2Location(code, tb->tb_lasti, &line, &column, &end_line,
                               &end_column);
    if (line < 0)
        line = PyCode_Addr2Line(code, tb->tb_lasti);
    start_line(w);
    put_place(w, code->co_filename);
    AK_BUF_AUTO rest = {0};
    (void)ak_buf_addf(&rest, ", line %d", line);
    const char *name = PyUnicode_AsUTF8(code->co_name);
    if (name && strcmp(name, "<module>") != 0)
        (void)ak_buf_addf(&rest, ", in %s%.200s%s", CYAN, name, RESET);
    forget();
    put_str(w, ak_buf_str(&rest));
    put_str(w, "\n");
    AK_PYREF globals = PyFrame_GetGlobals(tb->tb_frame);
    AK_PYREF text = line > 0 ? source_line(code->co_filename, line, globals) : NULL;
    if (text) {
        bool one_line = end_line == line && column >= 0 && end_column > column;
        /* An expression over several lines is marked to the end of its first one. */
        int to = one_line ? end_column : column >= 0 && end_line > line ? INT_MAX : 0;
        if (to == INT_MAX) {
            const char *utf8 = PyUnicode_AsUTF8(text);
            to = utf8 ? (int)strcspn(utf8, "\r\n") : 0;
            forget();
        }
        put_source(w, text, column, to);
    }
    forget();
}

/* --- one exception -----------------------------------------------------------------
 */

static size_t count_frames(PyTracebackObject *tb) {
    size_t n = 0;
    for (; tb; tb = tb->tb_next)
        n++;
    return n;
}

static void put_frames(struct writer *w, PyTracebackObject *tb) {
    size_t n = count_frames(tb), index = 0;
    PyCodeObject *last = NULL; /* borrowed: compared as an identity */
    int last_lasti = -1;
    size_t repeats = 0;
    for (; tb && !w->cut; tb = tb->tb_next, index++) {
        if (n > FRAMES_MAX && index == FRAMES_MAX - FRAMES_END) {
            size_t skipped = n - FRAMES_MAX;
            AK_BUF_AUTO note = {0};
            (void)ak_buf_addf(&note, "    [... %zu frames are left out]\n", skipped);
            start_line(w);
            put_str(w, ak_buf_str(&note));
            for (; skipped && tb->tb_next; skipped--, index++)
                tb = tb->tb_next;
        }
        PyCodeObject *code = PyFrame_GetCode(tb->tb_frame);
        bool same = code == last && tb->tb_lasti == last_lasti;
        repeats = same ? repeats + 1 : 0;
        last = code;
        last_lasti = tb->tb_lasti;
        if (!is_ours(code) && repeats < REPEATS_MAX)
            put_frame(w, tb, code);
        else if (repeats == REPEATS_MAX) {
            start_line(w);
            put_str(w, "    [the same again and again]\n");
        }
        Py_DECREF(code);
    }
}

static long int_attribute(PyObject *object, const char *name) {
    AK_PYREF value = PyObject_GetAttrString(object, name);
    long number = value && PyLong_Check(value) ? PyLong_AsLong(value) : -1;
    forget();
    return number;
}

/* A SyntaxError shows where in the source that did not compile. */
static void put_syntax_place(struct writer *w, PyObject *exception) {
    long line = int_attribute(exception, "lineno");
    long from = int_attribute(exception, "offset");
    long to = int_attribute(exception, "end_offset");
    long end_line = int_attribute(exception, "end_lineno");
    AK_PYREF filename = PyObject_GetAttrString(exception, "filename");
    AK_PYREF text = PyObject_GetAttrString(exception, "text");
    forget();
    if (line < 1 || !filename || !PyUnicode_Check(filename))
        return;
    start_line(w);
    put_place(w, filename);
    AK_BUF_AUTO rest = {0};
    (void)ak_buf_addf(&rest, ", line %ld\n", line);
    put_str(w, ak_buf_str(&rest));
    if (!text || !PyUnicode_Check(text))
        return;
    /* Offsets count characters from one here; put_source counts bytes from zero. */
    AK_PYREF head = from > 0 ? PyUnicode_Substring(text, 0, from - 1) : NULL;
    Py_ssize_t from_bytes = 0;
    if (head && PyUnicode_AsUTF8AndSize(head, &from_bytes)) {
        bool span = end_line == line && to > from;
        put_source(w, text, (int)from_bytes,
                   (int)from_bytes + (int)(span ? to - from : 1));
    } else {
        put_source(w, text, 0, 0);
    }
    forget();
}

static void put_notes(struct writer *w, PyObject *exception) {
    AK_PYREF notes = PyObject_GetAttrString(exception, "__notes__");
    AK_PYREF list = notes ? PySequence_List(notes) : NULL;
    forget();
    for (Py_ssize_t i = 0; list && i < PyList_GET_SIZE(list) && i < 100; i++) {
        AK_PYREF str = PyObject_Str(PyList_GET_ITEM(list, i));
        AK_BUF_AUTO note = {0};
        if (str)
            add_bounded(&note, str, MESSAGE_MAX);
        forget();
        start_line(w);
        put_lines(w, ak_buf_str(&note));
        put_str(w, "\n");
    }
}

/* "module.Name: message", without the module of builtins and of cells. */
static void put_head(struct writer *w, PyObject *exception) {
    PyObject *type = (PyObject *)Py_TYPE(exception); /* borrowed */
    AK_BUF_AUTO head = {0};
    AK_BUF_AUTO message = {0};
    AK_PYREF module = PyObject_GetAttrString(type, "__module__");
    const char *name =
        module && PyUnicode_Check(module) ? PyUnicode_AsUTF8(module) : NULL;
    if (name && strcmp(name, "builtins") != 0 && strcmp(name, "__main__") != 0)
        (void)ak_buf_addf(&head, "%.200s.", name);
    forget();
    AK_BUF_AUTO type_name = {0};
    ak_traceback_type_name(type, &type_name);
    (void)ak_buf_add(&head, type_name.data, type_name.len);
    if (PyErr_GivenExceptionMatches(exception, PyExc_SyntaxError)) {
        AK_PYREF msg = PyObject_GetAttrString(exception, "msg");
        if (msg)
            add_bounded(&message, msg, MESSAGE_MAX);
        forget();
    } else {
        ak_traceback_message(exception, &message);
    }
    start_line(w);
    put_str(w, RED);
    put_str(w, ak_buf_str(&head));
    put_str(w, RESET);
    if (message.len) {
        put_str(w, ": ");
        put_lines(w, ak_buf_str(&message));
    }
    put_str(w, "\n");
    put_notes(w, exception);
}

static void put_chain(struct writer *w, PyObject *exception, int depth);

/* The exceptions of a group, each indented and with its own chain. */
static void put_group(struct writer *w, PyObject *exception, int depth) {
    AK_PYREF members = PyObject_GetAttrString(exception, "exceptions");
    AK_PYREF list = members ? PySequence_List(members) : NULL;
    forget();
    if (!list)
        return;
    Py_ssize_t n = PyList_GET_SIZE(list);
    w->indent++;
    for (Py_ssize_t i = 0; i < n && !w->cut; i++) {
        AK_BUF_AUTO title = {0};
        if (i == GROUP_WIDTH || depth == GROUP_DEPTH) {
            (void)ak_buf_addf(&title, "[%zd more exceptions]\n", n - i);
            start_line(w);
            put_str(w, ak_buf_str(&title));
            break;
        }
        (void)ak_buf_addf(&title, "--- exception %zd of %zd ---\n", i + 1, n);
        start_line(w);
        put_str(w, ak_buf_str(&title));
        put_chain(w, PyList_GET_ITEM(list, i), depth + 1);
    }
    w->indent--;
}

static bool is_group(PyObject *exception) {
    return PyExc_BaseExceptionGroup &&
           PyObject_TypeCheck(exception, (PyTypeObject *)PyExc_BaseExceptionGroup);
}

static void put_exception(struct writer *w, PyObject *exception, int depth) {
    AK_PYREF tb = PyException_GetTraceback(exception);
    if (tb && PyTraceBack_Check(tb))
        put_frames(w, (PyTracebackObject *)tb);
    if (PyErr_GivenExceptionMatches(exception, PyExc_SyntaxError))
        put_syntax_place(w, exception);
    put_head(w, exception);
    if (is_group(exception))
        put_group(w, exception, depth);
}

static bool suppresses_context(PyObject *exception) {
    AK_PYREF flag = PyObject_GetAttrString(exception, "__suppress_context__");
    bool suppresses = flag == Py_True;
    forget();
    return suppresses;
}

/* Oldest first: what an exception was raised from, or while handling what. */
static void put_chain(struct writer *w, PyObject *exception, int depth) {
    PyObject *chain[CHAIN_MAX]; /* owned */
    bool caused[CHAIN_MAX];
    int n = 0;
    PyObject *next = Py_NewRef(exception);
    while (next && n < CHAIN_MAX) {
        bool seen = false;
        for (int i = 0; i < n; i++)
            seen = seen || chain[i] == next;
        if (seen)
            break;
        chain[n] = next;
        PyObject *cause = PyException_GetCause(next);
        caused[n] = cause != NULL;
        next = cause                      ? cause
               : suppresses_context(next) ? NULL
                                          : PyException_GetContext(chain[n]);
        n++;
    }
    Py_XDECREF(next);
    for (int i = n - 1; i >= 0; i--) {
        put_exception(w, chain[i], depth);
        if (i > 0) {
            start_line(w);
            put_str(w, "\n");
            start_line(w);
            put_str(w, caused[i - 1]
                           ? "The above exception was the direct cause of the "
                             "following exception:\n"
                           : "During handling of the above exception, another "
                             "exception occurred:\n");
            start_line(w);
            put_str(w, "\n");
        }
        Py_DECREF(chain[i]);
    }
}

void ak_traceback_write(struct ak_state *state, PyObject *exception,
                        struct ak_buf *text) {
    struct writer w = {.state = state, .text = text};
    put_chain(&w, exception, 0);
    forget();
}

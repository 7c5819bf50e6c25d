/* SPDX-License-Identifier: MIT */
/*
 * A source is parsed once, with top-level await allowed. The last statement of the
 * tree, if it is an expression, is taken off and compiled apart, so that its value can
 * be shown; everything else stays one module body. Nothing is rewritten, so every valid
 * module is a valid cell, and tracebacks and breakpoints see the user's own lines.
 *
 * __future__ features of earlier cells are passed as flags, those of this cell are kept
 * for later ones, as an interactive Python does.
 */
#include "py/cell-private.h"

#include "py/effects-private.h"
#include "py/shell-private.h"
#include "py/treekey-private.h"

#include <string.h>

/* Compiling names what it was given by position; flags are those of this call alone. */
static PyObject *call_compile(PyObject *source, PyObject *filename, const char *mode,
                              int flags) {
    AK_PYREF builtins = PyImport_ImportModule("builtins");
    return builtins ? PyObject_CallMethod(builtins, "compile", "OOsii", source,
                                          filename, mode, flags, 1)
                    : NULL;
}

/* Whether what follows the last expression in the source holds a semicolon. Columns of
 * the tree count UTF-8 bytes, lines start at one. */
static int ends_quietly(PyObject *source, PyObject *expression) {
    AK_PYREF line_object = PyObject_GetAttrString(expression, "end_lineno");
    AK_PYREF column_object = PyObject_GetAttrString(expression, "end_col_offset");
    if (!line_object || !column_object)
        return -1;
    long line = PyLong_AsLong(line_object);
    long column = PyLong_AsLong(column_object);
    const char *text = PyUnicode_AsUTF8(source);
    if (PyErr_Occurred())
        return -1;
    for (; line > 1; line--) {
        const char *end = strpbrk(text, "\r\n");
        if (!end)
            return 0;
        text = end + (end[0] == '\r' && end[1] == '\n' ? 2 : 1);
    }
    if ((size_t)column > strlen(text))
        return 0;
    for (text += column; *text; text++) {
        if (*text == ';')
            return 1;
        if (*text == '#')
            text += strcspn(text, "\r\n");
        if (!*text)
            break;
    }
    return 0;
}

/* Takes the last expression off the tree: a new ast.Expression, or NULL without an
 * exception when the last statement is none. */
static PyObject *split_expression(PyObject *ast, PyObject *tree, PyObject *source,
                                  bool *ret_quiet) {
    AK_PYREF statements = PyObject_GetAttrString(tree, "body");
    Py_ssize_t n = statements ? PyList_Size(statements) : -1;
    if (n <= 0)
        return NULL;
    PyObject *last = PyList_GetItem(statements, n - 1); /* borrowed */
    AK_PYREF expr_type = PyObject_GetAttrString(ast, "Expr");
    if (!expr_type || !Py_IS_TYPE(last, (PyTypeObject *)expr_type))
        return NULL;
    AK_PYREF value = PyObject_GetAttrString(last, "value");
    int quiet = value ? ends_quietly(source, last) : -1;
    if (quiet < 0)
        return NULL;
    *ret_quiet = quiet != 0;
    AK_PYREF expression = PyObject_CallMethod(ast, "Expression", "O", value);
    if (!expression || PyList_SetSlice(statements, n - 1, n, NULL) < 0)
        return NULL;
    return Py_NewRef(expression);
}

/* The tree of the source, or of the Python that IPython's shell makes of it. What is
 * Python already stays itself: the shell is asked only when the parser refuses. */
static PyObject *parse(struct ak_cell *cell, PyObject *source, int flags) {
    AK_PYREF tree = call_compile(source, cell->filename, "exec", flags | PyCF_ONLY_AST);
    int translated = ak_shell_translate(cell, source, tree != NULL);
    if (translated < 0 || (!tree && !translated))
        return NULL;
    if (translated)
        Py_XSETREF(tree, call_compile(cell->python, cell->filename, "exec",
                                      flags | PyCF_ONLY_AST));
    return tree ? Py_NewRef(tree) : NULL;
}

static bool has_statements(PyObject *tree) {
    AK_PYREF statements = PyObject_GetAttrString(tree, "body");
    return statements && PyList_Size(statements) > 0;
}

/* A tree that is too deep is known by its source. */
static void note_tree(struct ak_cell *cell, PyObject *tree) {
    if (ak_treekey_add(tree, &cell->tree_key) == 0)
        return;
    Py_XDECREF(ak_fault_fetch());
    ak_buf_clear(&cell->tree_key);
    (void)ak_buf_add(&cell->tree_key, ak_buf_str(&cell->source_text),
                     cell->source_text.len);
}

static int compile_cell(struct ak_cell *cell, PyObject *source) {
    struct ak_space *space = cell->space;
    int flags = PyCF_ALLOW_TOP_LEVEL_AWAIT | space->compiler_flags;
    AK_PYREF ast = PyImport_ImportModule("_ast");
    AK_PYREF parsed = ast ? parse(cell, source, flags) : NULL;
    AK_PYREF tree = NULL;
    bool split;
    if (!parsed || ak_shell_shape(space->state, parsed, &tree, &split) < 0)
        return -1;
    const char *mode = split ? "exec" : "single";
    if (space->state->recorder && split)
        note_tree(cell, tree);
    AK_PYREF expression =
        split ? split_expression(ast, tree, cell->python, &cell->quiet) : NULL;
    if (!expression && PyErr_Occurred())
        return -1;
    if (has_statements(tree)) {
        cell->body = call_compile(tree, cell->filename, mode, flags);
        if (!cell->body)
            return -1;
        int features = ((PyCodeObject *)cell->body)->co_flags & PyCF_MASK;
        flags |= features;
        space->compiler_flags |= features;
    }
    if (expression) {
        cell->expression = call_compile(expression, cell->filename, "eval", flags);
        if (!cell->expression)
            return -1;
    }
    int r = ak_effects_new(&cell->effects, cell->body, cell->expression);
    if (r == 0 && cell->python != source && cell->shell_key)
        ak_effects_add_unknown(cell->effects);
    return r;
}

static size_t indent_of(const char *line) {
    return strspn(line, " \t");
}

/* A cell copied out of a function or a document is indented as a whole: the indent of
 * its first line that is not blank is taken off every line that has it. New, or NULL
 * without an exception when there is no such indent. */
static PyObject *without_indent(PyObject *source) {
    const char *text = PyUnicode_AsUTF8(source);
    const char *first = text;
    while (first && first[indent_of(first)] == '\n')
        first += indent_of(first) + 1;
    size_t n = first ? indent_of(first) : 0;
    AK_BUF_AUTO shifted = {0};
    Py_XDECREF(ak_fault_fetch());
    for (const char *line = text; n && *line;) {
        size_t len = strcspn(line, "\n");
        len += line[len] == '\n';
        size_t skip = len >= n && memcmp(line, first, n) == 0 ? n : 0;
        if (ak_buf_add(&shifted, line + skip, len - skip))
            return NULL;
        line += len;
    }
    AK_PYREF result =
        n ? PyUnicode_DecodeUTF8(ak_buf_str(&shifted), (Py_ssize_t)shifted.len, NULL)
          : NULL;
    Py_XDECREF(ak_fault_fetch());
    return Py_XNewRef(result);
}

static int compile_source(struct ak_cell *cell, PyObject *source) {
    Py_CLEAR(cell->body);
    Py_CLEAR(cell->expression);
    Py_XSETREF(cell->filename,
               ak_fault_register_source(cell->space->state, source,
                                        cell->request->execution_count));
    PyObject *names = cell->space->filenames; /* borrowed */
    if (!cell->filename || (names && PyList_Append(names, cell->filename) < 0))
        return -1;
    return compile_cell(cell, source);
}

/* Every valid module is a valid cell as it stands, so the indent is looked at only when
 * it is what the compiler minds. */
static int compile_indented(struct ak_cell *cell) {
    if (!PyErr_ExceptionMatches(PyExc_IndentationError))
        return -1;
    AK_PYREF raised = ak_fault_fetch();
    AK_PYREF shifted = without_indent(cell->source);
    if (shifted)
        return compile_source(cell, shifted);
    PyErr_SetObject((PyObject *)Py_TYPE(raised), raised);
    return -1;
}

void ak_cell_compile(struct ak_cell *cell) {
    if (cell->failure || cell->filename)
        return;
    if (compile_source(cell, cell->source) == 0 || compile_indented(cell) == 0)
        return;
    Py_CLEAR(cell->body);
    Py_CLEAR(cell->expression);
    cell->failure = ak_fault_fetch();
}

void ak_cell_uncompile(struct ak_cell *cell) {
    Py_CLEAR(cell->failure);
    Py_CLEAR(cell->filename);
    Py_CLEAR(cell->body);
    Py_CLEAR(cell->expression);
    Py_CLEAR(cell->python);
    Py_CLEAR(cell->shell_key);
    cell->quiet = false;
    cell->effects = ak_effects_free(cell->effects);
}

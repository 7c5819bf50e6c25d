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

static bool has_statements(PyObject *tree) {
    AK_PYREF statements = PyObject_GetAttrString(tree, "body");
    return statements && PyList_Size(statements) > 0;
}

static int compile_cell(struct ak_cell *cell) {
    struct ak_space *space = cell->space;
    int flags = PyCF_ALLOW_TOP_LEVEL_AWAIT | space->compiler_flags;
    AK_PYREF ast = PyImport_ImportModule("_ast");
    AK_PYREF tree =
        ast ? call_compile(cell->source, cell->filename, "exec", flags | PyCF_ONLY_AST)
            : NULL;
    if (!tree)
        return -1;
    AK_PYREF expression = split_expression(ast, tree, cell->source, &cell->quiet);
    if (!expression && PyErr_Occurred())
        return -1;
    if (has_statements(tree)) {
        cell->body = call_compile(tree, cell->filename, "exec", flags);
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
    return ak_effects_new(&cell->effects, cell->body, cell->expression);
}

void ak_cell_compile(struct ak_cell *cell) {
    if (cell->failure || cell->filename)
        return;
    cell->filename = ak_fault_register_source(cell->space->state, cell->source,
                                              cell->request->execution_count);
    if (cell->filename && compile_cell(cell) == 0)
        return;
    Py_CLEAR(cell->body);
    Py_CLEAR(cell->expression);
    cell->failure = ak_fault_fetch();
}

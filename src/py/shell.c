/* SPDX-License-Identifier: MIT */
/*
 * The seam between the native kernel and IPython's shell.
 *
 * Cells are always compiled and run by us, whatever syntax they use: the shell turns
 * IPython's syntax into Python, and that Python is compiled and driven like any other
 * cell. So a cell with a magic in it may await and run beside others, and there is one
 * way in which cells start, end and fail. Running through the shell's own run_cell
 * would give two.
 *
 * The shell is a Python subclass of IPython's (akernel._shell). What it needs of the
 * world (names, counters, results) it asks through the functions at the end, so that
 * there is one truth and not two that are kept in step.
 */
#include "py/shell-private.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "py/convert-private.h"
#include "py/display-private.h"
#include "py/report-private.h"
#include "py/runtime-private.h"

/* --- when a shell is needed ----------------------------------------------------------
 */

/* Line magics that IPython runs without their percent sign when nothing else has the
 * name; before there is a shell its own table cannot be asked. */
static const char *const bare_magics[] = {
    "alias",      "autoawait", "bookmark",   "cat",      "cd",         "clear",
    "colors",     "conda",     "config",     "cp",       "debug",      "dhist",
    "dirs",       "doctest",   "env",        "gui",      "hist",       "history",
    "ldir",       "less",      "lf",         "lk",       "ll",         "load",
    "load_ext",   "loadpy",    "logstart",   "ls",       "lsmagic",    "lx",
    "macro",      "magic",     "man",        "mamba",    "matplotlib", "mkdir",
    "more",       "mv",        "notebook",   "page",     "pdb",        "pdef",
    "pdoc",       "pfile",     "pinfo",      "pinfo2",   "pip",        "popd",
    "pprint",     "precision", "prun",       "psearch",  "psource",    "pushd",
    "pwd",        "pycat",     "pylab",      "quickref", "recall",     "rehashx",
    "reload_ext", "rep",       "rerun",      "reset",    "rm",         "rmdir",
    "run",        "save",      "store",      "sx",       "tb",         "time",
    "timeit",     "unalias",   "unload_ext", "uv",       "who",        "who_ls",
    "whos",       "xdel",      "xmode",
};

static bool is_bare_magic(const char *word, size_t len) {
    for (size_t i = 0; i < sizeof(bare_magics) / sizeof(bare_magics[0]); i++) {
        if (strlen(bare_magics[i]) == len && memcmp(bare_magics[i], word, len) == 0)
            return true;
    }
    return false;
}

static bool is_bound(struct ak_space *space, const char *word, size_t len) {
    AK_PYREF name = PyUnicode_FromStringAndSize(word, (Py_ssize_t)len);
    PyObject *builtins = PyEval_GetBuiltins(); /* borrowed */
    bool bound = !name || PyDict_Contains(space->names, name) == 1 ||
                 (builtins && PyDict_Contains(builtins, name) == 1);
    Py_XDECREF(ak_fault_fetch());
    return bound;
}

/* The first word of a source that is a single line; 0 when there is none. */
static size_t single_word(const char *text) {
    size_t len = 0;
    while (isalnum((unsigned char)text[len]) || text[len] == '_')
        len++;
    const char *end = text + strcspn(text, "\n");
    while (isspace((unsigned char)*end))
        end++;
    return *end == '\0' ? len : 0;
}

/* A word alone or followed by a space, that is not a name of the user's and is one of
 * the magics'. */
static bool starts_bare(struct ak_cell *cell) {
    const char *text = ak_buf_str(&cell->source_text);
    size_t len = single_word(text);
    if (!len || !strchr(" \n", text[len]))
        return false;
    const char *rest = text + len + strspn(text + len, " ");
    if (*rest == '=' || *rest == ',' || is_bound(cell->space, text, len))
        return false;
    return cell->space->state->shell || is_bare_magic(text, len);
}

static bool ends_with_question(const char *line, size_t len) {
    while (len && isspace((unsigned char)line[len - 1]))
        len--;
    return len && line[len - 1] == '?';
}

static bool assigns_command(const char *line, size_t len) {
    const char *equal = memchr(line, '=', len);
    if (!equal)
        return false;
    equal++;
    while (equal < line + len && *equal == ' ')
        equal++;
    return equal < line + len && (*equal == '!' || *equal == '%');
}

/* Whether some line of a source that is no Python can be IPython's. To be wrong here
 * costs an import, or the wording of an error. */
static bool looks_like_ipython(const char *text) {
    while (*text) {
        size_t len = strcspn(text, "\n");
        size_t indent = strspn(text, " \t");
        if (indent < len) {
            char c = text[indent];
            if (strchr("%!?,;/", c) || strncmp(text + indent, ">>> ", 4) == 0 ||
                strncmp(text + indent, "In [", 4) == 0 ||
                ends_with_question(text, len) || assigns_command(text, len))
                return true;
        }
        text += len + (text[len] == '\n');
    }
    return false;
}

/* --- making it -----------------------------------------------------------------------
 */

/* The shell, made when it does not exist; NULL without an exception while it is just
 * being made. Borrowed. */
static PyObject *obtain(struct ak_state *state) {
    if (state->shell || state->forked)
        return state->shell;
    AK_PYREF module = PyImport_ImportModule("akernel._shell");
    AK_PYREF shell = module ? PyObject_CallMethod(module, "make", NULL) : NULL;
    if (!shell)
        return NULL;
    if (!state->shell && !Py_IsNone(shell))
        state->shell = Py_NewRef(shell);
    return state->shell;
}

/* One method of the shell, to whose result a new reference is given; NULL with an
 * exception set. */
static PyObject *call(struct ak_state *state, const char *name, const char *format,
                      ...) {
    AK_PYREF shell = Py_NewRef(state->shell);
    AK_PYREF method = PyObject_GetAttrString(shell, name);
    va_list values;
    va_start(values, format);
    AK_PYREF args = method ? Py_VaBuildValue(format, values) : NULL;
    va_end(values);
    return args ? PyObject_Call(method, args, NULL) : NULL;
}

/* --- source to Python ----------------------------------------------------------------
 */

/* Makes the shell that an import of IPython wants, when it is not made yet. */
static void make_wanted(struct ak_state *state) {
    if (!state->wants_shell || state->shell || state->forked)
        return;
    state->wants_shell = false;
    if (!obtain(state) && PyErr_Occurred()) {
        AK_PYREF exception = ak_fault_fetch();
        ak_report_failure(state, NULL, NULL, exception);
    }
}

static int translate(struct ak_cell *cell) {
    struct ak_state *state = cell->space->state;
    AK_PYREF key = call(state, "_compile_key", "()");
    AK_PYREF python = key ? call(state, "_translate", "(O)", cell->source) : NULL;
    if (!python)
        return -1;
    int same = PyObject_RichCompareBool(python, cell->source, Py_EQ);
    if (same < 0)
        return -1;
    Py_XSETREF(cell->shell_key, Py_NewRef(key));
    Py_XSETREF(cell->python, Py_NewRef(python));
    return !same;
}

static int wants_shell(struct ak_cell *cell, bool compiled) {
    struct ak_state *state = cell->space->state;
    if (!compiled && looks_like_ipython(ak_buf_str(&cell->source_text)))
        return 1;
    if (starts_bare(cell))
        return 1;
    AK_PYREF key = state->shell ? call(state, "_compile_key", "()") : NULL;
    return state->shell ? (key ? !Py_IsNone(key) : -1) : 0;
}

int ak_shell_translate(struct ak_cell *cell, PyObject *source, bool compiled) {
    struct ak_state *state = cell->space->state;
    /* The exception of a source that is no Python waits while the shell is asked. */
    AK_PYREF pending = ak_fault_fetch();
    Py_XSETREF(cell->python, Py_NewRef(source));
    int r = wants_shell(cell, compiled);
    if (r > 0)
        r = obtain(state) ? translate(cell) : PyErr_Occurred() ? -1 : 0;
    if (r == 0 && pending)
        ak_fault_restore(AK_TAKE(pending));
    return r;
}

bool ak_shell_outdated(const struct ak_cell *cell) {
    struct ak_state *state = cell->space->state;
    if (!state->shell)
        return false;
    AK_PYREF key = call(state, "_compile_key", "()");
    PyObject *before = cell->shell_key ? cell->shell_key : Py_None; /* borrowed */
    int same = key ? PyObject_RichCompareBool(key, before, Py_EQ) : 1;
    Py_XDECREF(ak_fault_fetch());
    return !same || (cell->failure && !cell->shell_key);
}

int ak_shell_shape(struct ak_state *state, PyObject *tree, PyObject **ret_tree,
                   bool *ret_split) {
    *ret_split = true;
    if (!state->shell) {
        *ret_tree = Py_NewRef(tree);
        return 0;
    }
    AK_PYREF shaped = call(state, "_shape", "(O)", tree);
    int split = -1;
    if (!shaped || !PyArg_ParseTuple(shaped, "Op:_shape", ret_tree, &split))
        return -1;
    Py_INCREF(*ret_tree);
    *ret_split = split;
    return 0;
}

/* --- around a cell -------------------------------------------------------------------
 */

int ak_shell_record(struct ak_cell *cell) {
    struct ak_state *state = cell->space->state;
    if (!state->shell)
        return 0;
    AK_PYREF done = call(state, "_record", "(lOO)", cell->request->execution_count,
                         cell->python ? cell->python : cell->source, cell->source);
    return done ? 0 : -1;
}

int ak_shell_begin(struct ak_cell *cell) {
    struct ak_state *state = cell->space->state;
    struct ak_request *request = cell->request;
    if (!state->shell)
        return 0;
    AK_PYREF result =
        call(state, "_begin", "(OOOOO)", cell->source,
             cell->python ? cell->python : cell->source,
             request->store_history && !request->alias ? Py_True : Py_False,
             request->silent ? Py_True : Py_False, request->cell_id);
    Py_XSETREF(cell->shell_result, Py_XNewRef(result));
    return result ? 0 : -1;
}

int ak_shell_end(struct ak_cell *cell, PyObject *exception) {
    struct ak_state *state = cell->space->state;
    make_wanted(state);
    if (!state->shell || state->forked || cell->ended)
        return 0;
    cell->ended = true;
    AK_PYREF result = AK_TAKE(cell->shell_result);
    AK_PYREF done = call(state, "_end", "(OOO)", result ? result : Py_None,
                         exception ? exception : Py_None,
                         cell->request->silent ? Py_True : Py_False);
    return done ? 0 : -1;
}

enum ak_shell_words ak_shell_describe(struct ak_state *state, PyObject *exception,
                                      struct ak_fault *fault) {
    if (!state->shell || state->forked)
        return AK_SHELL_NATIVE;
    AK_PYREF lines = call(state, "_describe", "(O)", exception);
    AK_PYREF list = lines && !Py_IsNone(lines) ? PySequence_List(lines) : NULL;
    Py_XDECREF(ak_fault_fetch());
    if (!list)
        return AK_SHELL_NATIVE;
    ak_fault_clear_lines(fault);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        AK_PYREF text = PyObject_Str(PyList_GET_ITEM(list, i));
        AK_PYREF clean = text ? ak_text_without_surrogates(text) : NULL;
        const char *utf8 = clean ? PyUnicode_AsUTF8(clean) : NULL;
        if (utf8)
            ak_fault_add_line(fault, utf8);
    }
    Py_XDECREF(ak_fault_fetch());
    return PyList_GET_SIZE(list) ? AK_SHELL_TOLD : AK_SHELL_SILENT;
}

void ak_shell_post_mortem(struct ak_state *state, PyObject *exception) {
    if (!state->shell || state->forked)
        return;
    AK_PYREF done = call(state, "_post_mortem", "(O)", exception);
    (void)done;
    Py_XDECREF(ak_fault_fetch());
}

int ak_shell_add_payload(struct ak_cell *cell, struct ak_buf *text) {
    struct ak_state *state = cell->space->state;
    size_t before = text->len;
    AK_PYREF payload = state->shell ? call(state, "_payload", "()") : NULL;
    if (payload && ak_json_encode(state, payload, text) == 0)
        return 0;
    Py_XDECREF(ak_fault_fetch());
    text->len = before;
    return ak_buf_addf(
        text, "[%s]",
        cell->asked_exit ? "{\"source\": \"ask_exit\", \"keepkernel\": false}" : "");
}

int ak_shell_format(struct ak_state *state, PyObject *value, PyObject *include,
                    PyObject *exclude, PyObject **ret_data, PyObject **ret_metadata) {
    if (!state->shell || state->forked)
        return 0;
    AK_PYREF both = call(state, "_format", "(OOO)", value, include ? include : Py_None,
                         exclude ? exclude : Py_None);
    if (!both || !PyArg_ParseTuple(both, "O!O!:format", &PyDict_Type, ret_data,
                                   &PyDict_Type, ret_metadata))
        return -1;
    Py_INCREF(*ret_data);
    Py_INCREF(*ret_metadata);
    return 1;
}

int ak_shell_history(struct ak_space *space, struct ak_bytes content,
                     struct ak_buf *ret_content) {
    struct ak_state *state = space->state;
    if (!state->shell)
        return AK_SHELL_E_NONE;
    AK_PYREF request = ak_json_decode(state, content.data, content.len);
    AK_PYREF reply = request ? call(state, "_history", "(O)", request) : NULL;
    if (reply && ak_json_encode(state, reply, ret_content) == 0)
        return 0;
    /* A database that fails must not take history away: memory has this session's. */
    Py_XDECREF(ak_fault_fetch());
    ak_buf_clear(ret_content);
    return AK_SHELL_E_NONE;
}

/* --- the start -----------------------------------------------------------------------
 */

int ak_shell_configure(struct ak_runtime *runtime, struct ak_bytes config) {
    struct ak_state *state = runtime->state;
    AK_PYREF object = ak_json_decode(state, config.data, config.len);
    int r = object ? PyModule_AddObjectRef(state->module, "_config", object) : -1;
    Py_XDECREF(ak_fault_fetch());
    return r ? ak_error_origin(ENOMEM) : 0;
}

static void make_at_start(void *context) {
    struct ak_space *space = context;
    AK_PYREF exception = NULL;
    if (!obtain(space->state))
        exception = ak_fault_fetch();
    if (exception)
        ak_report_failure(space->state, NULL, NULL, exception);
}

void ak_shell_open(struct ak_space *space) {
    AK_PYREF module = PyImport_ImportModule("akernel._start");
    AK_PYREF wanted =
        module ? PyObject_CallMethod(module, "open_world", "O", space->names) : NULL;
    if (wanted && PyObject_IsTrue(wanted) == 1)
        (void)ak_loop_call_soon(space->state->runtime, make_at_start, space);
    Py_XDECREF(ak_fault_fetch());
}

/* --- what the shell asks of the world ------------------------------------------------
 */

static PyObject *get_ipython(PyObject *module, PyObject *ignored) {
    struct ak_state *state = ak_state_of_module(module);
    if (!obtain(state)) {
        if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_ModuleNotFoundError)) {
            Py_XDECREF(ak_fault_fetch());
            Py_RETURN_NONE;
        }
        return NULL;
    }
    return Py_NewRef(state->shell);
}

/* The shell if it exists, else None. */
static PyObject *py_shell(PyObject *module, PyObject *ignored) {
    PyObject *shell = ak_state_of_module(module)->shell; /* borrowed */
    return Py_NewRef(shell ? shell : Py_None);
}

/* Called by the shell itself as soon as it can be asked: extensions and startup files
 * that run while it is still being made find it. */
static PyObject *py_set_shell(PyObject *module, PyObject *shell) {
    Py_XSETREF(ak_state_of_module(module)->shell, Py_NewRef(shell));
    Py_RETURN_NONE;
}

static PyObject *py_want_shell(PyObject *module, PyObject *ignored) {
    ak_state_of_module(module)->wants_shell = true;
    Py_RETURN_NONE;
}

/* _world() -> (names, In, Out, execution_count) of the running request's world. */
static PyObject *py_world(PyObject *module, PyObject *ignored) {
    struct ak_space *space = ak_space_current(ak_state_of_module(module));
    if (!space || !space->names) {
        PyErr_SetString(PyExc_RuntimeError, "this kernel has ended");
        return NULL;
    }
    return Py_BuildValue("(OOOl)", space->names, space->in, space->out,
                         space->execution_count);
}

static PyObject *py_set_execution_count(PyObject *module, PyObject *count) {
    struct ak_space *space = ak_space_current(ak_state_of_module(module));
    long value = PyLong_AsLong(count);
    if (value == -1 && PyErr_Occurred())
        return NULL;
    space->execution_count = value < 0 ? 0 : value;
    Py_RETURN_NONE;
}

/* _keep_result(value, data) -> the execution count: _, Out and history. */
static PyObject *py_keep_result(PyObject *module, PyObject *args) {
    PyObject *value, *data; /* borrowed */
    if (!PyArg_UnpackTuple(args, "_keep_result", 2, 2, &value, &data))
        return NULL;
    struct ak_state *state = ak_state_of_module(module);
    struct ak_request *request = ak_request_current(state);
    struct ak_space *space = ak_space_current(state);
    if (!request)
        return PyLong_FromLong(space->execution_count);
    if (request->store_history &&
        ak_space_keep_result(space, value, request->execution_count) < 0)
        return NULL;
    ak_display_keep_text(state, data);
    return PyLong_FromLong(request->execution_count);
}

/* _set_request(request) -> a token for _reset_request: whose output the running context
 * writes from now on. */
static PyObject *py_set_request(PyObject *module, PyObject *request) {
    struct ak_state *state = ak_state_of_module(module);
    if (!Py_IS_TYPE(request, state->request_type)) {
        PyErr_SetString(PyExc_TypeError, "this is no request of the kernel");
        return NULL;
    }
    return PyContextVar_Set(state->request_var, request);
}

static PyObject *py_reset_request(PyObject *module, PyObject *token) {
    struct ak_state *state = ak_state_of_module(module);
    if (PyContextVar_Reset(state->request_var, token) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* _show_error(ename, evalue, lines): an error output of the running request. */
static PyObject *py_show_error(PyObject *module, PyObject *content) {
    struct ak_state *state = ak_state_of_module(module);
    AK_BUF_AUTO text = {0};
    if (ak_json_encode(state, content, &text) < 0 ||
        ak_host_publish_json(state, AK_OUTPUT_ERROR, ak_request_output_id(state),
                             &text) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef shell_functions[] = {
    {"get_ipython", get_ipython, METH_NOARGS,
     "get_ipython()\n--\n\nThe IPython shell of this kernel; None when IPython is not "
     "installed."},
    {"_shell", py_shell, METH_NOARGS, NULL},
    {"_set_shell", py_set_shell, METH_O, NULL},
    {"_want_shell", py_want_shell, METH_NOARGS, NULL},
    {"_world", py_world, METH_NOARGS, NULL},
    {"_set_execution_count", py_set_execution_count, METH_O, NULL},
    {"_keep_result", py_keep_result, METH_VARARGS, NULL},
    {"_set_request", py_set_request, METH_O, NULL},
    {"_reset_request", py_reset_request, METH_O, NULL},
    {"_show_error", py_show_error, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

int ak_shell_setup(struct ak_state *state, PyObject *module) {
    if (PyModule_AddFunctions(module, shell_functions) < 0)
        return -1;
    PyObject *builtins = PyEval_GetBuiltins(); /* borrowed */
    AK_PYREF function = PyObject_GetAttrString(module, "get_ipython");
    AK_PYREF config = PyDict_New();
    if (!function || !config || PyModule_AddObjectRef(module, "_config", config) < 0)
        return -1;
    (void)state;
    return PyDict_SetItemString(builtins, "get_ipython", function);
}

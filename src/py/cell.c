/* SPDX-License-Identifier: MIT */
/*
 * The life of a cell: made from a request, compiled, started as a task, over.
 *
 * The task is kept here, because a pending task that nobody holds is collected, and
 * because cancelling goes through it. A cell's context is a copy of its space's; what
 * the cell sets there is merged back when it ends, so that a ContextVar set in one cell
 * holds in later ones while the running request stays the cell's own.
 */
#include "py/cell-private.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "py/convert-private.h"
#include "py/record-private.h"
#include "py/shell-private.h"
#include "py/runtime-private.h"

/* A cell of which the request made no sense fails with this when it is started. */
static void refuse(struct ak_cell *cell, const char *why) {
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, why);
    if (!cell->failure)
        cell->failure = ak_fault_fetch();
    else
        Py_XDECREF(ak_fault_fetch());
}

/* A member of a decoded object, or NULL without an exception. Borrowed. */
static PyObject *member(PyObject *object, const char *name) {
    AK_PYREF key = PyUnicode_InternFromString(name);
    PyObject *value = key ? PyDict_GetItemWithError(object, key) : NULL; /* borrowed */
    Py_XDECREF(ak_fault_fetch());
    return value;
}

static bool flag(PyObject *object, const char *name, bool otherwise) {
    PyObject *value = member(object, name); /* borrowed */
    return value ? value == Py_True : otherwise;
}

static void decode_content(struct ak_cell *cell, struct ak_bytes text) {
    AK_PYREF content = ak_json_decode(cell->space->state, text.data, text.len);
    if (!content || !PyDict_Check(content)) {
        refuse(cell, "the content of this execute_request is not a JSON object");
        return;
    }
    PyObject *code = member(content, "code"); /* borrowed */
    if (!code || !PyUnicode_Check(code)) {
        refuse(cell, "this execute_request has no \"code\" that is a string");
        return;
    }
    cell->source = Py_NewRef(code);
    cell->expressions = Py_XNewRef(member(content, "user_expressions"));
    cell->request->silent = flag(content, "silent", false);
    cell->request->store_history =
        !cell->request->silent && flag(content, "store_history", true);
    cell->request->allow_stdin = flag(content, "allow_stdin", true);
    cell->stop_on_error = flag(content, "stop_on_error", true);
}

static void decode_metadata(struct ak_cell *cell, struct ak_bytes text) {
    AK_PYREF metadata =
        text.len ? ak_json_decode(cell->space->state, text.data, text.len) : NULL;
    if (metadata && PyDict_Check(metadata))
        cell->front = Py_NewRef(metadata);
    PyObject *id = cell->front ? member(cell->front, "cellId") : NULL; /* borrowed */
    if (id && PyUnicode_Check(id))
        Py_XSETREF(cell->request->cell_id, Py_NewRef(id));
    PyObject *tags = /* borrowed */
        metadata && PyDict_Check(metadata) ? member(metadata, "tags") : NULL;
    for (Py_ssize_t i = 0; tags && PyList_Check(tags) && i < PyList_GET_SIZE(tags);
         i++) {
        PyObject *tag = PyList_GET_ITEM(tags, i); /* borrowed */
        if (!PyUnicode_Check(tag))
            continue;
        if (PyUnicode_CompareWithASCIIString(tag, "cache-off") == 0)
            cell->cache_tags |= AK_CELL_CACHE_OFF;
        if (PyUnicode_CompareWithASCIIString(tag, "cache-refresh") == 0)
            cell->cache_tags |= AK_CELL_CACHE_REFRESH;
    }
    Py_XDECREF(ak_fault_fetch());
}

/* UTF-8 of a source for those who have no Python; what has no UTF-8 becomes "?". */
static int keep_text(PyObject *source, struct ak_buf *ret_text) {
    AK_PYREF bytes = PyUnicode_AsEncodedString(source, "utf-8", "replace");
    if (!bytes) {
        Py_XDECREF(ak_fault_fetch());
        return ak_error_origin(ENOMEM);
    }
    return ak_buf_add(ret_text, PyBytes_AS_STRING(bytes),
                      (size_t)PyBytes_GET_SIZE(bytes));
}

int ak_cell_new(struct ak_cell **ret_cell, struct ak_space *space,
                const struct ak_cell_request *request, const struct ak_cell_ops *ops,
                void *owner) {
    AK_CLEANUP(ak_cell_freep) struct ak_cell *cell = calloc(1, sizeof(*cell));
    if (!cell)
        return ak_error_origin(ENOMEM);
    ak_list_init(&cell->link);
    cell->space = space;
    cell->ops = ops;
    cell->owner = owner;
    cell->request = ak_request_new(space, request->id, request->header);
    if (!cell->request) {
        Py_XDECREF(ak_fault_fetch());
        return ak_error_origin(ENOMEM);
    }
    decode_content(cell, request->content);
    decode_metadata(cell, request->metadata);
    if (!cell->source)
        cell->source = PyUnicode_FromString("");
    int r = cell->source ? keep_text(cell->source, &cell->source_text) : -ENOMEM;
    if (r)
        return ak_error_trace(r);
    ak_list_append(&space->cells, &cell->link);
    *ret_cell = AK_TAKE(cell);
    return 0;
}

struct ak_cell *ak_cell_free(struct ak_cell *cell) {
    if (!cell)
        return NULL;
    if (ak_list_linked(&cell->link))
        ak_list_remove(&cell->link);
    ak_effects_free(cell->effects);
    cell->record = ak_record_free(cell->record);
    free(cell->values_at_start);
    Py_CLEAR(cell->trace);
    Py_CLEAR(cell->inner);
    Py_CLEAR(cell->waiters);
    Py_CLEAR(cell->task);
    Py_CLEAR(cell->coroutine);
    Py_CLEAR(cell->context);
    Py_CLEAR(cell->expression);
    Py_CLEAR(cell->body);
    Py_CLEAR(cell->filename);
    Py_CLEAR(cell->failure);
    Py_CLEAR(cell->front);
    free(cell->missing);
    free(cell->ename);
    Py_CLEAR(cell->expressions);
    Py_CLEAR(cell->shell_result);
    Py_CLEAR(cell->shell_key);
    Py_CLEAR(cell->python);
    Py_CLEAR(cell->source);
    Py_CLEAR(cell->request);
    ak_buf_done(&cell->tree_key);
    ak_buf_done(&cell->cache_metadata);
    ak_buf_done(&cell->source_text);
    ak_buf_done(&cell->result_text);
    ak_buf_done(&cell->reply);
    ak_buf_done(&cell->metadata);
    free(cell);
    return NULL;
}

uint64_t ak_cell_id(const struct ak_cell *cell) {
    return cell->request->id;
}

bool ak_cell_stop_on_error(const struct ak_cell *cell) {
    return cell->stop_on_error;
}

bool ak_cell_stores_history(const struct ak_cell *cell) {
    return cell->request->store_history;
}

bool ak_cell_started(const struct ak_cell *cell) {
    return cell->started;
}

long ak_cell_execution_count(const struct ak_cell *cell) {
    return cell->request->execution_count;
}

struct ak_bytes ak_cell_source(const struct ak_cell *cell) {
    return ak_bytes(ak_buf_str(&cell->source_text), cell->source_text.len);
}

struct ak_bytes ak_cell_result(const struct ak_cell *cell) {
    return ak_bytes(ak_buf_str(&cell->result_text), cell->result_text.len);
}

const struct ak_effects *ak_cell_effects(struct ak_cell *cell) {
    ak_cell_compile(cell);
    return cell->effects;
}

/* --- the guard ---------------------------------------------------------------------
 */

static PyObject *value_of(struct ak_space *space, const char *name) {
    AK_PYREF key = PyUnicode_FromString(name);
    PyObject *value = key ? PyDict_GetItemWithError(space->names, key) : NULL;
    Py_XDECREF(ak_fault_fetch());
    return value; /* borrowed: the dict's own, used as an identity */
}

/* Remembers what the names it binds are now, by identity alone: a value that was freed
 * and whose address came back only makes a waiting cell wait longer. */
static void note_values(struct ak_cell *cell) {
    if (!cell->effects)
        return;
    const struct ak_names *binds = ak_effects_binds(cell->effects);
    cell->values_at_start = calloc(binds->n_items + 1, sizeof(void *));
    for (size_t i = 0; cell->values_at_start && i < binds->n_items; i++)
        cell->values_at_start[i] = value_of(cell->space, binds->items[i]);
}

static bool is_builtin(struct ak_space *space, const char *name) {
    PyObject *builtins = PyEval_GetBuiltins(); /* borrowed */
    AK_PYREF key = PyUnicode_FromString(name);
    bool is = key && builtins && PyDict_Contains(builtins, key) == 1;
    Py_XDECREF(ak_fault_fetch());
    return is || value_of(space, name);
}

bool ak_cell_holds_back(const struct ak_cell *cell, const char *name) {
    if (cell->phase == AK_CELL_OVER || !cell->effects)
        return false;
    const struct ak_names *binds = ak_effects_binds(cell->effects);
    if (!ak_names_have(binds, name)) {
        if (ak_names_have(ak_effects_binds_later(cell->effects), name))
            return !value_of(cell->space, name) || !cell->started;
        return ak_effects_binds_unknown(cell->effects) &&
               !is_builtin(cell->space, name);
    }
    if (!cell->started)
        return true;
    PyObject *now = value_of(cell->space, name); /* borrowed */
    if (!now)
        return true;
    for (size_t i = 0; cell->values_at_start && i < binds->n_items; i++) {
        if (cell->values_at_start[i] != now && strcmp(binds->items[i], name) == 0)
            return false;
    }
    return !ak_effects_bound_at(cell->effects, name, ak_step_offset(cell));
}

/* --- running -----------------------------------------------------------------------
 */

static int publish_input(struct ak_cell *cell) {
    AK_BUF_AUTO content = {0};
    int r = ak_buf_add_str(&content, "{\"code\": ");
    if (!r)
        r = ak_json_encode_str(cell->source, &content);
    if (!r)
        r = ak_buf_addf(&content, ", \"execution_count\": %ld}",
                        cell->request->execution_count);
    if (!r)
        r = ak_host_publish_json(cell->space->state, AK_OUTPUT_EXECUTE_INPUT,
                                 cell->request->id, &content);
    return r ? -1 : 0;
}

/* The newest request of a cellId inherits what older ones still print. */
static int succeed_older(struct ak_cell *cell) {
    struct ak_space *space = cell->space;
    PyObject *request = (PyObject *)cell->request;
    if (Py_IsNone(cell->request->cell_id))
        return 0;
    PyObject *older = /* borrowed */
        PyDict_GetItemWithError(space->requests, cell->request->cell_id);
    if (older)
        Py_XSETREF(((struct ak_request *)older)->heir, Py_NewRef(request));
    else if (PyErr_Occurred())
        return -1;
    if (PyDict_Size(space->requests) >= AK_SPACE_CELL_IDS_MAX)
        PyDict_Clear(space->requests);
    return PyDict_SetItem(space->requests, cell->request->cell_id, request);
}

static int make_task(struct ak_cell *cell) {
    struct ak_state *state = cell->space->state;
    cell->context = ak_request_context(cell->request, cell->space->context);
    cell->coroutine = cell->context ? ak_step_coroutine(cell) : NULL;
    AK_PYREF args = cell->coroutine ? PyTuple_Pack(1, cell->coroutine) : NULL;
    AK_PYREF loop = args ? ak_loop_current(state) : NULL;
    AK_PYREF kwargs =
        loop ? Py_BuildValue("{s:O,s:O}", "loop", loop, "context", cell->context)
             : NULL;
    cell->task = kwargs ? PyObject_Call(state->task_type, args, kwargs) : NULL;
    return cell->task ? 0 : -1;
}

int ak_cell_announce(struct ak_cell *cell) {
    struct ak_space *space = cell->space;
    struct ak_request *request = cell->request;
    if (request->store_history)
        space->execution_count++;
    request->execution_count =
        space->execution_count + (request->store_history || request->silent ? 0 : 1);
    if (ak_shell_outdated(cell))
        ak_cell_uncompile(cell);
    ak_cell_compile(cell);
    note_values(cell);
    if (cell->filename && ak_fault_name_source(space->state, cell->filename,
                                               request->execution_count) < 0)
        return -1;
    if (!request->silent && publish_input(cell) < 0)
        return -1;
    if (request->store_history &&
        (ak_space_record_input(space, cell->source,
                               cell->python ? cell->python : cell->source,
                               request->execution_count) < 0 ||
         ak_shell_record(cell) < 0))
        return -1;
    return succeed_older(cell);
}

static int start(struct ak_cell *cell) {
    if (!cell->again && ak_cell_announce(cell) < 0)
        return -1;
    Py_XSETREF(cell->space->state->newest, Py_NewRef((PyObject *)cell->request));
    return make_task(cell);
}

int ak_cell_start(struct ak_cell *cell) {
    ak_clock_stamp(cell->stamp);
    cell->started = true;
    if (start(cell) == 0)
        return 0;
    /* An interrupt while a full seam was waited for, or no memory: the cell ends here,
     * and its owner hears of it from the loop as of any other end. */
    if (!cell->failure)
        cell->failure = ak_fault_fetch();
    else
        Py_XDECREF(ak_fault_fetch());
    if (!cell->task && make_task(cell) < 0) {
        Py_XDECREF(ak_fault_fetch());
        return ak_error_origin(ENOMEM);
    }
    return 0;
}

void ak_cell_interrupt(struct ak_cell *cell, bool everyone) {
    if (!cell->task || cell->phase == AK_CELL_OVER)
        return;
    cell->interrupted = true;
    if (everyone && cell->space->number)
        cell->request->everyone = true;
    AK_PYREF done = PyObject_CallMethod(cell->task, "cancel", NULL);
    if (!done)
        Py_XDECREF(ak_fault_fetch());
}

void ak_cell_abandon(struct ak_cell *cell) {
    if (!cell->task || cell->phase == AK_CELL_OVER)
        return;
    cell->abandoned = true;
    AK_PYREF done = PyObject_CallMethod(cell->task, "cancel", NULL);
    if (!done)
        Py_XDECREF(ak_fault_fetch());
}

void ak_cell_wake_waiters(struct ak_cell *cell) {
    AK_PYREF waiters = AK_TAKE(cell->waiters);
    for (Py_ssize_t i = 0; waiters && i < PyList_GET_SIZE(waiters); i++) {
        PyObject *future = PyList_GET_ITEM(waiters, i); /* borrowed */
        AK_PYREF over = PyObject_CallMethod(future, "done", NULL);
        if (over == Py_False) {
            AK_PYREF set = PyObject_CallMethod(future, "set_result", "O", Py_None);
            (void)set;
        }
        Py_XDECREF(ak_fault_fetch());
    }
}

void ak_cell_finish(struct ak_cell *cell) {
    cell->phase = AK_CELL_OVER;
    cell->request->finished = true;
    ak_list_remove(&cell->link);
    if (cell->context && ak_space_inherit_context(cell->space, cell->context) < 0)
        Py_XDECREF(ak_fault_fetch());
    ak_cell_wake_waiters(cell);
    cell->ops->finished(cell->owner, cell);
}

void ak_cell_abort(struct ak_cell *cell) {
    if (succeed_older(cell) < 0)
        Py_XDECREF(ak_fault_fetch());
    ak_outcome_abort(cell);
    cell->phase = AK_CELL_OVER;
    cell->request->finished = true;
    ak_list_remove(&cell->link);
    ak_cell_wake_waiters(cell);
}

bool ak_cell_failed(const struct ak_cell *cell) {
    return cell->failed;
}

struct ak_bytes ak_cell_reply(const struct ak_cell *cell) {
    return ak_bytes(ak_buf_str(&cell->reply), cell->reply.len);
}

struct ak_bytes ak_cell_reply_metadata(const struct ak_cell *cell) {
    return ak_bytes(ak_buf_str(&cell->metadata), cell->metadata.len);
}

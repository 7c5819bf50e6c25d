/* SPDX-License-Identifier: MIT */
/*
 * One record: a cell's lookup, and its recording when it has to run.
 *
 * What a run binds is found without a namespace of another type: names that the cell
 * surely binds are written; of the others, those that nobody reads are taken away for
 * the run when the cell runs alone, so that their presence afterwards says it, and put
 * back when it does not bind them. Where that cannot be done, a name that still holds
 * the same object is a reason not to store, unless it is an input, whose value is part
 * of the key anyway.
 *
 * Nothing here may fail a cell: whatever cannot be known is a reason not to store. Only
 * an interrupt gets through.
 */
#include "py/record-private.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double ms_since(uint64_t start) {
    return (double)(now_ns() - start) / 1e6;
}

void ak_record_refuse(struct ak_record *record, const char *format, ...) {
    char text[600];
    va_list args;
    if (record->reason.len)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)ak_buf_add_str(&record->reason, text);
}

static void clear_outputs(struct ak_record *record) {
    for (size_t i = 0; i < record->n_outputs; i++) {
        struct ak_record_output *output = &record->outputs[i];
        ak_buf_done(&output->content);
        ak_buf_done(&output->metadata);
        for (size_t k = 0; k < output->n_buffers; k++)
            ak_buf_done(&output->buffers[k]);
        free(output->buffers);
    }
    free(record->outputs);
    record->outputs = NULL;
    record->n_outputs = 0;
}

/* Lets go of everything that is alive only for the comparison. */
static void release(struct ak_record *record) {
    if (ak_list_linked(&record->link))
        ak_list_remove(&record->link);
    ak_list_init(&record->link);
    clear_outputs(record);
    ak_watch_done(&record->watch);
    record->walk = ak_valuehash_free(record->walk);
    Py_CLEAR(record->inputs);
    Py_CLEAR(record->before);
    Py_CLEAR(record->unbound);
    Py_CLEAR(record->result);
    free(record->digests);
    record->digests = NULL;
}

struct ak_record *ak_record_free(struct ak_record *record) {
    if (!record)
        return NULL;
    release(record);
    ak_buf_done(&record->key_expression);
    ak_buf_done(&record->changed);
    ak_buf_done(&record->reason);
    free(record);
    return NULL;
}

/* --- before the run ----------------------------------------------------------------
 */

/* Whether output and results take the way that is recorded. */
static bool has_own_streams(struct ak_state *state) {
    PyObject *hook = PySys_GetObject("displayhook"); /* borrowed */
    bool own_hook =
        hook && PyCFunction_Check(hook) && PyCFunction_GET_SELF(hook) == state->module;
    if (!own_hook && hook && state->shell)
        own_hook = strcmp(Py_TYPE(hook)->tp_name, "ZMQShellDisplayHook") == 0;
    return own_hook && PySys_GetObject("stdout") == state->streams[0] &&
           PySys_GetObject("stderr") == state->streams[1];
}

static bool is_traced(void) {
    PyObject *sys = PyImport_ImportModule("sys");
    AK_PYREF strong = sys;
    (void)strong; /* held for its cleanup alone, which clang calls unused */
    AK_PYREF trace = sys ? PyObject_CallMethod(sys, "gettrace", NULL) : NULL;
    bool traced = trace && !Py_IsNone(trace);
    Py_XDECREF(ak_fault_fetch());
    return traced;
}

static size_t n_cells_running(struct ak_space *space) {
    size_t n = 0;
    ak_list_for_each(node, next, &space->cells) {
        n += ak_list_entry(node, struct ak_cell, link)->started;
    }
    return n;
}

/* Threads beside the main one, without the one that writes IPython's history. */
static size_t n_other_threads(struct ak_state *state) {
    size_t n = 0;
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; thread; thread = PyThreadState_Next(thread))
        n++;
    AK_PYREF history =
        state->shell ? PyObject_GetAttrString(state->shell, "history_manager") : NULL;
    AK_PYREF saver = history ? PyObject_GetAttrString(history, "save_thread") : NULL;
    AK_PYREF alive = saver && !Py_IsNone(saver)
                         ? PyObject_CallMethod(saver, "is_alive", NULL)
                         : NULL;
    Py_XDECREF(ak_fault_fetch());
    return n - 1 - (alive == Py_True ? 1 : 0);
}

static bool is_alone(struct ak_record *record) {
    PyObject *const codes[] = {record->cell->body, record->cell->expression};
    for (size_t i = 0; i < 2; i++) {
        if (codes[i] && ((PyCodeObject *)codes[i])->co_flags & CO_COROUTINE)
            return false;
    }
    return n_cells_running(record->cell->space) <= 1 &&
           n_other_threads(record->recorder->state) == 0;
}

static int add_candidates(PyObject *set, const struct ak_names *names) {
    for (size_t i = 0; i < names->n_items; i++) {
        AK_PYREF name = PyUnicode_FromString(names->items[i]);
        if (!name || PySet_Add(set, name) < 0)
            return -1;
    }
    return 0;
}

/* Every name that the run may bind or delete. New list. */
static PyObject *candidates(struct ak_record *record) {
    const struct ak_effects *effects = record->cell->effects;
    AK_PYREF set = PySet_New(record->walk->stored);
    if (!set || add_candidates(set, ak_effects_binds(effects)) < 0 ||
        add_candidates(set, ak_effects_binds_later(effects)) < 0 ||
        add_candidates(set, ak_effects_deletes(effects)) < 0)
        return NULL;
    AK_PYREF list = PySequence_List(set);
    return list && PyList_Sort(list) == 0 ? AK_TAKE(list) : NULL;
}

static bool surely_bound(struct ak_record *record, PyObject *name) {
    const char *utf8 = PyUnicode_AsUTF8(name);
    return utf8 && record->cell->body &&
           ak_effects_bound_at(record->cell->effects, utf8, AK_EFFECTS_END);
}

static int note_names(struct ak_record *record) {
    PyObject *names = record->cell->space->names; /* borrowed */
    record->before = PyDict_New();
    record->unbound = PyDict_New();
    AK_PYREF list = record->before && record->unbound ? candidates(record) : NULL;
    if (!list)
        return -1;
    bool alone = is_alone(record);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *name = PyList_GET_ITEM(list, i); /* borrowed */
        AK_PYREF value = Py_XNewRef(PyDict_GetItemWithError(names, name));
        if (PyErr_Occurred() ||
            PyDict_SetItem(record->before, name, value ? value : Py_Ellipsis) < 0)
            return -1;
        if (!value || !alone || surely_bound(record, name) ||
            ak_record_is_input(record, name))
            continue;
        if (PyDict_SetItem(record->unbound, name, value) < 0 ||
            PyDict_DelItem(names, name) < 0)
            return -1;
    }
    return 0;
}

/* Puts back what the run did not bind. */
static void put_back(struct ak_record *record) {
    PyObject *names = record->cell->space->names; /* borrowed */
    Py_ssize_t position = 0;
    PyObject *name, *value; /* borrowed */
    while (record->unbound && PyDict_Next(record->unbound, &position, &name, &value)) {
        if (PyDict_Contains(names, name) == 0)
            (void)PyDict_SetItem(names, name, value);
        Py_XDECREF(ak_fault_fetch());
    }
}

/* Why a cell cannot even be looked up; nothing when it can. */
static void check(struct ak_record *record) {
    struct ak_recorder *recorder = record->recorder;
    if (recorder->off)
        ak_record_refuse(record, "akernel.cache.off() was called");
    if (!recorder->store)
        ak_record_refuse(record, "%s",
                         recorder->off_reason.len ? ak_buf_str(&recorder->off_reason)
                                                  : "there is no cache");
    if (!has_own_streams(recorder->state))
        ak_record_refuse(record,
                         "sys.stdout, sys.stderr or sys.displayhook is replaced");
    if (is_traced())
        ak_record_refuse(record, "it is traced by a debugger or a profiler");
    if (!record->cell->tree_key.len)
        ak_record_refuse(record, "the shell runs it in a way of its own");
    ak_record_directives(record);
    record->refresh |= recorder->refresh;
    recorder->refresh = false;
}

/* Looks it up. 1, 0 or -1; the record is ready to run when 0 and no reason. */
static int prepare(struct ak_record *record) {
    check(record);
    if (record->reason.len)
        return 0;
    uint64_t start = now_ns();
    int r = ak_record_make_key(record);
    record->hash_ms = ms_since(start);
    if (r)
        return r < 0 ? -1 : 0;
    if (record->n_outputs)
        ak_record_refuse(record, "an import in it prints");
    if (record->refresh || record->reason.len)
        return 0;
    start = now_ns();
    r = ak_record_restore(record);
    record->load_ms = ms_since(start);
    if (r == 1)
        return 1;
    /* A reason for a miss is no reason not to store. */
    record->status = "miss";
    return r;
}

static int begin_run(struct ak_record *record) {
    struct ak_recorder *recorder = record->recorder;
    AK_BUF_AUTO why = record->reason;
    (void)why; /* freed at the end */
    record->reason = (struct ak_buf){0};
    if (note_names(record) < 0 ||
        ak_watch_begin(&record->watch, recorder->state, record->cell->space->names,
                       recorder->ring) < 0)
        return -1;
    record->mixed = n_cells_running(record->cell->space) > 1;
    record->descriptor_bytes =
        recorder->state->ops->descriptor_bytes(recorder->state->host);
    return 0;
}

int ak_record_begin(struct ak_cell *cell) {
    struct ak_recorder *recorder = cell->space->state->recorder;
    if (!recorder || cell->record || cell->request->silent || !cell->effects ||
        (!cell->body && !cell->expression))
        return 0;
    struct ak_record *record = calloc(1, sizeof(*record));
    if (!record)
        return 0;
    ak_list_init(&record->link);
    record->recorder = recorder;
    record->cell = cell;
    record->status = "bypass";
    cell->record = record;
    ak_list_append(&recorder->active, &record->link);
    recorder->quiet++;
    int r = prepare(record);
    if (r == 0 && record->inputs && strcmp(record->status, "bypass") != 0)
        r = begin_run(record);
    else if (r == 0 && !record->reason.len && record->refresh)
        r = begin_run(record);
    else if (r == 0)
        release(record);
    recorder->quiet--;
    record->started_ns = now_ns();
    if (r == 1) {
        record->status = "hit";
        release(record);
        ak_recorder_conclude(record);
    }
    if (r < 0) {
        AK_PYREF pending = ak_fault_fetch();
        put_back(record);
        release(record);
        if (!pending || PyErr_GivenExceptionMatches(pending, PyExc_Exception)) {
            ak_record_refuse(record, "it could not be looked up");
            return 0;
        }
        ak_fault_restore(AK_TAKE(pending));
    }
    return r;
}

/* --- after the run -----------------------------------------------------------------
 */

/* Sorts the candidates into written and deleted ones. */
static int collect(struct ak_record *record, PyObject *written, PyObject *deleted) {
    PyObject *names = record->cell->space->names; /* borrowed */
    const struct ak_names *deletes = ak_effects_deletes(record->cell->effects);
    Py_ssize_t position = 0;
    PyObject *name, *before; /* borrowed */
    while (PyDict_Next(record->before, &position, &name, &before)) {
        bool was = before != Py_Ellipsis;
        int away = PyDict_Contains(record->unbound, name);
        PyObject *value = PyDict_GetItemWithError(names, name); /* borrowed */
        const char *utf8 = PyUnicode_AsUTF8(name);
        if (away < 0 || !utf8 || (!value && PyErr_Occurred()))
            return -1;
        int r = 0;
        if (value && (away || !was || value != before || surely_bound(record, name)))
            r = PyDict_SetItem(written, name, value);
        else if (value && !ak_record_is_input(record, name))
            ak_record_refuse(record, "it may have bound %.100s again, or not", utf8);
        else if (!value && !away && (was || ak_names_have(deletes, utf8)))
            r = PyList_Append(deleted, name);
        if (r < 0)
            return -1;
    }
    return 0;
}

static bool leaves_something(struct ak_record *record, PyObject *written,
                             PyObject *deleted) {
    Py_ssize_t position = 0;
    PyObject *name, *value; /* borrowed */
    if (record->n_outputs || record->result || PyList_GET_SIZE(deleted))
        return true;
    while (PyDict_Next(written, &position, &name, &value)) {
        if (!PyModule_Check(value))
            return true;
    }
    return false;
}

static void check_run(struct ak_record *record) {
    struct ak_state *state = record->recorder->state;
    if (record->watch.reason.len)
        ak_record_refuse(record, "%s", ak_buf_str(&record->watch.reason));
    if (record->mixed || n_cells_running(record->cell->space) > 1)
        ak_record_refuse(record, "another cell ran at the same time");
    if (ak_cell_has_unfinished_tasks(record->cell))
        ak_record_refuse(record, "it starts tasks that outlive it");
    if (state->ops->descriptor_bytes(state->host) != record->descriptor_bytes)
        ak_record_refuse(record, "something printed past sys.stdout");
}

static int store(struct ak_record *record) {
    struct ak_recorder *recorder = record->recorder;
    PyObject *names = record->cell->space->names; /* borrowed */
    AK_PYREF written = PyDict_New();
    AK_PYREF deleted = PyList_New(0);
    if (!written || !deleted || collect(record, written, deleted) < 0)
        return -1;
    put_back(record);
    Py_CLEAR(record->unbound);
    if (!record->forced && record->run_ms < recorder->min_ms) {
        ak_record_refuse(record, "it ran for %.3g ms only (AKERNEL_CACHE_MIN_MS is %g)",
                         record->run_ms, recorder->min_ms);
        return 0;
    }
    check_run(record);
    if (!record->reason.len && !leaves_something(record, written, deleted))
        ak_record_refuse(record, "it leaves nothing that could be kept");
    if (record->reason.len)
        return 0;
    if (ak_watch_end(&record->watch, recorder->state, names) < 0)
        return -1;
    if (record->watch.reason.len)
        ak_record_refuse(record, "%s", ak_buf_str(&record->watch.reason));
    int r = record->reason.len ? 0 : ak_record_inputs_hold(record);
    if (r <= 0)
        return r;
    r = ak_record_store(record, written, deleted);
    if (record->watch.reason.len)
        ak_record_refuse(record, "%s", ak_buf_str(&record->watch.reason));
    if (r == 0)
        record->status = "stored";
    return r < 0 ? -1 : 0;
}

int ak_record_finish(struct ak_cell *cell) {
    struct ak_record *record = cell->record;
    if (!record || strcmp(record->status, "hit") == 0)
        return 0;
    record->run_ms = ms_since(record->started_ns);
    int r = 0;
    record->status = "bypass";
    if (record->before) {
        record->recorder->quiet++;
        r = store(record);
        record->recorder->quiet--;
    }
    AK_PYREF pending = ak_fault_fetch();
    put_back(record);
    release(record);
    ak_recorder_conclude(record);
    if (!pending || PyErr_GivenExceptionMatches(pending, PyExc_Exception))
        return 0;
    ak_fault_restore(AK_TAKE(pending));
    return r < 0 ? -1 : 0;
}

void ak_record_abandon(struct ak_cell *cell) {
    struct ak_record *record = cell->record;
    if (!record)
        return;
    AK_PYREF pending = ak_fault_fetch();
    put_back(record);
    record->status = "bypass";
    record->run_ms = ms_since(record->started_ns);
    ak_record_refuse(record, "the cell failed or was interrupted");
    release(record);
    ak_recorder_conclude(record);
    if (pending)
        ak_fault_restore(AK_TAKE(pending));
}

void ak_record_result(struct ak_cell *cell, PyObject *value) {
    if (cell->record && cell->record->before)
        Py_XSETREF(cell->record->result, Py_NewRef(value));
}

/* --- taps --------------------------------------------------------------------------
 */

static struct ak_record *record_of(struct ak_state *state, uint64_t request) {
    struct ak_recorder *recorder = state->recorder;
    if (!recorder || ak_list_empty(&recorder->active))
        return NULL;
    ak_list_for_each(node, next, &recorder->active) {
        struct ak_record *record = ak_list_entry(node, struct ak_record, link);
        if (record->cell->request->id == request)
            return record;
    }
    return NULL;
}

static struct ak_record_output *new_output(struct ak_record *record, size_t len) {
    record->outputs_len += len + sizeof(struct ak_record_output);
    if (record->outputs_len > AK_RECORD_OUTPUT_MAX) {
        ak_watch_taint(&record->watch, "it puts out more than %u MB",
                       AK_RECORD_OUTPUT_MAX >> 20);
        return NULL;
    }
    struct ak_record_output *bigger =
        realloc(record->outputs, (record->n_outputs + 1) * sizeof(*bigger));
    if (!bigger) {
        ak_watch_taint(&record->watch, "there is no memory for what it puts out");
        return NULL;
    }
    record->outputs = bigger;
    struct ak_record_output *output = &bigger[record->n_outputs++];
    *output = (struct ak_record_output){0};
    return output;
}

void ak_record_tap_text(struct ak_state *state, uint64_t request, int stream,
                        const char *text, size_t len) {
    struct ak_record *record = record_of(state, request);
    if (!record)
        return;
    struct ak_record_output *output =
        record->n_outputs ? &record->outputs[record->n_outputs - 1] : NULL;
    if (!output || output->stream != stream) {
        output = new_output(record, len);
        if (!output)
            return;
        output->stream = stream;
    } else {
        record->outputs_len += len;
    }
    if (record->outputs_len > AK_RECORD_OUTPUT_MAX ||
        ak_buf_add(&output->content, text, len))
        ak_watch_taint(&record->watch, "it prints more than %u MB",
                       AK_RECORD_OUTPUT_MAX >> 20);
}

void ak_record_tap_publication(struct ak_state *state,
                               const struct ak_publication *publication) {
    struct ak_record *record = record_of(state, publication->request);
    if (!record || publication->output == AK_OUTPUT_EXECUTE_INPUT)
        return;
    switch (publication->output) {
    case AK_OUTPUT_COMM_OPEN:
    case AK_OUTPUT_COMM_MSG:
    case AK_OUTPUT_COMM_CLOSE:
        ak_watch_taint(&record->watch, "it uses widgets or other comms");
        return;
    case AK_OUTPUT_UPDATE_DISPLAY_DATA:
        ak_watch_taint(&record->watch, "it updates a display");
        return;
    default:
        break;
    }
    struct ak_record_output *output = new_output(record, publication->content.len);
    if (!output)
        return;
    output->output = publication->output;
    int r = ak_buf_add(&output->content, publication->content.data,
                       publication->content.len);
    r |= ak_buf_add(&output->metadata, publication->metadata.data,
                    publication->metadata.len);
    if (publication->n_buffers)
        output->buffers = calloc(publication->n_buffers, sizeof(*output->buffers));
    for (size_t i = 0; output->buffers && i < publication->n_buffers;
         i++, output->n_buffers++)
        r |= ak_buf_add(&output->buffers[i], publication->buffers[i].data,
                        publication->buffers[i].len);
    if (r || output->n_buffers != publication->n_buffers)
        ak_watch_taint(&record->watch, "there is no memory for what it puts out");
}

void ak_record_tap_question(struct ak_state *state, uint64_t request) {
    struct ak_record *record = record_of(state, request);
    if (record)
        ak_watch_taint(&record->watch, "it asks the user or the kernel");
}

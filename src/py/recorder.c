/* SPDX-License-Identifier: MIT */
/*
 * What all records share: the store, the audit hook, and the word to the user about
 * what became of each cell.
 *
 * The hook hears every audit event of the process for ever, since none can be removed;
 * it is added when a recorder is opened and returns at once while nothing is recorded
 * or while the recorder itself works. An event belongs to the cell whose context raises
 * it; without a context (a thread of a C library) it counts against all.
 */
#include "py/record-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cache/evict.h"
#include "py/runtime-private.h"
#include "py/stdio-private.h"

static int hear(const char *event, PyObject *args, void *context) {
    struct ak_state *state = context;
    struct ak_recorder *recorder = state->recorder;
    if (!recorder || recorder->quiet || ak_list_empty(&recorder->active) ||
        state->forked)
        return 0;
    AK_PYREF pending = ak_fault_fetch();
    struct ak_request *request = ak_request_current(state);
    ak_list_for_each(node, next, &recorder->active) {
        struct ak_record *record = ak_list_entry(node, struct ak_record, link);
        if (!request || request == record->cell->request)
            ak_watch_event(&record->watch, event, args);
    }
    Py_XDECREF(ak_fault_fetch());
    if (pending)
        ak_fault_restore(Py_NewRef(pending));
    return 0;
}

int ak_recorder_open(struct ak_runtime *runtime,
                     const struct ak_recorder_config *config) {
    struct ak_recorder *recorder = calloc(1, sizeof(*recorder));
    if (!recorder)
        return ak_error_origin(ENOMEM);
    recorder->state = runtime->state;
    recorder->ring = config->ring;
    recorder->store = config->ring ? config->store : NULL;
    recorder->min_ms = config->min_ms;
    recorder->verbose = config->verbose;
    ak_list_init(&recorder->active);
    if (config->off_reason)
        (void)ak_buf_add_str(&recorder->off_reason, config->off_reason);
    recorder->seen = PyDict_New();
    if (!recorder->seen || PySys_AddAuditHook(hear, runtime->state) < 0) {
        Py_XDECREF(ak_fault_fetch());
        Py_XDECREF(recorder->seen);
        ak_buf_done(&recorder->off_reason);
        free(recorder);
        return ak_error_origin(ENOMEM);
    }
    runtime->state->recorder = recorder;
    return 0;
}

void ak_recorder_close(struct ak_runtime *runtime) {
    struct ak_recorder *recorder = runtime ? runtime->state->recorder : NULL;
    if (!recorder)
        return;
    runtime->state->recorder = NULL;
    Py_CLEAR(recorder->seen);
    ak_buf_done(&recorder->off_reason);
    ak_buf_done(&recorder->last);
    free(recorder);
}

/* --- what became of a cell ---------------------------------------------------------
 */

static void count(struct ak_recorder *recorder, const struct ak_record *record) {
    if (strcmp(record->status, "hit") == 0) {
        recorder->n_hits++;
        recorder->saved_ms += record->saved_ms;
        return;
    }
    if (strcmp(record->status, "stored") == 0)
        recorder->n_stored++;
    else
        recorder->n_bypassed++;
    recorder->n_misses++;
}

static void say(struct ak_record *record) {
    struct ak_state *state = record->recorder->state;
    AK_BUF_AUTO text = {0};
    if (!record->recorder->verbose || strcmp(record->status, "hit") != 0)
        return;
    if (ak_buf_addf(&text, "[cache] not run again: %.0f ms saved\n",
                    record->saved_ms) == 0)
        (void)ak_stream_write(state, 2, record->cell->request->id, ak_buf_str(&text),
                              text.len);
    Py_XDECREF(ak_fault_fetch());
}

void ak_recorder_conclude(struct ak_record *record) {
    struct ak_recorder *recorder = record->recorder;
    struct ak_buf *out = &record->cell->cache_metadata;
    count(recorder, record);
    ak_buf_clear(out);
    int r = ak_buf_addf(out, "{\"status\": \"%s\", \"reason\": ", record->status);
    if (!r)
        r = ak_buf_add_json_string(out, ak_buf_str(&record->reason),
                                   record->reason.len);
    if (!r)
        r = ak_buf_addf(
            out,
            ", \"input_changed\": %s, \"run_ms\": %.3f, \"saved_ms\": %.3f, "
            "\"hash_ms\": %.3f, \"load_ms\": %.3f, \"bytes\": %llu}",
            record->changed.len ? ak_buf_str(&record->changed) : "[]", record->run_ms,
            record->saved_ms, record->hash_ms, record->load_ms,
            (unsigned long long)record->bytes);
    if (r)
        ak_buf_clear(out);
    ak_buf_clear(&recorder->last);
    (void)ak_buf_add(&recorder->last, ak_buf_str(out), out->len);
    say(record);
}

/* --- functions of akernel.cache ----------------------------------------------------
 */

/* A cell that asks the cache must not come from it. */
static struct ak_recorder *recorder_of(PyObject *module) {
    struct ak_state *state = ak_state_of_module(module);
    struct ak_recorder *recorder = state->recorder;
    if (!recorder) {
        PyErr_SetString(PyExc_RuntimeError,
                        "this kernel does not cache: install one with \"akernel "
                        "install cache\"");
        return NULL;
    }
    ak_list_for_each(node, next, &recorder->active) {
        struct ak_record *record = ak_list_entry(node, struct ak_record, link);
        ak_watch_taint(&record->watch, "it asks about the cache");
    }
    return recorder;
}

static PyObject *cache_stats(PyObject *module, PyObject *ignored) {
    struct ak_recorder *r = recorder_of(module);
    if (!r)
        return NULL;
    const struct ak_store_counts none = {0};
    const struct ak_store_counts *counts = r->store ? ak_store_counts(r->store) : &none;
    return Py_BuildValue("{s:K,s:K,s:K,s:K,s:d,s:K,s:K,s:s}", "hits", r->n_hits,
                         "misses", r->n_misses, "stored", r->n_stored, "bypassed",
                         r->n_bypassed, "saved_ms", r->saved_ms, "bytes_read",
                         counts->bytes_read, "bytes_written", counts->bytes_written,
                         "directory", r->store ? ak_store_dir(r->store) : "");
}

static PyObject *cache_last(PyObject *module, PyObject *ignored) {
    struct ak_recorder *recorder = recorder_of(module);
    if (!recorder)
        return NULL;
    return PyUnicode_FromStringAndSize(ak_buf_str(&recorder->last),
                                       (Py_ssize_t)recorder->last.len);
}

static PyObject *cache_switch(PyObject *module, PyObject *on) {
    struct ak_recorder *recorder = recorder_of(module);
    int is = recorder ? PyObject_IsTrue(on) : -1;
    if (is < 0)
        return NULL;
    recorder->off = !is;
    Py_RETURN_NONE;
}

static PyObject *cache_refresh(PyObject *module, PyObject *ignored) {
    struct ak_recorder *recorder = recorder_of(module);
    if (!recorder)
        return NULL;
    recorder->refresh = true;
    Py_RETURN_NONE;
}

static PyObject *cache_clear(PyObject *module, PyObject *ignored) {
    struct ak_recorder *recorder = recorder_of(module);
    if (!recorder)
        return NULL;
    AK_BUF_AUTO reason = {0};
    int r = recorder->store ? ak_store_clear(recorder->store) : 0;
    if (r) {
        PyErr_SetString(PyExc_OSError, reason.len ? ak_buf_str(&reason)
                                                  : "the cache cannot be cleared");
        return NULL;
    }
    PyDict_Clear(recorder->seen);
    Py_RETURN_NONE;
}

/* The digest of a value as hexadecimal digits, for tests: what a key says of it. */
static PyObject *cache_digest(PyObject *module, PyObject *value) {
    struct ak_recorder *recorder = recorder_of(module);
    AK_CLEANUP(ak_valuehash_freep) struct ak_valuehash *walk = NULL;
    struct ak_digest digest;
    char hex[AK_DIGEST_HEX_SIZE];
    if (!recorder)
        return NULL;
    if (!recorder->ring || ak_valuehash_new(&walk, recorder->state, recorder->ring,
                                            ak_space_current(recorder->state)->names)) {
        PyErr_SetString(PyExc_RuntimeError, "there is no cache");
        return NULL;
    }
    int r = ak_valuehash_add(walk, value, &digest);
    if (r == AK_VALUE_E_REFUSED)
        PyErr_SetString(PyExc_ValueError, ak_buf_str(&walk->reason));
    if (r)
        return NULL;
    ak_digest_hex(&digest, hex);
    return PyUnicode_FromString(hex);
}

static PyMethodDef cache_functions[] = {
    {"_cache_digest", cache_digest, METH_O, NULL},
    {"_cache_stats", cache_stats, METH_NOARGS, NULL},
    {"_cache_last", cache_last, METH_NOARGS, NULL},
    {"_cache_switch", cache_switch, METH_O, NULL},
    {"_cache_refresh", cache_refresh, METH_NOARGS, NULL},
    {"_cache_clear", cache_clear, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int ak_recorder_setup(struct ak_state *state, PyObject *module) {
    (void)state;
    return PyModule_AddFunctions(module, cache_functions);
}

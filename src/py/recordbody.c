/* SPDX-License-Identifier: MIT */
/*
 * What is kept of a run, and giving it back.
 *
 * The body of an entry is a row of sized fields: the pickle stream of {names}, result;
 * which buffers were read-only; the names that were deleted; the outputs in order; the
 * text of the result for history. The store seals it, and still every length is
 * checked.
 *
 * Before an entry is stored it is loaded once, and the digest of what comes back is
 * compared with that of what went in. So an object whose reduction hides or changes
 * something, an array whose strides a pickle does not keep, a class that restores as
 * another: none of them is stored. Long buffers are compared by where they lie, since
 * the loaded copy lies over the same memory.
 *
 * A restore is all or nothing: everything is loaded before the first name is bound.
 */
#include "py/record-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "py/snapshot-private.h"
#include "py/stdio-private.h"

#define RESULT_HEAD "{\"execution_count\": "

/* --- fields ------------------------------------------------------------------------
 */

static int put_u64(struct ak_buf *out, uint64_t value) {
    return ak_buf_add(out, &value, sizeof(value));
}

static int put(struct ak_buf *out, const void *data, size_t len) {
    int r = put_u64(out, len);
    return r ? r : ak_buf_add(out, data, len);
}

struct reader {
    const char *p, *end;
    bool bad;
};

static uint64_t get_u64(struct reader *reader) {
    uint64_t value = 0;
    if ((size_t)(reader->end - reader->p) < sizeof(value)) {
        reader->bad = true;
        return 0;
    }
    memcpy(&value, reader->p, sizeof(value));
    reader->p += sizeof(value);
    return value;
}

static struct ak_bytes get(struct reader *reader) {
    uint64_t len = get_u64(reader);
    if (reader->bad || len > (uint64_t)(reader->end - reader->p)) {
        reader->bad = true;
        return ak_bytes("", 0);
    }
    struct ak_bytes bytes = ak_bytes(reader->p, (size_t)len);
    reader->p += len;
    return bytes;
}

/* --- storing -----------------------------------------------------------------------
 */

/* The execution count of a result is that of its replay. */
static struct ak_bytes without_count(const struct ak_record_output *output) {
    const char *text = ak_buf_str(&output->content);
    size_t head = strlen(RESULT_HEAD);
    if (output->stream || output->output != AK_OUTPUT_EXECUTE_RESULT ||
        strncmp(text, RESULT_HEAD, head) != 0)
        return ak_bytes(text, output->content.len);
    head += strspn(text + head, "0123456789");
    return ak_bytes(text + head, output->content.len - head);
}

static int put_outputs(struct ak_record *record, struct ak_buf *body) {
    int r = put_u64(body, record->n_outputs);
    for (size_t i = 0; i < record->n_outputs && !r; i++) {
        const struct ak_record_output *output = &record->outputs[i];
        struct ak_bytes content = without_count(output);
        r = put_u64(body, (uint64_t)output->stream);
        if (!r)
            r = put_u64(body, (uint64_t)output->output);
        if (!r)
            r = put(body, content.data, content.len);
        if (!r)
            r = put(body, ak_buf_str(&output->metadata), output->metadata.len);
        if (!r)
            r = put_u64(body, output->n_buffers);
        for (size_t k = 0; k < output->n_buffers && !r; k++)
            r = put(body, ak_buf_str(&output->buffers[k]), output->buffers[k].len);
    }
    return r;
}

static int put_deleted(struct ak_buf *body, PyObject *deleted) {
    int r = put_u64(body, (uint64_t)PyList_GET_SIZE(deleted));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(deleted) && !r; i++) {
        Py_ssize_t len;
        const char *name = PyUnicode_AsUTF8AndSize(PyList_GET_ITEM(deleted, i), &len);
        r = name ? put(body, name, (size_t)len) : -ENOMEM;
    }
    return r;
}

static int make_body(struct ak_record *record, const struct ak_snapshot *snapshot,
                     PyObject *deleted, struct ak_buf *body) {
    const struct ak_buf *text = &record->cell->result_text;
    int r = put(body, PyBytes_AS_STRING(snapshot->stream),
                (size_t)PyBytes_GET_SIZE(snapshot->stream));
    if (!r)
        r = put_u64(body, (uint64_t)PyList_GET_SIZE(snapshot->buffers));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(snapshot->buffers) && !r; i++) {
        PyObject *view = PyList_GET_ITEM(snapshot->buffers, i); /* borrowed */
        r = ak_buf_add_char(body, (char)PyMemoryView_GET_BUFFER(view)->readonly);
    }
    if (!r)
        r = put_deleted(body, deleted);
    if (!r)
        r = put_outputs(record, body);
    if (!r)
        r = put(body, ak_buf_str(text), text->len);
    return r;
}

/* Turns a failure of the user's data into a reason; lets an interrupt through. */
static int refuse_pending(struct ak_record *record, const char *what) {
    if (!PyErr_Occurred())
        return AK_VALUE_E_REFUSED;
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    AK_PYREF exception = ak_fault_fetch();
    AK_PYREF text = PyObject_Str(exception);
    const char *utf8 = text ? PyUnicode_AsUTF8(text) : NULL;
    ak_record_refuse(record, "%s: %s: %.200s", what, Py_TYPE(exception)->tp_name,
                     utf8 ? utf8 : "");
    Py_XDECREF(ak_fault_fetch());
    return AK_VALUE_E_REFUSED;
}

static int walk_outputs(struct ak_record *record, PyObject *value,
                        struct ak_valuehash **ret_walk, struct ak_digest *ret_digest) {
    AK_CLEANUP(ak_valuehash_freep) struct ak_valuehash *walk = NULL;
    if (ak_valuehash_new(&walk, record->recorder->state, record->recorder->ring,
                         record->cell->space->names) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    walk->base = record->walk;
    walk->by_address = true;
    int r = ak_valuehash_add(walk, value, ret_digest);
    if (r == AK_VALUE_E_REFUSED)
        ak_record_refuse(record, "what it leaves cannot be kept: %s",
                         ak_buf_str(&walk->reason));
    if (ret_walk)
        *ret_walk = AK_TAKE(walk);
    return r;
}

/* Loads what was dumped and compares. */
static int verify(struct ak_record *record, const struct ak_snapshot *snapshot,
                  const struct ak_digest *digest) {
    AK_PYREF copy = ak_snapshot_load(
        record->recorder->state, record->walk, PyBytes_AS_STRING(snapshot->stream),
        (size_t)PyBytes_GET_SIZE(snapshot->stream), snapshot->buffers);
    if (!copy)
        return refuse_pending(record, "what it leaves cannot be loaded again");
    struct ak_digest again;
    int r = walk_outputs(record, copy, NULL, &again);
    if (r == 0 && !ak_digest_equal(&again, digest)) {
        ak_record_refuse(record, "what it leaves does not come back as it was");
        r = AK_VALUE_E_REFUSED;
    }
    return r;
}

static int put_entry(struct ak_record *record, const struct ak_snapshot *snapshot,
                     const struct ak_buf *body) {
    struct ak_recorder *recorder = record->recorder;
    size_t n = (size_t)PyList_GET_SIZE(snapshot->buffers);
    struct ak_bytes *buffers = calloc(n + 1, sizeof(*buffers));
    AK_BUF_AUTO dependencies = {0};
    AK_BUF_AUTO reason = {0};
    if (!buffers || ak_watch_dependencies(&record->watch, &dependencies)) {
        free(buffers);
        PyErr_NoMemory();
        return -1;
    }
    if (record->watch.reason.len) {
        free(buffers);
        return AK_VALUE_E_REFUSED;
    }
    for (size_t i = 0; i < n; i++) {
        const Py_buffer *view =
            PyMemoryView_GET_BUFFER(PyList_GET_ITEM(snapshot->buffers, (Py_ssize_t)i));
        buffers[i] = ak_bytes(view->buf, (size_t)view->len);
    }
    const struct ak_buf *source = &record->cell->source_text;
    struct ak_entry entry = {
        .body = ak_bytes(ak_buf_str(body), body->len),
        .buffers = buffers,
        .n_buffers = n,
        .run_ns = (uint64_t)(record->run_ms * 1e6),
        .label = ak_bytes(ak_buf_str(source), strcspn(ak_buf_str(source), "\r\n")),
    };
    struct ak_digest key = record->key;
    if (dependencies.len) {
        struct ak_hash *hash = aligned_alloc(64, (sizeof(*hash) + 63) / 64 * 64);
        if (!hash) {
            free(buffers);
            PyErr_NoMemory();
            return -1;
        }
        ak_hash_init(hash, recorder->ring, AK_PURPOSE_CELL);
        ak_hash_add(hash, record->key.bytes, AK_DIGEST_SIZE);
        ak_hash_add_sized(hash, dependencies.data, dependencies.len);
        ak_hash_final(hash, &key);
        free(hash);
    }
    PyThreadState *thread = PyEval_SaveThread();
    int r = ak_store_put(recorder->store, &key, &entry, record->refresh, &record->bytes,
                         &reason);
    if (!r && dependencies.len)
        r = ak_store_put_variant(recorder->store, &record->key,
                                 ak_bytes(dependencies.data, dependencies.len), &key,
                                 &reason);
    PyEval_RestoreThread(thread);
    free(buffers);
    if (!r)
        return 0;
    ak_record_refuse(record, "it cannot be stored: %s",
                     reason.len ? ak_buf_str(&reason) : "no memory");
    return AK_VALUE_E_REFUSED;
}

int ak_record_store(struct ak_record *record, PyObject *names, PyObject *deleted) {
    AK_PYREF value = record->result ? PyTuple_Pack(2, names, record->result)
                                    : PyTuple_Pack(1, names);
    AK_CLEANUP(ak_valuehash_freep) struct ak_valuehash *walk = NULL;
    struct ak_digest digest;
    int r = value ? walk_outputs(record, value, &walk, &digest) : -1;
    if (r)
        return r;
    if (ak_valuehash_overlaps(walk, record->walk)) {
        ak_record_refuse(record, "what it leaves shares memory with another array");
        return AK_VALUE_E_REFUSED;
    }
    struct ak_snapshot snapshot = {0};
    if (ak_snapshot_dump(record->recorder->state, record->walk, value, &snapshot) < 0)
        return refuse_pending(record, "what it leaves cannot be kept");
    AK_BUF_AUTO body = {0};
    r = verify(record, &snapshot, &digest);
    if (r == 0 && make_body(record, &snapshot, deleted, &body)) {
        PyErr_NoMemory();
        r = -1;
    }
    if (r == 0)
        r = put_entry(record, &snapshot, &body);
    ak_snapshot_done(&snapshot);
    return r;
}

/* --- restoring ---------------------------------------------------------------------
 */

static PyObject *wrap_buffers(struct ak_state *state, struct ak_loaded *loaded,
                              struct reader *reader) {
    uint64_t n = get_u64(reader);
    AK_PYREF list = PyList_New(0);
    if (n != loaded->n_buffers || (uint64_t)(reader->end - reader->p) < n)
        reader->bad = true;
    for (size_t i = 0; list && !reader->bad && i < n; i++) {
        bool read_only = *reader->p++ != 0;
        AK_PYREF memory = ak_snapshot_memory(state, &loaded->buffers[i]);
        AK_PYREF view = memory && read_only ? PyMemoryView_FromObject(memory) : NULL;
        AK_PYREF closed = view ? PyObject_CallMethod(view, "toreadonly", NULL) : NULL;
        PyObject *given = read_only ? closed : memory; /* borrowed */
        if (!given || PyList_Append(list, given) < 0)
            return NULL;
    }
    return AK_TAKE(list);
}

static int replay_one(struct ak_record *record, struct reader *reader) {
    struct ak_state *state = record->recorder->state;
    struct ak_request *request = record->cell->request;
    int stream = (int)get_u64(reader);
    uint64_t output = get_u64(reader);
    struct ak_bytes content = get(reader), metadata = get(reader);
    uint64_t n_buffers = get_u64(reader);
    if (reader->bad || output > AK_OUTPUT_COMM_CLOSE ||
        n_buffers > (uint64_t)(reader->end - reader->p))
        return 0;
    struct ak_bytes *buffers = calloc(n_buffers + 1, sizeof(*buffers));
    for (uint64_t i = 0; buffers && i < n_buffers; i++)
        buffers[i] = get(reader);
    AK_BUF_AUTO text = {0};
    int r = buffers ? 0 : -ENOMEM;
    bool result = output == AK_OUTPUT_EXECUTE_RESULT;
    if (!r && !stream && result)
        r = ak_buf_addf(&text, RESULT_HEAD "%ld", request->execution_count);
    if (!r && !stream)
        r = ak_buf_add(&text, content.data, content.len);
    if (r) {
        free(buffers);
        PyErr_NoMemory();
        return -1;
    }
    struct ak_publication publication = {
        .output = (enum ak_output)output,
        .request = request->id,
        .content = ak_bytes(ak_buf_str(&text), text.len),
        .metadata = metadata,
        .buffers = buffers,
        .n_buffers = (size_t)n_buffers,
    };
    if (stream == 1 || stream == 2)
        r = ak_stream_write(state, stream, request->id, content.data, content.len);
    else
        r = ak_host_publish(state, &publication);
    free(buffers);
    return r;
}

static int bind(struct ak_record *record, PyObject *value, struct reader *reader) {
    struct ak_space *space = record->cell->space;
    PyObject *names = PyTuple_GET_ITEM(value, 0); /* borrowed */
    if (PyDict_Update(space->names, names) < 0)
        return -1;
    uint64_t n = get_u64(reader);
    for (uint64_t i = 0; i < n && !reader->bad; i++) {
        struct ak_bytes name = get(reader);
        AK_PYREF key = PyUnicode_FromStringAndSize(name.data, (Py_ssize_t)name.len);
        int has = key ? PyDict_Contains(space->names, key) : -1;
        if (has < 0 || (has && PyDict_DelItem(space->names, key) < 0))
            return -1;
    }
    if (PyTuple_GET_SIZE(value) == 2 && record->cell->request->store_history)
        return ak_space_keep_result(space, PyTuple_GET_ITEM(value, 1),
                                    record->cell->request->execution_count);
    return 0;
}

/* Checks all lengths before anything is done. */
static bool is_whole(struct reader reader) {
    uint64_t n = get_u64(&reader);
    for (uint64_t i = 0; i < n && !reader.bad; i++)
        (void)get(&reader);
    n = get_u64(&reader);
    for (uint64_t i = 0; i < n && !reader.bad; i++) {
        (void)get_u64(&reader);
        (void)get_u64(&reader);
        (void)get(&reader);
        (void)get(&reader);
        uint64_t n_buffers = get_u64(&reader);
        for (uint64_t k = 0; k < n_buffers && !reader.bad; k++)
            (void)get(&reader);
    }
    (void)get(&reader);
    return !reader.bad && reader.p == reader.end;
}

/* 1 restored, 0 unusable, -1. */
static int restore(struct ak_record *record, struct ak_loaded *loaded) {
    struct ak_state *state = record->recorder->state;
    struct reader reader = {.p = loaded->body.data,
                            .end = (const char *)loaded->body.data + loaded->body.len};
    struct ak_bytes stream = get(&reader);
    AK_PYREF buffers = wrap_buffers(state, loaded, &reader);
    if (!buffers)
        return -1;
    if (reader.bad || !is_whole(reader)) {
        ak_record_refuse(record, "the entry is damaged");
        return 0;
    }
    AK_PYREF value =
        ak_snapshot_load(state, record->walk, stream.data, stream.len, buffers);
    if (!value || !PyTuple_Check(value) || PyTuple_GET_SIZE(value) < 1 ||
        !PyDict_CheckExact(PyTuple_GET_ITEM(value, 0)))
        return refuse_pending(record, "what was stored cannot be loaded") < 0 ? -1 : 0;
    if (bind(record, value, &reader) < 0)
        return -1;
    uint64_t n = get_u64(&reader);
    for (uint64_t i = 0; i < n && !reader.bad; i++) {
        if (replay_one(record, &reader) < 0)
            return -1;
    }
    struct ak_bytes text = get(&reader);
    (void)ak_buf_add(&record->cell->result_text, text.data, text.len);
    record->saved_ms = (double)loaded->run_ns / 1e6;
    record->bytes = loaded->bytes;
    return 1;
}

/* The entry under the key, or of the first variant whose files are as they were. */
static int look_up(struct ak_record *record, struct ak_loaded *ret_loaded,
                   struct ak_buf *reason) {
    struct ak_store *store = record->recorder->store;
    ak_store_begin(store);
    int r = ak_store_get(store, &record->key, ret_loaded, reason);
    if (r != AK_STORE_E_MISS)
        return r;
    struct ak_variant *variants = NULL;
    size_t n = 0;
    if (ak_store_variants(store, &record->key, &variants, &n) < 0 || n == 0)
        return AK_STORE_E_MISS;
    for (size_t i = 0; i < n && r == AK_STORE_E_MISS; i++) {
        struct ak_bytes files =
            ak_bytes(variants[i].dependencies.data, variants[i].dependencies.len);
        if (ak_watch_dependencies_hold(record->recorder->ring, files))
            r = ak_store_get(store, &variants[i].entry, ret_loaded, reason);
    }
    if (r == AK_STORE_E_MISS && !reason->len)
        (void)ak_buf_add_str(reason, "a file that it reads has changed");
    ak_variants_free(variants, n);
    return r;
}

int ak_record_restore(struct ak_record *record) {
    struct ak_loaded loaded = {0};
    AK_BUF_AUTO reason = {0};
    PyThreadState *thread = PyEval_SaveThread();
    int r = look_up(record, &loaded, &reason);
    PyEval_RestoreThread(thread);
    if (r == 0)
        r = restore(record, &loaded);
    else {
        if (reason.len)
            (void)ak_buf_add(&record->reason, reason.data, reason.len);
        r = 0;
    }
    ak_loaded_done(&loaded);
    return r;
}

/* SPDX-License-Identifier: MIT */
/*
 * The key of a cell: what interpreter it runs on, what its tree says, and every input
 * with the digest of its value. Inputs are the names that it reads before it has surely
 * bound them, what its nested scopes read, and what it deletes; a name that is unbound
 * or a builtin at that moment is an input of that kind.
 */
#include "py/record-private.h"

#include <stdlib.h>
#include <string.h>

#define FORMAT 1

/* --- directives --------------------------------------------------------------------
 */

static bool is_word(const char *text, size_t len, const char *word) {
    return strlen(word) == len && memcmp(text, word, len) == 0;
}

static void apply(struct ak_record *record, const char *text, size_t len) {
    if (is_word(text, len, "off"))
        ak_record_refuse(record, "it is switched off for this cell");
    else if (is_word(text, len, "on"))
        record->forced = true;
    else if (is_word(text, len, "refresh"))
        record->refresh = true;
    else if (len > 4 && memcmp(text, "key=", 4) == 0)
        (void)ak_buf_add(&record->key_expression, text + 4, len - 4);
    else
        ak_record_refuse(record,
                         "its first line has an unknown word: \"%.*s\" is none of off, "
                         "on, refresh and key=EXPRESSION",
                         (int)(len > 60 ? 60 : len), text);
}

void ak_record_directives(struct ak_record *record) {
    const char *text = ak_buf_str(&record->cell->source_text);
    text += strspn(text, " \t\r\n");
    size_t len = strcspn(text, "\r\n");
    if (text[0] == '#') {
        const char *p = text + 1;
        p += strspn(p, " \t");
        if (strncmp(p, "cache:", 6) == 0) {
            p += 6;
            p += strspn(p, " \t");
            size_t n = (size_t)(text + len - p);
            while (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
                n--;
            apply(record, p, n);
        }
    }
    if (record->cell->cache_tags & AK_CELL_CACHE_OFF)
        ak_record_refuse(record, "a tag switches it off for this cell");
    if (record->cell->cache_tags & AK_CELL_CACHE_REFRESH)
        record->refresh = true;
}

/* --- inputs ------------------------------------------------------------------------
 */

static int add_names(PyObject *set, const struct ak_names *names) {
    for (size_t i = 0; i < names->n_items; i++) {
        AK_PYREF name = PyUnicode_FromString(names->items[i]);
        if (!name || PySet_Add(set, name) < 0)
            return -1;
    }
    return 0;
}

/* The names, sorted. New reference. */
static PyObject *input_names(struct ak_cell *cell) {
    AK_PYREF set = PySet_New(NULL);
    if (!set || add_names(set, ak_effects_reads_at_once(cell->effects)) < 0 ||
        add_names(set, ak_effects_reads_later(cell->effects)) < 0 ||
        add_names(set, ak_effects_deletes(cell->effects)) < 0)
        return NULL;
    AK_PYREF list = PySequence_List(set);
    return list && PyList_Sort(list) == 0 ? AK_TAKE(list) : NULL;
}

static void add_text(struct ak_hash *hash, const char *text) {
    ak_hash_add_sized(hash, text, strlen(text));
}

/* 0, REFUSED or -1; takes the walk's reason. */
static int take(struct ak_record *record, struct ak_valuehash *walk, int r,
                const char *name) {
    if (r == AK_VALUE_E_REFUSED)
        ak_record_refuse(record, name ? "%s: %s" : "%s%s", name ? name : "",
                         ak_buf_str(&walk->reason));
    return r;
}

/* Walks the inputs with the names as they were resolved first. Digests are n inputs,
 * body, expression, settings. */
static int walk_inputs(struct ak_record *record, struct ak_valuehash *walk,
                       struct ak_digest *digests) {
    struct ak_cell *cell = record->cell;
    PyObject *names = cell->space->names; /* borrowed */
    size_t n = (size_t)PyList_GET_SIZE(record->inputs), k = 0;
    PyObject *const codes[] = {cell->body, cell->expression};
    for (size_t i = 0; i < 2; i++, k++) {
        digests[k] = (struct ak_digest){{0}};
        int r = codes[i]
                    ? ak_valuehash_add_code(walk, (PyCodeObject *)codes[i], &digests[k])
                    : 0;
        if (r)
            return take(record, walk, r, NULL);
    }
    for (size_t i = 0; i < n; i++, k++) {
        PyObject *name = PyList_GET_ITEM(record->inputs, (Py_ssize_t)i); /* borrowed */
        bool builtin;
        PyObject *value = ak_valuehash_resolve(walk, names, name, &builtin);
        if (!value && PyErr_Occurred())
            return -1;
        AK_PYREF strong = Py_XNewRef(value);
        (void)strong; /* held for its cleanup alone, which clang calls unused */
        AK_PYREF pair = Py_BuildValue("(iO)",
                                      !value    ? 0
                                      : builtin ? 2
                                                : 1,
                                      value ? value : Py_None);
        int r = pair ? ak_valuehash_add(walk, pair, &digests[k]) : -1;
        if (r)
            return take(record, walk, r, PyUnicode_AsUTF8(name));
    }
    return take(record, walk, ak_valuehash_finish(walk, &digests[k]), NULL);
}

bool ak_record_is_input(struct ak_record *record, PyObject *name) {
    AK_PYREF place = PyLong_FromSize_t((size_t)(void *)record->cell->space->names);
    AK_PYREF key = place ? PyTuple_Pack(2, place, name) : NULL;
    bool is = key && PyDict_Contains(record->walk->resolved, key) == 1;
    Py_XDECREF(ak_fault_fetch());
    return is;
}

/* The value of the user's own key expression counts as one more input. */
static int add_expression(struct ak_record *record, struct ak_hash *hash) {
    if (!record->key_expression.len)
        return 0;
    PyObject *names = record->cell->space->names; /* borrowed */
    AK_PYREF builtins = PyImport_ImportModule("builtins");
    AK_PYREF value =
        builtins ? PyObject_CallMethod(builtins, "eval", "sO",
                                       ak_buf_str(&record->key_expression), names)
                 : NULL;
    struct ak_digest digest;
    if (!value) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return -1;
        AK_PYREF exception = ak_fault_fetch();
        ak_record_refuse(record, "its key expression raises %s",
                         Py_TYPE(exception)->tp_name);
        return AK_VALUE_E_REFUSED;
    }
    AK_CLEANUP(ak_valuehash_freep) struct ak_valuehash *walk = NULL;
    if (ak_valuehash_new(&walk, record->recorder->state, record->recorder->ring,
                         names) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    int r = ak_valuehash_add(walk, value, &digest);
    if (r)
        return take(record, walk, r, "its key expression");
    ak_hash_add_byte(hash, 'k');
    ak_hash_add(hash, digest.bytes, AK_DIGEST_SIZE);
    return 0;
}

static void hash_code(struct ak_record *record, struct ak_hash *hash) {
    struct ak_cell *cell = record->cell;
    ak_hash_init(hash, record->recorder->ring, AK_PURPOSE_CELL);
    ak_hash_add_u64(hash, FORMAT);
    add_text(hash, Py_GetVersion());
    add_text(hash, Py_GetPlatform());
    ak_hash_add_u64(hash, (uint64_t)cell->space->compiler_flags);
    ak_hash_add_byte(hash, cell->quiet);
    ak_hash_add_sized(hash, ak_buf_str(&cell->tree_key), cell->tree_key.len);
    ak_hash_final(hash, &record->code);
}

/* Which inputs are not what they were when this code last ran in this session. */
static int compare_inputs(struct ak_record *record) {
    size_t n = (size_t)PyList_GET_SIZE(record->inputs);
    AK_PYREF code =
        PyBytes_FromStringAndSize((const char *)record->code.bytes, AK_DIGEST_SIZE);
    AK_PYREF now = code ? PyDict_New() : NULL;
    if (!now)
        return -1;
    PyObject *old =
        PyDict_GetItemWithError(record->recorder->seen, code); /* borrowed */
    int r = ak_buf_add_char(&record->changed, '[');
    for (size_t i = 0; i < n; i++) {
        PyObject *name = PyList_GET_ITEM(record->inputs, (Py_ssize_t)i); /* borrowed */
        const char *utf8 = PyUnicode_AsUTF8(name);
        AK_PYREF digest = PyBytes_FromStringAndSize(
            (const char *)record->digests[i + 2].bytes, AK_DIGEST_SIZE);
        if (!utf8 || !digest || PyDict_SetItem(now, name, digest) < 0)
            return -1;
        PyObject *before = old ? PyDict_GetItemWithError(old, name) : NULL;
        if (!old || (before && PyObject_RichCompareBool(before, digest, Py_EQ) == 1))
            continue;
        if (record->changed.len > 1)
            r |= ak_buf_add_str(&record->changed, ", ");
        r |= ak_buf_add_json_string(&record->changed, utf8, strlen(utf8));
    }
    r |= ak_buf_add_char(&record->changed, ']');
    if (PyDict_GET_SIZE(record->recorder->seen) > 2000)
        PyDict_Clear(record->recorder->seen);
    if (r || PyDict_SetItem(record->recorder->seen, code, now) < 0) {
        ak_buf_clear(&record->changed);
        return -1;
    }
    return 0;
}

int ak_record_make_key(struct ak_record *record) {
    struct ak_cell *cell = record->cell;
    if (ak_effects_binds_unknown(cell->effects)) {
        ak_record_refuse(record, "it imports names that cannot be known (*)");
        return AK_VALUE_E_REFUSED;
    }
    record->inputs = input_names(cell);
    if (!record->inputs)
        return -1;
    record->n_digests = (size_t)PyList_GET_SIZE(record->inputs) + 3;
    record->digests = calloc(record->n_digests, sizeof(*record->digests));
    if (!record->digests ||
        ak_valuehash_new(&record->walk, record->recorder->state, record->recorder->ring,
                         cell->space->names) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    int r = walk_inputs(record, record->walk, record->digests);
    if (r)
        return r;
    struct ak_hash *hash = aligned_alloc(64, (sizeof(*hash) + 63) / 64 * 64);
    if (!hash) {
        PyErr_NoMemory();
        return -1;
    }
    hash_code(record, hash);
    ak_hash_init(hash, record->recorder->ring, AK_PURPOSE_CELL);
    ak_hash_add(hash, record->code.bytes, AK_DIGEST_SIZE);
    r = add_expression(record, hash);
    for (size_t i = 0; i < (size_t)PyList_GET_SIZE(record->inputs) && !r; i++) {
        PyObject *name = PyList_GET_ITEM(record->inputs, (Py_ssize_t)i); /* borrowed */
        Py_ssize_t len = 0;
        const char *utf8 = PyUnicode_AsUTF8AndSize(name, &len);
        ak_hash_add_sized(hash, utf8 ? utf8 : "", (size_t)len);
        r = utf8 ? 0 : -1;
    }
    ak_hash_add(hash, record->digests, record->n_digests * sizeof(*record->digests));
    ak_hash_final(hash, &record->key);
    free(hash);
    return r ? r : compare_inputs(record);
}

int ak_record_inputs_hold(struct ak_record *record) {
    AK_CLEANUP(ak_valuehash_freep) struct ak_valuehash *walk = NULL;
    struct ak_digest *digests = calloc(record->n_digests, sizeof(*digests));
    if (!digests ||
        ak_valuehash_new(&walk, record->recorder->state, record->recorder->ring,
                         record->cell->space->names) < 0) {
        free(digests);
        PyErr_NoMemory();
        return -1;
    }
    walk->first = record->walk;
    int r = walk_inputs(record, walk, digests);
    if (r == 0) {
        size_t n = record->n_digests;
        for (size_t i = 0; i < n && r == 0; i++) {
            if (ak_digest_equal(&digests[i], &record->digests[i]))
                continue;
            const char *name = i >= 2 && i + 1 < n
                                   ? PyUnicode_AsUTF8(PyList_GET_ITEM(
                                         record->inputs, (Py_ssize_t)i - 2))
                                   : NULL;
            ak_record_refuse(record, name ? "it changes its input %s" : "it changes %s",
                             name ? name : "a module or a setting that it uses");
            r = AK_VALUE_E_REFUSED;
        }
    }
    free(digests);
    return r < 0 ? -1 : r == 0;
}

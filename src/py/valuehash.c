/* SPDX-License-Identifier: MIT */
/*
 * Every value begins with a tag, and what has a length says it first, so that no two
 * different values give the same bytes. Plain immutable data carries no identity: equal
 * strings are equal whether they are one object or two. Containers and instances are
 * numbered when they are first met and stand for their number afterwards, which ends
 * cycles and makes "two names for one list" differ from "two equal lists".
 *
 * Tuples are walked each time (their identity must not matter) but are numbered all the
 * same, so that a restored name can be the very tuple of an input.
 *
 * The elements of a set have no order that survives a restart. When all of them are
 * plain data their digests are sorted; a set of other things is walked in its own
 * order, which may miss, but never hits wrongly.
 */
#include "py/valuehash-private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "py/fault-private.h"

#define DEPTH_MAX 900
#define NODES_MAX (UINT64_C(1) << 30)
#define SIGNALS_EVERY 0xffffu
#define BUFFER_MIN (64u << 10)

/* --- the walk's own ----------------------------------------------------------------
 */

int ak_valuehash_new(struct ak_valuehash **ret_walk, struct ak_state *state,
                     const struct ak_keyring *ring, PyObject *names) {
    AK_CLEANUP(ak_valuehash_freep)
    struct ak_valuehash *walk = calloc(1, sizeof(*walk));
    if (!walk)
        return ak_error_origin(ENOMEM);
    walk->state = state;
    walk->ring = ring;
    walk->names = names;
    walk->hash = aligned_alloc(64, (sizeof(struct ak_hash) + 63) / 64 * 64);
    walk->resolved = PyDict_New();
    walk->attributes = PySet_New(NULL);
    walk->libraries = PyList_New(0);
    walk->stored = PySet_New(NULL);
    if (!walk->hash || !walk->resolved || !walk->attributes || !walk->libraries ||
        !walk->stored) {
        Py_XDECREF(ak_fault_fetch());
        return ak_error_origin(ENOMEM);
    }
    *ret_walk = AK_TAKE(walk);
    return 0;
}

struct ak_valuehash *ak_valuehash_free(struct ak_valuehash *walk) {
    if (!walk)
        return NULL;
    free(walk->hash);
    free(walk->spare);
    free(walk->memo.keys);
    free(walk->memo.slots);
    free(walk->owners.keys);
    free(walk->owners.slots);
    free(walk->ranges);
    for (size_t i = 0; i < walk->n_slots; i++)
        Py_DECREF(walk->slots[i]);
    free(walk->slots);
    Py_XDECREF(walk->resolved);
    Py_XDECREF(walk->attributes);
    Py_XDECREF(walk->libraries);
    Py_XDECREF(walk->stored);
    Py_XDECREF(walk->ndarray);
    Py_XDECREF(walk->dtype);
    ak_buf_done(&walk->reason);
    free(walk);
    return NULL;
}

int ak_value_refuse(struct ak_valuehash *walk, const char *format, ...) {
    if (walk->reason.len)
        return -1;
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (ak_buf_add_str(&walk->reason, text))
        PyErr_NoMemory();
    return -1;
}

/* --- numbers -----------------------------------------------------------------------
 */

static size_t place_of(const struct ak_value_memo *memo, const PyObject *object) {
    size_t mask = memo->n_cells - 1;
    size_t i = ((size_t)(const void *)object >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    for (i &= mask; memo->keys[i] && memo->keys[i] != object; i = (i + 1) & mask)
        ;
    return i;
}

static int grow_memo(struct ak_value_memo *memo) {
    struct ak_value_memo bigger = {.n_cells = memo->n_cells ? memo->n_cells * 4 : 256};
    bigger.keys = calloc(bigger.n_cells, sizeof(*bigger.keys));
    bigger.slots = calloc(bigger.n_cells, sizeof(*bigger.slots));
    if (!bigger.keys || !bigger.slots) {
        free(bigger.keys);
        free(bigger.slots);
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < memo->n_cells; i++) {
        if (!memo->keys[i])
            continue;
        size_t place = place_of(&bigger, memo->keys[i]);
        bigger.keys[place] = memo->keys[i];
        bigger.slots[place] = memo->slots[i];
    }
    bigger.n_used = memo->n_used;
    free(memo->keys);
    free(memo->slots);
    *memo = bigger;
    return 0;
}

static Py_ssize_t look_up(const struct ak_value_memo *memo, const PyObject *object) {
    if (!memo->n_cells)
        return -1;
    size_t place = place_of(memo, object);
    return memo->keys[place] ? (Py_ssize_t)memo->slots[place] : -1;
}

/* Keeps the number that an object has already. */
static int enter(struct ak_value_memo *memo, const PyObject *object, size_t number) {
    if (memo->n_used * 2 >= memo->n_cells && grow_memo(memo) < 0)
        return -1;
    size_t place = place_of(memo, object);
    if (!memo->keys[place]) {
        memo->keys[place] = object;
        memo->slots[place] = (uint32_t)number;
        memo->n_used++;
    }
    return 0;
}

int ak_value_owner(struct ak_valuehash *walk, PyObject *owner) {
    Py_ssize_t number = look_up(&walk->owners, owner);
    if (number < 0) {
        number = (Py_ssize_t)walk->owners.n_used;
        if (enter(&walk->owners, owner, (size_t)number) < 0)
            return -1;
    }
    ak_hash_add_u64(walk->hash, (uint64_t)number);
    return 0;
}

static Py_ssize_t find(const struct ak_valuehash *walk, const PyObject *object) {
    return look_up(&walk->memo, object);
}

int ak_value_number(struct ak_valuehash *walk, PyObject *object) {
    if (walk->n_slots == walk->slots_cap) {
        size_t cap = walk->slots_cap ? walk->slots_cap * 2 : 64;
        PyObject **bigger = realloc(walk->slots, cap * sizeof(*bigger));
        if (!bigger || cap > UINT32_MAX) {
            walk->slots = bigger ? bigger : walk->slots;
            PyErr_NoMemory();
            return -1;
        }
        walk->slots = bigger;
        walk->slots_cap = cap;
    }
    if (enter(&walk->memo, object, walk->n_slots) < 0)
        return -1;
    walk->slots[walk->n_slots++] = Py_NewRef(object);
    return 0;
}

int ak_value_met(struct ak_valuehash *walk, PyObject *object) {
    Py_ssize_t slot = walk->base ? find(walk->base, object) : -1;
    if (slot >= 0) {
        ak_value_tag(walk, 'R');
        ak_hash_add_u64(walk->hash, (uint64_t)slot);
        return 1;
    }
    slot = find(walk, object);
    if (slot >= 0) {
        ak_value_tag(walk, 'r');
        ak_hash_add_u64(walk->hash, (uint64_t)slot);
        return 1;
    }
    return ak_value_number(walk, object);
}

Py_ssize_t ak_valuehash_slot(const struct ak_valuehash *walk, PyObject *object) {
    return find(walk, object);
}

PyObject *ak_valuehash_object(const struct ak_valuehash *walk, size_t slot) {
    return slot < walk->n_slots ? walk->slots[slot] : NULL;
}

/* --- plain data --------------------------------------------------------------------
 */

void ak_value_bytes(struct ak_valuehash *walk, const void *data, size_t len) {
    ak_hash_add_u64(walk->hash, len);
    if (len < BUFFER_MIN) {
        ak_hash_add(walk->hash, data, len);
    } else if (walk->by_address) {
        ak_hash_add(walk->hash, &data, sizeof(data));
    } else {
        struct ak_digest digest;
        PyThreadState *thread = PyEval_SaveThread();
        ak_hash_buffer(walk->ring, data, len, &digest);
        PyEval_RestoreThread(thread);
        ak_hash_add(walk->hash, digest.bytes, sizeof(digest.bytes));
    }
}

void ak_value_text(struct ak_valuehash *walk, PyObject *str) {
    size_t kind = PyUnicode_KIND(str);
    ak_hash_add_byte(walk->hash, (unsigned char)kind);
    size_t len = (size_t)PyUnicode_GET_LENGTH(str) * kind;
    const void *data = PyUnicode_DATA(str);
    if (len >= BUFFER_MIN && walk->by_address) {
        /* Strings are copied by a pickle, unlike buffers. */
        walk->by_address = false;
        ak_value_bytes(walk, data, len);
        walk->by_address = true;
    } else {
        ak_value_bytes(walk, data, len);
    }
}

static int add_long(struct ak_valuehash *walk, PyObject *value) {
    int overflow;
    long long small = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (!overflow) {
        /* The tag says how many bytes follow; the shortest form is the only one. */
        unsigned char bytes[9];
        uint64_t rest = small < 0 ? ~(uint64_t)small : (uint64_t)small;
        size_t n = 1;
        for (; rest; rest >>= 8)
            bytes[n++] = (unsigned char)rest;
        bytes[0] = (unsigned char)((small < 0 ? 0x90 : 0x80) + n);
        ak_hash_add(walk->hash, bytes, n);
        return 0;
    }
    AK_PYREF digits = PyNumber_ToBase(value, 16);
    if (!digits)
        return -1;
    ak_value_tag(walk, 'I');
    ak_value_text(walk, digits);
    return 0;
}

static void add_double(struct ak_valuehash *walk, double value) {
    ak_hash_add(walk->hash, &value, sizeof(value));
}

/* --- containers --------------------------------------------------------------------
 */

static int walk_list(struct ak_valuehash *walk, PyObject *list) {
    int met = ak_value_met(walk, list);
    if (met)
        return met < 0 ? -1 : 0;
    Py_ssize_t n = PyList_GET_SIZE(list);
    ak_value_tag(walk, '[');
    ak_hash_add_u64(walk->hash, (uint64_t)n);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (i >= PyList_GET_SIZE(list))
            return ak_value_refuse(walk, "a list changes while it is looked at");
        AK_PYREF item = Py_NewRef(PyList_GET_ITEM(list, i));
        if (ak_value_walk(walk, item) < 0)
            return -1;
    }
    return PyList_GET_SIZE(list) == n
               ? 0
               : ak_value_refuse(walk, "a list changes while it is looked at");
}

static int walk_tuple(struct ak_valuehash *walk, PyObject *tuple) {
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    if (n && !walk->in_set && ak_value_number(walk, tuple) < 0)
        return -1;
    ak_value_tag(walk, '(');
    ak_hash_add_u64(walk->hash, (uint64_t)n);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (ak_value_walk(walk, PyTuple_GET_ITEM(tuple, i)) < 0)
            return -1;
    }
    return 0;
}

int ak_value_items(struct ak_valuehash *walk, PyObject *dict) {
    Py_ssize_t n = PyDict_GET_SIZE(dict), position = 0, seen = 0;
    PyObject *key, *value; /* borrowed */
    ak_hash_add_u64(walk->hash, (uint64_t)n);
    while (PyDict_Next(dict, &position, &key, &value)) {
        AK_PYREF own_key = Py_NewRef(key);
        AK_PYREF own_value = Py_NewRef(value);
        if (ak_value_walk(walk, own_key) < 0 || ak_value_walk(walk, own_value) < 0)
            return -1;
        seen++;
        if (PyDict_GET_SIZE(dict) != n)
            break;
    }
    return seen == n && PyDict_GET_SIZE(dict) == n
               ? 0
               : ak_value_refuse(walk, "a dict changes while it is looked at");
}

static int walk_dict(struct ak_valuehash *walk, PyObject *dict) {
    int met = ak_value_met(walk, dict);
    if (met)
        return met < 0 ? -1 : 0;
    ak_value_tag(walk, '{');
    return ak_value_items(walk, dict);
}

/* Whether it is plain immutable data all the way down. */
static bool is_plain(PyObject *value, int depth) {
    if (PyUnicode_CheckExact(value) || PyLong_CheckExact(value) ||
        PyFloat_CheckExact(value) || PyBytes_CheckExact(value) || PyBool_Check(value) ||
        Py_IsNone(value) || PyComplex_CheckExact(value))
        return true;
    if (!PyTuple_CheckExact(value) || depth > 20)
        return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); i++) {
        if (!is_plain(PyTuple_GET_ITEM(value, i), depth + 1))
            return false;
    }
    return true;
}

static int by_bytes(const void *a, const void *b) {
    return memcmp(a, b, sizeof(struct ak_digest));
}

static int add_sorted(struct ak_valuehash *walk, PyObject *items) {
    size_t n = (size_t)PyList_GET_SIZE(items);
    if (!walk->spare)
        walk->spare = aligned_alloc(64, (sizeof(struct ak_hash) + 63) / 64 * 64);
    struct ak_digest *digests = calloc(n + 1, sizeof(*digests));
    if (!walk->spare || !digests) {
        free(digests);
        PyErr_NoMemory();
        return -1;
    }
    struct ak_hash *outer = walk->hash;
    bool in_set = walk->in_set;
    walk->hash = walk->spare;
    walk->in_set = true;
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        ak_hash_init(walk->hash, walk->ring, AK_PURPOSE_CELL);
        r = ak_value_walk(walk, PyList_GET_ITEM(items, (Py_ssize_t)i));
        ak_hash_final(walk->hash, &digests[i]);
    }
    walk->hash = outer;
    walk->in_set = in_set;
    qsort(digests, n, sizeof(*digests), by_bytes);
    ak_hash_add(walk->hash, digests, n * sizeof(*digests));
    free(digests);
    return r;
}

static int walk_set(struct ak_valuehash *walk, PyObject *set) {
    bool frozen = PyFrozenSet_CheckExact(set);
    int met = frozen && walk->in_set ? 0 : ak_value_met(walk, set);
    if (met)
        return met < 0 ? -1 : 0;
    AK_PYREF items = PySequence_List(set);
    if (!items)
        return -1;
    Py_ssize_t n = PyList_GET_SIZE(items);
    bool plain = true;
    for (Py_ssize_t i = 0; i < n && plain; i++)
        plain = is_plain(PyList_GET_ITEM(items, i), 0);
    ak_value_tag(walk, frozen ? 'z' : 'S');
    ak_value_tag(walk, plain ? 's' : 'o');
    ak_hash_add_u64(walk->hash, (uint64_t)n);
    if (plain)
        return add_sorted(walk, items);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (ak_value_walk(walk, PyList_GET_ITEM(items, i)) < 0)
            return -1;
    }
    return 0;
}

static int walk_bytearray(struct ak_valuehash *walk, PyObject *value) {
    int met = ak_value_met(walk, value);
    if (met)
        return met < 0 ? -1 : 0;
    Py_buffer view;
    if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0)
        return -1;
    ak_value_tag(walk, 'B');
    ak_value_bytes(walk, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return 0;
}

/* --- dispatch ----------------------------------------------------------------------
 */

/* 1 when it was plain data. */
static int walk_atom(struct ak_valuehash *walk, PyObject *value) {
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyUnicode_Type) {
        ak_value_tag(walk, 's');
        ak_value_text(walk, value);
    } else if (type == &PyLong_Type) {
        return add_long(walk, value) < 0 ? -1 : 1;
    } else if (type == &PyFloat_Type) {
        ak_value_tag(walk, 'f');
        add_double(walk, PyFloat_AS_DOUBLE(value));
    } else if (value == Py_None) {
        ak_value_tag(walk, 'N');
    } else if (type == &PyBool_Type) {
        ak_value_tag(walk, value == Py_True ? 'T' : 'F');
    } else if (type == &PyBytes_Type) {
        bool by_address = walk->by_address;
        walk->by_address = false;
        ak_value_tag(walk, 'b');
        ak_value_bytes(walk, PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
        walk->by_address = by_address;
    } else if (type == &PyComplex_Type) {
        Py_complex c = PyComplex_AsCComplex(value);
        ak_value_tag(walk, 'c');
        add_double(walk, c.real);
        add_double(walk, c.imag);
    } else if (value == Py_Ellipsis) {
        ak_value_tag(walk, 'E');
    } else if (value == Py_NotImplemented) {
        ak_value_tag(walk, 'e');
    } else {
        return 0;
    }
    return 1;
}

static int walk_other(struct ak_valuehash *walk, PyObject *value) {
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyTuple_Type)
        return walk_tuple(walk, value);
    if (type == &PyList_Type)
        return walk_list(walk, value);
    if (type == &PyDict_Type)
        return walk_dict(walk, value);
    if (type == &PySet_Type || type == &PyFrozenSet_Type)
        return walk_set(walk, value);
    if (type == &PyByteArray_Type)
        return walk_bytearray(walk, value);
    int r = ak_value_array(walk, value);
    if (!r)
        r = ak_value_callable(walk, value);
    if (!r)
        r = ak_value_object(walk, value);
    return r < 0 ? -1 : 0;
}

int ak_value_walk(struct ak_valuehash *walk, PyObject *value) {
    int r = walk_atom(walk, value);
    if ((++walk->n_nodes & SIGNALS_EVERY) == 0 && PyErr_CheckSignals() < 0)
        return -1;
    if (r)
        return r < 0 ? -1 : 0;
    if (walk->n_nodes > NODES_MAX)
        return ak_value_refuse(walk, "an input is too large to be looked at");
    if (walk->depth >= DEPTH_MAX)
        return ak_value_refuse(walk, "an input is nested too deeply");
    walk->depth++;
    r = walk_other(walk, value);
    walk->depth--;
    return r;
}

/* --- faces -------------------------------------------------------------------------
 */

/* An Exception while a value is looked at is a reason; an interrupt is an interrupt. */
static int outcome(struct ak_valuehash *walk, int r) {
    if (r >= 0)
        return 0;
    if (!PyErr_Occurred())
        return AK_VALUE_E_REFUSED;
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    AK_PYREF exception = ak_fault_fetch();
    AK_PYREF text = PyObject_Str(exception);
    const char *utf8 = text ? PyUnicode_AsUTF8(text) : NULL;
    ak_value_refuse(walk, "looking at an input raised %s: %.200s",
                    Py_TYPE(exception)->tp_name, utf8 ? utf8 : "");
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    Py_XDECREF(ak_fault_fetch());
    return AK_VALUE_E_REFUSED;
}

int ak_valuehash_add(struct ak_valuehash *walk, PyObject *value,
                     struct ak_digest *ret_digest) {
    ak_hash_init(walk->hash, walk->ring, AK_PURPOSE_CELL);
    walk->depth = 0;
    int r = ak_value_walk(walk, value);
    ak_hash_final(walk->hash, ret_digest);
    return outcome(walk, r);
}

int ak_valuehash_add_code(struct ak_valuehash *walk, PyCodeObject *code,
                          struct ak_digest *ret_digest) {
    ak_hash_init(walk->hash, walk->ring, AK_PURPOSE_CELL);
    walk->depth = 0;
    int r = ak_value_code_names(walk, code, NULL);
    ak_hash_final(walk->hash, ret_digest);
    return outcome(walk, r);
}

int ak_valuehash_finish(struct ak_valuehash *walk, struct ak_digest *ret_digest) {
    ak_hash_init(walk->hash, walk->ring, AK_PURPOSE_CELL);
    walk->depth = 0;
    int r = ak_value_libraries(walk);
    if (r == 0)
        r = ak_value_settings(walk);
    ak_hash_final(walk->hash, ret_digest);
    return outcome(walk, r);
}

static int by_low(const void *a, const void *b) {
    const struct ak_value_range *one = a, *two = b;
    return one->low < two->low ? -1 : one->low > two->low;
}

bool ak_valuehash_overlaps(struct ak_valuehash *walk, struct ak_valuehash *other) {
    size_t n = walk->n_ranges + other->n_ranges;
    struct ak_value_range *all = calloc(n + 1, sizeof(*all));
    if (!all)
        return true;
    for (size_t i = 0; i < n; i++) {
        bool ours = i < walk->n_ranges;
        all[i] = ours ? walk->ranges[i] : other->ranges[i - walk->n_ranges];
        all[i].ours = ours;
    }
    qsort(all, n, sizeof(*all), by_low);
    /* Inputs may share with each other; what counts has one of ours in it. */
    const char *end = NULL, *our_end = NULL;
    bool found = false;
    for (size_t i = 0; i < n && !found; i++) {
        found = all[i].low < our_end || (all[i].ours && all[i].low < end);
        end = all[i].high > end ? all[i].high : end;
        if (all[i].ours && all[i].high > our_end)
            our_end = all[i].high;
    }
    free(all);
    return found;
}

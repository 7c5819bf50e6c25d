/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The digest of Python values by type and content, in one traversal with one memo: what
 * the key of a cached cell says about its inputs. Nothing is pickled, nothing is
 * sampled, and the user's __eq__, __hash__ and __repr__ are not asked.
 *
 * One walk serves all inputs of a cell, so that sharing between them is part of their
 * digests. Every object that has an identity worth keeping gets a number, in the order
 * in which the walk meets it: equal digests mean equal numbers, which is how a restored
 * value refers to the live inputs of its session.
 *
 * valuehash.c has the walk and plain data, valuearray.c arrays, valueobject.c other
 * instances, valuecode.c functions, classes and modules. GIL held; may run Python (the
 * __reduce__ of library classes).
 */

#include "cache/key.h"
#include "py/state-private.h"

enum {
    AK_VALUE_E_REFUSED = 1, /* it cannot be known whether the value is the same: the
                               reason says what stands in the way */
};

/* Which libraries have hidden settings that the inputs may depend on. */
enum {
    AK_VALUE_NUMPY = 1 << 0,
    AK_VALUE_PANDAS = 1 << 1,
    AK_VALUE_DECIMAL = 1 << 2,
    AK_VALUE_MATPLOTLIB = 1 << 3,
    AK_VALUE_WARNINGS = 1 << 4,
    AK_VALUE_SIGNAL = 1 << 5,
    AK_VALUE_SOCKET = 1 << 6,
    AK_VALUE_NUMPY_RANDOM = 1 << 7,
};

/* Memory of an array that was met: arrays that share some cannot be restored apart. */
struct ak_value_range {
    const char *low, *high;
    bool ours; /* while ranges of two walks are compared */
};

struct ak_value_memo {
    const PyObject **keys; /* owned; borrowed from the slots */
    uint32_t *slots;       /* owned */
    size_t n_used, n_cells;
};

struct ak_valuehash {
    struct ak_state *state;        /* borrowed */
    const struct ak_keyring *ring; /* borrowed */
    PyObject *names;               /* borrowed: the namespace of the cell */
    struct ak_valuehash *base;     /* borrowed: a walk that this one goes on from */
    struct ak_hash *hash;          /* owned: what the walk adds to now */
    struct ak_hash *spare;         /* owned: for elements of sets, or NULL */
    struct ak_value_memo memo;     /* object -> slot */
    struct ak_value_memo owners;   /* owner of an array's memory -> its own number */
    PyObject **slots;              /* owned references; the number is the index */
    size_t n_slots, slots_cap;
    struct ak_value_range *ranges; /* owned */
    size_t n_ranges, ranges_cap;
    PyObject *resolved; /* owned: dict (namespace, name) -> value as first met */
    const struct ak_valuehash *first; /* borrowed: resolve names as this one did */
    PyObject *attributes; /* owned: set of str, attributes that met code names */
    PyObject *libraries;  /* owned: list of modules and library classes, as met */
    PyObject *stored;     /* owned: set of str, globals that met functions bind */
    struct ak_buf reason;
    PyTypeObject *ndarray, *dtype; /* owned, or NULL while numpy is not loaded */
    uint64_t n_nodes;
    unsigned depth;
    unsigned packages;
    bool by_address; /* long buffers count by where they lie: for comparing a value with
                        its own copy over the same memory */
    bool in_set;
};

int ak_valuehash_new(struct ak_valuehash **ret_walk, struct ak_state *state,
                     const struct ak_keyring *ring, PyObject *names);
struct ak_valuehash *ak_valuehash_free(struct ak_valuehash *walk);
AK_DEFINE_CLEANUP(struct ak_valuehash *, ak_valuehash_free)

/* The digest of one more value of the walk. 0, REFUSED, or -1 with an exception set
 * (one that is no Exception: an interrupt). */
int ak_valuehash_add(struct ak_valuehash *walk, PyObject *value,
                     struct ak_digest *ret_digest);
/* What the cell's own code contributes beside its inputs: the attributes it names, the
 * modules it imports, and whether it does what nobody can follow. 0, REFUSED, -1. */
int ak_valuehash_add_code(struct ak_valuehash *walk, PyCodeObject *code,
                          struct ak_digest *ret_digest);
/* After all values: attributes of modules and library classes that code named, and
 * settings of libraries that were met. 0, REFUSED, -1. */
int ak_valuehash_finish(struct ak_valuehash *walk, struct ak_digest *ret_digest);

/* The number of an object of the walk, or -1; and back (borrowed, NULL when there is no
 * such number). */
Py_ssize_t ak_valuehash_slot(const struct ak_valuehash *walk, PyObject *object);
PyObject *ak_valuehash_object(const struct ak_valuehash *walk, size_t slot);
/* Whether arrays of this walk share memory with each other or with those of another. */
bool ak_valuehash_overlaps(struct ak_valuehash *walk, struct ak_valuehash *other);
/* The value of a global name of a namespace (else of builtins) as this walk sees it:
 * borrowed, NULL without an exception when it is bound nowhere. */
PyObject *ak_valuehash_resolve(struct ak_valuehash *walk, PyObject *names,
                               PyObject *name, bool *ret_builtin);

/* --- for the files of the walk: 0, or -1 with a reason or an exception -------------
 */

int ak_value_walk(struct ak_valuehash *walk, PyObject *value);
/* Refuses: a printf format for the reason. Always -1. */
int ak_value_refuse(struct ak_valuehash *walk, const char *format, ...)
    __attribute__((__format__(__printf__, 2, 3)));
/* 1 when the object was met before (its number is added), 0 after giving it a number,
 * -1. */
int ak_value_met(struct ak_valuehash *walk, PyObject *object);
/* Gives it a number without asking whether it was met. */
int ak_value_number(struct ak_valuehash *walk, PyObject *object);
/* The number of the memory that an array lies in, given at the first call. The owner
 * lives as long as an array of the walk. */
int ak_value_owner(struct ak_valuehash *walk, PyObject *owner);
int ak_value_items(struct ak_valuehash *walk, PyObject *dict);
void ak_value_text(struct ak_valuehash *walk, PyObject *str);
void ak_value_bytes(struct ak_valuehash *walk, const void *data, size_t len);
static inline void ak_value_tag(struct ak_valuehash *walk, char tag) {
    ak_hash_add_byte(walk->hash, (unsigned char)tag);
}

/* valuearray.c: 1 when the value is an array, dtype or buffer of its and was added. */
int ak_value_array(struct ak_valuehash *walk, PyObject *value);
/* Notes the memory that an array lies in. */
int ak_value_range(struct ak_valuehash *walk, const char *low, const char *high);
/* valueobject.c */
int ak_value_object(struct ak_valuehash *walk, PyObject *value);
/* valuecode.c: 1 when the value is code and was added. */
int ak_value_callable(struct ak_valuehash *walk, PyObject *value);
int ak_value_class(struct ak_valuehash *walk, PyTypeObject *type);
/* Whether a class or function is one of a library: found under its own name in a module
 * of the standard library or of site-packages. 1, 0 or -1. */
int ak_value_is_library(struct ak_valuehash *walk, PyObject *object);
/* Whether a module is. */
int ak_value_module_is_library(PyObject *module);
/* Whether the globals of a Python function are those of a library. */
bool ak_value_function_of_library(PyObject *function);
/* Something of that module was met: its package's settings count. */
void ak_value_note_package(struct ak_valuehash *walk, const char *module);
/* valuemodule.c: a module; a module that code imports (cell: the cell itself does). */
int ak_value_module(struct ak_valuehash *walk, PyObject *module);
int ak_value_import(struct ak_valuehash *walk, PyObject *name, bool cell);
/* Whether code may be followed: REFUSED (as -1 with a reason) when it names what
 * nobody can follow. Collects attributes. */
int ak_value_code_names(struct ak_valuehash *walk, PyCodeObject *code, PyObject *names);
/* Modules and library classes that were met: the attributes that code named. */
int ak_value_libraries(struct ak_valuehash *walk);
/* valuesettings.c: hidden settings of the interpreter and of met libraries. */
int ak_value_settings(struct ak_valuehash *walk);
/* impure.c: why a name makes code unpredictable, or NULL. */
const char *ak_impure_global(const char *name);
const char *ak_impure_attribute(const char *name);
const char *ak_impure_function(const char *module, const char *name);

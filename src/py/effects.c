/* SPDX-License-Identifier: MIT */
/*
 * Names by what a cell does to them. The module-level code runs at once, and so do
 * class bodies and comprehensions at the point where they are made; function bodies run
 * later, if ever. A name that is surely bound at the point of a read is not a read at
 * once.
 *
 * A class body looks a name up in its own namespace first, so it has its own flow: what
 * it surely bound itself is not read from outside. Code inside it does not see that
 * namespace, so it is no surroundings for what is nested in it.
 */
#include "py/effects-private.h"

#include <stdlib.h>
#include <string.h>

#include "py/flow-private.h"

#define DEPTH_MAX 100

struct ak_effects {
    struct ak_names reads_at_once;
    struct ak_names reads_later;
    struct ak_names binds;
    struct ak_names binds_later;
    struct ak_names deletes;
    bool binds_unknown;
    struct ak_flow *body;       /* owned, or NULL */
    struct ak_names body_names; /* owned: co_names of the body, in their order */
};

/* The sets while they grow: Python sets of str, which hash and compare without running
 * Python. */
struct gather {
    PyObject *reads_at_once, *reads_later, *binds, *binds_later, *deletes;
    bool binds_unknown;
};

/* --- results -----------------------------------------------------------------------
 */

static void names_done(struct ak_names *names) {
    for (size_t i = 0; i < names->n_items; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct ak_names){0};
}

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool ak_names_have(const struct ak_names *names, const char *name) {
    return names->n_items &&
           bsearch(&name, names->items, names->n_items, sizeof(*names->items), compare);
}

/* Copies a sequence of str. A name that has no UTF-8 cannot come from a source. */
static int names_from(struct ak_names *names, PyObject *sequence) {
    Py_ssize_t n = PySequence_Fast_GET_SIZE(sequence);
    names->items = calloc((size_t)n + 1, sizeof(*names->items));
    for (Py_ssize_t i = 0; names->items && i < n; i++) {
        const char *text = PyUnicode_AsUTF8(PySequence_Fast_GET_ITEM(sequence, i));
        char *copy = text ? strdup(text) : NULL;
        if (!copy)
            break;
        names->items[names->n_items++] = copy;
    }
    if (names->items && names->n_items == (size_t)n)
        return 0;
    if (!PyErr_Occurred())
        PyErr_NoMemory();
    return -1;
}

static int names_from_set(struct ak_names *names, PyObject *set) {
    AK_PYREF list = PySequence_List(set);
    if (!list || names_from(names, list) < 0)
        return -1;
    if (names->n_items)
        qsort(names->items, names->n_items, sizeof(*names->items), compare);
    return 0;
}

/* --- gathering ---------------------------------------------------------------------
 */

static PyObject *name_of(PyCodeObject *code, int index) {
    return index >= 0 && index < PyTuple_GET_SIZE(code->co_names)
               ? PyTuple_GET_ITEM(code->co_names, index)
               : NULL; /* borrowed */
}

/* The code object that a LOAD_CONST loads, or NULL. Borrowed. */
static PyCodeObject *code_of(PyCodeObject *code, int index) {
    if (index < 0 || index >= PyTuple_GET_SIZE(code->co_consts))
        return NULL;
    PyObject *constant = PyTuple_GET_ITEM(code->co_consts, index);
    return PyCode_Check(constant) ? (PyCodeObject *)constant : NULL;
}

static bool starts_with(PyObject *text, const char *prefix) {
    Py_ssize_t n = (Py_ssize_t)strlen(prefix);
    if (PyUnicode_GET_LENGTH(text) < n)
        return false;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (PyUnicode_READ_CHAR(text, i) != (Py_UCS4)prefix[i])
            return false;
    }
    return true;
}

/* Functions that the compiler makes up and calls where it makes them. The last one
 * (PEP 695) evaluates the bases of a generic class. */
static bool is_called_at_once(PyCodeObject *code) {
    static const char *const names[] = {"<listcomp>", "<setcomp>", "<dictcomp>",
                                        "<genexpr>", "<generic parameters of "};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (starts_with(code->co_name, names[i]))
            return true;
    }
    return false;
}

/* Function bodies: everything global that they touch, later. */
static int gather_later(struct gather *g, PyCodeObject *code, int depth) {
    struct ak_bytecode bytecode;
    if (depth > DEPTH_MAX)
        return 0;
    if (ak_bytecode_decode(&bytecode, code) < 0)
        return -1;
    int r = 0;
    for (int i = 0; i < bytecode.n_instructions && r == 0; i++) {
        const struct ak_instruction *in = &bytecode.instructions[i];
        PyObject *name = name_of(code, in->index); /* borrowed */
        PyCodeObject *inner;                       /* borrowed */
        switch (in->kind) {
        case AK_STEP_LOAD:
        case AK_STEP_LOAD_GLOBAL:
            r = name ? PySet_Add(g->reads_later, name) : 0;
            break;
        case AK_STEP_STORE_GLOBAL:
        case AK_STEP_DELETE_GLOBAL:
            r = name ? PySet_Add(g->binds_later, name) : 0;
            break;
        case AK_STEP_LOAD_CONST:
            inner = code_of(code, in->index);
            r = inner ? gather_later(g, inner, depth + 1) : 0;
            break;
        default:
            break;
        }
    }
    ak_bytecode_done(&bytecode);
    return r;
}

/* What surrounds a piece of code that runs at once: a name that is surely bound out
 * there is not a read. */
struct surroundings {
    struct surroundings *outer;
    PyCodeObject *code;
    const struct ak_flow *flow;
    const uint64_t *set;
    bool own_namespace; /* a class body */
    PyObject *indexes;  /* owned, or NULL: names that code binds -> index, on demand */
};

/* A cell of many classes asks for many names: looking through co_names for each would
 * take quadratic time. */
static int index_names(struct surroundings *here) {
    AK_PYREF indexes = PyDict_New();
    Py_ssize_t n = indexes ? PyTuple_GET_SIZE(here->code->co_names) : 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (here->flow->bits[i] < 0)
            continue;
        AK_PYREF index = PyLong_FromSsize_t(i);
        if (!index || PyDict_SetItem(indexes, name_of(here->code, (int)i), index) < 0)
            return -1;
    }
    here->indexes = AK_TAKE(indexes);
    return here->indexes ? 0 : -1;
}

/* 1 or 0, or -1 with an exception set. */
static int bound_outside(struct surroundings *around, PyObject *name) {
    for (; around; around = around->outer) {
        if (around->own_namespace)
            continue;
        if (!around->indexes && index_names(around) < 0)
            return -1;
        PyObject *index = PyDict_GetItemWithError(around->indexes, name); /* borrowed */
        if (!index && PyErr_Occurred())
            return -1;
        if (index && ak_flow_has(around->flow, around->set, (int)PyLong_AsLong(index)))
            return 1;
    }
    return 0;
}

/* Whether the global name of an instruction is surely bound before it; 1 or 0, or -1
 * with an exception set. The set of a class body is about the names of the class, which
 * a global instruction in it (an inlined comprehension has them) passes over. */
static int bound_before(const struct surroundings *here,
                        const struct ak_instruction *in, PyObject *name) {
    bool passes_over = here->own_namespace && in->kind != AK_STEP_LOAD;
    if (!passes_over && ak_flow_has(here->flow, here->set, in->index))
        return 1;
    return bound_outside(here->outer, name);
}

static int gather_read(struct gather *g, const struct surroundings *here,
                       const struct ak_instruction *in, PyObject *name) {
    int bound = bound_before(here, in, name);
    return bound ? (bound < 0 ? -1 : 0) : PySet_Add(g->reads_at_once, name);
}

/* Deleting a name needs it to be there, as reading it does. */
static int gather_delete(struct gather *g, const struct surroundings *here,
                         const struct ak_instruction *in, PyObject *name) {
    int r = gather_read(g, here, in, name);
    return r < 0 ? -1 : PySet_Add(g->deletes, name);
}

static int gather_now(struct gather *g, PyCodeObject *code, struct ak_flow *flow,
                      struct surroundings *around, bool own_namespace, int depth);

/* What the code object that instruction i of the surroundings loads does. */
static int gather_nested(struct gather *g, PyCodeObject *inner,
                         struct surroundings *around, int i, int depth) {
    bool class_body = !(inner->co_flags & CO_OPTIMIZED);
    if (depth > DEPTH_MAX)
        return 0;
    bool called =
        is_called_at_once(inner) || (starts_with(inner->co_name, "<lambda>") &&
                                     ak_bytecode_calls(&around->flow->bytecode, i));
    if (!class_body && !called)
        return gather_later(g, inner, depth + 1);
    AK_CLEANUP(ak_flow_freep) struct ak_flow *flow = NULL;
    if (ak_flow_new(&flow, inner) < 0)
        return -1;
    return gather_now(g, inner, flow, around, class_body, depth + 1);
}

/* Instruction i of code that runs at once, with what is bound before it. */
static int gather_step(struct gather *g, PyCodeObject *code, int i,
                       struct surroundings *here, int depth) {
    const struct ak_instruction *in = &here->flow->bytecode.instructions[i];
    bool own_namespace = here->own_namespace;
    PyObject *name = name_of(code, in->index); /* borrowed */
    PyCodeObject *inner;                       /* borrowed */
    switch (in->kind) {
    case AK_STEP_LOAD:
    case AK_STEP_LOAD_GLOBAL:
        if (!name)
            return 0;
        /* Every class body starts by reading it, for __module__. */
        if (own_namespace && PyUnicode_CompareWithASCIIString(name, "__name__") == 0)
            return 0;
        return gather_read(g, here, in, name);
    case AK_STEP_STORE:
        return name && !own_namespace ? PySet_Add(g->binds, name) : 0;
    case AK_STEP_STORE_GLOBAL:
        return name ? PySet_Add(g->binds, name) : 0;
    case AK_STEP_DELETE:
        return name && !own_namespace ? gather_delete(g, here, in, name) : 0;
    case AK_STEP_DELETE_GLOBAL:
        return name ? gather_delete(g, here, in, name) : 0;
    case AK_STEP_IMPORT_STAR:
        g->binds_unknown = true;
        return 0;
    case AK_STEP_LOAD_CONST:
        inner = code_of(code, in->index);
        return inner ? gather_nested(g, inner, here, i, depth) : 0;
    default:
        return 0;
    }
}

static int gather_now(struct gather *g, PyCodeObject *code, struct ak_flow *flow,
                      struct surroundings *around, bool own_namespace, int depth) {
    uint64_t *set = calloc(flow->n_words + 1, sizeof(*set));
    if (!set) {
        PyErr_NoMemory();
        return -1;
    }
    struct surroundings here = {.outer = around,
                                .code = code,
                                .flow = flow,
                                .set = set,
                                .own_namespace = own_namespace};
    int r = 0;
    for (int b = 0; b < flow->n_blocks && r == 0; b++) {
        const struct ak_flow_block *block = &flow->blocks[b];
        if (!block->reached)
            continue;
        memcpy(set, block->in, flow->n_words * sizeof(*set));
        for (int i = block->first; i < block->end && r == 0; i++) {
            r = gather_step(g, code, i, &here, depth);
            ak_flow_apply(flow, &flow->bytecode.instructions[i], set);
        }
    }
    Py_XDECREF(here.indexes);
    free(set);
    return r;
}

/* --- the cell ----------------------------------------------------------------------
 */

static int gather_cell(struct ak_effects *effects, struct gather *g, PyObject *body,
                       PyObject *expression) {
    struct surroundings after_body = {0};
    if (body) {
        PyCodeObject *code = (PyCodeObject *)body;
        if (ak_flow_new(&effects->body, code) < 0 ||
            gather_now(g, code, effects->body, NULL, false, 0) < 0 ||
            names_from(&effects->body_names, code->co_names) < 0)
            return -1;
        after_body = (struct surroundings){
            .code = code, .flow = effects->body, .set = effects->body->exit};
    }
    if (expression) {
        PyCodeObject *code = (PyCodeObject *)expression;
        AK_CLEANUP(ak_flow_freep) struct ak_flow *flow = NULL;
        if (ak_flow_new(&flow, code) < 0)
            return -1;
        int r = gather_now(g, code, flow, body ? &after_body : NULL, false, 0);
        Py_XDECREF(after_body.indexes);
        if (r < 0)
            return -1;
    }
    effects->binds_unknown = g->binds_unknown;
    return names_from_set(&effects->reads_at_once, g->reads_at_once) < 0 ||
                   names_from_set(&effects->reads_later, g->reads_later) < 0 ||
                   names_from_set(&effects->binds, g->binds) < 0 ||
                   names_from_set(&effects->binds_later, g->binds_later) < 0 ||
                   names_from_set(&effects->deletes, g->deletes) < 0
               ? -1
               : 0;
}

int ak_effects_new(struct ak_effects **ret_effects, PyObject *body,
                   PyObject *expression) {
    AK_CLEANUP(ak_effects_freep)
    struct ak_effects *effects = calloc(1, sizeof(*effects));
    if (!effects) {
        PyErr_NoMemory();
        return -1;
    }
    AK_PYREF reads_at_once = PySet_New(NULL);
    AK_PYREF reads_later = PySet_New(NULL);
    AK_PYREF binds = PySet_New(NULL);
    AK_PYREF binds_later = PySet_New(NULL);
    AK_PYREF deletes = PySet_New(NULL);
    if (!reads_at_once || !reads_later || !binds || !binds_later || !deletes)
        return -1;
    struct gather g = {.reads_at_once = reads_at_once,
                       .reads_later = reads_later,
                       .binds = binds,
                       .binds_later = binds_later,
                       .deletes = deletes};
    if (gather_cell(effects, &g, body, expression) < 0)
        return -1;
    *ret_effects = AK_TAKE(effects);
    return 0;
}

struct ak_effects *ak_effects_free(struct ak_effects *effects) {
    if (!effects)
        return NULL;
    names_done(&effects->reads_at_once);
    names_done(&effects->reads_later);
    names_done(&effects->binds);
    names_done(&effects->binds_later);
    names_done(&effects->deletes);
    names_done(&effects->body_names);
    ak_flow_free(effects->body);
    free(effects);
    return NULL;
}

const struct ak_names *ak_effects_reads_at_once(const struct ak_effects *effects) {
    return &effects->reads_at_once;
}

const struct ak_names *ak_effects_reads_later(const struct ak_effects *effects) {
    return &effects->reads_later;
}

const struct ak_names *ak_effects_binds(const struct ak_effects *effects) {
    return &effects->binds;
}

const struct ak_names *ak_effects_binds_later(const struct ak_effects *effects) {
    return &effects->binds_later;
}

const struct ak_names *ak_effects_deletes(const struct ak_effects *effects) {
    return &effects->deletes;
}

void ak_effects_add_unknown(struct ak_effects *effects) {
    effects->binds_unknown = true;
}

bool ak_effects_binds_unknown(const struct ak_effects *effects) {
    return effects->binds_unknown;
}

bool ak_effects_bound_at(const struct ak_effects *effects, const char *name,
                         int offset) {
    if (!effects->body || offset < 0)
        return false;
    const uint64_t *set = offset == AK_EFFECTS_END ? effects->body->exit
                                                   : ak_flow_at(effects->body, offset);
    for (size_t i = 0; set && i < effects->body_names.n_items; i++) {
        if (strcmp(effects->body_names.items[i], name) == 0)
            return ak_flow_has(effects->body, set, (int)i);
    }
    return false;
}

/* SPDX-License-Identifier: MIT */
/*
 * A set holds the names that were bound on every path to a point. Sets meet by
 * intersection; a block that was not reached yet is "everything" and is skipped. An
 * exception can come from anywhere inside a protected range, so a handler meets the
 * least set of every block of the range; blocks are cut where ranges start and end.
 *
 * The sets of all blocks together are bounded. A cell with more than that (ten
 * thousands of names and of branches) is analysed as if nothing were known at the start
 * of each block but the first, which is safe: a name counts as read that might have
 * been bound.
 */
#include "py/flow-private.h"

#include <stdlib.h>
#include <string.h>

#define WORDS_MAX (4u << 20)

static bool is_binding(enum ak_step_kind kind) {
    return kind == AK_STEP_STORE || kind == AK_STEP_STORE_GLOBAL;
}

static bool is_deletion(enum ak_step_kind kind) {
    return kind == AK_STEP_DELETE || kind == AK_STEP_DELETE_GLOBAL;
}

static int number_names(struct ak_flow *flow, PyCodeObject *code) {
    flow->n_names = (int)PyTuple_GET_SIZE(code->co_names);
    flow->bits = malloc(((size_t)flow->n_names + 1) * sizeof(*flow->bits));
    if (!flow->bits)
        return -1;
    for (int i = 0; i < flow->n_names; i++)
        flow->bits[i] = -1;
    for (int i = 0; i < flow->bytecode.n_instructions; i++) {
        const struct ak_instruction *in = &flow->bytecode.instructions[i];
        if (is_binding(in->kind) && in->index < flow->n_names &&
            flow->bits[in->index] < 0)
            flow->bits[in->index] = flow->n_bits++;
    }
    flow->n_words = ((size_t)flow->n_bits + 63) / 64;
    return 0;
}

/* Marks where blocks start, by byte offset. */
static char *find_leaders(const struct ak_bytecode *bytecode, int n_bytes) {
    char *leaders = calloc((size_t)n_bytes + 1, 1);
    if (!leaders)
        return NULL;
    leaders[0] = 1;
    for (int i = 0; i < bytecode->n_instructions; i++) {
        const struct ak_instruction *in = &bytecode->instructions[i];
        if (in->target >= 0 && in->target <= n_bytes)
            leaders[in->target] = 1;
        if ((in->target >= 0 || in->ends) && in->next <= n_bytes)
            leaders[in->next] = 1;
    }
    for (int i = 0; i < bytecode->n_handlers; i++) {
        const struct ak_handler *h = &bytecode->handlers[i];
        const int at[] = {h->start, h->end, h->target};
        for (size_t k = 0; k < 3; k++) {
            if (at[k] >= 0 && at[k] <= n_bytes)
                leaders[at[k]] = 1;
        }
    }
    return leaders;
}

static int cut_blocks(struct ak_flow *flow) {
    const struct ak_bytecode *bytecode = &flow->bytecode;
    int n = bytecode->n_instructions;
    int n_bytes = n ? bytecode->instructions[n - 1].next : 0;
    char *leaders = find_leaders(bytecode, n_bytes);
    if (!leaders)
        return -1;
    int n_blocks = 0;
    for (int i = 0; i < n; i++)
        n_blocks += leaders[bytecode->instructions[i].offset];
    flow->blocks = calloc((size_t)n_blocks + 1, sizeof(*flow->blocks));
    for (int i = 0; i < n && flow->blocks; i++) {
        if (leaders[bytecode->instructions[i].offset])
            flow->blocks[flow->n_blocks++].first = i;
        flow->blocks[flow->n_blocks - 1].end = i + 1;
    }
    free(leaders);
    return flow->blocks ? 0 : -1;
}

static int block_at(const struct ak_flow *flow, int offset) {
    int low = 0, high = flow->n_blocks;
    while (low < high) {
        int middle = (low + high) / 2;
        int first = flow->blocks[middle].first;
        if (flow->bytecode.instructions[first].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void ak_flow_apply(const struct ak_flow *flow, const struct ak_instruction *in,
                   uint64_t *set) {
    if (in->index < 0 || in->index >= flow->n_names)
        return;
    int bit = flow->bits[in->index];
    if (bit < 0)
        return;
    if (is_binding(in->kind))
        set[bit / 64] |= UINT64_C(1) << (bit % 64);
    else if (is_deletion(in->kind))
        set[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

bool ak_flow_has(const struct ak_flow *flow, const uint64_t *set, int name_index) {
    int bit =
        name_index >= 0 && name_index < flow->n_names ? flow->bits[name_index] : -1;
    return bit >= 0 && set[bit / 64] >> (bit % 64) & 1;
}

/* Meets a set into the start of a block; whether that changed it. */
static bool meet(struct ak_flow *flow, int block, const uint64_t *set) {
    if (block >= flow->n_blocks)
        return false;
    struct ak_flow_block *b = &flow->blocks[block];
    bool changed = !b->reached;
    for (size_t i = 0; i < flow->n_words; i++) {
        uint64_t value = b->reached ? b->in[i] & set[i] : set[i];
        changed = changed || value != b->in[i];
        b->in[i] = value;
    }
    b->reached = true;
    return changed;
}

static void run_block(struct ak_flow *flow, struct ak_flow_block *block) {
    if (flow->n_words)
        memcpy(block->out, block->in, flow->n_words * sizeof(uint64_t));
    for (int i = block->first; i < block->end; i++)
        ak_flow_apply(flow, &flow->bytecode.instructions[i], block->out);
}

/* The handler that protects an offset, or NULL. The table is sorted and its ranges do
 * not overlap. */
static const struct ak_handler *handler_of(const struct ak_bytecode *bytecode,
                                           int offset) {
    int low = 0, high = bytecode->n_handlers;
    while (low < high) {
        int middle = (low + high) / 2;
        if (bytecode->handlers[middle].end <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    const struct ak_handler *h = &bytecode->handlers[low];
    return low < bytecode->n_handlers && h->start <= offset ? h : NULL;
}

/* What is bound before every instruction of a block: a name that is deleted in it may
 * be missing though it is bound at both ends. */
static const uint64_t *least_set(struct ak_flow *flow,
                                 const struct ak_flow_block *block) {
    if (flow->n_words)
        memcpy(flow->point, block->in, flow->n_words * sizeof(uint64_t));
    for (int i = block->first; i < block->end; i++) {
        const struct ak_instruction *in = &flow->bytecode.instructions[i];
        if (is_deletion(in->kind))
            ak_flow_apply(flow, in, flow->point);
    }
    return flow->point;
}

/* Meets a block's sets into its successors; whether a block before the current sweep's
 * position changed. */
static bool spread(struct ak_flow *flow, int index) {
    struct ak_flow_block *block = &flow->blocks[index];
    const struct ak_bytecode *bytecode = &flow->bytecode;
    const struct ak_instruction *last = &bytecode->instructions[block->end - 1];
    int start = bytecode->instructions[block->first].offset;
    bool changed = false;
    if (last->target >= 0)
        changed |= meet(flow, block_at(flow, last->target), block->out);
    if (!last->ends)
        changed |= meet(flow, index + 1, block->out);
    const struct ak_handler *h = handler_of(bytecode, start);
    if (h)
        changed |= meet(flow, block_at(flow, h->target), least_set(flow, block));
    return changed;
}

static void solve(struct ak_flow *flow) {
    bool changed = true;
    if (flow->n_blocks)
        flow->blocks[0].reached = true;
    while (changed) {
        changed = false;
        for (int i = 0; i < flow->n_blocks; i++) {
            if (!flow->blocks[i].reached)
                continue;
            run_block(flow, &flow->blocks[i]);
            changed |= spread(flow, i);
        }
    }
}

/* Nothing is known at the start of any block: one shared empty set. */
static void give_up(struct ak_flow *flow) {
    for (int i = 0; i < flow->n_blocks; i++) {
        flow->blocks[i].in = flow->sets;
        flow->blocks[i].out = flow->sets + flow->n_words;
        flow->blocks[i].reached = true;
    }
    memset(flow->exit, 0, flow->n_words * sizeof(uint64_t));
}

static void find_exit(struct ak_flow *flow) {
    bool first = true;
    for (int i = 0; i < flow->n_blocks; i++) {
        struct ak_flow_block *block = &flow->blocks[i];
        if (!block->reached || !flow->bytecode.instructions[block->end - 1].returns)
            continue;
        for (size_t w = 0; w < flow->n_words; w++)
            flow->exit[w] = first ? block->out[w] : flow->exit[w] & block->out[w];
        first = false;
    }
}

int ak_flow_new(struct ak_flow **ret_flow, PyCodeObject *code) {
    AK_CLEANUP(ak_flow_freep) struct ak_flow *flow = calloc(1, sizeof(*flow));
    if (!flow)
        goto no_memory;
    if (ak_bytecode_decode(&flow->bytecode, code) < 0)
        return -1;
    if (number_names(flow, code) < 0 || cut_blocks(flow) < 0)
        goto no_memory;
    size_t n_sets = (size_t)flow->n_blocks * 2;
    bool too_big = flow->n_words && n_sets > WORDS_MAX / flow->n_words;
    flow->sets = calloc((too_big ? 2 : n_sets) * flow->n_words + 1, sizeof(uint64_t));
    flow->exit = calloc(flow->n_words + 1, sizeof(uint64_t));
    flow->point = calloc(flow->n_words + 1, sizeof(uint64_t));
    if (!flow->sets || !flow->exit || !flow->point)
        goto no_memory;
    if (too_big) {
        give_up(flow);
    } else {
        for (int i = 0; i < flow->n_blocks; i++) {
            flow->blocks[i].in = flow->sets + (size_t)i * 2 * flow->n_words;
            flow->blocks[i].out = flow->blocks[i].in + flow->n_words;
        }
        solve(flow);
        find_exit(flow);
    }
    *ret_flow = AK_TAKE(flow);
    return 0;
no_memory:
    PyErr_NoMemory();
    return -1;
}

struct ak_flow *ak_flow_free(struct ak_flow *flow) {
    if (!flow)
        return NULL;
    ak_bytecode_done(&flow->bytecode);
    free(flow->bits);
    free(flow->blocks);
    free(flow->sets);
    free(flow->exit);
    free(flow->point);
    free(flow);
    return NULL;
}

const uint64_t *ak_flow_at(struct ak_flow *flow, int offset) {
    int index = block_at(flow, offset + 1) - 1;
    if (index < 0 || index >= flow->n_blocks)
        return NULL;
    const struct ak_flow_block *block = &flow->blocks[index];
    if (flow->n_words)
        memcpy(flow->point, block->in, flow->n_words * sizeof(uint64_t));
    for (int i = block->first; i < block->end; i++) {
        const struct ak_instruction *in = &flow->bytecode.instructions[i];
        if (in->next > offset)
            break;
        ak_flow_apply(flow, in, flow->point);
    }
    return flow->point;
}

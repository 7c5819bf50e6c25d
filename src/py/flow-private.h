/* SPDX-License-Identifier: MIT */
#pragma once

/* What one code object has surely bound at each of its points: a forward must-analysis
 * over its basic blocks. GIL held; runs no Python. */

#include <stdint.h>

#include "py/bytecode-private.h"

struct ak_flow_block {
    int first; /* index of its first instruction */
    int end;   /* index behind its last */
    uint64_t *in;
    uint64_t *out;
    bool reached;
};

struct ak_flow {
    struct ak_bytecode bytecode;
    int *bits; /* owned: index into co_names -> bit, or -1 for names it never binds */
    int n_names;
    int n_bits;
    size_t n_words;
    struct ak_flow_block *blocks; /* owned */
    int n_blocks;
    uint64_t *sets;  /* owned: memory of all ins and outs */
    uint64_t *exit;  /* owned: bound on every path that returns */
    uint64_t *point; /* owned: scratch of ak_flow_at */
};

/* Analyses a code object. 0, or -1 with MemoryError set. */
int ak_flow_new(struct ak_flow **ret_flow, PyCodeObject *code);
struct ak_flow *ak_flow_free(struct ak_flow *flow);
AK_DEFINE_CLEANUP(struct ak_flow *, ak_flow_free)

/* Applies one instruction to a set. */
void ak_flow_apply(const struct ak_flow *flow, const struct ak_instruction *in,
                   uint64_t *set);
bool ak_flow_has(const struct ak_flow *flow, const uint64_t *set, int name_index);
/* The set before the instruction at or behind a byte offset; flow's own, until the next
 * call. NULL when the offset is outside. */
const uint64_t *ak_flow_at(struct ak_flow *flow, int offset);

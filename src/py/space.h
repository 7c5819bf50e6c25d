/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A world: the module namespace that cells run in, its execution count, In and Out, the
 * __future__ features and context variables that later cells inherit, and the cells
 * that are not over yet, in order of arrival. Worker process, main thread, GIL held.
 */

#include <stdbool.h>

#include "base/buf.h"
#include "base/cleanup.h"

struct ak_runtime;
struct ak_space;

/* How cells of one space share the loop. */
enum ak_chaining {
    AK_CHAINING_ASYNC, /* a cell that awaits lets later ones start, with the guard */
    AK_CHAINING_CONCURRENT, /* the same without the guard */
    AK_CHAINING_CHAINED,    /* a cell starts when the one before is over */
};

int ak_space_new(struct ak_space **ret_space, struct ak_runtime *runtime,
                 enum ak_chaining chaining);
struct ak_space *ak_space_free(struct ak_space *space);
AK_DEFINE_CLEANUP(struct ak_space *, ak_space_free)

long ak_space_execution_count(const struct ak_space *space);
/* __chain_execution__() and __unchain_execution__() change it at run time. */
enum ak_chaining ak_space_chaining(const struct ak_space *space);

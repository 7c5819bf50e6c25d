/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A world: the module namespace that cells run in, its execution count, In and Out, the
 * __future__ features and context variables that later cells inherit, and the cells
 * that are not over yet, in order of arrival. Worker process, main thread, GIL held.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
/* A world that shares the interpreter with others: a namespace of its own, which is
 * __main__ for code of this world (py/main.c). number is not 0 and is its alone. */
int ak_space_new_shared(struct ak_space **ret_space, struct ak_runtime *runtime,
                        enum ak_chaining chaining, uint64_t number);
/* Cancels what a shared world's requests have left running. Runs Python. */
void ak_space_cancel(struct ak_space *space);
/* Empties a shared world, of which no cell is left: its names, results and comms go.
 * What still runs in it finds an empty namespace. Runs Python. */
void ak_space_close(struct ak_space *space);
/* Whether every cell of it is over. */
bool ak_space_idle(const struct ak_space *space);
/* Bytes of the objects that its names hold, without what those refer to. */
size_t ak_space_memory(struct ak_space *space);
struct ak_space *ak_space_free(struct ak_space *space);
AK_DEFINE_CLEANUP(struct ak_space *, ak_space_free)

long ak_space_execution_count(const struct ak_space *space);
/* __chain_execution__() and __unchain_execution__() change it at run time. */
enum ak_chaining ak_space_chaining(const struct ak_space *space);

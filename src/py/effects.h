/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which global names a compiled cell reads, binds and deletes, found by walking its
 * bytecode. Worker process. The result is plain data that holds no reference into the
 * interpreter; names are UTF-8, NFKC as the compiler left them, sorted and unique.
 *
 * "Reads at once": read by the module-level code (class bodies, comprehensions and
 * lambdas called on the spot included) on some path on which the cell has not surely
 * bound the name before. "Reads later": read only inside function bodies. "Binds":
 * every name that the cell binds at module level on some path (assignment, import, def,
 * class, for, with, walrus, "global" in a function body is listed under binds_later). A
 * "from m import *" sets binds_unknown.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct ak_names {
    char **items; /* owned, sorted by strcmp */
    size_t n_items;
};

bool ak_names_have(const struct ak_names *names, const char *name);

struct ak_effects;

struct ak_effects *ak_effects_free(struct ak_effects *effects);
AK_DEFINE_CLEANUP(struct ak_effects *, ak_effects_free)

const struct ak_names *ak_effects_reads_at_once(const struct ak_effects *effects);
const struct ak_names *ak_effects_reads_later(const struct ak_effects *effects);
const struct ak_names *ak_effects_binds(const struct ak_effects *effects);
const struct ak_names *ak_effects_binds_later(const struct ak_effects *effects);
const struct ak_names *ak_effects_deletes(const struct ak_effects *effects);
bool ak_effects_binds_unknown(const struct ak_effects *effects);

/* The offset behind the last instruction of the body: the last expression runs. */
#define AK_EFFECTS_END INT_MAX

/* Whether, with the module-level code suspended at that bytecode offset (a frame's
 * f_lasti, in bytes), the name is surely bound by what ran before it. */
bool ak_effects_bound_at(const struct ak_effects *effects, const char *name,
                         int offset);

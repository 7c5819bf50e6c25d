/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a run does to the namespace of its world, found by comparing before and after:
 * exec, globals()[...], star-imports and functions with "global" in them show nowhere
 * else. Worker process, main thread, GIL held; runs no user code but destructors.
 */

#include <stdbool.h>

#include "base/cleanup.h"
#include "py/effects.h"
#include "py/space.h"

struct ak_change;

/* A name that is the kernel's own bookkeeping: _, In, Out, _1, _i1 and so on. */
bool ak_space_is_ours(const char *name);
/* Whether a name has a value, of the world or of the builtins. */
bool ak_space_has(struct ak_space *space, const char *name);
/* Whether a name has a value in the world itself. */
bool ak_space_has_own(struct ak_space *space, const char *name);
void ak_space_unbind(struct ak_space *space, const char *name);

/* Before the run of the cell with that execution count. In a large namespace, and
 * unless all is set, only what the effects say it may bind is compared, and names that
 * are new. The effects live as long as the change. 0 or fatal. */
int ak_change_new(struct ak_change **ret_change, struct ak_space *space,
                  const struct ak_effects *effects, bool all, long execution_count);
/* The effects are going to be freed. */
void ak_change_forget(struct ak_change *change);
/* Whether every name is compared. */
bool ak_change_is_full(const struct ak_change *change);
struct ak_change *ak_change_free(struct ak_change *change);
AK_DEFINE_CLEANUP(struct ak_change *, ak_change_free)
/* After it: calls each for every name that has another value than before (bound), or
 * none any more. In a large namespace that grew by more than the cell is known to bind,
 * each also hears of names that were there before: the caller knows whose they are. 0,
 * or what each returned. */
int ak_change_each(struct ak_change *change,
                   int (*each)(void *owner, const char *name, bool bound), void *owner);

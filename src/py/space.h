/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A world: the module namespace that cells run in, its execution count, In and Out, the
 * __future__ features and context variables that later cells inherit. Worker process,
 * loop thread, GIL held.
 */

#include "base/buf.h"
#include "base/cleanup.h"

struct ak_runtime;
struct ak_space;

int ak_space_new(struct ak_space **ret_space, struct ak_runtime *runtime);
struct ak_space *ak_space_free(struct ak_space *space);
AK_DEFINE_CLEANUP(struct ak_space *, ak_space_free)

long ak_space_execution_count(const struct ak_space *space);

/* SPDX-License-Identifier: MIT */
#pragma once

#include "py/effects.h"
#include "py/ref-private.h"

/* Analyses the code objects of one cell in the order in which they run (body, then the
 * last expression; either may be NULL). ak_effects_bound_at speaks of the body. 0, or
 * -1 with an exception set (MemoryError only). GIL held; runs no Python. */
int ak_effects_new(struct ak_effects **ret_effects, PyObject *body,
                   PyObject *expression);
/* Says of effects that were found that the cell may bind any other name too. */
void ak_effects_add_unknown(struct ak_effects *effects);

/* SPDX-License-Identifier: MIT */
#pragma once

/* The reactive mode's side of the interpreter: _akernel._react, which akernel.react is
 * made of, and the observation of values that change inside. Worker process, main
 * thread, GIL held; runs Python. */

#include "py/space.h"

/* Whether some value may want to be observed at all: false costs one look. */
bool ak_react_observes(struct ak_space *space);
/* Observes the value of a name, if it is one of those that say when they change. */
void ak_react_observe(struct ak_space *space, const char *name);

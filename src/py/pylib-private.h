/* SPDX-License-Identifier: MIT */
#pragma once

#include "py/state-private.h"

/* Makes the frozen package akernel importable and runs what it does at start. 0, or -1
 * with an exception set. */
int ak_pylib_install(struct ak_state *state);

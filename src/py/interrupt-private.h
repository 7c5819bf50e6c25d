/* SPDX-License-Identifier: MIT */
#pragma once

#include "py/state-private.h"

/* Makes SIGINT ours, through signal.signal, so that a handler that the user installs
 * replaces it and signal.getsignal shows it. -1 with an exception set. */
int ak_interrupt_install(struct ak_state *state);
/* Lets AK_SIGNAL_WORLD interrupt the world whose number it carries. 0, or -1 with an
 * exception set. */
int ak_interrupt_scoped(struct ak_state *state);

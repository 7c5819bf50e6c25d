/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The signal that interrupts one of several worlds of a worker: its value is the number
 * of the world. The kernel process sends it, the interpreter layer handles it.
 */

#include <signal.h>

#define AK_SIGNAL_WORLD (SIGRTMAX - 2)

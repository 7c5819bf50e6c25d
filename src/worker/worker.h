/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The process that runs Python. A worker owns the ends of the seam and the ring, one
 * interpreter, its world, and the executions in it. Everything happens on the main
 * thread, in the callbacks of the asyncio loop; the user's threads come in through the
 * host table (worker/host.h) with the GIL held.
 */

#include <stdbool.h>

struct ak_worker;

/* Runs a worker from its descriptors (seam/descriptors.h) to its exit code. With
 * running set, an interpreter runs already and its GIL is held (the extension main). */
int ak_worker_run(bool running);

/* SPDX-License-Identifier: MIT */
#pragma once

/* How a worker comes into the world: its descriptors, its death signal, its
 * configuration. Main thread, before the interpreter runs. */

#include "worker/worker-private.h"

/* Moves the descriptors of seam/descriptors.h out of the user's way, opens the link and
 * the ring over them, and ties the worker's life to the kernel process's. */
int ak_birth_take_descriptors(struct ak_worker *worker);

/* Reads START. Unknown members are ignored. */
int ak_worker_config_parse(struct ak_worker_config *ret_config, struct ak_bytes text);
void ak_worker_config_done(struct ak_worker_config *config);

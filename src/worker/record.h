/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The store of the mode "cache" in a worker: its directory, its keys and its limits
 * come from the environment. One a worker, whatever its worlds are: keys are by value.
 * A store that cannot be opened is no reason not to start: every cell runs, and its
 * reply says why it was not cached. Worker process, main thread.
 */

#include "base/cleanup.h"

struct ak_record_store;
struct ak_runtime;

int ak_record_store_new(struct ak_record_store **ret_store, struct ak_runtime *runtime);
/* Before the runtime ends: nothing is recorded from now on. NULL ok. */
void ak_record_store_close(struct ak_record_store *store, struct ak_runtime *runtime);
/* After it. NULL ok. */
struct ak_record_store *ak_record_store_free(struct ak_record_store *store);

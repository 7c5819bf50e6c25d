/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Cells whose code and inputs did not change are not run again (mode "cache"). The
 * recorder belongs to the runtime: with it, every cell that is not silent is looked up
 * before its first step and recorded while it runs. The store and its keys are the
 * caller's and outlive it. Worker process, main thread, GIL held.
 */

#include <stdbool.h>

struct ak_keyring;
struct ak_runtime;
struct ak_store;

struct ak_recorder_config {
    const struct ak_keyring *ring; /* NULL: nothing can be cached, as off_reason says */
    struct ak_store *store;
    const char *off_reason;
    double min_ms; /* cells that run shorter are not stored */
    bool verbose;  /* say so in the cell when it was not run */
};

int ak_recorder_open(struct ak_runtime *runtime,
                     const struct ak_recorder_config *config);
/* Before the store and before the runtime ends. NULL ok. */
void ak_recorder_close(struct ak_runtime *runtime);

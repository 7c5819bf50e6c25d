/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The interpreter of a worker, from its configuration to its orderly end, and the
 * asyncio loop on its main thread. One a process. Worker process, main thread; the GIL
 * is held from ak_runtime_new to ak_runtime_free but for the places that release it to
 * wait.
 */

#include <stdbool.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "py/host.h"

struct ak_runtime;

enum {
    AK_RUNTIME_E_START = 1, /* the interpreter does not start; the message says why */
};

struct ak_runtime_config {
    const char *executable; /* the environment's python; NULL: the one built with */
    bool running;           /* an interpreter runs already (the extension main) */
    int fault_fd;           /* faulthandler writes here; -1: leave it alone */
    const struct ak_host_ops *ops;
    void *host;
};

/* Starts the interpreter and imports what every worker needs, but not asyncio yet.
 * Outcome START with a text in *ret_message. ops and host outlive the runtime. */
int ak_runtime_new(struct ak_runtime **ret_runtime,
                   const struct ak_runtime_config *config, struct ak_buf *ret_message);
/* Runs atexit handlers, waits for the user's non-daemon threads, finalizes. NULL ok. */
struct ak_runtime *ak_runtime_free(struct ak_runtime *runtime);
AK_DEFINE_CLEANUP(struct ak_runtime *, ak_runtime_free)

/* JSON members "version", "prefix", "executable" of the running interpreter. */
int ak_runtime_describe(struct ak_runtime *runtime, struct ak_buf *ret_json);

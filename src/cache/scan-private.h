/* SPDX-License-Identifier: MIT */
#pragma once

/* Walks what lies in a store, for the files of this layer. */

#include <sys/stat.h>

#include "cache/store.h"

struct ak_scanned {
    const char *path;
    const char *name; /* the last part of path */
    const struct stat *st;
};

/* Visits every regular file of a kind (AK_STORE_ENTRIES, ...), in no order. Files that
 * come and go meanwhile may or may not be among them. Stops at a result that is not 0,
 * and returns it; 0 at the end, -ENOMEM. */
int ak_scan(const struct ak_store *store, const char *kind,
            int (*visit)(void *context, const struct ak_scanned *file), void *context);

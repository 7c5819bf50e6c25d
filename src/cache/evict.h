/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What leaves a store: entries that nobody used for long, and the least worthy ones
 * when there are too many bytes; then the objects that no entry names. Files are
 * unlinked, never shortened, so whoever has a buffer mapped keeps it.
 *
 * A collection reads the head of every entry, which takes seconds for very many, so a
 * kernel does not do it itself: it asks ak_store_collection_due after a put, and lets
 * `akernel cache gc` do it in a process of its own.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cache/store.h"

struct ak_limits {
    uint64_t max_bytes;
    uint64_t max_age_s; /* since an entry was last used */
};

#define AK_LIMITS_DEFAULT ((struct ak_limits){5000000000u, 30u * 86400})

/* AKERNEL_CACHE_MAX_BYTES ("500M", "20G"; powers of 1000) and AKERNEL_CACHE_MAX_DAYS,
 * over the default. 0, or -1 with a sentence about what was not understood and left as
 * it was. */
int ak_limits_from_environment(struct ak_limits *ret_limits,
                               struct ak_buf *ret_message);
/* Reads "20G", "500M", "1234"; 0 or -1. */
int ak_limits_parse_bytes(const char *text, uint64_t *ret_bytes);
/* Reads a number of days, "30" or "0.5"; 0 or -1. */
int ak_limits_parse_days(const char *text, uint64_t *ret_seconds);

struct ak_collection {
    uint64_t n_entries, n_objects; /* before */
    uint64_t n_entries_removed, n_objects_removed;
    uint64_t bytes, bytes_removed;
};

enum {
    AK_EVICT_E_BUSY = 1, /* another process collects at this moment */
};

/* 0, BUSY or fatal. */
int ak_store_collect(struct ak_store *store, const struct ak_limits *limits,
                     struct ak_collection *ret_collection);
/* Whether enough was stored since the last collection. Two stats and a short read. */
bool ak_store_collection_due(const struct ak_store *store,
                             const struct ak_limits *limits);
/* Removes everything that the store keeps, whatever its age. 0 or fatal. */
int ak_store_clear(struct ak_store *store);

/* One entry, as its head says: nothing of it is verified. */
struct ak_entry_info {
    struct ak_digest key;
    uint64_t bytes; /* with its objects */
    uint64_t run_ns;
    uint64_t created_ns;
    int64_t used_s; /* last used */
    size_t n_buffers;
    char label[AK_LABEL_SIZE];
};

/* Visits every entry; stops at a result that is not 0, and returns it. */
int ak_store_each(const struct ak_store *store,
                  int (*visit)(void *context, const struct ak_entry_info *info),
                  void *context);
/* Files among the entries whose head makes no sense, and which ak_store_each left out.
 * 0 or fatal. */
int ak_store_unreadable(struct ak_store *store, bool remove, uint64_t *ret_n);
/* What lies in the directory, in bytes; objects count once. */
uint64_t ak_store_bytes(const struct ak_store *store);

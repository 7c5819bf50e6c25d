/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Entries between a store and a server. What leaves the machine is sealed with the
 * team's key, what comes is checked against it and then stored under the user's own, so
 * that nothing from a server is ever read by anybody else than these functions. The
 * cache's helper process, its one thread.
 */

#include <stdint.h>

#include "cache/key.h"
#include "cache/redis.h"
#include "cache/store.h"

struct ak_share {
    struct ak_redis *redis;        /* borrowed, connected */
    struct ak_store *store;        /* borrowed */
    const struct ak_keyring *ring; /* borrowed */
    uint64_t patience_ns;          /* for one answer */
    /* Called between two parts of something long; false gives it up. */
    bool (*between)(void *context);
    void *context;
};

enum {
    AK_SHARE_E_NONE = 1, /* the server has nothing (usable) of that name */
    AK_SHARE_E_GONE,     /* the connection is of no use any more */
    AK_SHARE_E_REFUSED,  /* the server does not want this */
};

/* Functions return 0, an outcome with a message (empty for a plain NONE), or fatal. */

/* From the server to the store: an entry, or all variants of a key. */
int ak_share_fetch(struct ak_share *share, const struct ak_digest *key,
                   struct ak_buf *ret_message);
int ak_share_fetch_variants(struct ak_share *share, const struct ak_digest *key,
                            struct ak_buf *ret_message);
/* From the store to the server, unless it is there. */
int ak_share_offer(struct ak_share *share, const struct ak_digest *key,
                   struct ak_buf *ret_message);
int ak_share_offer_variant(struct ak_share *share, const struct ak_digest *key,
                           const struct ak_digest *entry, struct ak_buf *ret_message);

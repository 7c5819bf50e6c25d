/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One connection to a server that speaks Redis's protocol, plain or in TLS, on which
 * every call has a deadline. The cache's helper process, its one thread.
 */

#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "cache/url.h"

struct ak_redis;

enum {
    AK_REDIS_E_GONE = 1, /* no connection, or it broke or took too long: free it */
    AK_REDIS_E_REFUSED,  /* the server answered with an error: the message has it */
};

/* Connects, encrypts, logs in and selects the database until the deadline (of
 * ak_clock_now). 0, GONE or REFUSED with a message, or fatal. */
int ak_redis_new(struct ak_redis **ret_redis, const struct ak_url *url,
                 uint64_t deadline, struct ak_buf *ret_message);
/* Accepts NULL, returns NULL. */
struct ak_redis *ak_redis_free(struct ak_redis *redis);
AK_DEFINE_CLEANUP(struct ak_redis *, ak_redis_free)

/* An answer. */
struct ak_redis_reply {
    enum {
        AK_REDIS_NOTHING, /* nil */
        AK_REDIS_BYTES,
        AK_REDIS_NUMBER,
        AK_REDIS_LIST,
    } kind;
    int64_t number;
    struct ak_bytes bytes;
    size_t n_items;
    void *handle; /* what ak_redis_reply_done frees */
};

/* Sends a command of n words and waits for its answer. 0, GONE or REFUSED with a
 * message, or fatal. */
int ak_redis_ask(struct ak_redis *redis, const struct ak_bytes *words, size_t n_words,
                 uint64_t deadline, struct ak_redis_reply *ret_reply,
                 struct ak_buf *ret_message);
/* An item of a LIST, borrowed; empty for what is not bytes. */
struct ak_bytes ak_redis_reply_item(const struct ak_redis_reply *reply, size_t i);
void ak_redis_reply_done(struct ak_redis_reply *reply);

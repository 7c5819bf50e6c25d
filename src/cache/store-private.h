/* SPDX-License-Identifier: MIT */
#pragma once

/* The inside of a store, for the files of this layer. */

#include "cache/file-private.h"
#include "cache/key.h"
#include "cache/store.h"

/* What lies in a store's directory, each under two hexadecimal digits of its name. */
#define AK_STORE_ENTRIES "entries"
#define AK_STORE_OBJECTS "objects"
#define AK_STORE_VARIANTS "variants"
/* What the last collection left, and a byte for each AK_STORE_GROWTH_UNIT since. */
#define AK_STORE_USAGE "usage"
#define AK_STORE_GROWTH "growth"
#define AK_STORE_GROWTH_UNIT (64u << 10)
/* Who collects. */
#define AK_STORE_LOCK "lock"

struct ak_store {
    char *dir;                     /* owned, absolute */
    const struct ak_keyring *ring; /* borrowed */
    struct ak_hash *hash;          /* owned: too big for a stack */
    bool read_only;
    bool usable; /* for storing */
    struct ak_store_counts counts;
    struct ak_store_tier tier; /* zeroed for none */
};

/* dir/kind/ab/abcd..., with a tail. 0 or -ENOMEM. */
int ak_store_path(const struct ak_store *store, const char *kind,
                  const struct ak_digest *digest, struct ak_buf *ret_path);
/* The seal of the bytes that were given to store->hash since ak_store_seal_begin. */
void ak_store_seal_begin(struct ak_store *store);
bool ak_store_sealed(struct ak_store *store, const void *data, size_t sealed_len);
/* A new file of the store, whose directories are made if they are missing. */
int ak_store_create(struct ak_store *store, struct ak_file *file, const char *path);
/* Turns a -errno of storing into REFUSED with a reason, or lets it be fatal. */
int ak_store_refuse(struct ak_store *store, int error, struct ak_buf *ret_reason);

/* directory.c: makes the directory and checks whose it is. 0, REFUSED or fatal. */
int ak_store_prepare(struct ak_store *store, struct ak_buf *ret_reason);

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Digests under a secret of the user: names of cached cells, content addresses of
 * buffers, and the seals of what lies on disk. All of them are keyed, so that nobody
 * without the key can make two things meet under one name or forge an entry.
 *
 * A keyring holds the secrets. It is read once and never changes, so any thread may
 * hash with it, with or without the GIL. Worker process, `akernel cache`, and the
 * cache's helper process.
 */

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define AK_DIGEST_SIZE 32
#define AK_DIGEST_HEX_SIZE 65 /* with the NUL */
#define AK_HASH_BLOCK 16384
#define AK_HASH_STATE 384 /* of libsodium's crypto_generichash_state */

struct ak_digest {
    unsigned char bytes[AK_DIGEST_SIZE];
};

struct ak_keyring;

struct ak_keyring_config {
    /* The user's own key; NULL for $XDG_STATE_HOME/akernel/cache.key. Made when it is
     * missing. */
    const char *user_path;
    /* A key that a team shares, or NULL. With it digests agree between its members;
     * files on this machine stay sealed with the user's own key. Never made. */
    const char *team_path;
};

enum {
    AK_KEYRING_E_REFUSED = 1, /* the message says why, in plain words */
};

/* 0, REFUSED or fatal. */
int ak_keyring_new(struct ak_keyring **ret_ring, const struct ak_keyring_config *config,
                   struct ak_buf *ret_message);
/* Wipes the secrets. Accepts NULL, returns NULL. */
struct ak_keyring *ak_keyring_free(struct ak_keyring *ring);
AK_DEFINE_CLEANUP(struct ak_keyring *, ak_keyring_free)

/* What a digest is for; equal bytes under two purposes have unrelated digests. */
enum ak_purpose {
    AK_PURPOSE_CELL = 1, /* keys of cells and hashes of values: agree within a team */
    AK_PURPOSE_BUFFER,   /* content of a buffer: agrees within a team */
    AK_PURPOSE_LOCAL,    /* seals of files: the user's own key */
    AK_PURPOSE_SHARED,   /* seals of what leaves the machine: the team's, else the
                            user's key */
};

/*
 * A hash that bytes are streamed into. It is about 17 KiB: part of something on the
 * heap, or on the stack of a shallow function. Adding is a copy into it; a full block
 * costs about a microsecond. The digest depends on the bytes only, not on how they
 * were cut: whoever adds things of variable length adds the length before them
 * (ak_hash_add_sized does).
 */
struct ak_hash {
    _Alignas(64) unsigned char state[AK_HASH_STATE];
    const struct ak_keyring *ring; /* borrowed */
    enum ak_purpose purpose;
    uint64_t n_blocks;
    size_t fill;
    unsigned char block[AK_HASH_BLOCK];
};

void ak_hash_init(struct ak_hash *hash, const struct ak_keyring *ring,
                  enum ak_purpose purpose);
/* The digest of all that was added; wipes the state, so the hash has to be initialised
 * again before it is used again. */
void ak_hash_final(struct ak_hash *hash, struct ak_digest *ret_digest);

/* The rest of ak_hash_add, when the block is full. */
void ak_hash_add_blocks(struct ak_hash *hash, const void *data, size_t len);

static inline void ak_hash_add(struct ak_hash *hash, const void *data, size_t len) {
    if (len >= AK_HASH_BLOCK || hash->fill >= AK_HASH_BLOCK - len) {
        ak_hash_add_blocks(hash, data, len);
    } else if (len) {
        memcpy(hash->block + hash->fill, data, len);
        hash->fill += len;
    }
}

static inline void ak_hash_add_byte(struct ak_hash *hash, unsigned char byte) {
    ak_hash_add(hash, &byte, 1);
}

/* Eight bytes, the lowest first. */
static inline void ak_hash_add_u64(struct ak_hash *hash, uint64_t value) {
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    ak_hash_add(hash, bytes, sizeof(bytes));
}

/* The length, then the bytes. */
static inline void ak_hash_add_sized(struct ak_hash *hash, const void *data,
                                     size_t len) {
    ak_hash_add_u64(hash, len);
    ak_hash_add(hash, data, len);
}

/*
 * The content digest of one contiguous buffer (AK_PURPOSE_BUFFER), at the speed of
 * memory and without a copy: what goes into an ak_hash instead of a long buffer's
 * bytes, and the name under which a store keeps them. May be called without the GIL.
 */
void ak_hash_buffer(const struct ak_keyring *ring, const void *data, size_t len,
                    struct ak_digest *ret_digest);

/* In constant time. */
int ak_digest_equal(const struct ak_digest *a, const struct ak_digest *b);
void ak_digest_hex(const struct ak_digest *digest,
                   char ret_hex[static AK_DIGEST_HEX_SIZE]);
/* Reads 64 hexadecimal digits; 0, or -1 for anything else. */
int ak_digest_parse(const char *hex, struct ak_digest *ret_digest);

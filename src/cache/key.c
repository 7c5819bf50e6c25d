/* SPDX-License-Identifier: MIT */
/*
 * A digest is BLAKE2b-256, keyed for its purpose, over what was added. Up to a block's
 * length the bytes go in as they are; each full block goes in as its fingerprint, a
 * universal hash under a secret of the same ring, which is an order of magnitude faster
 * and has a proved bound. Hashing a hash of that kind with a keyed hash is a message
 * authentication code (Wegman and Carter's construction), so one function serves for
 * keys, addresses and seals. The number of blocks and the length of the rest close the
 * stream: which part is bytes and which fingerprints is never ambiguous.
 */
#include "cache/key.h"

#include <errno.h>
#include <sodium.h>

#include "cache/fingerprint.h"
#include "cache/keyring-private.h"

_Static_assert(sizeof(crypto_generichash_state) <= AK_HASH_STATE, "the state fits");
_Static_assert(AK_DIGEST_SIZE == crypto_generichash_BYTES, "BLAKE2b-256");

static crypto_generichash_state *state_of(struct ak_hash *hash) {
    return (crypto_generichash_state *)(void *)hash->state;
}

static void encode(unsigned char ret_bytes[static 8], uint64_t value) {
    for (int i = 0; i < 8; i++)
        ret_bytes[i] = (unsigned char)(value >> (8 * i));
}

static void begin(crypto_generichash_state *state, const struct ak_keyring *ring,
                  enum ak_purpose purpose) {
    crypto_generichash_init(state, ring->purposes[purpose].bytes, AK_DIGEST_SIZE,
                            AK_DIGEST_SIZE);
}

static const struct ak_fingerprint_key *fingerprint_key(const struct ak_keyring *ring,
                                                        enum ak_purpose purpose) {
    return purpose == AK_PURPOSE_LOCAL ? &ring->own : &ring->shared;
}

void ak_hash_init(struct ak_hash *hash, const struct ak_keyring *ring,
                  enum ak_purpose purpose) {
    hash->ring = ring;
    hash->purpose = purpose;
    hash->n_blocks = 0;
    hash->fill = 0;
    begin(state_of(hash), ring, purpose);
}

static void add_block(struct ak_hash *hash, const unsigned char *block) {
    unsigned char tag[AK_FINGERPRINT_SIZE];
    ak_fingerprint(fingerprint_key(hash->ring, hash->purpose), block, AK_HASH_BLOCK,
                   tag);
    crypto_generichash_update(state_of(hash), tag, sizeof(tag));
    hash->n_blocks++;
}

void ak_hash_add_blocks(struct ak_hash *hash, const void *data, size_t len) {
    const unsigned char *p = data;
    while (len) {
        if (hash->fill == 0 && len >= AK_HASH_BLOCK) {
            add_block(hash, p);
            p += AK_HASH_BLOCK;
            len -= AK_HASH_BLOCK;
            continue;
        }
        size_t room = AK_HASH_BLOCK - hash->fill;
        size_t n = len < room ? len : room;
        memcpy(hash->block + hash->fill, p, n);
        hash->fill += n;
        p += n;
        len -= n;
        if (hash->fill == AK_HASH_BLOCK) {
            add_block(hash, hash->block);
            hash->fill = 0;
        }
    }
}

void ak_hash_final(struct ak_hash *hash, struct ak_digest *ret_digest) {
    unsigned char closing[16];
    encode(closing, hash->n_blocks);
    encode(closing + 8, hash->fill);
    crypto_generichash_update(state_of(hash), hash->block, hash->fill);
    crypto_generichash_update(state_of(hash), closing, sizeof(closing));
    crypto_generichash_final(state_of(hash), ret_digest->bytes, AK_DIGEST_SIZE);
    sodium_memzero(hash->state, sizeof(hash->state));
}

void ak_hash_buffer(const struct ak_keyring *ring, const void *data, size_t len,
                    struct ak_digest *ret_digest) {
    unsigned char message[AK_FINGERPRINT_SIZE + 8];
    crypto_generichash_state state;
    ak_fingerprint(&ring->shared, data, len, message);
    encode(message + AK_FINGERPRINT_SIZE, len);
    begin(&state, ring, AK_PURPOSE_BUFFER);
    crypto_generichash_update(&state, message, sizeof(message));
    crypto_generichash_final(&state, ret_digest->bytes, AK_DIGEST_SIZE);
    sodium_memzero(&state, sizeof(state));
}

int ak_digest_equal(const struct ak_digest *a, const struct ak_digest *b) {
    return sodium_memcmp(a->bytes, b->bytes, AK_DIGEST_SIZE) == 0;
}

void ak_digest_hex(const struct ak_digest *digest,
                   char ret_hex[static AK_DIGEST_HEX_SIZE]) {
    sodium_bin2hex(ret_hex, AK_DIGEST_HEX_SIZE, digest->bytes, AK_DIGEST_SIZE);
}

int ak_digest_parse(const char *hex, struct ak_digest *ret_digest) {
    size_t n = 0;
    if (strlen(hex) != AK_DIGEST_HEX_SIZE - 1 ||
        sodium_hex2bin(ret_digest->bytes, AK_DIGEST_SIZE, hex, AK_DIGEST_HEX_SIZE - 1,
                       NULL, &n, NULL) != 0)
        return -1;
    return n == AK_DIGEST_SIZE ? 0 : -1;
}

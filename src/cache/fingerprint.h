/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A universal hash of long messages at the speed of memory: under a secret key, two
 * different messages have the same fingerprint with a probability of at most
 * 2^-128 + 8 * ceil(L / 512) / 2^106 for messages of up to L bytes (2^-82 for 1 GiB).
 * That holds for whoever does not know the key and sees no fingerprints, so
 * fingerprints never leave the process: they are hashed with BLAKE2b first (key.h).
 * Any thread.
 */

#include <stddef.h>

#define AK_FINGERPRINT_SIZE 16
#define AK_FINGERPRINT_KEY_SIZE 1088

/* The expanded secret: filled with random bytes by the owner. */
struct ak_fingerprint_key {
    _Alignas(64) unsigned char bytes[AK_FINGERPRINT_KEY_SIZE];
};

void ak_fingerprint(const struct ak_fingerprint_key *key, const void *data, size_t len,
                    unsigned char ret_tag[static AK_FINGERPRINT_SIZE]);
/* The same in portable code, for tests. */
void ak_fingerprint_portable(const struct ak_fingerprint_key *key, const void *data,
                             size_t len,
                             unsigned char ret_tag[static AK_FINGERPRINT_SIZE]);

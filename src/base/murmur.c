/* SPDX-License-Identifier: MIT */
#include "base/murmur.h"

#define MULTIPLIER 0x5BD1E995u
#define SHIFT 24

static uint32_t word(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

uint32_t ak_murmur2(const void *data, size_t len, uint32_t seed) {
    const unsigned char *p = data;
    uint32_t hash = seed ^ (uint32_t)len;
    for (; len >= 4; p += 4, len -= 4) {
        uint32_t k = word(p) * MULTIPLIER;
        k = (k ^ (k >> SHIFT)) * MULTIPLIER;
        hash = hash * MULTIPLIER ^ k;
    }
    if (len) {
        for (size_t i = len; i > 0; i--)
            hash ^= (uint32_t)p[i - 1] << (8 * (i - 1));
        hash *= MULTIPLIER;
    }
    hash = (hash ^ (hash >> 13)) * MULTIPLIER;
    return hash ^ (hash >> 15);
}

/* SPDX-License-Identifier: MIT */
/*
 * NH, then Poly1305: the composition that Adiantum uses (Crowley and Biggers 2018),
 * with NH and its Toeplitz extension as in UMAC (Black, Halevi, Krawczyk, Krovetz,
 * Rogaway 1999). NH turns each KiB into 32 bytes: over pairs of 32-bit words, sum of
 * (m[2i] + k[2i]) * (m[2i+1] + k[2i+1]) in 64 bits, four times with the key shifted by
 * a pair each, which makes two equal-length KiBs collide with a probability of 2^-128.
 * Poly1305 hashes the results and the length of the message; being a 32nd of the bytes,
 * it costs little. The last KiB is padded with zeros, which the length makes
 * unambiguous.
 *
 * Why not XXH3: it is as fast, but nothing is proved about it, and colliding inputs of
 * seeded non-cryptographic hashes have been found again and again; a wrong hit is the
 * one thing that a cache may never have. Why not Poly1305 alone, with the same proof:
 * at under 5 GB/s it would be half the time of a hit. BLAKE2b takes seven times as long
 * again.
 */
#include "cache/fingerprint.h"

#include <endian.h>
#include <sodium.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define CHUNK 1024
#define PASSES 4
#define SHIFT 2 /* words from pass to pass */
#define NH_KEY_SIZE (CHUNK + (PASSES - 1) * SHIFT * 4)
#define SUMS 64 /* chunks whose sums are collected before Poly1305 sees them */

_Static_assert(((NH_KEY_SIZE + 31) & ~31) + crypto_onetimeauth_KEYBYTES <=
                   AK_FINGERPRINT_KEY_SIZE,
               "both keys fit");

typedef void nh_function(const unsigned char *key, const unsigned char *chunk,
                         uint64_t ret_sums[static PASSES]);

static uint32_t word(const unsigned char *p) {
    uint32_t value;
    memcpy(&value, p, sizeof(value));
    return le32toh(value);
}

static void nh_portable(const unsigned char *key, const unsigned char *chunk,
                        uint64_t ret_sums[static PASSES]) {
    uint64_t sums[PASSES] = {0};
    for (size_t i = 0; i < CHUNK; i += 8) {
        uint32_t a = word(chunk + i), b = word(chunk + i + 4);
        for (size_t pass = 0; pass < PASSES; pass++) {
            const unsigned char *k = key + i + pass * SHIFT * 4;
            uint32_t left = a + word(k), right = b + word(k + 4);
            sums[pass] += (uint64_t)left * right;
        }
    }
    for (size_t pass = 0; pass < PASSES; pass++)
        ret_sums[pass] = htole64(sums[pass]);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static inline __m256i
nh_step(__m256i sum, __m256i message, const unsigned char *key) {
    __m256i s = _mm256_add_epi32(message, _mm256_loadu_si256((const void *)key));
    return _mm256_add_epi64(sum, _mm256_mul_epu32(s, _mm256_srli_epi64(s, 32)));
}

__attribute__((target("avx2"))) static inline uint64_t nh_total(__m256i sum) {
    return (uint64_t)_mm256_extract_epi64(sum, 0) +
           (uint64_t)_mm256_extract_epi64(sum, 1) +
           (uint64_t)_mm256_extract_epi64(sum, 2) +
           (uint64_t)_mm256_extract_epi64(sum, 3);
}

__attribute__((target("avx2"))) static void nh_avx2(const unsigned char *key,
                                                    const unsigned char *chunk,
                                                    uint64_t ret_sums[static PASSES]) {
    __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
    for (size_t i = 0; i < CHUNK; i += 32) {
        __m256i message = _mm256_loadu_si256((const void *)(chunk + i));
        s0 = nh_step(s0, message, key + i);
        s1 = nh_step(s1, message, key + i + 8);
        s2 = nh_step(s2, message, key + i + 16);
        s3 = nh_step(s3, message, key + i + 24);
    }
    ret_sums[0] = nh_total(s0);
    ret_sums[1] = nh_total(s1);
    ret_sums[2] = nh_total(s2);
    ret_sums[3] = nh_total(s3);
}
#endif

static void run(nh_function *nh, const struct ak_fingerprint_key *key,
                const unsigned char *data, size_t len,
                unsigned char ret_tag[static AK_FINGERPRINT_SIZE]) {
    crypto_onetimeauth_state poly;
    uint64_t sums[SUMS][PASSES];
    uint64_t total = htole64(len);
    size_t n_sums = 0;
    crypto_onetimeauth_init(&poly, key->bytes + ((NH_KEY_SIZE + 31) & ~31));
    for (; len >= CHUNK; data += CHUNK, len -= CHUNK) {
        nh(key->bytes, data, sums[n_sums++]);
        if (n_sums == SUMS) {
            crypto_onetimeauth_update(&poly, (const void *)sums, sizeof(sums));
            n_sums = 0;
        }
    }
    if (len) {
        unsigned char last[CHUNK] = {0};
        memcpy(last, data, len);
        nh(key->bytes, last, sums[n_sums++]);
    }
    crypto_onetimeauth_update(&poly, (const void *)sums, n_sums * sizeof(sums[0]));
    crypto_onetimeauth_update(&poly, (const void *)&total, sizeof(total));
    crypto_onetimeauth_final(&poly, ret_tag);
}

void ak_fingerprint_portable(const struct ak_fingerprint_key *key, const void *data,
                             size_t len,
                             unsigned char ret_tag[static AK_FINGERPRINT_SIZE]) {
    run(nh_portable, key, data, len, ret_tag);
}

void ak_fingerprint(const struct ak_fingerprint_key *key, const void *data, size_t len,
                    unsigned char ret_tag[static AK_FINGERPRINT_SIZE]) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        run(nh_avx2, key, data, len, ret_tag);
        return;
    }
#endif
    run(nh_portable, key, data, len, ret_tag);
}

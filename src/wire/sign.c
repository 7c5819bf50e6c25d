/* SPDX-License-Identifier: MIT */
/*
 * Digests that were seen are kept in a ring of AK_WIRE_DIGESTS and a map over it, so
 * that exactly the oldest is forgotten. Only digests that verified are remembered: a
 * peer without the key cannot push others out.
 */
#include "wire/sign.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"
#include "wire/limits.h"

#define DIGEST crypto_auth_hmacsha256_BYTES

struct ak_signer {
    bool active;
    crypto_auth_hmacsha256_state keyed;
    struct ak_map *seen;
    unsigned char (*ring)[DIGEST]; /* owned, made when the first message came */
    size_t n_seen;
};

int ak_signer_new(struct ak_signer **ret_signer, const char *key) {
    if (sodium_init() < 0)
        return ak_error_origin(ENOTSUP);
    AK_CLEANUP(ak_signer_freep) struct ak_signer *signer = calloc(1, sizeof(*signer));
    if (!signer)
        return ak_error_origin(ENOMEM);
    signer->active = key[0] != '\0';
    crypto_auth_hmacsha256_init(&signer->keyed, (const unsigned char *)key,
                                strlen(key));
    int r = ak_map_new(&signer->seen);
    if (r)
        return ak_error_trace(r);
    *ret_signer = AK_TAKE(signer);
    return 0;
}

struct ak_signer *ak_signer_free(struct ak_signer *signer) {
    if (!signer)
        return NULL;
    ak_map_free(signer->seen);
    free(signer->ring);
    sodium_memzero(signer, sizeof(*signer));
    free(signer);
    return NULL;
}

static void digest(const struct ak_signer *signer, const struct ak_bytes frames[4],
                   unsigned char ret_digest[static DIGEST]) {
    crypto_auth_hmacsha256_state state = signer->keyed;
    for (int i = 0; i < 4; i++)
        crypto_auth_hmacsha256_update(&state, frames[i].data, frames[i].len);
    crypto_auth_hmacsha256_final(&state, ret_digest);
    sodium_memzero(&state, sizeof(state));
}

void ak_signer_sign(const struct ak_signer *signer, const struct ak_bytes frames[4],
                    char ret_hex[static AK_SIGN_HEX_SIZE]) {
    unsigned char mac[DIGEST];
    ret_hex[0] = '\0';
    if (!signer->active)
        return;
    digest(signer, frames, mac);
    sodium_bin2hex(ret_hex, AK_SIGN_HEX_SIZE, mac, sizeof(mac));
}

static int remember(struct ak_signer *signer, const unsigned char mac[static DIGEST]) {
    if (ak_map_get(signer->seen, mac, DIGEST))
        return AK_SIGN_E_REPLAYED;
    if (!signer->ring) {
        signer->ring = calloc(AK_WIRE_DIGESTS, sizeof(*signer->ring));
        if (!signer->ring)
            return ak_error_origin(ENOMEM);
    }
    unsigned char *slot = signer->ring[signer->n_seen % AK_WIRE_DIGESTS];
    if (signer->n_seen >= AK_WIRE_DIGESTS)
        ak_map_remove(signer->seen, slot, DIGEST);
    memcpy(slot, mac, DIGEST);
    signer->n_seen++;
    int r = ak_map_put(signer->seen, mac, DIGEST, signer, NULL);
    return r ? ak_error_trace(r) : 0;
}

int ak_signer_check(struct ak_signer *signer, const struct ak_bytes frames[4],
                    struct ak_bytes signature) {
    unsigned char mac[DIGEST];
    char hex[AK_SIGN_HEX_SIZE];
    if (!signer->active)
        return 0;
    digest(signer, frames, mac);
    sodium_bin2hex(hex, sizeof(hex), mac, sizeof(mac));
    if (signature.len != AK_SIGN_HEX_SIZE - 1 ||
        sodium_memcmp(hex, signature.data, AK_SIGN_HEX_SIZE - 1) != 0)
        return AK_SIGN_E_BAD;
    return remember(signer, mac);
}

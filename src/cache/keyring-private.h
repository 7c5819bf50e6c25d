/* SPDX-License-Identifier: MIT */
#pragma once

/* The secrets of a keyring, for the files of this layer. */

#include "cache/fingerprint.h"
#include "cache/key.h"

struct ak_keyring {
    struct ak_digest purposes[AK_PURPOSE_SHARED + 1]; /* BLAKE2b keys */
    struct ak_fingerprint_key own;                    /* of the user's key */
    struct ak_fingerprint_key shared; /* of the team's, else the user's */
    struct ak_digest local_id;        /* names the user's key without telling it */
    struct ak_digest shared_id;
};

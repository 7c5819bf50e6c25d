/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Signatures (messaging spec, "The Wire Protocol"): HMAC-SHA256 over header, parent
 * header, metadata and content as they are sent, in hexadecimal. The state of the key
 * is computed once; an empty key means that nothing is signed and nothing checked.
 * Kernel process, its one thread.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define AK_SIGN_HEX_SIZE 65 /* with the NUL */

struct ak_signer;

enum {
    AK_SIGN_E_BAD = 1,  /* not the signature of these frames */
    AK_SIGN_E_REPLAYED, /* right, but seen before */
};

int ak_signer_new(struct ak_signer **ret_signer, const char *key);
struct ak_signer *ak_signer_free(struct ak_signer *signer);
AK_DEFINE_CLEANUP(struct ak_signer *, ak_signer_free)

/* Writes the signature of four frames, "" when unsigned. */
void ak_signer_sign(const struct ak_signer *signer, const struct ak_bytes frames[4],
                    char ret_hex[static AK_SIGN_HEX_SIZE]);
/* Checks a signature frame in constant time and remembers it. 0, BAD, REPLAYED or
 * fatal.
 */
int ak_signer_check(struct ak_signer *signer, const struct ak_bytes frames[4],
                    struct ak_bytes signature);

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a worker and its cache helper say to each other on a sequenced-packet socket:
 * one struct a packet. The first packet from the worker is the configuration:
 * directory, address, the user's and the team's key file, each ended by a NUL and maybe
 * empty.
 */

#include "cache/key.h"

#define AK_HELPER_FD 3
#define AK_HELPER_CONFIG_MAX 16384
#define AK_HELPER_TEXT_MAX 1024

enum ak_helper_verb {
    AK_HELPER_FETCH = 1, /* bring this entry, or the variants of this key */
    AK_HELPER_OFFER,
    AK_HELPER_OFFER_VARIANT,
    AK_HELPER_FETCHED, /* the answer to a FETCH */
    AK_HELPER_WARNING, /* text for the user */
};

struct ak_helper_packet {
    uint8_t verb;
    uint8_t found; /* of FETCHED: something is in the store now */
    struct ak_digest key;
    struct ak_digest entry;        /* of OFFER_VARIANT */
    char text[AK_HELPER_TEXT_MAX]; /* of WARNING; others end before it */
};

#define AK_HELPER_SHORT offsetof(struct ak_helper_packet, text)

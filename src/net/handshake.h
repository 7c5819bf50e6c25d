/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The kernel's side of the startup handshake (JEP 66): a launcher that gave an address
 * to register at is told, signed, where the kernel listens. Kernel process, at start.
 */

#include "net/channel.h"

enum {
    AK_HANDSHAKE_E_FAILED = 1, /* the message says why */
};

/* Sends handshake_request with the bound ports and waits for a signed handshake_reply,
 * at most 5 s. 0, FAILED with a sentence, or fatal. */
int ak_handshake(struct ak_channels *channels, const struct ak_conn *conn,
                 struct ak_signer *signer, struct ak_buf *ret_message);

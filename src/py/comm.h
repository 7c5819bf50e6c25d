/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Comms: what the front end says to the comm manager of the comm package, once some
 * library has imported it (messaging spec, "Custom Messages"). Without it every comm
 * that a front end opens is closed again. Worker process, main thread, GIL held; runs
 * Python; no exception is pending afterwards: what a callback raises is reported in its
 * cell.
 */

#include <stddef.h>

#include "base/buf.h"

struct ak_space;

enum ak_comm_verb {
    AK_COMM_OPEN,
    AK_COMM_MSG,
    AK_COMM_CLOSE,
};

struct ak_comm_message {
    enum ak_comm_verb verb;
    struct ak_bytes header;
    struct ak_bytes metadata;
    struct ak_bytes content;
    const struct ak_bytes *buffers;
    size_t n_buffers;
};

int ak_comm_handle(struct ak_space *space, const struct ak_comm_message *message);
/* The content of a comm_info_reply. */
int ak_comm_info(struct ak_space *space, struct ak_bytes content,
                 struct ak_buf *ret_content);

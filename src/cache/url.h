/* SPDX-License-Identifier: MIT */
#pragma once

/* The address of a shared cache: redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], or
 * rediss:// for TLS. Any process. */

#include <stdbool.h>

#include "base/buf.h"

struct ak_url {
    bool tls;
    unsigned database;
    struct ak_buf host, port, user, password; /* user and password may be empty */
};

/* 0, or -1 with a sentence, which never holds the password. */
int ak_url_parse(struct ak_url *ret_url, const char *text, struct ak_buf *ret_message);
/* Wipes the password. */
void ak_url_done(struct ak_url *url);

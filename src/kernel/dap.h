/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One connection to a debug adapter: messages of the Debug Adapter Protocol ("Base
 * protocol": a Content-Length header and JSON) over a TCP socket of this machine. It
 * frames and queues; what messages mean is debug.c's. Kernel process, its one thread;
 * nothing in it blocks.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/cleanup.h"

struct ak_dap;

enum {
    AK_DAP_E_AGAIN = 1, /* no whole message is there yet */
    AK_DAP_E_CLOSED,    /* the adapter is gone, or sent what is no message */
};

/* Connects to a port of the loopback address. 0, CLOSED or fatal. */
int ak_dap_connect(struct ak_dap **ret_dap, int port);
/* Takes a connected stream socket, on success only. */
int ak_dap_new(struct ak_dap **ret_dap, int fd);
/* Accepts NULL, returns NULL; closes the connection. */
struct ak_dap *ak_dap_free(struct ak_dap *dap);
AK_DEFINE_CLEANUP(struct ak_dap *, ak_dap_free)

int ak_dap_fd(const struct ak_dap *dap);
/* Whether something waits for room in the socket. */
bool ak_dap_waits(const struct ak_dap *dap);

/* Sends a message now or, when there is no room, from ak_dap_flush. 0, CLOSED or fatal.
 */
int ak_dap_send(struct ak_dap *dap, const json_t *message);
int ak_dap_flush(struct ak_dap *dap);
/* The next whole message; *ret_message is the caller's. 0, AGAIN, CLOSED or fatal. */
int ak_dap_receive(struct ak_dap *dap, json_t **ret_message);

/* Reads JSON as Python writes it: what jansson refuses in it (a lone surrogate) becomes
 * U+FFFD. A new reference, or NULL. */
json_t *ak_dap_parse(struct ak_bytes text);

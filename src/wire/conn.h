/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The connection file (jupyter_client, "Connection files"): where to bind and how to
 * sign. Plain data, made from JSON text or a path, written back when ports were picked.
 * Kernel process.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum ak_conn_port {
    AK_CONN_SHELL,
    AK_CONN_IOPUB,
    AK_CONN_STDIN,
    AK_CONN_CONTROL,
    AK_CONN_HB,
    AK_CONN_N_PORTS,
};

struct ak_conn {
    char *path; /* owned; NULL when it was not read from a file */
    char *transport;
    char *ip;
    char *key;             /* "" means unsigned */
    char *kernel_name;     /* "" when absent */
    char *session_name;    /* jupyter_session; "" when absent */
    char *curve_public;    /* Z85; NULL without Curve */
    char *curve_secret;    /* Z85 */
    char *registration_ip; /* JEP 66; NULL without a handshake */
    int registration_port;
    char *kernel_id; /* "" when absent */
    int ports[AK_CONN_N_PORTS];
    bool private_file; /* nobody else may read the file */
};

enum {
    AK_CONN_E_BAD = 1, /* the message says what and where */
};

/* 0, BAD with a sentence in *ret_message, or fatal. */
int ak_conn_read(struct ak_conn *ret_conn, const char *path,
                 struct ak_buf *ret_message);
int ak_conn_parse(struct ak_conn *ret_conn, const char *text, size_t len,
                  struct ak_buf *ret_message);
void ak_conn_done(struct ak_conn *conn);

/* "shell_port" and so on. */
const char *ak_conn_port_name(enum ak_conn_port port);
/* Writes the ports back into the file, atomically, mode 0600, other members kept. */
int ak_conn_write_ports(const struct ak_conn *conn, struct ak_buf *ret_message);
/* "tcp://ip:port", an IPv6 address in brackets; port 0 gives "tcp://ip:*". */
int ak_conn_tcp_endpoint(const char *ip, int port, struct ak_buf *ret_endpoint);
/* "tcp://ip:port" or "ipc://ip-port"; port 0 gives "tcp://ip:*". */
int ak_conn_endpoint(const struct ak_conn *conn, int port, struct ak_buf *ret_endpoint);

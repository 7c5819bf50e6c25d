/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The five sockets of a kernel (messaging spec, "Introduction"): shell, control and
 * stdin as ROUTER, iopub as XPUB, heartbeat as ROUTER. They are bound, used and closed
 * by the kernel process's one loop.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <zmq.h>

#include "base/buf.h"
#include "wire/conn.h"
#include "wire/message.h"

enum ak_channel {
    AK_CHANNEL_SHELL,
    AK_CHANNEL_IOPUB,
    AK_CHANNEL_STDIN,
    AK_CHANNEL_CONTROL,
    AK_CHANNEL_HB,
    AK_CHANNEL_N,
};

struct ak_channels;

enum {
    AK_CHANNEL_E_AGAIN = 1, /* nothing there, or no room */
    AK_CHANNEL_E_BIND,    /* an address cannot be had; the message says which and why */
    AK_CHANNEL_E_TOO_BIG, /* a message of more frames than the limit was dropped */
};

/* One received multipart message. */
struct ak_received {
    zmq_msg_t *messages; /* owned */
    struct ak_bytes *frames;
    size_t n_frames;
    size_t cap;
};

/* A mapping whose bytes are on their way through a socket: unmapped by whoever drops
 * the last reference, the I/O thread of libzmq included. */
struct ak_shared_map;

/* Takes the mapping on success. The caller has one reference. */
int ak_shared_map_new(struct ak_shared_map **ret_shared, void *map, size_t len);
struct ak_shared_map *ak_shared_map_unref(struct ak_shared_map *shared);
AK_DEFINE_CLEANUP(struct ak_shared_map *, ak_shared_map_unref)

/* A message to send: all views are borrowed for the call. Parts that lie in shared are
 * sent without a copy. */
struct ak_sending {
    const struct ak_bytes *identities;
    size_t n_identities;
    struct ak_bytes header;
    struct ak_bytes parent;
    struct ak_bytes metadata;
    struct ak_bytes content;
    const struct ak_bytes *buffers;
    size_t n_buffers;
    struct ak_shared_map *shared;
};

/* Binds all five, retrying a busy port for a while; picks ports that are 0 and writes
 * them into conn. 0, BIND with a sentence, or fatal. */
int ak_channels_bind(struct ak_channels **ret_channels, struct ak_conn *conn,
                     struct ak_buf *ret_message);
/* Lets what was sent go out for at most a second. NULL ok. */
struct ak_channels *ak_channels_free(struct ak_channels *channels);
AK_DEFINE_CLEANUP(struct ak_channels *, ak_channels_free)

/* For zmq_poll; borrowed. */
void *ak_channels_socket(struct ak_channels *channels, enum ak_channel channel);
/* The libzmq context, for a handshake. */
void *ak_channels_context(struct ak_channels *channels);

/* Receives one message into *received, whose memory is reused. 0, AGAIN, TOO_BIG or
 * fatal.
 */
int ak_channels_receive(struct ak_channels *channels, enum ak_channel channel,
                        struct ak_received *received);
/* The descriptor of the connection that a message came from, or -1. */
int ak_received_fd(struct ak_received *received);
void ak_received_done(struct ak_received *received);
/* Sends, signed. 0, AGAIN (nothing was sent) or fatal. */
int ak_channels_send(struct ak_channels *channels, enum ak_channel channel,
                     const struct ak_signer *signer, const struct ak_sending *sending);
/* Sends what came back to where it came from: the heartbeat. */
void ak_channels_echo(struct ak_channels *channels);

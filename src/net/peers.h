/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which connections to shell and control are open, by the descriptor that libzmq has
 * for each: a message knows the descriptor that it came from (ak_received_fd), and a
 * monitor on each socket tells when one ends. Only kernels with many sessions watch.
 * Kernel process, its one thread.
 */

#include <stdbool.h>

#include "net/channel.h"

struct ak_peers;

int ak_peers_new(struct ak_peers **ret_peers, struct ak_channels *channels);
/* NULL ok. */
struct ak_peers *ak_peers_free(struct ak_peers *peers);
AK_DEFINE_CLEANUP(struct ak_peers *, ak_peers_free)

#define AK_PEERS_SOCKETS 2
/* For zmq_poll; borrowed. */
void *ak_peers_socket(struct ak_peers *peers, int index);

/* The next connection that has ended; -1 when there is no news. */
int ak_peers_next_lost(struct ak_peers *peers);
/* Whether the connection is open, as far as ak_peers_next_lost has told. Looks at what
 * has happened since; ends that it meets are kept for ak_peers_next_lost. */
bool ak_peers_open(struct ak_peers *peers, int fd);

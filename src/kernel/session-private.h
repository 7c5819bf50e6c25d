/* SPDX-License-Identifier: MIT */
#pragma once

/* The sessions of a kernel with many (mode "multi"), shared by session.c (which world a
 * request is for) and call.c (what user code asks about them). */

#include "kernel/kernel-private.h"
#include "net/peers.h"

#define AK_CLIENT_FDS 4          /* connections of a client that are remembered */
#define AK_WORLD_CELLS_MAX 16384 /* cells of a world that are remembered */

/* A session id that has asked for something. */
struct ak_client {
    struct ak_list link;    /* ak_world.clients */
    char *session;          /* owned */
    struct ak_world *world; /* borrowed; NULL only while it is made */
    int fds[AK_CLIENT_FDS]; /* its connections that are open */
    int n_fds;
    bool settled;   /* its first execute_request has decided where it belongs */
    uint64_t joins; /* number of the world that its next cell goes to, or 0 */
};

struct ak_sessions {
    struct ak_peers *peers;
    struct ak_map *clients; /* session id -> ak_client, which it owns */
    struct ak_list worlds;  /* ak_world.link, the one that was used last at the end */
    size_t n_worlds;
    uint64_t last_number;
};

bool ak_world_connected(const struct ak_world *world);
void ak_world_close(struct ak_kernel *kernel, struct ak_world *world);
struct ak_world *ak_world_find_number(struct ak_sessions *sessions, uint64_t number);

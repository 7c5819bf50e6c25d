/* SPDX-License-Identifier: MIT */
/*
 * A descriptor is used again as soon as it is free, so what counts is the order of
 * events: the monitor of a socket says ACCEPTED before any message of the connection
 * can be received, and DISCONNECTED when it is over. A connection that was there before
 * the monitor is open until the monitor says otherwise. Messages that are still in the
 * socket's queue then come from a descriptor that is closed, or is another's by now;
 * the latter is the one mistake that is possible, and costs a world that is taken for
 * connected until that other connection ends.
 */
#include "net/peers.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

#define EVENTS (ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED)
#define DESCRIPTORS_MAX (1 << 20)

struct ak_peers {
    void *watched[AK_PEERS_SOCKETS];  /* borrowed: shell and control */
    void *monitors[AK_PEERS_SOCKETS]; /* owned */
    struct ak_buf closed;             /* a byte a descriptor: not 0 once it is closed */
    struct ak_buf lost;               /* int: ends that nobody was told of yet */
};

static int watch(struct ak_peers *peers, void *context, int index, void *socket) {
    char address[64];
    int linger = 0;
    snprintf(address, sizeof(address), "inproc://akernel-peers-%d", index);
    if (zmq_socket_monitor(socket, address, EVENTS) < 0)
        return ak_error_origin(errno);
    peers->watched[index] = socket;
    peers->monitors[index] = zmq_socket(context, ZMQ_PAIR);
    if (!peers->monitors[index] ||
        zmq_setsockopt(peers->monitors[index], ZMQ_LINGER, &linger, sizeof(linger)) <
            0 ||
        zmq_connect(peers->monitors[index], address) < 0)
        return ak_error_origin(errno);
    return 0;
}

int ak_peers_new(struct ak_peers **ret_peers, struct ak_channels *channels) {
    AK_CLEANUP(ak_peers_freep) struct ak_peers *peers = calloc(1, sizeof(*peers));
    if (!peers)
        return ak_error_origin(ENOMEM);
    void *context = ak_channels_context(channels);
    int r = watch(peers, context, 0, ak_channels_socket(channels, AK_CHANNEL_SHELL));
    if (!r)
        r = watch(peers, context, 1, ak_channels_socket(channels, AK_CHANNEL_CONTROL));
    if (r)
        return ak_error_trace(r);
    *ret_peers = AK_TAKE(peers);
    return 0;
}

struct ak_peers *ak_peers_free(struct ak_peers *peers) {
    if (!peers)
        return NULL;
    for (int i = 0; i < AK_PEERS_SOCKETS; i++) {
        if (peers->watched[i])
            (void)zmq_socket_monitor(peers->watched[i], NULL, 0);
        if (peers->monitors[i])
            zmq_close(peers->monitors[i]);
    }
    ak_buf_done(&peers->closed);
    ak_buf_done(&peers->lost);
    free(peers);
    return NULL;
}

void *ak_peers_socket(struct ak_peers *peers, int index) {
    return peers->monitors[index];
}

static bool is_open(const struct ak_peers *peers, int fd) {
    return fd >= 0 && ((size_t)fd >= peers->closed.len || !peers->closed.data[fd]);
}

static void set_open(struct ak_peers *peers, int fd, bool open) {
    static const char unknown[64];
    if (fd < 0 || fd >= DESCRIPTORS_MAX)
        return;
    while (peers->closed.len <= (size_t)fd) {
        if (ak_buf_add(&peers->closed, unknown, sizeof(unknown)))
            return;
    }
    peers->closed.data[fd] = !open;
}

/* One event of a monitor: its number and descriptor in a frame, the address in another.
 */
static bool take_event(struct ak_peers *peers, void *monitor) {
    char frame[1024];
    uint16_t event;
    int32_t fd;
    int n = zmq_recv(monitor, frame, sizeof(frame), ZMQ_DONTWAIT);
    if (n < (int)(sizeof(event) + sizeof(fd)))
        return false;
    memcpy(&event, frame, sizeof(event));
    memcpy(&fd, frame + sizeof(event), sizeof(fd));
    (void)zmq_recv(monitor, frame, sizeof(frame), ZMQ_DONTWAIT);
    if (event == ZMQ_EVENT_DISCONNECTED && is_open(peers, fd))
        (void)ak_buf_add(&peers->lost, &fd, sizeof(fd));
    set_open(peers, fd, event == ZMQ_EVENT_ACCEPTED);
    return true;
}

static void take_events(struct ak_peers *peers) {
    for (int i = 0; i < AK_PEERS_SOCKETS; i++) {
        while (take_event(peers, peers->monitors[i]))
            ;
    }
}

int ak_peers_next_lost(struct ak_peers *peers) {
    int32_t fd;
    take_events(peers);
    if (peers->lost.len < sizeof(fd))
        return -1;
    memcpy(&fd, peers->lost.data, sizeof(fd));
    ak_buf_consume(&peers->lost, sizeof(fd));
    return fd;
}

bool ak_peers_open(struct ak_peers *peers, int fd) {
    if (!is_open(peers, fd))
        take_events(peers);
    return is_open(peers, fd);
}

/* SPDX-License-Identifier: MIT */
/*
 * ROUTER_HANDOVER, because a client that reconnects comes with the identity of its old
 * connection. XPUB_VERBOSE, because each subscriber is to be welcomed, and XPUB_NODROP,
 * because libzmq otherwise drops silently at its high-water mark: the loop would rather
 * stop collecting output for a moment and, at worst, say what it dropped.
 */
#include "net/channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "wire/limits.h"

#define LINGER_MS 1000
#define RECEIVE_HWM 20000
#define PUBLISH_HWM 10000
#define BIND_SECONDS 1
#define BIND_RETRY_MS 20
#define COPY_MAX 32768 /* smaller parts are copied, which is cheaper than counting */
#define ECHO_BATCH 64

struct ak_shared_map {
    void *map;
    size_t len;
    atomic_size_t n_refs;
};

struct ak_channels {
    void *context;
    void *sockets[AK_CHANNEL_N];
    char *ipc_paths[AK_CHANNEL_N]; /* owned; NULL where nothing was bound in a folder */
};

int ak_shared_map_new(struct ak_shared_map **ret_shared, void *map, size_t len) {
    struct ak_shared_map *shared = calloc(1, sizeof(*shared));
    if (!shared)
        return ak_error_origin(ENOMEM);
    shared->map = map;
    shared->len = len;
    atomic_init(&shared->n_refs, 1);
    *ret_shared = shared;
    return 0;
}

struct ak_shared_map *ak_shared_map_unref(struct ak_shared_map *shared) {
    if (!shared || atomic_fetch_sub(&shared->n_refs, 1) != 1)
        return NULL;
    munmap(shared->map, shared->len);
    free(shared);
    return NULL;
}

static void unref_from_zmq(void *data, void *hint) {
    ak_shared_map_unref(hint);
}

/* --- binding -----------------------------------------------------------------------
 */

static int set_int(void *socket, int option, int value) {
    return zmq_setsockopt(socket, option, &value, sizeof(value)) < 0
               ? ak_error_origin(errno)
               : 0;
}

static int set_options(void *socket, enum ak_channel channel,
                       const struct ak_conn *conn) {
    int64_t max_size = (int64_t)AK_WIRE_MESSAGE_MAX;
    int r = set_int(socket, ZMQ_LINGER, LINGER_MS);
    if (!r)
        r = set_int(socket, ZMQ_RCVHWM, RECEIVE_HWM);
    if (!r)
        r = set_int(socket, ZMQ_SNDHWM, PUBLISH_HWM);
    if (!r && zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_size, sizeof(max_size)) < 0)
        r = ak_error_origin(errno);
    if (!r && channel == AK_CHANNEL_IOPUB) {
        r = set_int(socket, ZMQ_XPUB_VERBOSE, 1);
        if (!r)
            r = set_int(socket, ZMQ_XPUB_NODROP, 1);
    } else if (!r) {
        r = set_int(socket, ZMQ_ROUTER_HANDOVER, 1);
    }
    if (!r && strchr(conn->ip, ':'))
        r = set_int(socket, ZMQ_IPV6, 1);
    if (!r && conn->curve_public) {
        r = set_int(socket, ZMQ_CURVE_SERVER, 1);
        if (!r &&
            (zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, conn->curve_public, 41) ||
             zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, conn->curve_secret, 41)))
            r = ak_error_origin(errno);
    }
    return r;
}

/* The port that the system picked. */
static int picked_port(void *socket, int *ret_port) {
    char endpoint[512];
    size_t len = sizeof(endpoint);
    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &len) < 0)
        return ak_error_origin(errno);
    const char *colon = strrchr(endpoint, ':');
    *ret_port = colon ? atoi(colon + 1) : 0;
    return 0;
}

/* A free number for an ipc path. */
static int pick_ipc(const struct ak_conn *conn, int *ret_port) {
    AK_BUF_AUTO path = {0};
    for (int port = 1; port < 65536; port++) {
        ak_buf_clear(&path);
        int r = ak_buf_addf(&path, "%s-%d", conn->ip, port);
        if (r)
            return ak_error_trace(r);
        if (access(ak_buf_str(&path), F_OK) != 0) {
            *ret_port = port;
            return 0;
        }
    }
    return ak_error_origin(EADDRINUSE);
}

static int bind_socket(void *socket, struct ak_conn *conn, enum ak_channel channel,
                       char **ret_ipc_path, struct ak_buf *message) {
    AK_BUF_AUTO endpoint = {0};
    int *port = &conn->ports[channel];
    bool ipc = strcmp(conn->transport, "ipc") == 0;
    int r = *port == 0 && ipc ? pick_ipc(conn, port) : 0;
    if (!r)
        r = ak_conn_endpoint(conn, *port, &endpoint);
    if (r)
        return ak_error_trace(r);
    uint64_t deadline = ak_clock_now() + BIND_SECONDS * AK_NS_PER_S;
    /* The launcher that picked the port may hold it for another moment. */
    while (zmq_bind(socket, ak_buf_str(&endpoint)) < 0) {
        if (errno == EADDRINUSE && ak_clock_now() < deadline) {
            poll(NULL, 0, BIND_RETRY_MS);
            continue;
        }
        r = ak_buf_addf(message, "%s %s cannot be bound: %s",
                        ak_conn_port_name((enum ak_conn_port)channel),
                        ak_buf_str(&endpoint), zmq_strerror(errno));
        return r ? ak_error_trace(r) : AK_CHANNEL_E_BIND;
    }
    if (ipc) {
        *ret_ipc_path = strdup(ak_buf_str(&endpoint) + strlen("ipc://"));
        return *ret_ipc_path ? 0 : ak_error_origin(ENOMEM);
    }
    return *port == 0 ? picked_port(socket, port) : 0;
}

_Static_assert((int)AK_CHANNEL_SHELL == (int)AK_CONN_SHELL &&
                   (int)AK_CHANNEL_IOPUB == (int)AK_CONN_IOPUB &&
                   (int)AK_CHANNEL_STDIN == (int)AK_CONN_STDIN &&
                   (int)AK_CHANNEL_CONTROL == (int)AK_CONN_CONTROL &&
                   (int)AK_CHANNEL_HB == (int)AK_CONN_HB,
               "a channel is the index of its port");

int ak_channels_bind(struct ak_channels **ret_channels, struct ak_conn *conn,
                     struct ak_buf *ret_message) {
    AK_CLEANUP(ak_channels_freep)
    struct ak_channels *channels = calloc(1, sizeof(*channels));
    if (!channels)
        return ak_error_origin(ENOMEM);
    channels->context = zmq_ctx_new();
    if (!channels->context)
        return ak_error_origin(errno);
    for (int i = 0; i < AK_CHANNEL_N; i++) {
        channels->sockets[i] = zmq_socket(
            channels->context, i == AK_CHANNEL_IOPUB ? ZMQ_XPUB : ZMQ_ROUTER);
        if (!channels->sockets[i])
            return ak_error_origin(errno);
        int r = set_options(channels->sockets[i], (enum ak_channel)i, conn);
        if (!r)
            r = bind_socket(channels->sockets[i], conn, (enum ak_channel)i,
                            &channels->ipc_paths[i], ret_message);
        if (r)
            return r;
    }
    *ret_channels = AK_TAKE(channels);
    return 0;
}

struct ak_channels *ak_channels_free(struct ak_channels *channels) {
    if (!channels)
        return NULL;
    for (int i = 0; i < AK_CHANNEL_N; i++) {
        if (channels->sockets[i])
            zmq_close(channels->sockets[i]);
        /* libzmq leaves the file of a socket whose path was given. */
        if (channels->ipc_paths[i])
            unlink(channels->ipc_paths[i]);
        free(channels->ipc_paths[i]);
    }
    if (channels->context) {
        while (zmq_ctx_term(channels->context) < 0 && errno == EINTR)
            ;
    }
    free(channels);
    return NULL;
}

void *ak_channels_socket(struct ak_channels *channels, enum ak_channel channel) {
    return channels->sockets[channel];
}

void *ak_channels_context(struct ak_channels *channels) {
    return channels->context;
}

/* --- receiving ---------------------------------------------------------------------
 */

static void clear(struct ak_received *received) {
    for (size_t i = 0; i < received->n_frames; i++)
        zmq_msg_close(&received->messages[i]);
    received->n_frames = 0;
}

int ak_received_fd(struct ak_received *received) {
    /* The first frame is the identity, which the socket makes itself. */
    return received->n_frames
               ? zmq_msg_get(&received->messages[received->n_frames - 1], ZMQ_SRCFD)
               : -1;
}

void ak_received_done(struct ak_received *received) {
    clear(received);
    free(received->messages);
    free(received->frames);
    *received = (struct ak_received){0};
}

static int make_room(struct ak_received *received) {
    if (received->n_frames < received->cap)
        return 0;
    size_t cap = received->cap ? received->cap * 2 : 16;
    zmq_msg_t *messages = calloc(cap, sizeof(*messages));
    struct ak_bytes *frames = calloc(cap, sizeof(*frames));
    if (!messages || !frames) {
        free(messages);
        free(frames);
        return ak_error_origin(ENOMEM);
    }
    for (size_t i = 0; i < received->n_frames; i++) {
        zmq_msg_init(&messages[i]);
        zmq_msg_move(&messages[i], &received->messages[i]);
    }
    free(received->messages);
    free(received->frames);
    received->messages = messages;
    received->frames = frames;
    received->cap = cap;
    return 0;
}

/* Takes the rest of a message off the socket and drops it. */
static int drop_rest(void *socket) {
    int more = 1;
    size_t len = sizeof(more);
    while (more) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        if (zmq_msg_recv(&message, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&message);
            break;
        }
        more = zmq_msg_more(&message);
        zmq_msg_close(&message);
    }
    (void)len;
    return AK_CHANNEL_E_TOO_BIG;
}

int ak_channels_receive(struct ak_channels *channels, enum ak_channel channel,
                        struct ak_received *received) {
    void *socket = channels->sockets[channel];
    int more = 1;
    size_t n_bytes = 0;
    clear(received);
    while (more) {
        if (received->n_frames > AK_WIRE_FRAMES_MAX || n_bytes > AK_WIRE_MESSAGE_MAX)
            return drop_rest(socket);
        int r = make_room(received);
        if (r)
            return ak_error_trace(r);
        zmq_msg_t *message = &received->messages[received->n_frames];
        zmq_msg_init(message);
        int n;
        do {
            n = zmq_msg_recv(message, socket, ZMQ_DONTWAIT);
        } while (n < 0 && errno == EINTR);
        if (n < 0) {
            zmq_msg_close(message);
            return errno == EAGAIN ? AK_CHANNEL_E_AGAIN : ak_error_origin(errno);
        }
        more = zmq_msg_more(message);
        n_bytes += zmq_msg_size(message);
        received->n_frames++;
    }
    if (n_bytes > AK_WIRE_MESSAGE_MAX)
        return AK_CHANNEL_E_TOO_BIG;
    /* The views come last: growing moves the messages, and small ones hold their bytes.
     */
    for (size_t i = 0; i < received->n_frames; i++)
        received->frames[i] = ak_bytes(zmq_msg_data(&received->messages[i]),
                                       zmq_msg_size(&received->messages[i]));
    return 0;
}

/* --- sending -----------------------------------------------------------------------
 */

static bool lies_in(const struct ak_shared_map *shared, struct ak_bytes part) {
    const char *map = shared ? shared->map : NULL;
    return map && part.len >= COPY_MAX && (const char *)part.data >= map &&
           (const char *)part.data + part.len <= map + shared->len;
}

static int send_part(void *socket, struct ak_bytes part, struct ak_shared_map *shared,
                     bool more) {
    int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
    int n;
    if (lies_in(shared, part)) {
        zmq_msg_t message;
        atomic_fetch_add(&shared->n_refs, 1);
        if (zmq_msg_init_data(&message, (void *)part.data, part.len, unref_from_zmq,
                              shared) < 0) {
            ak_shared_map_unref(shared);
            return ak_error_origin(errno);
        }
        do {
            n = zmq_msg_send(&message, socket, flags);
        } while (n < 0 && errno == EINTR);
        if (n < 0) {
            int error = errno;
            zmq_msg_close(&message);
            errno = error;
        }
    } else {
        do {
            n = zmq_send(socket, part.data ? part.data : "", part.len, flags);
        } while (n < 0 && errno == EINTR);
    }
    return n >= 0 ? 0 : errno == EAGAIN ? AK_CHANNEL_E_AGAIN : ak_error_origin(errno);
}

int ak_channels_send(struct ak_channels *channels, enum ak_channel channel,
                     const struct ak_signer *signer, const struct ak_sending *sending) {
    static const char delimiter[] = "<IDS|MSG>";
    void *socket = channels->sockets[channel];
    char hex[AK_SIGN_HEX_SIZE];
    struct ak_bytes empty = ak_bytes("{}", 2);
    struct ak_bytes parts[6] = {
        [0] = ak_bytes(delimiter, sizeof(delimiter) - 1),
        [2] = sending->header,
        [3] = sending->parent.len ? sending->parent : empty,
        [4] = sending->metadata.len ? sending->metadata : empty,
        [5] = sending->content.len ? sending->content : empty,
    };
    ak_signer_sign(signer, parts + 2, hex);
    parts[1] = ak_bytes(hex, strlen(hex));
    for (size_t i = 0; i < sending->n_identities; i++) {
        int r = send_part(socket, sending->identities[i], NULL, true);
        if (r)
            return r;
    }
    for (size_t i = 0; i < 6; i++) {
        int r = send_part(socket, parts[i], sending->shared,
                          i < 5 || sending->n_buffers > 0);
        if (r)
            return r;
    }
    for (size_t i = 0; i < sending->n_buffers; i++) {
        int r = send_part(socket, sending->buffers[i], sending->shared,
                          i + 1 < sending->n_buffers);
        if (r)
            return r;
    }
    return 0;
}

void ak_channels_echo(struct ak_channels *channels) {
    void *socket = channels->sockets[AK_CHANNEL_HB];
    for (int i = 0; i < ECHO_BATCH;) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        if (zmq_msg_recv(&message, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&message);
            return;
        }
        int more = zmq_msg_more(&message);
        if (zmq_msg_send(&message, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) < 0)
            zmq_msg_close(&message);
        i += !more;
    }
}

/* SPDX-License-Identifier: MIT */
/*
 * One datagram is one frame: a fixed header, the lengths of the parts, and the parts
 * themselves or, when they are big, a memfd that holds them. SOCK_SEQPACKET keeps the
 * boundaries and the order and reports a dead peer, so there is no partial frame to put
 * together and nothing to resynchronise.
 *
 * A memfd is sealed before it is sent and refused by the receiver when it is not: a
 * mapping whose file could still shrink would kill the reader with SIGBUS.
 *
 * Sending copies small parts into the link's one scratch buffer; receiving reads into
 * another. Neither allocates for an ordinary frame.
 */
#include "seam/frame.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/list.h"

#define MAGIC 0x414bu
#define SOCKET_BYTES (1 << 20)
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

enum {
    F_MEMFD = 1u << 0,
    F_FD = 1u << 1
};

struct wire_header {
    uint16_t magic;
    uint16_t type;
    uint16_t kind;
    uint16_t has; /* F_MEMFD, F_FD: which descriptors come along, in this order */
    uint32_t flags;
    uint32_t n_parts;
    uint64_t id;
    uint64_t position;
    uint64_t arg;
    uint64_t n_bytes; /* of all parts together */
};

#define HEADER_MAX (sizeof(struct wire_header) + AK_FRAME_PARTS_MAX * sizeof(uint64_t))
#define DATAGRAM_MAX (HEADER_MAX + AK_FRAME_INLINE)

/* A frame that waits for room: its datagram and the descriptors that go with it. */
struct queued {
    struct ak_list link; /* in ak_link.queue */
    size_t len;
    size_t weight; /* what ak_link_queued counts */
    int fds[2];
    size_t n_fds;
    char data[];
};

struct ak_link {
    int fd;
    struct ak_list queue; /* queued.link */
    size_t n_queued;
    char *send_data;    /* owned: DATAGRAM_MAX */
    char *receive_data; /* owned: DATAGRAM_MAX */
    struct ak_bytes parts[AK_FRAME_PARTS_MAX];
};

int ak_link_pair(int *ret_kernel_fd, int *ret_worker_fd) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return ak_error_origin(errno);
    for (int i = 0; i < 2; i++) {
        int bytes = SOCKET_BYTES;
        /* The system may allow less; then frames just wait a little more often. */
        (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    }
    *ret_kernel_fd = fds[0];
    *ret_worker_fd = fds[1];
    return 0;
}

int ak_link_new(struct ak_link **ret_link, int fd) {
    AK_CLEANUP(ak_link_freep) struct ak_link *link = calloc(1, sizeof(*link));
    if (!link)
        return ak_error_origin(ENOMEM);
    link->fd = -1;
    ak_list_init(&link->queue);
    link->send_data = malloc(DATAGRAM_MAX);
    link->receive_data = malloc(DATAGRAM_MAX);
    if (!link->send_data || !link->receive_data)
        return ak_error_origin(ENOMEM);
    int status = fcntl(fd, F_GETFL);
    if (status < 0 || fcntl(fd, F_SETFL, status | O_NONBLOCK) < 0)
        return ak_error_origin(errno);
    link->fd = fd;
    *ret_link = AK_TAKE(link);
    return 0;
}

static void queued_free(struct queued *queued) {
    for (size_t i = 0; i < queued->n_fds; i++)
        close(queued->fds[i]);
    free(queued);
}

struct ak_link *ak_link_free(struct ak_link *link) {
    if (!link)
        return NULL;
    ak_list_for_each(node, next, &link->queue) {
        queued_free(ak_list_entry(node, struct queued, link));
    }
    if (link->fd >= 0)
        close(link->fd);
    free(link->send_data);
    free(link->receive_data);
    free(link);
    return NULL;
}

int ak_link_fd(const struct ak_link *link) {
    return link->fd;
}

size_t ak_link_queued(const struct ak_link *link) {
    return link->n_queued;
}

/* --- sending -----------------------------------------------------------------------
 */

static int write_all(int fd, const void *data, size_t len) {
    const char *p = data;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ak_error_origin(n < 0 ? errno : EIO);
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The parts of a big frame in a sealed memfd. */
static int pack_memfd(const struct ak_frame *frame, int *ret_fd) {
    AK_CLEANUP(ak_closep)
    int fd = memfd_create("akernel-frame", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return ak_error_origin(errno);
    for (size_t i = 0; i < frame->n_parts; i++) {
        int r = write_all(fd, frame->parts[i].data, frame->parts[i].len);
        if (r)
            return ak_error_trace(r);
    }
    if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
        return ak_error_origin(errno);
    *ret_fd = ak_take_fd(&fd);
    return 0;
}

static int parts_size(const struct ak_frame *frame, uint64_t *ret_size) {
    uint64_t size = 0;
    if (frame->n_parts > AK_FRAME_PARTS_MAX)
        return AK_LINK_E_TOO_BIG;
    for (size_t i = 0; i < frame->n_parts; i++) {
        if (frame->parts[i].len > AK_FRAME_BYTES_MAX - size)
            return AK_LINK_E_TOO_BIG;
        size += frame->parts[i].len;
    }
    *ret_size = size;
    return 0;
}

/* Writes a frame's datagram to data (DATAGRAM_MAX bytes). *ret_memfd is new or -1. */
static int pack(const struct ak_frame *frame, char *data, size_t *ret_len,
                int *ret_memfd) {
    uint64_t n_bytes;
    int r = parts_size(frame, &n_bytes);
    if (r)
        return r;
    *ret_memfd = -1;
    bool big = n_bytes > AK_FRAME_INLINE;
    if (big) {
        r = pack_memfd(frame, ret_memfd);
        if (r)
            return ak_error_trace(r);
    }
    struct wire_header header = {
        .magic = MAGIC,
        .type = (uint16_t)frame->type,
        .kind = (uint16_t)frame->kind,
        .has = (uint16_t)((big ? F_MEMFD : 0) | (frame->fd >= 0 ? F_FD : 0)),
        .flags = frame->flags,
        .n_parts = (uint32_t)frame->n_parts,
        .id = frame->id,
        .position = frame->position,
        .arg = frame->arg,
        .n_bytes = n_bytes,
    };
    char *p = data;
    memcpy(p, &header, sizeof(header));
    p += sizeof(header);
    for (size_t i = 0; i < frame->n_parts; i++) {
        uint64_t len = frame->parts[i].len;
        memcpy(p, &len, sizeof(len));
        p += sizeof(len);
    }
    for (size_t i = 0; i < frame->n_parts && !big; i++) {
        if (frame->parts[i].len)
            memcpy(p, frame->parts[i].data, frame->parts[i].len);
        p += frame->parts[i].len;
    }
    *ret_len = (size_t)(p - data);
    return 0;
}

static int send_datagram(int fd, const char *data, size_t len, const int *fds,
                         size_t n_fds) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = (char *)data, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds) {
        memset(&control, 0, sizeof(control));
        msg.msg_control = control.space;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        assert(c);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    ssize_t n;
    do {
        n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    switch (errno) {
    case EAGAIN:
    case ENOBUFS:
    case ETOOMANYREFS:
        return AK_LINK_E_AGAIN;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
    case EBADF:
        return AK_LINK_E_CLOSED;
    default:
        return ak_error_origin(errno);
    }
}

/* Packs a frame and collects its descriptors; *ret_memfd is to be closed afterwards. */
static int prepare(struct ak_link *link, const struct ak_frame *frame, size_t *ret_len,
                   int ret_fds[2], size_t *ret_n_fds, int *ret_memfd) {
    int r = pack(frame, link->send_data, ret_len, ret_memfd);
    if (r)
        return r;
    *ret_n_fds = 0;
    if (*ret_memfd >= 0)
        ret_fds[(*ret_n_fds)++] = *ret_memfd;
    if (frame->fd >= 0)
        ret_fds[(*ret_n_fds)++] = frame->fd;
    return 0;
}

int ak_link_send(struct ak_link *link, const struct ak_frame *frame) {
    AK_CLEANUP(ak_closep) int memfd = -1;
    int fds[2];
    size_t len, n_fds;
    if (!ak_list_empty(&link->queue))
        return AK_LINK_E_AGAIN;
    int r = prepare(link, frame, &len, fds, &n_fds, &memfd);
    return r ? r : send_datagram(link->fd, link->send_data, len, fds, n_fds);
}

static int keep(struct ak_link *link, size_t len, size_t weight, const int *fds,
                size_t n_fds) {
    struct queued *queued = calloc(1, sizeof(*queued) + len);
    if (!queued)
        return ak_error_origin(ENOMEM);
    memcpy(queued->data, link->send_data, len);
    queued->len = len;
    queued->weight = weight;
    for (size_t i = 0; i < n_fds; i++) {
        queued->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (queued->fds[i] < 0) {
            int error = errno;
            queued_free(queued);
            return ak_error_origin(error);
        }
        queued->n_fds++;
    }
    ak_list_append(&link->queue, &queued->link);
    link->n_queued += weight;
    return 0;
}

int ak_link_enqueue(struct ak_link *link, const struct ak_frame *frame) {
    AK_CLEANUP(ak_closep) int memfd = -1;
    int fds[2];
    size_t len, n_fds;
    uint64_t n_bytes;
    int r = ak_link_flush(link);
    if (r && r != AK_LINK_E_AGAIN)
        return r;
    bool full = r == AK_LINK_E_AGAIN;
    r = parts_size(frame, &n_bytes);
    if (!r)
        r = prepare(link, frame, &len, fds, &n_fds, &memfd);
    if (r)
        return r;
    if (!full) {
        r = send_datagram(link->fd, link->send_data, len, fds, n_fds);
        if (r != AK_LINK_E_AGAIN)
            return r;
    }
    return keep(link, len, len + (memfd >= 0 ? (size_t)n_bytes : 0), fds, n_fds);
}

int ak_link_flush(struct ak_link *link) {
    ak_list_for_each(node, next, &link->queue) {
        struct queued *queued = ak_list_entry(node, struct queued, link);
        int r = send_datagram(link->fd, queued->data, queued->len, queued->fds,
                              queued->n_fds);
        if (r)
            return r;
        link->n_queued -= queued->weight;
        ak_list_remove(&queued->link);
        queued_free(queued);
    }
    return 0;
}

/* --- receiving ---------------------------------------------------------------------
 */

/* Maps a received memfd after checking that nobody can change it any more. */
static int map_parts(int memfd, uint64_t n_bytes, void **ret_map) {
    struct stat st;
    int seals = fcntl(memfd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(memfd, &st) < 0 ||
        st.st_size < 0 || (uint64_t)st.st_size != n_bytes || n_bytes == 0)
        return AK_LINK_E_MALFORMED;
    void *map = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, memfd, 0);
    if (map == MAP_FAILED)
        return ak_error_origin(errno);
    *ret_map = map;
    return 0;
}

static int unpack(struct ak_link *link, size_t len, const int *fds, size_t n_fds,
                  struct ak_frame *frame) {
    struct wire_header header;
    if (len < sizeof(header))
        return AK_LINK_E_MALFORMED;
    memcpy(&header, link->receive_data, sizeof(header));
    size_t lengths = (size_t)header.n_parts * sizeof(uint64_t);
    bool big = header.has & F_MEMFD;
    size_t want_fds = (big ? 1 : 0) + (header.has & F_FD ? 1 : 0);
    if (header.magic != MAGIC || header.n_parts > AK_FRAME_PARTS_MAX ||
        header.kind >= AK_KIND_N || header.n_bytes > AK_FRAME_BYTES_MAX ||
        want_fds != n_fds || len - sizeof(header) < lengths ||
        (!big && len - sizeof(header) - lengths != header.n_bytes))
        return AK_LINK_E_MALFORMED;
    const char *base = link->receive_data + sizeof(header) + lengths;
    if (big) {
        int r = map_parts(fds[0], header.n_bytes, &frame->map);
        if (r)
            return r;
        frame->map_len = header.n_bytes;
        base = frame->map;
    }
    uint64_t used = 0;
    for (uint32_t i = 0; i < header.n_parts; i++) {
        uint64_t part;
        memcpy(&part, link->receive_data + sizeof(header) + i * sizeof(part),
               sizeof(part));
        if (part > header.n_bytes - used)
            return AK_LINK_E_MALFORMED;
        link->parts[i] = ak_bytes(base + used, part);
        used += part;
    }
    if (used != header.n_bytes)
        return AK_LINK_E_MALFORMED;
    frame->type = (enum ak_frame_type)header.type;
    frame->kind = (enum ak_kind)header.kind;
    frame->flags = header.flags;
    frame->id = header.id;
    frame->position = header.position;
    frame->arg = header.arg;
    frame->n_parts = header.n_parts;
    frame->parts = link->parts;
    return 0;
}

static size_t take_fds(struct msghdr *msg, int ret_fds[2]) {
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (n < 2)
                ret_fds[n++] = fd;
            else
                close(fd);
        }
    }
    return n;
}

int ak_link_receive(struct ak_link *link, struct ak_frame *ret_frame) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(8 * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = link->receive_data, .iov_len = DATAGRAM_MAX};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control)};
    ssize_t n;
    do {
        n = recvmsg(link->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        /* A peer that ended with frames unread is reported as a reset, once and ahead
         * of what it had sent itself, which is all still there. */
    } while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n < 0)
        return errno == EAGAIN                       ? AK_LINK_E_AGAIN
               : errno == EBADF || errno == ENOTCONN ? AK_LINK_E_CLOSED
                                                     : ak_error_origin(errno);
    int fds[2] = {-1, -1};
    size_t n_fds = take_fds(&msg, fds);
    if (n == 0 && n_fds == 0)
        return AK_LINK_E_CLOSED;

    struct ak_frame frame = {.fd = -1};
    int r = msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)
                ? AK_LINK_E_MALFORMED
                : unpack(link, (size_t)n, fds, n_fds, &frame);
    size_t first_own = frame.map ? 1 : 0;
    if (!r && n_fds > first_own) {
        frame.fd = fds[first_own];
        fds[first_own] = -1;
    }
    for (size_t i = 0; i < n_fds; i++)
        ak_close_clear(&fds[i]);
    if (r) {
        ak_frame_done(&frame);
        return r;
    }
    *ret_frame = frame;
    return 0;
}

void ak_frame_done(struct ak_frame *frame) {
    ak_close_clear(&frame->fd);
    if (frame->map)
        munmap(frame->map, frame->map_len);
    frame->map = NULL;
}

/* SPDX-License-Identifier: MIT */
/*
 * The receiver against a peer that writes datagrams by hand. Each must come out as
 * MALFORMED with no descriptor and no mapping left behind, and the link must go on.
 */
#include "unit/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "seam/frame.h"

#define MAGIC 0x414bu
#define BIG (AK_FRAME_INLINE + 100)
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

enum {
    F_MEMFD = 1u << 0,
    F_FD = 1u << 1
};

/* The datagram as frame.c writes it. */
struct datagram {
    uint16_t magic;
    uint16_t type;
    uint16_t kind;
    uint16_t has;
    uint32_t flags;
    uint32_t n_parts;
    uint64_t id;
    uint64_t position;
    uint64_t arg;
    uint64_t n_bytes;
    uint64_t lens[3];
    char bytes[64];
};

struct world {
    struct ak_link *link;
    int peer_fd;
    size_t n_fds;
};

static size_t count_fds(void) {
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;
    assert(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static struct world open_world(void) {
    struct world world = {0};
    int fd;
    assert(ak_link_pair(&fd, &world.peer_fd) == 0);
    assert(ak_link_new(&world.link, fd) == 0);
    world.n_fds = count_fds();
    return world;
}

static struct datagram good(void) {
    struct datagram d = {.magic = MAGIC,
                         .type = AK_FRAME_PUBLISH,
                         .kind = AK_KIND_DISPLAY_DATA,
                         .n_parts = 3,
                         .n_bytes = 64,
                         .lens = {10, 0, 54}};
    memset(d.bytes, 'x', sizeof(d.bytes));
    return d;
}

static void send_raw(const struct world *world, const void *data, size_t len,
                     const int *fds, size_t n_fds) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(16 * sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds) {
        msg.msg_control = control.space;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    assert(sendmsg(world->peer_fd, &msg, MSG_NOSIGNAL) == (ssize_t)len);
}

static void expect(struct world *world, int outcome) {
    struct ak_frame frame;
    int r = ak_link_receive(world->link, &frame);
    if (r != outcome)
        fprintf(stderr, "outcome %d, wanted %d\n", r, outcome);
    assert(r == outcome);
    if (r == 0)
        ak_frame_done(&frame);
    assert(count_fds() == world->n_fds);
}

/* A link is as good as before: the next proper frame arrives. */
static void close_world(struct world *world) {
    struct datagram d = good();
    send_raw(world, &d, sizeof(d), NULL, 0);
    expect(world, 0);
    expect(world, AK_LINK_E_AGAIN);
    world->link = ak_link_free(world->link);
    close(world->peer_fd);
}

static void bad(struct world *world, const struct datagram *d, size_t len) {
    send_raw(world, d, len, NULL, 0);
    expect(world, AK_LINK_E_MALFORMED);
}

static void headers(void) {
    struct world world = open_world();
    struct datagram d = good();
    d.magic ^= 1;
    bad(&world, &d, sizeof(d));
    d = good();
    d.kind = AK_KIND_N;
    bad(&world, &d, sizeof(d));
    d.kind = UINT16_MAX;
    bad(&world, &d, sizeof(d));
    d = good();
    for (size_t len = 1; len < sizeof(d); len++)
        bad(&world, &d, len);
    close_world(&world);
}

static void counts(void) {
    struct world world = open_world();
    struct datagram d = good();
    static const uint32_t n_parts[] = {0, 1, 2, 4, 11, 0x20000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof(n_parts) / sizeof(n_parts[0]); i++) {
        d.n_parts = n_parts[i];
        bad(&world, &d, sizeof(d));
    }
    close_world(&world);
}

static void sums(void) {
    struct world world = open_world();
    struct datagram d = good();
    static const uint64_t lens[][3] = {
        {10, 0, 53},
        {10, 0, 55},
        {UINT64_MAX, 1, 64},
        {10, UINT64_MAX, 55},
        {10, UINT64_MAX - 9, 64},
        {1ull << 63, 1ull << 63, 64},
        {65, 0, 0},
    };
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        memcpy(d.lens, lens[i], sizeof(d.lens));
        bad(&world, &d, sizeof(d));
    }
    d = good();
    static const uint64_t n_bytes[] = {0, 63, 65, AK_FRAME_BYTES_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof(n_bytes) / sizeof(n_bytes[0]); i++) {
        d.n_bytes = n_bytes[i];
        bad(&world, &d, sizeof(d));
    }
    close_world(&world);
}

static void wrong_descriptors(void) {
    struct world world = open_world();
    struct datagram d = good();
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fds[16];
    for (int i = 0; i < 16; i++)
        fds[i] = null_fd;
    world.n_fds++;
    /* announced and missing, missing and announced, and far too many */
    d.has = F_FD;
    bad(&world, &d, sizeof(d));
    d.has = F_MEMFD;
    bad(&world, &d, sizeof(d));
    d.has = 0;
    send_raw(&world, &d, sizeof(d), fds, 1);
    expect(&world, AK_LINK_E_MALFORMED);
    d.has = F_FD;
    for (size_t n = 2; n <= 16; n++) {
        send_raw(&world, &d, sizeof(d), fds, n);
        expect(&world, AK_LINK_E_MALFORMED);
    }
    d.has = F_FD;
    send_raw(&world, &d, sizeof(d), fds, 1);
    expect(&world, 0);
    close(null_fd);
    world.n_fds--;
    close_world(&world);
}

static int make_memfd(size_t size, unsigned seals) {
    int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    assert(!seals || fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

static void try_memfd(struct world *world, size_t size, unsigned seals,
                      uint64_t n_bytes, int outcome) {
    struct datagram d = good();
    int fd = make_memfd(size, seals);
    d.has = F_MEMFD;
    d.n_bytes = n_bytes;
    d.lens[0] = n_bytes;
    d.lens[2] = 0;
    send_raw(world, &d, offsetof(struct datagram, bytes), &fd, 1);
    close(fd);
    expect(world, outcome);
}

static void memfds(void) {
    struct world world = open_world();
    try_memfd(&world, BIG, SEALS, BIG, 0);
    try_memfd(&world, BIG, 0, BIG, AK_LINK_E_MALFORMED);
    try_memfd(&world, BIG, SEALS & ~F_SEAL_SEAL, BIG, AK_LINK_E_MALFORMED);
    try_memfd(&world, BIG, SEALS & ~F_SEAL_SHRINK, BIG, AK_LINK_E_MALFORMED);
    try_memfd(&world, BIG, SEALS & ~F_SEAL_GROW, BIG, AK_LINK_E_MALFORMED);
    try_memfd(&world, BIG, SEALS & ~F_SEAL_WRITE, BIG, AK_LINK_E_MALFORMED);
    try_memfd(&world, BIG, SEALS, BIG + 1, AK_LINK_E_MALFORMED);
    try_memfd(&world, BIG, SEALS, BIG - 1, AK_LINK_E_MALFORMED);
    try_memfd(&world, 0, SEALS, 0, AK_LINK_E_MALFORMED);
    try_memfd(&world, BIG, SEALS, UINT64_MAX, AK_LINK_E_MALFORMED);
    close_world(&world);
}

/* Descriptors that are no memfd at all; a pipe or a socket must not be read from. */
static void not_a_memfd(void) {
    struct world world = open_world();
    struct datagram d = good();
    int fds[2];
    assert(pipe2(fds, O_CLOEXEC) == 0);
    d.has = F_MEMFD;
    world.n_fds += 2;
    send_raw(&world, &d, offsetof(struct datagram, bytes), &fds[0], 1);
    expect(&world, AK_LINK_E_MALFORMED);
    send_raw(&world, &d, offsetof(struct datagram, bytes), fds, 2);
    expect(&world, AK_LINK_E_MALFORMED);
    close(fds[0]);
    close(fds[1]);
    world.n_fds -= 2;
    close_world(&world);
}

/* Lengths in a memfd frame that go past its mapping. */
static void memfd_sums(void) {
    struct world world = open_world();
    static const uint64_t lens[][3] = {
        {BIG, 1, 0},
        {BIG - 1, 0, 0},
        {UINT64_MAX, BIG, 1},
        {1, UINT64_MAX, BIG},
    };
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct datagram d = good();
        int fd = make_memfd(BIG, SEALS);
        d.has = F_MEMFD;
        d.n_bytes = BIG;
        memcpy(d.lens, lens[i], sizeof(d.lens));
        send_raw(&world, &d, offsetof(struct datagram, bytes), &fd, 1);
        close(fd);
        expect(&world, AK_LINK_E_MALFORMED);
    }
    close_world(&world);
}

static void oversized_datagram(void) {
    struct world world = open_world();
    size_t len = 150000;
    struct datagram d = good();
    char *data = calloc(1, len);
    assert(data);
    d.n_bytes = len - offsetof(struct datagram, bytes);
    d.lens[0] = d.n_bytes;
    d.lens[2] = 0;
    memcpy(data, &d, sizeof(d));
    send_raw(&world, data, len, NULL, 0);
    expect(&world, AK_LINK_E_MALFORMED);
    free(data);
    close_world(&world);
}

/* Bytes flipped at random: any outcome but a crash, a leak or a fatal error. */
static void random_bytes(void) {
    struct world world = open_world();
    unsigned state = 12345;
    for (int i = 0; i < 20000; i++) {
        struct datagram d = good();
        unsigned char *p = (unsigned char *)&d;
        for (int flips = 0; flips < 4; flips++) {
            state = state * 1103515245u + 12345u;
            p[(state >> 16) % sizeof(d)] ^= (unsigned char)(state >> 8);
        }
        send_raw(&world, &d, sizeof(d), NULL, 0);
        struct ak_frame frame;
        int r = ak_link_receive(world.link, &frame);
        assert(r == 0 || r == AK_LINK_E_MALFORMED);
        if (r == 0) {
            for (size_t k = 0; k < frame.n_parts; k++)
                assert(frame.parts[k].len <= 64);
            ak_frame_done(&frame);
        }
    }
    close_world(&world);
}

static const struct ak_test tests[] = {
    {"headers", headers},
    {"counts", counts},
    {"sums", sums},
    {"wrong-descriptors", wrong_descriptors},
    {"memfds", memfds},
    {"not-a-memfd", not_a_memfd},
    {"memfd-sums", memfd_sums},
    {"oversized-datagram", oversized_datagram},
    {"random-bytes", random_bytes},
};

AK_TEST_MAIN(tests)

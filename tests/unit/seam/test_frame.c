/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "seam/frame.h"

struct pair {
    struct ak_link *a, *b;
};

static struct pair connect_pair(void) {
    int a, b;
    struct pair pair;
    assert(ak_link_pair(&a, &b) == 0);
    assert(ak_link_new(&pair.a, a) == 0 && ak_link_new(&pair.b, b) == 0);
    return pair;
}

static void done(struct pair *pair) {
    ak_link_free(pair->a);
    ak_link_free(pair->b);
}

static void small(void) {
    struct pair pair = connect_pair();
    struct ak_bytes parts[] = {ak_bytes("one", 3), ak_bytes("", 0),
                               ak_bytes("three", 5)};
    struct ak_frame out = {.type = AK_FRAME_PUBLISH,
                           .kind = AK_KIND_ERROR,
                           .flags = 3,
                           .id = 7,
                           .position = 8,
                           .arg = 9,
                           .fd = -1,
                           .n_parts = 3,
                           .parts = parts};
    struct ak_frame in;
    assert(ak_link_receive(pair.b, &in) == AK_LINK_E_AGAIN);
    assert(ak_link_send(pair.a, &out) == 0);
    assert(ak_link_receive(pair.b, &in) == 0);
    assert(in.type == AK_FRAME_PUBLISH && in.kind == AK_KIND_ERROR && in.flags == 3);
    assert(in.id == 7 && in.position == 8 && in.arg == 9 && in.fd == -1);
    assert(in.n_parts == 3 && in.parts[1].len == 0 && in.parts[2].len == 5);
    assert(memcmp(in.parts[2].data, "three", 5) == 0);
    ak_frame_done(&in);
    done(&pair);
}

static void large(void) {
    struct pair pair = connect_pair();
    size_t sizes[] = {AK_FRAME_INLINE, AK_FRAME_INLINE + 1, 5u << 20};
    for (size_t i = 0; i < 3; i++) {
        char *data = malloc(sizes[i]);
        memset(data, (int)('a' + i), sizes[i]);
        struct ak_bytes part = ak_bytes(data, sizes[i]);
        struct ak_frame out = {
            .type = AK_FRAME_REPLY, .fd = -1, .n_parts = 1, .parts = &part};
        struct ak_frame in;
        assert(ak_link_send(pair.a, &out) == 0);
        assert(ak_link_receive(pair.b, &in) == 0);
        assert((in.map != NULL) == (sizes[i] > AK_FRAME_INLINE));
        assert(in.parts[0].len == sizes[i]);
        assert(memcmp(in.parts[0].data, data, sizes[i]) == 0);
        ak_frame_done(&in);
        free(data);
    }
    done(&pair);
}

static void descriptor(void) {
    struct pair pair = connect_pair();
    int fds[2];
    assert(pipe(fds) == 0);
    struct ak_frame out = {.type = AK_FRAME_INPUT, .fd = fds[1]};
    struct ak_frame in;
    assert(ak_link_send(pair.a, &out) == 0);
    close(fds[1]);
    assert(ak_link_receive(pair.b, &in) == 0 && in.fd >= 0);
    assert(fcntl(in.fd, F_GETFD) & FD_CLOEXEC);
    assert(write(in.fd, "x", 1) == 1);
    ak_frame_done(&in);
    char c;
    assert(read(fds[0], &c, 1) == 1 && read(fds[0], &c, 1) == 0);
    close(fds[0]);
    done(&pair);
}

/* Frames that do not fit wait in order, big ones and descriptors among them. */
static void queue(void) {
    struct pair pair = connect_pair();
    char *data = calloc(1, 200000);
    size_t sizes[] = {10, 40000, 200000};
    int sent = 0;
    while (sent < 300 || ak_link_queued(pair.a) == 0) {
        struct ak_bytes part = ak_bytes(data, sizes[sent % 3]);
        struct ak_frame out = {.type = AK_FRAME_REQUEST,
                               .id = (uint64_t)sent,
                               .fd = -1,
                               .n_parts = 1,
                               .parts = &part};
        assert(ak_link_enqueue(pair.a, &out) == 0);
        sent++;
    }
    struct ak_frame refused = {.type = AK_FRAME_FENCE, .fd = -1};
    assert(ak_link_send(pair.a, &refused) == AK_LINK_E_AGAIN);
    for (int i = 0; i < sent; i++) {
        struct ak_frame in;
        int r;
        while ((r = ak_link_receive(pair.b, &in)) == AK_LINK_E_AGAIN)
            (void)ak_link_flush(pair.a);
        assert(r == 0 && in.id == (uint64_t)i && in.parts[0].len == sizes[i % 3]);
        ak_frame_done(&in);
    }
    assert(ak_link_queued(pair.a) == 0 && ak_link_flush(pair.a) == 0);
    free(data);
    done(&pair);
}

static void limits(void) {
    struct pair pair = connect_pair();
    struct ak_bytes *parts = calloc(AK_FRAME_PARTS_MAX + 1, sizeof(*parts));
    struct ak_frame out = {.type = AK_FRAME_REQUEST,
                           .fd = -1,
                           .parts = parts,
                           .n_parts = AK_FRAME_PARTS_MAX};
    struct ak_frame in;
    assert(ak_link_send(pair.a, &out) == 0 && ak_link_receive(pair.b, &in) == 0);
    assert(in.n_parts == AK_FRAME_PARTS_MAX);
    ak_frame_done(&in);
    out.n_parts++;
    assert(ak_link_send(pair.a, &out) == AK_LINK_E_TOO_BIG);
    free(parts);
    done(&pair);
}

/* Random datagrams, and a memfd that is not sealed, are refused one by one. */
static void hostile(void) {
    int raw, fd;
    struct ak_link *link;
    struct ak_frame in;
    assert(ak_link_pair(&raw, &fd) == 0 && ak_link_new(&link, fd) == 0);
    unsigned state = 1;
    for (int i = 0; i < 20000; i++) {
        unsigned char data[128];
        for (size_t k = 0; k < sizeof(data); k++) {
            state = state * 1103515245u + 12345u;
            data[k] = (unsigned char)(state >> 16);
        }
        data[0] = 0x4b;
        data[1] = 0x41;
        size_t len = 1 + (state >> 8) % sizeof(data);
        assert(send(raw, data, len, 0) == (ssize_t)len);
        int r = ak_link_receive(link, &in);
        assert(r == AK_LINK_E_MALFORMED || r == 0);
        if (r == 0)
            ak_frame_done(&in);
    }
    close(raw);
    ak_link_free(link);
}

static void closed(void) {
    struct pair pair = connect_pair();
    struct ak_frame out = {.type = AK_FRAME_FENCE, .fd = -1};
    struct ak_frame in;
    assert(ak_link_send(pair.a, &out) == 0);
    pair.a = ak_link_free(pair.a);
    assert(ak_link_receive(pair.b, &in) == 0);
    assert(ak_link_receive(pair.b, &in) == AK_LINK_E_CLOSED);
    assert(ak_link_send(pair.b, &out) == AK_LINK_E_CLOSED);
    done(&pair);
}

/* A peer that dies with something unread resets the connection, which says nothing
 * about what it had sent before. */
static void dead_peer_with_unread_frames(void) {
    for (int sends_first = 0; sends_first < 2; sends_first++) {
        struct pair pair = connect_pair();
        struct ak_frame out = {.type = AK_FRAME_FENCE, .fd = -1};
        struct ak_frame in;
        for (uint64_t i = 0; i < 3; i++) {
            out.arg = i;
            assert(ak_link_send(pair.a, &out) == 0);
        }
        assert(ak_link_send(pair.b, &out) == 0);
        pair.a = ak_link_free(pair.a);
        if (sends_first)
            assert(ak_link_enqueue(pair.b, &out) == AK_LINK_E_CLOSED);
        for (uint64_t i = 0; i < 3; i++) {
            assert(ak_link_receive(pair.b, &in) == 0);
            assert(in.arg == i);
        }
        assert(ak_link_receive(pair.b, &in) == AK_LINK_E_CLOSED);
        done(&pair);
    }
}

static const struct ak_test tests[] = {
    {"small", small},
    {"large", large},
    {"descriptor", descriptor},
    {"queue", queue},
    {"limits", limits},
    {"hostile", hostile},
    {"closed", closed},
    {"dead-peer-with-unread-frames", dead_peer_with_unread_frames},
};
AK_TEST_MAIN(tests)

/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "seam/ring.h"

struct world {
    struct ak_ring *writer, *reader;
};

static struct world new_world(void) {
    struct ak_ring_fds fds;
    struct world world;
    assert(ak_ring_create(&fds) == 0);
    struct ak_ring_fds again = {dup(fds.memory), dup(fds.data), dup(fds.room)};
    assert(ak_ring_new(&world.writer, &fds) == 0);
    assert(ak_ring_new(&world.reader, &again) == 0);
    return world;
}

static void done(struct world *world) {
    ak_ring_free(world->writer);
    ak_ring_free(world->reader);
}

static int put(struct world *world, uint64_t request, const char *text) {
    size_t taken;
    int r = ak_ring_write(world->writer, request, 1, text, strlen(text), false, &taken);
    assert(r || taken == strlen(text));
    return r;
}

static void expect(struct world *world, uint64_t request, const char *text) {
    struct ak_ring_record record;
    assert(ak_ring_peek(world->reader, &record) == 0);
    assert(record.type == AK_RING_TEXT && record.request == request);
    assert(record.text.len == strlen(text));
    assert(memcmp(record.text.data, text, record.text.len) == 0);
    ak_ring_consume(world->reader, &record);
}

static void text(void) {
    struct world world = new_world();
    struct ak_ring_record record;
    assert(ak_ring_peek(world.reader, &record) == AK_RING_E_EMPTY);
    assert(put(&world, 1, "hello") == 0 && put(&world, 2, "x") == 0);
    expect(&world, 1, "hello");
    expect(&world, 2, "x");
    assert(ak_ring_peek(world.reader, &record) == AK_RING_E_EMPTY);
    done(&world);
}

static void wraps(void) {
    struct world world = new_world();
    char line[1001];
    memset(line, 'a', 1000);
    for (int i = 0; i < 10000; i++) {
        line[i % 1000] = (char)('b' + i % 20);
        line[200 + i % 800] = '\0';
        assert(put(&world, (uint64_t)i, line) == 0);
        expect(&world, (uint64_t)i, line);
        memset(line, 'a', 1000);
    }
    done(&world);
}

/* A text longer than the ring comes through in pieces, none of which cuts a character.
 */
static void full(void) {
    struct world world = new_world();
    size_t len = 3u << 20;
    char *out = malloc(len), *in = malloc(len);
    for (size_t i = 0; i < len; i += 3)
        memcpy(out + i, "\xE2\x98\x83", 3);
    size_t sent = 0, received = 0;
    bool was_full = false;
    while (received < len) {
        size_t taken = 0;
        if (sent < len) {
            int r = ak_ring_write(world.writer, 1, 1, out + sent, len - sent, false,
                                  &taken);
            assert(r == 0 || r == AK_RING_E_FULL);
            was_full = was_full || r == AK_RING_E_FULL;
            sent += taken;
        }
        struct ak_ring_record record;
        while (ak_ring_peek(world.reader, &record) == 0) {
            assert(record.text.len % 3 == 0);
            memcpy(in + received, record.text.data, record.text.len);
            received += record.text.len;
            ak_ring_consume(world.reader, &record);
        }
    }
    assert(was_full && memcmp(in, out, len) == 0);
    free(in);
    free(out);
    done(&world);
}

/* Bytes in a pipe belong to who was current, and stay in order with the text. */
static void marks(void) {
    struct world world = new_world();
    int fds[2];
    assert(pipe2(fds, O_NONBLOCK) == 0);
    ak_ring_watch_pipe(world.writer, 0, fds[1]);
    ak_ring_set_current(world.writer, 5);
    assert(put(&world, 5, "before\n") == 0);
    assert(write(fds[1], "abc", 3) == 3);
    assert(put(&world, 5, "after\n") == 0);
    assert(write(fds[1], "de", 2) == 2);
    ak_ring_set_current(world.writer, 6);
    assert(write(fds[1], "f", 1) == 1);
    ak_ring_mark_pipes(world.writer);

    struct ak_ring_record record;
    expect(&world, 5, "before\n");
    const struct { uint64_t position, owner; } expected[] = {{3, 5}, {5, 5}, {6, 6}};
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            expect(&world, 5, "after\n");
        assert(ak_ring_peek(world.reader, &record) == 0 && record.type == AK_RING_MARK);
        assert(record.position == expected[i].position);
        assert(record.request == expected[i].owner && record.stream == 0);
        ak_ring_consume(world.reader, &record);
        if (i == 0) {
            char bytes[3];
            ak_ring_drain_begin(world.reader);
            assert(read(fds[0], bytes, 3) == 3);
            ak_ring_drain_end(world.reader, 0, 3);
        }
    }
    assert(ak_ring_drained(world.reader, 0) == 3);
    close(fds[0]);
    close(fds[1]);
    done(&world);
}

static void corrupt(void) {
    for (int kind = 0; kind < 200; kind++) {
        struct ak_ring_fds fds;
        assert(ak_ring_create(&fds) == 0);
        unsigned char *memory = mmap(NULL, 4096 + AK_RING_DATA_SIZE,
                                     PROT_READ | PROT_WRITE, MAP_SHARED, fds.memory, 0);
        assert(memory != MAP_FAILED);
        struct ak_ring *ring;
        assert(ak_ring_new(&ring, &fds) == 0);
        unsigned state = (unsigned)kind * 7919u + 1u;
        for (int i = 0; i < 4096 + 8192; i++) {
            state = state * 1103515245u + 12345u;
            if (i < 4096 ? i < 24 : true)
                memory[i] = (unsigned char)(state >> 16);
        }
        struct ak_ring_record record;
        int r = 0;
        for (int i = 0; i < 10000 && r == 0; i++) {
            r = ak_ring_peek(ring, &record);
            if (r == 0)
                ak_ring_consume(ring, &record);
        }
        assert(r == AK_RING_E_CORRUPT || r == AK_RING_E_EMPTY);
        munmap(memory, 4096 + AK_RING_DATA_SIZE);
        ak_ring_free(ring);
    }
}

/* A writer that is killed at any moment leaves every record that it completed. */
static void survives_its_writer(void) {
    for (int round = 0; round < 20; round++) {
        struct world world = new_world();
        pid_t pid = fork();
        if (pid == 0) {
            for (unsigned i = 0;; i++) {
                char line[32];
                size_t taken;
                int n = snprintf(line, sizeof(line), "%u\n", i);
                while (ak_ring_write(world.writer, 1, 1, line, (size_t)n, true,
                                     &taken) == AK_RING_E_FULL)
                    (void)ak_ring_wait_room(world.writer, 1000);
            }
        }
        unsigned expected = 0;
        struct ak_ring_record record;
        while (expected < 2000u + (unsigned)round * 37u) {
            if (ak_ring_peek(world.reader, &record))
                continue;
            assert((unsigned)atoi(record.text.data) == expected++);
            ak_ring_consume(world.reader, &record);
        }
        kill(pid, SIGKILL);
        assert(waitpid(pid, NULL, 0) == pid);
        int r;
        while ((r = ak_ring_peek(world.reader, &record)) == 0) {
            assert((unsigned)atoi(record.text.data) == expected++);
            ak_ring_consume(world.reader, &record);
        }
        assert(r == AK_RING_E_EMPTY);
        done(&world);
    }
}

/* No wake-up is lost: a reader that arms and sleeps sees everything. */
static void wakes(void) {
    struct world world = new_world();
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 20000; i++) {
            size_t taken;
            while (ak_ring_write(world.writer, 1, 1, "x\n", 2, true, &taken))
                (void)ak_ring_wait_room(world.writer, 1000);
        }
        _exit(0);
    }
    int seen = 0;
    while (seen < 20000) {
        struct ak_ring_record record;
        if (ak_ring_peek(world.reader, &record) == 0) {
            ak_ring_consume(world.reader, &record);
            seen++;
            continue;
        }
        if (!ak_ring_arm(world.reader))
            continue;
        struct pollfd pfd = {.fd = ak_ring_data_fd(world.reader), .events = POLLIN};
        assert(poll(&pfd, 1, 10000) == 1);
    }
    assert(waitpid(pid, NULL, 0) == pid);
    done(&world);
}

static struct world *signalled;
static int inner_outcome;

static void write_inside(int number) {
    size_t taken;
    int r = ak_ring_write(signalled->writer, 2, 1, "s", 1, false, &taken);
    if (r == AK_RING_E_BUSY)
        inner_outcome = r;
}

/* A write from a signal handler inside a write is told so instead of waiting for
 * itself. */
static void busy(void) {
    struct world world = new_world();
    signalled = &world;
    pid_t parent = getpid();
    struct sigaction action = {.sa_handler = write_inside};
    assert(sigaction(SIGUSR1, &action, NULL) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 200000; i++)
            kill(parent, SIGUSR1);
        _exit(0);
    }
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        struct ak_ring_record record;
        (void)put(&world, 1, "some text that takes a moment to copy\n");
        while (ak_ring_peek(world.reader, &record) == 0)
            ak_ring_consume(world.reader, &record);
    }
    assert(inner_outcome == AK_RING_E_BUSY || inner_outcome == 0);
    signal(SIGUSR1, SIG_IGN);
    done(&world);
}

static const struct ak_test tests[] = {
    {"text", text},       {"wraps", wraps},
    {"full", full},       {"marks", marks},
    {"corrupt", corrupt}, {"survives-its-writer", survives_its_writer},
    {"wakes", wakes},     {"busy", busy},
};
AK_TEST_MAIN(tests)

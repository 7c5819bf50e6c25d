/* SPDX-License-Identifier: MIT */
/*
 * Bytes in a pipe keep their owner while a thread of the user prints: it holds the
 * ring's lock much of the time and may keep the ring full.
 */
#include "unit/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "seam/ring.h"

#define N_SWITCHES 3000u
#define NOBODY 1000000u

struct world {
    struct ak_ring *writer, *reader;
    int pipe[2];
    size_t len; /* of what the thread prints */
    atomic_bool over;
    uint64_t position; /* in the pipe, of the marks seen */
};

static void open_world(struct world *world, size_t len) {
    struct ak_ring_fds fds;
    *world = (struct world){.len = len};
    assert(ak_ring_create(&fds) == 0);
    struct ak_ring_fds again = {dup(fds.memory), dup(fds.data), dup(fds.room)};
    assert(ak_ring_new(&world->writer, &fds) == 0);
    assert(ak_ring_new(&world->reader, &again) == 0);
    assert(pipe2(world->pipe, O_NONBLOCK | O_CLOEXEC) == 0);
    ak_ring_watch_pipe(world->writer, 0, world->pipe[1]);
}

static void close_world(struct world *world) {
    ak_ring_free(world->writer);
    ak_ring_free(world->reader);
    close(world->pipe[0]);
    close(world->pipe[1]);
}

static void *print(void *context) {
    struct world *world = context;
    char *text = malloc(world->len);
    size_t taken;
    assert(text);
    memset(text, 'x', world->len);
    while (!atomic_load(&world->over))
        (void)ak_ring_write(world->writer, NOBODY, 1, text, world->len, true, &taken);
    free(text);
    return NULL;
}

/* Reads the ring until it is empty; the one byte that is marked is the owner's. */
static unsigned read_marks(struct world *world, uint64_t owner) {
    struct ak_ring_record record;
    unsigned n_marks = 0;
    while (ak_ring_peek(world->reader, &record) == 0) {
        if (record.type == AK_RING_MARK) {
            char byte;
            assert(record.position == world->position + 1 && record.request == owner);
            ak_ring_drain_begin(world->reader);
            ssize_t n = read(world->pipe[0], &byte, 1);
            ak_ring_drain_end(world->reader, 0, n > 0 ? (size_t)n : 0);
            assert(n == 1);
            world->position = record.position;
            n_marks++;
        }
        ak_ring_consume(world->reader, &record);
        if (n_marks)
            break;
    }
    return n_marks;
}

static void switch_owners(size_t len) {
    struct world world;
    pthread_t thread;
    open_world(&world, len);
    assert(pthread_create(&thread, NULL, print, &world) == 0);
    for (uint64_t owner = 1; owner <= N_SWITCHES; owner++) {
        ak_ring_set_current(world.writer, owner);
        assert(write(world.pipe[1], "b", 1) == 1);
        ak_ring_set_current(world.writer, NOBODY);
        while (read_marks(&world, owner) == 0)
            continue;
    }
    atomic_store(&world.over, true);
    pthread_join(thread, NULL);
    close_world(&world);
}

static void keep_owners_beside_a_printing_thread(void) {
    switch_owners(10);
    switch_owners(1250);
    switch_owners(31250);
}

static void find_room_in_a_full_ring(void) {
    struct world world;
    size_t taken;
    char *text = calloc(1, 2 * AK_RING_DATA_SIZE);
    assert(text);
    open_world(&world, 0);
    ak_ring_set_current(world.writer, 7);
    assert(ak_ring_write(world.writer, 7, 1, text, 2 * AK_RING_DATA_SIZE, true,
                         &taken) == AK_RING_E_FULL);
    free(text);
    assert(write(world.pipe[1], "b", 1) == 1);
    ak_ring_set_current(world.writer, 8);
    assert(read_marks(&world, 7) == 1);
    close_world(&world);
}

static const struct ak_test tests[] = {
    {"keep-owners-beside-a-printing-thread", keep_owners_beside_a_printing_thread},
    {"find-room-in-a-full-ring", find_room_in_a_full_ring},
};
AK_TEST_MAIN(tests)

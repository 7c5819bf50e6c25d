/* SPDX-License-Identifier: MIT */
/*
 * A single-reader ring in a sealed memfd: one control page, then the data. Records are
 * 16 bytes of header and their payload, padded to 16, so that the rest of the data
 * before the wrap always has room for the header of a PAD record. "head" is published
 * in release order after the bytes, "tail" after the reader has copied them out.
 *
 * Lost wake-ups are excluded by the usual pair of full fences: the reader arms and then
 * looks at head, the writer publishes head and then looks at the arm. The same the
 * other way round for room.
 *
 * Pipe positions: bytes that ever passed a pipe are those that the reader took out (in
 * the control page, under a sequence lock) and those that FIONREAD still counts. A mark
 * is written before a text that follows a line end, before every seam frame and when
 * the current request changes: whatever waits in a pipe then was written before it.
 * Looking costs a system call a pipe, once a line; that is what exact order is worth.
 */
#include "seam/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/error.h"

#define CONTROL_SIZE 4096u
#define DATA_MASK (AK_RING_DATA_SIZE - 1u)
#define RECORD_MAX (AK_RING_DATA_SIZE / 4u)
#define ALIGN 16u
#define WORTH_WRITING 64u  /* a smaller rest waits for room instead of being cut */
#define MARK_RESERVE 4096u /* text leaves this much room, so that marks find some */
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)
#define SEQUENCE_TRIES 1000

enum {
    RECORD_PAD = 3
};

struct control {
    _Atomic uint64_t head;
    char pad0[56];
    _Atomic uint64_t tail;
    char pad1[56];
    _Atomic uint32_t wake;
    _Atomic uint32_t room;
    _Atomic uint64_t current;
    _Atomic uint32_t drain_sequence;
    _Atomic uint64_t drained[2];
};

struct record {
    uint32_t len; /* of the payload */
    uint16_t type;
    uint16_t stream;
    uint64_t request;
};

_Static_assert(sizeof(struct record) == ALIGN, "a record header is one alignment unit");
_Static_assert(sizeof(struct control) <= CONTROL_SIZE, "the control page is one page");

struct ak_ring {
    struct control *control; /* the mapping; NULL after ak_ring_abandon */
    char *data;
    struct ak_ring_fds fds;
    /* writer */
    pthread_mutex_t lock;
    _Atomic pthread_t owner;
    _Atomic int owned;
    int pipe_fds[2];    /* borrowed, -1 until watched */
    uint64_t marked[2]; /* pipe positions that marks have claimed */
    uint64_t urged_tail;
    bool line_end;
};

int ak_ring_create(struct ak_ring_fds *ret_fds) {
    AK_CLEANUP(ak_closep)
    int memory = memfd_create("akernel-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0 || ftruncate(memory, CONTROL_SIZE + AK_RING_DATA_SIZE) < 0 ||
        fcntl(memory, F_ADD_SEALS, SEALS) < 0)
        return ak_error_origin(errno);
    AK_CLEANUP(ak_closep) int data = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    AK_CLEANUP(ak_closep) int room = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (data < 0 || room < 0)
        return ak_error_origin(errno);
    *ret_fds = (struct ak_ring_fds){.memory = ak_take_fd(&memory),
                                    .data = ak_take_fd(&data),
                                    .room = ak_take_fd(&room)};
    return 0;
}

int ak_ring_new(struct ak_ring **ret_ring, const struct ak_ring_fds *fds) {
    struct ak_ring *ring = calloc(1, sizeof(*ring));
    if (!ring)
        return ak_error_origin(ENOMEM);
    void *map = mmap(NULL, CONTROL_SIZE + AK_RING_DATA_SIZE, PROT_READ | PROT_WRITE,
                     MAP_SHARED, fds->memory, 0);
    if (map == MAP_FAILED) {
        int error = errno;
        free(ring);
        return ak_error_origin(error);
    }
    pthread_mutex_init(&ring->lock, NULL);
    ring->control = map;
    ring->data = (char *)map + CONTROL_SIZE;
    ring->fds = *fds;
    ring->pipe_fds[0] = ring->pipe_fds[1] = -1;
    ring->urged_tail = UINT64_MAX;
    ring->line_end = true;
    *ret_ring = ring;
    return 0;
}

void ak_ring_abandon(struct ak_ring *ring) {
    if (!ring->control)
        return;
    munmap(ring->control, CONTROL_SIZE + AK_RING_DATA_SIZE);
    ring->control = NULL;
    ak_close_clear(&ring->fds.memory);
    ak_close_clear(&ring->fds.data);
    ak_close_clear(&ring->fds.room);
}

struct ak_ring *ak_ring_free(struct ak_ring *ring) {
    if (!ring)
        return NULL;
    ak_ring_abandon(ring);
    pthread_mutex_destroy(&ring->lock);
    free(ring);
    return NULL;
}

int ak_ring_data_fd(const struct ak_ring *ring) {
    return ring->fds.data;
}

int ak_ring_room_fd(const struct ak_ring *ring) {
    return ring->fds.room;
}

static void signal_event(int fd) {
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof(one));
    (void)n; /* an eventfd that is full is as signalled as it can be */
}

static void clear_event(int fd) {
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof(count));
    (void)n;
}

/* --- writing -----------------------------------------------------------------------
 */

static size_t padded(size_t len) {
    return (len + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static void put(struct ak_ring *ring, uint64_t at, const struct record *record,
                const void *payload) {
    char *p = ring->data + (at & DATA_MASK);
    memcpy(p, record, sizeof(*record));
    if (record->len)
        memcpy(p + sizeof(*record), payload, record->len);
}

/* Appends one record whole; false when it does not fit now. */
static bool append(struct ak_ring *ring, const struct record *record,
                   const void *payload) {
    struct control *control = ring->control;
    uint64_t head = atomic_load_explicit(&control->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&control->tail, memory_order_acquire);
    size_t need = sizeof(*record) + padded(record->len);
    size_t before_wrap = AK_RING_DATA_SIZE - (size_t)(head & DATA_MASK);
    size_t pad = need > before_wrap ? before_wrap : 0;
    if (AK_RING_DATA_SIZE - (head - tail) < need + pad)
        return false;
    if (pad) {
        struct record filler = {.len = (uint32_t)(pad - sizeof(filler)),
                                .type = RECORD_PAD};
        memcpy(ring->data + (head & DATA_MASK), &filler, sizeof(filler));
        head += pad;
    }
    put(ring, head, record, payload);
    head += need;
    atomic_store_explicit(&control->head, head, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&control->wake, memory_order_relaxed) &&
        atomic_exchange(&control->wake, 0)) {
        signal_event(ring->fds.data);
    } else if (head - tail > AK_RING_DATA_SIZE / 2 && ring->urged_tail != tail) {
        ring->urged_tail = tail;
        signal_event(ring->fds.data);
    }
    return true;
}

static bool pipe_position(struct ak_ring *ring, int pipe, uint64_t *ret_position) {
    struct control *control = ring->control;
    for (int i = 0; i < SEQUENCE_TRIES; i++) {
        uint32_t before = atomic_load(&control->drain_sequence);
        int waiting = 0;
        uint64_t drained = atomic_load(&control->drained[pipe]);
        if (ioctl(ring->pipe_fds[pipe], FIONREAD, &waiting) < 0)
            return false;
        if (!(before & 1) && before == atomic_load(&control->drain_sequence)) {
            *ret_position = drained + (uint64_t)(waiting > 0 ? waiting : 0);
            return true;
        }
        sched_yield();
    }
    return false;
}

uint64_t ak_ring_pipe_position(struct ak_ring *ring, int pipe) {
    uint64_t position = 0;
    return ring->pipe_fds[pipe] >= 0 && pipe_position(ring, pipe, &position) ? position
                                                                             : 0;
}

static void mark_locked(struct ak_ring *ring) {
    for (int pipe = 0; pipe < 2; pipe++) {
        uint64_t position;
        if (ring->pipe_fds[pipe] < 0 || !pipe_position(ring, pipe, &position) ||
            position <= ring->marked[pipe])
            continue;
        struct record record = {.len = sizeof(position),
                                .type = AK_RING_MARK,
                                .stream = (uint16_t)pipe,
                                .request = atomic_load_explicit(&ring->control->current,
                                                                memory_order_relaxed)};
        if (append(ring, &record, &position))
            ring->marked[pipe] = position;
    }
}

enum {
    LOCKED = 0
};

static int lock(struct ak_ring *ring, bool blocking) {
    if (atomic_load(&ring->owned) &&
        pthread_equal(atomic_load(&ring->owner), pthread_self()))
        return AK_RING_E_BUSY;
    if (blocking)
        pthread_mutex_lock(&ring->lock);
    else if (pthread_mutex_trylock(&ring->lock) != 0)
        return AK_RING_E_FULL;
    atomic_store(&ring->owner, pthread_self());
    atomic_store(&ring->owned, 1);
    return LOCKED;
}

static void unlock(struct ak_ring *ring) {
    atomic_store(&ring->owned, 0);
    pthread_mutex_unlock(&ring->lock);
}

/* The longest piece of at most max bytes that does not end inside a UTF-8 sequence. */
static size_t whole_characters(const char *text, size_t len, size_t max) {
    if (len <= max)
        return len;
    size_t n = max;
    while (n > max - 4 && ((unsigned char)text[n] & 0xC0) == 0x80)
        n--;
    return n;
}

static size_t room_for_text(struct ak_ring *ring) {
    struct control *control = ring->control;
    uint64_t head = atomic_load_explicit(&control->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&control->tail, memory_order_acquire);
    size_t free_bytes = (size_t)(AK_RING_DATA_SIZE - (head - tail));
    free_bytes = free_bytes > MARK_RESERVE ? free_bytes - MARK_RESERVE : 0;
    size_t before_wrap = AK_RING_DATA_SIZE - (size_t)(head & DATA_MASK);
    size_t run = free_bytes < before_wrap ? free_bytes : before_wrap;
    /* A piece may go behind the wrap instead, at the cost of the padding. */
    if (free_bytes > before_wrap && free_bytes - before_wrap > run)
        run = free_bytes - before_wrap;
    return run > sizeof(struct record) + ALIGN ? run - sizeof(struct record) - ALIGN
                                               : 0;
}

static int write_locked(struct ak_ring *ring, uint64_t request, int stream,
                        const char *text, size_t len, size_t *ret_taken) {
    if (ring->line_end)
        mark_locked(ring);
    while (*ret_taken < len) {
        const char *rest = text + *ret_taken;
        size_t n_rest = len - *ret_taken;
        size_t room = room_for_text(ring);
        if (room < n_rest && room < WORTH_WRITING)
            return AK_RING_E_FULL;
        size_t max = room < RECORD_MAX - ALIGN ? room : RECORD_MAX - ALIGN;
        size_t n = whole_characters(rest, n_rest, max);
        struct record record = {.len = (uint32_t)n,
                                .type = AK_RING_TEXT,
                                .stream = (uint16_t)stream,
                                .request = request};
        if (!append(ring, &record, rest))
            return AK_RING_E_FULL;
        *ret_taken += n;
    }
    ring->line_end = len == 0 ? ring->line_end : text[len - 1] == '\n';
    return 0;
}

int ak_ring_write(struct ak_ring *ring, uint64_t request, int stream, const char *text,
                  size_t len, bool blocking, size_t *ret_taken) {
    *ret_taken = 0;
    int r = lock(ring, blocking);
    if (r)
        return r;
    r = write_locked(ring, request, stream, text, len, ret_taken);
    unlock(ring);
    return r;
}

int ak_ring_wait_room(struct ak_ring *ring, int timeout_ms) {
    struct control *control = ring->control;
    atomic_store(&control->room, 1);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&control->head) - atomic_load(&control->tail) <=
        AK_RING_DATA_SIZE / 2)
        return 0;
    struct pollfd pfd = {.fd = ring->fds.room, .events = POLLIN};
    int n = poll(&pfd, 1, timeout_ms);
    if (n < 0)
        return -errno;
    if (n > 0)
        clear_event(ring->fds.room);
    return 0;
}

uint64_t ak_ring_head(const struct ak_ring *ring) {
    return atomic_load_explicit(&ring->control->head, memory_order_acquire);
}

void ak_ring_watch_pipe(struct ak_ring *ring, int pipe, int write_fd) {
    ring->pipe_fds[pipe] = write_fd;
}

void ak_ring_mark_pipes(struct ak_ring *ring) {
    /* Waiting here is safe with the GIL held, for whoever has the lock never takes the
     * GIL; going on without a mark would give the bytes to the next owner. */
    if (lock(ring, true) != LOCKED)
        return;
    mark_locked(ring);
    unlock(ring);
}

void ak_ring_set_current(struct ak_ring *ring, uint64_t request) {
    if (ak_ring_current(ring) == request)
        return;
    ak_ring_mark_pipes(ring);
    atomic_store(&ring->control->current, request);
}

uint64_t ak_ring_current(const struct ak_ring *ring) {
    return atomic_load(&ring->control->current);
}

/* --- reading -----------------------------------------------------------------------
 */

static int check(const struct record *record, size_t available, size_t before_wrap) {
    size_t need = sizeof(*record) + padded(record->len);
    if (record->len > AK_RING_DATA_SIZE || need > available || need > before_wrap)
        return AK_RING_E_CORRUPT;
    switch (record->type) {
    case AK_RING_TEXT:
        return record->len <= RECORD_MAX && (record->stream == 1 || record->stream == 2)
                   ? 0
                   : AK_RING_E_CORRUPT;
    case AK_RING_MARK:
        return record->len == sizeof(uint64_t) && record->stream < 2
                   ? 0
                   : AK_RING_E_CORRUPT;
    case RECORD_PAD:
        return need == before_wrap ? 0 : AK_RING_E_CORRUPT;
    default:
        return AK_RING_E_CORRUPT;
    }
}

static void advance(struct ak_ring *ring, uint64_t tail) {
    struct control *control = ring->control;
    atomic_store_explicit(&control->tail, tail, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t used = atomic_load(&control->head) - tail;
    if (used <= AK_RING_DATA_SIZE / 2 && atomic_load(&control->room) &&
        atomic_exchange(&control->room, 0))
        signal_event(ring->fds.room);
}

int ak_ring_peek(struct ak_ring *ring, struct ak_ring_record *ret_record) {
    struct control *control = ring->control;
    for (;;) {
        uint64_t tail = atomic_load_explicit(&control->tail, memory_order_relaxed);
        uint64_t head = atomic_load_explicit(&control->head, memory_order_acquire);
        uint64_t available = head - tail;
        if (available == 0)
            return AK_RING_E_EMPTY;
        if (available > AK_RING_DATA_SIZE || (tail | head) & (ALIGN - 1))
            return AK_RING_E_CORRUPT;
        size_t offset = (size_t)(tail & DATA_MASK);
        struct record record;
        memcpy(&record, ring->data + offset, sizeof(record));
        int r = check(&record, (size_t)available, AK_RING_DATA_SIZE - offset);
        if (r)
            return r;
        uint64_t end = tail + sizeof(record) + padded(record.len);
        if (record.type == RECORD_PAD) {
            advance(ring, end);
            continue;
        }
        const char *payload = ring->data + offset + sizeof(record);
        *ret_record = (struct ak_ring_record){
            .type = (enum ak_ring_type)record.type,
            .request = record.request,
            .stream = record.stream,
            .end = end,
            .text = ak_bytes(payload, record.len),
        };
        if (record.type == AK_RING_MARK)
            memcpy(&ret_record->position, payload, sizeof(uint64_t));
        return 0;
    }
}

void ak_ring_consume(struct ak_ring *ring, const struct ak_ring_record *record) {
    advance(ring, record->end);
}

bool ak_ring_arm(struct ak_ring *ring) {
    struct control *control = ring->control;
    clear_event(ring->fds.data);
    atomic_store(&control->wake, 1);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&control->head) == atomic_load(&control->tail))
        return true;
    atomic_store(&control->wake, 0);
    return false;
}

void ak_ring_drain_begin(struct ak_ring *ring) {
    atomic_fetch_add(&ring->control->drain_sequence, 1);
}

void ak_ring_drain_end(struct ak_ring *ring, int pipe, size_t n_drained) {
    atomic_fetch_add(&ring->control->drained[pipe], n_drained);
    atomic_fetch_add(&ring->control->drain_sequence, 1);
}

uint64_t ak_ring_drained(const struct ak_ring *ring, int pipe) {
    return atomic_load(&ring->control->drained[pipe]);
}

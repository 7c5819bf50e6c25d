/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Stream text and the order of descriptor-level output, in shared memory: what the
 * worker wrote here survives its death, whatever killed it.
 *
 * One memfd: a control page and a power of two of data. The worker appends records, the
 * kernel process consumes them. A record is a TEXT (request, stream, bytes) or a MARK
 * (pipe, position, owner): the bytes that passed through that pipe up to the position,
 * as far as no earlier mark claimed them, belong to the owner. Positions are 64-bit
 * byte counts since the start and are published in release order. A record is at most a
 * quarter of the ring; longer text goes in pieces.
 *
 * Waking: the reader arms "wake" before it sleeps; the first append after that writes
 * to the data eventfd once. While the reader holds text back to coalesce it does not
 * arm, and a printing loop pays no system call; an append that leaves less than half of
 * the ring free wakes the reader in any case. A writer that found the ring full arms
 * "room" and waits on the room eventfd, which the reader then writes to.
 *
 * Also in the control page, because it must outlive the worker: the request that is on
 * the worker's stack now ("current"), and the bytes that the reader has taken out of
 * each pipe, under a sequence lock, so that the worker can compute pipe positions by
 * FIONREAD.
 *
 * Writer: any thread of the worker, serialised by a mutex that is never held while
 * taking the GIL. Reader: the kernel process's one thread; it treats every value as
 * hostile and reports AK_RING_E_CORRUPT instead of believing it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define AK_RING_DATA_SIZE (1u << 20)

enum ak_ring_type {
    AK_RING_TEXT = 1,
    AK_RING_MARK = 2,
};

struct ak_ring;

enum {
    AK_RING_E_FULL = 1, /* no room now */
    AK_RING_E_EMPTY,    /* nothing to read */
    AK_RING_E_CORRUPT,  /* the shared memory holds nonsense */
    AK_RING_E_BUSY,     /* this thread is already inside a write (signal handler) */
};

/* The descriptors of one ring; -1 where absent. */
struct ak_ring_fds {
    int memory;
    int data; /* eventfd: worker -> kernel process */
    int room; /* eventfd: kernel process -> worker */
};

/* Kernel process: makes the shared memory and both eventfds, all close-on-exec. */
int ak_ring_create(struct ak_ring_fds *ret_fds);

/* Maps the ring; takes the three descriptors on success. Either process. */
int ak_ring_new(struct ak_ring **ret_ring, const struct ak_ring_fds *fds);
struct ak_ring *ak_ring_free(struct ak_ring *ring);
AK_DEFINE_CLEANUP(struct ak_ring *, ak_ring_free)

int ak_ring_data_fd(const struct ak_ring *ring);
int ak_ring_room_fd(const struct ak_ring *ring);

/* --- worker ------------------------------------------------------------------------
 */

/* Appends text of a stream (1 or 2) for a request; takes as much as fits. *ret_taken
 * says how much; 0 when all was taken, FULL when not (arm and wait, then go on), BUSY
 * when this very thread is inside ak_ring_write already. Does not cut a UTF-8 sequence.
 * Never blocks but for the mutex; "blocking" false turns a contended mutex into FULL
 * with nothing taken, for callers that hold the GIL. */
int ak_ring_write(struct ak_ring *ring, uint64_t request, int stream, const char *text,
                  size_t len, bool blocking, size_t *ret_taken);
/* Arms "room" and waits until the reader made some, a signal came, or timeout_ms
 * passed; call without the GIL. 0, or -EINTR when a signal came. */
int ak_ring_wait_room(struct ak_ring *ring, int timeout_ms);
/* The position behind the last record: what happens now happens after it. */
uint64_t ak_ring_head(const struct ak_ring *ring);

/* Tells the ring which pipe (0 for descriptor 1, 1 for descriptor 2) is written through
 * which descriptor: a private duplicate of its write end, borrowed. */
void ak_ring_watch_pipe(struct ak_ring *ring, int pipe, int write_fd);
/* How many bytes ever passed a pipe, those that wait in it included. */
uint64_t ak_ring_pipe_position(struct ak_ring *ring, int pipe);
/* Declares who is on the worker's stack. Marks what waits in the pipes for the old one
 * first. Waits for no room, only for a write that is under way: a mark that finds no
 * room is left to the next call. */
void ak_ring_set_current(struct ak_ring *ring, uint64_t request);
uint64_t ak_ring_current(const struct ak_ring *ring);
/* Marks what waits in the pipes for the current request. Call before every seam frame.
 */
void ak_ring_mark_pipes(struct ak_ring *ring);

/* In the child of a fork: unmaps and closes without touching the shared state. */
void ak_ring_abandon(struct ak_ring *ring);

/* --- kernel process ----------------------------------------------------------------
 */

struct ak_ring_record {
    enum ak_ring_type type;
    uint64_t request;     /* TEXT, and the owner of a MARK */
    int stream;           /* TEXT: 1 or 2; MARK: pipe 0 or 1 */
    uint64_t position;    /* MARK: end of the claimed bytes in the pipe */
    uint64_t end;         /* ring position behind this record */
    struct ak_bytes text; /* TEXT: borrowed until ak_ring_consume */
};

/* The next record without consuming it: 0, EMPTY or CORRUPT. */
int ak_ring_peek(struct ak_ring *ring, struct ak_ring_record *ret_record);
/* Consumes the record last peeked and makes room. */
void ak_ring_consume(struct ak_ring *ring, const struct ak_ring_record *record);
/* Arms the wake-up; false when there is something to read already. */
bool ak_ring_arm(struct ak_ring *ring);

/* Around each read from a pipe: begin, read what FIONREAD said, end with the count. */
void ak_ring_drain_begin(struct ak_ring *ring);
void ak_ring_drain_end(struct ak_ring *ring, int pipe, size_t n_drained);
/* Bytes taken out of the pipe so far. */
uint64_t ak_ring_drained(const struct ak_ring *ring, int pipe);

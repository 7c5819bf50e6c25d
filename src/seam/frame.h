/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The private protocol between the kernel process and a worker: typed frames over one
 * Unix SOCK_SEQPACKET pair. A frame is a fixed header and up to AK_FRAME_PARTS_MAX byte
 * parts; parts of more than AK_FRAME_INLINE bytes together travel in one sealed memfd
 * instead, which the receiver maps. The two programs are installed together and check
 * AK_SEAM_VERSION in START and HELLO; nothing else ever speaks this protocol.
 *
 * struct ak_link is one end. The kernel process sends through a queue, so that it never
 * waits for a worker; the worker sends directly and waits itself when the socket is
 * full. Kernel process: its one thread. Worker: sending by any thread that holds the
 * GIL, one at a time; receiving by the loop alone. The receiver treats every value as
 * hostile.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "seam/kind.h"

#define AK_SEAM_VERSION 1u
#define AK_FRAME_PARTS_MAX 4096u
#define AK_FRAME_INLINE 49152u
#define AK_FRAME_BYTES_MAX (2ull << 30)

enum ak_frame_type {
    /*
     * Kernel process -> worker.
     *
     * START    parts[0]: JSON of the worker's configuration. The first frame, once.
     * REQUEST  id, kind; arg: enum ak_frame_channel; parts: session, header, metadata,
     *          content as received, then the buffers. "session" is header.session.
     * With the mode "multi", parts[0] of REQUEST, FENCE, SENT, INTERRUPT and CLOSE is
     * the world that they are for: a uint64_t, native order, never 0. It is made when
     * it is first named.
     *
     * FENCE    arg: number. Comes back as FENCE with the same arg once everything that
     *          was sent before it has been taken by the worker's loop.
     * SENT     id: the reply of that request is on its way to the client, and
     * everything received before that was forwarded ahead of this frame: aborting that
     *          began with this reply ends here.
     * INTERRUPT  cancel what runs (used when a signal alone cannot say whom it means);
     *          the ordinary interrupt is SIGINT to the worker's process group.
     * SUBSHELL fd: the worker's end of a link of its own, on which a new thread takes
     *          REQUEST, SENT and SHUTDOWN (arg: comes back as FENCE when it has ended).
     * CLOSE    end that world: what runs in it is cancelled, and its memory is freed.
     * SHUTDOWN arg: 1 when a restart follows. Run atexit handlers and end.
     */
    AK_FRAME_START = 1,
    AK_FRAME_REQUEST,
    AK_FRAME_FENCE,
    AK_FRAME_SENT,
    AK_FRAME_INTERRUPT,
    AK_FRAME_SHUTDOWN,
    AK_FRAME_SUBSHELL,
    AK_FRAME_CLOSE,
    /*
     * Worker -> kernel process. "position" is the ring position at which it happened:
     * the receiver publishes everything in the ring before it first.
     *
     * HELLO    parts[0]: JSON {"seam", "version", "prefix", "executable", "pid"}.
     * FAILED   parts[0]: text: why the interpreter could not start. The worker ends.
     * PUBLISH  id: parent (0: none); kind; parts: content, metadata, then the buffers.
     * REPLY    id; flags; arg: ak_clock_wall() of its moment; parts: content, metadata,
     *          then the buffers.
     * DONE     id: the request is over, idle may be sent. REPLY with AK_FRAME_F_DONE
     *          says the same in one frame.
     * RELEASE  parts[0]: uint64_t ids, native order: nothing in the worker refers to
     *          these requests any more; their parents may be forgotten.
     * INPUT    id; fd: write end of a fresh pipe that takes the answer as bytes and end
     *          of file, or end of file alone for "no answer"; parts[0]: content of the
     *          input_request {"prompt", "password"}. The asker reads the other end.
     * CALL     id: the request whose code calls, or 0; fd: as of INPUT
     *          parts[0]: a JSON object that asks the kernel process something
     *          (kernel/call.c). What is written to fd is a JSON object, too.
     * EXIT     id: exit() or quit() was called in the name of that request: the kernel
     *          ends after its reply, or at once when that is out.
     * REPLAY   id; parts[0]: JSON {"cell": cellId or null, "all": boolean}: what cells
     *          have shown is shown again in the name of that request.
     * FENCE    see above.
     */
    AK_FRAME_HELLO = 64,
    AK_FRAME_FAILED,
    AK_FRAME_PUBLISH,
    AK_FRAME_REPLY,
    AK_FRAME_DONE,
    AK_FRAME_RELEASE,
    AK_FRAME_INPUT,
    AK_FRAME_EXIT,
    AK_FRAME_REPLAY,
    AK_FRAME_CALL,
};

enum ak_frame_channel {
    AK_FRAME_SHELL,
    AK_FRAME_CONTROL,
};

enum {
    AK_FRAME_F_DONE = 1u << 0,
    /* On a REPLY: the worker aborts execute requests from now on, until SENT. */
    AK_FRAME_F_ABORTING = 1u << 1,
    /* On a REPLY: what others printed comes before it. */
    AK_FRAME_F_FLUSH = 1u << 2,
    /* On PUBLISH of kind AK_KIND_EXECUTE_INPUT and so on: reserved, zero. */
};

struct ak_frame {
    enum ak_frame_type type;
    enum ak_kind kind;
    uint32_t flags;
    uint64_t id;
    uint64_t position;
    uint64_t arg;
    int fd; /* attached descriptor or -1; owned by a received frame */
    size_t n_parts;
    const struct ak_bytes *parts; /* borrowed from the sender, or from the link */
    void *map; /* received: the mapping that holds the parts, or NULL */
    size_t map_len;
};

struct ak_link;

enum {
    AK_LINK_E_AGAIN = 1, /* nothing to receive, or no room to send */
    AK_LINK_E_CLOSED,    /* the peer is gone */
    AK_LINK_E_MALFORMED, /* the peer sent nonsense; that frame is dropped */
    AK_LINK_E_TOO_BIG,   /* over AK_FRAME_BYTES_MAX or AK_FRAME_PARTS_MAX */
};

/* Makes a connected pair, both non-blocking and close-on-exec. */
int ak_link_pair(int *ret_kernel_fd, int *ret_worker_fd);

/* Takes the descriptor, on success only. */
int ak_link_new(struct ak_link **ret_link, int fd);
struct ak_link *ak_link_free(struct ak_link *link);
AK_DEFINE_CLEANUP(struct ak_link *, ak_link_free)

int ak_link_fd(const struct ak_link *link);

/* Sends one frame now. 0, AGAIN, CLOSED, TOO_BIG or a fatal error; after anything but 0
 * nothing was sent. frame->fd stays the caller's. */
int ak_link_send(struct ak_link *link, const struct ak_frame *frame);

/* Sends one frame, or keeps a copy in the queue until ak_link_flush. 0, CLOSED, TOO_BIG
 * or fatal. The order of frames is kept. */
int ak_link_enqueue(struct ak_link *link, const struct ak_frame *frame);
/* Sends what is queued: 0 when the queue is empty now, AGAIN, CLOSED or fatal. */
int ak_link_flush(struct ak_link *link);
/* Bytes that wait in the queue; the caller stops taking requests when it is long. */
size_t ak_link_queued(const struct ak_link *link);

/* Receives one frame into *ret_frame: 0, AGAIN, CLOSED, MALFORMED or fatal. The frame's
 * parts live until the next receive or ak_frame_done, which also closes its descriptor
 * and unmaps its mapping; take either out of the frame to keep it. */
int ak_link_receive(struct ak_link *link, struct ak_frame *ret_frame);
void ak_frame_done(struct ak_frame *frame);

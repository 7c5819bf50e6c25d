/* SPDX-License-Identifier: MIT */
#pragma once

/* The inside of a worker, shared by the files of this layer. */

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "py/cell.h"
#include "py/host.h"
#include "py/runtime.h"
#include "py/space.h"
#include "seam/frame.h"
#include "seam/ring.h"
#include "worker/session.h"
#include "worker/record.h"
#include "worker/worker.h"

/* What one worker is told by START. Owned strings. */
struct ak_worker_config {
    char *python; /* NULL: the one built with */
    struct ak_buf
        facts; /* START as it came: what user code may ask about this kernel */
    enum ak_chaining chaining;
    bool cache;
    bool react;
    bool lazy;  /* react runs nothing but what is asked for */
    bool multi; /* a world a client session */
};

struct ak_worker {
    struct ak_link *link;
    struct ak_ring *ring;
    int pipe_fds[2]; /* private duplicates of descriptors 1 and 2 */
    int fault_fd;
    struct ak_runtime *runtime;
    struct ak_worker_config config;
    struct ak_session *session; /* the one world of a kernel without multi */
    struct ak_map *sessions;    /* of a kernel with it: number -> ak_session; or NULL */
    struct ak_list ready;   /* ak_session.ready: that have something to do, in turn */
    struct ak_list closing; /* ak_session.ready: closed, and not over yet */
    bool pumping;           /* a callback that gives them their turns is on its way */
    bool turning;           /* one of them has its turn */
    struct ak_buf released; /* uint64_t ids that wait to be sent as RELEASE */
    double drain_seconds;   /* AKERNEL_DRAIN */
    struct ak_record_store *records; /* with the mode "cache" */
    bool looking;                    /* inside ak_worker_look_ahead */
    bool forked;   /* child of a fork: everything of the seam is gone */
    bool flushing; /* a callback that flushes the link's queue is on its way */
    bool stopping;
};

/* host.c: the table for py, over the ring and the link. */
extern const struct ak_host_ops ak_worker_host_ops;
/* Sends a frame that may not be lost and must not wait: queued when the seam is full.
 */
void ak_worker_send(struct ak_worker *worker, struct ak_frame *frame);
/* Sends a reply, and with done set ends its request. */
void ak_worker_reply(struct ak_worker *worker, uint64_t id, struct ak_bytes content,
                     struct ak_bytes metadata, uint32_t flags);

/* pump.c: the worlds of a kernel with multi. */
int ak_pump_open(struct ak_worker *worker);
void ak_pump_close(struct ak_worker *worker);
/* Puts a frame into its world's queue, or obeys it at once. */
void ak_pump_take(struct ak_worker *worker, struct ak_frame *frame);
/* Gives every world with something to do a turn; comes back by itself for the rest. */
void ak_pump_turn(struct ak_worker *worker);
/* The world has something to do: it stands in the ring, if it is not closed. */
void ak_pump_ready(struct ak_session *session);
/* Turns go on when the loop has gone round once. */
void ak_pump_come_back(struct ak_worker *worker);
void ak_pump_interrupt_all(struct ak_worker *worker);

/* dispatch.c: one REQUEST frame. True when a cell was started, whose first step has to
 * come before the next request is looked at. */
bool ak_session_dispatch(struct ak_session *session, const struct ak_frame *frame);

/* subshell.c: a thread that serves the link of the frame. */
void ak_subshell_start(struct ak_worker *worker, struct ak_frame *frame);

/* execute.c: an execute_request; what an interrupt does to cells; the end of aborting.
 */
/* Sends the reply of a cell that is over and lets the schedule go on. The cell stays
 * its owner's when it has a tag; else it is freed, now or when it is drained. */
void ak_execute_reply(struct ak_session *session, struct ak_cell *cell, bool begun);
/* Before the reply of a cell that failed (begun, above): aborts what waits. */
void ak_execute_start_aborting(struct ak_session *session);
extern const struct ak_cell_ops ak_execute_cell_ops;
/* Takes what waits in the seam, for whoever wants to know what is in the queue. */
void ak_worker_look_ahead(struct ak_worker *worker);
bool ak_execute_request(struct ak_session *session, const struct ak_frame *frame);
void ak_execute_interrupt(struct ak_session *session, bool everyone);

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A kernel process without sockets, for tests of the worker: the other ends of the
 * seam, the ring and the pipes, and a worker program born as the real one is. Every
 * wait ends with an assert after a while.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "seam/frame.h"
#include "seam/ring.h"

struct fake_kernel {
    pid_t pid;
    struct ak_link *link;
    struct ak_ring *ring;
    int pipes[2]; /* read ends of what lands on descriptors 1 and 2 */
    int fault;
    struct ak_buf text;                   /* of the ring, as far as it was collected */
    uint64_t text_request;                /* that the last of it was for */
    uint64_t mark_request, mark_position; /* of the last mark */
};

/* Starts the program and sends START with this text. */
void begin(struct fake_kernel *kernel, const char *program, const char *start);
/* The same, and takes HELLO. */
void begin_ready(struct fake_kernel *kernel, const char *program);
/* Asks for the end and returns the exit code; kills nothing. */
int end(struct fake_kernel *kernel);
/* The exit code, or 128 and the signal, once the worker ended by itself. */
int wait_for_end(struct fake_kernel *kernel);

void send_bare(struct fake_kernel *kernel, enum ak_frame_type type, uint64_t id,
               uint64_t arg);
void request(struct fake_kernel *kernel, uint64_t id, enum ak_kind kind,
             const char *content);
/* An execute_request with this code. */
void execute(struct fake_kernel *kernel, uint64_t id, const char *code);

/* The next frame that is no RELEASE; the ring is collected up to its position. The
 * frame is to be done. */
void next(struct fake_kernel *kernel, struct ak_frame *frame);
/* The next frame has to be this; it is done already. */
void expect(struct fake_kernel *kernel, enum ak_frame_type type, enum ak_kind kind,
            uint64_t id);
/* Takes frames up to the reply of a request, and asserts that it holds a word. */
void expect_reply(struct fake_kernel *kernel, uint64_t id, const char *word);

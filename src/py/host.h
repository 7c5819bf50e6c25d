/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the interpreter layer asks of the process around it: text, publications, replies
 * and questions leave through this table, and nothing in py knows a socket or a ring.
 * The worker layer gives the table at construction; tests give their own.
 *
 * Every function is called with the GIL held, by any thread, unless it says otherwise,
 * and must not run Python. None may block but the two waits, which are called without
 * the GIL. All views are borrowed for the call.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/signal.h"

/* What a publication is; the names are those of the messaging spec. */
enum ak_output {
    AK_OUTPUT_EXECUTE_INPUT,
    AK_OUTPUT_EXECUTE_RESULT,
    AK_OUTPUT_DISPLAY_DATA,
    AK_OUTPUT_UPDATE_DISPLAY_DATA,
    AK_OUTPUT_CLEAR_OUTPUT,
    AK_OUTPUT_ERROR,
    AK_OUTPUT_COMM_OPEN,
    AK_OUTPUT_COMM_MSG,
    AK_OUTPUT_COMM_CLOSE,
};

enum {
    AK_HOST_E_FULL = 1, /* no room now: wait, then try the rest again */
    AK_HOST_E_BUSY,     /* this thread is inside a write already: keep it for later */
    AK_HOST_E_TOO_BIG,  /* over what one message can hold */
    AK_HOST_E_GONE, /* nobody is at the other side (a forked child, a dead kernel) */
};

struct ak_space;

struct ak_publication {
    enum ak_output output;
    uint64_t request;         /* parent; 0 for none */
    struct ak_bytes content;  /* JSON text */
    struct ak_bytes metadata; /* JSON text; empty means {} */
    const struct ak_bytes *buffers;
    size_t n_buffers;
};

struct ak_host_ops {
    /* Text of stream 1 or 2 for a request. *ret_taken says how much went; 0 when all
     * did, FULL, BUSY or GONE. With blocking set the GIL is not held and a contended
     * lock is waited for. */
    int (*stream_write)(void *host, uint64_t request, int stream, const char *text,
                        size_t len, bool blocking, size_t *ret_taken);
    /* Waits, without the GIL, until there is room for text or timeout_ms passed; -EINTR
     * when a signal came. */
    int (*stream_wait)(void *host, int timeout_ms);
    /* 0, FULL, TOO_BIG or GONE; a fatal error is negative. */
    int (*publish)(void *host, const struct ak_publication *publication);
    /* Waits, without the GIL, until there is room for publications; as stream_wait. */
    int (*publish_wait)(void *host, int timeout_ms);
    /* Asks the front end of a request for a line; content is that of the input_request.
     * *ret_read_fd is the caller's to read to its end and to close. 0, FULL or GONE. */
    int (*ask)(void *host, uint64_t request, struct ak_bytes content, int *ret_read_fd);
    /* The same for the kernel process itself: text is a JSON object, and so is what is
     * read. */
    int (*call)(void *host, uint64_t request, struct ak_bytes text, int *ret_read_fd);
    /* Who is on the main thread's stack now: for the owner of descriptor-level output.
     */
    void (*set_current)(void *host, uint64_t request);
    /* Nothing refers to these requests any more. */
    void (*release)(void *host, const uint64_t *requests, size_t n_requests);
    /* Asks for outputs of cells to be shown again; options as in seam/frame.h. 0, FULL
     * or GONE; a fatal error is negative. */
    int (*show_again)(void *host, uint64_t request, struct ak_bytes options);
    /* How many bytes were ever written to descriptors 1 and 2 past our streams. */
    uint64_t (*descriptor_bytes)(void *host);
    /* What the graph of a world answers, as JSON; GONE when the mode is off. May be
     * NULL. */
    int (*react)(void *host, struct ak_space *space, const char *verb,
                 const char *argument, uint64_t request, struct ak_buf *ret_json);
    /* exit() or quit() was called in the name of a request (0: of none that is open).
     */
    void (*ask_exit)(void *host, uint64_t request);
    /* This is the child of a fork now: close and unmap what belongs to the parent.
     * Called from pthread_atfork: async-signal-safe calls only. */
    void (*forked)(void *host);
};

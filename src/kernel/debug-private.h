/* SPDX-License-Identifier: MIT */
#pragma once

/* The inside of the debugger, shared by debug.c (the connection, its calls and events)
 * and debug_commands.c (what each command means). One thread. */

#include <jansson.h>

#include "base/buf.h"
#include "base/list.h"
#include "kernel/dap.h"
#include "kernel/debug.h"

enum ak_debug_phase {
    AK_DEBUG_OFF,
    AK_DEBUG_STARTING, /* from "initialize" to its response: other requests wait */
    AK_DEBUG_CONNECTED,
    AK_DEBUG_ATTACHED,
};

struct ak_debug_call;
/* The response, or NULL when none will come. Borrowed. */
typedef void (*ak_debug_answer)(struct ak_kernel *kernel, struct ak_debug_call *call,
                                json_t *response);

/* Something asked of the adapter or of the worker, and who wants to know. */
struct ak_debug_call {
    struct ak_list link; /* ak_debug.calls, .asked or .waiting */
    json_int_t seq;      /* ours, to the adapter */
    uint64_t request;    /* the debug_request, or 0 */
    json_t *message;     /* owned: what the client said, or an event that is held */
    ak_debug_answer answer;
};

struct ak_debug {
    enum ak_debug_phase phase;
    struct ak_world *world;     /* borrowed: that the newest debug_request was for */
    struct ak_process *process; /* borrowed: that is debugged */
    struct ak_dap *dap; /* from CONNECTED on, and while "initialize" is under way */
    int port;           /* where debugpy's adapter listens; 0 before it was started */
    json_int_t seq;
    size_t n_calls;         /* in all three lists */
    struct ak_list calls;   /* ak_debug_call.link: sent to the adapter */
    struct ak_list asked;   /* ak_debug_call.link: sent to the worker */
    struct ak_list waiting; /* ak_debug_call.link: not looked at before CONNECTED */
    json_t *capabilities;   /* body of the response to "initialize", or NULL */
    json_t *breakpoints;    /* path -> array */
    json_t *stopped;        /* array of thread ids */
    bool attaching;         /* "initialized" is answered with configurationDone */
    struct ak_buf parent;   /* header of the newest debug_request */
};

/* --- debug.c */

/* Sends a command to the adapter; takes the arguments, which may be NULL, and a
 * reference to the message. */
void ak_debug_send(struct ak_kernel *kernel, uint64_t request, json_t *message,
                   const char *command, json_t *arguments, ak_debug_answer answer);
/* Sends a question to the worker as this very debug_request. */
void ak_debug_ask_worker(struct ak_kernel *kernel, uint64_t request, json_t *message,
                         const json_t *question, ak_debug_answer answer);
/* Keeps a request for later. */
void ak_debug_wait(struct ak_kernel *kernel, uint64_t request, json_t *message);
/* Looks at what waited. */
void ak_debug_resume(struct ak_kernel *kernel);
/* Connects to the adapter at debug->port: 0 or -1. */
int ak_debug_connect(struct ak_kernel *kernel);
/* Closes the connection; what is under way is told why. */
void ak_debug_disconnect(struct ak_kernel *kernel);
void ak_debug_publish(struct ak_kernel *kernel, const json_t *event);

/* Replies. Body is taken and may be NULL; response is borrowed and changed. */
void ak_debug_succeed(struct ak_kernel *kernel, uint64_t request, const json_t *message,
                      json_t *body);
void ak_debug_fail(struct ak_kernel *kernel, uint64_t request, const json_t *message,
                   const char *why);
void ak_debug_pass(struct ak_kernel *kernel, uint64_t request, const json_t *message,
                   json_t *response);

/* --- debug_commands.c */

/* One message of a client, which is an object with a command. */
void ak_debug_command(struct ak_kernel *kernel, uint64_t request, json_t *message);
/* One event of the adapter. */
void ak_debug_event(struct ak_kernel *kernel, json_t *event);

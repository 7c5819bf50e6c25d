/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A kernel process that runs in a child of the test over a worker of its choice, and a
 * client on bare ZeroMQ sockets. Unsigned, over ipc, in a directory of its own. Every
 * wait ends with an assert after WAIT_MS.
 */

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "wire/conn.h"

struct running {
    char directory[64];
    pid_t pid;
    void *context;
    void *sockets[AK_CONN_N_PORTS];
    unsigned n_sent;
};

/* One message that came. */
struct heard {
    char type[64];
    char parent[64]; /* its parent's msg_id, or "" */
    char session[64];
    char date[64];
    json_t *content; /* owned */
};

/* Starts a kernel whose worker is run with one argument, and waits until the client
 * hears iopub. */
void start_kernel(struct running *running, const char *worker, const char *how,
                  bool respawn);
/* Waits for the kernel's end and returns its exit code. */
int kernel_exit(struct running *running);
void stop_kernel(struct running *running);

/* Sends a request; *ret_id is its msg_id. */
void ask(struct running *running, enum ak_conn_port channel, const char *type,
         const char *content, char ret_id[static 64]);
/* An execute_request with this code. */
void execute(struct running *running, const char *code, char ret_id[static 64]);

void hear(struct running *running, enum ak_conn_port channel, struct heard *heard);
void forget(struct heard *heard);
/* Whether something is there to hear within some milliseconds. */
bool silent(struct running *running, enum ak_conn_port channel, int ms);
/* Reads a channel up to a message of a type and parent (NULL: any). */
void hear_until(struct running *running, enum ak_conn_port channel, const char *type,
                const char *parent, struct heard *heard);
/* Appends "type " for each iopub message of a parent up to its idle, streams as
 * "stdout:text " or "stderr:text ". */
void hear_story(struct running *running, const char *parent, struct ak_buf *story);

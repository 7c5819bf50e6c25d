/* SPDX-License-Identifier: MIT */
#pragma once

/* The inside of a kernel, shared by the files of this layer. One thread. */

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "kernel/kernel.h"
#include "net/channel.h"
#include "seam/frame.h"
#include "seam/ring.h"
#include "wire/conn.h"
#include "wire/message.h"

#define AK_NEVER UINT64_MAX

/* One request of a client, from its arrival until nothing can refer to it any more. */
struct ak_request {
    struct ak_list link; /* ak_kernel.requests, in order of arrival */
    uint64_t id;
    enum ak_channel channel;
    enum ak_kind kind;
    struct ak_world *world;     /* borrowed: that the worker was asked in; or NULL */
    struct ak_process *process; /* borrowed: the worker that was asked; or NULL */
    int connection;   /* descriptor that it came from, in a kernel with many sessions */
    char *reply_type; /* owned; NULL when there is no reply */
    char *parent;     /* owned: the request's header, as it came */
    size_t parent_len;
    struct ak_bytes *identities; /* owned, with their bytes behind */
    size_t n_identities;
    uint64_t subshell; /* the number of the subshell that it is for, or 0 */
    bool open;         /* a worker has it and it is not done */
    bool started;      /* its execute_input was published */
    bool replied;
    bool done;     /* its idle was sent */
    bool exits;    /* exit() was called in its name: the kernel ends with it */
    bool released; /* the worker will not refer to it any more */
};

/* Text of one request that was collected and not published yet, in order. */
struct ak_segment {
    struct ak_list link; /* ak_kernel.segments */
    uint64_t request;
    int stream;
    struct ak_buf text;
    bool held; /* an incomplete sequence at its end has waited once */
};

/* A message that iopub had no room for. */
struct ak_backlog {
    struct ak_list link; /* ak_kernel.backlog */
    struct ak_buf topic, header, parent, metadata, content;
    struct ak_buf *buffers; /* owned */
    size_t n_buffers;
};

/* One pipe for what lands on descriptor 1 or 2, and whose it is. */
struct ak_pipe {
    int fd;                /* read end */
    struct ak_buf waiting; /* bytes that no mark has claimed yet */
    uint64_t position;     /* of the first waiting byte */
    uint64_t since;        /* when the oldest of them came, or AK_NEVER */
};

enum ak_worker_state {
    AK_WORKER_NONE,
    AK_WORKER_STARTING, /* no HELLO yet */
    AK_WORKER_READY,
    AK_WORKER_DEAD, /* gone for good: every request gets an error */
};

/* A worker process and what connects it. */
struct ak_process {
    struct ak_list node; /* ak_kernel.processes */
    enum ak_worker_state state;
    pid_t pid; /* and its process group; 0 when there is none */
    uint64_t started_at;
    struct ak_link *link;
    struct ak_ring *ring;
    bool ring_damaged; /* nothing more is read from it */
    struct ak_pipe pipes[2];
    int fault_fd; /* read end of faulthandler's pipe */
    struct ak_buf fault_text;
    bool given_up;       /* and was killed for it */
    bool lost;           /* its end of the link is closed although it runs */
    bool restarting;     /* and is killed for a fresh one to take its place */
    bool exited;         /* reaped; status below */
    int status;          /* as of waitpid */
    uint64_t sigterm_at; /* when the group gets SIGTERM, or AK_NEVER */
    uint64_t sigkill_at; /* when the group gets SIGKILL, or AK_NEVER */
};

/* A namespace in a worker, as far as this process knows it. */
struct ak_world {
    struct ak_list link;        /* ak_sessions.worlds; of a kernel with many */
    uint64_t number;            /* in a kernel with many; else 0 */
    struct ak_process *process; /* borrowed: that it lives in, or NULL */
    size_t n_open;              /* its share of ak_kernel.n_open */
    struct ak_list clients;     /* ak_client.link */
    struct ak_map *cell_ids;    /* owned: keys are the ids of cells that it has run */
    char *name;                 /* owned; NULL when it has none */
    uint64_t created_at;
    uint64_t used_at; /* when its last request came or ended */
    uint64_t n_cells; /* execute requests so far */
};

/* A question to a client that waits for its input_reply. */
struct ak_question {
    struct ak_list link; /* ak_kernel.questions */
    uint64_t request;
    int fd;       /* takes the answer */
    char *msg_id; /* owned: of the input_request */
};

struct ak_debug;

struct ak_kernel {
    const struct ak_kernel_config *config;
    struct ak_conn conn;
    struct ak_channels *channels;
    struct ak_signer *signer;
    struct ak_author *author;
    struct ak_received received;
    struct ak_list processes;     /* ak_process.node */
    struct ak_buf poll_items;     /* zmq_pollitem_t of the round */
    struct ak_world world;        /* the one of a kernel without multi */
    struct ak_sessions *sessions; /* NULL without multi */
    int signal_fd;
    int parent_fd;    /* pidfd of JPY_PARENT_PID, or -1 */
    pid_t parent_pid; /* watched by pid, or 0 */
    pid_t own_parent; /* getppid() at the start */

    struct ak_map *requests_by_id;
    struct ak_list requests; /* ak_request.link */
    uint64_t next_id;
    size_t n_open; /* forwarded to a worker and not done */

    struct ak_list segments; /* ak_segment.link */
    size_t segment_bytes;
    uint64_t flush_at;    /* when segments are due, or AK_NEVER */
    uint64_t quiet_until; /* streams before this would be too many messages */

    struct ak_list backlog; /* ak_backlog.link */
    uint64_t stalled_since; /* AK_NEVER while iopub has room */
    uint64_t dropped_bytes;
    size_t dropped_messages;
    bool letting_go;
    bool last_words; /* the worker is dead: what it said is collected, room or not */

    struct ak_replay *replay;
    struct ak_list questions; /* ak_question.link */
    struct ak_list subshells; /* subshell.c */
    uint64_t n_subshells;     /* made so far */
    struct ak_debug *debug;   /* debug.c; NULL before the first debug_request */
    size_t malformed[AK_MESSAGE_E_N];

    struct ak_buf start_failure; /* why the worker cannot start */
    bool stopping;               /* an orderly end has begun */
    bool asked_by_cell;          /* with exit(): front ends may have yet to read it */
    bool terminated;             /* SIGTERM came */
    uint64_t over_at;            /* when the loop is left at the latest, or AK_NEVER */
    bool over;                   /* leave the loop */
    int exit_code;
};

/* request.c */
int ak_request_new(struct ak_kernel *kernel, struct ak_request **ret_request,
                   const struct ak_message *message, enum ak_channel channel);
struct ak_request *ak_request_find(struct ak_kernel *kernel, uint64_t id);
void ak_request_free(struct ak_kernel *kernel, struct ak_request *request);
/* Hands a frame of it to the worker of a world; it is open until ak_request_close. 0,
 * or what the worker cannot be given: the request has to be answered here then. */
int ak_request_forward(struct ak_kernel *kernel, struct ak_request *request,
                       struct ak_world *world, const struct ak_frame *frame);
void ak_request_close(struct ak_kernel *kernel, struct ak_request *request);
/* Sends its reply, once. */
void ak_request_reply(struct ak_kernel *kernel, struct ak_request *request,
                      struct ak_bytes content, struct ak_bytes metadata,
                      const struct ak_frame *frame);
/* Sends its idle, and busy again for the oldest one that is still open. Frees it when
 * nobody needs it any more. */
void ak_request_done(struct ak_kernel *kernel, struct ak_request *request);
/* Error replies and idle for every open request of a process, or of all with NULL. */
void ak_request_fail_all(struct ak_kernel *kernel, const struct ak_process *process,
                         const char *ename, const char *evalue, bool publish_errors);

/* publish.c: iopub. */
struct ak_iopub_message {
    const char *msg_type;
    struct ak_bytes parent;
    struct ak_bytes metadata;
    struct ak_bytes content;
    const struct ak_bytes *buffers;
    size_t n_buffers;
    struct ak_shared_map *shared;
};
void ak_publish(struct ak_kernel *kernel, const struct ak_iopub_message *message);
void ak_publish_status(struct ak_kernel *kernel, const char *state,
                       struct ak_bytes parent);
void ak_publish_welcome(struct ak_kernel *kernel);
/* Whether iopub has no room: nothing more is collected from the worker then. */
bool ak_publish_stalled(const struct ak_kernel *kernel);
/* Sends what waits, as far as there is room; gives up on it after a while. */
void ak_publish_backlog(struct ak_kernel *kernel);
/* Sends what waits, for as long as a stall may last. */
void ak_publish_last(struct ak_kernel *kernel);
void ak_publish_done(struct ak_kernel *kernel);

/* stream.c: text of the worker, from ring and pipes to stream messages. */
/* Collects the ring up to a position (UINT64_MAX: all of it). */
void ak_stream_collect(struct ak_kernel *kernel, struct ak_process *process,
                       uint64_t position);
/* With hung_up set nobody holds its other end any more: it is closed once it is empty.
 */
void ak_stream_drain_pipe(struct ak_process *process, int pipe, bool hung_up);
/* Gives bytes that no mark claims in time to the request that runs. */
void ak_stream_settle_pipes(struct ak_kernel *kernel, struct ak_process *process,
                            bool now);
void ak_stream_add(struct ak_kernel *kernel, uint64_t request, int stream,
                   const char *text, size_t len);
/* Publishes everything collected: of one request, or of all with 0. */
void ak_stream_flush(struct ak_kernel *kernel, uint64_t request);
/* Publishes what is due and says when to come back. */
void ak_stream_tick(struct ak_kernel *kernel);
void ak_stream_done(struct ak_kernel *kernel);

/* replay.c: what cells have shown is shown again after a reload. */
struct ak_replay;
struct ak_shown_output;
int ak_replay_new(struct ak_replay **ret_replay, const struct ak_kernel_config *config);
struct ak_replay *ak_replay_free(struct ak_replay *replay);
/* A request has come, and is busy. */
void ak_replay_heard(struct ak_kernel *kernel, struct ak_request *request,
                     const struct ak_message *message);
/* A message that is an output of a request was published. */
void ak_replay_published(struct ak_kernel *kernel, uint64_t request,
                         const struct ak_iopub_message *message,
                         const struct ak_shown_output *output);
/* A request is done. */
void ak_replay_ended(struct ak_kernel *kernel, uint64_t request);
/* A cell called akernel.replay: its options as JSON text. */
void ak_replay_asked(struct ak_kernel *kernel, uint64_t id, struct ak_bytes text);

/* dispatch.c: requests of clients. */
/* Counts a message that is none and drops it. */
void ak_dispatch_reject(struct ak_kernel *kernel, int outcome, enum ak_channel channel);
/* Takes at most limit messages. */
#define AK_MESSAGES_A_ROUND 256
#define AK_MESSAGES_WAITING 65536 /* more than the socket's queue holds */
void ak_dispatch_channel(struct ak_kernel *kernel, enum ak_channel channel, int limit);
/* native.c: those that need no Python. False when the type is not native. */
bool ak_native_answer(struct ak_kernel *kernel, struct ak_request *request,
                      const struct ak_message *message);
void ak_native_kernel_info(struct ak_kernel *kernel, struct ak_request *request);
/* usage.c */
int ak_usage_add_json(struct ak_kernel *kernel, struct ak_buf *content);
/* input.c */
void ak_input_ask(struct ak_kernel *kernel, struct ak_frame *frame);
void ak_input_answer(struct ak_kernel *kernel);
void ak_input_drop(struct ak_kernel *kernel, uint64_t request);
/* Nobody answers the questions of requests that came from a connection. */
void ak_input_drop_connection(struct ak_kernel *kernel, int connection);
void ak_input_drop_process(struct ak_kernel *kernel, const struct ak_process *process);
/* Writes to a pipe whose reader reads to its end. */
void ak_input_write(int fd, const char *text, size_t len);

/* session.c: worlds of a kernel with many. */
struct ak_client;
struct ak_sessions;
int ak_sessions_new(struct ak_kernel *kernel);
void ak_sessions_done(struct ak_kernel *kernel);
/* Notes which connections have ended. */
void ak_sessions_look(struct ak_kernel *kernel);
/* The world that a request of a client is for, made or taken over if need be; NULL with
 * a sentence when there can be none. */
struct ak_world *ak_sessions_world(struct ak_kernel *kernel,
                                   const struct ak_message *message,
                                   struct ak_request *request, struct ak_buf *why);
/* NULL when there is none. */
struct ak_client *ak_sessions_client(struct ak_kernel *kernel, const char *session);
struct ak_world *ak_sessions_world_of(struct ak_kernel *kernel, const char *session);
void *ak_sessions_socket(struct ak_kernel *kernel, int index);
void ak_world_interrupt(struct ak_world *world);
/* All worlds live in another worker now, and are empty. */
void ak_sessions_move(struct ak_kernel *kernel, struct ak_process *process);
uint64_t ak_sessions_deadline(const struct ak_kernel *kernel);
void ak_sessions_tick(struct ak_kernel *kernel, uint64_t now);
/* call.c */
void ak_call_answer(struct ak_kernel *kernel, struct ak_frame *frame);

/* worker_link.c: takes at most limit frames of a worker, and then its text. */
#define AK_FRAMES_A_ROUND 64
void ak_worker_pull(struct ak_kernel *kernel, struct ak_process *process, int limit);
/* 0, or an outcome of the link when the frame will not reach the worker. */
int ak_worker_forward(struct ak_process *process, const struct ak_frame *frame);

/* supervisor.c */
/* Starts a worker for the world. */
int ak_supervisor_start(struct ak_kernel *kernel, struct ak_world *world,
                        bool respawned);
void ak_supervisor_interrupt(struct ak_kernel *kernel);
/* Gives a world (NULL: the kernel's) a fresh Python. */
void ak_supervisor_restart(struct ak_kernel *kernel, struct ak_world *world);
void ak_supervisor_reap(struct ak_kernel *kernel);
/* Begins an orderly end: SHUTDOWN to the worker, then SIGTERM, then SIGKILL. */
void ak_supervisor_stop(struct ak_kernel *kernel, bool restart);
/* The same because a cell called exit(). Some front ends look whether the kernel lives
 * before they read the reply that tells them, so it stays a moment, or until one asks
 * for its shutdown. */
void ak_supervisor_exit(struct ak_kernel *kernel);
void ak_supervisor_tick(struct ak_kernel *kernel, uint64_t now);
uint64_t ak_supervisor_deadline(const struct ak_kernel *kernel);
void ak_supervisor_kill(struct ak_process *process);
/* The link is closed: the worker has a moment to end by itself. */
void ak_supervisor_lost(struct ak_kernel *kernel, struct ak_process *process);
void ak_supervisor_done(struct ak_kernel *kernel);
/* The worker says that it cannot start. */
void ak_supervisor_failed(struct ak_kernel *kernel, struct ak_process *process,
                          const char *why, size_t len);

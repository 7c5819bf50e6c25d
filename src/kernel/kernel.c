/* SPDX-License-Identifier: MIT */
/*
 * The one loop. Every round waits for whatever can happen, does a bounded amount of
 * each, and goes on; nothing in it blocks. Signals come through a descriptor.
 *
 * A round collects from the worker before it looks at what clients say, so that the
 * order in which replies and requests meet is that of the events.
 */
#include "kernel/kernel-private.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "kernel/debug.h"
#include "kernel/subshell.h"
#include "net/handshake.h"
#include "net/peers.h"
#include "wire/limits.h"

AK_LOG_MODULE("kernel");

#define PARENT_CHECK_MS 1000
#define ARM_TRIES 16
#define STALL_CHECK_MS 20
#define SUBSHELL_CHECK_MS 5

enum poll_index {
    POLL_SHELL,
    POLL_CONTROL,
    POLL_STDIN,
    POLL_IOPUB,
    POLL_HB,
    POLL_SIGNAL,
    POLL_PARENT,
    POLL_DEBUG,
    POLL_PEERS, /* AK_PEERS_SOCKETS of them */
    POLL_PEERS_LAST = POLL_PEERS + AK_PEERS_SOCKETS - 1,
    POLL_N,
};

/* The descriptors of one worker; those of all follow behind POLL_N. */
enum worker_index {
    WORKER_LINK,
    WORKER_RING,
    WORKER_PIPE_OUT,
    WORKER_PIPE_ERR,
    WORKER_FAULT,
    WORKER_N,
};

/* --- start -------------------------------------------------------------------------
 */

static int block_signals(int *ret_fd) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    /* nohup asks for SIGHUP to be ignored, and stays obeyed. */
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    /* Inherited as ignored it would never come, and no death would be noticed. */
    signal(SIGCHLD, SIG_DFL);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return ak_error_origin(errno);
    *ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return *ret_fd < 0 ? ak_error_origin(errno) : 0;
}

/* Kernels are started from thread pools, so PR_SET_PDEATHSIG, which fires when a thread
 * of the parent ends, is not for us. */
static void watch_parent(struct ak_kernel *kernel) {
    const char *text = getenv("JPY_PARENT_PID");
    long pid = text ? strtol(text, NULL, 10) : 0;
    kernel->own_parent = getppid();
    kernel->parent_fd = -1;
    if (pid <= 1 || (kill((pid_t)pid, 0) < 0 && errno == ESRCH))
        return;
    kernel->parent_pid = (pid_t)pid;
    kernel->parent_fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
}

static bool parent_is_gone(const struct ak_kernel *kernel) {
    if (kernel->parent_pid)
        return kill(kernel->parent_pid, 0) < 0 && errno == ESRCH;
    return getppid() != kernel->own_parent;
}

static int say(const char *path, const struct ak_buf *message) {
    dprintf(ak_log_fd(), "akernel: %s: %s\n", path, ak_buf_str(message));
    return -EINVAL;
}

static int open_kernel(struct ak_kernel *kernel) {
    AK_BUF_AUTO message = {0};
    const char *path = kernel->config->connection_file;
    int r = ak_conn_read(&kernel->conn, path, &message);
    if (r)
        return r > 0 ? say(path, &message) : r;
    if (!kernel->conn.private_file)
        ak_warning("%s can be read by others: whoever reads it can run code here",
                   path);
    bool picks = false;
    for (int i = 0; i < AK_CONN_N_PORTS; i++)
        picks = picks || kernel->conn.ports[i] == 0;
    /* The interpreter starts while the sockets are bound. */
    r = ak_supervisor_start(kernel, &kernel->world, false);
    if (!r)
        r = ak_map_new(&kernel->requests_by_id);
    if (!r)
        r = ak_author_new(&kernel->author);
    if (!r)
        r = ak_replay_new(&kernel->replay, kernel->config);
    if (!r)
        r = ak_signer_new(&kernel->signer, kernel->conn.key);
    if (r)
        return ak_error_trace(r);
    r = ak_channels_bind(&kernel->channels, &kernel->conn, &message);
    if (!r && kernel->config->multi)
        r = ak_sessions_new(kernel);
    if (!r && kernel->conn.registration_ip)
        r = ak_handshake(kernel->channels, &kernel->conn, kernel->signer, &message);
    else if (!r && picks)
        r = ak_conn_write_ports(&kernel->conn, &message);
    return r > 0 ? say(path, &message) : r;
}

/* --- the round ---------------------------------------------------------------------
 */

static void take_signals(struct ak_kernel *kernel) {
    struct signalfd_siginfo info;
    while (read(kernel->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGINT:
            ak_supervisor_interrupt(kernel);
            break;
        case SIGCHLD:
            ak_supervisor_reap(kernel);
            break;
        default:
            kernel->terminated = true;
            kernel->asked_by_cell = false;
            ak_supervisor_stop(kernel, false);
        }
    }
}

static void take_fault(struct ak_process *process) {
    char chunk[4096];
    ssize_t n = read(process->fault_fd, chunk, sizeof(chunk));
    if (n == 0)
        ak_close_clear(&process->fault_fd);
    if (n <= 0)
        return;
    /* The same words go to where an operator looks. */
    ssize_t written = write(ak_log_fd(), chunk, (size_t)n);
    (void)written;
    (void)ak_buf_add(&process->fault_text, chunk, (size_t)n);
}

static void add(zmq_pollitem_t *items, int index, void *socket, int fd, short events) {
    items[index] = (zmq_pollitem_t){.socket = socket, .fd = fd, .events = events};
    /* zmq_poll has no way to leave an item out but to ask for nothing of it. */
    if (!socket && fd < 0)
        items[index].events = 0;
}

static bool fill_workers(struct ak_kernel *kernel, zmq_pollitem_t *items) {
    bool too_much = false;
    short events = ak_publish_stalled(kernel) ? 0 : ZMQ_POLLIN;
    ak_list_for_each(node, next, &kernel->processes) {
        struct ak_process *process = ak_list_entry(node, struct ak_process, node);
        size_t n_queued = process->link ? ak_link_queued(process->link) : 0;
        too_much = too_much || n_queued > AK_WIRE_QUEUE_MAX;
        add(items, WORKER_LINK, NULL, process->link ? ak_link_fd(process->link) : -1,
            (short)(events | (n_queued ? ZMQ_POLLOUT : 0)));
        add(items, WORKER_RING, NULL,
            process->ring ? ak_ring_data_fd(process->ring) : -1, events);
        add(items, WORKER_PIPE_OUT, NULL, process->pipes[0].fd, events);
        add(items, WORKER_PIPE_ERR, NULL, process->pipes[1].fd, events);
        add(items, WORKER_FAULT, NULL, process->fault_fd, ZMQ_POLLIN);
        items += WORKER_N;
    }
    return too_much;
}

/* What this round waits for, or NULL when there is no memory. */
static zmq_pollitem_t *fill(struct ak_kernel *kernel, int *ret_n) {
    int n = POLL_N;
    ak_list_for_each(node, next, &kernel->processes) {
        n += WORKER_N;
    }
    ak_buf_clear(&kernel->poll_items);
    if (ak_buf_reserve(&kernel->poll_items, (size_t)n * sizeof(zmq_pollitem_t)))
        return NULL;
    zmq_pollitem_t *items = (zmq_pollitem_t *)(void *)kernel->poll_items.data;
    bool too_much = fill_workers(kernel, items + POLL_N);
    struct ak_channels *channels = kernel->channels;
    add(items, POLL_SHELL, ak_channels_socket(channels, AK_CHANNEL_SHELL), -1,
        too_much ? 0 : ZMQ_POLLIN);
    add(items, POLL_CONTROL, ak_channels_socket(channels, AK_CHANNEL_CONTROL), -1,
        ZMQ_POLLIN);
    add(items, POLL_STDIN, ak_channels_socket(channels, AK_CHANNEL_STDIN), -1,
        ZMQ_POLLIN);
    add(items, POLL_IOPUB, ak_channels_socket(channels, AK_CHANNEL_IOPUB), -1,
        ZMQ_POLLIN);
    add(items, POLL_HB, ak_channels_socket(channels, AK_CHANNEL_HB), -1, ZMQ_POLLIN);
    add(items, POLL_SIGNAL, NULL, kernel->signal_fd, ZMQ_POLLIN);
    add(items, POLL_PARENT, NULL, kernel->parent_fd, ZMQ_POLLIN);
    add(items, POLL_DEBUG, NULL, ak_debug_fd(kernel),
        (short)((ak_publish_stalled(kernel) ? 0 : ZMQ_POLLIN) |
                (ak_debug_wants_out(kernel) ? ZMQ_POLLOUT : 0)));
    for (int i = 0; i < AK_PEERS_SOCKETS; i++)
        add(items, POLL_PEERS + i, ak_sessions_socket(kernel, i), -1, ZMQ_POLLIN);
    for (int i = 0; i < n; i++) {
        if (!items[i].socket && items[i].fd < 0)
            items[i].fd = kernel->signal_fd;
    }
    *ret_n = n;
    return items;
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static long timeout_ms(struct ak_kernel *kernel, uint64_t now) {
    uint64_t at = earlier(kernel->flush_at, ak_supervisor_deadline(kernel));
    at = earlier(at, ak_sessions_deadline(kernel));
    ak_list_for_each(node, next, &kernel->processes) {
        struct ak_process *process = ak_list_entry(node, struct ak_process, node);
        if (process->pipes[0].since != AK_NEVER || process->pipes[1].since != AK_NEVER)
            at = earlier(at, now + 10 * AK_NS_PER_MS);
    }
    if (ak_subshell_flush(kernel))
        at = earlier(at, now + SUBSHELL_CHECK_MS * AK_NS_PER_MS);
    if (ak_publish_stalled(kernel))
        at = earlier(at, now + STALL_CHECK_MS * AK_NS_PER_MS);
    if (kernel->parent_fd < 0)
        at = earlier(at, now + PARENT_CHECK_MS * AK_NS_PER_MS);
    if (at == AK_NEVER)
        return -1;
    return at <= now ? 0 : (long)((at - now + AK_NS_PER_MS - 1) / AK_NS_PER_MS);
}

static void serve_worker(struct ak_kernel *kernel, struct ak_process *process,
                         const zmq_pollitem_t *items) {
    if (!process->link)
        return;
    (void)ak_link_flush(process->link);
    if (ak_publish_stalled(kernel))
        return;
    for (int i = 0; i < 2; i++) {
        if (items[WORKER_PIPE_OUT + i].revents)
            ak_stream_drain_pipe(process, i,
                                 items[WORKER_PIPE_OUT + i].revents & ZMQ_POLLERR);
    }
    if (items[WORKER_RING].revents || items[WORKER_LINK].revents)
        ak_worker_pull(kernel, process, AK_FRAMES_A_ROUND);
    ak_stream_settle_pipes(kernel, process, false);
}

/* Workers that are added meanwhile come last and were not polled. */
static void serve_workers(struct ak_kernel *kernel, const zmq_pollitem_t *items,
                          int n_items) {
    int at = 0;
    ak_list_for_each(node, next, &kernel->processes) {
        struct ak_process *process = ak_list_entry(node, struct ak_process, node);
        if (at == n_items)
            return;
        serve_worker(kernel, process, items + at);
        if (items[at + WORKER_FAULT].revents &&
            items[at + WORKER_FAULT].fd == process->fault_fd)
            take_fault(process);
        at += WORKER_N;
    }
}

static void serve_clients(struct ak_kernel *kernel, const zmq_pollitem_t *items) {
    if (items[POLL_HB].revents)
        ak_channels_echo(kernel->channels);
    if (items[POLL_CONTROL].revents)
        ak_dispatch_channel(kernel, AK_CHANNEL_CONTROL, AK_MESSAGES_A_ROUND);
    if (items[POLL_IOPUB].revents)
        ak_publish_welcome(kernel);
    if (items[POLL_STDIN].revents)
        ak_input_answer(kernel);
    if (items[POLL_SHELL].revents)
        ak_dispatch_channel(kernel, AK_CHANNEL_SHELL, AK_MESSAGES_A_ROUND);
}

/* Asks a worker to wake us for text; takes what is there already. */
static void arm(struct ak_kernel *kernel, struct ak_process *process) {
    if (!process->ring || process->ring_damaged)
        return;
    for (int i = 0; !ak_ring_arm(process->ring); i++) {
        ak_worker_pull(kernel, process, AK_FRAMES_A_ROUND);
        if (i == ARM_TRIES)
            kernel->flush_at = ak_clock_now(); /* the next round looks again */
        if (ak_publish_stalled(kernel) || kernel->flush_at != AK_NEVER ||
            !process->ring)
            return;
    }
}

static void round_trip(struct ak_kernel *kernel) {
    int n_items = 0;
    ak_list_for_each(node, next, &kernel->processes) {
        /* While text waits for its pace nobody needs to wake us for more of it. */
        if (kernel->flush_at == AK_NEVER && !ak_publish_stalled(kernel))
            arm(kernel, ak_list_entry(node, struct ak_process, node));
    }
    ak_stream_tick(kernel);
    zmq_pollitem_t *items = fill(kernel, &n_items);
    if (!items || (zmq_poll(items, n_items, timeout_ms(kernel, ak_clock_now())) < 0 &&
                   errno != EINTR)) {
        ak_error("poll failed: %s", zmq_strerror(items ? errno : ENOMEM));
        kernel->over = true;
        kernel->exit_code = 1;
        return;
    }
    ak_publish_backlog(kernel);
    serve_workers(kernel, items + POLL_N, n_items - POLL_N);
    if (kernel->sessions)
        ak_sessions_look(kernel);
    serve_clients(kernel, items);
    if (items[POLL_DEBUG].revents && items[POLL_DEBUG].fd == ak_debug_fd(kernel))
        ak_debug_serve(kernel);
    if (items[POLL_SIGNAL].revents)
        take_signals(kernel);
    bool parent_ended = kernel->parent_fd >= 0 ? items[POLL_PARENT].revents != 0
                                               : parent_is_gone(kernel);
    if (parent_ended && !kernel->over) {
        ak_info("the process that started this kernel is gone");
        kernel->over = true;
        kernel->exit_code = 1;
    }
    ak_supervisor_tick(kernel, ak_clock_now());
    ak_sessions_tick(kernel, ak_clock_now());
}

/* --- the end -----------------------------------------------------------------------
 */

static void close_kernel(struct ak_kernel *kernel) {
    ak_debug_reset(kernel);
    ak_subshell_forget(kernel, NULL);
    ak_sessions_done(kernel);
    ak_supervisor_done(kernel);
    ak_input_drop(kernel, 0);
    ak_stream_done(kernel);
    ak_publish_done(kernel);
    ak_list_for_each(node, next, &kernel->requests) {
        ak_request_free(kernel, ak_list_entry(node, struct ak_request, link));
    }
    ak_received_done(&kernel->received);
    kernel->channels = ak_channels_free(kernel->channels);
    kernel->author = ak_author_free(kernel->author);
    kernel->replay = ak_replay_free(kernel->replay);
    kernel->signer = ak_signer_free(kernel->signer);
    kernel->requests_by_id = ak_map_free(kernel->requests_by_id);
    ak_buf_done(&kernel->start_failure);
    ak_buf_done(&kernel->poll_items);
    ak_conn_done(&kernel->conn);
    ak_close_clear(&kernel->signal_fd);
    ak_close_clear(&kernel->parent_fd);
}

int ak_kernel_run(const struct ak_kernel_config *config) {
    struct ak_kernel kernel = {
        .config = config,
        .signal_fd = -1,
        .parent_fd = -1,
        .flush_at = AK_NEVER,
        .stalled_since = AK_NEVER,
        .over_at = AK_NEVER,
    };
    ak_list_init(&kernel.processes);
    ak_list_init(&kernel.requests);
    ak_list_init(&kernel.segments);
    ak_list_init(&kernel.backlog);
    ak_list_init(&kernel.questions);
    ak_list_init(&kernel.subshells);
    /* Orphans of the worker become our children, so that none is left behind. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    watch_parent(&kernel);
    int r = block_signals(&kernel.signal_fd);
    if (!r)
        r = open_kernel(&kernel);
    if (!r) {
        ak_publish_status(&kernel, "starting", ak_bytes(NULL, 0));
        while (!kernel.over)
            round_trip(&kernel);
        ak_stream_flush(&kernel, 0);
        ak_publish_last(&kernel);
    } else {
        kernel.exit_code = 1;
    }
    int exit_code = kernel.exit_code;
    close_kernel(&kernel);
    return exit_code;
}

/* SPDX-License-Identifier: MIT */
/*
 * The life of a worker: born before the sockets are bound, so that both starts overlap;
 * watched by SIGCHLD and waitpid, which work everywhere; ended by SHUTDOWN, then
 * SIGTERM, then SIGKILL to its whole process group, each after its grace.
 *
 * Death loses nothing: frames, ring, pipes and faulthandler's words outlive the process
 * and are delivered first; then the cells that ran are told what happened, and every
 * open request gets its reply.
 */
#include "kernel/kernel-private.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "kernel/debug.h"
#include "kernel/subshell.h"
#include "seam/descriptors.h"

AK_LOG_MODULE("supervisor");

#define HELLO_SECONDS 10
#define SIGTERM_MS 2500      /* after SHUTDOWN, for atexit handlers and threads */
#define SIGTERM_HURRY_MS 500 /* after a SIGTERM of ours */
#define SIGKILL_MS 2000      /* after SIGTERM */
#define GROUP_MS 200         /* for the worker's children, once it is gone */
#define LINGER_SECONDS 5     /* after a start that failed */
#define EXIT_MS 300          /* for a front end to read that exit() was called */
#define LOST_MS 1000         /* for a worker without its link to end by itself */
#define FAULT_MAX (64u << 10)

struct birth {
    int at_birth[AK_DESCRIPTOR_N]; /* the worker's ends, by their number in the worker
                                    */
    int out[2];
    int fault;
    int link;
    struct ak_ring_fds ring;
};

static void close_all(int *fds, size_t n) {
    for (size_t i = 0; i < n; i++)
        ak_close_clear(&fds[i]);
}

static int make_pipe(int *ret_read, int *ret_write) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return ak_error_origin(errno);
    *ret_read = fds[0];
    *ret_write = fds[1];
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    return 0;
}

static int prepare(struct birth *birth) {
    int *child = birth->at_birth;
    int r = ak_link_pair(&birth->link, &child[AK_DESCRIPTOR_LINK]);
    if (!r)
        r = ak_ring_create(&birth->ring);
    if (!r)
        r = make_pipe(&birth->out[0], &child[AK_DESCRIPTOR_STDOUT]);
    if (!r)
        r = make_pipe(&birth->out[1], &child[AK_DESCRIPTOR_STDERR]);
    if (!r)
        r = make_pipe(&birth->fault, &child[AK_DESCRIPTOR_FAULT]);
    if (r)
        return r;
    child[AK_DESCRIPTOR_STDIN] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    child[AK_DESCRIPTOR_RING] = fcntl(birth->ring.memory, F_DUPFD_CLOEXEC, 0);
    child[AK_DESCRIPTOR_DATA] = fcntl(birth->ring.data, F_DUPFD_CLOEXEC, 0);
    child[AK_DESCRIPTOR_ROOM] = fcntl(birth->ring.room, F_DUPFD_CLOEXEC, 0);
    child[AK_DESCRIPTOR_LOG] = fcntl(ak_log_fd(), F_DUPFD_CLOEXEC, 0);
    for (int i = 0; i < AK_DESCRIPTOR_N; i++) {
        if (child[i] < 0)
            return ak_error_origin(errno);
    }
    return 0;
}

/* Between fork and exec: descriptors to their numbers, signals as a fresh program
 * expects them, a process group of its own. */
static void become_worker(struct ak_kernel *kernel, struct birth *birth) {
    int far[AK_DESCRIPTOR_N];
    for (int i = 0; i < AK_DESCRIPTOR_N; i++) {
        far[i] = fcntl(birth->at_birth[i], F_DUPFD_CLOEXEC, AK_DESCRIPTOR_N + 1);
        if (far[i] < 0)
            _exit(127);
    }
    for (int i = 0; i < AK_DESCRIPTOR_N; i++) {
        if (dup2(far[i], i) < 0)
            _exit(127);
    }
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(kernel->config->worker_argv[0], kernel->config->worker_argv);
    dprintf(AK_DESCRIPTOR_LOG, "akernel: cannot run %s: %s\n",
            kernel->config->worker_argv[0], strerror(errno));
    _exit(127);
}

static struct ak_process *new_process(struct ak_kernel *kernel) {
    struct ak_process *process = calloc(1, sizeof(*process));
    if (!process)
        return NULL;
    *process = (struct ak_process){
        .pipes = {{.fd = -1, .since = AK_NEVER}, {.fd = -1, .since = AK_NEVER}},
        .fault_fd = -1,
        .sigterm_at = AK_NEVER,
        .sigkill_at = AK_NEVER,
    };
    ak_list_init(&process->node);
    ak_list_append(&kernel->processes, &process->node);
    return process;
}

static int adopt(struct ak_process *process, struct birth *birth, pid_t pid) {
    process->state = AK_WORKER_STARTING;
    process->pid = pid;
    process->started_at = ak_clock_now();
    process->fault_fd = ak_take_fd(&birth->fault);
    for (int i = 0; i < 2; i++)
        process->pipes[i] =
            (struct ak_pipe){.fd = ak_take_fd(&birth->out[i]), .since = AK_NEVER};
    int r = ak_link_new(&process->link, birth->link);
    if (r)
        return ak_error_fold(r);
    birth->link = -1;
    r = ak_ring_new(&process->ring, &birth->ring);
    if (r)
        return ak_error_fold(r);
    birth->ring = (struct ak_ring_fds){-1, -1, -1};
    return 0;
}

static int send_start(struct ak_kernel *kernel, struct ak_process *process,
                      bool respawned) {
    json_auto_t *start = json_object();
    json_t *modes = json_array(); /* borrowed once it is in start */
    json_object_set_new(start, "modes", modes);
    for (size_t i = 0; i < kernel->config->n_modes; i++)
        json_array_append_new(modes, json_string(kernel->config->modes[i]));
    json_object_set_new(start, "seam", json_integer(AK_SEAM_VERSION));
    if (kernel->config->python)
        json_object_set_new(start, "python", json_string(kernel->config->python));
    json_object_set_new(start, "respawned", json_boolean(respawned));
    json_t *arguments = json_array();
    for (size_t i = 0; i < kernel->config->n_arguments; i++)
        json_array_append_new(arguments, json_string(kernel->config->arguments[i]));
    json_object_set_new(start, "arguments", arguments);
    json_object_set_new(start, "session_name", json_string(kernel->conn.session_name));
    json_object_set_new(start, "connection_file",
                        json_string(kernel->conn.path ? kernel->conn.path : ""));
    AK_CLEANUP(ak_freep) char *text = json_dumps(start, JSON_COMPACT);
    if (!text)
        return ak_error_origin(ENOMEM);
    struct ak_bytes part = ak_bytes(text, strlen(text));
    struct ak_frame frame = {
        .type = AK_FRAME_START, .fd = -1, .n_parts = 1, .parts = &part};
    return ak_error_fold(ak_link_enqueue(process->link, &frame));
}

int ak_supervisor_start(struct ak_kernel *kernel, struct ak_world *world,
                        bool respawned) {
    struct ak_process *process = new_process(kernel);
    if (!process)
        return ak_error_origin(ENOMEM);
    struct birth birth = {
        .out = {-1, -1}, .fault = -1, .link = -1, .ring = {-1, -1, -1}};
    memset(birth.at_birth, -1, sizeof(birth.at_birth));
    int r = prepare(&birth);
    pid_t pid = r ? -1 : fork();
    if (pid == 0)
        become_worker(kernel, &birth);
    if (!r && pid < 0)
        r = ak_error_origin(errno);
    if (!r) {
        setpgid(pid, pid); /* whoever comes first of parent and child */
        r = adopt(process, &birth, pid);
    }
    close_all(birth.at_birth, AK_DESCRIPTOR_N);
    close_all(birth.out, 2);
    ak_close_clear(&birth.fault);
    ak_close_clear(&birth.link);
    ak_close_clear(&birth.ring.memory);
    ak_close_clear(&birth.ring.data);
    ak_close_clear(&birth.ring.room);
    world->process = process;
    return r ? r : send_start(kernel, process, respawned);
}

void ak_supervisor_interrupt(struct ak_kernel *kernel) {
    /* Whoever waits for an answer is woken by the signal itself; its question goes with
     * its request. Before HELLO nothing runs that could be interrupted, and no handler
     * is there. */
    ak_list_for_each(node, next, &kernel->processes) {
        struct ak_process *process = ak_list_entry(node, struct ak_process, node);
        if (process->state == AK_WORKER_READY && !process->exited)
            kill(-process->pid, SIGINT);
    }
    ak_debug_interrupted(kernel);
}

void ak_supervisor_restart(struct ak_kernel *kernel, struct ak_world *world) {
    struct ak_process *process = world ? world->process : kernel->world.process;
    if (!process || process->state == AK_WORKER_DEAD)
        return;
    process->restarting = true;
    ak_supervisor_kill(process);
}

void ak_supervisor_kill(struct ak_process *process) {
    if (process->pid)
        kill(-process->pid, SIGKILL);
}

void ak_supervisor_lost(struct ak_kernel *kernel, struct ak_process *process) {
    process->link = ak_link_free(process->link);
    if (kernel->stopping || process->state == AK_WORKER_DEAD)
        return;
    process->lost = true;
    process->sigkill_at = ak_clock_now() + LOST_MS * AK_NS_PER_MS;
}

void ak_supervisor_failed(struct ak_kernel *kernel, struct ak_process *process,
                          const char *why, size_t len) {
    if (process->state == AK_WORKER_DEAD)
        return;
    ak_buf_clear(&kernel->start_failure);
    (void)ak_buf_add(&kernel->start_failure, why, len);
    ak_error("%s", ak_buf_str(&kernel->start_failure));
    process->state = AK_WORKER_DEAD;
    ak_supervisor_kill(process);
    ak_request_fail_all(kernel, process, "KernelStartError",
                        ak_buf_str(&kernel->start_failure), false);
    ak_publish_status(kernel, "dead", ak_bytes(NULL, 0));
    /* Clients that connect only now are told the reason too, before the kernel ends. */
    kernel->exit_code = 1;
    kernel->over_at = ak_clock_now() + LINGER_SECONDS * AK_NS_PER_S;
}

/* --- death -------------------------------------------------------------------------
 */

static void collect_fault(struct ak_process *process) {
    char chunk[4096];
    ssize_t n;
    if (process->fault_fd < 0)
        return;
    while ((n = read(process->fault_fd, chunk, sizeof(chunk))) > 0) {
        if (process->fault_text.len < FAULT_MAX)
            (void)ak_buf_add(&process->fault_text, chunk, (size_t)n);
    }
}

/* Everything that the worker had said before it died, in order. */
static void collect_last_words(struct ak_kernel *kernel, struct ak_process *process) {
    kernel->last_words = true;
    ak_worker_pull(kernel, process, 1 << 20);
    ak_stream_collect(kernel, process, UINT64_MAX);
    for (int i = 0; i < 2; i++)
        ak_stream_drain_pipe(process, i, false);
    ak_stream_settle_pipes(kernel, process, true);
    collect_fault(process);
    ak_stream_flush(kernel, 0);
    kernel->last_words = false;
}

/* Whether a fresh worker takes the place of one that dies. */
static bool goes_on(const struct ak_kernel *kernel, const struct ak_process *process) {
    return kernel->config->respawn || kernel->config->multi || process->restarting;
}

static void describe_death(struct ak_kernel *kernel, const struct ak_process *process,
                           struct ak_buf *text) {
    int status = process->status;
    if (process->restarting) {
        (void)ak_buf_add_str(text, "Python was restarted by akernel.restart()");
    } else if (process->given_up) {
        (void)ak_buf_add_str(text, "Python closed its connection to the kernel: a cell "
                                   "closed descriptors that are not its own, or "
                                   "replaced the program by exec");
    } else if (WIFSIGNALED(status)) {
        int number = WTERMSIG(status);
        const char *name = sigabbrev_np(number);
        (void)ak_buf_addf(text, "Python was killed by SIG%s (%s)", name ? name : "?",
                          strsignal(number));
        if (number == SIGKILL)
            (void)ak_buf_add_str(text, ": by somebody, or by the system for want of "
                                       "memory (the kernel's log tells)");
    } else {
        (void)ak_buf_addf(text,
                          "Python ended by itself with exit code %d (os._exit, or "
                          "a library that gave up)",
                          WEXITSTATUS(status));
    }
    (void)ak_buf_add_str(text, goes_on(kernel, process)
                                   ? ". The kernel goes on with a fresh Python: all "
                                     "variables are lost."
                                   : ". The kernel ends: restart it to go on; all "
                                     "variables are lost.");
    if (process->fault_text.len) {
        (void)ak_buf_add_char(text, '\n');
        (void)ak_buf_add(text, process->fault_text.data, process->fault_text.len);
    }
}

static void release_process(struct ak_process *process) {
    for (int i = 0; i < 2; i++) {
        ak_close_clear(&process->pipes[i].fd);
        ak_buf_done(&process->pipes[i].waiting);
    }
    ak_close_clear(&process->fault_fd);
    ak_buf_done(&process->fault_text);
    process->link = ak_link_free(process->link);
    process->ring = ak_ring_free(process->ring);
    process->ring_damaged = false;
}

static void free_process(struct ak_kernel *kernel, struct ak_process *process) {
    ak_list_for_each(node, next, &kernel->requests) {
        struct ak_request *request = ak_list_entry(node, struct ak_request, link);
        if (request->process == process)
            request->process = NULL;
    }
    release_process(process);
    ak_list_remove(&process->node);
    free(process);
}

/* The worker's group may hold children of the user. They get a moment. */
static void end_group(pid_t group) {
    if (kill(-group, SIGTERM) < 0)
        return;
    uint64_t deadline = ak_clock_now() + GROUP_MS * AK_NS_PER_MS;
    while (ak_clock_now() < deadline && kill(-group, 0) == 0) {
        if (waitpid(-group, NULL, WNOHANG) < 0 && errno == ECHILD)
            break;
        poll(NULL, 0, 5);
    }
    kill(-group, SIGKILL);
    while (waitpid(-group, NULL, WNOHANG) > 0)
        ;
}

static void respawn(struct ak_kernel *kernel, struct ak_process *process) {
    ak_publish_status(kernel, "restarting", ak_bytes(NULL, 0));
    free_process(kernel, process);
    kernel->world.process = NULL;
    if (ak_supervisor_start(kernel, &kernel->world, true) < 0) {
        kernel->over = true;
        kernel->exit_code = 1;
        return;
    }
    ak_sessions_move(kernel, kernel->world.process);
    ak_publish_status(kernel, "starting", ak_bytes(NULL, 0));
    ak_publish_status(kernel, "idle", ak_bytes(NULL, 0));
}

static void died(struct ak_kernel *kernel, struct ak_process *process) {
    int status = process->status;
    collect_last_words(kernel, process);
    ak_debug_forget(kernel, process);
    ak_subshell_forget(kernel, process);
    ak_input_drop_process(kernel, process);
    end_group(process->pid);
    if (process->state == AK_WORKER_STARTING && !kernel->stopping) {
        static const char why[] =
            "the worker ended before Python had started; its last "
            "words are on stderr of the kernel";
        process->pid = 0;
        ak_supervisor_failed(kernel, process, why, sizeof(why) - 1);
        release_process(process);
        return;
    }
    process->pid = 0;
    if (process->state == AK_WORKER_DEAD) {
        release_process(process);
        return;
    }
    AK_BUF_AUTO text = {0};
    describe_death(kernel, process, &text);
    bool expected = kernel->stopping;
    ak_request_fail_all(kernel, process, "DeadKernelError",
                        expected ? "the kernel was shut down" : ak_buf_str(&text),
                        true);
    if (!expected) {
        ak_error("%s", ak_buf_str(&text));
        if (goes_on(kernel, process)) {
            respawn(kernel, process);
            return;
        }
        ak_publish_status(kernel, "dead", ak_bytes(NULL, 0));
        kernel->exit_code = WIFSIGNALED(status)        ? 128 + WTERMSIG(status)
                            : WEXITSTATUS(status) != 0 ? WEXITSTATUS(status)
                                                       : 1;
    }
    process->state = AK_WORKER_DEAD;
    if (kernel->asked_by_cell)
        kernel->over_at = ak_clock_now() + EXIT_MS * AK_NS_PER_MS;
    else
        kernel->over = true;
}

static struct ak_process *find_process(struct ak_kernel *kernel, pid_t pid) {
    ak_list_for_each(node, next, &kernel->processes) {
        struct ak_process *process = ak_list_entry(node, struct ak_process, node);
        if (process->pid == pid)
            return process;
    }
    return NULL;
}

void ak_supervisor_reap(struct ak_kernel *kernel) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct ak_process *process = find_process(kernel, pid);
        if (!process)
            continue; /* a child that the user left behind */
        process->exited = true;
        process->status = status;
        died(kernel, process);
    }
}

/* --- the end -----------------------------------------------------------------------
 */

void ak_supervisor_exit(struct ak_kernel *kernel) {
    kernel->asked_by_cell = !kernel->stopping;
    ak_supervisor_stop(kernel, false);
}

void ak_supervisor_stop(struct ak_kernel *kernel, bool restart) {
    uint64_t now = ak_clock_now();
    struct ak_frame frame = {.type = AK_FRAME_SHUTDOWN, .arg = restart, .fd = -1};
    if (kernel->stopping)
        return;
    kernel->stopping = true;
    ak_input_drop(kernel, 0);
    ak_debug_let_go(kernel);
    bool any = false;
    ak_list_for_each(node, next, &kernel->processes) {
        struct ak_process *process = ak_list_entry(node, struct ak_process, node);
        if (!process->pid || process->state == AK_WORKER_DEAD)
            continue;
        any = true;
        ak_worker_forward(process, &frame);
        process->sigterm_at = now + SIGTERM_MS * AK_NS_PER_MS;
    }
    kernel->over = kernel->over || !any;
}

static void tick_process(struct ak_kernel *kernel, struct ak_process *process,
                         uint64_t now) {
    if (kernel->terminated && process->sigterm_at != AK_NEVER) {
        uint64_t hurry = now + SIGTERM_HURRY_MS * AK_NS_PER_MS;
        process->sigterm_at = hurry < process->sigterm_at ? hurry : process->sigterm_at;
    }
    if (process->pid && now >= process->sigterm_at) {
        kill(-process->pid, SIGTERM);
        process->sigterm_at = AK_NEVER;
        process->sigkill_at = now + SIGKILL_MS * AK_NS_PER_MS;
    }
    if (process->pid && now >= process->sigkill_at) {
        kill(-process->pid, SIGKILL);
        process->given_up = process->lost;
        process->sigkill_at = AK_NEVER;
    }
    if (process->state == AK_WORKER_STARTING &&
        now - process->started_at > HELLO_SECONDS * AK_NS_PER_S) {
        static const char why[] = "Python did not start within 10 s";
        ak_supervisor_failed(kernel, process, why, sizeof(why) - 1);
    }
}

void ak_supervisor_tick(struct ak_kernel *kernel, uint64_t now) {
    kernel->over = kernel->over || now >= kernel->over_at;
    ak_list_for_each(node, next, &kernel->processes) {
        tick_process(kernel, ak_list_entry(node, struct ak_process, node), now);
    }
    kernel->terminated = false;
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

uint64_t ak_supervisor_deadline(const struct ak_kernel *kernel) {
    uint64_t deadline = kernel->over_at;
    ak_list_for_each(node, next, &kernel->processes) {
        struct ak_process *process = ak_list_entry(node, struct ak_process, node);
        deadline = earlier(deadline, earlier(process->sigterm_at, process->sigkill_at));
        if (process->state == AK_WORKER_STARTING)
            deadline = earlier(deadline,
                               process->started_at + HELLO_SECONDS * AK_NS_PER_S + 1);
    }
    return deadline;
}

void ak_supervisor_done(struct ak_kernel *kernel) {
    ak_list_for_each(node, next, &kernel->processes) {
        struct ak_process *process = ak_list_entry(node, struct ak_process, node);
        ak_supervisor_kill(process);
        while (process->pid && waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        free_process(kernel, process);
    }
}

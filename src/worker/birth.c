/* SPDX-License-Identifier: MIT */
/*
 * User code closes, duplicates and inherits low descriptors, so those of the seam move
 * near the top of the soft limit, but not above 1024: a table of descriptors is as long
 * as its highest number, and fork copies it.
 *
 * The worker must not outlive the kernel process, and neither must its children. The
 * death signal is a real-time signal whose handler kills the whole process group; a
 * plain SIGKILL would leave the children. The parent may already be gone when it is
 * asked for, so it is compared with the peer of the link afterwards.
 */
#include "worker/birth.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "seam/descriptors.h"

AK_LOG_MODULE("birth");

#define HIGHEST 1024
#define LOWEST 256

static void die_with_group(int number) {
    kill(0, SIGKILL);
}

static int tie_to_kernel(const struct ak_worker *worker) {
    struct ucred peer;
    socklen_t len = sizeof(peer);
    struct sigaction action = {.sa_handler = die_with_group};
    int number = SIGRTMAX - 1;
    if (getsockopt(ak_link_fd(worker->link), SOL_SOCKET, SO_PEERCRED, &peer, &len) <
            0 ||
        sigaction(number, &action, NULL) < 0 || prctl(PR_SET_PDEATHSIG, number) < 0)
        return ak_error_origin(errno);
    if (getppid() != peer.pid)
        die_with_group(number);
    return 0;
}

/* The worker is the one to go when memory runs out, not the kernel process. */
static void offer_to_oom_killer(void) {
    AK_CLEANUP(ak_closep)
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "300", 3) < 0)
        ak_debug("oom_score_adj stays as it is: %s", strerror(errno));
}

/* A close-on-exec duplicate at or above lowest; the original is closed unless kept. */
static int move(int fd, int lowest, bool keep) {
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, lowest);
    if (moved >= 0 && !keep)
        close(fd);
    return moved;
}

static int lowest_descriptor(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return LOWEST;
    rlim_t top = limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > HIGHEST
                     ? HIGHEST
                     : limit.rlim_cur;
    return top > LOWEST + 64 ? (int)top - 32 : (int)(top / 2);
}

int ak_birth_take_descriptors(struct ak_worker *worker) {
    int lowest = lowest_descriptor();
    int moved[AK_DESCRIPTOR_N];
    for (int fd = AK_DESCRIPTOR_LINK; fd < AK_DESCRIPTOR_N; fd++) {
        moved[fd] = move(fd, lowest, false);
        if (moved[fd] < 0)
            return ak_error_origin(errno);
    }
    ak_log_init(moved[AK_DESCRIPTOR_LOG]);
    worker->fault_fd = moved[AK_DESCRIPTOR_FAULT];
    worker->pipe_fds[0] = move(AK_DESCRIPTOR_STDOUT, lowest, true);
    worker->pipe_fds[1] = move(AK_DESCRIPTOR_STDERR, lowest, true);
    if (worker->pipe_fds[0] < 0 || worker->pipe_fds[1] < 0)
        return ak_error_origin(errno);

    int r = ak_link_new(&worker->link, moved[AK_DESCRIPTOR_LINK]);
    if (r)
        return ak_error_fold(r);
    struct ak_ring_fds fds = {.memory = moved[AK_DESCRIPTOR_RING],
                              .data = moved[AK_DESCRIPTOR_DATA],
                              .room = moved[AK_DESCRIPTOR_ROOM]};
    r = ak_ring_new(&worker->ring, &fds);
    if (r)
        return ak_error_fold(r);
    for (int i = 0; i < 2; i++)
        ak_ring_watch_pipe(worker->ring, i, worker->pipe_fds[i]);
    offer_to_oom_killer();
    return tie_to_kernel(worker);
}

static int parse(struct ak_worker_config *config, json_t *root) {
    const char *python = json_string_value(json_object_get(root, "python"));
    if (python) {
        config->python = strdup(python);
        if (!config->python)
            return ak_error_origin(ENOMEM);
    }
    size_t index;
    json_t *mode; /* borrowed */
    json_array_foreach(json_object_get(root, "modes"), index, mode) {
        const char *name = json_string_value(mode);
        if (name && strcmp(name, "chained") == 0)
            config->chaining = AK_CHAINING_CHAINED;
        else if (name && strcmp(name, "concurrent") == 0)
            config->chaining = AK_CHAINING_CONCURRENT;
        else if (name && strcmp(name, "cache") == 0)
            config->cache = true;
        else if (name && strcmp(name, "react") == 0)
            config->react = true;
        else if (name && strcmp(name, "lazy") == 0)
            config->lazy = true;
        else if (name && strcmp(name, "multi") == 0)
            config->multi = true;
    }
    return 0;
}

int ak_worker_config_parse(struct ak_worker_config *ret_config, struct ak_bytes text) {
    json_auto_t *root = json_loadb(text.data, text.len, 0, NULL);
    if (!root)
        return ak_error_origin(EPROTO);
    json_int_t seam = json_integer_value(json_object_get(root, "seam"));
    if (seam != AK_SEAM_VERSION) {
        ak_error("akernel and akernel-worker are of different versions: install both "
                 "from the same build");
        return ak_error_origin(EPROTO);
    }
    int r = ak_buf_add(&ret_config->facts, text.data, text.len);
    return r ? ak_error_trace(r) : parse(ret_config, root);
}

void ak_worker_config_done(struct ak_worker_config *config) {
    free(config->python);
    ak_buf_done(&config->facts);
    *config = (struct ak_worker_config){0};
}

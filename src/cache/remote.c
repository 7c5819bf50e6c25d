/* SPDX-License-Identifier: MIT */
/*
 * The helper is a grandchild, so that user code that waits for its children does not
 * find it; it lies in a session of its own, so that interrupts do not reach it. It ends
 * when the socket does.
 *
 * User code may close descriptors and get their numbers for others. Before each use the
 * socket is compared with what it was.
 */
#include "cache/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "cache/helper-private.h"
#include "cache/url.h"

#define FD_FROM 400 /* out of the way of user code that counts on low numbers */
#define OPEN_MAX_QUESTIONS 64

struct ak_remote {
    int fd;
    dev_t device;
    ino_t inode;
    pid_t owner;
    unsigned n_open; /* questions without an answer */
    bool ended;      /* the helper is gone */
    uint64_t patience_ns;
    struct ak_buf warning;
};

const char *ak_helper_path(void) {
    const char *path = getenv("AKERNEL_CACHE_HELPER");
    return path && path[0] ? path : NULL;
}

/* --- the process -------------------------------------------------------------------
 */

/* In the grandchild: async-signal-safe calls only. */
static void become_helper(const char *program, char *const *argv, int fd) {
    sigset_t none;
    int null = open("/dev/null", O_RDWR);
    setsid();
    if (fd >= 0 && dup2(fd, AK_HELPER_FD + 1) >= 0)
        (void)dup2(AK_HELPER_FD + 1, AK_HELPER_FD);
    for (int i = 0; i < 3 && null >= 0; i++)
        (void)dup2(null, i);
    (void)close_range(fd >= 0 ? AK_HELPER_FD + 1 : AK_HELPER_FD, ~0u, 0);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(program, argv);
    _exit(127);
}

static int spawn(const char *program, char *const *argv, int fd) {
    /* Without the handlers of pthread_atfork, which would take this for a fork of the
     * user's. */
    pid_t child = _Fork();
    if (child < 0)
        return ak_error_origin(errno);
    if (child == 0) {
        pid_t grandchild = _Fork();
        if (grandchild == 0)
            become_helper(program, argv, fd);
        _exit(grandchild < 0);
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    return 0;
}

/* The store may belong to a process with gigabytes, whose fork would copy their page
 * tables: this one shares them until the program runs, and then detaches by itself. */
int ak_helper_collect(const char *helper, const char *dir) {
    char *argv[] = {(char *)(uintptr_t)helper, (char *)"collect",
                    (char *)(uintptr_t)dir, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t child;
    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawnattr_init(&attributes))
        return ak_error_origin(ENOMEM);
    if (posix_spawn_file_actions_init(&actions)) {
        posix_spawnattr_destroy(&attributes);
        return ak_error_origin(ENOMEM);
    }
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    int r = 0;
    for (int fd = 0; fd < 3 && !r; fd++)
        r = posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    if (!r)
        r = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (!r)
        r = posix_spawn(&child, helper, &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (r)
        return ak_error_origin(r);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    return 0;
}

static int add_field(struct ak_buf *buf, const char *text) {
    return ak_buf_add(buf, text ? text : "", text ? strlen(text) + 1 : 1);
}

static int send_config(int fd, const struct ak_remote_config *config) {
    AK_BUF_AUTO packet = {0};
    int r = add_field(&packet, config->dir);
    if (!r)
        r = add_field(&packet, config->url);
    if (!r)
        r = add_field(&packet, config->user_path);
    if (!r)
        r = add_field(&packet, config->team_path);
    if (!r && packet.len > AK_HELPER_CONFIG_MAX)
        r = -ENAMETOOLONG;
    if (!r && send(fd, packet.data, packet.len, MSG_NOSIGNAL) < 0)
        r = -errno;
    return r;
}

static int start(struct ak_remote *remote, const struct ak_remote_config *config) {
    AK_CLEANUP(ak_closep) int theirs = -1;
    AK_CLEANUP(ak_closep) int ours = -1;
    char *argv[] = {(char *)(uintptr_t)config->helper, (char *)"serve", NULL};
    int pair[2];
    struct stat st;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return ak_error_origin(errno);
    ours = pair[0];
    theirs = pair[1];
    remote->fd = fcntl(ours, F_DUPFD_CLOEXEC, FD_FROM);
    if (remote->fd < 0)
        remote->fd = ak_take_fd(&ours);
    if (fstat(remote->fd, &st) < 0)
        return ak_error_origin(errno);
    remote->device = st.st_dev;
    remote->inode = st.st_ino;
    remote->owner = getpid();
    int r = send_config(remote->fd, config);
    return r ? ak_error_origin(r) : spawn(config->helper, argv, theirs);
}

int ak_remote_new(struct ak_remote **ret_remote, const struct ak_remote_config *config,
                  struct ak_buf *ret_message) {
    AK_CLEANUP(ak_remote_freep) struct ak_remote *remote = calloc(1, sizeof(*remote));
    AK_CLEANUP(ak_url_done) struct ak_url url = {0};
    if (!remote)
        return ak_error_origin(ENOMEM);
    remote->fd = -1;
#ifndef AK_WITH_REDIS
    (void)ak_buf_add_str(ret_message, "this akernel was built without hiredis, so it "
                                      "has no shared cache");
    return AK_REMOTE_E_REFUSED;
#endif
    if (ak_url_parse(&url, config->url, ret_message) < 0)
        return AK_REMOTE_E_REFUSED;
    if (!config->helper || access(config->helper, X_OK) < 0) {
        (void)ak_buf_add_str(ret_message, "the program that speaks to a shared cache, "
                                          "akernel-cache, is missing: install akernel "
                                          "again, with hiredis and OpenSSL");
        return AK_REMOTE_E_REFUSED;
    }
    int r = start(remote, config);
    if (r)
        return ak_error_trace(r);
    *ret_remote = AK_TAKE(remote);
    return 0;
}

/* Whether the socket is still the one that was made. */
static bool is_ours(const struct ak_remote *remote) {
    struct stat st;
    return remote->fd >= 0 && remote->owner == getpid() &&
           fstat(remote->fd, &st) == 0 && st.st_dev == remote->device &&
           st.st_ino == remote->inode;
}

struct ak_remote *ak_remote_free(struct ak_remote *remote) {
    if (!remote)
        return NULL;
    if (is_ours(remote))
        close(remote->fd);
    ak_buf_done(&remote->warning);
    free(remote);
    return NULL;
}

/* --- talking -----------------------------------------------------------------------
 */

static bool say(struct ak_remote *remote, enum ak_helper_verb verb,
                const struct ak_digest *key, const struct ak_digest *entry) {
    struct ak_helper_packet packet = {.verb = (uint8_t)verb, .key = *key};
    if (entry)
        packet.entry = *entry;
    return is_ours(remote) &&
           send(remote->fd, &packet, AK_HELPER_SHORT, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* Takes one packet if there is one. */
static bool hear(struct ak_remote *remote, struct ak_helper_packet *ret_packet) {
    *ret_packet = (struct ak_helper_packet){0};
    ssize_t n = recv(remote->fd, ret_packet, sizeof(*ret_packet), MSG_DONTWAIT);
    if (n == 0 && !remote->ended) {
        remote->ended = true;
        (void)ak_buf_add_str(&remote->warning,
                             "the program that speaks to the shared cache, "
                             "akernel-cache, ended: only the cache on this machine is "
                             "used");
    }
    if (n < (ssize_t)AK_HELPER_SHORT)
        return false;
    if (ret_packet->verb == AK_HELPER_FETCHED && remote->n_open)
        remote->n_open--;
    if (ret_packet->verb == AK_HELPER_WARNING) {
        ret_packet->text[AK_HELPER_TEXT_MAX - 1] = '\0';
        if (!remote->warning.len)
            (void)ak_buf_add_str(&remote->warning, ret_packet->text);
    }
    return true;
}

static void hear_all(struct ak_remote *remote) {
    struct ak_helper_packet packet;
    while (!remote->ended && is_ours(remote) && hear(remote, &packet))
        ;
}

/* Waits for the answer about this key as long as the patience lasts. */
static bool wait_for(struct ak_remote *remote, const struct ak_digest *key) {
    uint64_t begin = ak_clock_now();
    bool found = false, answered = false;
    while (!answered) {
        struct ak_helper_packet packet;
        uint64_t waited = ak_clock_now() - begin;
        struct pollfd pfd = {.fd = remote->fd, .events = POLLIN};
        if (waited >= remote->patience_ns)
            break;
        int left = (int)((remote->patience_ns - waited) / AK_NS_PER_MS);
        int n = poll(&pfd, 1, left);
        if (n < 0 && errno != EINTR)
            break;
        if (n > 0 && !hear(remote, &packet))
            break; /* the helper is gone */
        answered = n > 0 && packet.verb == AK_HELPER_FETCHED &&
                   ak_digest_equal(&packet.key, key);
        found = answered && packet.found;
    }
    uint64_t waited = ak_clock_now() - begin;
    remote->patience_ns -= waited < remote->patience_ns ? waited : remote->patience_ns;
    return found;
}

void ak_remote_begin(struct ak_remote *remote) {
    remote->patience_ns = AK_REMOTE_PATIENCE_MS * AK_NS_PER_MS;
}

bool ak_remote_fetch(struct ak_remote *remote, const struct ak_digest *key) {
    hear_all(remote);
    bool waits = remote->n_open == 0;
    if (remote->ended || remote->n_open >= OPEN_MAX_QUESTIONS ||
        !say(remote, AK_HELPER_FETCH, key, NULL))
        return false;
    remote->n_open++;
    return waits && wait_for(remote, key);
}

void ak_remote_offer(struct ak_remote *remote, const struct ak_digest *key) {
    (void)say(remote, AK_HELPER_OFFER, key, NULL);
}

void ak_remote_offer_variant(struct ak_remote *remote, const struct ak_digest *key,
                             const struct ak_digest *entry) {
    (void)say(remote, AK_HELPER_OFFER_VARIANT, key, entry);
}

bool ak_remote_take_warning(struct ak_remote *remote, struct ak_buf *ret_text) {
    hear_all(remote);
    if (!remote->warning.len)
        return false;
    int r = ak_buf_add(ret_text, remote->warning.data, remote->warning.len);
    ak_buf_clear(&remote->warning);
    return r == 0;
}

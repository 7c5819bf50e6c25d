/* SPDX-License-Identifier: MIT */
/* A store beside kills and beside disks that refuse. Exit 77 is a skip, with the reason
 * on stderr, where the machine does not let a test make the fault. */
#include "unit/test.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cache/evict.h"
#include "cache/store.h"
#include "unit/cache/world.h"

#define SKIPPED 77
#define NAMELESS 020000000 /* the bit of O_TMPFILE that is its own */

static struct ak_store *new_store(const struct world *world) {
    AK_BUF_AUTO reason = {0};
    struct ak_store *store = NULL;
    struct ak_store_config config = {.dir = world->store};
    if (ak_store_new(&store, &config, world->ring, &reason))
        fprintf(stderr, "%s\n", ak_buf_str(&reason));
    assert(store);
    return store;
}

static struct ak_digest name(unsigned number) {
    struct ak_digest digest = {{0}};
    digest.bytes[0] = (unsigned char)number;
    return digest;
}

static int put(struct ak_store *store, unsigned number, char version, bool replace,
               struct ak_buf *reason) {
    char *bytes = world_bytes(70000, (uint64_t)version);
    struct ak_digest key = name(number);
    struct ak_bytes buffers[] = {ak_bytes(bytes, 70000), ak_bytes(bytes, 66000),
                                 ak_bytes(bytes, 100)};
    struct ak_entry entry = {
        .body = ak_bytes(&version, 1), .buffers = buffers, .n_buffers = 3};
    int r = ak_store_put(store, &key, &entry, replace, NULL, reason);
    free(bytes);
    return r;
}

/* The version that is stored and whole, or 0 for none; anything else is a failure. */
static char whole_version(struct ak_store *store, unsigned number) {
    AK_BUF_AUTO reason = {0};
    struct ak_digest key = name(number);
    struct ak_loaded loaded;
    if (ak_store_get(store, &key, &loaded, &reason)) {
        if (reason.len)
            fprintf(stderr, "%s\n", ak_buf_str(&reason));
        assert(reason.len == 0);
        return 0;
    }
    char version = *(char *)loaded.body.data;
    char *bytes = world_bytes(70000, (uint64_t)version);
    assert(memcmp(loaded.buffers[0].data, bytes, 70000) == 0);
    assert(memcmp(loaded.buffers[1].data, bytes, 66000) == 0);
    assert(memcmp(loaded.buffers[2].data, bytes, 100) == 0);
    free(bytes);
    ak_loaded_done(&loaded);
    return version;
}

static size_t n_temporary;

static int count_temporary(const char *path, const struct stat *st, int type,
                           struct FTW *ftw) {
    (void)st, (void)type;
    n_temporary += strncmp(path + ftw->base, ".tmp-", 5) == 0;
    return 0;
}

/* --- faults ------------------------------------------------------------------------
 */

static void skip(const char *why) {
    fprintf(stderr, "skipped: %s: %s\n", why, strerror(errno));
    exit(SKIPPED);
}

/* From now on these calls fail in this process: openat with one of the flags, others
 * always. */
static void forbid(int number, unsigned flags, int error) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, flags ? ~0u : 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    if (!flags) /* whatever the arguments are */
        filter[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                 (unsigned)number, 3, 4);
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        skip("seccomp is not to be had");
}

static void finish(pid_t pid) {
    int status;
    assert(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
        exit(SKIPPED);
    assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* --- kill -9 -----------------------------------------------------------------------
 */

/* Runs a put in a child that is killed at its nth stop before or after a system call.
 * False when it came to its end before. */
static bool killed_at(const struct world *world, unsigned nth, bool replace,
                      bool named) {
    pid_t pid = fork();
    if (pid == 0) {
        AK_BUF_AUTO reason = {0};
        struct ak_store *store = new_store(world);
        if (named)
            forbid(SYS_openat, NAMELESS, EOPNOTSUPP);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            skip("ptrace is not to be had");
        raise(SIGSTOP);
        assert(put(store, 1, 'b', replace, &reason) == 0);
        _exit(0);
    }
    int status;
    for (unsigned i = 0;; i++) {
        assert(waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status)) {
            if (WEXITSTATUS(status) == SKIPPED)
                exit(SKIPPED);
            assert(WEXITSTATUS(status) == 0);
            return false;
        }
        if (i == nth) {
            kill(pid, SIGKILL);
            assert(waitpid(pid, &status, 0) == pid);
            return true;
        }
        assert(WIFSTOPPED(status));
        assert(ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0);
    }
}

/* The same key in every world, so that the names of objects, the directories that they
 * need and so the system calls are the same every time. */
static void fix_key(struct world *world) {
    AK_BUF_AUTO message = {0};
    struct ak_keyring_config config = {.user_path = world->key};
    world->ring = ak_keyring_free(world->ring);
    world_write(world->key, "0123456789abcdef0123456789abcdef", 32, 0600);
    assert(ak_keyring_new(&world->ring, &config, &message) == 0);
}

static void kill_everywhere(bool replace, bool named) {
    struct world world;
    AK_BUF_AUTO reason = {0};
    unsigned nth = 0, n_old = 0, n_new = 0;
    for (bool killed = true; killed; nth++) {
        world_init(&world);
        fix_key(&world);
        AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
        if (replace)
            assert(put(store, 1, 'a', false, &reason) == 0);
        killed = killed_at(&world, nth, replace, named);
        char version = whole_version(store, 1);
        assert(version == (replace ? 'a' : 0) || version == 'b');
        n_old += version != 'b';
        n_new += version == 'b';
        n_temporary = 0;
        assert(nftw(world.store, count_temporary, 16, FTW_PHYS) == 0);
        assert(n_temporary <= (named || replace ? 2 : 0));
        /* And life goes on. */
        assert(put(store, 1, 'c', true, &reason) == 0);
        assert(whole_version(store, 1) == 'c');
        world_done(&world);
    }
    assert(n_old > 20 && n_new > 1);
}

static void kill_a_put(void) {
    kill_everywhere(false, false);
}

static void kill_a_replacement(void) {
    kill_everywhere(true, false);
}

static void kill_with_named_files(void) {
    kill_everywhere(false, true);
}

/* --- file systems that cannot ------------------------------------------------------
 */

static void no_nameless_files(void) {
    struct world world;
    world_init(&world);
    pid_t pid = fork();
    if (pid == 0) {
        AK_BUF_AUTO reason = {0};
        AK_CLEANUP(ak_store_freep) struct ak_store *store = NULL;
        forbid(SYS_openat, NAMELESS, EOPNOTSUPP);
        store = new_store(&world);
        assert(put(store, 1, 'a', false, &reason) == 0);
        assert(put(store, 1, 'b', false, &reason) == 0);
        assert(whole_version(store, 1) == 'a');
        assert(put(store, 1, 'b', true, &reason) == 0);
        assert(whole_version(store, 1) == 'b');
        _exit(0);
    }
    finish(pid);
    n_temporary = 0;
    assert(nftw(world.store, count_temporary, 16, FTW_PHYS) == 0);
    assert(n_temporary == 0);
    world_done(&world);
}

static void no_hard_links(void) {
    struct world world;
    world_init(&world);
    pid_t pid = fork();
    if (pid == 0) {
        AK_BUF_AUTO reason = {0};
        AK_CLEANUP(ak_store_freep) struct ak_store *store = NULL;
        forbid(SYS_openat, NAMELESS, EOPNOTSUPP);
        forbid(SYS_linkat, 0, EPERM);
#ifdef SYS_link
        forbid(SYS_link, 0, EPERM);
#endif
        store = new_store(&world);
        assert(put(store, 1, 'a', false, &reason) == 0);
        assert(whole_version(store, 1) == 'a');
        _exit(0);
    }
    finish(pid);
    world_done(&world);
}

/* One refusal, and nothing is tried again; what is there can still be read. */
static void refused_put(int number, unsigned flags, int error) {
    struct world world;
    world_init(&world);
    pid_t pid = fork();
    if (pid == 0) {
        AK_BUF_AUTO reason = {0};
        AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
        assert(put(store, 1, 'a', false, &reason) == 0);
        forbid(number, flags, error);
        assert(put(store, 2, 'b', false, &reason) == AK_STORE_E_REFUSED);
        assert(strstr(ak_buf_str(&reason), strerror(error)));
        assert(strstr(ak_buf_str(&reason), world.store));
        assert(!ak_store_usable(store));
        ak_buf_clear(&reason);
        assert(put(store, 3, 'b', false, &reason) == AK_STORE_E_REFUSED);
        assert(reason.len);
        assert(whole_version(store, 1) == 'a');
        assert(whole_version(store, 2) == 0);
        _exit(0);
    }
    finish(pid);
    world_done(&world);
}

static void disks_that_refuse(void) {
    static const int errors[] = {ENOSPC, EROFS, EACCES, EIO, EDQUOT, EPERM};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        refused_put(SYS_openat, O_WRONLY, errors[i]);
        refused_put(SYS_write, 0, errors[i]);
        if (errors[i] != EPERM)
            refused_put(SYS_linkat, 0, errors[i]);
    }
}

static void too_many_open_files(void) {
    struct world world;
    world_init(&world);
    AK_BUF_AUTO reason = {0};
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    int fds[2000];
    size_t n = 0;
    while (n < 2000 && (fds[n] = open("/dev/null", O_RDONLY)) >= 0)
        n++;
    if (n < 2000) {
        assert(put(store, 1, 'a', false, &reason) == AK_STORE_E_REFUSED);
        assert(ak_store_usable(store));
    }
    while (n)
        close(fds[--n]);
    ak_buf_clear(&reason);
    assert(put(store, 1, 'a', false, &reason) == 0);
    world_done(&world);
}

/* --- real file systems -------------------------------------------------------------
 */

static void mount_small(const char *dir) {
    assert(mkdir(dir, 0700) == 0 || errno == EEXIST);
    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        skip("there is no mount namespace to be had");
    (void)mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
    if (mount("akernel-test", dir, "tmpfs", 0, "size=1m,mode=0700") < 0)
        skip("tmpfs cannot be mounted");
}

static void full_disk(void) {
    struct world world;
    world_init(&world);
    pid_t pid = fork();
    if (pid == 0) {
        AK_BUF_AUTO reason = {0};
        mount_small(world.store);
        AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
        unsigned n = 0;
        while (put(store, n, (char)('a' + n), false, &reason) == 0)
            n++;
        assert(n > 3 && n < 10);
        assert(strstr(ak_buf_str(&reason), strerror(ENOSPC)));
        for (unsigned i = 0; i <= n; i++)
            assert(whole_version(store, i) == (i < n ? (char)('a' + i) : 0));
        /* A fresh session, with room again. */
        assert(ak_store_clear(store) == 0);
        AK_CLEANUP(ak_store_freep) struct ak_store *fresh = new_store(&world);
        assert(put(fresh, 1, 'x', false, &reason) == 0);
        assert(whole_version(fresh, 1) == 'x');
        _exit(0);
    }
    finish(pid);
    world_done(&world);
}

static void read_only_file_system(void) {
    struct world world;
    world_init(&world);
    pid_t pid = fork();
    if (pid == 0) {
        AK_BUF_AUTO reason = {0};
        mount_small(world.store);
        AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
        assert(put(store, 1, 'a', false, &reason) == 0);
        if (mount("akernel-test", world.store, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
            skip("tmpfs cannot be made read-only");
        AK_CLEANUP(ak_store_freep) struct ak_store *fresh = new_store(&world);
        assert(whole_version(fresh, 1) == 'a');
        assert(put(fresh, 2, 'b', false, &reason) == AK_STORE_E_REFUSED);
        assert(strstr(ak_buf_str(&reason), strerror(EROFS)));
        assert(whole_version(fresh, 1) == 'a');
        _exit(0);
    }
    finish(pid);
    world_done(&world);
}

static const struct ak_test tests[] = {
    {"kill-a-put", kill_a_put},
    {"kill-a-replacement", kill_a_replacement},
    {"kill-with-named-files", kill_with_named_files},
    {"no-nameless-files", no_nameless_files},
    {"no-hard-links", no_hard_links},
    {"disks-that-refuse", disks_that_refuse},
    {"too-many-open-files", too_many_open_files},
    {"full-disk", full_disk},
    {"read-only-file-system", read_only_file_system},
};
AK_TEST_MAIN(tests)

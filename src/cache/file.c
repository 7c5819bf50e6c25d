/* SPDX-License-Identifier: MIT */
/*
 * A mapping of a file that turns out to be shorter, or on a broken disk, kills the
 * process that touches it. So the pages are faulted in by madvise first, which reports
 * what a touch would have died of. Kernels before 5.14 cannot; there the length was
 * checked at least.
 */
#include "cache/file-private.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAP_FROM (64u << 10)
#define NAME_TRIES 16

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

static int directory_of(const char *path, struct ak_buf *ret_dir) {
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    return slash ? ak_buf_add(ret_dir, path, len ? len : 1)
                 : ak_buf_add_str(ret_dir, ".");
}

/* A name beside path that nobody has. */
static int temporary_name(const char *path, struct ak_buf *ret_name) {
    unsigned char random[12];
    char hex[2 * sizeof(random) + 1];
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(hex, sizeof(hex), random, sizeof(random));
    ak_buf_clear(ret_name);
    int r = directory_of(path, ret_name);
    return r ? r : ak_buf_addf(ret_name, "/%s%s", AK_FILE_TEMPORARY, hex);
}

static int open_named(struct ak_file *file, mode_t mode) {
    for (int i = 0; i < NAME_TRIES; i++) {
        int r = temporary_name(ak_buf_str(&file->path), &file->temporary);
        if (r)
            return r;
        file->fd = open(ak_buf_str(&file->temporary),
                        O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (file->fd >= 0 || errno != EEXIST)
            break;
    }
    if (file->fd >= 0)
        return 0;
    int error = errno;
    ak_buf_clear(&file->temporary);
    return -error;
}

int ak_file_new(struct ak_file *file, const char *path, mode_t mode) {
    AK_BUF_AUTO dir = {0};
    *file = (struct ak_file){.fd = -1};
    int r = ak_buf_add_str(&file->path, path);
    if (!r)
        r = directory_of(path, &dir);
    if (r)
        return r;
    file->fd = open(ak_buf_str(&dir), O_WRONLY | O_TMPFILE | O_CLOEXEC, mode);
    if (file->fd >= 0)
        return 0;
    /* The kernel says EISDIR where it does not know the flag, file systems EOPNOTSUPP
     * where they do not, and some network ones EINVAL or ENOENT. */
    r = -errno;
    return r == -EACCES || r == -EROFS || r == -ENOSPC ? r : open_named(file, mode);
}

int ak_file_write(struct ak_file *file, const void *data, size_t len) {
    const char *p = data;
    while (len) {
        ssize_t n = write(file->fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Links the nameless file to a name. */
static int link_to(const struct ak_file *file, const char *name) {
    char self[32];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
    if (linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0 ||
        (errno == ENOENT && linkat(file->fd, "", AT_FDCWD, name, AT_EMPTY_PATH) == 0))
        return 0;
    return -errno;
}

/* Gives a nameless file its temporary name, from where it can be moved. */
static int name_it(struct ak_file *file) {
    for (int i = 0; i < NAME_TRIES; i++) {
        int r = temporary_name(ak_buf_str(&file->path), &file->temporary);
        if (!r)
            r = link_to(file, ak_buf_str(&file->temporary));
        if (!r)
            return 0;
        ak_buf_clear(&file->temporary);
        if (r != -EEXIST)
            return r;
    }
    return -EEXIST;
}

int ak_file_commit(struct ak_file *file, bool replace) {
    const char *path = ak_buf_str(&file->path);
    int r = 0;
    if (!file->temporary.len && !replace)
        return link_to(file, path);
    if (!file->temporary.len)
        r = name_it(file);
    if (r)
        return r;
    const char *temporary = ak_buf_str(&file->temporary);
    if (replace) {
        r = rename(temporary, path) < 0 ? -errno : 0;
    } else if (link(temporary, path) < 0) {
        r = -errno;
        /* Without hard links: moving is as whole, but may replace an equal file. */
        if (r == -EPERM || r == -EOPNOTSUPP)
            r = rename(temporary, path) < 0 ? -errno : 0;
    } else {
        unlink(temporary);
    }
    if (!r)
        ak_buf_clear(&file->temporary);
    return r;
}

void ak_file_drop(struct ak_file *file) {
    if (file->temporary.len)
        unlink(ak_buf_str(&file->temporary));
    ak_close_clear(&file->fd);
    ak_buf_done(&file->path);
    ak_buf_done(&file->temporary);
}

int ak_file_make_parents(const char *path, mode_t mode) {
    AK_BUF_AUTO copy = {0};
    if (ak_buf_add_str(&copy, path))
        return -ENOMEM;
    for (char *p = copy.len ? copy.data + 1 : NULL; p && (p = strchr(p, '/')); p++) {
        *p = '\0';
        if (mkdir(copy.data, mode) < 0 && errno != EEXIST) {
            int error = errno; /* of mkdir, whatever else is tried */
            if (access(copy.data, F_OK) < 0)
                return -error;
        }
        *p = '/';
    }
    return 0;
}

const char *ak_file_home(void) {
    const char *home = getenv("HOME");
    if (home && home[0] == '/')
        return home;
    const struct passwd *user = getpwuid(geteuid()); /* borrowed from libc */
    return user && user->pw_dir && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
}

static int load_short(int fd, size_t len, struct ak_buffer *ret_buffer) {
    AK_CLEANUP(ak_freep) char *data = aligned_alloc(64, (len + 64) & ~(size_t)63);
    if (!data)
        return -ENOMEM;
    for (size_t got = 0; got < len;) {
        ssize_t n = pread(fd, data + got, len - got, (off_t)got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        got += (size_t)n;
    }
    *ret_buffer = (struct ak_buffer){.data = AK_TAKE(data), .len = len};
    return 0;
}

static int load_mapped(int fd, size_t len, struct ak_buffer *ret_buffer) {
    void *data = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return -errno;
    int r = madvise(data, len, MADV_POPULATE_READ) < 0 ? -errno : 0;
    while (r == -EINTR || r == -EAGAIN)
        r = madvise(data, len, MADV_POPULATE_READ) < 0 ? -errno : 0;
    if (r && r != -EINVAL) {
        munmap(data, len);
        return -EIO;
    }
    *ret_buffer = (struct ak_buffer){.data = data, .len = len, .mapped = true};
    return 0;
}

int ak_file_load(const char *path, off_t expected, struct ak_buffer *ret_buffer) {
    AK_CLEANUP(ak_closep)
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || (expected >= 0 && st.st_size != expected))
        return -EFBIG;
    return (size_t)st.st_size < MAP_FROM
               ? load_short(fd, (size_t)st.st_size, ret_buffer)
               : load_mapped(fd, (size_t)st.st_size, ret_buffer);
}

/* SPDX-License-Identifier: MIT */
/*
 * The directory's name can be guessed by others on the machine, so it is used only when
 * it is a directory of ours that nobody else may write to.
 */
#include "kernel/cellfiles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/murmur.h"

#define FILE_MAX (64u << 20)

int ak_cellfiles_prefix(pid_t pid, struct ak_buf *ret_prefix) {
    return ak_buf_addf(ret_prefix, "/tmp/akernel_%d/", (int)pid);
}

/* Opens the directory, which is made when make is set. -errno when there is none of
 * ours. */
static int open_directory(pid_t pid, bool make) {
    AK_BUF_AUTO path = {0};
    struct stat st;
    if (ak_cellfiles_prefix(pid, &path))
        return -ENOMEM;
    path.data[--path.len] = '\0'; /* with its slash a symbolic link would be followed */
    if (make && mkdir(path.data, 0700) < 0 && errno != EEXIST)
        return -errno;
    int fd = open(path.data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022)) {
        close(fd);
        return -EPERM;
    }
    return fd;
}

static int write_all(int fd, struct ak_bytes text) {
    const char *p = text.data;
    size_t left = text.len;
    while (left > 0) {
        ssize_t n = write(fd, p, left);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            p += n;
            left -= (size_t)n;
        }
    }
    return 0;
}

int ak_cellfiles_dump(pid_t pid, struct ak_bytes source, struct ak_buf *ret_path) {
    char name[32];
    uint32_t hash = ak_murmur2(source.data, source.len, AK_MURMUR_CELL_SEED);
    (void)snprintf(name, sizeof(name), "%u.py", (unsigned)hash);
    AK_CLEANUP(ak_closep) int directory = open_directory(pid, true);
    if (directory < 0)
        return directory;
    AK_CLEANUP(ak_closep)
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, source);
    if (!r)
        r = ak_cellfiles_prefix(pid, ret_path);
    return r ? r : ak_buf_add_str(ret_path, name);
}

int ak_cellfiles_read(const char *path, struct ak_buf *ret_text) {
    struct stat st;
    AK_CLEANUP(ak_closep) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return -EINVAL;
    if (st.st_size > FILE_MAX)
        return -EFBIG;
    for (;;) {
        if (ret_text->len > FILE_MAX || ak_buf_reserve(ret_text, 65536))
            return -EFBIG;
        ssize_t n = read(fd, ret_text->data + ret_text->len, 65536);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        if (n > 0) {
            ret_text->len += (size_t)n;
            ret_text->data[ret_text->len] = '\0';
        }
    }
}

void ak_cellfiles_remove(pid_t pid) {
    AK_BUF_AUTO path = {0};
    int fd = open_directory(pid, false);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory)
        return;
    const struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (entry->d_name[0] != '.')
            (void)unlinkat(fd, entry->d_name, 0);
    }
    closedir(directory);
    if (ak_cellfiles_prefix(pid, &path) == 0)
        (void)rmdir(path.data);
}

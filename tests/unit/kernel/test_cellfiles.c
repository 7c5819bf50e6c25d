/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/cellfiles.h"

/* No process has this number, so no kernel has this directory. */
#define PID ((pid_t)(1 << 30) + getpid())

static void dumps_and_reads(void) {
    AK_BUF_AUTO prefix = {0};
    AK_BUF_AUTO path = {0};
    AK_BUF_AUTO text = {0};
    struct stat st;
    assert(ak_cellfiles_prefix(PID, &prefix) == 0);
    assert(ak_cellfiles_dump(PID, ak_bytes("print(1)", 8), &path) == 0);
    assert(strncmp(path.data, prefix.data, prefix.len) == 0);
    assert(strcmp(path.data + prefix.len, "3773950048.py") == 0);
    assert(stat(prefix.data, &st) == 0 && (st.st_mode & 0777) == 0700);
    assert(stat(path.data, &st) == 0 && (st.st_mode & 0777) == 0600);
    assert(ak_cellfiles_read(path.data, &text) == 0);
    assert(strcmp(text.data, "print(1)") == 0);
    ak_cellfiles_remove(PID);
    assert(stat(prefix.data, &st) < 0 && errno == ENOENT);
    ak_cellfiles_remove(PID);
}

/* Somebody else made the directory first, or a link in its place. */
static void refuses_a_foreign_directory(void) {
    AK_BUF_AUTO prefix = {0};
    AK_BUF_AUTO path = {0};
    assert(ak_cellfiles_prefix(PID, &prefix) == 0);
    prefix.data[prefix.len - 1] = '\0';
    assert(symlink("/tmp", prefix.data) == 0);
    assert(ak_cellfiles_dump(PID, ak_bytes("x", 1), &path) < 0);
    ak_cellfiles_remove(PID);
    assert(unlink(prefix.data) == 0);
    assert(mkdir(prefix.data, 0700) == 0 && chmod(prefix.data, 0777) == 0);
    assert(ak_cellfiles_dump(PID, ak_bytes("x", 1), &path) == -EPERM);
    assert(rmdir(prefix.data) == 0);
}

static void reads_only_files(void) {
    AK_BUF_AUTO text = {0};
    assert(ak_cellfiles_read("/no/such/file", &text) == -ENOENT);
    assert(ak_cellfiles_read("/dev/zero", &text) == -EINVAL);
    assert(ak_cellfiles_read("/tmp", &text) == -EINVAL);
    assert(text.len == 0);
}

static const struct ak_test tests[] = {
    {"dumps-and-reads", dumps_and_reads},
    {"refuses-a-foreign-directory", refuses_a_foreign_directory},
    {"reads-only-files", reads_only_files},
};

AK_TEST_MAIN(tests)

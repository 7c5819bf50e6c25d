/* SPDX-License-Identifier: MIT */
/*
 * Where a store is, and whether it may be there. The directory is the user's and closed
 * to others: what cells computed is theirs. One that is open and empty, or ours, is
 * closed; one that holds other things is not touched, because closing it could lock
 * others out of what they use.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "cache/store-private.h"

static const char tag[] =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This file marks a cache of akernel (https://bford.info/cachedir/).\n"
    "# Everything here can be deleted; \"akernel cache clear\" does it.\n";

int ak_store_default_dir(struct ak_buf *ret_dir) {
    const char *given = getenv("AKERNEL_CACHE_DIR");
    const char *xdg = getenv("XDG_CACHE_HOME");
    if (given && given[0])
        return ak_buf_add_str(ret_dir, given);
    if (xdg && xdg[0] == '/')
        return ak_buf_addf(ret_dir, "%s/akernel", xdg);
    const char *home = ak_file_home();
    return home ? ak_buf_addf(ret_dir, "%s/.cache/akernel", home)
                : ak_buf_addf(ret_dir, "/tmp/akernel-cache-%d", (int)geteuid());
}

static int refuse(struct ak_buf *reason, const char *dir, const char *why) {
    (void)ak_buf_addf(reason, "the cache directory %s %s", dir, why);
    return AK_STORE_E_REFUSED;
}

/* Whether it holds nothing, or has our tag. */
static bool ours_to_close(const char *dir) {
    AK_BUF_AUTO path = {0};
    if (ak_buf_addf(&path, "%s/CACHEDIR.TAG", dir) == 0 &&
        access(ak_buf_str(&path), F_OK) == 0)
        return true;
    DIR *stream = opendir(dir);
    bool empty = stream != NULL;
    struct dirent *entry;
    while (empty && (entry = readdir(stream)))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (stream)
        closedir(stream);
    return empty;
}

static int check(const char *dir, struct ak_buf *reason) {
    struct stat st;
    if (stat(dir, &st) < 0)
        return refuse(reason, dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return refuse(reason, dir, "is not a directory");
    if (st.st_uid != geteuid())
        return refuse(reason, dir, "belongs to somebody else: choose another one");
    if ((st.st_mode & 077) == 0)
        return 0;
    if (!ours_to_close(dir))
        return refuse(reason, dir,
                      "is open to others and holds other things: choose an empty one, "
                      "or close it with chmod 700");
    if (chmod(dir, 0700) < 0)
        return refuse(reason, dir, "is open to others and cannot be closed");
    return 0;
}

/* Writes a small file unless it is there. What fails is seen by the first put. */
static void mark(const struct ak_store *store, const char *name, const char *text) {
    AK_BUF_AUTO path = {0};
    struct ak_file file = {.fd = -1};
    if (ak_buf_addf(&path, "%s/%s", store->dir, name) ||
        access(ak_buf_str(&path), F_OK) == 0)
        return;
    int r = ak_file_new(&file, ak_buf_str(&path), 0600);
    if (!r)
        r = ak_file_write(&file, text, strlen(text));
    if (!r)
        r = ak_file_commit(&file, false);
    ak_file_drop(&file);
    (void)r;
}

int ak_store_prepare(struct ak_store *store, struct ak_buf *ret_reason) {
    if (!store->read_only) {
        int r = ak_file_make_parents(store->dir, 0700);
        if (!r && mkdir(store->dir, 0700) < 0 && errno != EEXIST)
            r = -errno;
        if (r && access(store->dir, F_OK) < 0) {
            (void)ak_buf_addf(ret_reason, "the cache directory %s cannot be made: %s",
                              store->dir, strerror(-r));
            return AK_STORE_E_REFUSED;
        }
    }
    int r = check(store->dir, ret_reason);
    if (r || store->read_only)
        return r;
    mark(store, "CACHEDIR.TAG", tag);
    mark(store, ".gitignore", "*\n");
    return 0;
}

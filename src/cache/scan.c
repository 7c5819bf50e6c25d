/* SPDX-License-Identifier: MIT */
#include "cache/scan-private.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cache/store-private.h"

static int visit_directory(const char *dir,
                           int (*visit)(void *context, const struct ak_scanned *file),
                           void *context) {
    AK_BUF_AUTO path = {0};
    DIR *stream = opendir(dir);
    struct dirent *entry;
    int r = 0;
    while (stream && !r && (entry = readdir(stream))) {
        struct stat st;
        if (fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode))
            continue;
        ak_buf_clear(&path);
        r = ak_buf_addf(&path, "%s/%s", dir, entry->d_name);
        struct ak_scanned file = {ak_buf_str(&path), entry->d_name, &st};
        if (!r)
            r = visit(context, &file);
    }
    if (stream)
        closedir(stream);
    return r;
}

int ak_scan(const struct ak_store *store, const char *kind,
            int (*visit)(void *context, const struct ak_scanned *file), void *context) {
    AK_BUF_AUTO dir = {0};
    int r = 0;
    for (unsigned i = 0; i < 256 && !r; i++) {
        ak_buf_clear(&dir);
        r = ak_buf_addf(&dir, "%s/%s/%02x", store->dir, kind, i);
        if (!r)
            r = visit_directory(ak_buf_str(&dir), visit, context);
    }
    return r;
}

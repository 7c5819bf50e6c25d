/* SPDX-License-Identifier: MIT */
#include "cli/paths.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "build_config.h"

int ak_paths_program(struct ak_buf *ret_path) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n < 0)
        return ak_error_origin(errno);
    return ak_buf_add(ret_path, path, (size_t)n);
}

/* The program's directory, with its parent's when up is set. */
static int directory(struct ak_buf *ret_path, int up) {
    int r = ak_paths_program(ret_path);
    for (int i = 0; i <= up && !r; i++) {
        char *slash = strrchr(ret_path->data, '/');
        if (!slash)
            return ak_error_origin(EINVAL);
        *slash = '\0';
        ret_path->len = (size_t)(slash - ret_path->data);
    }
    return r;
}

/* The first that exists of prefix/installed and program-directory/built. */
static int find(const char *installed, const char *built, struct ak_buf *ret_path) {
    int r = directory(ret_path, 1);
    if (!r)
        r = ak_buf_addf(ret_path, "/%s", installed);
    if (r || access(ak_buf_str(ret_path), R_OK) == 0)
        return r;
    ak_buf_clear(ret_path);
    r = directory(ret_path, 0);
    if (!r)
        r = ak_buf_addf(ret_path, "/%s", built);
    if (r)
        return r;
    return access(ak_buf_str(ret_path), R_OK) == 0 ? 0 : -1;
}

static int find_part(const char *variable, const char *installed, const char *built,
                     const char *what, struct ak_buf *ret_path,
                     struct ak_buf *ret_message) {
    const char *given = variable ? getenv(variable) : NULL;
    if (given && given[0])
        return ak_buf_add_str(ret_path, given);
    int r = find(installed, built, ret_path);
    if (r)
        (void)ak_buf_addf(ret_message,
                          "%s is missing (looked for %s under the prefix of this "
                          "program, and for %s beside it): install akernel again",
                          what, installed, built);
    return r;
}

int ak_paths_worker(struct ak_buf *ret_path, struct ak_buf *ret_message) {
    return find_part("AKERNEL_WORKER", AK_PARTS_DIR "/akernel/akernel-worker",
                     "akernel-worker", "akernel-worker", ret_path, ret_message);
}

int ak_paths_module(struct ak_buf *ret_path, struct ak_buf *ret_message) {
    return find_part(NULL, AK_PARTS_DIR "/akernel/" AK_MODULE_FILE, AK_MODULE_FILE,
                     "the worker's extension module", ret_path, ret_message);
}

int ak_paths_cache(struct ak_buf *ret_path, struct ak_buf *ret_message) {
    return find_part("AKERNEL_CACHE_HELPER", AK_PARTS_DIR "/akernel/akernel-cache",
                     "akernel-cache", "akernel-cache", ret_path, ret_message);
}

int ak_paths_share(const char *name, struct ak_buf *ret_path) {
    AK_BUF_AUTO installed = {0};
    AK_BUF_AUTO built = {0};
    int r = ak_buf_addf(&installed, "share/akernel/%s", name);
    if (!r)
        r = ak_buf_addf(&built, "../kernelspec/%s", name);
    return r ? r : find(ak_buf_str(&installed), ak_buf_str(&built), ret_path);
}

/* SPDX-License-Identifier: MIT */
#pragma once

/* A directory of a test's own with a keyring in it. */

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/key.h"
#include "unit/test.h"

struct world {
    char dir[64]; /* removed by world_done */
    char key[96]; /* the user's key file, made */
    char store[96];
    struct ak_keyring *ring;
};

static inline void world_init(struct world *world) {
    AK_BUF_AUTO message = {0};
    strcpy(world->dir, "/tmp/akernel-cache-XXXXXX");
    assert(mkdtemp(world->dir));
    snprintf(world->key, sizeof(world->key), "%s/cache.key", world->dir);
    snprintf(world->store, sizeof(world->store), "%s/store", world->dir);
    struct ak_keyring_config config = {.user_path = world->key};
    world->ring = NULL;
    assert(ak_keyring_new(&world->ring, &config, &message) == 0);
}

static inline int world_remove(const char *path, const struct stat *st, int type,
                               struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void world_done(struct world *world) {
    world->ring = ak_keyring_free(world->ring);
    assert(nftw(world->dir, world_remove, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static inline void world_write(const char *path, const void *data, size_t len,
                               mode_t mode) {
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    assert(fchmod(fd, mode) == 0);
    close(fd);
}

/* Bytes that look random and are the same every time. The caller frees them. */
static inline char *world_bytes(size_t len, uint64_t seed) {
    char *bytes = malloc(len ? len : 1);
    assert(bytes);
    uint64_t x = seed * 0x9e3779b97f4a7c15ull + 1;
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes[i] = (char)(x >> 24);
    }
    return bytes;
}

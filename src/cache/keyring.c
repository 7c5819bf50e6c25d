/* SPDX-License-Identifier: MIT */
/*
 * A key file is 32 random bytes that appear complete or not at all: written without a
 * name, synced, then linked. Of two processes that make it at once, the second finds
 * the name taken and reads the first one's. A file that others could have read or
 * written is refused, not repaired: whoever had it can forge entries, and unpickling a
 * forged entry runs code.
 *
 * A team's key is text or bytes from elsewhere, so it is hashed to a key; it may be
 * readable by a group, which is the team.
 */
#include "cache/key.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "cache/file-private.h"
#include "cache/keyring-private.h"

#define SECRET_SIZE 32
#define TEAM_MIN 32
#define TEAM_MAX 4096

struct secret {
    unsigned char bytes[SECRET_SIZE];
};

static void wipe(struct secret *secret) {
    sodium_memzero(secret, sizeof(*secret));
}

static int refuse(struct ak_buf *message, const char *format, const char *path,
                  const char *why) {
    (void)ak_buf_addf(message, format, path, why);
    return AK_KEYRING_E_REFUSED;
}

static int default_path(struct ak_buf *ret_path, struct ak_buf *message) {
    const char *state = getenv("XDG_STATE_HOME");
    if (state && state[0] == '/')
        return ak_buf_addf(ret_path, "%s/akernel/cache.key", state);
    const char *home = ak_file_home();
    if (!home)
        return refuse(message, "the cache's key has no place%s%s", "",
                      ": neither XDG_STATE_HOME nor HOME is set");
    return ak_buf_addf(ret_path, "%s/.local/state/akernel/cache.key", home);
}

/* Reads at most size bytes; the number, or -errno. */
static ssize_t read_all(int fd, unsigned char *bytes, size_t size) {
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, bytes + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

/* 0, REFUSED, or -ENOENT for a file that is not there. */
static int read_user(const char *path, struct secret *ret_secret,
                     struct ak_buf *message) {
    AK_CLEANUP(ak_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    if (fd < 0 || fstat(fd, &st) < 0)
        return refuse(message, "the cache's key %s cannot be read: %s", path,
                      strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
        return refuse(message, "the cache's key %s is not a file of yours%s", path, "");
    if (st.st_mode & 077)
        return refuse(message,
                      "the cache's key %s can be read or written by others, who could "
                      "forge entries with it%s",
                      path, ": remove it, and a new one is made");
    unsigned char more[SECRET_SIZE + 1];
    ssize_t n = read_all(fd, more, sizeof(more));
    memcpy(ret_secret->bytes, more, SECRET_SIZE);
    sodium_memzero(more, sizeof(more));
    if (n < 0)
        return refuse(message, "the cache's key %s cannot be read: %s", path,
                      strerror((int)-n));
    if (n != SECRET_SIZE)
        return refuse(message, "the cache's key %s is not 32 bytes long%s", path,
                      ": remove it, and a new one is made");
    return 0;
}

static int make_user(const char *path, struct ak_buf *message) {
    struct secret secret;
    randombytes_buf(secret.bytes, sizeof(secret.bytes));
    int r = ak_file_make_parents(path, 0700);
    struct ak_file file = {.fd = -1};
    if (!r)
        r = ak_file_new(&file, path, 0600);
    if (!r)
        r = ak_file_write(&file, secret.bytes, sizeof(secret.bytes));
    if (!r && fsync(file.fd) < 0)
        r = -errno;
    if (!r)
        r = ak_file_commit(&file, false);
    ak_file_drop(&file);
    wipe(&secret);
    return r && r != -EEXIST ? refuse(message, "the cache's key %s cannot be made: %s",
                                      path, strerror(-r))
                             : 0;
}

static int take_user(const char *path, struct secret *ret_secret,
                     struct ak_buf *message) {
    int r = read_user(path, ret_secret, message);
    if (r != -ENOENT)
        return r;
    r = make_user(path, message);
    if (!r)
        r = read_user(path, ret_secret, message);
    return r == -ENOENT ? refuse(message, "the cache's key %s vanished%s", path, "")
                        : r;
}

static int take_team(const char *path, struct secret *ret_secret,
                     struct ak_buf *message) {
    AK_CLEANUP(ak_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return refuse(message, "the team's key %s cannot be read: %s", path,
                      strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_mode & 027)
        return refuse(message,
                      "the team's key %s has to be a file that only its owner writes "
                      "and that nobody outside a group reads%s",
                      path, ": chmod 640 or 600");
    unsigned char bytes[TEAM_MAX];
    ssize_t n = read_all(fd, bytes, sizeof(bytes));
    if (n < 0)
        return refuse(message, "the team's key %s cannot be read: %s", path,
                      strerror((int)-n));
    while (n > 0 && (bytes[n - 1] == '\n' || bytes[n - 1] == '\r'))
        n--;
    if (n < TEAM_MIN || n == TEAM_MAX) {
        sodium_memzero(bytes, sizeof(bytes));
        return refuse(message, "the team's key %s has to hold 32 to 4095 bytes%s", path,
                      ", such as \"openssl rand -hex 32\" prints");
    }
    crypto_generichash(ret_secret->bytes, SECRET_SIZE, bytes, (size_t)n, NULL, 0);
    sodium_memzero(bytes, sizeof(bytes));
    return 0;
}

static void derive(const struct secret *secret, const char *label,
                   unsigned char *ret_bytes) {
    crypto_generichash(ret_bytes, AK_DIGEST_SIZE, (const unsigned char *)label,
                       strlen(label), secret->bytes, SECRET_SIZE);
}

static void expand(const struct secret *secret, struct ak_fingerprint_key *ret_key) {
    static const unsigned char nonce[crypto_stream_chacha20_NONCEBYTES] = {0};
    struct secret seed;
    derive(secret, "akernel cache fingerprint 1", seed.bytes);
    crypto_stream_chacha20(ret_key->bytes, sizeof(ret_key->bytes), nonce, seed.bytes);
    wipe(&seed);
}

static void fill(struct ak_keyring *ring, const struct secret *own,
                 const struct secret *shared) {
    derive(shared, "akernel cache cell 1", ring->purposes[AK_PURPOSE_CELL].bytes);
    derive(shared, "akernel cache buffer 1", ring->purposes[AK_PURPOSE_BUFFER].bytes);
    derive(own, "akernel cache local 1", ring->purposes[AK_PURPOSE_LOCAL].bytes);
    derive(shared, "akernel cache shared 1", ring->purposes[AK_PURPOSE_SHARED].bytes);
    derive(own, "akernel cache id 1", ring->local_id.bytes);
    derive(shared, "akernel cache id 1", ring->shared_id.bytes);
    expand(own, &ring->own);
    expand(shared, &ring->shared);
}

int ak_keyring_new(struct ak_keyring **ret_ring, const struct ak_keyring_config *config,
                   struct ak_buf *ret_message) {
    AK_CLEANUP(wipe) struct secret own = {{0}};
    AK_CLEANUP(wipe) struct secret team = {{0}};
    AK_BUF_AUTO path = {0};
    if (sodium_init() < 0)
        return ak_error_origin(ENOTSUP);
    AK_CLEANUP(ak_keyring_freep)
    struct ak_keyring *ring = aligned_alloc(64, (sizeof(*ring) + 63) & ~(size_t)63);
    if (!ring)
        return ak_error_origin(ENOMEM);
    int r = config->user_path ? ak_buf_add_str(&path, config->user_path)
                              : default_path(&path, ret_message);
    if (!r)
        r = take_user(ak_buf_str(&path), &own, ret_message);
    if (!r && config->team_path)
        r = take_team(config->team_path, &team, ret_message);
    if (r)
        return r;
    fill(ring, &own, config->team_path ? &team : &own);
    *ret_ring = AK_TAKE(ring);
    return 0;
}

struct ak_keyring *ak_keyring_free(struct ak_keyring *ring) {
    if (!ring)
        return NULL;
    sodium_memzero(ring, sizeof(*ring));
    free(ring);
    return NULL;
}

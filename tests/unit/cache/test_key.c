/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/fingerprint.h"
#include "cache/key.h"
#include "unit/cache/world.h"

static struct ak_digest stream(const struct ak_keyring *ring, enum ak_purpose purpose,
                               const void *data, size_t len, size_t piece) {
    struct ak_hash hash;
    struct ak_digest digest;
    ak_hash_init(&hash, ring, purpose);
    for (size_t i = 0; i < len; i += piece)
        ak_hash_add(&hash, (const char *)data + i, len - i < piece ? len - i : piece);
    ak_hash_final(&hash, &digest);
    return digest;
}

static bool same(struct ak_digest a, struct ak_digest b) {
    return ak_digest_equal(&a, &b);
}

static void cut_does_not_matter(void) {
    struct world world;
    world_init(&world);
    size_t lens[] = {0,
                     1,
                     127,
                     AK_HASH_BLOCK - 1,
                     AK_HASH_BLOCK,
                     AK_HASH_BLOCK + 1,
                     3 * AK_HASH_BLOCK,
                     3 * AK_HASH_BLOCK + 77};
    char *data = world_bytes(4 * AK_HASH_BLOCK, 1);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        size_t len = lens[i];
        struct ak_digest whole =
            stream(world.ring, AK_PURPOSE_CELL, data, len, len + 1);
        assert(same(whole, stream(world.ring, AK_PURPOSE_CELL, data, len, 1)));
        assert(same(whole, stream(world.ring, AK_PURPOSE_CELL, data, len, 1000)));
        assert(same(whole, stream(world.ring, AK_PURPOSE_CELL, data, len, 16384)));
        assert(!same(whole, stream(world.ring, AK_PURPOSE_LOCAL, data, len, 1000)));
    }
    free(data);
    world_done(&world);
}

/* One bit, one byte more, zeros at the end, at every length that is special. */
static void differences_differ(void) {
    struct world world;
    world_init(&world);
    size_t lens[] = {1, 7, 8, 1023, 1024, 1025, 65536, 65537, 100000};
    char *data = world_bytes(100001, 2);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        size_t len = lens[i];
        struct ak_digest first, other;
        ak_hash_buffer(world.ring, data, len, &first);
        struct ak_digest streamed = stream(world.ring, AK_PURPOSE_CELL, data, len, len);
        for (size_t bit = 0; bit < 8 * len; bit += 1 + bit / 3) {
            data[bit / 8] ^= (char)(1 << (bit % 8));
            ak_hash_buffer(world.ring, data, len, &other);
            assert(!same(first, other));
            assert(
                !same(streamed, stream(world.ring, AK_PURPOSE_CELL, data, len, len)));
            data[bit / 8] ^= (char)(1 << (bit % 8));
        }
        ak_hash_buffer(world.ring, data, len, &other);
        assert(same(first, other));
        char kept = data[len];
        data[len] = 0;
        ak_hash_buffer(world.ring, data, len + 1, &other);
        assert(!same(first, other));
        data[len] = kept;
    }
    free(data);
    world_done(&world);
}

/* A stream of fingerprints is not the fingerprint of a stream. */
static void blocks_are_told_from_bytes(void) {
    struct world world;
    world_init(&world);
    char *data = world_bytes(2 * AK_HASH_BLOCK, 3);
    memcpy(data + AK_HASH_BLOCK, data, AK_HASH_BLOCK);
    struct ak_digest one =
        stream(world.ring, AK_PURPOSE_CELL, data, AK_HASH_BLOCK, 4096);
    struct ak_digest two =
        stream(world.ring, AK_PURPOSE_CELL, data, 2 * AK_HASH_BLOCK, 4096);
    assert(!same(one, two));
    free(data);
    world_done(&world);
}

static void portable_agrees(void) {
    struct ak_fingerprint_key key;
    char *bytes = world_bytes(sizeof(key), 4), *data = world_bytes(200000, 5);
    memcpy(key.bytes, bytes, sizeof(key));
    for (size_t len = 0; len < 200000; len = len * 3 / 2 + 1) {
        unsigned char fast[AK_FINGERPRINT_SIZE], plain[AK_FINGERPRINT_SIZE];
        ak_fingerprint(&key, data + len % 7, len - len % 7, fast);
        ak_fingerprint_portable(&key, data + len % 7, len - len % 7, plain);
        assert(memcmp(fast, plain, sizeof(fast)) == 0);
    }
    free(bytes);
    free(data);
}

/* Digests are names on disk and in a team: they may never change by accident. */
static void known_vector(void) {
    struct world world;
    world_init(&world);
    AK_BUF_AUTO path = {0}, message = {0};
    assert(ak_buf_addf(&path, "%s/team", world.dir) == 0);
    world_write(ak_buf_str(&path), "0123456789abcdef0123456789abcdef\n", 33, 0600);
    struct ak_keyring_config config = {.user_path = world.key,
                                       .team_path = ak_buf_str(&path)};
    AK_CLEANUP(ak_keyring_freep) struct ak_keyring *ring = NULL;
    assert(ak_keyring_new(&ring, &config, &message) == 0);
    char data[40000], hex[AK_DIGEST_HEX_SIZE];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 31 + i / 256);
    struct ak_digest digest =
        stream(ring, AK_PURPOSE_CELL, data, sizeof(data), sizeof(data));
    ak_digest_hex(&digest, hex);
    assert(strcmp(hex,
                  "b971f14b81599ae066a81998be4ba7239eec3a11ba75eed0fd7057453edb56bd") ==
           0);
    ak_hash_buffer(ring, data, sizeof(data), &digest);
    ak_digest_hex(&digest, hex);
    assert(strcmp(hex,
                  "ab0be59c8c4e29b3ed3af298aa8ff0487fb5d72e447dc586ee51367e268a2a47") ==
           0);
    world_done(&world);
}

static void hexadecimal(void) {
    struct ak_digest digest, back;
    char hex[AK_DIGEST_HEX_SIZE];
    for (size_t i = 0; i < AK_DIGEST_SIZE; i++)
        digest.bytes[i] = (unsigned char)(255 - 7 * i);
    ak_digest_hex(&digest, hex);
    assert(ak_digest_parse(hex, &back) == 0 && same(digest, back));
    hex[63] = 'x';
    assert(ak_digest_parse(hex, &back) < 0);
    hex[63] = '\0';
    assert(ak_digest_parse(hex, &back) < 0);
    assert(ak_digest_parse("", &back) < 0);
}

/* --- key files ---------------------------------------------------------------------
 */

static struct ak_digest digest_under(const char *user, const char *team) {
    AK_BUF_AUTO message = {0};
    AK_CLEANUP(ak_keyring_freep) struct ak_keyring *ring = NULL;
    struct ak_keyring_config config = {.user_path = user, .team_path = team};
    int r = ak_keyring_new(&ring, &config, &message);
    if (r)
        fprintf(stderr, "%s\n", ak_buf_str(&message));
    assert(r == 0);
    return stream(ring, AK_PURPOSE_CELL, "x", 1, 1);
}

static void refused(const char *user, const char *team, const char *part) {
    AK_BUF_AUTO message = {0};
    struct ak_keyring *ring = NULL;
    struct ak_keyring_config config = {.user_path = user, .team_path = team};
    assert(ak_keyring_new(&ring, &config, &message) == AK_KEYRING_E_REFUSED);
    assert(ring == NULL);
    if (!strstr(ak_buf_str(&message), part))
        fprintf(stderr, "\"%s\" is not in: %s\n", part, ak_buf_str(&message));
    assert(strstr(ak_buf_str(&message), part));
}

static void key_is_made_once(void) {
    struct world world;
    struct stat st;
    world_init(&world);
    AK_BUF_AUTO path = {0};
    assert(ak_buf_addf(&path, "%s/a/b/cache.key", world.dir) == 0);
    struct ak_digest first = digest_under(ak_buf_str(&path), NULL);
    assert(stat(ak_buf_str(&path), &st) == 0);
    assert((st.st_mode & 07777) == 0600 && st.st_size == 32 && st.st_nlink == 1);
    assert(same(first, digest_under(ak_buf_str(&path), NULL)));
    assert(!same(first, digest_under(world.key, NULL)));
    world_done(&world);
}

/* Sixteen processes start at once without a key: all end up with the same one. */
static void racers_agree(void) {
    enum {
        RACERS = 16
    };
    struct world world;
    world_init(&world);
    AK_BUF_AUTO path = {0};
    assert(ak_buf_addf(&path, "%s/raced.key", world.dir) == 0);
    int gate[2], results[2];
    assert(pipe(gate) == 0 && pipe(results) == 0);
    for (int i = 0; i < RACERS; i++) {
        if (fork() == 0) {
            char c;
            close(gate[1]);
            assert(read(gate[0], &c, 1) == 0);
            struct ak_digest digest = digest_under(ak_buf_str(&path), NULL);
            assert(write(results[1], &digest, sizeof(digest)) == sizeof(digest));
            _exit(0);
        }
    }
    close(gate[1]);
    struct ak_digest first, other;
    for (int i = 0; i < RACERS; i++) {
        assert(read(results[0], i ? &other : &first, sizeof(first)) == sizeof(first));
        assert(i == 0 || same(first, other));
    }
    for (int i = 0; i < RACERS; i++) {
        int status;
        assert(wait(&status) > 0 && status == 0);
    }
    close(gate[0]);
    close(results[0]);
    close(results[1]);
    world_done(&world);
}

static void bad_key_files(void) {
    struct world world;
    world_init(&world);
    AK_BUF_AUTO path = {0};
    assert(ak_buf_addf(&path, "%s/some.key", world.dir) == 0);
    const char *name = ak_buf_str(&path);
    char bytes[33] = "0123456789abcdef0123456789abcdef";
    world_write(name, bytes, 32, 0640);
    refused(name, NULL, "by others");
    world_write(name, bytes, 31, 0600);
    refused(name, NULL, "32 bytes");
    world_write(name, bytes, 33, 0600);
    refused(name, NULL, "32 bytes");
    world_write(name, bytes, 0, 0600);
    refused(name, NULL, "32 bytes");
    refused(world.dir, NULL, "not a file of yours");
    refused("/dev/null/cache.key", NULL, "/dev/null/cache.key");
    assert(unlink(name) == 0 && mkfifo(name, 0600) == 0);
    refused(name, NULL, "not a file of yours");
    if (geteuid() == 0) {
        world_write(name, bytes, 32, 0600);
        assert(chown(name, 12345, 12345) == 0);
        refused(name, NULL, "not a file of yours");
    }
    world_done(&world);
}

static void team_keys(void) {
    struct world world;
    world_init(&world);
    AK_BUF_AUTO path = {0}, other = {0};
    assert(ak_buf_addf(&path, "%s/team.key", world.dir) == 0);
    assert(ak_buf_addf(&other, "%s/other.key", world.dir) == 0);
    const char *team = ak_buf_str(&path);
    char text[] = "0123456789abcdef0123456789abcdef0123456789abcdef\n";
    refused(world.key, team, "cannot be read");
    world_write(team, text, sizeof(text) - 1, 0640);
    struct ak_digest mine = digest_under(world.key, team);
    struct ak_digest yours = digest_under(ak_buf_str(&other), team);
    assert(same(mine, yours));
    assert(!same(mine, digest_under(world.key, NULL)));
    world_write(team, text, sizeof(text) - 2, 0600);
    assert(same(mine, digest_under(world.key, team)));
    world_write(team, text, sizeof(text) - 3, 0600);
    assert(!same(mine, digest_under(world.key, team)));
    world_write(team, text, 31, 0600);
    refused(world.key, team, "32 to 4095");
    world_write(team, text, sizeof(text) - 1, 0644);
    refused(world.key, team, "chmod");
    world_write(team, text, sizeof(text) - 1, 0660);
    refused(world.key, team, "chmod");
    world_done(&world);
}

static const struct ak_test tests[] = {
    {"cut-does-not-matter", cut_does_not_matter},
    {"differences-differ", differences_differ},
    {"blocks-are-told-from-bytes", blocks_are_told_from_bytes},
    {"portable-agrees", portable_agrees},
    {"known-vector", known_vector},
    {"hexadecimal", hexadecimal},
    {"key-is-made-once", key_is_made_once},
    {"racers-agree", racers_agree},
    {"bad-key-files", bad_key_files},
    {"team-keys", team_keys},
};
AK_TEST_MAIN(tests)

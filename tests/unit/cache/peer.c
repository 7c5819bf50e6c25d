/* SPDX-License-Identifier: MIT */
/*
 * A worker's part in a shared cache, driven by lines on stdin, for tests/cache.
 *
 *     peer HELPER URL DIR USER_KEY TEAM_KEY
 *
 * "put N LEN" stores and offers, "get N LEN" looks up here, then at the server, "fetch
 * N" only asks the server, "variant N M" stores and offers a variant, "variants N"
 * counts those that are known here after asking, "warning" says what there is to say.
 * Each line is answered by one: a word, and how long it took in milliseconds.
 */
#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cache/remote.h"
#include "cache/store.h"
#include "unit/cache/world.h"

struct peer {
    struct ak_keyring *ring;
    struct ak_store *store;
    struct ak_remote *remote;
    const char *word; /* where the last entry came from */
};

static void begin(void *context) {
    struct peer *peer = context;
    ak_remote_begin(peer->remote);
}

static bool fetch(void *context, const struct ak_digest *key) {
    struct peer *peer = context;
    bool found = ak_remote_fetch(peer->remote, key);
    peer->word = found ? "shared" : peer->word;
    return found;
}

static void stored(void *context, const struct ak_digest *key) {
    struct peer *peer = context;
    ak_remote_offer(peer->remote, key);
}

static void stored_variant(void *context, const struct ak_digest *key,
                           const struct ak_digest *entry) {
    struct peer *peer = context;
    ak_remote_offer_variant(peer->remote, key, entry);
}

static struct ak_digest name(const struct peer *peer, unsigned number) {
    struct ak_hash *hash = aligned_alloc(64, (sizeof(*hash) + 63) & ~(size_t)63);
    struct ak_digest digest;
    ak_hash_init(hash, peer->ring, AK_PURPOSE_CELL);
    ak_hash_add_u64(hash, number);
    ak_hash_final(hash, &digest);
    free(hash);
    return digest;
}

static const char *put(struct peer *peer, unsigned number, size_t len) {
    AK_BUF_AUTO reason = {0};
    struct ak_digest key = name(peer, number);
    char *bytes = world_bytes(len, number);
    struct ak_bytes buffers[] = {ak_bytes(bytes, len), ak_bytes(bytes, len / 2)};
    struct ak_entry entry = {.body = ak_bytes(bytes, len / 3),
                             .buffers = buffers,
                             .n_buffers = 2,
                             .run_ns = number,
                             .label = ak_bytes("x", 1)};
    int r = ak_store_put(peer->store, &key, &entry, true, NULL, &reason);
    free(bytes);
    return r ? "refused" : "stored";
}

static const char *get(struct peer *peer, unsigned number, size_t len) {
    AK_BUF_AUTO reason = {0};
    struct ak_loaded loaded;
    struct ak_digest key = name(peer, number);
    ak_store_begin(peer->store);
    peer->word = "local";
    int r = ak_store_get(peer->store, &key, &loaded, &reason);
    if (r)
        return "miss";
    char *bytes = world_bytes(len, number);
    assert(loaded.n_buffers == 2 && loaded.run_ns == number);
    assert(loaded.buffers[0].len == len && loaded.buffers[1].len == len / 2);
    assert(memcmp(loaded.buffers[0].data, bytes, len) == 0);
    assert(memcmp(loaded.buffers[1].data, bytes, len / 2) == 0);
    assert(loaded.body.len == len / 3 && memcmp(loaded.body.data, bytes, len / 3) == 0);
    assert(strcmp(loaded.label, "x") == 0);
    free(bytes);
    ak_loaded_done(&loaded);
    return peer->word;
}

static const char *variant(struct peer *peer, unsigned number, unsigned other) {
    AK_BUF_AUTO reason = {0};
    struct ak_digest key = name(peer, number), entry = name(peer, other);
    if (ak_store_put_variant(peer->store, &key, ak_bytes("file", 4), &entry, &reason))
        return "refused";
    return "stored";
}

static const char *variants(struct peer *peer, unsigned number) {
    static char word[16];
    struct ak_digest key = name(peer, number);
    struct ak_variant *found = NULL;
    size_t n = 0;
    ak_remote_begin(peer->remote);
    (void)ak_remote_fetch(peer->remote, &key);
    assert(ak_store_variants(peer->store, &key, &found, &n) == 0);
    ak_variants_free(found, n);
    snprintf(word, sizeof(word), "%zu", n);
    return word;
}

static const char *obey(struct peer *peer, const char *line, struct ak_buf *text) {
    unsigned number = 0;
    unsigned long len = 0;
    if (sscanf(line, "put %u %lu", &number, &len) == 2)
        return put(peer, number, len);
    if (sscanf(line, "get %u %lu", &number, &len) == 2)
        return get(peer, number, len);
    if (sscanf(line, "variant %u %lu", &number, &len) == 2)
        return variant(peer, number, (unsigned)len);
    if (sscanf(line, "variants %u", &number) == 1)
        return variants(peer, number);
    if (sscanf(line, "fetch %u", &number) == 1) {
        struct ak_digest key = name(peer, number);
        ak_remote_begin(peer->remote);
        return ak_remote_fetch(peer->remote, &key) ? "found" : "none";
    }
    if (strncmp(line, "warning", 7) == 0)
        return ak_remote_take_warning(peer->remote, text) ? ak_buf_str(text) : "-";
    return "what?";
}

int main(int argc, char **argv) {
    AK_BUF_AUTO message = {0};
    struct peer peer = {0};
    char line[256];
    assert(argc == 6);
    struct ak_keyring_config keys = {.user_path = argv[4],
                                     .team_path = argv[5][0] ? argv[5] : NULL};
    struct ak_store_config store = {.dir = argv[3]};
    struct ak_remote_config remote = {.helper = argv[1],
                                      .url = argv[2],
                                      .dir = argv[3],
                                      .user_path = argv[4],
                                      .team_path = keys.team_path};
    if (ak_keyring_new(&peer.ring, &keys, &message) ||
        ak_store_new(&peer.store, &store, peer.ring, &message) ||
        ak_remote_new(&peer.remote, &remote, &message)) {
        printf("%s\n", ak_buf_str(&message));
        ak_store_free(peer.store);
        ak_keyring_free(peer.ring);
        return 1;
    }
    struct ak_store_tier tier = {&peer, begin, fetch, stored, stored_variant};
    ak_store_set_tier(peer.store, &tier);
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        AK_BUF_AUTO text = {0};
        uint64_t begin = ak_clock_now();
        const char *word = obey(&peer, line, &text);
        printf("%.3f %s\n", (double)(ak_clock_now() - begin) / AK_NS_PER_MS, word);
        fflush(stdout);
    }
    ak_remote_free(peer.remote);
    ak_store_free(peer.store);
    ak_keyring_free(peer.ring);
    return 0;
}

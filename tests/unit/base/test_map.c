/* SPDX-License-Identifier: MIT */
#include "../test.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"

#define N 5000

static struct ak_map *new_map(void) {
    struct ak_map *map = NULL;
    assert(ak_map_new(&map) == 0);
    return map;
}

static void starts_empty(void) {
    AK_CLEANUP(ak_map_freep) struct ak_map *map = new_map();
    size_t cursor = 0;
    assert(ak_map_count(map) == 0);
    assert(!ak_map_get(map, "a", 1));
    assert(!ak_map_remove(map, "a", 1));
    assert(!ak_map_next(map, &cursor, NULL, NULL));
    assert(!ak_map_free(NULL));
}

static void replaces(void) {
    AK_CLEANUP(ak_map_freep) struct ak_map *map = new_map();
    int first, second;
    void *old = &first;
    assert(ak_map_put(map, "key", 3, &first, &old) == 0 && !old);
    assert(ak_map_put(map, "key", 3, &second, &old) == 0 && old == &first);
    assert(ak_map_put(map, "key", 3, &first, NULL) == 0);
    assert(ak_map_get(map, "key", 3) == &first && ak_map_count(map) == 1);
}

static void copies_keys(void) {
    AK_CLEANUP(ak_map_freep) struct ak_map *map = new_map();
    char key[] = "key";
    int value;
    assert(ak_map_put(map, key, 3, &value, NULL) == 0);
    key[0] = 'x';
    assert(ak_map_get(map, "key", 3) == &value);
    assert(!ak_map_get(map, key, 3));
}

static void keys_are_bytes(void) {
    AK_CLEANUP(ak_map_freep) struct ak_map *map = new_map();
    int values[4];
    const char *keys[] = {"", "\0", "\0\0", "\0a"};
    size_t lens[] = {0, 1, 2, 2};
    for (int i = 0; i < 4; i++)
        assert(ak_map_put(map, keys[i], lens[i], &values[i], NULL) == 0);
    for (int i = 0; i < 4; i++)
        assert(ak_map_get(map, keys[i], lens[i]) == &values[i]);
}

static void survives_churn(void) {
    AK_CLEANUP(ak_map_freep) struct ak_map *map = new_map();
    static char values[N];
    /* Tombstones must neither hide keys nor fill the table. */
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < N; i++)
            assert(ak_map_put(map, &i, sizeof(i), &values[i], NULL) == 0);
        assert(ak_map_count(map) == N);
        for (uint32_t i = 0; i < N; i += 2)
            assert(ak_map_remove(map, &i, sizeof(i)) == &values[i]);
        for (uint32_t i = 0; i < N; i++)
            assert(ak_map_get(map, &i, sizeof(i)) == (i % 2 ? &values[i] : NULL));
        assert(ak_map_count(map) == N / 2);
    }
    for (uint32_t i = 0; i < 20 * N; i++) {
        assert(ak_map_put(map, &i, sizeof(i), &values[0], NULL) == 0);
        assert(ak_map_remove(map, &i, sizeof(i)) == &values[0]);
    }
}

static void walks_and_removes(void) {
    AK_CLEANUP(ak_map_freep) struct ak_map *map = new_map();
    static char values[N];
    static bool seen[N];
    for (uint32_t i = 0; i < N; i++)
        assert(ak_map_put(map, &i, sizeof(i), &values[i], NULL) == 0);
    size_t cursor = 0, n_seen = 0, key_len;
    const void *key;
    char *value;
    while ((value = ak_map_next(map, &cursor, &key, &key_len))) {
        uint32_t i;
        assert(key_len == sizeof(i));
        memcpy(&i, key, sizeof(i));
        assert(i < N && !seen[i] && value == &values[i]);
        seen[i] = true;
        n_seen++;
        if (i % 3 == 0)
            assert(ak_map_remove(map, &i, sizeof(i)) == value);
    }
    assert(n_seen == N && ak_map_count(map) == N - (N + 2) / 3);
}

static const struct ak_test tests[] = {
    {"starts-empty", starts_empty},     {"replaces", replaces},
    {"copies-keys", copies_keys},       {"keys-are-bytes", keys_are_bytes},
    {"survives-churn", survives_churn}, {"walks-and-removes", walks_and_removes},
};

AK_TEST_MAIN(tests)

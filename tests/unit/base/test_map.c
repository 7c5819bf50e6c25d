/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include "base/map.h"

static int values[20000];

static struct ak_map *new_map(void) {
    struct ak_map *map = NULL;
    assert(ak_map_new(&map) == 0);
    return map;
}

static void puts_and_gets(void) {
    AK_CLEANUP(ak_map_freep) struct ak_map *map = new_map();
    assert(ak_map_get(map, "a", 1) == NULL);
    assert(ak_map_put(map, "a", 1, &values[0], NULL) == 0);
    assert(ak_map_put(map, "", 0, &values[1], NULL) == 0);
    assert(ak_map_put(map, "a\0b", 3, &values[2], NULL) == 0);
    assert(ak_map_get(map, "a", 1) == &values[0]);
    assert(ak_map_get(map, "", 0) == &values[1]);
    assert(ak_map_get(map, "a\0b", 3) == &values[2]);
    assert(ak_map_count(map) == 3);
}

static void replaces(void) {
    AK_CLEANUP(ak_map_freep) struct ak_map *map = new_map();
    void *old = &values[9];
    assert(ak_map_put(map, "k", 1, &values[0], &old) == 0 && old == NULL);
    assert(ak_map_put(map, "k", 1, &values[1], &old) == 0 && old == &values[0]);
    assert(ak_map_count(map) == 1);
}

static void removes(void) {
    AK_CLEANUP(ak_map_freep) struct ak_map *map = new_map();
    assert(ak_map_remove(map, "k", 1) == NULL);
    assert(ak_map_put(map, "k", 1, &values[0], NULL) == 0);
    assert(ak_map_remove(map, "k", 1) == &values[0]);
    assert(ak_map_get(map, "k", 1) == NULL && ak_map_count(map) == 0);
}

/* Tombstones must neither be found nor fill the table. */
static void many(void) {
    AK_CLEANUP(ak_map_freep) struct ak_map *map = new_map();
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 20000; i++)
            assert(ak_map_put(map, &i, sizeof(i), &values[i], NULL) == 0);
        for (int i = 0; i < 20000; i++)
            assert(ak_map_get(map, &i, sizeof(i)) == &values[i]);
        for (int i = 0; i < 20000; i++)
            assert(ak_map_remove(map, &i, sizeof(i)) == &values[i]);
    }
    assert(ak_map_count(map) == 0);
}

static void walks(void) {
    AK_CLEANUP(ak_map_freep) struct ak_map *map = new_map();
    for (int i = 0; i < 100; i++)
        assert(ak_map_put(map, &i, sizeof(i), &values[i], NULL) == 0);
    size_t cursor = 0, n = 0, len = 0;
    const void *key;
    while (ak_map_next(map, &cursor, &key, &len)) {
        assert(len == sizeof(int));
        n++;
        assert(ak_map_remove(map, key, len));
    }
    assert(n == 100 && ak_map_count(map) == 0);
}

static const struct ak_test tests[] = {
    {"puts-and-gets", puts_and_gets},
    {"replaces", replaces},
    {"removes", removes},
    {"many", many},
    {"walks", walks},
};
AK_TEST_MAIN(tests)

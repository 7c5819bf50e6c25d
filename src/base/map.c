/* SPDX-License-Identifier: MIT */
/*
 * Linear probing over a power of two of slots, at most three quarters used. Removal
 * leaves a tombstone (a key of NULL with used set), which growth sweeps away, so that
 * ak_map_next may be combined with the removal of the entry it just returned.
 * The hash is SipHash-free on purpose: keys are ids that either the kernel makes or a
 * signed peer sends, and every map that a peer can fill has a limit.
 */
#include "base/map.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

struct slot {
    char *key; /* owned; NULL in a free slot and in a tombstone */
    size_t key_len;
    uint64_t hash;
    void *value;
    bool used;
};

struct ak_map {
    struct slot *slots;
    size_t n_slots;
    size_t n_live;
    size_t n_used; /* live and tombstones */
};

static uint64_t hash_bytes(const void *key, size_t len) {
    const unsigned char *p = key;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    h ^= h >> 29;
    return h * 0x9E3779B97F4A7C15u;
}

int ak_map_new(struct ak_map **ret_map) {
    struct ak_map *map = calloc(1, sizeof(*map));
    if (!map)
        return ak_error_origin(ENOMEM);
    *ret_map = map;
    return 0;
}

struct ak_map *ak_map_free(struct ak_map *map) {
    if (!map)
        return NULL;
    for (size_t i = 0; i < map->n_slots; i++)
        free(map->slots[i].key);
    free(map->slots);
    free(map);
    return NULL;
}

size_t ak_map_count(const struct ak_map *map) {
    return map->n_live;
}

static struct slot *find(const struct ak_map *map, const void *key, size_t len,
                         uint64_t hash) {
    if (map->n_slots == 0)
        return NULL;
    size_t mask = map->n_slots - 1;
    for (size_t i = hash & mask; map->slots[i].used; i = (i + 1) & mask) {
        struct slot *s = &map->slots[i];
        if (s->key && s->hash == hash && s->key_len == len &&
            memcmp(s->key, key, len) == 0)
            return s;
    }
    return NULL;
}

static struct slot *free_slot(struct slot *slots, size_t n_slots, uint64_t hash) {
    size_t i = hash & (n_slots - 1);
    while (slots[i].used)
        i = (i + 1) & (n_slots - 1);
    return &slots[i];
}

static int grow(struct ak_map *map) {
    size_t n = map->n_live * 2 < map->n_slots ? map->n_slots
               : map->n_slots                 ? map->n_slots * 2
                                              : 16;
    struct slot *slots = calloc(n, sizeof(*slots));
    if (!slots)
        return ak_error_origin(ENOMEM);
    for (size_t i = 0; i < map->n_slots; i++) {
        if (map->slots[i].key)
            *free_slot(slots, n, map->slots[i].hash) = map->slots[i];
    }
    free(map->slots);
    map->slots = slots;
    map->n_slots = n;
    map->n_used = map->n_live;
    return 0;
}

void *ak_map_get(const struct ak_map *map, const void *key, size_t key_len) {
    struct slot *s = find(map, key, key_len, hash_bytes(key, key_len));
    return s ? s->value : NULL;
}

int ak_map_put(struct ak_map *map, const void *key, size_t key_len, void *value,
               void **ret_old) {
    assert(value);
    uint64_t hash = hash_bytes(key, key_len);
    struct slot *s = find(map, key, key_len, hash);
    if (s) {
        if (ret_old)
            *ret_old = s->value;
        s->value = value;
        return 0;
    }
    if ((map->n_used + 1) * 4 > map->n_slots * 3) {
        int r = grow(map);
        if (r)
            return ak_error_trace(r);
    }
    char *copy = malloc(key_len + 1);
    if (!copy)
        return ak_error_origin(ENOMEM);
    memcpy(copy, key, key_len);
    copy[key_len] = '\0';
    *free_slot(map->slots, map->n_slots, hash) = (struct slot){
        .key = copy, .key_len = key_len, .hash = hash, .value = value, .used = true};
    map->n_live++;
    map->n_used++;
    if (ret_old)
        *ret_old = NULL;
    return 0;
}

void *ak_map_remove(struct ak_map *map, const void *key, size_t key_len) {
    struct slot *s = find(map, key, key_len, hash_bytes(key, key_len));
    if (!s)
        return NULL;
    void *value = s->value;
    free(s->key);
    *s = (struct slot){.used = true};
    map->n_live--;
    return value;
}

void *ak_map_next(const struct ak_map *map, size_t *cursor, const void **ret_key,
                  size_t *ret_key_len) {
    for (; *cursor < map->n_slots; (*cursor)++) {
        struct slot *s = &map->slots[*cursor];
        if (!s->key)
            continue;
        (*cursor)++;
        if (ret_key)
            *ret_key = s->key;
        if (ret_key_len)
            *ret_key_len = s->key_len;
        return s->value;
    }
    return NULL;
}

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A hash map from byte strings to pointers: open addressing, keys copied, values
 * borrowed (the caller frees what it stores). Any process; belongs to one thread.
 */

#include <stddef.h>

#include "base/cleanup.h"

struct ak_map;

int ak_map_new(struct ak_map **ret_map);
/* Accepts NULL, returns NULL; values are not touched. */
struct ak_map *ak_map_free(struct ak_map *map);
AK_DEFINE_CLEANUP(struct ak_map *, ak_map_free)

size_t ak_map_count(const struct ak_map *map);
/* The value, or NULL. */
void *ak_map_get(const struct ak_map *map, const void *key, size_t key_len);
/* Stores a non-NULL value; *ret_old, if wanted, is the value that it replaced or NULL.
 */
int ak_map_put(struct ak_map *map, const void *key, size_t key_len, void *value,
               void **ret_old);
/* Removes the key and returns its value, or NULL. */
void *ak_map_remove(struct ak_map *map, const void *key, size_t key_len);
/* Walks all values in no particular order: start with *cursor 0, stop at NULL. The map
 * must not change meanwhile, but for removing the entry just returned. */
void *ak_map_next(const struct ak_map *map, size_t *cursor, const void **ret_key,
                  size_t *ret_key_len);

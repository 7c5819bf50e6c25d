/* SPDX-License-Identifier: MIT */
/* The first, the second, ... allocation fails, until everything succeeds. The linker
 * sends the cache's allocations here (--wrap). */
#include "unit/test.h"

#include <errno.h>

#include "cache/evict.h"
#include "cache/store.h"
#include "unit/cache/world.h"

static long countdown = -1; /* allocations until the one that fails; negative: none */

static bool fails(void) {
    if (countdown < 0)
        return false;
    return countdown-- == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size) {
    return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

static const char *bytes;

/* A session: all of it, or the first failure. */
static int session(const struct world *world) {
    AK_BUF_AUTO reason = {0};
    AK_CLEANUP(ak_keyring_freep) struct ak_keyring *ring = NULL;
    AK_CLEANUP(ak_store_freep) struct ak_store *store = NULL;
    struct ak_keyring_config keys = {.user_path = world->key};
    struct ak_store_config config = {.dir = world->store};
    struct ak_digest key = {{1}}, other = {{2}};
    struct ak_bytes buffers[] = {ak_bytes(bytes, 70000), ak_bytes(bytes, 10)};
    struct ak_entry entry = {
        .body = ak_bytes(bytes, 100), .buffers = buffers, .n_buffers = 2};
    int r = ak_keyring_new(&ring, &keys, &reason);
    if (!r)
        r = ak_store_new(&store, &config, ring, &reason);
    if (!r)
        r = ak_store_put(store, &key, &entry, true, NULL, &reason);
    if (!r)
        r = ak_store_put_variant(store, &other, ak_bytes("f", 1), &key, &reason);
    if (!r) {
        struct ak_variant *variants = NULL;
        size_t n = 0;
        r = ak_store_variants(store, &other, &variants, &n);
        if (!r)
            ak_variants_free(variants, n);
    }
    if (!r) {
        struct ak_loaded loaded;
        r = ak_store_get(store, &key, &loaded, &reason);
        if (!r) {
            assert(loaded.n_buffers == 2);
            assert(memcmp(loaded.buffers[0].data, bytes, 70000) == 0);
            ak_loaded_done(&loaded);
        }
    }
    if (!r) {
        struct ak_collection collection;
        struct ak_limits limits = AK_LIMITS_DEFAULT;
        r = ak_store_collect(store, &limits, &collection);
    }
    return r;
}

static void every_allocation(void) {
    struct world world;
    world_init(&world);
    bytes = world_bytes(70000, 1);
    unsigned n_failed = 0;
    for (long n = 0;; n++) {
        countdown = n;
        int r = session(&world);
        bool all = countdown >= 0;
        countdown = -1;
        if (r)
            n_failed++;
        if (all) {
            assert(r == 0);
            break;
        }
    }
    assert(n_failed > 20);
    free((void *)(uintptr_t)bytes);
    world_done(&world);
}

static const struct ak_test tests[] = {
    {"every-allocation", every_allocation},
};
AK_TEST_MAIN(tests)

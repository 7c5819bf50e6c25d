/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <sys/file.h>
#include <time.h>

#include "base/clock.h"
#include "cache/evict.h"
#include "cache/store.h"
#include "unit/cache/world.h"

#define HOUR 3600
#define DAY 86400

static struct ak_store *new_store(const struct world *world) {
    AK_BUF_AUTO reason = {0};
    struct ak_store *store = NULL;
    struct ak_store_config config = {.dir = world->store};
    assert(ak_store_new(&store, &config, world->ring, &reason) == 0);
    return store;
}

static struct ak_digest name(unsigned number) {
    struct ak_digest digest = {{0}};
    digest.bytes[0] = (unsigned char)number;
    digest.bytes[1] = (unsigned char)(number >> 8);
    return digest;
}

static void put(struct ak_store *store, unsigned number, const char *data, size_t len,
                uint64_t run_ms) {
    AK_BUF_AUTO reason = {0};
    struct ak_digest key = name(number);
    struct ak_bytes buffer = ak_bytes(data, len);
    struct ak_entry entry = {.body = ak_bytes("body", 4),
                             .buffers = &buffer,
                             .n_buffers = data != NULL,
                             .run_ns = run_ms * 1000000};
    assert(ak_store_put(store, &key, &entry, false, NULL, &reason) == 0);
}

static bool there(struct ak_store *store, unsigned number) {
    AK_BUF_AUTO reason = {0};
    struct ak_digest key = name(number);
    struct ak_loaded loaded;
    int r = ak_store_get(store, &key, &loaded, &reason);
    if (r == 0)
        ak_loaded_done(&loaded);
    else
        assert(reason.len == 0);
    return r == 0;
}

static void entry_path(const struct world *world, unsigned number,
                       struct ak_buf *ret_path) {
    char hex[AK_DIGEST_HEX_SIZE];
    struct ak_digest key = name(number);
    ak_digest_hex(&key, hex);
    ak_buf_clear(ret_path);
    assert(ak_buf_addf(ret_path, "%s/entries/%.2s/%s", world->store, hex, hex) == 0);
}

static void age_path(const char *path, long seconds) {
    struct timespec times[2] = {{time(NULL) - seconds, 0}, {time(NULL) - seconds, 0}};
    assert(utimensat(AT_FDCWD, path, times, 0) == 0);
}

static long age_everything;

static int age_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)ftw;
    if (type == FTW_F)
        age_path(path, age_everything);
    return 0;
}

static void age_store(const struct world *world, long seconds) {
    age_everything = seconds;
    assert(nftw(world->store, age_one, 16, FTW_PHYS) == 0);
}

static struct ak_collection collect(struct ak_store *store, uint64_t max_bytes,
                                    uint64_t max_age_s) {
    struct ak_collection collection;
    struct ak_limits limits = {max_bytes, max_age_s};
    assert(ak_store_collect(store, &limits, &collection) == 0);
    return collection;
}

static void age_limit(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO path = {0};
    char *bytes = world_bytes(100001, 1);
    put(store, 1, bytes, 100000, 1);
    put(store, 2, bytes, 100000, 1);
    put(store, 3, bytes + 1, 100000, 1);
    age_store(&world, 40 * DAY);
    assert(there(store, 2)); /* used now */
    struct ak_collection c = collect(store, 1u << 30, 30 * DAY);
    assert(c.n_entries == 3 && c.n_entries_removed == 2);
    assert(c.n_objects == 2 && c.n_objects_removed == 1);
    assert(!there(store, 1) && there(store, 2) && !there(store, 3));
    c = collect(store, 1u << 30, 30 * DAY);
    assert(c.n_entries == 1 && c.n_entries_removed == 0 && c.n_objects_removed == 0);
    entry_path(&world, 2, &path);
    age_path(ak_buf_str(&path), 31 * DAY);
    c = collect(store, 1u << 30, 30 * DAY);
    assert(c.n_entries_removed == 1 && c.n_objects_removed == 1);
    free(bytes);
    world_done(&world);
}

/* What saves the least time a byte goes first, and no more goes than has to. */
static void least_worthy_first(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    char *bytes = world_bytes(200010, 2);
    for (unsigned i = 0; i < 10; i++)
        put(store, i, bytes + i, i == 7 ? 200000 : 100000, 100 + 50 * i);
    age_store(&world, HOUR);
    struct ak_collection c = collect(store, 800000, 30 * DAY);
    /* 1100 kB have to become 720 kB: 0 to 2, and 7, which takes twice the room. */
    assert(c.n_entries_removed == 4);
    for (unsigned i = 0; i < 10; i++)
        assert(there(store, i) == !(i < 3 || i == 7));
    free(bytes);
    world_done(&world);
}

/* Of two equally worthy ones, the one that was not used for long goes first. */
static void unused_first(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO path = {0};
    char *bytes = world_bytes(100010, 3);
    for (unsigned i = 0; i < 4; i++) {
        put(store, i, bytes + i, 100000, 100);
        entry_path(&world, i, &path);
        age_path(ak_buf_str(&path), DAY * (4 - (long)i));
    }
    struct ak_collection c = collect(store, 300000, 30 * DAY);
    assert(c.n_entries_removed == 2);
    for (unsigned i = 0; i < 4; i++)
        assert(there(store, i) == (i >= 2));
    free(bytes);
    world_done(&world);
}

/* An object that two entries name goes with the second. */
static void shared_objects(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO path = {0};
    char *bytes = world_bytes(100000, 4);
    put(store, 1, bytes, 100000, 1);
    put(store, 2, bytes, 100000, 1);
    age_store(&world, 2 * HOUR);
    entry_path(&world, 1, &path);
    age_path(ak_buf_str(&path), 40 * DAY);
    struct ak_collection c = collect(store, 1u << 30, 30 * DAY);
    assert(c.n_entries_removed == 1 && c.n_objects_removed == 0);
    assert(there(store, 2));
    free(bytes);
    world_done(&world);
}

/* An object without an entry may belong to a writer that has not finished. */
static void young_objects_stay(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO path = {0};
    char *bytes = world_bytes(100000, 5);
    put(store, 1, bytes, 100000, 1);
    entry_path(&world, 1, &path);
    assert(unlink(ak_buf_str(&path)) == 0);
    assert(collect(store, 0, 0).n_objects_removed == 0);
    age_store(&world, HOUR - 60);
    assert(collect(store, 0, 0).n_objects_removed == 0);
    put(store, 1, bytes, 100000, 1); /* found, so it is young again */
    assert(unlink(ak_buf_str(&path)) == 0);
    age_store(&world, HOUR + 60);
    assert(collect(store, 0, 0).n_objects_removed == 1);
    free(bytes);
    world_done(&world);
}

/* Evicted entries of a moment ago count as gone, though their objects wait. */
static void no_more_than_needed(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    char *bytes = world_bytes(100010, 6);
    for (unsigned i = 0; i < 10; i++)
        put(store, i, bytes + i, 100000, 100);
    struct ak_collection c = collect(store, 500000, 30 * DAY);
    assert(c.n_entries_removed == 6 && c.n_objects_removed == 0);
    age_store(&world, 2 * HOUR);
    c = collect(store, 500000, 30 * DAY);
    assert(c.n_entries_removed == 0 && c.n_objects_removed == 6);
    free(bytes);
    world_done(&world);
}

static void mapped_buffers_survive(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO reason = {0};
    struct ak_loaded loaded;
    struct ak_digest key = name(1);
    char *bytes = world_bytes(500000, 7);
    put(store, 1, bytes, 500000, 1);
    assert(ak_store_get(store, &key, &loaded, &reason) == 0);
    age_store(&world, 40 * DAY);
    assert(collect(store, 0, 0).n_objects_removed == 1);
    assert(memcmp(loaded.buffers[0].data, bytes, 500000) == 0);
    ((char *)loaded.buffers[0].data)[7] = 'x';
    assert(((char *)loaded.buffers[0].data)[7] == 'x');
    ak_loaded_done(&loaded);
    free(bytes);
    world_done(&world);
}

static void variants_follow(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO reason = {0};
    struct ak_digest key = name(1), entry = name(2);
    struct ak_variant *variants;
    size_t n;
    put(store, 2, NULL, 0, 1);
    assert(ak_store_put_variant(store, &key, ak_bytes("f", 1), &entry, &reason) == 0);
    age_store(&world, DAY);
    collect(store, 1u << 30, 30 * DAY);
    assert(ak_store_variants(store, &key, &variants, &n) == 0 && n == 1);
    ak_variants_free(variants, n);
    ak_store_remove(store, &entry);
    collect(store, 1u << 30, 30 * DAY);
    assert(ak_store_variants(store, &key, &variants, &n) == 0 && n == 0);
    ak_variants_free(variants, n);
    world_done(&world);
}

/* What a writer left that the file system had no nameless files for. */
static void leftovers(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO path = {0};
    put(store, 0, NULL, 0, 1);
    assert(ak_buf_addf(&path, "%s/entries/00/.tmp-0123", world.store) == 0);
    world_write(ak_buf_str(&path), "half", 4, 0400);
    collect(store, 1u << 30, 30 * DAY);
    assert(access(ak_buf_str(&path), F_OK) == 0);
    age_path(ak_buf_str(&path), 2 * HOUR);
    collect(store, 1u << 30, 30 * DAY);
    assert(access(ak_buf_str(&path), F_OK) < 0);
    assert(there(store, 0));
    world_done(&world);
}

static void one_at_a_time(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO path = {0};
    struct ak_collection collection;
    struct ak_limits limits = AK_LIMITS_DEFAULT;
    assert(ak_buf_addf(&path, "%s/lock", world.store) == 0);
    int fd = open(ak_buf_str(&path), O_RDWR | O_CREAT, 0600);
    assert(fd >= 0 && flock(fd, LOCK_EX) == 0);
    assert(ak_store_collect(store, &limits, &collection) == AK_EVICT_E_BUSY);
    put(store, 1, NULL, 0, 1); /* nobody else waits for it */
    assert(there(store, 1));
    close(fd);
    assert(ak_store_collect(store, &limits, &collection) == 0);
    world_done(&world);
}

static void when_it_is_due(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO path = {0};
    struct ak_limits limits = {10 * 1000 * 1000, 30 * DAY};
    char *bytes = world_bytes(8000010, 8);
    assert(!ak_store_collection_due(store, &limits));
    put(store, 1, bytes, 100, 1);
    assert(ak_store_collection_due(store, &limits)); /* never collected */
    collect(store, limits.max_bytes, limits.max_age_s);
    assert(!ak_store_collection_due(store, &limits));
    put(store, 2, bytes, 8000000, 1);
    assert(!ak_store_collection_due(store, &limits));
    put(store, 3, bytes + 1, 8000000, 1);
    assert(ak_store_collection_due(store, &limits));
    collect(store, limits.max_bytes, limits.max_age_s);
    /* The objects are too young to go, and that is not tried again at once. */
    put(store, 4, bytes, 100, 1);
    assert(!ak_store_collection_due(store, &limits));
    assert(ak_buf_addf(&path, "%s/usage", world.store) == 0);
    age_path(ak_buf_str(&path), DAY + 60);
    assert(ak_store_collection_due(store, &limits));
    assert(ak_store_clear(store) == 0);
    assert(!ak_store_collection_due(store, &limits));
    free(bytes);
    world_done(&world);
}

static void cleared(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    char *bytes = world_bytes(100000, 9);
    put(store, 1, bytes, 100000, 1);
    put(store, 2, NULL, 0, 1);
    assert(ak_store_bytes(store) > 100000);
    assert(ak_store_clear(store) == 0);
    assert(ak_store_bytes(store) == 0 && !there(store, 1) && !there(store, 2));
    put(store, 1, bytes, 100000, 1);
    assert(there(store, 1));
    free(bytes);
    world_done(&world);
}

static void limits(void) {
    struct ak_limits limits;
    AK_BUF_AUTO message = {0};
    uint64_t value;
    assert(ak_limits_parse_bytes("1234", &value) == 0 && value == 1234);
    assert(ak_limits_parse_bytes("1.5k", &value) == 0 && value == 1500);
    assert(ak_limits_parse_bytes("20G", &value) == 0 && value == 20000000000u);
    assert(ak_limits_parse_bytes("5MB", &value) == 0 && value == 5000000);
    const char *bad[] = {"", "G", "-1", "5X", "5GG", "nan", "1e30", "5 apples"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert(ak_limits_parse_bytes(bad[i], &value) < 0);
    assert(ak_limits_parse_days("0.5", &value) == 0 && value == 43200);
    assert(ak_limits_parse_days("x", &value) < 0);
    assert(ak_limits_parse_days("-1", &value) < 0);
    setenv("AKERNEL_CACHE_MAX_BYTES", "7G", 1);
    setenv("AKERNEL_CACHE_MAX_DAYS", "2", 1);
    assert(ak_limits_from_environment(&limits, &message) == 0);
    assert(limits.max_bytes == 7000000000u && limits.max_age_s == 2 * DAY);
    setenv("AKERNEL_CACHE_MAX_BYTES", "much", 1);
    assert(ak_limits_from_environment(&limits, &message) < 0);
    assert(strstr(ak_buf_str(&message), "much"));
    assert(limits.max_bytes == AK_LIMITS_DEFAULT.max_bytes);
}

/* A hundred thousand entries make opening no slower: it looks at none of them. */
static void opens_at_once(void) {
    struct world world;
    world_init(&world);
    struct ak_store *store = new_store(&world);
    struct ak_entry entry = {.body = ak_bytes("b", 1)};
    AK_BUF_AUTO reason = {0};
    for (unsigned i = 0; i < 3000; i++) {
        struct ak_digest key = name(i);
        assert(ak_store_put(store, &key, &entry, false, NULL, &reason) == 0);
    }
    uint64_t full = UINT64_MAX, empty = UINT64_MAX;
    struct world other;
    world_init(&other);
    struct ak_store *nothing = new_store(&other);
    for (int i = 0; i < 20; i++) {
        store = ak_store_free(store);
        nothing = ak_store_free(nothing);
        uint64_t t = ak_clock_now();
        store = new_store(&world);
        uint64_t took = ak_clock_now() - t;
        full = took < full ? took : full;
        t = ak_clock_now();
        nothing = new_store(&other);
        took = ak_clock_now() - t;
        empty = took < empty ? took : empty;
    }
    assert(full < 5 * empty);
    ak_store_free(store);
    ak_store_free(nothing);
    world_done(&other);
    world_done(&world);
}

static const struct ak_test tests[] = {
    {"age-limit", age_limit},
    {"least-worthy-first", least_worthy_first},
    {"unused-first", unused_first},
    {"shared-objects", shared_objects},
    {"young-objects-stay", young_objects_stay},
    {"no-more-than-needed", no_more_than_needed},
    {"mapped-buffers-survive", mapped_buffers_survive},
    {"variants-follow", variants_follow},
    {"leftovers", leftovers},
    {"one-at-a-time", one_at_a_time},
    {"when-it-is-due", when_it_is_due},
    {"cleared", cleared},
    {"limits", limits},
    {"opens-at-once", opens_at_once},
};
AK_TEST_MAIN(tests)

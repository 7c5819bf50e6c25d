/* SPDX-License-Identifier: MIT */
/*
 * Mark and sweep. Every entry's head is read, so the references are those of this
 * moment, and nothing has to be kept right in between. One process collects at a time,
 * under a lock that nobody else waits for.
 *
 * A writer may be anywhere between its first object and its entry. Objects that no
 * entry names are therefore left alone for an hour, and a writer that finds an object
 * there sets its time to now. The objects of an entry that is evicted here were
 * committed, and need less: a few minutes protect a writer that is about to name them
 * again. Whoever is slower than that loses an entry, which is a miss.
 *
 * What an entry is worth is the time that it saves for each byte that it takes, halved
 * for every few days without use: without that, one expensive cell of last month would
 * outlive all that is worked with today.
 */
#include "cache/evict.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/error.h"
#include "base/map.h"
#include "cache/entry-private.h"
#include "cache/scan-private.h"
#include "cache/store-private.h"

#define YOUNG_S 3600
#define RECENT_S 300
#define HALF_LIFE_S (3 * 86400.0)
#define DAY_S 86400
#define AGAIN_S 600
#define AGAIN_PART 50

struct object {
    struct ak_digest digest;
    uint64_t len;
    time_t changed;
    uint64_t n_refs;
    bool committed; /* some entry named it */
};

struct candidate {
    struct ak_digest key;
    uint64_t bytes; /* the file alone */
    time_t used;
    double worth;
    size_t first_ref, n_refs; /* in refs */
    bool removed;
};

struct pass {
    struct ak_store *store;
    const struct ak_limits *limits;
    struct ak_collection *result;
    time_t now;
    uint64_t total;
    struct ak_map *objects;   /* digest -> struct object, owned */
    struct ak_buf candidates; /* struct candidate */
    struct ak_buf refs;       /* struct object * */
    struct ak_buf head;       /* of the entry that is looked at */
};

static void pass_done(struct pass *pass) {
    size_t cursor = 0;
    void *object;
    while (pass->objects && (object = ak_map_next(pass->objects, &cursor, NULL, NULL)))
        free(object);
    ak_map_free(pass->objects);
    ak_buf_done(&pass->candidates);
    ak_buf_done(&pass->refs);
    ak_buf_done(&pass->head);
}

static bool older(const struct pass *pass, time_t changed, time_t seconds) {
    return pass->now - changed >= seconds;
}

/* A file that a writer without O_TMPFILE left behind. */
static int remove_temporary(const struct pass *pass, const struct ak_scanned *file) {
    if (strncmp(file->name, AK_FILE_TEMPORARY, strlen(AK_FILE_TEMPORARY)) == 0 &&
        older(pass, file->st->st_mtime, YOUNG_S))
        unlink(file->path);
    return 0;
}

/* --- marking -----------------------------------------------------------------------
 */

static int mark_object(void *context, const struct ak_scanned *file) {
    struct pass *pass = context;
    struct ak_digest digest;
    if (ak_digest_parse(file->name, &digest) < 0)
        return remove_temporary(pass, file);
    struct object *object = calloc(1, sizeof(*object));
    if (!object)
        return -ENOMEM;
    *object = (struct object){.digest = digest,
                              .len = (uint64_t)file->st->st_size,
                              .changed = file->st->st_mtime};
    int r = ak_map_put(pass->objects, digest.bytes, AK_DIGEST_SIZE, object, NULL);
    if (r) {
        free(object);
        return r;
    }
    pass->total += object->len;
    pass->result->n_objects++;
    return 0;
}

static int mark_references(struct pass *pass, const struct ak_entry_view *view,
                           struct candidate *candidate, uint64_t *bytes) {
    int r = 0;
    candidate->first_ref = pass->refs.len / sizeof(struct object *);
    for (size_t i = 0; i < view->n_buffers && !r; i++) {
        if (ak_entry_row_len(view, i) < AK_ENTRY_OBJECT_MIN)
            continue;
        struct object *object = ak_map_get(
            pass->objects, ak_entry_row_digest(view, i)->bytes, AK_DIGEST_SIZE);
        if (!object)
            continue;
        object->n_refs++;
        object->committed = true;
        *bytes += object->len;
        candidate->n_refs++;
        r = ak_buf_add(&pass->refs, &object, sizeof(object));
    }
    return r;
}

static int mark_entry(void *context, const struct ak_scanned *file) {
    struct pass *pass = context;
    struct ak_entry_view view;
    struct candidate candidate = {.bytes = (uint64_t)file->st->st_size,
                                  .used = file->st->st_mtime};
    if (ak_digest_parse(file->name, &candidate.key) < 0)
        return remove_temporary(pass, file);
    int r = ak_entry_load_head(file->path, candidate.bytes, &pass->head, &view);
    if (r == -ENOMEM)
        return r;
    pass->result->n_entries++;
    pass->total += candidate.bytes;
    uint64_t all = candidate.bytes;
    if (!r) {
        r = mark_references(pass, &view, &candidate, &all);
        double idle = (double)(pass->now - candidate.used);
        candidate.worth = ((double)view.run_ns + 1) / ((double)all + 1) *
                          exp2(-(idle > 0 ? idle : 0) / HALF_LIFE_S);
        if (r)
            return r;
    }
    return ak_buf_add(&pass->candidates, &candidate, sizeof(candidate));
}

static int count_variant(void *context, const struct ak_scanned *file) {
    struct pass *pass = context;
    pass->total += (uint64_t)file->st->st_size;
    return 0;
}

/* --- removing ----------------------------------------------------------------------
 */

/* Whether the file is as it was when it was looked at: neither used nor renewed. */
static bool unchanged(const char *path, time_t changed) {
    struct stat st;
    return lstat(path, &st) == 0 && st.st_mtime == changed;
}

static void remove_entry(struct pass *pass, struct candidate *candidate) {
    AK_BUF_AUTO path = {0};
    if (candidate->removed ||
        ak_store_path(pass->store, AK_STORE_ENTRIES, &candidate->key, &path) ||
        !unchanged(ak_buf_str(&path), candidate->used) || unlink(ak_buf_str(&path)) < 0)
        return;
    struct object **refs = (struct object **)(void *)pass->refs.data;
    candidate->removed = true;
    pass->total -= candidate->bytes;
    pass->result->n_entries_removed++;
    pass->result->bytes_removed += candidate->bytes;
    for (size_t i = 0; i < candidate->n_refs; i++) {
        struct object *object = refs[candidate->first_ref + i];
        if (--object->n_refs == 0)
            pass->total -= object->len;
    }
}

static int least_worthy_first(const void *left, const void *right) {
    const struct candidate *a = left, *b = right;
    if (a->worth != b->worth)
        return a->worth < b->worth ? -1 : 1;
    return (a->used > b->used) - (a->used < b->used);
}

/* What no entry names is about to go, or will with the next collection: it is no reason
 * to evict anything. */
static void discount_unnamed(struct pass *pass) {
    const struct object *object;
    size_t cursor = 0;
    while ((object = ak_map_next(pass->objects, &cursor, NULL, NULL)))
        pass->total -= object->n_refs ? 0 : object->len;
}

static void evict(struct pass *pass) {
    struct candidate *candidates = (void *)pass->candidates.data;
    size_t n = pass->candidates.len / sizeof(*candidates);
    discount_unnamed(pass);
    for (size_t i = 0; i < n; i++) {
        if (older(pass, candidates[i].used, (time_t)pass->limits->max_age_s))
            remove_entry(pass, &candidates[i]);
    }
    if (pass->total <= pass->limits->max_bytes)
        return;
    /* A little more than asked for, so that the next put is not the next reason. */
    uint64_t target = pass->limits->max_bytes / 10 * 9;
    qsort(candidates, n, sizeof(*candidates), least_worthy_first);
    for (size_t i = 0; i < n && pass->total > target; i++)
        remove_entry(pass, &candidates[i]);
}

static void sweep_objects(struct pass *pass) {
    AK_BUF_AUTO path = {0};
    struct object *object;
    size_t cursor = 0;
    while ((object = ak_map_next(pass->objects, &cursor, NULL, NULL))) {
        if (object->n_refs)
            continue;
        if (!older(pass, object->changed, object->committed ? RECENT_S : YOUNG_S) ||
            ak_store_path(pass->store, AK_STORE_OBJECTS, &object->digest, &path) ||
            !unchanged(ak_buf_str(&path), object->changed) ||
            unlink(ak_buf_str(&path)) < 0) {
            pass->total += object->len; /* the next collection's */
            continue;
        }
        pass->result->n_objects_removed++;
        pass->result->bytes_removed += object->len;
    }
}

/* A variant whose entry is gone leads nowhere. */
static int sweep_variant(void *context, const struct ak_scanned *file) {
    struct pass *pass = context;
    AK_BUF_AUTO path = {0};
    struct ak_digest entry;
    size_t key_len = AK_DIGEST_HEX_SIZE - 1;
    if (strlen(file->name) != 2 * key_len + 1 ||
        ak_digest_parse(file->name + key_len + 1, &entry) < 0)
        return remove_temporary(pass, file);
    int r = ak_store_path(pass->store, AK_STORE_ENTRIES, &entry, &path);
    if (!r && access(ak_buf_str(&path), F_OK) < 0 && errno == ENOENT &&
        older(pass, file->st->st_mtime, RECENT_S) && unlink(file->path) == 0)
        pass->total -= (uint64_t)file->st->st_size;
    return r;
}

static void note_usage(const struct pass *pass) {
    AK_BUF_AUTO path = {0};
    AK_BUF_AUTO text = {0};
    struct ak_file file = {.fd = -1};
    if (ak_buf_addf(&path, "%s/" AK_STORE_USAGE, pass->store->dir) ||
        ak_buf_addf(&text, "%llu\n", (unsigned long long)pass->total))
        return;
    int r = ak_file_new(&file, ak_buf_str(&path), 0600);
    if (!r)
        r = ak_file_write(&file, text.data, text.len);
    if (!r)
        r = ak_file_commit(&file, true);
    ak_file_drop(&file);
    ak_buf_clear(&path);
    if (!r && ak_buf_addf(&path, "%s/" AK_STORE_GROWTH, pass->store->dir) == 0)
        unlink(ak_buf_str(&path));
}

static int take_lock(const struct ak_store *store, int *ret_fd) {
    AK_BUF_AUTO path = {0};
    int r = ak_buf_addf(&path, "%s/" AK_STORE_LOCK, store->dir);
    if (r)
        return r;
    *ret_fd = open(ak_buf_str(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*ret_fd < 0)
        return -errno;
    if (flock(*ret_fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return 0; /* also where the file system has no locks */
    return AK_EVICT_E_BUSY;
}

int ak_store_collect(struct ak_store *store, const struct ak_limits *limits,
                     struct ak_collection *ret_collection) {
    AK_CLEANUP(ak_closep) int lock_fd = -1;
    AK_CLEANUP(pass_done)
    struct pass pass = {
        .store = store, .limits = limits, .result = ret_collection, .now = time(NULL)};
    *ret_collection = (struct ak_collection){0};
    int r = take_lock(store, &lock_fd);
    if (r == AK_EVICT_E_BUSY)
        return r;
    if (!r)
        r = ak_map_new(&pass.objects);
    if (!r)
        r = ak_scan(store, AK_STORE_OBJECTS, mark_object, &pass);
    if (!r)
        r = ak_scan(store, AK_STORE_ENTRIES, mark_entry, &pass);
    if (!r)
        r = ak_scan(store, AK_STORE_VARIANTS, count_variant, &pass);
    if (r)
        return ak_error_origin(r);
    ret_collection->bytes = pass.total;
    evict(&pass);
    sweep_objects(&pass);
    r = ak_scan(store, AK_STORE_VARIANTS, sweep_variant, &pass);
    note_usage(&pass);
    return r ? ak_error_origin(r) : 0;
}

bool ak_store_collection_due(const struct ak_store *store,
                             const struct ak_limits *limits) {
    AK_BUF_AUTO path = {0};
    struct stat growth_st, usage_st;
    char text[32] = "";
    if (ak_buf_addf(&path, "%s/" AK_STORE_GROWTH, store->dir) ||
        stat(ak_buf_str(&path), &growth_st) < 0)
        return false; /* nothing new */
    ak_buf_clear(&path);
    if (ak_buf_addf(&path, "%s/" AK_STORE_USAGE, store->dir))
        return false;
    AK_CLEANUP(ak_closep) int fd = open(ak_buf_str(&path), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &usage_st) < 0 || read(fd, text, sizeof(text) - 1) < 0)
        return true; /* never collected */
    uint64_t growth = (uint64_t)growth_st.st_size * AK_STORE_GROWTH_UNIT;
    time_t age = time(NULL) - usage_st.st_mtime;
    bool full = strtoull(text, NULL, 10) + growth > limits->max_bytes;
    /* What could not be brought below the limit is not tried again at once. */
    return age > DAY_S ||
           (full && (age > AGAIN_S || growth > limits->max_bytes / AGAIN_PART));
}

/* --- clearing, listing -------------------------------------------------------------
 */

static int remove_file(void *context, const struct ak_scanned *file) {
    (void)context;
    unlink(file->path);
    return 0;
}

int ak_store_clear(struct ak_store *store) {
    static const char *const kinds[] = {AK_STORE_ENTRIES, AK_STORE_VARIANTS,
                                        AK_STORE_OBJECTS};
    static const char *const files[] = {AK_STORE_USAGE, AK_STORE_GROWTH};
    AK_BUF_AUTO path = {0};
    int r = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !r; i++)
        r = ak_scan(store, kinds[i], remove_file, NULL);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !r; i++) {
        ak_buf_clear(&path);
        r = ak_buf_addf(&path, "%s/%s", store->dir, files[i]);
        if (!r)
            unlink(ak_buf_str(&path));
    }
    return r ? ak_error_origin(r) : 0;
}

struct each {
    int (*visit)(void *context, const struct ak_entry_info *info);
    void *context;
};

static int each_entry(void *context, const struct ak_scanned *file) {
    const struct each *each = context;
    AK_BUF_AUTO head = {0};
    struct ak_entry_view view;
    struct ak_entry_info info = {.bytes = (uint64_t)file->st->st_size,
                                 .used_s = file->st->st_mtime};
    if (ak_digest_parse(file->name, &info.key) < 0 ||
        ak_entry_load_head(file->path, info.bytes, &head, &view))
        return 0;
    info.run_ns = view.run_ns;
    info.created_ns = view.created_ns;
    info.n_buffers = view.n_buffers;
    for (size_t i = 0; i < view.n_buffers; i++) {
        uint64_t len = ak_entry_row_len(&view, i);
        info.bytes += len < AK_ENTRY_OBJECT_MIN ? 0 : len;
    }
    if (view.label.len && view.label.len < AK_LABEL_SIZE)
        memcpy(info.label, view.label.data, view.label.len);
    return each->visit(each->context, &info);
}

int ak_store_each(const struct ak_store *store,
                  int (*visit)(void *context, const struct ak_entry_info *info),
                  void *context) {
    struct each each = {visit, context};
    return ak_scan(store, AK_STORE_ENTRIES, each_entry, &each);
}

struct unreadable {
    bool remove;
    uint64_t n;
};

static int check_head(void *context, const struct ak_scanned *file) {
    struct unreadable *unreadable = context;
    AK_BUF_AUTO head = {0};
    struct ak_entry_view view;
    if (strncmp(file->name, AK_FILE_TEMPORARY, strlen(AK_FILE_TEMPORARY)) == 0 ||
        ak_entry_load_head(file->path, (uint64_t)file->st->st_size, &head, &view) == 0)
        return 0;
    unreadable->n++;
    if (unreadable->remove)
        unlink(file->path);
    return 0;
}

int ak_store_unreadable(struct ak_store *store, bool remove, uint64_t *ret_n) {
    struct unreadable unreadable = {.remove = remove};
    int r = ak_scan(store, AK_STORE_ENTRIES, check_head, &unreadable);
    *ret_n = unreadable.n;
    return r ? ak_error_origin(r) : 0;
}

static int add_size(void *context, const struct ak_scanned *file) {
    uint64_t *bytes = context;
    *bytes += (uint64_t)file->st->st_size;
    return 0;
}

uint64_t ak_store_bytes(const struct ak_store *store) {
    uint64_t bytes = 0;
    (void)ak_scan(store, AK_STORE_ENTRIES, add_size, &bytes);
    (void)ak_scan(store, AK_STORE_OBJECTS, add_size, &bytes);
    (void)ak_scan(store, AK_STORE_VARIANTS, add_size, &bytes);
    return bytes;
}

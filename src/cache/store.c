/* SPDX-License-Identifier: MIT */
/*
 * Files only. A database pays for an index of very many tiny values; what is kept here
 * are few and large ones, and only a file can be mapped privately and writable, so that
 * a restored array costs no copy.
 *
 * The entry is the commit: objects are complete before the entry that names them
 * exists, and both appear by a link, complete or not at all. A kill at any moment
 * leaves at most objects that nobody names, which the next collection removes. There is
 * no fsync: after a power loss a file may be short, which its seal tells, and that is a
 * miss.
 *
 * No descriptor is kept: user code closes and reuses those. Paths are absolute, because
 * user code changes directories.
 */
#include "cache/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "cache/entry-private.h"
#include "cache/keyring-private.h"
#include "cache/store-private.h"

static uint64_t wall_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void ak_buffer_done(struct ak_buffer *buffer) {
    if (buffer->mapped) {
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
        uintptr_t begin = (uintptr_t)buffer->data & ~(page - 1);
        uintptr_t end =
            ((uintptr_t)buffer->data + buffer->len + page - 1) & ~(page - 1);
        munmap((void *)begin, end - begin);
    } else {
        free(buffer->data);
    }
    *buffer = (struct ak_buffer){0};
}

void ak_loaded_done(struct ak_loaded *loaded) {
    ak_buffer_done(&loaded->body);
    for (size_t i = 0; i < loaded->n_buffers; i++)
        ak_buffer_done(&loaded->buffers[i]);
    free(loaded->buffers);
    *loaded = (struct ak_loaded){0};
}

/* --- opening -----------------------------------------------------------------------
 */

static int absolute(const char *dir, char **ret_dir) {
    AK_BUF_AUTO path = {0};
    char cwd[PATH_MAX];
    if (dir[0] != '/' && !getcwd(cwd, sizeof(cwd)))
        return -errno;
    int r = dir[0] == '/' ? ak_buf_add_str(&path, dir)
                          : ak_buf_addf(&path, "%s/%s", cwd, dir);
    while (!r && path.len > 1 && path.data[path.len - 1] == '/')
        path.data[--path.len] = '\0';
    if (!r)
        *ret_dir = ak_buf_take(&path);
    return r;
}

int ak_store_new(struct ak_store **ret_store, const struct ak_store_config *config,
                 const struct ak_keyring *ring, struct ak_buf *ret_reason) {
    AK_BUF_AUTO dir = {0};
    AK_CLEANUP(ak_store_freep) struct ak_store *store = calloc(1, sizeof(*store));
    if (!store)
        return ak_error_origin(ENOMEM);
    store->ring = ring;
    store->read_only = config->read_only;
    store->usable = !config->read_only;
    store->hash = aligned_alloc(64, (sizeof(*store->hash) + 63) & ~(size_t)63);
    int r = store->hash ? 0 : -ENOMEM;
    if (!r)
        r = config->dir ? ak_buf_add_str(&dir, config->dir)
                        : ak_store_default_dir(&dir);
    if (!r)
        r = absolute(ak_buf_str(&dir), &store->dir);
    if (r)
        return ak_error_origin(r);
    r = ak_store_prepare(store, ret_reason);
    if (r)
        return r;
    *ret_store = AK_TAKE(store);
    return 0;
}

struct ak_store *ak_store_free(struct ak_store *store) {
    if (!store)
        return NULL;
    free(store->dir);
    free(store->hash);
    free(store);
    return NULL;
}

const char *ak_store_dir(const struct ak_store *store) {
    return store->dir;
}

bool ak_store_usable(const struct ak_store *store) {
    return store->usable;
}

void ak_store_set_tier(struct ak_store *store, const struct ak_store_tier *tier) {
    store->tier = *tier;
}

const struct ak_store_counts *ak_store_counts(const struct ak_store *store) {
    return &store->counts;
}

/* --- parts that entries and variants share -----------------------------------------
 */

int ak_store_path(const struct ak_store *store, const char *kind,
                  const struct ak_digest *digest, struct ak_buf *ret_path) {
    char hex[AK_DIGEST_HEX_SIZE];
    ak_digest_hex(digest, hex);
    ak_buf_clear(ret_path);
    return ak_buf_addf(ret_path, "%s/%s/%.2s/%s", store->dir, kind, hex, hex);
}

void ak_store_seal_begin(struct ak_store *store) {
    ak_hash_init(store->hash, store->ring, AK_PURPOSE_LOCAL);
}

bool ak_store_sealed(struct ak_store *store, const void *data, size_t sealed_len) {
    struct ak_digest seal;
    ak_store_seal_begin(store);
    ak_hash_add(store->hash, data, sealed_len);
    ak_hash_final(store->hash, &seal);
    return sodium_memcmp(seal.bytes, (const char *)data + sealed_len, AK_DIGEST_SIZE) ==
           0;
}

int ak_store_create(struct ak_store *store, struct ak_file *file, const char *path) {
    int r = ak_file_new(file, path, 0400);
    if (r != -ENOENT)
        return r;
    /* The first file of its directory, or the whole store was deleted meanwhile. */
    AK_BUF_AUTO reason = {0};
    ak_file_drop(file);
    if (ak_store_prepare(store, &reason))
        return -EACCES;
    r = ak_file_make_parents(path, 0700);
    return r ? r : ak_file_new(file, path, 0400);
}

int ak_store_refuse(struct ak_store *store, int error, struct ak_buf *ret_reason) {
    store->counts.n_refused++;
    if (error == -ENOMEM)
        return ak_error_origin(error);
    bool passing = error == -EMFILE || error == -ENFILE || error == -EINTR;
    store->usable = passing;
    (void)ak_buf_addf(ret_reason, "the cache in %s cannot store: %s%s", store->dir,
                      strerror(-error),
                      passing ? "" : "; nothing more is stored in this session");
    return AK_STORE_E_REFUSED;
}

/* How much was added since the last collection, for whoever decides about the next. */
static void note_growth(const struct ak_store *store, uint64_t bytes) {
    AK_BUF_AUTO path = {0};
    static const char units[4096];
    uint64_t n = (bytes + AK_STORE_GROWTH_UNIT - 1) / AK_STORE_GROWTH_UNIT;
    if (ak_buf_addf(&path, "%s/" AK_STORE_GROWTH, store->dir))
        return;
    AK_CLEANUP(ak_closep)
    int fd = open(ak_buf_str(&path), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    while (fd >= 0 && n) {
        size_t part = n < sizeof(units) ? (size_t)n : sizeof(units);
        if (write(fd, units, part) < 0)
            break;
        n -= part;
    }
}

/* --- storing -----------------------------------------------------------------------
 */

/* Whether this object is there. Its time is set to now, so that no collection takes it
 * before the entry that is about to name it. */
static bool object_there(const char *path, size_t len) {
    struct stat st;
    if (lstat(path, &st) < 0)
        return false;
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size == len &&
        utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW) == 0)
        return true;
    unlink(path);
    return false;
}

static int put_object(struct ak_store *store, struct ak_bytes buffer,
                      const struct ak_digest *digest, uint64_t *bytes) {
    AK_BUF_AUTO path = {0};
    struct ak_file file = {.fd = -1};
    int r = ak_store_path(store, AK_STORE_OBJECTS, digest, &path);
    if (r)
        return r;
    if (object_there(ak_buf_str(&path), buffer.len)) {
        store->counts.bytes_shared += buffer.len;
        return 0;
    }
    r = ak_store_create(store, &file, ak_buf_str(&path));
    if (!r)
        r = ak_file_write(&file, buffer.data, buffer.len);
    if (!r)
        r = ak_file_commit(&file, false);
    ak_file_drop(&file);
    if (!r)
        *bytes += buffer.len;
    return r == -EEXIST ? 0 : r;
}

/* Writes and seals at once. */
static int write_sealed(struct ak_store *store, struct ak_file *file,
                        struct ak_bytes bytes, uint64_t *written) {
    ak_hash_add(store->hash, bytes.data, bytes.len);
    *written += bytes.len;
    return ak_file_write(file, bytes.data, bytes.len);
}

static int write_entry(struct ak_store *store, struct ak_file *file,
                       const struct ak_digest *key, const struct ak_entry *entry,
                       const struct ak_digest *digests, uint64_t *bytes) {
    AK_BUF_AUTO head = {0};
    struct ak_digest seal;
    int r = ak_entry_encode_head(&head, &store->ring->local_id, key, entry, digests,
                                 wall_clock());
    ak_store_seal_begin(store);
    if (!r)
        r = write_sealed(store, file, ak_bytes(ak_buf_str(&head), head.len), bytes);
    if (!r)
        r = write_sealed(store, file, entry->body, bytes);
    for (size_t i = 0; i < entry->n_buffers && !r; i++) {
        if (entry->buffers[i].len < AK_ENTRY_OBJECT_MIN)
            r = write_sealed(store, file, entry->buffers[i], bytes);
    }
    ak_hash_final(store->hash, &seal);
    return r ? r : ak_file_write(file, seal.bytes, sizeof(seal.bytes));
}

static int put(struct ak_store *store, const struct ak_digest *key,
               const struct ak_entry *entry, bool replace, const char *path,
               uint64_t *bytes) {
    AK_CLEANUP(ak_freep)
    struct ak_digest *digests = calloc(entry->n_buffers + 1, sizeof(*digests));
    struct ak_file file = {.fd = -1};
    int r = digests ? 0 : -ENOMEM;
    for (size_t i = 0; i < entry->n_buffers && !r; i++) {
        struct ak_bytes buffer = entry->buffers[i];
        if (buffer.len < AK_ENTRY_OBJECT_MIN)
            continue;
        ak_hash_buffer(store->ring, buffer.data, buffer.len, &digests[i]);
        r = put_object(store, buffer, &digests[i], bytes);
    }
    if (!r)
        r = ak_store_create(store, &file, path);
    if (!r)
        r = write_entry(store, &file, key, entry, digests, bytes);
    if (!r)
        r = ak_file_commit(&file, replace);
    ak_file_drop(&file);
    return r == -EEXIST ? 0 : r;
}

int ak_store_put(struct ak_store *store, const struct ak_digest *key,
                 const struct ak_entry *entry, bool replace, uint64_t *ret_bytes,
                 struct ak_buf *ret_reason) {
    AK_BUF_AUTO path = {0};
    uint64_t bytes = 0;
    if (!store->usable) {
        store->counts.n_refused++;
        (void)ak_buf_addf(ret_reason, "the cache in %s does not store", store->dir);
        return AK_STORE_E_REFUSED;
    }
    int r = ak_store_path(store, AK_STORE_ENTRIES, key, &path);
    if (!r && (replace || access(ak_buf_str(&path), F_OK) < 0))
        r = put(store, key, entry, replace, ak_buf_str(&path), &bytes);
    if (r)
        return ak_store_refuse(store, r, ret_reason);
    store->counts.n_puts++;
    store->counts.bytes_written += bytes;
    if (bytes)
        note_growth(store, bytes);
    if (ret_bytes)
        *ret_bytes = bytes;
    if (store->tier.stored)
        store->tier.stored(store->tier.context, key);
    return 0;
}

void ak_store_remove(struct ak_store *store, const struct ak_digest *key) {
    AK_BUF_AUTO path = {0};
    if (!store->read_only && ak_store_path(store, AK_STORE_ENTRIES, key, &path) == 0)
        unlink(ak_buf_str(&path));
}

/* --- looking up --------------------------------------------------------------------
 */

/* A miss for a reason. What is bad is of no use to anybody with this key, so it goes,
 * and the next put starts afresh. */
static int bad(struct ak_store *store, const char *path, struct ak_buf *reason,
               const char *what, const char *why) {
    store->counts.n_bad++;
    if (!store->read_only)
        unlink(path);
    (void)ak_buf_addf(reason, "%s %s", what, why);
    return AK_STORE_E_MISS;
}

/* What could not be read: no memory is fatal, the rest is a miss. */
static int unreadable(struct ak_store *store, int error, struct ak_buf *reason,
                      const char *what) {
    if (error == -ENOMEM)
        return ak_error_origin(error);
    store->counts.n_bad++;
    (void)ak_buf_addf(reason, "%s cannot be read: %s", what, strerror(-error));
    return AK_STORE_E_MISS;
}

static int check_entry(struct ak_store *store, const struct ak_buffer *file,
                       const struct ak_digest *key, struct ak_entry_view *ret_view,
                       const char **ret_why) {
    if (ak_entry_parse(file->data, file->len, ret_view) < 0) {
        *ret_why = "is damaged or of another version";
        return -1;
    }
    if (memcmp(ret_view->key_id, store->ring->local_id.bytes, AK_DIGEST_SIZE) != 0) {
        *ret_why = "was sealed with another key, so it is not believed";
        return -1;
    }
    if (!ak_store_sealed(store, file->data, ret_view->sealed_len) ||
        memcmp(ret_view->key, key->bytes, AK_DIGEST_SIZE) != 0) {
        *ret_why = "is damaged or was changed, so it is not believed";
        return -1;
    }
    return 0;
}

static int copy_short(const char *data, size_t len, struct ak_buffer *ret_buffer) {
    ret_buffer->data = aligned_alloc(64, (len + 64) & ~(size_t)63);
    if (!ret_buffer->data)
        return ak_error_origin(ENOMEM);
    if (len)
        memcpy(ret_buffer->data, data, len);
    ret_buffer->len = len;
    return 0;
}

static int load_object(struct ak_store *store, const struct ak_digest *digest,
                       uint64_t len, struct ak_buffer *ret_buffer,
                       struct ak_buf *reason) {
    AK_BUF_AUTO path = {0};
    struct ak_digest found;
    int r = ak_store_path(store, AK_STORE_OBJECTS, digest, &path);
    if (r)
        return ak_error_origin(r);
    r = len > INT64_MAX ? -EFBIG
                        : ak_file_load(ak_buf_str(&path), (off_t)len, ret_buffer);
    if (r == -EFBIG)
        return bad(store, ak_buf_str(&path), reason, "a buffer of the entry",
                   "has another length");
    if (r)
        return unreadable(store, r, reason, "a buffer of the entry");
    ak_hash_buffer(store->ring, ret_buffer->data, ret_buffer->len, &found);
    if (!ak_digest_equal(&found, digest))
        return bad(store, ak_buf_str(&path), reason, "a buffer of the entry",
                   "is damaged or was changed, so it is not believed");
    return 0;
}

static int load_buffers(struct ak_store *store, const struct ak_entry_view *view,
                        struct ak_loaded *loaded, struct ak_buf *reason) {
    const char *inlined = view->inlined.data;
    loaded->buffers = calloc(view->n_buffers + 1, sizeof(*loaded->buffers));
    if (!loaded->buffers)
        return ak_error_origin(ENOMEM);
    for (size_t i = 0; i < view->n_buffers; i++) {
        uint64_t len = ak_entry_row_len(view, i);
        int r;
        loaded->n_buffers = i + 1;
        if (len < AK_ENTRY_OBJECT_MIN) {
            r = copy_short(inlined, (size_t)len, &loaded->buffers[i]);
            inlined += len;
        } else {
            r = load_object(store, ak_entry_row_digest(view, i), len,
                            &loaded->buffers[i], reason);
            loaded->bytes += len;
        }
        if (r)
            return r;
    }
    return 0;
}

/* The body leaves the file's memory: a mapping is cut down to its pages. */
static int take_body(struct ak_buffer *file, struct ak_bytes body,
                     struct ak_buffer *ret_body) {
    if (!file->mapped)
        return copy_short(body.data, body.len, ret_body);
    if (!body.len)
        return copy_short("", 0, ret_body);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)file->data;
    uintptr_t end = (begin + file->len + page - 1) & ~(page - 1);
    uintptr_t first = (uintptr_t)body.data & ~(page - 1);
    uintptr_t last = ((uintptr_t)body.data + body.len + page - 1) & ~(page - 1);
    if (first > begin)
        munmap((void *)begin, first - begin);
    if (end > last)
        munmap((void *)last, end - last);
    *ret_body = (struct ak_buffer){
        .data = (void *)(uintptr_t)body.data, .len = body.len, .mapped = true};
    *file = (struct ak_buffer){0};
    return 0;
}

static int load(struct ak_store *store, const struct ak_digest *key, const char *path,
                struct ak_buffer *file, struct ak_loaded *loaded,
                struct ak_buf *reason) {
    struct ak_entry_view view;
    const char *why = NULL;
    if (check_entry(store, file, key, &view, &why) < 0)
        return bad(store, path, reason, "the entry", why);
    loaded->bytes = file->len;
    loaded->run_ns = view.run_ns;
    size_t label_len = view.label.len < AK_LABEL_SIZE ? view.label.len : 0;
    if (label_len)
        memcpy(loaded->label, view.label.data, label_len);
    int r = load_buffers(store, &view, loaded, reason);
    if (r == AK_STORE_E_MISS && !store->read_only)
        unlink(path);
    return r ? r : take_body(file, view.body, &loaded->body);
}

/* 0, MISS or fatal. */
static int get_here(struct ak_store *store, const struct ak_digest *key,
                    struct ak_loaded *ret_loaded, struct ak_buf *reason) {
    AK_BUF_AUTO path = {0};
    AK_CLEANUP(ak_buffer_done) struct ak_buffer file = {0};
    AK_CLEANUP(ak_loaded_done) struct ak_loaded loaded = {0};
    int r = ak_store_path(store, AK_STORE_ENTRIES, key, &path);
    if (r)
        return ak_error_origin(r);
    r = ak_file_load(ak_buf_str(&path), -1, &file);
    if (r == -ENOENT || r == -ENOTDIR)
        return AK_STORE_E_MISS;
    r = r ? unreadable(store, r, reason, "the entry")
          : load(store, key, ak_buf_str(&path), &file, &loaded, reason);
    if (r)
        return r;
    if (!store->read_only)
        (void)utimensat(AT_FDCWD, ak_buf_str(&path), NULL, 0);
    *ret_loaded = loaded;
    loaded = (struct ak_loaded){0};
    return 0;
}

void ak_store_begin(struct ak_store *store) {
    if (store->tier.begin)
        store->tier.begin(store->tier.context);
}

int ak_store_get(struct ak_store *store, const struct ak_digest *key,
                 struct ak_loaded *ret_loaded, struct ak_buf *ret_reason) {
    int r = get_here(store, key, ret_loaded, ret_reason);
    if (r == AK_STORE_E_MISS && store->tier.fetch &&
        store->tier.fetch(store->tier.context, key)) {
        ak_buf_clear(ret_reason);
        r = get_here(store, key, ret_loaded, ret_reason);
    }
    if (r) {
        store->counts.n_misses++;
        return r;
    }
    store->counts.n_hits++;
    store->counts.saved_ns += ret_loaded->run_ns;
    store->counts.bytes_read += ret_loaded->bytes;
    return 0;
}

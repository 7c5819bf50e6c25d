/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A directory of cached cells. An entry is opaque bytes (the body: what record makes of
 * streams, displays and the pickle stream) and any number of out-of-band buffers; it
 * lies under the 32-byte key of its cell. Buffers from 64 KiB on are files of their
 * own, named by content, so that equal ones are stored once.
 *
 * Whatever is in the directory is checked against the user's key before it is handed
 * out: a missing, truncated, damaged or foreign entry is a miss with a reason. Several
 * processes may use one directory at the same time. Nothing here waits for anybody.
 *
 * The caller's thread only; ak_store_put and ak_store_get touch no Python and may be
 * called without the GIL as long as one thread at a time uses a store. After a fork the
 * child may go on using its copy.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "cache/key.h"

struct ak_store;

enum {
    AK_STORE_E_MISS = 1, /* nothing usable under this key; the reason says what, and is
                            empty when there is simply nothing */
    AK_STORE_E_REFUSED,  /* the directory, or what was to be stored, cannot be used;
                            the reason says why */
};

struct ak_store_config {
    const char *dir; /* NULL: as ak_store_default_dir says */
    bool read_only;  /* look, but store, touch and remove nothing */
};

/* AKERNEL_CACHE_DIR, else $XDG_CACHE_HOME/akernel, else ~/.cache/akernel. */
int ak_store_default_dir(struct ak_buf *ret_dir);

/* Opens the directory and makes it when it is missing (0700). A directory of somebody
 * else, or one that others may enter and that holds other things, is REFUSED. Takes
 * well below a millisecond however much is stored. The keyring stays the caller's and
 * outlives the store. */
int ak_store_new(struct ak_store **ret_store, const struct ak_store_config *config,
                 const struct ak_keyring *ring, struct ak_buf *ret_reason);
/* Accepts NULL, returns NULL. Buffers that were handed out stay valid. */
struct ak_store *ak_store_free(struct ak_store *store);
AK_DEFINE_CLEANUP(struct ak_store *, ak_store_free)

const char *ak_store_dir(const struct ak_store *store);

#define AK_LABEL_SIZE 200 /* with the NUL */

/* One cell's record as it is stored. All views are borrowed. */
struct ak_entry {
    struct ak_bytes body;
    const struct ak_bytes *buffers;
    size_t n_buffers;
    uint64_t run_ns;       /* what a hit saves: the order of eviction follows it */
    struct ak_bytes label; /* a line for people ("x = load(path)"); cut at 200 bytes */
};

/* Stores an entry: buffers first, the entry last, each complete or not at all. An entry
 * that is there already stays, unless replace is set; a reader sees the old or the new
 * one. *ret_bytes, if wanted, is what went to the disk. 0, REFUSED with a reason (no
 * space, read-only, gone) or fatal (no memory). After REFUSED for a reason that will
 * not pass, ak_store_usable is false and every later put is REFUSED at once. */
int ak_store_put(struct ak_store *store, const struct ak_digest *key,
                 const struct ak_entry *entry, bool replace, uint64_t *ret_bytes,
                 struct ak_buf *ret_reason);
bool ak_store_usable(const struct ak_store *store);

/* Memory of a restored buffer: private to this process, writable, aligned to 64 bytes
 * at least. Writes change neither the file nor anybody else's copy; unlinking the file
 * changes nothing here. Zeroed is a valid empty one. */
struct ak_buffer {
    void *data;
    size_t len;
    bool mapped;
};

/* Unmaps or frees, and empties it. Any thread. */
void ak_buffer_done(struct ak_buffer *buffer);

struct ak_loaded {
    struct ak_buffer body;
    struct ak_buffer *buffers; /* in the order they were put */
    size_t n_buffers;
    uint64_t run_ns;
    uint64_t bytes; /* on disk, with all buffers */
    char label[AK_LABEL_SIZE];
};

/* Frees what was not taken: a caller takes a buffer by copying the struct and zeroing
 * the original. */
void ak_loaded_done(struct ak_loaded *loaded);

/* The lookups of one cell begin: what a tier may wait for all of them starts anew. */
void ak_store_begin(struct ak_store *store);

/* Looks an entry up, here and then in the tier behind, checks its seal and the digest
 * of every buffer, and marks it as used now. 0, MISS or fatal. */
int ak_store_get(struct ak_store *store, const struct ak_digest *key,
                 struct ak_loaded *ret_loaded, struct ak_buf *ret_reason);

/* Removes one entry; its buffers go with the next collection. */
void ak_store_remove(struct ak_store *store, const struct ak_digest *key);

/*
 * The second level, for cells whose outcome also depends on what they turned out to
 * read (files). Under the key that is known before the run lie any number of variants:
 * the recorded dependencies, as opaque bytes, and the key of the entry that holds if
 * they hold. The caller stores the entry first and then its variant; on lookup it takes
 * the first variant whose dependencies are as recorded.
 */
struct ak_variant {
    struct ak_digest entry;
    struct ak_buf dependencies;
};

int ak_store_put_variant(struct ak_store *store, const struct ak_digest *key,
                         struct ak_bytes dependencies, const struct ak_digest *entry,
                         struct ak_buf *ret_reason);
#define AK_VARIANTS_MAX 64
/* The newest variants under a key, at most AK_VARIANTS_MAX, the newest first. The
 * array is the caller's, for ak_variants_free. Damaged ones are left out. 0 (also for
 * none) or fatal. */
int ak_store_variants(struct ak_store *store, const struct ak_digest *key,
                      struct ak_variant **ret_variants, size_t *ret_n);
void ak_variants_free(struct ak_variant *variants, size_t n);

/*
 * What stands behind a store: somebody who can bring entries into it and wants to know
 * of new ones (remote.h). Called from within the store's functions, in their thread.
 */
struct ak_store_tier {
    void *context;
    void (*begin)(void *context); /* as ak_store_begin */
    /* True when the entry, or variants of this key, came into the store just now. */
    bool (*fetch)(void *context, const struct ak_digest *key);
    void (*stored)(void *context, const struct ak_digest *key);
    void (*stored_variant)(void *context, const struct ak_digest *key,
                           const struct ak_digest *entry);
};
/* The tier is copied; its context outlives the store. */
void ak_store_set_tier(struct ak_store *store, const struct ak_store_tier *tier);

/* Totals of this process, for stats(). */
struct ak_store_counts {
    uint64_t n_hits, n_misses, n_bad, n_puts, n_refused;
    uint64_t bytes_read, bytes_written, bytes_shared; /* shared: already there */
    uint64_t saved_ns;
};
const struct ak_store_counts *ak_store_counts(const struct ak_store *store);

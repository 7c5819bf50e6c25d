/* SPDX-License-Identifier: MIT */
/*
 * A variant is a file named by the key it lies under and the entry it points to, so a
 * lookup reads one directory's names, of which there is a 256th of all.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "cache/entry-private.h"
#include "cache/keyring-private.h"
#include "cache/store-private.h"

/* One file that may be a variant of the key. */
struct candidate {
    struct ak_digest entry;
    struct timespec changed;
};

static int write_variant(struct ak_store *store, struct ak_file *file,
                         const struct ak_digest *key, struct ak_bytes dependencies,
                         const struct ak_digest *entry) {
    AK_BUF_AUTO head = {0};
    struct ak_digest seal;
    int r = ak_variant_encode_head(&head, &store->ring->local_id, key, entry,
                                   dependencies.len);
    if (r)
        return r;
    ak_store_seal_begin(store);
    ak_hash_add(store->hash, head.data, head.len);
    ak_hash_add(store->hash, dependencies.data, dependencies.len);
    ak_hash_final(store->hash, &seal);
    r = ak_file_write(file, head.data, head.len);
    if (!r)
        r = ak_file_write(file, dependencies.data, dependencies.len);
    return r ? r : ak_file_write(file, seal.bytes, sizeof(seal.bytes));
}

static int variant_path(const struct ak_store *store, const struct ak_digest *key,
                        const struct ak_digest *entry, struct ak_buf *ret_path) {
    char hex[AK_DIGEST_HEX_SIZE];
    ak_digest_hex(entry, hex);
    int r = ak_store_path(store, AK_STORE_VARIANTS, key, ret_path);
    return r ? r : ak_buf_addf(ret_path, "-%s", hex);
}

int ak_store_put_variant(struct ak_store *store, const struct ak_digest *key,
                         struct ak_bytes dependencies, const struct ak_digest *entry,
                         struct ak_buf *ret_reason) {
    AK_BUF_AUTO path = {0};
    struct ak_file file = {.fd = -1};
    if (!store->usable || dependencies.len > AK_VARIANT_MAX) {
        store->counts.n_refused++;
        (void)ak_buf_addf(ret_reason,
                          store->usable ? "the cell depends on too many files"
                                        : "the cache in %s does not store",
                          store->dir);
        return AK_STORE_E_REFUSED;
    }
    int r = variant_path(store, key, entry, &path);
    if (!r)
        r = ak_store_create(store, &file, ak_buf_str(&path));
    if (!r)
        r = write_variant(store, &file, key, dependencies, entry);
    if (!r)
        r = ak_file_commit(&file, true);
    ak_file_drop(&file);
    if (r)
        return ak_store_refuse(store, r, ret_reason);
    if (store->tier.stored_variant)
        store->tier.stored_variant(store->tier.context, key, entry);
    return 0;
}

static int newest_first(const void *left, const void *right) {
    const struct candidate *a = left, *b = right;
    if (a->changed.tv_sec != b->changed.tv_sec)
        return a->changed.tv_sec < b->changed.tv_sec ? 1 : -1;
    return (a->changed.tv_nsec < b->changed.tv_nsec) -
           (a->changed.tv_nsec > b->changed.tv_nsec);
}

/* The files whose name begins with the key. */
static int find(const char *dir, const char *key_hex, struct ak_buf *ret_candidates) {
    DIR *stream = opendir(dir);
    struct dirent *file;
    int r = 0;
    while (stream && !r && (file = readdir(stream))) {
        struct candidate candidate;
        struct stat st;
        if (strncmp(file->d_name, key_hex, AK_DIGEST_HEX_SIZE - 1) != 0 ||
            file->d_name[AK_DIGEST_HEX_SIZE - 1] != '-' ||
            ak_digest_parse(file->d_name + AK_DIGEST_HEX_SIZE, &candidate.entry) < 0 ||
            fstatat(dirfd(stream), file->d_name, &st, 0) < 0)
            continue;
        candidate.changed = st.st_mtim;
        r = ak_buf_add(ret_candidates, &candidate, sizeof(candidate));
    }
    if (stream)
        closedir(stream);
    return r;
}

/* 1 when it is one, 0 when it is not to be believed, negative for want of memory. */
static int load(struct ak_store *store, const struct ak_digest *key,
                const struct ak_digest *entry, struct ak_variant *ret_variant) {
    AK_BUF_AUTO path = {0};
    AK_CLEANUP(ak_buffer_done) struct ak_buffer file = {0};
    struct ak_variant_view view;
    int r = variant_path(store, key, entry, &path);
    if (!r)
        r = ak_file_load(ak_buf_str(&path), -1, &file);
    if (r)
        return r == -ENOMEM ? r : 0;
    if (ak_variant_parse(file.data, file.len, &view) < 0 ||
        memcmp(view.key_id, store->ring->local_id.bytes, AK_DIGEST_SIZE) != 0 ||
        !ak_store_sealed(store, file.data, view.sealed_len) ||
        memcmp(view.key, key->bytes, AK_DIGEST_SIZE) != 0 ||
        memcmp(view.entry, entry->bytes, AK_DIGEST_SIZE) != 0) {
        store->counts.n_bad++;
        return 0;
    }
    ret_variant->entry = *entry;
    ret_variant->dependencies = (struct ak_buf){0};
    r = ak_buf_add(&ret_variant->dependencies, view.dependencies.data,
                   view.dependencies.len);
    return r ? r : 1;
}

int ak_store_variants(struct ak_store *store, const struct ak_digest *key,
                      struct ak_variant **ret_variants, size_t *ret_n) {
    AK_BUF_AUTO dir = {0};
    AK_BUF_AUTO found = {0};
    char hex[AK_DIGEST_HEX_SIZE];
    ak_digest_hex(key, hex);
    int r = ak_buf_addf(&dir, "%s/" AK_STORE_VARIANTS "/%.2s", store->dir, hex);
    if (!r)
        r = find(ak_buf_str(&dir), hex, &found);
    if (r)
        return ak_error_origin(r);
    size_t n_found = found.len / sizeof(struct candidate), n = 0;
    struct candidate *candidates = (void *)found.data;
    if (n_found)
        qsort(candidates, n_found, sizeof(*candidates), newest_first);
    struct ak_variant *variants = calloc(AK_VARIANTS_MAX, sizeof(*variants));
    if (!variants)
        return ak_error_origin(ENOMEM);
    for (size_t i = 0; i < n_found && n < AK_VARIANTS_MAX; i++) {
        r = load(store, key, &candidates[i].entry, &variants[n]);
        if (r < 0) {
            ak_variants_free(variants, n);
            return ak_error_origin(r);
        }
        n += (size_t)r;
    }
    *ret_variants = variants;
    *ret_n = n;
    return 0;
}

void ak_variants_free(struct ak_variant *variants, size_t n) {
    for (size_t i = 0; i < n; i++)
        ak_buf_done(&variants[i].dependencies);
    free(variants);
}

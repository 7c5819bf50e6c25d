/* SPDX-License-Identifier: MIT */
/*
 * On the server a buffer, and an entry's sealed bytes, are cut into chunks of a
 * mebibyte, because a server that serves a team does one command at a time. The first
 * chunk is set last: where it is, the others were. A server may still drop any of them
 * at any time; what then turns out incomplete loses its first chunk, so that the next
 * one who has it offers it again.
 *
 * Everything expires after a month without use by somebody who offered it; what else
 * goes and when is the server's policy (maxmemory-policy allkeys-lru, say).
 */
#include "cache/share.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "cache/entry-private.h"
#include "cache/keyring-private.h"
#include "cache/store-private.h"

#define CHUNK (1u << 20)
#define EXPIRE "2592000"   /* seconds: 30 days */
#define LEN_MAX (1u << 30) /* of an entry, and of one buffer */
#define BUFFERS_MAX 20000  /* whose rows are in the first chunk */
#define VARIANT_MAX (256u << 10)
#define NAME_SIZE 128

static struct ak_bytes text(const char *s) {
    return ak_bytes(s, strlen(s));
}

static int ask(struct ak_share *share, const struct ak_bytes *words, size_t n_words,
               struct ak_redis_reply *ret_reply, struct ak_buf *message) {
    int r = ak_redis_ask(share->redis, words, n_words,
                         ak_clock_now() + share->patience_ns, ret_reply, message);
    return r == AK_REDIS_E_GONE      ? AK_SHARE_E_GONE
           : r == AK_REDIS_E_REFUSED ? AK_SHARE_E_REFUSED
                                     : r;
}

static int tell(struct ak_share *share, const struct ak_bytes *words, size_t n_words,
                struct ak_buf *message) {
    struct ak_redis_reply reply = {0};
    int r = ask(share, words, n_words, &reply, message);
    ak_redis_reply_done(&reply);
    return r;
}

static int pause_between(const struct ak_share *share) {
    return !share->between || share->between(share->context) ? 0 : AK_SHARE_E_NONE;
}

/* "akernel:1:IDIDIDID:kind:name": teams with different keys do not meet. */
static void object_name(const struct ak_share *share, const char *kind,
                        const struct ak_digest *digest,
                        char ret_name[static NAME_SIZE]) {
    char id[AK_DIGEST_HEX_SIZE], hex[AK_DIGEST_HEX_SIZE];
    ak_digest_hex(&share->ring->shared_id, id);
    ak_digest_hex(digest, hex);
    snprintf(ret_name, NAME_SIZE, "akernel:1:%.16s:%s:%s", id, kind, hex);
}

static void chunk_name(const char *object, uint64_t i,
                       char ret_name[static NAME_SIZE]) {
    snprintf(ret_name, NAME_SIZE, "%.*s:%llu", NAME_SIZE - 24, object,
             (unsigned long long)i);
}

/* --- chunks ------------------------------------------------------------------------
 */

/* Adds a chunk to the bytes. NONE when it is not there. */
static int get_chunk(struct ak_share *share, const char *object, uint64_t i,
                     struct ak_buf *bytes, struct ak_buf *message) {
    char name[NAME_SIZE];
    struct ak_redis_reply reply = {0};
    chunk_name(object, i, name);
    struct ak_bytes words[] = {text("GET"), text(name)};
    int r = ask(share, words, 2, &reply, message);
    if (!r && (reply.kind != AK_REDIS_BYTES || reply.bytes.len > CHUNK))
        r = AK_SHARE_E_NONE;
    if (!r)
        r = ak_buf_add(bytes, reply.bytes.data, reply.bytes.len);
    ak_redis_reply_done(&reply);
    return r;
}

/* Gets what is missing of an object of this length. */
static int get_rest(struct ak_share *share, const char *object, uint64_t len,
                    struct ak_buf *bytes, struct ak_buf *message) {
    int r = ak_buf_reserve(bytes, (size_t)len - bytes->len);
    for (uint64_t i = bytes->len ? 1 : 0; i * CHUNK < len && !r; i++) {
        r = i ? pause_between(share) : 0;
        if (!r)
            r = get_chunk(share, object, i, bytes, message);
        uint64_t expected = (i + 1) * CHUNK < len ? (i + 1) * CHUNK : len;
        if (!r && bytes->len != expected)
            r = AK_SHARE_E_NONE;
    }
    return r;
}

static int set_chunk(struct ak_share *share, const char *object, uint64_t i,
                     struct ak_bytes bytes, struct ak_buf *message) {
    char name[NAME_SIZE];
    chunk_name(object, i, name);
    size_t begin = (size_t)i * CHUNK;
    size_t len = bytes.len - begin < CHUNK ? bytes.len - begin : CHUNK;
    struct ak_bytes words[] = {text("SET"), text(name),
                               ak_bytes((const char *)bytes.data + begin, len),
                               text("EX"), text(EXPIRE)};
    return tell(share, words, 5, message);
}

static int set_all(struct ak_share *share, const char *object, struct ak_bytes bytes,
                   struct ak_buf *message) {
    uint64_t n = (bytes.len + CHUNK - 1) / CHUNK;
    int r = 0;
    for (uint64_t i = 1; i < n && !r; i++) {
        r = set_chunk(share, object, i, bytes, message);
        if (!r)
            r = pause_between(share);
    }
    return r ? r : set_chunk(share, object, 0, bytes, message);
}

/* Whether the object is there; it may stay longer then. */
static int refresh(struct ak_share *share, const char *object, bool *ret_there,
                   struct ak_buf *message) {
    char name[NAME_SIZE];
    struct ak_redis_reply reply = {0};
    chunk_name(object, 0, name);
    struct ak_bytes words[] = {text("EXPIRE"), text(name), text(EXPIRE)};
    int r = ask(share, words, 3, &reply, message);
    *ret_there = !r && reply.number == 1;
    ak_redis_reply_done(&reply);
    return r;
}

/* What was found incomplete or wrong is taken away, as far as that may be. */
static void discard(struct ak_share *share, const char *object) {
    AK_BUF_AUTO message = {0};
    char name[NAME_SIZE];
    chunk_name(object, 0, name);
    struct ak_bytes words[] = {text("DEL"), text(name)};
    (void)tell(share, words, 2, &message);
}

/* --- seals -------------------------------------------------------------------------
 */

static void seal(const struct ak_share *share, const void *data, size_t len,
                 struct ak_digest *ret_seal) {
    struct ak_hash *hash = share->store->hash;
    ak_hash_init(hash, share->ring, AK_PURPOSE_SHARED);
    ak_hash_add(hash, data, len);
    ak_hash_final(hash, ret_seal);
}

static bool sealed(const struct ak_share *share, const struct ak_buf *bytes,
                   const unsigned char *key_id, size_t sealed_len) {
    struct ak_digest found;
    seal(share, bytes->data, sealed_len, &found);
    return memcmp(key_id, share->ring->shared_id.bytes, AK_DIGEST_SIZE) == 0 &&
           sodium_memcmp(found.bytes, bytes->data + sealed_len, AK_DIGEST_SIZE) == 0;
}

static int add_seal(const struct ak_share *share, struct ak_buf *bytes) {
    struct ak_digest found;
    seal(share, bytes->data, bytes->len, &found);
    return ak_buf_add(bytes, found.bytes, sizeof(found.bytes));
}

/* --- fetching ----------------------------------------------------------------------
 */

struct fetched {
    struct ak_buf bytes;    /* the sealed entry */
    struct ak_buf *buffers; /* owned; those that are objects */
    struct ak_bytes *views; /* owned; of all buffers */
    size_t n_buffers;
};

static void fetched_done(struct fetched *fetched) {
    for (size_t i = 0; fetched->buffers && i < fetched->n_buffers; i++)
        ak_buf_done(&fetched->buffers[i]);
    free(fetched->buffers);
    free(fetched->views);
    ak_buf_done(&fetched->bytes);
}

static int not_believed(struct ak_share *share, const char *object,
                        struct ak_buf *message, const char *what) {
    discard(share, object);
    (void)ak_buf_addf(message,
                      "%s from the shared cache is damaged or was not made with this "
                      "team's key, so it is not believed",
                      what);
    return AK_SHARE_E_NONE;
}

static int fetch_bytes(struct ak_share *share, const struct ak_digest *key,
                       struct ak_buf *bytes, struct ak_entry_view *ret_view,
                       struct ak_buf *message) {
    char object[NAME_SIZE];
    object_name(share, "entry", key, object);
    int r = get_chunk(share, object, 0, bytes, message);
    if (r)
        return r;
    uint64_t len = ak_entry_length(bytes->data, bytes->len);
    if (len < bytes->len || len > LEN_MAX)
        return not_believed(share, object, message, "an entry");
    r = get_rest(share, object, len, bytes, message);
    if (r == AK_SHARE_E_NONE)
        discard(share, object);
    if (r)
        return r;
    if (ak_entry_parse(bytes->data, bytes->len, ret_view) < 0 ||
        !sealed(share, bytes, ret_view->key_id, ret_view->sealed_len) ||
        memcmp(ret_view->key, key->bytes, AK_DIGEST_SIZE) != 0)
        return not_believed(share, object, message, "an entry");
    return 0;
}

static int fetch_object(struct ak_share *share, const struct ak_digest *digest,
                        uint64_t len, struct ak_buf *bytes, struct ak_buf *message) {
    char object[NAME_SIZE];
    struct ak_digest found;
    if (len > LEN_MAX)
        return AK_SHARE_E_NONE;
    object_name(share, "buffer", digest, object);
    int r = get_rest(share, object, len, bytes, message);
    if (r == AK_SHARE_E_NONE)
        discard(share, object);
    if (r)
        return r;
    ak_hash_buffer(share->ring, bytes->data, bytes->len, &found);
    return ak_digest_equal(&found, digest)
               ? 0
               : not_believed(share, object, message, "a buffer");
}

static int fetch_buffers(struct ak_share *share, const struct ak_entry_view *view,
                         struct fetched *fetched, struct ak_buf *message) {
    const char *inlined = view->inlined.data;
    fetched->n_buffers = view->n_buffers;
    fetched->buffers = calloc(view->n_buffers + 1, sizeof(*fetched->buffers));
    fetched->views = calloc(view->n_buffers + 1, sizeof(*fetched->views));
    if (!fetched->buffers || !fetched->views)
        return ak_error_origin(ENOMEM);
    for (size_t i = 0; i < view->n_buffers; i++) {
        uint64_t len = ak_entry_row_len(view, i);
        if (len < AK_ENTRY_OBJECT_MIN) {
            fetched->views[i] = ak_bytes(inlined, (size_t)len);
            inlined += len;
            continue;
        }
        struct ak_buf *buffer = &fetched->buffers[i];
        int r = pause_between(share);
        if (!r)
            r = fetch_object(share, ak_entry_row_digest(view, i), len, buffer, message);
        if (r)
            return r;
        fetched->views[i] = ak_bytes(buffer->data, buffer->len);
    }
    return 0;
}

int ak_share_fetch(struct ak_share *share, const struct ak_digest *key,
                   struct ak_buf *ret_message) {
    AK_CLEANUP(fetched_done) struct fetched fetched = {0};
    struct ak_entry_view view;
    int r = fetch_bytes(share, key, &fetched.bytes, &view, ret_message);
    if (r)
        return r;
    r = fetch_buffers(share, &view, &fetched, ret_message);
    if (r == AK_SHARE_E_NONE) {
        /* Without one of its buffers the entry is of no use, and in the way of a whole
         * one. */
        char object[NAME_SIZE];
        object_name(share, "entry", key, object);
        discard(share, object);
    }
    if (r)
        return r;
    struct ak_entry entry = {
        .body = view.body,
        .buffers = fetched.views,
        .n_buffers = fetched.n_buffers,
        .run_ns = view.run_ns,
        .label = view.label,
    };
    r = ak_store_put(share->store, key, &entry, false, NULL, ret_message);
    return r == AK_STORE_E_REFUSED ? AK_SHARE_E_REFUSED : r;
}

static int take_variant(struct ak_share *share, const struct ak_digest *key,
                        struct ak_bytes bytes, struct ak_buf *message) {
    AK_BUF_AUTO copy = {0};
    struct ak_variant_view view;
    struct ak_digest entry;
    int r = ak_buf_add(&copy, bytes.data, bytes.len);
    if (r)
        return ak_error_origin(r);
    if (ak_variant_parse(copy.data, copy.len, &view) < 0 ||
        !sealed(share, &copy, view.key_id, view.sealed_len) ||
        memcmp(view.key, key->bytes, AK_DIGEST_SIZE) != 0)
        return 0; /* the others may be good */
    memcpy(entry.bytes, view.entry, AK_DIGEST_SIZE);
    r = ak_store_put_variant(share->store, key, view.dependencies, &entry, message);
    return r == AK_STORE_E_REFUSED ? AK_SHARE_E_REFUSED : r;
}

int ak_share_fetch_variants(struct ak_share *share, const struct ak_digest *key,
                            struct ak_buf *ret_message) {
    char object[NAME_SIZE], most[16];
    struct ak_redis_reply reply = {0};
    object_name(share, "variants", key, object);
    snprintf(most, sizeof(most), "%d", AK_VARIANTS_MAX);
    struct ak_bytes words[] = {text("SRANDMEMBER"), text(object), text(most)};
    int r = ask(share, words, 3, &reply, ret_message);
    if (!r && (reply.kind != AK_REDIS_LIST || !reply.n_items))
        r = AK_SHARE_E_NONE;
    for (size_t i = 0; !r && i < reply.n_items && i < AK_VARIANTS_MAX; i++)
        r = take_variant(share, key, ak_redis_reply_item(&reply, i), ret_message);
    ak_redis_reply_done(&reply);
    return r;
}

/* --- offering ----------------------------------------------------------------------
 */

static int offer_object(struct ak_share *share, const struct ak_buffer *buffer,
                        struct ak_digest *ret_digest, struct ak_buf *message) {
    char object[NAME_SIZE];
    bool there = false;
    ak_hash_buffer(share->ring, buffer->data, buffer->len, ret_digest);
    object_name(share, "buffer", ret_digest, object);
    int r = refresh(share, object, &there, message);
    if (r || there)
        return r;
    return set_all(share, object, ak_bytes(buffer->data, buffer->len), message);
}

static int encode(const struct ak_share *share, const struct ak_digest *key,
                  const struct ak_loaded *loaded, const struct ak_digest *digests,
                  struct ak_bytes *views, struct ak_buf *ret_bytes) {
    for (size_t i = 0; i < loaded->n_buffers; i++)
        views[i] = ak_bytes(loaded->buffers[i].data, loaded->buffers[i].len);
    struct ak_entry entry = {
        .body = ak_bytes(loaded->body.data, loaded->body.len),
        .buffers = views,
        .n_buffers = loaded->n_buffers,
        .run_ns = loaded->run_ns,
        .label = text(loaded->label),
    };
    int r = ak_entry_encode_head(ret_bytes, &share->ring->shared_id, key, &entry,
                                 digests, 0);
    if (!r)
        r = ak_buf_add(ret_bytes, entry.body.data, entry.body.len);
    for (size_t i = 0; i < loaded->n_buffers && !r; i++) {
        if (views[i].len < AK_ENTRY_OBJECT_MIN)
            r = ak_buf_add(ret_bytes, views[i].data, views[i].len);
    }
    return r ? r : add_seal(share, ret_bytes);
}

static int offer_loaded(struct ak_share *share, const struct ak_digest *key,
                        const char *object, const struct ak_loaded *loaded,
                        struct ak_buf *message) {
    AK_BUF_AUTO bytes = {0};
    AK_CLEANUP(ak_freep)
    struct ak_digest *digests = calloc(loaded->n_buffers + 1, sizeof(*digests));
    AK_CLEANUP(ak_freep)
    struct ak_bytes *views = calloc(loaded->n_buffers + 1, sizeof(*views));
    int r = digests && views ? 0 : -ENOMEM;
    for (size_t i = 0; i < loaded->n_buffers && !r; i++) {
        if (loaded->buffers[i].len >= AK_ENTRY_OBJECT_MIN)
            r = offer_object(share, &loaded->buffers[i], &digests[i], message);
    }
    if (!r)
        r = encode(share, key, loaded, digests, views, &bytes);
    return r ? r : set_all(share, object, ak_bytes(bytes.data, bytes.len), message);
}

int ak_share_offer(struct ak_share *share, const struct ak_digest *key,
                   struct ak_buf *ret_message) {
    AK_CLEANUP(ak_loaded_done) struct ak_loaded loaded = {0};
    char object[NAME_SIZE];
    bool there = false;
    object_name(share, "entry", key, object);
    int r = refresh(share, object, &there, ret_message);
    if (r || there)
        return r;
    r = ak_store_get(share->store, key, &loaded, ret_message);
    if (r == AK_STORE_E_MISS ||
        (!r && (loaded.bytes > LEN_MAX || loaded.n_buffers > BUFFERS_MAX)))
        return AK_SHARE_E_NONE;
    return r ? r : offer_loaded(share, key, object, &loaded, ret_message);
}

static int send_variant(struct ak_share *share, const struct ak_digest *key,
                        const struct ak_variant *variant, struct ak_buf *message) {
    AK_BUF_AUTO bytes = {0};
    char object[NAME_SIZE];
    if (variant->dependencies.len > VARIANT_MAX)
        return AK_SHARE_E_NONE;
    int r = ak_variant_encode_head(&bytes, &share->ring->shared_id, key,
                                   &variant->entry, variant->dependencies.len);
    if (!r)
        r = ak_buf_add(&bytes, ak_buf_str(&variant->dependencies),
                       variant->dependencies.len);
    if (!r)
        r = add_seal(share, &bytes);
    if (r)
        return ak_error_origin(r);
    object_name(share, "variants", key, object);
    struct ak_bytes add[] = {text("SADD"), text(object),
                             ak_bytes(bytes.data, bytes.len)};
    struct ak_bytes expire[] = {text("EXPIRE"), text(object), text(EXPIRE)};
    r = tell(share, add, 3, message);
    return r ? r : tell(share, expire, 3, message);
}

int ak_share_offer_variant(struct ak_share *share, const struct ak_digest *key,
                           const struct ak_digest *entry, struct ak_buf *ret_message) {
    struct ak_variant *variants = NULL;
    size_t n = 0;
    int r = ak_store_variants(share->store, key, &variants, &n);
    if (r)
        return r;
    r = AK_SHARE_E_NONE;
    for (size_t i = 0; i < n; i++) {
        if (ak_digest_equal(&variants[i].entry, entry))
            r = send_variant(share, key, &variants[i], ret_message);
    }
    ak_variants_free(variants, n);
    return r;
}

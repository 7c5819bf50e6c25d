/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The bytes of an entry file and of a variant file, for the files of this layer.
 *
 * Entry: magic, id of the sealing key, key of the cell, time of its making, run time,
 * length of the body, number of buffers, length of the label; a length and a digest for
 * each buffer; label, body, the short buffers one after the other; the seal over all of
 * it. Numbers are little-endian, times are nanoseconds.
 *
 * Parsing takes the bytes as hostile: nothing is outside of what was given.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/key.h"
#include "cache/store.h"

#define AK_ENTRY_HEADER_SIZE 104
#define AK_ENTRY_ROW_SIZE 40

/* Buffers from here on are files of their own. */
#define AK_ENTRY_OBJECT_MIN (64u << 10)

struct ak_entry_view {
    const unsigned char *key_id; /* AK_DIGEST_SIZE bytes */
    const unsigned char *key;
    uint64_t created_ns;
    uint64_t run_ns;
    struct ak_bytes label;
    struct ak_bytes body;
    const unsigned char *rows; /* n_buffers of them */
    size_t n_buffers;
    struct ak_bytes inlined; /* the short buffers */
    size_t sealed_len;       /* the seal comes behind these */
};

/* 0, or -1 when these are not the bytes of an entry. */
int ak_entry_parse(const void *data, size_t len, struct ak_entry_view *ret_view);
/* The same from the first bytes of a file of this length: body and short buffers of the
 * view must not be looked at. head holds what the view points into. 0, -EBADMSG when it
 * is no entry, -errno. */
int ak_entry_load_head(const char *path, uint64_t len, struct ak_buf *head,
                       struct ak_entry_view *ret_view);
/* How long the whole is, from its first bytes; 0 when they are no entry's. */
uint64_t ak_entry_length(const void *data, size_t have);
uint64_t ak_entry_row_len(const struct ak_entry_view *view, size_t i);
const struct ak_digest *ak_entry_row_digest(const struct ak_entry_view *view, size_t i);

/* Header, rows and label; digests has one for each buffer. 0 or -ENOMEM. */
int ak_entry_encode_head(struct ak_buf *ret_head, const struct ak_digest *key_id,
                         const struct ak_digest *key, const struct ak_entry *entry,
                         const struct ak_digest *digests, uint64_t now_ns);

struct ak_variant_view {
    const unsigned char *key_id;
    const unsigned char *key;
    const unsigned char *entry;
    struct ak_bytes dependencies;
    size_t sealed_len;
};

#define AK_VARIANT_HEADER_SIZE 112
#define AK_VARIANT_MAX (16u << 20)

int ak_variant_parse(const void *data, size_t len, struct ak_variant_view *ret_view);
int ak_variant_encode_head(struct ak_buf *ret_head, const struct ak_digest *key_id,
                           const struct ak_digest *key, const struct ak_digest *entry,
                           size_t dependencies_len);

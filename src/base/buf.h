/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A growing byte buffer. Embedded: zero-initialised is a valid empty buffer, and
 * ak_buf_done frees the bytes. The bytes are always followed by a NUL that is not
 * counted. Every function that can allocate returns 0 or -ENOMEM and leaves the buffer
 * as it was on failure. Any process; a buffer belongs to one thread at a time.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct ak_buf {
    char *data; /* owned; NULL while nothing was ever added */
    size_t len;
    size_t cap;
};

/* A view of bytes that somebody else owns. */
struct ak_bytes {
    const void *data;
    size_t len;
};

static inline struct ak_bytes ak_bytes(const void *data, size_t len) {
    return (struct ak_bytes){.data = data, .len = len};
}

void ak_buf_done(struct ak_buf *buf);
/* Forgets the content, keeps the memory. */
void ak_buf_clear(struct ak_buf *buf);

/* Makes room for extra more bytes. */
int ak_buf_reserve(struct ak_buf *buf, size_t extra);
int ak_buf_add(struct ak_buf *buf, const void *data, size_t len);
int ak_buf_add_str(struct ak_buf *buf, const char *str);
int ak_buf_add_char(struct ak_buf *buf, char c);
int ak_buf_addf(struct ak_buf *buf, const char *format, ...)
    __attribute__((__format__(__printf__, 2, 3)));
/* Adds the bytes as a JSON string with its quotes. Bytes that are not UTF-8 become
 * U+FFFD, so that the result is valid JSON whatever comes in. */
int ak_buf_add_json_string(struct ak_buf *buf, const char *text, size_t len);
/* Removes the first n bytes; n is at most len. */
void ak_buf_consume(struct ak_buf *buf, size_t n);

/* The text, "" when empty; borrowed until the next change. */
static inline const char *ak_buf_str(const struct ak_buf *buf) {
    return buf->data ? buf->data : "";
}

/* Hands the bytes over as malloc'd memory (NULL when empty) and empties the buffer. */
char *ak_buf_take(struct ak_buf *buf);

#define AK_BUF_AUTO AK_CLEANUP(ak_buf_done) struct ak_buf

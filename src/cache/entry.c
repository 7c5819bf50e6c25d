/* SPDX-License-Identifier: MIT */
#include "cache/entry-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define HEAD_GUESS 4096

static const char entry_magic[8] = "AKENTRY1";
static const char variant_magic[8] = "AKVARNT1";

static uint64_t number(const unsigned char *p, size_t n) {
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static int add_number(struct ak_buf *buf, uint64_t value, size_t n) {
    unsigned char bytes[8];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    return ak_buf_add(buf, bytes, n);
}

uint64_t ak_entry_row_len(const struct ak_entry_view *view, size_t i) {
    return number(view->rows + i * AK_ENTRY_ROW_SIZE, 8);
}

const struct ak_digest *ak_entry_row_digest(const struct ak_entry_view *view,
                                            size_t i) {
    return (const void *)(view->rows + i * AK_ENTRY_ROW_SIZE + 8);
}

/* The next n bytes; false when there are not so many. */
static bool slice(const unsigned char **p, size_t *left, uint64_t n,
                  struct ak_bytes *ret_bytes) {
    if (n > *left)
        return false;
    *ret_bytes = ak_bytes(*p, (size_t)n);
    *p += n;
    *left -= (size_t)n;
    return true;
}

/* The short buffers have to fill what is left exactly. */
static bool inlined_fit(const struct ak_entry_view *view, size_t left) {
    for (size_t i = 0; i < view->n_buffers; i++) {
        uint64_t len = ak_entry_row_len(view, i);
        if (len >= AK_ENTRY_OBJECT_MIN)
            continue;
        if (len > left)
            return false;
        left -= (size_t)len;
    }
    return left == 0;
}

/* How many bytes header, rows and label take. */
static uint64_t head_size(const unsigned char *p) {
    return AK_ENTRY_HEADER_SIZE + number(p + 96, 4) * AK_ENTRY_ROW_SIZE +
           number(p + 100, 4);
}

/* From the head's bytes and the length of all. */
static int parse_head(const unsigned char *p, size_t have, size_t len,
                      struct ak_entry_view *ret_view) {
    struct ak_bytes rows;
    if (len < AK_ENTRY_HEADER_SIZE + AK_DIGEST_SIZE || have < AK_ENTRY_HEADER_SIZE ||
        memcmp(p, entry_magic, sizeof(entry_magic)) != 0)
        return -1;
    *ret_view = (struct ak_entry_view){
        .key_id = p + 8,
        .key = p + 40,
        .created_ns = number(p + 72, 8),
        .run_ns = number(p + 80, 8),
        .n_buffers = (size_t)number(p + 96, 4),
        .sealed_len = len - AK_DIGEST_SIZE,
    };
    uint64_t body_len = number(p + 88, 8), label_len = number(p + 100, 4);
    size_t left = have - AK_ENTRY_HEADER_SIZE;
    uint64_t head = head_size(p);
    p += AK_ENTRY_HEADER_SIZE;
    if (!slice(&p, &left, (uint64_t)ret_view->n_buffers * AK_ENTRY_ROW_SIZE, &rows) ||
        !slice(&p, &left, label_len, &ret_view->label) || head > ret_view->sealed_len ||
        body_len > ret_view->sealed_len - head)
        return -1;
    ret_view->rows = rows.data;
    ret_view->body = ak_bytes(p, (size_t)body_len);
    ret_view->inlined =
        ak_bytes(p + body_len, ret_view->sealed_len - (size_t)head - (size_t)body_len);
    return inlined_fit(ret_view, ret_view->inlined.len) ? 0 : -1;
}

int ak_entry_parse(const void *data, size_t len, struct ak_entry_view *ret_view) {
    return parse_head(data, len, len, ret_view);
}

static int read_more(int fd, struct ak_buf *head, uint64_t wanted) {
    if (wanted <= head->len)
        return 0;
    int r = ak_buf_reserve(head, (size_t)wanted - head->len);
    if (r)
        return r;
    ssize_t n =
        pread(fd, head->data + head->len, (size_t)wanted - head->len, (off_t)head->len);
    if (n > 0)
        head->len += (size_t)n;
    return n < 0 ? -errno : 0;
}

int ak_entry_load_head(const char *path, uint64_t len, struct ak_buf *head,
                       struct ak_entry_view *ret_view) {
    AK_CLEANUP(ak_closep)
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ak_buf_clear(head);
    int r = fd < 0 ? -errno : read_more(fd, head, len < HEAD_GUESS ? len : HEAD_GUESS);
    if (!r && head->len >= AK_ENTRY_HEADER_SIZE) {
        uint64_t wanted = head_size((const unsigned char *)head->data);
        r = read_more(fd, head, wanted < len ? wanted : len);
    }
    if (r)
        return r;
    return parse_head((const unsigned char *)ak_buf_str(head), head->len, (size_t)len,
                      ret_view) < 0
               ? -EBADMSG
               : 0;
}

uint64_t ak_entry_length(const void *data, size_t have) {
    const unsigned char *p = data;
    if (have < AK_ENTRY_HEADER_SIZE || memcmp(p, entry_magic, sizeof(entry_magic)) != 0)
        return 0;
    uint64_t n = number(p + 96, 4), len = head_size(p) + AK_DIGEST_SIZE;
    uint64_t body_len = number(p + 88, 8);
    if (body_len > INT64_MAX || n > (have - AK_ENTRY_HEADER_SIZE) / AK_ENTRY_ROW_SIZE)
        return 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t row = number(p + AK_ENTRY_HEADER_SIZE + i * AK_ENTRY_ROW_SIZE, 8);
        len += row < AK_ENTRY_OBJECT_MIN ? row : 0;
    }
    return len + body_len;
}

static int encode_rows(struct ak_buf *head, const struct ak_entry *entry,
                       const struct ak_digest *digests) {
    int r = 0;
    for (size_t i = 0; i < entry->n_buffers && !r; i++) {
        r = add_number(head, entry->buffers[i].len, 8);
        if (!r)
            r = ak_buf_add(head, digests[i].bytes, AK_DIGEST_SIZE);
    }
    return r;
}

int ak_entry_encode_head(struct ak_buf *ret_head, const struct ak_digest *key_id,
                         const struct ak_digest *key, const struct ak_entry *entry,
                         const struct ak_digest *digests, uint64_t now_ns) {
    size_t label_len = entry->label.len;
    if (label_len > AK_LABEL_SIZE - 1)
        label_len = AK_LABEL_SIZE - 1;
    int r = ak_buf_reserve(ret_head, AK_ENTRY_HEADER_SIZE + label_len +
                                         entry->n_buffers * AK_ENTRY_ROW_SIZE);
    if (r)
        return r;
    (void)ak_buf_add(ret_head, entry_magic, sizeof(entry_magic));
    (void)ak_buf_add(ret_head, key_id->bytes, AK_DIGEST_SIZE);
    (void)ak_buf_add(ret_head, key->bytes, AK_DIGEST_SIZE);
    (void)add_number(ret_head, now_ns, 8);
    (void)add_number(ret_head, entry->run_ns, 8);
    (void)add_number(ret_head, entry->body.len, 8);
    (void)add_number(ret_head, entry->n_buffers, 4);
    (void)add_number(ret_head, label_len, 4);
    (void)encode_rows(ret_head, entry, digests);
    return ak_buf_add(ret_head, entry->label.data, label_len);
}

int ak_variant_parse(const void *data, size_t len, struct ak_variant_view *ret_view) {
    const unsigned char *p = data;
    if (len < AK_VARIANT_HEADER_SIZE + AK_DIGEST_SIZE ||
        memcmp(p, variant_magic, sizeof(variant_magic)) != 0)
        return -1;
    *ret_view = (struct ak_variant_view){
        .key_id = p + 8,
        .key = p + 40,
        .entry = p + 72,
        .dependencies = ak_bytes(p + AK_VARIANT_HEADER_SIZE,
                                 len - AK_VARIANT_HEADER_SIZE - AK_DIGEST_SIZE),
        .sealed_len = len - AK_DIGEST_SIZE,
    };
    return number(p + 104, 8) == ret_view->dependencies.len ? 0 : -1;
}

int ak_variant_encode_head(struct ak_buf *ret_head, const struct ak_digest *key_id,
                           const struct ak_digest *key, const struct ak_digest *entry,
                           size_t dependencies_len) {
    int r = ak_buf_reserve(ret_head, AK_VARIANT_HEADER_SIZE);
    if (r)
        return r;
    (void)ak_buf_add(ret_head, variant_magic, sizeof(variant_magic));
    (void)ak_buf_add(ret_head, key_id->bytes, AK_DIGEST_SIZE);
    (void)ak_buf_add(ret_head, key->bytes, AK_DIGEST_SIZE);
    (void)ak_buf_add(ret_head, entry->bytes, AK_DIGEST_SIZE);
    return add_number(ret_head, dependencies_len, 8);
}

/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

void ak_buf_done(struct ak_buf *buf) {
    free(buf->data);
    *buf = (struct ak_buf){0};
}

void ak_buf_clear(struct ak_buf *buf) {
    buf->len = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

int ak_buf_reserve(struct ak_buf *buf, size_t extra) {
    if (extra > SIZE_MAX / 2 - buf->len)
        return ak_error_origin(ENOMEM);
    size_t need = buf->len + extra + 1;
    if (need <= buf->cap)
        return 0;
    size_t cap = buf->cap ? buf->cap : 64;
    while (cap < need)
        cap *= 2;
    char *data = realloc(buf->data, cap);
    if (!data)
        return ak_error_origin(ENOMEM);
    if (!buf->data)
        data[0] = '\0';
    buf->data = data;
    buf->cap = cap;
    return 0;
}

int ak_buf_add(struct ak_buf *buf, const void *data, size_t len) {
    int r = ak_buf_reserve(buf, len);
    if (r)
        return ak_error_trace(r);
    if (len)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return 0;
}

int ak_buf_add_str(struct ak_buf *buf, const char *str) {
    return ak_buf_add(buf, str, strlen(str));
}

int ak_buf_add_char(struct ak_buf *buf, char c) {
    return ak_buf_add(buf, &c, 1);
}

int ak_buf_addf(struct ak_buf *buf, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        return ak_error_origin(EINVAL);
    int r = ak_buf_reserve(buf, (size_t)n);
    if (r)
        return ak_error_trace(r);
    va_start(args, format);
    vsnprintf(buf->data + buf->len, (size_t)n + 1, format, args);
    va_end(args);
    buf->len += (size_t)n;
    return 0;
}

/* The length of the valid UTF-8 sequence at s, or 0 (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
static size_t utf8_sequence(const unsigned char *s, size_t len) {
    unsigned char lead = s[0];
    size_t n = lead < 0x80   ? 1
               : lead < 0xC2 ? 0
               : lead < 0xE0 ? 2
               : lead < 0xF0 ? 3
               : lead < 0xF5 ? 4
                             : 0;
    if (n == 0 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((lead == 0xE0 && s[1] < 0xA0) || (lead == 0xED && s[1] > 0x9F) ||
        (lead == 0xF0 && s[1] < 0x90) || (lead == 0xF4 && s[1] > 0x8F))
        return 0;
    return n;
}

static bool json_plain(unsigned char c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

int ak_buf_add_json_string(struct ak_buf *buf, const char *text, size_t len) {
    static const char hex[] = "0123456789abcdef";
    size_t start = buf->len;
    const unsigned char *s = (const unsigned char *)text;
    int r = ak_buf_reserve(buf, len + 2);
    if (r)
        return ak_error_trace(r);

    r = ak_buf_add_char(buf, '"');
    for (size_t i = 0; i < len && r == 0;) {
        size_t run = i;
        while (run < len && json_plain(s[run]))
            run++;
        if (run > i) {
            r = ak_buf_add(buf, s + i, run - i);
            i = run;
            continue;
        }
        unsigned char c = s[i];
        size_t n = 1;
        if (c == '"' || c == '\\') {
            r = ak_buf_add(buf, (char[]){'\\', (char)c}, 2);
        } else if (c == '\n') {
            r = ak_buf_add(buf, "\\n", 2);
        } else if (c == '\r') {
            r = ak_buf_add(buf, "\\r", 2);
        } else if (c == '\t') {
            r = ak_buf_add(buf, "\\t", 2);
        } else if (c < 0x20) {
            char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            r = ak_buf_add(buf, escape, sizeof(escape));
        } else if ((n = utf8_sequence(s + i, len - i)) > 0) {
            r = ak_buf_add(buf, s + i, n);
        } else {
            n = 1;
            r = ak_buf_add(buf, "\xEF\xBF\xBD", 3);
        }
        i += n;
    }
    if (r == 0)
        r = ak_buf_add_char(buf, '"');
    if (r) {
        buf->len = start;
        if (buf->data)
            buf->data[start] = '\0';
        return ak_error_trace(r);
    }
    return 0;
}

void ak_buf_consume(struct ak_buf *buf, size_t n) {
    assert(n <= buf->len);
    if (n == 0)
        return;
    memmove(buf->data, buf->data + n, buf->len - n);
    buf->len -= n;
    buf->data[buf->len] = '\0';
}

char *ak_buf_take(struct ak_buf *buf) {
    char *data = buf->data;
    *buf = (struct ak_buf){0};
    return data;
}

/* SPDX-License-Identifier: MIT */
#include "cache/url.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static int refuse(struct ak_buf *message, const char *why) {
    (void)ak_buf_addf(message,
                      "the address of the shared cache %s: it is written "
                      "redis://:PASSWORD@HOST:PORT/DATABASE, or rediss:// for TLS",
                      why);
    return -1;
}

static int digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Adds the text with %XX decoded; -1 for a sequence that is none, or NUL. */
static int decode(struct ak_buf *buf, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < len ? digit(text[i + 1]) : -1;
            int low = i + 2 < len ? digit(text[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return -1;
            c = (char)(16 * high + low);
            i += 2;
        }
        if (ak_buf_add_char(buf, c))
            return -1;
    }
    return 0;
}

static int parse_credentials(struct ak_url *url, const char *text, size_t len) {
    const char *colon = memchr(text, ':', len);
    size_t user_len = colon ? (size_t)(colon - text) : len;
    if (decode(&url->user, text, user_len) < 0)
        return -1;
    return colon ? decode(&url->password, colon + 1, len - user_len - 1) : 0;
}

/* HOST, HOST:PORT or [V6]:PORT */
static int parse_place(struct ak_url *url, const char *text, size_t len) {
    const char *end = text + len, *host_end;
    if (len && text[0] == '[') {
        host_end = memchr(text, ']', len);
        if (!host_end || decode(&url->host, text + 1, (size_t)(host_end - text - 1)))
            return -1;
        host_end++;
    } else {
        host_end = memchr(text, ':', len);
        host_end = host_end ? host_end : end;
        if (decode(&url->host, text, (size_t)(host_end - text)))
            return -1;
    }
    if (!url->host.len || (host_end < end && *host_end != ':'))
        return -1;
    if (host_end == end)
        return ak_buf_add_str(&url->port, "6379");
    size_t port_len = (size_t)(end - host_end - 1);
    unsigned long port = strtoul(host_end + 1, NULL, 10);
    if (!port_len || strspn(host_end + 1, "0123456789") < port_len || port < 1 ||
        port > 65535)
        return -1;
    return ak_buf_add(&url->port, host_end + 1, port_len);
}

static int parse(struct ak_url *url, const char *text, struct ak_buf *message) {
    url->tls = strncmp(text, "rediss://", 9) == 0;
    if (!url->tls && strncmp(text, "redis://", 8) != 0)
        return refuse(message, "has to begin with redis:// or rediss://");
    text += url->tls ? 9 : 8;
    size_t len = strcspn(text, "/?#");
    const char *at = NULL;
    for (size_t i = 0; i < len; i++)
        at = text[i] == '@' ? text + i : at;
    if (at && parse_credentials(url, text, (size_t)(at - text)) < 0)
        return refuse(message, "has a user or password that is not written right");
    const char *place = at ? at + 1 : text;
    if (parse_place(url, place, len - (size_t)(place - text)) < 0)
        return refuse(message, "names no host, or a port that is none");
    text += len;
    if (*text == '/' && text[1]) {
        char *end;
        unsigned long database = strtoul(text + 1, &end, 10);
        if (text[1] < '0' || text[1] > '9' || *end || database > 65535)
            return refuse(message, "names a database that is no number");
        url->database = (unsigned)database;
    } else if (*text && *text != '/') {
        return refuse(message, "has something behind the host that is not understood");
    }
    return 0;
}

int ak_url_parse(struct ak_url *ret_url, const char *text, struct ak_buf *ret_message) {
    *ret_url = (struct ak_url){0};
    int r = parse(ret_url, text, ret_message);
    if (r)
        ak_url_done(ret_url);
    return r;
}

void ak_url_done(struct ak_url *url) {
    if (url->password.data)
        sodium_memzero(url->password.data, url->password.cap);
    ak_buf_done(&url->host);
    ak_buf_done(&url->port);
    ak_buf_done(&url->user);
    ak_buf_done(&url->password);
}

/* SPDX-License-Identifier: MIT */
/*
 * The adapter is a program of its own and may be anything: its header is read with a
 * bound, its lengths have a limit, and what does not parse closes the connection, for
 * there is no way to find the next message behind it.
 */
#include "kernel/dap.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

#define HEADER_MAX 4096u
#define MESSAGE_MAX (256u << 20)
#define CHUNK 65536u
#define WAITING_MAX (64u << 20) /* an adapter that takes nothing is given up */

struct ak_dap {
    int fd;
    struct ak_buf in;  /* what came and was not taken yet */
    struct ak_buf out; /* what had no room yet */
};

int ak_dap_new(struct ak_dap **ret_dap, int fd) {
    struct ak_dap *dap = calloc(1, sizeof(*dap));
    if (!dap)
        return ak_error_origin(ENOMEM);
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    dap->fd = fd;
    *ret_dap = dap;
    return 0;
}

int ak_dap_connect(struct ak_dap **ret_dap, int port) {
    AK_CLEANUP(ak_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ak_error_origin(errno);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    /* On the loopback a connection is made or refused at once. */
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return AK_DAP_E_CLOSED;
    int r = ak_dap_new(ret_dap, fd);
    if (!r)
        (void)ak_take_fd(&fd);
    return r;
}

struct ak_dap *ak_dap_free(struct ak_dap *dap) {
    if (!dap)
        return NULL;
    ak_close_clear(&dap->fd);
    ak_buf_done(&dap->in);
    ak_buf_done(&dap->out);
    free(dap);
    return NULL;
}

int ak_dap_fd(const struct ak_dap *dap) {
    return dap->fd;
}

bool ak_dap_waits(const struct ak_dap *dap) {
    return dap->out.len > 0;
}

int ak_dap_flush(struct ak_dap *dap) {
    while (dap->out.len > 0) {
        ssize_t n = send(dap->fd, dap->out.data, dap->out.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return dap->out.len > WAITING_MAX ? AK_DAP_E_CLOSED : 0;
        if (n <= 0)
            return AK_DAP_E_CLOSED;
        ak_buf_consume(&dap->out, (size_t)n);
    }
    return 0;
}

int ak_dap_send(struct ak_dap *dap, const json_t *message) {
    AK_CLEANUP(ak_freep) char *text = json_dumps(message, JSON_COMPACT);
    if (!text)
        return ak_error_origin(ENOMEM);
    int r = ak_buf_addf(&dap->out, "Content-Length: %zu\r\n\r\n%s", strlen(text), text);
    return r ? ak_error_trace(r) : ak_dap_flush(dap);
}

/* Finds the head of the first message: its length and where the body starts. 0, AGAIN
 * or CLOSED. */
static int parse_head(const struct ak_buf *in, size_t *ret_start, size_t *ret_len) {
    const char *end = in->len ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return in->len > HEADER_MAX ? AK_DAP_E_CLOSED : AK_DAP_E_AGAIN;
    static const char name[] = "Content-Length:";
    unsigned long long len = ~0ull;
    for (const char *line = in->data; line < end;) {
        if (strncasecmp(line, name, sizeof(name) - 1) == 0) {
            char *after = NULL;
            errno = 0;
            len = strtoull(line + sizeof(name) - 1, &after, 10);
            if (errno || *after != '\r')
                return AK_DAP_E_CLOSED;
        }
        line = (const char *)memmem(line, (size_t)(end + 2 - line), "\r\n", 2) + 2;
    }
    if (len > MESSAGE_MAX)
        return AK_DAP_E_CLOSED;
    *ret_start = (size_t)(end + 4 - in->data);
    *ret_len = (size_t)len;
    return 0;
}

static int take_message(struct ak_dap *dap, json_t **ret_message) {
    size_t start = 0, len = 0;
    int r = parse_head(&dap->in, &start, &len);
    if (r)
        return r;
    if (dap->in.len - start < len)
        return AK_DAP_E_AGAIN;
    json_t *message = ak_dap_parse(ak_bytes(dap->in.data + start, len));
    ak_buf_consume(&dap->in, start + len);
    if (!json_is_object(message)) {
        json_decref(message);
        return AK_DAP_E_CLOSED;
    }
    *ret_message = message;
    return 0;
}

int ak_dap_receive(struct ak_dap *dap, json_t **ret_message) {
    for (;;) {
        int r = take_message(dap, ret_message);
        if (r != AK_DAP_E_AGAIN)
            return r;
        if (ak_buf_reserve(&dap->in, CHUNK))
            return ak_error_origin(ENOMEM);
        ssize_t n = recv(dap->fd, dap->in.data + dap->in.len, CHUNK, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return AK_DAP_E_AGAIN;
        if (n <= 0)
            return AK_DAP_E_CLOSED;
        dap->in.len += (size_t)n;
        dap->in.data[dap->in.len] = '\0';
    }
}

/* The number of an escape "\uXXXX" at p, or -1. */
static long escape_at(const char *p, const char *end) {
    char digits[5] = {0};
    char *after = NULL;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    memcpy(digits, p + 2, 4);
    long value = strtol(digits, &after, 16);
    return after == digits + 4 ? value : -1;
}

static bool is_high(long value) {
    return value >= 0xD800 && value < 0xDC00;
}

static bool is_low(long value) {
    return value >= 0xDC00 && value < 0xE000;
}

json_t *ak_dap_parse(struct ak_bytes text) {
    AK_BUF_AUTO copy = {0};
    if (ak_buf_add(&copy, text.data, text.len))
        return NULL;
    char *end = copy.data + copy.len;
    for (char *p = copy.data; p && p < end; p++) {
        if (*p != '\\')
            continue;
        long value = escape_at(p, end);
        if (is_high(value) && is_low(escape_at(p + 6, end)))
            p += 11;
        else if (is_high(value) || is_low(value))
            memcpy(p + 2, "FFFD", 4);
        else
            p++; /* the escaped character may be a backslash */
    }
    return json_loadb(ak_buf_str(&copy), copy.len, JSON_ALLOW_NUL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * hiredis reads the answers; the bytes are carried here, because its own connections
 * cannot be given a deadline that holds for TLS, too. The socket never blocks: every
 * wait is a poll with what is left of the caller's time.
 */
#include "cache/redis.h"

#include <errno.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

#define ANSWER_MAX (64u << 20)

struct ak_redis {
    int fd;
    SSL_CTX *context; /* owned; NULL without TLS */
    SSL *ssl;         /* owned */
    redisReader *reader;
    bool broken; /* after a failure the answers cannot be told apart any more */
};

static int gone(struct ak_buf *message, const char *format, const char *why) {
    (void)ak_buf_addf(message, format, why);
    return AK_REDIS_E_GONE;
}

/* --- bytes -------------------------------------------------------------------------
 */

/* Waits for the events. 0, or GONE. */
static int wait_for(const struct ak_redis *redis, short events, uint64_t deadline,
                    struct ak_buf *message) {
    for (;;) {
        uint64_t now = ak_clock_now();
        if (now >= deadline)
            return gone(message, "%s", "it took too long to answer");
        struct pollfd pfd = {.fd = redis->fd, .events = events};
        int n = poll(&pfd, 1, (int)((deadline - now) / AK_NS_PER_MS) + 1);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return gone(message, "%s", strerror(errno));
    }
}

static const char *tls_error(void) {
    unsigned long error = ERR_get_error();
    const char *text = error ? ERR_reason_error_string(error) : NULL;
    return text ? text : "the connection ended";
}

/* After an SSL call that did not do all: waits for what it needs. */
static int tls_wait(const struct ak_redis *redis, int result, uint64_t deadline,
                    struct ak_buf *message) {
    int error = SSL_get_error(redis->ssl, result);
    if (error == SSL_ERROR_WANT_READ)
        return wait_for(redis, POLLIN, deadline, message);
    if (error == SSL_ERROR_WANT_WRITE)
        return wait_for(redis, POLLOUT, deadline, message);
    return gone(message, "TLS failed: %s", tls_error());
}

static int send_all(struct ak_redis *redis, const char *data, size_t len,
                    uint64_t deadline, struct ak_buf *message) {
    while (len) {
        ssize_t n;
        int r = 0;
        if (redis->ssl) {
            ERR_clear_error();
            n = SSL_write(redis->ssl, data, len > INT32_MAX ? INT32_MAX : (int)len);
            if (n <= 0)
                r = tls_wait(redis, (int)n, deadline, message);
        } else {
            n = send(redis->fd, data, len, MSG_NOSIGNAL);
            if (n < 0 && errno == EAGAIN)
                r = wait_for(redis, POLLOUT, deadline, message);
            else if (n < 0 && errno != EINTR)
                r = gone(message, "%s", strerror(errno));
        }
        if (r)
            return r;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* Feeds the reader with what comes next. */
static int receive_some(struct ak_redis *redis, uint64_t deadline,
                        struct ak_buf *message) {
    char bytes[64 << 10];
    ssize_t n;
    if (redis->ssl) {
        ERR_clear_error();
        n = SSL_read(redis->ssl, bytes, sizeof(bytes));
        if (n <= 0)
            return tls_wait(redis, (int)n, deadline, message);
    } else {
        n = recv(redis->fd, bytes, sizeof(bytes), 0);
        if (n < 0 && errno == EAGAIN)
            return wait_for(redis, POLLIN, deadline, message);
        if (n < 0 && errno == EINTR)
            return 0;
        if (n <= 0)
            return gone(message, "%s", n ? strerror(errno) : "it ended the connection");
    }
    if (redis->reader->len > ANSWER_MAX ||
        redisReaderFeed(redis->reader, bytes, (size_t)n) != REDIS_OK)
        return gone(message, "%s", "its answer makes no sense");
    return 0;
}

/* --- commands ----------------------------------------------------------------------
 */

static int send_command(struct ak_redis *redis, const struct ak_bytes *words,
                        size_t n_words, uint64_t deadline, struct ak_buf *message) {
    AK_BUF_AUTO command = {0};
    int r = ak_buf_addf(&command, "*%zu\r\n", n_words);
    for (size_t i = 0; i < n_words && !r; i++) {
        r = ak_buf_addf(&command, "$%zu\r\n", words[i].len);
        if (!r)
            r = ak_buf_add(&command, words[i].data, words[i].len);
        if (!r)
            r = ak_buf_add(&command, "\r\n", 2);
    }
    return r ? ak_error_origin(r)
             : send_all(redis, command.data, command.len, deadline, message);
}

static void convert(redisReply *answer, struct ak_redis_reply *ret_reply) {
    *ret_reply = (struct ak_redis_reply){.kind = AK_REDIS_NOTHING, .handle = answer};
    switch (answer->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        ret_reply->kind = AK_REDIS_BYTES;
        ret_reply->bytes = ak_bytes(answer->str, (size_t)answer->len);
        break;
    case REDIS_REPLY_INTEGER:
        ret_reply->kind = AK_REDIS_NUMBER;
        ret_reply->number = answer->integer;
        break;
    case REDIS_REPLY_ARRAY:
        ret_reply->kind = AK_REDIS_LIST;
        ret_reply->n_items = answer->elements;
        break;
    default:
        break;
    }
}

int ak_redis_ask(struct ak_redis *redis, const struct ak_bytes *words, size_t n_words,
                 uint64_t deadline, struct ak_redis_reply *ret_reply,
                 struct ak_buf *ret_message) {
    void *answer = NULL;
    if (redis->broken)
        return gone(ret_message, "%s", "the connection broke");
    int r = send_command(redis, words, n_words, deadline, ret_message);
    while (!r && !answer) {
        if (redisReaderGetReply(redis->reader, &answer) != REDIS_OK)
            r = gone(ret_message, "%s", "its answer makes no sense");
        else if (!answer)
            r = receive_some(redis, deadline, ret_message);
    }
    if (r) {
        redis->broken = true;
        return r;
    }
    convert(answer, ret_reply);
    const redisReply *reply = answer;
    if (reply->type != REDIS_REPLY_ERROR)
        return 0;
    (void)ak_buf_addf(ret_message, "it says \"%.200s\"", reply->str);
    ak_redis_reply_done(ret_reply);
    return AK_REDIS_E_REFUSED;
}

struct ak_bytes ak_redis_reply_item(const struct ak_redis_reply *reply, size_t i) {
    const redisReply *answer = reply->handle;
    const redisReply *item = answer->element[i];
    return item->type == REDIS_REPLY_STRING ? ak_bytes(item->str, (size_t)item->len)
                                            : ak_bytes("", 0);
}

void ak_redis_reply_done(struct ak_redis_reply *reply) {
    if (reply->handle)
        freeReplyObject(reply->handle);
    *reply = (struct ak_redis_reply){0};
}

/* --- connecting --------------------------------------------------------------------
 */

static int connect_one(struct ak_redis *redis, const struct addrinfo *address,
                       uint64_t deadline, struct ak_buf *message) {
    int one = 1, error = 0;
    socklen_t len = sizeof(error);
    redis->fd =
        socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
               address->ai_protocol);
    if (redis->fd < 0)
        return gone(message, "%s", strerror(errno));
    int r = 0;
    if (connect(redis->fd, address->ai_addr, address->ai_addrlen) < 0) {
        error = errno;
        if (error == EINPROGRESS) {
            error = 0;
            r = wait_for(redis, POLLOUT, deadline, message);
        }
        if (!r && !error && getsockopt(redis->fd, SOL_SOCKET, SO_ERROR, &error, &len))
            error = errno;
        if (!r && error)
            r = gone(message, "%s", strerror(error));
    }
    if (r)
        ak_close_clear(&redis->fd);
    else
        (void)setsockopt(redis->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return r;
}

static int connect_any(struct ak_redis *redis, const struct ak_url *url,
                       uint64_t deadline, struct ak_buf *message) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    int error =
        getaddrinfo(ak_buf_str(&url->host), ak_buf_str(&url->port), &hints, &found);
    if (error) {
        hints.ai_flags = 0; /* numeric ones of a family that has no address here */
        error =
            getaddrinfo(ak_buf_str(&url->host), ak_buf_str(&url->port), &hints, &found);
    }
    if (error)
        return gone(message, "its name is not known: %s", gai_strerror(error));
    int r = gone(message, "%s", "");
    for (struct addrinfo *a = found; a && r; a = a->ai_next) {
        ak_buf_clear(message);
        r = connect_one(redis, a, deadline, message);
    }
    freeaddrinfo(found);
    return r;
}

static int encrypt(struct ak_redis *redis, const struct ak_url *url, uint64_t deadline,
                   struct ak_buf *message) {
    const char *host = ak_buf_str(&url->host);
    unsigned char address[sizeof(struct in6_addr)];
    redis->context = SSL_CTX_new(TLS_client_method());
    if (!redis->context || !SSL_CTX_set_default_verify_paths(redis->context))
        return gone(message, "TLS cannot be set up: %s", tls_error());
    SSL_CTX_set_verify(redis->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(redis->context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                         SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    redis->ssl = SSL_new(redis->context);
    bool numeric = inet_pton(AF_INET, host, address) == 1 ||
                   inet_pton(AF_INET6, host, address) == 1;
    if (!redis->ssl || !SSL_set_fd(redis->ssl, redis->fd) ||
        (numeric ? !X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(redis->ssl), host)
                 : !SSL_set1_host(redis->ssl, host) ||
                       !SSL_set_tlsext_host_name(redis->ssl, host)))
        return gone(message, "TLS cannot be set up: %s", tls_error());
    for (;;) {
        ERR_clear_error();
        int n = SSL_connect(redis->ssl);
        if (n == 1)
            return 0;
        long verdict = SSL_get_verify_result(redis->ssl);
        if (verdict != X509_V_OK)
            return gone(message, "its certificate is not accepted: %s",
                        X509_verify_cert_error_string(verdict));
        int r = tls_wait(redis, n, deadline, message);
        if (r)
            return r;
    }
}

static int command(struct ak_redis *redis, const struct ak_bytes *words, size_t n_words,
                   uint64_t deadline, struct ak_buf *message) {
    struct ak_redis_reply reply = {0};
    int r = ak_redis_ask(redis, words, n_words, deadline, &reply, message);
    ak_redis_reply_done(&reply);
    return r;
}

static struct ak_bytes text(const char *s) {
    return ak_bytes(s, strlen(s));
}

static int log_in(struct ak_redis *redis, const struct ak_url *url, uint64_t deadline,
                  struct ak_buf *message) {
    char database[16];
    struct ak_bytes words[3] = {text("AUTH")};
    size_t n = 1;
    int r = 0;
    if (url->user.len)
        words[n++] = ak_bytes(url->user.data, url->user.len);
    words[n++] = ak_bytes(ak_buf_str(&url->password), url->password.len);
    if (url->password.len)
        r = command(redis, words, n, deadline, message);
    snprintf(database, sizeof(database), "%u", url->database);
    struct ak_bytes select[] = {text("SELECT"), text(database)};
    return r ? r : command(redis, select, 2, deadline, message);
}

int ak_redis_new(struct ak_redis **ret_redis, const struct ak_url *url,
                 uint64_t deadline, struct ak_buf *ret_message) {
    AK_CLEANUP(ak_redis_freep) struct ak_redis *redis = calloc(1, sizeof(*redis));
    if (!redis)
        return ak_error_origin(ENOMEM);
    redis->fd = -1;
    redis->reader = redisReaderCreate();
    if (!redis->reader)
        return ak_error_origin(ENOMEM);
    int r = connect_any(redis, url, deadline, ret_message);
    if (!r && url->tls)
        r = encrypt(redis, url, deadline, ret_message);
    if (!r)
        r = log_in(redis, url, deadline, ret_message);
    if (r)
        return r;
    *ret_redis = AK_TAKE(redis);
    return 0;
}

struct ak_redis *ak_redis_free(struct ak_redis *redis) {
    if (!redis)
        return NULL;
    SSL_free(redis->ssl);
    SSL_CTX_free(redis->context);
    if (redis->reader)
        redisReaderFree(redis->reader);
    ak_close_clear(&redis->fd);
    free(redis);
    return NULL;
}

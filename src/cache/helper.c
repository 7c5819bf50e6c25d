/* SPDX-License-Identifier: MIT */
/*
 * One loop, one connection. Questions go before offers, also in the middle of a long
 * offer, between two chunks of it. Offers wait in a queue of keys only, for the
 * bytes are in the store; what does not fit is dropped. A server that is gone is tried
 * again after a while, which grows; questions are answered with "nothing" meanwhile.
 */
#include "cache/helper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "cache/helper-private.h"
#include "cache/share.h"

#define QUEUE_MAX 256
#define TRIES_MAX 3
#define CONNECT_MS 1000
#define ANSWER_MS 2000
#define LAST_MS 5000 /* after the worker is gone */
#define AGAIN_FIRST_MS 1000
#define AGAIN_MAX_MS 60000

enum warned {
    WARNED_GONE = 1,
    WARNED_REFUSED = 2,
    WARNED_DISBELIEVED = 4,
};

struct offer {
    bool variant;
    unsigned n_tries;
    struct ak_digest key;
    struct ak_digest entry;
};

struct helper {
    char config[AK_HELPER_CONFIG_MAX + 1];
    struct ak_url url;
    struct ak_keyring *ring;
    struct ak_store *store;
    struct ak_redis *redis;
    struct ak_share share;
    unsigned warned;
    uint64_t try_at;
    uint64_t again_ms;
    uint64_t end_at; /* 0 while the worker is there */
    bool asking;     /* inside a question: others wait */
    struct offer queue[QUEUE_MAX];
    size_t first, n_offers;
};

/* --- to the worker -----------------------------------------------------------------
 */

static void warn(struct helper *helper, enum warned kind, const char *format,
                 const char *why) {
    struct ak_helper_packet packet = {.verb = AK_HELPER_WARNING};
    if (helper->warned & kind)
        return;
    helper->warned |= kind;
    snprintf(packet.text, sizeof(packet.text), format, ak_buf_str(&helper->url.host),
             why);
    (void)send(AK_HELPER_FD, &packet, sizeof(packet), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void answer(const struct ak_digest *key, bool found) {
    struct ak_helper_packet packet = {
        .verb = AK_HELPER_FETCHED, .found = found, .key = *key};
    (void)send(AK_HELPER_FD, &packet, AK_HELPER_SHORT, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* --- the server --------------------------------------------------------------------
 */

static void lost(struct helper *helper, const char *why) {
    helper->redis = ak_redis_free(helper->redis);
    helper->try_at = ak_clock_now() + helper->again_ms * AK_NS_PER_MS;
    helper->again_ms =
        helper->again_ms * 2 < AGAIN_MAX_MS ? helper->again_ms * 2 : AGAIN_MAX_MS;
    warn(helper, WARNED_GONE,
         "the shared cache on %s cannot be reached (%s): only the cache on this "
         "machine is used until it can",
         why);
}

static bool connected(struct helper *helper) {
    AK_BUF_AUTO message = {0};
    if (helper->redis)
        return true;
    uint64_t now = ak_clock_now();
    if (now < helper->try_at || helper->end_at)
        return false;
    int r = ak_redis_new(&helper->redis, &helper->url, now + CONNECT_MS * AK_NS_PER_MS,
                         &message);
    if (r) {
        lost(helper, message.len ? ak_buf_str(&message) : strerror(ENOMEM));
        return false;
    }
    helper->again_ms = AGAIN_FIRST_MS;
    helper->share.redis = helper->redis;
    return true;
}

/* What an exchange with the server came to. True when it did what it should. */
static bool settle(struct helper *helper, int result, const struct ak_buf *message) {
    if (result == AK_SHARE_E_GONE && !helper->asking)
        lost(helper, ak_buf_str(message));
    else if (result == AK_SHARE_E_REFUSED)
        warn(helper, WARNED_REFUSED,
             "the shared cache on %s is not used as it could: %s", ak_buf_str(message));
    else if (result == AK_SHARE_E_NONE && message->len)
        warn(helper, WARNED_DISBELIEVED, "the shared cache on %s: %s",
             ak_buf_str(message));
    return result == 0;
}

static bool fetch(struct helper *helper, const struct ak_digest *key) {
    AK_BUF_AUTO message = {0};
    if (!connected(helper))
        return false;
    int r = ak_share_fetch(&helper->share, key, &message);
    if (r == AK_SHARE_E_NONE && !message.len)
        r = ak_share_fetch_variants(&helper->share, key, &message);
    return settle(helper, r, &message);
}

/* Sends the oldest offer. When the connection broke it stays, but not for ever: it may
 * be what breaks it. */
static void offer_next(struct helper *helper) {
    AK_BUF_AUTO message = {0};
    struct offer *next = &helper->queue[helper->first];
    int r = next->variant ? ak_share_offer_variant(&helper->share, &next->key,
                                                   &next->entry, &message)
                          : ak_share_offer(&helper->share, &next->key, &message);
    (void)settle(helper, r, &message);
    if (r == AK_SHARE_E_GONE && ++next->n_tries < TRIES_MAX)
        return;
    helper->first = (helper->first + 1) % QUEUE_MAX;
    helper->n_offers--;
}

/* --- the loop ----------------------------------------------------------------------
 */

static void handle(struct helper *helper, const struct ak_helper_packet *packet) {
    if (packet->verb == AK_HELPER_FETCH) {
        answer(&packet->key, fetch(helper, &packet->key));
    } else if (helper->n_offers < QUEUE_MAX) {
        size_t last = (helper->first + helper->n_offers++) % QUEUE_MAX;
        helper->queue[last] =
            (struct offer){.variant = packet->verb == AK_HELPER_OFFER_VARIANT,
                           .key = packet->key,
                           .entry = packet->entry};
    }
}

/* Takes all that the worker has said. */
static void listen_to_worker(struct helper *helper) {
    struct ak_helper_packet packet;
    while (!helper->end_at) {
        ssize_t n = recv(AK_HELPER_FD, &packet, sizeof(packet), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            helper->end_at = ak_clock_now() + LAST_MS * AK_NS_PER_MS;
        else if (n >= (ssize_t)AK_HELPER_SHORT)
            handle(helper, &packet);
    }
}

static bool time_is_up(const struct helper *helper) {
    return helper->end_at && ak_clock_now() >= helper->end_at;
}

/* Between two chunks of something long. */
static bool between(void *context) {
    struct helper *helper = context;
    if (!helper->asking) {
        helper->asking = true;
        listen_to_worker(helper);
        helper->asking = false;
    }
    return !time_is_up(helper);
}

/* Until the worker says something, or offers can be sent. */
static void wait_for_worker(const struct helper *helper) {
    struct pollfd pfd = {.fd = AK_HELPER_FD, .events = POLLIN};
    uint64_t now = ak_clock_now();
    int timeout = -1;
    if (helper->n_offers && (helper->redis || now >= helper->try_at))
        timeout = 0;
    else if (helper->n_offers)
        timeout = (int)((helper->try_at - now) / AK_NS_PER_MS) + 1;
    (void)poll(&pfd, 1, timeout);
}

static void run(struct helper *helper) {
    (void)connected(helper);
    while (!helper->end_at || (helper->n_offers && helper->redis)) {
        if (time_is_up(helper))
            break;
        if (!helper->end_at) {
            wait_for_worker(helper);
            listen_to_worker(helper);
        }
        if (helper->n_offers && connected(helper))
            offer_next(helper);
    }
}

/* The next field of the configuration; NULL for an empty or missing one. */
static const char *field(const char **p, const char *end) {
    const char *begin = *p;
    if (begin >= end)
        return NULL;
    *p = begin + strlen(begin) + 1;
    return begin[0] ? begin : NULL;
}

static int open_all(struct helper *helper, struct ak_buf *message) {
    ssize_t n = recv(AK_HELPER_FD, helper->config, AK_HELPER_CONFIG_MAX, 0);
    const char *p = helper->config, *end = p + (n > 0 ? n : 0);
    struct ak_store_config store = {.dir = field(&p, end)};
    const char *url = field(&p, end);
    struct ak_keyring_config keys = {.user_path = field(&p, end)};
    keys.team_path = field(&p, end);
    if (!store.dir || !url)
        return -EPROTO;
    int r = ak_url_parse(&helper->url, url, message);
    if (!r)
        r = ak_keyring_new(&helper->ring, &keys, message);
    return r ? r : ak_store_new(&helper->store, &store, helper->ring, message);
}

int ak_helper_serve(void) {
    static struct helper helper; /* too big for a stack */
    AK_BUF_AUTO message = {0};
    signal(SIGPIPE, SIG_IGN);
    helper.again_ms = AGAIN_FIRST_MS;
    int r = open_all(&helper, &message);
    if (r) {
        warn(&helper, WARNED_GONE, "the shared cache on %s is not used: %s",
             message.len ? ak_buf_str(&message) : strerror(r < 0 ? -r : EINVAL));
    } else {
        helper.share = (struct ak_share){
            .store = helper.store,
            .ring = helper.ring,
            .patience_ns = ANSWER_MS * AK_NS_PER_MS,
            .between = between,
            .context = &helper,
        };
        run(&helper);
    }
    ak_redis_free(helper.redis);
    ak_store_free(helper.store);
    ak_keyring_free(helper.ring);
    ak_url_done(&helper.url);
    return r ? 1 : 0;
}

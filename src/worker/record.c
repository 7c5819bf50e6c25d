/* SPDX-License-Identifier: MIT */
#include "worker/record.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "cache/evict.h"
#include "cache/key.h"
#include "cache/remote.h"
#include "cache/store.h"
#include "py/record.h"

AK_LOG_MODULE("record");

#define MIN_MS_DEFAULT 20.0

struct ak_record_store {
    struct ak_keyring *ring;
    struct ak_store *store;
    struct ak_remote *remote; /* NULL without a server */
    struct ak_limits limits;
};

/* NULL for what is not set, or set to nothing. */
static const char *setting(const char *name) {
    const char *text = getenv(name);
    return text && text[0] ? text : NULL;
}

static double min_ms(void) {
    const char *text = getenv("AKERNEL_CACHE_MIN_MS");
    char *end = NULL;
    double ms = text ? strtod(text, &end) : 0;
    return text && end != text && *end == '\0' && ms >= 0 ? ms : MIN_MS_DEFAULT;
}

static bool verbose(void) {
    const char *text = getenv("AKERNEL_CACHE_VERBOSE");
    return text && *text && strcmp(text, "0") != 0;
}

/* --- what stands behind the store --------------------------------------------------
 */

static void warn_of_server(struct ak_record_store *store) {
    AK_BUF_AUTO text = {0};
    if (ak_remote_take_warning(store->remote, &text))
        ak_warning("%s", ak_buf_str(&text));
}

static void begin(void *context) {
    struct ak_record_store *store = context;
    if (store->remote)
        ak_remote_begin(store->remote);
}

static bool fetch(void *context, const struct ak_digest *key) {
    struct ak_record_store *store = context;
    if (!store->remote)
        return false;
    bool found = ak_remote_fetch(store->remote, key);
    warn_of_server(store);
    return found;
}

static void stored(void *context, const struct ak_digest *key) {
    struct ak_record_store *store = context;
    const char *helper = ak_helper_path();
    if (store->remote) {
        ak_remote_offer(store->remote, key);
        warn_of_server(store);
    }
    if (helper && ak_store_collection_due(store->store, &store->limits) &&
        ak_helper_collect(helper, ak_store_dir(store->store)) < 0)
        ak_debug("a collection of the cache could not be started");
}

static void stored_variant(void *context, const struct ak_digest *key,
                           const struct ak_digest *entry) {
    struct ak_record_store *store = context;
    if (store->remote)
        ak_remote_offer_variant(store->remote, key, entry);
}

static void open_tier(struct ak_record_store *store, const char *team_path) {
    AK_BUF_AUTO message = {0};
    struct ak_store_tier tier = {store, begin, fetch, stored, stored_variant};
    struct ak_remote_config config = {
        .helper = ak_helper_path(),
        .url = setting("AKERNEL_CACHE_URL"),
        .dir = ak_store_dir(store->store),
        .team_path = team_path,
    };
    if (ak_limits_from_environment(&store->limits, &message) < 0)
        ak_warning("%s", ak_buf_str(&message));
    ak_buf_clear(&message);
    int r = config.url ? ak_remote_new(&store->remote, &config, &message) : 0;
    if (r)
        ak_warning("the cache on this machine alone is used: %s",
                   message.len ? ak_buf_str(&message) : strerror(r < 0 ? -r : EINVAL));
    ak_store_set_tier(store->store, &tier);
}

/* --- opening -----------------------------------------------------------------------
 */

/* Opens what can be opened; the reason says what cannot. */
static void open_store(struct ak_record_store *store, struct ak_buf *reason) {
    struct ak_keyring_config keys = {.team_path = setting("AKERNEL_CACHE_KEY_FILE")};
    struct ak_store_config config = {0};
    int r = ak_keyring_new(&store->ring, &keys, reason);
    if (!r)
        r = ak_store_new(&store->store, &config, store->ring, reason);
    if (r && !reason->len)
        (void)ak_buf_add_str(reason, "the cache cannot be opened");
    if (r)
        ak_warning("nothing is cached: %s", ak_buf_str(reason));
    else
        open_tier(store, keys.team_path);
}

int ak_record_store_new(struct ak_record_store **ret_store,
                        struct ak_runtime *runtime) {
    struct ak_record_store *store = calloc(1, sizeof(*store));
    AK_BUF_AUTO reason = {0};
    if (!store)
        return ak_error_origin(ENOMEM);
    open_store(store, &reason);
    struct ak_recorder_config config = {
        .ring = store->store ? store->ring : NULL,
        .store = store->store,
        .off_reason = reason.len ? ak_buf_str(&reason) : NULL,
        .min_ms = min_ms(),
        .verbose = verbose(),
    };
    int r = ak_recorder_open(runtime, &config);
    if (r) {
        ak_record_store_free(store);
        return ak_error_trace(r);
    }
    *ret_store = store;
    return 0;
}

void ak_record_store_close(struct ak_record_store *store, struct ak_runtime *runtime) {
    if (store)
        ak_recorder_close(runtime);
}

struct ak_record_store *ak_record_store_free(struct ak_record_store *store) {
    if (!store)
        return NULL;
    store->remote = ak_remote_free(store->remote);
    store->store = ak_store_free(store->store);
    store->ring = ak_keyring_free(store->ring);
    free(store);
    return NULL;
}

/* SPDX-License-Identifier: MIT */
#include "worker/record.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "cache/key.h"
#include "cache/store.h"
#include "py/record.h"

AK_LOG_MODULE("record");

#define MIN_MS_DEFAULT 20.0

struct ak_record_store {
    struct ak_keyring *ring;
    struct ak_store *store;
};

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

/* Opens what can be opened; the reason says what cannot. */
static void open_store(struct ak_record_store *store, struct ak_buf *reason) {
    struct ak_keyring_config keys = {0};
    struct ak_store_config config = {0};
    int r = ak_keyring_new(&store->ring, &keys, reason);
    if (!r)
        r = ak_store_new(&store->store, &config, store->ring, reason);
    if (r && !reason->len)
        (void)ak_buf_add_str(reason, "the cache cannot be opened");
    if (r)
        ak_warning("nothing is cached: %s", ak_buf_str(reason));
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
    store->store = ak_store_free(store->store);
    store->ring = ak_keyring_free(store->ring);
    free(store);
    return NULL;
}

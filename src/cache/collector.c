/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "cache/evict.h"
#include "cache/helper.h"

int ak_helper_collect_now(const char *dir) {
    pid_t child = fork();
    if (child)
        return child < 0; /* nobody waits for the collection, or is its parent */
    AK_BUF_AUTO message = {0};
    AK_CLEANUP(ak_store_freep) struct ak_store *store = NULL;
    struct ak_store_config config = {.dir = dir};
    struct ak_collection collection;
    struct ak_limits limits;
    (void)ak_limits_from_environment(&limits, &message);
    ak_buf_clear(&message);
    int r = ak_store_new(&store, &config, NULL, &message);
    if (!r)
        r = ak_store_collect(store, &limits, &collection);
    return r ? 1 : 0;
}

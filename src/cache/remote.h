/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The worker's side of what needs time: a cache that is shared through a server, and
 * the collection of what a store has too much of. Both run in a helper process, which
 * writes what it fetches into the local store and reads from there what it offers. So a
 * worker has no thread and no connection for it, its cells never wait for a network,
 * and what was computed last still goes out while a long cell runs or the kernel ends.
 *
 * Worker process, main thread. After a fork the child's copy does nothing. Nothing here
 * waits but ak_remote_fetch, and that for at most AK_REMOTE_PATIENCE_MS a cell.
 */

#include <stdbool.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "cache/key.h"
#include "cache/store.h"

/* All that a cell may be held up by the server: below what is felt. */
#define AK_REMOTE_PATIENCE_MS 150

struct ak_remote;

struct ak_remote_config {
    const char *helper; /* the program; see ak_helper_path */
    const char *url;
    const char *dir;       /* of the local store */
    const char *user_path; /* as in struct ak_keyring_config */
    const char *team_path;
};

enum {
    AK_REMOTE_E_REFUSED = 1, /* the address makes no sense; the message says why */
};

/* The helper program: AKERNEL_CACHE_HELPER, which the kernel process sets; NULL when
 * there is none. */
const char *ak_helper_path(void);

/* Starts the helper, which connects by itself. 0, REFUSED or fatal. */
int ak_remote_new(struct ak_remote **ret_remote, const struct ak_remote_config *config,
                  struct ak_buf *ret_message);
/* Lets go of the helper, which sends what was offered before, for some seconds at most,
 * and ends. Accepts NULL, returns NULL. */
struct ak_remote *ak_remote_free(struct ak_remote *remote);
AK_DEFINE_CLEANUP(struct ak_remote *, ak_remote_free)

/* A cell begins its lookups: its patience is whole again. */
void ak_remote_begin(struct ak_remote *remote);
/* Asks for an entry, or for the variants of a key. True when one of them came into the
 * local store in time: look there again. Otherwise it may still come, for the next
 * lookup. A server that did not answer the last question is not waited for. */
bool ak_remote_fetch(struct ak_remote *remote, const struct ak_digest *key);
/* Offers what was just stored. What the helper has no room to remember is not offered.
 */
void ak_remote_offer(struct ak_remote *remote, const struct ak_digest *key);
void ak_remote_offer_variant(struct ak_remote *remote, const struct ak_digest *key,
                             const struct ak_digest *entry);
/* Something the user should know, said once; the text is added. */
bool ak_remote_take_warning(struct ak_remote *remote, struct ak_buf *ret_text);

/* Starts a collection of the store in a process of its own, with the limits of the
 * environment. 0 or fatal. */
int ak_helper_collect(const char *helper, const char *dir);

/* SPDX-License-Identifier: MIT */
/*
 * Which world a request is for, in a kernel with many.
 *
 * A client is a session id in headers; it makes a world by its first request that needs
 * Python. Front ends make a new session id at every reload of a page, so a world whose
 * clients are all gone can be taken over: by a client whose first execute_request names
 * a cell that exactly one such world has run. What that client asked before
 * (completion, the list of comms) was answered in a world of its own, which nothing has
 * run in and which is given up then. Copies of a notebook have the same cell ids, so a
 * world of which a client is still connected is left alone, and so are two that both
 * fit.
 *
 * Worlds stand in order of use: the head has been idle longest.
 */
#include "kernel/session-private.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/signal.h"
#include "wire/limits.h"

AK_LOG_MODULE("session");

int ak_sessions_new(struct ak_kernel *kernel) {
    struct ak_sessions *sessions = calloc(1, sizeof(*sessions));
    if (!sessions)
        return ak_error_origin(ENOMEM);
    ak_list_init(&sessions->worlds);
    kernel->sessions = sessions;
    int r = ak_map_new(&sessions->clients);
    if (!r)
        r = ak_peers_new(&sessions->peers, kernel->channels);
    return r ? ak_error_trace(r) : 0;
}

/* --- clients -----------------------------------------------------------------------
 */

static void free_client(struct ak_sessions *sessions, struct ak_client *client) {
    ak_map_remove(sessions->clients, client->session, strlen(client->session));
    ak_list_remove(&client->link);
    free(client->session);
    free(client);
}

static struct ak_client *find_client(struct ak_sessions *sessions,
                                     const char *session) {
    return ak_map_get(sessions->clients, session, strlen(session));
}

static struct ak_client *new_client(struct ak_sessions *sessions, const char *session) {
    struct ak_client *client = calloc(1, sizeof(*client));
    if (!client)
        return NULL;
    ak_list_init(&client->link);
    client->session = strdup(session);
    if (client->session &&
        ak_map_put(sessions->clients, session, strlen(session), client, NULL) == 0)
        return client;
    free(client->session);
    free(client);
    return NULL;
}

static void join(struct ak_client *client, struct ak_world *world) {
    ak_list_remove(&client->link);
    ak_list_append(&world->clients, &client->link);
    client->world = world;
}

/* Notes the connection that a client speaks through; the oldest one makes room. */
static void note_connection(struct ak_sessions *sessions, struct ak_client *client,
                            int fd) {
    if (!ak_peers_open(sessions->peers, fd))
        return;
    for (int i = 0; i < client->n_fds; i++) {
        if (client->fds[i] == fd)
            return;
    }
    if (client->n_fds == AK_CLIENT_FDS) {
        memmove(client->fds, client->fds + 1, (AK_CLIENT_FDS - 1) * sizeof(int));
        client->n_fds--;
    }
    client->fds[client->n_fds++] = fd;
}

static void forget_connection(struct ak_client *client, int fd) {
    for (int i = 0; i < client->n_fds; i++) {
        if (client->fds[i] == fd)
            client->fds[i--] = client->fds[--client->n_fds];
    }
}

bool ak_world_connected(const struct ak_world *world) {
    ak_list_for_each(node, next, (struct ak_list *)&world->clients) {
        if (ak_list_entry(node, struct ak_client, link)->n_fds)
            return true;
    }
    return false;
}

void ak_sessions_look(struct ak_kernel *kernel) {
    struct ak_sessions *sessions = kernel->sessions;
    int fd;
    while ((fd = ak_peers_next_lost(sessions->peers)) >= 0) {
        struct ak_client *client;
        size_t cursor = 0;
        while ((client = ak_map_next(sessions->clients, &cursor, NULL, NULL)))
            forget_connection(client, fd);
        ak_input_drop_connection(kernel, fd);
    }
}

/* --- worlds ------------------------------------------------------------------------
 */

static struct ak_world *new_world(struct ak_kernel *kernel) {
    struct ak_sessions *sessions = kernel->sessions;
    struct ak_world *world = calloc(1, sizeof(*world));
    if (!world || ak_map_new(&world->cell_ids) < 0) {
        free(world);
        return NULL;
    }
    ak_list_init(&world->link);
    ak_list_init(&world->clients);
    world->number = ++sessions->last_number;
    world->process = kernel->world.process;
    world->created_at = world->used_at = ak_clock_now();
    ak_list_append(&sessions->worlds, &world->link);
    sessions->n_worlds++;
    return world;
}

static void tell(const struct ak_world *world, enum ak_frame_type type) {
    struct ak_bytes part =
        ak_bytes((const char *)&world->number, sizeof(world->number));
    struct ak_frame frame = {.type = type, .fd = -1, .n_parts = 1, .parts = &part};
    (void)ak_worker_forward(world->process, &frame);
}

void ak_world_close(struct ak_kernel *kernel, struct ak_world *world) {
    struct ak_sessions *sessions = kernel->sessions;
    ak_world_interrupt(world);
    tell(world, AK_FRAME_CLOSE);
    ak_list_for_each(node, next, &kernel->requests) {
        struct ak_request *request = ak_list_entry(node, struct ak_request, link);
        if (request->world != world)
            continue;
        if (request->open)
            ak_input_drop(kernel, request->id);
        ak_request_close(kernel, request);
        request->world = NULL;
    }
    ak_list_for_each(member, after, &world->clients) {
        free_client(sessions, ak_list_entry(member, struct ak_client, link));
    }
    ak_list_remove(&world->link);
    sessions->n_worlds--;
    ak_map_free(world->cell_ids);
    free(world->name);
    free(world);
}

void ak_world_interrupt(struct ak_world *world) {
    struct ak_process *process = world->process;
    if (!process || process->state != AK_WORKER_READY || process->exited)
        return;
    union sigval value = {.sival_int = (int)world->number};
    /* The signal is for what blocks, the frame for what waits. */
    tell(world, AK_FRAME_INTERRUPT);
    (void)sigqueue(process->pid, AK_SIGNAL_WORLD, value);
}

/* The world that has been idle longest and nobody is connected to, or NULL. */
static struct ak_world *oldest_disconnected(struct ak_sessions *sessions) {
    ak_list_for_each(node, next, &sessions->worlds) {
        struct ak_world *world = ak_list_entry(node, struct ak_world, link);
        if (!world->n_open && !ak_world_connected(world))
            return world;
    }
    return NULL;
}

static bool make_room(struct ak_kernel *kernel, struct ak_buf *why) {
    size_t max = kernel->config->max_sessions ? kernel->config->max_sessions
                                              : AK_WIRE_SESSIONS_MAX;
    if (kernel->sessions->n_worlds < max)
        return true;
    struct ak_world *world = oldest_disconnected(kernel->sessions);
    if (world) {
        ak_world_close(kernel, world);
        return true;
    }
    (void)ak_buf_addf(why,
                      "this kernel has %zu sessions, which is as many as it may have, "
                      "and all are in use: close a notebook, or raise --max-sessions",
                      max);
    return false;
}

/* --- take-over ---------------------------------------------------------------------
 */

/* metadata.cellId of a request, if it is text. */
static json_t *cell_id_of(const struct ak_message *message, json_t **ret_metadata) {
    *ret_metadata =
        json_loadb(message->metadata.data, message->metadata.len, JSON_ALLOW_NUL, NULL);
    json_t *id = json_object_get(*ret_metadata, "cellId"); /* borrowed */
    return json_is_string(id) ? id : NULL;
}

/* The one world without a connected client that has run the cell, or NULL. */
static struct ak_world *abandoned(struct ak_sessions *sessions, const char *id,
                                  size_t len) {
    struct ak_world *found = NULL;
    ak_list_for_each(node, next, &sessions->worlds) {
        struct ak_world *world = ak_list_entry(node, struct ak_world, link);
        if (!ak_map_get(world->cell_ids, id, len) || ak_world_connected(world))
            continue;
        if (found)
            return NULL;
        found = world;
    }
    return found;
}

static void note_cell(struct ak_world *world, json_t *id) {
    if (id && ak_map_count(world->cell_ids) < AK_WORLD_CELLS_MAX)
        (void)ak_map_put(world->cell_ids, json_string_value(id), json_string_length(id),
                         world, NULL);
}

/* What the first execute_request of a client decides, and a join that was asked for. */
static void settle(struct ak_kernel *kernel, struct ak_client *client, json_t *id) {
    struct ak_sessions *sessions = kernel->sessions;
    struct ak_world *own = client->world;
    struct ak_world *world = NULL;
    if (client->joins)
        world = ak_world_find_number(sessions, client->joins);
    else if (!client->settled && id && (!own || own->n_cells == 0))
        world = abandoned(sessions, json_string_value(id), json_string_length(id));
    client->settled = true;
    client->joins = 0;
    if (!world || world == own)
        return;
    join(client, world);
    if (own && own->n_cells == 0 && ak_list_empty(&own->clients) && !own->name)
        ak_world_close(kernel, own);
}

struct ak_world *ak_sessions_world(struct ak_kernel *kernel,
                                   const struct ak_message *message,
                                   struct ak_request *request, struct ak_buf *why) {
    struct ak_sessions *sessions = kernel->sessions;
    ak_sessions_look(kernel);
    struct ak_client *client = find_client(sessions, message->session);
    if (!client)
        client = new_client(sessions, message->session);
    if (!client) {
        (void)ak_buf_add_str(why, "the kernel has no memory for another session");
        return NULL;
    }
    note_connection(sessions, client, request->connection);
    json_auto_t *metadata = NULL;
    json_t *id = NULL;
    bool execute = request->kind == AK_KIND_EXECUTE_REQUEST;
    if (execute) {
        id = cell_id_of(message, &metadata);
        settle(kernel, client, id);
    }
    if (!client->world) {
        struct ak_world *world = make_room(kernel, why) ? new_world(kernel) : NULL;
        if (!world) {
            if (!why->len)
                (void)ak_buf_add_str(why, "the kernel has no memory for a session");
            free_client(sessions, client);
            return NULL;
        }
        join(client, world);
    }
    struct ak_world *world = client->world;
    world->n_cells += execute;
    note_cell(world, id);
    world->used_at = ak_clock_now();
    ak_list_remove(&world->link);
    ak_list_append(&sessions->worlds, &world->link);
    return world;
}

struct ak_client *ak_sessions_client(struct ak_kernel *kernel, const char *session) {
    return kernel->sessions ? find_client(kernel->sessions, session) : NULL;
}

struct ak_world *ak_world_find_number(struct ak_sessions *sessions, uint64_t number) {
    ak_list_for_each(node, next, &sessions->worlds) {
        struct ak_world *world = ak_list_entry(node, struct ak_world, link);
        if (world->number == number)
            return world;
    }
    return NULL;
}

struct ak_world *ak_sessions_world_of(struct ak_kernel *kernel, const char *session) {
    struct ak_client *client = ak_sessions_client(kernel, session);
    return client ? client->world : NULL;
}

void *ak_sessions_socket(struct ak_kernel *kernel, int index) {
    return kernel->sessions ? ak_peers_socket(kernel->sessions->peers, index) : NULL;
}

void ak_sessions_move(struct ak_kernel *kernel, struct ak_process *process) {
    if (!kernel->sessions)
        return;
    ak_list_for_each(node, next, &kernel->sessions->worlds) {
        ak_list_entry(node, struct ak_world, link)->process = process;
    }
}

/* --- time --------------------------------------------------------------------------
 */

static uint64_t expiry(const struct ak_kernel *kernel, const struct ak_world *world) {
    return world->used_at +
           (uint64_t)(kernel->config->session_timeout * (double)AK_NS_PER_S);
}

/* The head has been idle longest, but for worlds that are at work. */
static struct ak_world *next_to_expire(const struct ak_sessions *sessions) {
    ak_list_for_each(node, next, (struct ak_list *)&sessions->worlds) {
        struct ak_world *world = ak_list_entry(node, struct ak_world, link);
        if (!world->n_open)
            return world;
    }
    return NULL;
}

uint64_t ak_sessions_deadline(const struct ak_kernel *kernel) {
    if (!kernel->sessions || kernel->config->session_timeout <= 0)
        return AK_NEVER;
    struct ak_world *world = next_to_expire(kernel->sessions);
    return world ? expiry(kernel, world) : AK_NEVER;
}

void ak_sessions_tick(struct ak_kernel *kernel, uint64_t now) {
    struct ak_world *world;
    while (ak_sessions_deadline(kernel) <= now &&
           (world = next_to_expire(kernel->sessions))) {
        ak_info("a session that was idle for %.0f s is closed",
                kernel->config->session_timeout);
        ak_world_close(kernel, world);
    }
}

void ak_sessions_done(struct ak_kernel *kernel) {
    struct ak_sessions *sessions = kernel->sessions;
    if (!sessions)
        return;
    ak_list_for_each(node, next, &sessions->worlds) {
        ak_world_close(kernel, ak_list_entry(node, struct ak_world, link));
    }
    struct ak_client *client;
    size_t cursor = 0;
    while ((client = ak_map_next(sessions->clients, &cursor, NULL, NULL)))
        free_client(sessions, client);
    ak_map_free(sessions->clients);
    ak_peers_free(sessions->peers);
    free(sessions);
    kernel->sessions = NULL;
}

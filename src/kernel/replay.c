/* SPDX-License-Identifier: MIT */
/*
 * Nothing is lost after a reload. A front end that is loaded again is a new session,
 * and forgets which requests its cells had sent: what a cell that still runs goes on to
 * show has an unknown parent there and is dropped. So outputs are kept for each cellId,
 * and shown again in a cell of the new session, under its request's parent:
 *
 * - by themselves, those of cells that still run when the new session runs its first
 *   cell; from then on what these cells show goes to both sessions;
 * - when a cell asks (akernel.replay), those that were shown or finished after the last
 *   word of the session that had asked for them.
 *
 * A session is known to have been there until it last said something. That it has gone
 * cannot be seen: a server keeps its sockets open, and answers for clients that left.
 *
 * Results are shown again as displays: the cell that shows them has a result of its
 * own.
 */
#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "kernel/kernel-private.h"
#include "kernel/shown.h"

AK_LOG_MODULE("replay");

#define LIMIT_MIB_DEFAULT 64
#define LIMIT_MIB_MAX 65536
#define SESSIONS_MAX 256

struct session {
    struct ak_list link; /* ak_replay.sessions, who spoke last at the end */
    char *id;            /* owned */
    uint64_t heard_at;
    bool runs_cells;
};

struct ak_replay {
    struct ak_shown *shown;
    struct ak_list sessions; /* session.link */
    size_t n_sessions;
    bool of_one_world; /* every session has a world of its own, and sees no other's */
};

/* --- life --------------------------------------------------------------------------
 */

static size_t limit(void) {
    const char *text = getenv("AKERNEL_REPLAY_MIB");
    char *end = NULL;
    long mib = text ? strtol(text, &end, 10) : 0;
    if (!text || end == text || *end != '\0' || mib < 0 || mib > LIMIT_MIB_MAX)
        mib = LIMIT_MIB_DEFAULT;
    return (size_t)mib << 20;
}

int ak_replay_new(struct ak_replay **ret_replay,
                  const struct ak_kernel_config *config) {
    struct ak_replay *replay = calloc(1, sizeof(*replay));
    if (!replay)
        return ak_error_origin(ENOMEM);
    ak_list_init(&replay->sessions);
    for (size_t i = 0; i < config->n_modes; i++) {
        if (strcmp(config->modes[i], "multi") == 0)
            replay->of_one_world = true;
    }
    size_t bytes = limit();
    int r = bytes ? ak_shown_new(&replay->shown, bytes) : 0;
    if (r) {
        free(replay);
        return ak_error_trace(r);
    }
    *ret_replay = replay;
    return 0;
}

static void free_session(struct ak_replay *replay, struct session *session) {
    ak_list_remove(&session->link);
    replay->n_sessions--;
    free(session->id);
    free(session);
}

struct ak_replay *ak_replay_free(struct ak_replay *replay) {
    if (!replay)
        return NULL;
    ak_list_for_each(node, next, &replay->sessions) {
        free_session(replay, ak_list_entry(node, struct session, link));
    }
    replay->shown = ak_shown_free(replay->shown);
    free(replay);
    return NULL;
}

/* --- sessions ----------------------------------------------------------------------
 */

static struct session *find_session(const struct ak_replay *replay, const char *id) {
    ak_list_for_each(node, next, &replay->sessions) {
        struct session *session = ak_list_entry(node, struct session, link);
        if (strcmp(session->id, id) == 0)
            return session;
    }
    return NULL;
}

static struct session *hear(struct ak_replay *replay, const char *id) {
    struct session *session = find_session(replay, id);
    if (!session) {
        if (replay->n_sessions == SESSIONS_MAX)
            free_session(replay,
                         ak_list_entry(replay->sessions.next, struct session, link));
        session = calloc(1, sizeof(*session));
        char *copy = strdup(id);
        if (!session || !copy) {
            free(session);
            free(copy);
            return NULL;
        }
        session->id = copy;
        ak_list_init(&session->link);
        replay->n_sessions++;
    }
    ak_list_remove(&session->link);
    ak_list_append(&replay->sessions, &session->link);
    session->heard_at = ak_clock_now();
    return session;
}

/* --- showing again -----------------------------------------------------------------
 */

struct place {
    struct ak_kernel *kernel;
    struct ak_bytes parent;
};

static void say(const struct place *place, int stream, const char *text, size_t len) {
    AK_BUF_AUTO content = {0};
    if (ak_buf_addf(&content, "{\"name\": \"%s\", \"text\": ",
                    stream == 1 ? "stdout" : "stderr") ||
        ak_buf_add_json_string(&content, text, len) || ak_buf_add_char(&content, '}'))
        return;
    struct ak_iopub_message message = {
        .msg_type = "stream",
        .parent = place->parent,
        .content = ak_bytes(content.data, content.len),
    };
    ak_publish(place->kernel, &message);
}

static enum ak_kind kind_again(enum ak_kind kind) {
    return kind == AK_KIND_EXECUTE_RESULT ? AK_KIND_DISPLAY_DATA : kind;
}

static void show_output(void *context, const struct ak_shown_output *output) {
    const struct place *place = context;
    if (output->stream) {
        say(place, output->stream, output->content.data, output->content.len);
        return;
    }
    struct ak_iopub_message message = {
        .msg_type = ak_kind_name(kind_again(output->kind)),
        .parent = place->parent,
        .metadata = output->metadata,
        .content = output->content,
    };
    ak_publish(place->kernel, &message);
}

static void show_head(const struct place *place, const struct ak_shown_cell *cell,
                      const char *note) {
    AK_BUF_AUTO head = {0};
    if (ak_buf_addf(&head, "[%ld] %s%s\n", cell->execution_count,
                    cell->first_line ? cell->first_line : "", note) == 0)
        say(place, 1, head.data, head.len);
    ak_buf_clear(&head);
    if (cell->n_forgotten &&
        ak_buf_addf(&head, "akernel: %zu bytes of older output were not kept\n",
                    cell->n_forgotten) == 0)
        say(place, 2, head.data, head.len);
}

/* Shows a run again; one that is not over is shown there from now on, too. */
static void show(const struct place *place, struct ak_shown_cell *cell) {
    bool runs = cell->ended_at == UINT64_MAX;
    if (cell->execution_count)
        show_head(place, cell, runs ? "  (still running)" : "");
    ak_shown_each(cell, show_output, (void *)place);
    if (!runs)
        return;
    ak_buf_clear(&cell->watcher);
    if (ak_buf_add(&cell->watcher, place->parent.data, place->parent.len))
        ak_buf_clear(&cell->watcher);
}

/* --- what happens ------------------------------------------------------------------
 */

static struct place place_of(struct ak_kernel *kernel, struct ak_request *request) {
    return (struct place){.kernel = kernel,
                          .parent = ak_bytes(request->parent, request->parent_len)};
}

static char *cell_id_of(struct ak_bytes metadata) {
    if (metadata.len <= 2)
        return NULL;
    json_auto_t *object = json_loadb(metadata.data, metadata.len, 0, NULL);
    const char *id = json_string_value(json_object_get(object, "cellId"));
    return id && id[0] ? strdup(id) : NULL;
}

static void show_running(struct ak_kernel *kernel, struct ak_request *request,
                         const char *session) {
    struct place place = place_of(kernel, request);
    ak_list_for_each(node, next, ak_shown_cells(kernel->replay->shown)) {
        struct ak_shown_cell *cell = ak_list_entry(node, struct ak_shown_cell, link);
        if (cell->ended_at == UINT64_MAX && strcmp(cell->session, session) != 0)
            show(&place, cell);
    }
}

void ak_replay_heard(struct ak_kernel *kernel, struct ak_request *request,
                     const struct ak_message *message) {
    struct ak_replay *replay = kernel->replay;
    struct session *session = replay->shown ? hear(replay, message->session) : NULL;
    if (!session || request->kind != AK_KIND_EXECUTE_REQUEST)
        return;
    char *cell_id = cell_id_of(message->metadata);
    if (!cell_id)
        return;
    if (!session->runs_cells && !replay->of_one_world)
        show_running(kernel, request, session->id);
    session->runs_cells = true;
    if (ak_shown_begin(replay->shown, cell_id, session->id, request->id) < 0)
        ak_debug("the outputs of a cell are not kept: no memory");
    free(cell_id);
}

void ak_replay_published(struct ak_kernel *kernel, uint64_t request,
                         const struct ak_iopub_message *message,
                         const struct ak_shown_output *output) {
    struct ak_replay *replay = kernel->replay;
    struct ak_shown_cell *cell =
        replay->shown ? ak_shown_find(replay->shown, request) : NULL;
    if (!cell)
        return;
    ak_shown_add(replay->shown, cell, output);
    if (cell->watcher.len == 0 || output->kind == AK_KIND_CLEAR_OUTPUT)
        return; /* to clear would clear what others show there */
    if (output->kind == AK_KIND_EXECUTE_INPUT) {
        struct place place = {.kernel = kernel,
                              .parent =
                                  ak_bytes(cell->watcher.data, cell->watcher.len)};
        show_head(&place, cell, "");
        return;
    }
    struct ak_iopub_message again = *message;
    again.parent = ak_bytes(cell->watcher.data, cell->watcher.len);
    if (!output->stream)
        again.msg_type = ak_kind_name(kind_again(output->kind));
    ak_publish(kernel, &again);
}

void ak_replay_ended(struct ak_kernel *kernel, uint64_t request) {
    struct ak_replay *replay = kernel->replay;
    struct ak_shown_cell *cell =
        replay->shown ? ak_shown_find(replay->shown, request) : NULL;
    if (cell)
        cell->ended_at = ak_clock_now();
}

static bool was_missed(const struct ak_replay *replay,
                       const struct ak_shown_cell *cell) {
    const struct session *session = find_session(replay, cell->session);
    return !session || cell->ended_at > session->heard_at;
}

static bool is_wanted(const struct ak_replay *replay, const struct ak_shown_cell *cell,
                      const struct ak_request *asking, const char *session,
                      json_t *options) {
    const char *id = json_string_value(json_object_get(options, "cell"));
    bool own = strcmp(cell->session, session) == 0;
    bool began = cell->execution_count || cell->ended_at == UINT64_MAX;
    if (!began || cell->request == asking->id || (replay->of_one_world && !own))
        return false;
    if (id)
        return strcmp(cell->cell_id, id) == 0;
    return json_is_true(json_object_get(options, "all")) ||
           (!own && was_missed(replay, cell));
}

void ak_replay_asked(struct ak_kernel *kernel, uint64_t id, struct ak_bytes text) {
    struct ak_replay *replay = kernel->replay;
    struct ak_request *request = ak_request_find(kernel, id);
    if (!request)
        return;
    struct place place = place_of(kernel, request);
    ak_stream_flush(kernel, id);
    json_auto_t *options = json_loadb(text.data, text.len, 0, NULL);
    json_auto_t *header = json_loadb(request->parent, request->parent_len, 0, NULL);
    const char *session = json_string_value(json_object_get(header, "session"));
    size_t n_shown = 0;
    if (replay->shown && session) {
        ak_list_for_each(node, next, ak_shown_cells(replay->shown)) {
            struct ak_shown_cell *cell =
                ak_list_entry(node, struct ak_shown_cell, link);
            if (!is_wanted(replay, cell, request, session, options))
                continue;
            show(&place, cell);
            n_shown++;
        }
    }
    static const char nothing[] =
        "akernel: no cell of another session has shown anything since it was last "
        "heard of; replay(all=True) shows what every cell last showed\n";
    static const char off[] =
        "akernel: outputs are not kept (AKERNEL_REPLAY_MIB is 0)\n";
    if (!replay->shown)
        say(&place, 2, off, sizeof(off) - 1);
    else if (!n_shown)
        say(&place, 2, nothing, sizeof(nothing) - 1);
}

/* SPDX-License-Identifier: MIT */
/*
 * What the functions of the akernel package ask of this process: {"call": ..., "name":
 * ...} in, {"value": ...} or {"error": sentence} out, through the pipe that came along.
 * The list of sessions is told in pages, so that an answer has a bound.
 */
#include "kernel/session-private.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>

#include "base/clock.h"

#define PAGE 256
#define PIPE_BYTES (1 << 20)

struct caller {
    struct ak_kernel *kernel;
    struct ak_request *request; /* borrowed; NULL when it is over */
    struct ak_world *world;     /* borrowed; NULL when it has none any more */
    const char *name;           /* borrowed; NULL when none was given */
    json_t *asked;              /* borrowed */
};

static json_t *error(const char *format, const char *name) {
    return json_pack("{s:o}", "error", json_sprintf(format, name));
}

static json_t *value(json_t *it) {
    return json_pack("{s:o}", "value", it);
}

/* The world that a name or a session id means. */
static struct ak_world *find(struct ak_kernel *kernel, const char *name) {
    ak_list_for_each(node, next, &kernel->sessions->worlds) {
        struct ak_world *world = ak_list_entry(node, struct ak_world, link);
        if (world->name && strcmp(world->name, name) == 0)
            return world;
    }
    struct ak_client *client = ak_sessions_client(kernel, name);
    return client ? client->world : NULL;
}

static double seconds(uint64_t since) {
    return (double)(ak_clock_now() - since) / (double)AK_NS_PER_S;
}

static json_t *describe(const struct caller *caller, struct ak_world *world) {
    json_t *ids = json_array();
    ak_list_for_each(node, next, &world->clients) {
        struct ak_client *client = ak_list_entry(node, struct ak_client, link);
        json_array_append_new(ids, json_string(client->session));
    }
    return json_pack("{s:I, s:o, s:s?, s:f, s:f, s:I, s:I, s:b, s:b}", "number",
                     (json_int_t)world->number, "ids", ids, "name", world->name, "age",
                     seconds(world->created_at), "idle",
                     world->n_open ? 0.0 : seconds(world->used_at), "cells",
                     (json_int_t)world->n_cells, "running", (json_int_t)world->n_open,
                     "connected", ak_world_connected(world), "own",
                     world == caller->world);
}

static json_t *call_sessions(const struct caller *caller) {
    struct ak_sessions *sessions = caller->kernel->sessions;
    json_int_t skip = json_integer_value(json_object_get(caller->asked, "skip"));
    json_t *list = json_array();
    ak_sessions_look(caller->kernel);
    ak_list_for_each(node, next, &sessions->worlds) {
        if (skip-- > 0)
            continue;
        if (json_array_size(list) == PAGE)
            break;
        json_array_append_new(
            list, describe(caller, ak_list_entry(node, struct ak_world, link)));
    }
    return value(list);
}

static json_t *call_close(const struct caller *caller) {
    struct ak_world *world =
        caller->name ? find(caller->kernel, caller->name) : caller->world;
    if (!world)
        return error("there is no session \"%s\": akernel.sessions() lists them",
                     caller->name ? caller->name : "");
    ak_world_close(caller->kernel, world);
    return value(json_null());
}

static json_t *call_interrupt(const struct caller *caller) {
    struct ak_world *world = caller->name ? find(caller->kernel, caller->name) : NULL;
    if (!world)
        return error("there is no session \"%s\": akernel.sessions() lists them",
                     caller->name ? caller->name : "");
    ak_world_interrupt(world);
    return value(json_null());
}

static json_t *call_name(const struct caller *caller) {
    struct ak_world *other = caller->name ? find(caller->kernel, caller->name) : NULL;
    if (!caller->world)
        return error("%s", "this code belongs to no session any more");
    if (!caller->name)
        return value(caller->world->name ? json_string(caller->world->name)
                                         : json_null());
    if (other && other != caller->world)
        return error("another session is called \"%s\"", caller->name);
    char *copy = strdup(caller->name);
    if (!copy)
        return error("%s", "no memory");
    free(caller->world->name);
    caller->world->name = copy;
    return value(json_string(copy));
}

/* The client whose request calls. */
static struct ak_client *client_of(const struct caller *caller) {
    if (!caller->request)
        return NULL;
    json_auto_t *header =
        json_loadb(caller->request->parent, caller->request->parent_len, 0, NULL);
    const char *session = json_string_value(json_object_get(header, "session"));
    return session ? ak_sessions_client(caller->kernel, session) : NULL;
}

static json_t *call_attach(const struct caller *caller) {
    struct ak_world *world = caller->name ? find(caller->kernel, caller->name) : NULL;
    struct ak_client *client = client_of(caller);
    if (!world)
        return error("there is no session \"%s\": one takes a name with "
                     "akernel.session_name(name), and akernel.sessions() lists them",
                     caller->name ? caller->name : "");
    if (!client)
        return error("%s", "this code belongs to no session any more");
    client->joins = world->number;
    return value(json_null());
}

static json_t *answer(const struct caller *caller) {
    static const struct {
        const char *name;
        json_t *(*function)(const struct caller *caller);
    } calls[] = {
        {"sessions", call_sessions},   {"close", call_close},
        {"interrupt", call_interrupt}, {"name", call_name},
        {"attach", call_attach},
    };
    const char *call = json_string_value(json_object_get(caller->asked, "call"));
    if (call && strcmp(call, "restart") == 0) {
        ak_supervisor_restart(caller->kernel, caller->world);
        return value(json_null());
    }
    if (!caller->kernel->sessions)
        return error("%s",
                     "this kernel has one session: \"akernel install multi\" makes "
                     "one that has many");
    for (size_t i = 0; call && i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strcmp(call, calls[i].name) == 0)
            return calls[i].function(caller);
    }
    return error("there is no call \"%s\"", call ? call : "");
}

void ak_call_answer(struct ak_kernel *kernel, struct ak_frame *frame) {
    if (frame->fd < 0 || frame->n_parts < 1)
        return;
    json_auto_t *asked = json_loadb(frame->parts[0].data, frame->parts[0].len, 0, NULL);
    struct ak_request *request = ak_request_find(kernel, frame->id);
    struct caller caller = {
        .kernel = kernel,
        .request = request,
        .world = request ? request->world : NULL,
        .name = json_string_value(json_object_get(asked, "name")),
        .asked = asked,
    };
    json_auto_t *reply = answer(&caller);
    AK_CLEANUP(ak_freep) char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
    (void)fcntl(frame->fd, F_SETFL, O_NONBLOCK);
    (void)fcntl(frame->fd, F_SETPIPE_SZ, PIPE_BYTES);
    if (text)
        ak_input_write(frame->fd, text, strlen(text));
}

/* SPDX-License-Identifier: MIT */
/*
 * A request is kept as long as somebody can speak in its name: until its idle was sent
 * and the worker has released it. Its parent header is kept as the bytes that came, so
 * that what a client put into a header comes back to it unchanged.
 */
#include "kernel/kernel-private.h"
#include "kernel/subshell.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "kernel/shown.h"
#include "wire/limits.h"

AK_LOG_MODULE("request");

/* "x_request" -> "x_reply"; comm messages and unknown types have none. */
static char *reply_type(const char *msg_type) {
    static const char suffix[] = "_request";
    size_t len = strlen(msg_type);
    if (len <= sizeof(suffix) - 1 ||
        strcmp(msg_type + len - (sizeof(suffix) - 1), suffix) != 0)
        return NULL;
    AK_BUF_AUTO type = {0};
    if (ak_buf_add(&type, msg_type, len - (sizeof(suffix) - 1)) ||
        ak_buf_add_str(&type, "_reply"))
        return NULL;
    return ak_buf_take(&type);
}

static int copy_identities(struct ak_request *request,
                           const struct ak_message *message) {
    size_t n = message->n_identities, bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += message->identities[i].len;
    request->identities = calloc(1, n * sizeof(struct ak_bytes) + bytes + 1);
    if (!request->identities)
        return ak_error_origin(ENOMEM);
    char *p = (char *)(request->identities + n);
    for (size_t i = 0; i < n; i++) {
        memcpy(p, message->identities[i].data, message->identities[i].len);
        request->identities[i] = ak_bytes(p, message->identities[i].len);
        p += message->identities[i].len;
    }
    request->n_identities = n;
    return 0;
}

static void free_memory(struct ak_request *request) {
    free(request->identities);
    free(request->reply_type);
    free(request->parent);
    free(request);
}

/* Parents that nothing has spoken for in a long time make room. */
static void limit_requests(struct ak_kernel *kernel) {
    ak_list_for_each(node, next, &kernel->requests) {
        if (ak_map_count(kernel->requests_by_id) < AK_WIRE_REQUESTS_MAX)
            return;
        struct ak_request *request = ak_list_entry(node, struct ak_request, link);
        if (request->done)
            ak_request_free(kernel, request);
    }
}

int ak_request_new(struct ak_kernel *kernel, struct ak_request **ret_request,
                   const struct ak_message *message, enum ak_channel channel) {
    struct ak_request *request = calloc(1, sizeof(*request));
    if (!request)
        return ak_error_origin(ENOMEM);
    ak_list_init(&request->link);
    request->id = ++kernel->next_id;
    request->channel = channel;
    request->kind = ak_kind_find(message->msg_type);
    request->reply_type = reply_type(message->msg_type);
    request->parent_len = message->header.len;
    request->parent = malloc(message->header.len + 1);
    int r = request->parent ? copy_identities(request, message) : -ENOMEM;
    limit_requests(kernel);
    if (!r) {
        memcpy(request->parent, message->header.data, message->header.len);
        r = ak_map_put(kernel->requests_by_id, &request->id, sizeof(request->id),
                       request, NULL);
    }
    if (r) {
        free_memory(request);
        return ak_error_trace(r);
    }
    ak_list_append(&kernel->requests, &request->link);
    *ret_request = request;
    return 0;
}

struct ak_request *ak_request_find(struct ak_kernel *kernel, uint64_t id) {
    return id ? ak_map_get(kernel->requests_by_id, &id, sizeof(id)) : NULL;
}

void ak_request_free(struct ak_kernel *kernel, struct ak_request *request) {
    ak_map_remove(kernel->requests_by_id, &request->id, sizeof(request->id));
    ak_list_remove(&request->link);
    free_memory(request);
}

void ak_request_close(struct ak_kernel *kernel, struct ak_request *request) {
    if (!request->open)
        return;
    request->open = false;
    kernel->n_open--;
    request->world->n_open--;
    request->world->used_at = ak_clock_now();
}

int ak_request_forward(struct ak_kernel *kernel, struct ak_request *request,
                       struct ak_world *world, const struct ak_frame *frame) {
    request->world = world;
    request->process = world->process;
    request->open = true;
    kernel->n_open++;
    world->n_open++;
    int r = ak_subshell_forward(kernel, request, world->process, frame);
    /* A worker that is gone will be found dead, and then all of its requests fail. */
    if (r == 0 || r == AK_LINK_E_CLOSED)
        return 0;
    ak_request_close(kernel, request);
    return r;
}

void ak_request_reply(struct ak_kernel *kernel, struct ak_request *request,
                      struct ak_bytes content, struct ak_bytes metadata,
                      const struct ak_frame *frame) {
    AK_BUF_AUTO header = {0};
    if (request->replied || !request->reply_type)
        return;
    request->replied = true;
    /* The worker's own stamp: what it started after this reply has a later one. */
    if (ak_author_header_of(kernel->author, request->reply_type, frame ? frame->arg : 0,
                            &header))
        return;
    struct ak_sending sending = {
        .identities = request->identities,
        .n_identities = request->n_identities,
        .header = ak_bytes(header.data, header.len),
        .parent = ak_bytes(request->parent, request->parent_len),
        .metadata = metadata,
        .content = content,
    };
    if (frame && frame->n_parts > 2) {
        sending.buffers = frame->parts + 2;
        sending.n_buffers = frame->n_parts - 2;
    }
    int r =
        ak_channels_send(kernel->channels, request->channel, kernel->signer, &sending);
    if (r)
        ak_warning("a %s was lost: its client takes no more messages",
                   request->reply_type);
}

/* The oldest request that is still open keeps the kernel busy in the eyes of servers
 * that look at the last status alone, whatever its parent. */
static void stay_busy(struct ak_kernel *kernel) {
    if (!kernel->n_open)
        return;
    ak_list_for_each(node, next, &kernel->requests) {
        struct ak_request *other = ak_list_entry(node, struct ak_request, link);
        if (other->done || other->kind != AK_KIND_EXECUTE_REQUEST)
            continue;
        ak_publish_status(kernel, "busy", ak_bytes(other->parent, other->parent_len));
        return;
    }
}

void ak_request_done(struct ak_kernel *kernel, struct ak_request *request) {
    if (request->done)
        return;
    request->done = true;
    ak_replay_ended(kernel, request->id);
    ak_publish_status(kernel, "idle", ak_bytes(request->parent, request->parent_len));
    stay_busy(kernel);
    if (request->released)
        ak_request_free(kernel, request);
}

static void fail(struct ak_kernel *kernel, struct ak_request *request,
                 const struct ak_buf *members, bool publish_error) {
    AK_BUF_AUTO content = {0};
    bool execute = request->kind == AK_KIND_EXECUTE_REQUEST;
    bool aborted = execute && !request->started && publish_error;
    if (publish_error && request->started &&
        ak_buf_addf(&content, "{%s}", ak_buf_str(members)) == 0) {
        struct ak_iopub_message error = {
            .msg_type = "error",
            .parent = ak_bytes(request->parent, request->parent_len),
            .content = ak_bytes(content.data, content.len),
        };
        ak_publish(kernel, &error);
        struct ak_shown_output shown = {.kind = AK_KIND_ERROR,
                                        .content = error.content};
        ak_replay_published(kernel, request->id, &error, &shown);
    }
    ak_buf_clear(&content);
    if (ak_buf_addf(&content, "{\"status\": \"%s\", %s%s}",
                    aborted ? "aborted" : "error", ak_buf_str(members),
                    execute ? ", \"execution_count\": 0, \"user_expressions\": {}, "
                              "\"payload\": []"
                            : "") == 0)
        ak_request_reply(kernel, request, ak_bytes(content.data, content.len),
                         ak_bytes("{}", 2), NULL);
    request->released = true;
    ak_request_close(kernel, request);
    ak_request_done(kernel, request);
}

void ak_request_fail_all(struct ak_kernel *kernel, const struct ak_process *process,
                         const char *ename, const char *evalue, bool publish_errors) {
    AK_BUF_AUTO members = {0};
    if (ak_buf_add_str(&members, "\"ename\": ") ||
        ak_buf_add_json_string(&members, ename, strlen(ename)) ||
        ak_buf_add_str(&members, ", \"evalue\": ") ||
        ak_buf_add_json_string(&members, evalue, strlen(evalue)) ||
        ak_buf_add_str(&members, ", \"traceback\": ["))
        return;
    const char *line = evalue;
    for (bool first = true; *line || first; first = false) {
        size_t n = strcspn(line, "\n");
        if ((!first && ak_buf_add_str(&members, ", ")) ||
            ak_buf_add_json_string(&members, line, n))
            return;
        line += n + (line[n] == '\n');
    }
    if (ak_buf_add_char(&members, ']'))
        return;
    ak_list_for_each(node, next, &kernel->requests) {
        struct ak_request *request = ak_list_entry(node, struct ak_request, link);
        if (process && request->process != process)
            continue;
        if (request->done)
            ak_request_free(kernel, request); /* who could speak for it is gone */
        else
            fail(kernel, request, &members, publish_errors);
    }
}

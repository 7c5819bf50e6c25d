/* SPDX-License-Identifier: MIT */
/*
 * From a client's message to whoever answers it. Each request is busy from here until
 * its idle, whatever its type. Requests on shell start in the order in which they came:
 * what needs Python goes through the seam, which keeps the order, and a kernel_info
 * behind something that the worker has not finished goes through it as a fence and is
 * answered here when the fence comes back.
 */
#include "kernel/kernel-private.h"

#include <string.h>

#include "base/log.h"
#include "kernel/debug.h"
#include "kernel/subshell.h"
#include "wire/limits.h"

AK_LOG_MODULE("dispatch");

/* An error reply from here, for what no Python will answer. */
static void refuse(struct ak_kernel *kernel, struct ak_request *request,
                   const char *ename, const char *why, size_t len) {
    AK_BUF_AUTO content = {0};
    if (ak_buf_addf(&content,
                    "{\"status\": \"error\", \"ename\": \"%s\", \"evalue\": ", ename) ||
        ak_buf_add_json_string(&content, why, len) ||
        ak_buf_add_str(&content, ", \"traceback\": [") ||
        ak_buf_add_json_string(&content, why, len) ||
        ak_buf_add_str(&content, "], \"execution_count\": 0}"))
        return;
    ak_request_reply(kernel, request, ak_bytes(content.data, content.len),
                     ak_bytes("{}", 2), NULL);
    request->released = true;
    ak_request_done(kernel, request);
}

/* 0, or an outcome of ak_request_forward. */
static int send_to_worker(struct ak_kernel *kernel, struct ak_request *request,
                          struct ak_world *world, const struct ak_message *message) {
    AK_BUF_AUTO memory = {0};
    size_t n_parts = 4 + message->n_buffers;
    if (n_parts > AK_FRAME_PARTS_MAX ||
        ak_buf_reserve(&memory, n_parts * sizeof(struct ak_bytes)))
        return AK_LINK_E_TOO_BIG;
    struct ak_bytes *parts = (struct ak_bytes *)(void *)memory.data;
    parts[0] = world->number
                   ? ak_bytes((const char *)&world->number, sizeof(world->number))
                   : ak_bytes(message->session, strlen(message->session));
    parts[1] = message->header;
    parts[2] = message->metadata;
    parts[3] = message->content;
    for (size_t i = 0; i < message->n_buffers; i++)
        parts[4 + i] = message->buffers[i];
    struct ak_frame frame = {
        .type = AK_FRAME_REQUEST,
        .kind = request->kind,
        .id = request->id,
        .arg =
            request->channel == AK_CHANNEL_CONTROL ? AK_FRAME_CONTROL : AK_FRAME_SHELL,
        .fd = -1,
        .n_parts = n_parts,
        .parts = parts,
    };
    return ak_request_forward(kernel, request, world, &frame);
}

static void send_fence(struct ak_kernel *kernel, struct ak_request *request,
                       struct ak_world *world) {
    struct ak_bytes number =
        ak_bytes((const char *)&world->number, sizeof(world->number));
    struct ak_frame fence = {.type = AK_FRAME_FENCE,
                             .arg = request->id,
                             .fd = -1,
                             .n_parts = 1,
                             .parts = &number};
    if (ak_request_forward(kernel, request, world, &fence) == 0)
        return;
    ak_native_kernel_info(kernel, request);
    request->released = true;
    ak_request_done(kernel, request);
}

/* Hands a request to the worker of a world, and says it when that cannot be. */
static void ask_worker(struct ak_kernel *kernel, struct ak_request *request,
                       struct ak_world *world, const struct ak_message *message) {
    static const char memory[] = "the kernel has no memory to take this request in";
    AK_BUF_AUTO why = {0};
    if (kernel->sessions)
        world = ak_sessions_world(kernel, message, request, &why);
    if (!world)
        refuse(kernel, request, "SessionLimitError", ak_buf_str(&why), why.len);
    else if (send_to_worker(kernel, request, world, message))
        refuse(kernel, request, "MemoryError", memory, sizeof(memory) - 1);
}

static void dispatch(struct ak_kernel *kernel, const struct ak_message *message,
                     enum ak_channel channel, int connection) {
    struct ak_request *request;
    if (ak_request_new(kernel, &request, message, channel) < 0)
        return;
    ak_publish_status(kernel, "busy", ak_bytes(request->parent, request->parent_len));
    if (message->bad_session) {
        static const char why[] =
            "the session in the header of a request is text of at most 1024 bytes, "
            "which this one is not";
        refuse(kernel, request, "ValueError", why, sizeof(why) - 1);
        return;
    }
    ak_replay_heard(kernel, request, message);
    request->connection = connection;
    struct ak_world *world = kernel->sessions
                                 ? ak_sessions_world_of(kernel, message->session)
                                 : &kernel->world;
    struct ak_process *process = world ? world->process : kernel->world.process;
    bool dead = !process || process->state == AK_WORKER_DEAD;
    if (!ak_subshell_route(kernel, request, message))
        return;
    bool waits =
        channel == AK_CHANNEL_SHELL && world && world->n_open > 0 && !request->subshell;
    if (strcmp(message->msg_type, "kernel_info_request") == 0 && waits && !dead) {
        send_fence(kernel, request, world);
        return;
    }
    if (ak_native_answer(kernel, request, message)) {
        request->released = true;
        ak_request_done(kernel, request);
        return;
    }
    if (dead) {
        refuse(kernel, request, "KernelStartError", ak_buf_str(&kernel->start_failure),
               kernel->start_failure.len);
        return;
    }
    if (ak_subshell_answer(kernel, request, world, message))
        return;
    if (request->kind == AK_KIND_DEBUG_REQUEST) {
        ak_debug_request(kernel, request, world, message);
        return;
    }
    if (request->kind == AK_KIND_UNKNOWN || request->kind >= AK_KIND_EXECUTE_INPUT) {
        ak_debug("a message of unknown type \"%s\"", message->msg_type);
        request->released = true;
        ak_request_done(kernel, request);
        return;
    }
    ask_worker(kernel, request, world, message);
}

/* The log hears of the first of a kind. */
void ak_dispatch_reject(struct ak_kernel *kernel, int outcome,
                        enum ak_channel channel) {
    static const char *const names[AK_CHANNEL_N] = {
        [AK_CHANNEL_SHELL] = "shell", [AK_CHANNEL_IOPUB] = "iopub",
        [AK_CHANNEL_STDIN] = "stdin", [AK_CHANNEL_CONTROL] = "control",
        [AK_CHANNEL_HB] = "hb",
    };
    if (outcome <= 0 || outcome >= AK_MESSAGE_E_N)
        return;
    if (kernel->malformed[outcome]++ == 0)
        ak_warning("a message on %s was dropped: %s (said once)", names[channel],
                   ak_message_outcome(outcome));
}

void ak_dispatch_channel(struct ak_kernel *kernel, enum ak_channel channel, int limit) {
    for (int i = 0; i < limit; i++) {
        struct ak_received received = {0};
        int r = ak_channels_receive(kernel->channels, channel, &received);
        if (r == 0) {
            struct ak_message message;
            r = ak_message_parse(&message, received.frames, received.n_frames,
                                 kernel->signer);
            if (r == 0) {
                dispatch(kernel, &message, channel,
                         kernel->sessions ? ak_received_fd(&received) : -1);
                ak_message_done(&message);
            } else {
                ak_dispatch_reject(kernel, r, channel);
            }
        } else if (r == AK_CHANNEL_E_TOO_BIG) {
            ak_dispatch_reject(kernel, AK_MESSAGE_E_TOO_BIG, channel);
        }
        bool stop = r == AK_CHANNEL_E_AGAIN && received.n_frames == 0;
        ak_received_done(&received);
        if (stop || r < 0)
            return;
    }
}

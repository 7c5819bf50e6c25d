/* SPDX-License-Identifier: MIT */
/*
 * What a worker says. Each frame carries the ring position of its moment: everything
 * before it in the ring is collected first, and what a client must see before it is
 * published first. Ids that are not known are ignored: the worker may be wrong, or
 * hostile.
 */
#include "kernel/kernel-private.h"

#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "kernel/debug.h"
#include "kernel/subshell.h"
#include "kernel/shown.h"
#include "wire/limits.h"

AK_LOG_MODULE("worker-link");

static struct ak_bytes part(const struct ak_frame *frame, size_t index) {
    return index < frame->n_parts ? frame->parts[index] : ak_bytes(NULL, 0);
}

int ak_worker_forward(struct ak_process *process, const struct ak_frame *frame) {
    if (!process || !process->link)
        return AK_LINK_E_CLOSED;
    int r = ak_link_enqueue(process->link, frame);
    if (r)
        ak_warning("a message to the worker was lost (outcome %d)", r);
    return r;
}

static void take_map(struct ak_frame *frame, struct ak_shared_map **ret_shared) {
    if (frame->map && ak_shared_map_new(ret_shared, frame->map, frame->map_len) == 0)
        frame->map = NULL;
}

static void publish_frame(struct ak_kernel *kernel, struct ak_frame *frame) {
    struct ak_request *request = ak_request_find(kernel, frame->id);
    AK_CLEANUP(ak_shared_map_unrefp) struct ak_shared_map *shared = NULL;
    ak_stream_flush(kernel, frame->id);
    if (frame->kind == AK_KIND_EXECUTE_INPUT && request)
        request->started = true;
    take_map(frame, &shared);
    struct ak_iopub_message message = {
        .msg_type = ak_kind_name(frame->kind),
        .parent = request ? ak_bytes(request->parent, request->parent_len)
                          : ak_bytes(NULL, 0),
        .metadata = part(frame, 1),
        .content = part(frame, 0),
        .buffers = frame->n_parts > 2 ? frame->parts + 2 : NULL,
        .n_buffers = frame->n_parts > 2 ? frame->n_parts - 2 : 0,
        .shared = shared,
    };
    ak_publish(kernel, &message);
    struct ak_shown_output shown = {
        .kind = frame->kind, .content = message.content, .metadata = message.metadata};
    if (frame->kind >= AK_KIND_EXECUTE_INPUT && frame->kind <= AK_KIND_ERROR)
        ak_replay_published(kernel, frame->id, &message, &shown);
}

/* The end of a request: its text, its questions and its idle. */
static void end_request(struct ak_kernel *kernel, struct ak_request *request) {
    if (request->done)
        return;
    ak_stream_flush(kernel, request->id);
    ak_input_drop(kernel, request->id);
    ak_request_close(kernel, request);
    if (request->exits)
        ak_supervisor_exit(kernel);
    ak_request_done(kernel, request);
}

static void take_reply(struct ak_kernel *kernel, struct ak_process *process,
                       const struct ak_frame *frame) {
    struct ak_request *request = ak_request_find(kernel, frame->id);
    if (!request || request->replied)
        return;
    if (request->kind == AK_KIND_DEBUG_REQUEST) {
        ak_debug_worker_replied(kernel, request, part(frame, 0));
        return;
    }
    bool exits = request->exits;
    ak_stream_flush(kernel, frame->flags & AK_FRAME_F_FLUSH ? 0 : request->id);
    /* Everything that had arrived by now is ahead of SENT, and is aborted with it. */
    if (frame->flags & AK_FRAME_F_ABORTING)
        ak_dispatch_channel(kernel, AK_CHANNEL_SHELL, AK_MESSAGES_WAITING);
    ak_request_reply(kernel, request, part(frame, 0), part(frame, 1), frame);
    if (frame->flags & AK_FRAME_F_ABORTING) {
        struct ak_world *world = request->world;
        struct ak_bytes number =
            ak_bytes(world ? &world->number : NULL, world ? sizeof(world->number) : 0);
        struct ak_frame sent = {.type = AK_FRAME_SENT,
                                .id = frame->id,
                                .fd = -1,
                                .n_parts = 1,
                                .parts = &number};
        (void)ak_subshell_forward(kernel, request, process, &sent);
    }
    if (frame->flags & AK_FRAME_F_DONE)
        end_request(kernel, request);
    if (exits)
        ak_supervisor_exit(kernel);
}

/* exit() ends the kernel with the request that asked for it, not with another one that
 * happens to be answered first. */
static void take_exit(struct ak_kernel *kernel, uint64_t id) {
    struct ak_request *request = ak_request_find(kernel, id);
    if (!request || request->replied || request->done)
        ak_supervisor_exit(kernel);
    else
        request->exits = true;
}

static void release(struct ak_kernel *kernel, struct ak_bytes ids) {
    for (size_t at = 0; at + sizeof(uint64_t) <= ids.len; at += sizeof(uint64_t)) {
        uint64_t id;
        memcpy(&id, (const char *)ids.data + at, sizeof(id));
        struct ak_request *request = ak_request_find(kernel, id);
        if (!request)
            continue;
        request->released = true;
        if (request->done)
            ak_request_free(kernel, request);
    }
}

/* HELLO: the interpreter is there. It has to be the one that kernel_info speaks of. */
static void take_hello(struct ak_kernel *kernel, struct ak_process *process,
                       struct ak_bytes text) {
    json_auto_t *hello = json_loadb(text.data, text.len, 0, NULL);
    const char *version = json_string_value(json_object_get(hello, "version"));
    const char *expected = kernel->config->python_version;
    json_int_t seam = json_integer_value(json_object_get(hello, "seam"));
    AK_BUF_AUTO why = {0};
    if (!version || seam != AK_SEAM_VERSION) {
        (void)ak_buf_add_str(&why, "akernel and its worker are of different versions: "
                                   "install both from the same build");
    } else if (expected && strcmp(version, expected) != 0) {
        (void)ak_buf_addf(
            &why,
            "this kernel was installed for Python %s, but %s is now "
            "Python %s: run \"akernel install\" again",
            expected, kernel->config->python ? kernel->config->python : "the worker",
            version);
    }
    if (why.len) {
        ak_supervisor_failed(kernel, process, why.data, why.len);
        return;
    }
    process->state = AK_WORKER_READY;
}

static void take_fence(struct ak_kernel *kernel, uint64_t id) {
    struct ak_request *request = ak_request_find(kernel, id);
    if (!request || request->done || ak_subshell_ended(kernel, request))
        return;
    ak_native_kernel_info(kernel, request);
    request->released = true;
    end_request(kernel, request);
}

static void take(struct ak_kernel *kernel, struct ak_process *process,
                 struct ak_frame *frame) {
    struct ak_request *request;
    switch (frame->type) {
    case AK_FRAME_HELLO:
        take_hello(kernel, process, part(frame, 0));
        break;
    case AK_FRAME_FAILED:
        ak_supervisor_failed(kernel, process, part(frame, 0).data, part(frame, 0).len);
        break;
    case AK_FRAME_PUBLISH:
        publish_frame(kernel, frame);
        break;
    case AK_FRAME_REPLY:
        take_reply(kernel, process, frame);
        break;
    case AK_FRAME_DONE:
        request = ak_request_find(kernel, frame->id);
        if (request)
            end_request(kernel, request);
        break;
    case AK_FRAME_RELEASE:
        release(kernel, part(frame, 0));
        break;
    case AK_FRAME_INPUT:
        ak_input_ask(kernel, frame);
        break;
    case AK_FRAME_CALL:
        ak_call_answer(kernel, frame);
        break;
    case AK_FRAME_FENCE:
        take_fence(kernel, frame->arg);
        break;
    case AK_FRAME_REPLAY:
        ak_replay_asked(kernel, frame->id, part(frame, 0));
        break;
    case AK_FRAME_EXIT:
        take_exit(kernel, frame->id);
        break;
    default:
        ak_warning("the worker sent a frame of unknown type %d", frame->type);
    }
}

/* Takes frames until there is none, or no link any more; false when the limit or a full
 * iopub came first. */
static bool take_frames(struct ak_kernel *kernel, struct ak_process *process,
                        int limit) {
    for (int i = 0; i < limit && process->link; i++) {
        struct ak_frame frame;
        int r = ak_link_receive(process->link, &frame);
        if (r == AK_LINK_E_MALFORMED) {
            ak_warning("the worker sent a malformed frame");
            continue;
        }
        if (r == AK_LINK_E_CLOSED)
            ak_supervisor_lost(kernel, process);
        if (r)
            return true;
        ak_stream_collect(kernel, process, frame.position);
        take(kernel, process, &frame);
        ak_frame_done(&frame);
        if (ak_publish_stalled(kernel))
            return false;
    }
    return !process->link;
}

/* What is in the ring now was written behind every frame that was sent before it, so
 * the frames come first, and the ring only up to where it was before they were looked
 * for. */
void ak_worker_pull(struct ak_kernel *kernel, struct ak_process *process, int limit) {
    if (!process->ring || ak_publish_stalled(kernel))
        return;
    uint64_t head = ak_ring_head(process->ring);
    if (take_frames(kernel, process, limit) && process->ring)
        ak_stream_collect(kernel, process, head);
}

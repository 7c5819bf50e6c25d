/* SPDX-License-Identifier: MIT */
/*
 * The client of a debug adapter, and the server of debug_requests. Sequence numbers of
 * clients start anew in every one of them, so each message to the adapter gets one of
 * ours and its response the client's again.
 *
 * A call is something that was asked and is not answered: it holds the id of the
 * debug_request, never a pointer to it, for a request ends when its kernel says so. All
 * calls are answered exactly once: by a response, or with none when the connection or
 * the worker is gone.
 */
#include "kernel/debug-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "kernel/cellfiles.h"
#include "kernel/kernel-private.h"

AK_LOG_MODULE("debug");

#define CALLS_MAX 4096
#define MESSAGES_A_ROUND 64

/* --- replies -----------------------------------------------------------------------
 */

static void reply(struct ak_kernel *kernel, uint64_t id, const json_t *content) {
    struct ak_request *request = ak_request_find(kernel, id);
    if (!request || request->done)
        return;
    AK_CLEANUP(ak_freep) char *text = json_dumps(content, JSON_COMPACT);
    struct ak_bytes bytes =
        text ? ak_bytes(text, strlen(text)) : ak_bytes("{\"success\": false}", 18);
    ak_request_reply(kernel, request, bytes, ak_bytes("{}", 2), NULL);
    ak_request_done(kernel, request);
}

static json_t *response_to(const json_t *message, bool success) {
    json_t *response = json_pack("{s:s, s:b}", "type", "response", "success", success);
    json_t *seq = json_object_get(message, "seq");         /* borrowed */
    json_t *command = json_object_get(message, "command"); /* borrowed */
    json_object_set_new(response, "seq", json_integer(0));
    json_object_set(response, "request_seq",
                    json_is_integer(seq) ? seq : json_object_get(response, "seq"));
    json_object_set_new(response, "command",
                        json_is_string(command) ? json_incref(command)
                                                : json_string(""));
    return response;
}

void ak_debug_succeed(struct ak_kernel *kernel, uint64_t request, const json_t *message,
                      json_t *body) {
    json_auto_t *response = response_to(message, true);
    json_object_set_new(response, "body", body ? body : json_object());
    reply(kernel, request, response);
}

void ak_debug_fail(struct ak_kernel *kernel, uint64_t request, const json_t *message,
                   const char *why) {
    json_auto_t *response = response_to(message, false);
    json_object_set_new(response, "message", json_string(why));
    json_object_set_new(response, "body", json_object());
    reply(kernel, request, response);
}

void ak_debug_pass(struct ak_kernel *kernel, uint64_t request, const json_t *message,
                   json_t *response) {
    json_auto_t *head = response_to(message, true);
    json_object_set(response, "request_seq", json_object_get(head, "request_seq"));
    json_object_set(response, "command", json_object_get(head, "command"));
    reply(kernel, request, response);
}

void ak_debug_publish(struct ak_kernel *kernel, const json_t *event) {
    AK_CLEANUP(ak_freep) char *text = json_dumps(event, JSON_COMPACT);
    if (!text)
        return;
    /* What was printed before a stop is seen before it. */
    ak_worker_pull(kernel, kernel->debug->process, AK_FRAMES_A_ROUND);
    ak_stream_flush(kernel, 0);
    const struct ak_buf *parent = &kernel->debug->parent;
    struct ak_iopub_message published = {
        .msg_type = "debug_event",
        .parent = ak_bytes(parent->data, parent->len),
        .content = ak_bytes(text, strlen(text)),
    };
    ak_publish(kernel, &published);
}

/* --- calls -------------------------------------------------------------------------
 */

static struct ak_debug_call *add_call(struct ak_debug *debug, struct ak_list *list,
                                      uint64_t request, json_t *message,
                                      ak_debug_answer answer) {
    struct ak_debug_call *call =
        debug->n_calls < CALLS_MAX ? calloc(1, sizeof(*call)) : NULL;
    if (!call)
        return NULL;
    call->seq = ++debug->seq;
    call->request = request;
    call->message = json_incref(message);
    call->answer = answer;
    debug->n_calls++;
    ak_list_append(list, &call->link);
    return call;
}

static void answer(struct ak_kernel *kernel, struct ak_debug_call *call,
                   json_t *response) {
    ak_list_remove(&call->link);
    kernel->debug->n_calls--;
    call->answer(kernel, call, response);
    json_decref(call->message);
    free(call);
}

static void answer_all(struct ak_kernel *kernel, struct ak_list *calls) {
    while (!ak_list_empty(calls))
        answer(kernel, ak_list_entry(calls->next, struct ak_debug_call, link), NULL);
}

void ak_debug_send(struct ak_kernel *kernel, uint64_t request, json_t *message,
                   const char *command, json_t *arguments, ak_debug_answer on_answer) {
    struct ak_debug *debug = kernel->debug;
    json_auto_t *own = arguments ? arguments : json_object();
    struct ak_debug_call *call =
        debug->dap ? add_call(debug, &debug->calls, request, message, on_answer) : NULL;
    if (!call) {
        ak_debug_fail(kernel, request, message,
                      debug->dap ? "too many requests are under way"
                                 : "the debugger is not started: send \"initialize\"");
        return;
    }
    json_auto_t *sent = json_pack("{s:I, s:s, s:s, s:O}", "seq", call->seq, "type",
                                  "request", "command", command, "arguments", own);
    if (!sent || ak_dap_send(debug->dap, sent) != 0)
        ak_debug_disconnect(kernel);
}

void ak_debug_ask_worker(struct ak_kernel *kernel, uint64_t id, json_t *message,
                         const json_t *question, ak_debug_answer on_answer) {
    struct ak_debug *debug = kernel->debug;
    struct ak_request *request = ak_request_find(kernel, id);
    AK_CLEANUP(ak_freep)
    char *text = json_dumps(question, JSON_COMPACT | JSON_ENSURE_ASCII);
    if (!request)
        return;
    struct ak_bytes parts[] = {
        ak_bytes("", 0),
        ak_bytes(request->parent, request->parent_len),
        ak_bytes("{}", 2),
        ak_bytes(text, text ? strlen(text) : 0),
    };
    struct ak_frame frame = {
        .type = AK_FRAME_REQUEST,
        .kind = AK_KIND_DEBUG_REQUEST,
        .id = id,
        .arg = AK_FRAME_CONTROL,
        .fd = -1,
        .n_parts = sizeof(parts) / sizeof(parts[0]),
        .parts = parts,
    };
    /* From now on the worker says when nothing refers to it any more. */
    request->released = false;
    struct ak_debug_call *call =
        text ? add_call(debug, &debug->asked, id, message, on_answer) : NULL;
    if (call && ak_request_forward(kernel, request, debug->world, &frame))
        answer(kernel, call, NULL);
    else if (!call)
        ak_debug_fail(kernel, id, message, "too many requests are under way");
}

void ak_debug_worker_replied(struct ak_kernel *kernel, struct ak_request *request,
                             struct ak_bytes content) {
    ak_request_close(kernel, request);
    if (!kernel->debug)
        return;
    json_auto_t *response = ak_dap_parse(content);
    ak_list_for_each(node, next, &kernel->debug->asked) {
        struct ak_debug_call *call = ak_list_entry(node, struct ak_debug_call, link);
        if (call->request != request->id)
            continue;
        answer(kernel, call, response);
        return;
    }
}

static void look_again(struct ak_kernel *kernel, struct ak_debug_call *call,
                       json_t *ignored) {
    ak_debug_command(kernel, call->request, call->message);
}

void ak_debug_wait(struct ak_kernel *kernel, uint64_t request, json_t *message) {
    struct ak_debug *debug = kernel->debug;
    if (!add_call(debug, &debug->waiting, request, message, look_again))
        ak_debug_fail(kernel, request, message, "too many requests are under way");
}

void ak_debug_resume(struct ak_kernel *kernel) {
    struct ak_debug *debug = kernel->debug;
    while (debug->phase != AK_DEBUG_STARTING && !ak_list_empty(&debug->waiting))
        answer(kernel, ak_list_entry(debug->waiting.next, struct ak_debug_call, link),
               NULL);
}

/* --- the connection ----------------------------------------------------------------
 */

int ak_debug_connect(struct ak_kernel *kernel) {
    struct ak_debug *debug = kernel->debug;
    debug->dap = ak_dap_free(debug->dap);
    return ak_dap_connect(&debug->dap, debug->port) == 0 ? 0 : -1;
}

void ak_debug_disconnect(struct ak_kernel *kernel) {
    struct ak_debug *debug = kernel->debug;
    debug->dap = ak_dap_free(debug->dap);
    debug->phase = AK_DEBUG_OFF;
    debug->attaching = false;
    json_object_clear(debug->breakpoints);
    json_array_clear(debug->stopped);
    json_decref(debug->capabilities);
    debug->capabilities = NULL;
    answer_all(kernel, &debug->calls);
    ak_debug_resume(kernel);
}

static void lost(struct ak_kernel *kernel) {
    json_auto_t *event =
        json_pack("{s:s, s:s, s:i}", "type", "event", "event", "terminated", "seq", 0);
    ak_warning("the debug adapter is gone");
    ak_debug_disconnect(kernel);
    ak_debug_publish(kernel, event);
}

static void take_response(struct ak_kernel *kernel, json_t *response) {
    json_int_t seq = json_integer_value(json_object_get(response, "request_seq"));
    ak_list_for_each(node, next, &kernel->debug->calls) {
        struct ak_debug_call *call = ak_list_entry(node, struct ak_debug_call, link);
        if (call->seq != seq)
            continue;
        answer(kernel, call, response);
        return;
    }
    ak_debug("the adapter answered what nobody asked");
}

static void take(struct ak_kernel *kernel, json_t *message) {
    const char *type = json_string_value(json_object_get(message, "type"));
    if (type && strcmp(type, "response") == 0)
        take_response(kernel, message);
    else if (type && strcmp(type, "event") == 0)
        ak_debug_event(kernel, message);
}

int ak_debug_fd(const struct ak_kernel *kernel) {
    return kernel->debug && kernel->debug->dap ? ak_dap_fd(kernel->debug->dap) : -1;
}

bool ak_debug_wants_out(const struct ak_kernel *kernel) {
    return kernel->debug && kernel->debug->dap && ak_dap_waits(kernel->debug->dap);
}

void ak_debug_serve(struct ak_kernel *kernel) {
    struct ak_debug *debug = kernel->debug;
    if (!debug || !debug->dap)
        return;
    int r = ak_dap_flush(debug->dap);
    for (int i = 0; i < MESSAGES_A_ROUND && r == 0 && debug->dap; i++) {
        json_auto_t *message = NULL;
        r = ak_dap_receive(debug->dap, &message);
        if (r == 0)
            take(kernel, message);
    }
    if (r && r != AK_DAP_E_AGAIN && debug->dap)
        lost(kernel);
}

/* --- requests ----------------------------------------------------------------------
 */

static int open_debugger(struct ak_kernel *kernel, struct ak_process *process) {
    struct ak_debug *debug = calloc(1, sizeof(*debug));
    if (!debug)
        return ak_error_origin(ENOMEM);
    ak_list_init(&debug->calls);
    ak_list_init(&debug->asked);
    ak_list_init(&debug->waiting);
    debug->breakpoints = json_object();
    debug->stopped = json_array();
    debug->process = process;
    kernel->debug = debug;
    return 0;
}

void ak_debug_request(struct ak_kernel *kernel, struct ak_request *request,
                      struct ak_world *world, const struct ak_message *message) {
    request->released = true; /* until the worker has seen it */
    uint64_t id = request->id;
    json_auto_t *content = ak_dap_parse(message->content);
    if (kernel->debug && kernel->debug->process != world->process &&
        kernel->debug->phase == AK_DEBUG_OFF)
        ak_debug_reset(kernel);
    if (!kernel->debug && open_debugger(kernel, world->process) < 0)
        return;
    if (kernel->debug->process != world->process) {
        ak_debug_fail(kernel, id, content,
                      "another session of this kernel is being debugged");
        return;
    }
    kernel->debug->world = world;
    ak_buf_clear(&kernel->debug->parent);
    (void)ak_buf_add(&kernel->debug->parent, request->parent, request->parent_len);
    if (!json_is_string(json_object_get(content, "command"))) {
        ak_debug_fail(kernel, id, content,
                      "the content of a debug_request must be a request of the Debug "
                      "Adapter Protocol: an object with \"seq\", \"command\" and "
                      "\"arguments\"");
        return;
    }
    ak_debug_command(kernel, id, content);
}

static void ignore(struct ak_kernel *kernel, struct ak_debug_call *call,
                   json_t *response) {
}

void ak_debug_let_go(struct ak_kernel *kernel) {
    if (!kernel->debug || !kernel->debug->dap)
        return;
    ak_debug_send(kernel, 0, NULL, "disconnect",
                  json_pack("{s:b, s:b}", "restart", false, "terminateDebuggee", false),
                  ignore);
}

/* An interrupt waits in Python for the thread to go on from its breakpoint: let it. */
static void ran_on(struct ak_kernel *kernel, struct ak_debug_call *call,
                   json_t *response) {
    json_auto_t *event =
        json_pack("{s:s, s:s, s:i, s:{s:O, s:b}}", "type", "event", "event",
                  "continued", "seq", 0, "body", "threadId",
                  json_object_get(call->message, "threadId"), "allThreadsContinued", 1);
    if (json_array_size(kernel->debug->stopped))
        ak_debug_event(kernel, event);
}

void ak_debug_interrupted(struct ak_kernel *kernel) {
    struct ak_debug *debug = kernel->debug;
    json_t *thread = debug ? json_array_get(debug->stopped, 0) : NULL; /* borrowed */
    if (!thread || !debug->dap)
        return;
    json_auto_t *arguments = json_pack("{s:O}", "threadId", thread);
    ak_debug_send(kernel, 0, arguments, "continue", json_incref(arguments), ran_on);
}

void ak_debug_reset(struct ak_kernel *kernel) {
    struct ak_debug *debug = kernel->debug;
    if (!debug)
        return;
    ak_debug_disconnect(kernel);
    answer_all(kernel, &debug->asked);
    answer_all(kernel, &debug->calls);
    ak_cellfiles_remove(debug->process->pid);
    json_decref(debug->breakpoints);
    json_decref(debug->stopped);
    ak_buf_done(&debug->parent);
    free(debug);
    kernel->debug = NULL;
}

void ak_debug_forget(struct ak_kernel *kernel, const struct ak_process *process) {
    if (kernel->debug && kernel->debug->process == process)
        ak_debug_reset(kernel);
}

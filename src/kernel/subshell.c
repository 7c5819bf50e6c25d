/* SPDX-License-Identifier: MIT */
/*
 * A subshell is created by a frame on the worker's main link that carries the other end
 * of its own, and ends by SHUTDOWN on its own link, behind everything that it was asked
 * before; when its thread has ended the worker sends the request's id back as a fence.
 * Ids are made here, so that a client has its answer also while Python is busy.
 */
#include "kernel/subshell.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernel/kernel-private.h"

#define SUBSHELLS_MAX 64
#define ID_SIZE 80

struct subshell {
    struct ak_list node; /* ak_kernel.subshells */
    uint64_t number;
    char id[ID_SIZE];
    struct ak_process *process; /* borrowed */
    struct ak_link *link;
    bool ending; /* known to nobody but the request that ends it */
};

static struct subshell *find_number(struct ak_kernel *kernel, uint64_t number) {
    ak_list_for_each(node, next, &kernel->subshells) {
        struct subshell *subshell = ak_list_entry(node, struct subshell, node);
        if (subshell->number == number)
            return subshell;
    }
    return NULL;
}

static struct subshell *find_id(struct ak_kernel *kernel, const char *id) {
    ak_list_for_each(node, next, &kernel->subshells) {
        struct subshell *subshell = ak_list_entry(node, struct subshell, node);
        if (!subshell->ending && strcmp(subshell->id, id) == 0)
            return subshell;
    }
    return NULL;
}

static void free_subshell(struct subshell *subshell) {
    ak_list_remove(&subshell->node);
    ak_link_free(subshell->link);
    free(subshell);
}

static int open_link(struct subshell *subshell) {
    AK_CLEANUP(ak_closep) int ours = -1;
    AK_CLEANUP(ak_closep) int theirs = -1;
    int r = ak_link_pair(&ours, &theirs);
    if (!r)
        r = ak_link_new(&subshell->link, ours);
    if (r)
        return ak_error_fold(r);
    (void)ak_take_fd(&ours);
    struct ak_frame frame = {.type = AK_FRAME_SUBSHELL, .fd = theirs};
    return ak_error_fold(ak_worker_forward(subshell->process, &frame));
}

static int create(struct ak_kernel *kernel, struct ak_process *process,
                  struct subshell **ret_subshell) {
    size_t n = 0;
    ak_list_for_each(node, next, &kernel->subshells) {
        n++;
    }
    struct subshell *subshell = n < SUBSHELLS_MAX ? calloc(1, sizeof(*subshell)) : NULL;
    if (!subshell)
        return -ENOMEM;
    subshell->number = ++kernel->n_subshells;
    subshell->process = process;
    (void)snprintf(subshell->id, sizeof(subshell->id), "%s-%llu",
                   ak_author_session(kernel->author),
                   (unsigned long long)subshell->number);
    ak_list_append(&kernel->subshells, &subshell->node);
    int r = open_link(subshell);
    if (r) {
        free_subshell(subshell);
        return r;
    }
    *ret_subshell = subshell;
    return 0;
}

/* --- answers -----------------------------------------------------------------------
 */

static void reply(struct ak_kernel *kernel, struct ak_request *request,
                  json_t *content) {
    AK_CLEANUP(ak_freep) char *text = json_dumps(content, JSON_COMPACT);
    json_decref(content);
    if (text)
        ak_request_reply(kernel, request, ak_bytes(text, strlen(text)),
                         ak_bytes("{}", 2), NULL);
    request->released = true;
    ak_request_done(kernel, request);
}

static void refuse(struct ak_kernel *kernel, struct ak_request *request,
                   const char *ename, const char *why) {
    reply(kernel, request,
          json_pack("{s:s, s:s, s:s, s:[s], s:i}", "status", "error", "ename", ename,
                    "evalue", why, "traceback", why, "execution_count", 0));
}

/* In the words that clients know. */
static void refuse_unknown(struct ak_kernel *kernel, struct ak_request *request,
                           const json_t *id) {
    AK_BUF_AUTO why = {0};
    AK_CLEANUP(ak_freep) char *text = id ? json_dumps(id, JSON_ENCODE_ANY) : NULL;
    const char *string = json_string_value(id);
    (void)ak_buf_addf(&why,
                      string ? "Unknown subshell_id '%s'" : "Unknown subshell_id %s",
                      string ? string
                      : text ? text
                             : "None");
    refuse(kernel, request, "UnknownSubshellError", ak_buf_str(&why));
}

static void answer_create(struct ak_kernel *kernel, struct ak_request *request,
                          struct ak_process *process) {
    struct subshell *subshell = NULL;
    if (create(kernel, process, &subshell)) {
        refuse(kernel, request, "SubshellError",
               "no more subshells can be made: a kernel has at most 64 of them");
        return;
    }
    reply(kernel, request,
          json_pack("{s:s, s:s}", "status", "ok", "subshell_id", subshell->id));
}

static void answer_list(struct ak_kernel *kernel, struct ak_request *request) {
    json_t *ids = json_array();
    ak_list_for_each(node, next, &kernel->subshells) {
        struct subshell *subshell = ak_list_entry(node, struct subshell, node);
        if (!subshell->ending)
            json_array_append_new(ids, json_string(subshell->id));
    }
    reply(kernel, request, json_pack("{s:s, s:o}", "status", "ok", "subshell_id", ids));
}

static void answer_delete(struct ak_kernel *kernel, struct ak_request *request,
                          struct ak_world *world, const struct ak_message *message) {
    json_auto_t *content =
        json_loadb(message->content.data, message->content.len, 0, NULL);
    const char *id = json_string_value(json_object_get(content, "subshell_id"));
    struct subshell *subshell = id ? find_id(kernel, id) : NULL;
    if (!subshell) {
        refuse_unknown(kernel, request, json_object_get(content, "subshell_id"));
        return;
    }
    subshell->ending = true;
    request->subshell = subshell->number;
    struct ak_frame frame = {.type = AK_FRAME_SHUTDOWN, .arg = request->id, .fd = -1};
    if (ak_request_forward(kernel, request, world, &frame))
        refuse(kernel, request, "SubshellError", "the subshell cannot be reached");
}

bool ak_subshell_answer(struct ak_kernel *kernel, struct ak_request *request,
                        struct ak_world *world, const struct ak_message *message) {
    if (kernel->sessions && strcmp(message->msg_type, "create_subshell_request") == 0)
        refuse(kernel, request, "SubshellError",
               "a kernel of many sessions has no subshells: cells of different "
               "sessions run side by side already");
    else if (strcmp(message->msg_type, "create_subshell_request") == 0)
        answer_create(kernel, request, world->process);
    else if (strcmp(message->msg_type, "list_subshell_request") == 0)
        answer_list(kernel, request);
    else if (strcmp(message->msg_type, "delete_subshell_request") == 0)
        answer_delete(kernel, request, world, message);
    else
        return false;
    return true;
}

bool ak_subshell_ended(struct ak_kernel *kernel, struct ak_request *request) {
    struct subshell *subshell = find_number(kernel, request->subshell);
    if (!subshell || !subshell->ending || request->kind != AK_KIND_UNKNOWN)
        return false;
    free_subshell(subshell);
    ak_request_close(kernel, request);
    reply(kernel, request, json_pack("{s:s}", "status", "ok"));
    return true;
}

/* --- routing -----------------------------------------------------------------------
 */

bool ak_subshell_route(struct ak_kernel *kernel, struct ak_request *request,
                       const struct ak_message *message) {
    json_t *id = json_object_get(message->fields, "subshell_id"); /* borrowed */
    if (!id || json_is_null(id) || request->channel != AK_CHANNEL_SHELL)
        return true;
    const char *text = json_string_value(id);
    struct subshell *subshell = text ? find_id(kernel, text) : NULL;
    if (!subshell) {
        refuse_unknown(kernel, request, id);
        return false;
    }
    request->subshell = subshell->number;
    return true;
}

int ak_subshell_forward(struct ak_kernel *kernel, const struct ak_request *request,
                        struct ak_process *process, const struct ak_frame *frame) {
    if (!request->subshell)
        return ak_worker_forward(process, frame);
    struct subshell *subshell = find_number(kernel, request->subshell);
    return subshell ? ak_link_enqueue(subshell->link, frame) : AK_LINK_E_CLOSED;
}

bool ak_subshell_flush(struct ak_kernel *kernel) {
    bool waits = false;
    ak_list_for_each(node, next, &kernel->subshells) {
        struct subshell *subshell = ak_list_entry(node, struct subshell, node);
        if (ak_link_queued(subshell->link))
            waits = ak_link_flush(subshell->link) == AK_LINK_E_AGAIN || waits;
    }
    return waits;
}

void ak_subshell_forget(struct ak_kernel *kernel, const struct ak_process *process) {
    ak_list_for_each(node, next, &kernel->subshells) {
        struct subshell *subshell = ak_list_entry(node, struct subshell, node);
        if (!process || subshell->process == process)
            free_subshell(subshell);
    }
}

/* SPDX-License-Identifier: MIT */
/*
 * Questions to a client (messaging spec, "Messages on the stdin ROUTER/DEALER
 * channel"). Each goes to the client whose request asks it, and keeps the pipe that
 * takes the answer. An input_reply answers the question that its parent names; front
 * ends that send no parent answer their oldest question. Closing a pipe without a line
 * means that nobody answers.
 */
#include "kernel/kernel-private.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <string.h>

#define WRITE_TRIES 20
#define PIPE_BYTES (1 << 20) /* an answer of this size needs no reader to be taken */

static void free_question(struct ak_question *question) {
    ak_list_remove(&question->link);
    ak_close_clear(&question->fd);
    free(question->msg_id);
    free(question);
}

void ak_input_drop(struct ak_kernel *kernel, uint64_t request) {
    ak_list_for_each(node, next, &kernel->questions) {
        struct ak_question *question = ak_list_entry(node, struct ak_question, link);
        if (request == 0 || question->request == request)
            free_question(question);
    }
}

void ak_input_drop_connection(struct ak_kernel *kernel, int connection) {
    ak_list_for_each(node, next, &kernel->questions) {
        struct ak_question *question = ak_list_entry(node, struct ak_question, link);
        struct ak_request *request = ak_request_find(kernel, question->request);
        if (request && request->connection == connection)
            free_question(question);
    }
}

void ak_input_drop_process(struct ak_kernel *kernel, const struct ak_process *process) {
    ak_list_for_each(node, next, &kernel->questions) {
        struct ak_question *question = ak_list_entry(node, struct ak_question, link);
        struct ak_request *request = ak_request_find(kernel, question->request);
        if (!request || request->process == process)
            free_question(question);
    }
}

static int ask(struct ak_kernel *kernel, struct ak_question *question,
               struct ak_bytes content) {
    struct ak_request *request = ak_request_find(kernel, question->request);
    AK_BUF_AUTO header = {0};
    const char *msg_id;
    if (!request || ak_author_header(kernel->author, "input_request", &header, &msg_id))
        return -1;
    question->msg_id = strdup(msg_id);
    struct ak_sending sending = {
        .identities = request->identities,
        .n_identities = request->n_identities,
        .header = ak_bytes(header.data, header.len),
        .parent = ak_bytes(request->parent, request->parent_len),
        .content = content,
    };
    ak_stream_flush(kernel, request->id);
    return question->msg_id ? ak_channels_send(kernel->channels, AK_CHANNEL_STDIN,
                                               kernel->signer, &sending)
                            : -1;
}

void ak_input_ask(struct ak_kernel *kernel, struct ak_frame *frame) {
    struct ak_question *question = calloc(1, sizeof(*question));
    if (!question || frame->fd < 0 || frame->n_parts < 1) {
        free(question);
        return; /* the frame closes its pipe, and whoever asked reads its end */
    }
    ak_list_init(&question->link);
    question->request = frame->id;
    question->fd = ak_take_fd(&frame->fd);
    (void)fcntl(question->fd, F_SETFL, O_NONBLOCK);
    (void)fcntl(question->fd, F_SETPIPE_SZ, PIPE_BYTES);
    ak_list_append(&kernel->questions, &question->link);
    if (ask(kernel, question, frame->parts[0]))
        free_question(question);
}

static bool same_client(const struct ak_request *request,
                        const struct ak_message *message) {
    if (!request || request->n_identities != message->n_identities)
        return false;
    for (size_t i = 0; i < request->n_identities; i++) {
        if (request->identities[i].len != message->identities[i].len ||
            memcmp(request->identities[i].data, message->identities[i].data,
                   request->identities[i].len) != 0)
            return false;
    }
    return true;
}

static struct ak_question *find(struct ak_kernel *kernel,
                                const struct ak_message *message) {
    json_auto_t *parent =
        json_loadb(message->parent.data, message->parent.len, 0, NULL);
    const char *msg_id = json_string_value(json_object_get(parent, "msg_id"));
    ak_list_for_each(node, next, &kernel->questions) {
        struct ak_question *question = ak_list_entry(node, struct ak_question, link);
        if (msg_id ? strcmp(msg_id, question->msg_id) == 0
                   : same_client(ak_request_find(kernel, question->request), message))
            return question;
    }
    return NULL;
}

/* The reader of the pipe reads to its end, so a full pipe drains at once. */
void ak_input_write(int fd, const char *text, size_t len) {
    for (int tries = 0; len && tries < WRITE_TRIES;) {
        ssize_t n = write(fd, text, len);
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd pfd = {.fd = fd, .events = POLLOUT};
            poll(&pfd, 1, 10);
            tries++;
        } else if (errno != EINTR) {
            return;
        }
    }
}

static void answer(struct ak_kernel *kernel, const struct ak_message *message) {
    if (strcmp(message->msg_type, "input_reply") != 0)
        return;
    struct ak_question *question = find(kernel, message);
    json_auto_t *content =
        json_loadb(message->content.data, message->content.len, JSON_ALLOW_NUL, NULL);
    json_t *value = json_object_get(content, "value"); /* borrowed */
    if (!question)
        return; /* it was interrupted, or answered before */
    if (json_is_string(value)) {
        ak_input_write(question->fd, json_string_value(value),
                       json_string_length(value));
        ak_input_write(question->fd, "\n", 1);
    }
    free_question(question);
}

void ak_input_answer(struct ak_kernel *kernel) {
    for (;;) {
        struct ak_received received = {0};
        struct ak_message message;
        int r = ak_channels_receive(kernel->channels, AK_CHANNEL_STDIN, &received);
        int outcome = r == AK_CHANNEL_E_TOO_BIG ? AK_MESSAGE_E_TOO_BIG : 0;
        if (r == 0)
            outcome = ak_message_parse(&message, received.frames, received.n_frames,
                                       kernel->signer);
        if (r == 0 && outcome == 0) {
            answer(kernel, &message);
            ak_message_done(&message);
        }
        ak_dispatch_reject(kernel, outcome, AK_CHANNEL_STDIN);
        ak_received_done(&received);
        if (r && r != AK_CHANNEL_E_TOO_BIG)
            return;
    }
}

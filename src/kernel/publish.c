/* SPDX-License-Identifier: MIT */
/*
 * Everything that goes out on iopub. libzmq keeps a bounded queue a subscriber and,
 * with XPUB_NODROP, says EAGAIN when one is full, without saying whose. Then messages
 * wait here in order, and the loop stops collecting output from the worker, whose
 * prints wait in turn. A subscriber that does not read for STALL_SECONDS in total must
 * not stop the kernel: what waits is dropped, and one stream message says how much.
 */
#include "kernel/kernel-private.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

AK_LOG_MODULE("publish");

#define STALL_SECONDS 2
#define LAST_POLL_MS 20

static void free_backlog(struct ak_backlog *entry) {
    ak_buf_done(&entry->topic);
    ak_buf_done(&entry->header);
    ak_buf_done(&entry->parent);
    ak_buf_done(&entry->metadata);
    ak_buf_done(&entry->content);
    for (size_t i = 0; i < entry->n_buffers; i++)
        ak_buf_done(&entry->buffers[i]);
    free(entry->buffers);
    free(entry);
}

static int copy(struct ak_buf *buf, struct ak_bytes bytes) {
    return ak_buf_add(buf, bytes.data, bytes.len);
}

/* Keeps a message that could not be sent. */
static bool keep(struct ak_kernel *kernel, const struct ak_sending *sending) {
    struct ak_backlog *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return false;
    entry->buffers = calloc(sending->n_buffers + 1, sizeof(*entry->buffers));
    bool ok = entry->buffers && copy(&entry->topic, sending->identities[0]) == 0 &&
              copy(&entry->header, sending->header) == 0 &&
              copy(&entry->parent, sending->parent) == 0 &&
              copy(&entry->metadata, sending->metadata) == 0 &&
              copy(&entry->content, sending->content) == 0;
    for (size_t i = 0; ok && i < sending->n_buffers; i++) {
        ok = copy(&entry->buffers[i], sending->buffers[i]) == 0;
        entry->n_buffers++;
    }
    if (!ok) {
        free_backlog(entry);
        return false;
    }
    ak_list_append(&kernel->backlog, &entry->link);
    return true;
}

static void drop(struct ak_kernel *kernel, size_t n_bytes) {
    kernel->dropped_messages++;
    kernel->dropped_bytes += n_bytes;
}

static void tell_dropped(struct ak_kernel *kernel);

static void send_or_keep(struct ak_kernel *kernel, const struct ak_sending *sending) {
    int r = AK_CHANNEL_E_AGAIN;
    if (ak_list_empty(&kernel->backlog))
        r = ak_channels_send(kernel->channels, AK_CHANNEL_IOPUB, kernel->signer,
                             sending);
    if (r == 0) {
        if (kernel->letting_go) {
            kernel->letting_go = false;
            kernel->stalled_since = AK_NEVER;
            tell_dropped(kernel);
        }
        return;
    }
    if (r != AK_CHANNEL_E_AGAIN || kernel->letting_go || !keep(kernel, sending)) {
        drop(kernel, sending->content.len);
        return;
    }
    if (kernel->stalled_since == AK_NEVER)
        kernel->stalled_since = ak_clock_now();
}

void ak_publish(struct ak_kernel *kernel, const struct ak_iopub_message *message) {
    AK_BUF_AUTO header = {0};
    AK_BUF_AUTO topic = {0};
    if (ak_author_header(kernel->author, message->msg_type, &header, NULL) ||
        ak_buf_addf(&topic, "kernel.%s.%s", ak_author_session(kernel->author),
                    message->msg_type)) {
        drop(kernel, message->content.len);
        return;
    }
    struct ak_bytes identity = ak_bytes(topic.data, topic.len);
    struct ak_sending sending = {
        .identities = &identity,
        .n_identities = 1,
        .header = ak_bytes(header.data, header.len),
        .parent = message->parent,
        .metadata = message->metadata,
        .content = message->content,
        .buffers = message->buffers,
        .n_buffers = message->n_buffers,
        .shared = message->shared,
    };
    send_or_keep(kernel, &sending);
}

void ak_publish_status(struct ak_kernel *kernel, const char *state,
                       struct ak_bytes parent) {
    AK_BUF_AUTO content = {0};
    if (ak_buf_addf(&content, "{\"execution_state\": \"%s\"}", state))
        return;
    struct ak_iopub_message message = {
        .msg_type = "status",
        .parent = parent,
        .content = ak_bytes(content.data, content.len),
    };
    ak_publish(kernel, &message);
}

static bool is_text(const char *text, size_t len) {
    AK_BUF_AUTO json = {0};
    /* A topic that is not UTF-8 would come out with U+FFFD in it. */
    return ak_buf_add_json_string(&json, text, len) == 0 &&
           (!json.data || !strstr(json.data, "\xEF\xBF\xBD"));
}

/* JEP 65: each subscription is answered with iopub_welcome, sent under its own topic.
 */
void ak_publish_welcome(struct ak_kernel *kernel) {
    while (ak_channels_receive(kernel->channels, AK_CHANNEL_IOPUB, &kernel->received) ==
           0) {
        if (kernel->received.n_frames == 0 || kernel->received.frames[0].len == 0)
            continue;
        const char *event = kernel->received.frames[0].data;
        struct ak_bytes topic = ak_bytes(event + 1, kernel->received.frames[0].len - 1);
        AK_BUF_AUTO header = {0};
        AK_BUF_AUTO content = {0};
        if (event[0] != 1 || !is_text(topic.data, topic.len) ||
            ak_author_header(kernel->author, "iopub_welcome", &header, NULL) ||
            ak_buf_add_str(&content, "{\"subscription\": ") ||
            ak_buf_add_json_string(&content, topic.data, topic.len) ||
            ak_buf_add_char(&content, '}'))
            continue;
        struct ak_sending sending = {
            .identities = &topic,
            .n_identities = 1,
            .header = ak_bytes(header.data, header.len),
            .content = ak_bytes(content.data, content.len),
        };
        send_or_keep(kernel, &sending);
    }
}

bool ak_publish_stalled(const struct ak_kernel *kernel) {
    return kernel->stalled_since != AK_NEVER && !kernel->letting_go &&
           !kernel->last_words;
}

/* Tells in one message what was dropped. */
static void tell_dropped(struct ak_kernel *kernel) {
    if (!kernel->dropped_messages)
        return;
    AK_BUF_AUTO text = {0};
    AK_BUF_AUTO content = {0};
    if (ak_buf_addf(&text,
                    "akernel: a client did not read its messages; %zu messages (%llu "
                    "bytes) of output were dropped\n",
                    kernel->dropped_messages,
                    (unsigned long long)kernel->dropped_bytes) ||
        ak_buf_add_str(&content, "{\"name\": \"stderr\", \"text\": ") ||
        ak_buf_add_json_string(&content, text.data, text.len) ||
        ak_buf_add_char(&content, '}'))
        return;
    kernel->dropped_messages = 0;
    kernel->dropped_bytes = 0;
    struct ak_iopub_message message = {.msg_type = "stream",
                                       .content = ak_bytes(content.data, content.len)};
    ak_publish(kernel, &message);
}

static int send_entry(struct ak_kernel *kernel, struct ak_backlog *entry) {
    struct ak_bytes topic = ak_bytes(entry->topic.data, entry->topic.len);
    struct ak_bytes *buffers = calloc(entry->n_buffers + 1, sizeof(*buffers));
    if (!buffers)
        return AK_CHANNEL_E_AGAIN;
    for (size_t i = 0; i < entry->n_buffers; i++)
        buffers[i] = ak_bytes(entry->buffers[i].data, entry->buffers[i].len);
    struct ak_sending sending = {
        .identities = &topic,
        .n_identities = 1,
        .header = ak_bytes(entry->header.data, entry->header.len),
        .parent = ak_bytes(entry->parent.data, entry->parent.len),
        .metadata = ak_bytes(entry->metadata.data, entry->metadata.len),
        .content = ak_bytes(entry->content.data, entry->content.len),
        .buffers = buffers,
        .n_buffers = entry->n_buffers,
    };
    int r =
        ak_channels_send(kernel->channels, AK_CHANNEL_IOPUB, kernel->signer, &sending);
    free(buffers);
    return r;
}

static void drop_backlog(struct ak_kernel *kernel) {
    ak_list_for_each(node, next, &kernel->backlog) {
        struct ak_backlog *entry = ak_list_entry(node, struct ak_backlog, link);
        drop(kernel, entry->content.len);
        ak_list_remove(&entry->link);
        free_backlog(entry);
    }
}

void ak_publish_backlog(struct ak_kernel *kernel) {
    if (kernel->stalled_since == AK_NEVER)
        return;
    ak_list_for_each(node, next, &kernel->backlog) {
        struct ak_backlog *entry = ak_list_entry(node, struct ak_backlog, link);
        if (send_entry(kernel, entry) == AK_CHANNEL_E_AGAIN)
            break;
        ak_list_remove(&entry->link);
        free_backlog(entry);
    }
    if (kernel->letting_go)
        return; /* the first message that goes through ends it */
    if (ak_list_empty(&kernel->backlog)) {
        kernel->stalled_since = AK_NEVER;
        return;
    }
    if (ak_clock_now() - kernel->stalled_since > STALL_SECONDS * AK_NS_PER_S) {
        ak_warning("a client does not read iopub: output is dropped");
        kernel->letting_go = true;
        drop_backlog(kernel);
    }
}

void ak_publish_last(struct ak_kernel *kernel) {
    while (!ak_list_empty(&kernel->backlog) && !kernel->letting_go) {
        poll(NULL, 0, LAST_POLL_MS);
        ak_publish_backlog(kernel);
    }
}

void ak_publish_done(struct ak_kernel *kernel) {
    drop_backlog(kernel);
}

/* SPDX-License-Identifier: MIT */
#include "wire/message.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "base/clock.h"
#include "base/error.h"
#include "wire/limits.h"

static const char delimiter[] = "<IDS|MSG>";

#define DELIMITER_LEN (sizeof(delimiter) - 1)
#define PARTS 5 /* signature, header, parent header, metadata, content */

const char *ak_message_outcome(int outcome) {
    static const char *const texts[AK_MESSAGE_E_N] = {
        [AK_MESSAGE_E_NO_DELIMITER] = "no <IDS|MSG> delimiter among its frames",
        [AK_MESSAGE_E_TOO_FEW] = "fewer frames than a message has",
        [AK_MESSAGE_E_TOO_BIG] =
            "over the limits of this kernel (4096 frames, 64 KiB of a "
            "header, 16 MiB of metadata, 256 MiB of content, "
            "1 GiB in all)",
        [AK_MESSAGE_E_SIGNATURE] = "not signed with the key of this kernel",
        [AK_MESSAGE_E_REPLAYED] = "seen before: the same signature came twice",
        [AK_MESSAGE_E_HEADER] = "its header is not one",
    };
    return outcome > 0 && outcome < AK_MESSAGE_E_N ? texts[outcome] : "unknown";
}

static const char *text_field(json_t *fields, const char *name, const char *otherwise) {
    const char *text = json_string_value(json_object_get(fields, name));
    return text && strlen(text) <= AK_WIRE_ID_MAX ? text : otherwise;
}

static int parse_header(struct ak_message *message) {
    message->fields = json_loadb(message->header.data, message->header.len, 0, NULL);
    message->msg_id = text_field(message->fields, "msg_id", NULL);
    message->msg_type = text_field(message->fields, "msg_type", NULL);
    message->session = text_field(message->fields, "session", NULL);
    message->username = text_field(message->fields, "username", "");
    message->bad_session =
        !message->session && json_object_get(message->fields, "session");
    if (message->bad_session)
        message->session = "";
    return message->msg_id && message->msg_type && message->session
               ? 0
               : AK_MESSAGE_E_HEADER;
}

static int find_delimiter(const struct ak_bytes *frames, size_t n_frames,
                          size_t *ret_index) {
    for (size_t i = 0; i < n_frames && i <= AK_WIRE_IDENTITIES_MAX; i++) {
        if (frames[i].len == DELIMITER_LEN &&
            memcmp(frames[i].data, delimiter, DELIMITER_LEN) == 0) {
            *ret_index = i;
            return 0;
        }
    }
    return AK_MESSAGE_E_NO_DELIMITER;
}

int ak_message_parse(struct ak_message *ret_message, const struct ak_bytes *frames,
                     size_t n_frames, struct ak_signer *signer) {
    size_t at;
    if (n_frames > AK_WIRE_FRAMES_MAX)
        return AK_MESSAGE_E_TOO_BIG;
    size_t n_bytes = 0;
    for (size_t i = 0; i < n_frames; i++) {
        if (frames[i].len > AK_WIRE_MESSAGE_MAX - n_bytes)
            return AK_MESSAGE_E_TOO_BIG;
        n_bytes += frames[i].len;
    }
    int r = find_delimiter(frames, n_frames, &at);
    if (r)
        return r;
    if (n_frames - at - 1 < PARTS)
        return AK_MESSAGE_E_TOO_FEW;
    const struct ak_bytes *parts = frames + at + 1;
    struct ak_message message = {
        .identities = frames,
        .n_identities = at,
        .header = parts[1],
        .parent = parts[2],
        .metadata = parts[3],
        .content = parts[4],
        .buffers = parts + PARTS,
        .n_buffers = n_frames - at - 1 - PARTS,
    };
    if (message.header.len > AK_WIRE_HEADER_MAX ||
        message.parent.len > AK_WIRE_HEADER_MAX ||
        message.metadata.len > AK_WIRE_METADATA_MAX ||
        message.content.len > AK_WIRE_CONTENT_MAX)
        return AK_MESSAGE_E_TOO_BIG;
    r = ak_signer_check(signer, parts + 1, parts[0]);
    if (r)
        return r == AK_SIGN_E_REPLAYED ? AK_MESSAGE_E_REPLAYED
               : r == AK_SIGN_E_BAD    ? AK_MESSAGE_E_SIGNATURE
                                       : ak_error_trace(r);
    r = parse_header(&message);
    if (r) {
        ak_message_done(&message);
        return r;
    }
    *ret_message = message;
    return 0;
}

void ak_message_done(struct ak_message *message) {
    json_decref(message->fields);
    *message = (struct ak_message){0};
}

/* --- headers -----------------------------------------------------------------------
 */

struct ak_author {
    char session[UUID_STR_LEN];
    char msg_id[UUID_STR_LEN + 32];
    char username[64];
    uint64_t n_messages;
};

int ak_author_new(struct ak_author **ret_author) {
    struct ak_author *author = calloc(1, sizeof(*author));
    if (!author)
        return ak_error_origin(ENOMEM);
    uuid_t id;
    uuid_generate_random(id);
    uuid_unparse_lower(id, author->session);
    strcpy(author->username, "akernel");
    *ret_author = author;
    return 0;
}

struct ak_author *ak_author_free(struct ak_author *author) {
    free(author);
    return NULL;
}

const char *ak_author_session(const struct ak_author *author) {
    return author->session;
}

int ak_author_header_of(struct ak_author *author, const char *msg_type, uint64_t wall,
                        struct ak_buf *buf) {
    char stamp[AK_CLOCK_STAMP_SIZE];
    ak_clock_stamp_wall(wall ? wall : ak_clock_wall(), stamp);
    snprintf(author->msg_id, sizeof(author->msg_id), "%s_%d_%llu", author->session,
             (int)getpid(), (unsigned long long)++author->n_messages);
    /* The type of a reply is made from what a client sent, so it is escaped. */
    int r = ak_buf_addf(buf, "{\"msg_id\": \"%s\", \"msg_type\": ", author->msg_id);
    if (!r)
        r = ak_buf_add_json_string(buf, msg_type, strlen(msg_type));
    if (!r)
        r = ak_buf_addf(
            buf,
            ", \"username\": \"%s\", \"session\": \"%s\", \"date\": \"%s\", "
            "\"version\": \"5.5\"}",
            author->username, author->session, stamp);
    return r;
}

int ak_author_header(struct ak_author *author, const char *msg_type, struct ak_buf *buf,
                     const char **ret_msg_id) {
    int r = ak_author_header_of(author, msg_type, 0, buf);
    if (!r && ret_msg_id)
        *ret_msg_id = author->msg_id;
    return r;
}

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The Jupyter message format (messaging spec, "General Message Format" and "The Wire
 * Protocol"): frames in, a checked view out; parts in, header and signature out. The
 * header is parsed; parent header, metadata and content are bytes here and stay bytes,
 * because Python accepts JSON that no other parser does. Kernel process, its one
 * thread.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "wire/sign.h"

/* A received message: a view over frames that the caller keeps. */
struct ak_message {
    const struct ak_bytes *identities;
    size_t n_identities;
    struct ak_bytes header;
    struct ak_bytes parent;
    struct ak_bytes metadata;
    struct ak_bytes content;
    const struct ak_bytes *buffers;
    size_t n_buffers;
    json_t *fields;     /* owned: the parsed header */
    const char *msg_id; /* borrowed from fields, as all of these */
    const char *msg_type;
    const char *session;  /* "" with bad_session */
    const char *username; /* "" when absent */
    bool bad_session;     /* it is there, but no text, or too long */
};

enum {
    AK_MESSAGE_E_NO_DELIMITER = 1,
    AK_MESSAGE_E_TOO_FEW,   /* fewer frames than the format has */
    AK_MESSAGE_E_TOO_BIG,   /* over wire/limits.h */
    AK_MESSAGE_E_SIGNATURE, /* missing or wrong */
    AK_MESSAGE_E_REPLAYED,
    AK_MESSAGE_E_HEADER, /* no JSON object, or without what every header has */
    AK_MESSAGE_E_N,
};

/* What an outcome means, for the log. */
const char *ak_message_outcome(int outcome);

/* Checks frames and makes the view. 0, an outcome or fatal; *ret_message is to be done
 * after 0 only. */
int ak_message_parse(struct ak_message *ret_message, const struct ak_bytes *frames,
                     size_t n_frames, struct ak_signer *signer);
void ak_message_done(struct ak_message *message);

/* Writes headers: one session for the life of the process, a new msg_id for every
 * message.
 */
struct ak_author;

int ak_author_new(struct ak_author **ret_author);
struct ak_author *ak_author_free(struct ak_author *author);
AK_DEFINE_CLEANUP(struct ak_author *, ak_author_free)
const char *ak_author_session(const struct ak_author *author);
/* Appends a header; *ret_msg_id, if wanted, is author's until the next call. */
int ak_author_header(struct ak_author *author, const char *msg_type, struct ak_buf *buf,
                     const char **ret_msg_id);
/* The same for a message that was made at another moment (ak_clock_wall; 0: now). */
int ak_author_header_of(struct ak_author *author, const char *msg_type, uint64_t wall,
                        struct ak_buf *buf);

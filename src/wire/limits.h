/* SPDX-License-Identifier: MIT */
#pragma once

/* Every bound that a peer can meet on the wire. A message over one of them is dropped
 * and counted; nothing that a client sends can make the kernel allocate without end. */

#define AK_WIRE_FRAMES_MAX 4096u         /* frames of one message */
#define AK_WIRE_IDENTITIES_MAX 16u       /* routing frames before the delimiter */
#define AK_WIRE_HEADER_MAX (64u << 10)   /* bytes of a header or a parent header */
#define AK_WIRE_METADATA_MAX (16u << 20) /* bytes of metadata */
#define AK_WIRE_CONTENT_MAX (256u << 20) /* bytes of content */
#define AK_WIRE_MESSAGE_MAX (1ull << 30) /* bytes of all frames of one message */
#define AK_WIRE_ID_MAX 1024u             /* characters of msg_id, session, msg_type */
#define AK_WIRE_DIGESTS 65536u           /* signatures remembered against replay */
#define AK_WIRE_CONNECTION_FILE_MAX (1u << 20)
#define AK_WIRE_SESSIONS_MAX 20000u    /* worlds of one kernel */
#define AK_WIRE_REQUESTS_MAX 100000u   /* requests whose parents are kept */
#define AK_WIRE_QUEUE_MAX (256u << 20) /* bytes that wait for a worker */

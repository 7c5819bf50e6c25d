/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The message types of the Jupyter messaging spec that cross the seam, as small
 * numbers. One table serves both processes: the kernel process turns a msg_type into a
 * kind on the way in and a kind into a msg_type on the way out. Either process, any
 * thread.
 */

enum ak_kind {
    AK_KIND_UNKNOWN = 0,
    /* requests: kernel process -> worker */
    AK_KIND_EXECUTE_REQUEST,
    AK_KIND_COMPLETE_REQUEST,
    AK_KIND_INSPECT_REQUEST,
    AK_KIND_IS_COMPLETE_REQUEST,
    AK_KIND_HISTORY_REQUEST,
    AK_KIND_COMM_INFO_REQUEST,
    AK_KIND_DEBUG_REQUEST,
    /* both ways: a request from the front end, a publication from the worker */
    AK_KIND_COMM_OPEN,
    AK_KIND_COMM_MSG,
    AK_KIND_COMM_CLOSE,
    /* publications: worker -> kernel process -> iopub */
    AK_KIND_EXECUTE_INPUT,
    AK_KIND_EXECUTE_RESULT,
    AK_KIND_DISPLAY_DATA,
    AK_KIND_UPDATE_DISPLAY_DATA,
    AK_KIND_CLEAR_OUTPUT,
    AK_KIND_ERROR,
    AK_KIND_DEBUG_EVENT,
    AK_KIND_N,
};

/* "execute_request" and so on; "unknown" for AK_KIND_UNKNOWN. */
const char *ak_kind_name(enum ak_kind kind);
/* AK_KIND_UNKNOWN when the name is not in the table. */
enum ak_kind ak_kind_find(const char *name);
/* "execute_request" -> "execute_reply" and so on; NULL when the kind has no reply. */
const char *ak_kind_reply_name(enum ak_kind kind);

/* SPDX-License-Identifier: MIT */
/*
 * What a worker does with each kind of request. Everything but execution is answered
 * when the loop reaches it, in the order of arrival.
 */
#include "worker/react.h"
#include "worker/worker-private.h"

#include "base/log.h"
#include "py/comm.h"
#include "py/inspect.h"
#include "py/scope.h"
#include "py/shell.h"

AK_LOG_MODULE("dispatch");

enum {
    PART_SESSION,
    PART_HEADER,
    PART_METADATA,
    PART_CONTENT,
    PART_BUFFERS
};

static int answer_inspection(struct ak_session *session, const struct ak_frame *frame,
                             struct ak_buf *ret_content) {
    struct ak_bytes content = frame->parts[PART_CONTENT];
    switch (frame->kind) {
    case AK_KIND_COMPLETE_REQUEST:
        return ak_inspect_complete(session->space, content, ret_content);
    case AK_KIND_INSPECT_REQUEST:
        return ak_inspect_inspect(session->space, content, ret_content);
    case AK_KIND_IS_COMPLETE_REQUEST:
        return ak_inspect_is_complete(session->space, content, ret_content);
    case AK_KIND_HISTORY_REQUEST: {
        int r = ak_shell_history(session->space, content, ret_content);
        return r == AK_SHELL_E_NONE
                   ? ak_history_answer(session->history, content, ret_content)
                   : r;
    }
    case AK_KIND_COMM_INFO_REQUEST:
        return ak_comm_info(session->space, content, ret_content);
    default:
        return ak_inspect_debug(session->space, content, ret_content);
    }
}

static void finish_comm(struct ak_worker *worker, const struct ak_frame *frame) {
    struct ak_frame done = {.type = AK_FRAME_DONE, .id = frame->id, .fd = -1};
    ak_worker_send(worker, &done);
}

static enum ak_comm_verb comm_verb(enum ak_kind kind) {
    return kind == AK_KIND_COMM_OPEN  ? AK_COMM_OPEN
           : kind == AK_KIND_COMM_MSG ? AK_COMM_MSG
                                      : AK_COMM_CLOSE;
}

static void answer(struct ak_session *session, const struct ak_frame *frame) {
    struct ak_worker *worker = session->worker;
    AK_BUF_AUTO content = {0};
    struct ak_scope *scope = NULL;
    int r =
        ak_scope_enter(&scope, session->space, frame->id, frame->parts[PART_HEADER]);
    bool comm = frame->kind == AK_KIND_COMM_OPEN || frame->kind == AK_KIND_COMM_MSG ||
                frame->kind == AK_KIND_COMM_CLOSE;
    if (comm && session->react)
        ak_react_message_begin(session->react, frame->id);
    if (!r && comm) {
        struct ak_comm_message message = {
            .verb = comm_verb(frame->kind),
            .header = frame->parts[PART_HEADER],
            .metadata = frame->parts[PART_METADATA],
            .content = frame->parts[PART_CONTENT],
            .buffers = frame->parts + PART_BUFFERS,
            .n_buffers = frame->n_parts - PART_BUFFERS,
        };
        r = ak_comm_handle(session->space, &message);
    } else if (!r) {
        r = answer_inspection(session, frame, &content);
    }
    ak_scope_leave(scope);
    if (r < 0)
        ak_error("a %s could not be answered: no memory", ak_kind_name(frame->kind));
    if (comm) {
        if (!session->react || !ak_react_message_end(session->react))
            finish_comm(worker, frame);
        return;
    }
    static const char failed[] = "{\"status\": \"error\", \"ename\": \"MemoryError\", "
                                 "\"evalue\": \"\", \"traceback\": []}";
    struct ak_bytes text = r < 0 ? ak_bytes(failed, sizeof(failed) - 1)
                                 : ak_bytes(ak_buf_str(&content), content.len);
    ak_worker_reply(worker, frame->id, text, ak_bytes("{}", 2), AK_FRAME_F_DONE);
}

bool ak_session_dispatch(struct ak_session *session, const struct ak_frame *frame) {
    if (frame->n_parts < PART_BUFFERS)
        return false;
    if (frame->kind == AK_KIND_EXECUTE_REQUEST)
        return ak_execute_request(session, frame);
    answer(session, frame);
    return false;
}

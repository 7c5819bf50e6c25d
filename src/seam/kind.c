/* SPDX-License-Identifier: MIT */
#include "seam/kind.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    const char *reply;
} kinds[AK_KIND_N] = {
    [AK_KIND_UNKNOWN] = {"unknown", NULL},
    [AK_KIND_EXECUTE_REQUEST] = {"execute_request", "execute_reply"},
    [AK_KIND_COMPLETE_REQUEST] = {"complete_request", "complete_reply"},
    [AK_KIND_INSPECT_REQUEST] = {"inspect_request", "inspect_reply"},
    [AK_KIND_IS_COMPLETE_REQUEST] = {"is_complete_request", "is_complete_reply"},
    [AK_KIND_HISTORY_REQUEST] = {"history_request", "history_reply"},
    [AK_KIND_COMM_INFO_REQUEST] = {"comm_info_request", "comm_info_reply"},
    [AK_KIND_DEBUG_REQUEST] = {"debug_request", "debug_reply"},
    [AK_KIND_COMM_OPEN] = {"comm_open", NULL},
    [AK_KIND_COMM_MSG] = {"comm_msg", NULL},
    [AK_KIND_COMM_CLOSE] = {"comm_close", NULL},
    [AK_KIND_EXECUTE_INPUT] = {"execute_input", NULL},
    [AK_KIND_EXECUTE_RESULT] = {"execute_result", NULL},
    [AK_KIND_DISPLAY_DATA] = {"display_data", NULL},
    [AK_KIND_UPDATE_DISPLAY_DATA] = {"update_display_data", NULL},
    [AK_KIND_CLEAR_OUTPUT] = {"clear_output", NULL},
    [AK_KIND_ERROR] = {"error", NULL},
    [AK_KIND_DEBUG_EVENT] = {"debug_event", NULL},
};

const char *ak_kind_name(enum ak_kind kind) {
    return kinds[(unsigned)kind < AK_KIND_N ? kind : AK_KIND_UNKNOWN].name;
}

enum ak_kind ak_kind_find(const char *name) {
    for (unsigned i = 1; i < AK_KIND_N; i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return (enum ak_kind)i;
    }
    return AK_KIND_UNKNOWN;
}

const char *ak_kind_reply_name(enum ak_kind kind) {
    return kinds[(unsigned)kind < AK_KIND_N ? kind : AK_KIND_UNKNOWN].reply;
}

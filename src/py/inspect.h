/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Completion, inspection and completeness of code, answered from the live namespace
 * with no IPython and no jedi needed. Worker process, loop thread, GIL held; may run
 * Python (bounded: no property with side effects is run for completion).
 *
 * content is the JSON text of the request's content as received; the reply's content is
 * appended as JSON text. Always succeeds from the caller's view: nonsense in gives a
 * reply with status "error" (messaging spec, "Request-Reply"), and no exception is
 * pending. cursor_pos counts unicode code points.
 */

#include "base/buf.h"

struct ak_runtime;
struct ak_space;

/* complete_request: matches, cursor_start, cursor_end, and
 * metadata._jupyter_types_experimental. */
int ak_inspect_complete(struct ak_space *space, struct ak_bytes content,
                        struct ak_buf *ret_content);
/* inspect_request: text/plain with "Signature:", "Type:", "Docstring:", "Source:" and
 * so on; detail_level 1 shows the source. */
int ak_inspect_inspect(struct ak_space *space, struct ak_bytes content,
                       struct ak_buf *ret_content);
/* is_complete_request: complete, incomplete with indent, invalid or unknown. */
int ak_inspect_is_complete(struct ak_space *space, struct ak_bytes content,
                           struct ak_buf *ret_content);
/* A question of the debugger about live objects, or to start debugpy: {"command",
 * "arguments"} gives {"body"} or {"message"}. */
int ak_inspect_debug(struct ak_space *space, struct ak_bytes content,
                     struct ak_buf *ret_content);

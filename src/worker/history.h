/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The inputs and outputs of this kernel's cells, in memory and bounded, newest kept
 * (messaging spec, "History"). One session, numbered 1. Worker process, loop thread.
 */

#include <stddef.h>

#include "base/buf.h"

/* Entries, and bytes of all texts together, that are kept. */
#define AK_HISTORY_ENTRIES_MAX 10000u
#define AK_HISTORY_BYTES_MAX (32u << 20)

struct ak_history;

int ak_history_new(struct ak_history **ret_history);
struct ak_history *ak_history_free(struct ak_history *history);
AK_DEFINE_CLEANUP(struct ak_history *, ak_history_free)

/* Copies both texts (UTF-8). What does not fit into memory is not kept. */
void ak_history_add(struct ak_history *history, long execution_count,
                    struct ak_bytes input, struct ak_bytes output);

/* The content of a history_reply for the content of a history_request: "tail", "range"
 * or "search" (with glob patterns * and ?), with "output", "n" and "unique". */
int ak_history_answer(struct ak_history *history, struct ak_bytes content,
                      struct ak_buf *ret_content);

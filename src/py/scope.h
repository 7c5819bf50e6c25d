/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The context of a request that is no cell: while a scope is entered, what user code
 * prints and displays belongs to that request. Worker process, main thread, GIL held.
 */

#include <stdint.h>

#include "base/buf.h"

struct ak_scope;
struct ak_space;

/* 0 or fatal. Scopes nest and are left in reverse order. */
int ak_scope_enter(struct ak_scope **ret_scope, struct ak_space *space, uint64_t id,
                   struct ak_bytes header);
/* NULL ok. */
void ak_scope_leave(struct ak_scope *scope);

/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/buf.h"
#include "py/ref-private.h"

/* What a syntax tree says, as bytes: equal for sources that differ in comments, blanks,
 * quotes and parentheses only, different for any two constants that differ in type or
 * value. Adds to the buffer. 0, or -1 with an exception set (RecursionError for a tree
 * that is too deep). Runs no user code. */
int ak_treekey_add(PyObject *tree, struct ak_buf *ret_bytes);

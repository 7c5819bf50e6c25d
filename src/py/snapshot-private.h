/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Python values to bytes and back, for the store: one pickle (protocol 5) of everything
 * that a cell leaves behind, with big buffers beside it. Objects that the cell got as
 * inputs are written as their numbers in the walk over the inputs and come back as the
 * live objects of the session; modules are written by name. GIL held; runs Python.
 */

#include "base/buf.h"
#include "py/valuehash-private.h"

/* Buffers from this size on travel beside the pickle. */
#define AK_SNAPSHOT_BUFFER_MIN (64u << 10)

struct ak_snapshot {
    PyObject *stream;  /* owned: bytes */
    PyObject *buffers; /* owned: list of PickleBuffer */
};

/* 0, or -1 with an exception set: what cannot be pickled, a function or class of the
 * user that no input holds. */
int ak_snapshot_dump(struct ak_state *state, const struct ak_valuehash *inputs,
                     PyObject *value, struct ak_snapshot *ret_snapshot);
void ak_snapshot_done(struct ak_snapshot *snapshot);
/* The value again: new reference. buffers is an iterable of buffers in their order. */
PyObject *ak_snapshot_load(struct ak_state *state, const struct ak_valuehash *inputs,
                           const void *stream, size_t len, PyObject *buffers);

/* An object that owns memory and exports it, writable; frees it with release(memory).
 */
struct ak_buffer;
PyObject *ak_snapshot_memory(struct ak_state *state, struct ak_buffer *memory);

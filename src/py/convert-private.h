/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * JSON text <-> Python objects, in the manner of the C API: NULL or -1 with an
 * exception set. Lives in the worker; GIL held; may run Python.
 *
 * Decoding is done by Python's own scanner, so that everything the json module accepts
 * (any integer, NaN, lone surrogates) is accepted; bytes that are not UTF-8 decode to
 * U+FFFD. Encoding accepts what a Jupyter message may hold and what user code puts
 * there: str (lone surrogates become U+FFFD), any int, float (NaN and infinities become
 * null), bool, None, dict (keys become strings as json.dumps makes them), list, tuple,
 * and bytes-likes (base64 text); numpy-like scalars through __index__ or __float__;
 * anything else is TypeError naming the type and the path. Depth is bounded by
 * AK_JSON_DEPTH_MAX, over which it is ValueError.
 */

#include "base/buf.h"
#include "py/state-private.h"

#define AK_JSON_DEPTH_MAX 1000

/* New reference. */
PyObject *ak_json_decode(struct ak_state *state, const char *text, size_t len);
int ak_json_encode(struct ak_state *state, PyObject *value, struct ak_buf *buf);
/* Adds a bytes-like as a JSON string of base64. */
int ak_json_encode_base64(PyObject *bytes, struct ak_buf *buf);
/* Adds a str as a JSON string. */
int ak_json_encode_str(PyObject *str, struct ak_buf *buf);
/* A copy of a str in which lone surrogates, which have no UTF-8, are U+FFFD. New
 * reference. */
PyObject *ak_text_without_surrogates(PyObject *str);

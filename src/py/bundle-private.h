/* SPDX-License-Identifier: MIT */
#pragma once

#include "py/state-private.h"

/* The MIME bundle of a value: two new dicts, data and metadata, from the _repr_*_
 * methods that the value has and its repr. include and exclude are containers of MIME
 * types, or NULL. A method that fails is reported on stderr of the running cell and
 * left out, so that data may be empty; only what is no Exception (an interrupt) is -1
 * with an exception set. */
int ak_bundle_new(struct ak_state *state, PyObject *value, PyObject *include,
                  PyObject *exclude, PyObject **ret_data, PyObject **ret_metadata);
/* The same as JSON text. */
int ak_bundle_make(struct ak_state *state, PyObject *value, PyObject *include,
                   PyObject *exclude, struct ak_buf *ret_data,
                   struct ak_buf *ret_metadata);
/* Takes what has no form in JSON out of a dict of a bundle, and reports it: a form that
 * cannot be sent costs neither the others nor the cell. -1 as above. */
int ak_bundle_repair(struct ak_state *state, PyObject *dict);
/* Appends a dict of a bundle as JSON, repaired where that is needed. */
int ak_bundle_encode(struct ak_state *state, PyObject *dict, struct ak_buf *buf);
/* Lets a value with an _ipython_display_ method display itself: 1 when it did (or
 * failed, which is reported), 0 when it has none, -1 with an exception set. */
int ak_bundle_display_itself(struct ak_state *state, PyObject *value);
int ak_bundle_setup(struct ak_state *state, PyObject *module);

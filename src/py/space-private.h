/* SPDX-License-Identifier: MIT */
#pragma once

#include "py/space.h"
#include "py/state-private.h"

/* A world: the namespace that cells run in. One a kernel; one a client session in multi
 * mode. */
struct ak_space {
    struct ak_state *state; /* borrowed */
    PyObject *module;       /* owned: __main__ */
    PyObject *names;        /* owned: its __dict__ */
    PyObject *context;      /* owned: contextvars.Context that new cells copy */
    PyObject *in;           /* owned: list In */
    PyObject *out;          /* owned: dict Out, bounded */
    long execution_count;   /* of the newest execution; 0 before the first */
    int compiler_flags;     /* __future__ features switched on by earlier cells */
};

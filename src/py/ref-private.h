/* SPDX-License-Identifier: MIT */
#pragma once

/* Ownership of Python objects inside src/py. GIL held. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/cleanup.h"

static inline void ak_py_clear(PyObject **p) {
    Py_CLEAR(*p);
}

/* An owned local, released at the end of its scope. Borrowed locals are plain and carry
 * a "borrowed" comment; a variable is one or the other for its whole life. */
#define AK_PYREF AK_CLEANUP(ak_py_clear) PyObject *

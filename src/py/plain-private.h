/* SPDX-License-Identifier: MIT */
#pragma once

#include "py/ref-private.h"

/* The text/plain of a value as IPython shows it: long containers laid out, sets sorted,
 * classes and functions in its form. Runs Python. New reference, or NULL with an
 * exception set. */
PyObject *ak_plain_text(PyObject *value);

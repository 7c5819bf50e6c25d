/* SPDX-License-Identifier: MIT */
#pragma once

#include "py/state-private.h"

/* Makes the module with all its types and puts it into sys.modules. New reference, or
 * NULL with an exception set. Once an interpreter. */
PyObject *ak_module_new(const struct ak_host_ops *ops, void *host);

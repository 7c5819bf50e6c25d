/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The environment that this program was installed into as a wheel: the Python beside
 * it. A kernelspec that comes in a wheel cannot name it, for nothing runs when a wheel
 * is installed.
 */

#include <stdbool.h>

#include "base/buf.h"

struct ak_environment {
    struct ak_buf python; /* empty: the one that the worker was built with */
    struct ak_buf version;
    bool extension; /* another build: it loads the worker as a module */
    bool debugger;  /* debugpy is among its packages */
};

/* The path of the Python beside this program, or nothing when there is none. 0 or
 * fatal. */
int ak_environment_python(struct ak_buf *ret_python);
/* 0, or -1 with a sentence in *ret_message. */
int ak_environment_find(struct ak_environment *ret_environment,
                        struct ak_buf *ret_message);
void ak_environment_done(struct ak_environment *environment);

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * kernel.json (jupyter_client, "Kernel specs") from its template in share/akernel, in
 * which @name@ stands for what is known at install time only. A wheel's is made from
 * the same template when the wheel is built.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct ak_spec_value {
    const char *name; /* without the two @ */
    const char *text; /* UTF-8 */
};

struct ak_spec {
    const struct ak_spec_value *values;
    size_t n_values;
    const char *const *options; /* of "launch", before its -f */
    size_t n_options;
    const char *const *env; /* "NAME=VALUE" */
    size_t n_env;
    bool debugger; /* metadata.debugger */
};

/* 0, or -1 with a sentence. */
int ak_spec_make(json_t **ret_json, const struct ak_spec *spec,
                 struct ak_buf *ret_message);

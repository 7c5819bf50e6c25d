/* SPDX-License-Identifier: MIT */
#pragma once

/* MODE: a dash-joined combination, in any order, of how cells run. */

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define AK_MODES_MAX 8

struct ak_modes {
    const char
        *names[AK_MODES_MAX]; /* static texts, sorted, each once; "async" left out */
    size_t n_names;
};

/* Parses "cache-multi-react". 0, or -1 with a sentence in *ret_message. */
int ak_modes_parse(struct ak_modes *ret_modes, const char *text,
                   struct ak_buf *ret_message);
bool ak_modes_has(const struct ak_modes *modes, const char *name);
/* "akernel", or "akernel-" and the sorted modes. */
int ak_modes_kernel_name(const struct ak_modes *modes, struct ak_buf *ret_name);

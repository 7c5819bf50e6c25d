/* SPDX-License-Identifier: MIT */
#pragma once

/* What a Python says about itself: asked by running it once, isolated. */

#include <stdbool.h>

#include "base/buf.h"

struct ak_probe {
    char *executable; /* as given or found, absolute; owned, as all of these */
    char *version;    /* "3.11.7" */
    char *minor;      /* "3.11" */
    char *prefix;
    char *base_prefix;
    char *build; /* sys.version on one line */
    bool virtual_environment;
    bool free_threaded;
    bool debugger;   /* debugpy can be imported */
    bool same_build; /* as the one that the worker embeds */
};

/* python may be a path or a name on PATH. -1 with a sentence in *ret_message. */
int ak_probe_python(struct ak_probe *ret_probe, const char *python,
                    struct ak_buf *ret_message);
/* Whether the worker of this build runs in it: 0, or -1 with a sentence in
 * *ret_message.
 */
int ak_probe_check(const struct ak_probe *probe, struct ak_buf *ret_message);
void ak_probe_done(struct ak_probe *probe);

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The user's Python exception as data: what an error message and an error reply hold
 * (messaging spec, "Execution errors"). Made by py/fault.c, the one place that turns an
 * exception into something else. Worker process; plain data, no Python needed to use
 * it.
 */

#include <stddef.h>

#include "base/buf.h"

struct ak_fault {
    char *ename;  /* owned, UTF-8; the type's __name__ */
    char *evalue; /* owned, UTF-8 */
    char *
        *lines; /* owned: traceback, coloured with ANSI escapes, at most 1 MiB in all */
    size_t n_lines;
};

void ak_fault_done(struct ak_fault *fault);
/* Adds the members "ename", "evalue" and "traceback" of a JSON object, without braces.
 */
int ak_fault_add_json(const struct ak_fault *fault, struct ak_buf *buf);
/* Takes all lines of the traceback out. */
void ak_fault_clear_lines(struct ak_fault *fault);
/* Adds a copy of a line at the end of the traceback; what does not fit is left out. */
void ak_fault_add_line(struct ak_fault *fault, const char *line);

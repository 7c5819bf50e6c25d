/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * IPython's shell, which exists from the moment that something needs it: a cell with
 * its syntax, get_ipython(), an import of IPython that asks for it, or the user's
 * startup files. Worker process, main thread, GIL held. Calls may run Python.
 */

#include "base/buf.h"

struct ak_runtime;
struct ak_space;

/* What the shell and its stand-ins tell others about this kernel: JSON text of an
 * object with connection_file, session_name and arguments. 0 or fatal. */
int ak_shell_configure(struct ak_runtime *runtime, struct ak_bytes config);
/* Called once, when the world is open: sets __session__, and makes the shell right
 * after the loop has started when the user has startup files or an IPython
 * configuration, which would else be passed over without a word. */
void ak_shell_open(struct ak_space *space);
/* Answers a history_request from IPython's database: 0, a fatal error, or
 * AK_SHELL_E_NONE when there is no shell. */
enum {
    AK_SHELL_E_NONE = 1
};
int ak_shell_history(struct ak_space *space, struct ak_bytes content,
                     struct ak_buf *ret_content);

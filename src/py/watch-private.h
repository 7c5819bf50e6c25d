/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a recorded cell does beside binding names and printing. Two means: the
 * interpreter's audit events (files, processes, sockets, ...), heard while the cell
 * runs, and a comparison of the interpreter's state before and after. Files that are
 * only read become dependencies: path and digest of the content. GIL held.
 */

#include "base/buf.h"
#include "cache/key.h"
#include "py/state-private.h"

#define AK_WATCH_ASPECTS 20

struct ak_watch_file;

struct ak_watch {
    const struct ak_keyring *ring; /* borrowed */
    struct ak_buf reason;          /* empty, or why the cell cannot be stored */
    struct ak_watch_file *files;   /* owned */
    size_t n_files;
    struct ak_digest before[AK_WATCH_ASPECTS];
};

/* Takes the state before the run. 0, or -1 with an exception set (an interrupt). */
int ak_watch_begin(struct ak_watch *watch, struct ak_state *state, PyObject *names,
                   const struct ak_keyring *ring);
/* Compares with it; a difference becomes the reason. 0 or -1 as above. */
int ak_watch_end(struct ak_watch *watch, struct ak_state *state, PyObject *names);
void ak_watch_done(struct ak_watch *watch);
/* Keeps the first reason. */
void ak_watch_taint(struct ak_watch *watch, const char *format, ...)
    __attribute__((__format__(__printf__, 2, 3)));
/* One audit event of the cell. Runs no Python code. */
void ak_watch_event(struct ak_watch *watch, const char *event, PyObject *args);
/* The files that were read, as bytes for the store; a file that changed meanwhile
 * becomes the reason. 0 or -ENOMEM. */
int ak_watch_dependencies(struct ak_watch *watch, struct ak_buf *ret_bytes);
/* Whether recorded dependencies hold now. Touches no Python: call it without the GIL.
 */
bool ak_watch_dependencies_hold(const struct ak_keyring *ring, struct ak_bytes bytes);

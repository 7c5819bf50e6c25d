/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The process that speaks Jupyter: sockets, signatures, parents of messages, busy and
 * idle, and the life of a worker, on one poll loop and one thread. It never loads
 * Python.
 */

#include <stdbool.h>
#include <stddef.h>

struct ak_kernel_config {
    const char *connection_file;
    const char *const *modes; /* "async", "chained", ... */
    size_t n_modes;
    const char *python;           /* the environment's python, or NULL */
    const char *python_version;   /* "3.11.7" as it was at install time, or NULL */
    char *const *worker_argv;     /* NULL-terminated: what runs a worker */
    bool respawn;                 /* a dead worker is replaced */
    bool debugger;                /* debugpy is there for it */
    const char *const *arguments; /* what else the launcher said: for IPython */
    size_t n_arguments;
    bool multi;             /* a world a client session */
    double session_timeout; /* idle seconds after which one ends; 0: never */
    size_t max_sessions;    /* 0: AK_WIRE_SESSIONS_MAX */
};

/* Runs a kernel to its end and returns the exit code; what went wrong at the start is
 * said on stderr. Blocks signals that it handles for the life of the process. */
int ak_kernel_run(const struct ak_kernel_config *config);

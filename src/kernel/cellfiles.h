/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Cells as files: a front end maps a cell to "/tmp/akernel_<pid>/<hash>.py", and a
 * debugger wants to find its source there. Files are written when a client asks for it,
 * into a directory that only this user can enter, and removed with the kernel. Kernel
 * process.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"

/* "/tmp/akernel_<pid>/", pid being the worker's. */
int ak_cellfiles_prefix(pid_t pid, struct ak_buf *ret_prefix);
/* Writes the source of a cell and gives its path. 0, or -errno of what the system
 * refused. */
int ak_cellfiles_dump(pid_t pid, struct ak_bytes source, struct ak_buf *ret_path);
/* The text of a file, bounded. 0, or -errno. */
int ak_cellfiles_read(const char *path, struct ak_buf *ret_text);
/* Removes what was dumped. */
void ak_cellfiles_remove(pid_t pid);

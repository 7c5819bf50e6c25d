/* SPDX-License-Identifier: MIT */
#pragma once

/* Where the parts of an installed (or just built) akernel are, from the place of the
 * running program. */

#include "base/buf.h"

/* The program itself. 0 or fatal. */
int ak_paths_program(struct ak_buf *ret_path);
/* The worker that embeds Python: AKERNEL_WORKER, else beside the program's prefix, else
 * beside the program. -1 with a sentence when there is none. */
int ak_paths_worker(struct ak_buf *ret_path, struct ak_buf *ret_message);
/* The worker as an extension module, likewise. */
int ak_paths_module(struct ak_buf *ret_path, struct ak_buf *ret_message);
/* The program that does the slow work of a cell cache: AKERNEL_CACHE_HELPER, else
 * beside the worker. */
int ak_paths_cache(struct ak_buf *ret_path, struct ak_buf *ret_message);
/* A file of share/akernel (the logos, the template of kernelspecs). */
int ak_paths_share(const char *name, struct ak_buf *ret_path);

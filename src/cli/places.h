/* SPDX-License-Identifier: MIT */
#pragma once

/* Where kernelspecs are: directories that hold one directory a kernel, and what is in
 * it (jupyter_client, "Kernel specs"). */

#include <stdbool.h>

#include "base/buf.h"

/* prefix/share/jupyter/kernels */
int ak_places_prefix(const char *prefix, struct ak_buf *ret_dir);
/* The user's: JUPYTER_DATA_DIR, else XDG_DATA_HOME/jupyter, else
 * ~/.local/share/jupyter. */
int ak_places_user(struct ak_buf *ret_dir);
/* Calls back for each directory that Jupyter looks into from here, the first hit first.
 */
void ak_places_each(void (*found)(const char *dir, void *context), void *context);

/* Makes a directory and those above it. 0 or -errno. */
int ak_places_make(const char *dir);
/* Whether a kernelspec's directory was written by akernel. */
bool ak_places_is_ours(const char *spec_dir);
/* Removes a kernelspec's directory with its files. 0 or -errno. */
int ak_places_remove(const char *spec_dir);

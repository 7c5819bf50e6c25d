/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A file that appears complete or not at all, for the files of this layer. Until it is
 * committed it has no name (O_TMPFILE), so that a process killed while it writes leaves
 * nothing behind; where the file system cannot do that, it has a name that starts with
 * AK_FILE_TEMPORARY and that a later collection removes. A committed file is never
 * written again.
 *
 * Functions return 0 or -errno, untraced: what a disk refuses is no surprise here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "cache/store.h"

#define AK_FILE_TEMPORARY ".tmp-"

struct ak_file {
    int fd;
    struct ak_buf path;      /* the name to be */
    struct ak_buf temporary; /* the name so far; empty for none */
};

/* Opens a file that will be at path, with this mode; its directory has to exist. */
int ak_file_new(struct ak_file *file, const char *path, mode_t mode);
int ak_file_write(struct ak_file *file, const void *data, size_t len);
/* Gives the file its name. -EEXIST when there is one of that name, unless replace is
 * set, which exchanges them at once. */
int ak_file_commit(struct ak_file *file, bool replace);
/* Closes it, and forgets what was not committed. */
void ak_file_drop(struct ak_file *file);

/* Makes the directories above a path. */
int ak_file_make_parents(const char *path, mode_t mode);
/* The user's home directory, borrowed; NULL when there is none. */
const char *ak_file_home(void);

/* Reads a whole file into memory of its own: allocated for short ones, a private
 * writable mapping for others. -EFBIG when it is not of the expected length (any when
 * that is negative), -EIO for what cannot be read to its end. */
int ak_file_load(const char *path, off_t expected, struct ak_buffer *ret_buffer);

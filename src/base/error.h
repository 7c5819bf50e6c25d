/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Errors are of four kinds, never mixed.
 *
 *  - A bug of ours is an assert, never reached by input of a peer, a disk or a user.
 *  - A fatal, unexpected failure is a negative errno. It is born in ak_error_origin,
 *    passed on unchanged through ak_error_trace, and matched by nobody.
 *  - A documented outcome is a positive AK_<THING>_E_<WHAT>. The direct caller handles
 *    it or folds it into a fatal error with ak_error_fold; it is never forwarded.
 *  - The user's Python exception is data (struct ak_fault), the result of a cell.
 *
 * Zero is success. The three functions print a line each to the log at debug level, so
 * that a failing path leaves a trace and a succeeding one costs nothing.
 * Any process, any thread.
 */

#include <errno.h>

void ak_error_log(int error, const char *how, const char *file, int line,
                  const char *func);

/* Inline, so that compilers and analyzers see that a failure stays one. */
static inline int ak_error_report(int error, const char *how, const char *file,
                                  int line, const char *func) {
    ak_error_log(error, how, file, line, func);
    return error > 0 ? -ENOTRECOVERABLE : error;
}

/* The birth of a fatal error; error is an errno value of either sign, not zero. */
#define ak_error_origin(error)                                                         \
    ak_error_report((error) < 0 ? (error) : -(error), "origin", __FILE__, __LINE__,    \
                    __func__)

/* Forwards a fatal error to the caller. */
#define ak_error_trace(error)                                                          \
    ak_error_report((error), "trace", __FILE__, __LINE__, __func__)

/* Zero and fatal errors pass; an outcome nobody expected becomes -ENOTRECOVERABLE. */
#define ak_error_fold(r)                                                               \
    (__extension__({                                                                   \
        int ak_fold_r_ = (r);                                                          \
        ak_fold_r_ <= 0                                                                \
            ? ak_fold_r_                                                               \
            : ak_error_report(ak_fold_r_, "fold", __FILE__, __LINE__, __func__);       \
    }))

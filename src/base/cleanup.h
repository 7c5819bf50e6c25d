/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Scope-bound ownership. A local that owns something is declared with
 * AK_CLEANUP(<fn>), where <fn> takes a pointer to the variable; ownership leaves the
 * scope by AK_TAKE, which hands the value over and leaves NULL behind. These are the
 * only clever macros of the project.
 */

#include <stdlib.h>
#include <unistd.h>

#define AK_CLEANUP(fn) __attribute__((__cleanup__(fn)))

/* Evaluates to the pointer and sets the variable to NULL. */
#define AK_TAKE(ptr)                                                                   \
    (__extension__({                                                                   \
        __typeof__(ptr) *ak_take_p_ = &(ptr);                                          \
        __typeof__(ptr) ak_take_v_ = *ak_take_p_;                                      \
        *ak_take_p_ = NULL;                                                            \
        ak_take_v_;                                                                    \
    }))

/* Defines <fn>p(T *), the cleanup form of a destructor T fn(T) that accepts NULL. */
#define AK_DEFINE_CLEANUP(type, fn)                                                    \
    static inline void fn##p(type *p) {                                                \
        if (*p)                                                                        \
            fn(*p);                                                                    \
    }

static inline void ak_freep(void *p) {
    free(*(void **)p);
}

static inline void ak_closep(int *fd) {
    if (*fd >= 0)
        close(*fd);
}

/* Closes *fd unless it is negative, and marks it closed. */
static inline void ak_close_clear(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Hands a descriptor over and leaves -1 behind. */
static inline int ak_take_fd(int *fd) {
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* SPDX-License-Identifier: MIT */
/*
 * A process has one working directory, and worlds that share it want one each. So the
 * directory is put where the world left it before its code runs on the main thread, and
 * looked at afterwards. What runs beside a cell sees whatever is set at that moment:
 * threads, and tasks between the steps of cells. Absolute paths do not care.
 *
 * One system call before a step when the world is the same as last time, one after it.
 */
#include "py/space-private.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void replace(char **slot, const char *text) {
    char *copy = strdup(text);
    if (!copy)
        return;
    free(*slot);
    *slot = copy;
}

/* Where the process is, noted; false when that place has no path any more. */
static bool look(struct ak_state *state) {
    char path[PATH_MAX];
    if (!getcwd(path, sizeof(path)))
        return false;
    if (!state->cwd || strcmp(state->cwd, path) != 0)
        replace(&state->cwd, path);
    return state->cwd != NULL;
}

static void go(struct ak_space *space) {
    struct ak_state *state = space->state;
    const char *path = space->cwd ? space->cwd : state->home;
    /* A directory that was removed meanwhile: the cell is where the last one was. */
    if (path && (!state->cwd || strcmp(state->cwd, path) != 0) && chdir(path) == 0)
        replace(&state->cwd, path);
}

struct ak_space *ak_cwd_enter(struct ak_space *space) {
    struct ak_state *state = space->state;
    struct ak_space *before = state->on_stack;
    if (!space->number || before == space)
        return before;
    if (!state->home && look(state))
        replace(&state->home, state->cwd);
    state->on_stack = space;
    go(space);
    return before;
}

void ak_cwd_leave(struct ak_space *space, struct ak_space *before) {
    struct ak_state *state = space->state;
    if (!space->number || before == space)
        return;
    if (look(state) && state->cwd &&
        strcmp(space->cwd    ? space->cwd
               : state->home ? state->home
                             : "",
               state->cwd) != 0)
        replace(&space->cwd, state->cwd);
    state->on_stack = before;
    if (before)
        go(before);
}

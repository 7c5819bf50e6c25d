/* SPDX-License-Identifier: MIT */
#include "kernel/debug_view.h"

#include <stdbool.h>
#include <string.h>

/* Files that are under every cell: asyncio, its selectors, and our own. */
static bool is_machinery(const json_t *frame) {
    const char *path =
        json_string_value(json_object_get(json_object_get(frame, "source"), "path"));
    if (!path)
        return true;
    if (strstr(path, "<frozen akernel"))
        return true;
    const char *slash = strrchr(path, '/');
    if (!slash)
        return false;
    if (strcmp(slash, "/selectors.py") == 0)
        return true;
    return slash - path >= 8 && memcmp(slash - 8, "/asyncio", 8) == 0;
}

void ak_debug_view_stack(json_t *body) {
    json_t *frames = json_object_get(body, "stackFrames"); /* borrowed */
    size_t n = json_array_size(frames), user = n;
    while (user > 0 && is_machinery(json_array_get(frames, user - 1)))
        user--;
    if (user == 0 || user == n)
        return; /* nothing of the user's: better all of it than none */
    while (n > user)
        json_array_remove(frames, --n);
    json_object_set_new(body, "totalFrames", json_integer((json_int_t)user));
}

static bool is_ours(const char *name) {
    static const char *const ours[] = {
        "In",          "Out",          "_",           "__",
        "___",         "_ih",          "_oh",         "_dh",
        "__name__",    "__doc__",      "__package__", "__loader__",
        "__spec__",    "__builtins__", "__builtin__", "__annotations__",
        "get_ipython", "exit",         "quit",        "__session__",
    };
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (strcmp(name, ours[i]) == 0)
            return true;
    }
    /* _3, _i, _ii, _i3 */
    if (name[0] != '_' || name[1] == '\0')
        return false;
    const char *rest = name + 1;
    size_t is = strspn(rest, "i");
    if (is > 3)
        return false;
    rest += is;
    return rest[strspn(rest, "0123456789")] == '\0';
}

void ak_debug_view_variables(json_t *body) {
    json_t *variables = json_object_get(body, "variables"); /* borrowed */
    for (size_t i = json_array_size(variables); i > 0; i--) {
        const char *name = json_string_value(
            json_object_get(json_array_get(variables, i - 1), "name"));
        if (name && is_ours(name))
            json_array_remove(variables, i - 1);
    }
}

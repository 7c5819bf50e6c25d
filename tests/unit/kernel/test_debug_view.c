/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include "kernel/debug_view.h"

static json_t *stack(const char *const *paths, size_t n) {
    json_t *frames = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(frames,
                              json_pack("{s:{s:s}}", "source", "path", paths[i]));
    return json_pack("{s:o, s:i}", "stackFrames", frames, "totalFrames", (int)n);
}

static size_t left(const char *const *paths, size_t n) {
    json_t *body = stack(paths, n);
    ak_debug_view_stack(body);
    size_t shown = json_array_size(json_object_get(body, "stackFrames"));
    assert(json_integer_value(json_object_get(body, "totalFrames")) ==
           (json_int_t)shown);
    json_decref(body);
    return shown;
}

static void hides_frames_below_the_user(void) {
    static const char *const cell[] = {"/tmp/akernel_1/2.py",
                                       "/usr/lib/python3.11/asyncio/events.py",
                                       "/usr/lib/python3.11/asyncio/base_events.py"};
    static const char *const inside[] = {"/home/me/a.py",
                                         "/usr/lib/python3.11/asyncio/events.py",
                                         "/tmp/akernel_1/2.py", "<frozen akernel._x>"};
    static const char *const idle[] = {"/usr/lib/python3.11/selectors.py",
                                       "/usr/lib/python3.11/asyncio/base_events.py"};
    assert(left(cell, 3) == 1);
    assert(left(inside, 4) == 3);
    assert(left(idle, 2) == 2);
    assert(left(cell, 0) == 0);
    json_t *none = json_object();
    ak_debug_view_stack(none);
    ak_debug_view_stack(NULL);
    json_decref(none);
}

static void hides_what_every_session_has(void) {
    static const char *const hidden[] = {"In",   "_",    "__", "_i",   "_ii",
                                         "_iii", "_i12", "_7", "exit", "__name__"};
    static const char *const shown[] = {"x",     "_x",   "_iiii", "in",  "_i_",
                                        "__x__", "_ix1", "Out1",  "_3a", ""};
    json_t *variables = json_array();
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        json_array_append_new(variables, json_pack("{s:s}", "name", hidden[i]));
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        json_array_append_new(variables, json_pack("{s:s}", "name", shown[i]));
    json_array_append_new(variables, json_object());
    json_t *body = json_pack("{s:o}", "variables", variables);
    ak_debug_view_variables(body);
    assert(json_array_size(variables) == sizeof(shown) / sizeof(shown[0]) + 1);
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        assert(strcmp(json_string_value(
                          json_object_get(json_array_get(variables, i), "name")),
                      shown[i]) == 0);
    json_decref(body);
    ak_debug_view_variables(NULL);
}

static const struct ak_test tests[] = {
    {"hides-frames-below-the-user", hides_frames_below_the_user},
    {"hides-what-every-session-has", hides_what_every_session_has},
};

AK_TEST_MAIN(tests)

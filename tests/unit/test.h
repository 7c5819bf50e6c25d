/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The unit tests' frame: one executable a module, one meson test a behaviour. A test is
 * a function that builds its own world, asserts, and frees; main is AK_TEST_MAIN over a
 * table of them, and "test_x NAME" runs one. "test_x" alone runs all.
 */

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <string.h>

struct ak_test {
    const char *name;
    void (*run)(void);
};

static inline int ak_test_main(const struct ak_test *tests, size_t n_tests, int argc,
                               char **argv) {
    size_t n_run = 0;
    for (size_t i = 0; i < n_tests; i++) {
        if (argc > 1 && strcmp(argv[1], tests[i].name) != 0)
            continue;
        tests[i].run();
        n_run++;
    }
    if (n_run == 0) {
        fprintf(stderr, "no test is named \"%s\"\n", argc > 1 ? argv[1] : "");
        return 2;
    }
    return 0;
}

#define AK_TEST_MAIN(tests)                                                            \
    int main(int argc, char **argv) {                                                  \
        return ak_test_main((tests), sizeof(tests) / sizeof((tests)[0]), argc, argv);  \
    }

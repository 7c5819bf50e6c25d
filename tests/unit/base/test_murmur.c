/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include "base/murmur.h"

static uint32_t of(const char *text) {
    return ak_murmur2(text, strlen(text), AK_MURMUR_CELL_SEED);
}

/* What front ends compute for the same sources. */
static void known_values(void) {
    assert(of("") == 3990065800u);
    assert(of("a") == 2167009006u);
    assert(of("ab") == 2805137849u);
    assert(of("abc") == 3350977461u);
    assert(of("abcd") == 804720481u);
    assert(of("print(1)") == 3773950048u);
}

static void counts_bytes_of_utf8(void) {
    assert(of("x = '\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80'\n") == 1672304592u);
}

static const struct ak_test tests[] = {
    {"known-values", known_values},
    {"counts-bytes-of-utf8", counts_bytes_of_utf8},
};

AK_TEST_MAIN(tests)

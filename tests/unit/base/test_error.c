/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <errno.h>

#include "base/error.h"

static void origin_is_negative(void) {
    assert(ak_error_origin(ENOMEM) == -ENOMEM);
    assert(ak_error_origin(-EIO) == -EIO);
}

static void fold(void) {
    assert(ak_error_fold(0) == 0);
    assert(ak_error_fold(-EIO) == -EIO);
    assert(ak_error_fold(3) == -ENOTRECOVERABLE);
}

static void trace(void) {
    assert(ak_error_trace(-EPERM) == -EPERM);
}

static const struct ak_test tests[] = {
    {"origin-is-negative", origin_is_negative},
    {"fold", fold},
    {"trace", trace},
};
AK_TEST_MAIN(tests)

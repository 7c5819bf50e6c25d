/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <time.h>

#include "base/clock.h"

static void never_goes_back(void) {
    uint64_t last = ak_clock_now();
    for (int i = 0; i < 10000; i++) {
        uint64_t now = ak_clock_now();
        assert(now >= last);
        last = now;
    }
}

/* The stamp has the form of the messaging spec, "General message format": date. */
static void stamps(void) {
    char stamp[AK_CLOCK_STAMP_SIZE];
    int year, month, day, hour, minute, second, micros, n = 0;
    time_t before = time(NULL);
    ak_clock_stamp(stamp);
    assert(strlen(stamp) == AK_CLOCK_STAMP_SIZE - 1);
    assert(sscanf(stamp, "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ%n", &year, &month, &day, &hour,
                  &minute, &second, &micros, &n) == 7);
    assert(n == AK_CLOCK_STAMP_SIZE - 1);
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    time_t stamped = timegm(&tm);
    assert(stamped + 1 >= before && stamped <= time(NULL));
}

static const struct ak_test tests[] = {
    {"never-goes-back", never_goes_back},
    {"stamps", stamps},
};

AK_TEST_MAIN(tests)

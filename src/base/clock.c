/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t ak_clock_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * AK_NS_PER_S + (uint64_t)ts.tv_nsec;
}

void ak_clock_stamp(char ret_stamp[static AK_CLOCK_STAMP_SIZE]) {
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(ret_stamp, AK_CLOCK_STAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    unsigned micros = (unsigned)(ts.tv_nsec / 1000) % 1000000u;
    snprintf(ret_stamp + n, AK_CLOCK_STAMP_SIZE - n, ".%06uZ", micros);
}

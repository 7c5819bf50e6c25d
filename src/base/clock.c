/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t ak_clock_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * AK_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t ak_clock_wall(void) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * AK_NS_PER_S + (uint64_t)ts.tv_nsec;
}

void ak_clock_stamp_wall(uint64_t wall, char ret_stamp[static AK_CLOCK_STAMP_SIZE]) {
    /* 64 bits of nanoseconds end in the year 2554, so four digits are enough. */
    time_t seconds = (time_t)(wall / AK_NS_PER_S);
    unsigned micros = (unsigned)(wall % AK_NS_PER_S / 1000u);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(ret_stamp, AK_CLOCK_STAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret_stamp + n, AK_CLOCK_STAMP_SIZE - n, ".%06uZ", micros);
}

void ak_clock_stamp(char ret_stamp[static AK_CLOCK_STAMP_SIZE]) {
    ak_clock_stamp_wall(ak_clock_wall(), ret_stamp);
}

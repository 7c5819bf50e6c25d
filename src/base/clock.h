/* SPDX-License-Identifier: MIT */
#pragma once

/* Time. Any process, any thread. */

#include <stddef.h>
#include <stdint.h>

#define AK_NS_PER_MS 1000000ull
#define AK_NS_PER_S 1000000000ull

/* Monotonic nanoseconds, for intervals and deadlines. */
uint64_t ak_clock_now(void);

/* "2026-01-31T12:34:56.789012Z": ISO 8601 in UTC with microseconds, as the date of a
 * message header is written (Jupyter messaging spec, "General message format"). */
#define AK_CLOCK_STAMP_SIZE 28
void ak_clock_stamp(char ret_stamp[static AK_CLOCK_STAMP_SIZE]);

/* The same for a moment that was noted earlier, in nanoseconds of the wall clock. */
uint64_t ak_clock_wall(void);
void ak_clock_stamp_wall(uint64_t wall, char ret_stamp[static AK_CLOCK_STAMP_SIZE]);

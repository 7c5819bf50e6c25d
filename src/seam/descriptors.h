/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The descriptors that a worker is born with. The kernel process places them at these
 * numbers before it executes the worker; the worker moves all but 0, 1 and 2 near the
 * top of its soft limit (never below 256 where the limit allows), close-on-exec, before
 * any user code runs. Kernel process: between fork and exec. Worker: its main thread.
 */

enum ak_descriptor {
    AK_DESCRIPTOR_STDIN = 0,  /* /dev/null */
    AK_DESCRIPTOR_STDOUT = 1, /* pipe: descriptor-level output */
    AK_DESCRIPTOR_STDERR = 2, /* pipe: descriptor-level errors */
    AK_DESCRIPTOR_LINK = 3,   /* seam/frame.h */
    AK_DESCRIPTOR_RING = 4,   /* seam/ring.h: shared memory */
    AK_DESCRIPTOR_DATA = 5,   /* seam/ring.h: eventfd */
    AK_DESCRIPTOR_ROOM = 6,   /* seam/ring.h: eventfd */
    AK_DESCRIPTOR_FAULT = 7,  /* pipe: faulthandler writes here */
    AK_DESCRIPTOR_LOG = 8,    /* the original stderr, for log lines */
    AK_DESCRIPTOR_N = 9,
};

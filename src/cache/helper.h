/* SPDX-License-Identifier: MIT */
#pragma once

/* What the program akernel-cache does, in its one thread. Both return an exit code. */

/* Carries entries between a worker's store and a server, until the worker is gone. */
int ak_helper_serve(void);
/* Collects the store in this directory, with the limits of the environment. */
int ak_helper_collect_now(const char *dir);

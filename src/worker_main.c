/* SPDX-License-Identifier: MIT */
/* akernel-worker: descriptors in, one worker, exit code. Started by akernel only. */
#include <stdio.h>

#include "worker/worker.h"

int main(int argc, char **argv) {
    if (argc > 1) {
        fprintf(stderr, "%s is started by akernel; run \"akernel --help\"\n", argv[0]);
        return 2;
    }
    return ak_worker_run(false);
}

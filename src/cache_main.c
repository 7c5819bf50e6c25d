/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "cache/helper.h"

int main(int argc, char **argv) {
#ifdef AK_WITH_REDIS
    if (argc == 2 && strcmp(argv[1], "serve") == 0)
        return ak_helper_serve();
#endif
    if (argc == 3 && strcmp(argv[1], "collect") == 0)
        return ak_helper_collect_now(argv[2]);
    fprintf(stderr,
            "akernel-cache is started by a kernel, not by hand; \"akernel cache\" "
            "looks after a cache\n");
    return 2;
}

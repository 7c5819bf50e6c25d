/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <string.h>

#include "base/log.h"

AK_LOG_MODULE("error");

void ak_error_log(int error, const char *how, const char *file, int line,
                  const char *func) {
    if (error > 0)
        ak_debug("fold: outcome %d at %s:%d in %s()", error, file, line, func);
    else
        ak_debug("%s: %s at %s:%d in %s()", how, strerror(-error), file, line, func);
}

/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum ak_log_level log_level = AK_LOG_WARNING;
static int log_fd = STDERR_FILENO;

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void ak_log_init(int fd) {
    const char *wanted = getenv("AKERNEL_LOG");
    log_fd = fd;
    for (int i = AK_LOG_ERROR; wanted && i <= AK_LOG_DEBUG; i++) {
        if (strcmp(wanted, level_names[i]) == 0)
            log_level = (enum ak_log_level)i;
    }
}

void ak_log_set_level(enum ak_log_level level) {
    log_level = level;
}

int ak_log_fd(void) {
    return log_fd;
}

int ak_log_enabled(enum ak_log_level level) {
    return level <= log_level;
}

void ak_log_write(enum ak_log_level level, const char *module, const char *format,
                  ...) {
    char line[2048];
    int saved_errno = errno;
    int n = snprintf(line, sizeof(line), "akernel[%d] %s %s: ", (int)getpid(),
                     level_names[level], module);
    size_t used = n < 0 ? 0 : (size_t)n;
    if (used >= sizeof(line) - 1)
        used = sizeof(line) - 2;

    va_list args;
    va_start(args, format);
    n = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
    va_end(args);
    if (n > 0)
        used += (size_t)n;
    if (used > sizeof(line) - 2)
        used = sizeof(line) - 2;
    line[used++] = '\n';

    ssize_t written = write(log_fd, line, used);
    (void)written;
    errno = saved_errno;
}

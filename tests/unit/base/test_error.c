/* SPDX-License-Identifier: MIT */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"

enum {
    THING_E_ODD = 3
};

static void origin_is_negative(void) {
    assert(ak_error_origin(ENOMEM) == -ENOMEM);
    assert(ak_error_origin(-ENOMEM) == -ENOMEM);
}

static void trace_forwards(void) {
    assert(ak_error_trace(-EIO) == -EIO);
}

static void fold_swallows_outcomes(void) {
    int calls = 0;
    assert(ak_error_fold(0) == 0);
    assert(ak_error_fold(-EIO) == -EIO);
    assert(ak_error_fold(THING_E_ODD) == -ENOTRECOVERABLE);
    assert(ak_error_fold((calls++, 0)) == 0 && calls == 1);
}

/* What was logged at a level, read back. */
static size_t logged(enum ak_log_level level, const char *text, char *ret, size_t max) {
    int fds[2];
    assert(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
    ak_log_init(fds[1]);
    ak_log_set_level(AK_LOG_WARNING);
    if (ak_log_enabled(level))
        ak_log_write(level, "test", "%s", text);
    ssize_t n = read(fds[0], ret, max - 1);
    ret[n > 0 ? n : 0] = '\0';
    close(fds[0]);
    close(fds[1]);
    ak_log_init(STDERR_FILENO);
    return n > 0 ? (size_t)n : 0;
}

static void log_obeys_level(void) {
    char line[256];
    assert(logged(AK_LOG_INFO, "quiet", line, sizeof(line)) == 0);
    assert(logged(AK_LOG_WARNING, "loud", line, sizeof(line)) > 0);
    assert(strstr(line, "warning test: loud\n"));
}

static void log_cuts_long_lines(void) {
    char line[4096], text[4000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    size_t n = logged(AK_LOG_ERROR, text, line, sizeof(line));
    assert(n > 1000 && n <= 2048 && line[n - 1] == '\n');
}

static void log_keeps_errno(void) {
    char line[256];
    errno = EBUSY;
    ak_log_init(-1);
    ak_log_write(AK_LOG_ERROR, "test", "nobody reads this");
    assert(errno == EBUSY);
    (void)logged(AK_LOG_ERROR, "x", line, sizeof(line));
}

static void take_leaves_nothing(void) {
    char *text = strdup("x");
    char *taken = AK_TAKE(text);
    assert(taken && !text);
    free(taken);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int other = ak_take_fd(&fd);
    assert(other >= 0 && fd == -1);
    ak_close_clear(&other);
    ak_close_clear(&other);
    assert(other == -1);
}

static const struct ak_test tests[] = {
    {"origin-is-negative", origin_is_negative},
    {"trace-forwards", trace_forwards},
    {"fold-swallows-outcomes", fold_swallows_outcomes},
    {"log-obeys-level", log_obeys_level},
    {"log-cuts-long-lines", log_cuts_long_lines},
    {"log-keeps-errno", log_keeps_errno},
    {"take-leaves-nothing", take_leaves_nothing},
};

AK_TEST_MAIN(tests)

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One line a message to one descriptor (the process's original stderr), with a level
 * and the module's name. Only kernel/, worker/ and cli/ log above debug; a library
 * returns its error instead. The level is the only mutable state with file scope in the
 * project; it comes from AKERNEL_LOG (error, warning, info, debug) and is "warning" by
 * default. Any process, any thread: a line is one write(2).
 */

enum ak_log_level {
    AK_LOG_ERROR,
    AK_LOG_WARNING,
    AK_LOG_INFO,
    AK_LOG_DEBUG,
};

/* Reads AKERNEL_LOG and remembers the descriptor, which stays the caller's. */
void ak_log_init(int fd);
void ak_log_set_level(enum ak_log_level level);
/* The descriptor that lines go to. */
int ak_log_fd(void);
int ak_log_enabled(enum ak_log_level level);

void ak_log_write(enum ak_log_level level, const char *module, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));

#define AK_LOG_MODULE(name) static const char ak_log_module[] = name

#define ak_log_at(level, ...)                                                          \
    do {                                                                               \
        if (ak_log_enabled(level))                                                     \
            ak_log_write((level), ak_log_module, __VA_ARGS__);                         \
    } while (0)

#define ak_error(...) ak_log_at(AK_LOG_ERROR, __VA_ARGS__)
#define ak_warning(...) ak_log_at(AK_LOG_WARNING, __VA_ARGS__)
#define ak_info(...) ak_log_at(AK_LOG_INFO, __VA_ARGS__)
#define ak_debug(...) ak_log_at(AK_LOG_DEBUG, __VA_ARGS__)

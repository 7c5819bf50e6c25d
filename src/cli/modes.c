/* SPDX-License-Identifier: MIT */
#include "cli/modes.h"

#include <stdbool.h>
#include <string.h>

static const struct {
    const char *name;
    bool implemented;
} known[] = {
    {"async", true},      {"cache", true}, {"chained", true},
    {"concurrent", true}, {"multi", true}, {"react", true},
};

#define N_KNOWN (sizeof(known) / sizeof(known[0]))

static int refuse(struct ak_buf *message, const char *format, int len,
                  const char *name) {
    (void)ak_buf_addf(message, format, len, name);
    return -1;
}

static int find(const char *name, size_t len) {
    for (size_t i = 0; i < N_KNOWN; i++) {
        if (strlen(known[i].name) == len && memcmp(known[i].name, name, len) == 0)
            return (int)i;
    }
    return -1;
}

int ak_modes_parse(struct ak_modes *ret_modes, const char *text,
                   struct ak_buf *ret_message) {
    bool wanted[N_KNOWN] = {false};
    int n_schedules = 0;
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, "-");
        int i = find(p, len);
        if (i < 0)
            return refuse(ret_message,
                          "\"%.*s\" is not a mode: the modes are async, concurrent, "
                          "chained, react, cache and multi, joined by dashes",
                          (int)len, p);
        if (!known[i].implemented)
            return refuse(ret_message, "the mode \"%.*s\" is not implemented yet",
                          (int)len, p);
        wanted[i] = true;
        p += len + (p[len] == '-');
    }
    *ret_modes = (struct ak_modes){0};
    for (size_t i = 0; i < N_KNOWN; i++) {
        if (!wanted[i])
            continue;
        n_schedules += strcmp(known[i].name, "async") == 0 ||
                       strcmp(known[i].name, "concurrent") == 0 ||
                       strcmp(known[i].name, "chained") == 0;
        if (strcmp(known[i].name, "async") != 0)
            ret_modes->names[ret_modes->n_names++] = known[i].name;
    }
    if (n_schedules > 1)
        return refuse(ret_message, "%.*s", 63,
                      "only one of async, concurrent and chained can be chosen");
    return 0;
}

int ak_modes_kernel_name(const struct ak_modes *modes, struct ak_buf *ret_name) {
    int r = ak_buf_add_str(ret_name, "akernel");
    for (size_t i = 0; i < modes->n_names && !r; i++)
        r = ak_buf_addf(ret_name, "-%s", modes->names[i]);
    return r;
}

bool ak_modes_has(const struct ak_modes *modes, const char *name) {
    for (size_t i = 0; i < modes->n_names; i++) {
        if (strcmp(modes->names[i], name) == 0)
            return true;
    }
    return false;
}

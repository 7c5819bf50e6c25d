/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/evict.h"

int ak_limits_parse_bytes(const char *text, uint64_t *ret_bytes) {
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || errno || !(value >= 0))
        return -1;
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    for (const char *u = units; unit && u <= unit; u++)
        value *= 1000;
    if (unit)
        end++;
    if (strcmp(end, "B") == 0)
        end++;
    if (*end || value > 1e18)
        return -1;
    *ret_bytes = (uint64_t)value;
    return 0;
}

int ak_limits_parse_days(const char *text, uint64_t *ret_seconds) {
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || errno || *end || !(value >= 0) || value > 1e6)
        return -1;
    *ret_seconds = (uint64_t)(value * 86400);
    return 0;
}

int ak_limits_from_environment(struct ak_limits *ret_limits,
                               struct ak_buf *ret_message) {
    const char *bytes = getenv("AKERNEL_CACHE_MAX_BYTES");
    const char *days = getenv("AKERNEL_CACHE_MAX_DAYS");
    *ret_limits = AK_LIMITS_DEFAULT;
    if (bytes && bytes[0] && ak_limits_parse_bytes(bytes, &ret_limits->max_bytes) < 0) {
        (void)ak_buf_addf(ret_message,
                          "AKERNEL_CACHE_MAX_BYTES is \"%s\", which is no size: write "
                          "500M or 20G",
                          bytes);
        return -1;
    }
    if (days && days[0] && ak_limits_parse_days(days, &ret_limits->max_age_s) < 0) {
        (void)ak_buf_addf(
            ret_message, "AKERNEL_CACHE_MAX_DAYS is \"%s\", which is no number of days",
            days);
        return -1;
    }
    return 0;
}

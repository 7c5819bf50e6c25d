/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include "cache/url.h"

static void check(const char *text, bool tls, const char *host, const char *port,
                  const char *user, const char *password, unsigned database) {
    AK_CLEANUP(ak_url_done) struct ak_url url;
    AK_BUF_AUTO message = {0};
    int r = ak_url_parse(&url, text, &message);
    if (r)
        fprintf(stderr, "%s: %s\n", text, ak_buf_str(&message));
    assert(r == 0);
    assert(url.tls == tls && url.database == database);
    assert(strcmp(ak_buf_str(&url.host), host) == 0);
    assert(strcmp(ak_buf_str(&url.port), port) == 0);
    assert(strcmp(ak_buf_str(&url.user), user) == 0);
    assert(strcmp(ak_buf_str(&url.password), password) == 0);
}

static void good(void) {
    check("redis://h", false, "h", "6379", "", "", 0);
    check("redis://h/", false, "h", "6379", "", "", 0);
    check("rediss://cache.example:7000/3", true, "cache.example", "7000", "", "", 3);
    check("redis://:secret@h", false, "h", "6379", "", "secret", 0);
    check("redis://me:secret@h:1", false, "h", "1", "me", "secret", 0);
    check("redis://me:a%40b%2Fc%25@h", false, "h", "6379", "me", "a@b/c%", 0);
    check("redis://me:a@b@h", false, "h", "6379", "me", "a@b", 0);
    check("redis://[::1]:6380/15", false, "::1", "6380", "", "", 15);
    check("redis://[fe80::1]", false, "fe80::1", "6379", "", "", 0);
}

static void bad(void) {
    static const char *const texts[] = {
        "",
        "h",
        "http://h",
        "redis:",
        "redis://",
        "redis://:6379",
        "redis://h:",
        "redis://h:port",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:-1",
        "redis://[::1",
        "redis://[::1]x",
        "redis://h/x",
        "redis://h/1x",
        "redis://h/70000",
        "redis://h/-1",
        "redis://h?db=1",
        "redis://:sesame%zz@h",
        "redis://:sesame%4@h",
        "redis://:sesame%00@h",
        "redis://:sesame@",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct ak_url url;
        AK_BUF_AUTO message = {0};
        if (ak_url_parse(&url, texts[i], &message) == 0)
            fprintf(stderr, "%s is taken\n", texts[i]);
        assert(message.len && !strstr(ak_buf_str(&message), "sesame"));
    }
}

static const struct ak_test tests[] = {
    {"good", good},
    {"bad", bad},
};
AK_TEST_MAIN(tests)

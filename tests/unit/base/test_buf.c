/* SPDX-License-Identifier: MIT */
#include "../test.h"

#include <errno.h>
#include <stdbool.h>

#include "base/buf.h"

static void starts_empty(void) {
    AK_BUF_AUTO buf = {0};
    assert(strcmp(ak_buf_str(&buf), "") == 0);
    assert(!ak_buf_take(&buf));
    ak_buf_clear(&buf);
    ak_buf_consume(&buf, 0);
    assert(ak_buf_add(&buf, NULL, 0) == 0);
    assert(buf.len == 0 && strcmp(ak_buf_str(&buf), "") == 0);
}

static void grows(void) {
    AK_BUF_AUTO buf = {0};
    for (int i = 0; i < 10000; i++)
        assert(ak_buf_addf(&buf, "%d,", i % 10) == 0);
    assert(buf.len == 20000 && buf.data[20000] == '\0');
    assert(strncmp(buf.data + 19990, "5,6,7,8,9,", 10) == 0);
}

static void refuses_overflow(void) {
    AK_BUF_AUTO buf = {0};
    assert(ak_buf_add_str(&buf, "kept") == 0);
    assert(ak_buf_reserve(&buf, SIZE_MAX) == -ENOMEM);
    assert(ak_buf_reserve(&buf, SIZE_MAX / 2 - 3) == -ENOMEM);
    assert(strcmp(ak_buf_str(&buf), "kept") == 0);
}

static void keeps_nul_bytes(void) {
    AK_BUF_AUTO buf = {0};
    assert(ak_buf_add(&buf, "a\0b", 3) == 0 && ak_buf_add_char(&buf, '\0') == 0);
    assert(buf.len == 4 && memcmp(buf.data, "a\0b\0", 5) == 0);
}

static void consumes(void) {
    AK_BUF_AUTO buf = {0};
    assert(ak_buf_add_str(&buf, "abcdef") == 0);
    ak_buf_consume(&buf, 4);
    assert(strcmp(ak_buf_str(&buf), "ef") == 0 && buf.len == 2);
    ak_buf_consume(&buf, 2);
    assert(strcmp(ak_buf_str(&buf), "") == 0 && buf.len == 0);
}

static void hands_over(void) {
    AK_BUF_AUTO buf = {0};
    assert(ak_buf_add_str(&buf, "mine") == 0);
    AK_CLEANUP(ak_freep) char *text = ak_buf_take(&buf);
    assert(strcmp(text, "mine") == 0);
    assert(!buf.data && buf.len == 0 && buf.cap == 0);
    assert(ak_buf_add_str(&buf, "again") == 0);
}

static void check_json(const char *text, size_t len, const char *expected) {
    AK_BUF_AUTO buf = {0};
    assert(ak_buf_add_json_string(&buf, text, len) == 0);
    if (strcmp(ak_buf_str(&buf), expected) != 0) {
        fprintf(stderr, "got %s, wanted %s\n", ak_buf_str(&buf), expected);
        assert(false);
    }
}

static void json_escapes(void) {
    check_json("", 0, "\"\"");
    check_json("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
    check_json("\n\r\t", 3, "\"\\n\\r\\t\"");
    check_json("\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\x7f\"");
}

static void json_keeps_utf8(void) {
    check_json("é€😀", 9, "\"é€😀\"");
    check_json("\xED\x9F\xBF\xEE\x80\x80", 6, "\"\xED\x9F\xBF\xEE\x80\x80\"");
    check_json("\xF4\x8F\xBF\xBF", 4, "\"\xF4\x8F\xBF\xBF\"");
}

#define BAD "\xEF\xBF\xBD"

static void json_replaces_bad_utf8(void) {
    check_json("\xFF\xFE", 2, "\"" BAD BAD "\"");
    check_json("a\x80z", 3, "\"a" BAD "z\"");
    /* overlong forms */
    check_json("\xC0\x80", 2, "\"" BAD BAD "\"");
    check_json("\xE0\x9F\x80", 3, "\"" BAD BAD BAD "\"");
    check_json("\xF0\x8F\x80\x80", 4, "\"" BAD BAD BAD BAD "\"");
    /* a surrogate, and above U+10FFFF */
    check_json("\xED\xA0\x80", 3, "\"" BAD BAD BAD "\"");
    check_json("\xF4\x90\x80\x80", 4, "\"" BAD BAD BAD BAD "\"");
    check_json("\xF5\x80\x80\x80", 4, "\"" BAD BAD BAD BAD "\"");
    /* cut short, at the end and by another character */
    check_json("\xE2\x82", 2, "\"" BAD BAD "\"");
    check_json("\xE2\x82\"", 3, "\"" BAD BAD "\\\"\"");
}

static const struct ak_test tests[] = {
    {"starts-empty", starts_empty},
    {"grows", grows},
    {"refuses-overflow", refuses_overflow},
    {"keeps-nul-bytes", keeps_nul_bytes},
    {"consumes", consumes},
    {"hands-over", hands_over},
    {"json-escapes", json_escapes},
    {"json-keeps-utf8", json_keeps_utf8},
    {"json-replaces-bad-utf8", json_replaces_bad_utf8},
};

AK_TEST_MAIN(tests)

/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include "base/buf.h"

static void grows(void) {
    AK_BUF_AUTO buf = {0};
    assert(strcmp(ak_buf_str(&buf), "") == 0);
    for (int i = 0; i < 10000; i++)
        assert(ak_buf_add_char(&buf, (char)('a' + i % 26)) == 0);
    assert(buf.len == 10000 && buf.data[9999] == 'a' + 9999 % 26);
    assert(buf.data[10000] == '\0');
    char *taken = ak_buf_take(&buf);
    assert(taken && buf.data == NULL && buf.len == 0);
    free(taken);
}

static void check_json(const char *text, size_t len, const char *expected) {
    AK_BUF_AUTO buf = {0};
    assert(ak_buf_add_json_string(&buf, text, len) == 0);
    assert(strcmp(ak_buf_str(&buf), expected) == 0);
}

static void json_plain(void) {
    check_json("", 0, "\"\"");
    check_json("abc", 3, "\"abc\"");
    check_json("\xC3\xBC\xE2\x98\x83\xF0\x9D\x94\x98", 9,
               "\"\xC3\xBC\xE2\x98\x83\xF0\x9D\x94\x98\"");
}

static void json_escapes(void) {
    check_json("a\"b\\c\n\r\t\x01\x1b", 10, "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u001b\"");
    check_json("\0x", 2, "\"\\u0000x\"");
}

/* Every byte that belongs to no sequence becomes one U+FFFD. */
static void json_bad_utf8(void) {
    static const char *const bad[] = {"\x80",     "\xC3",         "\xC0\xAF",
                                      "\xED\xA0", "\xF4\x90\x80", "\xFF\xFE"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        AK_BUF_AUTO expected = {0};
        assert(ak_buf_add_char(&expected, '"') == 0);
        for (size_t k = 0; k < strlen(bad[i]); k++)
            assert(ak_buf_add_str(&expected, "\xEF\xBF\xBD") == 0);
        assert(ak_buf_add_str(&expected, "\"") == 0);
        check_json(bad[i], strlen(bad[i]), ak_buf_str(&expected));
    }
}

static void consume(void) {
    AK_BUF_AUTO buf = {0};
    assert(ak_buf_add_str(&buf, "hello world") == 0);
    ak_buf_consume(&buf, 6);
    assert(strcmp(ak_buf_str(&buf), "world") == 0);
    ak_buf_consume(&buf, 5);
    assert(buf.len == 0);
}

static void formats(void) {
    AK_BUF_AUTO buf = {0};
    assert(ak_buf_addf(&buf, "%d-%s", 42, "x") == 0);
    assert(ak_buf_addf(&buf, "%0200d", 7) == 0);
    assert(buf.len == 204);
}

static const struct ak_test tests[] = {
    {"grows", grows},
    {"json-plain", json_plain},
    {"json-escapes", json_escapes},
    {"json-bad-utf8", json_bad_utf8},
    {"consume", consume},
    {"formats", formats},
};
AK_TEST_MAIN(tests)

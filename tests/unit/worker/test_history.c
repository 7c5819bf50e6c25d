/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include "worker/history.h"

static struct ak_bytes text(const char *s) {
    return ak_bytes(s, strlen(s));
}

static struct ak_history *sample(void) {
    struct ak_history *history;
    assert(ak_history_new(&history) == 0);
    ak_history_add(history, 1, text("a = 1"), text(""));
    ak_history_add(history, 2, text("a + 1"), text("2"));
    ak_history_add(history, 3, text("a = 1"), text(""));
    return history;
}

static void expect(struct ak_history *history, const char *request,
                   const char *expected) {
    AK_BUF_AUTO content = {0};
    assert(ak_history_answer(history, text(request), &content) == 0);
    if (!strstr(ak_buf_str(&content), expected))
        fprintf(stderr, "%s: %s\n", request, ak_buf_str(&content));
    assert(strstr(ak_buf_str(&content), expected));
}

static void tail(void) {
    AK_CLEANUP(ak_history_freep) struct ak_history *history = sample();
    expect(history, "{\"hist_access_type\": \"tail\", \"n\": 2, \"output\": true}",
           "[[1, 2, [\"a + 1\", \"2\"]], [1, 3, [\"a = 1\", null]]]");
    expect(history, "{\"hist_access_type\": \"tail\", \"n\": 0}", "\"history\": []");
}

static void range(void) {
    AK_CLEANUP(ak_history_freep) struct ak_history *history = sample();
    expect(
        history,
        "{\"hist_access_type\": \"range\", \"session\": 0, \"start\": 2, \"stop\": 3}",
        "[[1, 2, \"a + 1\"]]");
    expect(history, "{\"hist_access_type\": \"range\", \"session\": -5, \"start\": 1}",
           "\"history\": []");
}

static void search(void) {
    AK_CLEANUP(ak_history_freep) struct ak_history *history = sample();
    expect(history, "{\"hist_access_type\": \"search\", \"pattern\": \"*=*\"}",
           "[[1, 1, \"a = 1\"], [1, 3, \"a = 1\"]]");
    expect(history,
           "{\"hist_access_type\": \"search\", \"pattern\": \"a*\", \"unique\": true}",
           "[[1, 2, \"a + 1\"], [1, 3, \"a = 1\"]]");
    expect(history,
           "{\"hist_access_type\": \"search\", \"pattern\": \"a ? 1\", \"n\": 1}",
           "[[1, 3, \"a = 1\"]]");
}

static void bounded(void) {
    AK_CLEANUP(ak_history_freep) struct ak_history *history = sample();
    for (long i = 4; i < 3 * (long)AK_HISTORY_ENTRIES_MAX; i++)
        ak_history_add(history, i, text("x"), text(""));
    expect(history, "{\"hist_access_type\": \"range\", \"start\": 1, \"stop\": 5}",
           "\"history\": []");
}

/* A world that ends before its first cell has one. */
static void empty(void) {
    AK_CLEANUP(ak_history_freep) struct ak_history *history = NULL;
    assert(ak_history_new(&history) == 0);
    expect(history, "{\"hist_access_type\": \"tail\", \"n\": 2}", "\"history\": []");
}

static void nonsense(void) {
    AK_CLEANUP(ak_history_freep) struct ak_history *history = sample();
    expect(history, "{", "\"status\": \"error\"");
    expect(history, "[]", "is not a JSON object");
    char deep[4001];
    memset(deep, '[', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = 0;
    expect(history, deep, "is nested deeper than 2048 levels");
    expect(history, "{\"hist_access_type\": 5, \"n\": \"x\", \"output\": []}",
           "\"status\": \"ok\"");
}

static const struct ak_test tests[] = {
    {"tail", tail},       {"range", range},       {"search", search},
    {"bounded", bounded}, {"nonsense", nonsense}, {"empty", empty},
};
AK_TEST_MAIN(tests)

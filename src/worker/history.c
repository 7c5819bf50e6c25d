/* SPDX-License-Identifier: MIT */
/*
 * An array of entries in order of execution; when it is full the oldest tenth goes, so
 * that the moving is rare. A database on a home directory over the network can stall or
 * break every cell; memory cannot.
 */
#include "worker/history.h"

#include <errno.h>
#include <fnmatch.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct entry {
    long line;
    char *input;  /* owned */
    char *output; /* owned; "" when there was none */
};

struct ak_history {
    struct entry *entries; /* owned */
    size_t n_entries;
    size_t cap;
    size_t n_bytes;
};

struct query {
    bool output;
    bool unique;
    long session;
    long start;
    long stop;
    size_t n;
    const char *pattern;
};

int ak_history_new(struct ak_history **ret_history) {
    struct ak_history *history = calloc(1, sizeof(*history));
    if (!history)
        return ak_error_origin(ENOMEM);
    *ret_history = history;
    return 0;
}

static size_t weight(const struct entry *entry) {
    return strlen(entry->input) + strlen(entry->output);
}

static void drop_oldest(struct ak_history *history, size_t n) {
    if (!n)
        return; /* there may be no array yet */
    for (size_t i = 0; i < n; i++) {
        history->n_bytes -= weight(&history->entries[i]);
        free(history->entries[i].input);
        free(history->entries[i].output);
    }
    history->n_entries -= n;
    memmove(history->entries, history->entries + n,
            history->n_entries * sizeof(*history->entries));
}

struct ak_history *ak_history_free(struct ak_history *history) {
    if (!history)
        return NULL;
    drop_oldest(history, history->n_entries);
    free(history->entries);
    free(history);
    return NULL;
}

static bool make_room(struct ak_history *history) {
    if (history->n_entries >= AK_HISTORY_ENTRIES_MAX)
        drop_oldest(history, AK_HISTORY_ENTRIES_MAX / 10);
    if (history->n_entries < history->cap)
        return true;
    size_t cap = history->cap ? history->cap * 2 : 64;
    struct entry *entries = realloc(history->entries, cap * sizeof(*entries));
    if (!entries)
        return false;
    history->entries = entries;
    history->cap = cap;
    return true;
}

void ak_history_add(struct ak_history *history, long execution_count,
                    struct ak_bytes input, struct ak_bytes output) {
    if (!make_room(history))
        return;
    struct entry entry = {
        .line = execution_count,
        .input = strndup(input.data, input.len),
        .output = strndup(output.data, output.len),
    };
    if (!entry.input || !entry.output) {
        free(entry.input);
        free(entry.output);
        return;
    }
    history->entries[history->n_entries++] = entry;
    history->n_bytes += weight(&entry);
    while (history->n_bytes > AK_HISTORY_BYTES_MAX && history->n_entries > 1)
        drop_oldest(history, 1);
}

/* [session, line, input] or, with outputs, [session, line, [input, output or null]]. */
static int add_entry(const struct entry *entry, bool output, struct ak_buf *buf) {
    int r = ak_buf_addf(buf, "[1, %ld, %s", entry->line, output ? "[" : "");
    if (!r)
        r = ak_buf_add_json_string(buf, entry->input, strlen(entry->input));
    if (!r && output) {
        r = ak_buf_add_str(buf, ", ");
        if (!r && entry->output[0])
            r = ak_buf_add_json_string(buf, entry->output, strlen(entry->output));
        else if (!r)
            r = ak_buf_add_str(buf, "null");
        if (!r)
            r = ak_buf_add_char(buf, ']');
    }
    return r ? r : ak_buf_add_char(buf, ']');
}

static bool is_later_input(const struct ak_history *history, size_t index) {
    for (size_t i = index + 1; i < history->n_entries; i++) {
        if (strcmp(history->entries[i].input, history->entries[index].input) == 0)
            return true;
    }
    return false;
}

static bool matches(const struct ak_history *history, size_t index,
                    const struct query *query) {
    const struct entry *entry = &history->entries[index];
    if (query->pattern && fnmatch(query->pattern, entry->input, 0) != 0)
        return false;
    if (query->stop >= 0 && (entry->line < query->start || entry->line >= query->stop))
        return false;
    return !query->unique || !is_later_input(history, index);
}

static int select_entries(struct ak_history *history, const struct query *query,
                          struct ak_buf *buf) {
    /* The newest n that match, told oldest first. */
    size_t first = history->n_entries, found = 0;
    while (first > 0 && found < query->n) {
        first--;
        found += matches(history, first, query);
    }
    bool comma = false;
    int r = 0;
    for (size_t i = first; i < history->n_entries && !r; i++) {
        if (!matches(history, i, query))
            continue;
        r = comma ? ak_buf_add_str(buf, ", ") : 0;
        comma = true;
        if (!r)
            r = add_entry(&history->entries[i], query->output, buf);
    }
    return r;
}

static long integer(json_t *object, const char *name, long otherwise) {
    json_t *value = json_object_get(object, name); /* borrowed */
    return json_is_integer(value) ? (long)json_integer_value(value) : otherwise;
}

static void parse(json_t *object, const struct ak_history *history,
                  struct query *query) {
    const char *kind = json_string_value(json_object_get(object, "hist_access_type"));
    long newest =
        history->n_entries ? history->entries[history->n_entries - 1].line : 0;
    query->output = json_is_true(json_object_get(object, "output"));
    query->n = SIZE_MAX;
    query->stop = -1;
    if (kind && strcmp(kind, "range") == 0) {
        long session = integer(object, "session", 0);
        query->start = integer(object, "start", 1);
        query->stop = integer(object, "stop", newest + 1);
        if (query->stop < 0)
            query->stop = newest + 1;
        /* 0 is this session; others are of kernels that are gone. */
        if (session != 0 && session != 1)
            query->n = 0;
        return;
    }
    long n = integer(object, "n", kind && strcmp(kind, "search") == 0 ? -1 : 10);
    query->n = n < 0 ? SIZE_MAX : (size_t)n;
    if (kind && strcmp(kind, "search") == 0) {
        const char *pattern = json_string_value(json_object_get(object, "pattern"));
        query->pattern = pattern ? pattern : "*";
        query->unique = json_is_true(json_object_get(object, "unique"));
    }
}

static int refuse(bool too_deep, struct ak_buf *ret_content) {
    AK_BUF_AUTO why = {0};
    int r = too_deep ? ak_buf_addf(&why, "is nested deeper than %d levels",
                                   JSON_PARSER_MAX_DEPTH)
                     : ak_buf_add_str(&why, "is not a JSON object");
    return r ? ak_error_trace(r)
             : ak_buf_addf(ret_content,
                           "{\"status\": \"error\", \"ename\": \"ValueError\", "
                           "\"evalue\": \"the content of this history_request %s\", "
                           "\"traceback\": [], \"history\": []}",
                           why.data);
}

int ak_history_answer(struct ak_history *history, struct ak_bytes content,
                      struct ak_buf *ret_content) {
    json_error_t error = {0};
    json_auto_t *object = json_loadb(content.data, content.len, 0, &error);
    if (!json_is_object(object))
        return refuse(!object && json_error_code(&error) == json_error_stack_overflow,
                      ret_content);
    struct query query = {0};
    parse(object, history, &query);
    int r = ak_buf_add_str(ret_content, "{\"status\": \"ok\", \"history\": [");
    if (!r)
        r = select_entries(history, &query, ret_content);
    if (!r)
        r = ak_buf_add_str(ret_content, "]}");
    return r ? ak_error_trace(r) : 0;
}

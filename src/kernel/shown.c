/* SPDX-License-Identifier: MIT */
/*
 * Outputs are kept as the sequence that went out, so that showing them again comes to
 * the same end: clear_output drops what it clears, text that continues text is one
 * output, and of updates of one display that follow each other only the last is kept,
 * else a progress bar would fill everything.
 *
 * Every output is in two lists, of its run and of all by age. When the bound is passed
 * the oldest of all goes first, whoever's it is: what was missed is recent.
 */
#include "kernel/shown.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/map.h"

#define TEXT_MAX (64u << 10) /* text grows older with its first byte */
#define PARSE_MAX (1u << 20) /* what is longer is not looked into */
#define CELLS_MAX 4096u      /* runs that are remembered */
#define FIRST_LINE_MAX 60

struct entry {
    struct ak_list link;        /* ak_shown_cell.outputs */
    struct ak_list age;         /* ak_shown.by_age */
    struct ak_shown_cell *cell; /* borrowed */
    enum ak_kind kind;
    int stream;
    struct ak_buf content;
    struct ak_buf metadata;
    char *display_id; /* owned: of an update, or NULL */
};

struct ak_shown {
    struct ak_list cells;  /* ak_shown_cell.link */
    struct ak_list by_age; /* entry.age */
    struct ak_map *by_cell_id;
    struct ak_map *by_request;
    size_t bytes;
    size_t limit;
};

static size_t size_of(const struct entry *entry) {
    return sizeof(*entry) + entry->content.cap + entry->metadata.cap;
}

static void free_entry(struct ak_shown *shown, struct entry *entry) {
    shown->bytes -= size_of(entry);
    ak_list_remove(&entry->link);
    ak_list_remove(&entry->age);
    ak_buf_done(&entry->content);
    ak_buf_done(&entry->metadata);
    free(entry->display_id);
    free(entry);
}

static void free_outputs(struct ak_shown *shown, struct ak_shown_cell *cell) {
    ak_list_for_each(node, next, &cell->outputs) {
        free_entry(shown, ak_list_entry(node, struct entry, link));
    }
}

static void free_cell(struct ak_shown *shown, struct ak_shown_cell *cell) {
    free_outputs(shown, cell);
    ak_map_remove(shown->by_cell_id, cell->cell_id, strlen(cell->cell_id));
    ak_map_remove(shown->by_request, &cell->request, sizeof(cell->request));
    ak_list_remove(&cell->link);
    ak_buf_done(&cell->watcher);
    free(cell->cell_id);
    free(cell->session);
    free(cell->first_line);
    free(cell);
}

int ak_shown_new(struct ak_shown **ret_shown, size_t limit) {
    AK_CLEANUP(ak_shown_freep) struct ak_shown *shown = calloc(1, sizeof(*shown));
    if (!shown)
        return ak_error_origin(ENOMEM);
    ak_list_init(&shown->cells);
    ak_list_init(&shown->by_age);
    shown->limit = limit;
    int r = ak_map_new(&shown->by_cell_id);
    if (!r)
        r = ak_map_new(&shown->by_request);
    if (r)
        return ak_error_trace(r);
    *ret_shown = AK_TAKE(shown);
    return 0;
}

struct ak_shown *ak_shown_free(struct ak_shown *shown) {
    if (!shown)
        return NULL;
    if (shown->by_cell_id && shown->by_request) {
        ak_list_for_each(node, next, &shown->cells) {
            free_cell(shown, ak_list_entry(node, struct ak_shown_cell, link));
        }
    }
    shown->by_cell_id = ak_map_free(shown->by_cell_id);
    shown->by_request = ak_map_free(shown->by_request);
    free(shown);
    return NULL;
}

/* Runs that are over make room for new ones, the oldest first. */
static void limit_cells(struct ak_shown *shown) {
    ak_list_for_each(node, next, &shown->cells) {
        struct ak_shown_cell *cell = ak_list_entry(node, struct ak_shown_cell, link);
        if (ak_map_count(shown->by_request) < CELLS_MAX)
            return;
        if (cell->ended_at != UINT64_MAX)
            free_cell(shown, cell);
    }
}

int ak_shown_begin(struct ak_shown *shown, const char *cell_id, const char *session,
                   uint64_t request) {
    size_t len = strlen(cell_id);
    struct ak_shown_cell *older = ak_map_get(shown->by_cell_id, cell_id, len);
    if (older)
        free_cell(shown, older);
    limit_cells(shown);
    struct ak_shown_cell *cell = calloc(1, sizeof(*cell));
    if (!cell)
        return ak_error_origin(ENOMEM);
    ak_list_init(&cell->outputs);
    ak_list_append(&shown->cells, &cell->link);
    cell->request = request;
    cell->began_at = ak_clock_now();
    cell->ended_at = UINT64_MAX;
    cell->cell_id = strdup(cell_id);
    cell->session = strdup(session);
    if (!cell->cell_id || !cell->session ||
        ak_map_put(shown->by_cell_id, cell_id, len, cell, NULL) ||
        ak_map_put(shown->by_request, &request, sizeof(request), cell, NULL)) {
        if (!cell->cell_id)
            cell->cell_id = calloc(1, 1);
        if (cell->cell_id)
            free_cell(shown, cell);
        return ak_error_origin(ENOMEM);
    }
    return 0;
}

struct ak_shown_cell *ak_shown_find(const struct ak_shown *shown, uint64_t request) {
    return ak_map_count(shown->by_request)
               ? ak_map_get(shown->by_request, &request, sizeof(request))
               : NULL;
}

static json_t *parse(struct ak_bytes content) {
    return content.len <= PARSE_MAX ? json_loadb(content.data, content.len, 0, NULL)
                                    : NULL;
}

/* What a person recognises a cell by. */
static void take_input(struct ak_shown_cell *cell, struct ak_bytes content) {
    json_auto_t *input = parse(content);
    const char *code = json_string_value(json_object_get(input, "code"));
    cell->execution_count =
        (long)json_integer_value(json_object_get(input, "execution_count"));
    if (!code)
        return;
    code += strspn(code, "\r\n\t ");
    size_t len = strcspn(code, "\r\n");
    bool cut = len > FIRST_LINE_MAX;
    if (cut) {
        len = FIRST_LINE_MAX;
        while (len > 0 && ((unsigned char)code[len] & 0xC0) == 0x80)
            len--;
    }
    AK_BUF_AUTO line = {0};
    if (ak_buf_add(&line, code, len) || ak_buf_add_str(&line, cut ? "..." : ""))
        return;
    free(cell->first_line);
    cell->first_line = ak_buf_take(&line);
}

static char *display_id_of(const struct ak_shown_output *output) {
    if (output->kind != AK_KIND_UPDATE_DISPLAY_DATA)
        return NULL;
    json_auto_t *content = parse(output->content);
    const char *id = json_string_value(
        json_object_get(json_object_get(content, "transient"), "display_id"));
    return id ? strdup(id) : NULL;
}

/* The last output of the run when the new one continues or replaces it. */
static struct entry *last(const struct ak_shown_cell *cell) {
    return ak_list_empty(&cell->outputs)
               ? NULL
               : ak_list_entry(cell->outputs.prev, struct entry, link);
}

static bool continues(struct ak_shown *shown, struct ak_shown_cell *cell,
                      const struct ak_shown_output *output) {
    struct entry *entry = last(cell);
    if (!output->stream || !entry || entry->stream != output->stream ||
        entry->content.len + output->content.len > TEXT_MAX)
        return false;
    size_t before = size_of(entry);
    if (ak_buf_add(&entry->content, output->content.data, output->content.len))
        return false;
    shown->bytes += size_of(entry) - before;
    return true;
}

static void make_room(struct ak_shown *shown) {
    while (shown->bytes > shown->limit && !ak_list_empty(&shown->by_age)) {
        struct entry *oldest = ak_list_entry(shown->by_age.next, struct entry, age);
        oldest->cell->n_forgotten += oldest->content.len;
        free_entry(shown, oldest);
    }
}

static void append(struct ak_shown *shown, struct ak_shown_cell *cell,
                   const struct ak_shown_output *output) {
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry) {
        cell->n_forgotten += output->content.len;
        return;
    }
    entry->cell = cell;
    entry->kind = output->kind;
    entry->stream = output->stream;
    entry->display_id = display_id_of(output);
    struct entry *before = last(cell);
    if (entry->display_id && before && before->display_id &&
        strcmp(entry->display_id, before->display_id) == 0)
        free_entry(shown, before);
    ak_list_append(&cell->outputs, &entry->link);
    ak_list_append(&shown->by_age, &entry->age);
    bool kept =
        ak_buf_add(&entry->content, output->content.data, output->content.len) == 0 &&
        ak_buf_add(&entry->metadata, output->metadata.data, output->metadata.len) == 0;
    shown->bytes += size_of(entry);
    if (!kept) {
        cell->n_forgotten += output->content.len;
        free_entry(shown, entry);
    }
}

void ak_shown_add(struct ak_shown *shown, struct ak_shown_cell *cell,
                  const struct ak_shown_output *output) {
    if (output->kind == AK_KIND_EXECUTE_INPUT) {
        take_input(cell, output->content);
        return;
    }
    if (output->kind == AK_KIND_CLEAR_OUTPUT) {
        json_auto_t *content = parse(output->content);
        cell->clears = json_is_true(json_object_get(content, "wait"));
        if (!cell->clears)
            free_outputs(shown, cell);
        return;
    }
    if (cell->clears) {
        cell->clears = false;
        free_outputs(shown, cell);
    }
    if (output->content.len > shown->limit)
        cell->n_forgotten += output->content.len;
    else if (!continues(shown, cell, output))
        append(shown, cell, output);
    make_room(shown);
}

size_t ak_shown_bytes(const struct ak_shown *shown) {
    return shown->bytes;
}

const struct ak_list *ak_shown_cells(const struct ak_shown *shown) {
    return &shown->cells;
}

void ak_shown_each(const struct ak_shown_cell *cell,
                   void (*visit)(void *context, const struct ak_shown_output *output),
                   void *context) {
    ak_list_for_each(node, next, &cell->outputs) {
        const struct entry *entry = ak_list_entry(node, struct entry, link);
        struct ak_shown_output output = {
            .kind = entry->kind,
            .stream = entry->stream,
            .content = ak_bytes(entry->content.data, entry->content.len),
            .metadata = ak_bytes(entry->metadata.data, entry->metadata.len),
        };
        visit(context, &output);
    }
}

/* SPDX-License-Identifier: MIT */
#include "kernel/shown.h"

#include <stdlib.h>

#include "unit/test.h"

struct world {
    struct ak_shown *shown;
    struct ak_buf seen; /* what ak_shown_each told, in one line */
};

static void see(void *context, const struct ak_shown_output *output) {
    struct ak_buf *seen = context;
    assert(ak_buf_addf(
               seen, "%d:%.*s|", output->stream ? output->stream : (int)output->kind,
               (int)output->content.len, (const char *)output->content.data) == 0);
}

static const char *look(struct world *world, uint64_t request) {
    struct ak_shown_cell *cell = ak_shown_find(world->shown, request);
    ak_buf_clear(&world->seen);
    if (cell)
        ak_shown_each(cell, see, &world->seen);
    assert(ak_buf_add_char(&world->seen, '\0') == 0);
    return world->seen.data;
}

static void add(struct world *world, uint64_t request, enum ak_kind kind, int stream,
                const char *text) {
    struct ak_shown_output output = {.kind = kind,
                                     .stream = stream,
                                     .content = ak_bytes(text, strlen(text)),
                                     .metadata = ak_bytes("{}", 2)};
    ak_shown_add(world->shown, ak_shown_find(world->shown, request), &output);
}

static struct world open_world(size_t limit) {
    struct world world = {0};
    assert(ak_shown_new(&world.shown, limit) == 0);
    assert(ak_shown_begin(world.shown, "a", "s", 1) == 0);
    return world;
}

static void close_world(struct world *world) {
    ak_buf_done(&world->seen);
    world->shown = ak_shown_free(world->shown);
}

static void keeps_the_order(void) {
    struct world world = open_world(1u << 20);
    assert(ak_shown_begin(world.shown, "b", "t", 2) == 0);
    add(&world, 1, 0, 1, "out");
    add(&world, 2, 0, 1, "other");
    add(&world, 1, 0, 2, "err");
    add(&world, 1, AK_KIND_ERROR, 0, "{}");
    assert(strcmp(look(&world, 1), "1:out|2:err|16:{}|") == 0);
    assert(strcmp(look(&world, 2), "1:other|") == 0);
    assert(strcmp(look(&world, 3), "") == 0);
    add(&world, 1, AK_KIND_EXECUTE_INPUT, 0,
        "{\"code\": \"\\n  x = 1\\ny\", \"execution_count\": 7}");
    assert(ak_shown_find(world.shown, 1)->execution_count == 7);
    assert(strcmp(ak_shown_find(world.shown, 1)->first_line, "x = 1") == 0);
    close_world(&world);
}

static void joins_text(void) {
    struct world world = open_world(1u << 20);
    for (int i = 0; i < 3; i++)
        add(&world, 1, 0, 1, "ab");
    assert(strcmp(look(&world, 1), "1:ababab|") == 0);
    close_world(&world);
}

static void clears(void) {
    struct world world = open_world(1u << 20);
    add(&world, 1, 0, 1, "gone");
    add(&world, 1, AK_KIND_CLEAR_OUTPUT, 0, "{\"wait\": true}");
    assert(strcmp(look(&world, 1), "1:gone|") == 0);
    add(&world, 1, 0, 1, "new");
    assert(strcmp(look(&world, 1), "1:new|") == 0);
    add(&world, 1, AK_KIND_CLEAR_OUTPUT, 0, "{\"wait\": false}");
    assert(strcmp(look(&world, 1), "") == 0 && ak_shown_bytes(world.shown) == 0);
    close_world(&world);
}

static void keeps_the_last_update(void) {
    struct world world = open_world(1u << 20);
    add(&world, 1, AK_KIND_DISPLAY_DATA, 0, "{}");
    for (int i = 0; i < 1000; i++)
        add(&world, 1, AK_KIND_UPDATE_DISPLAY_DATA, 0,
            i == 999 ? "{\"n\":1,\"transient\":{\"display_id\":\"d\"}}"
                     : "{\"transient\":{\"display_id\":\"d\"}}");
    const char *update = strchr(look(&world, 1), '|') + 1;
    assert(strstr(update, "\"n\":1") && strchr(update, '|')[1] == '\0');
    add(&world, 1, AK_KIND_UPDATE_DISPLAY_DATA, 0,
        "{\"transient\":{\"display_id\":\"e\"}}");
    assert(strstr(look(&world, 1), "\"n\":1"));
    close_world(&world);
}

static void forgets_the_oldest(void) {
    struct world world = open_world(4096);
    assert(ak_shown_begin(world.shown, "b", "s", 2) == 0);
    add(&world, 2, AK_KIND_DISPLAY_DATA, 0, "oldest");
    for (int i = 0; i < 100; i++)
        add(&world, 1, AK_KIND_DISPLAY_DATA, 0, i == 99 ? "newest" : "display");
    assert(ak_shown_bytes(world.shown) <= 4096);
    assert(strcmp(look(&world, 2), "") == 0);
    assert(ak_shown_find(world.shown, 2)->n_forgotten == strlen("oldest"));
    assert(strstr(look(&world, 1), "newest|"));
    assert(ak_shown_find(world.shown, 1)->n_forgotten > 0);
    close_world(&world);
}

static void begins_again(void) {
    struct world world = open_world(1u << 20);
    add(&world, 1, 0, 1, "first run");
    assert(ak_shown_begin(world.shown, "a", "t", 2) == 0);
    assert(ak_shown_find(world.shown, 1) == NULL && ak_shown_bytes(world.shown) == 0);
    assert(strcmp(ak_shown_find(world.shown, 2)->session, "t") == 0);
    for (uint64_t i = 10; i < 10000; i++) {
        char id[32];
        snprintf(id, sizeof(id), "cell %d", (int)i);
        assert(ak_shown_begin(world.shown, id, "s", i) == 0);
        ak_shown_find(world.shown, i)->ended_at = 1;
    }
    assert(ak_shown_find(world.shown, 2)); /* it runs */
    assert(!ak_shown_find(world.shown, 10) && ak_shown_find(world.shown, 9999));
    close_world(&world);
}

static void too_big(void) {
    struct world world = open_world(1024);
    char *text = calloc(1, 4097);
    memset(text, 'x', 4096);
    add(&world, 1, 0, 1, text);
    add(&world, 1, AK_KIND_DISPLAY_DATA, 0, text);
    assert(strcmp(look(&world, 1), "") == 0 && ak_shown_bytes(world.shown) == 0);
    assert(ak_shown_find(world.shown, 1)->n_forgotten == 8192);
    free(text);
    close_world(&world);
}

static const struct ak_test tests[] = {
    {"keeps-the-order", keeps_the_order},
    {"joins-text", joins_text},
    {"clears", clears},
    {"keeps-the-last-update", keeps_the_last_update},
    {"forgets-the-oldest", forgets_the_oldest},
    {"begins-again", begins_again},
    {"too-big", too_big},
};

AK_TEST_MAIN(tests)

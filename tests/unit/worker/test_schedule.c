/* SPDX-License-Identifier: MIT */
/* The schedule over cells that are only names: who reads and who still has to bind. */
#include "unit/test.h"

#include "py/cell.h"
#include "py/space.h"
#include "worker/schedule.h"

struct ak_effects {
    struct ak_names reads;
};

struct ak_space {
    enum ak_chaining chaining;
};

struct ak_cell {
    struct ak_effects effects;
    char *read;
    const char *binds; /* NULL once it has bound it */
    bool started;
};

const struct ak_effects *ak_cell_effects(struct ak_cell *cell) {
    return &cell->effects;
}

const struct ak_names *ak_effects_reads_at_once(const struct ak_effects *effects) {
    return &effects->reads;
}

bool ak_cell_holds_back(const struct ak_cell *cell, const char *name) {
    return cell->binds && strcmp(cell->binds, name) == 0;
}

enum ak_chaining ak_space_chaining(const struct ak_space *space) {
    return space->chaining;
}

static struct ak_cell make(const char *read, const char *binds) {
    return (struct ak_cell){.read = (char *)read, .binds = binds};
}

static void start(void *owner, struct ak_cell *cell) {
    assert(!cell->started);
    cell->started = true;
}

static const struct ak_schedule_ops ops = {.start = start};

static struct ak_schedule *world(struct ak_space *space, struct ak_cell *cells,
                                 size_t n) {
    struct ak_schedule *schedule;
    assert(ak_schedule_new(&schedule, space, &ops, NULL) == 0);
    for (size_t i = 0; i < n; i++) {
        if (cells[i].read)
            cells[i].effects.reads =
                (struct ak_names){.items = &cells[i].read, .n_items = 1};
        assert(ak_schedule_add(schedule, &cells[i], false) == 0);
        ak_schedule_run(schedule);
    }
    return schedule;
}

static void concurrent(void) {
    struct ak_space space = {AK_CHAINING_CONCURRENT};
    struct ak_cell cells[] = {make(NULL, "a"), make("a", NULL)};
    AK_CLEANUP(ak_schedule_freep) struct ak_schedule *s = world(&space, cells, 2);
    assert(cells[0].started && cells[1].started && ak_schedule_waiting(s) == 0);
}

static void chained(void) {
    struct ak_space space = {AK_CHAINING_CHAINED};
    struct ak_cell cells[] = {make(NULL, NULL), make(NULL, NULL), make(NULL, NULL)};
    AK_CLEANUP(ak_schedule_freep) struct ak_schedule *s = world(&space, cells, 3);
    assert(cells[0].started && !cells[1].started);
    ak_schedule_remove(s, &cells[0]);
    ak_schedule_run(s);
    assert(cells[1].started && !cells[2].started);
}

static void guard(void) {
    struct ak_space space = {AK_CHAINING_ASYNC};
    struct ak_cell cells[] = {make(NULL, "a"), make("a", NULL), make("b", NULL)};
    AK_CLEANUP(ak_schedule_freep) struct ak_schedule *s = world(&space, cells, 3);
    assert(cells[0].started && !cells[1].started && cells[2].started);
    cells[0].binds = NULL;
    ak_schedule_run(s);
    assert(cells[1].started);
}

/* A cell that waits is an earlier unfinished cell for those behind it. */
static void waits_point_backwards(void) {
    struct ak_space space = {AK_CHAINING_ASYNC};
    struct ak_cell cells[] = {make("b", "a"), make("a", "b"), make("b", NULL)};
    AK_CLEANUP(ak_schedule_freep) struct ak_schedule *s = world(&space, cells, 3);
    assert(cells[0].started && !cells[1].started && !cells[2].started);
    ak_schedule_remove(s, &cells[0]);
    ak_schedule_run(s);
    assert(cells[1].started && !cells[2].started);
    ak_schedule_remove(s, &cells[1]);
    ak_schedule_run(s);
    assert(cells[2].started);
}

static void urgent(void) {
    struct ak_space space = {AK_CHAINING_ASYNC};
    struct ak_cell cells[] = {make(NULL, "a"), make("a", NULL)};
    AK_CLEANUP(ak_schedule_freep) struct ak_schedule *s = world(&space, cells, 1);
    cells[1].effects.reads = (struct ak_names){.items = &cells[1].read, .n_items = 1};
    assert(ak_schedule_add(s, &cells[1], true) == 0);
    ak_schedule_run(s);
    assert(cells[1].started);
}

static const struct ak_test tests[] = {
    {"concurrent", concurrent}, {"chained", chained},
    {"guard", guard},           {"waits-point-backwards", waits_point_backwards},
    {"urgent", urgent},
};
AK_TEST_MAIN(tests)

/* SPDX-License-Identifier: MIT */
/*
 * The default mode lets a cell that awaits make room for later ones, yet ordinary
 * notebooks have to come out right when a front end sends every cell at once: a cell
 * waits while a name that it reads before it surely binds it is still to be bound by an
 * earlier cell that is not over. Whoever waits is an earlier unfinished cell for those
 * behind it, so chains of dependencies keep their order, while a monitor cell that
 * reads what a running loop has already bound starts at once.
 *
 * A wait ends when the name is bound, which is looked at whenever an earlier cell gives
 * control back, or when that cell is over. Waits point only backwards, so they cannot
 * form a circle.
 */
#include "worker/schedule.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "py/cell.h"
#include "py/effects.h"
#include "py/space.h"

struct entry {
    struct ak_list link; /* in ak_schedule.entries */
    struct ak_cell *cell;
    bool started;
    bool urgent;
};

struct ak_schedule {
    struct ak_space *space; /* borrowed */
    const struct ak_schedule_ops *ops;
    void *owner;
    struct ak_list entries; /* entry.link, in order of arrival */
    size_t n_waiting;
    bool running; /* inside ak_schedule_run */
    bool again;   /* something changed meanwhile */
};

int ak_schedule_new(struct ak_schedule **ret_schedule, struct ak_space *space,
                    const struct ak_schedule_ops *ops, void *owner) {
    struct ak_schedule *schedule = calloc(1, sizeof(*schedule));
    if (!schedule)
        return ak_error_origin(ENOMEM);
    ak_list_init(&schedule->entries);
    schedule->space = space;
    schedule->ops = ops;
    schedule->owner = owner;
    *ret_schedule = schedule;
    return 0;
}

struct ak_schedule *ak_schedule_free(struct ak_schedule *schedule) {
    if (!schedule)
        return NULL;
    ak_list_for_each(node, next, &schedule->entries) {
        free(ak_list_entry(node, struct entry, link));
    }
    free(schedule);
    return NULL;
}

int ak_schedule_add(struct ak_schedule *schedule, struct ak_cell *cell, bool urgent) {
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return ak_error_origin(ENOMEM);
    entry->cell = cell;
    entry->urgent = urgent;
    ak_list_append(&schedule->entries, &entry->link);
    schedule->n_waiting++;
    return 0;
}

void ak_schedule_remove(struct ak_schedule *schedule, struct ak_cell *cell) {
    ak_list_for_each(node, next, &schedule->entries) {
        struct entry *entry = ak_list_entry(node, struct entry, link);
        if (entry->cell != cell)
            continue;
        if (!entry->started)
            schedule->n_waiting--;
        ak_list_remove(&entry->link);
        free(entry);
        return;
    }
}

static bool held_back(struct ak_cell *cell, const struct ak_cell *earlier) {
    const struct ak_effects *effects = ak_cell_effects(cell);
    if (!effects)
        return false;
    const struct ak_names *reads = ak_effects_reads_at_once(effects);
    for (size_t i = 0; i < reads->n_items; i++) {
        if (ak_cell_holds_back(earlier, reads->items[i]))
            return true;
    }
    return false;
}

static bool may_start(struct ak_schedule *schedule, struct entry *entry) {
    enum ak_chaining chaining = ak_space_chaining(schedule->space);
    if (chaining == AK_CHAINING_CONCURRENT)
        return true;
    if (chaining == AK_CHAINING_CHAINED)
        return schedule->entries.next == &entry->link;
    if (entry->urgent)
        return true;
    ak_list_for_each(node, next, &schedule->entries) {
        if (node == &entry->link)
            return true;
        if (held_back(entry->cell, ak_list_entry(node, struct entry, link)->cell))
            return false;
    }
    return true;
}

static bool start_one(struct ak_schedule *schedule) {
    ak_list_for_each(node, next, &schedule->entries) {
        struct entry *entry = ak_list_entry(node, struct entry, link);
        if (entry->started || !may_start(schedule, entry))
            continue;
        entry->started = true;
        schedule->n_waiting--;
        schedule->ops->start(schedule->owner, entry->cell);
        return true;
    }
    return false;
}

void ak_schedule_run(struct ak_schedule *schedule) {
    if (schedule->running) {
        schedule->again = true;
        return;
    }
    schedule->running = true;
    do {
        schedule->again = false;
        while (schedule->n_waiting && start_one(schedule))
            ;
    } while (schedule->again);
    schedule->running = false;
}

bool ak_schedule_run_one(struct ak_schedule *schedule) {
    if (schedule->running)
        return false;
    schedule->running = true;
    bool started = schedule->n_waiting && start_one(schedule);
    schedule->running = false;
    return started;
}

struct ak_cell *ak_schedule_next(struct ak_schedule *schedule,
                                 struct ak_list **cursor) {
    struct ak_list *node = *cursor ? *cursor : schedule->entries.next;
    if (node == &schedule->entries)
        return NULL;
    *cursor = node->next;
    return ak_list_entry(node, struct entry, link)->cell;
}

size_t ak_schedule_waiting(const struct ak_schedule *schedule) {
    return schedule->n_waiting;
}

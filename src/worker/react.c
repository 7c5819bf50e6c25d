/* SPDX-License-Identifier: MIT */
/*
 * The pass. A request that may start is analysed and becomes a seed of the plan; what
 * the plan reaches loses the names that it owns, so that no cell can see a value of
 * before; then the plan hands out cell after cell, and each runs as a task like any
 * other, in its own name or in that of the request that it had last. What waits for a
 * name, is below a failure or in a cycle is told so instead. When all cells of a pass
 * are settled its request is replied to: idle means that the notebook is consistent.
 *
 * Passes may overlap: a cell belongs to the newest one that reached it. A cell that
 * runs when it is reached again is cancelled and comes once more. One cell at a time is
 * on its way to its first step, so that synchronous cells run in order, while those
 * that await lie beside each other; chained, one runs after the other.
 *
 * Before each step into the plan the seam is drained: a reader with a request of its
 * own in the queue is left to it.
 *
 * A name that no code shows to be bound (exec, globals(), a star-import, a function
 * with "global" in it) is found by comparing the namespace before and after, and
 * belongs to the cell that ran.
 */
#include "worker/react-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "py/late.h"
#include "py/loop.h"
#include "py/react.h"

AK_LOG_MODULE("react");

/* How long a pass waits for a request that is likely on its way, and at most in all. */
#define GRACE_MS 20u
#define GRACE_MOST_MS 500u

static void pump(struct ak_react *react);

static bool exists(void *owner, const char *name) {
    struct ak_react *react = owner;
    return ak_space_has(react->session->space, name);
}

/* --- passes --------------------------------------------------------------------------
 */

struct ak_pass *ak_react_begin(struct ak_react *react, uint64_t id) {
    struct ak_pass *pass = calloc(1, sizeof(*pass));
    if (!pass)
        return NULL;
    pass->id = id;
    ak_list_append(&react->passes, &pass->link);
    if (id)
        react->newest_id = id;
    return pass;
}

/* The request that is open now, for those who hear nothing under another one. */
static uint64_t current_id(struct ak_react *react, const struct ak_unit *unit) {
    if (unit->pass && unit->pass->id)
        return unit->pass->id;
    ak_list_for_each(entry, next, &react->passes) {
        struct ak_pass *pass = ak_list_entry(entry, struct ak_pass, link);
        if (pass->id)
            return pass->id;
    }
    return react->newest_id;
}

static void start_deferred(struct ak_react *react, struct ak_unit *unit);

static void end_pass(struct ak_react *react, struct ak_pass *pass) {
    struct ak_session *session = react->session;
    ak_list_remove(&pass->link);
    if (react->filling == pass)
        react->filling = NULL;
    if (pass->done_id) {
        struct ak_frame done = {.type = AK_FRAME_DONE, .id = pass->done_id, .fd = -1};
        ak_worker_send(session->worker, &done);
    }
    struct ak_unit *unit = pass->unit;
    struct ak_cell *cell = pass->cell;
    if (unit)
        unit->own = NULL;
    if (cell && pass->interrupted)
        ak_cell_reply_interrupt(cell);
    if (cell && pass->owns_cell)
        ak_cell_set_tag(cell, NULL);
    bool aborting = pass->aborting;
    free(pass);
    if (cell)
        ak_execute_reply(session, cell, aborting);
    if (unit)
        start_deferred(react, unit);
}

static void end_if_over(struct ak_react *react, struct ak_pass *pass) {
    if (pass && pass->n_open == 0 && !pass->cell_open && react->filling != pass &&
        react->message != pass)
        end_pass(react, pass);
}

static void end_all_over(struct ak_react *react) {
    bool again = true;
    while (again) {
        again = false;
        ak_list_for_each(entry, next, &react->passes) {
            struct ak_pass *pass = ak_list_entry(entry, struct ak_pass, link);
            if (pass->n_open || pass->cell_open || react->filling == pass ||
                react->message == pass)
                continue;
            end_pass(react, pass);
            again = true;
            break;
        }
    }
}

/* --- the plan's calls ----------------------------------------------------------------
 */

/* What a cell owns goes before it runs, so that nothing sees a value of before. */
static void unbind_owned(struct ak_react *react, struct ak_node *node) {
    void *cursor = NULL;
    const char *name;
    unsigned uses;
    while (ak_node_next_use(node, &cursor, &name, &uses)) {
        if (!(uses & AK_USE_OWNS))
            continue;
        ak_space_unbind(react->session->space, name);
        ak_graph_disown(react->graph, name);
    }
}

static void added(void *owner, struct ak_node *node) {
    struct ak_react *react = owner;
    struct ak_unit *unit = ak_unit_of(node);
    if (unit->pass)
        unit->pass->n_open--;
    unit->pass = react->filling;
    unit->pass->n_open++;
    unbind_owned(react, node);
    if (unit->run)
        ak_cell_abandon(unit->run);
}

static void mark(struct ak_react *react, struct ak_unit *unit, const char *line) {
    if (unit->marked == (line != NULL))
        return;
    unit->marked = line != NULL;
    ak_late_mark(unit->cell, current_id(react, unit), line);
}

static void leave_pass(struct ak_unit *unit) {
    if (unit->pass)
        unit->pass->n_open--;
    unit->pass = NULL;
}

static void outdated(void *owner, struct ak_node *node, bool left) {
    struct ak_react *react = owner;
    struct ak_unit *unit = ak_unit_of(node);
    if (ak_plan_has(react->plan, node))
        return;
    ak_node_set_state(node, AK_NODE_STALE);
    if (left)
        leave_pass(unit);
    else
        mark(react, unit,
             "stale: something above this cell has changed; run it to bring it up to "
             "date");
}

static const struct ak_plan_ops plan_ops = {
    .exists = exists,
    .added = added,
    .outdated = outdated,
};

void ak_react_go(struct ak_react *react, struct ak_pass *pass) {
    react->filling = pass;
    ak_plan_spread(react->plan);
    react->filling = NULL;
    pump(react);
}

/* --- units ---------------------------------------------------------------------------
 */

static void forget_why(struct ak_unit *unit) {
    free(unit->why);
    unit->why = NULL;
}

/* One that still waits for its tasks is freed when they are over. */
static void free_cell(struct ak_unit *unit) {
    if (unit->cell && ak_cell_draining(unit->cell))
        ak_cell_set_tag(unit->cell, NULL);
    else
        ak_cell_free(unit->cell);
    unit->cell = NULL;
}

static void free_unit(struct ak_unit *unit) {
    ak_change_free(unit->change);
    /* What is in flight belongs to its task, which the end of the interpreter closes.
     */
    if (unit->run != unit->cell)
        free_cell(unit);
    free(unit->prefix);
    free(unit->ename);
    forget_why(unit);
    free(unit);
}

/* A cell is its cellId; without one, the only earlier cell with the same source, or a
 * new one. */
static struct ak_unit *find_unit(struct ak_react *react, const struct ak_cell *cell) {
    struct ak_bytes id = ak_cell_cell_id(cell);
    struct ak_bytes source = ak_cell_source(cell);
    if (!id.len)
        return ak_map_get(react->by_source, source.data, source.len);
    struct ak_node *node = ak_graph_find(react->graph, id.data, id.len);
    return node ? ak_unit_of(node) : NULL;
}

static struct ak_unit *add_unit(struct ak_react *react, struct ak_cell *cell) {
    struct ak_bytes id = ak_cell_cell_id(cell);
    struct ak_bytes source = ak_cell_source(cell);
    AK_BUF_AUTO name = {0};
    struct ak_unit *unit = calloc(1, sizeof(*unit));
    unsigned long long number = ak_cell_id(cell);
    if (!unit)
        return NULL;
    unit->has_id = id.len > 0;
    if (!unit->has_id) {
        AK_BUF_AUTO prefix = {0};
        if (ak_buf_addf(&name, "\x01%llu", number) ||
            ak_buf_addf(&prefix, "akernel-%d-%llu", (int)getpid(), number))
            goto failed;
        unit->prefix = ak_buf_take(&prefix);
        id = ak_bytes(ak_buf_str(&name), name.len);
    }
    if (ak_graph_add(react->graph, id.data, id.len, &unit->node))
        goto failed;
    if (!unit->has_id &&
        ak_map_put(react->by_source, source.data, source.len, unit, NULL)) {
        ak_graph_remove(react->graph, unit->node);
        goto failed;
    }
    ak_node_set_tag(unit->node, unit);
    return unit;
failed:
    free(unit->prefix);
    free(unit);
    return NULL;
}

static void dig_grave(struct ak_react *react, const struct ak_unit *unit,
                      const char *name) {
    char label[AK_LABEL_SIZE];
    void *old = NULL;
    char *copy = strdup(ak_unit_label(unit, label));
    if (!copy)
        return;
    if (ak_map_put(react->graves, name, strlen(name), copy, &old))
        free(copy);
    free(old);
}

static void drop_unit(struct ak_react *react, struct ak_unit *unit) {
    struct ak_bytes source = unit->cell ? ak_cell_source(unit->cell) : ak_bytes("", 0);
    if (!unit->has_id && ak_map_get(react->by_source, source.data, source.len) == unit)
        ak_map_remove(react->by_source, source.data, source.len);
    ak_graph_remove(react->graph, unit->node);
    free_unit(unit);
}

void ak_react_bury(struct ak_react *react, struct ak_unit *unit) {
    void *cursor = NULL;
    const char *name;
    unsigned uses;
    unbind_owned(react, unit->node);
    while (ak_node_next_use(unit->node, &cursor, &name, &uses)) {
        if (!(uses & AK_USE_DEFINES_ANY))
            continue;
        dig_grave(react, unit, name);
        ak_plan_seed_readers(react->plan, name, unit->node);
    }
    (void)ak_plan_settle(react->plan, unit->node, AK_NODE_STALE);
    leave_pass(unit);
    drop_unit(react, unit);
}

/* --- what a request says -------------------------------------------------------------
 */

/* Only an id that the list before did not have counts; an id that is about to run, or
 * runs, is alive. */
static void apply_deletions(struct ak_react *react, struct ak_cell *cell) {
    struct ak_names ids;
    struct ak_bytes own = ak_cell_cell_id(cell);
    if (!ak_cell_deleted(cell, &ids))
        return;
    struct ak_map *before = NULL;
    if (ak_map_new(&before) == 0) {
        for (size_t i = 0; i < react->deleted.n_items; i++)
            (void)ak_map_put(before, react->deleted.items[i],
                             strlen(react->deleted.items[i]), react, NULL);
    }
    for (size_t i = 0; before && i < ids.n_items; i++) {
        const char *id = ids.items[i];
        size_t len = strlen(id);
        struct ak_node *node = ak_graph_find(react->graph, id, len);
        struct ak_unit *unit = node ? ak_unit_of(node) : NULL;
        bool itself = own.len == len && memcmp(own.data, id, len) == 0;
        if (!unit || itself || ak_map_get(before, id, len) || unit->run || unit->own ||
            unit->n_queued)
            continue;
        ak_react_bury(react, unit);
    }
    ak_map_free(before);
    ak_cell_free_deleted(&react->deleted);
    react->deleted = ids;
}

static size_t add_uses(struct ak_use_of *uses, size_t n, const struct ak_names *names,
                       unsigned use) {
    for (size_t i = 0; i < names->n_items; i++) {
        if (!ak_space_is_ours(names->items[i]))
            uses[n++] = (struct ak_use_of){names->items[i], use};
    }
    return n;
}

static int set_uses(struct ak_react *react, struct ak_unit *unit,
                    const struct ak_effects *effects) {
    const struct {
        const struct ak_names *names;
        unsigned use;
    } lists[] = {
        {ak_effects_reads_at_once(effects), AK_USE_READS},
        {ak_effects_reads_later(effects), AK_USE_READS_LATER},
        {ak_effects_binds(effects), AK_USE_BINDS},
        {ak_effects_binds_later(effects), AK_USE_BINDS_LATER},
        {ak_effects_deletes(effects), AK_USE_DELETES},
    };
    size_t n_all = 0, n = 0;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        n_all += lists[i].names->n_items;
    struct ak_use_of *uses = calloc(n_all + 1, sizeof(*uses));
    if (!uses)
        return ak_error_origin(ENOMEM);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        n = add_uses(uses, n, lists[i].names, lists[i].use);
    int r = ak_graph_set_uses(react->graph, unit->node, uses, n, true);
    free(uses);
    return r;
}

/* Whoever reads a name that the cell had and has no more hears of it. */
static void wake_readers_of_dropped(struct ak_react *react, struct ak_unit *unit,
                                    char **had, size_t n_had) {
    for (size_t i = 0; i < n_had; i++) {
        unsigned uses = ak_graph_uses(react->graph, unit->node, had[i]);
        if (!(uses & (AK_USE_BINDS | AK_USE_BINDS_LATER)))
            ak_plan_seed_readers(react->plan, had[i], unit->node);
        free(had[i]);
    }
    free(had);
}

static char **names_had(const struct ak_unit *unit, size_t *ret_n) {
    size_t n = 0, room = 0;
    void *cursor = NULL;
    const char *name;
    unsigned uses;
    while (ak_node_next_use(unit->node, &cursor, &name, &uses))
        room++;
    char **had = calloc(room + 1, sizeof(*had));
    cursor = NULL;
    while (had && ak_node_next_use(unit->node, &cursor, &name, &uses)) {
        char *copy = uses & AK_USE_DEFINES_ANY ? strdup(name) : NULL;
        if (copy)
            had[n++] = copy;
    }
    *ret_n = n;
    return had;
}

/* Whether a cell reads, before it binds it, a name that no other cell defines. */
static bool reads_itself_alone(struct ak_react *react, const struct ak_unit *unit,
                               const struct ak_effects *effects) {
    const struct ak_names *names = ak_effects_binds(effects);
    const struct ak_names *reads = ak_effects_reads_at_once(effects);
    bool alone = false;
    for (size_t i = 0; i < names->n_items; i++) {
        void *cursor = NULL;
        struct ak_node *node;
        if (!ak_names_have(reads, names->items[i]))
            continue;
        while ((node = ak_graph_next_user(react->graph, names->items[i],
                                          AK_USE_DEFINES_ANY, &cursor))) {
            if (node != unit->node)
                return false;
        }
        alone = true;
    }
    return alone;
}

/* Puts a request's cell into the graph. False when there is no memory for it. */
static bool take_in(struct ak_react *react, struct ak_unit *unit, struct ak_cell *cell,
                    struct ak_pass *pass) {
    size_t n_had;
    char **had = names_had(unit, &n_had);
    if (reads_itself_alone(react, unit, ak_cell_effects(cell)))
        (void)ak_cell_reorder(cell);
    int r = set_uses(react, unit, ak_cell_effects(cell));
    wake_readers_of_dropped(react, unit, had, n_had);
    if (r < 0)
        return false;
    ak_change_forget(unit->change);
    if (unit->own) {
        unit->own->owns_cell = true;
        unit->own->unit = NULL;
    } else {
        free_cell(unit);
    }
    unit->cell = cell;
    unit->own = pass;
    unit->next = true;
    unit->marked = false;
    pass->unit = unit;
    pass->cell = cell;
    pass->cell_open = true;
    ak_cell_set_tag(cell, unit);
    ak_cell_set_reactive(cell);
    ak_node_set_frozen(unit->node, unit->frozen || ak_cell_tagged(cell, "freeze"));
    if (unit->prefix)
        (void)ak_late_use_slots(cell, unit->prefix);
    return true;
}

/* --- requests ------------------------------------------------------------------------
 */

/* A cell that is executed once more unchanged is likely one of many: a front end that
 * runs a whole notebook sends one request after the other, and what would run in the
 * name of the first ones is about to be asked for. */
static void give_grace(struct ak_react *react, const struct ak_unit *unit,
                       const struct ak_cell *cell) {
    struct ak_bytes old = unit->cell ? ak_cell_source(unit->cell) : ak_bytes("", 0);
    struct ak_bytes new = ak_cell_source(cell);
    uint64_t now = ak_clock_now();
    if (!unit->has_id || !unit->cell || old.len != new.len ||
        memcmp(old.data, new.data, new.len) != 0)
        return;
    react->grace_until = now + GRACE_MS * AK_NS_PER_MS;
    react->grace_end = now + GRACE_MOST_MS * AK_NS_PER_MS;
}

static void prolong_grace(struct ak_react *react) {
    uint64_t until = ak_clock_now() + GRACE_MS * AK_NS_PER_MS;
    if (react->grace_until)
        react->grace_until = until < react->grace_end ? until : react->grace_end;
}

void ak_react_arrived(struct ak_react *react, struct ak_cell *cell) {
    prolong_grace(react);
    struct ak_unit *unit = find_unit(react, cell);
    if (!unit || !ak_cell_stores_history(cell))
        return;
    unit->n_queued++;
    ak_node_hold(unit->node, true);
    ak_cell_set_tag(cell, unit);
}

/* It does not wait in the schedule any more. */
static void unqueue(struct ak_cell *cell) {
    struct ak_unit *unit = ak_cell_tag(cell);
    ak_cell_set_tag(cell, NULL);
    if (unit && --unit->n_queued == 0)
        ak_node_hold(unit->node, false);
}

void ak_react_dropped(struct ak_react *react, struct ak_cell *cell) {
    struct ak_cell **deferred = (struct ak_cell **)(void *)react->deferred.data;
    size_t n = react->deferred.len / sizeof(*deferred);
    for (size_t i = 0; i < n; i++) {
        if (deferred[i] == cell)
            deferred[i] = NULL;
    }
    struct ak_unit *unit = ak_cell_tag(cell);
    unqueue(cell);
    if (unit && !ak_node_held(unit->node) &&
        ak_node_state(unit->node) == AK_NODE_STALE && !unit->next)
        mark(react, unit, "stale: not run; run it to bring it up to date");
}

/* Cells that run beside the graph: silent ones, those tagged so, those that do not
 * compile. */
static bool is_beside(struct ak_react *react, struct ak_cell *cell) {
    if (!ak_cell_stores_history(cell) || !ak_cell_effects(cell))
        return true;
    if (!ak_cell_tagged(cell, "no-react"))
        return false;
    struct ak_unit *unit = find_unit(react, cell);
    if (unit && !unit->run && !unit->own && !unit->n_queued) {
        void *cursor = NULL;
        const char *name;
        unsigned uses;
        while (ak_node_next_use(unit->node, &cursor, &name, &uses)) {
            if (uses & AK_USE_OWNS)
                ak_graph_disown(react->graph, name);
        }
        ak_react_bury(react, unit);
    }
    return true;
}

static bool start_request(struct ak_react *react, struct ak_cell *cell,
                          struct ak_pass *pass) {
    struct ak_unit *unit = find_unit(react, cell);
    if (!unit)
        unit = add_unit(react, cell);
    if (unit)
        give_grace(react, unit, cell);
    if (!unit || !take_in(react, unit, cell, pass)) {
        if (unit && !unit->cell)
            drop_unit(react, unit);
        return false;
    }
    ak_plan_seed(react->plan, unit->node);
    if (react->lazy)
        ak_plan_seed_stale_above(react->plan, unit->node);
    ak_react_go(react, pass);
    return true;
}

bool ak_react_start(struct ak_react *react, struct ak_cell *cell) {
    unqueue(cell);
    struct ak_unit *busy = find_unit(react, cell);
    if (busy && busy->own && busy->own->cell_open && ak_cell_stores_history(cell)) {
        /* Its earlier request is not over: this one comes behind it. */
        busy->n_queued++;
        ak_node_hold(busy->node, true);
        ak_cell_set_tag(cell, busy);
        return ak_buf_add(&react->deferred, &cell, sizeof(struct ak_cell *)) == 0;
    }
    react->halted = false;
    struct ak_pass *pass = ak_react_begin(react, ak_cell_id(cell));
    if (!pass)
        return false;
    react->filling = pass;
    apply_deletions(react, cell);
    bool beside = is_beside(react, cell);
    if (!beside && start_request(react, cell, pass))
        return true;
    ak_react_go(react, pass);
    end_all_over(react);
    return false;
}

static void start_deferred(struct ak_react *react, struct ak_unit *unit) {
    struct ak_cell **deferred = (struct ak_cell **)(void *)react->deferred.data;
    size_t n = react->deferred.len / sizeof(*deferred);
    struct ak_cell *cell = NULL;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!cell && deferred[i] && ak_cell_tag(deferred[i]) == unit)
            cell = deferred[i];
        else if (deferred[i])
            deferred[kept++] = deferred[i];
    }
    react->deferred.len = kept * sizeof(*deferred);
    if (cell && !ak_react_start(react, cell) && ak_cell_start(cell) < 0)
        ak_error("a cell could not be started: no memory");
}

/* --- running -------------------------------------------------------------------------
 */

/* Names whose use means that a cell may bind what its code does not show. */
static bool may_bind_anything(const struct ak_effects *effects) {
    static const char *const signs[] = {
        "exec",    "eval",       "globals",   "locals",      "vars",        "sys",
        "setattr", "__import__", "importlib", "get_ipython", "__builtins__"};
    if (ak_effects_binds_unknown(effects))
        return true;
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        if (ak_names_have(ak_effects_reads_at_once(effects), signs[i]))
            return true;
    }
    return false;
}

static void settle(struct ak_react *react, struct ak_unit *unit,
                   enum ak_node_state state) {
    if (!ak_plan_settle(react->plan, unit->node, state))
        return;
    leave_pass(unit);
}

/* The requested cell of a unit is over, by itself or in a run in its name. */
static void own_is_over(struct ak_unit *unit) {
    if (unit->own)
        unit->own->cell_open = false;
}

static void run(struct ak_react *react, struct ak_unit *unit) {
    struct ak_cell *cell = unit->cell;
    const struct ak_effects *effects = ak_cell_effects(cell);
    bool own = unit->next;
    int r = 0;
    if (!own)
        r = ak_cell_again(&cell, unit->cell, &ak_execute_cell_ops, react->session);
    if (r < 0) {
        ak_error("a cell could not run again: no memory");
        settle(react, unit, AK_NODE_STALE);
        return;
    }
    unit->next = false;
    unit->run = cell;
    react->fresh = cell;
    react->n_running++;
    unit->marked = false;
    ak_cell_set_tag(cell, unit);
    ak_cell_set_reactive(cell);
    if (!own)
        (void)ak_late_begin(cell);
    if (ak_cell_start(cell) < 0)
        ak_error("a cell could not be started: no memory");
    if (react->lazy)
        ak_late_open_mark(cell);
    if (ak_change_new(&unit->change, react->session->space, effects,
                      !effects || may_bind_anything(effects),
                      ak_cell_execution_count(cell)) < 0)
        ak_error("what a cell binds is not known: no memory");
}

/* Gives a requested cell its count, which is how users know it. */
static void present(struct ak_unit *unit) {
    if (unit->next && !ak_cell_started(unit->cell))
        ak_cell_present(unit->cell);
}

/* Tells a cell why it does not run. */
static void decline(struct ak_react *react, struct ak_unit *unit,
                    const struct ak_verdict *verdict) {
    AK_BUF_AUTO line = {0};
    bool own = unit->next;
    uint64_t id = current_id(react, unit);
    present(unit);
    for (struct ak_node *other = unit->node;
         verdict->state == AK_NODE_CYCLIC &&
         (other = ak_node_cycle_next(other)) != unit->node;)
        present(ak_unit_of(other));
    ak_react_explain(react, unit, verdict, &line);
    forget_why(unit);
    unit->why = strdup(ak_buf_str(&line));
    unit->marked = false;
    if (own) {
        unit->next = false;
        bool fails = verdict->state == AK_NODE_CYCLIC;
        ak_cell_conclude(unit->cell, fails ? "CycleError" : NULL,
                         fails ? ak_buf_str(&line) : NULL);
        own_is_over(unit);
        if (!fails)
            ak_late_say(unit->cell, id, "pending", ak_buf_str(&line), true);
    } else {
        ak_late_say(unit->cell, id, "pending", ak_buf_str(&line), false);
    }
    settle(react, unit, verdict->state);
}

static void pump_later(void *context) {
    struct ak_react *react = context;
    react->delayed = false;
    pump(react);
}

/* A cell that was asked for runs at once. One that would run in the name of another
 * waits a moment when more requests are likely, one of which may be its own. */
static bool is_time_for(struct ak_react *react, struct ak_unit *unit) {
    uint64_t now = ak_clock_now();
    if (unit->next || now >= react->grace_until)
        return true;
    double seconds = (double)(react->grace_until - now) / 1e9;
    if (!react->delayed)
        react->delayed = ak_loop_call_later(react->session->worker->runtime, seconds,
                                            pump_later, react) == 0;
    return !react->delayed;
}

static void pump(struct ak_react *react) {
    if (react->pumping) {
        react->pump_again = true;
        return;
    }
    react->pumping = true;
    bool chained = ak_space_chaining(react->session->space) == AK_CHAINING_CHAINED;
    do {
        react->pump_again = false;
        while (!react->fresh && !(chained && react->n_running) &&
               ak_plan_unsettled(react->plan)) {
            struct ak_verdict verdict;
            ak_worker_look_ahead(react->session->worker);
            struct ak_node *node = react->fresh ? NULL : ak_plan_peek(react->plan);
            if (!node || !is_time_for(react, ak_unit_of(node)))
                break;
            node = ak_plan_next(react->plan, &verdict);
            if (verdict.state == AK_NODE_RUNNING)
                run(react, ak_unit_of(node));
            else
                decline(react, ak_unit_of(node), &verdict);
        }
        end_all_over(react);
    } while (react->pump_again);
    react->pumping = false;
}

void ak_react_suspended(struct ak_react *react, struct ak_cell *cell) {
    if (react->fresh != cell)
        return;
    react->fresh = NULL;
    pump(react);
}

/* --- the end of a run ----------------------------------------------------------------
 */

struct changes {
    struct ak_react *react;
    struct ak_unit *unit;
    bool full;
    bool seeded;
};

/* Whether the cell is known to bind the name, so that its readers are in the plan. */
static bool binds(struct ak_react *react, struct ak_unit *unit, const char *name) {
    return ak_graph_uses(react->graph, unit->node, name) &
           (AK_USE_BINDS | AK_USE_BINDS_LATER);
}

/* Another cell that runs now, or ran meanwhile, may have bound it. */
static bool is_of_another_run(struct changes *changes, const char *name) {
    struct ak_react *react = changes->react;
    if (!react->n_running)
        return false;
    void *cursor = NULL;
    struct ak_node *node;
    while ((node = ak_graph_next_user(react->graph, name, AK_USE_BINDS | AK_USE_OWNS,
                                      &cursor))) {
        if (node != changes->unit->node && ak_unit_of(node)->run)
            return true;
    }
    return false;
}

static int take_change(void *owner, const char *name, bool bound) {
    struct changes *changes = owner;
    struct ak_react *react = changes->react;
    struct ak_unit *unit = changes->unit;
    struct ak_node *before = ak_graph_owner(react->graph, name);
    bool known = binds(react, unit, name);
    if (!bound) {
        ak_graph_disown(react->graph, name);
        return 0;
    }
    if (!known && before && !changes->full)
        return 0;
    if (!known && (is_of_another_run(changes, name) || strncmp(name, "__", 2) == 0))
        return 0;
    ak_react_warn_of_two(react, unit, name, before ? ak_unit_of(before) : NULL);
    if (ak_node_frozen(unit->node)) {
        ak_graph_disown(react->graph, name);
        return 0;
    }
    int r = ak_graph_own(react->graph, unit->node, name);
    if (r)
        return r;
    void *grave = ak_map_remove(react->graves, name, strlen(name));
    free(grave);
    if (!known) {
        ak_plan_seed_readers(react->plan, name, unit->node);
        changes->seeded = true;
    }
    return 0;
}

/* What it bound to the very value that was there before is its own all the same. */
static void take_rebound(struct ak_react *react, struct ak_unit *unit) {
    const struct ak_effects *effects = ak_cell_effects(unit->cell);
    const struct ak_names *names = ak_effects_binds(effects);
    for (size_t i = 0; i < names->n_items; i++) {
        const char *name = names->items[i];
        struct ak_node *owner = ak_graph_owner(react->graph, name);
        if (owner != unit->node && !ak_space_is_ours(name) &&
            !ak_node_frozen(unit->node) &&
            ak_effects_bound_at(effects, name, AK_EFFECTS_END) &&
            ak_space_has_own(react->session->space, name))
            (void)ak_graph_own(react->graph, unit->node, name);
    }
}

static enum ak_node_state state_after(struct ak_react *react, struct ak_unit *unit,
                                      struct ak_cell *cell) {
    const char *missing = ak_cell_missing(cell);
    free(unit->ename);
    unit->ename = NULL;
    forget_why(unit);
    if (missing) {
        AK_BUF_AUTO line = {0};
        (void)ak_graph_learn(react->graph, unit->node, missing);
        ak_react_explain_missing(react, &missing, 1, 1, &line);
        unit->why = strdup(ak_buf_str(&line));
        return AK_NODE_PENDING;
    }
    if (!ak_cell_failed(cell))
        return AK_NODE_FRESH;
    unit->ename = ak_cell_ename(cell) ? strdup(ak_cell_ename(cell)) : NULL;
    return AK_NODE_FAILED;
}

bool ak_react_has(const struct ak_cell *cell) {
    const struct ak_unit *unit = ak_cell_tag(cell);
    return unit && unit->cell == cell;
}

void ak_react_abort_waiting(struct ak_react *react) {
    struct ak_node *node = NULL;
    while ((node = ak_graph_next(react->graph, node))) {
        struct ak_unit *unit = ak_unit_of(node);
        if (!unit->next)
            continue;
        unit->next = false;
        (void)ak_plan_settle(react->plan, node, AK_NODE_STALE);
        ak_cell_abort(unit->cell);
        own_is_over(unit);
        leave_pass(unit);
    }
}

static void halt(struct ak_react *react) {
    struct ak_node *node;
    ak_react_abort_waiting(react);
    react->halted = true;
    while ((node = ak_plan_waiting(react->plan))) {
        struct ak_unit *unit = ak_unit_of(node);
        struct ak_pass *pass = unit->pass;
        (void)ak_plan_settle(react->plan, node, AK_NODE_STALE);
        ak_late_say(unit->cell, current_id(react, unit), "pending",
                    "stale: an interrupt came before it; run it to bring it up to date",
                    false);
        if (pass)
            pass->interrupted = true;
        leave_pass(unit);
    }
}

void ak_react_interrupt(struct ak_react *react) {
    struct ak_node *node = NULL;
    while ((node = ak_graph_next(react->graph, node))) {
        struct ak_unit *unit = ak_unit_of(node);
        if (!unit->run)
            continue;
        if (unit->pass && unit->run != unit->cell)
            unit->pass->interrupted = true;
        ak_cell_interrupt(unit->run, false);
    }
    halt(react);
    end_all_over(react);
}

/* Widgets say when their value changes. Observing runs Python, which may change what is
 * owned: names are copied first. */
static void observe_owned(struct ak_react *react, struct ak_unit *unit) {
    size_t n;
    char **names = names_had(unit, &n);
    for (size_t i = 0; names && i < n; i++) {
        if (ak_graph_owner(react->graph, names[i]) == unit->node)
            ak_react_observe(react->session->space, names[i]);
        free(names[i]);
    }
    free(names);
}

/* The names that a run bound become its unit's, its state follows from how it ended. */
static enum ak_node_state conclude(struct ak_react *react, struct ak_unit *unit,
                                   struct ak_cell *cell, bool *ret_seeded) {
    struct changes changes = {.react = react, .unit = unit};
    struct ak_change *change = AK_TAKE(unit->change);
    changes.full = change && ak_change_is_full(change);
    if (change && ak_change_each(change, take_change, &changes) < 0)
        ak_error("names could not be kept: no memory");
    ak_change_free(change);
    enum ak_node_state state = state_after(react, unit, cell);
    if (state == AK_NODE_FRESH)
        take_rebound(react, unit);
    if (ak_react_observes(react->session->space))
        observe_owned(react, unit);
    *ret_seeded = changes.seeded;
    return state;
}

void ak_react_finished(struct ak_react *react, struct ak_cell *cell) {
    struct ak_unit *unit = ak_cell_tag(cell);
    bool own = cell == unit->cell;
    bool seeded = false;
    react->n_running--;
    if (react->fresh == cell)
        react->fresh = NULL;
    enum ak_node_state state = conclude(react, unit, cell, &seeded);
    uint64_t id = current_id(react, unit);
    struct ak_pass *pass = unit->pass;
    bool by_interrupt = ak_cell_by_interrupt(cell);
    unit->run = NULL;
    if (state == AK_NODE_PENDING)
        ak_late_say(cell, id, "pending", unit->why ? unit->why : "", true);
    else if (!own)
        ak_late_end(cell, id);
    if (own && unit->own && ak_cell_failed(cell) && ak_cell_stop_on_error(cell)) {
        unit->own->aborting = true;
        ak_execute_start_aborting(react->session);
    }
    bool settled = ak_plan_settle(react->plan, unit->node, state);
    if (settled) {
        if (!own && unit->own && unit->own->cell_open)
            ak_cell_take_reply(unit->cell, cell);
        own_is_over(unit);
        leave_pass(unit);
    }
    if (!own)
        ak_cell_free(cell);
    if (by_interrupt) {
        if (pass && !own)
            pass->interrupted = true;
        halt(react);
    } else if (seeded && pass) {
        react->filling = pass;
        ak_plan_spread(react->plan);
        react->filling = NULL;
    }
    pump(react);
}

/* --- changes from outside ------------------------------------------------------------
 */

void ak_react_message_begin(struct ak_react *react, uint64_t id) {
    react->message = ak_react_begin(react, id);
}

bool ak_react_message_end(struct ak_react *react) {
    struct ak_pass *pass = react->message;
    react->message = NULL;
    if (!pass)
        return false;
    bool waits = pass->n_open > 0;
    if (waits)
        pass->done_id = pass->id;
    if (waits)
        pump(react);
    else
        end_if_over(react, pass);
    return waits;
}

/* The cell that a request belongs to and that runs now. */
static struct ak_node *running_node(struct ak_react *react, uint64_t request) {
    struct ak_node *node = NULL;
    while (request && (node = ak_graph_next(react->graph, node))) {
        struct ak_unit *unit = ak_unit_of(node);
        if (unit->run && ak_cell_id(unit->cell) == request)
            return node;
    }
    return NULL;
}

void ak_react_changed(struct ak_react *react, const char *const *names, size_t n_names,
                      uint64_t by_request) {
    struct ak_node *by = running_node(react, by_request);
    struct ak_pass *pass = react->message               ? react->message
                           : by && ak_unit_of(by)->pass ? ak_unit_of(by)->pass
                                                        : ak_react_begin(react, 0);
    if (!pass)
        return;
    for (size_t i = 0; i < n_names; i++)
        ak_plan_seed_readers(react->plan, names[i], by);
    react->filling = pass;
    ak_plan_spread(react->plan);
    react->filling = NULL;
    if (pass != react->message)
        pump(react);
}

void ak_react_refresh(struct ak_react *react, struct ak_node *node) {
    struct ak_pass *pass = ak_react_begin(react, 0);
    if (!pass)
        return;
    ak_plan_seed(react->plan, node);
    ak_react_go(react, pass);
}

/* --- life ----------------------------------------------------------------------------
 */

int ak_react_new(struct ak_react **ret_react, struct ak_session *session, bool lazy) {
    AK_CLEANUP(ak_react_freep) struct ak_react *react = calloc(1, sizeof(*react));
    if (!react)
        return ak_error_origin(ENOMEM);
    react->session = session;
    react->lazy = lazy;
    ak_list_init(&react->passes);
    int r = ak_graph_new(&react->graph);
    if (!r)
        r = ak_plan_new(&react->plan, react->graph, &plan_ops, react);
    if (!r)
        r = ak_map_new(&react->by_source);
    if (!r)
        r = ak_map_new(&react->graves);
    if (r)
        return ak_error_trace(r);
    ak_plan_set_lazy(react->plan, lazy);
    *ret_react = AK_TAKE(react);
    return 0;
}

struct ak_react *ak_react_free(struct ak_react *react) {
    if (!react)
        return NULL;
    struct ak_node *node;
    while (react->graph && (node = ak_graph_next(react->graph, NULL))) {
        struct ak_unit *unit = ak_unit_of(node);
        ak_graph_remove(react->graph, node);
        free_unit(unit);
    }
    ak_list_for_each(entry, next, &react->passes) {
        free(ak_list_entry(entry, struct ak_pass, link));
    }
    size_t cursor = 0;
    void *label;
    while (react->graves && (label = ak_map_next(react->graves, &cursor, NULL, NULL)))
        free(label);
    ak_map_free(react->graves);
    ak_map_free(react->by_source);
    ak_plan_free(react->plan);
    ak_graph_free(react->graph);
    ak_cell_free_deleted(&react->deleted);
    ak_buf_done(&react->deferred);
    free(react);
    return NULL;
}

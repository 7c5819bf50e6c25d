/* SPDX-License-Identifier: MIT */
/*
 * A spread walks forward from the seeds and marks; then the numbers that decide who is
 * ready are counted afresh over the plan alone. Waiting is counted through names: a
 * name knows how many of its definers are not settled, a cell for how many names it
 * waits. So a name that a thousand cells define and a thousand read costs two thousand
 * steps, not a million, and a cell costs its names.
 *
 * Definers never trigger one another: a cell that defines a name has no edge from its
 * other definers, though it reads it. One exception: when it is pending on that name,
 * it waits for definers that do not read the name themselves.
 *
 * Strongly connected parts are found by Tarjan's search with its stack kept in the
 * vertices, cells and names alike, so that a chain of any length takes no memory. A
 * part with a read at once in it is a cycle that cannot run. A part of deferred reads
 * alone (functions that call each other) runs in order of first execution, and who
 * waits for one of it waits for all.
 *
 * A cell that deletes a name comes after the name's readers if that is possible.
 *
 * Who owns a name may change while cells run, and with it an edge that was counted.
 * Nobody starts too early by that, for only what was counted is taken off; should
 * somebody wait for ever, the plan finds that nothing is ready and counts again.
 */
#include "flow/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "flow/graph-private.h"

struct ak_plan {
    struct ak_graph *graph; /* borrowed */
    const struct ak_plan_ops *ops;
    void *owner;
    bool lazy;
    struct ak_list seeds;   /* ak_node.in_spread */
    struct ak_list waiting; /* ak_node.in_plan */
    struct ak_list given;   /* ak_node.in_plan: handed out */
    size_t n_waiting, n_given;
    unsigned n_indexes;      /* of the search */
    struct ak_vertex *stack; /* of the search */
};

static struct ak_node *in_plan(struct ak_list *entry) {
    return ak_list_entry(entry, struct ak_node, in_plan);
}

static struct ak_node *in_spread(struct ak_list *entry) {
    return ak_list_entry(entry, struct ak_node, in_spread);
}

static struct ak_edge *of_node(struct ak_list *entry) {
    return ak_list_entry(entry, struct ak_edge, in_node);
}

static struct ak_edge *of_reader(struct ak_list *entry) {
    return ak_list_entry(entry, struct ak_edge, as_reader);
}

static bool defines(const struct ak_edge *edge) {
    return edge->uses & AK_USE_DEFINES_ANY;
}

static bool reads(const struct ak_edge *edge) {
    return edge->uses & AK_USE_READS_ANY;
}

static bool reads_at_once(const struct ak_edge *edge) {
    return edge->uses & (AK_USE_READS | AK_USE_LEARNED);
}

/* Whether definers of the name that do not read it trigger this one, which does both.
 */
static bool waits_for_pure(const struct ak_edge *edge) {
    return reads(edge) && defines(edge) && edge->node->state == AK_NODE_PENDING;
}

int ak_plan_new(struct ak_plan **ret_plan, struct ak_graph *graph,
                const struct ak_plan_ops *ops, void *owner) {
    struct ak_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return ak_error_origin(ENOMEM);
    plan->graph = graph;
    plan->ops = ops;
    plan->owner = owner;
    ak_list_init(&plan->seeds);
    ak_list_init(&plan->waiting);
    ak_list_init(&plan->given);
    *ret_plan = plan;
    return 0;
}

struct ak_plan *ak_plan_free(struct ak_plan *plan) {
    free(plan);
    return NULL;
}

void ak_plan_set_lazy(struct ak_plan *plan, bool lazy) {
    plan->lazy = lazy;
}

bool ak_plan_lazy(const struct ak_plan *plan) {
    return plan->lazy;
}

/* --- the heap of ready cells ---------------------------------------------------------
 */

static void heap_put(struct ak_graph *graph, size_t at, struct ak_node *node) {
    graph->heap[at] = node;
    node->heap_at = at + 1;
}

static void heap_up(struct ak_graph *graph, size_t at, struct ak_node *node) {
    while (at && graph->heap[(at - 1) / 2]->order > node->order) {
        heap_put(graph, at, graph->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(graph, at, node);
}

static void heap_down(struct ak_graph *graph, size_t at, struct ak_node *node) {
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < graph->heap_size &&
            graph->heap[child + 1]->order < graph->heap[child]->order)
            child++;
        if (child >= graph->heap_size || graph->heap[child]->order > node->order)
            break;
        heap_put(graph, at, graph->heap[child]);
        at = child;
    }
    heap_put(graph, at, node);
}

static void heap_add_if_ready(struct ak_plan *plan, struct ak_node *node) {
    if (node->n_waits || node->n_waits_last || node->heap_at ||
        node->place != AK_PLAN_WAITING)
        return;
    plan->graph->heap_size++;
    heap_up(plan->graph, plan->graph->heap_size - 1, node);
}

static void heap_remove(struct ak_graph *graph, struct ak_node *node) {
    if (!node->heap_at)
        return;
    size_t at = node->heap_at - 1;
    struct ak_node *last = graph->heap[--graph->heap_size];
    node->heap_at = 0;
    if (last == node)
        return;
    if (at && graph->heap[(at - 1) / 2]->order > last->order)
        heap_up(graph, at, last);
    else
        heap_down(graph, at, last);
}

/* --- strongly connected parts --------------------------------------------------------
 */

static struct ak_node *vertex_node(struct ak_vertex *vertex) {
    return (struct ak_node *)(void *)((char *)vertex -
                                      offsetof(struct ak_node, vertex));
}

static struct ak_name *vertex_name(struct ak_vertex *vertex) {
    return (struct ak_name *)(void *)((char *)vertex -
                                      offsetof(struct ak_name, vertex));
}

/* Cells that the search looks at: running ones only if they run again. */
static bool is_searched(const struct ak_node *node) {
    return node->place == AK_PLAN_WAITING || node->again;
}

/* The next vertex behind this one, or NULL at the end of its edges. */
static struct ak_vertex *next_behind(struct ak_vertex *vertex) {
    struct ak_list *head =
        vertex->is_name ? &vertex_name(vertex)->readers : &vertex_node(vertex)->edges;
    while (vertex->cursor != head) {
        struct ak_list *entry = vertex->cursor;
        vertex->cursor = entry->next;
        if (!vertex->is_name && defines(of_node(entry)))
            return &of_node(entry)->name->vertex;
        if (vertex->is_name && !defines(of_reader(entry)) &&
            is_searched(of_reader(entry)->node))
            return &of_reader(entry)->node->vertex;
    }
    return NULL;
}

static void open_vertex(struct ak_plan *plan, struct ak_vertex *vertex,
                        struct ak_vertex *parent) {
    vertex->index = vertex->low = ++plan->n_indexes;
    vertex->parent = parent;
    vertex->below = plan->stack;
    vertex->open = true;
    vertex->cursor = vertex->is_name ? vertex_name(vertex)->readers.next
                                     : vertex_node(vertex)->edges.next;
    plan->stack = vertex;
}

/* Takes a finished part off the stack and joins its cells to a ring. */
static void close_part(struct ak_plan *plan, struct ak_vertex *root) {
    struct ak_node *first = NULL;
    struct ak_vertex *vertex;
    do {
        vertex = plan->stack;
        plan->stack = vertex->below;
        vertex->open = false;
        vertex->part = root->index;
        if (vertex->is_name)
            continue;
        struct ak_node *node = vertex_node(vertex);
        if (!first)
            first = node;
        node->part_first = first;
        first->part_left++;
        if (node != first) {
            node->part_next = first->part_next;
            first->part_next = node;
        }
    } while (vertex != root);
}

static void search(struct ak_plan *plan, struct ak_node *from) {
    struct ak_vertex *vertex = &from->vertex;
    open_vertex(plan, vertex, NULL);
    while (vertex) {
        struct ak_vertex *behind = next_behind(vertex);
        if (behind && !behind->index) {
            open_vertex(plan, behind, vertex);
            vertex = behind;
        } else if (behind) {
            if (behind->open && behind->index < vertex->low)
                vertex->low = behind->index;
        } else {
            struct ak_vertex *parent = vertex->parent;
            if (parent && vertex->low < parent->low)
                parent->low = vertex->low;
            if (vertex->low == vertex->index)
                close_part(plan, vertex);
            vertex = parent;
        }
    }
}

/* Whether an edge lies inside a part of several cells. */
static bool is_inside(const struct ak_edge *edge) {
    return edge->node->part_next != edge->node && reads(edge) && !defines(edge) &&
           edge->name->vertex.index &&
           edge->name->vertex.part == edge->node->vertex.part;
}

static void mark_cycle(struct ak_node *node) {
    ak_list_for_each(entry, next, &node->edges) {
        struct ak_edge *edge = of_node(entry);
        if (!reads_at_once(edge) || !is_inside(edge))
            continue;
        for (struct ak_node *n = node; !n->cyclic; n = n->part_next)
            n->cyclic = true;
        return;
    }
}

/* --- counting ------------------------------------------------------------------------
 */

static void reset_node(struct ak_node *node) {
    ak_node_leave_part(node);
    node->n_waits = node->n_waits_last = 0;
    node->heap_at = 0;
    node->vertex.index = 0;
    ak_list_for_each(entry, next, &node->edges) {
        struct ak_edge *edge = of_node(entry);
        struct ak_name *name = edge->name;
        edge->counts = edge->counts_pure = edge->counts_reading = false;
        edge->waits = edge->waits_pure = edge->waits_last = false;
        name->n_waited = name->n_waited_pure = name->n_reading = 0;
        name->vertex.index = 0;
    }
}

static void count_node(struct ak_node *node) {
    ak_list_for_each(entry, next, &node->edges) {
        struct ak_edge *edge = of_node(entry);
        edge->counts = defines(edge);
        edge->counts_pure = defines(edge) && !reads(edge);
        edge->counts_reading = reads(edge) && !(edge->uses & AK_USE_DELETES);
        edge->name->n_waited += edge->counts;
        edge->name->n_waited_pure += edge->counts_pure;
        edge->name->n_reading += edge->counts_reading;
    }
}

static void count_waits(struct ak_node *node) {
    ak_list_for_each(entry, next, &node->edges) {
        struct ak_edge *edge = of_node(entry);
        edge->waits =
            reads(edge) && !defines(edge) && edge->name->n_waited && !is_inside(edge);
        edge->waits_pure = waits_for_pure(edge) && edge->name->n_waited_pure;
        edge->waits_last =
            (edge->uses & AK_USE_DELETES) && !defines(edge) && edge->name->n_reading;
        node->n_waits += edge->waits + edge->waits_pure;
        node->n_waits_last += edge->waits_last;
    }
}

static void count(struct ak_plan *plan) {
    struct ak_list *lists[] = {&plan->waiting, &plan->given};
    plan->graph->heap_size = 0;
    plan->n_indexes = 0;
    for (int i = 0; i < 2; i++) {
        ak_list_for_each(entry, next, lists[i]) {
            reset_node(in_plan(entry));
        }
    }
    for (int i = 0; i < 2; i++) {
        ak_list_for_each(entry, next, lists[i]) {
            count_node(in_plan(entry));
        }
    }
    for (int i = 0; i < 2; i++) {
        ak_list_for_each(entry, next, lists[i]) {
            if (is_searched(in_plan(entry)) && !in_plan(entry)->vertex.index)
                search(plan, in_plan(entry));
        }
    }
    for (int i = 0; i < 2; i++) {
        ak_list_for_each(entry, next, lists[i]) {
            struct ak_node *node = in_plan(entry);
            if (!is_searched(node))
                continue;
            if (node->part_next != node && !node->cyclic)
                mark_cycle(node);
            count_waits(node);
            heap_add_if_ready(plan, node);
        }
    }
}

/* --- seeds and their spread ----------------------------------------------------------
 */

void ak_plan_seed(struct ak_plan *plan, struct ak_node *node) {
    node->wanted = true;
    if (!ak_list_linked(&node->in_spread))
        ak_list_append(&plan->seeds, &node->in_spread);
}

void ak_plan_seed_readers(struct ak_plan *plan, const char *name,
                          const struct ak_node *except) {
    void *cursor = NULL;
    struct ak_node *node;
    while ((node = ak_graph_next_user(plan->graph, name, AK_USE_READS_ANY, &cursor))) {
        bool also_defines = ak_graph_uses(plan->graph, node, name) & AK_USE_DEFINES_ANY;
        if (node == except || (also_defines && node->state != AK_NODE_PENDING))
            continue;
        if (!ak_list_linked(&node->in_spread))
            ak_list_append(&plan->seeds, &node->in_spread);
    }
}

void ak_plan_seed_stale_above(struct ak_plan *plan, struct ak_node *node) {
    struct ak_list queue;
    ak_list_init(&queue);
    for (struct ak_list *at = NULL; at != &queue;) {
        struct ak_node *below = at ? in_spread(at) : node;
        ak_list_for_each(entry, next, &below->edges) {
            struct ak_edge *edge = of_node(entry);
            if (!reads(edge) || defines(edge))
                continue;
            ak_list_for_each(by, after, &edge->name->definers) {
                struct ak_node *above =
                    ak_list_entry(by, struct ak_edge, as_definer)->node;
                if (above == node || above->frozen || above->state != AK_NODE_STALE ||
                    ak_list_linked(&above->in_spread))
                    continue;
                ak_list_append(&queue, &above->in_spread);
            }
        }
        at = at ? at->next : queue.next;
    }
    ak_list_for_each(entry, next, &queue) {
        ak_list_remove(entry);
        ak_plan_seed(plan, in_spread(entry));
    }
}

/* Appends to the list whoever is triggered by one cell's names and is not marked. */
static void reach_from(struct ak_list *reached, struct ak_node *node) {
    ak_list_for_each(entry, next, &node->edges) {
        struct ak_edge *edge = of_node(entry);
        struct ak_name *name = edge->name;
        bool pure = !reads(edge);
        if (!defines(edge) || (pure ? name->walked_pure : name->walked))
            continue;
        name->walked = true;
        name->walked_pure = name->walked_pure || pure;
        ak_list_for_each(by, after, &name->readers) {
            struct ak_edge *reader = of_reader(by);
            bool triggered = !defines(reader) || (pure && waits_for_pure(reader));
            if (!triggered || reader->node->marked || reader->node == node)
                continue;
            reader->node->marked = true;
            ak_list_append(reached, &reader->node->in_spread);
        }
    }
}

static void unwalk(struct ak_list *reached) {
    ak_list_for_each(entry, next, reached) {
        ak_list_for_each(by, after, &in_spread(entry)->edges) {
            struct ak_name *name = of_node(by)->name;
            name->walked = name->walked_pure = false;
        }
    }
}

/* Marks what lies behind cells that have a request of their own in the queue. */
static void mark_behind(struct ak_list *reached) {
    bool any = false;
    ak_list_for_each(entry, next, reached) {
        struct ak_node *node = in_spread(entry);
        node->behind = node->held && !node->wanted;
        any = any || node->behind;
    }
    while (any) {
        any = false;
        ak_list_for_each(entry, next, reached) {
            if (!in_spread(entry)->behind)
                continue;
            ak_list_for_each(by, after, &in_spread(entry)->edges) {
                struct ak_name *name = of_node(by)->name;
                if (!defines(of_node(by)) || name->walked)
                    continue;
                name->walked = true;
                ak_list_for_each(r, then, &name->readers) {
                    struct ak_node *node = of_reader(r)->node;
                    if (defines(of_reader(r)) || !node->marked || node->behind ||
                        node->wanted)
                        continue;
                    node->behind = any = true;
                }
            }
        }
    }
}

static void take_in(struct ak_plan *plan, struct ak_node *node) {
    if (node->place == AK_PLAN_OUT) {
        node->place = AK_PLAN_WAITING;
        ak_list_append(&plan->waiting, &node->in_plan);
        plan->n_waiting++;
    } else if (node->place == AK_PLAN_GIVEN) {
        node->again = true;
    }
    plan->ops->added(plan->owner, node);
}

void ak_plan_spread(struct ak_plan *plan) {
    struct ak_list reached, behind_frozen;
    ak_list_init(&reached);
    ak_list_init(&behind_frozen);
    ak_list_for_each(entry, next, &plan->seeds) {
        ak_list_remove(entry);
        ak_list_append(&reached, entry);
        in_spread(entry)->marked = true;
    }
    for (struct ak_list *at = reached.next; at != &reached; at = at->next) {
        if (!in_spread(at)->frozen)
            reach_from(&reached, in_spread(at));
    }
    for (struct ak_list *at = reached.next; at != &reached; at = at->next) {
        if (in_spread(at)->frozen)
            reach_from(&behind_frozen, in_spread(at));
    }
    for (struct ak_list *at = behind_frozen.next; at != &behind_frozen; at = at->next)
        reach_from(&behind_frozen, in_spread(at));
    unwalk(&reached);
    unwalk(&behind_frozen);
    mark_behind(&reached);
    unwalk(&reached);
    bool grown = false;
    ak_list_for_each(entry, next, &reached) {
        struct ak_node *node = in_spread(entry);
        bool runs = node->wanted || (!node->behind && !node->frozen && !plan->lazy);
        bool left = node->behind;
        ak_list_remove(entry);
        node->marked = node->behind = false;
        grown = grown || runs;
        if (runs)
            take_in(plan, node);
        else
            plan->ops->outdated(plan->owner, node, left);
    }
    ak_list_for_each(entry, next, &behind_frozen) {
        ak_list_remove(entry);
        in_spread(entry)->marked = false;
        plan->ops->outdated(plan->owner, in_spread(entry), false);
    }
    if (grown)
        count(plan);
}

/* --- handing out ---------------------------------------------------------------------
 */

static void stop_waiting(struct ak_plan *plan, struct ak_node *node, bool last) {
    if (last)
        node->n_waits_last--;
    else
        node->n_waits--;
    heap_add_if_ready(plan, node);
}

static void release_edge(struct ak_plan *plan, struct ak_edge *edge) {
    struct ak_name *name = edge->name;
    bool all = edge->counts && --name->n_waited == 0;
    bool pure = edge->counts_pure && --name->n_waited_pure == 0;
    bool last = edge->counts_reading && --name->n_reading == 0;
    edge->counts = edge->counts_pure = edge->counts_reading = false;
    if (!all && !pure && !last)
        return;
    ak_list_for_each(entry, next, &name->readers) {
        struct ak_edge *reader = of_reader(entry);
        if (all && reader->waits) {
            reader->waits = false;
            stop_waiting(plan, reader->node, false);
        }
        if (pure && reader->waits_pure) {
            reader->waits_pure = false;
            stop_waiting(plan, reader->node, false);
        }
        if (last && reader->waits_last) {
            reader->waits_last = false;
            stop_waiting(plan, reader->node, true);
        }
    }
}

static void release_node(struct ak_plan *plan, struct ak_node *node) {
    ak_list_for_each(entry, next, &node->edges) {
        release_edge(plan, of_node(entry));
    }
}

static void release(struct ak_plan *plan, struct ak_node *node) {
    struct ak_node *first = node->part_first;
    if (first->part_left && --first->part_left)
        return;
    struct ak_node *member = first;
    do {
        struct ak_node *next = member->part_next;
        if (member->place == AK_PLAN_OUT)
            release_node(plan, member);
        member = next;
    } while (member != first);
}

bool ak_plan_settle(struct ak_plan *plan, struct ak_node *node,
                    enum ak_node_state state) {
    ak_node_set_state(node, state);
    if (node->place == AK_PLAN_OUT)
        return true;
    ak_list_remove(&node->in_plan);
    heap_remove(plan->graph, node);
    if (node->again) {
        node->again = false;
        node->place = AK_PLAN_WAITING;
        plan->n_given--;
        plan->n_waiting++;
        ak_list_append(&plan->waiting, &node->in_plan);
        heap_add_if_ready(plan, node);
        return false;
    }
    if (node->place == AK_PLAN_GIVEN)
        plan->n_given--;
    else
        plan->n_waiting--;
    node->place = AK_PLAN_OUT;
    node->wanted = false;
    release(plan, node);
    return true;
}

/* A waiting cell whose own request has come meanwhile goes, and all behind it. */
static void leave_to_request(struct ak_plan *plan, struct ak_node *node) {
    struct ak_list reached;
    ak_list_init(&reached);
    ak_list_append(&reached, &node->in_spread);
    node->marked = true;
    for (struct ak_list *at = reached.next; at != &reached; at = at->next)
        reach_from(&reached, in_spread(at));
    unwalk(&reached);
    ak_list_for_each(entry, next, &reached) {
        struct ak_node *behind = in_spread(entry);
        ak_list_remove(entry);
        behind->marked = false;
        if (behind->place != AK_PLAN_WAITING || behind->wanted)
            continue;
        (void)ak_plan_settle(plan, behind, AK_NODE_STALE);
        plan->ops->outdated(plan->owner, behind, true);
    }
}

/* Nothing is ready and nothing runs: whoever waits for the fewest goes first. */
static struct ak_node *least_waiting(struct ak_plan *plan) {
    struct ak_node *least = NULL;
    ak_list_for_each(entry, next, &plan->waiting) {
        struct ak_node *node = in_plan(entry);
        if (!least || node->n_waits < least->n_waits ||
            (node->n_waits == least->n_waits && node->order < least->order))
            least = node;
    }
    return least;
}

static struct ak_node *first(struct ak_plan *plan) {
    if (!plan->graph->heap_size && plan->n_waiting && !plan->n_given)
        count(plan);
    if (plan->graph->heap_size)
        return plan->graph->heap[0];
    return plan->n_given ? NULL : least_waiting(plan);
}

size_t ak_plan_missing(const struct ak_plan *plan, const struct ak_node *node,
                       const char **ret_names, size_t n) {
    size_t n_missing = 0;
    ak_list_for_each(entry, next, &node->edges) {
        struct ak_edge *edge = of_node(entry);
        if (!reads_at_once(edge) || plan->ops->exists(plan->owner, edge->name->text))
            continue;
        if (n_missing < n)
            ret_names[n_missing] = edge->name->text;
        n_missing++;
    }
    return n_missing;
}

static bool is_blocked(const struct ak_node *node, struct ak_verdict *verdict) {
    ak_list_for_each(entry, next, &node->edges) {
        struct ak_edge *edge = of_node(entry);
        if (!reads(edge) || defines(edge) || !edge->name->n_bad)
            continue;
        ak_list_for_each(by, after, &edge->name->definers) {
            struct ak_node *above = ak_list_entry(by, struct ak_edge, as_definer)->node;
            if (!ak_node_is_bad(above))
                continue;
            verdict->name = edge->name->text;
            verdict->cause = above;
            return true;
        }
    }
    return false;
}

static struct ak_verdict judge(struct ak_plan *plan, const struct ak_node *node) {
    struct ak_verdict verdict = {.state = AK_NODE_RUNNING};
    if (node->cyclic)
        verdict.state = AK_NODE_CYCLIC;
    else if (is_blocked(node, &verdict))
        verdict.state = AK_NODE_BLOCKED;
    else if (ak_plan_missing(plan, node, NULL, 0))
        verdict.state = AK_NODE_PENDING;
    return verdict;
}

struct ak_node *ak_plan_peek(struct ak_plan *plan) {
    struct ak_node *node;
    while ((node = first(plan)) && node->held && !node->wanted)
        leave_to_request(plan, node);
    return node;
}

struct ak_node *ak_plan_next(struct ak_plan *plan, struct ak_verdict *ret_verdict) {
    struct ak_node *node = ak_plan_peek(plan);
    if (!node)
        return NULL;
    heap_remove(plan->graph, node);
    ak_list_remove(&node->in_plan);
    ak_list_append(&plan->given, &node->in_plan);
    plan->n_waiting--;
    plan->n_given++;
    node->place = AK_PLAN_GIVEN;
    node->wanted = false;
    *ret_verdict = judge(plan, node);
    if (ret_verdict->state == AK_NODE_RUNNING)
        ak_node_set_state(node, AK_NODE_RUNNING);
    return node;
}

bool ak_plan_has(const struct ak_plan *plan, const struct ak_node *node) {
    (void)plan;
    return node->place != AK_PLAN_OUT;
}

size_t ak_plan_unsettled(const struct ak_plan *plan) {
    return plan->n_waiting + plan->n_given;
}

struct ak_node *ak_plan_waiting(const struct ak_plan *plan) {
    return plan->n_waiting ? in_plan(plan->waiting.next) : NULL;
}

struct ak_node *ak_node_cycle_next(const struct ak_node *node) {
    return node->part_next;
}

const char *ak_node_cycle_name(const struct ak_node *node) {
    ak_list_for_each(entry, next, &node->edges) {
        struct ak_edge *edge = of_node(entry);
        if (!defines(edge))
            continue;
        ak_list_for_each(by, after, &edge->name->readers) {
            struct ak_edge *reader = of_reader(by);
            if (reader->node != node && is_inside(reader) &&
                reader->node->part_first == node->part_first)
                return edge->name->text;
        }
    }
    return "";
}

/* SPDX-License-Identifier: MIT */
/*
 * Cells and names are found through hash maps, what one cell does to one name through a
 * third, keyed by both pointers. An edge record lies in the list of its cell and, as
 * long as it defines or reads, in those of its name, so that putting it in and taking
 * it out takes constant time whoever else uses the name.
 *
 * A name lives as long as somebody uses it. How many of its definers are in a bad state
 * is counted in the name: whether a reader is blocked is then one look, however many
 * cells define it.
 */
#include "flow/graph-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct edge_key {
    const struct ak_node *node;
    const struct ak_name *name;
};

const char *ak_node_state_name(enum ak_node_state state) {
    static const char *const names[] = {
        [AK_NODE_STALE] = "stale",     [AK_NODE_FRESH] = "fresh",
        [AK_NODE_RUNNING] = "running", [AK_NODE_PENDING] = "pending",
        [AK_NODE_BLOCKED] = "blocked", [AK_NODE_FAILED] = "failed",
        [AK_NODE_CYCLIC] = "cyclic",
    };
    return names[state];
}

int ak_graph_new(struct ak_graph **ret_graph) {
    AK_CLEANUP(ak_graph_freep) struct ak_graph *graph = calloc(1, sizeof(*graph));
    if (!graph)
        return ak_error_origin(ENOMEM);
    ak_list_init(&graph->nodes);
    int r = ak_map_new(&graph->nodes_by_id);
    if (!r)
        r = ak_map_new(&graph->names);
    if (!r)
        r = ak_map_new(&graph->edges);
    if (r)
        return ak_error_trace(r);
    *ret_graph = AK_TAKE(graph);
    return 0;
}

struct ak_graph *ak_graph_free(struct ak_graph *graph) {
    if (!graph)
        return NULL;
    ak_list_for_each(node, next, &graph->nodes) {
        ak_graph_remove(graph, ak_list_entry(node, struct ak_node, link));
    }
    ak_map_free(graph->edges);
    ak_map_free(graph->names);
    ak_map_free(graph->nodes_by_id);
    free(graph->heap);
    free(graph);
    return NULL;
}

/* --- names and edges ----------------------------------------------------------------
 */

static struct ak_name *find_name(const struct ak_graph *graph, const char *text) {
    return ak_map_get(graph->names, text, strlen(text));
}

static void drop_name_if_unused(struct ak_graph *graph, struct ak_name *name) {
    if (name->n_edges)
        return;
    ak_map_remove(graph->names, name->text, strlen(name->text));
    free(name->text);
    free(name);
}

static int intern(struct ak_graph *graph, const char *text, struct ak_name **ret_name) {
    struct ak_name *name = find_name(graph, text);
    if (!name) {
        name = calloc(1, sizeof(*name));
        char *copy = name ? strdup(text) : NULL;
        if (!copy || ak_map_put(graph->names, text, strlen(text), name, NULL)) {
            free(copy);
            free(name);
            return ak_error_origin(ENOMEM);
        }
        name->text = copy;
        name->vertex.is_name = true;
        ak_list_init(&name->definers);
        ak_list_init(&name->readers);
    }
    *ret_name = name;
    return 0;
}

static struct ak_edge *find_edge(const struct ak_graph *graph,
                                 const struct ak_node *node,
                                 const struct ak_name *name) {
    struct edge_key key = {node, name};
    return ak_map_get(graph->edges, &key, sizeof(key));
}

/* The edge record between a cell and a name, made when there is none: with no use yet
 * it is in no list of its name. */
static int touch_edge(struct ak_graph *graph, struct ak_node *node, const char *text,
                      struct ak_edge **ret_edge) {
    struct ak_name *name = NULL;
    int r = intern(graph, text, &name);
    if (r)
        return ak_error_trace(r);
    struct ak_edge *edge = find_edge(graph, node, name);
    if (!edge) {
        struct edge_key key = {node, name};
        edge = calloc(1, sizeof(*edge));
        r = edge ? ak_map_put(graph->edges, &key, sizeof(key), edge, NULL) : -ENOMEM;
        if (r) {
            free(edge);
            drop_name_if_unused(graph, name);
            return ak_error_origin(ENOMEM);
        }
        ak_list_init(&edge->as_definer);
        ak_list_init(&edge->as_reader);
        ak_list_append(&node->edges, &edge->in_node);
        edge->node = node;
        edge->name = name;
        name->n_edges++;
    }
    *ret_edge = edge;
    return 0;
}

static void enlist(struct ak_list *head, struct ak_list *entry, bool wanted) {
    if (wanted && !ak_list_linked(entry))
        ak_list_append(head, entry);
    else if (!wanted && ak_list_linked(entry))
        ak_list_remove(entry);
}

/* Gives an edge record its uses; without any it is freed. */
static void set_edge(struct ak_graph *graph, struct ak_edge *edge, unsigned uses) {
    struct ak_name *name = edge->name;
    struct ak_node *node = edge->node;
    bool defined = edge->uses & AK_USE_DEFINES_ANY;
    bool defines = uses & AK_USE_DEFINES_ANY;
    edge->uses = uses;
    if (ak_node_is_bad(node) && defined != defines)
        name->n_bad += defines ? 1u : -1u;
    enlist(&name->definers, &edge->as_definer, defines);
    enlist(&name->readers, &edge->as_reader, uses & AK_USE_READS_ANY);
    if (name->owner == node && !(uses & AK_USE_OWNS))
        name->owner = NULL;
    if (uses)
        return;
    struct edge_key key = {node, name};
    ak_map_remove(graph->edges, &key, sizeof(key));
    ak_list_remove(&edge->in_node);
    free(edge);
    name->n_edges--;
    drop_name_if_unused(graph, name);
}

/* --- cells --------------------------------------------------------------------------
 */

static int reserve_heap(struct ak_graph *graph) {
    size_t room = graph->heap_room ? graph->heap_room * 2 : 16;
    if (ak_map_count(graph->nodes_by_id) < graph->heap_room)
        return 0;
    struct ak_node **heap = realloc(graph->heap, room * sizeof(struct ak_node *));
    if (!heap)
        return ak_error_origin(ENOMEM);
    graph->heap = heap;
    graph->heap_room = room;
    return 0;
}

int ak_graph_add(struct ak_graph *graph, const char *id, size_t id_len,
                 struct ak_node **ret_node) {
    int r = reserve_heap(graph);
    if (r)
        return ak_error_trace(r);
    struct ak_node *node = calloc(1, sizeof(*node));
    char *copy = node ? malloc(id_len + 1) : NULL;
    if (!copy || ak_map_put(graph->nodes_by_id, id, id_len, node, NULL)) {
        free(copy);
        free(node);
        return ak_error_origin(ENOMEM);
    }
    memcpy(copy, id, id_len);
    copy[id_len] = '\0';
    node->id = copy;
    node->id_len = id_len;
    node->order = graph->next_order++;
    node->part_next = node->part_first = node;
    ak_list_init(&node->edges);
    ak_list_init(&node->in_plan);
    ak_list_init(&node->in_spread);
    ak_list_append(&graph->nodes, &node->link);
    *ret_node = node;
    return 0;
}

struct ak_node *ak_graph_find(const struct ak_graph *graph, const char *id,
                              size_t id_len) {
    return ak_map_get(graph->nodes_by_id, id, id_len);
}

void ak_node_leave_part(struct ak_node *node) {
    do {
        struct ak_node *next = node->part_next;
        node->part_next = node->part_first = node;
        node->part_left = 0;
        node->cyclic = false;
        node = next;
    } while (node->part_next != node);
}

void ak_graph_remove(struct ak_graph *graph, struct ak_node *node) {
    ak_list_for_each(entry, next, &node->edges) {
        set_edge(graph, ak_list_entry(entry, struct ak_edge, in_node), 0);
    }
    ak_node_leave_part(node);
    ak_map_remove(graph->nodes_by_id, node->id, node->id_len);
    ak_list_remove(&node->link);
    if (ak_list_linked(&node->in_plan))
        ak_list_remove(&node->in_plan);
    free(node->id);
    free(node);
}

/* Marks an edge that has not been given its new uses yet. */
#define UNTOUCHED (1u << 31)

/* Uses that are new are added first, and those that went are dropped last: what fails
 * in between leaves a superset, which is undone. */
int ak_graph_set_uses(struct ak_graph *graph, struct ak_node *node,
                      const struct ak_use_of *uses, size_t n_uses, bool forget) {
    unsigned stays = AK_USE_OWNS | (forget ? 0u : (unsigned)AK_USE_LEARNED);
    for (size_t i = 0; i < n_uses; i++) {
        struct ak_edge *edge;
        int r = touch_edge(graph, node, uses[i].name, &edge);
        if (!r)
            continue;
        ak_list_for_each(entry, next, &node->edges) {
            edge = ak_list_entry(entry, struct ak_edge, in_node);
            if (!edge->uses)
                set_edge(graph, edge, 0);
        }
        return ak_error_trace(r);
    }
    ak_list_for_each(entry, next, &node->edges) {
        struct ak_edge *edge = ak_list_entry(entry, struct ak_edge, in_node);
        edge->uses |= UNTOUCHED;
    }
    for (size_t i = 0; i < n_uses; i++) {
        struct ak_edge *edge = find_edge(graph, node, find_name(graph, uses[i].name));
        unsigned now = edge->uses;
        if (now & UNTOUCHED) {
            edge->uses = now & ~UNTOUCHED;
            now = edge->uses & stays;
        }
        set_edge(graph, edge, now | uses[i].uses);
    }
    ak_list_for_each(entry, next, &node->edges) {
        struct ak_edge *edge = ak_list_entry(entry, struct ak_edge, in_node);
        if (!(edge->uses & UNTOUCHED))
            continue;
        edge->uses &= ~UNTOUCHED;
        set_edge(graph, edge, edge->uses & stays);
    }
    return 0;
}

int ak_graph_learn(struct ak_graph *graph, struct ak_node *node, const char *name) {
    struct ak_edge *edge;
    int r = touch_edge(graph, node, name, &edge);
    if (r)
        return ak_error_trace(r);
    set_edge(graph, edge, edge->uses | AK_USE_LEARNED);
    return 0;
}

struct ak_node *ak_graph_next(const struct ak_graph *graph, struct ak_node *after) {
    const struct ak_list *next = after ? after->link.next : graph->nodes.next;
    return next == &graph->nodes ? NULL : ak_list_entry(next, struct ak_node, link);
}

size_t ak_graph_count(const struct ak_graph *graph) {
    return ak_map_count(graph->nodes_by_id);
}

const char *ak_node_id(const struct ak_node *node) {
    return node->id;
}

enum ak_node_state ak_node_state(const struct ak_node *node) {
    return node->state;
}

void ak_node_set_state(struct ak_node *node, enum ak_node_state state) {
    bool was_bad = ak_node_is_bad(node);
    node->state = state;
    bool is_bad = ak_node_is_bad(node);
    if (was_bad == is_bad)
        return;
    ak_list_for_each(entry, next, &node->edges) {
        struct ak_edge *edge = ak_list_entry(entry, struct ak_edge, in_node);
        if (edge->uses & AK_USE_DEFINES_ANY)
            edge->name->n_bad += is_bad ? 1u : -1u;
    }
}

bool ak_node_frozen(const struct ak_node *node) {
    return node->frozen;
}

void ak_node_set_frozen(struct ak_node *node, bool frozen) {
    node->frozen = frozen;
}

void ak_node_hold(struct ak_node *node, bool held) {
    node->held = held;
}

bool ak_node_held(const struct ak_node *node) {
    return node->held;
}

void *ak_node_tag(const struct ak_node *node) {
    return node->tag;
}

void ak_node_set_tag(struct ak_node *node, void *tag) {
    node->tag = tag;
}

/* --- ownership and walks ------------------------------------------------------------
 */

void ak_graph_disown(struct ak_graph *graph, const char *text) {
    struct ak_name *name = find_name(graph, text);
    if (!name || !name->owner)
        return;
    struct ak_edge *edge = find_edge(graph, name->owner, name);
    set_edge(graph, edge, edge->uses & ~(unsigned)AK_USE_OWNS);
}

int ak_graph_own(struct ak_graph *graph, struct ak_node *node, const char *text) {
    struct ak_edge *edge;
    int r = touch_edge(graph, node, text, &edge);
    if (r)
        return ak_error_trace(r);
    if (edge->name->owner == node)
        return 0;
    set_edge(graph, edge, edge->uses | AK_USE_OWNS);
    ak_graph_disown(graph, text);
    edge->name->owner = node;
    return 0;
}

struct ak_node *ak_graph_owner(const struct ak_graph *graph, const char *text) {
    struct ak_name *name = find_name(graph, text);
    return name ? name->owner : NULL;
}

unsigned ak_graph_uses(const struct ak_graph *graph, const struct ak_node *node,
                       const char *text) {
    struct ak_name *name = find_name(graph, text);
    struct ak_edge *edge = name ? find_edge(graph, node, name) : NULL;
    return edge ? edge->uses : 0;
}

bool ak_node_next_use(const struct ak_node *node, void **cursor, const char **ret_name,
                      unsigned *ret_uses) {
    struct ak_list *entry = *cursor ? *cursor : node->edges.next;
    if (entry == &node->edges)
        return false;
    struct ak_edge *edge = ak_list_entry(entry, struct ak_edge, in_node);
    *cursor = entry->next;
    *ret_name = edge->name->text;
    *ret_uses = edge->uses;
    return true;
}

struct ak_node *ak_graph_next_user(const struct ak_graph *graph, const char *text,
                                   unsigned uses, void **cursor) {
    struct ak_name *name = find_name(graph, text);
    if (!name)
        return NULL;
    bool reads = uses & AK_USE_READS_ANY;
    struct ak_list *head = reads ? &name->readers : &name->definers;
    for (struct ak_list *entry = *cursor ? *cursor : head->next; entry != head;) {
        struct ak_edge *edge = reads ? ak_list_entry(entry, struct ak_edge, as_reader)
                                     : ak_list_entry(entry, struct ak_edge, as_definer);
        entry = entry->next;
        *cursor = entry;
        if (edge->uses & uses)
            return edge->node;
    }
    return NULL;
}

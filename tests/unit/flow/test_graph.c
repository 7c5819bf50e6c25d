/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "flow/graph.h"

/* --- the nth allocation fails --------------------------------------------------------
 */

static long allocations_left = -1;

void *__real_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *text);

static bool refuse(void) {
    if (allocations_left < 0)
        return false;
    if (allocations_left == 0)
        return true;
    allocations_left--;
    return false;
}

void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size) {
    return refuse() ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size) {
    return refuse() ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size) {
    return refuse() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text) {
    return refuse() ? NULL : __real_strdup(text);
}

/* --- */

static struct ak_node *add(struct ak_graph *graph, const char *id) {
    struct ak_node *node = NULL;
    assert(ak_graph_add(graph, id, strlen(id), &node) == 0);
    return node;
}

static void finds(void) {
    struct ak_graph *graph;
    assert(ak_graph_new(&graph) == 0);
    struct ak_node *a = add(graph, "a"), *b = add(graph, "b");
    assert(ak_graph_find(graph, "a", 1) == a && ak_graph_find(graph, "b", 1) == b);
    assert(!ak_graph_find(graph, "c", 1) && ak_graph_count(graph) == 2);
    assert(ak_node_state(a) == AK_NODE_STALE);
    assert(ak_graph_next(graph, NULL) == a && ak_graph_next(graph, a) == b &&
           !ak_graph_next(graph, b));
    ak_graph_remove(graph, a);
    assert(!ak_graph_find(graph, "a", 1) && ak_graph_next(graph, NULL) == b);
    ak_graph_free(graph);
}

static void edits(void) {
    struct ak_graph *graph;
    assert(ak_graph_new(&graph) == 0);
    struct ak_node *a = add(graph, "a");
    struct ak_use_of first[] = {
        {"x", AK_USE_READS}, {"y", AK_USE_BINDS}, {"x", AK_USE_BINDS}};
    assert(ak_graph_set_uses(graph, a, first, 3, false) == 0);
    assert(ak_graph_uses(graph, a, "x") == (AK_USE_READS | AK_USE_BINDS));
    assert(ak_graph_uses(graph, a, "y") == AK_USE_BINDS);
    struct ak_use_of second[] = {{"x", AK_USE_READS_LATER}};
    assert(ak_graph_own(graph, a, "y") == 0);
    assert(ak_graph_set_uses(graph, a, second, 1, false) == 0);
    assert(ak_graph_uses(graph, a, "x") == AK_USE_READS_LATER);
    assert(ak_graph_uses(graph, a, "y") == AK_USE_OWNS);
    ak_graph_disown(graph, "y");
    assert(ak_graph_uses(graph, a, "y") == 0);
    ak_graph_free(graph);
}

static void owns(void) {
    struct ak_graph *graph;
    assert(ak_graph_new(&graph) == 0);
    struct ak_node *a = add(graph, "a"), *b = add(graph, "b");
    assert(!ak_graph_owner(graph, "x"));
    assert(ak_graph_own(graph, a, "x") == 0 && ak_graph_owner(graph, "x") == a);
    assert(ak_graph_own(graph, b, "x") == 0 && ak_graph_owner(graph, "x") == b);
    assert(ak_graph_uses(graph, a, "x") == 0);
    ak_graph_remove(graph, b);
    assert(!ak_graph_owner(graph, "x"));
    ak_graph_disown(graph, "x");
    ak_graph_free(graph);
}

static void walks(void) {
    struct ak_graph *graph;
    assert(ak_graph_new(&graph) == 0);
    struct ak_node *a = add(graph, "a"), *b = add(graph, "b");
    struct ak_use_of reads[] = {{"x", AK_USE_READS}};
    struct ak_use_of binds[] = {{"x", AK_USE_BINDS},
                                {"z", AK_USE_DELETES | AK_USE_READS}};
    assert(ak_graph_set_uses(graph, a, reads, 1, false) == 0);
    assert(ak_graph_set_uses(graph, b, binds, 2, false) == 0);
    void *cursor = NULL;
    assert(ak_graph_next_user(graph, "x", AK_USE_READS_ANY, &cursor) == a);
    assert(!ak_graph_next_user(graph, "x", AK_USE_READS_ANY, &cursor));
    cursor = NULL;
    assert(ak_graph_next_user(graph, "x", AK_USE_BINDS, &cursor) == b);
    cursor = NULL;
    const char *name;
    unsigned uses, n = 0;
    while (ak_node_next_use(b, &cursor, &name, &uses))
        n++;
    assert(n == 2);
    ak_graph_free(graph);
}

static void forgets(void) {
    struct ak_graph *graph;
    assert(ak_graph_new(&graph) == 0);
    struct ak_node *a = add(graph, "a");
    assert(ak_graph_learn(graph, a, "late") == 0);
    assert(ak_graph_set_uses(graph, a, NULL, 0, false) == 0);
    assert(ak_graph_uses(graph, a, "late") == AK_USE_LEARNED);
    assert(ak_graph_set_uses(graph, a, NULL, 0, true) == 0);
    assert(ak_graph_uses(graph, a, "late") == 0);
    ak_graph_free(graph);
}

/* Whatever allocation fails, the graph is as before and can be used and freed. */
static void no_memory(void) {
    for (long fail_at = 0; fail_at < 200; fail_at++) {
        struct ak_graph *graph = NULL;
        allocations_left = fail_at;
        int r = ak_graph_new(&graph);
        struct ak_node *nodes[20] = {0};
        for (int i = 0; i < 20 && !r; i++) {
            char id[8], name[8], other[8];
            snprintf(id, sizeof(id), "c%d", i);
            snprintf(name, sizeof(name), "x%d", i);
            snprintf(other, sizeof(other), "x%d", i + 1);
            struct ak_use_of uses[] = {{name, AK_USE_READS}, {other, AK_USE_BINDS}};
            r = ak_graph_add(graph, id, strlen(id), &nodes[i]);
            if (!r) {
                r = ak_graph_set_uses(graph, nodes[i], uses, 2, false);
                if (r)
                    assert(ak_graph_uses(graph, nodes[i], name) == 0);
            }
            if (!r)
                r = ak_graph_own(graph, nodes[i], other);
        }
        allocations_left = -1;
        assert(r == 0 || r == -ENOMEM);
        ak_graph_free(graph);
        if (r == 0)
            return;
    }
}

static const struct ak_test tests[] = {
    {"finds", finds}, {"edits", edits},     {"owns", owns},
    {"walks", walks}, {"forgets", forgets}, {"no-memory", no_memory},
};
AK_TEST_MAIN(tests)

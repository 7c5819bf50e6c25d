/* SPDX-License-Identifier: MIT */
/*
 * The engine's own time a cell, in microseconds, when the root of a graph runs again:
 * the five shapes at 100 to 10,000 cells, as JSON lines. "Running" a cell is owning its
 * names. bench/bench.py prints it beside the peers.
 */
#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "flow/plan.h"

struct world {
    struct ak_graph *graph;
    struct ak_plan *plan;
};

static bool exists(void *owner, const char *name) {
    struct world *w = owner;
    return ak_graph_owner(w->graph, name);
}

static void added(void *owner, struct ak_node *node) {
    struct world *w = owner;
    void *cursor = NULL;
    const char *name;
    unsigned uses;
    while (ak_node_next_use(node, &cursor, &name, &uses)) {
        if (uses & AK_USE_OWNS)
            ak_graph_disown(w->graph, name);
    }
}

static void outdated(void *owner, struct ak_node *node, bool left) {
}

static const struct ak_plan_ops ops = {exists, added, outdated};

/* Which cells a cell reads: up to three, or all of them. */
static size_t parents_of(const char *shape, int i, int n, int *parents) {
    size_t n_parents = 0;
    int width = 100;
    if (i == 0)
        return 0;
    if (strcmp(shape, "chain") == 0) {
        parents[n_parents++] = i - 1;
    } else if (strcmp(shape, "fan-out") == 0 ||
               (strcmp(shape, "fan-in") == 0 && i < n - 1)) {
        parents[n_parents++] = 0;
    } else if (strcmp(shape, "fan-in") == 0) {
        for (int k = 1; k < n - 1; k++)
            parents[n_parents++] = k;
    } else if (strcmp(shape, "grid") == 0) {
        parents[n_parents++] = i % width ? i - 1 : i - width > 0 ? i - width : 0;
        if (i >= width && i % width)
            parents[n_parents++] = i - width;
    } else {
        parents[n_parents++] = i - 1;
        parents[n_parents++] = rand() % i;
        parents[n_parents++] = rand() % i;
    }
    return n_parents;
}

static struct ak_node *build(struct world *w, const char *shape, int n) {
    int *parents = malloc((size_t)n * sizeof(int));
    struct ak_use_of *uses = malloc(((size_t)n + 1) * sizeof(*uses));
    char(*names)[16] = malloc((size_t)n * sizeof(*names));
    struct ak_node *first = NULL;
    for (int i = 0; i < n; i++)
        snprintf(names[i], sizeof(names[i]), "x%d", i);
    for (int i = 0; i < n; i++) {
        struct ak_node *node;
        size_t n_parents = parents_of(shape, i, n, parents);
        for (size_t k = 0; k < n_parents; k++)
            uses[k] = (struct ak_use_of){names[parents[k]], AK_USE_READS};
        uses[n_parents] = (struct ak_use_of){names[i], AK_USE_BINDS};
        assert(ak_graph_add(w->graph, names[i], strlen(names[i]), &node) == 0);
        assert(ak_graph_set_uses(w->graph, node, uses, n_parents + 1, true) == 0);
        first = first ? first : node;
    }
    free(parents);
    free(uses);
    free(names);
    return first;
}

static int run(struct world *w, struct ak_node *root) {
    struct ak_node *node;
    struct ak_verdict verdict;
    int n_run = 0;
    ak_plan_seed(w->plan, root);
    ak_plan_spread(w->plan);
    while ((node = ak_plan_next(w->plan, &verdict))) {
        void *cursor = NULL;
        const char *name;
        unsigned uses;
        assert(verdict.state == AK_NODE_RUNNING);
        while (ak_node_next_use(node, &cursor, &name, &uses)) {
            if (uses & AK_USE_BINDS)
                assert(ak_graph_own(w->graph, node, name) == 0);
        }
        assert(ak_plan_settle(w->plan, node, AK_NODE_FRESH));
        n_run++;
    }
    return n_run;
}

static void measure(const char *shape, int n) {
    struct world w = {0};
    assert(ak_graph_new(&w.graph) == 0);
    assert(ak_plan_new(&w.plan, w.graph, &ops, &w) == 0);
    struct ak_node *root = build(&w, shape, n);
    int repeats = 100000 / n;
    assert(run(&w, root) == n);
    double best = 1e9;
    for (int round = 0; round < 5; round++) {
        uint64_t start = ak_clock_now();
        for (int i = 0; i < repeats; i++)
            assert(run(&w, root) == n);
        double us = (double)(ak_clock_now() - start) / 1e3 / repeats / n;
        best = us < best ? us : best;
    }
    printf("{\"shape\": \"%s\", \"cells\": %d, \"us_per_cell\": %.3f}\n", shape, n,
           best);
    ak_plan_free(w.plan);
    ak_graph_free(w.graph);
}

int main(void) {
    const char *const shapes[] = {"chain", "fan-out", "fan-in", "grid", "random"};
    const int sizes[] = {10, 100, 1000, 10000};
    for (size_t s = 0; s < 5; s++) {
        for (size_t i = 0; i < 4; i++)
            measure(shapes[s], sizes[i]);
    }
    return 0;
}

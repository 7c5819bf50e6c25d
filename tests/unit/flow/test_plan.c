/* SPDX-License-Identifier: MIT */
/* Plans over cells that "run" by binding what they say they bind. */
#include "unit/test.h"

#include <stdlib.h>

#include "flow/plan.h"

#define CELLS_MAX 64

struct world {
    struct ak_graph *graph;
    struct ak_plan *plan;
    char log[8192]; /* ids in the order of handing out; -id, !id, @id: not run */
    char outdated[8192];
    const char *failing; /* id of a cell that fails */
};

static bool exists(void *owner, const char *name) {
    struct world *w = owner;
    return strcmp(name, "print") == 0 || ak_graph_owner(w->graph, name);
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
    struct world *w = owner;
    ak_node_set_state(node, AK_NODE_STALE);
    strcat(w->outdated, ak_node_id(node));
    strcat(w->outdated, " ");
}

static const struct ak_plan_ops ops = {exists, added, outdated};

static struct world *world_new(void) {
    struct world *w = calloc(1, sizeof(*w));
    assert(ak_graph_new(&w->graph) == 0);
    assert(ak_plan_new(&w->plan, w->graph, &ops, w) == 0);
    return w;
}

static void world_free(struct world *w) {
    ak_plan_free(w->plan);
    ak_graph_free(w->graph);
    free(w);
}

/* "r:x b:y l:z d:q": reads x, binds y, reads z later, deletes q. */
static struct ak_node *cell(struct world *w, const char *id, const char *text) {
    struct ak_node *node = ak_graph_find(w->graph, id, strlen(id));
    if (!node)
        assert(ak_graph_add(w->graph, id, strlen(id), &node) == 0);
    struct ak_use_of uses[32];
    char copy[512];
    size_t n = 0;
    snprintf(copy, sizeof(copy), "%s", text);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
        unsigned use = word[0] == 'r'   ? AK_USE_READS
                       : word[0] == 'b' ? AK_USE_BINDS
                       : word[0] == 'l' ? AK_USE_READS_LATER
                                        : AK_USE_DELETES | AK_USE_READS;
        uses[n++] = (struct ak_use_of){word + 2, use};
    }
    assert(ak_graph_set_uses(w->graph, node, uses, n, true) == 0);
    return node;
}

static void bind(struct world *w, struct ak_node *node) {
    void *cursor = NULL;
    const char *name;
    unsigned uses;
    while (ak_node_next_use(node, &cursor, &name, &uses)) {
        if (uses & AK_USE_BINDS)
            assert(ak_graph_own(w->graph, node, name) == 0);
        else if (uses & AK_USE_DELETES)
            ak_graph_disown(w->graph, name);
    }
}

static void step(struct world *w, struct ak_node *node,
                 const struct ak_verdict *verdict) {
    bool fails = w->failing && strcmp(w->failing, ak_node_id(node)) == 0;
    enum ak_node_state state = verdict->state;
    const char *mark = state == AK_NODE_PENDING   ? "-"
                       : state == AK_NODE_BLOCKED ? "!"
                       : state == AK_NODE_CYCLIC  ? "@"
                                                  : "";
    if (strlen(w->log) < sizeof(w->log) - 64) {
        strcat(w->log, mark);
        strcat(w->log, ak_node_id(node));
        strcat(w->log, " ");
    }
    if (state == AK_NODE_RUNNING) {
        if (!fails)
            bind(w, node);
        state = fails ? AK_NODE_FAILED : AK_NODE_FRESH;
    }
    (void)ak_plan_settle(w->plan, node, state);
}

static void run_all(struct world *w) {
    struct ak_node *node;
    struct ak_verdict verdict;
    while ((node = ak_plan_next(w->plan, &verdict)))
        step(w, node, &verdict);
    assert(ak_plan_unsettled(w->plan) == 0);
}

/* Runs a cell as a request does, and checks what was handed out. */
static void expect(struct world *w, struct ak_node *node, const char *log) {
    w->log[0] = w->outdated[0] = '\0';
    ak_plan_seed(w->plan, node);
    ak_plan_spread(w->plan);
    run_all(w);
    size_t n = strlen(w->log);
    if (n)
        w->log[n - 1] = '\0';
    if (strcmp(w->log, log) != 0)
        fprintf(stderr, "\"%s\", not \"%s\"\n", w->log, log);
    assert(strcmp(w->log, log) == 0);
}

static void chain(void) {
    struct world *w = world_new();
    struct ak_node *a = cell(w, "a", "b:x");
    expect(w, a, "a");
    expect(w, cell(w, "b", "r:x b:y"), "b");
    expect(w, cell(w, "c", "r:y b:z"), "c");
    expect(w, cell(w, "d", "b:q"), "d");
    expect(w, a, "a b c");
    assert(ak_node_state(a) == AK_NODE_FRESH);
    world_free(w);
}

static void diamond(void) {
    struct world *w = world_new();
    expect(w, cell(w, "s", "r:l r:r"), "-s");
    expect(w, cell(w, "r", "r:x r:l b:r"), "-r -s");
    expect(w, cell(w, "l", "r:x b:l"), "-l -r -s");
    expect(w, cell(w, "x", "b:x"), "x l r s");
    expect(w, cell(w, "x", "b:x"), "x l r s");
    world_free(w);
}

static void order(void) {
    struct world *w = world_new();
    struct ak_node *x = cell(w, "x", "b:x");
    cell(w, "3", "r:x");
    cell(w, "1", "r:x");
    cell(w, "2", "r:x");
    expect(w, x, "x 3 1 2");
    world_free(w);
}

static void pending(void) {
    struct world *w = world_new();
    expect(w, cell(w, "c", "r:b b:c"), "-c");
    expect(w, cell(w, "b", "r:a b:b"), "-b -c");
    expect(w, cell(w, "f", "l:nowhere r:print b:f"), "f");
    const char *names[2];
    struct ak_node *b = ak_graph_find(w->graph, "b", 1);
    assert(ak_plan_missing(w->plan, b, names, 2) == 1 && strcmp(names[0], "a") == 0);
    expect(w, cell(w, "a", "b:a"), "a b c");
    expect(w, cell(w, "self", "r:n b:n"), "-self");
    world_free(w);
}

static void blocked(void) {
    struct world *w = world_new();
    struct ak_node *x = cell(w, "x", "b:x");
    cell(w, "a", "r:x b:a");
    cell(w, "b", "r:x b:b");
    cell(w, "j", "r:a r:b b:j");
    cell(w, "k", "r:j");
    expect(w, x, "x a b j k");
    w->failing = "a";
    expect(w, x, "x a b !j !k");
    expect(w, ak_graph_find(w->graph, "b", 1), "b !j !k");
    w->failing = NULL;
    expect(w, ak_graph_find(w->graph, "a", 1), "a j k");
    world_free(w);
}

static void cycle(void) {
    struct world *w = world_new();
    expect(w, cell(w, "a", "r:y b:x"), "-a");
    expect(w, cell(w, "b", "r:z b:y"), "-b -a");
    expect(w, cell(w, "r", "r:x"), "-r");
    struct ak_node *c = cell(w, "c", "r:x b:z");
    expect(w, c, "@a @b @c !r");
    assert(ak_node_cycle_next(c) != c);
    assert(strcmp(ak_node_cycle_name(c), "z") == 0);
    expect(w, cell(w, "c", "b:z"), "c b a r");
    world_free(w);
}

static void deferred_cycle(void) {
    struct world *w = world_new();
    struct ak_node *a = cell(w, "even", "l:odd b:even");
    cell(w, "odd", "l:even b:odd");
    cell(w, "call", "r:even");
    expect(w, a, "even odd call");
    world_free(w);
}

static void duplicates(void) {
    struct world *w = world_new();
    struct ak_node *a = cell(w, "a", "b:x");
    expect(w, a, "a");
    struct ak_node *b = cell(w, "b", "r:x b:x");
    expect(w, b, "b");
    assert(ak_graph_owner(w->graph, "x") == b);
    expect(w, a, "a");
    expect(w, cell(w, "r", "r:x"), "r");
    expect(w, a, "a r");
    /* A pending one is woken by a definer that does not read the name. */
    expect(w, cell(w, "p", "r:q b:q"), "-p");
    expect(w, cell(w, "p2", "r:q b:q"), "-p2");
    expect(w, cell(w, "q", "b:q"), "q p p2");
    world_free(w);
}

static void deletes_last(void) {
    struct world *w = world_new();
    struct ak_node *x = cell(w, "x", "b:x");
    cell(w, "del", "d:x");
    cell(w, "1", "r:x");
    cell(w, "2", "r:x");
    expect(w, x, "x 1 2 del");
    /* Where that is impossible, something runs all the same. */
    cell(w, "del", "d:x b:y");
    cell(w, "1", "r:x r:y");
    expect(w, x, "x 2 del -1");
    world_free(w);
}

static void held(void) {
    struct world *w = world_new();
    struct ak_node *a = cell(w, "a", "b:a");
    struct ak_node *b = cell(w, "b", "r:a b:b");
    cell(w, "c", "r:b r:a b:c");
    cell(w, "d", "r:a b:d");
    expect(w, a, "a b c d");
    ak_node_hold(b, true);
    expect(w, a, "a d");
    assert(strcmp(w->outdated, "b c ") == 0);
    assert(ak_node_state(b) == AK_NODE_STALE);
    expect(w, b, "b c");
    ak_node_hold(b, false);
    world_free(w);
}

static void held_later(void) {
    struct world *w = world_new();
    struct ak_node *a = cell(w, "a", "b:a");
    struct ak_node *b = cell(w, "b", "r:a b:b");
    cell(w, "c", "r:b b:c");
    cell(w, "d", "r:a");
    ak_plan_seed(w->plan, a);
    ak_plan_spread(w->plan);
    struct ak_verdict verdict;
    assert(ak_plan_next(w->plan, &verdict) == a);
    ak_node_hold(b, true);
    step(w, a, &verdict);
    run_all(w);
    assert(strcmp(w->log, "a d ") == 0 && strcmp(w->outdated, "b c ") == 0);
    world_free(w);
}

static void frozen(void) {
    struct world *w = world_new();
    struct ak_node *a = cell(w, "a", "b:a");
    struct ak_node *f = cell(w, "f", "r:a b:f");
    cell(w, "r", "r:f b:r");
    cell(w, "s", "r:r");
    cell(w, "t", "r:a");
    expect(w, a, "a f r s t");
    ak_node_set_frozen(f, true);
    expect(w, a, "a t");
    assert(strcmp(w->outdated, "f r s ") == 0);
    expect(w, f, "f");
    assert(strcmp(w->outdated, "r s ") == 0);
    world_free(w);
}

static void lazy(void) {
    struct world *w = world_new();
    struct ak_node *a = cell(w, "a", "b:a");
    cell(w, "b", "r:a b:b");
    struct ak_node *c = cell(w, "c", "r:b");
    expect(w, a, "a b c");
    ak_plan_set_lazy(w->plan, true);
    expect(w, a, "a");
    assert(strcmp(w->outdated, "b c ") == 0);
    ak_plan_seed_stale_above(w->plan, c);
    expect(w, c, "b c");
    assert(ak_node_state(c) == AK_NODE_FRESH);
    world_free(w);
}

/* A running cell that is out of date again comes once more. */
static void again(void) {
    struct world *w = world_new();
    struct ak_node *a = cell(w, "a", "b:a");
    struct ak_node *b = cell(w, "b", "r:a b:b");
    struct ak_node *c = cell(w, "c", "r:b");
    struct ak_verdict verdict;
    ak_plan_seed(w->plan, a);
    ak_plan_spread(w->plan);
    assert(ak_plan_next(w->plan, &verdict) == a);
    step(w, a, &verdict);
    assert(ak_plan_next(w->plan, &verdict) == b);
    ak_plan_seed(w->plan, a);
    ak_plan_spread(w->plan);
    assert(ak_plan_next(w->plan, &verdict) == a);
    assert(!ak_plan_next(w->plan, &verdict));
    step(w, a, &verdict);
    assert(!ak_plan_next(w->plan, &verdict));
    assert(!ak_plan_settle(w->plan, b, AK_NODE_STALE));
    assert(ak_plan_next(w->plan, &verdict) == b && verdict.state == AK_NODE_RUNNING);
    bind(w, b);
    assert(ak_plan_settle(w->plan, b, AK_NODE_FRESH));
    assert(ak_plan_next(w->plan, &verdict) == c);
    assert(ak_plan_settle(w->plan, c, AK_NODE_FRESH));
    assert(ak_plan_unsettled(w->plan) == 0);
    world_free(w);
}

static void halt(void) {
    struct world *w = world_new();
    struct ak_node *a = cell(w, "a", "b:a");
    for (int i = 0; i < 20; i++) {
        char id[8];
        snprintf(id, sizeof(id), "r%d", i);
        cell(w, id, "r:a");
    }
    struct ak_verdict verdict;
    ak_plan_seed(w->plan, a);
    ak_plan_spread(w->plan);
    assert(ak_plan_next(w->plan, &verdict) == a);
    struct ak_node *left;
    while ((left = ak_plan_waiting(w->plan)))
        assert(ak_plan_settle(w->plan, left, AK_NODE_STALE));
    assert(ak_plan_settle(w->plan, a, AK_NODE_FAILED));
    assert(!ak_plan_next(w->plan, &verdict) && ak_plan_unsettled(w->plan) == 0);
    world_free(w);
}

static void long_chain(void) {
    struct world *w = world_new();
    struct ak_node *first = NULL;
    for (int i = 0; i < 50000; i++) {
        char id[16], text[64];
        snprintf(id, sizeof(id), "c%d", i);
        snprintf(text, sizeof(text), "r:x%d b:x%d", i, i + 1);
        struct ak_node *node = cell(w, id, i ? text : "b:x1");
        first = first ? first : node;
    }
    ak_plan_seed(w->plan, first);
    ak_plan_spread(w->plan);
    run_all(w);
    struct ak_node *node = NULL;
    while ((node = ak_graph_next(w->graph, node)))
        assert(ak_node_state(node) == AK_NODE_FRESH);
    world_free(w);
}

/* --- random edits against a model that looks at everything ---------------------------
 */

#define N 12
#define NAMES 10

struct model {
    unsigned use[N][NAMES];
    bool alive[N];
    enum ak_node_state state[N];
    int owner[NAMES]; /* -1: none */
    bool reach[N][N];
    bool in[N];
};

static bool edge_at(const struct model *m, int from, int to, bool eager) {
    if (from == to || !m->alive[from] || !m->alive[to])
        return false;
    for (int n = 0; n < NAMES; n++) {
        bool def = m->use[from][n] & AK_USE_BINDS || m->owner[n] == from;
        bool def_to = m->use[to][n] & AK_USE_BINDS || m->owner[n] == to;
        unsigned reads = eager ? AK_USE_READS : AK_USE_READS | AK_USE_READS_LATER;
        if (def && m->use[to][n] & reads && !def_to)
            return true;
    }
    return false;
}

static void close_over(struct model *m, bool (*wanted)[N]) {
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            wanted[i][k] = edge_at(m, i, k, false);
    for (int j = 0; j < N; j++)
        for (int i = 0; i < N; i++)
            for (int k = 0; k < N; k++)
                wanted[i][k] |= wanted[i][j] && wanted[j][k];
}

static bool model_cyclic(const struct model *m, bool (*reach)[N], int i) {
    for (int a = 0; a < N; a++)
        for (int b = 0; b < N; b++)
            if ((a == i || (reach[i][a] && reach[a][i])) &&
                (b == i || (reach[i][b] && reach[b][i])) && m->in[a] && m->in[b] &&
                edge_at(m, a, b, true))
                return true;
    return false;
}

/* What one cell of the pass comes to, by looking at all others. */
static enum ak_node_state model_judge(const struct model *m, int i, bool cyclic) {
    if (cyclic)
        return AK_NODE_CYCLIC;
    for (int k = 0; k < N; k++) {
        enum ak_node_state s = m->state[k];
        if (edge_at(m, k, i, false) &&
            (s == AK_NODE_FAILED || s == AK_NODE_BLOCKED || s == AK_NODE_CYCLIC))
            return AK_NODE_BLOCKED;
    }
    for (int n = 0; n < NAMES; n++)
        if (m->use[i][n] & AK_USE_READS && m->owner[n] < 0)
            return AK_NODE_PENDING;
    return AK_NODE_RUNNING;
}

static void model_start(struct model *m, int seed) {
    close_over(m, m->reach);
    for (int i = 0; i < N; i++)
        m->in[i] = m->alive[i] && (i == seed || m->reach[seed][i]);
    for (int n = 0; n < NAMES; n++)
        if (m->owner[n] >= 0 && m->in[m->owner[n]])
            m->owner[n] = -1;
    /* What a cell owned and does not bind any more is no edge from here on. */
    close_over(m, m->reach);
}

static int number_of(struct ak_node *node) {
    return atoi(ak_node_id(node));
}

static void set_cell(struct world *w, struct model *m, int i) {
    char id[8], names[NAMES][4];
    struct ak_use_of uses[NAMES];
    size_t n = 0;
    snprintf(id, sizeof(id), "%d", i);
    struct ak_node *node = ak_graph_find(w->graph, id, strlen(id));
    if (!node)
        assert(ak_graph_add(w->graph, id, strlen(id), &node) == 0);
    for (int k = 0; k < NAMES; k++) {
        snprintf(names[k], sizeof(names[k]), "x%d", k);
        if (m->use[i][k])
            uses[n++] = (struct ak_use_of){names[k], m->use[i][k]};
    }
    assert(ak_graph_set_uses(w->graph, node, uses, n, true) == 0);
}

static void random_edit(struct model *m, int i) {
    m->alive[i] = true;
    for (int k = 0; k < NAMES; k++) {
        int die = rand() % 16;
        m->use[i][k] = die == 0   ? AK_USE_BINDS
                       : die == 1 ? AK_USE_READS
                       : die == 2 ? AK_USE_READS_LATER
                                  : 0;
    }
}

static void compare(struct world *w, struct model *m, int seed, int failing) {
    char id[8];
    bool cyclic[N];
    struct ak_node *node;
    struct ak_verdict verdict;
    snprintf(id, sizeof(id), "%d", seed);
    struct ak_node *root = ak_graph_find(w->graph, id, strlen(id));
    ak_plan_seed(w->plan, root);
    ak_plan_spread(w->plan);
    model_start(m, seed);
    for (int i = 0; i < N; i++)
        cyclic[i] = m->in[i] && model_cyclic(m, m->reach, i);
    bool done[N] = {false};
    size_t n_in = 0;
    for (int i = 0; i < N; i++)
        n_in += m->in[i];
    assert(ak_plan_unsettled(w->plan) == n_in);
    while ((node = ak_plan_next(w->plan, &verdict))) {
        int i = number_of(node);
        assert(m->in[i] && !done[i]);
        /* Everything above it came before, but for the members of a circle. */
        for (int k = 0; k < N && !m->reach[i][i]; k++)
            assert(!m->in[k] || done[k] || !m->reach[k][i]);
        assert(verdict.state == model_judge(m, i, cyclic[i]));
        m->state[i] = verdict.state;
        if (verdict.state == AK_NODE_RUNNING) {
            m->state[i] = i == failing ? AK_NODE_FAILED : AK_NODE_FRESH;
            for (int n = 0; n < NAMES && i != failing; n++)
                if (m->use[i][n] & AK_USE_BINDS)
                    m->owner[n] = i;
            if (i != failing)
                bind(w, node);
        }
        done[i] = true;
        assert(ak_plan_settle(w->plan, node, m->state[i]));
    }
    assert(ak_plan_unsettled(w->plan) == 0);
}

static void random_edits(void) {
    for (unsigned seed = 0; seed < 300; seed++) {
        struct world *w = world_new();
        struct model m = {0};
        for (int n = 0; n < NAMES; n++)
            m.owner[n] = -1;
        srand(seed);
        for (int round = 0; round < 40; round++) {
            int i = rand() % N;
            random_edit(&m, i);
            /* Two definers of a name, one of them a reader, and pending on top have
             * rules of their own, tested above. */
            for (int n = 0; n < NAMES; n++)
                for (int k = 0; k < N; k++)
                    if (k != i && m.alive[k] && m.use[k][n] & AK_USE_BINDS &&
                        m.use[i][n] & AK_USE_BINDS)
                        m.use[i][n] = 0;
            set_cell(w, &m, i);
            compare(w, &m, i, rand() % 4 ? -1 : rand() % N);
        }
        world_free(w);
    }
}

static const struct ak_test tests[] = {
    {"chain", chain},
    {"diamond", diamond},
    {"order", order},
    {"pending", pending},
    {"blocked", blocked},
    {"cycle", cycle},
    {"deferred-cycle", deferred_cycle},
    {"duplicates", duplicates},
    {"deletes-last", deletes_last},
    {"held", held},
    {"held-later", held_later},
    {"frozen", frozen},
    {"lazy", lazy},
    {"again", again},
    {"halt", halt},
    {"long-chain", long_chain},
    {"random", random_edits},
};
AK_TEST_MAIN(tests)

/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "py/late.h"
#include "worker/react-private.h"

#define ID_SHOWN_MAX 12

const char *ak_unit_label(const struct ak_unit *unit, char buf[AK_LABEL_SIZE]) {
    const char *id = ak_node_id(unit->node);
    long count = ak_cell_execution_count(unit->cell);
    if (!unit->has_id || strlen(id) > ID_SHOWN_MAX)
        snprintf(buf, AK_LABEL_SIZE, "In[%ld]", count);
    else
        snprintf(buf, AK_LABEL_SIZE, "In[%ld] (%s)", count, id);
    return buf;
}

void ak_react_explain_missing(struct ak_react *react, const char *const *names,
                              size_t n_names, size_t n_all, struct ak_buf *ret_line) {
    int r = ak_buf_add_str(ret_line, "waiting for ");
    for (size_t i = 0; i < n_names && !r; i++) {
        const char *grave = ak_map_get(react->graves, names[i], strlen(names[i]));
        r = ak_buf_addf(ret_line, "%s%s", i ? ", " : "", names[i]);
        if (!r && grave)
            r = ak_buf_addf(ret_line,
                            " (last defined by %s, which was reported deleted)", grave);
    }
    if (!r && n_all > n_names)
        r = ak_buf_addf(ret_line, " and %zu more", n_all - n_names);
    (void)r;
}

static void explain_block(const struct ak_verdict *verdict, struct ak_buf *line) {
    char label[AK_LABEL_SIZE];
    const struct ak_unit *cause = ak_unit_of(verdict->cause);
    int r = ak_buf_addf(line, "waiting for %s (%s ", verdict->name,
                        ak_unit_label(cause, label));
    if (r)
        return;
    if (ak_node_state(cause->node) == AK_NODE_FAILED)
        (void)ak_buf_addf(line, "raised %s)",
                          cause->ename ? cause->ename : "an exception");
    else if (ak_node_state(cause->node) == AK_NODE_CYCLIC)
        (void)ak_buf_add_str(line, "is part of a cycle)");
    else
        (void)ak_buf_addf(line, "is %s)", cause->why ? cause->why : "blocked");
}

static void explain_cycle(const struct ak_unit *unit, struct ak_buf *line) {
    const struct ak_node *node = unit->node;
    int r = ak_buf_add_str(line, "cycle: ");
    for (int i = 0; i < 16 && !r; i++) {
        char label[AK_LABEL_SIZE];
        r = ak_buf_addf(line, "%s%s defines %s", i ? ", " : "",
                        ak_unit_label(ak_unit_of(node), label),
                        ak_node_cycle_name(node));
        node = ak_node_cycle_next(node);
        if (node == unit->node)
            break;
    }
    if (!r)
        (void)ak_buf_add_str(line, "; each needs another one first");
}

void ak_react_explain(struct ak_react *react, struct ak_unit *unit,
                      const struct ak_verdict *verdict, struct ak_buf *ret_line) {
    const char *names[3];
    size_t n;
    switch (verdict->state) {
    case AK_NODE_PENDING:
        n = ak_plan_missing(react->plan, unit->node, names, 3);
        ak_react_explain_missing(react, names, n < 3 ? n : 3, n, ret_line);
        break;
    case AK_NODE_BLOCKED:
        explain_block(verdict, ret_line);
        break;
    default:
        explain_cycle(unit, ret_line);
    }
}

static bool is_read_elsewhere(struct ak_react *react, const struct ak_unit *unit,
                              const char *name) {
    void *cursor = NULL;
    struct ak_node *node;
    while ((node = ak_graph_next_user(react->graph, name, AK_USE_READS_ANY, &cursor))) {
        unsigned uses = ak_graph_uses(react->graph, node, name);
        if (node != unit->node && !(uses & AK_USE_DEFINES_ANY))
            return true;
        if (uses & (AK_USE_READS | AK_USE_LEARNED))
            return true;
    }
    return false;
}

/* Another cell that binds the name: the one that had it, or any. */
static struct ak_unit *other_definer(struct ak_react *react, struct ak_unit *unit,
                                     const char *name, struct ak_unit *before) {
    void *cursor = NULL;
    struct ak_node *node;
    if (before && before != unit)
        return before;
    while ((node = ak_graph_next_user(react->graph, name, AK_USE_BINDS, &cursor))) {
        if (node != unit->node && !ak_node_frozen(node))
            return ak_unit_of(node);
    }
    return NULL;
}

void ak_react_warn_of_two(struct ak_react *react, struct ak_unit *unit,
                          const char *name, struct ak_unit *before) {
    struct ak_unit *other =
        name[0] == '_' ? NULL : other_definer(react, unit, name, before);
    if (!other || ak_node_frozen(other->node) || !is_read_elsewhere(react, unit, name))
        return;
    char mine[AK_LABEL_SIZE], theirs[AK_LABEL_SIZE];
    AK_BUF_AUTO line = {0};
    if (ak_buf_addf(&line,
                    "akernel: %s is defined by two cells, %s and %s: it has the value "
                    "that the latest of them gave it, %s",
                    name, ak_unit_label(other, theirs), ak_unit_label(unit, mine),
                    mine) == 0)
        ak_late_warn(unit->run ? unit->run : unit->cell, ak_buf_str(&line));
}

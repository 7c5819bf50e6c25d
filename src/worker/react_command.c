/* SPDX-License-Identifier: MIT */
/* What akernel.react asks of a graph, answered as JSON. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "worker/react-private.h"

static int add_string(struct ak_buf *json, const char *text) {
    return ak_buf_add_json_string(json, text, strlen(text));
}

static int add_label(struct ak_buf *json, const struct ak_unit *unit) {
    char label[AK_LABEL_SIZE];
    return add_string(json, ak_unit_label(unit, label));
}

/* The names to which a cell does one of some things, as a list. */
static int add_names(struct ak_buf *json, const struct ak_unit *unit, unsigned mask) {
    void *cursor = NULL;
    const char *name;
    unsigned uses;
    bool first = true;
    int r = ak_buf_add_char(json, '[');
    while (!r && ak_node_next_use(unit->node, &cursor, &name, &uses)) {
        if (!(uses & mask))
            continue;
        if (!first)
            r = ak_buf_add_str(json, ", ");
        if (!r)
            r = add_string(json, name);
        first = false;
    }
    return r ? r : ak_buf_add_char(json, ']');
}

static int add_unit(struct ak_buf *json, struct ak_unit *unit) {
    int r = ak_buf_add_str(json, "{\"cell\": ");
    if (!r)
        r = add_label(json, unit);
    if (!r)
        r = ak_buf_add_str(json, ", \"id\": ");
    if (!r)
        r = add_string(json, unit->has_id ? ak_node_id(unit->node) : "");
    if (!r)
        r = ak_buf_addf(json, ", \"count\": %ld, \"state\": \"%s\", \"frozen\": %s, ",
                        ak_cell_execution_count(unit->cell),
                        ak_node_state_name(ak_node_state(unit->node)),
                        ak_node_frozen(unit->node) ? "true" : "false");
    if (!r)
        r = ak_buf_add_str(json, "\"defines\": ");
    if (!r)
        r = add_names(json, unit, AK_USE_DEFINES_ANY);
    if (!r)
        r = ak_buf_add_str(json, ", \"reads\": ");
    if (!r)
        r = add_names(json, unit, AK_USE_READS_ANY);
    if (!r)
        r = ak_buf_add_str(json, ", \"why\": ");
    if (!r)
        r = add_string(json, unit->why ? unit->why : "");
    return r ? r : ak_buf_add_char(json, '}');
}

static int graph(struct ak_react *react, struct ak_buf *json) {
    struct ak_node *node = NULL;
    bool first = true;
    int r = ak_buf_add_char(json, '[');
    while (!r && (node = ak_graph_next(react->graph, node))) {
        if (!first)
            r = ak_buf_add_str(json, ", ");
        if (!r)
            r = add_unit(json, ak_unit_of(node));
        first = false;
    }
    return r ? r : ak_buf_add_char(json, ']');
}

static int add_users(struct ak_react *react, struct ak_buf *json, const char *name,
                     unsigned mask) {
    void *cursor = NULL;
    struct ak_node *node;
    bool first = true;
    int r = ak_buf_add_char(json, '[');
    while (!r && (node = ak_graph_next_user(react->graph, name, mask, &cursor))) {
        if (!first)
            r = ak_buf_add_str(json, ", ");
        if (!r)
            r = add_unit(json, ak_unit_of(node));
        first = false;
    }
    return r ? r : ak_buf_add_char(json, ']');
}

static int why(struct ak_react *react, const char *name, struct ak_buf *json) {
    struct ak_node *owner = ak_graph_owner(react->graph, name);
    const char *grave = ak_map_get(react->graves, name, strlen(name));
    int r = ak_buf_add_str(json, "{\"name\": ");
    if (!r)
        r = add_string(json, name);
    if (!r)
        r = ak_buf_addf(json, ", \"exists\": %s, \"owner\": ",
                        ak_space_has(react->session->space, name) ? "true" : "false");
    if (!r)
        r = owner ? add_label(json, ak_unit_of(owner)) : ak_buf_add_str(json, "null");
    if (!r)
        r = ak_buf_add_str(json, ", \"deleted\": ");
    if (!r)
        r = grave ? add_string(json, grave) : ak_buf_add_str(json, "null");
    if (!r)
        r = ak_buf_add_str(json, ", \"defined_by\": ");
    if (!r)
        r = add_users(react, json, name, AK_USE_DEFINES_ANY);
    if (!r)
        r = ak_buf_add_str(json, ", \"read_by\": ");
    if (!r)
        r = add_users(react, json, name, AK_USE_READS_ANY);
    return r ? r : ak_buf_add_char(json, '}');
}

/* A cell by its id or by its execution count. */
static struct ak_unit *find(struct ak_react *react, const char *text) {
    struct ak_node *node = ak_graph_find(react->graph, text, strlen(text));
    if (node)
        return ak_unit_of(node);
    char *end;
    long count = strtol(text, &end, 10);
    while (*text && !*end && (node = ak_graph_next(react->graph, node))) {
        if (ak_cell_execution_count(ak_unit_of(node)->cell) == count)
            return ak_unit_of(node);
    }
    return NULL;
}

static int freeze(struct ak_react *react, const char *text, bool frozen,
                  struct ak_buf *json) {
    struct ak_unit *unit = find(react, text);
    if (!unit)
        return ak_buf_add_str(json, "null");
    unit->frozen = frozen;
    ak_node_set_frozen(unit->node, frozen);
    if (!frozen && ak_node_state(unit->node) == AK_NODE_STALE && !unit->own)
        ak_react_refresh(react, unit->node);
    return add_label(json, unit);
}

static int mode(struct ak_react *react, const char *text, struct ak_buf *json) {
    bool was_lazy = react->lazy;
    if (*text)
        react->lazy = strcmp(text, "lazy") == 0;
    ak_plan_set_lazy(react->plan, react->lazy);
    struct ak_node *node = NULL;
    while (was_lazy && !react->lazy && (node = ak_graph_next(react->graph, node))) {
        if (ak_node_state(node) == AK_NODE_STALE && !ak_node_frozen(node) &&
            !ak_unit_of(node)->run && !ak_unit_of(node)->next)
            ak_react_refresh(react, node);
    }
    return add_string(json, react->lazy ? "lazy" : "auto");
}

static int forget(struct ak_react *react, const char *name, struct ak_buf *json) {
    bool had = ak_space_has_own(react->session->space, name);
    if (had)
        ak_space_unbind(react->session->space, name);
    ak_graph_disown(react->graph, name);
    ak_react_changed(react, &name, 1, 0);
    return ak_buf_add_str(json, had ? "true" : "false");
}

/* Names, one a line, whose values have changed inside. */
static int changed(struct ak_react *react, const char *text, uint64_t request,
                   struct ak_buf *json) {
    char *copy = strdup(text);
    char *rest = copy;
    const char *name;
    if (!copy)
        return ak_error_origin(ENOMEM);
    const char *names[64];
    size_t n = 0;
    while (n < sizeof(names) / sizeof(names[0]) && (name = strsep(&rest, "\n")))
        names[n++] = name;
    ak_react_changed(react, names, n, request);
    free(copy);
    return ak_buf_add_str(json, "null");
}

int ak_react_command(struct ak_react *react, const char *verb, const char *argument,
                     uint64_t request, struct ak_buf *ret_json) {
    if (strcmp(verb, "graph") == 0)
        return graph(react, ret_json);
    if (strcmp(verb, "why") == 0)
        return why(react, argument, ret_json);
    if (strcmp(verb, "mode") == 0)
        return mode(react, argument, ret_json);
    if (strcmp(verb, "forget") == 0)
        return forget(react, argument, ret_json);
    if (strcmp(verb, "changed") == 0)
        return changed(react, argument, request, ret_json);
    return freeze(react, argument, strcmp(verb, "freeze") == 0, ret_json);
}

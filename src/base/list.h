/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * An intrusive, circular, doubly linked list. A node lives inside the struct it links;
 * a head names its member in a comment: `struct ak_list cells; // ak_cell.link` style.
 * Any process; a list belongs to one thread.
 */

#include <stdbool.h>
#include <stddef.h>

struct ak_list {
    struct ak_list *prev;
    struct ak_list *next;
};

static inline void ak_list_init(struct ak_list *head) {
    head->prev = head->next = head;
}

static inline bool ak_list_empty(const struct ak_list *head) {
    return head->next == head;
}

/* Whether a node that was ak_list_init'ed is in a list. */
static inline bool ak_list_linked(const struct ak_list *node) {
    return node->next != node;
}

static inline void ak_list_append(struct ak_list *head, struct ak_list *node) {
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void ak_list_remove(struct ak_list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = node;
}

/* The struct of a type that holds the node in a member. */
#define ak_list_entry(node, type, member)                                              \
    ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Walks the list; the current node may be removed inside. */
#define ak_list_for_each(node, next_node, head)                                        \
    for (struct ak_list *node = (head)->next, *next_node = node->next; node != (head); \
         node = next_node, next_node = node->next)

/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include "base/list.h"

struct item {
    int number;
    struct ak_list link; /* in the test's head */
};

static void keeps_order(void) {
    struct ak_list head;
    struct item items[5];
    ak_list_init(&head);
    assert(ak_list_empty(&head));
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        ak_list_init(&items[i].link);
        assert(!ak_list_linked(&items[i].link));
        ak_list_append(&head, &items[i].link);
        assert(ak_list_linked(&items[i].link));
    }
    int expected = 0;
    ak_list_for_each(node, next, &head) {
        assert(ak_list_entry(node, struct item, link)->number == expected++);
    }
    assert(expected == 5 && !ak_list_empty(&head));
}

static void removes_while_walking(void) {
    struct ak_list head;
    struct item items[6];
    ak_list_init(&head);
    for (int i = 0; i < 6; i++) {
        items[i].number = i;
        ak_list_append(&head, &items[i].link);
    }
    ak_list_for_each(node, next, &head) {
        if (ak_list_entry(node, struct item, link)->number % 2 == 0)
            ak_list_remove(node);
    }
    int sum = 0;
    ak_list_for_each(node, next, &head) {
        sum = sum * 10 + ak_list_entry(node, struct item, link)->number;
    }
    assert(sum == 135);
    assert(!ak_list_linked(&items[0].link) && ak_list_linked(&items[1].link));
    ak_list_for_each(node, next, &head) {
        ak_list_remove(node);
    }
    assert(ak_list_empty(&head));
}

static void removes_twice(void) {
    struct ak_list head;
    struct item item;
    ak_list_init(&head);
    ak_list_append(&head, &item.link);
    ak_list_remove(&item.link);
    ak_list_remove(&item.link);
    assert(ak_list_empty(&head) && !ak_list_linked(&item.link));
}

static const struct ak_test tests[] = {
    {"keeps-order", keeps_order},
    {"removes-while-walking", removes_while_walking},
    {"removes-twice", removes_twice},
};

AK_TEST_MAIN(tests)

/* SPDX-License-Identifier: MIT */
/*
 * Memory that runs out: each story is told again and again, with the first allocation
 * of ours failing, then the second, until it comes to its end. It has to fail in order,
 * and to leave nothing behind (the sanitizer build sees that).
 */
#include "unit/test.h"

#include <stdbool.h>
#include <stdlib.h>

#include "seam/frame.h"
#include "wire/conn.h"
#include "wire/message.h"

static size_t n_left; /* allocations that succeed; SIZE_MAX: all */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool fails(void) {
    if (n_left == SIZE_MAX)
        return false;
    if (n_left == 0)
        return true;
    n_left--;
    return false;
}

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return fails() ? NULL : __real_realloc(old, size);
}

/* A story is true when it came to its end. */
static void suffer(bool (*story)(void)) {
    size_t n = 0;
    for (bool over = false; !over; n++) {
        assert(n < 1000);
        n_left = n;
        over = story();
        n_left = SIZE_MAX;
    }
    assert(n > 1);
}

static struct ak_bytes text(const char *s) {
    return ak_bytes(s, strlen(s));
}

static bool tell_message(void) {
    static const char header[] =
        "{\"msg_id\": \"m\", \"msg_type\": \"t\", \"session\": \"s\"}";
    AK_CLEANUP(ak_signer_freep) struct ak_signer *signer = NULL;
    AK_CLEANUP(ak_author_freep) struct ak_author *author = NULL;
    AK_BUF_AUTO buf = {0};
    struct ak_message message;
    char hex[AK_SIGN_HEX_SIZE];
    if (ak_signer_new(&signer, "key") || ak_author_new(&author) ||
        ak_author_header(author, "t", &buf, NULL))
        return false;
    struct ak_bytes frames[] = {text("<IDS|MSG>"), text(""),   text(header),
                                text("{}"),        text("{}"), text("{}")};
    ak_signer_sign(signer, frames + 2, hex);
    frames[1] = text(hex);
    if (ak_message_parse(&message, frames, 6, signer))
        return false;
    ak_message_done(&message);
    return true;
}

static bool tell_frames(void) {
    int a_fd, b_fd;
    AK_CLEANUP(ak_link_freep) struct ak_link *a = NULL;
    AK_CLEANUP(ak_link_freep) struct ak_link *b = NULL;
    assert(ak_link_pair(&a_fd, &b_fd) == 0);
    int r = ak_link_new(&a, a_fd);
    if (r)
        close(a_fd);
    int s = ak_link_new(&b, b_fd);
    if (s)
        close(b_fd);
    struct ak_bytes part = text("part");
    struct ak_frame frame = {
        .type = AK_FRAME_REPLY, .fd = -1, .n_parts = 1, .parts = &part};
    if (r || s || ak_link_enqueue(a, &frame) || ak_link_flush(a))
        return false;
    r = ak_link_receive(b, &frame);
    if (r == 0)
        ak_frame_done(&frame);
    return r == 0;
}

static void message(void) {
    suffer(tell_message);
}

static void frames(void) {
    suffer(tell_frames);
}

static const struct ak_test tests[] = {
    {"message", message},
    {"frames", frames},
};
AK_TEST_MAIN(tests)

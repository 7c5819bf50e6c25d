/* SPDX-License-Identifier: MIT */
/*
 * The worker over a kernel process that does what a test says: what it sends and in
 * which order, and what it makes of frames that no kernel process sends.
 */
#include "unit/test.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_kernel.h"

static const char *program(void) {
    const char *path = getenv("WORKER");
    assert(path);
    return path;
}

static void start(struct fake_kernel *kernel) {
    begin_ready(kernel, program());
}

/* The text of the first part of the next frame, which has to be this. */
static void take(struct fake_kernel *kernel, enum ak_frame_type type, enum ak_kind kind,
                 struct ak_buf *ret_text) {
    struct ak_frame frame;
    next(kernel, &frame);
    assert(frame.type == type && frame.kind == kind && frame.n_parts > 0);
    ak_buf_clear(ret_text);
    assert(ak_buf_add(ret_text, frame.parts[0].data, frame.parts[0].len) == 0);
    ak_frame_done(&frame);
}

static void hello(void) {
    struct fake_kernel kernel;
    AK_BUF_AUTO text = {0};
    char start_text[64], pid[32];
    snprintf(start_text, sizeof(start_text),
             "{\"seam\": %u, \"modes\": [], \"of tomorrow\": 1}", AK_SEAM_VERSION);
    begin(&kernel, program(), start_text);
    take(&kernel, AK_FRAME_HELLO, AK_KIND_UNKNOWN, &text);
    snprintf(pid, sizeof(pid), "\"pid\": %d", (int)kernel.pid);
    assert(strstr(ak_buf_str(&text), pid) && strstr(ak_buf_str(&text), "\"version\""));
    assert(strstr(ak_buf_str(&text), "\"seam\": ") &&
           strstr(ak_buf_str(&text), "\"executable\""));
    assert(end(&kernel) == 0);
}

static void refused_starts(void) {
    static const char *const starts[] = {"{\"seam\": 9999}", "{", "[]", ""};
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        struct fake_kernel kernel;
        begin(&kernel, program(), starts[i]);
        expect(&kernel, AK_FRAME_FAILED, AK_KIND_UNKNOWN, 0);
        assert(wait_for_end(&kernel) == 1);
    }
}

/* Everything of a cell in its order; text is ahead of what was displayed behind it. */
static void order(void) {
    struct fake_kernel kernel;
    struct ak_frame frame;
    AK_BUF_AUTO text = {0};
    start(&kernel);
    execute(&kernel, 7, "print('before')\ndisplay(1)\nprint('behind', end='')\n6 * 7");
    take(&kernel, AK_FRAME_PUBLISH, AK_KIND_EXECUTE_INPUT, &text);
    assert(strstr(ak_buf_str(&text), "6 * 7") && kernel.text.len == 0);
    expect(&kernel, AK_FRAME_PUBLISH, AK_KIND_DISPLAY_DATA, 7);
    assert(strcmp(ak_buf_str(&kernel.text), "before\n") == 0);
    take(&kernel, AK_FRAME_PUBLISH, AK_KIND_EXECUTE_RESULT, &text);
    assert(strstr(ak_buf_str(&text), "\"42\""));
    assert(strcmp(ak_buf_str(&kernel.text), "before\nbehind") == 0);
    assert(kernel.text_request == 7);
    next(&kernel, &frame);
    assert(frame.type == AK_FRAME_REPLY && frame.id == 7 && frame.arg != 0);
    assert(frame.flags == AK_FRAME_F_DONE && frame.n_parts == 2);
    ak_frame_done(&frame);
    assert(end(&kernel) == 0);
}

/* What is written to a descriptor is claimed by a mark of its cell. */
static void marks(void) {
    struct fake_kernel kernel;
    char bytes[16] = "";
    start(&kernel);
    execute(&kernel, 3, "import os\n_ = os.write(1, b'123')");
    expect_reply(&kernel, 3, "\"ok\"");
    assert(kernel.mark_request == 3 && kernel.mark_position == 3);
    ak_ring_drain_begin(kernel.ring);
    assert(read(kernel.pipes[0], bytes, sizeof(bytes)) == 3);
    ak_ring_drain_end(kernel.ring, 0, 3);
    assert(strcmp(bytes, "123") == 0);
    execute(&kernel, 4, "_ = os.write(1, b'45678')");
    expect_reply(&kernel, 4, "\"ok\"");
    assert(kernel.mark_request == 4 && kernel.mark_position == 8);
    assert(end(&kernel) == 0);
}

/* A fence comes back behind everything that was taken before it, and not before. */
static void fence(void) {
    struct fake_kernel kernel;
    struct ak_frame frame;
    start(&kernel);
    execute(&kernel, 1, "for i in range(200000): pass");
    request(&kernel, 2, AK_KIND_COMM_INFO_REQUEST, "{}");
    send_bare(&kernel, AK_FRAME_FENCE, 0, 77);
    expect(&kernel, AK_FRAME_PUBLISH, AK_KIND_EXECUTE_INPUT, 1);
    expect_reply(&kernel, 1, "\"ok\"");
    expect_reply(&kernel, 2, "\"ok\"");
    next(&kernel, &frame);
    assert(frame.type == AK_FRAME_FENCE && frame.arg == 77);
    ak_frame_done(&frame);
    assert(end(&kernel) == 0);
}

/* Between an error reply and its SENT every execute_request is aborted. */
static void aborting(void) {
    struct fake_kernel kernel;
    struct ak_frame frame;
    start(&kernel);
    execute(&kernel, 1, "1 / 0");
    expect(&kernel, AK_FRAME_PUBLISH, AK_KIND_EXECUTE_INPUT, 1);
    expect(&kernel, AK_FRAME_PUBLISH, AK_KIND_ERROR, 1);
    next(&kernel, &frame);
    assert(frame.type == AK_FRAME_REPLY &&
           frame.flags == (AK_FRAME_F_DONE | AK_FRAME_F_ABORTING));
    ak_frame_done(&frame);
    execute(&kernel, 2, "2");
    expect_reply(&kernel, 2, "\"aborted\"");
    request(&kernel, 3, AK_KIND_COMM_INFO_REQUEST, "{}");
    expect_reply(&kernel, 3, "\"ok\"");
    send_bare(&kernel, AK_FRAME_SENT, 1, 0);
    execute(&kernel, 4, "4");
    expect_reply(&kernel, 4, "\"ok\"");
    assert(end(&kernel) == 0);
}

static void interrupts(void) {
    struct fake_kernel kernel;
    start(&kernel);
    for (uint64_t id = 1; id <= 4; id++) {
        execute(&kernel, id,
                id % 2 ? "display(0)\nwhile True: pass"
                       : "import asyncio\ndisplay(0)\nawait asyncio.sleep(1000)");
        expect(&kernel, AK_FRAME_PUBLISH, AK_KIND_EXECUTE_INPUT, id);
        expect(&kernel, AK_FRAME_PUBLISH, AK_KIND_DISPLAY_DATA, id);
        if (id == 4)
            send_bare(&kernel, AK_FRAME_INTERRUPT, 0, 0);
        else
            kill(-kernel.pid, SIGINT);
        expect_reply(&kernel, id, "KeyboardInterrupt");
        send_bare(&kernel, AK_FRAME_SENT, id, 0);
    }
    /* With nothing to interrupt it does nothing. */
    kill(-kernel.pid, SIGINT);
    send_bare(&kernel, AK_FRAME_INTERRUPT, 0, 0);
    execute(&kernel, 9, "9");
    expect_reply(&kernel, 9, "\"ok\"");
    assert(end(&kernel) == 0);
}

static void questions(void) {
    struct fake_kernel kernel;
    struct ak_frame frame;
    start(&kernel);
    for (uint64_t id = 1; id <= 2; id++) {
        execute(&kernel, id, "print(repr(input('name? ')))");
        expect(&kernel, AK_FRAME_PUBLISH, AK_KIND_EXECUTE_INPUT, id);
        next(&kernel, &frame);
        assert(frame.type == AK_FRAME_INPUT && frame.id == id && frame.fd >= 0);
        if (id == 1)
            assert(write(frame.fd, "me\n", 3) == 3);
        ak_frame_done(&frame);
        expect_reply(&kernel, id, id == 1 ? "\"ok\"" : "EOFError");
    }
    assert(strcmp(ak_buf_str(&kernel.text), "'me'\n") == 0);
    assert(end(&kernel) == 0);
}

/* A kernel process that does not read stops the cell, and loses nothing of it. */
static void full_link(void) {
    struct fake_kernel kernel;
    AK_BUF_AUTO text = {0};
    start(&kernel);
    execute(
        &kernel, 1,
        "for i in range(500): display({'i': i, 'text/plain': 'x' * 20000}, raw=True)"
        "\nprint('y' * (3 << 20), end='')");
    /* Its input is out; whatever it displays now fills the socket. */
    struct pollfd pfd = {.fd = ak_link_fd(kernel.link), .events = POLLIN};
    assert(poll(&pfd, 1, 30000) == 1);
    expect(&kernel, AK_FRAME_PUBLISH, AK_KIND_EXECUTE_INPUT, 1);
    for (int i = 0; i < 500; i++) {
        char word[32];
        snprintf(word, sizeof(word), "\"i\": %d,", i);
        take(&kernel, AK_FRAME_PUBLISH, AK_KIND_DISPLAY_DATA, &text);
        assert(strstr(ak_buf_str(&text), word));
    }
    expect_reply(&kernel, 1, "\"ok\"");
    assert(kernel.text.len == 3 << 20);
    assert(end(&kernel) == 0);
}

static void nonsense(void) {
    struct fake_kernel kernel;
    start(&kernel);
    for (int type = 0; type < 80; type++) {
        if (type == AK_FRAME_SHUTDOWN || type == AK_FRAME_REQUEST ||
            type == AK_FRAME_FENCE)
            continue;
        send_bare(&kernel, (enum ak_frame_type)type, 12345, UINT64_MAX);
    }
    send_bare(&kernel, AK_FRAME_REQUEST, 5, 0); /* no parts */
    for (size_t len = 1; len < 200; len += 7) {
        char junk[200];
        memset(junk, (int)len, sizeof(junk));
        assert(send(ak_link_fd(kernel.link), junk, len, 0) == (ssize_t)len);
    }
    static const char *const contents[] = {
        "", "{", "[]", "null", "\xff", "{\"code\": 1}", "{\"code\": null}"};
    for (uint64_t i = 0; i < 7; i++) {
        request(&kernel, 100 + i, AK_KIND_EXECUTE_REQUEST, contents[i]);
        expect_reply(&kernel, 100 + i, "\"error\"");
        send_bare(&kernel, AK_FRAME_SENT, 100 + i, 0);
        request(&kernel, 200 + i, AK_KIND_COMPLETE_REQUEST, contents[i]);
        expect_reply(&kernel, 200 + i, "\"status\"");
    }
    execute(&kernel, 6, "6");
    expect_reply(&kernel, 6, "\"ok\"");
    assert(end(&kernel) == 0);
}

static void shutdown_runs_atexit(void) {
    struct fake_kernel kernel;
    start(&kernel);
    execute(&kernel, 1, "import atexit\n_ = atexit.register(print, 'at exit')");
    expect_reply(&kernel, 1, "\"ok\"");
    send_bare(&kernel, AK_FRAME_SHUTDOWN, 0, 0);
    struct ak_ring_record record;
    struct pollfd pfd = {.fd = ak_ring_data_fd(kernel.ring), .events = POLLIN};
    while (ak_ring_arm(kernel.ring))
        assert(poll(&pfd, 1, 30000) == 1);
    while (ak_ring_peek(kernel.ring, &record) == 0 && record.type != AK_RING_TEXT)
        ak_ring_consume(kernel.ring, &record);
    assert(record.type == AK_RING_TEXT && record.text.len >= 7 &&
           memcmp(record.text.data, "at exit", 7) == 0);
    assert(wait_for_end(&kernel) == 0);
}

static void kernel_gone(void) {
    struct fake_kernel kernel;
    start(&kernel);
    shutdown(ak_link_fd(kernel.link), SHUT_RDWR);
    assert(wait_for_end(&kernel) == 0);
}

/* A forked child has no seam: neither its displays nor its end reach the kernel. */
static void forks(void) {
    struct fake_kernel kernel;
    start(&kernel);
    execute(&kernel, 1,
            "import os\npid = os.fork()\n"
            "if pid == 0:\n"
            "    try: display('child')\n"
            "    except RuntimeError: pass\n"
            "else: _ = os.waitpid(pid, 0)");
    expect(&kernel, AK_FRAME_PUBLISH, AK_KIND_EXECUTE_INPUT, 1);
    struct ak_frame frame;
    next(&kernel, &frame);
    assert(frame.type == AK_FRAME_REPLY && frame.id == 1);
    ak_frame_done(&frame);
    assert(end(&kernel) == 0);
}

static const struct ak_test tests[] = {
    {"hello", hello},
    {"refused-starts", refused_starts},
    {"order", order},
    {"marks", marks},
    {"fence", fence},
    {"aborting", aborting},
    {"interrupts", interrupts},
    {"questions", questions},
    {"full-link", full_link},
    {"nonsense", nonsense},
    {"shutdown-runs-atexit", shutdown_runs_atexit},
    {"kernel-gone", kernel_gone},
    {"forks", forks},
};
AK_TEST_MAIN(tests)

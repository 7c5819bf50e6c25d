/* SPDX-License-Identifier: MIT */
/*
 * The kernel process over a worker that does what a test says: what no Python would do,
 * or only by chance, is done here on purpose.
 */
#include "unit/test.h"

#include <signal.h>
#include <stdlib.h>
#include <zmq.h>

#include "client.h"

static const char *worker(void) {
    const char *path = getenv("FAKE_WORKER");
    assert(path);
    return path;
}

static void start(struct running *running, const char *how) {
    start_kernel(running, worker(), how, false);
}

static void same(const struct ak_buf *heard, const char *story) {
    if (strcmp(ak_buf_str(heard), story) != 0)
        fprintf(stderr, "heard    %s\nexpected %s\n", ak_buf_str(heard), story);
    assert(strcmp(ak_buf_str(heard), story) == 0);
}

static const char *status_of(struct heard *reply) {
    return json_string_value(json_object_get(reply->content, "status"));
}

/* Executes code, and asserts what iopub says of it and how it is answered. */
static void expect(struct running *running, const char *code, const char *story,
                   const char *status) {
    char id[64];
    struct heard reply;
    AK_BUF_AUTO heard = {0};
    execute(running, code, id);
    hear_story(running, id, &heard);
    same(&heard, story);
    hear_until(running, AK_CONN_SHELL, "execute_reply", id, &reply);
    assert(strcmp(status_of(&reply), status) == 0);
    forget(&reply);
}

static void expect_reply(struct running *running, const char *id, const char *status) {
    struct heard reply;
    hear_until(running, AK_CONN_SHELL, "execute_reply", id, &reply);
    assert(strcmp(status_of(&reply), status) == 0);
    forget(&reply);
}

static void order(void) {
    struct running running;
    start(&running, "normal");
    expect(&running, "input\ntext 1 a\ndisplay\ntext 2 b\ntext 1 c\nreply ok",
           "busy execute_input stdout:a display_data stderr:b stdout:c idle ", "ok");
    /* Bytes of a pipe come where the mark behind them stands. */
    expect(&running, "input\nwrite 1 x\ntext 1 y\ndisplay\nwrite 2 z\nreply ok",
           "busy execute_input stdout:xy display_data stderr:z idle ", "ok");
    stop_kernel(&running);
}

/* A reply before the idle, and output between the two. */
static void late_output(void) {
    struct running running;
    start(&running, "normal");
    expect(&running, "input\nreply open\ntext 1 late\ndone",
           "busy execute_input stdout:late idle ", "ok");
    /* What comes behind idle still has its parent. */
    char id[64];
    struct heard late;
    execute(&running, "input\nreply ok\ntext 1 later", id);
    hear_until(&running, AK_CONN_IOPUB, "stream", id, &late);
    forget(&late);
    stop_kernel(&running);
}

/* kernel_info needs no worker, and waits behind what the worker has not finished. */
static void kernel_info(void) {
    struct running running;
    struct heard heard;
    char info[64], held[64], behind[64], beside[64];
    start(&running, "silent");
    ask(&running, AK_CONN_SHELL, "kernel_info_request", "{}", info);
    hear_until(&running, AK_CONN_SHELL, "kernel_info_reply", info, &heard);
    forget(&heard);
    /* Nothing answers a request before HELLO, and control does not wait for it. */
    execute(&running, "reply ok", held);
    ask(&running, AK_CONN_SHELL, "kernel_info_request", "{}", behind);
    ask(&running, AK_CONN_CONTROL, "kernel_info_request", "{}", beside);
    hear_until(&running, AK_CONN_CONTROL, "kernel_info_reply", beside, &heard);
    forget(&heard);
    hear(&running, AK_CONN_SHELL, &heard);
    assert(strcmp(heard.parent, held) == 0);
    forget(&heard);
    hear(&running, AK_CONN_SHELL, &heard);
    assert(strcmp(heard.parent, behind) == 0);
    forget(&heard);
    stop_kernel(&running);
}

static void heartbeat_of_a_deaf_worker(void) {
    struct running running;
    char id[64], answer[8];
    struct heard heard;
    start(&running, "deaf");
    execute(&running, "reply ok", id);
    assert(zmq_send(running.sockets[AK_CONN_HB], "beat", 4, 0) == 4);
    assert(zmq_recv(running.sockets[AK_CONN_HB], answer, sizeof(answer), 0) == 4);
    ask(&running, AK_CONN_CONTROL, "interrupt_request", "{}", id);
    hear_until(&running, AK_CONN_CONTROL, "interrupt_reply", id, &heard);
    forget(&heard);
    /* It does not hear SHUTDOWN either, and is killed in the end. */
    stop_kernel(&running);
}

/* Everything that had come before an error reply went out is ahead of SENT. */
static void aborting(void) {
    struct running running;
    struct heard reply;
    AK_BUF_AUTO story = {0};
    char held[64], ids[3][64];
    start(&running, "normal");
    execute(&running, "input\nhold", held);
    execute(&running, "input\nreply abort", ids[0]);
    execute(&running, "input\nreply ok", ids[1]);
    for (int i = 0; i < 2; i++) {
        hear(&running, AK_CONN_SHELL, &reply);
        assert(strcmp(reply.parent, ids[i]) == 0);
        forget(&reply);
    }
    execute(&running, "input\nlog\nfinish\nreply ok", ids[2]);
    hear_story(&running, ids[2], &story);
    const char *sent = strstr(ak_buf_str(&story), "SENT ");
    assert(sent && strstr(ak_buf_str(&story), "REQUEST REQUEST ") < sent);
    expect_reply(&running, held, "ok");
    stop_kernel(&running);
}

/* While one request is open the kernel is busy, whatever the last idle was. */
static void busy_again(void) {
    struct running running;
    struct heard heard;
    char held[64], other[64];
    start(&running, "normal");
    execute(&running, "input\nhold", held);
    execute(&running, "input\nreply ok", other);
    AK_BUF_AUTO story = {0};
    hear_story(&running, other, &story);
    hear(&running, AK_CONN_IOPUB, &heard);
    assert(strcmp(heard.type, "status") == 0 && strcmp(heard.parent, held) == 0);
    forget(&heard);
    execute(&running, "finish\nreply ok", other);
    expect_reply(&running, held, "ok");
    stop_kernel(&running);
}

static void death(void) {
    struct running running;
    struct heard heard;
    char id[64], waiting[64];
    AK_BUF_AUTO story = {0};
    start(&running, "normal");
    execute(&running, "input\ntext 1 last\nfault words of it\nhold", waiting);
    execute(&running, "input\ntext 2 more\nraise 9", id);
    hear_story(&running, id, &story);
    same(&story, "busy execute_input stderr:more busy error idle ");
    for (int i = 0; i < 2; i++) {
        hear(&running, AK_CONN_SHELL, &heard);
        assert(strcmp(status_of(&heard), "error") == 0);
        const char *evalue =
            json_string_value(json_object_get(heard.content, "evalue"));
        assert(strstr(evalue, "SIGKILL") && strstr(evalue, "words of it"));
        forget(&heard);
    }
    assert(kernel_exit(&running) == 128 + SIGKILL);
    stop_kernel(&running);
}

/* It dies before it looked at what had come for it. */
static void death_with_requests_unread(void) {
    struct running running;
    char ids[20][64];
    start(&running, "normal");
    execute(&running, "input\ntext 1 x\nraise 19\nend 7", ids[0]);
    for (int i = 1; i < 20; i++)
        execute(&running, "reply ok", ids[i]);
    /* It is stopped until everything waits for it. */
    struct heard heard;
    char usage[64];
    ask(&running, AK_CONN_CONTROL, "usage_request", "{}", usage);
    hear_until(&running, AK_CONN_CONTROL, "usage_reply", usage, &heard);
    pid_t pid = (pid_t)json_integer_value(json_object_get(heard.content, "pid"));
    forget(&heard);
    for (int i = 1; i < 20; i++) {
        hear_until(&running, AK_CONN_IOPUB, "status", ids[i], &heard);
        forget(&heard);
    }
    while (kill(pid, SIGCONT) == 0 && silent(&running, AK_CONN_SHELL, 10))
        ;
    expect_reply(&running, ids[0], "error");
    for (int i = 1; i < 20; i++)
        expect_reply(&running, ids[i], "aborted");
    assert(kernel_exit(&running) == 7);
    stop_kernel(&running);
}

static void respawn(void) {
    struct running running;
    struct heard heard;
    char id[64], session[64];
    start_kernel(&running, worker(), "normal", true);
    for (int round = 0; round < 3; round++) {
        execute(&running, "input\nraise 6", id);
        hear_until(&running, AK_CONN_SHELL, "execute_reply", id, &heard);
        assert(strcmp(status_of(&heard), "error") == 0);
        if (round == 0)
            strcpy(session, heard.session);
        assert(strcmp(session, heard.session) == 0);
        forget(&heard);
        expect(&running, "input\ntext 1 fresh\nreply ok",
               "busy execute_input stdout:fresh idle ", "ok");
    }
    stop_kernel(&running);
}

static void refuses_to_start(const char *how, const char *word) {
    struct running running;
    struct heard heard;
    char id[64];
    start(&running, how);
    execute(&running, "reply ok", id);
    hear_until(&running, AK_CONN_SHELL, "execute_reply", id, &heard);
    assert(strcmp(status_of(&heard), "error") == 0);
    assert(strstr(json_string_value(json_object_get(heard.content, "evalue")), word));
    forget(&heard);
    /* kernel_info is answered still, and the kernel ends when it is asked to. */
    ask(&running, AK_CONN_CONTROL, "kernel_info_request", "{}", id);
    hear_until(&running, AK_CONN_CONTROL, "kernel_info_reply", id, &heard);
    forget(&heard);
    stop_kernel(&running);
}

static void start_failures(void) {
    refuses_to_start("fails", "no such Python here");
    refuses_to_start("old", "3.10.0");
    refuses_to_start("dies", "before Python had started");
}

static void nonsense(void) {
    struct running running;
    start(&running, "normal");
    expect(&running, "input\nnonsense\ntext 1 still\nreply ok",
           "busy execute_input stdout:still idle ", "ok");
    expect(&running, "input\nreply ok\nreply ok\ndone\ndone",
           "busy execute_input idle ", "ok");
    stop_kernel(&running);
}

static void damaged_ring(void) {
    struct running running;
    char id[64];
    start(&running, "normal");
    execute(&running, "input\nscribble\nhold", id);
    expect_reply(&running, id, "error");
    assert(kernel_exit(&running) != 0);
    stop_kernel(&running);
}

static void lost_link(void) {
    struct running running;
    char id[64];
    start(&running, "normal");
    execute(&running, "input\nunlink\nraise 19", id);
    expect_reply(&running, id, "error");
    assert(kernel_exit(&running) != 0);
    stop_kernel(&running);
}

static void questions(void) {
    struct running running;
    struct heard heard;
    char id[64], answer[64];
    AK_BUF_AUTO story = {0};
    start(&running, "normal");
    execute(&running, "input\nask\nreply ok", id);
    hear_until(&running, AK_CONN_STDIN, "input_request", id, &heard);
    forget(&heard);
    ask(&running, AK_CONN_STDIN, "input_reply", "{\"value\": 1}", answer);
    hear_story(&running, id, &story);
    same(&story, "busy execute_input stdout:nobody idle ");
    ak_buf_clear(&story);
    execute(&running, "input\nask\nreply ok", id);
    hear_until(&running, AK_CONN_STDIN, "input_request", id, &heard);
    forget(&heard);
    ask(&running, AK_CONN_STDIN, "nonsense", "{}", answer);
    ask(&running, AK_CONN_STDIN, "input_reply", "{\"value\": \"me\"}", answer);
    hear_story(&running, id, &story);
    same(&story, "busy execute_input stdout:me\n idle ");
    stop_kernel(&running);
}

/* exit() is the end of its own request, or at once when that is answered. */
static void exits(void) {
    struct running running;
    char asking[64], other[64];
    start(&running, "normal");
    execute(&running, "input\nexit\nhold", asking);
    execute(&running, "input\nreply ok", other);
    expect_reply(&running, other, "ok");
    execute(&running, "finish\nreply ok", other);
    expect_reply(&running, asking, "ok");
    assert(kernel_exit(&running) == 0);
    stop_kernel(&running);

    start(&running, "normal");
    execute(&running, "input\nreply ok\nexit", asking);
    expect_reply(&running, asking, "ok");
    assert(kernel_exit(&running) == 0);
    stop_kernel(&running);
}

/* More text than the ring holds, from a worker that waits for room. */
static void flood(void) {
    struct running running;
    struct heard heard;
    char id[64];
    AK_BUF_AUTO code = {0};
    size_t n_bytes = 0;
    start(&running, "normal");
    assert(ak_buf_add_str(&code, "input\ntext 1 ") == 0);
    for (int i = 0; i < 3 << 20; i++)
        assert(ak_buf_add_char(&code, (char)('a' + i % 26)) == 0);
    assert(ak_buf_add_str(&code, "\nreply ok") == 0);
    execute(&running, ak_buf_str(&code), id);
    for (bool idle = false; !idle;) {
        hear(&running, AK_CONN_IOPUB, &heard);
        const char *text = json_string_value(json_object_get(heard.content, "text"));
        for (const char *p = text; p && *p; p++)
            assert(*p == (char)('a' + n_bytes++ % 26));
        const char *state =
            json_string_value(json_object_get(heard.content, "execution_state"));
        idle = state && strcmp(state, "idle") == 0 && strcmp(heard.parent, id) == 0;
        forget(&heard);
    }
    assert(n_bytes == 3 << 20);
    expect_reply(&running, id, "ok");
    stop_kernel(&running);
}

static const struct ak_test tests[] = {
    {"order", order},
    {"late-output", late_output},
    {"kernel-info", kernel_info},
    {"heartbeat-of-a-deaf-worker", heartbeat_of_a_deaf_worker},
    {"aborting", aborting},
    {"busy-again", busy_again},
    {"death", death},
    {"death-with-requests-unread", death_with_requests_unread},
    {"respawn", respawn},
    {"start-failures", start_failures},
    {"nonsense", nonsense},
    {"damaged-ring", damaged_ring},
    {"lost-link", lost_link},
    {"questions", questions},
    {"exits", exits},
    {"flood", flood},
};
AK_TEST_MAIN(tests)

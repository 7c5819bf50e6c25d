/* SPDX-License-Identifier: MIT */
#include "fake_kernel.h"

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "seam/descriptors.h"

#define WAIT_MS 30000

static void become_worker(const char *program, const int at_birth[AK_DESCRIPTOR_N]) {
    int far[AK_DESCRIPTOR_N];
    for (int i = 0; i < AK_DESCRIPTOR_N; i++) {
        far[i] = fcntl(at_birth[i], F_DUPFD_CLOEXEC, AK_DESCRIPTOR_N + 1);
        assert(far[i] >= 0);
    }
    for (int i = 0; i < AK_DESCRIPTOR_N; i++)
        assert(dup2(far[i], i) == i);
    setpgid(0, 0);
    execl(program, program, (char *)NULL);
    _exit(127);
}

void begin(struct fake_kernel *kernel, const char *program, const char *start) {
    int child[AK_DESCRIPTOR_N], link, fds[2];
    struct ak_ring_fds ring;
    *kernel = (struct fake_kernel){0};
    assert(ak_link_pair(&link, &child[AK_DESCRIPTOR_LINK]) == 0);
    assert(ak_ring_create(&ring) == 0);
    for (int i = 0; i < 3; i++) {
        assert(pipe2(fds, O_CLOEXEC) == 0);
        *(i < 2 ? &kernel->pipes[i] : &kernel->fault) = fds[0];
        (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
        child[i == 0   ? AK_DESCRIPTOR_STDOUT
              : i == 1 ? AK_DESCRIPTOR_STDERR
                       : AK_DESCRIPTOR_FAULT] = fds[1];
    }
    child[AK_DESCRIPTOR_STDIN] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    child[AK_DESCRIPTOR_RING] = fcntl(ring.memory, F_DUPFD_CLOEXEC, 0);
    child[AK_DESCRIPTOR_DATA] = fcntl(ring.data, F_DUPFD_CLOEXEC, 0);
    child[AK_DESCRIPTOR_ROOM] = fcntl(ring.room, F_DUPFD_CLOEXEC, 0);
    child[AK_DESCRIPTOR_LOG] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    fflush(NULL);
    kernel->pid = fork();
    assert(kernel->pid >= 0);
    if (kernel->pid == 0)
        become_worker(program, child);
    setpgid(kernel->pid, kernel->pid);
    for (int i = 0; i < AK_DESCRIPTOR_N; i++)
        close(child[i]);
    assert(ak_link_new(&kernel->link, link) == 0);
    assert(ak_ring_new(&kernel->ring, &ring) == 0);
    struct ak_bytes part = ak_bytes(start, strlen(start));
    struct ak_frame frame = {
        .type = AK_FRAME_START, .fd = -1, .n_parts = 1, .parts = &part};
    assert(ak_link_send(kernel->link, &frame) == 0);
}

void begin_ready(struct fake_kernel *kernel, const char *program) {
    char start[64];
    snprintf(start, sizeof(start), "{\"seam\": %u, \"modes\": []}", AK_SEAM_VERSION);
    begin(kernel, program, start);
    expect(kernel, AK_FRAME_HELLO, AK_KIND_UNKNOWN, 0);
}

int wait_for_end(struct fake_kernel *kernel) {
    int status;
    assert(waitpid(kernel->pid, &status, 0) == kernel->pid);
    kernel->link = ak_link_free(kernel->link);
    kernel->ring = ak_ring_free(kernel->ring);
    for (int i = 0; i < 2; i++)
        ak_close_clear(&kernel->pipes[i]);
    ak_close_clear(&kernel->fault);
    ak_buf_done(&kernel->text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int end(struct fake_kernel *kernel) {
    send_bare(kernel, AK_FRAME_SHUTDOWN, 0, 0);
    return wait_for_end(kernel);
}

void send_bare(struct fake_kernel *kernel, enum ak_frame_type type, uint64_t id,
               uint64_t arg) {
    struct ak_frame frame = {.type = type, .id = id, .arg = arg, .fd = -1};
    assert(ak_link_send(kernel->link, &frame) == 0);
}

void request(struct fake_kernel *kernel, uint64_t id, enum ak_kind kind,
             const char *content) {
    struct ak_bytes parts[] = {
        ak_bytes("session", 7),
        ak_bytes("{\"msg_id\": \"m\", \"session\": \"session\"}", 37),
        ak_bytes("{\"cellId\": \"c\"}", 15), ak_bytes(content, strlen(content))};
    struct ak_frame frame = {.type = AK_FRAME_REQUEST,
                             .kind = kind,
                             .id = id,
                             .fd = -1,
                             .n_parts = 4,
                             .parts = parts};
    assert(ak_link_send(kernel->link, &frame) == 0);
}

void execute(struct fake_kernel *kernel, uint64_t id, const char *code) {
    AK_BUF_AUTO content = {0};
    assert(ak_buf_add_str(&content, "{\"allow_stdin\": true, \"code\": ") == 0 &&
           ak_buf_add_json_string(&content, code, strlen(code)) == 0 &&
           ak_buf_add_char(&content, '}') == 0);
    request(kernel, id, AK_KIND_EXECUTE_REQUEST, ak_buf_str(&content));
}

static void collect(struct fake_kernel *kernel, uint64_t position) {
    struct ak_ring_record record;
    while (ak_ring_peek(kernel->ring, &record) == 0 && record.end <= position) {
        if (record.type == AK_RING_TEXT) {
            assert(ak_buf_add(&kernel->text, record.text.data, record.text.len) == 0);
            kernel->text_request = record.request;
        } else {
            kernel->mark_request = record.request;
            kernel->mark_position = record.position;
        }
        ak_ring_consume(kernel->ring, &record);
    }
}

void next(struct fake_kernel *kernel, struct ak_frame *frame) {
    for (;;) {
        int r = ak_link_receive(kernel->link, frame);
        assert(r == 0 || r == AK_LINK_E_AGAIN);
        if (r == 0) {
            collect(kernel, frame->position);
            if (frame->type != AK_FRAME_RELEASE)
                return;
            ak_frame_done(frame);
            continue;
        }
        if (!ak_ring_arm(kernel->ring))
            collect(kernel, UINT64_MAX);
        struct pollfd fds[] = {{.fd = ak_link_fd(kernel->link), .events = POLLIN},
                               {.fd = ak_ring_data_fd(kernel->ring), .events = POLLIN}};
        assert(poll(fds, 2, WAIT_MS) > 0);
    }
}

void expect(struct fake_kernel *kernel, enum ak_frame_type type, enum ak_kind kind,
            uint64_t id) {
    struct ak_frame frame;
    next(kernel, &frame);
    if (frame.type != type || frame.kind != kind || frame.id != id)
        fprintf(stderr, "a frame of type %d, kind %d, id %llu: %.*s\n", frame.type,
                frame.kind, (unsigned long long)frame.id,
                frame.n_parts ? (int)frame.parts[0].len : 0,
                frame.n_parts ? (const char *)frame.parts[0].data : "");
    assert(frame.type == type && frame.kind == kind && frame.id == id);
    ak_frame_done(&frame);
}

void expect_reply(struct fake_kernel *kernel, uint64_t id, const char *word) {
    for (;;) {
        struct ak_frame frame;
        next(kernel, &frame);
        bool found = frame.type == AK_FRAME_REPLY && frame.id == id;
        AK_BUF_AUTO content = {0};
        if (found)
            assert(ak_buf_add(&content, frame.parts[0].data, frame.parts[0].len) == 0);
        if (found && !strstr(ak_buf_str(&content), word))
            fprintf(stderr, "no %s in %s\n", word, ak_buf_str(&content));
        assert(!found || strstr(ak_buf_str(&content), word));
        ak_frame_done(&frame);
        if (found)
            return;
    }
}

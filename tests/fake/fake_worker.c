/* SPDX-License-Identifier: MIT */
/*
 * A worker without Python, for tests of the kernel process: it speaks the seam and does
 * what the code of an execute_request tells it, one command a line. argv[1] says how it
 * starts: "normal", "silent" (it never says HELLO), "fails", "old" (another Python than
 * the kernel expects), "dies", or "deaf" (it takes no frame after START).
 */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "seam/descriptors.h"
#include "seam/frame.h"
#include "seam/ring.h"

struct fake {
    struct ak_link *link;
    struct ak_ring *ring;
    struct ak_buf log; /* what came, a word a frame */
    uint64_t held[16]; /* requests that wait for "finish" */
    size_t n_held;
};

static void send_frame(struct fake *fake, struct ak_frame *frame) {
    ak_ring_mark_pipes(fake->ring);
    frame->position = ak_ring_head(fake->ring);
    while (ak_link_send(fake->link, frame) == AK_LINK_E_AGAIN) {
        struct pollfd pfd = {.fd = ak_link_fd(fake->link), .events = POLLOUT};
        poll(&pfd, 1, -1);
    }
}

static void send_text(struct fake *fake, enum ak_frame_type type, uint64_t id,
                      enum ak_kind kind, uint32_t flags, const char *text) {
    struct ak_bytes parts[] = {ak_bytes(text, strlen(text)), ak_bytes("{}", 2)};
    struct ak_frame frame = {.type = type,
                             .kind = kind,
                             .id = id,
                             .flags = flags,
                             .arg = type == AK_FRAME_REPLY ? ak_clock_wall() : 0,
                             .fd = -1,
                             .n_parts = 2,
                             .parts = parts};
    send_frame(fake, &frame);
}

static void send_bare(struct fake *fake, enum ak_frame_type type, uint64_t id) {
    struct ak_frame frame = {.type = type, .id = id, .fd = -1};
    send_frame(fake, &frame);
}

static void write_ring(struct fake *fake, uint64_t id, int stream, const char *text) {
    size_t taken;
    for (size_t len = strlen(text); len; len -= taken, text += taken) {
        if (ak_ring_write(fake->ring, id, stream, text, len, true, &taken))
            (void)ak_ring_wait_room(fake->ring, 100);
    }
}

/* Frames of types and ids that mean nothing, and datagrams that are no frames. */
static void talk_nonsense(struct fake *fake) {
    for (int type = 0; type < 80; type++) {
        if (type == AK_FRAME_HELLO || type == AK_FRAME_FAILED || type == AK_FRAME_EXIT)
            continue;
        send_text(fake, (enum ak_frame_type)type, 999999, (enum ak_kind)type, ~0u, "{");
        send_bare(fake, (enum ak_frame_type)type, 999999);
    }
    for (size_t len = 1; len < 200; len += 7) {
        char junk[200];
        memset(junk, (int)len, sizeof(junk));
        (void)send(ak_link_fd(fake->link), junk, len, 0);
    }
}

/* The frame behind it goes around the ring, which this side cannot use any more. */
static void scribble(struct fake *fake) {
    unsigned char *map = mmap(NULL, AK_RING_DATA_SIZE, PROT_READ | PROT_WRITE,
                              MAP_SHARED, AK_DESCRIPTOR_RING, 0);
    if (map == MAP_FAILED)
        exit(1);
    for (size_t i = 0; i < AK_RING_DATA_SIZE; i++)
        map[i] = (unsigned char)(i * 7 + 1);
    struct ak_frame frame = {.type = AK_FRAME_FENCE, .position = UINT64_MAX, .fd = -1};
    (void)ak_link_send(fake->link, &frame);
}

/* Asks, and prints the answer. */
static void ask(struct fake *fake, uint64_t id) {
    struct ak_bytes part = ak_bytes("{\"prompt\": \"?\", \"password\": false}", 34);
    int fds[2];
    if (pipe(fds) < 0)
        exit(1);
    struct ak_frame frame = {
        .type = AK_FRAME_INPUT, .id = id, .fd = fds[1], .n_parts = 1, .parts = &part};
    send_frame(fake, &frame);
    close(fds[1]);
    char answer[256];
    size_t len = 0;
    ssize_t n;
    while ((n = read(fds[0], answer + len, sizeof(answer) - 1 - len)) > 0)
        len += (size_t)n;
    answer[len] = '\0';
    close(fds[0]);
    write_ring(fake, id, 1, len ? answer : "nobody");
}

static void reply(struct fake *fake, uint64_t id, const char *how) {
    bool abort = strstr(how, "abort"), open = strstr(how, "open");
    send_text(fake, AK_FRAME_REPLY, id, AK_KIND_UNKNOWN,
              (open ? 0u : AK_FRAME_F_DONE) | (abort ? AK_FRAME_F_ABORTING : 0u),
              abort ? "{\"status\": \"error\"}" : "{\"status\": \"ok\"}");
}

static void obey(struct fake *fake, uint64_t id, char *line) {
    char *rest = strchr(line, ' ');
    if (rest)
        *rest++ = '\0';
    else
        rest = line + strlen(line);
    if (strcmp(line, "input") == 0) {
        send_text(fake, AK_FRAME_PUBLISH, id, AK_KIND_EXECUTE_INPUT, 0,
                  "{\"code\": \"\", \"execution_count\": 1}");
    } else if (strcmp(line, "text") == 0) {
        write_ring(fake, id, atoi(rest), rest + 2);
    } else if (strcmp(line, "write") == 0) {
        ak_ring_set_current(fake->ring, id);
        ssize_t n = write(atoi(rest), rest + 2, strlen(rest + 2));
        ak_ring_mark_pipes(fake->ring);
        (void)n;
    } else if (strcmp(line, "display") == 0) {
        send_text(fake, AK_FRAME_PUBLISH, id, AK_KIND_DISPLAY_DATA, 0,
                  "{\"data\": {}, \"metadata\": {}, \"transient\": {}}");
    } else if (strcmp(line, "reply") == 0) {
        reply(fake, id, rest);
    } else if (strcmp(line, "done") == 0) {
        send_bare(fake, AK_FRAME_DONE, id);
    } else if (strcmp(line, "exit") == 0) {
        send_bare(fake, AK_FRAME_EXIT, id);
    } else if (strcmp(line, "hold") == 0) {
        fake->held[fake->n_held++ % 16] = id;
    } else if (strcmp(line, "finish") == 0) {
        while (fake->n_held)
            reply(fake, fake->held[--fake->n_held], "");
    } else if (strcmp(line, "log") == 0) {
        write_ring(fake, id, 1, ak_buf_str(&fake->log));
    } else if (strcmp(line, "ask") == 0) {
        ask(fake, id);
    } else if (strcmp(line, "nonsense") == 0) {
        talk_nonsense(fake);
    } else if (strcmp(line, "scribble") == 0) {
        scribble(fake);
    } else if (strcmp(line, "fault") == 0) {
        ssize_t n = write(AK_DESCRIPTOR_FAULT, rest, strlen(rest));
        (void)n;
    } else if (strcmp(line, "raise") == 0) {
        raise(atoi(rest));
    } else if (strcmp(line, "end") == 0) {
        _exit(atoi(rest));
    } else if (strcmp(line, "unlink") == 0) {
        shutdown(ak_link_fd(fake->link), SHUT_RDWR);
    }
}

static void run(struct fake *fake, uint64_t id, struct ak_bytes content) {
    json_auto_t *root = json_loadb(content.data, content.len, 0, NULL);
    const char *code = json_string_value(json_object_get(root, "code"));
    AK_CLEANUP(ak_freep) char *script = strdup(code ? code : "");
    char *at = NULL;
    for (char *line = strtok_r(script, "\n", &at); line;
         line = strtok_r(NULL, "\n", &at))
        obey(fake, id, line);
}

static void take(struct fake *fake, const struct ak_frame *frame) {
    static const char *const words[] = {
        [AK_FRAME_START] = "START ",         [AK_FRAME_REQUEST] = "REQUEST ",
        [AK_FRAME_FENCE] = "FENCE ",         [AK_FRAME_SENT] = "SENT ",
        [AK_FRAME_INTERRUPT] = "INTERRUPT ", [AK_FRAME_SHUTDOWN] = "SHUTDOWN ",
    };
    (void)ak_buf_add_str(&fake->log, words[frame->type]);
    if (frame->type == AK_FRAME_SHUTDOWN)
        exit(0);
    if (frame->type == AK_FRAME_FENCE) {
        struct ak_frame back = {.type = AK_FRAME_FENCE, .arg = frame->arg, .fd = -1};
        send_frame(fake, &back);
    }
    if (frame->type != AK_FRAME_REQUEST)
        return;
    if (frame->kind == AK_KIND_EXECUTE_REQUEST)
        run(fake, frame->id, frame->parts[3]);
    else
        reply(fake, frame->id, "");
}

static int receive(struct fake *fake, struct ak_frame *frame) {
    int r;
    while ((r = ak_link_receive(fake->link, frame)) == AK_LINK_E_AGAIN) {
        struct pollfd pfd = {.fd = ak_link_fd(fake->link), .events = POLLIN};
        if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
            return -1;
    }
    return r;
}

static void start(struct fake *fake, const char *how) {
    struct ak_frame frame;
    if (receive(fake, &frame) || frame.type != AK_FRAME_START)
        exit(1);
    ak_frame_done(&frame);
    if (strcmp(how, "dies") == 0)
        exit(3);
    if (strcmp(how, "fails") == 0) {
        send_text(fake, AK_FRAME_FAILED, 0, AK_KIND_UNKNOWN, 0, "no such Python here");
        exit(1);
    }
    char hello[128];
    snprintf(hello, sizeof(hello), "{\"seam\": %u, \"version\": \"%s\", \"pid\": %d}",
             AK_SEAM_VERSION, strcmp(how, "old") == 0 ? "3.10.0" : "3.11.0",
             (int)getpid());
    if (strcmp(how, "silent") != 0)
        send_text(fake, AK_FRAME_HELLO, 0, AK_KIND_UNKNOWN, 0, hello);
    while (strcmp(how, "deaf") == 0)
        pause();
}

int main(int argc, char **argv) {
    struct fake fake = {0};
    struct ak_ring_fds fds = {.memory = dup(AK_DESCRIPTOR_RING),
                              .data = AK_DESCRIPTOR_DATA,
                              .room = AK_DESCRIPTOR_ROOM};
    signal(SIGINT, SIG_IGN);
    if (ak_link_new(&fake.link, AK_DESCRIPTOR_LINK) || ak_ring_new(&fake.ring, &fds))
        return 1;
    ak_ring_watch_pipe(fake.ring, 0, AK_DESCRIPTOR_STDOUT);
    ak_ring_watch_pipe(fake.ring, 1, AK_DESCRIPTOR_STDERR);
    start(&fake, argc > 1 ? argv[1] : "normal");
    struct ak_frame frame;
    while (receive(&fake, &frame) == 0) {
        take(&fake, &frame);
        ak_frame_done(&frame);
    }
    return 1;
}

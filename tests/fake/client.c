/* SPDX-License-Identifier: MIT */
#include "client.h"

#undef NDEBUG
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "base/log.h"
#include "kernel/kernel.h"

#define WAIT_MS 30000

static void write_connection_file(struct running *running, char *path, size_t size) {
    snprintf(path, size, "%s/connection.json", running->directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    FILE *file = fdopen(fd, "w");
    assert(file);
    fprintf(file, "{\"transport\": \"ipc\", \"ip\": \"%s/k\", \"key\": \"\"",
            running->directory);
    for (int i = 0; i < AK_CONN_N_PORTS; i++)
        fprintf(file, ", \"%s\": %d", ak_conn_port_name((enum ak_conn_port)i), i + 1);
    fputs("}", file);
    fclose(file);
}

static void run_kernel(const char *path, const char *worker, const char *how,
                       bool respawn) {
    char *argv[] = {(char *)worker, (char *)how, NULL};
    struct ak_kernel_config config = {
        .connection_file = path,
        .python_version = "3.11.0",
        .worker_argv = argv,
        .respawn = respawn,
    };
    ak_log_init(STDERR_FILENO);
    exit(ak_kernel_run(&config));
}

static void connect_client(struct running *running) {
    static const int types[AK_CONN_N_PORTS] = {
        [AK_CONN_SHELL] = ZMQ_DEALER, [AK_CONN_IOPUB] = ZMQ_SUB,
        [AK_CONN_STDIN] = ZMQ_DEALER, [AK_CONN_CONTROL] = ZMQ_DEALER,
        [AK_CONN_HB] = ZMQ_REQ,
    };
    int linger = 0, often = 5;
    running->context = zmq_ctx_new();
    for (int i = 0; i < AK_CONN_N_PORTS; i++) {
        char endpoint[128];
        void *socket = running->sockets[i] = zmq_socket(running->context, types[i]);
        snprintf(endpoint, sizeof(endpoint), "ipc://%s/k-%d", running->directory,
                 i + 1);
        zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger));
        zmq_setsockopt(socket, ZMQ_RECONNECT_IVL, &often, sizeof(often));
        if (types[i] == ZMQ_DEALER)
            zmq_setsockopt(socket, ZMQ_IDENTITY, "client", 6);
        if (types[i] == ZMQ_SUB)
            zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
        assert(zmq_connect(socket, endpoint) == 0);
    }
}

void start_kernel(struct running *running, const char *worker, const char *how,
                  bool respawn) {
    char path[128];
    struct heard welcome;
    *running = (struct running){.directory = "/tmp/akernel-fake-XXXXXX"};
    assert(mkdtemp(running->directory));
    write_connection_file(running, path, sizeof(path));
    fflush(NULL);
    running->pid = fork();
    assert(running->pid >= 0);
    if (running->pid == 0)
        run_kernel(path, worker, how, respawn);
    connect_client(running);
    hear_until(running, AK_CONN_IOPUB, "iopub_welcome", NULL, &welcome);
    forget(&welcome);
}

int kernel_exit(struct running *running) {
    int status = 0;
    assert(waitpid(running->pid, &status, 0) == running->pid);
    running->pid = 0;
    assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void stop_kernel(struct running *running) {
    if (running->pid) {
        char id[64];
        ask(running, AK_CONN_CONTROL, "shutdown_request", "{\"restart\": false}", id);
        (void)kernel_exit(running);
    }
    for (int i = 0; i < AK_CONN_N_PORTS; i++)
        zmq_close(running->sockets[i]);
    zmq_ctx_term(running->context);
    char path[128];
    snprintf(path, sizeof(path), "%s/connection.json", running->directory);
    unlink(path);
    rmdir(running->directory);
}

void ask(struct running *running, enum ak_conn_port channel, const char *type,
         const char *content, char ret_id[static 64]) {
    char header[256];
    snprintf(ret_id, 64, "m%u", ++running->n_sent);
    snprintf(header, sizeof(header),
             "{\"msg_id\": \"%s\", \"msg_type\": \"%s\", \"session\": \"s\", "
             "\"username\": \"\", \"version\": \"5.5\"}",
             ret_id, type);
    const char *const frames[] = {"<IDS|MSG>", "", header, "{}", "{}", content};
    for (size_t i = 0; i < 6; i++)
        assert(zmq_send(running->sockets[channel], frames[i], strlen(frames[i]),
                        i < 5 ? ZMQ_SNDMORE : 0) >= 0);
}

void execute(struct running *running, const char *code, char ret_id[static 64]) {
    json_auto_t *content = json_pack("{s:s}", "code", code);
    char *text = json_dumps(content, 0);
    ask(running, AK_CONN_SHELL, "execute_request", text, ret_id);
    free(text);
}

bool silent(struct running *running, enum ak_conn_port channel, int ms) {
    zmq_pollitem_t item = {.socket = running->sockets[channel], .events = ZMQ_POLLIN};
    return zmq_poll(&item, 1, ms) == 0;
}

static void copy(char *to, json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    snprintf(to, 64, "%s", text ? text : "");
}

void hear(struct running *running, enum ak_conn_port channel, struct heard *heard) {
    json_t *parts[4] = {NULL};
    int more = 1, at = -1;
    size_t size = sizeof(more);
    assert(!silent(running, channel, WAIT_MS));
    while (more) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        assert(zmq_msg_recv(&frame, running->sockets[channel], 0) >= 0);
        const char *data = zmq_msg_data(&frame);
        size_t len = zmq_msg_size(&frame);
        if (at >= 0 || (len == 9 && memcmp(data, "<IDS|MSG>", 9) == 0))
            at++;
        if (at >= 2 && at < 6)
            parts[at - 2] = json_loadb(data, len, 0, NULL);
        zmq_getsockopt(running->sockets[channel], ZMQ_RCVMORE, &more, &size);
        zmq_msg_close(&frame);
    }
    for (size_t i = 0; i < 4; i++)
        assert(json_is_object(parts[i]));
    copy(heard->type, parts[0], "msg_type");
    copy(heard->session, parts[0], "session");
    copy(heard->date, parts[0], "date");
    copy(heard->parent, parts[1], "msg_id");
    heard->content = parts[3];
    for (size_t i = 0; i < 3; i++)
        json_decref(parts[i]);
}

void forget(struct heard *heard) {
    json_decref(heard->content);
    heard->content = NULL;
}

void hear_until(struct running *running, enum ak_conn_port channel, const char *type,
                const char *parent, struct heard *heard) {
    for (;;) {
        hear(running, channel, heard);
        if (strcmp(heard->type, type) == 0 &&
            (!parent || strcmp(heard->parent, parent) == 0))
            return;
        forget(heard);
    }
}

void hear_story(struct running *running, const char *parent, struct ak_buf *story) {
    for (bool idle = false; !idle;) {
        struct heard heard;
        hear(running, AK_CONN_IOPUB, &heard);
        const char *name = json_string_value(json_object_get(heard.content, "name"));
        const char *text = json_string_value(json_object_get(heard.content, "text"));
        const char *state =
            json_string_value(json_object_get(heard.content, "execution_state"));
        if (strcmp(heard.parent, parent) == 0) {
            idle = state && strcmp(state, "idle") == 0;
            const char *word = name ? name : state ? state : heard.type;
            assert(ak_buf_addf(story, "%s%s%s ", word, text ? ":" : "",
                               text ? text : "") == 0);
        }
        forget(&heard);
    }
}

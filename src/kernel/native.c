/* SPDX-License-Identifier: MIT */
/*
 * Requests that are answered without Python, whatever the worker does: kernel_info,
 * connect, usage, interrupt and shutdown (messaging spec, "Kernel info", "Connect",
 * "Kernel interrupt", "Kernel shutdown").
 */
#include "kernel/kernel-private.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void reply(struct ak_kernel *kernel, struct ak_request *request,
                  const struct ak_buf *content) {
    ak_request_reply(kernel, request, ak_bytes(ak_buf_str(content), content->len),
                     ak_bytes("{}", 2), NULL);
}

void ak_native_kernel_info(struct ak_kernel *kernel, struct ak_request *request) {
    const char *version = kernel->config->python_version;
    bool debugger = kernel->config->debugger;
    /* Not by default: JupyterLab then moves the callbacks of widgets to threads. */
    const char *asked = getenv("AKERNEL_SUBSHELLS");
    bool subshells = asked && strcmp(asked, "1") == 0;
    AK_BUF_AUTO content = {0};
    int r = ak_buf_addf(
        &content,
        "{\"status\": \"ok\", \"protocol_version\": \"5.5\", "
        "\"implementation\": \"akernel\", \"implementation_version\": \"%s\", "
        "\"language_info\": {\"name\": \"python\", \"version\": \"%s\", "
        "\"mimetype\": \"text/x-python\", "
        "\"codemirror_mode\": {\"name\": \"ipython\", \"version\": 3}, "
        "\"pygments_lexer\": \"ipython3\", \"nbconvert_exporter\": \"python\", "
        "\"file_extension\": \".py\"}, "
        "\"banner\": \"akernel %s: Python %s, every cell a task\", "
        "\"help_links\": ["
        "{\"text\": \"Python Reference\", \"url\": \"https://docs.python.org/3\"}, "
        "{\"text\": \"NumPy Reference\", \"url\": \"https://numpy.org/doc/stable/\"}, "
        "{\"text\": \"pandas Reference\", "
        "\"url\": \"https://pandas.pydata.org/docs/\"}], "
        "\"debugger\": %s, \"supported_features\": [%s%s%s]}",
        AK_VERSION, version ? version : "3", AK_VERSION, version ? version : "3",
        debugger ? "true" : "false", debugger ? "\"debugger\"" : "",
        debugger && subshells ? ", " : "", subshells ? "\"kernel subshells\"" : "");
    if (r == 0)
        reply(kernel, request, &content);
}

static void answer_connect(struct ak_kernel *kernel, struct ak_request *request) {
    AK_BUF_AUTO content = {0};
    int r = ak_buf_add_str(&content, "{\"status\": \"ok\"");
    for (int i = 0; i < AK_CONN_N_PORTS && !r; i++)
        r = ak_buf_addf(&content, ", \"%s\": %d",
                        ak_conn_port_name((enum ak_conn_port)i), kernel->conn.ports[i]);
    if (!r && ak_buf_add_char(&content, '}') == 0)
        reply(kernel, request, &content);
}

static void answer_usage(struct ak_kernel *kernel, struct ak_request *request) {
    AK_BUF_AUTO content = {0};
    if (ak_usage_add_json(kernel, &content) == 0)
        reply(kernel, request, &content);
}

/* In a kernel of many sessions, one that has a world there means that world. Servers
 * interrupt in the name of their own session, which has none: that is everything. */
static void answer_interrupt(struct ak_kernel *kernel, struct ak_request *request,
                             const struct ak_message *message) {
    struct ak_world *world = ak_sessions_world_of(kernel, message->session);
    if (world)
        ak_world_interrupt(world);
    else
        ak_supervisor_interrupt(kernel);
    ak_request_reply(kernel, request, ak_bytes("{\"status\": \"ok\"}", 16),
                     ak_bytes("{}", 2), NULL);
}

static void answer_shutdown(struct ak_kernel *kernel, struct ak_request *request,
                            const struct ak_message *message) {
    json_auto_t *asked =
        json_loadb(message->content.data, message->content.len, 0, NULL);
    bool restart = json_is_true(json_object_get(asked, "restart"));
    AK_BUF_AUTO content = {0};
    if (ak_buf_addf(&content, "{\"status\": \"ok\", \"restart\": %s}",
                    restart ? "true" : "false"))
        return;
    reply(kernel, request, &content);
    struct ak_iopub_message published = {
        .msg_type = "shutdown_reply",
        .parent = ak_bytes(request->parent, request->parent_len),
        .content = ak_bytes(content.data, content.len),
    };
    ak_publish(kernel, &published);
    kernel->asked_by_cell = false;
    kernel->over = kernel->over || kernel->over_at != AK_NEVER;
    ak_supervisor_stop(kernel, restart);
}

bool ak_native_answer(struct ak_kernel *kernel, struct ak_request *request,
                      const struct ak_message *message) {
    const char *type = message->msg_type;
    if (strcmp(type, "kernel_info_request") == 0)
        ak_native_kernel_info(kernel, request);
    else if (strcmp(type, "connect_request") == 0)
        answer_connect(kernel, request);
    else if (strcmp(type, "usage_request") == 0)
        answer_usage(kernel, request);
    else if (strcmp(type, "interrupt_request") == 0)
        answer_interrupt(kernel, request, message);
    else if (strcmp(type, "shutdown_request") == 0)
        answer_shutdown(kernel, request, message);
    else
        return false;
    return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * What each command means (Debug Adapter Protocol; messaging spec, "Additions to the
 * DAP"). Three kinds: those that need no Python are answered here; those that a plain
 * adapter knows are passed on; and those about live objects are asked of
 * akernel._debug, through the seam while nothing is attached and through the adapter's
 * "evaluate" otherwise, which is answered also while the cell blocks or stands at a
 * breakpoint.
 *
 * A front end that was reloaded initializes and attaches once more: both succeed when
 * that is how things are already. No client can end the kernel through the debugger:
 * "terminate" means "disconnect".
 */
#include "kernel/debug-private.h"

#include <string.h>

#include "base/murmur.h"
#include "kernel/cellfiles.h"
#include "kernel/debug_view.h"
#include "kernel/kernel-private.h"

/* References to variables that akernel._debug gives out begin here; the adapter counts
 * its own from one. */
#define OWN_REFERENCES (1 << 30)

typedef void (*handler)(struct ak_kernel *kernel, uint64_t request, json_t *message);

static json_t *argument(const json_t *message, const char *name) {
    return json_object_get(json_object_get(message, "arguments"), name);
}

static const char *text_argument(const json_t *message, const char *name) {
    return json_string_value(argument(message, name));
}

static const char *source_path(const json_t *message) {
    return json_string_value(json_object_get(argument(message, "source"), "path"));
}

static bool is_identifier(const char *name) {
    if (!name || !name[0] || strchr("0123456789", name[0]))
        return false;
    for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
        if (*p < 128 && *p != '_' && !(*p >= '0' && *p <= '9') &&
            !(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z'))
            return false;
    }
    return true;
}

/* --- passed on ---------------------------------------------------------------------
 */

static const char gone[] = "the debug adapter closed the connection";

static void pass(struct ak_kernel *kernel, struct ak_debug_call *call,
                 json_t *response) {
    if (response)
        ak_debug_pass(kernel, call->request, call->message, response);
    else
        ak_debug_fail(kernel, call->request, call->message, gone);
}

static void forward_as(struct ak_kernel *kernel, uint64_t request, json_t *message,
                       ak_debug_answer answer) {
    const char *command = json_string_value(json_object_get(message, "command"));
    json_t *arguments = json_object_get(message, "arguments"); /* borrowed */
    ak_debug_send(kernel, request, message, command,
                  json_is_object(arguments) ? json_incref(arguments) : NULL, answer);
}

/* What the specification demands of commands that are passed on. debugpy does not
 * answer those that lack it, nor any that come after them. */
static const struct demand {
    const char *command;
    const char *argument;
    json_type type;
} demands[] = {
    {"continue", "threadId", JSON_INTEGER},
    {"next", "threadId", JSON_INTEGER},
    {"stepIn", "threadId", JSON_INTEGER},
    {"stepOut", "threadId", JSON_INTEGER},
    {"stepBack", "threadId", JSON_INTEGER},
    {"reverseContinue", "threadId", JSON_INTEGER},
    {"pause", "threadId", JSON_INTEGER},
    {"stackTrace", "threadId", JSON_INTEGER},
    {"exceptionInfo", "threadId", JSON_INTEGER},
    {"goto", "threadId", JSON_INTEGER},
    {"goto", "targetId", JSON_INTEGER},
    {"gotoTargets", "source", JSON_OBJECT},
    {"gotoTargets", "line", JSON_INTEGER},
    {"scopes", "frameId", JSON_INTEGER},
    {"restartFrame", "frameId", JSON_INTEGER},
    {"stepInTargets", "frameId", JSON_INTEGER},
    {"evaluate", "expression", JSON_STRING},
    {"completions", "text", JSON_STRING},
    {"completions", "column", JSON_INTEGER},
    {"setVariable", "variablesReference", JSON_INTEGER},
    {"setVariable", "name", JSON_STRING},
    {"setVariable", "value", JSON_STRING},
    {"setExpression", "expression", JSON_STRING},
    {"setExpression", "value", JSON_STRING},
    {"setExceptionBreakpoints", "filters", JSON_ARRAY},
    {"setFunctionBreakpoints", "breakpoints", JSON_ARRAY},
    {"setBreakpoints", "breakpoints", JSON_ARRAY},
    {"breakpointLocations", "source", JSON_OBJECT},
};

/* Whether every demand is met; the one that is not otherwise. */
static const struct demand *find_missing(const json_t *message) {
    const char *command = json_string_value(json_object_get(message, "command"));
    for (size_t i = 0; i < sizeof(demands) / sizeof(demands[0]); i++) {
        const json_t *value = argument(message, demands[i].argument);
        if (strcmp(demands[i].command, command) == 0 &&
            (!value || json_typeof(value) != demands[i].type))
            return &demands[i];
    }
    return NULL;
}

static void forward(struct ak_kernel *kernel, uint64_t request, json_t *message) {
    forward_as(kernel, request, message, pass);
}

static void stack_came(struct ak_kernel *kernel, struct ak_debug_call *call,
                       json_t *response) {
    ak_debug_view_stack(json_object_get(response, "body"));
    pass(kernel, call, response);
}

static void stack_trace(struct ak_kernel *kernel, uint64_t request, json_t *message) {
    forward_as(kernel, request, message, stack_came);
}

static void breakpoints_came(struct ak_kernel *kernel, struct ak_debug_call *call,
                             json_t *response) {
    struct ak_debug *debug = kernel->debug;
    const char *path = source_path(call->message);
    if (path && json_is_true(json_object_get(response, "success"))) {
        json_auto_t *kept = json_deep_copy(argument(call->message, "breakpoints"));
        json_t *set = /* borrowed */
            json_object_get(json_object_get(response, "body"), "breakpoints");
        size_t i;
        json_t *one; /* borrowed */
        /* The adapter may have moved them to lines that have code. */
        json_array_foreach(kept, i, one) {
            json_t *line = json_object_get(json_array_get(set, i), "line");
            if (json_is_integer(line))
                json_object_set(one, "line", line);
        }
        if (json_array_size(kept))
            json_object_set(debug->breakpoints, path, kept);
        else
            json_object_del(debug->breakpoints, path);
    }
    pass(kernel, call, response);
}

static void set_breakpoints(struct ak_kernel *kernel, uint64_t request,
                            json_t *message) {
    if (!source_path(message)) {
        ak_debug_fail(kernel, request, message,
                      "setBreakpoints needs \"source\" with a \"path\"");
        return;
    }
    forward_as(kernel, request, message, breakpoints_came);
}

static void copy_to_globals(struct ak_kernel *kernel, uint64_t request,
                            json_t *message) {
    const char *to = text_argument(message, "dstVariableName");
    const char *from = text_argument(message, "srcVariableName");
    json_t *frame = argument(message, "srcFrameId"); /* borrowed */
    if (!is_identifier(to) || !is_identifier(from) || !json_is_integer(frame)) {
        ak_debug_fail(kernel, request, message,
                      "copyToGlobals needs \"srcVariableName\" and "
                      "\"dstVariableName\", both identifiers, and \"srcFrameId\"");
        return;
    }
    json_t *expression = json_sprintf("globals()['%s']", to);
    ak_debug_send(kernel, request, message, "setExpression",
                  json_pack("{s:o, s:s, s:O}", "expression", expression, "value", from,
                            "frameId", frame),
                  pass);
}

static void disconnected(struct ak_kernel *kernel, struct ak_debug_call *call,
                         json_t *response) {
    ak_debug_succeed(kernel, call->request, call->message, NULL);
    if (response)
        ak_debug_disconnect(kernel);
}

static void disconnect(struct ak_kernel *kernel, uint64_t request, json_t *message) {
    if (!kernel->debug->dap) {
        ak_debug_succeed(kernel, request, message, NULL);
        return;
    }
    ak_debug_send(kernel, request, message, "disconnect",
                  json_pack("{s:b, s:b}", "restart", false, "terminateDebuggee", false),
                  disconnected);
}

/* --- start -------------------------------------------------------------------------
 */

static void not_started(struct ak_kernel *kernel, struct ak_debug_call *call,
                        const char *why) {
    kernel->debug->phase = AK_DEBUG_OFF;
    ak_debug_fail(kernel, call->request, call->message, why);
    ak_debug_resume(kernel);
}

static void initialized(struct ak_kernel *kernel, struct ak_debug_call *call,
                        json_t *response) {
    struct ak_debug *debug = kernel->debug;
    if (!json_is_true(json_object_get(response, "success"))) {
        debug->dap = ak_dap_free(debug->dap);
        debug->phase = AK_DEBUG_OFF;
        pass(kernel, call, response);
        ak_debug_resume(kernel);
        return;
    }
    json_decref(debug->capabilities);
    debug->capabilities = json_incref(json_object_get(response, "body"));
    debug->phase = AK_DEBUG_CONNECTED;
    pass(kernel, call, response);
    ak_debug_resume(kernel);
}

static void connect_adapter(struct ak_kernel *kernel, struct ak_debug_call *call) {
    if (ak_debug_connect(kernel) < 0) {
        not_started(kernel, call,
                    "debugpy's adapter does not answer any more: restart the kernel to "
                    "debug again");
        return;
    }
    json_t *arguments = json_pack("{s:s}", "adapterID", "debugpy");
    json_object_update(arguments, json_object_get(call->message, "arguments"));
    ak_debug_send(kernel, call->request, call->message, "initialize", arguments,
                  initialized);
}

static void started(struct ak_kernel *kernel, struct ak_debug_call *call,
                    json_t *response) {
    json_t *port = json_object_get(json_object_get(response, "body"), "port");
    const char *why = json_string_value(json_object_get(response, "message"));
    if (!why)
        why = json_string_value(json_object_get(response, "evalue"));
    if (!json_is_integer(port)) {
        not_started(kernel, call, why ? why : "debugpy could not be started");
        return;
    }
    kernel->debug->port = (int)json_integer_value(port);
    connect_adapter(kernel, call);
}

static void initialize(struct ak_kernel *kernel, uint64_t request, json_t *message) {
    struct ak_debug *debug = kernel->debug;
    if (debug->phase != AK_DEBUG_OFF) {
        ak_debug_succeed(kernel, request, message, json_incref(debug->capabilities));
        return;
    }
    debug->phase = AK_DEBUG_STARTING;
    if (debug->port) {
        struct ak_debug_call call = {.request = request, .message = message};
        connect_adapter(kernel, &call);
        return;
    }
    json_auto_t *question = json_pack("{s:s}", "command", "start");
    ak_debug_ask_worker(kernel, request, message, question, started);
}

static void attached(struct ak_kernel *kernel, struct ak_debug_call *call,
                     json_t *response) {
    if (json_is_true(json_object_get(response, "success")) &&
        kernel->debug->phase == AK_DEBUG_CONNECTED)
        kernel->debug->phase = AK_DEBUG_ATTACHED;
    pass(kernel, call, response);
}

static void attach(struct ak_kernel *kernel, uint64_t request, json_t *message) {
    struct ak_debug *debug = kernel->debug;
    if (debug->phase == AK_DEBUG_ATTACHED) {
        ak_debug_succeed(kernel, request, message, NULL);
        return;
    }
    /* Children of cells wait for no client, and output is the kernel's business. */
    json_t *arguments = json_pack("{s:b, s:b, s:b}", "justMyCode", true, "subProcess",
                                  false, "redirectOutput", false);
    json_object_update(arguments, json_object_get(message, "arguments"));
    json_object_set_new(
        arguments, "connect",
        json_pack("{s:s, s:i}", "host", "127.0.0.1", "port", debug->port));
    debug->attaching = true;
    ak_debug_send(kernel, request, message, "attach", arguments, attached);
}

static void configuration_done(struct ak_kernel *kernel, uint64_t request,
                               json_t *message) {
    /* The adapter had it at "attach": clients send it before and after. */
    ak_debug_succeed(kernel, request, message, NULL);
}

/* --- answered here -----------------------------------------------------------------
 */

static void debug_info(struct ak_kernel *kernel, uint64_t request, json_t *message) {
    struct ak_debug *debug = kernel->debug;
    AK_BUF_AUTO prefix = {0};
    json_t *breakpoints = json_array();
    const char *path;
    json_t *list; /* borrowed */
    json_object_foreach(debug->breakpoints, path, list) {
        json_array_append_new(
            breakpoints, json_pack("{s:s, s:O}", "source", path, "breakpoints", list));
    }
    if (ak_cellfiles_prefix(kernel->debug->process->pid, &prefix))
        ak_buf_clear(&prefix);
    ak_debug_succeed(
        kernel, request, message,
        json_pack(
            "{s:b, s:s, s:I, s:s, s:s, s:o, s:O, s:b, s:[s], s:b}", "isStarted",
            debug->phase == AK_DEBUG_CONNECTED || debug->phase == AK_DEBUG_ATTACHED,
            "hashMethod", "Murmur2", "hashSeed", (json_int_t)AK_MURMUR_CELL_SEED,
            "tmpFilePrefix", ak_buf_str(&prefix), "tmpFileSuffix", ".py", "breakpoints",
            breakpoints, "stoppedThreads", debug->stopped, "richRendering", true,
            "exceptionPaths", "Python Exceptions", "copyToGlobals", true));
}

static void dump_cell(struct ak_kernel *kernel, uint64_t request, json_t *message) {
    json_t *code = argument(message, "code"); /* borrowed */
    AK_BUF_AUTO path = {0};
    if (!json_is_string(code)) {
        ak_debug_fail(kernel, request, message, "dumpCell needs \"code\", a string");
        return;
    }
    int r = ak_cellfiles_dump(
        kernel->debug->process->pid,
        ak_bytes(json_string_value(code), json_string_length(code)), &path);
    if (r) {
        AK_BUF_AUTO why = {0};
        (void)ak_cellfiles_prefix(kernel->debug->process->pid, &why);
        (void)ak_buf_addf(&why, ": the cell cannot be written there: %s", strerror(-r));
        ak_debug_fail(kernel, request, message, ak_buf_str(&why));
        return;
    }
    ak_debug_succeed(kernel, request, message,
                     json_pack("{s:s}", "sourcePath", ak_buf_str(&path)));
}

/* --- asked of Python ---------------------------------------------------------------
 */

static void python_replied(struct ak_kernel *kernel, struct ak_debug_call *call,
                           json_t *response) {
    json_t *body = json_object_get(response, "body"); /* borrowed */
    const char *why = json_string_value(json_object_get(response, "message"));
    if (!why)
        why = json_string_value(json_object_get(response, "evalue"));
    if (body)
        ak_debug_succeed(kernel, call->request, call->message, json_incref(body));
    else
        ak_debug_fail(kernel, call->request, call->message,
                      why ? why : "Python did not answer");
}

/* The result of an "evaluate" is JSON text. */
static void evaluated(struct ak_kernel *kernel, struct ak_debug_call *call,
                      json_t *response) {
    json_t *result = /* borrowed */
        json_object_get(json_object_get(response, "body"), "result");
    json_auto_t *answer =
        json_is_string(result) && json_is_true(json_object_get(response, "success"))
            ? ak_dap_parse(
                  ak_bytes(json_string_value(result), json_string_length(result)))
            : NULL;
    python_replied(kernel, call, answer ? answer : response);
}

static void ask_python(struct ak_kernel *kernel, uint64_t request, json_t *message) {
    json_auto_t *question =
        json_pack("{s:O, s:O*}", "command", json_object_get(message, "command"),
                  "arguments", json_object_get(message, "arguments"));
    if (kernel->debug->phase != AK_DEBUG_ATTACHED) {
        ak_debug_ask_worker(kernel, request, message, question, python_replied);
        return;
    }
    /* JSON in ASCII, and once more as a string, is a literal of Python. */
    AK_CLEANUP(ak_freep)
    char *text = json_dumps(question, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_auto_t *as_string = json_string(text ? text : "{}");
    AK_CLEANUP(ak_freep)
    char *literal = json_dumps(as_string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    json_t *expression =
        json_sprintf("__import__('akernel._debug', fromlist=['_']).answer_text(%s)",
                     literal ? literal : "'{}'");
    ak_debug_send(
        kernel, request, message, "evaluate",
        json_pack("{s:o, s:s}", "expression", expression, "context", "clipboard"),
        evaluated);
}

static void rich_inspect(struct ak_kernel *kernel, uint64_t request, json_t *message) {
    const char *name = text_argument(message, "variableName");
    json_t *frame = argument(message, "frameId"); /* borrowed */
    if (!name) {
        ak_debug_fail(kernel, request, message,
                      "richInspectVariables needs \"variableName\"");
        return;
    }
    if (!is_identifier(name)) {
        /* A group that the adapter shows among the variables has no display. */
        ak_debug_succeed(kernel, request, message,
                         json_pack("{s:{}, s:{}}", "data", "metadata"));
        return;
    }
    if (!json_array_size(kernel->debug->stopped) || !json_is_integer(frame)) {
        ask_python(kernel, request, message);
        return;
    }
    json_t *expression =
        json_sprintf("__import__('akernel._debug', fromlist=['_']).rich(%s)", name);
    ak_debug_send(kernel, request, message, "evaluate",
                  json_pack("{s:o, s:O, s:s}", "expression", expression, "frameId",
                            frame, "context", "clipboard"),
                  evaluated);
}

static void variables_came(struct ak_kernel *kernel, struct ak_debug_call *call,
                           json_t *response) {
    ak_debug_view_variables(json_object_get(response, "body"));
    pass(kernel, call, response);
}

static void variables(struct ak_kernel *kernel, uint64_t request, json_t *message) {
    json_t *reference = argument(message, "variablesReference"); /* borrowed */
    json_int_t number = json_integer_value(reference);
    if (!json_is_integer(reference))
        ak_debug_fail(kernel, request, message,
                      "variables needs \"variablesReference\", a number");
    else if (number > OWN_REFERENCES)
        ask_python(kernel, request, message);
    else
        forward_as(kernel, request, message, variables_came);
}

static void source(struct ak_kernel *kernel, uint64_t request, json_t *message) {
    const char *path = source_path(message);
    AK_BUF_AUTO text = {0};
    if (!path) {
        ak_debug_fail(kernel, request, message,
                      "source needs \"source\" with a \"path\"");
    } else if (ak_cellfiles_read(path, &text) == 0) {
        json_t *content = json_stringn(ak_buf_str(&text), text.len);
        if (content)
            ak_debug_succeed(kernel, request, message,
                             json_pack("{s:o}", "content", content));
        else
            ak_debug_fail(kernel, request, message, "the file is not UTF-8");
    } else if (kernel->debug->phase == AK_DEBUG_ATTACHED) {
        ask_python(kernel, request, message);
    } else {
        ak_debug_fail(kernel, request, message, "the source is not available");
    }
}

/* --- the table ---------------------------------------------------------------------
 */

static const struct command {
    const char *name;
    handler handle;
    bool at_once; /* needs no adapter, so it never waits for one that starts */
} commands[] = {
    {"debugInfo", debug_info, true},
    {"dumpCell", dump_cell, true},
    {"source", source, true},
    {"modules", ask_python, false},
    {"inspectVariables", ask_python, false},
    {"richInspectVariables", rich_inspect, false},
    {"variables", variables, false},
    {"initialize", initialize, false},
    {"attach", attach, false},
    {"configurationDone", configuration_done, false},
    {"setBreakpoints", set_breakpoints, false},
    {"stackTrace", stack_trace, false},
    {"copyToGlobals", copy_to_globals, false},
    {"disconnect", disconnect, false},
    {"terminate", disconnect, false},
};

void ak_debug_command(struct ak_kernel *kernel, uint64_t request, json_t *message) {
    const char *name = json_string_value(json_object_get(message, "command"));
    const struct command *command = NULL;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0)
            command = &commands[i];
    }
    const struct demand *missing = find_missing(message);
    if (missing) {
        AK_BUF_AUTO why = {0};
        static const char *const types[] = {[JSON_OBJECT] = "an object",
                                            [JSON_ARRAY] = "an array",
                                            [JSON_STRING] = "a string",
                                            [JSON_INTEGER] = "an integer"};
        (void)ak_buf_addf(&why, "%s needs \"%s\", %s", missing->command,
                          missing->argument, types[missing->type]);
        ak_debug_fail(kernel, request, message, ak_buf_str(&why));
        return;
    }
    if (kernel->debug->phase == AK_DEBUG_STARTING && !(command && command->at_once))
        ak_debug_wait(kernel, request, message);
    else if (command)
        command->handle(kernel, request, message);
    else
        forward(kernel, request, message);
}

/* --- events ------------------------------------------------------------------------
 */

static void threads_came(struct ak_kernel *kernel, struct ak_debug_call *call,
                         json_t *response) {
    struct ak_debug *debug = kernel->debug;
    json_t *threads = /* borrowed */
        json_object_get(json_object_get(response, "body"), "threads");
    size_t i;
    json_t *thread; /* borrowed */
    json_array_clear(debug->stopped);
    json_array_foreach(threads, i, thread) {
        json_array_append(debug->stopped, json_object_get(thread, "id"));
    }
    if (response)
        ak_debug_publish(kernel, call->message);
}

static void has_stopped(struct ak_kernel *kernel, json_t *event) {
    json_t *body = json_object_get(event, "body"); /* borrowed */
    if (json_is_true(json_object_get(body, "allThreadsStopped"))) {
        /* Clients hear of it when debugInfo can tell which threads there are. */
        ak_debug_send(kernel, 0, event, "threads", NULL, threads_came);
        return;
    }
    json_array_append(kernel->debug->stopped, json_object_get(body, "threadId"));
    ak_debug_publish(kernel, event);
}

static void has_continued(struct ak_kernel *kernel, json_t *event) {
    json_t *stopped = kernel->debug->stopped;                   /* borrowed */
    json_t *body = json_object_get(event, "body");              /* borrowed */
    json_t *thread = json_object_get(body, "threadId");         /* borrowed */
    json_t *all = json_object_get(body, "allThreadsContinued"); /* borrowed */
    for (size_t i = json_array_size(stopped); i > 0; i--) {
        if (json_is_true(all) || json_equal(json_array_get(stopped, i - 1), thread))
            json_array_remove(stopped, i - 1);
    }
    ak_debug_publish(kernel, event);
}

static void ignore(struct ak_kernel *kernel, struct ak_debug_call *call,
                   json_t *response) {
}

void ak_debug_event(struct ak_kernel *kernel, json_t *event) {
    const char *name = json_string_value(json_object_get(event, "event"));
    if (!name || strncmp(name, "debugpy", 7) == 0)
        return; /* between debugpy and editors that start it */
    if (strcmp(name, "stopped") == 0) {
        has_stopped(kernel, event);
        return;
    }
    if (strcmp(name, "continued") == 0) {
        has_continued(kernel, event);
        return;
    }
    ak_debug_publish(kernel, event);
    if (strcmp(name, "initialized") == 0 && kernel->debug->attaching) {
        kernel->debug->attaching = false;
        ak_debug_send(kernel, 0, NULL, "configurationDone", NULL, ignore);
    }
}

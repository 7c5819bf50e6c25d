/* SPDX-License-Identifier: MIT */
#include "cli/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "build_config.h"

extern char **environ;

static const char question[] =
    "import importlib.util, json, sys, sysconfig\n"
    "print(json.dumps({'executable': sys.executable,"
    " 'version': '.'.join(map(str, sys.version_info[:3])),"
    " 'minor': '.'.join(map(str, sys.version_info[:2])),"
    " 'prefix': sys.prefix, 'base_prefix': sys.base_prefix,"
    " 'build': ' '.join(sys.version.split()),"
    " 'debugger': importlib.util.find_spec('debugpy') is not None,"
    " 'free': bool(sysconfig.get_config_var('Py_GIL_DISABLED'))}))\n";

void ak_probe_done(struct ak_probe *probe) {
    free(probe->executable);
    free(probe->version);
    free(probe->minor);
    free(probe->prefix);
    free(probe->base_prefix);
    free(probe->build);
    *probe = (struct ak_probe){0};
}

/* Runs the Python and collects what it prints. -1 when it cannot be run or fails. */
static int run(const char *python, struct ak_buf *output) {
    int fds[2];
    pid_t pid;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    char *argv[] = {(char *)python, (char *)"-I", (char *)"-c", (char *)question, NULL};
    int error = posix_spawnp(&pid, python, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    if (error) {
        close(fds[0]);
        errno = error;
        return -1;
    }
    char chunk[4096];
    ssize_t n;
    while ((n = read(fds[0], chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0)
            (void)ak_buf_add(output, chunk, (size_t)n);
    }
    close(fds[0]);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    errno = ENOEXEC;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static char *text(json_t *object, const char *name) {
    const char *value = json_string_value(json_object_get(object, name));
    return strdup(value ? value : "");
}

int ak_probe_python(struct ak_probe *ret_probe, const char *python,
                    struct ak_buf *ret_message) {
    AK_BUF_AUTO output = {0};
    if (run(python, &output) < 0) {
        (void)ak_buf_addf(ret_message, "the Python \"%s\" cannot be run: %s", python,
                          strerror(errno));
        return -1;
    }
    json_auto_t *facts = json_loadb(ak_buf_str(&output), output.len, 0, NULL);
    if (!json_is_object(facts)) {
        (void)ak_buf_addf(ret_message, "\"%s\" does not answer like a Python", python);
        return -1;
    }
    struct ak_probe probe = {
        .executable = text(facts, "executable"),
        .version = text(facts, "version"),
        .minor = text(facts, "minor"),
        .prefix = text(facts, "prefix"),
        .base_prefix = text(facts, "base_prefix"),
        .build = text(facts, "build"),
        .debugger = json_is_true(json_object_get(facts, "debugger")),
        .free_threaded = json_is_true(json_object_get(facts, "free")),
    };
    if (!probe.executable || !probe.version || !probe.minor || !probe.prefix ||
        !probe.base_prefix || !probe.build) {
        ak_probe_done(&probe);
        (void)ak_buf_add_str(ret_message, "no memory");
        return -1;
    }
    probe.virtual_environment = strcmp(probe.prefix, probe.base_prefix) != 0;
    probe.same_build = strcmp(probe.build, AK_PYTHON_BUILD) == 0 &&
                       strcmp(probe.base_prefix, AK_PYTHON_PREFIX) == 0;
    *ret_probe = probe;
    return 0;
}

int ak_probe_check(const struct ak_probe *probe, struct ak_buf *ret_message) {
    size_t minor = strcspn(AK_PYTHON_VERSION, ".");
    minor += 1 + strcspn(&AK_PYTHON_VERSION[minor + 1], ".");
    if (probe->free_threaded) {
        (void)ak_buf_addf(
            ret_message, "%s is a free-threaded Python, which akernel does not support",
            probe->executable);
        return -1;
    }
    if (strlen(probe->minor) == minor &&
        memcmp(probe->minor, AK_PYTHON_VERSION, minor) == 0)
        return 0;
    (void)ak_buf_addf(ret_message,
                      "%s is Python %s, but this akernel was built for Python %.*s. "
                      "Build one for it: meson setup build-%s -Dpython=%s",
                      probe->executable, probe->version, (int)minor, AK_PYTHON_VERSION,
                      probe->minor, probe->executable);
    return -1;
}

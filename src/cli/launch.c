/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "build_config.h"
#include "cli/cli.h"
#include "cli/environment.h"
#include "cli/modes.h"
#include "cli/paths.h"
#include "kernel/kernel.h"

AK_LOG_MODULE("launch");

static const char help[] =
    "usage: akernel launch [MODE] -f FILE [options]\n"
    "\n"
    "Runs a kernel; front ends do this with what \"akernel install\" wrote.\n"
    "\n"
    "  MODE                   async (default), concurrent, chained, and others: "
    "dash-joined\n"
    "  -f FILE, --f=FILE      the connection file\n"
    "  --python PATH          the Python whose environment cells see\n"
    "  --python-version X.Y.Z its version, checked when it starts\n"
    "  --extension            let that Python load the worker as a module\n"
    "  --debugger             say that the debugger can be used\n"
    "  --session-timeout S    with multi: close a session that was idle for S seconds\n"
    "  --max-sessions N       with multi: as many as that (default 20000)\n"
    "  --respawn              replace a Python that dies, instead of ending\n"
    "  -c, --cache-dir DIR    where the mode \"cache\" keeps its files\n"
    "  --cache-url URL        a server that shares them\n"
    "  --cache-key FILE       the key of the team that shares them\n"
    "  --debug                log what happens to stderr (also AKERNEL_LOG=debug)\n";

struct options {
    const char *mode;
    const char *file;
    const char *python;
    const char *python_version;
    const char *cache_dir, *cache_url, *cache_key;
    const char *session_timeout;
    const char *max_sessions;
    bool extension;
    bool respawn;
    bool lazy;
    bool debugger;
    const char **others; /* what is not ours: for IPython in the worker */
    size_t n_others;
};

/* The value of an option given as "--name=value" or "--name value". */
static bool take(const char *name, int argc, char **argv, int *i, const char **ret) {
    size_t len = strlen(name);
    if (strncmp(argv[*i], name, len) != 0)
        return false;
    if (argv[*i][len] == '=') {
        *ret = argv[*i] + len + 1;
        return true;
    }
    if (argv[*i][len] != '\0' || *i + 1 >= argc)
        return false;
    *ret = argv[++*i];
    return true;
}

/* Launchers append arguments of their own (traitlets options such as
 * --HistoryManager.hist_file=:memory:), so what is not known is no error. */
static int parse(int argc, char **argv, struct options *options) {
    for (int i = 0; i < argc; i++) {
        if (take("-f", argc, argv, &i, &options->file) ||
            take("--f", argc, argv, &i, &options->file) ||
            take("--python-version", argc, argv, &i, &options->python_version) ||
            take("--python", argc, argv, &i, &options->python) ||
            take("-c", argc, argv, &i, &options->cache_dir) ||
            take("--cache-dir", argc, argv, &i, &options->cache_dir) ||
            take("--cache-url", argc, argv, &i, &options->cache_url) ||
            take("--cache-key", argc, argv, &i, &options->cache_key) ||
            take("--session-timeout", argc, argv, &i, &options->session_timeout) ||
            take("--max-sessions", argc, argv, &i, &options->max_sessions))
            continue;
        if (strcmp(argv[i], "--extension") == 0)
            options->extension = true;
        else if (strcmp(argv[i], "--debugger") == 0)
            options->debugger = true;
        else if (strcmp(argv[i], "--respawn") == 0)
            options->respawn = true;
        else if (strcmp(argv[i], "--lazy") == 0)
            options->lazy = true;
        else if (strcmp(argv[i], "--debug") == 0)
            ak_log_set_level(AK_LOG_DEBUG);
        else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return 1;
        else if (i == 0 && argv[i][0] != '-')
            options->mode = argv[i];
        else {
            ak_debug("the argument \"%s\" is left to IPython", argv[i]);
            options->others[options->n_others++] = argv[i];
        }
    }
    return 0;
}

/* The worker takes these from its environment, where "akernel install" puts them, too.
 * Without the helper program a cache has no second tier and no collections. */
static void set_cache_environment(const struct options *options) {
    AK_BUF_AUTO helper = {0};
    AK_BUF_AUTO message = {0};
    if (options->cache_dir)
        (void)setenv("AKERNEL_CACHE_DIR", options->cache_dir, 1);
    if (options->cache_url)
        (void)setenv("AKERNEL_CACHE_URL", options->cache_url, 1);
    if (options->cache_key)
        (void)setenv("AKERNEL_CACHE_KEY_FILE", options->cache_key, 1);
    if (ak_paths_cache(&helper, &message) == 0)
        (void)setenv("AKERNEL_CACHE_HELPER", ak_buf_str(&helper), 1);
}

static const char loader[] =
    "import importlib.util as u, sys\n"
    "s = u.spec_from_file_location('_akernel_worker', sys.argv[1])\n"
    "m = u.module_from_spec(s)\n"
    "s.loader.exec_module(m)\n"
    "del u, s, sys\n"
    "__import__('sys').exit(globals().pop('m').main())\n";

static int run(const struct options *options, const struct ak_modes *modes) {
    AK_BUF_AUTO worker = {0};
    AK_BUF_AUTO message = {0};
    if (options->python && strchr(options->python, '/') &&
        access(options->python, X_OK) < 0) {
        fprintf(
            stderr,
            "akernel: the Python %s that this kernel was installed for cannot be run: "
            "%s; run \"akernel install\" for another one\n",
            options->python, strerror(errno));
        return 1;
    }
    int r = options->extension ? ak_paths_module(&worker, &message)
                               : ak_paths_worker(&worker, &message);
    if (r) {
        fprintf(stderr, "akernel: %s\n", ak_buf_str(&message));
        return 1;
    }
    if (ak_modes_has(modes, "cache"))
        set_cache_environment(options);
    double timeout = 0, max_sessions = 0;
    if (ak_cli_number("--session-timeout", options->session_timeout, &timeout) < 0 ||
        ak_cli_number("--max-sessions", options->max_sessions, &max_sessions) < 0)
        return 2;
    char *embedded[] = {worker.data, NULL};
    char *extension[] = {(char *)options->python, (char *)"-c", (char *)loader,
                         worker.data, NULL};
    struct ak_kernel_config config = {
        .connection_file = options->file,
        .modes = modes->names,
        .n_modes = modes->n_names,
        .python = options->python,
        .python_version = options->python_version,
        .worker_argv = options->extension ? extension : embedded,
        .respawn = options->respawn,
        .debugger = options->debugger,
        .arguments = options->others,
        .n_arguments = options->n_others,
        .multi = ak_modes_has(modes, "multi"),
        .session_timeout = timeout,
        .max_sessions = (size_t)max_sessions,
    };
    return ak_kernel_run(&config);
}

int ak_cli_launch(int argc, char **argv) {
    struct options options = {.python_version = NULL};
    struct ak_modes modes = {0};
    AK_BUF_AUTO message = {0};
    ak_log_init(STDERR_FILENO);
    AK_CLEANUP(ak_freep)
    const char **others = calloc((size_t)argc + 1, sizeof(*others));
    options.others = others;
    if (parse(argc, argv, &options)) {
        fputs(help, stdout);
        return 0;
    }
    if (!options.file) {
        fprintf(stderr,
                "akernel: there is no connection file: give one with -f FILE\n");
        return 2;
    }
    if (options.extension && !options.python) {
        fprintf(stderr, "akernel: --extension needs --python PATH\n");
        return 2;
    }
    if (options.mode && ak_modes_parse(&modes, options.mode, &message) < 0) {
        fprintf(stderr, "akernel: %s\n", ak_buf_str(&message));
        return 2;
    }
    /* To the worker it is a mode beside "react". */
    if (options.lazy && modes.n_names < AK_MODES_MAX)
        modes.names[modes.n_names++] = "lazy";
    AK_CLEANUP(ak_environment_done) struct ak_environment environment = {0};
    if (!options.python && AK_WHEEL) {
        if (ak_environment_find(&environment, &message) < 0) {
            fprintf(stderr, "akernel: %s\n", ak_buf_str(&message));
            return 1;
        }
        options.python = environment.python.len ? environment.python.data : NULL;
        options.python_version = environment.version.data;
        options.extension = environment.extension;
        options.debugger = options.debugger || environment.debugger;
    }
    if (!options.python_version && !options.python)
        options.python_version = AK_PYTHON_VERSION;
    return run(&options, &modes);
}

/* SPDX-License-Identifier: MIT */
/*
 * Writes a kernelspec: kernel.json with everything that the kernel has to know before
 * Python runs, and the logos. It is made in a directory beside its place and moved
 * there, so that a front end never sees half of one.
 *
 * The kernel runs user code in the environment that it was installed for. Its python
 * has to be of the minor version that the worker was built for; where it is another
 * build of it, the worker is loaded by that python as a module instead of embedding its
 * own.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_config.h"
#include "cache/url.h"
#include "cli/cli.h"
#include "cli/environment.h"
#include "cli/modes.h"
#include "cli/paths.h"
#include "cli/places.h"
#include "cli/probe.h"
#include "cli/spec.h"

#define ENV_MAX 64

static const char help[] =
    "usage: akernel install [MODE] [options]\n"
    "\n"
    "Makes the kernel known to Jupyter, for the Python of the active virtual\n"
    "environment, else for the one that akernel was built with.\n"
    "\n"
    "  MODE                 how cells run: async (default: a cell that awaits lets "
    "later\n"
    "                       cells start), concurrent (the same, and no cell waits for "
    "a\n"
    "                       name), chained (one cell after the other)\n"
    "                       react (running a cell updates those that depend on it)\n"
    "  --lazy               with react: mark what is out of date, run what is asked\n"
    "                       multi (each client session has variables of its own)\n"
    "  --session-timeout S  with multi: close a session that was idle for S seconds\n"
    "  --max-sessions N     with multi: as many as that (default 20000)\n"
    "  --python PATH        the Python whose environment cells see\n"
    "  --user               for this user\n"
    "  --sys-prefix         into the prefix of that Python\n"
    "  --prefix DIR         into DIR/share/jupyter/kernels\n"
    "                       (default: the virtual environment, else this user)\n"
    "  --name NAME          the kernel's name (default: akernel and the modes)\n"
    "  --display-name TEXT  what front ends show\n"
    "  --env K=V            a variable of the kernel's environment; may be repeated\n"
    "  -c, --cache-dir DIR  where the mode \"cache\" keeps its files\n"
    "  --cache-url URL      a server that shares them: redis://:PASSWORD@HOST:PORT, "
    "or\n"
    "                       rediss:// for TLS\n"
    "  --cache-key FILE     the key of the team that shares them\n";

struct options {
    const char *mode, *python, *prefix, *name, *display_name;
    const char *cache_dir, *cache_url, *cache_key;
    const char *session_timeout, *max_sessions;
    const char *env[ENV_MAX];
    size_t n_env;
    bool user, sys_prefix, lazy, help;
};

static int usage(const char *format, const char *what) {
    fprintf(stderr, "akernel: ");
    fprintf(stderr, format, what);
    fprintf(stderr, "; \"akernel install --help\" tells more\n");
    return 2;
}

/* The value of "--name value" or "--name=value": 1 taken, 0 another option, -1 none. */
static int take(const char *name, int argc, char **argv, int *i, const char **ret) {
    size_t len = strlen(name);
    if (strncmp(argv[*i], name, len) != 0)
        return 0;
    if (argv[*i][len] == '=') {
        *ret = argv[*i] + len + 1;
        return 1;
    }
    if (argv[*i][len] != '\0')
        return 0;
    if (*i + 1 >= argc)
        return -1;
    *ret = argv[++*i];
    return 1;
}

static int parse_one(struct options *o, int argc, char **argv, int *i) {
    const char *arg = argv[*i];
    const char *env = NULL;
    const struct {
        const char *name;
        const char **slot;
    } valued[] = {
        {"--python", &o->python},
        {"--prefix", &o->prefix},
        {"--name", &o->name},
        {"--display-name", &o->display_name},
        {"--cache-dir", &o->cache_dir},
        {"-c", &o->cache_dir},
        {"--cache-url", &o->cache_url},
        {"--cache-key", &o->cache_key},
        {"--session-timeout", &o->session_timeout},
        {"--max-sessions", &o->max_sessions},
        {"--env", &env},
    };
    for (size_t k = 0; k < sizeof(valued) / sizeof(valued[0]); k++) {
        int taken = take(valued[k].name, argc, argv, i, valued[k].slot);
        if (taken < 0)
            return usage("%s needs a value", arg);
        if (!taken)
            continue;
        if (env && (!strchr(env, '=') || env[0] == '='))
            return usage("--env takes NAME=VALUE, not \"%s\"", env);
        if (env && o->n_env == ENV_MAX)
            return usage("%s was given too often", "--env");
        if (env)
            o->env[o->n_env++] = env;
        return 0;
    }
    if (strcmp(arg, "--user") == 0)
        o->user = true;
    else if (strcmp(arg, "--lazy") == 0)
        o->lazy = true;
    else if (strcmp(arg, "--sys-prefix") == 0)
        o->sys_prefix = true;
    else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
        o->help = true;
    else if (arg[0] != '-' && !o->mode)
        o->mode = arg;
    else
        return usage("\"%s\" is not understood", arg);
    return 0;
}

static bool good_name(const char *name) {
    return name[0] && name[0] != '.' &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-")] == 0;
}

/* The Python to install for: asked for, of the virtual environment, beside this program
 * of a wheel, or built with. */
static int find_python(const struct options *o, struct ak_probe *probe,
                       struct ak_buf *message) {
    const char *venv = getenv("VIRTUAL_ENV");
    AK_BUF_AUTO path = {0};
    if (o->python)
        (void)ak_buf_add_str(&path, o->python);
    else if (venv && venv[0])
        (void)ak_buf_addf(&path, "%s/bin/python", venv);
    else if (AK_WHEEL)
        (void)ak_environment_python(&path);
    if (path.len == 0)
        (void)ak_buf_add_str(&path, AK_PYTHON_EXECUTABLE);
    if (ak_probe_python(probe, ak_buf_str(&path), message) < 0)
        return -1;
    return ak_probe_check(probe, message);
}

static int find_place(const struct options *o, const struct ak_probe *probe,
                      struct ak_buf *dir) {
    if (o->prefix && o->prefix[0] != '/') {
        char cwd[4096];
        if (!getcwd(cwd, sizeof(cwd)) || ak_buf_addf(dir, "%s/", cwd))
            return -1;
    }
    if (o->prefix)
        return ak_places_prefix(o->prefix, dir);
    if (o->sys_prefix || (!o->user && probe->virtual_environment))
        return ak_places_prefix(probe->prefix, dir);
    return ak_places_user(dir);
}

/* "async", or the modes with dashes between them. */
static int join_modes(const struct ak_modes *modes, const char *joint,
                      struct ak_buf *ret_text) {
    int r = 0;
    for (size_t i = 0; i < modes->n_names && !r; i++)
        r = ak_buf_addf(ret_text, "%s%s", i ? joint : "", modes->names[i]);
    return r;
}

/* NAME=path, from the root: kernels start in other directories than this program. */
static int add_path(struct ak_buf *variable, const char *name, const char *path) {
    char cwd[4096];
    if (path[0] == '/')
        return ak_buf_addf(variable, "%s%s", name, path);
    return getcwd(cwd, sizeof(cwd)) ? ak_buf_addf(variable, "%s%s/%s", name, cwd, path)
                                    : -1;
}

static int make_spec(const struct options *o, const struct ak_modes *modes,
                     const struct ak_probe *probe, const char *program,
                     json_t **ret_spec, struct ak_buf *message) {
    AK_BUF_AUTO mode = {0};
    AK_BUF_AUTO display_modes = {0};
    AK_BUF_AUTO display_name = {0};
    AK_BUF_AUTO cache_dir = {0};
    AK_BUF_AUTO cache_url = {0};
    AK_BUF_AUTO cache_key = {0};
    int r = join_modes(modes, "-", &mode);
    if (!r)
        r = join_modes(modes, ", ", &display_modes);
    if (!r)
        r = ak_buf_addf(&display_name, "Python 3 (akernel%s%s)",
                        display_modes.len ? " " : "", ak_buf_str(&display_modes));
    if (!r && o->cache_dir)
        r = add_path(&cache_dir, "AKERNEL_CACHE_DIR=", o->cache_dir);
    if (!r && o->cache_url)
        r = ak_buf_addf(&cache_url, "AKERNEL_CACHE_URL=%s", o->cache_url);
    if (!r && o->cache_key)
        r = add_path(&cache_key, "AKERNEL_CACHE_KEY_FILE=", o->cache_key);
    if (r)
        return -1;
    const struct ak_spec_value values[] = {
        {"program", program},
        {"modes", mode.len ? ak_buf_str(&mode) : "async"},
        {"display_name", o->display_name ? o->display_name : ak_buf_str(&display_name)},
    };
    const char *options[11] = {"--python", probe->executable, "--python-version",
                               probe->version};
    size_t n_options = 4;
    if (!probe->same_build)
        options[n_options++] = "--extension";
    if (probe->debugger)
        options[n_options++] = "--debugger";
    if (o->lazy)
        options[n_options++] = "--lazy";
    if (o->session_timeout) {
        options[n_options++] = "--session-timeout";
        options[n_options++] = o->session_timeout;
    }
    if (o->max_sessions) {
        options[n_options++] = "--max-sessions";
        options[n_options++] = o->max_sessions;
    }
    const char *env[ENV_MAX + 3];
    size_t n_env = o->n_env;
    memcpy(env, o->env, n_env * sizeof(env[0]));
    if (o->cache_dir)
        env[n_env++] = ak_buf_str(&cache_dir);
    if (o->cache_url)
        env[n_env++] = ak_buf_str(&cache_url);
    if (o->cache_key)
        env[n_env++] = ak_buf_str(&cache_key);
    struct ak_spec spec = {
        .values = values,
        .n_values = sizeof(values) / sizeof(values[0]),
        .options = options,
        .n_options = n_options,
        .debugger = probe->debugger,
        .env = env,
        .n_env = n_env,
    };
    return ak_spec_make(ret_spec, &spec, message);
}

static int copy_file(const char *from, const char *to) {
    FILE *in = fopen(from, "re");
    FILE *out = in ? fopen(to, "we") : NULL;
    int r = in && out ? 0 : -errno;
    char chunk[8192];
    size_t n;
    while (!r && (n = fread(chunk, 1, sizeof(chunk), in)) > 0)
        r = fwrite(chunk, 1, n, out) == n ? 0 : -EIO;
    if (in)
        fclose(in);
    if (out && fclose(out) != 0 && !r)
        r = -errno;
    return r;
}

/* Fills a fresh directory. 0 or -errno. */
static int fill(const char *dir, json_t *spec) {
    static const char *const logos[] = {"logo-32x32.png", "logo-64x64.png",
                                        "logo-svg.svg"};
    AK_BUF_AUTO path = {0};
    if (ak_buf_addf(&path, "%s/kernel.json", dir))
        return -ENOMEM;
    errno = EIO;
    if (json_dump_file(spec, ak_buf_str(&path), JSON_INDENT(2) | JSON_PRESERVE_ORDER) <
        0)
        return -errno;
    for (size_t i = 0; i < sizeof(logos) / sizeof(logos[0]); i++) {
        AK_BUF_AUTO from = {0};
        AK_BUF_AUTO to = {0};
        if (ak_paths_share(logos[i], &from) || ak_buf_addf(&to, "%s/%s", dir, logos[i]))
            continue; /* a kernel without its logo still works */
        int r = copy_file(ak_buf_str(&from), ak_buf_str(&to));
        if (r)
            return r;
    }
    return 0;
}

static int write_spec(const char *place, const char *name, json_t *spec) {
    AK_BUF_AUTO temporary = {0};
    AK_BUF_AUTO final = {0};
    int r = ak_places_make(place);
    if (r)
        return r;
    if (ak_buf_addf(&temporary, "%s/.%s-XXXXXX", place, name) ||
        ak_buf_addf(&final, "%s/%s", place, name))
        return -ENOMEM;
    if (!mkdtemp(temporary.data) || chmod(temporary.data, 0755) < 0)
        return -errno;
    r = fill(temporary.data, spec);
    /* One that is there changes places with the new one, and goes afterwards. */
    struct stat st;
    bool there = lstat(final.data, &st) == 0;
    if (!r && renameat2(AT_FDCWD, temporary.data, AT_FDCWD, final.data,
                        there ? RENAME_EXCHANGE : 0) < 0)
        r = -errno;
    if (r || there)
        (void)ak_places_remove(temporary.data);
    return r;
}

static int install(const struct options *o, const struct ak_modes *modes) {
    AK_CLEANUP(ak_probe_done) struct ak_probe probe = {0};
    AK_BUF_AUTO message = {0};
    AK_BUF_AUTO place = {0};
    AK_BUF_AUTO program = {0};
    AK_BUF_AUTO name = {0};
    if (find_python(o, &probe, &message) < 0) {
        fprintf(stderr, "akernel: %s\n", ak_buf_str(&message));
        return 1;
    }
    if (find_place(o, &probe, &place) || ak_paths_program(&program) ||
        (o->name ? ak_buf_add_str(&name, o->name)
                 : ak_modes_kernel_name(modes, &name))) {
        fprintf(stderr, "akernel: the place for the kernelspec cannot be found\n");
        return 1;
    }
    json_auto_t *spec = NULL;
    if (make_spec(o, modes, &probe, ak_buf_str(&program), &spec, &message) < 0) {
        fprintf(stderr, "akernel: %s\n",
                message.len ? ak_buf_str(&message) : "no memory");
        return 1;
    }
    int r = write_spec(ak_buf_str(&place), ak_buf_str(&name), spec);
    if (r) {
        fprintf(stderr, "akernel: the kernelspec cannot be written to %s/%s: %s\n",
                ak_buf_str(&place), ak_buf_str(&name), strerror(-r));
        return 1;
    }
    printf("Installed the kernel \"%s\" in %s/%s\nIt runs Python %s of %s%s\n",
           ak_buf_str(&name), ak_buf_str(&place), ak_buf_str(&name), probe.version,
           probe.executable,
           probe.same_build ? "" : " (which loads the worker as a module)");
    return 0;
}

int ak_cli_install(int argc, char **argv) {
    struct options options = {0};
    struct ak_modes modes = {0};
    AK_BUF_AUTO message = {0};
    for (int i = 0; i < argc; i++) {
        int r = parse_one(&options, argc, argv, &i);
        if (r)
            return r;
    }
    if (options.help) {
        fputs(help, stdout);
        return 0;
    }
    if (options.user + options.sys_prefix + (options.prefix != NULL) > 1)
        return usage("%s exclude each other", "--user, --sys-prefix and --prefix");
    if (options.name && !good_name(options.name))
        return usage("\"%s\" is no name for a kernel: use a-z, 0-9, '.', '_' and '-'",
                     options.name);
    if (options.cache_url) {
        AK_CLEANUP(ak_url_done) struct ak_url url;
        if (ak_url_parse(&url, options.cache_url, &message) < 0)
            return usage("%s", ak_buf_str(&message));
    }
    if (options.mode && ak_modes_parse(&modes, options.mode, &message) < 0) {
        fprintf(stderr, "akernel: %s\n", ak_buf_str(&message));
        return 2;
    }
    if (options.lazy && !ak_modes_has(&modes, "react"))
        return usage("%s goes with the mode react", "--lazy");
    if ((options.session_timeout || options.max_sessions) &&
        !ak_modes_has(&modes, "multi"))
        return usage("%s go with the mode multi",
                     "--session-timeout and --max-sessions");
    double number;
    if (ak_cli_number("--session-timeout", options.session_timeout, &number) < 0 ||
        ak_cli_number("--max-sessions", options.max_sessions, &number) < 0)
        return 2;
    return install(&options, &modes);
}

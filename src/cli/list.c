/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/places.h"
#include "cli/probe.h"

static const char list_help[] =
    "usage: akernel list [--prefix DIR | --python PATH]\n"
    "\n"
    "Shows the kernels of akernel that Jupyter finds from here, or those of a prefix\n"
    "or of the environment of a Python.\n";

static const char uninstall_help[] =
    "usage: akernel uninstall [NAME ...] [--prefix DIR | --python PATH]\n"
    "\n"
    "Takes kernels out again: the named ones, or \"akernel\", from everywhere that\n"
    "Jupyter looks, or from a prefix or the environment of a Python alone. Kernels\n"
    "that akernel did not install are left alone.\n";

struct search {
    const char *name; /* to remove, or NULL to list */
    int n_found;
    int n_failed;
};

static void found(const char *dir, const char *name, struct search *search) {
    AK_BUF_AUTO path = {0};
    if (ak_buf_addf(&path, "%s/%s", dir, name) || !ak_places_is_ours(ak_buf_str(&path)))
        return;
    search->n_found++;
    if (!search->name) {
        printf("%-28s %s\n", name, ak_buf_str(&path));
        return;
    }
    int r = ak_places_remove(ak_buf_str(&path));
    if (r) {
        search->n_failed++;
        fprintf(stderr, "akernel: %s cannot be removed: %s\n", ak_buf_str(&path),
                strerror(-r));
    } else {
        printf("Removed %s\n", ak_buf_str(&path));
    }
}

static void look(const char *dir, void *context) {
    struct search *search = context;
    if (search->name) {
        found(dir, search->name, search);
        return;
    }
    DIR *stream = opendir(dir);
    struct dirent *entry;
    while (stream && (entry = readdir(stream))) {
        if (entry->d_name[0] != '.')
            found(dir, entry->d_name, search);
    }
    if (stream)
        closedir(stream);
}

/* What the command line says beside names. */
struct where {
    const char *prefix;
    const char *python;
    bool help;
};

static int look_everywhere(const struct where *where, struct search *search) {
    AK_BUF_AUTO dir = {0};
    AK_BUF_AUTO message = {0};
    AK_CLEANUP(ak_probe_done) struct ak_probe probe = {0};
    const char *prefix = where->prefix;
    if (where->python) {
        if (ak_probe_python(&probe, where->python, &message) < 0) {
            fprintf(stderr, "akernel: %s\n", ak_buf_str(&message));
            return -1;
        }
        prefix = probe.prefix;
    }
    if (!prefix)
        ak_places_each(look, search);
    else if (ak_places_prefix(prefix, &dir) == 0)
        look(ak_buf_str(&dir), search);
    return 0;
}

/* Takes "--name VALUE" or "--name=VALUE" out of argv. */
static bool take(const char *name, int argc, char **argv, int *i, const char **ret) {
    size_t len = strlen(name);
    if (strncmp(argv[*i], name, len) != 0)
        return false;
    if (argv[*i][len] == '=') {
        *ret = argv[*i] + len + 1;
    } else if (argv[*i][len] == '\0' && *i + 1 < argc) {
        argv[(*i)++] = NULL;
        *ret = argv[*i];
    } else {
        return false;
    }
    argv[*i] = NULL;
    return true;
}

/* The options; what stays in argv are names. -1 for what makes no sense. */
static int parse(int argc, char **argv, struct where *where) {
    for (int i = 0; i < argc; i++) {
        if (take("--prefix", argc, argv, &i, &where->prefix) ||
            take("--python", argc, argv, &i, &where->python))
            continue;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            where->help = true;
        } else if (argv[i][0] == '-') {
            fprintf(stderr, "akernel: \"%s\" is not understood\n", argv[i]);
            return -1;
        }
    }
    if (where->prefix && where->python) {
        fprintf(stderr, "akernel: --prefix and --python exclude each other\n");
        return -1;
    }
    return 0;
}

int ak_cli_list(int argc, char **argv) {
    struct where where = {0};
    if (parse(argc, argv, &where) < 0)
        return 2;
    if (where.help) {
        fputs(list_help, stdout);
        return 0;
    }
    struct search search = {0};
    if (look_everywhere(&where, &search) < 0)
        return 1;
    if (!search.n_found)
        printf("No kernel of akernel is installed; \"akernel install\" does it.\n");
    return 0;
}

int ak_cli_uninstall(int argc, char **argv) {
    struct where where = {0};
    bool named = false;
    int exit_code = 0;
    if (parse(argc, argv, &where) < 0)
        return 2;
    if (where.help) {
        fputs(uninstall_help, stdout);
        return 0;
    }
    for (int i = 0; i <= argc; i++) {
        const char *name = i < argc ? argv[i] : named ? NULL : "akernel";
        if (!name)
            continue;
        named = true;
        struct search search = {.name = name};
        if (look_everywhere(&where, &search) < 0)
            return 1;
        if (!search.n_found)
            fprintf(stderr, "akernel: no kernel named \"%s\" of akernel was found\n",
                    name);
        if (!search.n_found || search.n_failed)
            exit_code = 1;
    }
    return exit_code;
}

/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/places.h"

static const char list_help[] = "usage: akernel list [--prefix DIR]\n"
                                "\n"
                                "Shows the kernels of akernel that Jupyter finds.\n";

static const char uninstall_help[] =
    "usage: akernel uninstall [NAME ...] [--prefix DIR]\n"
    "\n"
    "Takes kernels out again: the named ones, or \"akernel\". Kernels that akernel\n"
    "did not install are left alone.\n";

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

static void look_everywhere(const char *prefix, struct search *search) {
    AK_BUF_AUTO dir = {0};
    if (!prefix)
        ak_places_each(look, search);
    else if (ak_places_prefix(prefix, &dir) == 0)
        look(ak_buf_str(&dir), search);
}

/* Finds --prefix and --help; the rest are names. -1 for what makes no sense. */
static int parse(int argc, char **argv, const char **ret_prefix, bool *ret_help) {
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *ret_help = true;
        } else if (strncmp(argv[i], "--prefix=", 9) == 0) {
            *ret_prefix = argv[i] + 9;
            argv[i] = NULL;
        } else if (strcmp(argv[i], "--prefix") == 0 && i + 1 < argc) {
            *ret_prefix = argv[i + 1];
            argv[i] = argv[i + 1] = NULL;
            i++;
        } else if (argv[i][0] == '-') {
            fprintf(stderr, "akernel: \"%s\" is not understood\n", argv[i]);
            return -1;
        }
    }
    return 0;
}

int ak_cli_list(int argc, char **argv) {
    const char *prefix = NULL;
    bool help = false;
    if (parse(argc, argv, &prefix, &help) < 0)
        return 2;
    if (help) {
        fputs(list_help, stdout);
        return 0;
    }
    struct search search = {0};
    look_everywhere(prefix, &search);
    if (!search.n_found)
        printf("No kernel of akernel is installed; \"akernel install\" does it.\n");
    return 0;
}

int ak_cli_uninstall(int argc, char **argv) {
    const char *prefix = NULL;
    bool help = false, named = false;
    int exit_code = 0;
    if (parse(argc, argv, &prefix, &help) < 0)
        return 2;
    if (help) {
        fputs(uninstall_help, stdout);
        return 0;
    }
    for (int i = 0; i <= argc; i++) {
        const char *name = i < argc ? argv[i] : named ? NULL : "akernel";
        if (!name)
            continue;
        named = true;
        struct search search = {.name = name};
        look_everywhere(prefix, &search);
        if (!search.n_found)
            fprintf(stderr, "akernel: no kernel named \"%s\" of akernel was found\n",
                    name);
        if (!search.n_found || search.n_failed)
            exit_code = 1;
    }
    return exit_code;
}

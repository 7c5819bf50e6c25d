/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build_config.h"

static const char help[] =
    "usage: akernel COMMAND [arguments]\n"
    "\n"
    "A Jupyter kernel for Python in which every cell is a task.\n"
    "\n"
    "  install     make the kernel known to Jupyter\n"
    "  uninstall   take it out again\n"
    "  list        show what is installed\n"
    "  launch      run a kernel (front ends do this)\n"
    "  cache       look after what the mode \"cache\" keeps\n"
    "\n"
    "  --version   the version of this program and of its Python\n"
    "  --help      this text; \"akernel COMMAND --help\" tells more\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"install", ak_cli_install}, {"uninstall", ak_cli_uninstall}, {"list", ak_cli_list},
    {"launch", ak_cli_launch},   {"cache", ak_cli_cache},
};

int ak_cli_number(const char *option, const char *text, double *ret_number) {
    char *end;
    if (!text)
        return 0;
    double number = strtod(text, &end);
    if (end == text || *end || !(number >= 0 && number < 1e9)) {
        fprintf(stderr, "akernel: %s takes a number, not \"%s\"\n", option, text);
        return -1;
    }
    *ret_number = number;
    return 0;
}

int ak_cli_run(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--version") == 0) {
        printf("akernel %s (Python %s)\n", AK_VERSION, AK_PYTHON_VERSION);
        return 0;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        fputs(help, argc > 1 ? stdout : stderr);
        return argc > 1 ? 0 : 2;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    }
    fprintf(stderr, "akernel: \"%s\" is not a command; \"akernel --help\" lists them\n",
            name);
    return 2;
}

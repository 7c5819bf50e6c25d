/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"
int ak_cli_install(int argc, char **argv) {
    return 1;
}
int ak_cli_uninstall(int argc, char **argv) {
    return 1;
}
int ak_cli_list(int argc, char **argv) {
    return 1;
}

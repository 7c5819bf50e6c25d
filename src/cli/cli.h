/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The commands of `akernel`. Each takes the arguments behind its name and returns the
 * exit code: 0, 1 for what went wrong, 2 for arguments that make no sense. Main thread.
 */

int ak_cli_run(int argc, char **argv);

int ak_cli_launch(int argc, char **argv);
int ak_cli_install(int argc, char **argv);
int ak_cli_uninstall(int argc, char **argv);
int ak_cli_list(int argc, char **argv);
int ak_cli_cache(int argc, char **argv);

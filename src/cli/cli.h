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

/* The number of an option that is not negative; text may be NULL, then nothing is set.
 * 0, or -1 with a sentence on stderr. */
int ak_cli_number(const char *option, const char *text, double *ret_number);

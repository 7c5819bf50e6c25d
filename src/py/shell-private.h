/* SPDX-License-Identifier: MIT */
#pragma once

/* The shell as the rest of src/py sees it. GIL held; may run Python. */

#include "py/cell-private.h"
#include "py/shell.h"

int ak_shell_setup(struct ak_state *state, PyObject *module);

/* Makes cell->python: source itself (the cell's, perhaps without its indent), or what
 * IPython's transformers make of the cell. compiled says whether source is valid
 * Python, in which case only a shell with transformers of the user's is asked. 1 when
 * the text is another one, 0 when not, with the exception as it was before; -1 with one
 * set. */
int ak_shell_translate(struct ak_cell *cell, PyObject *source, bool compiled);
/* Whether the cell was compiled before the shell's transformers were what they are now.
 */
bool ak_shell_outdated(const struct ak_cell *cell);
/* Runs the shell's AST transformers over a tree and applies its interactivity.
 * *ret_tree is a new reference; *ret_split says whether its last expression is to be
 * shown. 0, or -1 with an exception set. */
int ak_shell_shape(struct ak_state *state, PyObject *tree, PyObject **ret_tree,
                   bool *ret_split);

/* The events around a cell, in its context; nothing when there is no shell. begin also
 * tells the history of the input. end is called with the exception that ended the cell,
 * or NULL. Failures of handlers are reported by the shell. -1 with an exception set
 * when an interrupt came. */
int ak_shell_begin(struct ak_cell *cell);
int ak_shell_end(struct ak_cell *cell, PyObject *exception);
/* Tells history of an input. */
int ak_shell_record(struct ak_cell *cell);

/* Lets the shell describe an exception its way (%xmode, set_custom_exc, UsageError,
 * _render_traceback_). Fills the traceback and returns AK_SHELL_TOLD or
 * AK_SHELL_SILENT, the latter when nothing is to be published; AK_SHELL_NATIVE when the
 * kernel's own description is right. */
enum ak_shell_words {
    AK_SHELL_NATIVE,
    AK_SHELL_TOLD,
    AK_SHELL_SILENT
};
enum ak_shell_words ak_shell_describe(struct ak_state *state, PyObject *exception,
                                      struct ak_fault *fault);
/* Starts the debugger after an exception when %pdb is on. */
void ak_shell_post_mortem(struct ak_state *state, PyObject *exception);
/* Adds the payloads of the running request as JSON, "[...]", to the text. */
int ak_shell_add_payload(struct ak_cell *cell, struct ak_buf *text);
/* (data, metadata) from the shell's formatters: 1, 0 when there is no shell, -1 with an
 * exception set. */
int ak_shell_format(struct ak_state *state, PyObject *value, PyObject *include,
                    PyObject *exclude, PyObject **ret_data, PyObject **ret_metadata);

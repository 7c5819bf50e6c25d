/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One execution: an execute_request from its content to the content of its reply. A
 * cell is made when its request is taken, compiled and analysed at once, started when
 * the scheduler says so, and runs as an asyncio task that the cell owns. It publishes
 * its own execute_input, execute_result and error; replying is its owner's. Worker
 * process, main thread, GIL held. Calls may run Python unless noted.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "py/effects.h"

struct ak_cell;
struct ak_space;

struct ak_cell_request {
    uint64_t id;
    struct ak_bytes header;
    struct ak_bytes metadata;
    struct ak_bytes content;
};

struct ak_cell_ops {
    /* The task gave control back to the loop; names may have been bound. */
    void (*suspended)(void *owner, struct ak_cell *cell);
    /* The cell is over: its reply's content and metadata are ready. Called once, from
     * the loop, also when it was cancelled. The cell may be freed in it. */
    void (*finished)(void *owner, struct ak_cell *cell);
};

/* Decodes the request. Nonsense in the content makes a cell that fails when started, so
 * that its client gets a reply. 0 or fatal. */
int ak_cell_new(struct ak_cell **ret_cell, struct ak_space *space,
                const struct ak_cell_request *request, const struct ak_cell_ops *ops,
                void *owner);
/* NULL ok. A cell whose task runs must have finished. */
struct ak_cell *ak_cell_free(struct ak_cell *cell);
AK_DEFINE_CLEANUP(struct ak_cell *, ak_cell_free)

uint64_t ak_cell_id(const struct ak_cell *cell);
bool ak_cell_stop_on_error(const struct ak_cell *cell);
/* Whether history keeps it. */
bool ak_cell_stores_history(const struct ak_cell *cell);
bool ak_cell_started(const struct ak_cell *cell);
/* Valid from the start on; 0 for a silent one. */
long ak_cell_execution_count(const struct ak_cell *cell);
/* The source as UTF-8, and the text/plain of the result ("" when none); borrowed. */
struct ak_bytes ak_cell_source(const struct ak_cell *cell);
struct ak_bytes ak_cell_result(const struct ak_cell *cell);

/* The caller's own. */
void *ak_cell_tag(const struct ak_cell *cell);
void ak_cell_set_tag(struct ak_cell *cell, void *tag);
/* metadata.cellId as UTF-8, empty when there is none; borrowed. */
struct ak_bytes ak_cell_cell_id(const struct ak_cell *cell);
/* Whether metadata.tags has it. */
bool ak_cell_tagged(const struct ak_cell *cell, const char *tag);
/* metadata.deletedCells: false when there is no such list. What is no string in it is
 * left out; the names are the caller's to free with ak_cell_free_deleted. */
bool ak_cell_deleted(const struct ak_cell *cell, struct ak_names *ret_ids);
void ak_cell_free_deleted(struct ak_names *ids);

/* What it reads and binds, compiling it first; NULL when it does not compile. */
const struct ak_effects *ak_cell_effects(struct ak_cell *cell);
/* Whether a cell that reads the name at once has to wait for this one: it may bind the
 * name, is not over, and has not bound it since it started. Runs no user code. */
bool ak_cell_holds_back(const struct ak_cell *cell, const char *name);

/* Publishes execute_input and makes the task, whose first step comes after this
 * returns. 0 or fatal. */
int ak_cell_start(struct ak_cell *cell);
/* Cancels the task of a started cell because of an interrupt, of everything or of its
 * world: it ends with KeyboardInterrupt unless user code catches the cancellation. */
void ak_cell_interrupt(struct ak_cell *cell, bool everyone);
/* Puts the statements of a cell of plain "name = expression" into the order of their
 * dependencies, before it starts. False when it is no such cell: nothing has changed.
 */
bool ak_cell_reorder(struct ak_cell *cell);
/* A cell that runs in the name of another one once more: the same code, no request of
 * its own, no execute_input; count and prompt stay. What it shows goes to the request
 * of the other one (py/late.h). The other one must live as long. 0 or fatal. */
int ak_cell_again(struct ak_cell **ret_cell, struct ak_cell *of,
                  const struct ak_cell_ops *ops, void *owner);
/* From its start on, a NameError for a name that nobody has is no error of the cell:
 * ak_cell_missing names it, and nothing is shown. */
void ak_cell_set_reactive(struct ak_cell *cell);
/* Cancels a run that is of no use any more: it ends without a word. */
void ak_cell_abandon(struct ak_cell *cell);
/* Counts a cell that is not going to run, and publishes its execute_input; then ends it
 * as if it had run and shown nothing, or, with an ename, raised. Calls no ops. */
void ak_cell_present(struct ak_cell *cell);
void ak_cell_conclude(struct ak_cell *cell, const char *ename, const char *evalue);
/* Ends a cell that has not started: its reply says "aborted". Calls no ops. */
void ak_cell_abort(struct ak_cell *cell);

/* After finished or abort. The name, and the class of the exception, or NULL. */
const char *ak_cell_missing(const struct ak_cell *cell);
const char *ak_cell_ename(const struct ak_cell *cell);
bool ak_cell_by_interrupt(const struct ak_cell *cell);
/* Makes its reply that of an interrupt. */
void ak_cell_reply_interrupt(struct ak_cell *cell);
/* Takes over the reply of a cell that ran again in its name. */
void ak_cell_take_reply(struct ak_cell *cell, struct ak_cell *from);
bool ak_cell_failed(const struct ak_cell *cell);
struct ak_bytes ak_cell_reply(const struct ak_cell *cell);
struct ak_bytes ak_cell_reply_metadata(const struct ak_cell *cell);
/* After finished: whether tasks that the cell created are unfinished and its client
 * would miss what they print; calls done(owner, cell) once, when they end or after the
 * seconds.
 */
bool ak_cell_drain(struct ak_cell *cell, double seconds,
                   void (*done)(void *owner, struct ak_cell *cell));
/* Whether that wait goes on. */
bool ak_cell_draining(const struct ak_cell *cell);

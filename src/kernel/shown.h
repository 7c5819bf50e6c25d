/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the cells of notebooks have shown: the outputs of the latest run of each cellId,
 * as they went out, within a bound of bytes. The newest are kept. Kernel process, its
 * one thread; belongs to the kernel.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "seam/kind.h"

struct ak_shared_map;

/* One output: text of a stream when stream is 1 or 2, else content and metadata of a
 * message of a kind. A view. */
struct ak_shown_output {
    enum ak_kind kind;
    int stream;
    struct ak_bytes content;
    struct ak_bytes metadata;
};

/* The latest run of a cell. */
struct ak_shown_cell {
    struct ak_list link;    /* ak_shown's cells, in the order in which they began */
    struct ak_list outputs; /* private to shown.c */
    char *cell_id;          /* owned */
    char *session;          /* owned: who asked for the run */
    uint64_t request;
    uint64_t began_at;
    uint64_t ended_at; /* UINT64_MAX while it runs */
    long execution_count;
    char *first_line;      /* owned: of its source, or NULL */
    size_t n_forgotten;    /* bytes that made room for newer ones */
    bool clears;           /* the next output takes the place of all before */
    struct ak_buf watcher; /* header of a request that is shown what comes; or empty */
};

struct ak_shown;

/* limit is in bytes; 0 keeps nothing. */
int ak_shown_new(struct ak_shown **ret_shown, size_t limit);
struct ak_shown *ak_shown_free(struct ak_shown *shown);
AK_DEFINE_CLEANUP(struct ak_shown *, ak_shown_free)

/* A run begins; what an older run of the cell had shown is forgotten. 0 or fatal. */
int ak_shown_begin(struct ak_shown *shown, const char *cell_id, const char *session,
                   uint64_t request);
/* The run of that request, or NULL. Borrowed until the next begin. */
struct ak_shown_cell *ak_shown_find(const struct ak_shown *shown, uint64_t request);
/* Adds an output to a run; without memory for it it counts as forgotten. */
void ak_shown_add(struct ak_shown *shown, struct ak_shown_cell *cell,
                  const struct ak_shown_output *output);
/* The bytes that are kept. */
size_t ak_shown_bytes(const struct ak_shown *shown);

/* All runs, in the order in which they began: ak_shown_cell.link. */
const struct ak_list *ak_shown_cells(const struct ak_shown *shown);
/* Calls back for each output of a run, the oldest first. */
void ak_shown_each(const struct ak_shown_cell *cell,
                   void (*visit)(void *context, const struct ak_shown_output *output),
                   void *context);

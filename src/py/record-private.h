/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The inside of recording: record.c has the life of one record, recordkey.c its key,
 * recordbody.c what is stored and replayed, recorder.c the recorder, its audit hook and
 * the functions of akernel.cache. GIL held.
 */

#include "base/list.h"
#include "cache/store.h"
#include "py/cell-private.h"
#include "py/record.h"
#include "py/valuehash-private.h"
#include "py/watch-private.h"

#define AK_RECORD_OUTPUT_MAX (16u << 20)

struct ak_recorder {
    struct ak_state *state; /* borrowed */
    const struct ak_keyring *ring;
    struct ak_store *store;
    struct ak_buf off_reason;
    double min_ms;
    bool verbose;
    bool off;              /* akernel.cache.off() */
    bool refresh;          /* akernel.cache.refresh(): the next cell runs */
    unsigned quiet;        /* our own work, which no audit event is about */
    struct ak_list active; /* ak_record.link: records of cells that run */
    PyObject *seen;        /* owned: dict code digest -> dict of input digests */
    struct ak_buf last;    /* JSON: what became of the last cell */
    uint64_t n_hits, n_misses, n_stored, n_bypassed;
    double saved_ms;
};

/* One thing that a cell put out: text of a stream, or a publication. */
struct ak_record_output {
    int stream;            /* 1 or 2, or 0 for a publication */
    enum ak_output output; /* of a publication */
    struct ak_buf content;
    struct ak_buf metadata;
    struct ak_buf *buffers;
    size_t n_buffers;
};

struct ak_record {
    struct ak_list link; /* in recorder->active */
    struct ak_recorder *recorder;
    struct ak_cell *cell; /* borrowed: it owns the record */
    struct ak_watch watch;
    struct ak_valuehash *walk; /* owned: over the inputs */
    PyObject *inputs;          /* owned: list of (name, value or None, kind) */
    struct ak_digest *digests; /* owned: of the inputs, then of code and settings */
    size_t n_digests;
    struct ak_digest code; /* of the cell's tree */
    struct ak_digest key;
    PyObject *before;  /* owned: dict name -> value, of what it may bind */
    PyObject *unbound; /* owned: dict of what was taken away for the run */
    PyObject *result;  /* owned: what was shown as its result, or NULL */
    struct ak_record_output *outputs; /* owned */
    size_t n_outputs, outputs_len;
    uint64_t descriptor_bytes;
    bool forced;  /* "# cache: on": however short it ran */
    bool refresh; /* run, and replace what is stored */
    bool mixed;   /* another cell ran meanwhile */
    struct ak_buf key_expression;
    uint64_t started_ns;
    double run_ms, hash_ms, load_ms, saved_ms;
    uint64_t bytes;
    struct ak_buf changed; /* JSON array of names of inputs that changed */
    const char *status;    /* static: "hit", "stored", "miss", "bypass" */
    struct ak_buf reason;
};

/* record.c: before the first step of a cell: 1 when it was restored and is over, 0 when
 * it has to run, -1 with an exception set. */
int ak_record_begin(struct ak_cell *cell);
/* After its last step, without or with a failure. Leaves no exception, but for an
 * interrupt: -1. */
int ak_record_finish(struct ak_cell *cell);
void ak_record_abandon(struct ak_cell *cell);
struct ak_record *ak_record_free(struct ak_record *record);
/* What a running cell showed as its result. */
void ak_record_result(struct ak_cell *cell, PyObject *value);
/* Why it is not stored; keeps the first reason. */
void ak_record_refuse(struct ak_record *record, const char *format, ...)
    __attribute__((__format__(__printf__, 2, 3)));

/* Taps, called for everything that leaves the worker; cheap when nothing is recorded.
 */
void ak_record_tap_text(struct ak_state *state, uint64_t request, int stream,
                        const char *text, size_t len);
void ak_record_tap_publication(struct ak_state *state,
                               const struct ak_publication *publication);
void ak_record_tap_question(struct ak_state *state, uint64_t request);

/* recordkey.c: the walk over the inputs and the key. 0, REFUSED (the reason is the
 * record's), or -1. */
int ak_record_make_key(struct ak_record *record);
/* Whether the inputs are, by value, what they were. 1, 0 or -1. */
int ak_record_inputs_hold(struct ak_record *record);
/* The digest of a name in the record's namespace counts as an input. */
bool ak_record_is_input(struct ak_record *record, PyObject *name);
/* Reads "# cache: ..." and the tags. */
void ak_record_directives(struct ak_record *record);

/* recordbody.c: stores what the cell left. 0, REFUSED or -1. */
int ak_record_store(struct ak_record *record, PyObject *names, PyObject *deleted);
/* Looks the key up and restores. 1, 0 (a miss, with or without a reason) or -1. */
int ak_record_restore(struct ak_record *record);

/* recorder.c: what became of a cell goes into its reply's metadata and explain(). */
void ak_recorder_conclude(struct ak_record *record);

/* SPDX-License-Identifier: MIT */
#pragma once

/* CPython's bytecode, as much of it as the analysis of names needs: the one file in
 * which versions differ in this respect. GIL held; runs no Python. */

#include <stdbool.h>

#include "py/ref-private.h"

enum ak_step_kind {
    AK_STEP_OTHER,
    AK_STEP_LOAD,   /* reads a name: module-level or class-level lookup */
    AK_STEP_STORE,  /* binds a name of the namespace that the code runs in */
    AK_STEP_DELETE, /* unbinds one */
    AK_STEP_LOAD_GLOBAL,
    AK_STEP_STORE_GLOBAL,
    AK_STEP_DELETE_GLOBAL,
    AK_STEP_LOAD_CONST,
    AK_STEP_IMPORT_STAR,
    AK_STEP_ATTRIBUTE, /* names an attribute, or a name of a module */
    AK_STEP_IMPORT,    /* imports the module of that name */
};

struct ak_instruction {
    int opcode;
    int arg;    /* as it stands in the code, prefixes applied */
    int offset; /* in bytes, of the opcode itself */
    int next;   /* offset behind it and its caches */
    int target; /* of a jump, or -1 */
    int index;  /* into co_names or co_consts, by kind; or -1 */
    enum ak_step_kind kind;
    bool ends;    /* control never goes on to next */
    bool returns; /* ends the code normally */
};

struct ak_handler {
    int start; /* the protected range [start, end) in bytes */
    int end;
    int target;
};

struct ak_bytecode {
    struct ak_instruction *instructions; /* owned */
    int n_instructions;
    struct ak_handler *handlers; /* owned */
    int n_handlers;
};

/* Decodes a code object. 0, or -1 with MemoryError set. */
int ak_bytecode_decode(struct ak_bytecode *ret_bytecode, PyCodeObject *code);
void ak_bytecode_done(struct ak_bytecode *bytecode);

/* Whether the function that is made of the constant which instruction i loads is called
 * on the spot, as in (lambda: x)(). */
bool ak_bytecode_calls(const struct ak_bytecode *bytecode, int i);

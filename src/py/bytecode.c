/* SPDX-License-Identifier: MIT */
/*
 * Code units are two bytes, opcode and argument; EXTENDED_ARG prefixes widen the
 * argument, CACHE units follow an instruction and belong to it. Jumps are relative to
 * the unit behind the caches. The exception table holds ranges as variable-length
 * integers. Opcodes that a version does not have are simply absent from its header.
 */
#include "py/bytecode-private.h"

#include <opcode.h>
#include <stdlib.h>

#ifndef CACHE
#define CACHE 0
#endif

static int jump_direction(int opcode) {
    switch (opcode) {
    case JUMP_FORWARD:
    case FOR_ITER:
    case SEND:
#ifdef POP_JUMP_FORWARD_IF_FALSE
    case POP_JUMP_FORWARD_IF_FALSE:
    case POP_JUMP_FORWARD_IF_TRUE:
    case POP_JUMP_FORWARD_IF_NONE:
    case POP_JUMP_FORWARD_IF_NOT_NONE:
#endif
#ifdef POP_JUMP_IF_FALSE
    case POP_JUMP_IF_FALSE:
    case POP_JUMP_IF_TRUE:
    case POP_JUMP_IF_NONE:
    case POP_JUMP_IF_NOT_NONE:
#endif
#ifdef JUMP_IF_FALSE_OR_POP
    case JUMP_IF_FALSE_OR_POP:
    case JUMP_IF_TRUE_OR_POP:
#endif
        return 1;
    case JUMP_BACKWARD:
    case JUMP_BACKWARD_NO_INTERRUPT:
#ifdef POP_JUMP_BACKWARD_IF_FALSE
    case POP_JUMP_BACKWARD_IF_FALSE:
    case POP_JUMP_BACKWARD_IF_TRUE:
    case POP_JUMP_BACKWARD_IF_NONE:
    case POP_JUMP_BACKWARD_IF_NOT_NONE:
#endif
        return -1;
    default:
        return 0;
    }
}

static void classify(struct ak_instruction *in, int opcode, int arg) {
    in->index = arg;
    switch (opcode) {
    case LOAD_NAME:
        in->kind = AK_STEP_LOAD;
        break;
    case STORE_NAME:
        in->kind = AK_STEP_STORE;
        break;
    case DELETE_NAME:
        in->kind = AK_STEP_DELETE;
        break;
    case LOAD_GLOBAL:
        in->kind = AK_STEP_LOAD_GLOBAL;
        in->index = arg >> 1; /* the lowest bit says whether a NULL is pushed too */
        break;
#ifdef LOAD_FROM_DICT_OR_GLOBALS
    case LOAD_FROM_DICT_OR_GLOBALS:
        in->kind = AK_STEP_LOAD_GLOBAL;
        break;
#endif
    case STORE_GLOBAL:
        in->kind = AK_STEP_STORE_GLOBAL;
        break;
    case DELETE_GLOBAL:
        in->kind = AK_STEP_DELETE_GLOBAL;
        break;
    case LOAD_CONST:
        in->kind = AK_STEP_LOAD_CONST;
        break;
    case LOAD_ATTR:
#if PY_VERSION_HEX >= 0x030C0000
        arg >>= 1; /* the lowest bit says whether a method is meant */
#endif
        in->kind = AK_STEP_ATTRIBUTE;
        in->index = arg;
        break;
#ifdef LOAD_METHOD
    case LOAD_METHOD:
#endif
    case STORE_ATTR:
    case DELETE_ATTR:
    case IMPORT_FROM:
        in->kind = AK_STEP_ATTRIBUTE;
        break;
#ifdef LOAD_SUPER_ATTR
    case LOAD_SUPER_ATTR:
        in->kind = AK_STEP_ATTRIBUTE;
        in->index = arg >> 2;
        break;
#endif
    case IMPORT_NAME:
        in->kind = AK_STEP_IMPORT;
        break;
#ifdef IMPORT_STAR
    case IMPORT_STAR:
        in->kind = AK_STEP_IMPORT_STAR;
        break;
#endif
#ifdef CALL_INTRINSIC_1
    case CALL_INTRINSIC_1:
        if (arg == 2) /* INTRINSIC_IMPORT_STAR */
            in->kind = AK_STEP_IMPORT_STAR;
        break;
#endif
#ifdef RETURN_CONST
    case RETURN_CONST:
        in->index = -1;
        in->ends = in->returns = true;
        break;
#endif
    case RETURN_VALUE:
        in->ends = in->returns = true;
        break;
    case RAISE_VARARGS:
    case RERAISE:
    case JUMP_FORWARD:
    case JUMP_BACKWARD:
    case JUMP_BACKWARD_NO_INTERRUPT:
        in->ends = true;
        break;
    default:
        in->index = -1;
    }
}

static void decode_instructions(struct ak_bytecode *bytecode,
                                const unsigned char *units, int n_bytes) {
    int arg = 0, start = -1;
    for (int offset = 0; offset + 1 < n_bytes;) {
        int opcode = units[offset];
        if (start < 0)
            start = offset;
        arg = (int)((unsigned)arg << 8 | units[offset + 1]);
        int next = offset + 2;
        if (opcode == EXTENDED_ARG) {
            offset = next;
            continue;
        }
        while (next + 1 < n_bytes && units[next] == CACHE)
            next += 2;
        struct ak_instruction *in = &bytecode->instructions[bytecode->n_instructions++];
        *in = (struct ak_instruction){
            .opcode = opcode, .arg = arg, .offset = start, .next = next, .target = -1};
        classify(in, opcode, arg);
        int direction = jump_direction(opcode);
        if (direction)
            in->target = next + direction * arg * 2;
        if (in->target > n_bytes || in->target < -1)
            in->target = -1;
        arg = 0;
        start = -1;
        offset = next;
    }
}

/* How many values a call takes from above its callable, the empty slot beside that not
 * counted; -1 when the instruction is no call. */
static int call_width(const struct ak_instruction *in) {
    switch (in->opcode) {
#ifdef PRECALL
    case PRECALL:
        return in->arg; /* takes the arguments; the CALL that follows takes none */
#else
    case CALL:
        return in->arg;
#endif
#ifdef CALL_KW
    case CALL_KW:
        return in->arg + 1; /* the names of the keywords, too */
#endif
    case CALL_FUNCTION_EX:
#if PY_VERSION_HEX >= 0x030E0000
        return 2;
#else
        return 1 + (in->arg & 1);
#endif
    default:
        return -1;
    }
}

/* The empty slot lies above the callable since 3.13, below it before; a decorator
 * stands in that slot, and what it decorates above. */
static bool is_callable_at(int height, int width) {
    return height == width + 1 || (PY_VERSION_HEX < 0x030D0000 && height == width);
}

/* The way that control takes when nothing jumps back: whatever an argument is, it
 * leaves one value. -1 when there is none. */
static int step_after(const struct ak_bytecode *bytecode, int i) {
    const struct ak_instruction *in = &bytecode->instructions[i];
    if (!in->ends)
        return i + 1;
    for (int to = i + 1; in->target >= 0 && to < bytecode->n_instructions; to++) {
        if (bytecode->instructions[to].offset == in->target)
            return to;
    }
    return -1;
}

/* Follows the function on the stack, by its height above, until something takes it. */
bool ak_bytecode_calls(const struct ak_bytecode *bytecode, int i) {
    bool made = false;
    int height = 0; /* of values above the function */
    for (i++; i >= 0 && i < bytecode->n_instructions; i = step_after(bytecode, i)) {
        const struct ak_instruction *in = &bytecode->instructions[i];
        int width = call_width(in);
        if (made && width >= 0 && is_callable_at(height, width))
            return true;
        bool attribute = height == 0 && in->kind == AK_STEP_ATTRIBUTE;
        if (made ? attribute : in->opcode != MAKE_FUNCTION)
            return false;
        int effect = PyCompile_OpcodeStackEffectWithJump(
            in->opcode, in->opcode >= HAVE_ARGUMENT ? in->arg : 0, 0);
        if (effect == PY_INVALID_STACK_EFFECT)
            return false;
        height += made ? effect : 0;
        made = true;
        if (height < 0)
            return false;
    }
    return false;
}

/* One variable-length integer: six bits a byte, 0x40 says that more follow. */
static int read_varint(const unsigned char **p, const unsigned char *end) {
    int value = 0;
    while (*p < end) {
        unsigned char byte = *(*p)++;
        value = (int)((unsigned)value << 6 | (byte & 63u));
        if (!(byte & 0x40))
            break;
    }
    return value;
}

static int decode_handlers(struct ak_bytecode *bytecode, PyCodeObject *code) {
    PyObject *table = code->co_exceptiontable; /* borrowed */
    const unsigned char *p = (const unsigned char *)PyBytes_AS_STRING(table);
    const unsigned char *end = p + PyBytes_GET_SIZE(table);
    size_t most = (size_t)PyBytes_GET_SIZE(table) / 4 + 1;
    bytecode->handlers = calloc(most, sizeof(*bytecode->handlers));
    if (!bytecode->handlers)
        return -1;
    while (p < end && (size_t)bytecode->n_handlers < most) {
        int start = read_varint(&p, end) * 2;
        int length = read_varint(&p, end) * 2;
        int target = read_varint(&p, end) * 2;
        (void)read_varint(&p, end); /* stack depth */
        bytecode->handlers[bytecode->n_handlers++] = (struct ak_handler){
            .start = start, .end = start + length, .target = target};
    }
    return 0;
}

int ak_bytecode_decode(struct ak_bytecode *ret_bytecode, PyCodeObject *code) {
    struct ak_bytecode bytecode = {0};
    AK_PYREF bytes = PyCode_GetCode(code);
    if (!bytes)
        return -1;
    int n_bytes = (int)PyBytes_GET_SIZE(bytes);
    bytecode.instructions =
        calloc((size_t)n_bytes / 2 + 1, sizeof(*bytecode.instructions));
    if (!bytecode.instructions || decode_handlers(&bytecode, code) < 0) {
        ak_bytecode_done(&bytecode);
        PyErr_NoMemory();
        return -1;
    }
    decode_instructions(&bytecode, (const unsigned char *)PyBytes_AS_STRING(bytes),
                        n_bytes);
    *ret_bytecode = bytecode;
    return 0;
}

void ak_bytecode_done(struct ak_bytecode *bytecode) {
    free(bytecode->instructions);
    free(bytecode->handlers);
    *bytecode = (struct ak_bytecode){0};
}

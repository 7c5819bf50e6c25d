/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a client sees of a stopped program: stacks without the kernel's own frames,
 * variables without those that every session has. Pure functions over the bodies of
 * responses; nothing is allocated. Kernel process.
 */

#include <jansson.h>

/* body.stackFrames: frames below the user's oldest one go. */
void ak_debug_view_stack(json_t *body);
/* body.variables: In, Out, _, exit and their like go. */
void ak_debug_view_variables(json_t *body);

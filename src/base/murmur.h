/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * MurmurHash2, the 32-bit variant. Front ends name the file of a cell by the hash of
 * its source, and the kernel has to come to the same name; nothing else uses it, and
 * nothing trusts it. Any process.
 */

#include <stddef.h>
#include <stdint.h>

/* The seed that front ends expect in the file names of cells. */
#define AK_MURMUR_CELL_SEED 0xC70F6907u

uint32_t ak_murmur2(const void *data, size_t len, uint32_t seed);

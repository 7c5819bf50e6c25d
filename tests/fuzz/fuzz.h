/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A fuzz target is this one function over bytes. Under clang with -Dfuzz=true libFuzzer
 * drives it; else replay.c runs it over the files of a corpus and over changed copies
 * of them, the same ones each time.
 */

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

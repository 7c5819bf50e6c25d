#!/bin/sh
# SPDX-License-Identifier: MIT
# Every C file is as clang-format writes it. Exit 77 (skipped) where there is none.
command -v clang-format >/dev/null || { echo "clang-format is not installed"; exit 77; }
cd "$1" && find src tests -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror

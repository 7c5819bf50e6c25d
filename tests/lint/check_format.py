#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that clang-format would change nothing.

    check_format.py ROOT

Another release of the formatter has other opinions, so only the one that formatted the
tree is asked; without it the check is skipped (exit code 77, as meson knows it).
"""

import pathlib
import re
import shutil
import subprocess
import sys

RELEASE = "14"
SKIPPED = 77


def find_formatter():
    for name in (f"clang-format-{RELEASE}", "clang-format"):
        path = shutil.which(name)
        if not path:
            continue
        said = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
        release = re.search(r"version (\d+)\.", said)
        if release and release.group(1) == RELEASE:
            return path
    return None


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = pathlib.Path(sys.argv[1])
    formatter = find_formatter()
    if not formatter:
        print(f"skipped: clang-format {RELEASE} is not installed")
        sys.exit(SKIPPED)
    files = sorted(
        path
        for folder in ("src", "tests")
        for suffix in ("*.c", "*.h")
        for path in (root / folder).rglob(suffix)
    )
    sys.exit(subprocess.run([formatter, "--dry-run", "-Werror", *files]).returncode)


if __name__ == "__main__":
    main()

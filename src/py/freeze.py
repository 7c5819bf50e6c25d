# SPDX-License-Identifier: MIT
"""Compiles Python sources into a C header with a table for PyImport_FrozenModules.

    freeze.py OUTPUT PACKAGE_DIR SOURCE...

Run by the Python that the worker embeds: a code object belongs to one minor version.
"""

import marshal
import os
import sys


def module_name(root, path):
    relative = os.path.relpath(path, os.path.dirname(root))
    name = os.path.splitext(relative)[0].replace(os.sep, ".")
    return (name.removesuffix(".__init__"), name.endswith(".__init__"))


def main():
    output, root, *sources = sys.argv[1:]
    lines = ["/* Made by freeze.py; do not edit. */", "#pragma once", "", "#include <Python.h>", ""]
    rows = []
    for number, path in enumerate(sorted(sources)):
        name, is_package = module_name(root, path)
        with open(path, encoding="utf-8") as file:
            code = compile(file.read(), f"<frozen {name}>", "exec", dont_inherit=True, optimize=0)
        data = marshal.dumps(code)
        lines.append(f"static const unsigned char ak_frozen_{number}[] = {{")
        for start in range(0, len(data), 20):
            lines.append("    " + ",".join(str(b) for b in data[start : start + 20]) + ",")
        lines += ["};", ""]
        rows.append(
            f'    {{.name = "{name}", .code = ak_frozen_{number}, '
            f".size = (int)sizeof(ak_frozen_{number}), .is_package = {int(is_package)}}},"
        )
    lines += ["static const struct _frozen ak_frozen_pylib[] = {", *rows, "    {0},", "};", ""]
    with open(output, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


main()

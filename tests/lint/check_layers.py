#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the rules of the source tree that a compiler does not.

A layer is a folder of src/. It may include its own headers and the faces (not the
-private.h headers) of the layers that the table names; libraries have the layers that may
know them. Calls of the C-API that hide errors or ownership are refused, and Python stays
under a fifth of the lines of src.

    check_layers.py ROOT         check the tree at ROOT
    check_layers.py --self-test  check that every rule still catches what it is for
"""

import pathlib
import re
import sys
import tempfile

# layer: (project layers, restricted external headers)
LAYERS = {
    "base": ({"base"}, set()),
    "wire": ({"wire", "base"}, {"jansson.h", "sodium.h", "uuid/uuid.h"}),
    "seam": ({"seam", "base"}, set()),
    "net": ({"net", "base", "wire"}, {"zmq.h"}),
    "kernel": ({"kernel", "base", "wire", "net", "seam"}, {"jansson.h"}),
    "flow": ({"flow", "base"}, set()),
    "cache": ({"cache", "base"}, {"sodium.h"}),
    "py": ({"py", "base"}, {"jansson.h", "Python.h"}),
    "worker": ({"worker", "base", "seam", "py", "flow", "cache"}, {"jansson.h"}),
    "cli": ({"cli", "base", "kernel", "cache"}, {"jansson.h"}),
}
# The mains stand above the layers; one of them is an extension module.
MAINS = {
    "main.c": ({"cli"}, set()),
    "worker_main.c": ({"worker"}, set()),
    "worker_module.c": ({"worker"}, {"Python.h"}),
}
RESTRICTED = {"jansson.h", "sodium.h", "uuid/uuid.h", "zmq.h", "Python.h"}
GENERATED = {"build_config.h", "frozen_pylib.h"}
BANNED = [
    (r"\bPyDict_GetItemString\b", "hides errors: use PyDict_GetItemWithError"),
    (r"\bPyErr_Print\b", "prints past the cell: make a fault of the exception"),
    (r"\bPyErr_Clear\b", "drops an exception unseen: see py/fault.c"),
    (r"\bPyRun_\w*String\w*\b", "compiles text: compile and evaluate code objects"),
    (r"\bPyLong_FromVoidPtr\b", "a pointer as a number can be forged: use a capsule"),
    (r"\bPyTuple_SET_ITEM\b", "is right in a fresh tuple only: use PyTuple_Pack"),
    (r"^static PyObject \*\w+\s*(=|;|\[|,)", "state with file scope: use module state"),
    (r"\bPyGILState_Ensure\b", "no thread of ours enters Python"),
]
PYTHON_SHARE = 0.2

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)
NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def without(pattern, text):
    """The text with the matches blanked, line numbers kept."""
    return pattern.sub(lambda m: "\n" * m.group().count("\n"), text)


def check_project_include(path, name, layer, layers):
    if name in GENERATED:
        return None
    target, slash, rest = name.partition("/")
    if not slash:
        return f'"{name}" is not written from the root of src'
    if target not in layers:
        return f'{layer} may not include "{name}"'
    if target != layer and rest.endswith("-private.h"):
        return f'"{name}" is the inside of another layer'
    return None


def check_external_include(path, name, layer, libraries):
    if name not in RESTRICTED:
        return None
    if name not in libraries:
        return f"{layer} may not include <{name}>"
    if name == "Python.h" and path.suffix == ".h" and "-private" not in path.name:
        return "<Python.h> belongs in .c and -private.h files"
    return None


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def check_file(src, path):
    relative = path.relative_to(src)
    layer = relative.parts[0]
    rules = MAINS.get(layer) if len(relative.parts) == 1 else LAYERS.get(layer)
    if rules is None:
        yield f"{relative}: no layer has this file; add it to tests/lint/check_layers.py"
        return
    layers, libraries = rules
    text = path.read_text(encoding="utf-8")
    for match in INCLUDE.finditer(text):
        project, external = match.groups()
        problem = (
            check_project_include(path, project, layer, layers)
            if project
            else check_external_include(path, external, layer, libraries)
        )
        if problem:
            yield f"{relative}:{line_of(text, match.start())}: {problem}"
    code = without(NOT_CODE, text)
    for pattern, why in BANNED:
        for match in re.finditer(pattern, code, re.M):
            word = match.group().strip()
            yield f"{relative}:{line_of(code, match.start())}: {word}: {why}"


def count_lines(paths):
    return sum(path.read_bytes().count(b"\n") for path in paths)


def check_tree(root):
    src = root / "src"
    c_files = sorted([*src.rglob("*.c"), *src.rglob("*.h")])
    problems = [problem for path in c_files for problem in check_file(src, path)]
    if not c_files:
        problems.append(f"{src} holds no C source")
    python = count_lines(src.rglob("*.py"))
    total = python + count_lines(c_files)
    if python > total * PYTHON_SHARE:
        problems.append(f"{python} of {total} lines of src are Python: over a fifth")
    return problems


SELF_TEST = [
    ("seam/a.c", '#include "wire/sign.h"', "may not include"),
    ("kernel/a.c", '#include "net/channel-private.h"', "inside of another layer"),
    ("kernel/a.c", '#include "kernel.h"', "root of src"),
    ("kernel/a.c", "#include <zmq.h>", "may not include <zmq.h>"),
    ("base/a.c", "#  include  <Python.h>", "may not include <Python.h>"),
    ("py/a.h", "#include <Python.h>", "belongs in"),
    ("utils/a.c", "int x;", "no layer"),
    ("py/a.c", "PyErr_Clear ();", "PyErr_Clear"),
    ("py/a.c", "static PyObject *names[3];", "module state"),
    ("py/a.c", "x = PyRun_SimpleString(s);", "compiles text"),
    ("py/a.c", "/* PyErr_Print is never called */\nchar s[] = \"PyErr_Print\";", None),
    ("py/a.c", "static PyObject *make(PyObject *self) {", None),
    ("py/a-private.h", "#include <Python.h>", None),
    ("net/a.c", '#include "wire/message.h"\n#include <zmq.h>', None),
    ("base/a.py", "x = 1\n" * 9, "over a fifth"),
]


def self_test():
    for name, text, expected in SELF_TEST:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for path, content in (("base/z.c", "int z;\n"), (name, text + "\n")):
                (root / "src" / path).parent.mkdir(parents=True, exist_ok=True)
                (root / "src" / path).write_text(content)
            problems = check_tree(root)
        if expected is None:
            assert not problems, (name, text, problems)
        else:
            assert len(problems) == 1 and expected in problems[0], (name, text, problems)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--self-test":
        self_test()
        return
    problems = check_tree(pathlib.Path(sys.argv[1]))
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
